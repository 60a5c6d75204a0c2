//! Up to 1,024 series of one cadence side by side, and the row that they are at each tick.
//!
//! Detectors keep state by lane, so a row first tells what happened to the lanes since the last one: who
//! joined, who left, whose normaliser moved. Until then everything is said in the units of the last row.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask, Sample, Timestamp};
use crate::series::chunk::Chunk;
pub use crate::series::chunk::X_MAX;
use crate::series::registry::SeriesId;

/// Lanes of one block.
pub const LANES_MAX: usize = 1024;

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
        chunk.silence(i);
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
        chunk.silence(i);
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
    /// `x` and `seen` are `chunks()` long. A lane not seen has x 0; none lies beyond 2^50, so that squares are finite.
    pub fn row(&mut self, at: Timestamp, x: &mut [Lanes], seen: &mut [Mask], changes: &mut Vec<Change>) {
        if !self.moving.is_empty() {
            self.centre_moving();
        }
        changes.append(&mut self.changes);
        let since = at.plus_ms(-self.cadence_ms());
        for ((chunk, x), seen) in self.chunks.iter().zip(x).zip(seen) {
            (*x, *seen) = chunk.row(since, at);
        }
    }

    /// Lanes of a chunk that have missed `rows` rows or more as of the row at `at`.
    pub fn missed(&self, at: Timestamp, chunk: usize, rows: i64) -> Mask {
        let last_row = at.plus_ms(-at.0.rem_euclid(self.cadence_ms()));
        let since = last_row.plus_ms(-rows.saturating_mul(self.cadence_ms()));
        self.chunks[chunk].silent_since(since)
    }

    /// Whether this lane has missed `rows` rows or more as of the last row at or before `at`.
    pub fn has_missed(&self, at: Timestamp, lane: usize, rows: i64) -> bool {
        self.missed(at, lane / CHUNK, rows).has(lane % CHUNK)
    }

    /// From normalised units back to the series' own.
    pub fn raw(&self, lane: usize, x: f32) -> f64 {
        let (chunk, i) = self.at(lane);
        chunk.raw(i, x)
    }

    /// The last value and its time; `None` in an empty lane and after a stale marker.
    pub fn last(&self, lane: usize) -> Option<Sample> {
        let (chunk, i) = self.at(lane);
        chunk.last(i)
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
    fn a_move_that_was_due_does_not_befall_the_next_in_the_lane() {
        let (mut block, _) = follow(100.0, (0..15).map(|i| 100.0 + f64::from(i % 2 + 1)));
        block.put(0, Sample { at: Timestamp(160_000), value: 103.0 });
        block.leave(0);
        block.join(SeriesId(9), Sample { at: Timestamp(160_000), value: 1.0 });
        let (_, _, changes) = row(&mut block, 160_000);
        assert!(!changes.iter().any(|change| matches!(change, Change::Moved { .. })), "{changes:?}");
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

    #[test]
    fn an_absurd_value_among_the_first_spoils_the_scale_for_a_while_only() {
        let noise = |n| (0..n).map(|i| 100.0 + f64::from(i % 3));
        let (_, rows) = follow(100.0, noise(5).chain([1e12]).chain(noise(2000)));
        let last = &rows[rows.len() - 3..];
        assert!(last.iter().all(|(_, changes)| changes.is_empty()));
        let steps = (last[0].0 - last[1].0).abs().min((last[1].0 - last[2].0).abs());
        assert!((1e-3..=1e3).contains(&steps), "a step of 1 is {steps} in normalised units");
    }

    #[test]
    fn a_level_that_moves_by_rounding_alone_starts_anew_once() {
        let near = 1000.0_f64.next_up();
        let (block, rows) = follow(1000.0, (0..500).map(|i| if i % 2 == 0 { near } else { 1000.0 }));
        let anew = rows.iter().flat_map(|(_, changes)| changes);
        let anew = anew.filter(|change| matches!(change, Change::Joined { .. })).count();
        // With its first row, and when its scale is known.
        assert_eq!(anew, 1);
        let step = rows[499].0 - rows[498].0;
        assert!((0.1..=4.0).contains(&step.abs()), "{step}");
        assert_eq!(block.raw(0, rows[498].0), near);
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
