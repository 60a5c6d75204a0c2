//! From a statistic to a surprise: what share of a lane's own past was at least this large?
//!
//! Three quantiles follow the statistic; between them the surprise is a straight line. Beyond the last
//! one the excesses over it are described by a generalised Pareto tail, fitted by their first two
//! moments (Hosking and Wallis 1987). A quantile moves by a share of itself, up when it is passed and
//! down when not (Robbins and Monro 1951), so in the long run it is passed as often as it should be,
//! whatever the shape, the drift or the memory of the series; and however large an outlier is, it is one step.
//! A lane costs 24 bytes and 12 flops a tick, and a logarithm one time in fifty.

use serde::{Deserialize, Serialize};

use crate::kernel::{Lanes, gain};
use crate::sample::{CHUNK, Mask};

/// The largest surprise there is: beyond one in 10^12 numbers say nothing.
pub const SURPRISE_MAX: f32 = 12.0;
/// Samples a lane must have before it can surprise anyone.
pub const WARM_SAMPLES: f32 = 100.0;
/// Samples until a surprise counts whole: what a shorter past says of rare values is half guessed, and all
/// series of a new site come out of their warm-up at the same time. Until then nothing keeps a series from learning.
pub const GROWN_SAMPLES: f32 = 300.0;
/// Samples until the yardstick of the statistic is good enough to learn its tail.
const SETTLED_SAMPLES: f32 = 30.0;
/// A past of n samples speaks of probabilities down to 1/n; the Pareto tail may reach so many decades further
/// where there is noise, which has a shape to go by, and only one where a series mostly rests.
const DECADES_BEYOND: [f32; 2] = [1.0, 3.0];
/// There is noise where the median is this share of the last quantile (Gaussian: 0.29).
const NOISE: f32 = 0.05;

/// How often each quantile is passed, and what surprise that is.
const PASSED: [f32; 3] = [0.5, 0.1, 0.02];
const SURPRISE: [f32; 3] = [std::f32::consts::LOG10_2, 1.0, 1.698_97];
/// Where they lie for the size of Gaussian noise.
const GAUSSIAN: [f32; 3] = [0.674_5, 1.644_9, 2.326_3];
/// A statistic that mostly rests at 0 takes its quantiles down to this.
const QUANTILE_MIN: f32 = 1e-6;
/// Size of a quantile's nth step, times n: one over its density per unit of its logarithm, for Gaussian noise.
const PACE: [f32; 3] = [2.3, 2.9, 8.0];
const STEP_MAX: f32 = 0.25;
/// Rows between a statistic and its being learnt: a disturbance has time to become an incident, which stops
/// learning, before it has made itself usual.
const PENDING_ROWS: usize = 6;

/// Mean excess of Gaussian noise over its last quantile: what is assumed before anything was seen.
const PRIOR_EXCESS: f32 = 0.37;
/// How many excesses that assumption is worth.
const PRIOR_WEIGHT: f32 = 50.0;
/// Excesses remembered, as a share of the samples that are: three times as many as there are among these.
const EXCESS_MEMORY: f32 = 0.06;
/// An excess counts as at most this many mean excesses.
const EXCESS_WINSOR: f32 = 20.0;
/// Added to the shape: a tail known from a few dozen excesses may well be heavier than it looks, and excesses that
/// come in runs are fewer than they are many.
const SHAPE_DOUBT: f32 = 0.08;
/// Shapes of the tail: a little lighter than exponential to infinite variance.
const SHAPE_MIN: f32 = -0.1;
const SHAPE_MAX: f32 = 0.5;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    quantile: [Lanes; 3],
    excess: Lanes,
    excess_square: Lanes,
    /// Excesses learnt from.
    passed: Lanes,
    /// The last few statistics, not learnt yet; NaN where there is none.
    pending: [Lanes; PENDING_ROWS],
    /// The oldest of them.
    cursor: u8,
}

impl Tail {
    pub const GAUSSIAN: Tail = Tail {
        quantile: [[GAUSSIAN[0]; CHUNK], [GAUSSIAN[1]; CHUNK], [GAUSSIAN[2]; CHUNK]],
        excess: [PRIOR_EXCESS; CHUNK],
        excess_square: [2.0 * PRIOR_EXCESS * PRIOR_EXCESS; CHUNK],
        passed: [0.0; CHUNK],
        pending: [[f32::NAN; CHUNK]; PENDING_ROWS],
        cursor: 0,
    };

    pub fn reset(&mut self, lane: usize) {
        for (quantile, gaussian) in self.quantile.iter_mut().zip(GAUSSIAN) {
            quantile[lane] = gaussian;
        }
        self.excess[lane] = PRIOR_EXCESS;
        self.excess_square[lane] = 2.0 * PRIOR_EXCESS * PRIOR_EXCESS;
        self.passed[lane] = 0.0;
        for pending in &mut self.pending {
            pending[lane] = f32::NAN;
        }
    }

    /// Shape and scale of the Pareto tail, from the moments of the excess.
    #[inline(always)]
    fn pareto(&self, lane: usize) -> (f32, f32) {
        let mean = self.excess[lane];
        let variance = (self.excess_square[lane] - mean * mean).max(1e-6 * mean * mean);
        let shape = (SHAPE_DOUBT + 0.5 * (1.0 - mean * mean / variance)).clamp(SHAPE_MIN, SHAPE_MAX);
        (shape, mean * (1.0 - shape))
    }

    /// The quantiles in rising order: each follows for itself, so they can cross for a while.
    #[inline(always)]
    fn knots(&self, lane: usize) -> [f32; 3] {
        let first = self.quantile[0][lane];
        let second = self.quantile[1][lane].max(first * 1.001);
        [first, second, self.quantile[2][lane].max(second * 1.001)]
    }

    /// The surprise of `statistic`, monotone in it, for a lane that has learnt from `age` samples.
    #[inline(always)]
    pub fn surprise(&self, lane: usize, age: f32, statistic: f32) -> f32 {
        if age < WARM_SAMPLES {
            return 0.0;
        }
        let [first, second, last] = self.knots(lane);
        if statistic <= first {
            return SURPRISE[0] * statistic / first;
        }
        if statistic <= second {
            return SURPRISE[0] + (SURPRISE[1] - SURPRISE[0]) * (statistic - first) / (second - first);
        }
        if statistic <= last {
            return SURPRISE[1] + (SURPRISE[2] - SURPRISE[1]) * (statistic - second) / (last - second);
        }
        let (shape, scale) = self.pareto(lane);
        let beyond = decades((statistic - last) / scale, shape) * (age / GROWN_SAMPLES).min(1.0);
        let noise = (first / (last * NOISE)).min(1.0);
        let reach = DECADES_BEYOND[0] + noise * (DECADES_BEYOND[1] - DECADES_BEYOND[0]);
        (SURPRISE[2] + beyond).min(libm::log10f(age) + reach).min(SURPRISE_MAX)
    }

    /// The statistic at which the surprise reaches `surprise`, which lies in the Pareto tail.
    pub fn statistic_at(&self, lane: usize, surprise: f32) -> f32 {
        let (shape, scale) = self.pareto(lane);
        let nats = (surprise - SURPRISE[2]) * std::f32::consts::LN_10;
        let reach = if shape.abs() < 1e-3 { nats } else { (libm::expf(shape * nats) - 1.0) / shape };
        self.knots(lane)[2] + scale * reach
    }

    /// Learns that a lane which had learnt from `age` samples showed `statistic`.
    #[inline(always)]
    fn learn(&mut self, lane: usize, age: f32, memory: f32, statistic: f32) {
        let samples = age - SETTLED_SAMPLES;
        if samples < 0.0 {
            return;
        }
        let last = self.knots(lane)[2];
        for k in 0..3 {
            let step = (PACE[k] * gain(samples, memory)).min(STEP_MAX);
            let passed = f32::from(u8::from(statistic > self.quantile[k][lane]));
            let moved = self.quantile[k][lane] * (1.0 + step * (passed - PASSED[k]));
            self.quantile[k][lane] = moved.max(QUANTILE_MIN);
        }
        if statistic > last {
            let excess = (statistic - last).min(EXCESS_WINSOR * self.excess[lane]);
            let gain = gain(self.passed[lane] + PRIOR_WEIGHT, EXCESS_MEMORY * memory);
            self.excess[lane] += gain * (excess - self.excess[lane]);
            self.excess_square[lane] += gain * (excess * excess - self.excess_square[lane]);
            self.passed[lane] = (self.passed[lane] + 1.0).min(EXCESS_MEMORY * memory);
        }
    }
}

/// Decades by which a generalised Pareto variable of unit scale passes `reach` more rarely than 0.
#[inline(always)]
fn decades(reach: f32, shape: f32) -> f32 {
    if shape.abs() < 1e-3 {
        return reach * std::f32::consts::LOG10_E;
    }
    let inner = 1.0 + shape * reach;
    if inner <= 0.0 { SURPRISE_MAX } else { libm::log10f(inner) / shape }
}

/// Writes the surprise of every seen lane's statistic, 0 elsewhere, and learns from earlier ones where `learn`
/// says so. What was pending when learning stopped is dropped.
#[inline(always)]
pub fn step(
    state: &mut Tail,
    age: &Lanes,
    memory: &Lanes,
    statistic: &Lanes,
    seen: Mask,
    learn: Mask,
    surprise: &mut Lanes,
) {
    let cursor = usize::from(state.cursor);
    state.cursor = ((cursor + 1) % PENDING_ROWS) as u8;
    for lane in 0..CHUNK {
        surprise[lane] = if seen.has(lane) { state.surprise(lane, age[lane], statistic[lane]) } else { 0.0 };
        let next = if seen.and(learn).has(lane) { statistic[lane] } else { f32::NAN };
        let due = std::mem::replace(&mut state.pending[cursor][lane], next);
        if learn.has(lane) && !due.is_nan() {
            state.learn(lane, age[lane], memory[lane], due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::{Distribution, Exp1, StandardNormal, StudentT};
    use statrs::distribution::ContinuousCDF;

    fn tail_of(statistics: impl IntoIterator<Item = f32>) -> (Tail, f32) {
        let (mut tail, mut age) = (Tail::GAUSSIAN, 0.0);
        for statistic in statistics {
            step(
                &mut tail,
                &[age; CHUNK],
                &[1e3; CHUNK],
                &[statistic; CHUNK],
                Mask::ALL,
                Mask::ALL,
                &mut [0.0; CHUNK],
            );
            age += 1.0;
        }
        (tail, age)
    }

    fn samples(n: usize, mut draw: impl FnMut(&mut rand_pcg::Pcg64) -> f32) -> Vec<f32> {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(7);
        (0..n).map(|_| draw(&mut rng)).collect()
    }

    #[test]
    fn equals_the_survival_function_of_gaussian_noise() {
        let (tail, age) = tail_of(samples(20_000, |rng| rng.sample::<f32, _>(StandardNormal).abs()));
        let normal = statrs::distribution::Normal::standard();
        for z in [0.5, 1.0, 2.0, 3.0, 4.0] {
            let want = -libm::log10(2.0 * normal.sf(z)) as f32;
            let got = tail.surprise(3, age, z as f32);
            assert!((got / want - 1.0).abs() < 0.25, "{z}: {got} for {want}");
        }
    }

    #[test]
    fn a_heavy_tail_surprises_less_far_out_than_a_light_one() {
        let student = StudentT::new(3.0).unwrap();
        let (heavy, age) = tail_of(samples(20_000, |rng| (student.sample(rng) as f32).abs()));
        let (light, _) = tail_of(samples(20_000, |rng| rng.sample::<f32, _>(Exp1)));
        assert!(heavy.surprise(0, age, 12.0) + 0.5 < light.surprise(0, age, 12.0));
    }

    #[test]
    fn one_enormous_outlier_changes_a_surprise_by_little() {
        let calm = samples(5_000, |rng| rng.sample::<f32, _>(StandardNormal).abs());
        let (tail, age) = tail_of(calm.iter().copied());
        let (hit, _) = tail_of(calm.iter().copied().chain([1e9]).chain([0.7; 10]));
        let (before, after) = (tail.surprise(0, age, 4.0), hit.surprise(0, age, 4.0));
        assert!(after > 0.75 * before, "{after} after {before}");
    }

    #[test]
    fn the_last_few_are_not_learnt_once_learning_stops() {
        let mut tail = Tail::GAUSSIAN;
        let see = |tail: &mut Tail, statistic, learn| {
            step(
                tail,
                &[500.0; CHUNK],
                &[1e3; CHUNK],
                &[statistic; CHUNK],
                Mask::ALL,
                learn,
                &mut [0.0; CHUNK],
            );
        };
        for _ in 0..PENDING_ROWS {
            see(&mut tail, 1.0, Mask::ALL);
        }
        let before = tail.surprise(0, 500.0, 5.0);
        for _ in 0..PENDING_ROWS {
            see(&mut tail, 50.0, Mask::NONE);
        }
        assert_eq!(tail.surprise(0, 500.0, 5.0), before);
        assert!(tail.pending.iter().flatten().all(|pending| pending.is_nan()));
    }

    #[test]
    fn the_statistic_at_a_surprise_has_that_surprise() {
        let (tail, age) = tail_of(samples(3_000, |rng| rng.sample::<f32, _>(Exp1)));
        for surprise in [2.0, 3.0, 5.0] {
            let back = tail.surprise(0, age, tail.statistic_at(0, surprise));
            assert!((back - surprise).abs() < 0.01, "{back} for {surprise}");
        }
    }

    proptest! {
        #[test]
        fn rises_with_the_statistic(past in prop::collection::vec(0f32..50.0, 150..400), a in 0f32..1e4, b in 0f32..1e4) {
            let (tail, age) = tail_of(past);
            let (low, high) = (tail.surprise(0, age, a.min(b)), tail.surprise(0, age, a.max(b)));
            prop_assert!(0.0 <= low && low <= high && high <= SURPRISE_MAX, "{} {}", low, high);
        }
    }
}
