//! Deciding what goes out: which sinks hear of an event, which remedy is planned, approved, refused, verified.
//!
//! Pure: time comes with the events. `serve` puts what it returns on disk before anything leaves
//! (`outbox`); `replay` only prints it. Nothing counts twice: after a crash a source is read again, the
//! engine says the same things, and what a case has already taken in is passed over here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::case::{end_steps, is_repeat, is_under_way, new_case, publish, say};
use super::guard::{History, Policy};
use super::room::{Part, Room};
use super::verify::verify;
use crate::durable::record::{Case, Changes, Disabled, OutboxRecord, Stage, Step};
use crate::durable::store::Loaded;
use crate::incident::event::{Event, EventKind, Incident, SCHEMA_VERSION, State};
use crate::sample::Timestamp;

/// An action that nobody approved, or no receiver took, for so long is out of date.
pub const ACTION_MS_MAX: i64 = 4 * 3_600_000;
/// Closed cases are remembered this long, to know repeats: longer than any source is read again.
const CLOSED_MS_MAX: i64 = 24 * 3_600_000;
const CLOSED_MAX: usize = 1_000;

/// What outlives a restart: the store keeps it in rows, the snapshot of a replay as one value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActingState {
    pub cases: BTreeMap<String, Case>,
    pub history: History,
    pub disabled: BTreeMap<String, Disabled>,
}

/// How a delivery went, as far as its case is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered { note: Option<String> },
    Noted { note: String },
    Failed { reason: String },
    Expired { reason: String },
}

/// The decisions of acting, and the state they rest on.
#[derive(Clone, Debug)]
pub struct Acting {
    pub(super) policy: Policy,
    pub(super) state: ActingState,
    pub(super) room: Room,
    /// Records not made for want of room, since the last `take_dropped`.
    pub(super) dropped: BTreeMap<Part, u64>,
}

impl Acting {
    pub fn new(policy: Policy) -> Self {
        Self::resume(policy, ActingState::default())
    }

    pub fn resume(policy: Policy, state: ActingState) -> Self {
        Acting { policy, state, room: Room::without_bound(), dropped: BTreeMap::new() }
    }

    /// The state as the store gives it back: open cases, and the newest of the closed ones.
    pub fn of_store(policy: Policy, loaded: Loaded) -> Self {
        let (mut cases, mut closed): (Vec<Case>, Vec<Case>) =
            loaded.cases.into_iter().partition(|case| case.is_open() || case.steps.iter().any(is_under_way));
        closed.sort_by_key(|case| Reverse(case.incident.resolved_at));
        cases.extend(closed.into_iter().take(CLOSED_MAX));
        let state = ActingState {
            cases: cases.into_iter().map(|case| (case.incident.id.clone(), case)).collect(),
            history: History::new(loaded.charges),
            disabled: loaded.disabled.into_iter().collect(),
        };
        Self::resume(policy, state)
    }

    pub fn state(&self) -> &ActingState {
        &self.state
    }

    /// Tells how many more records may be made; without it there is no bound.
    pub fn set_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Records that were not made because their part of the outbox was full, since the last call.
    pub fn take_dropped(&mut self) -> BTreeMap<Part, u64> {
        std::mem::take(&mut self.dropped)
    }

    /// Takes in what the engine says, in its order. The events that come back are the ones to publish: those
    /// given and, after each, the actions that it caused, numbered anew.
    pub fn accept(&mut self, events: &[Event]) -> Changes {
        let mut out = Changes::default();
        for event in events {
            match &event.incident {
                Some(incident) => self.accept_one(event, incident, true, &mut out),
                None => out.events.push(event.clone()),
            }
        }
        out
    }

    /// `seen` is false for an end that nobody saw, which proves no remedy.
    fn accept_one(&mut self, event: &Event, incident: &Incident, seen: bool, out: &mut Changes) {
        if self.state.cases.get(&incident.id).is_some_and(|case| is_repeat(case, event)) {
            return;
        }
        let mut case = self.state.cases.remove(&incident.id).unwrap_or_else(|| new_case(incident));
        case.incident = incident.clone();
        case.severity_max = case.severity_max.max(incident.severity);
        case.accepted = (event.at, event.seq);
        let event = publish(&mut case, event.clone(), out);
        self.tell(&mut case, &event, out);
        if event.event == EventKind::Resolved {
            if seen {
                verify(&mut case, event.at, out);
            }
            let waits = |step: &Step| step.stage == Stage::Waiting;
            end_steps(&mut case, event.at, waits, "the incident ended before anyone approved it", out);
        } else {
            self.plan(&mut case, event.at, out);
        }
        self.keep(case, out);
        self.forget(event.at);
    }

    /// Why a record should not be sent any more; `None` where it should.
    pub fn unwanted(&self, record: &OutboxRecord, now: Timestamp) -> Option<&'static str> {
        record.event.action.as_ref()?;
        if self.state.cases.get(&record.incident).is_some_and(|case| !case.is_open()) {
            return Some("the incident ended before the receiver took it");
        }
        (now.since(record.created_at) > ACTION_MS_MAX).then_some("no receiver took it within 4 hours")
    }

    /// Notes how a delivery went.
    pub fn settle(&mut self, at: Timestamp, record: &OutboxRecord, outcome: &Outcome) -> Changes {
        let mut out = Changes::default();
        let Some(mut case) = self.state.cases.get(&record.incident).cloned() else { return out };
        if let Outcome::Delivered { note: Some(note) } | Outcome::Noted { note } = outcome {
            case.notes.insert(record.sink.clone(), Some(note.clone()));
        }
        let id = record.event.action.as_ref().map(|action| &action.id);
        let step =
            case.steps.iter_mut().find(|step| Some(&step.action.id) == id && step.stage == Stage::Queued);
        if let Some(step) = step {
            let (stage, kind, word, reason) = match outcome {
                Outcome::Delivered { .. } => (Stage::Delivered, EventKind::Sent, "delivered", None),
                Outcome::Failed { reason } => (Stage::Failed, EventKind::Refused, "failed", Some(reason)),
                Outcome::Expired { reason } => (Stage::Expired, EventKind::Refused, "expired", Some(reason)),
                Outcome::Noted { .. } => (Stage::Queued, EventKind::Planned, "planned", None),
            };
            if stage != Stage::Queued {
                step.stage = stage;
                step.action.outcome = word.into();
                step.action.reason = reason.cloned();
                let action = step.action.clone();
                say(&mut case, kind, at, &action, &mut out);
            }
        }
        if self.state.cases.get(&record.incident) != Some(&case) {
            self.keep(case, &mut out);
        }
        out
    }

    /// Turns a sink off, because its receiver said so.
    pub fn disable(&mut self, sink: &str, disabled: Disabled) -> Changes {
        self.state.disabled.insert(sink.into(), disabled.clone());
        Changes { disabled: BTreeMap::from([(sink.into(), disabled)]), ..Changes::default() }
    }

    /// Turns a sink on again.
    pub fn enable(&mut self, sink: &str) {
        self.state.disabled.remove(sink);
    }

    /// Closes what is open here and unknown to the engine: incidents that it found after its last snapshot,
    /// from samples that a crash took with it. Called once, when the engine has come to where it was before.
    pub fn reconcile(&mut self, at: Timestamp, open: &BTreeSet<String>) -> Changes {
        let is_lost = |case: &&Case| case.is_open() && !open.contains(&case.incident.id);
        let lost: Vec<Case> = self.state.cases.values().filter(is_lost).cloned().collect();
        let mut out = Changes::default();
        for case in lost {
            let at = at.max(case.accepted.0);
            let mut incident = case.incident;
            incident.resolved_at = Some(at);
            incident.state = State::Resolved;
            incident.summary = format!("Closed by a restart, its samples were lost: {}", incident.summary);
            let seq = case.accepted.1.saturating_add(1);
            let event = Event {
                v: SCHEMA_VERSION,
                seq,
                at,
                event: EventKind::Resolved,
                incident: None,
                action: None,
            };
            self.accept_one(&Event { incident: Some(incident.clone()), ..event }, &incident, false, &mut out);
        }
        out
    }

    pub(super) fn keep(&mut self, case: Case, out: &mut Changes) {
        out.cases.insert(case.incident.id.clone(), case.clone());
        self.state.cases.insert(case.incident.id.clone(), case);
    }

    /// Drops closed cases that are old or too many; one with an action under way stays.
    fn forget(&mut self, now: Timestamp) {
        let closed = self.state.cases.iter().filter(|(_, case)| !case.steps.iter().any(is_under_way));
        let mut closed: Vec<(Timestamp, String)> =
            closed.filter_map(|(id, case)| Some((case.incident.resolved_at?, id.clone()))).collect();
        closed.sort_unstable();
        let over = closed.len().saturating_sub(CLOSED_MAX);
        for (i, (at, id)) in closed.into_iter().enumerate() {
            if i < over || now.since(at) > CLOSED_MS_MAX {
                self.state.cases.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
