//! Where a lane stands of late, by a mean and by a median, and how rough its way is.

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::CHUNK;

/// Least weight of a new sample: in the mean and its variance, in the mean distance to the median.
const MEAN_GAIN: f32 = 0.03;
const DISTANCE_GAIN: f32 = 0.005;
/// The median moves by this share of the mean distance to it, once it has been a mean for some samples.
const MEDIAN_STEP: f32 = 0.02;
const MEDIAN_FROM: f32 = 20.0;
/// Memory of the short and of the long mean difference, in samples.
const ROUGH_SHORT: f32 = 12.0;
const ROUGH_LONG: f32 = 400.0;
/// The long one never counts as calmer than e^4 times the short.
const CALM_MIN: f32 = -4.0;
/// Half-life, in samples, of the range against which a spread is told: 1,000.
const RANGE_KEEP: f32 = 0.999_307_1;
/// Spreads below this share of the range are all the same.
const SPREAD_MIN: f32 = 0.01;

/// How far a value lies from where its lane stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distance {
    /// To the mean, in the lane's unit.
    pub to_mean: f32,
    /// The same in deviations, and to the median in mean distances; both as signed ln(1 + x).
    pub deviations: f32,
    pub to_median: f32,
    /// ln of the short mean difference over the long.
    pub roughness: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    mean: Lanes,
    variance: Lanes,
    median: Lanes,
    distance: Lanes,
    rough_short: Lanes,
    rough_long: Lanes,
    low: Lanes,
    high: Lanes,
}

/// `|x|` is compressed, its sign kept. Of a lane that stood still for days a distance can be beyond all numbers: the result
/// is finite.
fn signed_log(x: f32) -> f32 {
    libm::copysignf(libm::log1pf(x.abs().min(f32::MAX)), x)
}

impl Level {
    pub fn new() -> Self {
        let zero = [0.0; CHUNK];
        Level {
            mean: zero,
            variance: zero,
            median: zero,
            distance: zero,
            rough_short: zero,
            rough_long: zero,
            low: zero,
            high: zero,
        }
    }

    /// Starts a lane at its first value.
    pub fn seed(&mut self, lane: usize, value: f32) {
        for zero in [&mut self.variance, &mut self.distance, &mut self.rough_short, &mut self.rough_long] {
            zero[lane] = 0.0;
        }
        for place in [&mut self.mean, &mut self.median, &mut self.low, &mut self.high] {
            place[lane] = value;
        }
    }

    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        for place in [&mut self.mean, &mut self.median, &mut self.low, &mut self.high] {
            place[lane] = (place[lane] - shift) * factor;
        }
        for size in [&mut self.distance, &mut self.rough_short, &mut self.rough_long] {
            size[lane] *= factor;
        }
        self.variance[lane] *= factor * factor;
    }

    /// ln of a deviation as a share of the range of late.
    #[inline(always)]
    pub fn spread(&mut self, lane: usize, value: f32, deviation: f32) -> f32 {
        let middle = 0.5 * (self.low[lane] + self.high[lane]);
        self.high[lane] = value.max(middle + (self.high[lane] - middle) * RANGE_KEEP);
        self.low[lane] = value.min(middle + (self.low[lane] - middle) * RANGE_KEEP);
        let range = self.high[lane] - self.low[lane];
        let share = if range > 0.0 { deviation / range } else { 0.0 };
        libm::logf(share.clamp(SPREAD_MIN, f32::MAX))
    }

    /// The distances of the sample after `samples` earlier ones, `previous` the last of them.
    #[inline(always)]
    pub fn meet(&mut self, lane: usize, value: f32, previous: f32, samples: f32, learn: bool) -> Distance {
        let mut of = Distance { to_mean: value - self.mean[lane], ..Distance::default() };
        let deviation = self.variance[lane].sqrt();
        if deviation > 0.0 {
            of.deviations = signed_log(of.to_mean / deviation);
        }
        self.follow(lane, value, previous, samples, learn);
        if learn {
            self.learn(lane, value, samples);
        }
        if self.distance[lane] > 0.0 {
            of.to_median = signed_log((value - self.median[lane]) / self.distance[lane]);
        }
        if samples > 0.0 && self.rough_long[lane] > 0.0 {
            let ratio = self.rough_short[lane] / self.rough_long[lane];
            // A lane that stood still for days is beyond all numbers as rough, once it moves and that isn't learnt.
            of.roughness = libm::logf(ratio.clamp(1e-12, f32::MAX)).max(CALM_MIN);
        }
        of
    }

    /// The short mean difference says how rough the lane is, and only the long one how rough it usually is.
    #[inline(always)]
    fn follow(&mut self, lane: usize, value: f32, previous: f32, samples: f32, learn: bool) {
        if samples > 0.0 {
            let (step, first) = ((value - previous).abs(), 1.0 / samples);
            self.rough_short[lane] += (step - self.rough_short[lane]) * first.max(1.0 / ROUGH_SHORT);
            if learn {
                self.rough_long[lane] += (step - self.rough_long[lane]) * first.max(1.0 / ROUGH_LONG);
            }
        }
    }

    #[inline(always)]
    fn learn(&mut self, lane: usize, value: f32, samples: f32) {
        let first = 1.0 / (samples + 1.0);
        let gain = first.max(MEAN_GAIN);
        let residual = value - self.mean[lane];
        self.mean[lane] += gain * residual;
        self.variance[lane] = (1.0 - gain) * (self.variance[lane] + gain * residual * residual);
        let apart = value - self.median[lane];
        self.distance[lane] += (apart.abs() - self.distance[lane]) * first.max(DISTANCE_GAIN);
        self.median[lane] += if samples > MEDIAN_FROM {
            let side = f32::from(i8::from(apart > 0.0) - i8::from(apart < 0.0));
            self.distance[lane] * MEDIAN_STEP * side
        } else {
            apart * first
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_after_days_of_rest_is_far_and_not_infinitely_so() {
        let mut level = Level::new();
        level.seed(0, 0.0);
        let mut previous = 0.0;
        for n in 1..60_000 {
            let value = if n < 300 { (n % 2) as f32 } else { 0.0 };
            level.meet(0, value, previous, n as f32, true);
            level.spread(0, value, 0.0);
            previous = value;
        }
        let of = level.meet(0, 1.0, previous, 60_000.0, false);
        assert!(of.roughness > 30.0 && of.to_median > 30.0 && of.deviations > 30.0, "{of:?}");
        assert!(of.roughness < 100.0 && of.to_median < 100.0 && of.deviations < 100.0, "{of:?}");
        assert!(level.spread(0, 1e-30, 1.0).is_finite());
    }
}
