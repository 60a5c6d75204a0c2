//! Up to 1,024 series of one cadence side by side, and the row that they are at each tick.
//!
//! Values are f64, a row is f32: each lane has an affine normaliser `x = (value - center) / scale`.
//! The center lies near the values, so bytes around 1e12 lose nothing; the scale is a power of two, hence
//! exact, near the typical change between samples. A lane whose values went far from its center and
//! stayed there is centred anew at the next row, which says so, so that detectors can move their state.
//!
//! Lanes lie in chunks of 16, each array of a chunk on its own cache lines.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask, Sample, Timestamp};
use crate::series::registry::SeriesId;

/// Lanes of one block.
pub const LANES_MAX: usize = 1024;

/// Distance from the center, in typical changes, at which f32 keeps but 8 bits of a typical change.
const FAR: f64 = 65_536.0;

/// So many samples in a row must be far before the center moves: a single absurd value doesn't move it.
const FAR_SAMPLES: u8 = 8;

/// Changes of value after which the scale, a guess until then, is set by what was seen.
const SETTLED_CHANGES: u8 = 16;

/// Normalised values stop here, so that their squares are finite too.
pub const X_MAX: f32 = (1u64 << 50) as f32;

/// A typical change stops here, so that sums and multiples of it are finite.
const STRIDE_MAX: f64 = 1e300;

/// The scale is a power of two within these.
const SCALE_EXPONENT_MIN: i32 = -40;
const SCALE_EXPONENT_MAX: i32 = 400;

/// A change of scale beyond this, or its inverse, is a new start and no change of unit.
const FACTOR_MAX: f64 = (1u64 << 40) as f64;

/// What a lane's detectors must be told before they read the row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Another series has the lane: everything known of it is void.
    Joined { lane: usize, series: SeriesId },
    /// The lane is empty.
    Left { lane: usize, series: SeriesId },
    /// The normaliser moved: `x_new = (x_old - shift) * factor`.
    Moved { lane: usize, shift: f32, factor: f32 },
}

/// 16 lanes of series.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
struct Chunk {
    /// The last value and its time, in milliseconds; `i64::MIN` before the first and after a stale marker.
    value: [f64; CHUNK],
    at: [i64; CHUNK],
    center: [f64; CHUNK],
    /// One over the scale.
    per_scale: [f64; CHUNK],
    /// The typical change of value, in the series' unit; 0 before the first.
    stride: [f64; CHUNK],
    /// Changes so far, saturating.
    changes: [u8; CHUNK],
    /// Samples in a row that lay far from the center.
    far: [u8; CHUNK],
    series: [Option<SeriesId>; CHUNK],
}

impl Chunk {
    const EMPTY: Chunk = Chunk {
        value: [0.0; CHUNK],
        at: [i64::MIN; CHUNK],
        center: [0.0; CHUNK],
        per_scale: [1.0; CHUNK],
        stride: [0.0; CHUNK],
        changes: [0; CHUNK],
        far: [0; CHUNK],
        series: [None; CHUNK],
    };

    fn start(&mut self, i: usize, first: Sample) {
        self.value[i] = first.value;
        self.at[i] = first.at.0;
        self.center[i] = first.value;
        // A guess: a 64th of the value.
        let scale = if first.value == 0.0 { 1.0 } else { power_of_two_near(first.value / 64.0) };
        self.per_scale[i] = 1.0 / scale;
        self.stride[i] = 0.0;
        self.changes[i] = 0;
        self.far[i] = 0;
    }

    /// Takes in the next value; true where the lane should be centred anew.
    fn put(&mut self, i: usize, sample: Sample) -> bool {
        let change = (sample.value - self.value[i]).abs().min(STRIDE_MAX);
        self.value[i] = sample.value;
        self.at[i] = sample.at.0;
        if change > 0.0 {
            self.changes[i] = self.changes[i].saturating_add(1);
            self.stride[i] = stride(self.stride[i], change, self.changes[i]);
        }
        let is_far = (sample.value - self.center[i]).abs() > FAR * self.stride[i];
        self.far[i] = if is_far { self.far[i].saturating_add(1) } else { 0 };
        self.far[i] == FAR_SAMPLES || (change > 0.0 && self.changes[i] == SETTLED_CHANGES)
    }

    /// Centres a lane at its value and scales it by its stride. Returns shift and factor, `None` where
    /// f32 cannot follow: the lane then starts anew.
    fn centre(&mut self, i: usize) -> Option<(f32, f32)> {
        self.far[i] = 0;
        let (value, old) = (self.value[i], self.per_scale[i]);
        // What detectors are told in f32 is also what happens to the center, to the bit.
        let shift = ((value - self.center[i]) * old) as f32;
        // Finer than f64 itself nothing can be.
        let new = 1.0 / power_of_two_near(self.stride[i].max(value.abs() * f64::EPSILON));
        let factor = new / old;
        if shift.abs() > X_MAX || !(1.0 / FACTOR_MAX..=FACTOR_MAX).contains(&factor) {
            let at = Timestamp(self.at[i]);
            self.start(i, Sample { at, value });
            return None;
        }
        self.center[i] += f64::from(shift) / old;
        self.per_scale[i] = new;
        Some((shift, factor as f32))
    }
}

/// The lanes of one cadence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Block {
    cadence_seconds: u32,
    chunks: Vec<Chunk>,
    /// Lanes without a series; the lowest is taken first.
    free: BTreeSet<usize>,
    changes: Vec<Change>,
    /// Lanes to be centred anew at the next row; until then all speak in the units of the last one.
    moving: Vec<usize>,
}

impl Block {
    pub fn new(cadence_seconds: u32) -> Self {
        Block {
            cadence_seconds,
            chunks: Vec::new(),
            free: BTreeSet::new(),
            changes: Vec::new(),
            moving: Vec::new(),
        }
    }

    pub fn cadence_seconds(&self) -> u32 {
        self.cadence_seconds
    }

    pub fn cadence_ms(&self) -> i64 {
        i64::from(self.cadence_seconds) * 1000
    }

    /// Chunks of 16 lanes; it only ever grows.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Lanes that have a series.
    pub fn len(&self) -> usize {
        self.chunks.len() * CHUNK - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_full(&self) -> bool {
        self.len() >= LANES_MAX
    }

    /// Gives `series` the lowest free lane, centred at its first sample; `None` if the block is full.
    pub fn join(&mut self, series: SeriesId, first: Sample) -> Option<usize> {
        if self.free.is_empty() {
            if self.is_full() {
                return None;
            }
            let end = self.chunks.len() * CHUNK;
            self.chunks.push(Chunk::EMPTY);
            self.free.extend(end..end + CHUNK);
        }
        let lane = self.free.pop_first()?;
        let (chunk, i) = self.at_mut(lane);
        chunk.series[i] = Some(series);
        chunk.start(i, first);
        self.changes.push(Change::Joined { lane, series });
        Some(lane)
    }

    pub fn leave(&mut self, lane: usize) {
        let (chunk, i) = self.at_mut(lane);
        let left = chunk.series[i].take();
        chunk.at[i] = i64::MIN;
        if let Some(series) = left {
            self.free.insert(lane);
            self.moving.retain(|&moving| moving != lane);
            self.changes.push(Change::Left { lane, series });
        }
    }

    /// The next value of a lane. Finite.
    pub fn put(&mut self, lane: usize, sample: Sample) {
        let (chunk, i) = self.at_mut(lane);
        if chunk.put(i, sample) {
            self.moving.push(lane);
        }
    }

    /// The series says that it has ended.
    pub fn silence(&mut self, lane: usize) {
        let (chunk, i) = self.at_mut(lane);
        chunk.at[i] = i64::MIN;
    }

    #[cold]
    fn centre_moving(&mut self) {
        for lane in std::mem::take(&mut self.moving) {
            let (chunk, i) = self.at_mut(lane);
            let Some(series) = chunk.series[i] else { continue };
            let change = match chunk.centre(i) {
                Some((shift, factor)) => Change::Moved { lane, shift, factor },
                None => Change::Joined { lane, series },
            };
            self.changes.push(change);
        }
    }

    /// Whether a row of this cadence ends at `at`.
    pub fn is_due(&self, at: Timestamp) -> bool {
        at.0.rem_euclid(self.cadence_ms()) == 0
    }

    /// Writes the row of values whose time lies in (at - cadence, at], and appends to `changes` what
    /// happened to the lanes since the last row, in order: it applies before the row is read.
    ///
    /// `x` and `seen` are `chunks()` long. A lane not seen has x 0; none lies beyond `X_MAX`.
    pub fn row(&mut self, at: Timestamp, x: &mut [Lanes], seen: &mut [Mask], changes: &mut Vec<Change>) {
        if !self.moving.is_empty() {
            self.centre_moving();
        }
        changes.append(&mut self.changes);
        let since = at.0.saturating_sub(self.cadence_ms());
        for ((chunk, x), seen) in self.chunks.iter().zip(x).zip(seen) {
            let here: [bool; CHUNK] = std::array::from_fn(|i| chunk.at[i] > since && chunk.at[i] <= at.0);
            *x = std::array::from_fn(|i| {
                let normal = ((chunk.value[i] - chunk.center[i]) * chunk.per_scale[i]) as f32;
                if here[i] { normal.clamp(-X_MAX, X_MAX) } else { 0.0 }
            });
            *seen = mask(here);
        }
    }

    /// Lanes of a chunk that have missed `rows` rows or more as of the row at `at`.
    pub fn missed(&self, at: Timestamp, chunk: usize, rows: i64) -> Mask {
        let since = self.last_row(at).saturating_sub(rows.saturating_mul(self.cadence_ms()));
        let chunk = &self.chunks[chunk];
        mask(std::array::from_fn(|i| chunk.series[i].is_some() && chunk.at[i] <= since))
    }

    /// Whether this lane has missed `rows` rows or more as of the last row at or before `at`.
    pub fn has_missed(&self, at: Timestamp, lane: usize, rows: i64) -> bool {
        self.missed(at, lane / CHUNK, rows).has(lane % CHUNK)
    }

    fn last_row(&self, at: Timestamp) -> i64 {
        at.0.saturating_sub(at.0.rem_euclid(self.cadence_ms()))
    }

    /// From normalised units back to the series' own.
    pub fn raw(&self, lane: usize, x: f32) -> f64 {
        let (chunk, i) = self.at(lane);
        chunk.center[i] + f64::from(x) / chunk.per_scale[i]
    }

    /// The last value and its time; `None` in an empty lane and after a stale marker.
    pub fn last(&self, lane: usize) -> Option<Sample> {
        let (chunk, i) = self.at(lane);
        let at = Timestamp(chunk.at[i]);
        (at != Timestamp::MIN).then_some(Sample { at, value: chunk.value[i] })
    }

    /// Whether the lane has had no row yet, so that what detectors know of it is another's.
    pub fn is_new(&self, lane: usize) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::Joined { lane: l, .. } if *l == lane))
    }

    pub fn series(&self, lane: usize) -> Option<SeriesId> {
        let (chunk, i) = self.at(lane);
        chunk.series[i]
    }

    fn at(&self, lane: usize) -> (&Chunk, usize) {
        (&self.chunks[lane / CHUNK], lane % CHUNK)
    }

    fn at_mut(&mut self, lane: usize) -> (&mut Chunk, usize) {
        (&mut self.chunks[lane / CHUNK], lane % CHUNK)
    }
}

fn mask(on: [bool; CHUNK]) -> Mask {
    Mask(on.iter().enumerate().fold(0, |bits, (i, &on)| bits | u16::from(on) << i))
}

/// The mean of the first changes, then one that forgets within 32, in which a jump counts as four
/// ordinary changes at most. A sample equal to the last is no change: a constant has not become finer.
fn stride(before: f64, change: f64, changes: u8) -> f64 {
    if changes <= SETTLED_CHANGES {
        return before + (change - before) / f64::from(changes);
    }
    before + (change.min(4.0 * before) - before) / 32.0
}

/// The power of two at or below `|x|`, within bounds.
fn power_of_two_near(x: f64) -> f64 {
    libm::ldexp(1.0, libm::ilogb(x).clamp(SCALE_EXPONENT_MIN, SCALE_EXPONENT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CADENCE: u32 = 10;

    /// A block whose lane 0 holds series 7 with a first sample at 0 s.
    fn block(first: f64) -> Block {
        let mut block = Block::new(CADENCE);
        assert_eq!(block.join(SeriesId(7), Sample { at: Timestamp(0), value: first }), Some(0));
        block
    }

    fn row(block: &mut Block, at: i64) -> (Vec<Lanes>, Vec<Mask>, Vec<Change>) {
        let mut x = vec![[f32::NAN; CHUNK]; block.chunks()];
        let mut seen = vec![Mask::ALL; block.chunks()];
        let mut changes = Vec::new();
        block.row(Timestamp(at), &mut x, &mut seen, &mut changes);
        (x, seen, changes)
    }

    /// Feeds lane 0 a value every ten seconds and returns each row's x with what was told before it.
    fn follow(first: f64, values: impl IntoIterator<Item = f64>) -> (Block, Vec<(f32, Vec<Change>)>) {
        let mut block = block(first);
        row(&mut block, 0);
        let mut rows = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            let at = (i as i64 + 1) * 10_000;
            block.put(0, Sample { at: Timestamp(at), value });
            let (x, _, changes) = row(&mut block, at);
            rows.push((x[0][0], changes));
        }
        (block, rows)
    }

    #[test]
    fn a_row_sees_what_came_since_the_last_one() {
        let mut block = block(5.0);
        for (at, seen) in [(0, true), (9_999, true), (10_000, false), (-1, false)] {
            assert_eq!(row(&mut block, at).1[0], Mask::NONE.with(0, seen), "at {at}");
        }
        assert_eq!(row(&mut block, 10_000).0[0][0], 0.0);
    }

    #[test]
    fn rows_missed_are_counted_by_time_and_a_stale_marker_misses_all() {
        let mut block = block(5.0);
        for (at, missed) in [(20_000, false), (29_999, false), (30_000, true)] {
            assert_eq!(block.has_missed(Timestamp(at), 0, 3), missed, "at {at}");
        }
        assert!(!block.has_missed(Timestamp(90_000), 1, 3), "an empty lane misses nothing");
        block.silence(0);
        assert!(block.has_missed(Timestamp(0), 0, 3));
        assert_eq!(block.last(0), None);
    }

    #[test]
    fn a_freed_lane_is_taken_again_and_both_are_told_in_order() {
        let mut block = block(5.0);
        let first = Sample { at: Timestamp(0), value: 1.0 };
        assert_eq!(block.join(SeriesId(8), first), Some(1));
        row(&mut block, 0);
        block.leave(0);
        assert_eq!((block.len(), block.series(0)), (1, None));
        assert_eq!(block.join(SeriesId(9), first), Some(0));
        assert!(block.is_new(0));
        let (_, _, changes) = row(&mut block, 0);
        let told =
            [Change::Left { lane: 0, series: SeriesId(7) }, Change::Joined { lane: 0, series: SeriesId(9) }];
        assert_eq!(changes, told);
        assert!(!block.is_new(0));
    }

    #[test]
    fn a_full_block_takes_nobody() {
        let mut block = Block::new(CADENCE);
        let first = Sample { at: Timestamp(0), value: 1.0 };
        let lanes: Vec<_> = (0..1025).map(|i| block.join(SeriesId(i), first)).collect();
        assert_eq!((lanes[0], lanes[1023], lanes[1024]), (Some(0), Some(1023), None));
        assert_eq!(block.chunks(), 64);
    }

    #[test]
    fn bytes_near_a_million_million_lose_nothing() {
        let values = (0..100).map(|i| 1e12 + f64::from(i % 7) * 512.0);
        let (block, rows) = follow(1e12, values);
        assert_eq!(block.raw(0, rows[99].0), 1e12 + 512.0);
        assert_eq!(block.raw(0, rows[97].0), 1e12 + 6.0 * 512.0);
    }

    #[test]
    fn the_scale_settles_once_by_what_was_seen_and_a_constant_waits() {
        let alternating = (0..40).map(|i| 1000.0 + f64::from(i % 2) * 4.0);
        let (_, rows) = follow(1000.0, [1000.0; 30].into_iter().chain(alternating));
        let told: Vec<usize> = (0..rows.len()).filter(|&i| !rows[i].1.is_empty()).collect();
        assert_eq!(told, [30 + 16]);
        assert!(rows[30..].windows(2).skip(17).all(|pair| (pair[1].0 - pair[0].0).abs() == 1.0));
    }

    #[test]
    fn an_absurd_value_moves_nothing_but_a_new_level_does() {
        let noise = |level: f64| (0..30).map(move |i| level + f64::from(i % 3));
        let glitch = noise(100.0).chain([1e12]).chain(noise(100.0));
        let (_, rows) = follow(100.0, glitch);
        assert!(rows[20..].iter().all(|(_, changes)| changes.is_empty()));
        let (_, rows) = follow(100.0, noise(100.0).chain(noise(1e9)));
        let told: Vec<usize> = (20..rows.len()).filter(|&i| !rows[i].1.is_empty()).collect();
        assert_eq!(told, [30 + 7]);
    }

    #[test]
    fn detectors_can_follow_a_move_exactly() {
        let mut block = block(1000.0);
        row(&mut block, 0);
        // A state that a detector might hold: the level 1000, in normalised units, and where it lies now.
        let mut level = 0.0f32;
        for i in 1..3000i64 {
            let value = 1000.0 * (1.0 + i as f64 * i as f64) + (i % 5) as f64;
            block.put(0, Sample { at: Timestamp(i * 10_000), value });
            for change in row(&mut block, i * 10_000).2 {
                match change {
                    Change::Moved { shift, factor, .. } => level = (level - shift) * factor,
                    other => panic!("{other:?}"),
                }
            }
        }
        let back = block.raw(0, level);
        assert!((back - 1000.0).abs() < 1000.0, "{back} after a rise to 9e9");
    }

    proptest! {
        #[test]
        fn whatever_comes_a_row_is_finite(values in prop::collection::vec(prop::num::f64::ANY, 1..80)) {
            let finite: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
            let (block, rows) = follow(finite.first().copied().unwrap_or(0.0), finite.clone());
            for (x, changes) in &rows {
                prop_assert!(x.abs() <= X_MAX);
                for change in changes {
                    if let Change::Moved { shift, factor, .. } = change {
                        prop_assert!(shift.abs() <= X_MAX && *factor > 0.0 && factor.is_finite());
                    }
                }
            }
            prop_assert!(!block.raw(0, 0.0).is_nan());
        }

        #[test]
        fn a_value_survives_the_row(start in -1e12f64..1e12, moves in prop::collection::vec(-1e3f64..1e3, 1..200)) {
            let mut value = start;
            let values: Vec<f64> = moves.iter().map(|m| { value += m; value }).collect();
            let (block, rows) = follow(start, values.clone());
            let last = values[values.len() - 1];
            let back = block.raw(0, rows[rows.len() - 1].0);
            prop_assert!((back - last).abs() <= 1e-2, "{back} for {last}");
        }
    }
}
