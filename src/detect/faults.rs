//! Faults of one series, and of one entity, with known answers: which detector sees each, alone.
//!
//! `cargo test --lib detect::faults -- --nocapture` prints who sees what. A detector that sees nothing which the others
//! don't has no place here.

use rand::{Rng, RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use super::{Detectors, Multivariate, Row, Tick, Together, Univariate};
use crate::sample::{CHUNK, Mask, Timestamp};

const CADENCE_SECONDS: u32 = 300;
const DAY_ROWS: usize = 288;
/// Nine days of the usual; what is odd begins at midnight.
const BEGIN: usize = 9 * DAY_ROWS;
const SEEDS: u64 = 5;
/// Seen is what surprises so much in four of five runs.
const SEEN: f32 = 3.3;
const SEEN_SEEDS: u64 = 4;

fn tick(n: usize) -> Tick {
    Tick::utc(Timestamp(n as i64 * i64::from(CADENCE_SECONDS) * 1000), CADENCE_SECONDS)
}

fn draw(rng: &mut impl Rng) -> f32 {
    rng.sample(StandardNormal)
}

/// One series: what its value is at row `n` with noise `e`, of which `walk` is the sum.
struct Fault {
    name: &'static str,
    rows: usize,
    value: fn(n: usize, e: f32, walk: f32) -> f32,
    /// Whether derivative, season and novelty alone see it.
    seen: [bool; 3],
}

/// Rows since the fault began, within its `rows`.
fn since(n: usize, rows: usize) -> Option<usize> {
    (BEGIN..BEGIN + rows).contains(&n).then(|| n - BEGIN)
}

fn wave(n: usize) -> f32 {
    5.0 * (n as f32 / DAY_ROWS as f32 * std::f32::consts::TAU).sin()
}

/// A backup from one to two at night.
fn backup(n: usize) -> f32 {
    if (12..24).contains(&(n % DAY_ROWS)) { 15.0 } else { 0.0 }
}

/// High for 85 minutes, low for 85: no hour of the day knows it.
fn square(n: usize) -> f32 {
    if (n / 17).is_multiple_of(2) { -10.0 } else { 10.0 }
}

const FAULTS: [Fault; 11] = [
    Fault {
        name: "spike",
        rows: 2,
        value: |n, e, _| wave(n) + e + if n == BEGIN { 15.0 } else { 0.0 },
        seen: [true, true, true],
    },
    Fault {
        name: "dip",
        rows: 2,
        value: |n, e, _| wave(n) + e - if n == BEGIN { 15.0 } else { 0.0 },
        seen: [true, true, true],
    },
    Fault {
        name: "level shift",
        rows: 24,
        value: |n, e, _| wave(n) + e + since(n, 24).map_or(0.0, |_| 7.0),
        seen: [true, true, true],
    },
    Fault {
        name: "trend, two deviations an hour",
        rows: 96,
        value: |n, e, _| wave(n) + e + since(n, 96).map_or(0.0, |k| 0.17 * k as f32),
        seen: [false, true, true],
    },
    Fault {
        name: "slow leak, ten deviations a day",
        rows: 2 * DAY_ROWS,
        value: |n, e, _| e + since(n, 2 * DAY_ROWS).map_or(0.0, |k| 10.0 * k as f32 / DAY_ROWS as f32),
        seen: [false, true, false],
    },
    Fault {
        name: "deviation four times as wide",
        rows: 24,
        value: |n, e, _| wave(n) + e * since(n, 24).map_or(1.0, |_| 4.0),
        seen: [true, true, true],
    },
    Fault {
        name: "missed backup",
        rows: 36,
        value: |n, e, _| wave(n) + e + since(n, 36).map_or(backup(n), |_| 0.0),
        seen: [false, true, false],
    },
    Fault {
        name: "stuck value",
        rows: 48,
        value: |n, e, _| since(n, 48).map_or(e, |_| 0.5),
        seen: [false, false, true],
    },
    Fault {
        name: "between two levels",
        rows: 2,
        value: |n, e, _| if n == BEGIN { 0.0 } else { 0.5 * e - square(n) },
        seen: [false, false, true],
    },
    Fault {
        name: "a wave that stays up",
        rows: 48,
        value: |n, e, _| 0.5 * e + since(n, 48).map_or(square(n), |_| 10.0),
        seen: [false, false, true],
    },
    Fault {
        name: "jump of a wandering level",
        rows: 2,
        value: |n, _, walk| walk + if n >= BEGIN { 8.0 } else { 0.0 },
        seen: [true, false, false],
    },
];

/// The largest surprise of each fault, by `detectors` alone.
fn peaks(detectors: Detectors, seed: u64) -> [f32; FAULTS.len()] {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut block, mut row) = (Univariate::new(CADENCE_SECONDS, 1), Row::default());
    block.detectors = detectors;
    let (mut walk, mut peaks) = ([0.0; CHUNK], [0.0f32; FAULTS.len()]);
    for n in 0..BEGIN + 2 * DAY_ROWS {
        let x: [f32; CHUNK] = std::array::from_fn(|lane| {
            let e = draw(&mut rng);
            walk[lane] += e;
            FAULTS.get(lane).map_or(0.0, |fault| (fault.value)(n, e, walk[lane]))
        });
        block.step(&tick(n), &[x], &[Mask::ALL], &[Mask::ALL], &mut row);
        for (lane, _) in FAULTS.iter().enumerate().filter(|(_, fault)| since(n, fault.rows).is_some()) {
            peaks[lane] = peaks[lane].max(row.surprise[0][lane]);
        }
    }
    peaks
}

fn only(name: &str) -> Detectors {
    let others: Vec<String> =
        Detectors::NAMES.iter().filter(|other| **other != name).map(|other| other.to_string()).collect();
    Detectors::without(&others)
}

#[test]
fn each_fault_of_a_series_is_seen_by_those_who_should() {
    let kinds = ["derivative", "seasonal", "novelty"];
    let peaks = kinds.map(|kind| (0..SEEDS).map(|seed| peaks(only(kind), seed)).collect::<Vec<_>>());
    let (mut wrong, mut alone) = (Vec::new(), [false; 3]);
    for (lane, fault) in FAULTS.iter().enumerate() {
        let seen = [0, 1, 2].map(|kind| {
            peaks[kind].iter().filter(|peaks: &&[f32; FAULTS.len()]| peaks[lane] >= SEEN).count() as u64
        });
        println!(
            "{:32} derivative {} seasonal {} novelty {} of {SEEDS}",
            fault.name, seen[0], seen[1], seen[2]
        );
        for kind in 0..3 {
            if fault.seen[kind] && seen[kind] < SEEN_SEEDS {
                wrong.push(format!("{} by {}", fault.name, kinds[kind]));
            }
            let by_others = (0..3).filter(|&other| other != kind).map(|other| seen[other]).max();
            alone[kind] |= seen[kind] >= SEEN_SEEDS && by_others <= Some(SEEDS - SEEN_SEEDS);
        }
    }
    assert!(wrong.is_empty(), "not seen: {wrong:?}");
    assert_eq!(alone, [true; 3], "each sees something that no other does");
}

const SIGNALS: usize = 16;

/// The largest news of `Together` and of the relations, before and after the fault began.
fn of_an_entity(odd: fn(signal: usize) -> f32, breaks: bool, seed: u64) -> [[f32; 2]; 2] {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut together, mut relations) = (Together::new(false), Multivariate::new());
    together.grow(SIGNALS);
    (0..SIGNALS).for_each(|_| {
        relations.join();
    });
    let mut peaks = [[0.0f32; 2]; 2];
    for n in 0..BEGIN + 12 {
        let is_odd = n >= BEGIN;
        let load = draw(&mut rng);
        let z: Vec<f32> = (0..SIGNALS)
            .map(|signal| {
                let follows = if breaks && is_odd && signal == 3 { -load } else { load };
                0.95 * follows + 0.31 * draw(&mut rng) + if is_odd { odd(signal) } else { 0.0 }
            })
            .collect();
        let values: Vec<f64> = z.iter().map(|&z| 100.0 + 3.0 * f64::from(z)).collect();
        let energy = together.step(&tick(n), &values, 0.0, !is_odd).news;
        let relation = relations.step(&tick(n), &z, !is_odd).surprise;
        if n + DAY_ROWS >= BEGIN {
            let peak = &mut peaks[usize::from(is_odd)];
            *peak = [peak[0].max(energy), peak[1].max(relation)];
        }
    }
    peaks
}

#[test]
fn many_signals_a_little_off_are_seen_by_their_energy() {
    let seen = (0..SEEDS).filter(|&seed| of_an_entity(|_| 3.5, false, seed)[1][0] >= 3.0).count() as u64;
    assert!(seen >= SEEN_SEEDS, "{seen} of {SEEDS}");
}

#[test]
fn a_broken_relation_is_seen_by_the_relations_only() {
    let broken: Vec<[f32; 2]> = (0..SEEDS).map(|seed| of_an_entity(|_| 0.0, true, seed)[1]).collect();
    let seen = |by: usize| broken.iter().filter(|peaks| peaks[by] >= SEEN).count() as u64;
    assert!(seen(1) >= SEEN_SEEDS && seen(0) <= 1, "{broken:?}");
}
