use super::*;
use crate::sample::Timestamp;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

const CADENCE_SECONDS: u32 = 300;

fn tick(n: usize) -> Tick {
    Tick::utc(Timestamp(n as i64 * i64::from(CADENCE_SECONDS) * 1_000), CADENCE_SECONDS)
}

/// The novelty of each value in one lane; NaN is a missed row.
fn run(values: &[f32]) -> Vec<f32> {
    let (mut novelty, mut out) = (Novelty::default(), Vec::new());
    novelty.grow(1);
    let mut row = Vec::new();
    for (n, &value) in values.iter().enumerate() {
        let seen = if value.is_nan() { Mask::NONE } else { Mask::ALL };
        novelty.step(&tick(n), &[[value; CHUNK]], &[seen], &[Mask::ALL], &mut row);
        out.push(row[0][4]);
    }
    out
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
    assert!(run(&[7.0; 1_500]).iter().all(|&novelty| novelty == 0.0));
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
    assert!(out[600..640].iter().all(|&novelty| novelty == 0.0));
    assert!(out[640..700].iter().all(|&novelty| novelty < 3.0), "{:?}", &out[640..700]);
}

#[test]
fn what_may_not_be_learnt_stays_new() {
    let values = noise(1_000, |_, z| z);
    let mut novelty = Novelty::default();
    novelty.grow(1);
    let (mut row, odd) = (Vec::new(), [[40.0; CHUNK]]);
    for (n, &value) in values.iter().enumerate() {
        novelty.step(&tick(n), &[[value; CHUNK]], &[Mask::ALL], &[Mask::ALL], &mut row);
    }
    let mut first = 0.0;
    for n in 0..100 {
        novelty.step(&tick(1_000 + n), &odd, &[Mask::ALL], &[Mask::NONE], &mut row);
        first = if n == 0 { row[0][0] } else { first };
    }
    assert!(row[0][0] > 0.9 * first && first > 1.0, "{} after {first}", row[0][0]);
}

#[test]
fn saved_and_loaded_equals_never_stopped() {
    let values = noise(900, |n, z| z + (n / 100) as f32);
    let mut novelty = Novelty::default();
    novelty.grow(2);
    let (mut row, mut again) = (Vec::new(), Vec::new());
    let step = |novelty: &mut Novelty, n: usize, row: &mut Vec<Lanes>| {
        novelty.step(&tick(n), &[[values[n]; CHUNK]; 2], &[Mask::ALL; 2], &[Mask::ALL; 2], row);
    };
    (0..500).for_each(|n| step(&mut novelty, n, &mut row));
    let mut loaded: Novelty = postcard::from_bytes(&postcard::to_stdvec(&novelty).unwrap()).unwrap();
    for n in 500..900 {
        step(&mut novelty, n, &mut row);
        step(&mut loaded, n, &mut again);
        assert_eq!(row, again);
    }
    assert_eq!(postcard::to_stdvec(&novelty).unwrap(), postcard::to_stdvec(&loaded).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_lane_does_not_matter(values in prop::collection::vec(-9f32..9.0, 200), lane in 0usize..CHUNK) {
        let (mut all, mut one) = (Novelty::default(), Novelty::default());
        all.grow(1);
        one.grow(1);
        let (mut row, mut alone) = (Vec::new(), Vec::new());
        for (n, &value) in values.iter().enumerate() {
            let x: Lanes = std::array::from_fn(|i| if i == lane { value } else { (n * i) as f32 });
            all.step(&tick(n), &[x], &[Mask::ALL], &[Mask::ALL], &mut row);
            one.step(&tick(n), &[[value; CHUNK]], &[Mask::NONE.with(0, true)], &[Mask::ALL], &mut alone);
            prop_assert_eq!(row[0][lane], alone[0][0]);
        }
    }

    #[test]
    fn no_number_makes_it_panic_or_answer_nan(values in prop::collection::vec(-1e15f32..1e15, 160)) {
        for novelty in run(&values) {
            prop_assert!((0.0..=NOVELTY_MAX + 1e-3).contains(&novelty), "{}", novelty);
        }
    }
}
