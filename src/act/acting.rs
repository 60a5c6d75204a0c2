//! Deciding what goes out: which sinks hear of an event, which remedy is planned, approved, refused, verified.
//!
//! Pure: time comes with the events. `serve` puts what it returns on disk before anything leaves
//! (`outbox`); `replay` only prints it. Nothing counts twice: after a crash a source is read again, the
//! engine says the same things, and what a case has already taken in is passed over here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::guard::{History, Policy, Refused, Route};
use super::id::delivery_id;
use super::verify;
use crate::durable::record::{Case, Changes, Charge, Disabled, OutboxRecord, RecordState, Stage, Step};
use crate::durable::store::Loaded;
use crate::incident::event::{Action, Event, EventKind, Incident, Mode, SCHEMA_VERSION, Severity, State};
use crate::sample::Timestamp;

/// An action that nobody approved, or no receiver took, for so long is out of date.
pub const ACTION_MS_MAX: i64 = 4 * 3_600_000;
/// Closed cases are remembered this long, to know repeats: longer than any source is read again.
const CLOSED_MS_MAX: i64 = 24 * 3_600_000;
const CLOSED_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 100;

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

/// Why an approval was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    #[error("no action has this id")]
    Unknown,
    #[error("the action does not wait for approval: it is {outcome}")]
    NotWaiting { outcome: String },
    #[error("the action was planned more than 4 hours ago")]
    Expired,
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// The decisions of acting, and the state they rest on.
#[derive(Clone, Debug)]
pub struct Acting {
    policy: Policy,
    state: ActingState,
    /// Records that the outbox has room for.
    room: usize,
    dropped: u64,
}

impl Acting {
    pub fn new(policy: Policy) -> Self {
        Self::resume(policy, ActingState::default())
    }

    pub fn resume(policy: Policy, state: ActingState) -> Self {
        Acting { policy, state, room: usize::MAX, dropped: 0 }
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
    pub fn set_room(&mut self, records: usize) {
        self.room = records;
    }

    /// Notices that were not recorded because the outbox was full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes in what the engine says, in its order. The events that come back are the ones to publish: those
    /// given and, after each, the actions that it caused, numbered anew.
    pub fn accept(&mut self, events: &[Event]) -> Changes {
        let mut out = Changes::default();
        for event in events {
            match &event.incident {
                Some(incident) => self.accept_one(event, incident, &mut out),
                None => out.events.push(event.clone()),
            }
        }
        out
    }

    fn accept_one(&mut self, event: &Event, incident: &Incident, out: &mut Changes) {
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
            close(&mut case, event.at, out);
        } else {
            self.plan(&mut case, event.at, out);
        }
        self.keep(case, out);
        self.forget(event.at);
    }

    /// Makes a record for each sink that is to hear of `event`.
    fn tell(&mut self, case: &mut Case, event: &Event, out: &mut Changes) {
        let transition = match event.event {
            EventKind::Opened => "opened".to_owned(),
            EventKind::Resolved => "resolved".to_owned(),
            EventKind::Updated => format!("updated@{}/{}", event.at.0, case.accepted.1),
            _ => return,
        };
        let sinks: Vec<String> = self
            .policy
            .sinks
            .iter()
            .filter(|(name, sink)| {
                let told = case.notes.contains_key(*name);
                let ending = event.event == EventKind::Resolved;
                sink.incidents && (told || !ending && case.severity_max >= sink.severity_min)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for sink in sinks {
            if self.state.disabled.contains_key(&sink) {
                continue;
            }
            let id = delivery_id(&case.incident.id, &transition, &sink);
            match self.enqueue(new_record(id, sink.clone(), event), out) {
                Ok(()) => drop(case.notes.entry(sink).or_default()),
                Err(_) => self.dropped += 1,
            }
        }
    }

    /// Plans the remedy that the incident names, once; one that was refused is asked for again at each update.
    fn plan(&mut self, case: &mut Case, at: Timestamp, out: &mut Changes) {
        let Some(remedy) = case.incident.remedy.clone() else { return };
        let route = self.policy.route(&remedy);
        if case.severity_max < route.as_ref().map_or(Severity::Ticket, |route| route.severity_min) {
            return;
        }
        let before = case.steps.iter().position(|step| step.action.remedy == remedy);
        if before.is_some_and(|i| case.steps[i].stage != Stage::Refused) {
            return;
        }
        let sink = route.as_ref().map_or("", |route| route.sink).to_owned();
        let mut action = Action {
            id: delivery_id(&case.incident.id, &format!("remedy:{remedy}"), &sink),
            remedy,
            target: case.incident.entity.clone(),
            sink,
            mode: route.as_ref().map_or(self.policy.mode, |route| route.mode),
            outcome: "planned".into(),
            reason: None,
        };
        let stage = match route.and_then(|route| self.may(at, &action.target, &route)) {
            Ok(()) => match action.mode {
                Mode::Observe => Stage::Observed,
                Mode::Approve => Stage::Waiting,
                Mode::Auto => Stage::Queued,
            },
            Err(refused) => {
                if before.is_some_and(|i| case.steps[i].action.outcome == refused.slug()) {
                    return;
                }
                action.outcome = refused.slug().into();
                action.reason = Some(refused.to_string());
                Stage::Refused
            }
        };
        if stage == Stage::Waiting {
            action.outcome = "waiting".into();
        }
        let kind = if stage == Stage::Refused { EventKind::Refused } else { EventKind::Planned };
        let planned = say(case, kind, at, &action, out);
        match stage {
            Stage::Observed => self.charge(at, &action, out),
            Stage::Queued => {
                self.charge(at, &action, out);
                // cannot fail: `may` has seen that there is room
                let _ = self.enqueue(new_record(action.id.clone(), action.sink.clone(), &planned), out);
            }
            _ => {}
        }
        case.steps.retain(|step| step.action.remedy != action.remedy);
        case.steps.push(Step { action, planned_at: at, stage });
    }

    /// Whether the guard lets an action through now.
    fn may(&self, at: Timestamp, target: &str, route: &Route) -> Result<(), Refused> {
        if self.state.disabled.contains_key(route.sink) {
            return Err(Refused::SinkDisabled { sink: route.sink.into() });
        }
        if self.room == 0 {
            return Err(Refused::OutboxFull);
        }
        self.state.history.check(at, target, route.cooldown, self.policy.actions_per_hour_max)
    }

    /// A person lets a waiting action go; cool-down and limit hold for people too.
    ///
    /// # Errors
    /// There is no such action, it does not wait any more, or the guard refuses: then it goes on waiting.
    pub fn approve(&mut self, at: Timestamp, action: &str, by: &str) -> Result<Changes, ApproveError> {
        let is_it = |step: &Step| step.action.id == action;
        let case = self.state.cases.values().find(|case| case.steps.iter().any(is_it));
        let mut case = case.cloned().ok_or(ApproveError::Unknown)?;
        let step = case.steps.iter_mut().find(|step| is_it(step)).ok_or(ApproveError::Unknown)?;
        if step.stage != Stage::Waiting {
            return Err(ApproveError::NotWaiting { outcome: step.action.outcome.clone() });
        }
        if at.since(step.planned_at) > ACTION_MS_MAX {
            return Err(ApproveError::Expired);
        }
        let mut route = self.policy.route(&step.action.remedy)?;
        route.sink = &step.action.sink;
        self.may(at, &step.action.target, &route)?;
        let by: String = by.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        step.stage = Stage::Queued;
        step.action.outcome = "approved".into();
        step.action.reason = Some(format!("approved by {by}"));
        let action = step.action.clone();
        let mut out = Changes::default();
        let approved = say(&mut case, EventKind::Planned, at, &action, &mut out);
        self.charge(at, &action, &mut out);
        self.enqueue(new_record(action.id, action.sink, &approved), &mut out)?;
        self.keep(case, &mut out);
        Ok(out)
    }

    /// Lets go of actions that have waited too long for approval.
    pub fn expire(&mut self, now: Timestamp) -> Changes {
        let is_late =
            |step: &Step| step.stage == Stage::Waiting && now.since(step.planned_at) > ACTION_MS_MAX;
        let late: Vec<Case> =
            self.state.cases.values().filter(|case| case.steps.iter().any(is_late)).cloned().collect();
        let mut out = Changes::default();
        for mut case in late {
            end_steps(&mut case, now, is_late, "nobody approved it within 4 hours", &mut out);
            self.keep(case, &mut out);
        }
        out
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
        self.keep(case, &mut out);
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
    /// from samples that a crash took with it. Called once, when recovery is over.
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
            self.accept_one(&Event { incident: Some(incident.clone()), ..event }, &incident, &mut out);
        }
        out
    }

    fn charge(&mut self, at: Timestamp, action: &Action, out: &mut Changes) {
        let charge = Charge { action: action.id.clone(), target: action.target.clone(), at };
        self.state.history.charge(charge.clone());
        out.charges.push(charge);
    }

    fn enqueue(&mut self, record: OutboxRecord, out: &mut Changes) -> Result<(), Refused> {
        self.room = self.room.checked_sub(1).ok_or(Refused::OutboxFull)?;
        out.records.push(record);
        Ok(())
    }

    fn keep(&mut self, case: Case, out: &mut Changes) {
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

fn is_under_way(step: &Step) -> bool {
    matches!(step.stage, Stage::Queued | Stage::Waiting)
}

/// Whether a case has taken this in already. An end is taken even where a lost stretch of time was lived
/// through twice and its number stood for something else the first time.
fn is_repeat(case: &Case, event: &Event) -> bool {
    match event.event {
        _ if !case.is_open() => true,
        EventKind::Opened => true,
        EventKind::Resolved => false,
        _ => (event.at, event.seq) <= case.accepted,
    }
}

fn new_case(incident: &Incident) -> Case {
    Case {
        incident: incident.clone(),
        severity_max: incident.severity,
        seq_next: 0,
        accepted: (Timestamp::MIN, 0),
        notes: BTreeMap::new(),
        steps: Vec::new(),
    }
}

fn new_record(id: String, sink: String, event: &Event) -> OutboxRecord {
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
fn publish(case: &mut Case, mut event: Event, out: &mut Changes) -> Event {
    event.seq = case.seq_next;
    case.seq_next += 1;
    out.events.push(event.clone());
    event
}

/// Publishes an event of an action.
fn say(case: &mut Case, kind: EventKind, at: Timestamp, action: &Action, out: &mut Changes) -> Event {
    let event = Event {
        v: SCHEMA_VERSION,
        seq: 0,
        at,
        event: kind,
        incident: Some(case.incident.clone()),
        action: Some(action.clone()),
    };
    publish(case, event, out)
}

/// The incident is over: what was delivered has helped, what still waits for a person is not needed.
fn close(case: &mut Case, at: Timestamp, out: &mut Changes) {
    for action in verify::verify(&mut case.steps) {
        say(case, EventKind::Verified, at, &action, out);
    }
    let waits = |step: &Step| step.stage == Stage::Waiting;
    end_steps(case, at, waits, "the incident ended before anyone approved it", out);
}

fn end_steps(case: &mut Case, at: Timestamp, ends: impl Fn(&Step) -> bool, reason: &str, out: &mut Changes) {
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
