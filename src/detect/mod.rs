//! How odd is this value, given the past of its own series? Every detector answers in one currency, the surprise.
//!
//! A surprise is -log10 of the probability of something at least as odd: 3 is one in a thousand.
//! `derivative`, `seasonal` and `novelty` give a raw statistic a lane; `kernel::tail` turns each into a surprise,
//! `fuse` makes one of several; `univariate` holds all of a block's detectors. Of the signals of one entity
//! `energy` says how far they are from rest together, which `calibrate` turns into a surprise, and `multivariate`
//! which relation between them broke. `entity` scores rows of signals that come as a file and not as series, where
//! `effect` makes rows of all files comparable.
#![allow(clippy::needless_range_loop, reason = "a lane indexes several arrays at once")]

pub mod calibrate;
pub mod derivative;
pub mod effect;
pub mod energy;
pub mod entity;
#[cfg(test)]
mod faults;
pub mod fuse;
pub mod multivariate;
pub mod novelty;
pub mod profile;
pub mod seasonal;
#[cfg(test)]
mod shapes;
pub mod spread;
pub mod subspace;
pub mod together;
pub mod univariate;

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask, Timestamp};

pub use entity::{EntityRow, EntityScore};
pub use multivariate::{MultiSurprise, Multivariate, Part};
pub use together::Together;
pub use univariate::{Row, Univariate};

/// The detectors, a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Derivative,
    Seasonal,
    /// The value, or a short shape, was never there before.
    Novelty,
    /// All signals of an entity together are further from rest than usual.
    Energy,
    /// A relation between the signals of an entity broke.
    Multivariate,
    /// No value came where one was due.
    Silence,
    /// A hard limit comes near (`predict/limit.rs`).
    Limit,
}

/// Which detectors speak; of those that do not, derivative and season still learn, as others need what they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detectors {
    pub derivative: bool,
    pub seasonal: bool,
    pub novelty: bool,
    pub energy: bool,
    pub multivariate: bool,
}

impl Default for Detectors {
    fn default() -> Self {
        Detectors { derivative: true, seasonal: true, novelty: true, energy: true, multivariate: true }
    }
}

impl Detectors {
    pub const NAMES: [&str; 5] = ["derivative", "seasonal", "novelty", "energy", "multivariate"];

    /// All but those of these names.
    pub fn without(names: &[String]) -> Self {
        let on = |name| !names.iter().any(|off| off == name);
        let [derivative, seasonal, novelty, energy, multivariate] = Self::NAMES.map(on);
        Detectors { derivative, seasonal, novelty, energy, multivariate }
    }
}

/// When a tick is, as detectors need to know it: the instant, and the local time by which people live.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    pub at: Timestamp,
    pub cadence_seconds: u32,
    /// 0..86_400, local to the site: on a DST night it jumps or repeats, as habits do.
    pub local_second_of_day: u32,
    /// 0 is Monday; a holiday counts as Sunday, 6.
    pub local_weekday: u8,
}

impl Tick {
    /// For a site that lives by UTC.
    pub fn utc(at: Timestamp, cadence_seconds: u32) -> Self {
        let seconds = at.0.div_euclid(1000);
        // 1970-01-01 was a Thursday, weekday 3.
        let local_weekday = (seconds.div_euclid(86_400) + 3).rem_euclid(7) as u8;
        Tick { at, cadence_seconds, local_second_of_day: seconds.rem_euclid(86_400) as u32, local_weekday }
    }
}

/// What a series was expected to be, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    pub expected: f64,
    pub low: f64,
    pub high: f64,
}

/// A count in f32 stays exact up to here.
const COUNT_MAX: f32 = 10_000_000.0;

/// Noise has no clock, but its size follows the week: of a series that is looked at closely, a week is remembered.
const NOISE_MEMORY_SAMPLES: f32 = 1_000.0;
const NOISE_MEMORY_SECONDS: f32 = 7.0 * 86_400.0;
/// And never more than this share of a lane's past: its errors were large while its habits were unknown.
const NOISE_MEMORY_SHARE: f32 = 1.0 / 3.0;

/// The most samples that a yardstick or a tail remembers.
fn noise_memory_max(cadence_seconds: f32) -> f32 {
    NOISE_MEMORY_SAMPLES.max(NOISE_MEMORY_SECONDS / cadence_seconds)
}

/// How many it remembers that has learnt from `age`.
#[inline(always)]
fn noise_memory_samples(age: f32, memory_max: f32) -> f32 {
    (age * NOISE_MEMORY_SHARE).clamp(NOISE_MEMORY_SAMPLES, memory_max)
}

/// How much past the 16 lanes of a chunk have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Samples learnt from.
    pub age: Lanes,
    /// Rows missed since the last sample.
    pub gap: Lanes,
    /// The first two samples, and how many of them there are.
    opening: [Lanes; 2],
    met: Lanes,
    pub cadence_seconds: f32,
    memory_max: f32,
}

impl Past {
    fn new(cadence_seconds: u32) -> Self {
        let none = [0.0; CHUNK];
        let cadence_seconds = cadence_seconds as f32;
        let memory_max = noise_memory_max(cadence_seconds);
        Past { age: none, gap: none, opening: [none; 2], met: none, cadence_seconds, memory_max }
    }

    fn reset(&mut self, lane: usize) {
        (self.age[lane], self.gap[lane], self.met[lane]) = (0.0, 0.0, 0.0);
    }

    fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        for opening in &mut self.opening {
            opening[lane] = (opening[lane] - shift) * factor;
        }
    }

    /// Where a lane starts, once it has shown three samples: at their median, as the first answer of an
    /// exporter may be anything.
    fn open(&mut self, lane: usize, x: f32) -> Option<f32> {
        let met = self.met[lane] as usize;
        if met < self.opening.len() {
            self.opening[met][lane] = x;
            self.met[lane] += 1.0;
            return None;
        }
        let (first, second) = (self.opening[0][lane], self.opening[1][lane]);
        Some(x.min(first.max(second)).max(first.min(second)))
    }

    /// Samples that yardsticks and tails remember.
    #[inline(always)]
    fn memory_samples(&self) -> Lanes {
        std::array::from_fn(|lane| noise_memory_samples(self.age[lane], self.memory_max))
    }

    /// The lanes that have a past of a day.
    #[inline(always)]
    fn knows_a_day(&self) -> Mask {
        let day = 86_400.0 / self.cadence_seconds;
        (0..CHUNK).fold(Mask::NONE, |known, lane| known.with(lane, self.age[lane] >= day))
    }

    /// The lanes that have learnt from a sample at least.
    #[inline(always)]
    fn known(&self) -> Mask {
        (0..CHUNK).fold(Mask::NONE, |known, lane| known.with(lane, self.age[lane] > 0.0))
    }

    /// Counts a row in which a lane was seen, or learnt from, or neither.
    #[inline(always)]
    fn count(&mut self, lane: usize, seen: Mask, learn: Mask) {
        self.gap[lane] = if seen.has(lane) { 0.0 } else { (self.gap[lane] + 1.0).min(COUNT_MAX) };
        if learn.has(lane) {
            self.age[lane] = (self.age[lane] + 1.0).min(COUNT_MAX);
        }
    }
}
