//! What the packs make of the series that are there: a table of signals for each pack, then the faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write};

use super::listed::Listed;
use crate::predict::pack::{Fault, Pack, Signal, with_needed};
use crate::predict::signals::{SignalRef, SignalTable};
use crate::predict::stall::work;
use crate::sample::Labels;
use crate::series::registry::without_port;

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

/// The forms of signals that each machine shows.
type Machines<'a> = BTreeMap<&'a str, BTreeSet<SignalRef>>;

impl<'a> Measured<'a> {
    fn new(table: &'a SignalTable, series: &'a Listed, entity_labels: &[String]) -> Self {
        let mut found: BTreeMap<u16, Found> = BTreeMap::new();
        let mut machines = Machines::new();
        for labels in series {
            let Some(form) = table.resolve(labels) else { continue };
            found.entry(form.signal).or_insert(Found { series: 0, example: labels, form }).series += 1;
            let named = entity_labels.iter().find_map(|label| labels.get(label));
            machines.entry(without_port(named.unwrap_or_default())).or_default().insert(form);
        }
        let made = (0..).zip(table.signals()).filter_map(|(place, signal)| {
            let sources: Vec<&str> = match (&signal.behind, &signal.stalled) {
                (Some(source), _) => vec![source],
                (None, Some(stalled)) => {
                    stalled.shows.iter().chain(&stalled.meanwhile).map(String::as_str).collect()
                }
                (None, None) => signal.parts().into_iter().map(|(_, name)| name).collect(),
            };
            is_made(table, &machines, place, signal).then_some((place, sources))
        });
        let made = made.collect();
        Measured { found, made }
    }

    fn has(&self, signal: u16) -> bool {
        self.found.contains_key(&signal) || self.made.contains_key(&signal)
    }
}

/// Whether what machines show is enough to make a series of a signal.
fn is_made(table: &SignalTable, machines: &Machines, place: u16, signal: &Signal) -> bool {
    if let Some(source) = signal.behind.as_deref().and_then(|name| table.find(name)) {
        // With another machine to compare it with.
        let shows = |forms: &&BTreeSet<SignalRef>| forms.iter().any(|form| form.signal == source);
        return machines.values().filter(shows).count() > 1;
    }
    if let Some(stall) = table.stalls().iter().find(|stall| stall.signal == place) {
        let counts = |form: &SignalRef| stall.is_meanwhile(form.signal) && work(table, *form).is_some();
        return machines.iter().any(|(name, forms)| {
            let works = |(other, forms): (&&str, &BTreeSet<SignalRef>)| {
                forms.iter().any(|form| counts(form) && !(other == name && stall.shows(form.signal)))
            };
            forms.iter().any(|form| stall.shows(form.signal)) && machines.iter().any(works)
        });
    }
    let Some(law) = table.laws().iter().find(|law| law.signal == place) else { return false };
    machines.values().any(|forms| {
        let is_part =
            |signal| forms.iter().any(|form| form.signal == signal && law.part(table, *form).is_some());
        law.signals().all(is_part)
    })
}

/// Writes the report: signals found and missing by pack, faults by how many of their signs are measured.
/// `entity_labels` name the machine of a series, the first that it has.
pub(super) fn write(
    out: &mut impl Write,
    packs: &[Pack],
    series: &Listed,
    entity_labels: &[String],
) -> io::Result<()> {
    let table = SignalTable::new(packs);
    let measured = Measured::new(&table, series, entity_labels);
    let meant: usize = measured.found.values().map(|found| found.series).sum();
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
    writeln!(out, "\nservice levels")?;
    for level in table.levels() {
        writeln!(out, "  {}", level_line(level, &table, &measured))?;
    }
    Ok(())
}

/// `delivery: measured by mta_age_active`, or what would measure it.
fn level_line(level: &str, table: &SignalTable, measured: &Measured) -> String {
    let impacts = table.faults().iter().flat_map(|fault| &fault.impact);
    let names: BTreeSet<&str> = impacts
        .filter(|impact| impact.level.as_deref() == Some(level))
        .map(|impact| impact.signal.as_str())
        .collect();
    let is_measured = |name: &&str| table.find(name).is_some_and(|place| measured.has(place));
    let by: Vec<&str> = names.iter().copied().filter(|name| is_measured(name)).collect();
    if !by.is_empty() {
        return format!("{level:<20} measured by {}", by.join(", "));
    }
    let needs = names.iter().map(|name| {
        let signal = table.find(name).map(|place| &table.signals()[usize::from(place)]);
        let parts: Vec<&str> =
            signal.iter().flat_map(|signal| signal.parts()).map(|(_, part)| part).collect();
        if parts.is_empty() { (*name).to_owned() } else { parts.join(" and ") }
    });
    format!("{level:<20} not measured: needs {}", needs.collect::<Vec<_>>().join(", or "))
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
            let when = if table.serves_promises(*signal) { ", once a share of it is promised" } else { "" };
            writeln!(out, "  {:<24} made of {}{when}", name(signal), sources.join(", "))?;
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
        _ => "seen by one sign, and may be taken for others",
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
        write(&mut out, &builtins(), &series, &["host".to_owned()]).unwrap();
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
        assert_eq!(line("replication "), "replication measured by ldap_behind");
        assert_eq!(line("put_off "), "put_off not measured: needs mta_put_off and mta_received");
        assert!(line("connect ").ends_with("not measured: needs probe_time"), "{told}");
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

    /// Name, labels and host of a series.
    type Series<'n> = (&'n str, &'n [(&'n str, &'n str)], &'n str);

    /// Whether a signal is said to be made of these series.
    fn is_made(signal: &str, series: &[Series]) -> bool {
        let labels = |(name, form, host): &Series| {
            let own = [("__name__", *name), ("host", *host)];
            Labels::new(&own.iter().chain(*form).copied().collect::<Vec<_>>())
        };
        let listed: Listed = series.iter().map(labels).collect();
        let mut out = Vec::new();
        write(&mut out, &builtins(), &listed, &["host".to_owned()]).unwrap();
        String::from_utf8(out).unwrap().contains(&format!("  {signal:<24} made of"))
    }

    #[test]
    fn what_is_made_of_parts_is_so_where_one_machine_has_them_all() {
        let queue = |queue: &'static str| ("postfix_showq_message_size_bytes_count", [("queue", queue)]);
        let queues = ["incoming", "active", "deferred", "hold"].map(queue);
        let law = |removed: (&'static str, &'static [(&'static str, &'static str)]), host: &'static str| {
            let mut series: Vec<Series> =
                queues.iter().map(|(name, form)| (*name, &form[..], "mta1")).collect();
            series.push(("postfix_cleanup_messages_processed_total", &[], "mta1"));
            series.push((removed.0, removed.1, host));
            is_made("mta_unaccounted", &series)
        };
        assert!(law(("postfix_qmgr_messages_removed_total", &[]), "mta1"));
        assert!(!law(("postfix_qmgr_messages_removed_total", &[]), "mta2"), "of two machines");
        assert!(!law(("zimbra_stats", &[("name", "Delivered")]), "mta1"), "a sum is no rate");
        let behind = |one: [&str; 2], other: [&str; 2]| {
            let name = "openldap_monitor_replication";
            let [own, its] = [one, other].map(|[id, _]| [("type", "gt"), ("id", id)]);
            is_made("ldap_behind", &[(name, &own, one[1]), (name, &its, other[1])])
        };
        assert!(behind(["1", "ldap1"], ["1", "ldap2"]));
        assert!(!behind(["1", "ldap1"], ["2", "ldap1"]), "of one machine");
        let connects: Series = ("postfix_smtpd_connects_total", &[], "mta1");
        assert!(!is_made("mta_stalled", &[connects]), "nobody else works");
        assert!(is_made("mta_stalled", &[connects, ("mailboxd_lmtp_rcvd_msgs", &[], "mta1")]));
        assert!(is_made("mta_stalled", &[connects, ("postfix_smtpd_connects_total", &[], "mta2")]));
    }
}
