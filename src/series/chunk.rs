//! 16 series side by side, each with the normaliser that fits its f64 values into an f32 row.
//!
//! The normaliser is affine: `x = (value - center) / scale`. The center lies near the values, so bytes
//! around 1e12 lose nothing; the scale is a power of two, hence exact, near the typical change between
//! samples. A lane whose values went far from its center and stayed there is centred anew.
//!
//! Each array of a chunk lies on its own cache lines.

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask, Sample, Timestamp};
use crate::series::registry::SeriesId;

/// Distance from the center, in typical changes, at which f32 keeps but 8 bits of a typical change.
const FAR: f64 = 65_536.0;

/// Typical changes in normalised units, between which the scale stays.
const FIT: std::ops::RangeInclusive<f64> = 1.0 / 1024.0..=1024.0;

/// So many samples in a row must not fit before the normaliser moves: a single absurd value moves nothing.
const UNFIT_SAMPLES: u8 = 8;

/// Changes of value after which the scale, a guess until then, is set by what was seen.
const SETTLED_CHANGES: u8 = 16;

/// Normalised values stop here, so that their squares are finite too.
pub const X_MAX: f32 = (1u64 << 50) as f32;

/// A typical change stops here, so that sums and multiples of it are finite.
const STRIDE_MAX: f64 = 1e300;

/// The scale is a power of two within these.
const SCALE_EXPONENT_MIN: i32 = -40;
const SCALE_EXPONENT_MAX: i32 = 400;

/// A change of scale beyond this, or its inverse, is a new start and no change of unit.
const FACTOR_MAX: f64 = (1u64 << 40) as f64;

/// 16 lanes of series.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub(super) struct Chunk {
    /// The last value and its time, in milliseconds; `i64::MIN` before the first and after a stale marker.
    value: [f64; CHUNK],
    at: [i64; CHUNK],
    center: [f64; CHUNK],
    /// One over the scale.
    per_scale: [f64; CHUNK],
    /// The typical change of value, in the series' unit; 0 before the first.
    stride: [f64; CHUNK],
    /// Changes so far, saturating.
    changes: [u8; CHUNK],
    /// Samples in a row for which the normaliser was unfit.
    unfit: [u8; CHUNK],
    pub(super) series: [Option<SeriesId>; CHUNK],
}

impl Chunk {
    pub(super) const EMPTY: Chunk = Chunk {
        value: [0.0; CHUNK],
        at: [i64::MIN; CHUNK],
        center: [0.0; CHUNK],
        per_scale: [1.0; CHUNK],
        stride: [0.0; CHUNK],
        changes: [0; CHUNK],
        unfit: [0; CHUNK],
        series: [None; CHUNK],
    };

    pub(super) fn start(&mut self, i: usize, first: Sample) {
        self.value[i] = first.value;
        self.at[i] = first.at.0;
        self.center[i] = first.value;
        // A guess: a 64th of the value.
        let scale = if first.value == 0.0 { 1.0 } else { power_of_two_near(first.value / 64.0) };
        self.per_scale[i] = 1.0 / scale;
        self.stride[i] = 0.0;
        self.changes[i] = 0;
        self.unfit[i] = 0;
    }

    pub(super) fn silence(&mut self, i: usize) {
        self.at[i] = i64::MIN;
    }

    pub(super) fn last(&self, i: usize) -> Option<Sample> {
        let (at, value) = (Timestamp(self.at[i]), self.value[i]);
        (at != Timestamp::MIN).then_some(Sample { at, value })
    }

    /// The normalised values of (since, at]; 0 and not seen where there is none.
    pub(super) fn row(&self, since: Timestamp, at: Timestamp) -> (Lanes, Mask) {
        let seen: [bool; CHUNK] = std::array::from_fn(|i| self.at[i] > since.0 && self.at[i] <= at.0);
        let x = std::array::from_fn(|i| {
            let normal = ((self.value[i] - self.center[i]) * self.per_scale[i]) as f32;
            if seen[i] { normal.clamp(-X_MAX, X_MAX) } else { 0.0 }
        });
        (x, mask(seen))
    }

    /// Lanes with a series that has had no value after `since`.
    pub(super) fn silent_since(&self, since: Timestamp) -> Mask {
        mask(std::array::from_fn(|i| self.series[i].is_some() && self.at[i] <= since.0))
    }

    pub(super) fn raw(&self, i: usize, x: f32) -> f64 {
        self.center[i] + f64::from(x) / self.per_scale[i]
    }

    /// Takes in the next value; true where the lane should be centred anew.
    pub(super) fn put(&mut self, i: usize, sample: Sample) -> bool {
        let change = (sample.value - self.value[i]).abs().min(STRIDE_MAX);
        self.value[i] = sample.value;
        self.at[i] = sample.at.0;
        if change > 0.0 {
            self.changes[i] = self.changes[i].saturating_add(1);
            self.stride[i] = stride(self.stride[i], change, self.changes[i]);
        }
        if change > 0.0 && self.changes[i] == SETTLED_CHANGES {
            return true;
        }
        let is_far = (sample.value - self.center[i]).abs() > FAR * self.stride[i];
        let is_settled = self.changes[i] > SETTLED_CHANGES;
        let unfit = is_far || is_settled && !FIT.contains(&(self.stride[i] * self.per_scale[i]));
        self.unfit[i] = if unfit { self.unfit[i].saturating_add(1) } else { 0 };
        self.unfit[i] == UNFIT_SAMPLES
    }

    /// Centres a lane at its value and scales it by its stride. Returns shift and factor, `None` where
    /// f32 cannot follow: the lane then starts anew.
    pub(super) fn centre(&mut self, i: usize) -> Option<(f32, f32)> {
        self.unfit[i] = 0;
        let (value, old) = (self.value[i], self.per_scale[i]);
        // What detectors are told in f32 is also what happens to the center, to the bit.
        let shift = ((value - self.center[i]) * old) as f32;
        // Finer than f64 itself nothing can be.
        let new = 1.0 / power_of_two_near(self.stride[i].max(value.abs() * f64::EPSILON));
        let factor = new / old;
        if shift.abs() > X_MAX {
            let at = Timestamp(self.at[i]);
            self.start(i, Sample { at, value });
            return None;
        }
        if !(1.0 / FACTOR_MAX..=FACTOR_MAX).contains(&factor) {
            // With the scale that was seen, not a guess: what moves by rounding alone would start anew for ever.
            (self.center[i], self.per_scale[i]) = (value, new);
            return None;
        }
        self.center[i] += f64::from(shift) / old;
        self.per_scale[i] = new;
        Some((shift, factor as f32))
    }
}

fn mask(on: [bool; CHUNK]) -> Mask {
    Mask(on.iter().enumerate().fold(0, |bits, (i, &on)| bits | u16::from(on) << i))
}

/// The mean of the first changes, then one that forgets within 32, in which a jump counts as four
/// ordinary changes at most. A sample equal to the last is no change: a constant has not become finer.
fn stride(before: f64, change: f64, changes: u8) -> f64 {
    if changes <= SETTLED_CHANGES {
        return before + (change - before) / f64::from(changes);
    }
    before + (change.min(4.0 * before) - before) / 32.0
}

/// The power of two at or below `|x|`, within bounds.
fn power_of_two_near(x: f64) -> f64 {
    libm::ldexp(1.0, libm::ilogb(x).clamp(SCALE_EXPONENT_MIN, SCALE_EXPONENT_MAX))
}
