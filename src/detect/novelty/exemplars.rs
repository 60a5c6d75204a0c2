//! The short shapes that a lane has shown: a bounded set of exemplars, the least recently met replaced.
//!
//! A shape is two means of twelve samples, one after the other; it is new when no exemplar lies near it in the larger
//! of its two differences (Chebyshev distance), told as a share of the range of all means. What is new becomes an
//! exemplar. A lane keeps its exemplars side by side, the last met first, as it reads all of them when a mean is ready.

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::CHUNK;

/// Exemplars of a lane.
const KEPT: usize = 32;
/// Samples of a mean.
const BLOCK: u8 = 12;
/// A shape as near as this, as a share of the range, is the same.
const SAME: f32 = 0.05;

/// A mean and the one after it.
type Shape = [f32; 2];

/// The exemplars of 16 lanes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exemplars {
    shapes: [[Shape; KEPT]; CHUNK],
    kept: [u8; CHUNK],
    /// The last mean, NaN before there is one; the sum that grows, and its samples.
    last: Lanes,
    sum: Lanes,
    samples: [u8; CHUNK],
    /// The range of all means.
    low: Lanes,
    high: Lanes,
}

impl Exemplars {
    pub fn new() -> Self {
        Exemplars {
            shapes: [[[0.0; 2]; KEPT]; CHUNK],
            kept: [0; CHUNK],
            last: [f32::NAN; CHUNK],
            sum: [0.0; CHUNK],
            samples: [0; CHUNK],
            low: [f32::INFINITY; CHUNK],
            high: [f32::NEG_INFINITY; CHUNK],
        }
    }

    pub fn reset(&mut self, lane: usize) {
        (self.kept[lane], self.samples[lane], self.sum[lane]) = (0, 0, 0.0);
        self.last[lane] = f32::NAN;
        (self.low[lane], self.high[lane]) = (f32::INFINITY, f32::NEG_INFINITY);
    }

    /// Follows a change of unit: values become `(value - shift) * factor`.
    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        let places = self.shapes[lane].iter_mut().flatten();
        for place in places.chain([&mut self.last[lane], &mut self.low[lane], &mut self.high[lane]]) {
            *place = (*place - shift) * factor;
        }
        self.sum[lane] = (self.sum[lane] - shift * f32::from(self.samples[lane])) * factor;
    }

    /// How new the shape is that this sample completes, 0..=1; 0 for a sample inside a mean.
    #[inline(always)]
    pub fn novelty(&mut self, lane: usize, value: f32, learn: bool) -> f32 {
        self.sum[lane] += value;
        self.samples[lane] += 1;
        if self.samples[lane] < BLOCK { 0.0 } else { self.complete(lane, learn) }
    }

    /// Ends a mean: the distance of its shape to the nearest exemplar as a share of the range; remembers it.
    fn complete(&mut self, lane: usize, learn: bool) -> f32 {
        let mean = self.sum[lane] / f32::from(BLOCK);
        (self.sum[lane], self.samples[lane]) = (0.0, 0);
        let shape = [std::mem::replace(&mut self.last[lane], mean), mean];
        (self.low[lane], self.high[lane]) = (self.low[lane].min(mean), self.high[lane].max(mean));
        if shape[0].is_nan() {
            return 0.0;
        }
        let kept = usize::from(self.kept[lane]);
        let shapes = &mut self.shapes[lane];
        let (mut nearest, mut best) = (0, f32::INFINITY);
        for (i, met) in shapes.iter().take(kept).enumerate() {
            let apart = (met[0] - shape[0]).abs().max((met[1] - shape[1]).abs());
            if apart < best {
                (nearest, best) = (i, apart);
            }
        }
        let range = self.high[lane] - self.low[lane];
        let novelty = if kept > 0 && range > 0.0 { (best / range).min(1.0) } else { 0.0 };
        if learn {
            if kept == 0 || novelty > SAME {
                nearest = kept.min(KEPT - 1);
                self.kept[lane] = (nearest + 1).max(kept) as u8;
                shapes[nearest] = shape;
            }
            shapes[..=nearest].rotate_right(1);
        }
        novelty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The novelty of the last of `blocks`, each a mean.
    fn shown(exemplars: &mut Exemplars, blocks: &[f32]) -> f32 {
        let mut last = 0.0;
        for &mean in blocks {
            for _ in 0..BLOCK {
                last = exemplars.novelty(5, mean, true);
            }
        }
        last
    }

    #[test]
    fn a_shape_that_was_met_is_not_new_and_its_means_in_another_order_are() {
        let mut exemplars = Exemplars::new();
        for _ in 0..5 {
            shown(&mut exemplars, &[0.0, 8.0, 2.0, 0.0]);
        }
        assert_eq!(shown(&mut exemplars, &[0.0, 8.0]), 0.0);
        assert!(shown(&mut exemplars, &[8.0]) > 0.5);
    }

    #[test]
    fn a_full_store_forgets_what_was_met_longest_ago() {
        let mut exemplars = Exemplars::new();
        let far = |i: usize| (i * i * 7_919 % 101) as f32;
        (0..200).for_each(|i| {
            shown(&mut exemplars, &[far(i)]);
        });
        assert_eq!(usize::from(exemplars.kept[5]), KEPT);
        assert_eq!(shown(&mut exemplars, &[far(198), far(199)]), 0.0, "the newest is still there");
    }

    #[test]
    fn what_is_not_to_be_learnt_stays_new() {
        let mut exemplars = Exemplars::new();
        shown(&mut exemplars, &[0.0, 1.0, 0.0, 1.0, 0.0]);
        let odd =
            |exemplars: &mut Exemplars| (0..2 * BLOCK).fold(0.0, |_, _| exemplars.novelty(5, 0.5, false));
        let first = odd(&mut exemplars);
        assert!(first > 0.3);
        assert_eq!(odd(&mut exemplars), first);
    }
}
