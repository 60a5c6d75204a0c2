//! Claims about deciding, made with plain values.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::approve::ApproveError;
use super::super::fixture::{event, incident, minute, opened, policy, resolved, updated};
use super::super::guard::Refused;
use super::super::id::delivery_id;
use super::*;
use crate::incident::event::{Mode, Severity};

/// Events as `kind:outcome`, and records as `sink<kind`, which is what most tests are about.
fn shown(changes: &Changes) -> (Vec<String>, Vec<String>) {
    let word = |event: &Event| serde_json::to_value(event.event).unwrap().as_str().unwrap().to_owned();
    let events = changes.events.iter().map(|event| match &event.action {
        Some(action) => format!("{}:{}", word(event), action.outcome),
        None => word(event),
    });
    let records = changes.records.iter().map(|record| format!("{}<{}", record.sink, word(&record.event)));
    (events.collect(), records.collect())
}

#[track_caller]
fn check(changes: &Changes, events: &[&str], records: &[&str]) {
    let (got_events, got_records) = shown(changes);
    assert_eq!((got_events, got_records), (strings(events), strings(records)));
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

/// The action that `changes` brings forth.
fn action_of(changes: &Changes) -> crate::incident::event::Action {
    changes.events.iter().find_map(|event| event.action.clone()).unwrap()
}

fn deliver(acting: &mut Acting, changes: &Changes, at: i64) -> Changes {
    let record = changes.records.iter().find(|record| record.event.action.is_some()).unwrap();
    acting.settle(minute(at), record, &Outcome::Delivered { note: None })
}

#[test]
fn in_mode_auto_an_incident_is_told_and_its_remedy_sent() {
    let mut acting = Acting::new(policy(Mode::Auto));
    let changes = acting.accept(&[opened("a", 0)]);
    check(
        &changes,
        &["incident.opened", "action.planned:planned"],
        &["alerts<incident.opened", "pager<incident.opened", "healer<action.planned"],
    );
    let remedy = &changes.records[2];
    assert_eq!(remedy.id, delivery_id("a", "remedy:restart_clamd_then_amavis", "healer"));
    assert_eq!(remedy.event.action.as_ref().unwrap().id, remedy.id);
    assert_eq!(changes.charges.len(), 1);
}

#[test]
fn in_mode_observe_a_remedy_is_written_down_and_nothing_more() {
    let mut acting = Acting::new(policy(Mode::Observe));
    let changes = acting.accept(&[opened("a", 0)]);
    check(
        &changes,
        &["incident.opened", "action.planned:planned"],
        &["alerts<incident.opened", "pager<incident.opened"],
    );
    // The dry run keeps the guard's rules, or it would promise more than `auto` does.
    let second = acting.accept(&[opened("b", 5)]);
    assert_eq!(shown(&second).0, ["incident.opened", "action.refused:cooldown"]);
}

#[test]
fn what_was_taken_in_is_passed_over_when_it_comes_again() {
    let stream = [opened("a", 0), updated("a", 2, 1), updated("a", 4, 2), resolved("a", 9, 3)];
    for known in 0..=stream.len() {
        let mut acting = Acting::new(policy(Mode::Auto));
        let first = acting.accept(&stream[..known]);
        let again = acting.accept(&stream);
        let mut both = first.events;
        both.extend(again.events);
        assert_eq!(both, Acting::new(policy(Mode::Auto)).accept(&stream).events, "cut at {known}");
    }
}

#[test]
fn an_end_counts_although_a_crash_lost_the_time_before_it() {
    let mut acting = Acting::new(policy(Mode::Auto));
    acting.accept(&[opened("a", 0), updated("a", 2, 1), updated("a", 4, 2)]);
    // The engine restarts from a snapshot of minute 1, where its next number was 1.
    check(
        &acting.accept(&[resolved("a", 9, 1)]),
        &["incident.resolved"],
        &["alerts<incident.resolved", "pager<incident.resolved"],
    );
    assert!(acting.accept(&[updated("a", 10, 2), opened("a", 0)]).is_empty(), "what has ended has ended");
}

#[test]
fn a_remedy_waits_for_approval_and_goes_out_once() {
    let mut acting = Acting::new(policy(Mode::Approve));
    let planned = acting.accept(&[opened("a", 0)]);
    assert_eq!(shown(&planned).0, ["incident.opened", "action.planned:waiting"]);
    assert!(planned.records.iter().all(|record| record.event.action.is_none()));
    let id = action_of(&planned).id;
    let approved = acting.approve(minute(3), &id, "anna\n\u{7}").unwrap();
    check(&approved, &["action.planned:approved"], &["healer<action.planned"]);
    assert_eq!(approved.records[0].id, id);
    assert_eq!(action_of(&approved).reason.as_deref(), Some("approved by anna"));
    let again = acting.approve(minute(4), &id, "ben").unwrap_err();
    assert_eq!(again, ApproveError::NotWaiting { outcome: "approved".into() });
    assert_eq!(acting.approve(minute(4), "nonsense", "ben"), Err(ApproveError::Unknown));
}

#[test]
fn an_approval_that_comes_too_late_is_none() {
    let mut acting = Acting::new(policy(Mode::Approve));
    let id = action_of(&acting.accept(&[opened("a", 0)])).id;
    assert!(acting.expire(minute(240)).is_empty());
    assert_eq!(acting.approve(minute(241), &id, "anna"), Err(ApproveError::Expired));
    check(&acting.expire(minute(241)), &["action.refused:expired"], &[]);
    assert!(acting.expire(minute(242)).is_empty(), "once");
}

#[test]
fn an_incident_that_ends_takes_its_waiting_remedy_with_it() {
    let mut acting = Acting::new(policy(Mode::Approve));
    let id = action_of(&acting.accept(&[opened("a", 0)])).id;
    let ended = acting.accept(&[resolved("a", 9, 1)]);
    assert_eq!(shown(&ended).0, ["incident.resolved", "action.refused:expired"]);
    let error = acting.approve(minute(10), &id, "anna").unwrap_err();
    assert_eq!(error, ApproveError::NotWaiting { outcome: "expired".into() });
}

#[test]
fn the_guard_holds_for_people_too_and_the_action_goes_on_waiting() {
    let mut acting = Acting::new(policy(Mode::Approve));
    let first = action_of(&acting.accept(&[opened("a", 0)])).id;
    let second = action_of(&acting.accept(&[opened("b", 1)])).id;
    acting.approve(minute(2), &first, "anna").unwrap();
    let hot = Refused::Cooldown { target: "mx1".into(), until: minute(32) };
    assert_eq!(acting.approve(minute(3), &second, "anna"), Err(ApproveError::Refused(hot)));
    acting.approve(minute(32), &second, "anna").unwrap();
}

#[test]
fn a_refusal_is_told_once_and_asked_again_until_it_falls() {
    let mut acting = Acting::new(policy(Mode::Auto));
    acting.accept(&[opened("a", 0)]);
    let refused = acting.accept(&[opened("b", 1)]);
    assert_eq!(shown(&refused).0, ["incident.opened", "action.refused:cooldown"]);
    assert!(action_of(&refused).reason.unwrap().starts_with("mx1 was acted on"));
    assert_eq!(shown(&acting.accept(&[updated("b", 2, 1)])).0, ["incident.updated"]);
    let let_go = acting.accept(&[updated("b", 30, 2)]);
    assert_eq!(shown(&let_go).0, ["incident.updated", "action.planned:planned"]);
}

#[test]
fn a_remedy_without_a_route_is_refused_with_the_mend() {
    let mut acting = Acting::new(Policy { routes: Vec::new(), ..policy(Mode::Auto) });
    let refused = acting.accept(&[opened("a", 0)]);
    assert_eq!(shown(&refused).0, ["incident.opened", "action.refused:no_route"]);
    let reason = action_of(&refused).reason.unwrap();
    assert_eq!(reason, "no sink performs restart_clamd_then_amavis: add a route under `remedies`");
}

#[test]
fn a_remedy_that_was_delivered_is_verified_by_the_end_of_its_incident() {
    let mut acting = Acting::new(policy(Mode::Auto));
    let planned = acting.accept(&[opened("a", 0)]);
    check(&deliver(&mut acting, &planned, 1), &["action.sent:delivered"], &[]);
    let ended = acting.accept(&[resolved("a", 9, 1)]);
    assert_eq!(shown(&ended).0, ["incident.resolved", "action.verified:cleared"]);
}

#[test]
fn a_remedy_that_was_not_delivered_has_not_helped() {
    let mut acting = Acting::new(policy(Mode::Auto));
    let planned = acting.accept(&[opened("a", 0)]);
    let remedy = planned.records[2].clone();
    assert_eq!(acting.unwanted(&remedy, minute(1)), None);
    let ended = acting.accept(&[resolved("a", 9, 1)]);
    assert_eq!(shown(&ended).0, ["incident.resolved"]);
    assert!(acting.unwanted(&remedy, minute(10)).is_some(), "a healed system is not healed");
    assert_eq!(acting.unwanted(&planned.records[0], minute(10)), None, "people still hear of it");
}

#[test]
fn an_old_remedy_is_not_sent() {
    let mut acting = Acting::new(policy(Mode::Auto));
    let remedy = acting.accept(&[opened("a", 0)]).records[2].clone();
    assert_eq!(acting.unwanted(&remedy, minute(240)), None);
    assert!(acting.unwanted(&remedy, minute(241)).is_some());
}

#[test]
fn a_sink_hears_from_its_severity_on_and_of_the_end_only_if_it_heard_before() {
    let with = |kind, at, seq, severity| event(kind, at, seq, Incident { severity, ..incident("a") });
    let mut acting = Acting::new(policy(Mode::Auto));
    let info = acting.accept(&[with(EventKind::Opened, 0, 0, Severity::Info)]);
    check(&info, &["incident.opened"], &["alerts<incident.opened"]);
    let mut early = acting.clone();
    let ended = early.accept(&[resolved("a", 1, 1)]);
    assert_eq!(shown(&ended).1, ["alerts<incident.resolved"]);
    let worse = acting.accept(&[with(EventKind::Updated, 2, 1, Severity::Page)]);
    let heard = ["alerts<incident.updated", "pager<incident.updated", "healer<action.planned"];
    assert_eq!(shown(&worse).1, heard);
}

#[test]
fn a_full_sink_loses_its_own_notices_and_nothing_else() {
    let (pager, healer) = (Part::new("pager", false), Part::new("healer", true));
    let mut acting = Acting::new(policy(Mode::Auto));
    acting.set_room(Room::new(3, BTreeMap::from([(pager.clone(), 3), (Part::new("healer", false), 9)])));
    check(
        &acting.accept(&[opened("a", 0)]),
        &["incident.opened", "action.planned:planned"],
        &["alerts<incident.opened", "healer<action.planned"],
    );
    assert_eq!(acting.take_dropped(), BTreeMap::from([(pager, 1)]));
    let mut acting = Acting::new(policy(Mode::Auto));
    acting.set_room(Room::new(3, BTreeMap::from([(healer.clone(), 3)])));
    let refused = acting.accept(&[opened("a", 0)]);
    assert_eq!(shown(&refused).0, ["incident.opened", "action.refused:outbox_full"]);
    assert_eq!(acting.take_dropped(), BTreeMap::from([(healer, 1)]));
}

#[test]
fn incidents_that_the_engine_lost_are_closed_and_said_so() {
    let mut acting = Acting::new(policy(Mode::Observe));
    acting.accept(&[opened("a", 0), opened("b", 1)]);
    let changes = acting.reconcile(minute(5), &BTreeSet::from(["b".to_owned()]));
    check(&changes, &["incident.resolved"], &["alerts<incident.resolved", "pager<incident.resolved"]);
    let closed = changes.events[0].incident.as_ref().unwrap();
    assert_eq!((closed.id.as_str(), closed.resolved_at), ("a", Some(minute(5))));
    assert!(closed.summary.starts_with("Closed by a restart"));
}

#[test]
fn an_end_that_nobody_saw_verifies_nothing() {
    let mut acting = Acting::new(policy(Mode::Auto));
    let planned = acting.accept(&[opened("a", 0)]);
    deliver(&mut acting, &planned, 1);
    assert_eq!(shown(&acting.reconcile(minute(5), &BTreeSet::new())).0, ["incident.resolved"]);
}

#[test]
fn a_sink_that_was_turned_off_hears_nothing_more() {
    let mut acting = Acting::new(policy(Mode::Auto));
    for sink in ["healer", "pager"] {
        acting.disable(sink, Disabled { at: minute(0), url: String::new() });
    }
    check(
        &acting.accept(&[opened("a", 0)]),
        &["incident.opened", "action.refused:sink_disabled"],
        &["alerts<incident.opened"],
    );
}

#[test]
fn closed_cases_are_forgotten_after_a_day_and_in_number() {
    let mut acting = Acting::new(policy(Mode::Observe));
    for i in 0..CLOSED_MAX as i64 + 5 {
        acting.accept(&[opened(&format!("{i:05}"), 0), resolved(&format!("{i:05}"), 1, 1)]);
    }
    assert_eq!(acting.state().cases.len(), CLOSED_MAX);
    acting.accept(&[opened("late", 2 + 24 * 60)]);
    assert_eq!(acting.state().cases.len(), 1);
}

proptest! {
    /// However the stream is cut into batches, and wherever the state goes through a snapshot or the stream is
    /// read again from an earlier place, the same events come out, numbered without a gap.
    #[test]
    fn batches_restarts_and_repeats_change_nothing(
        kinds in prop::collection::vec((0..3usize, 0..4u32), 1..25),
        cuts in prop::collection::vec((0..25usize, 0..25usize), 0..6),
        mode in prop::sample::select(vec![Mode::Observe, Mode::Approve, Mode::Auto]),
    ) {
        let mut seqs = [0u32; 3];
        let stream: Vec<Event> = kinds.iter().enumerate().map(|(i, &(which, kind))| {
            let (id, at, seq) = (["a", "b", "c"][which], i as i64 * 11, seqs[which]);
            seqs[which] += 1;
            match (seq, kind) {
                (0, _) => opened(id, at),
                (_, 0) => resolved(id, at, seq),
                _ => updated(id, at, seq),
            }
        }).collect();
        let whole = Acting::new(policy(mode)).accept(&stream);

        let mut acting = Acting::new(policy(mode));
        let mut events = Vec::new();
        for (from, to) in cuts.into_iter().chain([(0, stream.len())]) {
            let to = to.min(stream.len());
            events.extend(acting.accept(&stream[from.min(to).min(taken(&acting, &stream))..to]).events);
            let bytes = postcard::to_stdvec(acting.state()).unwrap();
            acting = Acting::resume(policy(mode), postcard::from_bytes(&bytes).unwrap());
        }
        prop_assert_eq!(&events, &whole.events);
        for id in ["a", "b", "c"] {
            let of_it = |event: &&Event| event.incident.as_ref().is_some_and(|i| i.id == id);
            let numbers: Vec<u32> = events.iter().filter(of_it).map(|event| event.seq).collect();
            prop_assert_eq!(&numbers, &(0..numbers.len() as u32).collect::<Vec<_>>());
        }
    }
}

/// How many events of `stream` have been taken in: a source is read again from there or before, never after.
fn taken(acting: &Acting, stream: &[Event]) -> usize {
    let latest = acting.state().cases.values().map(|case| case.accepted.0).max();
    stream.iter().filter(|event| Some(event.at) <= latest).count()
}
