//! Samples wait in buckets of one tick until the tick is complete, as the watermarks tell.
//!
//! A bucket holds what came in (tick - step, tick], in an order that doesn't depend on how sources
//! interleave. What comes for a tick that has passed is late and dropped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sample::{Sample, Source, Timestamp, is_stale_marker};
use crate::series::registry::SeriesId;
use crate::series::watermark::Watermarks;

/// Ticks without a sample that are still given one by one.
const EMPTY_TICKS_MAX: i64 = 256;

/// The last millisecond of the year 9999: beyond it lies no time that anyone means.
const LAST_MS: i64 = 253_402_300_799_999;

#[derive(Clone, Copy, Debug)]
pub struct TickLimits {
    /// Samples that wait for their tick; 24 bytes each.
    pub samples_max: usize,
    /// Different ticks that samples wait for.
    pub buckets_max: usize,
    pub sources_max: usize,
    /// A sample further ahead of the clock is dropped; nearer ones wait for their tick.
    pub ahead_ms_max: i64,
    /// A source further behind the clock holds nobody up, unless all are.
    pub behind_ms_max: i64,
}

impl Default for TickLimits {
    fn default() -> Self {
        TickLimits {
            samples_max: 4_000_000,
            buckets_max: 131_072,
            sources_max: 10_000,
            ahead_ms_max: 600_000,
            behind_ms_max: 600_000,
        }
    }
}

/// Why a sample was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Dropped {
    #[error("its tick has passed")]
    Late,
    #[error("it lies ahead of the clock")]
    AheadOfClock,
    #[error("too many samples wait for their tick")]
    Full,
}

/// A sample on its way to its tick.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    pub series: SeriesId,
    pub at: Timestamp,
    pub value: f64,
}

/// A tick that is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    pub at: Timestamp,
    /// Ticks left out just before this one, all without a sample.
    pub skipped: u64,
    /// Those in (at - step, at], sorted by series and time, one for each.
    pub arrivals: Vec<Arrival>,
}

/// The one queue between samples as they come and ticks as detectors need them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticker {
    step_ms: i64,
    #[serde(skip)]
    limits: TickLimits,
    buckets: BTreeMap<i64, Vec<Arrival>>,
    waiting: usize,
    /// The first tick not yet given; unknown before the first one.
    next: Option<i64>,
    watermarks: Watermarks,
    /// Ticks up to this one are due whatever the sources say.
    finished: Option<i64>,
    /// The present, as `bound` said last.
    #[serde(skip)]
    ceiling: Option<Timestamp>,
}

impl Ticker {
    /// `step_seconds` is at least 1.
    pub fn new(step_seconds: u32, limits: TickLimits) -> Self {
        let step_ms = i64::from(step_seconds.max(1)) * 1000;
        Ticker {
            step_ms,
            limits,
            buckets: BTreeMap::new(),
            waiting: 0,
            next: None,
            watermarks: Watermarks::new(step_ms),
            finished: None,
            ceiling: None,
        }
    }

    /// Limits are no part of a snapshot: a loaded ticker has the defaults until told.
    #[must_use]
    pub fn with_limits(mut self, limits: TickLimits) -> Self {
        self.limits = limits;
        self
    }

    pub fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// Puts a sample into the bucket of its tick, the first at or after it.
    ///
    /// A batch is atomic: all its samples are accepted before it is observed.
    pub fn accept(&mut self, series: SeriesId, sample: Sample) -> Result<(), Dropped> {
        let Sample { at, value } = sample;
        let present = self.watermarks.clock().or(self.ceiling);
        let ahead = present.is_some_and(|present| at.since(present) > self.limits.ahead_ms_max);
        if ahead || at.0 > LAST_MS {
            return Err(Dropped::AheadOfClock);
        }
        let tick = at.0.saturating_add(self.step_ms - 1).div_euclid(self.step_ms);
        if self.next.is_some_and(|next| tick < next) {
            return Err(Dropped::Late);
        }
        if self.waiting >= self.limits.samples_max {
            return Err(Dropped::Full);
        }
        let buckets = self.buckets.len();
        match self.buckets.entry(tick) {
            std::collections::btree_map::Entry::Vacant(_) if buckets >= self.limits.buckets_max => {
                return Err(Dropped::Full);
            }
            entry => entry.or_default().push(Arrival { series, at, value }),
        }
        self.waiting += 1;
        Ok(())
    }

    /// A batch of `source` has been accepted whose newest sample is of `latest`.
    pub fn observe(&mut self, source: &Source, latest: Timestamp, lateness_ms: i64) {
        let present = self.ceiling.map_or(Timestamp(LAST_MS), |ceiling| ceiling.plus_ms(self.step_ms));
        let latest = latest.min(present).min(Timestamp(LAST_MS));
        self.watermarks.observe(source, latest, lateness_ms, self.limits.sources_max);
    }

    /// The clock is now at least this far; it never goes back.
    pub fn clock(&mut self, now: Timestamp) {
        self.watermarks.advance_clock(now);
    }

    /// It is no later than this, whether or not there is a clock: a bound for what a source may claim while the
    /// past is read, when no clock may drive the ticks.
    pub fn bound(&mut self, now: Timestamp) {
        self.ceiling = Some(now);
    }

    /// Goes on without a clock until one is given again: while the past is read once more, after a restart.
    pub fn forget_clock(&mut self) {
        self.watermarks.forget_clock();
    }

    /// Nothing more will come: all that waits is due.
    pub fn finish(&mut self) {
        self.finished = self.buckets.keys().next_back().copied().max(self.finished);
    }

    /// The next tick, if it is complete. The first one is the earliest that has a sample; it waits a step
    /// longer than others, so that no source is late merely because another was heard from first.
    pub fn next_due(&mut self) -> Option<Due> {
        let grace = i64::from(self.next.is_none());
        let frontier = self
            .watermarks
            .frontier(self.limits.behind_ms_max)
            .map(|at| at.0.div_euclid(self.step_ms) - grace);
        let last = frontier.max(self.finished)?;
        let filled = self.buckets.keys().next().copied();
        let next = self.next.or(filled)?;
        if next > last {
            return None;
        }
        let target = filled.map_or(last, |tick| tick.min(last));
        let skipped = if target - next > EMPTY_TICKS_MAX { target - next } else { 0 };
        let tick = next + skipped;
        self.next = Some(tick + 1);
        let mut arrivals = self.buckets.remove(&tick).unwrap_or_default();
        self.waiting -= arrivals.len();
        put_in_order(&mut arrivals);
        Some(Due { at: Timestamp(tick.saturating_mul(self.step_ms)), skipped: skipped as u64, arrivals })
    }

    /// Samples that wait for their tick.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Sources known, silent ones too.
    pub fn source_count(&self) -> usize {
        self.watermarks.source_count()
    }
}

/// By series and time. Of several values for one instant a number beats infinity beats NaN beats a stale
/// marker, and the larger number wins: a rule that doesn't care which of two senders came first.
fn put_in_order(arrivals: &mut Vec<Arrival>) {
    fn worth(value: f64) -> u8 {
        match value {
            v if v.is_finite() => 3,
            v if v.is_infinite() => 2,
            v => u8::from(!is_stale_marker(v)),
        }
    }
    // Two of one instant are rare: they are looked at once they lie side by side, not at each compare.
    arrivals.sort_unstable_by_key(|arrival| (arrival.series, arrival.at));
    arrivals.dedup_by(|next, kept| {
        let same = (next.series, next.at) == (kept.series, kept.at);
        if same && worth(next.value).cmp(&worth(kept.value)).then(next.value.total_cmp(&kept.value)).is_gt() {
            kept.value = next.value;
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u32 = 10;

    fn ticker() -> Ticker {
        Ticker::new(STEP, TickLimits::default())
    }

    /// A batch of one sample of series 0 for each of `seconds`.
    fn feed(ticker: &mut Ticker, source: &str, lateness_seconds: i64, seconds: &[i64]) -> Vec<Dropped> {
        let samples = seconds.iter().map(|&s| Sample { at: Timestamp(s * 1000), value: s as f64 });
        let dropped = samples.filter_map(|sample| ticker.accept(SeriesId(0), sample).err()).collect();
        let latest = seconds.iter().max().unwrap();
        ticker.observe(&source.into(), Timestamp(latest * 1000), lateness_seconds * 1000);
        dropped
    }

    /// Ticks due now, in seconds.
    fn due(ticker: &mut Ticker) -> Vec<i64> {
        std::iter::from_fn(|| ticker.next_due()).map(|due| due.at.0 / 1000).collect()
    }

    #[test]
    fn a_tick_holds_what_came_since_the_last_one_its_own_instant_included() {
        let mut ticker = ticker();
        feed(&mut ticker, "a", 0, &[111, 120, 121, 130]);
        let first = ticker.next_due().unwrap();
        assert_eq!(first.at, Timestamp(120_000));
        assert_eq!(first.arrivals.iter().map(|a| a.value).collect::<Vec<_>>(), [111.0, 120.0]);
        assert_eq!(ticker.next_due().unwrap().arrivals.len(), 2);
        assert_eq!(ticker.next_due(), None);
        assert_eq!(ticker.waiting(), 0);
    }

    #[test]
    fn the_slowest_source_is_waited_for_and_its_lateness_too() {
        let mut ticker = ticker();
        feed(&mut ticker, "a", 0, &[100]);
        feed(&mut ticker, "b", 15, &[100]);
        feed(&mut ticker, "b", 15, &[120]);
        assert_eq!(due(&mut ticker), [0i64; 0]);
        feed(&mut ticker, "a", 0, &[120, 130]);
        assert_eq!(due(&mut ticker), [0i64; 0]);
        feed(&mut ticker, "b", 15, &[130]);
        assert_eq!(due(&mut ticker), [100, 110]);
        assert_eq!(feed(&mut ticker, "b", 15, &[101, 111]), [Dropped::Late]);
    }

    #[test]
    fn whoever_is_heard_first_makes_nobody_late() {
        let mut ticker = ticker();
        feed(&mut ticker, "a", 0, &[100]);
        assert_eq!(due(&mut ticker), [0i64; 0]);
        assert_eq!(feed(&mut ticker, "b", 0, &[100]), []);
        feed(&mut ticker, "a", 0, &[110]);
        feed(&mut ticker, "b", 0, &[110]);
        assert_eq!(ticker.next_due().map(|due| due.arrivals.len()), Some(1), "one series at one time");
    }

    #[test]
    fn a_silent_source_stops_nobody_and_rejoins_without_moving_time_back() {
        let mut ticker = ticker();
        feed(&mut ticker, "a", 0, &[100]);
        feed(&mut ticker, "b", 0, &[100]);
        for second in [110, 120, 130, 140] {
            feed(&mut ticker, "a", 0, &[second]);
        }
        assert_eq!(due(&mut ticker), [100, 110, 120, 130, 140]);
        assert_eq!(feed(&mut ticker, "b", 0, &[110]), [Dropped::Late]);
        feed(&mut ticker, "a", 0, &[150]);
        assert_eq!(due(&mut ticker), [0i64; 0], "b is heard again and is waited for");
        feed(&mut ticker, "b", 0, &[150]);
        assert_eq!(due(&mut ticker), [150]);
    }

    #[test]
    fn a_gap_in_all_sources_silences_none_of_them() {
        let mut ticker = ticker();
        for second in [100, 110, 86_400] {
            feed(&mut ticker, "a", 0, &[second]);
            due(&mut ticker);
            assert!(feed(&mut ticker, "b", 0, &[second]).is_empty());
            due(&mut ticker);
        }
    }

    #[test]
    fn a_skewed_host_does_not_drag_time_forward() {
        let mut ticker = ticker();
        ticker.clock(Timestamp(100_000));
        feed(&mut ticker, "right", 0, &[90, 100]);
        assert!(feed(&mut ticker, "ahead", 0, &[400]).is_empty());
        assert_eq!(due(&mut ticker), [90, 100]);
        assert_eq!(feed(&mut ticker, "ahead", 0, &[100_000]), [Dropped::AheadOfClock]);
        for second in [110, 120, 130, 140, 150] {
            ticker.clock(Timestamp(second * 1000));
        }
        // Only the skewed one is left, and it may be a step ahead of the clock, no more.
        feed(&mut ticker, "ahead", 0, &[450]);
        assert_eq!(due(&mut ticker).last(), Some(&160));
    }

    #[test]
    fn a_clock_that_lags_hopelessly_holds_nobody_up_unless_it_is_alone() {
        let mut ticker = ticker();
        feed(&mut ticker, "behind", 0, &[1_000]);
        ticker.clock(Timestamp(5_000_000));
        feed(&mut ticker, "behind", 0, &[1_010]);
        assert_eq!(due(&mut ticker), [1_000, 1_010]);
        feed(&mut ticker, "right", 0, &[5_000]);
        assert_eq!(due(&mut ticker).last(), Some(&5_000));
    }

    #[test]
    fn the_clock_ticks_where_all_are_silent() {
        let mut ticker = ticker();
        ticker.clock(Timestamp(100_000));
        feed(&mut ticker, "a", 5, &[100]);
        assert_eq!(due(&mut ticker), [0i64; 0]);
        ticker.clock(Timestamp(130_000));
        assert_eq!(due(&mut ticker), [0i64; 0], "three steps are not yet silence");
        ticker.clock(Timestamp(145_000));
        assert_eq!(due(&mut ticker), [100, 110]);
        ticker.clock(Timestamp(140_000));
        assert_eq!(due(&mut ticker), [0i64; 0], "the clock never goes back");
    }

    #[test]
    fn a_seldom_source_keeps_its_lateness_reserved() {
        let mut ticker = ticker();
        for second in (100..300).step_by(10) {
            ticker.clock(Timestamp(second * 1000));
            if second % 60 == 40 {
                assert!(feed(&mut ticker, "seldom", 20, &[second - 19]).is_empty());
            }
            feed(&mut ticker, "often", 0, &[second]);
            due(&mut ticker);
        }
    }

    #[test]
    fn a_long_gap_costs_one_tick() {
        let mut ticker = ticker();
        feed(&mut ticker, "a", 0, &[100]);
        feed(&mut ticker, "a", 0, &[1_000_000]);
        assert_eq!(due(&mut ticker.clone()), [100, 1_000_000]);
        ticker.next_due();
        assert_eq!(ticker.next_due().unwrap().skipped, 99_989);
        feed(&mut ticker, "a", 0, &[1_000_050]);
        assert_eq!(due(&mut ticker), [1_000_010, 1_000_020, 1_000_030, 1_000_040, 1_000_050]);
    }

    #[test]
    fn of_two_values_for_one_instant_the_same_one_wins_in_any_order() {
        let stale = f64::from_bits(crate::sample::STALE_NAN_BITS);
        let values = [3.0, f64::NAN, stale, f64::INFINITY, 7.0];
        for first in 0..values.len() {
            let mut ticker = ticker();
            for i in 0..values.len() {
                let value = values[(first + i) % values.len()];
                ticker.accept(SeriesId(0), Sample { at: Timestamp(0), value }).unwrap();
            }
            ticker.finish();
            let due = ticker.next_due().unwrap();
            assert_eq!(due.arrivals.iter().map(|a| a.value).collect::<Vec<_>>(), [7.0]);
        }
    }

    #[test]
    fn everything_is_bounded() {
        let limits = TickLimits { samples_max: 3, buckets_max: 2, sources_max: 2, ..TickLimits::default() };
        let mut ticker = Ticker::new(STEP, limits);
        assert_eq!(feed(&mut ticker, "a", 0, &[10, 20, 30]), [Dropped::Full]);
        assert_eq!(feed(&mut ticker, "b", 0, &[10, 20]), [Dropped::Full]);
        feed(&mut ticker, "c", 0, &[40]);
        assert_eq!(ticker.source_count(), 2);
    }

    #[test]
    fn no_time_is_too_odd() {
        let mut ticker = ticker();
        for at in [i64::MIN, -1, i64::MAX, LAST_MS] {
            let _ = ticker.accept(SeriesId(0), Sample { at: Timestamp(at), value: 0.0 });
            ticker.observe(&"a".into(), Timestamp(at), i64::MAX);
            ticker.observe(&"b".into(), Timestamp(at), i64::MIN);
            due(&mut ticker);
            ticker.clock(Timestamp(at));
            due(&mut ticker);
        }
    }

    #[test]
    fn at_the_end_all_is_due_once() {
        let mut ticker = ticker();
        feed(&mut ticker, "a", 60, &[100, 110, 125]);
        assert_eq!(due(&mut ticker), [0i64; 0]);
        ticker.finish();
        assert_eq!(due(&mut ticker), [100, 110, 120, 130]);
    }
}
