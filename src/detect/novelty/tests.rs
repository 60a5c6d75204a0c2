use super::*;
use crate::detect::{Detectors, Row, Tick, Univariate};
use crate::sample::Timestamp;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

const CADENCE_SECONDS: u32 = 300;

fn tick(n: usize) -> Tick {
    Tick::utc(Timestamp(n as i64 * i64::from(CADENCE_SECONDS) * 1_000), CADENCE_SECONDS)
}

/// How new one lane is after each value; NaN is a missed row.
fn run(values: &[f32]) -> Vec<f32> {
    let mut block = Univariate::new(CADENCE_SECONDS, 1);
    let mut row = Row::default();
    let step = |(n, &value): (usize, &f32)| {
        let seen = if value.is_nan() { Mask::NONE } else { Mask::ALL };
        block.step(&tick(n), &[[value; CHUNK]], &[seen], &[Mask::ALL], &mut row);
        block.novelty(4)
    };
    values.iter().enumerate().map(step).collect()
}

fn noise(rows: usize, shape: impl Fn(usize, f32) -> f32) -> Vec<f32> {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(11);
    (0..rows).map(|n| shape(n, rng.sample(StandardNormal))).collect()
}

/// The largest novelty from `at` on for `rows`, and the largest in as many rows before it.
fn around(values: &[f32], at: usize, rows: usize) -> (f32, f32) {
    let out = run(values);
    let most = |range: std::ops::Range<usize>| out[range].iter().copied().fold(0.0, f32::max);
    (most(at..at + rows), most(at - 2 * rows..at))
}

#[test]
fn sees_a_spike_a_step_a_spread_and_a_shape_that_were_never_there() {
    type Shape = fn(usize, f32) -> f32;
    let shapes: [(&str, Shape); 4] = [
        ("spike", |n, z| z + if n == 2_000 { 15.0 } else { 0.0 }),
        ("step", |n, z| z + if n >= 2_000 { 9.0 } else { 0.0 }),
        ("spread", |n, z| z * if n >= 2_000 { 4.0 } else { 1.0 }),
        // The level is that of each half wave; only their order is new.
        ("shape", |n, z| {
            let half = |n: usize| if (n / 24).is_multiple_of(2) { 10.0 } else { -10.0 };
            0.3 * z + if (2_000..2_100).contains(&n) { half(2_000) } else { half(n) }
        }),
    ];
    for (name, shape) in shapes {
        let (after, before) = around(&noise(2_200, shape), 2_000, 100);
        assert!(after > 1.5 * before && after > 1.5, "{name}: {after} after {before}");
    }
}

#[test]
fn a_constant_and_a_repeated_wave_hold_nothing_new() {
    let constant = run(&[7.0; 1_500]);
    assert!(constant.iter().all(|&novelty| novelty == 0.0), "{:?}", constant.iter().position(|&n| n > 0.0));
    let wave =
        run(&(0..3_000).map(|n| (n as f32 / 288.0 * std::f32::consts::TAU).sin()).collect::<Vec<f32>>());
    let late = wave[2_000..].iter().copied().fold(0.0, f32::max);
    assert!(late < 2.0, "{late}");
}

#[test]
fn a_missed_row_is_no_news_and_not_a_zero() {
    let mut values = noise(800, |_, z| 100.0 + z);
    values[600..640].fill(f32::NAN);
    let out = run(&values);
    assert!(out[600..640].iter().all(|&novelty| novelty == out[599]));
    assert!(out[640..700].iter().all(|&novelty| novelty < 3.0), "{:?}", &out[640..700]);
}

#[test]
fn what_may_not_be_learnt_stays_new() {
    let (mut block, mut row) = (Univariate::new(CADENCE_SECONDS, 1), Row::default());
    let mut first = 0.0;
    for (n, value) in noise(1_000, |_, z| z).into_iter().chain([40.0; 100]).enumerate() {
        let learn = if n < 1_000 { Mask::ALL } else { Mask::NONE };
        block.step(&tick(n), &[[value; CHUNK]], &[Mask::ALL], &[learn], &mut row);
        first = if n == 1_000 { block.novelty(0) } else { first };
    }
    assert!(block.novelty(0) > 0.9 * first && first > 1.0, "{} after {first}", block.novelty(0));
}

/// Or a working day that an incident happens to meet keeps it open, and itself from being learnt.
#[test]
fn what_may_not_be_learnt_is_told_once() {
    let (mut block, mut row) = (Univariate::new(CADENCE_SECONDS, 1), Row::default());
    let others = ["derivative", "seasonal"].map(String::from);
    block.detectors = Detectors::without(&others);
    let mut surprise = |n: usize, value: f32, learn: Mask| {
        block.step(&tick(n), &[[value; CHUNK]], &[Mask::ALL], &[learn], &mut row);
        row.surprise[0][0]
    };
    for (n, value) in noise(1_000, |_, z| z).into_iter().enumerate() {
        surprise(n, value, Mask::ALL);
    }
    assert!(surprise(1_000, 40.0, Mask::ALL) > 3.0);
    assert!((1_001..1_050).all(|n| surprise(n, 60.0, Mask::NONE) == 0.0));
    assert!(surprise(1_050, 60.0, Mask::ALL) > 3.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_number_makes_it_panic_or_answer_nan(values in prop::collection::vec(-1e15f32..1e15, 160)) {
        for novelty in run(&values) {
            prop_assert!((0.0..=NOVELTY_MAX + 1e-3).contains(&novelty), "{}", novelty);
        }
    }
}

/// After days at rest all that is usual of a lane is too small to divide by: what moves then, while nothing is learnt of an
/// incident, was infinitely rough, and had no place among what is remembered.
#[test]
fn a_lane_that_moves_after_days_of_rest_ends_nothing() {
    let mut block = Univariate::new(CADENCE_SECONDS, 1);
    let mut row = Row::default();
    let (rest, incident, after) = (300, 40_300, 40_340);
    for n in 0..after + 100 {
        let value = if (rest..incident).contains(&n) { 0.0 } else { (n % 2) as f32 };
        let learn = if (incident..after).contains(&n) { Mask::NONE } else { Mask::ALL };
        block.step(&tick(n), &[[value; CHUNK]], &[Mask::ALL], &[learn], &mut row);
        assert!(row.surprise[0].iter().all(|surprise| surprise.is_finite()), "{n}");
        assert!(block.novelty(4).is_finite(), "{n}");
    }
}
