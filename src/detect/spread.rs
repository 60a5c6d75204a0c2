//! How much wider than usual a lane strays at this time of the day.
//!
//! What people do varies with how much of it they do: counts at ten in the morning stray by more than at four at night,
//! and on a working day by more than on a Sunday. One yardstick for all finds the morning odd and the night never. A
//! table over the hours of a working day and of a day of rest holds the mean square of residuals in units of the
//! yardstick; between the middles of its slots it is interpolated. It begins at 1 everywhere. As in `profile`, samples
//! are summed while a slot lasts and enter when it ends, a long visit as the few samples that are apart; a square is kept
//! as its logarithm in a byte, 2 % a step.
//! Cost: 32 bytes and about 10 flops a lane and tick.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Past, Tick, profile};
use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask};

const DAY_SECONDS: f64 = 86_400.0;
/// Of two hours.
const SLOTS: usize = 12;
/// Working days, and days of rest.
const KINDS: usize = 2;
/// Saturday; what comes after it, and a holiday, is a Sunday.
const REST_WEEKDAY: u8 = 5;
/// Days of each kind in a week.
const DAYS: [f32; KINDS] = [5.0, 2.0];
/// Visits that a slot remembers, and samples, if that is longer.
const VISITS_REMEMBERED: f32 = 7.0;
const SAMPLES_REMEMBERED: f32 = 100.0;
/// Samples of a visit that count, since those near in time are alike; it begins with as many that found nothing.
const VISIT_SAMPLES_MAX: f32 = 24.0;
/// A residual counts as at most this many deviations.
const WINSOR: f32 = 4.0;
/// Steps of the logarithm to a doubling. Where a table says that there is never any noise, there was none to learn
/// from: the lowest square is an eighth.
const STEPS: f32 = 32.0;
const SQUARE_MIN_LOG2: f32 = -3.0;
const ONE: u8 = 96;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Chunk {
    square: [[[u8; CHUNK]; SLOTS]; KINDS],
    /// Of the visit that goes on.
    sum: Lanes,
    count: Lanes,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    chunks: Vec<Chunk>,
    current: Option<Slot>,
}

type Slot = (usize, usize);

/// A place in the table.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    kind: usize,
    day: profile::Place,
}

impl Place {
    pub fn of(tick: &Tick) -> Self {
        let day = profile::Place::of(f64::from(tick.local_second_of_day) / DAY_SECONDS, SLOTS);
        Place { kind: usize::from(tick.local_weekday >= REST_WEEKDAY), day }
    }
}

/// How many times the usual deviation a byte stands for.
static DEVIATIONS: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|byte| libm::exp2f(0.5 * (SQUARE_MIN_LOG2 + byte as f32 / STEPS))));

fn byte_of(square: f32) -> u8 {
    ((libm::log2f(square.max(f32::MIN_POSITIVE)) - SQUARE_MIN_LOG2) * STEPS).round().clamp(0.0, 255.0) as u8
}

impl Spread {
    pub fn grow(&mut self, chunks: usize) {
        let chunk = Chunk { square: [[[ONE; CHUNK]; SLOTS]; KINDS], sum: [0.0; CHUNK], count: [0.0; CHUNK] };
        self.chunks.resize(chunks, chunk);
    }

    /// Ends the visit of the last slot when the time has left it; `past` are the lanes' ages.
    pub fn enter(&mut self, place: Place, past: &[Past]) {
        let slot = (place.kind, place.day.slot);
        let Some((kind, last)) = self.current.replace(slot).filter(|last| *last != slot) else { return };
        for (chunk, past) in self.chunks.iter_mut().zip(past) {
            let day_samples = DAY_SECONDS as f32 / past.cadence_seconds;
            for lane in 0..CHUNK {
                let (sum, count) = (chunk.sum[lane], chunk.count[lane]);
                if count > 0.0 {
                    let visits = (past.age[lane] / day_samples * DAYS[kind] / 7.0).max(1.0);
                    let samples = count.min(VISIT_SAMPLES_MAX);
                    let remembered = (VISITS_REMEMBERED * samples).max(SAMPLES_REMEMBERED);
                    let gain = samples / (VISIT_SAMPLES_MAX + visits * samples).min(remembered);
                    let byte = &mut chunk.square[kind][last][lane];
                    let deviations = DEVIATIONS[usize::from(*byte)];
                    let square = deviations * deviations;
                    *byte = byte_of(square + gain * (sum / count - square));
                }
            }
            (chunk.sum, chunk.count) = ([0.0; CHUNK], [0.0; CHUNK]);
        }
    }

    /// How many times the usual deviation of chunk `i`'s lanes is that of this hour.
    #[inline(always)]
    pub fn at(&self, i: usize, place: Place) -> Lanes {
        let square = &self.chunks[i].square[place.kind];
        let (before, after) = (&square[place.day.before], &square[place.day.after]);
        let of: &[f32; 256] = &DEVIATIONS;
        std::array::from_fn(|lane| {
            let (before, after) = (of[usize::from(before[lane])], of[usize::from(after[lane])]);
            before + place.day.share * (after - before)
        })
    }

    /// Takes residuals in units of the yardstick.
    #[inline(always)]
    pub fn learn(&mut self, i: usize, ratio: &Lanes, learn: Mask) {
        let chunk = &mut self.chunks[i];
        for lane in 0..CHUNK {
            let ratio = ratio[lane].clamp(-WINSOR, WINSOR);
            let (square, one) = if learn.has(lane) { (ratio * ratio, 1.0) } else { (0.0, 0.0) };
            chunk.sum[lane] += square;
            chunk.count[lane] += one;
        }
    }

    pub fn reset(&mut self, lane: usize) {
        let (chunk, lane) = (&mut self.chunks[lane / CHUNK], lane % CHUNK);
        for square in chunk.square.as_flattened_mut() {
            square[lane] = ONE;
        }
        (chunk.sum[lane], chunk.count[lane]) = (0.0, 0.0);
    }
}
