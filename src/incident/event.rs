//! The one schema in which findings leave Foreshock: `replay`'s output, the API, every webhook's `data`.
//!
//! Version 1. One JSON object a line, ordered by (at, incident, seq); times are RFC 3339 UTC with
//! milliseconds in data time, floats in shortest round-trip form.

use serde::{Deserialize, Serialize};

use crate::detect::Kind;
use crate::sample::{Labels, Timestamp};

/// Version of the schema, the `v` of every event.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    #[serde(rename = "incident.opened")]
    Opened,
    #[serde(rename = "incident.updated")]
    Updated,
    #[serde(rename = "incident.resolved")]
    Resolved,
    #[serde(rename = "action.planned")]
    Planned,
    #[serde(rename = "action.sent")]
    Sent,
    #[serde(rename = "action.verified")]
    Verified,
    #[serde(rename = "action.refused")]
    Refused,
    #[serde(rename = "end")]
    End,
}

/// Something that an operator, a sink or a later replay may need to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub v: u32,
    /// Counts the events of one incident from 0.
    pub seq: u32,
    pub at: Timestamp,
    pub event: EventKind,
    /// `None` only for `end`.
    pub incident: Option<Incident>,
    pub action: Option<Action>,
}

/// What the budget allows an incident to do to people: wake someone, ask for daylight work, or only be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Ticket,
    Page,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Open,
    Acknowledged,
    Mitigating,
    Clearing,
    Resolved,
    Recurring,
    Bug,
}

/// Surprises that moved together, and what is thought of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Hash of (site, first mover, opened_at): a replay gives the same.
    pub id: String,
    pub site: String,
    /// The entity of the first mover.
    pub entity: String,
    pub entities: Vec<String>,
    /// Where the named fault is thought to have begun: what a remedy is done to.
    #[serde(default, with = "behind_rows")]
    pub root: Option<String>,
    pub opened_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
    pub severity: Severity,
    pub state: State,
    /// The likeliest hypothesis, where one stands out.
    pub fault: Option<String>,
    pub probability: Option<f64>,
    pub hypotheses: Vec<Hypothesis>,
    /// In the order in which they moved.
    pub movers: Vec<Mover>,
    pub prediction: Option<Prediction>,
    /// Of users who accept some brown-out, where what is foretold uses it up; left out where it does not.
    #[serde(default, with = "behind_rows", skip_serializing_if = "Option::is_none")]
    pub brown_out: Option<BrownOut>,
    pub remedy: Option<String>,
    /// One plain sentence with numbers and units.
    pub summary: String,
}

/// A field for which binary rows have no place: they were written before there was one. It stands behind them, see `Behind`.
mod behind_rows {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { value.serialize(serializer) } else { serializer.serialize_unit() }
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        if deserializer.is_human_readable() {
            return Option::deserialize(deserializer);
        }
        <()>::deserialize(deserializer).map(|()| None)
    }
}

/// What of an incident stands behind its binary row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Behind {
    root: Option<String>,
    brown_out: Option<BrownOut>,
}

impl Behind {
    pub fn of(incident: &Incident) -> Self {
        Behind { root: incident.root.clone(), brown_out: incident.brown_out.clone() }
    }

    pub fn put(self, incident: &mut Incident) {
        (incident.root, incident.brown_out) = (self.root, self.brown_out);
    }
}

/// An incident with what stands behind its row: state is saved so, and goes on as if it had never stopped.
pub(super) mod whole {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Behind, Incident};

    pub fn serialize<S: Serializer>(incident: &Incident, serializer: S) -> Result<S::Ok, S::Error> {
        (incident, Behind::of(incident)).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Incident, D::Error> {
        let (mut incident, behind) = <(Incident, Behind)>::deserialize(deserializer)?;
        behind.put(&mut incident);
        Ok(incident)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hypothesis {
    pub fault: String,
    /// In 0..=1; over all hypotheses of an incident and "none of them" the sum is 1.
    pub probability: f64,
    pub evidence: Vec<Labels>,
}

/// One series that left its usual course.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mover {
    pub series: Labels,
    /// The pack's name for what this series measures.
    pub signal: Option<String>,
    pub at: Timestamp,
    pub value: f64,
    pub unit: Option<String>,
    pub expected: f64,
    pub low: f64,
    pub high: f64,
    /// -log10 of the probability of something at least as odd.
    pub surprise: f64,
    pub detector: Kind,
}

/// When it will hurt, as an 80 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub impact_at: Timestamp,
    pub earliest: Timestamp,
    pub latest: Timestamp,
    /// What users will feel or which limit is reached.
    pub what: String,
}

/// How much of a week some users accept in which what they were promised is not kept, and how much of that is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrownOut {
    /// Who they are: by the name that the configuration gives them, else by the machines that serve them.
    pub name: String,
    pub accepted_seconds: f64,
    /// In the last seven days.
    pub used_seconds: f64,
    /// When the rest is used up if what is foretold comes; `None` where all is used up by now.
    pub used_up_at: Option<Timestamp>,
}

/// Whether actions are only recorded, wait for a person, or are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Observe,
    Approve,
    Auto,
}

/// A remedy on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Hash of (incident, transition, sink): the `webhook-id` of every attempt.
    pub id: String,
    pub remedy: String,
    /// The entity that the remedy acts on.
    pub target: String,
    pub sink: String,
    pub mode: Mode,
    /// `planned`, `delivered`, `cleared`, … : one word.
    pub outcome: String,
    /// Why it was refused or failed, for people.
    pub reason: Option<String>,
}

impl BrownOut {
    /// Nothing is left of what these users accept.
    pub fn is_used_up(&self) -> bool {
        self.used_up_at.is_none()
    }
}

impl Event {
    /// The mark that `replay` puts after the last event.
    pub fn end(at: Timestamp) -> Self {
        Event { v: SCHEMA_VERSION, seq: 0, at, event: EventKind::End, incident: None, action: None }
    }
}
