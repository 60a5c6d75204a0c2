//! What people say of incidents, open or closed not long ago, and what each verdict changes.
//!
//! - **false alarm**: it ends, its movers are excused (`excuse`) and the budget counts it as false, whatever it
//!   looked like.
//! - **normal now**: it ends, and its movers are handed to the detectors, which move to where the series are.
//! - **true alarm**: the budget doesn't count it as false, and its movers are excused no longer.
//!
//! A verdict said twice is one; another verdict takes the one before back. A closed incident can be spoken of while it
//! is one of the newest `CLOSED_MAX`.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::House;
use super::budget::{Counts, Ended, Past};
use super::case::{Case, Opened};
use super::event::{Incident, Severity};
use super::excuse::{Excuses, Moved, what};
use super::is_relation;
use super::mover::Track;
use crate::sample::{Labels, Timestamp};

/// Closed incidents that are remembered, and movers of each, the heaviest.
const CLOSED_MAX: usize = 256;
const MOVERS_MAX: usize = 32;

/// What a person says of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It meant nothing.
    FalseAlarm,
    /// What its series do now is what they are meant to do from now on.
    NormalNow,
    /// Good that somebody was told.
    TrueAlarm,
}

impl Verdict {
    pub const ALL: [Verdict; 3] = [Verdict::FalseAlarm, Verdict::NormalNow, Verdict::TrueAlarm];

    /// The word of the API and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::FalseAlarm => "false_alarm",
            Verdict::NormalNow => "normal_now",
            Verdict::TrueAlarm => "true_alarm",
        }
    }
}

/// What became of a verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// No incident of this name is open or remembered.
    Unknown,
    /// It was said before, and changes nothing.
    Again,
    /// It counts. The series named are to be taken as usual where they are now.
    Taken { settle: Vec<Labels> },
}

/// An incident that is over, as far as a verdict can still change something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Closed {
    id: String,
    ended: Ended,
    /// As what the budget has it.
    counts: Counts,
    verdict: Option<Verdict>,
    movers: Vec<Moved>,
}

/// All that was said, and of what it can be said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Feedback {
    pub excuses: Excuses,
    /// Open incidents that somebody has called a true alarm.
    confirmed: BTreeSet<String>,
    /// Oldest first.
    closed: VecDeque<Closed>,
}

impl Feedback {
    /// Remembers an incident that ends. Gives as what the budget is to count it.
    pub fn close(&mut self, house: &House, at: Timestamp, case: &Case, verdict: Option<Verdict>) -> Counts {
        let Some(opened) = &case.opened else { return Counts::AsFalse };
        let confirmed = self.confirmed.remove(&opened.incident.id).then_some(Verdict::TrueAlarm);
        let verdict = verdict.or(confirmed);
        let told = opened.incident.severity;
        let is_false = verdict == Some(Verdict::FalseAlarm) && told > Severity::Info;
        let counts = if is_false { Counts::AsFalse } else { opened.counts() };
        let movers = moved(house, at, case);
        match verdict {
            Some(Verdict::FalseAlarm) => movers.iter().for_each(|moved| self.excuses.add(at, moved)),
            Some(Verdict::NormalNow) => movers.iter().for_each(|moved| self.excuses.hold_limit(at, moved)),
            Some(Verdict::TrueAlarm) | None => {}
        }
        if self.closed.len() == CLOSED_MAX {
            self.closed.pop_front();
        }
        let id = opened.incident.id.clone();
        let ended = case.ended(at);
        self.closed.push_back(Closed { id, ended, counts, verdict, movers });
        counts
    }

    /// Somebody calls an incident that goes on a true alarm. False where that was said before.
    pub fn confirm(&mut self, house: &House, at: Timestamp, case: &Case) -> bool {
        let id = case.opened.as_ref().map(|opened| opened.incident.id.clone());
        let is_new = id.is_some_and(|id| self.confirmed.insert(id));
        if is_new {
            moved(house, at, case).iter().for_each(|moved| self.excuses.remove(moved));
        }
        is_new
    }

    /// A verdict on an incident that is over.
    pub fn hear(&mut self, at: Timestamp, id: &str, verdict: Verdict, past: &mut Past) -> Heard {
        let Feedback { excuses, closed, .. } = self;
        let Some(closed) = closed.iter_mut().find(|closed| closed.id == id) else { return Heard::Unknown };
        let before = closed.verdict.replace(verdict);
        if before == Some(verdict) {
            return Heard::Again;
        }
        match verdict {
            Verdict::FalseAlarm => closed.movers.iter().for_each(|moved| excuses.add(at, moved)),
            Verdict::TrueAlarm => closed.movers.iter().for_each(|moved| excuses.remove(moved)),
            Verdict::NormalNow => {
                if before == Some(Verdict::FalseAlarm) {
                    closed.movers.iter().for_each(|moved| excuses.remove(moved));
                }
                closed.movers.iter().for_each(|moved| excuses.hold_limit(at, moved));
            }
        }
        let counts = match verdict {
            Verdict::FalseAlarm if closed.ended.told > Severity::Info => Counts::AsFalse,
            Verdict::FalseAlarm | Verdict::TrueAlarm => Counts::Not,
            Verdict::NormalNow => closed.counts,
        };
        if counts != closed.counts {
            past.take_back(&closed.ended, closed.counts);
            past.record(&closed.ended, counts);
            closed.counts = counts;
        }
        let settles = verdict == Verdict::NormalNow;
        let settle = closed.movers.iter().filter(|_| settles).map(|moved| moved.labels.clone()).collect();
        Heard::Taken { settle }
    }

    /// Whether a verdict on an incident that is over would be heard.
    pub fn remembers(&self, id: &str) -> bool {
        self.closed.iter().any(|closed| closed.id == id)
    }

    /// The most that an incident weighed that is over and remembered.
    pub fn weight(&self, id: &str) -> Option<f64> {
        self.closed.iter().find(|closed| closed.id == id).map(|closed| closed.ended.weight)
    }
}

/// What a case's movers did, the heaviest first.
fn moved(house: &House, at: Timestamp, case: &Case) -> Vec<Moved> {
    let limit_at = case.opened.as_ref().and_then(limit_of);
    let mut story = case.story();
    story.sort_by(|a, b| b.peak.total_cmp(&a.peak).then_with(|| a.labels.cmp(&b.labels)));
    let moved = |track: &&Track| Moved {
        labels: track.labels.clone(),
        entity: track.entity_name.clone(),
        what: what(house, track.signal, &track.labels).into(),
        moves: track.moves(),
        reach: (track.worst.value - track.worst.expected).abs(),
        surprise: track.worst.surprise,
        lasted_ms: at.since(track.since),
        is_relation: is_relation(track.detector, &track.worst),
        by_limit: track.heads.is_some(),
        limit_at,
    };
    story.iter().take(MOVERS_MAX).map(moved).collect()
}

fn limit_of(opened: &Opened) -> Option<Timestamp> {
    let Incident { prediction, .. } = &opened.incident;
    prediction.as_ref().map(|prediction| prediction.impact_at)
}
