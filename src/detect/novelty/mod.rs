//! How far a value, and a short shape, lies from anything that its series has done before.
//!
//! Thirteen novelties a lane: twelve statistics whose every past value is remembered in a map (`occupancy`), and a
//! store of shapes (`exemplars`), each told as the gap to the nearest thing known, as a share of the range. What they
//! add up to is held against how often, and by how much, this lane was new of late (`rarity`): that is its surprise.
//! `held` is what a person would still call the same news: each gap on a logarithmic scale, fading over 60 samples,
//! and fused by a power mean, so that several half new things outweigh one.
//! Sees: a value, an extreme, a spread, a jump or a shape that was never there, at this hour or at all.
//! Blind to: what was there before at some time, and to slow drift, which is never far from the last value.
//! Everything is counted in samples: a shape is a shape at any pace. A lane costs 1.3 KB and some 1,000
//! flops a sample. The method is our own; the nearest in print is CAD OSE's set of contexts met before.

mod exemplars;
mod habits;
mod level;
mod occupancy;
mod rarity;
mod recent;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::exemplars::Exemplars;
use self::habits::Habits;
pub(super) use self::habits::Slots;
use self::level::Level;
use self::occupancy::Occupancy;
use self::rarity::Rarity;
use self::recent::Recent;
use super::Past;
use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask};

/// The most that a statistic of novelty can be: everything about a sample is new.
pub const NOVELTY_MAX: f32 = 8.5;

/// Statistics with a map: the first five are values (the value itself, its extremes and mean of late), the next
/// three differences of values, the rest have no unit.
const MAPS: usize = 12;
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
const NOVELTIES: usize = MAPS + 1;

const LATE_SAMPLES: usize = 12;
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
    recent: Recent,
    habits: Habits,
    level: Level,
    maps: [Occupancy; MAPS],
    /// The last roughnesses, which overlap and are remembered later; NaN before they are met.
    late: [Lanes; LATE_SAMPLES],
    shapes: Exemplars,
    fading: [Lanes; NOVELTIES],
    rarity: Rarity,
}

impl Chunk {
    fn new() -> Self {
        Chunk {
            recent: Recent::new(),
            habits: Habits::new(),
            level: Level::new(),
            maps: std::array::from_fn(|_| Occupancy::new()),
            late: [[f32::NAN; CHUNK]; LATE_SAMPLES],
            shapes: Exemplars::new(),
            fading: [[0.0; CHUNK]; NOVELTIES],
            rarity: Rarity::new(),
        }
    }

    fn seed(&mut self, lane: usize, x: f32) {
        self.recent.reset(lane);
        self.habits.reset(lane);
        self.level.seed(lane, x);
        self.maps.iter_mut().for_each(|map| map.reset(lane));
        self.late.iter_mut().for_each(|late| late[lane] = f32::NAN);
        self.shapes.reset(lane);
        self.fading.iter_mut().for_each(|fading| fading[lane] = 0.0);
        self.rarity.reset(lane);
    }

    fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        self.recent.affine(lane, shift, factor);
        self.habits.affine(lane, shift, factor);
        self.level.affine(lane, shift, factor);
        self.shapes.affine(lane, shift, factor);
        for index in VALUES {
            self.maps[index].affine(lane, shift, factor);
        }
        for index in DIFFERENCES {
            self.maps[index].affine(lane, 0.0, factor);
        }
    }

    #[inline(always)]
    fn step(&mut self, slots: Slots, past: &Past, x: &Lanes, seen: Mask, learn: Mask, surprise: &mut Lanes) {
        let of = self.recent.push(x, |lane| seen.has(lane));
        for lane in 0..CHUNK {
            surprise[lane] = 0.0;
            if !seen.has(lane) {
                continue;
            }
            let (value, samples, learn) = (x[lane], past.age[lane], learn.has(lane));
            let mut statistics = [0.0; MAPS];
            statistics[..5].copy_from_slice(&[
                value,
                of.max_6[lane],
                of.min_24[lane],
                of.min_6[lane],
                of.mean_12[lane],
            ]);
            statistics[SPREAD] = self.level.spread(lane, value, of.deviation_24[lane]);
            statistics[DAY_RESIDUAL] = self.habits.day_residual(lane, slots, value, learn);
            statistics[WEEK_RESIDUAL] = self.habits.week_residual(lane, slots, of.mean_6[lane], learn);
            let distance = self.level.meet(lane, value, self.recent.previous(lane), samples, learn);
            statistics[TO_MEAN] = distance.to_mean;
            statistics[DEVIATIONS] = distance.deviations;
            statistics[TO_MEDIAN] = distance.to_median;
            statistics[ROUGHNESS] = distance.roughness;

            let mut gaps = [0.0; NOVELTIES];
            for (index, map) in self.maps.iter_mut().enumerate() {
                let relax = if index == SPREAD { NO_RELAX } else { RELAX };
                gaps[index] = map.gap(lane, statistics[index], samples, relax);
            }
            gaps[MAPS] = self.shapes.novelty(lane, value, learn);
            self.fade(lane, &gaps);
            let new = gaps.into_iter().filter(|&gap| gap > GAP_MIN).sum();
            // Where nothing is learnt all that is new stays new: it was told when it began, and is no more evidence.
            if learn {
                surprise[lane] = self.rarity.surprise(lane, samples, new);
                self.rarity.learn(lane, samples, new);
                // What overlaps with its own last samples would never be far from them.
                statistics[MIN_6] = of.late_min_6[lane];
                let late = &mut self.late[samples as usize % LATE_SAMPLES][lane];
                statistics[ROUGHNESS] = std::mem::replace(late, statistics[ROUGHNESS]);
                for (map, value) in self.maps.iter_mut().zip(statistics).filter(|(_, value)| !value.is_nan())
                {
                    map.insert(lane, value);
                }
            }
        }
    }

    /// Raises what is remembered of each novelty, or lets it fade.
    #[inline(always)]
    fn fade(&mut self, lane: usize, gaps: &[f32; NOVELTIES]) {
        for (fading, &gap) in self.fading.iter_mut().zip(gaps) {
            let new = if gap > GAP_MIN { 1.0 - libm::logf(gap) / GAP_MIN_LN } else { 0.0 };
            fading[lane] = new.max(fading[lane] - FADE);
        }
    }
}

/// 0..=`NOVELTY_MAX`, of novelties in 0..=1: the exponent is 1.5.
#[inline(always)]
fn power_mean(novelties: [f32; NOVELTIES]) -> f32 {
    let sum = novelties.into_iter().fold(0.0, |sum, novelty| sum + novelty * novelty.sqrt());
    if sum == 0.0 {
        return 0.0;
    }
    let root = libm::cbrtf(sum / NOVELTIES as f32);
    NOVELTY_MAX * root * root
}

/// The novelties of a block of lanes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Novelty {
    chunks: Vec<Chunk>,
}

impl Novelty {
    pub fn grow(&mut self, chunks: usize) {
        self.chunks.resize_with(chunks, Chunk::new);
    }

    /// The surprise of each sample of chunk `i`; 0 where unseen or not learnt, and while warming up.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the shape of every kernel: where, what, masks, results")]
    pub(super) fn step(
        &mut self,
        i: usize,
        slots: Slots,
        past: &Past,
        x: &Lanes,
        seen: Mask,
        learn: Mask,
        surprise: &mut Lanes,
    ) {
        self.chunks[i].step(slots, past, x, seen, learn, surprise);
    }

    /// How new a lane is of late, 0..=`NOVELTY_MAX`: each novelty fades over 60 samples.
    pub fn held(&self, lane: usize) -> f32 {
        let fading = &self.chunks[lane / CHUNK].fading;
        power_mean(std::array::from_fn(|novelty| fading[novelty][lane % CHUNK]))
    }

    /// Starts a lane at its first sample.
    pub fn seed(&mut self, lane: usize, x: f32) {
        self.chunks[lane / CHUNK].seed(lane % CHUNK, x);
    }

    /// Follows the normaliser of a lane to `x_new = (x_old - shift) * factor`.
    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        self.chunks[lane / CHUNK].affine(lane % CHUNK, shift, factor);
    }
}
