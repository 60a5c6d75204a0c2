//! What the engine has done since it was made: counts for the metrics, no part of what it decides.

use std::collections::BTreeMap;

use crate::incident::BrownOutUse;
use crate::sample::Timestamp;
use crate::series::registry::Rejected;
use crate::series::tick::Dropped;

/// Counts since the engine was made or loaded, and sizes as of now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Samples that wait for, or have had, their tick.
    pub accepted: u64,
    /// Samples that were not taken in, or gave no value, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    pub ticks: u64,
    /// Ticks left out because nothing came for a long time.
    pub ticks_skipped: u64,
    /// The newest tick.
    pub tick_at: Option<Timestamp>,
    pub series: usize,
    pub entities: usize,
    /// Series whose cadence is known and that detectors watch.
    pub lanes: usize,
    pub open_incidents: usize,
    /// The evidence that a ticket and a page take now.
    pub thresholds: [f64; 2],
    /// Findings and incidents that did not fit into a bound, by which; since the state began, snapshots included.
    pub not_followed: [(&'static str, u64); 3],
    /// Verdicts of people that were heard, in the order of `Verdict::ALL`.
    pub verdicts: [u64; 3],
    /// Samples that wait for their tick.
    pub waiting: usize,
    /// What is used of what users accept without what they were promised, in the order of the configuration.
    pub brown_outs: Vec<BrownOutUse>,
}

impl Stats {
    pub(super) fn dropped(&mut self, why: Dropped) {
        let reason = match why {
            Dropped::Late => "late",
            Dropped::AheadOfClock => "ahead_of_clock",
            Dropped::Full => "tick_queue_full",
        };
        *self.dropped.entry(reason).or_default() += 1;
    }

    pub(super) fn rejected(&mut self, why: Rejected, samples: u64) {
        let reason = match why {
            Rejected::SeriesFull { .. } => "series_full",
            Rejected::EntitiesFull { .. } => "entities_full",
            Rejected::NoLabels => "no_labels",
            Rejected::TooManyLabels { .. } => "too_many_labels",
            Rejected::LabelTooLong { .. } => "label_too_long",
        };
        *self.dropped.entry(reason).or_default() += samples;
    }
}
