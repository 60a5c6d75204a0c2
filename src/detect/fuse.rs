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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_among_ten_counts_for_a_tenth_and_ten_alike_lose_nothing() {
        let mut one = [0.0; 10];
        one[4] = 6.0;
        assert!((mean_of_odds(one) - 5.0).abs() < 1e-3);
        assert!((mean_of_odds([6.0; 10]) - 6.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_missing_is_not_calm() {
        assert_eq!(mean_of_odds([f32::NAN, 4.0]), mean_of_odds([4.0]));
        assert_eq!(mean_of_odds([f32::NAN]), 0.0);
    }

    proptest! {
        #[test]
        fn of_two_is_close_to_the_mean_of_odds_and_rises_with_both(a in 0f32..12.0, b in 0f32..12.0, more in 0f32..1.0) {
            prop_assert!((of_two(a, b) - mean_of_odds([a, b])).abs() < 0.16);
            prop_assert!(of_two(a + more, b) >= of_two(a, b));
            prop_assert_eq!(of_two(a, b), of_two(b, a));
        }
    }
}
