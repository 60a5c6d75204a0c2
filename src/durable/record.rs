//! What the store keeps: cases, outbox records, charges. Plain values; who may write which is said here.
//!
//! Rows are postcard, which knows no field names: a change of these types or of `incident::event` is a new
//! `store::VERSION`, and a test there fails until it is. What they have no place for may stand behind them, see `Row`.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::incident::event::{Action, Event, Incident, Severity};
use crate::sample::Timestamp;

/// What is kept in rows. What an incident has that rows have no place for stands behind them: where rows that were written
/// before there was any of it end, and where versions that know of none do not look.
pub(super) trait Row: Serialize + DeserializeOwned {
    /// The incident that it tells of.
    fn incident(&self) -> Option<&Incident> {
        None
    }

    fn incident_mut(&mut self) -> Option<&mut Incident> {
        None
    }
}

impl Row for Event {
    fn incident(&self) -> Option<&Incident> {
        self.incident.as_ref()
    }

    fn incident_mut(&mut self) -> Option<&mut Incident> {
        self.incident.as_mut()
    }
}

impl Row for OutboxRecord {
    fn incident(&self) -> Option<&Incident> {
        self.event.incident()
    }

    fn incident_mut(&mut self) -> Option<&mut Incident> {
        self.event.incident_mut()
    }
}

impl Row for Case {
    fn incident(&self) -> Option<&Incident> {
        Some(&self.incident)
    }

    fn incident_mut(&mut self) -> Option<&mut Incident> {
        Some(&mut self.incident)
    }
}

impl Row for Charge {}

impl Row for Disabled {}

/// Something to be delivered to one sink. It exists once it is on disk; from then on it is delivered,
/// or its failure is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxRecord {
    /// Hash of (incident, transition, sink): the same for every attempt, before and after a crash.
    pub id: String,
    pub sink: String,
    pub incident: String,
    /// What the sink is told. Requests are made from it at each attempt, so no secret comes to rest here.
    pub event: Event,
    pub created_at: Timestamp,
    /// Begun, not finished: counted before the request leaves, so after a crash it says that one may have arrived.
    pub attempts: u32,
    pub due_at: Timestamp,
    pub state: RecordState,
}

/// Where a record is on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RecordState {
    Pending,
    /// Arrived, and repeated until a later record of the same incident and sink takes its place.
    Standing,
    /// Arrived. Kept as a tombstone, so that a replay cannot make the record anew.
    Delivered {
        at: Timestamp,
    },
    /// Will not arrive; kept likewise.
    Failed {
        at: Timestamp,
        reason: String,
    },
    /// A later record of the same incident says more; this one was not needed.
    Superseded {
        at: Timestamp,
    },
}

impl RecordState {
    /// When it came to its end; `None` while there is something to do.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self {
            RecordState::Pending | RecordState::Standing => None,
            RecordState::Delivered { at }
            | RecordState::Failed { at, .. }
            | RecordState::Superseded { at } => Some(*at),
        }
    }
}

/// What acting knows of one incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// As the last event showed it.
    pub incident: Incident,
    /// The worst it has been.
    pub severity_max: Severity,
    /// Number of the next event that is published.
    pub seq_next: u32,
    /// Time and engine number of the last event taken in; nothing up to here counts again.
    pub accepted: (Timestamp, u32),
    /// Sinks that were told of it, each with what it needs remembered (Grafana's annotation id).
    pub notes: BTreeMap<String, Option<String>>,
    pub steps: Vec<Step>,
}

impl Case {
    pub fn is_open(&self) -> bool {
        self.incident.resolved_at.is_none()
    }
}

/// One remedy of a case, and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub action: Action,
    pub planned_at: Timestamp,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Mode `observe`: written down, and that is all.
    Observed,
    /// Mode `approve`: a person has not yet said yes.
    Waiting,
    /// In the outbox.
    Queued,
    /// The sink took it.
    Delivered,
    /// The incident ended after the sink took it.
    Verified,
    /// The guard said no; a later update may ask again.
    Refused,
    Failed,
    Expired,
}

/// That an action was let through: what cool-down and the limit an hour are counted from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub action: String,
    pub target: String,
    pub at: Timestamp,
}

/// A sink whose receiver wants nothing more (410).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    pub at: Timestamp,
    /// Hash of the URL that said so: another URL is another endpoint.
    pub url: String,
}

/// What changes together: all of it is on disk, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Events to publish, in order, as numbered for the outside.
    pub events: Vec<Event>,
    /// New records; one whose id is known already is left as it is.
    pub records: Vec<OutboxRecord>,
    /// Records whose state moved on; they replace what is there.
    pub moved: Vec<OutboxRecord>,
    pub cases: BTreeMap<String, Case>,
    pub charges: Vec<Charge>,
    pub disabled: BTreeMap<String, Disabled>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }

    /// Adds what was decided next.
    pub fn join(&mut self, next: Changes) {
        self.events.extend(next.events);
        self.records.extend(next.records);
        self.moved.extend(next.moved);
        self.cases.extend(next.cases);
        self.charges.extend(next.charges);
        self.disabled.extend(next.disabled);
    }
}
