//! One row of several signals of one entity, from raw values to one surprise.
//!
//! `score` and `eval` run files through this: the detectors that the engine runs on series, with raw values in place of
//! blocks, and one surprise for the row: that of its energies, raised by novelty where there is one signal only. Beside
//! it how unusual the row is among rows of all files, which asks for the size of its effect, too.

use serde::{Deserialize, Serialize};

use super::effect::{Effects, unusual};
use super::{Detectors, Row, Tick, Together, Univariate, fuse};
use crate::sample::{CHUNK, Mask};

/// A value further out, in its lane's units, moves the centre there, so that f32 resolves its changes;
/// now and then a nearer one does too, for a series that has shrunk since.
const CENTRE_REACH: f64 = 65_536.0;
const CENTRE_REACH_AT_REST: f64 = 16.0;
const REST_ROWS: u64 = 256;
/// Values are cut here: their squares must fit f32.
const NORMALISED_MAX: f64 = 1e15;

/// What one row of an entity's signals is worth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityRow {
    /// Of the row as a whole.
    pub surprise: f32,
    /// What ranks rows of all recordings: the surprise or the effect, as a number like a surprise.
    pub unusual: f32,
    /// Of each signal by itself; NaN where it is missing.
    pub signals: Vec<f32>,
    /// How new the row is, where there is one signal only; what alerts are told by, 0..=`NOVELTY_MAX`.
    pub novelty: f32,
}

/// The detectors of a row of signals that arrive as raw values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EntityScore {
    univariate: Univariate,
    together: Together,
    effects: Effects,
    normalisers: Vec<Option<Normaliser>>,
    rows: u64,
    #[serde(skip)]
    row: Row,
}

impl EntityScore {
    /// For `signals` columns that are sampled every `cadence_seconds`, or about so.
    pub fn new(cadence_seconds: u32, signals: usize) -> Self {
        Self::with(cadence_seconds, signals, Detectors::default())
    }

    /// With some of the detectors only.
    pub fn with(cadence_seconds: u32, signals: usize, detectors: Detectors) -> Self {
        let mut univariate = Univariate::new(cadence_seconds, signals.div_ceil(CHUNK));
        univariate.detectors = detectors;
        let mut together = Together::new(signals == 1 && detectors.novelty);
        together.grow(signals);
        EntityScore {
            univariate,
            together,
            effects: Effects::new(signals),
            normalisers: vec![None; signals],
            rows: 0,
            row: Row::default(),
        }
    }

    /// Scores one row against all rows before it, then learns from it; NaN and infinite values are missing.
    pub fn step(&mut self, tick: &Tick, values: &[f64]) -> EntityRow {
        self.rows += 1;
        let chunks = self.normalisers.len().div_ceil(CHUNK);
        let (mut x, mut seen) = (vec![[0.0; CHUNK]; chunks], vec![Mask::NONE; chunks]);
        for (signal, &value) in values.iter().take(self.normalisers.len()).enumerate() {
            if value.is_finite() {
                x[signal / CHUNK][signal % CHUNK] = self.normalise(signal, value);
                seen[signal / CHUNK] = seen[signal / CHUNK].with(signal % CHUNK, true);
            }
        }
        self.univariate.step(tick, &x, &seen, &seen, &mut self.row);
        let signals: Vec<f32> = (0..self.normalisers.len())
            .map(|signal| {
                let (chunk, lane) = (signal / CHUNK, signal % CHUNK);
                if seen[chunk].has(lane) { self.row.surprise[chunk][lane] } else { f32::NAN }
            })
            .collect();
        let Detectors { novelty, energy, .. } = self.univariate.detectors;
        let single = self.normalisers.len() == 1 && novelty;
        let novelty = if single { self.univariate.novelty(0) } else { 0.0 };
        let together = self.together.step(tick, values, novelty, true);
        let surprise = if energy { together.surprise } else { fuse::mean_of_odds(signals.iter().copied()) };
        let unusual = unusual(self.effects.step(tick, values), surprise, self.normalisers.len());
        EntityRow { surprise, unusual, signals, novelty }
    }

    /// The value in its lane's unit, whose centre moves where the value has run away from it.
    fn normalise(&mut self, signal: usize, value: f64) -> f32 {
        if value == 0.0 && self.normalisers[signal].is_none() {
            // Zeros have no unit, and are zero in any.
            return 0.0;
        }
        let first = Normaliser { centre: 0.0, ..Normaliser::at(value) };
        let normaliser = self.normalisers[signal].get_or_insert(first);
        let x = normaliser.apply(value);
        let at_rest = self.rows.is_multiple_of(REST_ROWS);
        if f64::from(x.abs()) < if at_rest { CENTRE_REACH_AT_REST } else { CENTRE_REACH } {
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
    /// A first value is about a thousand units.
    fn at(value: f64) -> Self {
        let exponent = libm::floor(libm::log2(value.abs())) - 10.0;
        Normaliser { centre: value, unit: libm::exp2(exponent).max(f64::MIN_POSITIVE) }
    }

    fn apply(&self, value: f64) -> f32 {
        ((value - self.centre) / self.unit).clamp(-NORMALISED_MAX, NORMALISED_MAX) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Timestamp;
    use proptest::prelude::*;

    fn tick(n: usize) -> Tick {
        Tick::utc(Timestamp(n as i64 * 60_000), 60)
    }

    /// Something between a sine and noise, different for every signal.
    fn wave(n: usize, signal: usize) -> f64 {
        let n = n as f64;
        (n * 0.7 + signal as f64).sin() + (n * 2.3 * (signal + 1) as f64).sin()
    }

    fn surprises(signals: usize, rows: usize, value: impl Fn(usize, usize) -> f64) -> Vec<EntityRow> {
        let mut score = EntityScore::new(60, signals);
        let row = |n| (0..signals).map(|signal| value(n, signal)).collect::<Vec<f64>>();
        (0..rows).map(|n| score.step(&tick(n), &row(n))).collect()
    }

    #[test]
    fn the_unit_of_a_signal_does_not_matter() {
        let small = surprises(1, 600, |n, s| wave(n, s) + if n == 500 { 30.0 } else { 0.0 });
        for (unit, offset) in [(1e12, 0.0), (1e-9, 0.0), (1e9, 1e12)] {
            let large =
                surprises(1, 600, |n, s| offset + unit * (wave(n, s) + if n == 500 { 30.0 } else { 0.0 }));
            assert!(large[500].surprise > 4.0, "{unit} {offset} {:?} {:?}", small[500], large[500]);
            for (a, b) in small.iter().zip(&large) {
                assert!(
                    (a.surprise - b.surprise).abs() < 0.1,
                    "{unit} {offset}: {} {}",
                    a.surprise,
                    b.surprise
                );
            }
        }
    }

    #[test]
    fn a_value_that_runs_away_takes_its_centre_along() {
        let grown = surprises(1, 2_000, |n, s| 1.0 + 1e7 * n as f64 + wave(n, s));
        let odd = grown[1_000..].iter().filter(|row| row.surprise >= 3.0).count();
        // Each is higher than any before it, which is new; how often that is told sinks as the threshold follows.
        assert!(odd < 50, "{odd} of 1000");
    }

    #[test]
    fn one_wild_signal_of_twenty_shows_by_name_and_five_in_the_row() {
        let wild = |count: usize| {
            surprises(20, 3_000, move |n, s| wave(n, s) + if n == 2_990 && s < count { 40.0 } else { 0.0 })
        };
        let one = &wild(1)[2_990];
        assert!(one.signals[0] > 4.0 && one.signals[1..].iter().all(|&s| s < 3.0), "{one:?}");
        let five = wild(5);
        assert!(five[2_990].surprise > 3.0, "{:?}", five[2_990]);
        assert!(five[2_900..2_990].iter().all(|row| row.surprise < 3.0));
    }

    #[test]
    fn saved_and_loaded_equals_never_stopped() {
        for signals in [1, 3] {
            let row = |n| (0..signals).map(|s| wave(n, s)).collect::<Vec<f64>>();
            let mut score = EntityScore::new(60, signals);
            (0..700).for_each(|n| {
                score.step(&tick(n), &row(n));
            });
            let mut loaded: EntityScore =
                postcard::from_bytes(&postcard::to_stdvec(&score).unwrap()).unwrap();
            for n in 700..1_100 {
                assert_eq!(score.step(&tick(n), &row(n)), loaded.step(&tick(n), &row(n)));
            }
        }
    }

    #[test]
    fn an_empty_row_is_no_surprise_and_no_sample() {
        let rows = surprises(3, 300, |n, s| if n == 200 { f64::NAN } else { wave(n, s) });
        assert_eq!(rows[200].surprise, 0.0);
        assert!(rows[200].signals.iter().all(|s| s.is_nan()));
    }

    /// -1 read as unsigned, as exporters do before their first measurement.
    #[test]
    fn a_sentinel_before_the_first_value_blinds_nobody() {
        let value =
            |n| if n == 0 { u64::MAX as f64 } else { wave(n, 0) + if n == 1_000 { 1e3 } else { 0.0 } };
        assert!(surprises(1, 1_001, |n, _| value(n))[1_000].surprise > 3.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_number_makes_it_panic_or_answer_nan(values in prop::collection::vec(any::<f64>(), 150)) {
            let mut score = EntityScore::new(60, 2);
            for (n, pair) in values.windows(2).enumerate() {
                let row = score.step(&tick(n), pair);
                prop_assert!((0.0..=12.0).contains(&row.surprise));
            }
        }
    }
}
