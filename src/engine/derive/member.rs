//! One series of what is read together: what it has counted, or what it holds, at each instant of the last half hour.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::predict::law::Part;
use crate::predict::pack::Side;
use crate::sample::{Sample, Timestamp, ValueKind};
use crate::series::cadence::Cadence;
use crate::series::clean::{Cleaned, Cleaner, Why};
use crate::series::head::NO_DATA_ROWS;
use crate::series::registry::SeriesId;

/// Of the points within this of each other the newest is kept.
const GRAIN_MS: i64 = 15_000;
/// A series that says nothing for so long is no part, however seldom it speaks.
const SILENT_MS_MAX: i64 = 1_800_000;
/// The points of the time in which others wait for one that is not yet silent, and one at each end.
const POINTS_MAX: usize = (SILENT_MS_MAX / GRAIN_MS) as usize + 2;

/// A series as a part of a law.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Member {
    series: SeriesId,
    part: Part,
    cleaner: Cleaner,
    cadence: Cadence,
    /// What is held, or how much has passed since the first of an unbroken run.
    points: VecDeque<(Timestamp, f64)>,
}

/// What a sample makes of what was known before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    Holds,
    /// It leads no more to what follows.
    Broken,
    /// The series has ended.
    Ended,
}

impl Member {
    /// `metric` is the name of the series.
    pub fn new(series: SeriesId, metric: &str, part: Part) -> Self {
        Member {
            series,
            part,
            cleaner: Cleaner::new(metric),
            cadence: Cadence::default(),
            points: VecDeque::new(),
        }
    }

    pub fn series(&self) -> SeriesId {
        self.series
    }

    pub fn part(&self) -> Part {
        self.part
    }

    /// The next sample of the series.
    pub fn take(&mut self, kind: ValueKind, sample: Sample) -> Past {
        // A sum may be taken over any interval, so none is too short.
        let cleaned = self.cleaner.push(kind, sample, 0);
        let is_missed = self.has_missed(sample.at);
        if cleaned != Cleaned::Gone {
            self.cadence.push(sample.at);
        }
        let at = sample.at;
        match (cleaned, self.part.side) {
            (Cleaned::Gone, _) => Past::Ended,
            (
                Cleaned::Nothing(Why::Missing | Why::Infinite | Why::Duplicate | Why::Backwards | Why::Early),
                _,
            ) => Past::Holds,
            (Cleaned::Value(held), Side::Stays) if !self.cleaner.is_rate() => {
                put(&mut self.points, (at, held * self.part.times));
                Past::Holds
            }
            // What an exporter gives as a rate holds for the time since it last did, if that is known to be no outage.
            (Cleaned::Value(rate), side) if side.is_passing() && (self.cleaner.is_rate() || !is_missed) => {
                let Some(&(before, passed)) = self.points.back() else { return self.begin(at) };
                let seconds = at.since(before) as f64 / 1000.0;
                put(&mut self.points, (at, passed + rate * self.part.times * seconds));
                Past::Holds
            }
            (Cleaned::Value(_) | Cleaned::Nothing(Why::First | Why::Reset | Why::Fall), side)
                if side.is_passing() =>
            {
                self.begin(at)
            }
            (Cleaned::Nothing(Why::Turned), side) if side.is_passing() && self.cleaner.is_rate() => {
                self.begin(at)
            }
            (Cleaned::Value(_) | Cleaned::Nothing(_), _) => {
                self.points.clear();
                Past::Broken
            }
        }
    }

    /// Counts from here on.
    fn begin(&mut self, at: Timestamp) -> Past {
        self.points.clear();
        self.points.push_back((at, 0.0));
        Past::Broken
    }

    /// When it last had a value.
    pub fn newest(&self) -> Option<Timestamp> {
        self.points.back().map(|(at, _)| *at)
    }

    /// Whether it has said nothing for so long that nobody waits for it.
    pub fn is_silent(&self, at: Timestamp) -> bool {
        self.newest().is_some_and(|newest| at.since(newest) > SILENT_MS_MAX) || self.has_missed(at)
    }

    /// Whether as many samples are missing as make a series one without data; while the cadence is unknown, none is.
    fn has_missed(&self, at: Timestamp) -> bool {
        let cadence_ms = self.cadence.seconds(1).map(|seconds| i64::from(seconds) * 1000);
        let due = cadence_ms.zip(self.newest());
        due.is_some_and(|(cadence_ms, newest)| at.since(newest) > NO_DATA_ROWS * cadence_ms)
    }

    /// The value at an instant between two points, or at one of them.
    pub fn at(&self, at: Timestamp) -> Option<f64> {
        let after = self.points.partition_point(|(then, _)| *then <= at);
        let (before_at, before) = *self.points.get(after.checked_sub(1)?)?;
        if before_at == at {
            return Some(before);
        }
        let (after_at, after) = *self.points.get(after)?;
        let share = at.since(before_at) as f64 / after_at.since(before_at) as f64;
        Some(before + share * (after - before))
    }

    /// Forgets the points that no instant from here on lies next to.
    pub fn forget_before(&mut self, at: Timestamp) {
        while self.points.get(1).is_some_and(|(second, _)| *second <= at) {
            self.points.pop_front();
        }
    }
}

/// Adds a point in order of time; of those of one grain the newest stands.
pub(super) fn put<T>(points: &mut VecDeque<(Timestamp, T)>, point: (Timestamp, T)) {
    let grain = |at: Timestamp| at.0.div_euclid(GRAIN_MS);
    match points.back_mut() {
        Some(newest) if grain(newest.0) == grain(point.0) => *newest = point,
        _ => points.push_back(point),
    }
    while points.len() > POINTS_MAX {
        points.pop_front();
    }
}
