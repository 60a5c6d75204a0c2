//! What this minute of the day and of the week usually looks like, and how far off a lane is.
//!
//! Sees: a wrong level, a slow ramp, a missed or an unexpected season, for as long as it lasts.
//! Blind to: what happens within the usual band, a broken relation.
//! The expected value is a profile of the day, what the week adds to it, and a drift that follows the
//! rest within hours; in a lane's first day it is the mean so far. The statistic is the larger of the
//! residual and of its mean over a few samples, each by its own usual size: the mean sees a ramp before
//! any one sample leaves the band.
//! Cost: 0.7 KB and about 80 flops a lane and tick.

use serde::{Deserialize, Serialize};

use super::profile::{self, Profile, Usual};
use super::{Past, Tick};
use crate::kernel::scale::{self, Scale};
use crate::kernel::{Lanes, NORMALISED_MAX, gain};
use crate::sample::{CHUNK, Mask};

const DAY_SECONDS: f64 = 86_400.0;
/// Half an hour is as sharp as the habits of people and of most timers.
pub const DAY_SLOTS: usize = 48;
const DAYS_REMEMBERED: u8 = 7;
/// Two hours: a weekday differs from another by its shape, not by its minutes.
const WEEK_SLOTS: usize = 84;
const WEEKS_REMEMBERED: u8 = 5;

/// How much a habit is doubted after no visit, one, and so on.
const TRUST_LEFT: [f32; 5] = [1.0, 0.5, 0.25, 0.125, 0.0625];

/// How long a drift is followed, and how long the mean reaches back before there is a profile.
const DRIFT_SECONDS: f32 = 6.0 * 3600.0;
const MEAN_SECONDS: f32 = 12.0 * 3600.0;
/// Weight of the newest residual in the mean over a few samples.
const SMOOTH: f32 = 0.25;
/// A residual enters what is learnt as at most this many deviations.
const WINSOR: f32 = 4.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Chunk {
    /// Of all samples, with a long memory.
    mean: Lanes,
    /// What profiles leave over, with a memory of hours.
    drift: Lanes,
    /// Mean of the last few residuals; follows always, as it says what is and not what is usual.
    smooth: Lanes,
    usual: Scale,
    usual_smooth: Scale,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seasonal {
    chunks: Vec<Chunk>,
    day: Profile,
    week: Profile,
}

/// The places of one tick in the two profiles.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    day: profile::Place,
    week: profile::Place,
}

/// What a lane is expected to be, and between which values nothing is odd.
#[derive(Clone, Copy)]
struct Expected {
    value: f32,
    low: f32,
    high: f32,
    day: Usual,
}

/// Which share of what the week adds is believed: the less, the nearer it is to what chance leaves of so many visits
/// (Stein's shrinkage: Efron and Morris 1973). And one visit is as much that day's accident as the week's habit.
#[inline(always)]
fn trust(week: Usual, usual: f32) -> f32 {
    let visits = f32::from(week.visits);
    let (value, usual) = (week.value.clamp(-NORMALISED_MAX, NORMALISED_MAX), usual.min(NORMALISED_MAX));
    let square = value * value * visits;
    let by_size = square / (square + usual * usual).max(f32::MIN_POSITIVE);
    by_size * (1.0 - TRUST_LEFT[usize::from(week.visits).min(TRUST_LEFT.len() - 1)])
}

/// What the season says about the lanes of a chunk.
#[derive(Clone, Copy)]
pub struct Answer {
    pub statistic: Lanes,
    /// The residual in deviations.
    pub z: Lanes,
    /// By how much the lane usually changes around this time of the day, and from how many visits that is known.
    pub edge: Lanes,
    pub visits: Lanes,
    pub residual: Lanes,
}

impl Answer {
    const NONE: Answer = Answer {
        statistic: [0.0; CHUNK],
        z: [0.0; CHUNK],
        edge: [0.0; CHUNK],
        visits: [1.0; CHUNK],
        residual: [0.0; CHUNK],
    };
}

impl Default for Seasonal {
    fn default() -> Self {
        Seasonal {
            chunks: Vec::new(),
            day: Profile::new(DAY_SLOTS, DAYS_REMEMBERED),
            week: Profile::new(WEEK_SLOTS, WEEKS_REMEMBERED),
        }
    }
}

impl Seasonal {
    pub fn grow(&mut self, chunks: usize) {
        let zero = [0.0; CHUNK];
        let chunk =
            Chunk { mean: zero, drift: zero, smooth: zero, usual: Scale::ZERO, usual_smooth: Scale::ZERO };
        self.chunks.resize(chunks, chunk);
        self.day.grow(chunks);
        self.week.grow(chunks);
    }

    /// Where a tick lies; the local time, so that habits keep their hour over a change of the clocks.
    pub fn place(&self, tick: &Tick) -> Place {
        let day = f64::from(tick.local_second_of_day) / DAY_SECONDS;
        Place { day: self.day.place(day), week: self.week.place((f64::from(tick.local_weekday) + day) / 7.0) }
    }

    /// Moves to the slots of a tick; once a tick, before its chunks are stepped.
    pub fn enter(&mut self, place: Place) {
        let chunks = &self.chunks;
        let limit = |i: usize| std::array::from_fn(|lane| WINSOR * chunks[i].usual.value(lane));
        self.day.enter(place.day.slot, limit);
        self.week.enter(place.week.slot, limit);
    }

    /// What lane `lane` of chunk `i` is expected to be; the day's profile is without visits where it knows nothing.
    #[inline(always)]
    fn expect(&self, i: usize, lane: usize, place: Place) -> Expected {
        let day = self.day.usual(i, lane, place.day);
        if day.visits == 0 {
            let mean = self.chunks[i].mean[lane];
            return Expected { value: mean, low: mean, high: mean, day };
        }
        let week = self.week.usual(i, lane, place.week);
        let shift = trust(week, self.chunks[i].usual.value(lane)) * week.value + self.chunks[i].drift[lane];
        Expected { value: day.value + shift, low: day.low + shift, high: day.high + shift, day }
    }

    /// What the season says about every lane of chunk `i`, 0 where unseen.
    #[inline(always)]
    pub fn step(
        &mut self,
        i: usize,
        place: Place,
        past: &Past,
        x: &Lanes,
        seen: Mask,
        learn: Mask,
    ) -> Answer {
        let Answer { mut statistic, mut z, mut edge, mut visits, mut residual } = Answer::NONE;
        let mut smooth = [0.0; CHUNK];
        for lane in 0..CHUNK {
            if !seen.has(lane) {
                continue;
            }
            let expected = self.expect(i, lane, place);
            let chunk = &mut self.chunks[i];
            edge[lane] = expected.high - expected.low;
            visits[lane] = f32::from(expected.day.visits.max(1));
            residual[lane] = x[lane] - x[lane].max(expected.low).min(expected.high);
            chunk.smooth[lane] += SMOOTH * (residual[lane] - chunk.smooth[lane]);
            smooth[lane] = chunk.smooth[lane];
            z[lane] = chunk.usual.ratio(lane, residual[lane]);
            statistic[lane] = z[lane].abs().max(chunk.usual_smooth.ratio(lane, smooth[lane]).abs());
            if learn.has(lane) {
                let bound = WINSOR * chunk.usual.value(lane);
                let cut =
                    if past.age[lane] < 30.0 { residual[lane] } else { residual[lane].clamp(-bound, bound) };
                let memory = MEAN_SECONDS / past.cadence_seconds;
                chunk.mean[lane] += gain(past.age[lane], memory) * (expected.value + cut - chunk.mean[lane]);
                if expected.day.visits > 0 {
                    chunk.drift[lane] += cut * (past.cadence_seconds / DRIFT_SECONDS).min(0.3);
                    self.week.add(i, lane, x[lane] - expected.day.value);
                }
                self.day.add(i, lane, x[lane]);
            } else {
                self.day.leave(i, lane);
                self.week.leave(i, lane);
            }
        }
        let chunk = &mut self.chunks[i];
        scale::learn(&mut chunk.usual, &past.age, &past.memory_samples(), &residual, learn);
        scale::learn(&mut chunk.usual_smooth, &past.age, &past.memory_samples(), &smooth, learn);
        Answer { statistic, z, edge, visits, residual }
    }

    /// What a lane is expected to be at a tick, and the size of its usual residual.
    pub fn expected(&self, lane: usize, place: Place) -> (f32, f32) {
        let (chunk, lane) = (lane / CHUNK, lane % CHUNK);
        (self.expect(chunk, lane, place).value, self.chunks[chunk].usual.value(lane))
    }

    /// Starts a lane at its first sample.
    pub fn seed(&mut self, lane: usize, x: f32) {
        self.day.reset(lane);
        self.week.reset(lane);
        let (chunk, lane) = (&mut self.chunks[lane / CHUNK], lane % CHUNK);
        chunk.mean[lane] = x;
        chunk.drift[lane] = 0.0;
        chunk.smooth[lane] = 0.0;
        chunk.usual.reset(lane);
        chunk.usual_smooth.reset(lane);
    }

    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        self.day.affine(lane, shift, factor);
        self.week.affine(lane, 0.0, factor);
        let (chunk, lane) = (&mut self.chunks[lane / CHUNK], lane % CHUNK);
        chunk.mean[lane] = (chunk.mean[lane] - shift) * factor;
        chunk.drift[lane] *= factor;
        chunk.smooth[lane] *= factor;
        chunk.usual.affine(lane, factor);
        chunk.usual_smooth.affine(lane, factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_beyond_all_squares_is_believed_or_not_and_never_nan() {
        for value in [0.0, 1.0, 1e21, f32::MAX] {
            for usual in [0.0, 1.0, 1e21, f32::MAX] {
                let share = trust(Usual { value, low: value, high: value, visits: 3 }, usual);
                assert!((0.0..=1.0).contains(&share), "{value} {usual}: {share}");
            }
        }
    }
}
