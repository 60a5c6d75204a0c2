//! How often does this series speak? Learnt from the intervals between its samples, in steps of the engine.
//!
//! A missed sample or two must not count as a new cadence, a sender that slows down for good must:
//! so what is learnt stands until eight intervals in a row contradict it.

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;

/// Intervals whose median is the cadence.
const INTERVALS: usize = 4;

/// Contradictions in a row after which it is learnt anew.
const CONTRADICTIONS_MAX: u8 = 8;

/// A series that speaks less often is taken to speak once an hour, and mostly has no data.
const CADENCE_SECONDS_MAX: u32 = 3600;

/// The cadence of one series: 28 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cadence {
    newest: Option<Timestamp>,
    /// The latest intervals in milliseconds, 0 where there was none yet; a ring.
    intervals: [u32; INTERVALS],
    cursor: u8,
    contradictions: u8,
    /// 0 while learning.
    learnt_ms: u32,
}

impl Cadence {
    /// Takes note of a sample; times that don't advance say nothing.
    pub fn push(&mut self, at: Timestamp) {
        let Some(before) = self.newest else {
            self.newest = Some(at);
            return;
        };
        let Ok(interval) = u32::try_from(at.since(before).clamp(0, i64::from(u32::MAX))) else { return };
        if interval == 0 {
            return;
        }
        self.newest = Some(at);
        self.intervals[usize::from(self.cursor)] = interval;
        self.cursor = (self.cursor + 1) % INTERVALS as u8;
        let agrees = interval.abs_diff(self.learnt_ms) <= self.learnt_ms / 4;
        self.contradictions = if agrees { 0 } else { self.contradictions.saturating_add(1) };
        let due = self.learnt_ms == 0 || self.contradictions >= CONTRADICTIONS_MAX;
        if due && self.intervals.iter().all(|&ms| ms > 0) {
            self.learnt_ms = median(self.intervals);
            self.contradictions = 0;
        }
    }

    /// Less than half of the usual interval is none of this series' own, such as that from a backfill to a scrape; 0 while
    /// learning.
    pub fn soonest_ms(&self) -> i64 {
        i64::from(self.learnt_ms / 2)
    }

    /// The cadence in seconds, a multiple of the step that leaves no row empty; `None` while learning.
    pub fn seconds(&self, step_seconds: u32) -> Option<u32> {
        if self.learnt_ms == 0 {
            return None;
        }
        let step_ms = step_seconds * 1000;
        // A tenth of a step is jitter and no reason to leave every other row empty.
        let steps = self.learnt_ms.saturating_sub(step_ms / 10).div_ceil(step_ms).max(1);
        let steps_max = (CADENCE_SECONDS_MAX / step_seconds).max(1);
        Some(steps.min(steps_max) * step_seconds)
    }
}

/// The lower of the two in the middle: a missed sample only ever makes an interval longer.
fn median(mut intervals: [u32; INTERVALS]) -> u32 {
    intervals.sort_unstable();
    intervals[INTERVALS / 2 - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is learnt at a step of 15 s from samples with these gaps.
    fn check(gaps_ms: impl IntoIterator<Item = i64>, want: Option<u32>) {
        let mut cadence = Cadence::default();
        let mut at = Timestamp(1_700_000_000_000);
        cadence.push(at);
        for gap in gaps_ms {
            at = at.plus_ms(gap);
            cadence.push(at);
        }
        assert_eq!(cadence.seconds(15), want);
    }

    #[test]
    fn four_intervals_are_enough_and_three_are_not() {
        check([30_000; 3], None);
        check([30_000; 4], Some(30));
        check([60_000; 4], Some(60));
        check([600_000; 4], Some(600));
    }

    #[test]
    fn jitter_does_not_double_it_but_a_longer_interval_rounds_up() {
        check([15_900, 14_100, 15_400, 15_300], Some(15));
        check([20_000; 4], Some(30));
        check([5_000; 4], Some(15));
    }

    #[test]
    fn a_sample_missed_while_learning_does_not_stretch_it() {
        check([30_000, 60_000, 30_000, 60_000], Some(30));
    }

    #[test]
    fn missed_samples_are_no_new_cadence_and_a_slower_sender_is_one() {
        let missed = (0..100).map(|i| if i % 3 == 0 { 60_000 } else { 30_000 });
        check(missed, Some(30));
        let slower = [30_000; 20].into_iter().chain([60_000; 7]);
        check(slower.clone(), Some(30));
        check(slower.chain([60_000]), Some(60));
    }

    #[test]
    fn nobody_speaks_less_often_than_hourly() {
        check([86_400_000; 6], Some(3600));
    }

    #[test]
    fn time_that_stands_still_or_goes_back_says_nothing() {
        check([15_000, 0, 15_000, -15_000, 0, 30_000], None);
    }
}
