use super::*;
use crate::sample::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

const CADENCE_SECONDS: u32 = 300;
const DAY_ROWS: usize = 288;

fn tick(n: usize) -> Tick {
    Tick::utc(Timestamp(n as i64 * i64::from(CADENCE_SECONDS) * 1_000), CADENCE_SECONDS)
}

/// The energy of each row of `signals` signals, whose value comes of row, signal and noise.
fn energies_of(signals: usize, rows: usize, value: impl Fn(usize, usize, f64) -> f64) -> Vec<Energy> {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(5);
    let mut energies = Energies::new();
    energies.grow(signals);
    let mut row = |n| (0..signals).map(|s| value(n, s, rng.sample(StandardNormal))).collect::<Vec<f64>>();
    (0..rows).map(|n| energies.step(&tick(n), &row(n), true)).collect()
}

/// A busy day, a quiet night.
fn day(n: usize) -> f64 {
    10.0 * (n as f64 / DAY_ROWS as f64 * std::f64::consts::TAU).sin()
}

fn most(energies: &[Energy]) -> f64 {
    energies.iter().map(|energy| energy.now).fold(0.0, f64::max)
}

#[test]
fn sees_a_jump_a_missed_day_and_a_little_in_many_signals() {
    let quiet = |n: usize, s: usize, z: f64| day(n) + s as f64 + z;
    let at = 8 * DAY_ROWS + 72;
    let calm = most(&energies_of(8, 2_600, quiet)[4 * DAY_ROWS..]);
    let jump = energies_of(8, 2_600, |n, s, z| quiet(n, s, z) + if s == 3 && n >= at { 60.0 } else { 0.0 });
    assert!(most(&jump[at..]) > 1.3 * calm, "{} {calm}", most(&jump[at..]));
    let missed = energies_of(8, 2_600, |n, s, z| {
        if (at..at + 36).contains(&n) { quiet(n, s, z) - 1.8 * day(n) } else { quiet(n, s, z) }
    });
    assert!(most(&missed[at..]) > 1.3 * calm, "{} {calm}", most(&missed[at..]));
    let many = energies_of(8, 2_600, |n, s, z| quiet(n, s, z) + if n == at { 7.0 } else { 0.0 });
    assert!(most(&many[at..]) > 1.3 * calm, "{} {calm}", most(&many[at..]));
}

#[test]
fn a_peak_is_held_for_an_hour_after_the_row_that_had_it() {
    let energies = energies_of(1, 1_500, |n, _, z| z + if n == 1_200 { 40.0 } else { 0.0 });
    assert!(energies[1_210].now < 0.5 * energies[1_200].now);
    assert!(energies[1_203].held > 0.7 * energies[1_200].held);
    assert!(energies[1_290].held < 0.5 * energies[1_200].held);
}

#[test]
fn the_unit_does_not_matter_and_a_constant_has_no_energy() {
    let small = energies_of(2, 900, |_, s, z| z + s as f64);
    let large = energies_of(2, 900, |_, s, z| 1e12 + 1e6 * (z + s as f64));
    for (a, b) in small.iter().zip(&large) {
        assert!((a.now - b.now).abs() < 1e-3, "{a:?} {b:?}");
    }
    assert!(energies_of(3, 900, |_, _, _| 7.0).iter().all(|energy| energy.now == 0.0));
}

#[test]
fn the_largest_numbers_leave_an_energy_that_still_moves() {
    let energies = energies_of(2, 900, |n, s, z| match (n, s) {
        (30, 1) => f64::MAX,
        (40, 1) => f64::MIN,
        (880.., 0) => z + 60.0,
        _ => z,
    });
    assert!(energies.iter().all(|energy| energy.now.is_finite() && energy.held.is_finite()));
    assert!(energies[880].now > energies[879].now + 1.0, "{:?}", &energies[878..882]);
}

#[test]
fn a_missing_signal_is_no_evidence_and_what_is_not_learnt_changes_nothing_usual() {
    let energies = energies_of(2, 900, |n, s, z| if s == 1 && n > 500 { f64::NAN } else { z });
    assert!(most(&energies[501..]) < 6.0);
    let mut energies = Energies::new();
    energies.grow(1);
    for n in 0..600 {
        energies.step(&tick(n), &[(n % 7) as f64], true);
    }
    let usual = energies.level.clone();
    for n in 600..700 {
        energies.step(&tick(n), &[90.0], false);
    }
    assert_eq!((energies.level.mean, energies.level.variance), (usual.mean, usual.variance));
}

#[test]
fn a_forgotten_signal_starts_anew() {
    let mut energies = Energies::new();
    energies.grow(1);
    (0..600).for_each(|n| {
        energies.step(&tick(n), &[(n % 7) as f64], true);
    });
    energies.forget(0);
    let first = energies.step(&tick(600), &[1e9], true);
    let then = energies.step(&tick(601), &[1e9], true);
    assert!(first.now < 2.0 && then.now < 2.0, "{first:?} {then:?}");
}

#[test]
fn the_order_of_signals_does_not_matter() {
    let value = |n: usize, s: usize| ((n * (s + 3)) as f64 * 0.37).sin() * (s + 1) as f64;
    let run = |order: [usize; 3]| {
        let mut energies = Energies::new();
        energies.grow(3);
        let row = |n| order.map(|s| value(n, s));
        (0..700).map(|n| energies.step(&tick(n), &row(n), true).now).collect::<Vec<f64>>()
    };
    for (a, b) in run([0, 1, 2]).iter().zip(run([2, 0, 1])) {
        assert!((a - b).abs() < 1e-9);
    }
}

#[test]
fn saved_and_loaded_equals_never_stopped() {
    let value = |n: usize| [(n % 13) as f64, (n * n % 29) as f64];
    let mut energies = Energies::new();
    energies.grow(2);
    (0..500).for_each(|n| {
        energies.step(&tick(n), &value(n), true);
    });
    let mut loaded: Energies = postcard::from_bytes(&postcard::to_stdvec(&energies).unwrap()).unwrap();
    for n in 500..900 {
        assert_eq!(energies.step(&tick(n), &value(n), true), loaded.step(&tick(n), &value(n), true));
    }
}
