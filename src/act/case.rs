//! A case: one incident as acting follows it, its events numbered as they are published.

use std::collections::BTreeMap;

use crate::durable::record::{Case, Changes, OutboxRecord, RecordState, Stage, Step};
use crate::incident::event::{Action, Event, EventKind, Incident, SCHEMA_VERSION};
use crate::sample::Timestamp;

/// Whether a remedy is still on its way.
pub(super) fn is_under_way(step: &Step) -> bool {
    matches!(step.stage, Stage::Queued | Stage::Waiting)
}

/// Whether a case has taken this in already. An end is taken even where a lost stretch of time was lived
/// through twice and its number stood for something else the first time.
pub(super) fn is_repeat(case: &Case, event: &Event) -> bool {
    match event.event {
        _ if !case.is_open() => true,
        EventKind::Opened => true,
        EventKind::Resolved => false,
        _ => (event.at, event.seq) <= case.accepted,
    }
}

pub(super) fn new_case(incident: &Incident) -> Case {
    Case {
        incident: incident.clone(),
        severity_max: incident.severity,
        seq_next: 0,
        accepted: (Timestamp::MIN, 0),
        notes: BTreeMap::new(),
        steps: Vec::new(),
    }
}

pub(super) fn new_record(id: String, sink: String, event: &Event) -> OutboxRecord {
    OutboxRecord {
        id,
        sink,
        incident: event.incident.as_ref().map_or_else(String::new, |incident| incident.id.clone()),
        event: event.clone(),
        created_at: event.at,
        attempts: 0,
        due_at: Timestamp::MIN,
        state: RecordState::Pending,
    }
}

/// Numbers an event and gives it out.
pub(super) fn publish(case: &mut Case, mut event: Event, out: &mut Changes) -> Event {
    event.seq = case.seq_next;
    case.seq_next += 1;
    out.events.push(event.clone());
    event
}

/// Publishes an event of an action; what the edges do is never told as earlier than what it answers.
pub(super) fn say(
    case: &mut Case,
    kind: EventKind,
    at: Timestamp,
    action: &Action,
    out: &mut Changes,
) -> Event {
    let event = Event {
        v: SCHEMA_VERSION,
        seq: 0,
        at: at.max(case.accepted.0),
        event: kind,
        incident: Some(case.incident.clone()),
        action: Some(action.clone()),
    };
    publish(case, event, out)
}

/// Lets go of the steps that `ends` picks.
pub(super) fn end_steps(
    case: &mut Case,
    at: Timestamp,
    ends: impl Fn(&Step) -> bool,
    reason: &str,
    out: &mut Changes,
) {
    let mut ended = Vec::new();
    for step in case.steps.iter_mut().filter(|step| ends(step)) {
        step.stage = Stage::Expired;
        step.action.outcome = "expired".into();
        step.action.reason = Some(reason.into());
        ended.push(step.action.clone());
    }
    for action in ended {
        say(case, EventKind::Refused, at, &action, out);
    }
}
