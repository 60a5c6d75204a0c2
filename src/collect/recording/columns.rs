//! Recorded samples as one column a series, 16 bytes a sample, merged into order of time only when read.
//!
//! Formats group samples by family or by series, the engine wants them by time. A column grows by pieces
//! of at most 16 KiB, so it is never copied to grow and wastes less than a piece; a piece is freed once
//! it is handed over. Merging costs a heap step a series and slice.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::sample::{Batch, Labels, Sample, Source, Timestamp, ValueKind};

const PIECE_MIN: usize = 8;
const PIECE_MAX: usize = 1024;

/// How much may be recorded.
#[derive(Clone, Copy, Debug)]
pub struct RecordingLimits {
    pub series_max: usize,
    pub samples_max: u64,
}

/// What stands beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("more than {0} series; raise `limits.series_max`")]
    Series(usize),
    #[error("more than {0} samples; raise `--samples-max` (a sample takes 16 bytes of memory)")]
    Samples(u64),
}

/// A series among the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnId(u32);

/// The columns being filled.
pub struct Columns {
    by_key: FxHashMap<Arc<[u8]>, ColumnId>,
    columns: Vec<Column>,
    limits: RecordingLimits,
    samples: u64,
    span: Option<(Timestamp, Timestamp)>,
}

struct Column {
    key: Arc<[u8]>,
    kind: ValueKind,
    pieces: VecDeque<Vec<Sample>>,
    len: usize,
    newest: Timestamp,
    in_order: bool,
}

impl Columns {
    pub fn new(limits: RecordingLimits) -> Self {
        Columns { by_key: FxHashMap::default(), columns: Vec::new(), limits, samples: 0, span: None }
    }

    /// The column of the series with this canonical key; a known kind stands against `Unknown`.
    pub fn column(&mut self, key: &[u8], kind: ValueKind) -> Result<ColumnId, Full> {
        if let Some(&id) = self.by_key.get(key) {
            let column = &mut self.columns[id.0 as usize];
            if column.kind == ValueKind::Unknown {
                column.kind = kind;
            }
            return Ok(id);
        }
        if self.columns.len() >= self.limits.series_max {
            return Err(Full::Series(self.limits.series_max));
        }
        let id = ColumnId(self.columns.len() as u32);
        let key: Arc<[u8]> = key.into();
        self.by_key.insert(key.clone(), id);
        self.columns.push(Column {
            key,
            kind,
            pieces: VecDeque::new(),
            len: 0,
            newest: Timestamp::MIN,
            in_order: true,
        });
        Ok(id)
    }

    /// Whether `samples` more could be added.
    pub fn room_for(&self, samples: usize) -> Result<(), Full> {
        let room = self.samples.saturating_add(samples as u64) <= self.limits.samples_max;
        if room { Ok(()) } else { Err(Full::Samples(self.limits.samples_max)) }
    }

    /// Adds a sample; in any order of time.
    pub fn push(&mut self, id: ColumnId, at: Timestamp, value: f64) -> Result<(), Full> {
        self.room_for(1)?;
        self.samples += 1;
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
        self.columns[id.0 as usize].push(Sample { at, value });
        Ok(())
    }

    pub fn series(&self) -> usize {
        self.columns.len()
    }

    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Times of the first and the last sample.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// Labels of every column, in the order in which they came.
    pub fn labels(&self) -> impl Iterator<Item = Labels> {
        self.columns.iter().map(|c| Labels::from_key(&c.key))
    }

    /// Hands everything over in order of time: a batch for each tick of `step_seconds` that has samples.
    ///
    /// The batch of the tick at T holds the samples in (T - step, T]. Samples at or before `after` are
    /// left out, those of equal time in a series keep their order.
    pub fn into_slices(mut self, source: Source, step_seconds: u32, after: Timestamp) -> Slices {
        self.by_key = FxHashMap::default();
        let mut skipped = 0;
        let mut next = BinaryHeap::with_capacity(self.columns.len());
        for (i, column) in self.columns.iter_mut().enumerate() {
            column.put_in_order();
            skipped += column.skip_to(after);
            if let Some(sample) = column.front() {
                next.push(Reverse((sample.at, i as u32)));
            }
        }
        Slices { source, step_ms: i64::from(step_seconds) * 1000, columns: self.columns, next, skipped }
    }
}

impl Column {
    fn push(&mut self, sample: Sample) {
        if self.pieces.back().is_none_or(|piece| piece.len() == piece.capacity()) {
            self.pieces.push_back(Vec::with_capacity(self.len.clamp(PIECE_MIN, PIECE_MAX)));
        }
        if let Some(piece) = self.pieces.back_mut() {
            piece.push(sample);
        }
        self.len += 1;
        self.in_order &= sample.at >= self.newest;
        self.newest = self.newest.max(sample.at);
    }

    fn put_in_order(&mut self) {
        if self.in_order {
            // The front is popped sample by sample, so each piece is turned round once.
            self.pieces.iter_mut().for_each(|piece| piece.reverse());
            return;
        }
        let mut all = Vec::with_capacity(self.len);
        self.pieces.drain(..).for_each(|piece| all.extend(piece));
        all.sort_by_key(|sample| sample.at);
        self.pieces = all.chunks(PIECE_MAX).map(|piece| piece.iter().rev().copied().collect()).collect();
    }

    fn front(&self) -> Option<Sample> {
        self.pieces.front()?.last().copied()
    }

    fn pop(&mut self) -> Option<Sample> {
        let piece = self.pieces.front_mut()?;
        let sample = piece.pop();
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        sample
    }

    fn skip_to(&mut self, after: Timestamp) -> u64 {
        let mut skipped = 0;
        while self.front().is_some_and(|sample| sample.at <= after) {
            self.pop();
            skipped += 1;
        }
        skipped
    }
}

/// The recording in order of time, a batch a tick.
pub struct Slices {
    source: Source,
    step_ms: i64,
    columns: Vec<Column>,
    next: BinaryHeap<Reverse<(Timestamp, u32)>>,
    skipped: u64,
}

impl Slices {
    /// Samples left out since they stood at or before `after`.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl Iterator for Slices {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let &Reverse((first, _)) = self.next.peek()?;
        let tick = tick_of(first, self.step_ms);
        let mut batch = Batch::new(self.source.clone());
        while let Some(&Reverse((at, i))) = self.next.peek() {
            if at > tick {
                break;
            }
            self.next.pop();
            let column = &mut self.columns[i as usize];
            batch.keyed_series(&column.key, column.kind);
            while let Some(sample) = column.front() {
                if sample.at > tick {
                    self.next.push(Reverse((sample.at, i)));
                    break;
                }
                column.pop();
                batch.sample(sample.at, sample.value);
            }
        }
        Some(batch)
    }
}

/// The tick that a sample at `at` belongs to: the next multiple of the step, or `at` itself.
pub fn tick_of(at: Timestamp, step_ms: i64) -> Timestamp {
    let into = at.0.rem_euclid(step_ms);
    if into == 0 { at } else { at.plus_ms(step_ms - into) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: RecordingLimits = RecordingLimits { series_max: 100, samples_max: 100_000 };

    fn key(name: &str) -> Vec<u8> {
        Labels::new(&[("__name__", name)]).key().to_vec()
    }

    fn columns_of(samples: &[(u8, i64)]) -> Columns {
        let mut columns = Columns::new(LIMITS);
        for (i, &(series, at)) in samples.iter().enumerate() {
            let id = columns.column(&key(&series.to_string()), ValueKind::Gauge).unwrap();
            columns.push(id, Timestamp(at), i as f64).unwrap();
        }
        columns
    }

    fn flat(batches: impl Iterator<Item = Batch>) -> Vec<(i64, Vec<u8>, f64)> {
        let mut all = Vec::new();
        for batch in batches {
            for (key, _, samples) in batch.iter() {
                all.extend(samples.iter().map(|s| (s.at.0, key.to_vec(), s.value)));
            }
        }
        all
    }

    proptest! {
        /// Against sorting everything at once: nothing lost, slices in order, order kept where times are equal.
        #[test]
        fn slices_are_the_sorted_recording(samples in prop::collection::vec((0u8..5, -40_000i64..40_000), 0..300), after in -50_000i64..50_000) {
            let slices = columns_of(&samples).into_slices("test".into(), 15, Timestamp(after));
            let skipped = slices.skipped();
            let batches: Vec<Batch> = slices.collect();
            let mut before = i64::MIN;
            for batch in &batches {
                let tick = tick_of(batch.latest().unwrap(), 15_000).0;
                prop_assert!(tick > before);
                prop_assert_eq!(tick % 15_000, 0);
                for (_, _, samples) in batch.iter() {
                    prop_assert!(samples.iter().all(|s| s.at.0 <= tick && s.at.0 > tick - 15_000));
                }
                before = tick;
            }
            let mut want: Vec<(i64, Vec<u8>, f64)> =
                samples.iter().enumerate().map(|(i, &(s, at))| (at, key(&s.to_string()), i as f64)).collect();
            want.retain(|(at, ..)| *at > after);
            prop_assert_eq!(skipped as usize, samples.len() - want.len());
            want.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
            let mut found = flat(batches.into_iter());
            found.sort_by(|a, b| a.1.cmp(&b.1));
            prop_assert_eq!(found, want);
        }
    }

    #[test]
    fn a_column_takes_16_bytes_a_sample() {
        let samples: Vec<(u8, i64)> = (0..10_000).map(|i| (0, i)).collect();
        let columns = columns_of(&samples);
        let room: usize = columns.columns[0].pieces.iter().map(Vec::capacity).sum();
        assert!(room - 10_000 < PIECE_MAX, "{room}");
        assert_eq!(size_of::<Sample>(), 16);
    }

    #[test]
    fn limits_are_errors() {
        let mut columns = Columns::new(RecordingLimits { series_max: 1, samples_max: 2 });
        let id = columns.column(&key("a"), ValueKind::Unknown).unwrap();
        assert_eq!(columns.column(&key("a"), ValueKind::Counter), Ok(id));
        assert_eq!(columns.column(&key("b"), ValueKind::Gauge), Err(Full::Series(1)));
        columns.push(id, Timestamp(0), 0.0).unwrap();
        columns.push(id, Timestamp(1), 0.0).unwrap();
        assert_eq!(columns.push(id, Timestamp(2), 0.0), Err(Full::Samples(2)));
    }
}
