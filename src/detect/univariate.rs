//! The detectors of one block: every lane's derivative, season and novelty, each calibrated, the three fused.
//!
//! One sweep over the block a tick. State is struct of arrays in chunks of 16 lanes, 2 KB a lane at most.

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

use super::derivative::Derivative;
use super::fuse::of_two;
use super::novelty::{Novelty, Slots};
use super::seasonal::{self, Seasonal};
use super::spread::{self, Spread};
use super::{Band, Detectors, Kind, Past, Tick};
use crate::kernel::tail::{self, SURPRISE_MAX, Tail};
use crate::kernel::{Lanes, NORMALISED_MAX};
use crate::sample::{CHUNK, Mask};

/// One in a thousand: the band is what a residual leaves less often.
const BAND_SURPRISE: f32 = 3.0;

/// What the detectors say about one row of a block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// -log10 of the probability of something at least as odd; 0 where unseen and while warming up.
    pub surprise: Vec<Lanes>,
    /// Which detector that speaks found it oddest.
    pub detector: Vec<[Kind; CHUNK]>,
    /// The residual to the season in about N(0, 1) units; NaN where unseen.
    pub z: Vec<Lanes>,
}

impl Row {
    fn resize(&mut self, chunks: usize) {
        self.surprise.resize(chunks, [0.0; CHUNK]);
        self.detector.resize(chunks, [Kind::Derivative; CHUNK]);
        self.z.resize(chunks, [f32::NAN; CHUNK]);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Univariate {
    derivative: Derivative,
    seasonal: Seasonal,
    spread: Spread,
    novelty: Novelty,
    /// Of the derivative's and of the season's statistic.
    tails: Vec<[Tail; 2]>,
    past: Vec<Past>,
    cadence_seconds: u32,
    /// Which speak: a setting and not state.
    #[serde(skip)]
    pub detectors: Detectors,
}

/// Detectors of a series.
const DETECTORS: usize = 3;
const SEASONAL: usize = 1;
/// What is new once is usual the next time: beside the others novelty counts for a tenth.
const NOVELTY_SHARE: f32 = 1.0;

impl Univariate {
    /// For `chunks` of 16 lanes that are sampled every `cadence_seconds`.
    pub fn new(cadence_seconds: u32, chunks: usize) -> Self {
        let mut univariate = Univariate {
            derivative: Derivative::default(),
            seasonal: Seasonal::default(),
            spread: Spread::default(),
            novelty: Novelty::default(),
            tails: Vec::new(),
            past: Vec::new(),
            cadence_seconds: cadence_seconds.max(1),
            detectors: Detectors::default(),
        };
        univariate.grow(chunks);
        univariate
    }

    /// Makes room for `chunks` in all; never shrinks.
    pub fn grow(&mut self, chunks: usize) {
        let chunks = chunks.max(self.past.len());
        self.derivative.grow(chunks);
        self.seasonal.grow(chunks);
        self.spread.grow(chunks);
        self.novelty.grow(chunks);
        self.tails.resize(chunks, [Tail::GAUSSIAN; 2]);
        self.past.resize(chunks, Past::new(self.cadence_seconds));
    }

    /// Scores one row in normalised units against the past, then learns from it where `learn` says so.
    ///
    /// The slices hold one entry a chunk. A lane outside `seen` keeps its state; one outside `learn` keeps
    /// its idea of what is usual and only follows where the series is.
    pub fn step(&mut self, tick: &Tick, x: &[Lanes], seen: &[Mask], learn: &[Mask], row: &mut Row) {
        row.resize(self.past.len());
        let place = self.seasonal.place(tick);
        self.seasonal.enter(place);
        let hour = spread::Place::of(tick);
        self.spread.enter(hour, &self.past);
        for chunk in 0..self.past.len() {
            let (known, new) = (self.past[chunk].known(), seen[chunk].and(learn[chunk]));
            for lane in (0..CHUNK).filter(|&lane| new.has(lane) && !known.has(lane)) {
                if !x[chunk][lane].is_finite() {
                    continue;
                }
                let x = x[chunk][lane].clamp(-NORMALISED_MAX, NORMALISED_MAX);
                if let Some(start) = self.past[chunk].open(lane, x) {
                    self.seed(chunk * CHUNK + lane, start);
                    self.past[chunk].age[lane] = 1.0;
                }
            }
        }
        let when = When { season: place, hour, habits: Slots::of(tick) };
        sweep(self, when, x, seen, learn, row);
    }

    /// Forgets a lane: another series takes it.
    pub fn reset(&mut self, lane: usize) {
        self.seed(lane, 0.0);
    }

    /// Starts a lane at its first sample.
    fn seed(&mut self, lane: usize, x: f32) {
        self.derivative.seed(lane, x);
        self.seasonal.seed(lane, x);
        self.spread.reset(lane);
        self.novelty.seed(lane, x);
        for tail in &mut self.tails[lane / CHUNK] {
            tail.reset(lane % CHUNK);
        }
        self.past[lane / CHUNK].reset(lane % CHUNK);
    }

    /// Follows the normaliser of a lane to `x_new = (x_old - shift) * factor`.
    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        self.derivative.affine(lane, shift, factor);
        self.seasonal.affine(lane, shift, factor);
        self.novelty.affine(lane, shift, factor);
        self.past[lane / CHUNK].affine(lane % CHUNK, shift, factor);
    }

    /// Where the lane is expected at `tick`, in normalised units: it leaves the band one time in a thousand.
    pub fn band(&self, lane: usize, tick: &Tick) -> Band {
        let (expected, usual) = self.seasonal.expected(lane, self.seasonal.place(tick));
        let wide = self.spread.at(lane / CHUNK, spread::Place::of(tick))[lane % CHUNK];
        let reach =
            wide * usual * self.tails[lane / CHUNK][SEASONAL].statistic_at(lane % CHUNK, BAND_SURPRISE);
        Band {
            expected: f64::from(expected),
            low: f64::from(expected - reach),
            high: f64::from(expected + reach),
        }
    }

    /// How new a lane is of late, 0..=`NOVELTY_MAX`.
    pub fn novelty(&self, lane: usize) -> f32 {
        self.novelty.held(lane)
    }

    /// Samples that the lane has learnt from.
    pub fn age(&self, lane: usize) -> u64 {
        self.past[lane / CHUNK].age[lane % CHUNK] as u64
    }
}

/// Where a tick lies, as each detector sees the day and the week.
#[derive(Clone, Copy)]
struct When {
    season: seasonal::Place,
    hour: spread::Place,
    habits: Slots,
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn sweep(block: &mut Univariate, when: When, x: &[Lanes], seen: &[Mask], learn: &[Mask], row: &mut Row) {
    let Univariate { derivative, seasonal, spread, novelty, tails, past, detectors, .. } = block;
    let on = [detectors.derivative, detectors.seasonal, detectors.novelty];
    for i in 0..past.len() {
        let past = &mut past[i];
        let finite = (0..CHUNK).fold(Mask::NONE, |finite, lane| finite.with(lane, x[i][lane].is_finite()));
        let x: Lanes = std::array::from_fn(|lane| x[i][lane].clamp(-NORMALISED_MAX, NORMALISED_MAX));
        let (seen, allowed) = (seen[i].and(finite).and(past.known()), learn[i]);
        let learn = seen.and(allowed);
        let season = seasonal.step(i, when.season, past, &x, seen, learn);
        let (mut statistic, mut z) = ([[0.0; CHUNK], season.statistic], season.z);
        derivative.step(i, past, &season, &x, seen, learn, &mut statistic[0]);
        let wide = spread.at(i, when.hour);
        spread.learn(i, &z, learn.and(past.knows_a_day()));
        for lane in 0..CHUNK {
            // Only this one: what the hour adds to how far a series strays, it need not add to how it jumps.
            statistic[1][lane] /= wide[lane];
            z[lane] /= wide[lane];
        }
        let memory = past.memory_samples();
        let mut surprise = [[0.0; CHUNK]; DETECTORS];
        if detectors.novelty {
            novelty.step(i, when.habits, past, &x, seen, learn, &mut surprise[2]);
        }
        for k in 0..2 {
            tail::step(&mut tails[i][k], &past.age, &memory, &statistic[k], seen, allowed, &mut surprise[k]);
        }
        for lane in 0..CHUNK {
            let (fused, oddest) = fuse(surprise.map(|lanes: Lanes| lanes[lane]), on);
            row.surprise[i][lane] = fused.min(SURPRISE_MAX);
            row.detector[i][lane] = oddest;
            row.z[i][lane] = if seen.has(lane) { z[lane] } else { f32::NAN };
            past.count(lane, seen, learn);
        }
    }
}

/// One surprise of those that are on, and whose it is most.
#[inline(always)]
fn fuse([derivative, seasonal, novelty]: [f32; 3], on: [bool; 3]) -> (f32, Kind) {
    let (usual, oddest) = match (on[0], on[1]) {
        (true, true) if derivative > seasonal => (of_two(derivative, seasonal), Kind::Derivative),
        (true, true) => (of_two(derivative, seasonal), Kind::Seasonal),
        (true, false) => (derivative, Kind::Derivative),
        (false, true) => (seasonal, Kind::Seasonal),
        (false, false) => (0.0, Kind::Novelty),
    };
    let share = if on[0] || on[1] { NOVELTY_SHARE } else { 0.0 };
    if on[2] && novelty - share > usual { (novelty - share, Kind::Novelty) } else { (usual, oddest) }
}
