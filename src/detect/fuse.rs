//! Several surprises about one thing become one.
//!
//! The mean of the odds that they stand for, the harmonic mean of their probabilities (Wilson 2019): it
//! holds however much the surprises depend on each other, counts one among many for what it is worth,
//! and loses nothing where all agree.

use crate::kernel::tail::SURPRISE_MAX;

/// log10 of the mean of 10^surprise; `NaN` counts for nothing, no surprise at all gives 0.
pub fn mean_of_odds(surprises: impl IntoIterator<Item = f32>) -> f32 {
    let (mut odds, mut count) = (0.0, 0.0);
    for surprise in surprises.into_iter().filter(|s| !s.is_nan()) {
        odds += libm::exp10(f64::from(surprise));
        count += 1.0;
    }
    if count == 0.0 {
        return 0.0;
    }
    (libm::log10(odds / count) as f32).clamp(0.0, SURPRISE_MAX)
}

/// The same for two, with a straight line for the logarithm: for every lane and tick.
#[inline(always)]
pub fn of_two(a: f32, b: f32) -> f32 {
    const LOG10_2: f32 = std::f32::consts::LOG10_2;
    let apart = (a - b).abs();
    (a.max(b) - LOG10_2 * (0.5 * apart).min(1.0)).max(0.0)
}
