//! How much wider than usual a lane strays at this time of the day.
//!
//! What people do varies with how much of it they do: counts at ten in the morning stray by more than at four at night,
//! and one yardstick for both finds the morning odd and the night never. A table over the day holds the mean square
//! of residuals in units of the yardstick; between the middles of its slots it is interpolated. It begins at 1
//! everywhere and moves within days.
//! Cost: 48 bytes and about 12 flops a lane and tick.

use serde::{Deserialize, Serialize};

use super::{Tick, profile};
use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask};

const DAY_SECONDS: f64 = 86_400.0;
const SLOTS: usize = 12;
/// Visits that a slot remembers.
const DAYS_REMEMBERED: f32 = 7.0;
/// A residual counts as at most this many deviations.
const WINSOR: f32 = 4.0;
/// Where a table says that there is never any noise, there was none to learn from.
const SQUARE_MIN: f32 = 0.2;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    square: Vec<[Lanes; SLOTS]>,
}

/// A place in the table, and how much a sample there counts.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    day: profile::Place,
    gain: f32,
}

impl Place {
    pub fn of(tick: &Tick) -> Self {
        let day = profile::Place::of(f64::from(tick.local_second_of_day) / DAY_SECONDS, SLOTS);
        let visit_samples = (DAY_SECONDS / SLOTS as f64) as f32 / tick.cadence_seconds as f32;
        Place { day, gain: (1.0 / (DAYS_REMEMBERED * visit_samples)).min(0.1) }
    }
}

impl Spread {
    pub fn grow(&mut self, chunks: usize) {
        self.square.resize(chunks, [[1.0; CHUNK]; SLOTS]);
    }

    /// How many times the usual deviation of chunk `i`'s lanes is that of this hour.
    #[inline(always)]
    pub fn at(&self, i: usize, place: Place) -> Lanes {
        let (before, after) = (&self.square[i][place.day.before], &self.square[i][place.day.after]);
        std::array::from_fn(|lane| {
            (before[lane] + place.day.share * (after[lane] - before[lane])).max(SQUARE_MIN).sqrt()
        })
    }

    /// Learns from residuals in units of the yardstick. A lane has learnt from `age` samples, a day's at least; the
    /// first day stands for one visit that found nothing.
    #[inline(always)]
    pub fn learn(&mut self, i: usize, place: Place, age: &Lanes, ratio: &Lanes, learn: Mask) {
        let square = &mut self.square[i][place.day.slot];
        for lane in 0..CHUNK {
            if learn.has(lane) {
                let ratio = ratio[lane].clamp(-WINSOR, WINSOR);
                let gain = place.gain.max(SLOTS as f32 / age[lane]);
                square[lane] += gain * (ratio * ratio - square[lane]);
            }
        }
    }

    pub fn reset(&mut self, lane: usize) {
        for square in &mut self.square[lane / CHUNK] {
            square[lane % CHUNK] = 1.0;
        }
    }
}
