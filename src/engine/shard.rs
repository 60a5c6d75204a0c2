//! One shard: the series of some entities, from arrivals to what is odd about them.
//!
//! A tick here is: clean and place the arrivals (`series::head`) -> one row a block -> univariate surprises
//! -> one row a group of signals of one entity -> multivariate surprises. A shard sees nothing of the others,
//! and all signals of an entity live in one shard, so the number of shards changes nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::groups::{Groups, Signal};
use super::local_time::LocalTime;
use crate::detect::univariate::{Row, Univariate};
use crate::detect::{Band, Detectors, Kind, Tick};
use crate::kernel::Lanes;
use crate::kernel::tail::GROWN_SAMPLES;
use crate::sample::{CHUNK, Mask, Sample, Timestamp};
use crate::series::block::{Change, X_MAX};
use crate::series::head::{Head, HeadLimits, LaneRef, SeriesState};
use crate::series::registry::{Registry, SeriesId};
use crate::series::tick::Arrival;

/// Series silent for this long, while others speak, are retired.
const SILENT_SECONDS_MAX: u32 = 86_400;

/// A series that is odd at this tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Odd {
    pub series: SeriesId,
    pub surprise: f32,
    pub detector: Kind,
}

/// A series as of its last row, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub last: Option<Sample>,
    pub band: Band,
    pub surprise: f32,
    /// The share of it that is its own, and not of other signals of its entity.
    pub own: f32,
    pub state: SeriesState,
}

/// The detectors of one block, and what they said about its last row.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Watch {
    univariate: Univariate,
    at: Timestamp,
    row: Row,
    #[serde(skip)]
    x: Vec<Lanes>,
    #[serde(skip)]
    seen: Vec<Mask>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shard {
    head: Head,
    /// One a block of `head`.
    watches: Vec<Watch>,
    groups: Groups,
}

/// What a tick needs to know beyond its arrivals.
pub(super) struct Context<'e> {
    pub at: Timestamp,
    /// Whether anything arrived for any shard.
    pub is_active: bool,
    pub registry: &'e Registry,
    pub local_time: &'e LocalTime,
    /// Known series that an open incident keeps from learning.
    pub frozen: &'e BTreeSet<SeriesId>,
    /// Surprises below this are not told.
    pub surprise_min: f32,
    pub detectors: Detectors,
}

impl Shard {
    pub(super) fn new(step_seconds: u32) -> Self {
        let limits = HeadLimits { step_seconds, silent_seconds_max: SILENT_SECONDS_MAX };
        Shard { head: Head::new(limits), watches: Vec::new(), groups: Groups::default() }
    }

    /// Takes in the arrivals of a tick, sorted by series and time, and says which series are odd:
    /// each once, in order of series.
    pub(super) fn tick(&mut self, context: &Context, arrivals: &[Arrival]) -> Vec<Odd> {
        self.head.ingest(context.at, arrivals, context.is_active, context.registry);
        let due: Vec<usize> = self.head.due_blocks(context.at).collect();
        let frozen: Vec<LaneRef> =
            context.frozen.iter().filter_map(|series| self.head.lane_of(*series)).collect();
        for &block in &due {
            self.step_block(block, context, &frozen);
        }
        let mut odd = Vec::new();
        for &block in &due {
            self.collect_odd(block, context, &mut odd);
        }
        let Shard { watches, groups, head } = self;
        let signal = |home: LaneRef| {
            let (watch, chunk, lane) = (&watches[home.block], home.lane / CHUNK, home.lane % CHUNK);
            let z = watch.row.z[chunk][lane];
            let value = head.block(home.block).raw(home.lane, watch.x[chunk][lane]);
            Signal { z, value: if z.is_nan() { f64::NAN } else { value } }
        };
        groups.step(context, head, &frozen, signal, &mut odd);
        // Of two findings on one series the odder stands.
        odd.sort_by(|a, b| a.series.cmp(&b.series).then(b.surprise.total_cmp(&a.surprise)));
        odd.dedup_by_key(|o| o.series);
        odd
    }

    fn step_block(&mut self, index: usize, context: &Context, frozen: &[LaneRef]) {
        let block = self.head.block_mut(index);
        let (cadence_seconds, chunks) = (block.cadence_seconds(), block.chunks());
        if index == self.watches.len() {
            self.watches.push(Watch {
                univariate: Univariate::new(cadence_seconds, chunks),
                at: Timestamp::MIN,
                row: Row::default(),
                x: Vec::new(),
                seen: Vec::new(),
            });
        }
        let watch = &mut self.watches[index];
        watch.at = context.at;
        watch.univariate.detectors = context.detectors;
        watch.univariate.grow(chunks);
        watch.x.resize(chunks, [0.0; CHUNK]);
        watch.seen.resize(chunks, Mask::NONE);
        let mut changes = Vec::new();
        block.row(context.at, &mut watch.x, &mut watch.seen, &mut changes);
        for change in changes {
            match change {
                Change::Joined { lane, series } => {
                    watch.univariate.reset(lane);
                    let entity = context.registry.entity(series);
                    let name = context.registry.entity_name(entity);
                    self.groups.join(entity, name, cadence_seconds, LaneRef { block: index, lane });
                }
                Change::Left { lane, .. } => {
                    watch.univariate.reset(lane);
                    self.groups.leave(LaneRef { block: index, lane });
                }
                Change::Moved { lane, shift, factor } => watch.univariate.affine(lane, shift, factor),
            }
        }
        let mut learn = vec![Mask::ALL; chunks];
        for home in frozen.iter().filter(|home| home.block == index) {
            let mask = &mut learn[home.lane / CHUNK];
            *mask = mask.with(home.lane % CHUNK, false);
        }
        let tick = context.local_time.tick(context.at, cadence_seconds);
        watch.univariate.step(&tick, &watch.x, &watch.seen, &learn, &mut watch.row);
    }

    fn collect_odd(&self, index: usize, context: &Context, odd: &mut Vec<Odd>) {
        let (block, row) = (self.head.block(index), &self.watches[index].row);
        for (chunk, surprises) in row.surprise.iter().enumerate() {
            for (i, &surprise) in surprises.iter().enumerate().filter(|(_, s)| **s >= context.surprise_min) {
                if let Some(series) = block.series(chunk * CHUNK + i) {
                    odd.push(Odd { series, surprise, detector: row.detector[chunk][i] });
                }
            }
        }
    }

    /// Series to be forgotten, since they are silent while others speak.
    pub(super) fn retire(&mut self) -> Vec<SeriesId> {
        self.head.retire()
    }

    /// What is known of a series; `None` for one of another shard.
    pub(super) fn seen(&self, series: SeriesId, local_time: &LocalTime) -> Option<Seen> {
        let state = self.head.state(series)?;
        let unknown = Seen {
            last: None,
            band: Band { expected: f64::NAN, low: f64::NAN, high: f64::NAN },
            surprise: 0.0,
            own: 1.0,
            state,
        };
        let Some(home) = self.head.lane_of(series) else { return Some(unknown) };
        let Some(watch) = self.watches.get(home.block) else { return Some(unknown) };
        let block = self.head.block(home.block);
        let (chunk, lane) = (home.lane / CHUNK, home.lane % CHUNK);
        let Some(surprise) = watch.row.surprise.get(chunk).map(|lanes| lanes[lane]) else {
            return Some(unknown);
        };
        let tick: Tick = local_time.tick(watch.at, block.cadence_seconds());
        let band = watch.univariate.band(home.lane, &tick);
        let raw = |x: f64| block.raw(home.lane, x as f32);
        let band = Band { expected: raw(band.expected), low: raw(band.low), high: raw(band.high) };
        Some(Seen { last: block.last(home.lane), band, surprise, own: self.groups.own(home), state })
    }

    /// Moves what is usual for a series by so much, in its own unit: it is meant to be elsewhere from now on. No lane goes
    /// further than `X_MAX`: beyond it nothing that it knows would be left.
    pub(super) fn shift(&mut self, series: SeriesId, by: f64) {
        let Some(home) = self.head.lane_of(series) else { return };
        let block = self.head.block(home.block);
        let by = (by / (block.raw(home.lane, 1.0) - block.raw(home.lane, 0.0))) as f32;
        if let Some(watch) = self.watches.get_mut(home.block).filter(|_| by.abs() <= X_MAX) {
            watch.univariate.affine(home.lane, -by, 1.0);
        }
    }

    /// Whether a series of this shard has a past long enough to say what is usual.
    pub(super) fn knows(&self, series: SeriesId) -> bool {
        let Some(home) = self.head.lane_of(series) else { return false };
        let age = self.watches.get(home.block).map_or(0, |watch| watch.univariate.age(home.lane));
        age as f32 >= GROWN_SAMPLES
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Lanes that have a series.
    pub(super) fn lanes(&self) -> usize {
        (0..self.head.block_count()).map(|i| self.head.block(i).len()).sum()
    }
}
