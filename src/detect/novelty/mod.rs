//! How far a value, and a short shape, lies from anything that its series has done before.
//!
//! Fourteen novelties a lane: twelve statistics whose every past value is remembered in a map (`occupancy`), and two
//! stores of shapes (`exemplars`). Each is told on a logarithmic scale, fades over 60 samples and
//! not at once, and they are fused by a power mean, so that several half new things outweigh one.
//! Sees: a value, an extreme, a spread, a jump or a shape that was never there, at this hour or at all.
//! Blind to: what was there before at some time, and to slow drift, which is never far from the last value.
//! Everything is counted in samples: a shape is a shape at any pace. A lane costs about 3.5 KB and some 1,500
//! flops a sample. The method is our own; the nearest in print is CAD OSE's set of contexts met before.

mod exemplars;
mod habits;
mod level;
mod occupancy;
mod recent;
#[cfg(test)]
mod tests;

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

use self::exemplars::Exemplars;
use self::habits::{Habits, Slots};
use self::level::Level;
use self::occupancy::Occupancy;
use self::recent::Recent;
use super::{Past, Tick};
use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask};

/// The most that a statistic of novelty can be: everything about a sample is new.
pub const NOVELTY_MAX: f32 = 8.5;

/// Statistics with a map: the first five are values (the value itself, its extremes and mean of late), the next
/// three differences of values, the rest have no unit.
const MAPS: usize = 12;
const MIN_24: usize = 2;
const MIN_6: usize = 3;
const DAY_RESIDUAL: usize = 5;
const WEEK_RESIDUAL: usize = 6;
const TO_MEAN: usize = 7;
const SPREAD: usize = 8;
const DEVIATIONS: usize = 9;
const TO_MEDIAN: usize = 10;
const ROUGHNESS: usize = 11;
const VALUES: std::ops::Range<usize> = 0..5;
const DIFFERENCES: std::ops::Range<usize> = 5..8;

/// Slow ones, which overlap with their own last samples, are remembered this many samples later.
const LATE: [usize; 3] = [MIN_24, MIN_6, ROUGHNESS];
const LATE_SAMPLES: usize = 12;
const NOVELTIES: usize = MAPS + 2;

/// A count of samples steps back by this before f32 can't count on: a multiple of `LATE_SAMPLES`, and what is left
/// is above every bound here.
const SAMPLES_WRAP: f32 = 12_000.0;
/// Half-life of the range of a map: 500 samples. Of a spread all past is its range.
const RELAX: f32 = 0.998_614_6;
const NO_RELAX: f32 = 1.0;
/// A gap below this share of the range is no novelty; `ln` of it.
const GAP_MIN: f32 = 4e-3;
const GAP_MIN_LN: f32 = -5.521_461;
/// What a novelty loses a sample.
const FADE: f32 = 1.0 / 60.0;

/// The past of 16 lanes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Chunk {
    past: Past,
    recent: Recent,
    habits: Habits,
    level: Level,
    maps: [Occupancy; MAPS],
    late: [[Lanes; LATE_SAMPLES]; LATE.len()],
    shapes: [Exemplars; 2],
    fading: [Lanes; NOVELTIES],
}

impl Chunk {
    fn new() -> Self {
        Chunk {
            past: Past::new(0),
            recent: Recent::new(),
            habits: Habits::new(),
            level: Level::new(),
            maps: std::array::from_fn(|_| Occupancy::new()),
            late: [[[0.0; CHUNK]; LATE_SAMPLES]; LATE.len()],
            shapes: [Exemplars::new(4, 6), Exemplars::new(2, 12)],
            fading: [[0.0; CHUNK]; NOVELTIES],
        }
    }

    fn reset(&mut self, lane: usize) {
        self.past.reset(lane);
        self.recent.reset(lane);
        self.habits.reset(lane);
        self.maps.iter_mut().for_each(|map| map.reset(lane));
        self.shapes.iter_mut().for_each(|shapes| shapes.reset(lane));
        self.fading.iter_mut().for_each(|fading| fading[lane] = 0.0);
    }

    fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        self.past.affine(lane, shift, factor);
        self.recent.affine(lane, shift, factor);
        self.habits.affine(lane, shift, factor);
        self.level.affine(lane, shift, factor);
        self.shapes.iter_mut().for_each(|shapes| shapes.affine(lane, shift, factor));
        for index in VALUES {
            self.maps[index].affine(lane, shift, factor);
        }
        for index in DIFFERENCES {
            self.maps[index].affine(lane, 0.0, factor);
        }
        for (late, _) in self.late.iter_mut().zip(LATE).filter(|(_, index)| VALUES.contains(index)) {
            late.iter_mut().for_each(|values| values[lane] = (values[lane] - shift) * factor);
        }
    }

    #[inline(always)]
    fn step(&mut self, slots: Slots, x: &Lanes, seen: Mask, learn: Mask, novelty: &mut Lanes) {
        let mut begun = seen;
        let known = self.past.known();
        for lane in (0..CHUNK).filter(|&lane| seen.has(lane) && !known.has(lane)) {
            match self.past.open(lane, x[lane]) {
                Some(start) => self.level.seed(lane, start),
                None => begun = begun.with(lane, false),
            }
        }
        let seen = begun;
        let of = self.recent.push(x, |lane| seen.has(lane));
        for lane in 0..CHUNK {
            novelty[lane] = 0.0;
            if !seen.has(lane) {
                continue;
            }
            let (value, samples, learn) = (x[lane], self.past.age[lane], learn.has(lane));
            let mut statistic = [0.0; MAPS];
            statistic[..5].copy_from_slice(&[
                value,
                of.max_6[lane],
                of.min_24[lane],
                of.min_6[lane],
                of.mean_12[lane],
            ]);
            statistic[SPREAD] = self.level.spread(lane, value, of.deviation_24[lane]);
            statistic[DAY_RESIDUAL] = self.habits.day_residual(lane, slots, value, learn);
            statistic[WEEK_RESIDUAL] = self.habits.week_residual(lane, slots, of.mean_6[lane], learn);
            let distance = self.level.meet(lane, value, self.recent.previous(lane), samples, learn);
            statistic[TO_MEAN] = distance.to_mean;
            statistic[DEVIATIONS] = distance.deviations;
            statistic[TO_MEDIAN] = distance.to_median;
            statistic[ROUGHNESS] = distance.roughness;

            let mut gaps = [0.0; NOVELTIES];
            for (index, map) in self.maps.iter_mut().enumerate() {
                let relax = if index == SPREAD { NO_RELAX } else { RELAX };
                gaps[index] = map.gap(lane, statistic[index], samples, relax);
            }
            for (shapes, gap) in self.shapes.iter_mut().zip(&mut gaps[MAPS..]) {
                *gap = shapes.novelty(lane, value, learn);
            }
            novelty[lane] = self.fuse(lane, &gaps);
            if learn {
                self.learn(lane, &statistic);
            }
        }
    }

    #[inline(always)]
    fn learn(&mut self, lane: usize, statistic: &[f32; MAPS]) {
        for index in (0..MAPS).filter(|index| !LATE.contains(index)) {
            self.maps[index].insert(lane, statistic[index]);
        }
        let place = self.past.age[lane] as usize % LATE_SAMPLES;
        for (late, index) in self.late.iter_mut().zip(LATE) {
            let due = std::mem::replace(&mut late[place][lane], statistic[index]);
            if self.past.age[lane] >= LATE_SAMPLES as f32 {
                self.maps[index].insert(lane, due);
            }
        }
        self.past.age[lane] += 1.0;
        if self.past.age[lane] >= super::COUNT_MAX {
            self.past.age[lane] -= SAMPLES_WRAP;
        }
    }

    /// The power mean of all novelties, each as it is or as it has faded.
    #[inline(always)]
    fn fuse(&mut self, lane: usize, gaps: &[f32; NOVELTIES]) -> f32 {
        let mut sum = 0.0;
        for (fading, &gap) in self.fading.iter_mut().zip(gaps) {
            let new = if gap > GAP_MIN { 1.0 - libm::logf(gap) / GAP_MIN_LN } else { 0.0 };
            let left = new.max(fading[lane] - FADE);
            fading[lane] = left;
            if left > 0.0 {
                sum += left * left.sqrt();
            }
        }
        let mean = libm::cbrtf(sum / NOVELTIES as f32);
        NOVELTY_MAX * mean * mean
    }
}

/// The novelties of a block of lanes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Novelty {
    chunks: Vec<Chunk>,
}

impl Novelty {
    /// Makes room for `chunks` of 16 lanes in all; never shrinks.
    pub fn grow(&mut self, chunks: usize) {
        self.chunks.resize_with(chunks.max(self.chunks.len()), Chunk::new);
    }

    /// Forgets a lane: another series takes it.
    pub fn reset(&mut self, lane: usize) {
        self.chunks[lane / CHUNK].reset(lane % CHUNK);
    }

    /// Follows the normaliser of a lane to `x_new = (x_old - shift) * factor`.
    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        self.chunks[lane / CHUNK].affine(lane % CHUNK, shift, factor);
    }

    /// How new each lane's sample is, 0..=`NOVELTY_MAX`; 0 where unseen. Learns from it where `learn` says so.
    ///
    /// The slices hold one entry a chunk; what is seen is finite.
    pub fn step(
        &mut self,
        tick: &Tick,
        x: &[Lanes],
        seen: &[Mask],
        learn: &[Mask],
        novelty: &mut Vec<Lanes>,
    ) {
        novelty.resize(self.chunks.len(), [0.0; CHUNK]);
        sweep(&mut self.chunks, Slots::of(tick), x, seen, learn, novelty);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn sweep(
    chunks: &mut [Chunk],
    slots: Slots,
    x: &[Lanes],
    seen: &[Mask],
    learn: &[Mask],
    novelty: &mut [Lanes],
) {
    for (i, chunk) in chunks.iter_mut().enumerate() {
        chunk.step(slots, &x[i], seen[i], seen[i].and(learn[i]), &mut novelty[i]);
    }
}
