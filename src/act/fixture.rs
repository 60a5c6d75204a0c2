//! Incidents, events and policies for the tests of acting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Letter;
use super::guard::{Policy, SinkPolicy};
use crate::config::RemedyRoute;
use crate::detect::Kind;
use crate::incident::event::{
    Event, EventKind, Incident, Mode, Mover, Prediction, SCHEMA_VERSION, Severity, State,
};
use crate::sample::{Labels, Timestamp};

/// 2023-11-14T22:00:00Z and so many minutes.
pub fn minute(n: i64) -> Timestamp {
    Timestamp(1_699_999_200_000 + n * 60_000)
}

/// A page on `mx1` that asks for clamd to be restarted, opened at minute 0.
pub fn incident(id: &str) -> Incident {
    Incident {
        id: id.into(),
        site: "berlin".into(),
        entity: "mx1".into(),
        entities: vec!["mx1".into()],
        opened_at: minute(0),
        resolved_at: None,
        root: None,
        severity: Severity::Page,
        state: State::Open,
        fault: Some("clamd_stuck".into()),
        probability: Some(0.9),
        hypotheses: Vec::new(),
        movers: vec![Mover {
            series: Labels::new(&[("__name__", "postfix_queue_stat"), ("queue", "deferred")]),
            signal: Some("mta.queue.deferred".into()),
            at: minute(0),
            value: 812.0,
            unit: Some("messages".into()),
            expected: 40.0,
            low: 22.0,
            high: 71.5,
            surprise: 9.25,
            detector: Kind::Derivative,
        }],
        prediction: Some(Prediction {
            impact_at: minute(20),
            earliest: minute(12),
            latest: minute(31),
            what: "delivery over 15 min late".into(),
        }),
        brown_out: None,
        remedy: Some("restart_clamd_then_amavis".into()),
        summary: "The deferred queue of mx1 holds 812 messages, usual are 22 to 71.".into(),
    }
}

/// What the engine says of `incident` at a minute.
pub fn event(kind: EventKind, at: i64, seq: u32, incident: Incident) -> Event {
    Event { v: SCHEMA_VERSION, seq, at: minute(at), event: kind, incident: Some(incident), action: None }
}

pub fn opened(id: &str, at: i64) -> Event {
    event(EventKind::Opened, at, 0, Incident { opened_at: minute(at), ..incident(id) })
}

pub fn updated(id: &str, at: i64, seq: u32) -> Event {
    event(EventKind::Updated, at, seq, incident(id))
}

pub fn resolved(id: &str, at: i64, seq: u32) -> Event {
    let incident = Incident { resolved_at: Some(minute(at)), state: State::Resolved, ..incident(id) };
    event(EventKind::Resolved, at, seq, incident)
}

/// Any remedy goes to `healer`; `alerts` hears of every incident, `pager` of pages.
pub fn policy(mode: Mode) -> Policy {
    let sink = |severity_min, incidents| SinkPolicy { severity_min, incidents };
    Policy {
        mode,
        actions_per_hour_max: 4,
        cooldown: Duration::from_secs(1800),
        routes: vec![RemedyRoute { remedy: "*".into(), sink: "healer".into(), cooldown: None, mode: None }],
        sinks: BTreeMap::from([
            ("alerts".into(), sink(Severity::Info, true)),
            ("healer".into(), sink(Severity::Info, false)),
            ("pager".into(), sink(Severity::Page, true)),
        ]),
        approve: BTreeSet::new(),
    }
}

/// The first attempt at telling `event`, as it happens.
pub fn letter(event: &Event) -> Letter<'_> {
    Letter { id: "the-id", event, now: event.at, wall_seconds: 1_700_000_000, attempt: 1, note: None }
}
