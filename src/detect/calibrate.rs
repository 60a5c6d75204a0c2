//! From unrest to a surprise: how high does this entity's unrest stand against the bar that it passes once in a thousand
//! rows?
//!
//! The bar begins where it lies for servers and services in general and moves with two things that are the entity's own:
//! the level that it passes once in a hundred rows (Robbins and Monro 1951), half of which counts, and a correction
//! that is raised whenever the bar is passed and sinks between, so that in the long run it is passed as often as it
//! should be, whatever the noise (Angelopoulos, Candes and Tibshirani 2023). Only the first rows of a run teach, and only
//! those not far above the bar: a fault is not the new normal because it lasts. From one in a hundred to one in a
//! thousand is a decade, and above the bar each further one is as wide: the tail of a logarithm is exponential.
//! Below the bar a row is as unusual as the trouble of the last hour, `afterglow`, says; that never reaches 3.

use serde::{Deserialize, Serialize};

use super::energy::Stir;
use crate::kernel::tail::SURPRISE_MAX;

/// The surprise at the bar: one row in a thousand.
const BAR_SURPRISE: f64 = 3.0;
const BAR_PASSED: f64 = 0.001;
/// A decade above the bar is at least so wide.
const DECADE_MIN: f64 = 1.0;
/// Where the bar begins, beyond half of what is passed once in a hundred rows, and by how much it is raised.
const BAR_BEGIN: f64 = 3.2;
const BAR_STEP: f64 = 0.3;
const USUAL_BEGIN: f64 = 3.5;
const USUAL_WEIGHT: f64 = 0.5;
const USUAL_PASSED: f64 = 0.01;
const USUAL_STEP: f64 = 0.2;
/// What novelty adds to both, where it is part of the unrest.
const USUAL_BEGIN_NOVELTY: f64 = 1.5;
const BAR_BEGIN_NOVELTY: f64 = 1.5;
const USUAL_STEP_FIRST: f64 = 3.0;
const USUAL_STEP_AFTER: f64 = 10.0;
/// Rows of a run that teach, and how far above the bar they may be.
const RUN_ROWS: u32 = 4;
const FAR: f64 = 1.6;
/// Rows before anything surprises, and seconds before the bar moves: two days make a day usual.
const WARM_ROWS: u64 = 30;
const WARM_SECONDS: f64 = 2.0 * 86_400.0;
/// Afterglow at which two thirds of the way to the bar are gone.
const AFTERGLOW: f64 = 6.0;

/// The bar of one entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    usual: f64,
    correction: f64,
    run: u32,
    rows: u64,
    begin_seconds: f64,
}

impl Calibration {
    /// For unrest that novelty is part of, or not.
    pub fn new(with_novelty: bool) -> Self {
        let novelty = f64::from(u8::from(with_novelty));
        Calibration {
            usual: USUAL_BEGIN + novelty * USUAL_BEGIN_NOVELTY,
            correction: BAR_BEGIN + novelty * BAR_BEGIN_NOVELTY,
            run: 0,
            rows: 0,
            begin_seconds: 0.0,
        }
    }

    /// -log10 of the probability of a row at least as odd, 0 while warming up; then learns where `learn`.
    pub fn surprise(&mut self, seconds: f64, stir: Stir, learn: bool) -> f32 {
        if self.rows == 0 {
            self.begin_seconds = seconds;
        }
        self.rows += 1;
        let bar = USUAL_WEIGHT * self.usual + self.correction;
        let decade = (bar - self.usual).max(DECADE_MIN);
        let above = stir.unrest / bar;
        if learn {
            self.learn(seconds, stir.unrest, above);
        }
        if self.rows <= WARM_ROWS {
            return 0.0;
        }
        let surprise = if above >= 1.0 {
            BAR_SURPRISE + (stir.unrest - bar) / decade
        } else {
            BAR_SURPRISE * -libm::expm1(-stir.afterglow / AFTERGLOW)
        };
        surprise.min(f64::from(SURPRISE_MAX)) as f32
    }

    fn learn(&mut self, seconds: f64, unrest: f64, above: f64) {
        self.run = if above >= 1.0 { self.run.saturating_add(1) } else { self.run.saturating_sub(1) };
        if seconds - self.begin_seconds < WARM_SECONDS {
            return;
        }
        let teaches = self.run <= RUN_ROWS;
        let step = USUAL_STEP.max(USUAL_STEP_FIRST / (self.rows as f64 + USUAL_STEP_AFTER));
        if unrest < self.usual {
            self.usual -= step * USUAL_PASSED;
        } else if teaches {
            self.usual += step * (1.0 - USUAL_PASSED);
        }
        if above < 1.0 {
            self.correction -= BAR_STEP * BAR_PASSED;
        } else if teaches && above < FAR {
            self.correction += BAR_STEP;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::Exp1;

    const MINUTE: f64 = 60.0;

    fn stir(unrest: f64) -> Stir {
        Stir { unrest, afterglow: unrest }
    }

    /// Surprises of unrest whose tail is exponential, of a given scale.
    fn surprises(scale: f64, rows: usize) -> (Calibration, Vec<f32>) {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(9);
        let mut calibration = Calibration::new(false);
        let row = |n| {
            let unrest = scale * rng.sample::<f64, _>(Exp1);
            calibration.surprise(n as f64 * MINUTE, stir(unrest), true)
        };
        let surprises = (0..rows).map(row).collect();
        (calibration, surprises)
    }

    #[test]
    fn the_bar_is_passed_once_in_a_thousand_rows_wherever_it_begins() {
        for scale in [0.5, 0.6, 0.9, 1.5] {
            let (_, surprises) = surprises(scale, 80_000);
            let passed = surprises[20_000..].iter().filter(|&&s| s >= 3.0).count();
            assert!((30..=120).contains(&passed), "{scale}: {passed} of 60000");
        }
    }

    #[test]
    fn a_fault_that_lasts_is_not_the_new_normal() {
        let (mut calibration, _) = surprises(0.6, 20_000);
        let before = calibration.clone();
        let first = calibration.surprise(20_000.0 * MINUTE, stir(9.0), true);
        let mut last = first;
        for n in 1..2_000 {
            last = calibration.surprise((20_000 + n) as f64 * MINUTE, stir(9.0), true);
        }
        assert!(first > 4.0 && last > 4.0, "{first} {last} {before:?} {calibration:?}");
    }

    #[test]
    fn nothing_surprises_while_all_is_new_and_frozen_learns_nothing() {
        let mut calibration = Calibration::new(false);
        assert!((0..WARM_ROWS).all(|n| calibration.surprise(n as f64, stir(12.0), true) == 0.0));
        assert!(calibration.surprise(99.0, stir(12.0), true) > 3.0);
        let (mut calibration, _) = surprises(0.6, 9_000);
        let (usual, correction) = (calibration.usual, calibration.correction);
        calibration.surprise(9_000.0 * MINUTE, stir(6.0), false);
        assert_eq!((usual, correction), (calibration.usual, calibration.correction));
    }

    proptest! {
        #[test]
        fn rises_with_unrest_and_stays_in_its_bounds(a in 0f64..40.0, b in 0f64..40.0) {
            let (calibration, _) = surprises(0.6, 500);
            let of = |unrest| calibration.clone().surprise(500.0 * MINUTE, stir(unrest), true);
            let (low, high) = (of(a.min(b)), of(a.max(b)));
            prop_assert!(0.0 <= low && low <= high && high <= SURPRISE_MAX);
        }
    }
}
