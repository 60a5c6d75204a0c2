//! How incidents and people look at a series: its last value, what was expected, how odd that is.

use serde::Serialize;

use super::local_time::LocalTime;
use super::shard::{Seen, Shard};
use super::shard_of;
use crate::incident::{Observed, View};
use crate::sample::{Labels, Timestamp};
use crate::series::head::SeriesState;
use crate::series::registry::{Registry, SeriesId};

/// A series as the API shows it. `None` stands for what is not known, never for zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesView {
    pub labels: Labels,
    /// Time and value of the last sample; for a counter the value is its rate a second.
    pub at: Option<Timestamp>,
    pub value: Option<f64>,
    pub unit: Option<String>,
    /// What was expected at the last row, and the band that it leaves one time in a thousand.
    pub expected: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// -log10 of the probability of something at least as odd.
    pub surprise: f32,
    pub state: &'static str,
}

/// All shards as one.
pub(super) struct EngineView<'e> {
    pub shards: &'e [Shard],
    pub registry: &'e Registry,
    pub local_time: &'e LocalTime,
}

impl EngineView<'_> {
    fn seen(&self, series: SeriesId) -> Option<Seen> {
        let shard = shard_of(self.registry.entity(series), self.shards.len());
        self.shards[shard].seen(series, self.local_time)
    }

    pub(super) fn series(&self, series: SeriesId, labels: &Labels, unit: Option<&str>) -> Option<SeriesView> {
        // A series whose first sample still waits for its tick is known to no shard.
        let seen = self.seen(series)?;
        let known = |x: f64| x.is_finite().then_some(x);
        Some(SeriesView {
            labels: labels.clone(),
            at: seen.last.map(|sample| sample.at),
            value: seen.last.map(|sample| sample.value),
            unit: unit.map(String::from),
            expected: known(seen.band.expected),
            low: known(seen.band.low),
            high: known(seen.band.high),
            surprise: seen.surprise,
            state: match seen.state {
                SeriesState::Learning => "learning",
                SeriesState::Live => "live",
                SeriesState::NoData => "no_data",
            },
        })
    }
}

impl View for EngineView<'_> {
    fn second_of_week(&self, at: Timestamp) -> u32 {
        let tick = self.local_time.tick(at, 0);
        u32::from(tick.local_weekday) * 86_400 + tick.local_second_of_day
    }

    fn now(&self, series: SeriesId) -> Option<Observed> {
        let seen = self.seen(series)?;
        let last = seen.last?;
        Some(Observed {
            at: last.at,
            value: last.value,
            expected: seen.band.expected,
            low: seen.band.low,
            high: seen.band.high,
            surprise: seen.surprise,
            own: seen.own,
            has_data: seen.state == SeriesState::Live,
        })
    }
}
