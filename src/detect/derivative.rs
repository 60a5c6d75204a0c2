//! Slopes and jumps: how far each lane lies from where its own trend was taking it.
//!
//! Sees: steps, spikes, ramps that change pace. Blind to: a missed season, a broken relation, a new level
//! once it has been there for a while.
//! Two trends run side by side; the statistic is the larger of their two errors, each by its own usual size.
//! The trends say where a series *is*, so they follow it always; what is *usual* is learnt only where asked.
//! Cost: 40 bytes and about 60 flops a lane and tick.

use serde::{Deserialize, Serialize};

use super::Past;
use super::seasonal::{Answer, DAY_SLOTS};
use crate::kernel::Lanes;
use crate::kernel::holt::{self, Gain, Holt};
use crate::kernel::scale::{self, Scale};
use crate::sample::{CHUNK, Mask};

/// A trend that forgets within a few samples, and one that forgets within a hundred. They count samples
/// and not seconds: what a jump is depends on how closely a series is watched.
const GAINS: [Gain; 2] = [Gain { level: 0.3, slope: 0.05 }, Gain { level: 0.03, slope: 0.0005 }];

/// A miss enters a trend as at most this many deviations at first.
const DOUBT: f32 = 3.0;
/// What a series usually does at this time of the day is a habit only if it is so many times what wandering gives.
const WANDER: f32 = 3.0;
/// Samples before anything is doubted.
const TRUSTING_SAMPLES: f32 = 20.0;
/// After this many missed rows a trend starts again where the series came back.
const GAP_ROWS: f32 = 3.0;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Trend {
    holt: Holt,
    usual: Scale,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Derivative {
    chunks: Vec<[Trend; 2]>,
}

impl Derivative {
    pub fn grow(&mut self, chunks: usize) {
        let trend = Trend { holt: Holt::REST, usual: Scale::ZERO };
        self.chunks.resize(chunks, [trend.clone(), trend]);
    }

    /// The larger error of chunk `i`'s two trends, as a multiple of its usual size.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the shape of every kernel: where, what, masks, results")]
    pub fn step(
        &mut self,
        i: usize,
        past: &Past,
        season: &Answer,
        x: &Lanes,
        seen: Mask,
        learn: Mask,
        statistic: &mut Lanes,
    ) {
        *statistic = [0.0; CHUNK];
        // The means of two slots of a random walk differ by two thirds of the variance of its way, over all visits.
        let steps = 86_400.0 / DAY_SLOTS as f32 / past.cadence_seconds;
        let chance = WANDER * WANDER * steps / 1.5;
        for (trend, gain) in self.chunks[i].iter_mut().zip(GAINS) {
            let mut limit = [f32::INFINITY; CHUNK];
            for lane in 0..CHUNK {
                if past.age[lane] >= TRUSTING_SAMPLES {
                    limit[lane] = (DOUBT * trend.usual.value(lane)).max(f32::MIN_POSITIVE);
                }
            }
            let mut error = [0.0; CHUNK];
            holt::step(&mut trend.holt, gain, x, seen, &limit, &mut error);
            for lane in 0..CHUNK {
                // What a series does unseen grows like a random walk: an error after a gap is worth less.
                error[lane] /= (1.0 + past.gap[lane]).sqrt();
                // A jump that is usual at this time, to where the series usually is then, is none.
                let jump = error[lane].abs();
                let (edge, usual) = (season.edge[lane], trend.usual.value(lane));
                let is_habit = edge * edge * season.visits[lane] > chance * usual * usual;
                let edge = if is_habit { edge } else { 0.0 };
                let beyond = (jump - edge).max(jump.min(season.residual[lane].abs()));
                statistic[lane] = statistic[lane].max(trend.usual.ratio(lane, beyond));
                if past.gap[lane] >= GAP_ROWS && seen.has(lane) {
                    trend.holt.rest(lane, x[lane]);
                }
            }
            scale::learn(&mut trend.usual, &past.age, &past.memory_samples(), &error, learn);
        }
    }

    /// Starts a lane at its first sample.
    pub fn seed(&mut self, lane: usize, x: f32) {
        for trend in &mut self.chunks[lane / CHUNK] {
            trend.holt.rest(lane % CHUNK, x);
            trend.usual.reset(lane % CHUNK);
        }
    }

    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        for trend in &mut self.chunks[lane / CHUNK] {
            trend.holt.affine(lane % CHUNK, shift, factor);
            trend.usual.affine(lane % CHUNK, factor);
        }
    }
}
