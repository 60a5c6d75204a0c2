//! Which values a statistic has ever taken: 128 bits a lane, and how far a new value lies from the nearest.
//!
//! The bins double in width, two becoming one, whenever a value falls outside them, so a map never forgets
//! and never grows. A gap is told as a share of the range that the statistic has kept to of late.
//! A lane costs 16 bytes of bits and 16 of range; a look-up is two counts of zeros.

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::CHUNK;

const BINS: usize = 128;
/// A value counts as at most so many ranges outside, or one glitch would leave no bins for anything else.
const REACH: f32 = 3.0;
/// Samples before a gap counts: until then everything is new.
const WARM_SAMPLES: f32 = 50.0;

/// The maps of one statistic for 16 lanes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Occupancy {
    occupied: [u128; CHUNK],
    /// Where the first bin begins, and how wide a bin is. A width of 0 is a map that has not begun, which takes two
    /// different values; until then `start` is the one that was met, or NaN.
    start: Lanes,
    width: Lanes,
    /// The range of late: it relaxes around its middle. NaN before the first value.
    low: Lanes,
    high: Lanes,
}

impl Occupancy {
    pub fn new() -> Self {
        let none = [f32::NAN; CHUNK];
        Occupancy { occupied: [0; CHUNK], start: none, width: [0.0; CHUNK], low: none, high: none }
    }

    pub fn reset(&mut self, lane: usize) {
        (self.occupied[lane], self.width[lane]) = (0, 0.0);
        for place in [&mut self.start, &mut self.low, &mut self.high] {
            place[lane] = f32::NAN;
        }
    }

    /// Follows a change of unit: values become `(value - shift) * factor`.
    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        self.width[lane] *= factor;
        for place in [&mut self.start, &mut self.low, &mut self.high] {
            place[lane] = (place[lane] - shift) * factor;
        }
    }

    /// `value`, no further outside the range of late than `reach`.
    #[inline(always)]
    fn within(&self, lane: usize, value: f32, reach: f32) -> f32 {
        value.max(self.low[lane] - reach).min(self.high[lane] + reach)
    }

    /// Where `value` lies in the map, which has begun: in bins from its start.
    #[inline(always)]
    fn place(&self, lane: usize, value: f32) -> f32 {
        (value - self.start[lane]) / self.width[lane]
    }

    /// The distance from `value` to the nearest value ever met, as a share of the range of late: 0..=1.
    ///
    /// `relax` is what of a half range is left after a sample; `samples` have been met so far. What is infinite has no place.
    #[inline(always)]
    pub fn gap(&mut self, lane: usize, value: f32, samples: f32, relax: f32) -> f32 {
        if value.is_infinite() {
            return 0.0;
        }
        if self.low[lane].is_nan() {
            (self.low[lane], self.high[lane]) = (value, value);
        }
        let reach = REACH * (self.high[lane] - self.low[lane]);
        let met = if reach > 0.0 { self.within(lane, value, reach) } else { value };
        let (low, high) = (self.low[lane].min(met), self.high[lane].max(met));
        let middle = 0.5 * (low + high);
        self.high[lane] = met.max(middle + (high - middle) * relax);
        self.low[lane] = met.min(middle + (low - middle) * relax);
        let range = self.high[lane] - self.low[lane];
        if self.width[lane] == 0.0 || samples < WARM_SAMPLES || range <= 0.0 {
            return 0.0;
        }
        let place = self.place(lane, value);
        let bins = nearest(self.occupied[lane], place);
        (bins * self.width[lane] / range).min(1.0)
    }

    /// Remembers `value`, which `gap` has met.
    #[inline(always)]
    pub fn insert(&mut self, lane: usize, value: f32) {
        let value = self.within(lane, value, 0.0);
        if !value.is_finite() {
            return;
        }
        if self.width[lane] == 0.0 {
            self.begin(lane, value);
            return;
        }
        let mut place = self.place(lane, value);
        while !(0.0..BINS as f32).contains(&place) {
            self.widen(lane, place < 0.0);
            place = self.place(lane, value);
            // Wider than all numbers, or of no place: it begins anew.
            if !(self.width[lane].is_finite() && place.is_finite()) {
                self.reset(lane);
                return;
            }
        }
        set(&mut self.occupied[lane], place);
    }

    /// Spreads the map over the first two different values, with as much room again on both sides.
    fn begin(&mut self, lane: usize, value: f32) {
        let met = self.start[lane];
        let (low, high) = (value.min(met), value.max(met));
        let width = (high - low) / (BINS / 2) as f32;
        if width <= 0.0 {
            self.start[lane] = value;
            return;
        }
        self.width[lane] = width;
        self.start[lane] = low - width * (BINS / 4) as f32;
        for value in [low, high] {
            let place = self.place(lane, value);
            set(&mut self.occupied[lane], place);
        }
    }

    /// Makes the bins twice as wide: what there was fills the upper half of the map, or the lower.
    fn widen(&mut self, lane: usize, downwards: bool) {
        let bits = self.occupied[lane];
        let half = u128::from(pairs(bits as u64)) | u128::from(pairs((bits >> 64) as u64)) << 32;
        self.occupied[lane] = if downwards { half << (BINS / 2) } else { half };
        if downwards {
            self.start[lane] -= BINS as f32 * self.width[lane];
        }
        self.width[lane] *= 2.0;
    }
}

fn set(bits: &mut u128, place: f32) {
    *bits |= 1 << (place.max(0.0) as usize).min(BINS - 1);
}

/// Each pair of bits as one, in the lower 32.
fn pairs(word: u64) -> u64 {
    let mut bits = (word | word >> 1) & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits
}

/// Distance in bins from `place` to the nearer edge of the nearest occupied bin; 0 inside one.
#[inline(always)]
fn nearest(bits: u128, place: f32) -> f32 {
    let at = (place as u32).min(BINS as u32 - 1);
    let below = if place < 0.0 { 0 } else { bits & (u128::MAX >> (127 - at)) };
    let above = if place >= BINS as f32 { 0 } else { bits & (u128::MAX << at) };
    // The end of the highest bin up to here, and the begin of the lowest from here on.
    let from_below = if below == 0 { f32::INFINITY } else { place - (128 - below.leading_zeros()) as f32 };
    let from_above = if above == 0 { f32::INFINITY } else { above.trailing_zeros() as f32 - place };
    from_below.max(0.0).min(from_above.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FOREVER: f32 = 1.0;

    fn filled(values: &[f32]) -> Occupancy {
        let mut map = Occupancy::new();
        for &value in values {
            map.gap(3, value, 0.0, FOREVER);
            map.insert(3, value);
        }
        map
    }

    #[test]
    fn a_value_met_before_leaves_no_gap_and_one_between_leaves_half_of_it() {
        let mut map = filled(&[0.0, 100.0]);
        assert_eq!(map.gap(3, 100.0, 99.0, FOREVER), 0.0);
        let middle = map.gap(3, 50.0, 99.0, FOREVER);
        assert!((middle - 0.5).abs() < 0.02, "{middle}");
    }

    #[test]
    fn nothing_is_new_while_all_is_new() {
        let mut map = filled(&[0.0, 100.0]);
        assert_eq!(map.gap(3, 50.0, WARM_SAMPLES - 1.0, FOREVER), 0.0);
        let mut constant = filled(&[7.0; 80]);
        assert_eq!(constant.gap(3, 7.0, 80.0, FOREVER), 0.0);
    }

    #[test]
    fn values_far_outside_widen_the_map_and_lose_nothing() {
        let mut values = vec![0.0, 1.0];
        values.extend([1e6; 12].into_iter().chain([-1e7; 12]));
        let mut map = filled(&values);
        for value in [0.0, 1.0, 1e6, -1e7] {
            assert_eq!(map.gap(3, value, 99.0, FOREVER), 0.0);
        }
        assert!(map.gap(3, 5e6, 99.0, FOREVER) > 0.2);
    }

    #[test]
    fn one_glitch_leaves_bins_for_everything_else() {
        let mut map = filled(&[0.0, 1.0, 0.5, 1e12, 0.2, 0.9]);
        let gap = map.gap(3, 2.5, 99.0, FOREVER);
        assert!(gap > 0.2, "{gap}");
    }

    #[test]
    fn the_range_relaxes_to_what_is_met_of_late() {
        let mut map = filled(&[0.0, 1_000.0]);
        for _ in 0..60 {
            map.gap(3, 0.0, 99.0, 0.9);
            map.gap(3, 2.0, 99.0, 0.9);
        }
        let gap = map.gap(3, 100.0, 99.0, 0.9);
        assert!(gap > 0.8, "{gap}");
    }

    #[test]
    fn what_is_no_number_has_no_place_and_ends_nothing() {
        let mut map = filled(&[0.0, 1.0]);
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::MAX, f32::MIN_POSITIVE, 0.5] {
            let gap = map.gap(3, value, 99.0, 0.9);
            assert!((0.0..=1.0).contains(&gap), "{value}: {gap}");
            map.insert(3, value);
        }
        let mut moved = filled(&[0.0, 1.0]);
        moved.affine(3, 0.0, f32::INFINITY);
        moved.insert(3, 0.5);
    }

    proptest! {
        /// It ends, whatever comes.
        #[test]
        fn anything_can_be_met(values in prop::collection::vec(any::<f32>(), 1..60)) {
            let mut map = Occupancy::new();
            for value in values {
                let gap = map.gap(3, value, 99.0, 0.99);
                prop_assert!(gap.is_nan() || (0.0..=1.0).contains(&gap), "{} {}", value, gap);
                map.insert(3, value);
            }
        }

        /// Against every bin looked at, one by one.
        #[test]
        fn nearest_equals_a_search(bins in prop::collection::vec(0usize..BINS, 1..20), place in -200f32..400.0) {
            let mut bits = 0;
            bins.iter().for_each(|&bin| set(&mut bits, bin as f32));
            let distance = |&bin: &usize| (place - (bin + 1) as f32).max(bin as f32 - place).max(0.0);
            let want = bins.iter().map(distance).fold(f32::INFINITY, f32::min);
            prop_assert_eq!(nearest(bits, place), want);
        }

        #[test]
        fn pairs_equals_bit_by_bit(word in any::<u64>()) {
            let want = (0..32).fold(0u64, |all, k| all | u64::from(word >> (2 * k) & 3 != 0) << k);
            prop_assert_eq!(pairs(word), want);
        }

        #[test]
        fn moves_with_its_unit(values in prop::collection::vec(-50f32..50.0, 60..90), new in -90f32..90.0) {
            let mut map = filled(&values);
            let mut moved = map.clone();
            moved.affine(3, 8.0, 4.0);
            let (gap, again) = (map.gap(3, new, 99.0, 0.99), moved.gap(3, (new - 8.0) * 4.0, 99.0, 0.99));
            prop_assert!((gap - again).abs() < 1e-3, "{} {}", gap, again);
        }
    }
}
