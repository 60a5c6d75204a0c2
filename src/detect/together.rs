//! How odd all signals of one entity are together: their energies, held against the entity's own threshold.
//!
//! An energy stays high while a disturbance lasts; each of those rows is as rare as its surprise says, but they are
//! one piece of news. So until it has been calm for the hour for which peaks are held, `news` is only what is ten times
//! as rare as what was told.

use serde::{Deserialize, Serialize};

use super::Tick;
use super::calibrate::{Calibration, THRESHOLD_SURPRISE};
use super::energy::{Energies, HOLD_SECONDS};

/// A surprise that is larger by this is news again.
const WORSE: f32 = 1.0;

/// What one row of an entity is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Joint {
    /// -log10 of the probability of a row at least as odd; 0 while warming up and where nothing was seen.
    pub surprise: f32,
    /// The surprise where it tells of something new, else 0.
    pub news: f32,
    /// The signal with the largest part in it.
    pub loudest: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Together {
    energies: Energies,
    calibration: Calibration,
    /// The last news, and when there was last anything to tell.
    told: f32,
    told_seconds: f64,
}

impl Together {
    /// For rows whose energy is raised by novelty, or not.
    pub fn new(with_novelty: bool) -> Self {
        Together {
            energies: Energies::new(),
            calibration: Calibration::new(with_novelty),
            told: 0.0,
            told_seconds: 0.0,
        }
    }

    /// Makes room for so many signals in all; never shrinks.
    pub fn grow(&mut self, signals: usize) {
        self.energies.grow(signals);
    }

    /// Forgets a signal: another takes its column.
    pub fn forget(&mut self, signal: usize) {
        self.energies.forget(signal);
    }

    /// Scores one row of raw values, a signal each (what is not finite is missing), against the rows before it; then
    /// learns from it if `learn`. `novelty` raises the energy.
    pub fn step(&mut self, tick: &Tick, values: &[f64], novelty: f32, learn: bool) -> Joint {
        let mut energy = self.energies.step(tick, values, learn);
        let now = tick.at.seconds();
        if !values.iter().any(|value| value.is_finite()) {
            return Joint::default();
        }
        energy.now += f64::from(novelty);
        energy.held += f64::from(novelty);
        let surprise = self.calibration.surprise(now, energy, learn);
        if now - self.told_seconds > HOLD_SECONDS {
            self.told = THRESHOLD_SURPRISE as f32 - WORSE;
        }
        let is_news = surprise >= self.told + WORSE;
        if is_news {
            self.told = surprise;
        }
        if surprise >= THRESHOLD_SURPRISE as f32 {
            self.told_seconds = now;
        }
        Joint { surprise, news: if is_news { surprise } else { 0.0 }, loudest: energy.loudest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Timestamp;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    const SIGNALS: usize = 12;
    const ROWS: usize = 5_760;

    /// Four days of noise at a minute; `odd(row, signal)` is added.
    fn run(odd: impl Fn(usize, usize) -> f64) -> Vec<Joint> {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(5);
        let mut together = Together::new(false);
        together.grow(SIGNALS);
        let row = |n| {
            let values: Vec<f64> =
                (0..SIGNALS).map(|signal| rng.sample::<f64, _>(StandardNormal) + odd(n, signal)).collect();
            together.step(&Tick::utc(Timestamp(n as i64 * 60_000), 60), &values, 0.0, true)
        };
        (0..ROWS).map(row).collect()
    }

    #[test]
    fn noise_is_no_news_more_than_once_in_a_thousand_rows() {
        let joint = run(|_, _| 0.0);
        let news = |rows: std::ops::Range<usize>| joint[rows].iter().filter(|joint| joint.news > 0.0).count();
        assert!(news(ROWS / 2..ROWS) <= 6, "{} {}", news(0..ROWS / 2), news(ROWS / 2..ROWS));
    }

    #[test]
    fn a_disturbance_is_told_once_and_again_where_it_gets_worse() {
        let odd = |n: usize, signal: usize| match n {
            5_000..5_030 if signal < 6 => 9.0,
            5_030..5_060 if signal < 6 => 60.0,
            _ => 0.0,
        };
        let joint = run(odd);
        let told = |rows: std::ops::Range<usize>| joint[rows].iter().filter(|joint| joint.news > 0.0).count();
        assert!(joint[5_000..5_030].iter().all(|joint| joint.surprise > 3.0), "{:?}", &joint[5_000..5_005]);
        assert!((1..=12).contains(&told(5_000..5_030)), "{}", told(5_000..5_030));
        assert!((1..=12).contains(&told(5_030..5_060)), "{}", told(5_030..5_060));
        assert!(joint[5_000].loudest.is_some_and(|signal| signal < 6));
    }

    #[test]
    fn an_empty_row_is_no_surprise() {
        let mut together = Together::new(false);
        together.grow(2);
        assert_eq!(together.step(&Tick::utc(Timestamp(0), 60), &[f64::NAN; 2], 0.0, true), Joint::default());
    }
}
