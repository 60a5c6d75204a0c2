//! Which instant is complete? Samples wait in buckets of one tick until a watermark passes it.
//!
//! Each source has a watermark: its newest sample less its allowed lateness, never more than a step
//! ahead of the clock, since a skewed host must not drag time forward. A tick is due once the watermarks
//! of all sources heard from lately have reached it. A source that is silent for three steps, or that
//! lies hopelessly far behind while others don't, stops nobody: its series have no data.
//! If all are silent the clock itself drives the ticks, three steps behind.
//!
//! A silent source still reserves its lateness before the present. So a source that speaks less often
//! than every three steps needs a lateness that covers the way of a sample from its timestamp to here.
//!
//! Without a clock (recorded data) the newest sample stands for it, and "lately" counts the progress of
//! the others, a step at most for each batch, so that a gap in all sources silences none of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sample::{Sample, Source, Timestamp, is_stale_marker};
use crate::series::registry::SeriesId;

/// Steps after which a source counts as silent.
const SILENT_STEPS: i64 = 3;

/// After this long a silent source reserves nothing any more.
const FORGOTTEN_MS: i64 = 600_000;

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

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Watermark {
    at: Timestamp,
    lateness_ms: i64,
    /// When it was heard from, in `Ticker::elapsed_ms`.
    heard_ms: i64,
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
    sources: BTreeMap<Source, Watermark>,
    clock: Option<Timestamp>,
    newest: Timestamp,
    /// Time that passed by the clock, or by the data where there is no clock.
    elapsed_ms: i64,
    /// Ticks up to this one are due whatever the sources say.
    finished: Option<i64>,
}

impl Ticker {
    /// `step_seconds` is at least 1.
    pub fn new(step_seconds: u32, limits: TickLimits) -> Self {
        Ticker {
            step_ms: i64::from(step_seconds.max(1)) * 1000,
            limits,
            buckets: BTreeMap::new(),
            waiting: 0,
            next: None,
            sources: BTreeMap::new(),
            clock: None,
            newest: Timestamp::MIN,
            elapsed_ms: 0,
            finished: None,
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
        let ahead = self.clock.is_some_and(|clock| at.since(clock) > self.limits.ahead_ms_max);
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
        let latest = self.capped(latest);
        if self.clock.is_none() && latest > self.newest {
            let progress = latest.since(self.newest).min(self.step_ms);
            self.elapsed_ms = self.elapsed_ms.saturating_add(progress);
        }
        self.newest = self.newest.max(latest);
        let lateness_ms = lateness_ms.max(0);
        let at = latest.plus_ms(-lateness_ms);
        let heard_ms = self.elapsed_ms;
        if let Some(known) = self.sources.get_mut(source) {
            *known = Watermark { at: known.at.max(at), lateness_ms, heard_ms };
            return;
        }
        if self.sources.len() >= self.limits.sources_max {
            self.forget_quietest();
        }
        self.sources.insert(source.clone(), Watermark { at, lateness_ms, heard_ms });
    }

    fn forget_quietest(&mut self) {
        let quietest =
            self.sources.iter().min_by_key(|(_, known)| known.heard_ms).map(|(source, _)| source.clone());
        if let Some(source) = quietest {
            self.sources.remove(&source);
        }
    }

    /// The clock is now at least this far; it never goes back.
    pub fn clock(&mut self, now: Timestamp) {
        if let Some(before) = self.clock {
            self.elapsed_ms = self.elapsed_ms.saturating_add(now.since(before).max(0));
        }
        self.clock = self.clock.max(Some(now));
    }

    /// Goes on without a clock until one is given again: while the past is read once more, after a restart.
    pub fn forget_clock(&mut self) {
        self.clock = None;
    }

    /// Nothing more will come: all that waits is due.
    pub fn finish(&mut self) {
        self.finished = self.buckets.keys().next_back().copied().max(self.finished);
    }

    /// Never more than a step ahead of the clock.
    fn capped(&self, at: Timestamp) -> Timestamp {
        let cap = self.clock.map_or(Timestamp(LAST_MS), |clock| clock.plus_ms(self.step_ms));
        at.min(cap)
    }

    /// Up to when everything has come that is worth waiting for.
    fn frontier(&self) -> Option<Timestamp> {
        let silent_ms = SILENT_STEPS * self.step_ms;
        let near = self.clock.map_or(Timestamp::MIN, |clock| clock.plus_ms(-self.limits.behind_ms_max));
        let (mut slowest, mut slowest_near) = (None, None);
        let mut reserve_ms = 0;
        for known in self.sources.values() {
            let idle_ms = self.elapsed_ms.saturating_sub(known.heard_ms);
            if idle_ms <= silent_ms {
                slowest = Some(slowest.map_or(known.at, |at: Timestamp| at.min(known.at)));
                if known.at >= near {
                    slowest_near = Some(slowest_near.map_or(known.at, |at: Timestamp| at.min(known.at)));
                }
            } else if idle_ms <= FORGOTTEN_MS.max(silent_ms) {
                reserve_ms = reserve_ms.max(known.lateness_ms);
            }
        }
        match slowest_near.or(slowest) {
            Some(at) => Some(at.min(self.clock.unwrap_or(self.newest).plus_ms(-reserve_ms))),
            None => self.clock.map(|clock| clock.plus_ms(-silent_ms - reserve_ms)),
        }
    }

    /// The next tick, if it is complete. The first one is the earliest that has a sample.
    pub fn next_due(&mut self) -> Option<Due> {
        let frontier = self.frontier().map(|at| at.0.div_euclid(self.step_ms));
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
        self.sources.len()
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
    arrivals.sort_unstable_by(|a, b| {
        let instant = (a.series, a.at).cmp(&(b.series, b.at));
        instant.then_with(|| worth(b.value).cmp(&worth(a.value)).then(b.value.total_cmp(&a.value)))
    });
    arrivals.dedup_by_key(|arrival| (arrival.series, arrival.at));
}
