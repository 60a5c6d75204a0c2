//! Up to which instant has everything come that is worth waiting for?
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

use crate::sample::{Source, Timestamp};

/// Steps after which a source counts as silent.
const SILENT_STEPS: i64 = 3;

/// After this long a silent source reserves nothing any more.
const FORGOTTEN_MS: i64 = 600_000;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Watermark {
    at: Timestamp,
    lateness_ms: i64,
    /// When it was heard from, in `Watermarks::elapsed_ms`.
    heard_ms: i64,
}

/// How far each source has come, and the clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Watermarks {
    step_ms: i64,
    sources: BTreeMap<Source, Watermark>,
    clock: Option<Timestamp>,
    newest: Timestamp,
    /// Time that passed by the clock, or by the data where there is no clock.
    elapsed_ms: i64,
}

impl Watermarks {
    pub fn new(step_ms: i64) -> Self {
        Watermarks { step_ms, sources: BTreeMap::new(), clock: None, newest: Timestamp::MIN, elapsed_ms: 0 }
    }

    /// `source` has sent everything up to `latest`, but for what may be late. Beyond `sources_max` the
    /// source that was silent longest is forgotten.
    pub fn observe(&mut self, source: &Source, latest: Timestamp, lateness_ms: i64, sources_max: usize) {
        let latest = self.clock.map_or(latest, |clock| latest.min(clock.plus_ms(self.step_ms)));
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
        if self.sources.len() >= sources_max {
            self.forget_quietest();
        }
        self.sources.insert(source.clone(), Watermark { at, lateness_ms, heard_ms });
    }

    fn forget_quietest(&mut self) {
        let quietest = self.sources.iter().min_by_key(|(_, known)| known.heard_ms);
        if let Some(source) = quietest.map(|(source, _)| source.clone()) {
            self.sources.remove(&source);
        }
    }

    pub fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    /// Never back.
    pub fn advance_clock(&mut self, now: Timestamp) {
        if let Some(before) = self.clock {
            self.elapsed_ms = self.elapsed_ms.saturating_add(now.since(before).max(0));
        }
        self.clock = self.clock.max(Some(now));
    }

    pub fn forget_clock(&mut self) {
        self.clock = None;
    }

    /// The instant up to which ticks are complete; `None` before anything was heard.
    ///
    /// A source more than `behind_ms_max` behind the clock is waited for only if all are.
    pub fn frontier(&self, behind_ms_max: i64) -> Option<Timestamp> {
        let silent_ms = SILENT_STEPS * self.step_ms;
        let near = self.clock.map_or(Timestamp::MIN, |clock| clock.plus_ms(-behind_ms_max));
        let (mut slowest, mut slowest_near) = (None, None);
        let mut reserve_ms = 0i64;
        for known in self.sources.values() {
            let idle_ms = self.elapsed_ms.saturating_sub(known.heard_ms);
            if idle_ms <= silent_ms {
                slowest = earlier(slowest, known.at);
                if known.at >= near {
                    slowest_near = earlier(slowest_near, known.at);
                }
            } else if idle_ms <= FORGOTTEN_MS.max(silent_ms) {
                reserve_ms = reserve_ms.max(known.lateness_ms);
            }
        }
        match slowest_near.or(slowest) {
            Some(at) => {
                let now = self.clock.map_or(self.newest, |clock| clock.max(self.newest));
                Some(at.min(now.plus_ms(-reserve_ms)))
            }
            None => self.clock.map(|clock| clock.plus_ms(-reserve_ms).plus_ms(-silent_ms)),
        }
    }

    /// Sources known, silent ones too.
    pub fn source_count(&self) -> usize {
        self.sources.len()
    }
}

fn earlier(slowest: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
    Some(slowest.map_or(at, |slowest| slowest.min(at)))
}
