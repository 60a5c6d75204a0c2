//! How much mail and how many requests come: the shape of a working day, over-dispersed counts, slow drift.
//!
//! Mean load follows the hour and the weekday; around it a log-level drifts as AR(1) and the counts are
//! negative binomial (a Poisson whose mean is gamma distributed). UTC stands for local time.

use rand_distr::{Distribution, Gamma, Normal, Poisson};
use rand_pcg::Pcg64;

use crate::sample::Timestamp;

/// Share of the peak by hour of a weekday: two peaks, a dip at noon, quiet nights.
const HOURS: [f64; 24] = [
    0.07, 0.06, 0.05, 0.05, 0.06, 0.09, 0.16, 0.35, 0.70, 0.96, 1.00, 0.92, 0.74, 0.80, 0.97, 0.98, 0.86,
    0.60, 0.36, 0.26, 0.20, 0.16, 0.12, 0.09,
];
const WEEKEND: f64 = 0.2;
const MONDAY_MORNING: f64 = 1.2;

/// Dispersion of the counts: variance = mean + mean² / this.
const DISPERSION: f64 = 25.0;
/// The drift of the log-level: its standard deviation, and the time in which it forgets.
const DRIFT_SD: f64 = 0.12;
const DRIFT_SECONDS: f64 = 900.0;

/// Mean load of an instant as a share of the weekly peak, interpolated between the middles of hours.
pub fn share_of_peak(at: Timestamp) -> f64 {
    let hours = at.seconds() / 3600.0;
    // 1970-01-01 was a Thursday.
    let weekday = ((hours / 24.0).floor() as i64 + 3).rem_euclid(7);
    let middle = hours.rem_euclid(24.0) - 0.5;
    let before = middle.floor();
    let share = |hour: f64| HOURS[(hour as i64).rem_euclid(24) as usize];
    let blend = middle - before;
    let day = (1.0 - blend) * share(before) + blend * share(before + 1.0);
    match weekday {
        5 | 6 => day * WEEKEND,
        0 if (8.0..12.0).contains(&middle) => day * MONDAY_MORNING,
        _ => day,
    }
}

/// One stream of arrivals, with its own slow drift.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    drift: f64,
}

impl Arrivals {
    /// Arrivals within `seconds` at a mean of `per_second`.
    pub fn draw(&mut self, per_second: f64, seconds: f64, random: &mut Pcg64) -> f64 {
        let keep = (-seconds / DRIFT_SECONDS).exp();
        self.drift = self.drift * keep + normal(DRIFT_SD * (1.0 - keep * keep).sqrt(), random);
        let mean = per_second * seconds * self.drift.exp();
        let mean = match Gamma::new(DISPERSION, mean / DISPERSION) {
            Ok(gamma) => gamma.sample(random),
            Err(_) => mean,
        };
        Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(random))
    }
}

/// A draw from N(0, sd²).
pub fn normal(sd: f64, random: &mut Pcg64) -> f64 {
    Normal::new(0.0, sd).map_or(0.0, |normal| normal.sample(random))
}

/// A draw from a lognormal with this median and this standard deviation of the log.
pub fn lognormal(median: f64, sd: f64, random: &mut Pcg64) -> f64 {
    median * normal(sd, random).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::rand_core::SeedableRng;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn mornings_are_busy_and_nights_and_weekends_quiet() {
        let wednesday = share_of_peak(at("2026-03-04T10:30:00Z"));
        assert!((0.95..=1.0).contains(&wednesday), "{wednesday}");
        assert!(share_of_peak(at("2026-03-04T03:00:00Z")) < 0.1);
        assert!(share_of_peak(at("2026-03-07T10:30:00Z")) < 0.25);
        assert!(share_of_peak(at("2026-03-02T10:30:00Z")) > 1.1);
    }

    #[test]
    fn counts_scatter_more_than_poisson_and_keep_their_mean() {
        let mut random = Pcg64::seed_from_u64(7);
        let mut arrivals = Arrivals::default();
        let draws: Vec<f64> = (0..20_000).map(|_| arrivals.draw(4.0, 5.0, &mut random)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!((18.0..22.5).contains(&mean), "{mean}");
        assert!(variance > 1.5 * mean, "{variance}");
    }
}
