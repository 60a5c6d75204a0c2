//! One row of several signals of one entity, from raw values to one surprise.
//!
//! `score` runs a file through this; the engine, whose signals live in blocks, fuses with `entity_surprise`.

use serde::{Deserialize, Serialize};

use super::{MultiSurprise, Multivariate, Row, Tick, Univariate, fuse};
use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask};

/// A value further out, in normalised units, moves its lane's centre there, so that f32 resolves its changes.
const CENTRE_REACH: f64 = 65_536.0;
/// Values are cut here, far below where their squares would overflow f32.
const NORMALISED_MAX: f64 = 1e15;
/// A series is first met at this many of its units.
const UNITS_AT_FIRST: f64 = 1_024.0;

/// One surprise of an entity from those of its signals (NaN where there was none) and of how they move together.
///
/// The signals count for one half, their relations for the other.
pub fn entity_surprise(signals: impl IntoIterator<Item = f32>, together: f32) -> f32 {
    let apart = fuse::mean_of_odds(signals);
    fuse::mean_of_odds([apart, together])
}

/// What one row of an entity's signals is worth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityRow {
    /// Of the row as a whole.
    pub surprise: f32,
    /// Of each signal by itself; NaN where it is missing.
    pub signals: Vec<f32>,
    /// Of the relations between them.
    pub together: MultiSurprise,
}

/// The detectors of a row of signals that arrive as raw values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EntityScore {
    univariate: Univariate,
    multivariate: Multivariate,
    normalisers: Vec<Option<Normaliser>>,
    #[serde(skip)]
    row: Row,
}

impl EntityScore {
    /// For `signals` columns that are sampled every `cadence_seconds`, or about so.
    pub fn new(cadence_seconds: u32, signals: usize) -> Self {
        let mut multivariate = Multivariate::new();
        for _ in 0..signals {
            multivariate.join();
        }
        EntityScore {
            univariate: Univariate::new(cadence_seconds, signals.div_ceil(CHUNK)),
            multivariate,
            normalisers: vec![None; signals],
            row: Row::default(),
        }
    }

    /// Scores one row against all rows before it, then learns from it; NaN and infinite values are missing.
    pub fn step(&mut self, tick: &Tick, values: &[f64]) -> EntityRow {
        let chunks = self.normalisers.len().div_ceil(CHUNK);
        let (mut x, mut seen) = (vec![[0.0; CHUNK]; chunks], vec![Mask::NONE; chunks]);
        for (signal, &value) in values.iter().take(self.normalisers.len()).enumerate() {
            if value.is_finite() {
                x[signal / CHUNK][signal % CHUNK] = self.normalise(signal, value);
                seen[signal / CHUNK] = seen[signal / CHUNK].with(signal % CHUNK, true);
            }
        }
        self.univariate.step(tick, &x, &seen, &seen, &mut self.row);
        let pick = |of: &[Lanes], signal: usize| {
            if seen[signal / CHUNK].has(signal % CHUNK) {
                of[signal / CHUNK][signal % CHUNK]
            } else {
                f32::NAN
            }
        };
        let signals: Vec<f32> =
            (0..self.normalisers.len()).map(|signal| pick(&self.row.surprise, signal)).collect();
        if signals.len() == 1 {
            let surprise = if signals[0].is_nan() { 0.0 } else { signals[0] };
            return EntityRow { surprise, signals, together: MultiSurprise::default() };
        }
        let z: Vec<f32> = (0..signals.len()).map(|signal| pick(&self.row.z, signal)).collect();
        let together = self.multivariate.step(tick, &z, true);
        EntityRow { surprise: entity_surprise(signals.iter().copied(), together.surprise), signals, together }
    }

    /// The value in its lane's unit, whose centre moves where the value has run away from it.
    fn normalise(&mut self, signal: usize, value: f64) -> f32 {
        let normaliser = self.normalisers[signal].get_or_insert_with(|| Normaliser::at(value));
        let x = normaliser.apply(value);
        if f64::from(x.abs()) < CENTRE_REACH {
            return x;
        }
        normaliser.centre = value;
        self.univariate.affine(signal, x, 1.0);
        0.0
    }
}

/// From raw f64 to small f32.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Normaliser {
    centre: f64,
    /// A power of two, so that dividing by it loses nothing.
    unit: f64,
}

impl Normaliser {
    fn at(value: f64) -> Self {
        let unit = if value == 0.0 { 1.0 } else { libm::exp2(libm::floor(libm::log2(value.abs()))) };
        Normaliser { centre: value, unit: (unit / UNITS_AT_FIRST).max(f64::MIN_POSITIVE) }
    }

    fn apply(&self, value: f64) -> f32 {
        ((value - self.centre) / self.unit).clamp(-NORMALISED_MAX, NORMALISED_MAX) as f32
    }
}
