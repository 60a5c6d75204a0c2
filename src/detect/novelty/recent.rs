//! The last 24 values of a lane, and what they add up to.

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::CHUNK;

/// Values kept.
pub const KEPT: usize = 24;
/// What overlaps with its own last samples is remembered this many samples later.
const LATE: usize = 12;

/// What the last values of 16 lanes add up to; where there are fewer, of those that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    pub max_6: Lanes,
    pub min_6: Lanes,
    /// The same as of 12 samples ago; NaN where there are no more.
    pub late_min_6: Lanes,
    pub min_24: Lanes,
    pub mean_6: Lanes,
    pub mean_12: Lanes,
    /// Standard deviation of all.
    pub deviation_24: Lanes,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// Newest first; a lane that missed a row stands where it stood.
    values: [Lanes; KEPT],
    /// How many values a lane has, as far as they are kept.
    count: Lanes,
}

impl Recent {
    pub fn new() -> Self {
        Recent { values: [[0.0; CHUNK]; KEPT], count: [0.0; CHUNK] }
    }

    pub fn reset(&mut self, lane: usize) {
        self.count[lane] = 0.0;
    }

    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        for values in &mut self.values {
            values[lane] = (values[lane] - shift) * factor;
        }
    }

    /// The value before the newest; the newest where it is the first.
    #[inline(always)]
    pub fn previous(&self, lane: usize) -> f32 {
        if self.count[lane] > 1.0 { self.values[1][lane] } else { self.values[0][lane] }
    }

    /// Takes in one row, in which a lane that was not seen repeats its last value.
    #[inline(always)]
    pub fn push(&mut self, x: &Lanes, seen: impl Fn(usize) -> bool) -> Summary {
        for row in (1..KEPT).rev() {
            self.values[row] = self.values[row - 1];
        }
        for lane in 0..CHUNK {
            if seen(lane) {
                self.values[0][lane] = x[lane];
            }
            let known = seen(lane) || self.count[lane] > 0.0;
            self.count[lane] = (self.count[lane] + f32::from(u8::from(known))).min(KEPT as f32);
        }
        self.summary()
    }

    #[inline(always)]
    fn summary(&self) -> Summary {
        let newest = self.values[0];
        let late_min_6 = [f32::NAN; CHUNK];
        let mut of =
            Summary { max_6: newest, min_6: newest, late_min_6, min_24: newest, ..Summary::default() };
        let (mut sum_6, mut sum_12, mut sum_24) = ([0.0; CHUNK], [0.0; CHUNK], [0.0; CHUNK]);
        for (row, values) in self.values.iter().enumerate() {
            for lane in 0..CHUNK {
                let there = (row as f32) < self.count[lane];
                let value = if there { values[lane] } else { newest[lane] };
                let part = if there { value } else { 0.0 };
                if row < 6 {
                    of.max_6[lane] = of.max_6[lane].max(value);
                    of.min_6[lane] = of.min_6[lane].min(value);
                    sum_6[lane] += part;
                }
                if row < LATE {
                    sum_12[lane] += part;
                } else if row < LATE + 6 && there {
                    of.late_min_6[lane] = value.min(of.late_min_6[lane]);
                }
                of.min_24[lane] = of.min_24[lane].min(value);
                sum_24[lane] += part;
            }
        }
        let mut mean_24 = [0.0; CHUNK];
        for lane in 0..CHUNK {
            let count = self.count[lane].max(1.0);
            of.mean_6[lane] = sum_6[lane] / count.min(6.0);
            of.mean_12[lane] = sum_12[lane] / count.min(12.0);
            mean_24[lane] = sum_24[lane] / count;
        }
        let mut squares = [0.0; CHUNK];
        for (row, values) in self.values.iter().enumerate() {
            for lane in 0..CHUNK {
                let there = f32::from(u8::from((row as f32) < self.count[lane]));
                let apart = values[lane] - mean_24[lane];
                squares[lane] += there * apart * apart;
            }
        }
        for lane in 0..CHUNK {
            of.deviation_24[lane] = (squares[lane] / self.count[lane].max(1.0)).sqrt();
        }
        of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_the_values_that_there_are() {
        let mut recent = Recent::new();
        let mut last = Summary::default();
        for value in 1..=30 {
            last = recent.push(&[value as f32; CHUNK], |lane| lane != 2);
            if value == 2 {
                assert_eq!((last.mean_12[0], last.min_24[0], last.deviation_24[0]), (1.5, 1.0, 0.5));
            }
        }
        assert_eq!((last.max_6[0], last.min_6[0], last.min_24[0]), (30.0, 25.0, 7.0));
        assert_eq!((last.mean_6[0], last.mean_12[0]), (27.5, 24.5));
        assert!((last.deviation_24[0] - 6.922).abs() < 1e-3);
        assert_eq!(last.late_min_6[0], 13.0);
        assert_eq!(last.deviation_24[2], 0.0, "a lane without a value has none");
    }

    #[test]
    fn a_missed_row_repeats_and_is_no_zero() {
        let mut recent = Recent::new();
        recent.push(&[5.0; CHUNK], |_| true);
        let of = recent.push(&[0.0; CHUNK], |_| false);
        assert_eq!((of.min_24[0], of.mean_6[0]), (5.0, 5.0));
    }
}
