//! Shapes with known answers: what the detectors must say about a step, a ramp, a missed season, a night of DST.

use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

use super::{Kind, Row, Tick, Univariate};
use crate::sample::{CHUNK, Mask, Timestamp};

const DAY: u32 = 86_400;

/// A site one hour east of UTC until `dst_at`, two from then on; the first day is a Monday.
fn tick(second: u32, cadence_seconds: u32, dst_at: u32) -> Tick {
    let local = second + if second >= dst_at { 7_200 } else { 3_600 };
    Tick {
        at: Timestamp(i64::from(second) * 1000),
        cadence_seconds,
        local_second_of_day: local % DAY,
        local_weekday: (local / DAY % 7) as u8,
    }
}

/// Standard normal noise, the same for a seed.
fn noise(seed: u64) -> impl Iterator<Item = f32> {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(seed);
    std::iter::repeat_with(move || rng.sample(StandardNormal))
}

/// One series in lane 5 of a block, whose other lanes are empty.
struct Watch {
    block: Univariate,
    row: Row,
    second: u32,
    cadence_seconds: u32,
    dst_at: u32,
}

const LANE: usize = 5;

impl Watch {
    fn every(cadence_seconds: u32) -> Self {
        let block = Univariate::new(cadence_seconds, 1);
        Watch { block, row: Row::default(), second: 0, cadence_seconds, dst_at: u32::MAX }
    }

    /// The surprise of the next sample; `None` is a missed row.
    fn see(&mut self, x: Option<f32>, learn: bool) -> f32 {
        let tick = tick(self.second, self.cadence_seconds, self.dst_at);
        self.second += self.cadence_seconds;
        let seen = Mask::NONE.with(LANE, x.is_some());
        let mut lanes = [f32::NAN; CHUNK];
        lanes[LANE] = x.unwrap_or(f32::NAN);
        let learn = if learn { Mask::ALL } else { Mask::NONE };
        self.block.step(&tick, &[lanes], &[seen], &[learn], &mut self.row);
        self.row.surprise[0][LANE]
    }

    /// The surprises of some samples.
    fn feed(&mut self, samples: impl IntoIterator<Item = f32>) -> Vec<f32> {
        samples.into_iter().map(|x| self.see(Some(x), true)).collect()
    }

    fn detector(&self) -> Kind {
        self.row.detector[0][LANE]
    }
}

fn peak(surprises: &[f32]) -> f32 {
    surprises.iter().fold(0.0, |peak, &s| peak.max(s))
}

#[test]
fn a_constant_never_surprises() {
    let mut watch = Watch::every(60);
    assert_eq!(peak(&watch.feed([3.25; 3_000])), 0.0);
}

#[test]
fn noise_stays_calm_while_warming_up() {
    let mut watch = Watch::every(60);
    assert_eq!(peak(&watch.feed(noise(1).take(100))), 0.0);
}

#[test]
fn a_spike_surprises_at_once_and_leaves_no_echo() {
    let mut watch = Watch::every(15);
    watch.feed(noise(2).take(2_000));
    assert!(watch.feed([25.0])[0] > 5.0);
    let echo = watch.feed(noise(3).take(50));
    assert!(peak(&echo[6..]) < 3.5, "{echo:.1?}");
}

#[test]
fn one_enormous_spike_blinds_nobody() {
    let mut watch = Watch::every(15);
    watch.feed(noise(4).take(2_000));
    watch.feed([1e9]);
    watch.feed(noise(5).take(200));
    assert!(watch.feed([12.0])[0] > 3.5);
}

#[test]
fn a_step_is_a_jump_at_first_and_a_wrong_level_after() {
    let mut watch = Watch::every(60);
    watch.feed(noise(6).take(2_000));
    let step = watch.feed(noise(7).take(8).map(|e| e + 9.0));
    assert!(step.iter().all(|&s| s >= 3.0), "{step:.1?}");
    assert_eq!(watch.detector(), Kind::Seasonal);
}

#[test]
fn a_jump_of_a_wandering_level_is_the_derivatives() {
    let mut watch = Watch::every(60);
    let mut level = 0.0;
    let walk = noise(8).map(|e| {
        level += e;
        level
    });
    let walk: Vec<f32> = walk.take(5_000).collect();
    watch.feed(walk.iter().copied());
    assert!(watch.feed([walk[4_999] + 15.0])[0] > 4.0);
    assert_eq!(watch.detector(), Kind::Derivative);
}

/// Warmed by five minutes at 1 s; from the sample that leaves the largest of the baseline on.
fn ramp(slope: f32, seed: u64) -> Vec<f32> {
    let mut watch = Watch::every(1);
    let baseline: Vec<f32> = noise(seed).take(300).collect();
    let edge = peak(&baseline);
    watch.feed(baseline);
    let mut left = false;
    let mut surprises = Vec::new();
    for (n, e) in noise(seed + 1_000).take(100).enumerate() {
        let x = e + slope * n as f32;
        let surprise = watch.see(Some(x), true);
        left |= x > edge;
        if left {
            surprises.push(surprise);
        }
    }
    surprises
}

#[test]
fn a_ramp_is_decisive_within_four_ticks_of_leaving_the_baseline() {
    for slope in [0.3, 0.5, 1.0, 2.0] {
        let mut mean = [0.0; 5];
        let mut decided = 0;
        for seed in 0..40 {
            let surprises = ramp(slope, seed);
            decided += u32::from(surprises[1..5].iter().sum::<f32>() >= 12.0);
            for (mean, s) in mean.iter_mut().zip(&surprises) {
                *mean += s / 40.0;
            }
        }
        assert!(decided >= 30, "slope {slope}: decisive for {decided} of 40");
        assert!(mean.iter().all(|&s| s >= 3.0) && mean[4] > mean[0], "slope {slope}: {mean:.1?}");
    }
}

/// A day of samples every five minutes: a hump in working hours, a backup from `from` to `to` seconds local.
fn day(seed: u64, from: u32, to: u32) -> impl Iterator<Item = f32> {
    noise(seed).take(288).enumerate().map(move |(n, e)| {
        let local = (300 * n as u32 + 3_600) % DAY;
        let work = 10.0 * (std::f32::consts::TAU * (local as f32 / DAY as f32 - 0.25)).sin();
        work + if (from..to).contains(&local) { 20.0 } else { 0.0 } + e
    })
}

#[test]
fn a_backup_that_is_missed_surprises_and_one_that_runs_does_not() {
    let mut watch = Watch::every(300);
    let mut odd = Vec::new();
    for seed in 0..20 {
        let surprises = watch.feed(day(seed, 3_600, 7_200));
        let odd_today = (0..).zip(surprises).filter(|(_, s)| seed >= 10 && *s > 3.0);
        odd.extend(odd_today.map(|(place, s): (usize, f32)| (seed, place, s)));
    }
    // Of 2,880 values, one in a thousand is 3; how much is usual at an hour is known from a few days.
    assert!(odd.len() <= 12, "{odd:?}");
    let surprises = watch.feed(day(20, 0, 0));
    assert!(peak(&surprises[2..12]) > 3.0, "missed: {:.1?}", &surprises[..14]);
    watch.feed(day(21, 3_600, 7_200));
    let surprises = watch.feed(day(22, 50_400, 54_000));
    assert!(peak(&surprises[156..168]) > 3.0, "at the wrong time: {:.1?}", &surprises[154..168]);
}

/// Surprises above 2 in the day after the clocks went forward, on a habit of local time.
fn surprises_after_dst(knows_local_time: bool) -> usize {
    let dst_at = 21 * DAY;
    let mut watch = Watch::every(300);
    watch.dst_at = if knows_local_time { dst_at } else { u32::MAX };
    let mut surprises = 0;
    for (n, e) in noise(9).take(22 * 288).enumerate() {
        let second = 300 * n as u32;
        let local = (second + if second >= dst_at { 7_200 } else { 3_600 }) % DAY;
        let open = if (28_800..64_800).contains(&local) { 40.0 } else { 0.0 };
        let surprise = watch.see(Some(e + open), true);
        surprises += usize::from(second >= dst_at && surprise > 2.0);
    }
    surprises
}

#[test]
fn habits_keep_their_local_hour_over_a_dst_night() {
    let (local, utc) = (surprises_after_dst(true), surprises_after_dst(false));
    assert!(local <= 6 && utc >= 12, "{local} against {utc}");
}

/// A counter's rate over a restart: `clean` gives no rate for that row.
#[test]
fn a_row_missed_at_a_counter_reset_surprises_nobody() {
    let mut watch = Watch::every(15);
    watch.feed(noise(10).take(1_000).map(|e| 500.0 + e));
    assert_eq!(watch.see(None, true), 0.0);
    assert!(watch.row.z[0][LANE].is_nan());
    assert!(peak(&watch.feed(noise(11).take(20).map(|e| 500.0 + e))) < 3.0);
}

#[test]
fn missing_rows_change_nothing_but_the_gap() {
    let mut gappy = Watch::every(60);
    gappy.feed(noise(12).take(1_000).map(|e| 80.0 + e));
    let age = gappy.block.age(LANE);
    for _ in 0..100 {
        assert_eq!(gappy.see(None, true), 0.0);
    }
    assert_eq!(gappy.block.age(LANE), age);
    assert!(peak(&gappy.feed(noise(13).take(50).map(|e| 80.0 + e))) < 3.5);
}

#[test]
fn what_is_not_learnt_never_becomes_usual() {
    let mut watch = Watch::every(60);
    watch.feed(noise(14).take(2_000));
    let age = watch.block.age(LANE);
    let held: Vec<f32> = noise(15).take(500).map(|e| watch.see(Some(e + 10.0), false)).collect();
    assert!(held[5..].iter().all(|&s| s > 3.0));
    assert_eq!(watch.block.age(LANE), age);
    let recovered: Vec<f32> = noise(16).take(60).map(|e| watch.see(Some(e), false)).collect();
    assert!(peak(&recovered[20..]) < 3.5, "{recovered:.1?}");
}

#[test]
fn a_new_level_that_is_learnt_becomes_usual_within_a_day() {
    let mut watch = Watch::every(60);
    watch.feed(noise(17).take(5 * 1_440));
    let after = watch.feed(noise(18).take(1_440).map(|e| e + 10.0));
    assert!(peak(&after[..20]) > 4.0);
    assert!(after[1_000..].iter().sum::<f32>() / 440.0 < 1.0);
}

#[test]
fn the_band_holds_the_noise() {
    let mut watch = Watch::every(60);
    watch.feed(noise(19).take(5_000).map(|e| 7.0 + e));
    let band = watch.block.band(LANE, &tick(watch.second, 60, u32::MAX));
    assert!((band.expected - 7.0).abs() < 0.5, "{band:?}");
    assert!((2.5..5.0).contains(&(band.high - band.expected)), "{band:?}");
}

/// Sixteen different series in one chunk, `order[i]` in lane `i`; their surprises by series.
fn permuted(order: [usize; CHUNK]) -> [Vec<f32>; CHUNK] {
    let mut block = Univariate::new(60, 1);
    let (mut row, mut noise) = (Row::default(), noise(20));
    let mut surprises: [Vec<f32>; CHUNK] = Default::default();
    for n in 0..400 {
        let samples: [f32; CHUNK] =
            std::array::from_fn(|series| noise.by_ref().next().unwrap_or(0.0) * (series + 1) as f32);
        let x = order.map(|series| samples[series]);
        let seen =
            (0..CHUNK).fold(Mask::NONE, |seen, lane| seen.with(lane, !(n + order[lane]).is_multiple_of(7)));
        block.step(&tick(60 * n as u32, 60, u32::MAX), &[x], &[seen], &[Mask::ALL], &mut row);
        for lane in 0..CHUNK {
            surprises[order[lane]].push(row.surprise[0][lane]);
        }
    }
    surprises
}

#[test]
fn a_lane_does_not_care_who_its_neighbours_are() {
    let order = std::array::from_fn(|lane| lane);
    let turned = std::array::from_fn(|lane| (lane * 5 + 3) % CHUNK);
    assert_eq!(permuted(order), permuted(turned));
}

#[test]
fn a_moved_normaliser_changes_no_surprise() {
    let (mut still, mut moved) = (Watch::every(300), Watch::every(300));
    for seed in 0..12 {
        still.feed(day(seed, 0, 0));
        moved.feed(day(seed, 0, 0));
    }
    moved.block.affine(LANE, 8.0, 0.25);
    for x in day(12, 0, 0) {
        let (want, got) = (still.see(Some(x), true), moved.see(Some((x - 8.0) * 0.25), true));
        assert!((want - got).abs() < 0.02, "{want} {got}");
    }
}

#[test]
fn a_lane_that_is_given_away_starts_anew() {
    let mut used = Watch::every(60);
    used.feed(noise(21).take(500).map(|e| 1e4 * e));
    used.block.reset(LANE);
    used.second = 0;
    let mut fresh = Watch::every(60);
    let series: Vec<f32> = noise(22).take(500).collect();
    assert_eq!(used.feed(series.iter().copied()), fresh.feed(series));
}

#[test]
fn saved_and_loaded_equals_never_stopped() {
    let mut watch = Watch::every(300);
    watch.feed(day(1, 3_600, 7_200).chain(day(2, 3_600, 7_200)).take(400));
    let bytes = postcard::to_stdvec(&watch.block).unwrap();
    let mut loaded = Watch::every(300);
    loaded.block = postcard::from_bytes(&bytes).unwrap();
    loaded.second = watch.second;
    let rest: Vec<f32> = day(3, 0, 0).collect();
    assert_eq!(watch.feed(rest.iter().copied()), loaded.feed(rest));
    assert_eq!(postcard::to_stdvec(&watch.block).unwrap(), postcard::to_stdvec(&loaded.block).unwrap());
}

/// As a snapshot holds it, which is within a few bytes of what memory does.
#[test]
fn the_state_of_a_lane_stays_within_two_kibibytes() {
    let (mut block, mut row, mut noise) = (Univariate::new(300, 1), Row::default(), noise(23));
    for n in 0..9 * 288 {
        let x: [f32; CHUNK] = std::array::from_fn(|_| noise.by_ref().next().unwrap_or(0.0));
        block.step(&tick(300 * n, 300, u32::MAX), &[x], &[Mask::ALL], &[Mask::ALL], &mut row);
    }
    let bytes = postcard::to_stdvec(&block).unwrap().len() / CHUNK;
    println!("{bytes} bytes a lane");
    assert!((1_500..=2_048).contains(&bytes), "{bytes}");
}
