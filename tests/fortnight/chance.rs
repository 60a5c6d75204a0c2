//! Randomness of the site: counts that are over-dispersed and noise that lingers, cheap enough for a billion values.

use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

/// Below this mean a count is drawn exactly; above it Wilson and Hilferty's cube (1931) is near enough.
const EXACT_MAX: f64 = 12.0;

#[derive(Clone)]
pub struct Chance(Pcg64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Chance(Pcg64::seed_from_u64(seed))
    }

    pub fn normal(&mut self) -> f64 {
        self.0.sample(StandardNormal)
    }

    /// In 0..1.
    pub fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A gamma variable of mean 1 and variance 1 / `size`.
    fn gamma(&mut self, size: f64) -> f64 {
        let cube = 1.0 - 1.0 / (9.0 * size) + self.normal() / (3.0 * size.sqrt());
        cube.max(0.0).powi(3)
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > EXACT_MAX {
            return (mean * self.gamma(mean)).round();
        }
        let (mut left, mut chance, mut count) = (self.uniform(), (-mean).exp(), 0.0);
        while left > chance && count < 100.0 {
            left -= chance;
            count += 1.0;
            chance *= mean / count;
        }
        count
    }

    /// A negative binomial count of variance mean + mean² / `size`.
    pub fn count(&mut self, mean: f64, size: f64) -> f64 {
        let mean = mean * self.gamma(size);
        self.poisson(mean)
    }
}

/// Noise of deviation 1 that keeps a share of itself from tick to tick.
#[derive(Clone)]
pub struct Lingering {
    keep: f64,
    pub value: f64,
}

impl Lingering {
    /// Falls to 1/e within `seconds`, at ticks of `step_seconds`.
    pub fn new(seconds: f64, step_seconds: f64, chance: &mut Chance) -> Self {
        Lingering { keep: (-step_seconds / seconds).exp(), value: chance.normal() }
    }

    pub fn step(&mut self, chance: &mut Chance) -> f64 {
        self.value = self.keep * self.value + (1.0 - self.keep * self.keep).sqrt() * chance.normal();
        self.value
    }
}
