//! What is read of a pack, and what is told of a broken one.

use super::super::{Approval, Lead, Limit, Movement, Side, Urgency};
use super::names::SURE;
use super::*;
use crate::sample::ValueKind;

const GOOD: &str = r#"
name: small
needs: [storage]
roles:
  mta: { about: takes mail in, depends: [host] }
remedies:
  flush: try again
  lock: { about: lock the account, approval: required, role: mta, verify: [queue], worsens: [queue] }
signals:
  - name: queue
    reads: queue
    unit: messages
    role: mta
    hurts: up
    limit: 1000
    from: ['queue{q="a"}', { select: other_ms, unit: ms, times: 0.001, kind: counter }]
faults:
  - name: outage
    users: mail late
    urgency: ticket
    lead: hours
    evidence: [{ signal: queue, moves: up, role: mta }]
    impact: [{ signal: queue, reaches: 500, times_usual: queue, unless: queue }]
    remedies: [flush]
    lead_minutes: [60, 300]
    passes_minutes: 15
service_levels:
  late: { about: mail has come, seconds: 600 }
extends:
  - fault: disk_fill
    early: [{ signal: queue, moves: down }]
    evidence: [{ signal: queue, moves: up }]
    remedies: [lock]
"#;

/// What is said about the pack once `from` in it became `to`.
fn check(from: &str, to: &str, want: &[&str]) {
    check_in(GOOD, from, to, want);
}

#[track_caller]
fn check_in(good: &str, from: &str, to: &str, want: &[&str]) {
    let text = good.replacen(from, to, 1);
    assert_ne!(text, good);
    let problems = Pack::from_yaml(&text).unwrap_err();
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), want.len(), "{said:#?}");
    for (said, want) in said.iter().zip(want) {
        assert!(said.starts_with(want), "{said}\nshould begin with\n{want}");
    }
}

#[test]
fn a_sound_pack_is_read() {
    let pack = Pack::from_yaml(GOOD).unwrap();
    let queue = &pack.signals[0];
    assert_eq!(queue.limit, Some(Limit::Value(1000.0)));
    assert_eq!(queue.from[1].kind, Some(ValueKind::Counter));
    assert_eq!((queue.from[1].times, queue.notice_seconds), (0.001, 14_400.0));
    let outage = &pack.faults[0];
    assert_eq!((outage.prior, outage.evidence[0].sure), (1.0, SURE));
    assert_eq!(outage.impact[0].times_usual.as_deref(), Some("queue"));
    assert_eq!((outage.urgency, outage.lead), (Urgency::Ticket, Lead::Hours));
    assert_eq!((outage.lead_seconds, outage.passes_seconds), (Some((3_600.0, 18_000.0)), Some(900.0)));
    assert_eq!(outage.evidence[0].role.as_deref(), Some("mta"));
    assert_eq!((pack.roles[0].name.as_str(), &pack.roles[0].depends[..]), ("mta", &["host".to_owned()][..]));
    let [flush, lock] = &pack.remedies[..] else { panic!("{:?}", pack.remedies) };
    assert_eq!((flush.approval, flush.about.as_str()), (Approval::None, "try again"));
    assert_eq!((lock.approval, lock.role.as_deref()), (Approval::Required, Some("mta")));
    assert_eq!((&lock.verify, &lock.worsens), (&vec!["queue".to_owned()], &vec!["queue".to_owned()]));
    let more = &pack.extends[0];
    assert_eq!((more.fault.as_str(), more.early[0].moves), ("disk_fill", Movement::Down));
}

#[test]
fn what_the_reader_cannot_place_is_told_at_the_start() {
    let problems = Pack::from_yaml("remedies:\n m: x\n!2 remedies:").unwrap_err();
    assert!(problems[0].to_string().starts_with("1:1: "), "{problems:?}");
    assert!(problems[0].what.len() > 10, "{problems:?}");
}

#[test]
fn a_name_that_nothing_bears_is_placed() {
    check("signal: queue, moves", "signal: quue, moves", &["22:26: there is no signal `quue`"]);
    check("remedies: [flush]", "remedies: [flash]", &["24:16: there is no remedy `flash`"]);
    check("limit: 1000", "limit: { signal: max }", &["15:12: there is no signal `max`"]);
    check("limit: 1000", "unless: floor", &["15:13: there is no signal `floor`"]);
    check("limit: 1000", "grows_with: mail", &["15:17: there is no signal `mail`"]);
}

#[test]
fn what_cannot_be_meant_is_placed() {
    check("limit: 1000", "limit: lots", &["15:12: this is no limit"]);
    check("moves: up, role", "moves: up, sure: 1.5, role", &["22:50: `sure` is 1.5"]);
    check("queue{q=\"a\"}", "{q=\"a\"}", &["16:12: `{q=\"a\"}` has no metric name"]);
    check("times: 0.001", "times: 0", &["16:28: `times` is 0"]);
    check("remedies: [flush]", "remedies: [flush]\n    forbidden: [flush]", &["24:16: `flush` is both"]);
}

#[test]
fn roles_remedies_and_extensions_refer_to_what_there_is() {
    check("depends: [host]", "depends: [hots]", &["5:42: there is no role `hots`"]);
    check("depends: [host]", "depends: [mta]", &["5:42: the role `mta` depends on itself"]);
    check("moves: up, role: mta", "moves: up, role: mat", &["22:50: there is no role `mat`"]);
    check("role: mta, verify: [queue]", "role: mta, verify: [quue]", &["8:9: there is no signal `quue`"]);
    check("approval: required, role: mta", "approval: required, role: mat", &["8:9: there is no role `mat`"]);
    check("fault: disk_fill", "fault: outage", &["30:12: no pack in `needs` has a fault `outage`"]);
    check("remedies: [lock]", "remedies: [lok]", &["33:16: there is no remedy `lok`"]);
    check("approval: required", "approval: maybe", &["8:"]);
    check("urgency: ticket", "urgency: soon", &["20:"]);
    let twice =
        "evidence: [{ signal: queue, moves: up }, { signal: queue, moves: up }]\n    remedies: [lock]";
    let once = "evidence: [{ signal: queue, moves: up }]\n    remedies: [lock]";
    check(once, twice, &["32:56: `queue` is a sign twice"]);
}

#[test]
fn a_service_level_is_one_that_there_is() {
    let text = GOOD.replace("users: mail late", "users: mail over {late} late");
    let pack = Pack::from_yaml(&text.replace("reaches: 500", "level: late")).unwrap();
    assert_eq!((pack.levels[0].name.as_str(), pack.levels[0].seconds), ("late", Some(600.0)));
    assert_eq!(pack.faults[0].impact[0].level.as_deref(), Some("late"));
    check("users: mail late", "users: mail over {lat} late", &["19:12: there is no service level `lat`"]);
    check("reaches: 500", "level: lat", &["23:38: there is no service level `lat`"]);
    check("reaches: 500", "reaches: 500, level: late", &["23:52: `reaches` and `level` stand together"]);
    let what = "23:38: a service level is a time, and `queue` is in messages";
    check("reaches: 500, times_usual: queue", "level: late", &[what]);
    check("seconds: 600", "seconds: 0", &["28:42: `seconds` is 0"]);
}

const LAW: &str = r#"
name: small
signals:
  - { name: in, reads: in, unit: messages a second, role: mta, hurts: up, from: [in_total] }
  - { name: out, reads: out, unit: messages a minute, role: mta, hurts: up, from: [{ select: out_total, unit: messages a second, times: 60 }] }
  - { name: told, reads: told, unit: messages a second, role: host, hurts: up, from: [told_total] }
  - { name: queue, reads: queue, unit: messages, role: mta, hurts: up, from: [queue] }
  - { name: lost, reads: lost, unit: messages an hour, role: mta, hurts: up, balance: { comes: [in], goes: [out, told], stays: [queue] } }
"#;

#[test]
fn a_law_is_read_and_its_series_are_made_here() {
    let pack = Pack::from_yaml(LAW).unwrap();
    let lost = pack.signals.last().unwrap();
    let balance = lost.balance.as_ref().unwrap();
    let parts: Vec<(Side, &str)> = balance.parts().collect();
    assert_eq!(
        parts,
        [(Side::Comes, "in"), (Side::Goes, "out"), (Side::Goes, "told"), (Side::Stays, "queue")]
    );
    assert_eq!(lost.from[0].select.name(), "foreshock_lost");
    assert!(lost.is_derived() && !pack.signals[0].is_derived());
    let nothing_stays = LAW.replace(", stays: [queue]", "");
    assert!(Pack::from_yaml(&nothing_stays).is_ok(), "as of a proxy, which holds nothing");
    let bare = "from: [{ select: out_total, unit: messages a second, times: 60 }]";
    let what = "5:84: `out_total` is a counter, which is read as its rate a second, and not in messages a minute; \
                write { select: out_total, unit: messages a second, times: 60 }, or `kind: gauge` where it is none";
    check_in(LAW, bare, "from: [out_total]", &[what]);
    assert!(Pack::from_yaml(&LAW.replace(bare, "from: [{ select: out_total, kind: gauge }]")).is_ok());
}

const SHARE: &str = r#"
name: small
signals:
  - { name: bad, reads: bad, unit: messages a second, role: mta, hurts: up, from: [bad_total] }
  - { name: good, reads: good, unit: messages a minute, role: mta, hurts: up, from: [{ select: good_total, unit: messages a second, times: 60 }] }
  - { name: failing, reads: failing, unit: "%", role: mta, hurts: up, share: { part: [bad], rest: [good] } }
service_levels:
  failing: { about: mail fails, unit: "%" }
faults:
  - name: outage
    users: mail fails
    evidence: [{ signal: bad, moves: up }]
    impact: [{ signal: failing, level: failing }]
"#;

#[test]
fn a_share_is_read_and_so_is_a_level_of_one() {
    let pack = Pack::from_yaml(SHARE).unwrap();
    let failing = pack.signals.last().unwrap();
    assert_eq!(failing.parts(), [(Side::Part, "bad"), (Side::Rest, "good")]);
    assert_eq!(failing.from[0].select.name(), "foreshock_failing");
    assert_eq!((pack.levels[0].seconds, failing.is_derived()), (None, true));
    let check = |from: &str, to: &str, want: &str| check_in(SHARE, from, to, &[want]);
    check("rest: [good]", "rest: []", "6:78: `rest` names no signal; a share needs its part and the rest");
    check("rest: [good]", "rest: [bad]", "6:100: `bad` stands in the share twice");
    let what = "6:83: `failing` is in messages, and a share is in percent";
    let level = "13:40: the service level `failing` is a share, and `failing` is in messages";
    check_in(SHARE, "unit: \"%\", role", "unit: messages, role", &[what, level]);
    check(
        "unit: messages a minute",
        "unit: messages",
        "6:100: `good` is in messages, and a share is of what passes",
    );
    check(
        "unit: messages a minute",
        "unit: mails a minute",
        "6:100: `good` is of mails, and the share of messages",
    );
    let what = "8:12: the service level `failing` has neither `seconds` nor `unit`";
    let level = "13:40: a service level is a time, and `failing` is in %";
    check_in(SHARE, "about: mail fails, unit: \"%\"", "about: mail fails", &[what, level]);
    check("about: mail fails, unit: \"%\"", "about: mail fails, unit: s", "8:39: a service level in s");
    check("users: mail fails", "users: mail of {failing} fails", "11:12: `{failing}` is a share");
    check(
        "signal: failing, level",
        "signal: bad, level",
        "13:36: the service level `failing` is a share, and `bad` is in",
    );
}

#[test]
fn all_problems_come_at_once() {
    let text = GOOD.replace("signal: queue,", "signal: quue,");
    assert_eq!(Pack::from_yaml(&text).unwrap_err().len(), 4);
}

#[test]
fn unknown_keys_and_broken_yaml_are_placed() {
    check("reads: queue", "raeds: queue", &["11:5: "]);
    check("remedies:\n", "remedies: [\n", &[""]);
    assert_eq!(Pack::from_yaml("").unwrap_err().len(), 1);
}
