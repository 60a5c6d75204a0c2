//! What the packs make of the series that are there: a table of signals for each pack, then the faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write};

use super::listed::Listed;
use crate::predict::pack::{Fault, Pack, with_needed};
use crate::predict::signals::{SignalRef, SignalTable};
use crate::sample::Labels;

/// The series of one signal.
struct Found<'a> {
    series: usize,
    example: &'a Labels,
    form: SignalRef,
}

/// What is measured, by the place of the signal.
struct Measured<'a> {
    found: BTreeMap<u16, Found<'a>>,
    /// Those that Foreshock makes of others that are found, and of which.
    made: BTreeMap<u16, Vec<&'a str>>,
}

impl<'a> Measured<'a> {
    fn new(table: &'a SignalTable, found: BTreeMap<u16, Found<'a>>) -> Self {
        let series =
            |name: &str| table.find(name).and_then(|place| found.get(&place)).map_or(0, |f| f.series);
        let made = (0..).zip(table.signals()).filter_map(|(place, signal)| {
            let (sources, series_min): (Vec<&str>, usize) = match (&signal.behind, &signal.balance) {
                // With another machine to compare it with.
                (Some(source), _) => (vec![source], 2),
                (None, Some(balance)) => (balance.parts().map(|(_, name)| name).collect(), 1),
                (None, None) => return None,
            };
            sources.iter().all(|name| series(name) >= series_min).then_some((place, sources))
        });
        let made = made.collect();
        Measured { found, made }
    }

    fn has(&self, signal: u16) -> bool {
        self.found.contains_key(&signal) || self.made.contains_key(&signal)
    }
}

/// Writes the report: signals found and missing by pack, faults by how many of their signs are measured.
pub(super) fn write(out: &mut impl Write, packs: &[Pack], series: &Listed) -> io::Result<()> {
    let table = SignalTable::new(packs);
    let mut found: BTreeMap<u16, Found> = BTreeMap::new();
    let mut meant = 0;
    for labels in series {
        let Some(form) = table.resolve(labels) else { continue };
        meant += 1;
        found.entry(form.signal).or_insert(Found { series: 0, example: labels, form }).series += 1;
    }
    let measured = Measured::new(&table, found);
    writeln!(out, "{meant} of {} series have a meaning", series.len())?;
    let mut told = BTreeSet::new();
    for pack in with_needed(packs) {
        let own: Vec<u16> = pack.signals.iter().filter_map(|s| table.find(&s.name)).collect();
        // A name that two packs have is the first one's.
        let own: Vec<u16> = own.into_iter().filter(|signal| told.insert(*signal)).collect();
        signals(out, &pack.name, &own, &table, &measured)?;
    }
    writeln!(out, "\nfaults")?;
    for fault in table.faults() {
        writeln!(out, "  {}", fault_line(fault, &table, &measured))?;
    }
    Ok(())
}

fn signals(
    out: &mut impl Write,
    pack: &str,
    own: &[u16],
    table: &SignalTable,
    measured: &Measured,
) -> io::Result<()> {
    let here = own.iter().filter(|signal| measured.has(**signal)).count();
    writeln!(out, "\npack {pack}: {here} of {} signals found", own.len())?;
    if here > 0 {
        writeln!(out, "  {:<24} {:>6}  {:<40}  found as", "signal", "series", "an example")?;
    }
    let name = |signal: &u16| table.signals()[usize::from(*signal)].name.as_str();
    for signal in own {
        if let Some(sources) = measured.made.get(signal) {
            writeln!(out, "  {:<24} made of {}", name(signal), sources.join(", "))?;
        }
        let Some(Found { series, example, form }) = measured.found.get(signal) else { continue };
        let form = &table.exported(*form).select;
        writeln!(out, "  {:<24} {series:>6}  {:<40}  {form}", name(signal), example.to_string())?;
    }
    let missing: Vec<&str> = own.iter().filter(|signal| !measured.has(**signal)).map(name).collect();
    if !missing.is_empty() {
        writeln!(out, "  missing: {}", missing.join(", "))?;
    }
    Ok(())
}

/// `remote_outage: 3 of 5 signs, can be recognised; missing …`: a signal counts once, however it may move.
fn fault_line(fault: &Fault, table: &SignalTable, measured: &Measured) -> String {
    let mut signs: Vec<&str> = Vec::new();
    for sign in &fault.evidence {
        if !signs.contains(&sign.signal.as_str()) {
            signs.push(&sign.signal);
        }
    }
    let is_measured = |signal: &&&str| table.find(signal).is_some_and(|place| measured.has(place));
    let count = signs.iter().filter(is_measured).count();
    let can = match count {
        0 => "not seen",
        _ if count == signs.len() || count > 1 => "can be recognised",
        _ => "seen by one sign, and not told from others",
    };
    let mut line = format!("{:<20} {count} of {} signs: {can}", fault.name, signs.len());
    let missing: Vec<&str> = signs.iter().filter(|sign| !is_measured(sign)).copied().collect();
    if !missing.is_empty() {
        // cannot fail: a String takes all that it is given
        let _ = write!(line, "; missing: {}", missing.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::pack::builtins;

    #[test]
    fn a_report_says_what_is_found_what_is_missing_and_what_follows() {
        let series = [
            vec![("__name__", "postfix_queue_stat"), ("queue", "deferred")],
            vec![("__name__", "postfix_queue_stat_requests")],
            vec![("__name__", "mailboxd_lmtp_conn"), ("host", "store1")],
            vec![("__name__", "mailboxd_lmtp_conn"), ("host", "store2")],
            vec![("__name__", "probe_ssl_earliest_cert_expiry")],
            vec![("__name__", "openldap_monitor_replication"), ("type", "gt"), ("host", "ldap1")],
            vec![("__name__", "openldap_monitor_replication"), ("type", "gt"), ("host", "ldap2")],
            vec![("__name__", "unheard_of")],
        ];
        let series: Listed = series.iter().map(|labels| Labels::new(labels)).collect();
        let mut out = Vec::new();
        write(&mut out, &builtins(), &series).unwrap();
        let told = String::from_utf8(out).unwrap();
        let line = |start: &str| {
            let found = told.lines().find(|line| line.trim_start().starts_with(start));
            found
                .unwrap_or_else(|| panic!("{start} in\n{told}"))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(line("7 of"), "7 of 8 series have a meaning");
        assert_eq!(line("ldap_behind"), "ldap_behind made of ldap_replication");
        assert!(!told.contains("mta_unaccounted made of"), "it is not made of what is not there: {told}");
        assert!(line("ldap_replica_lag").contains("2 of 3 signs"), "{told}");
        assert!(line("pack postfix").starts_with("pack postfix: 2 of "), "{told}");
        assert_eq!(
            line("lmtp_connections"),
            "lmtp_connections 2 mailboxd_lmtp_conn{host=\"store1\"} mailboxd_lmtp_conn"
        );
        assert!(line("remote_outage").contains("2 of 6 signs: can be recognised; missing: mta_age_deferred"));
        assert!(line("slow_lmtp").contains("seen by one sign"), "{told}");
        assert!(line("certificate_expiry").ends_with("1 of 1 signs: can be recognised"));
        assert!(line("imap_storm").contains("0 of 7 signs: not seen"));
    }
}
