//! One series that may be leaving its course: the evidence so far, and whether it has come to rest.
//!
//! Evidence is a sum over values with a drift (Page's CUSUM, 1954): each adds its surprise less 1.2, what is
//! there fades by a twentieth, and it never falls below nothing. Ordinary values (mean surprise 0.43) pull it
//! down, so a lone spike is soon forgotten, while 3.5, 4, 4.5, 5 in a row are decisive.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Finding, Observed};
use crate::detect::Kind;
use crate::predict::pack::Movement;
use crate::predict::signals::SignalRef;
use crate::sample::{Labels, Timestamp};
use crate::series::registry::EntityId;

const DRIFT: f64 = 1.2;
const KEEP: f64 = 0.95;
const SURPRISE_MAX: f32 = 12.0;
/// A value below this is calm.
const CALM_SURPRISE: f32 = 3.0;
/// From here on a series is part of the story, and stays in it.
const REAL_EVIDENCE: f64 = 3.0;

/// The run of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Track {
    pub labels: Labels,
    pub entity: EntityId,
    pub entity_name: Arc<str>,
    #[serde(skip)]
    pub signal: Option<SignalRef>,
    /// When the run began.
    pub since: Timestamp,
    /// The value furthest off its course: see `is_worse`.
    pub worst: Observed,
    pub detector: Kind,
    pub evidence: f64,
    pub peak: f64,
    /// Values in a row that were calm.
    pub calm: u32,
    /// It has headed for a hard limit, this way.
    pub heads: Option<Movement>,
    /// It does so still.
    pub by_limit: bool,
    seen_at: Timestamp,
}

impl Track {
    pub fn begin(finding: &Finding) -> Self {
        let mut track = Track {
            labels: finding.labels.clone(),
            entity: finding.entity,
            entity_name: finding.entity_name.clone(),
            signal: finding.signal,
            since: finding.at,
            worst: observed(finding),
            detector: finding.detector,
            evidence: 0.0,
            peak: 0.0,
            calm: 0,
            heads: None,
            by_limit: false,
            seen_at: Timestamp::MIN,
        };
        track.take_finding(finding);
        track
    }

    /// It is known to be part of a story that was told.
    pub fn confirm(&mut self) {
        self.evidence = self.evidence.max(REAL_EVIDENCE);
        self.peak = self.peak.max(self.evidence);
    }

    pub fn take_finding(&mut self, finding: &Finding) {
        if finding.surprise.is_finite() && self.take(observed(finding)) {
            self.detector = finding.detector;
        }
    }

    /// Takes a value that is new, and nothing else. True where it is the worst so far.
    pub fn take(&mut self, now: Observed) -> bool {
        if now.at <= self.seen_at || !now.surprise.is_finite() {
            return false;
        }
        self.seen_at = now.at;
        let surprise = now.surprise.min(SURPRISE_MAX);
        self.evidence = (KEEP * self.evidence + f64::from(surprise) - DRIFT).max(0.0);
        self.peak = self.peak.max(self.evidence);
        // A lone odd value ends no calm, or of many movers one would always keep the incident open. No data is no calm.
        if surprise >= CALM_SURPRISE {
            if self.evidence >= REAL_EVIDENCE {
                self.calm = 0;
            }
        } else if now.has_data {
            self.calm = self.calm.saturating_add(1);
        }
        let is_worst = is_worse(&now, &self.worst);
        if is_worst {
            self.worst = now;
        }
        is_worst
    }

    /// Whether it is part of the story, and not a lone odd value.
    pub fn is_real(&self) -> bool {
        self.peak >= REAL_EVIDENCE || self.heads.is_some()
    }

    pub fn moves(&self) -> Movement {
        if self.detector == Kind::Silence {
            return Movement::Silent;
        }
        // On its way to a limit a series may do just what was expected of it.
        if let Some(heads) = self.heads.filter(|_| self.peak < REAL_EVIDENCE) {
            return heads;
        }
        if self.worst.value < self.worst.expected { Movement::Down } else { Movement::Up }
    }

    /// How long ago the last value was taken, in milliseconds.
    pub fn silent_ms(&self, at: Timestamp) -> i64 {
        at.since(self.seen_at)
    }
}

/// Outside of its band before inside, since the way back to normal is odd too; then the odder, then the further
/// out; of equals the later.
fn is_worse(now: &Observed, before: &Observed) -> bool {
    let is_outside = |o: &Observed| o.value < o.low || o.value > o.high;
    let odd = |o: &Observed| o.surprise.min(SURPRISE_MAX);
    let bands = |o: &Observed| (o.value - o.expected).abs() / (o.high - o.low);
    let by_oddness = is_outside(now).cmp(&is_outside(before)).then(odd(now).total_cmp(&odd(before)));
    by_oddness.then(bands(now).total_cmp(&bands(before))).is_ge()
}

pub(super) fn observed(finding: &Finding) -> Observed {
    Observed {
        at: finding.at,
        value: finding.value,
        expected: finding.expected,
        low: finding.low,
        high: finding.high,
        surprise: finding.surprise,
        has_data: finding.detector != Kind::Silence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::FINDING_SURPRISE_MIN;
    use crate::series::registry::SeriesId;

    fn finding(second: i64, surprise: f32) -> Finding {
        Finding {
            series: SeriesId(0),
            labels: Labels::new(&[("__name__", "queue")]),
            entity: EntityId(0),
            entity_name: "mta1".into(),
            signal: None,
            at: Timestamp(second * 1000),
            value: 100.0,
            expected: 10.0,
            low: 5.0,
            high: 20.0,
            surprise,
            detector: Kind::Derivative,
        }
    }

    /// The evidence after surprises at one value a second.
    fn evidence(surprises: &[f32]) -> f64 {
        let mut track = Track::begin(&finding(0, surprises[0]));
        for (second, surprise) in (1..).zip(&surprises[1..]) {
            track.take(Observed { surprise: *surprise, ..observed(&finding(second, 0.0)) });
        }
        track.evidence
    }

    #[test]
    fn four_rising_surprises_are_decisive_and_a_spike_is_forgotten() {
        assert!(evidence(&[3.5, 4.0, 4.5, 5.0]) > 10.0);
        assert!(evidence(&[4.0]) < 3.0);
        assert_eq!(evidence(&[4.0, 0.4, 0.4, 0.4, 0.4]), 0.0);
        assert!(evidence(&[f32::MAX]) < 11.0);
    }

    #[test]
    fn a_value_seen_twice_counts_once() {
        let mut track = Track::begin(&finding(0, 4.0));
        let before = track.clone();
        track.take(observed(&finding(0, 12.0)));
        assert_eq!(track, before);
    }

    #[test]
    fn a_lone_odd_value_ends_no_calm_and_two_do() {
        let mut track = Track::begin(&finding(0, 6.0));
        let mut after = |second, surprise| {
            track.take(Observed { surprise, ..observed(&finding(second, 0.0)) });
            track.calm
        };
        let calm = (1..=9).map(|second| after(second, 0.4)).last();
        assert_eq!((calm, after(10, 4.0), after(11, 4.0)), (Some(9), 9, 0));
    }

    #[test]
    fn the_way_back_to_normal_is_odd_and_not_the_worst() {
        let mut track = Track::begin(&finding(0, 5.5));
        for (second, value, surprise) in [(1, 150.0, 5.5), (2, 9.0, 5.5), (3, 9.0, 12.0)] {
            track.take(Observed { value, surprise, ..observed(&finding(second, 0.0)) });
        }
        assert_eq!((track.worst.value, track.moves()), (150.0, Movement::Up));
    }

    #[test]
    fn no_data_is_no_calm() {
        let mut track = Track::begin(&finding(0, FINDING_SURPRISE_MIN));
        track.take(Observed { has_data: false, surprise: 0.0, ..observed(&finding(1, 0.0)) });
        let before = track.calm;
        track.take(Observed { surprise: 0.0, ..observed(&finding(2, 0.0)) });
        assert_eq!(track.calm, before + 1);
    }
}
