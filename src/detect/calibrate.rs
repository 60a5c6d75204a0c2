//! From an energy to a surprise: how far is it beyond the threshold that this entity passes once in a thousand rows?
//!
//! The threshold begins where it lies for servers and services in general and moves with two things that are the
//! entity's own: the quantile passed once in a hundred rows (Robbins and Monro 1951), half of which counts, and a
//! correction that is raised whenever the threshold is passed and sinks between, so that in the long run it is passed as
//! often as it should be, whatever the noise (Angelopoulos, Candes and Tibshirani 2023); seldomer where the least threshold is
//! passed less. Only the first rows of a run teach, and only those not far beyond the threshold: a fault is not the new
//! normal because it lasts. From one in a hundred to one in a thousand is a decade, and beyond it each further one is as
//! wide: the tail of a logarithm is exponential.
//! Below the threshold a row is as unquantile as the held energy of the last hour says; that never reaches 3.

use serde::{Deserialize, Serialize};

use super::energy::Energy;
use crate::kernel::tail::SURPRISE_MAX;

/// The surprise at the threshold: one row in a thousand.
pub const THRESHOLD_SURPRISE: f64 = 3.0;
const THRESHOLD_PASSED: f64 = 0.001;
/// It never sinks below: where nothing ever moves, the least move would be far beyond it, or none at all.
const THRESHOLD_MIN: f64 = 1.0;
/// A decade above the threshold is at least so wide.
const DECADE_MIN: f64 = 1.0;
/// Where the threshold begins, beyond half of what is passed once in a hundred rows, and by how much it is raised.
const CORRECTION_BEGIN: f64 = 3.2;
const CORRECTION_STEP: f64 = 0.3;
const QUANTILE_BEGIN: f64 = 3.5;
const QUANTILE_WEIGHT: f64 = 0.5;
const QUANTILE_PASSED: f64 = 0.01;
const QUANTILE_STEP: f64 = 0.2;
/// What novelty adds to both, where it is part of the energy.
const QUANTILE_BEGIN_NOVELTY: f64 = 1.5;
const CORRECTION_BEGIN_NOVELTY: f64 = 1.5;
/// Rows of a run that teach, and how far above the threshold they may be.
const RUN_ROWS: u32 = 4;
const FAR: f64 = 1.6;
/// Rows before anything surprises, and seconds before the threshold moves: two days make a day quantile.
const WARM_ROWS: u64 = 30;
const WARM_SECONDS: f64 = 2.0 * 86_400.0;
/// Held energy at which two thirds of the way to the threshold are gone.
const HELD: f64 = 6.0;

/// The threshold of one entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    quantile: f64,
    correction: f64,
    run: u32,
    rows: u64,
    begin_seconds: f64,
}

impl Calibration {
    /// For an energy that novelty is part of, or not.
    pub fn new(with_novelty: bool) -> Self {
        let novelty = f64::from(u8::from(with_novelty));
        Calibration {
            quantile: QUANTILE_BEGIN + novelty * QUANTILE_BEGIN_NOVELTY,
            correction: CORRECTION_BEGIN + novelty * CORRECTION_BEGIN_NOVELTY,
            run: 0,
            rows: 0,
            begin_seconds: 0.0,
        }
    }

    /// -log10 of the probability of a row at least as odd, 0 while warming up; then learns where `learn`.
    pub fn surprise(&mut self, seconds: f64, energy: Energy, learn: bool) -> f32 {
        if self.rows == 0 {
            self.begin_seconds = seconds;
        }
        self.rows += 1;
        let sunk = QUANTILE_WEIGHT * self.quantile + self.correction;
        let threshold = sunk.max(THRESHOLD_MIN);
        let decade = (threshold - self.quantile).max(DECADE_MIN);
        let above = energy.now / threshold;
        if learn {
            self.learn(seconds, energy.now, above, sunk > THRESHOLD_MIN);
        }
        if self.rows <= WARM_ROWS {
            return 0.0;
        }
        let surprise = if above >= 1.0 {
            THRESHOLD_SURPRISE + (energy.now - threshold) / decade
        } else {
            THRESHOLD_SURPRISE * -libm::expm1(-energy.held / HELD)
        };
        surprise.min(f64::from(SURPRISE_MAX)) as f32
    }

    fn learn(&mut self, seconds: f64, energy: f64, above: f64, may_sink: bool) {
        self.run = if above >= 1.0 { self.run.saturating_add(1) } else { self.run.saturating_sub(1) };
        if seconds - self.begin_seconds < WARM_SECONDS {
            return;
        }
        let teaches = self.run <= RUN_ROWS;
        if energy < self.quantile {
            self.quantile -= QUANTILE_STEP * QUANTILE_PASSED;
        } else if teaches {
            self.quantile += QUANTILE_STEP * (1.0 - QUANTILE_PASSED);
        }
        if above < 1.0 {
            self.correction -= if may_sink { CORRECTION_STEP * THRESHOLD_PASSED } else { 0.0 };
        } else if teaches && above < FAR {
            self.correction += CORRECTION_STEP;
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

    fn energy(now: f64) -> Energy {
        Energy { now, held: now, loudest: None }
    }

    /// Surprises of an energy whose tail is exponential, of a given scale.
    fn surprises(scale: f64, rows: usize) -> (Calibration, Vec<f32>) {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(9);
        let mut calibration = Calibration::new(false);
        let row = |n| {
            let drawn = scale * rng.sample::<f64, _>(Exp1);
            calibration.surprise(n as f64 * MINUTE, energy(drawn), true)
        };
        let surprises = (0..rows).map(row).collect();
        (calibration, surprises)
    }

    #[test]
    fn an_entity_that_rested_for_weeks_is_seen_when_it_moves() {
        let mut calibration = Calibration::new(false);
        let mut last = |energies: f64, from: u32, rows: u32| {
            let row = |n| calibration.surprise(f64::from(n) * MINUTE, energy(energies), true);
            (from..from + rows).map(row).last().unwrap()
        };
        assert!(last(0.0, 0, 30 * 1440) < 1.0);
        assert!((3.0..8.0).contains(&last(5.0, 30 * 1440, 1)));
    }

    #[test]
    fn the_threshold_is_passed_once_in_a_thousand_rows_wherever_it_begins() {
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
        let first = calibration.surprise(20_000.0 * MINUTE, energy(9.0), true);
        let mut last = first;
        for n in 1..2_000 {
            last = calibration.surprise((20_000 + n) as f64 * MINUTE, energy(9.0), true);
        }
        assert!(first > 4.0 && last > 4.0, "{first} {last} {before:?} {calibration:?}");
    }

    #[test]
    fn nothing_surprises_while_all_is_new_and_frozen_learns_nothing() {
        let mut calibration = Calibration::new(false);
        assert!((0..WARM_ROWS).all(|n| calibration.surprise(n as f64, energy(12.0), true) == 0.0));
        assert!(calibration.surprise(99.0, energy(12.0), true) > 3.0);
        let (mut calibration, _) = surprises(0.6, 9_000);
        let (quantile, correction) = (calibration.quantile, calibration.correction);
        calibration.surprise(9_000.0 * MINUTE, energy(6.0), false);
        assert_eq!((quantile, correction), (calibration.quantile, calibration.correction));
    }

    proptest! {
        #[test]
        fn rises_with_energy_and_stays_in_its_bounds(a in 0f64..40.0, b in 0f64..40.0) {
            let (calibration, _) = surprises(0.6, 500);
            let of = |drawn| calibration.clone().surprise(500.0 * MINUTE, energy(drawn), true);
            let (low, high) = (of(a.min(b)), of(a.max(b)));
            prop_assert!(0.0 <= low && low <= high && high <= SURPRISE_MAX);
        }
    }
}
