//! How large the effect in a row is: its signals' distances from where they were and from their mean, in usual distances.
//!
//! A surprise says how rare a row is in its own series, so a series in trouble every other day raises its own threshold
//! and hides the rest of its troubles. An effect size (Cohen 1988) does not: it says how large a deviation is. Of a
//! signal it is the larger of two: how far the value went in one step, and how far it is from the mean of the last two
//! weeks, each over the mean absolute distance of that kind over the same two weeks. That mean is not winsorised at a
//! few deviations and not a median: what counts as far in a series with heavy tails is decided by its tails, and only so
//! does one threshold serve all. The row's is the mean of ln(1 + effect) over its signals, smoothed over a quarter of an
//! hour: what is over within a minute or two is no event.
//! Sees: jumps, spikes, levels, and how large they are. Blind to: habits, relations, drift, anything small.
//! State is 52 bytes a signal; 30 flops and one logarithm a signal a row.

use serde::{Deserialize, Serialize};

use super::Tick;
use super::calibrate::THRESHOLD_SURPRISE;
use super::energy::GAP_ROWS;

const DAY_SECONDS: f64 = 86_400.0;
/// Memory of the mean and of both usual distances. A gap counts as a day of it at most.
const MEMORY_SECONDS: f64 = 14.0 * DAY_SECONDS;
/// An effect counts as at most so large, as evidence and as something to learn from: one glitch, or the first move of
/// what stood still, is neither endless nor the measure of all that follows.
const EFFECT_MAX: f64 = 200.0;
/// Samples before a signal has an effect; and what is known from twice as many counts two thirds.
const WARM_SAMPLES: u32 = 6;
/// Samples whose median is where the mean begins.
const OPENING: u32 = 3;
const SMOOTH_SECONDS: f64 = 900.0;
/// Values are cut here, so that their differences are finite.
const VALUE_MAX: f64 = 1e150;
/// An effect from which it counts, in ln(1 + effect): fourfold. Below, a row is as unusual as its surprise says.
const COUNTS_FROM: f64 = 1.609;
/// The effect that one normal row in a thousand has in recordings of all kinds, twelvefold, and e-folds from there to
/// one row in ten thousand.
const ONE_IN_THOUSAND: f64 = 2.565;
const DECADE: f64 = 1.1;

/// A mean absolute distance of each signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Usual {
    distance: Vec<f64>,
}

impl Usual {
    /// How many usual distances `distance` is; and the distance as far as it counts, from which is learnt.
    #[inline]
    fn effect(&mut self, signal: usize, distance: f64, gain: f64) -> (f64, f64) {
        let usual = &mut self.distance[signal];
        let (effect, counts) = if *usual > 0.0 {
            let effect = (distance / *usual).min(EFFECT_MAX);
            (effect, effect * *usual)
        } else {
            (if distance > 0.0 { EFFECT_MAX } else { 0.0 }, distance)
        };
        *usual += gain * (counts - *usual);
        (effect, counts)
    }
}

/// How unusual a row of so many signals is, by its effect and its surprise, as a number like a surprise: what ranks rows
/// of all recordings.
///
/// The larger of two counts. The surprise of one signal counts half, of two three quarters, and so on: it is rare in its
/// own series, while effects compare with those of others. Of many signals it takes most to be odd for an effect.
pub fn unusual(effect: f64, surprise: f32, signals: usize) -> f32 {
    let large =
        if effect < COUNTS_FROM { 0.0 } else { THRESHOLD_SURPRISE + (effect - ONE_IN_THOUSAND) / DECADE };
    let rare = f64::from(surprise) * (1.0 - libm::exp2(-(signals as f64)));
    large.max(rare) as f32
}

/// The effect sizes of one entity's signals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    step: Usual,
    level: Usual,
    mean: Vec<f64>,
    last: Vec<f64>,
    /// The first two samples of each, and how many there were in all.
    opening: Vec<[f64; 2]>,
    met: Vec<u32>,
    rows: u64,
    last_seconds: f64,
    interval_seconds: f64,
    smooth: f64,
}

impl Effects {
    /// Of so many signals.
    pub fn new(signals: usize) -> Self {
        let usual = || Usual { distance: vec![0.0; signals] };
        Effects {
            step: usual(),
            level: usual(),
            mean: vec![0.0; signals],
            last: vec![0.0; signals],
            opening: vec![[0.0; 2]; signals],
            met: vec![0; signals],
            ..Effects::default()
        }
    }

    /// The mean of ln(1 + effect) of one row of raw values, a signal each (what is not finite is missing), of late;
    /// 0 for an empty row. Then learns from it.
    pub fn step(&mut self, tick: &Tick, values: &[f64]) -> f64 {
        let (since, gap) = self.pass(tick.at.seconds());
        let (mut sum, mut seen) = (0.0, 0.0);
        for (signal, &value) in values.iter().enumerate().take(self.met.len()) {
            if value.is_finite() {
                sum += self.signal(signal, value, since, gap);
                seen += 1.0;
            }
        }
        if seen == 0.0 {
            return 0.0;
        }
        self.smooth += (since / SMOOTH_SECONDS).min(1.0) * (sum / seen - self.smooth);
        self.smooth
    }

    /// Seconds since the last row, and whether that is a gap.
    fn pass(&mut self, now: f64) -> (f64, bool) {
        let since = (now - self.last_seconds).clamp(0.0, DAY_SECONDS);
        self.last_seconds = now;
        self.rows += 1;
        match self.rows {
            1 => return (0.0, false),
            2 => self.interval_seconds = since,
            _ if since > GAP_ROWS * self.interval_seconds => return (since, true),
            _ => self.interval_seconds += 0.01 * (since - self.interval_seconds),
        }
        (since, false)
    }

    /// ln(1 + effect) of one signal.
    #[inline]
    fn signal(&mut self, signal: usize, value: f64, since: f64, gap: bool) -> f64 {
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        let met = self.met[signal];
        self.met[signal] = met.saturating_add(1);
        let last = std::mem::replace(&mut self.last[signal], value);
        if met + 1 < OPENING {
            self.opening[signal][met as usize] = value;
            return 0.0;
        }
        if met + 1 == OPENING {
            // The first answer of an exporter may be anything.
            let [one, other] = self.opening[signal];
            self.mean[signal] = value.max(one.min(other)).min(one.max(other));
        }
        let gain = (since / MEMORY_SECONDS).max(1.0 / f64::from(met - 1));
        let step = if gap { 0.0 } else { self.step.effect(signal, (value - last).abs(), gain).0 };
        let apart = value - self.mean[signal];
        let (level, counts) = self.level.effect(signal, apart.abs(), gain);
        self.mean[signal] += gain * counts.copysign(apart);
        if met < WARM_SAMPLES {
            return 0.0;
        }
        libm::log1p(step.max(level) * f64::from(met) / f64::from(met + WARM_SAMPLES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Timestamp;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    const HOUR: i64 = 3_600;

    fn tick(n: usize, interval_seconds: i64) -> Tick {
        Tick::utc(Timestamp(n as i64 * interval_seconds * 1_000), interval_seconds as u32)
    }

    /// The effects of `rows` rows of one signal, whose value comes of row and noise.
    fn effects_of(interval_seconds: i64, rows: usize, value: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(5);
        let mut effects = Effects::new(1);
        let mut row = |n| value(n, rng.sample(StandardNormal));
        (0..rows).map(|n| effects.step(&tick(n, interval_seconds), &[row(n)])).collect()
    }

    #[test]
    fn of_noise_an_effect_is_its_distance_in_mean_distances() {
        // The mean distance of noise from its mean is 0.8 deviations, of one sample from the next 1.13.
        let got = effects_of(HOUR, 1_001, |n, z| if n == 1_000 { 20.0 } else { z });
        assert!((got[1_000] - libm::log1p(20.0 / 0.8)).abs() < 0.15, "{}", got[1_000]);
        assert!(got[20..1_000].iter().all(|&effect| effect < libm::log1p(8.0)));
    }

    #[test]
    fn unit_and_offset_do_not_matter() {
        let shape = |n: usize, z: f64| z + if n == 300 { 30.0 } else { 0.0 };
        let plain = effects_of(HOUR, 400, shape);
        let other = effects_of(HOUR, 400, |n, z| 1e6 - 1e3 * shape(n, z));
        assert!(plain.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn trouble_every_day_does_not_hide_what_is_as_large() {
        let got = effects_of(HOUR, 24 * 21, |n, z| if n % 24 < 2 { 40.0 } else { 0.0 } + z);
        let last_day = got[24 * 20..24 * 21].iter().cloned().fold(0.0, f64::max);
        assert!(last_day > libm::log1p(4.0), "{last_day}");
    }

    #[test]
    fn a_minute_is_no_event_and_a_quarter_of_an_hour_is() {
        let most = |minutes: usize| {
            let spike = |n: usize, z: f64| z + if (3_000..3_000 + minutes).contains(&n) { 60.0 } else { 0.0 };
            effects_of(60, 3_100, spike)[2_900..].iter().cloned().fold(0.0, f64::max)
        };
        assert!(most(1) < libm::log1p(4.0) && most(15) > libm::log1p(10.0), "{} {}", most(1), most(15));
    }

    #[test]
    fn a_glitch_blinds_no_signal() {
        for glitch_row in [0, 500] {
            let glitch = |n: usize, z: f64| {
                if n == glitch_row { u64::MAX as f64 } else { z + f64::from(n == 900) * 60.0 }
            };
            assert!(effects_of(HOUR, 901, glitch)[900] > libm::log1p(15.0), "{glitch_row}");
        }
    }

    #[test]
    fn a_step_over_a_gap_says_nothing_and_a_quiet_signal_shares_the_row() {
        let mut effects = Effects::new(2);
        let mut rng = rand_pcg::Pcg64::seed_from_u64(5);
        let mut row = |n: usize, more: f64| {
            let noise: [f64; 2] = [rng.sample(StandardNormal), rng.sample(StandardNormal)];
            // A level that moves so far in its two weeks that only steps tell.
            let level = 20.0 * (n as f64 / 100.0).sin();
            effects.step(&tick(n, HOUR), &[level + noise[0] + more, level + noise[1] + more])
        };
        (0..1_000).for_each(|n| {
            row(n, 0.0);
        });
        let over_gap = row(1_010, 30.0);
        let next = row(1_011, 0.0);
        assert!(over_gap < libm::log1p(6.0) && next > libm::log1p(10.0), "{over_gap} {next}");

        let (one, both) =
            (|n| if n == 500 { [50.0, 0.0] } else { [0.0; 2] }, |n| [f64::from(n == 500) * 50.0; 2]);
        let at_500 = |odd: &dyn Fn(usize) -> [f64; 2]| {
            let (mut effects, mut rng) = (Effects::new(2), rand_pcg::Pcg64::seed_from_u64(5));
            let mut last = 0.0;
            for n in 0..=500 {
                let values = odd(n).map(|more| more + rng.sample::<f64, _>(StandardNormal));
                last = effects.step(&tick(n, HOUR), &values);
            }
            last
        };
        assert!(at_500(&one) < 0.75 * at_500(&both));
    }

    #[test]
    fn a_large_effect_outranks_what_is_rare_in_one_signal_and_not_in_many() {
        let (large, rare) = (unusual(libm::log1p(15.0), 1.0, 1), unusual(libm::log1p(3.0), 6.0, 1));
        assert!(large > 3.0 && large > rare && rare == 3.0, "{large} {rare}");
        assert!(unusual(libm::log1p(15.0), 1.0, 20) < unusual(libm::log1p(3.0), 6.0, 20));
        assert!(unusual(libm::log1p(EFFECT_MAX), 12.0, 40) <= 12.0);
    }

    #[test]
    fn an_empty_row_has_none_and_constants_are_at_rest() {
        let mut effects = Effects::new(1);
        for n in 0..50 {
            assert_eq!(effects.step(&tick(n, HOUR), &[7.0]), 0.0);
        }
        assert_eq!(effects.step(&tick(50, HOUR), &[f64::NAN]), 0.0);
        let first_move = effects.step(&tick(51, HOUR), &[7.1]);
        assert!(first_move > libm::log1p(100.0), "{first_move}");
    }

    proptest! {
        #[test]
        fn any_values_give_a_finite_effect(values in prop::collection::vec(any::<f64>(), 60)) {
            let mut effects = Effects::new(2);
            for (n, pair) in values.windows(2).enumerate() {
                let effect = effects.step(&tick(n, 60), pair);
                prop_assert!((0.0..=libm::log1p(EFFECT_MAX)).contains(&effect), "{effect}");
            }
        }
    }
}
