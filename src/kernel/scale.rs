//! How large an error usually is: a robust standard deviation a lane, the yardstick of every statistic.
//!
//! The mean square of errors, each counted as at most `WINSOR` deviations, so that an outlier can't
//! widen the yardstick. A small share of the largest error lately is a floor under it: a series that
//! rests at zero and jumps now and then has a mean square far below its jumps, and they are its normal life.
//! A lane costs 8 bytes and about 12 flops a tick.

use serde::{Deserialize, Serialize};

use crate::kernel::{Lanes, NORMALISED_MAX, gain};
use crate::sample::{CHUNK, Mask};

/// An error counts as at most this many deviations.
const WINSOR: f32 = 3.0;
/// Samples before errors are cut at all.
const TRUSTING_SAMPLES: f32 = 20.0;
/// Share of the largest recent error below which the deviation never falls.
const FLOOR: f32 = 0.05;
/// The largest error halves in about twice the memory.
const PEAK_FADE: f32 = 0.35;
/// One error raises the peak to at most this many times itself.
const PEAK_GROWTH: f32 = 3.0;
/// What stands for "infinitely many deviations" where a lane has never erred before.
const RATIO_MAX: f32 = 1e6;
/// Of `NORMALISED_MAX`, near enough.
const SQUARE_MAX: f32 = 1e30;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    mean_square: Lanes,
    peak: Lanes,
}

impl Scale {
    pub const ZERO: Scale = Scale { mean_square: [0.0; CHUNK], peak: [0.0; CHUNK] };

    /// The usual size of an error, in the lane's normalised unit; 0 for a lane that never erred.
    #[inline(always)]
    pub fn value(&self, lane: usize) -> f32 {
        self.mean_square[lane].sqrt().max(self.peak[lane] * FLOOR)
    }

    /// The error as a multiple of its usual size, with its sign.
    #[inline(always)]
    pub fn ratio(&self, lane: usize, error: f32) -> f32 {
        let scale = self.value(lane);
        if scale > 0.0 {
            (error / scale).clamp(-RATIO_MAX, RATIO_MAX)
        } else if error == 0.0 {
            0.0
        } else {
            RATIO_MAX.copysign(error)
        }
    }

    pub fn reset(&mut self, lane: usize) {
        self.mean_square[lane] = 0.0;
        self.peak[lane] = 0.0;
    }

    /// Follows the normaliser, whose unit became `factor` times as fine.
    pub fn affine(&mut self, lane: usize, factor: f32) {
        self.mean_square[lane] = (self.mean_square[lane] * factor * factor).min(SQUARE_MAX);
        self.peak[lane] = (self.peak[lane] * factor).min(NORMALISED_MAX);
    }
}

/// Learns the size of one error of every lane in `learn`; `age` counts the samples a lane has learnt from, of which
/// `memory` are remembered.
#[inline(always)]
pub fn learn(state: &mut Scale, age: &Lanes, memory: &Lanes, error: &Lanes, learn: Mask) {
    for lane in 0..CHUNK {
        if !learn.has(lane) {
            continue;
        }
        let size = error[lane].abs();
        let bound = if age[lane] < TRUSTING_SAMPLES { f32::INFINITY } else { WINSOR * state.value(lane) };
        let believed = if bound > 0.0 { size.min(bound) } else { 0.0 };
        state.mean_square[lane] +=
            gain(age[lane], memory[lane]) * (believed * believed - state.mean_square[lane]);
        let faded = state.peak[lane] * (1.0 - PEAK_FADE / memory[lane]);
        let reach = if faded > 0.0 { size.min(faded * PEAK_GROWTH) } else { size };
        state.peak[lane] = faded.max(reach);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(errors: impl IntoIterator<Item = f32>) -> Scale {
        let mut state = Scale::ZERO;
        for (n, error) in errors.into_iter().enumerate() {
            learn(&mut state, &[n as f32; CHUNK], &[1e3; CHUNK], &[error; CHUNK], Mask::ALL);
        }
        state
    }

    /// The definition for errors that nothing cuts: the root of the mean of squares.
    fn oracle(errors: &[f32]) -> f32 {
        (errors.iter().map(|e| f64::from(*e).powi(2)).sum::<f64>() / errors.len() as f64).sqrt() as f32
    }

    #[test]
    fn however_fine_the_unit_becomes_it_learns() {
        let mut state = feed([1.0; 100]);
        for _ in 0..4 {
            state.affine(3, (1u64 << 40) as f32);
        }
        learn(&mut state, &[1e3; CHUNK], &[1e3; CHUNK], &[1.0; CHUNK], Mask::ALL);
        assert!(
            state.mean_square[3] <= SQUARE_MAX && state.value(3).is_finite(),
            "{:?}",
            state.mean_square[3]
        );
    }

    proptest! {
        #[test]
        fn equals_its_oracle_while_nothing_is_cut(errors in prop::collection::vec(0.5f32..1.0, 1..300)) {
            let got = feed(errors.iter().copied()).value(3);
            prop_assert!((got / oracle(&errors) - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn one_outlier_barely_widens_the_yardstick() {
        let calm = feed((0..1000).map(|n| if n % 2 == 0 { 1.0 } else { -1.0 }));
        let hit = feed((0..1000).map(|n| if n == 900 { 1e9 } else { 1.0 }));
        assert!(hit.value(0) < 1.05 * calm.value(0));
    }

    #[test]
    fn rare_jumps_of_a_resting_series_become_its_yardstick() {
        let resting = feed((0..2000).map(|n| if n % 500 == 499 { 1.0 } else { 0.0 }));
        assert!(resting.ratio(0, 1.0) < 30.0, "{}", resting.ratio(0, 1.0));
    }

    #[test]
    fn a_lane_that_never_erred_finds_any_error_infinite() {
        let state = feed([0.0; 50]);
        assert_eq!((state.ratio(0, 0.0), state.ratio(0, -1e-3)), (0.0, -RATIO_MAX));
    }
}
