//! "This is normal now": the detectors of a series move to where it is, at once.
//!
//! Learnt at its own pace a new level takes hours, and until then the band grows instead of moving. So what a series
//! is usually like is shifted as a whole, its habits of day and week with it: at once by its last value, and again
//! by the median of what that left over in the next few values, since one value is as much noise as level. Learning
//! goes on after that, as the jump itself is nothing to learn. Until the series has been calm for a while, or for an
//! hour at most, nothing that it does is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::incident::{FINDING_SURPRISE_MIN, Finding, Observed};
use crate::sample::Timestamp;
use crate::series::registry::{EntityId, SeriesId};

/// Values whose median is where a series is.
const VALUES: usize = 15;
/// Values in a row that are calm, after which a series has settled.
const CALM_VALUES: u32 = 8;
/// It has to within this, or within so many values where they are rare.
const PATIENCE_MS: i64 = 3_600_000;
const PATIENCE_VALUES: u32 = 30;
/// A series that misses by less than this share of its band's width is where it was, and is not moved.
const NOISE: f64 = 0.25;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settling {
    entity: EntityId,
    since: Timestamp,
    newest_at: Timestamp,
    was_shifted: bool,
    values: u32,
    calm: u32,
    /// What the first shift left over.
    misses: Vec<f64>,
}

/// The series that settle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Settlement(BTreeMap<SeriesId, Settling>);

impl Settlement {
    /// A series settles from now on, where `last` is what it did last. Gives by how much to shift it, in its own unit.
    pub(super) fn begin(
        &mut self,
        at: Timestamp,
        (series, entity): (SeriesId, EntityId),
        last: Option<Observed>,
    ) -> Option<f64> {
        let newest_at = last.map_or(Timestamp::MIN, |last| last.at);
        let by = last.and_then(|last| by_miss(&last, last.value - last.expected));
        let was_shifted = by.is_some();
        let settling =
            Settling { entity, since: at, newest_at, was_shifted, values: 0, calm: 0, misses: Vec::new() };
        self.0.insert(series, settling);
        by
    }

    /// The series that are still being moved, and learn nothing until they have been.
    pub(super) fn moving(&self) -> impl Iterator<Item = SeriesId> {
        self.0.iter().filter(|(_, settling)| settling.misses.len() < VALUES).map(|(series, _)| *series)
    }

    /// Whether a finding is part of what settles, and not told: one on such a series, or a relation of its entity that
    /// looks broken until the new one is known.
    pub(super) fn absorbs(&mut self, finding: &Finding) -> bool {
        let is_relation = finding.is_relation();
        let mut is_part = false;
        for (series, settling) in &mut self.0 {
            if *series == finding.series || (is_relation && settling.entity == finding.entity) {
                settling.calm = 0;
                is_part = true;
            }
        }
        is_part
    }

    pub(super) fn retire(&mut self, series: SeriesId) {
        self.0.remove(&series);
    }

    /// After a tick: takes what is new, lets go of what has settled, and gives what is to be shifted by how much.
    pub(super) fn step(
        &mut self,
        at: Timestamp,
        now: impl Fn(SeriesId) -> Option<Observed>,
    ) -> Vec<(SeriesId, f64)> {
        let mut shifts = Vec::new();
        self.0.retain(|series, settling| {
            if let Some(now) = now(*series).filter(|now| now.has_data && now.at > settling.newest_at) {
                settling.newest_at = now.at;
                settling.values += 1;
                if settling.misses.len() < VALUES {
                    settling.misses.push(now.value - now.expected);
                    shifts.extend(settling.last_shift(&now).map(|by| (*series, by)));
                }
                settling.calm = if now.surprise < FINDING_SURPRISE_MIN { settling.calm + 1 } else { 0 };
            }
            let has_settled = settling.misses.len() == VALUES && settling.calm >= CALM_VALUES;
            let waited_ms = at.since(settling.since);
            let is_late = waited_ms >= PATIENCE_MS && settling.values >= PATIENCE_VALUES;
            // A series that says nothing any more is not waited for.
            let is_gone = waited_ms >= 24 * PATIENCE_MS;
            !(has_settled || is_late || is_gone)
        });
        shifts
    }
}

impl Settling {
    /// Once all values are there: by how much the first shift missed.
    fn last_shift(&self, now: &Observed) -> Option<f64> {
        let mut misses = self.misses.clone();
        misses.sort_by(f64::total_cmp);
        let median = misses.get(VALUES / 2).copied().filter(|_| misses.len() == VALUES)?;
        if self.was_shifted { Some(median) } else { by_miss(now, median) }
    }
}

/// A shift by `miss`, where that is more than noise.
fn by_miss(now: &Observed, miss: f64) -> Option<f64> {
    (miss.is_finite() && miss.abs() > NOISE * (now.high - now.low)).then_some(miss)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: SeriesId = SeriesId(1);

    fn seen(row: i64, value: f64, expected: f64, surprise: f32) -> Observed {
        let [low, high] = [expected - 3.0, expected + 3.0];
        Observed {
            at: Timestamp(row * 15_000),
            value,
            expected,
            low,
            high,
            surprise,
            own: 1.0,
            has_data: true,
        }
    }

    /// Steps until the series has settled, at most `rows`; gives after how many, and the shifts on the way.
    fn settle(rows: i64, course: impl Fn(i64) -> Observed) -> (i64, Vec<f64>) {
        let mut settlement = Settlement::default();
        let mut shifts: Vec<f64> =
            settlement.begin(Timestamp(0), (SERIES, EntityId(0)), Some(course(0))).into_iter().collect();
        for row in 1..=rows {
            let now = course(row);
            shifts.extend(settlement.step(now.at, |_| Some(now)).into_iter().map(|(_, by)| by));
            if settlement.0.is_empty() {
                return (row, shifts);
            }
        }
        (rows, shifts)
    }

    #[test]
    fn the_last_value_shifts_and_the_median_of_the_next_corrects_it() {
        let course = |row| match row {
            0 => seen(0, 44.0, 0.0, 7.0),
            _ if row <= 15 => seen(row, 40.0 + (row % 3) as f64, 44.0, 0.5),
            _ => seen(row, 41.0, 41.0, 0.5),
        };
        assert_eq!(settle(400, course), (15, vec![44.0, -3.0]));
    }

    #[test]
    fn what_is_calm_already_is_not_moved() {
        assert_eq!(settle(400, |row| seen(row, 1.0, 0.0, 0.5)), (15, vec![]));
    }

    #[test]
    fn what_never_calms_is_told_again_after_an_hour() {
        assert_eq!(settle(400, |row| seen(row, 0.0, 0.0, 5.0)).0, 240);
    }
}
