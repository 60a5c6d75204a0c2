//! Up to 1,024 series of one cadence side by side, and the row that they are at each tick.
//!
//! Values are f64, a row is f32: each lane has an affine normaliser `x = (value - center) / scale`.
//! What the eye of a detector needs is the difference from the neighbours in time, so `center` lies near
//! the values and bytes around 1e12 lose nothing. The scale is a power of two, hence exact, near the
//! typical change between samples. A lane whose values went far from its center and stayed there is
//! centred anew; `row` says so first, so that detectors can move their state.
//!
//! Lanes lie in chunks of 16, each array of a chunk on its own cache lines.

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask, Sample, Timestamp};
use crate::series::registry::SeriesId;

/// Lanes of one block.
pub const LANES_MAX: usize = 1024;

/// Distance from the center, in typical changes, at which f32 begins to lose what matters: 8 bits are left.
const FAR: f64 = 65_536.0;

/// So many samples in a row must be far before the center moves: a single absurd value doesn't move it.
const FAR_SAMPLES: u8 = 8;

/// Samples after which the scale, a guess until then, is set by what was seen.
const SETTLED_SAMPLES: u8 = 16;

/// The scale is a power of two within these.
const SCALE_EXPONENTS: std::ops::RangeInclusive<i32> = -60..=200;

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
    /// The typical change from sample to sample, in the series' unit.
    stride: [f64; CHUNK],
    samples: [u8; CHUNK],
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
        samples: [0; CHUNK],
        far: [0; CHUNK],
        series: [None; CHUNK],
    };
}

/// The lanes of one cadence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Block {
    cadence_seconds: u32,
    chunks: Vec<Chunk>,
    /// Lanes without a series; the lowest is taken first.
    free: std::collections::BTreeSet<usize>,
    changes: Vec<Change>,
}

impl Block {
    pub fn new(cadence_seconds: u32) -> Self {
        Block { cadence_seconds, chunks: Vec::new(), free: Default::default(), changes: Vec::new() }
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
        chunk.value[i] = first.value;
        chunk.at[i] = first.at.0;
        chunk.center[i] = first.value;
        // A 64th of the value: a guess until 16 samples have been seen.
        chunk.per_scale[i] =
            1.0 / power_of_two_near(if first.value == 0.0 { 1.0 } else { first.value / 64.0 });
        chunk.stride[i] = 0.0;
        chunk.samples[i] = 1;
        chunk.far[i] = 0;
        self.changes.push(Change::Joined { lane, series });
        Some(lane)
    }

    pub fn leave(&mut self, lane: usize) {
        let (chunk, i) = self.at_mut(lane);
        let left = chunk.series[i].take();
        chunk.at[i] = i64::MIN;
        if let Some(series) = left {
            self.free.insert(lane);
            self.changes.push(Change::Left { lane, series });
        }
    }

    /// The next value of a lane. Finite.
    pub fn put(&mut self, lane: usize, sample: Sample) {
        let (chunk, i) = self.at_mut(lane);
        let change = (sample.value - chunk.value[i]).abs();
        chunk.value[i] = sample.value;
        chunk.at[i] = sample.at.0;
        let stride = &mut chunk.stride[i];
        // A mean that forgets within 32 samples; a jump counts as four ordinary changes at most.
        *stride += if *stride == 0.0 { change } else { (change.min(4.0 * *stride) - *stride) / 32.0 };
        let stride = *stride;
        let distance = (sample.value - chunk.center[i]).abs();
        chunk.far[i] = if distance > FAR * stride { chunk.far[i].saturating_add(1) } else { 0 };
        chunk.samples[i] = chunk.samples[i].saturating_add(1);
        if chunk.far[i] >= FAR_SAMPLES || chunk.samples[i] == SETTLED_SAMPLES {
            self.centre(lane);
        }
    }

    /// The series says that it has ended.
    pub fn silence(&mut self, lane: usize) {
        let (chunk, i) = self.at_mut(lane);
        chunk.at[i] = i64::MIN;
    }

    #[cold]
    fn centre(&mut self, lane: usize) {
        let (chunk, i) = self.at_mut(lane);
        chunk.far[i] = 0;
        let (value, stride, old) = (chunk.value[i], chunk.stride[i], chunk.per_scale[i]);
        // What detectors are told in f32 is also what happens to the center, to the bit.
        let shift = ((value - chunk.center[i]) * old) as f32;
        if stride > 0.0 {
            chunk.per_scale[i] = 1.0 / power_of_two_near(stride.max(value.abs() * f64::EPSILON));
        }
        chunk.center[i] += f64::from(shift) / old;
        let factor = (chunk.per_scale[i] / old) as f32;
        if shift != 0.0 || factor != 1.0 {
            self.changes.push(Change::Moved { lane, shift, factor });
        }
    }

    /// Whether a row of this cadence ends at `at`.
    pub fn is_due(&self, at: Timestamp) -> bool {
        at.0.rem_euclid(self.cadence_ms()) == 0
    }

    /// Writes the row of values whose time lies in (at - cadence, at], and appends to `changes` what
    /// happened to the lanes since the last row, in order: it applies before the row is read.
    ///
    /// `x` and `seen` are `chunks()` long. A lane not seen has x 0.
    pub fn row(&mut self, at: Timestamp, x: &mut [Lanes], seen: &mut [Mask], changes: &mut Vec<Change>) {
        changes.append(&mut self.changes);
        let since = at.0.saturating_sub(self.cadence_ms());
        for ((chunk, x), seen) in self.chunks.iter().zip(x).zip(seen) {
            let here: [bool; CHUNK] = std::array::from_fn(|i| chunk.at[i] > since && chunk.at[i] <= at.0);
            *x = std::array::from_fn(|i| {
                let normal = ((chunk.value[i] - chunk.center[i]) * chunk.per_scale[i]) as f32;
                if here[i] { normal } else { 0.0 }
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

/// The power of two at or below `|x|`, within bounds in which neither f32 nor its squares run out.
fn power_of_two_near(x: f64) -> f64 {
    let exponent = libm::ilogb(x).clamp(*SCALE_EXPONENTS.start(), *SCALE_EXPONENTS.end());
    libm::ldexp(1.0, exponent)
}
