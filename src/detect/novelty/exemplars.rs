//! The short shapes that a lane has shown: a bounded set of windows of block means, the least recently met replaced.
//!
//! A window is some block means in a row; it is new when no exemplar lies near it in the largest of its differences
//! (Chebyshev distance), told as a share of the range of all block means. What is new becomes an exemplar.
//! A lane keeps its exemplars side by side, as it reads all of them when a block ends.

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::CHUNK;

/// Exemplars of a lane.
const KEPT: usize = 64;
/// A shape as near as this, as a share of the range, is the same.
const SAME: f32 = 0.05;
/// The longest window.
const LENGTH_MAX: usize = 4;

/// The exemplars of 16 lanes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exemplars {
    /// Samples whose mean is one entry of a window, and entries of a window.
    block: u32,
    length: usize,
    /// `KEPT` windows of `length` a lane, lane after lane.
    shapes: Vec<f32>,
    /// The block in which each was last met, and how many there are.
    met: Vec<u32>,
    kept: [u8; CHUNK],
    /// The last block means, oldest first; the block that grows, its samples, and the blocks so far.
    window: [Lanes; LENGTH_MAX],
    sum: Lanes,
    samples: [u32; CHUNK],
    blocks: [u32; CHUNK],
    low: Lanes,
    high: Lanes,
}

impl Exemplars {
    /// For windows of `length` means over `block` samples each.
    pub fn new(length: usize, block: u32) -> Self {
        let (none, zero) = ([0; CHUNK], [0.0; CHUNK]);
        Exemplars {
            block,
            length: length.min(LENGTH_MAX),
            shapes: vec![0.0; CHUNK * KEPT * length.min(LENGTH_MAX)],
            met: vec![0; CHUNK * KEPT],
            kept: [0; CHUNK],
            window: [zero; LENGTH_MAX],
            sum: zero,
            samples: none,
            blocks: none,
            low: [f32::INFINITY; CHUNK],
            high: [f32::NEG_INFINITY; CHUNK],
        }
    }

    pub fn reset(&mut self, lane: usize) {
        (self.kept[lane], self.samples[lane], self.blocks[lane]) = (0, 0, 0);
        self.sum[lane] = 0.0;
        (self.low[lane], self.high[lane]) = (f32::INFINITY, f32::NEG_INFINITY);
    }

    /// Follows a change of unit: values become `(value - shift) * factor`.
    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        let each = KEPT * self.length;
        let places = self.shapes[lane * each..(lane + 1) * each].iter_mut();
        let places = places.chain(self.window.iter_mut().map(|entry| &mut entry[lane]));
        for place in places.chain([&mut self.low[lane], &mut self.high[lane]]) {
            *place = (*place - shift) * factor;
        }
        self.sum[lane] = (self.sum[lane] - shift * self.samples[lane] as f32) * factor;
    }

    /// How new the window is that this sample completes, 0..=1; 0 for a sample inside a block.
    #[inline(always)]
    pub fn novelty(&mut self, lane: usize, value: f32, learn: bool) -> f32 {
        self.sum[lane] += value;
        self.samples[lane] += 1;
        if self.samples[lane] < self.block {
            return 0.0;
        }
        let mean = self.sum[lane] / self.block as f32;
        (self.sum[lane], self.samples[lane]) = (0.0, 0);
        for k in 1..self.length {
            self.window[k - 1][lane] = self.window[k][lane];
        }
        self.window[self.length - 1][lane] = mean;
        self.blocks[lane] = self.blocks[lane].saturating_add(1);
        (self.low[lane], self.high[lane]) = (self.low[lane].min(mean), self.high[lane].max(mean));
        if (self.blocks[lane] as usize) < self.length {
            return 0.0;
        }
        self.meet(lane, learn)
    }

    /// The distance of the window to the nearest exemplar as a share of the range; remembers it.
    fn meet(&mut self, lane: usize, learn: bool) -> f32 {
        let (length, kept) = (self.length, usize::from(self.kept[lane]));
        let mut window = [0.0; LENGTH_MAX];
        for k in 0..length {
            window[k] = self.window[k][lane];
        }
        let shapes = &mut self.shapes[lane * KEPT * length..(lane + 1) * KEPT * length];
        let met = &mut self.met[lane * KEPT..(lane + 1) * KEPT];
        let (mut nearest, mut best) = (0, f32::INFINITY);
        for (i, shape) in shapes.chunks_exact(length).take(kept).enumerate() {
            let apart = shape.iter().zip(&window).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            if apart < best {
                (nearest, best) = (i, apart);
            }
        }
        let range = self.high[lane] - self.low[lane];
        let novelty = if kept > 0 && range > 0.0 { (best / range).min(1.0) } else { 0.0 };
        if !learn {
            return novelty;
        }
        if kept == 0 || novelty > SAME {
            nearest = if kept < KEPT {
                self.kept[lane] += 1;
                kept
            } else {
                (1..KEPT).fold(0, |oldest, i| if met[i] < met[oldest] { i } else { oldest })
            };
            shapes[nearest * length..(nearest + 1) * length].copy_from_slice(&window[..length]);
        }
        met[nearest] = self.blocks[lane];
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
            for _ in 0..exemplars.block {
                last = exemplars.novelty(5, mean, true);
            }
        }
        last
    }

    #[test]
    fn a_shape_that_was_met_is_not_new_and_its_parts_in_another_order_are() {
        let mut exemplars = Exemplars::new(4, 6);
        for _ in 0..5 {
            shown(&mut exemplars, &[0.0, 0.0, 8.0, 0.0, 0.0, 2.0]);
        }
        assert_eq!(shown(&mut exemplars, &[0.0, 0.0, 8.0, 0.0]), 0.0);
        assert!(shown(&mut exemplars, &[8.0, 8.0]) > 0.5);
    }

    #[test]
    fn a_full_store_forgets_what_was_met_longest_ago() {
        let mut exemplars = Exemplars::new(2, 1);
        let far = |i: usize| (i * i * 7_919 % 101) as f32;
        (0..200).for_each(|i| {
            shown(&mut exemplars, &[far(i)]);
        });
        assert_eq!(usize::from(exemplars.kept[5]), KEPT);
        assert_eq!(shown(&mut exemplars, &[far(198), far(199)]), 0.0, "the newest is still there");
    }

    #[test]
    fn what_is_not_to_be_learnt_stays_new() {
        let mut exemplars = Exemplars::new(2, 1);
        shown(&mut exemplars, &[0.0, 1.0, 0.0, 1.0, 0.0]);
        let odd = |exemplars: &mut Exemplars| {
            exemplars.novelty(5, 0.5, false);
            exemplars.novelty(5, 0.5, false)
        };
        let first = odd(&mut exemplars);
        assert!(first > 0.3);
        assert_eq!(odd(&mut exemplars), first);
    }
}
