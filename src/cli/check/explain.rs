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
    writeln!(out, "{meant} of {} series have a meaning", series.len())?;
    let mut told = BTreeSet::new();
    for pack in with_needed(packs) {
        let own: Vec<u16> = pack.signals.iter().filter_map(|s| table.find(&s.name)).collect();
        // A name that two packs have is the first one's.
        let own: Vec<u16> = own.into_iter().filter(|signal| told.insert(*signal)).collect();
        signals(out, &pack.name, &own, &table, &found)?;
    }
    writeln!(out, "\nfaults")?;
    for fault in table.faults() {
        writeln!(out, "  {}", fault_line(fault, &table, &found))?;
    }
    Ok(())
}

fn signals(
    out: &mut impl Write,
    pack: &str,
    own: &[u16],
    table: &SignalTable,
    found: &BTreeMap<u16, Found>,
) -> io::Result<()> {
    let here = own.iter().filter(|signal| found.contains_key(signal)).count();
    writeln!(out, "\npack {pack}: {here} of {} signals found", own.len())?;
    if here > 0 {
        writeln!(out, "  {:<24} {:>6}  {:<40}  found as", "signal", "series", "an example")?;
    }
    let name = |signal: &u16| table.signals()[usize::from(*signal)].name.as_str();
    for signal in own {
        let Some(Found { series, example, form }) = found.get(signal) else { continue };
        let form = &table.exported(*form).select;
        writeln!(out, "  {:<24} {series:>6}  {:<40}  {form}", name(signal), example.to_string())?;
    }
    let missing: Vec<&str> = own.iter().filter(|signal| !found.contains_key(signal)).map(name).collect();
    if !missing.is_empty() {
        writeln!(out, "  missing: {}", missing.join(", "))?;
    }
    Ok(())
}

/// `remote_outage: 3 of 5 signs, can be recognised; missing …`: a signal counts once, however it may move.
fn fault_line(fault: &Fault, table: &SignalTable, found: &BTreeMap<u16, Found>) -> String {
    let mut signs: Vec<&str> = Vec::new();
    for sign in &fault.evidence {
        if !signs.contains(&sign.signal.as_str()) {
            signs.push(&sign.signal);
        }
    }
    let is_measured = |signal: &&&str| table.find(signal).is_some_and(|place| found.contains_key(&place));
    let measured = signs.iter().filter(is_measured).count();
    let can = match measured {
        0 => "not seen",
        _ if measured == signs.len() || measured > 1 => "can be recognised",
        _ => "seen by one sign, and not told from others",
    };
    let mut line = format!("{:<20} {measured} of {} signs: {can}", fault.name, signs.len());
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
        assert_eq!(line("5 of"), "5 of 6 series have a meaning");
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
