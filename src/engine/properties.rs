//! What holds of every kind of detector: a score depends on the series' own past, and on nothing else.
//!
//! That the processor changes nothing either is tested on whole runs (`tests/instructions.rs`); silence, which looks at
//! what does not come, is tested with the engine around it (`tests.rs`).

use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::detect::{Detectors, Kind, Multivariate, Row, Tick, Together, Univariate};
use crate::predict::limit::{Known, LimitTracker};
use crate::predict::pack::Direction;
use crate::sample::{CHUNK, Mask, Timestamp};

const SIGNALS: usize = 20;
const CHUNKS: usize = SIGNALS.div_ceil(CHUNK);
const ROWS: usize = 700;
const LEVEL: f64 = 100.0;
const LIMIT: f64 = 300.0;
const KINDS: [Kind; 6] =
    [Kind::Derivative, Kind::Seasonal, Kind::Novelty, Kind::Energy, Kind::Multivariate, Kind::Limit];

/// One kind by itself.
#[derive(Clone, Serialize, Deserialize)]
enum Alone {
    Series(Kind, Box<Univariate>),
    Energy(Box<Together>),
    Relations(Box<Multivariate>),
    Limits(Vec<LimitTracker>),
}

impl Alone {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Energy => {
                let mut together = Together::new(false);
                together.grow(SIGNALS);
                Alone::Energy(Box::new(together))
            }
            Kind::Multivariate => {
                let mut relations = Multivariate::new();
                (0..SIGNALS).for_each(|_| assert!(relations.join().is_some()));
                Alone::Relations(Box::new(relations))
            }
            Kind::Limit => Alone::Limits(vec![LimitTracker::new(Direction::Up); SIGNALS]),
            kind => Alone::Series(kind, Box::new(Univariate::new(60, CHUNKS))),
        }
    }

    /// A score of each signal, or one of all; NaN stands for a value that is missing.
    fn step(&mut self, n: usize, values: &[f64]) -> Vec<f32> {
        let tick = Tick::utc(Timestamp(n as i64 * 60_000), 60);
        match self {
            Alone::Series(kind, block) => {
                let off = Detectors::without(&Detectors::NAMES.map(str::to_owned));
                block.detectors = match kind {
                    Kind::Derivative => Detectors { derivative: true, ..off },
                    Kind::Seasonal => Detectors { seasonal: true, ..off },
                    _ => Detectors { novelty: true, ..off },
                };
                let (mut x, mut seen) = ([[0.0; CHUNK]; CHUNKS], [Mask::NONE; CHUNKS]);
                for (signal, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                    let (chunk, lane) = (signal / CHUNK, signal % CHUNK);
                    x[chunk][lane] = (value - LEVEL) as f32;
                    seen[chunk] = seen[chunk].with(lane, true);
                }
                let mut row = Row::default();
                block.step(&tick, &x, &seen, &[Mask::ALL; CHUNKS], &mut row);
                row.surprise.iter().flatten().copied().take(SIGNALS).collect::<Vec<f32>>()
            }
            Alone::Energy(together) => vec![together.step(&tick, values, 0.0, true).surprise],
            Alone::Relations(relations) => {
                let z: Vec<f32> = values.iter().map(|value| (value - LEVEL) as f32).collect();
                vec![relations.step(&tick, &z, true).surprise]
            }
            Alone::Limits(trackers) => {
                let left = trackers.iter_mut().zip(values).map(|(tracker, value)| {
                    tracker.push(tick.at, *value, LEVEL);
                    tracker
                        .forecast(LIMIT, Known::default())
                        .map_or(0.0, |time| time.at.since(tick.at) as f32)
                });
                left.collect()
            }
        }
    }
}

/// Signals that share a load, some of whose values are missing; at row 600 half of them jump and leave for `LIMIT`.
fn rows(seed: u64) -> Vec<Vec<f64>> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let row = |n: usize| {
        let load: f64 = rng.sample(StandardNormal);
        let value = |signal: usize| {
            let since = n.saturating_sub(600) as f64;
            let climb = if signal.is_multiple_of(2) && n >= 600 { 60.0 + 2.0 * since } else { 0.0 };
            let own: f64 = rng.sample(StandardNormal);
            if rng.random_bool(0.05) { f64::NAN } else { LEVEL + 0.7 * load + 0.7 * own + climb }
        };
        (0..SIGNALS).map(value).collect()
    };
    (0..ROWS).map(row).collect()
}

fn scores(kind: Kind, rows: &[Vec<f64>]) -> Vec<Vec<f32>> {
    let mut alone = Alone::new(kind);
    rows.iter().enumerate().map(|(n, row)| alone.step(n, row)).collect()
}

#[test]
fn the_rows_give_every_kind_something_to_say() {
    let rows = rows(1);
    for kind in KINDS {
        let most = scores(kind, &rows)[600..].iter().flatten().copied().fold(0.0, f32::max);
        assert!(most > 2.5, "{kind:?}: {most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn saved_and_loaded_equals_never_stopped(seed in any::<u64>(), cut in 1..ROWS) {
        let rows = rows(seed);
        for kind in KINDS {
            let mut alone = Alone::new(kind);
            rows[..cut].iter().enumerate().for_each(|(n, row)| { alone.step(n, row); });
            let mut loaded: Alone = postcard::from_bytes(&postcard::to_stdvec(&alone).unwrap()).unwrap();
            for (n, row) in rows.iter().enumerate().skip(cut) {
                prop_assert_eq!(alone.step(n, row), loaded.step(n, row), "{:?} at {}", kind, n);
            }
        }
    }

    #[test]
    fn after_any_number_and_any_rest_it_still_scores(
        seed in any::<u64>(),
        odd in prop::collection::vec((0..SIGNALS, 0..550usize, prop::num::f64::ANY, 1..20usize), 1..12),
        rest in 0..500usize,
    ) {
        let mut rows = rows(seed);
        // They stand still for a while, and say what no gauge should.
        for row in &mut rows[rest.saturating_sub(300)..rest] {
            row.fill(LEVEL);
        }
        for (signal, at, value, times) in odd {
            rows[at..at + times].iter_mut().for_each(|row| row[signal] = value);
        }
        for kind in KINDS {
            let scores = scores(kind, &rows);
            prop_assert!(scores.iter().flatten().all(|score| score.is_finite()), "{:?}", kind);
        }
    }

    #[test]
    fn signals_in_another_order_have_the_same_scores(seed in any::<u64>()) {
        let rows = rows(seed);
        let mut order: Vec<usize> = (0..SIGNALS).collect();
        order.shuffle(&mut Pcg64::seed_from_u64(!seed));
        let turned: Vec<Vec<f64>> =
            rows.iter().map(|row| order.iter().map(|&signal| row[signal]).collect()).collect();
        for kind in KINDS {
            for (n, (want, got)) in scores(kind, &rows).iter().zip(scores(kind, &turned)).enumerate() {
                if let ([want], [got]) = (&want[..], &got[..]) {
                    // What is of all signals is a sum over them, in the order of their columns.
                    prop_assert!((want - got).abs() < 0.01, "{:?} at {}: {} {}", kind, n, want, got);
                } else {
                    let want: Vec<f32> = order.iter().map(|&signal| want[signal]).collect();
                    prop_assert_eq!(want, got, "{:?} at {}", kind, n);
                }
            }
        }
    }

    #[test]
    fn a_missing_value_is_no_zero_and_tells_nothing(seed in any::<u64>(), at in 300..590usize) {
        let rows = rows(seed);
        for kind in KINDS {
            let mut before = Alone::new(kind);
            rows[..at].iter().enumerate().for_each(|(n, row)| { before.step(n, row); });
            let [missing, zero] = [f64::NAN, 0.0].map(|value| {
                let (mut after, mut row) = (before.clone(), rows[at].clone());
                row.fill(value);
                (after.step(at, &row)[0], postcard::to_stdvec(&after).unwrap())
            });
            let known = postcard::to_stdvec(&before).unwrap();
            let ([missing, zero], same) = ([missing.0, zero.0], [missing.1 == known, zero.1 == known]);
            match kind {
                // Nothing nears a limit from below by falling, but a zero is a sample.
                Kind::Limit => prop_assert_eq!(same, [true, false]),
                Kind::Energy | Kind::Multivariate => {
                    prop_assert!(zero > 3.0 && missing < zero - 0.5, "{:?}: {} {}", kind, missing, zero);
                }
                _ => prop_assert!(missing == 0.0 && zero > 2.0, "{:?}: {} {}", kind, missing, zero),
            }
        }
    }
}
