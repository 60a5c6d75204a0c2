//! The signals of one entity at one cadence, side by side for the detectors that look at them together.
//!
//! A group holds at most `COLUMNS_MAX` signals; an entity with more has several groups. Signals take
//! their columns in the order in which their lanes were given, which is the same for any number of shards.
//! Each group fits its model anew at ticks of its own, so that no tick waits for all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::shard::{Context, Odd};
use crate::detect::{Kind, Multivariate, Tick, Together};
use crate::series::head::{Head, LaneRef};
use crate::series::registry::EntityId;

/// What a signal is at this tick; NaN where it is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    /// The residual to its season, in about N(0, 1) units.
    pub z: f32,
    /// In its own unit.
    pub value: f64,
}

const MISSING: Signal = Signal { z: f32::NAN, value: f64::NAN };

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    /// The lane of each column.
    lanes: Vec<Option<LaneRef>>,
    relations: Multivariate,
    together: Together,
    #[serde(skip)]
    z: Vec<f32>,
    #[serde(skip)]
    values: Vec<f64>,
}

/// All groups of a shard.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    by_entity: BTreeMap<(EntityId, u32), Vec<Group>>,
    /// Where each lane has its column: entity, cadence, group, column.
    columns: BTreeMap<LaneRef, (EntityId, u32, usize, usize)>,
}

impl Groups {
    /// Gives a lane a column; a lane that starts anew leaves the one that it had.
    pub(super) fn join(&mut self, entity: EntityId, name: &str, cadence_seconds: u32, lane: LaneRef) {
        self.leave(lane);
        let groups = self.by_entity.entry((entity, cadence_seconds)).or_default();
        let room = groups.iter_mut().enumerate().find_map(|(i, group)| Some((i, group.relations.join()?)));
        let (index, column) = match room {
            Some(place) => place,
            None => {
                let mut group = Group::with_phase(phase(name, groups.len()));
                let Some(column) = group.relations.join() else { return };
                groups.push(group);
                (groups.len() - 1, column)
            }
        };
        groups[index].together.grow(column + 1);
        let lanes = &mut groups[index].lanes;
        lanes.resize(lanes.len().max(column + 1), None);
        lanes[column] = Some(lane);
        self.columns.insert(lane, (entity, cadence_seconds, index, column));
    }

    pub(super) fn leave(&mut self, lane: LaneRef) {
        let Some((entity, cadence_seconds, index, column)) = self.columns.remove(&lane) else { return };
        if let Some(group) = self.by_entity.get_mut(&(entity, cadence_seconds)).and_then(|g| g.get_mut(index))
        {
            group.lanes[column] = None;
            group.relations.leave(column);
            group.together.forget(column);
        }
    }

    /// Of the last deviation of a lane, the share that other signals of its entity do not explain.
    pub(super) fn own(&self, lane: LaneRef) -> f32 {
        let Some(&(entity, cadence_seconds, index, column)) = self.columns.get(&lane) else { return 1.0 };
        let group = self.by_entity.get(&(entity, cadence_seconds)).and_then(|groups| groups.get(index));
        group.map_or(1.0, |group| group.relations.own(column))
    }

    /// One row for each group that is due. What is odd is told of the signal that has the largest part in it.
    pub(super) fn step(
        &mut self,
        context: &Context,
        head: &Head,
        frozen: &[LaneRef],
        signal: impl Fn(LaneRef) -> Signal,
        odd: &mut Vec<Odd>,
    ) {
        let place =
            |lane: &LaneRef| self.columns.get(lane).map(|&(entity, cadence, i, _)| (entity, cadence, i));
        let frozen: BTreeSet<(EntityId, u32, usize)> = frozen.iter().filter_map(place).collect();
        for ((entity, cadence_seconds), groups) in &mut self.by_entity {
            if context.at.0.rem_euclid(i64::from(*cadence_seconds) * 1000) != 0 {
                continue;
            }
            let tick = context.local_time.tick(context.at, *cadence_seconds);
            for (i, group) in groups.iter_mut().enumerate() {
                let frozen = frozen.contains(&(*entity, *cadence_seconds, i));
                group.take(&signal);
                for (surprise, column, detector) in group.step(&tick, !frozen, context) {
                    let lane = column.and_then(|column| group.lanes[column]);
                    let series = lane.and_then(|lane| head.block(lane.block).series(lane.lane));
                    if let Some(series) = series.filter(|_| surprise >= context.surprise_min) {
                        odd.push(Odd { series, surprise, detector });
                    }
                }
            }
        }
    }
}

impl Group {
    fn with_phase(phase: u64) -> Self {
        Group {
            lanes: Vec::new(),
            relations: Multivariate::with_phase(phase),
            together: Together::new(false),
            z: Vec::new(),
            values: Vec::new(),
        }
    }

    fn take(&mut self, signal: impl Fn(LaneRef) -> Signal) {
        self.z.clear();
        self.values.clear();
        for lane in &self.lanes {
            let Signal { z, value } = lane.map_or(MISSING, &signal);
            self.z.push(z);
            self.values.push(value);
        }
    }

    /// The surprise of each detector that speaks, and the signal to tell it of.
    fn step(&mut self, tick: &Tick, learn: bool, context: &Context) -> [(f32, Option<usize>, Kind); 2] {
        let mut relations = (0.0, None, Kind::Multivariate);
        if context.detectors.multivariate {
            let answer = self.relations.step(tick, &self.z, learn);
            relations = (answer.surprise, answer.parts.first().map(|part| part.column), Kind::Multivariate);
        }
        let mut together = (0.0, None, Kind::Energy);
        if context.detectors.energy {
            let answer = self.together.step(tick, &self.values, 0.0, learn);
            together = (answer.news, answer.loudest, Kind::Energy);
        }
        [relations, together]
    }
}

/// Spreads groups by the entity's name and their own place (FNV-1a): numbers of entities may differ from one
/// installation to the next, names don't.
fn phase(name: &str, group: usize) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    let hash = name.bytes().chain([0xFF, group as u8]).fold(0xCBF2_9CE4_8422_2325, mix);
    // The low bits of a product know least of the name.
    hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_starts_anew_has_one_column() {
        let mut groups = Groups::default();
        let lane = LaneRef { block: 0, lane: 3 };
        (0..1000).for_each(|_| groups.join(EntityId(1), "mta1", 15, lane));
        let of_entity = &groups.by_entity[&(EntityId(1), 15)];
        let columns = of_entity.iter().flat_map(|group| &group.lanes).flatten().count();
        assert_eq!((of_entity.len(), columns, groups.columns.len()), (1, 1, 1));
    }
}
