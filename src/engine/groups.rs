//! The signals of one entity at one cadence, side by side for the multivariate detector.
//!
//! A group holds at most `COLUMNS_MAX` signals; an entity with more has several groups. Signals take
//! their columns in the order in which their lanes were given, which is the same for any number of shards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shard::{Context, Odd};
use crate::detect::Kind;
use crate::detect::multivariate::Multivariate;
use crate::series::head::{Head, LaneRef};
use crate::series::registry::EntityId;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Group {
    /// The lane of each column.
    lanes: Vec<Option<LaneRef>>,
    detector: Multivariate,
    #[serde(skip)]
    z: Vec<f32>,
}

/// All groups of a shard.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    by_entity: BTreeMap<(EntityId, u32), Vec<Group>>,
    /// Where each lane has its column: entity, cadence, group, column.
    columns: BTreeMap<LaneRef, (EntityId, u32, usize, usize)>,
}

impl Groups {
    pub(super) fn join(&mut self, entity: EntityId, cadence_seconds: u32, lane: LaneRef) {
        let groups = self.by_entity.entry((entity, cadence_seconds)).or_default();
        let room = groups.iter_mut().enumerate().find_map(|(i, group)| Some((i, group.detector.join()?)));
        let (index, column) = match room {
            Some(place) => place,
            None => {
                let mut group = Group::default();
                let Some(column) = group.detector.join() else { return };
                groups.push(group);
                (groups.len() - 1, column)
            }
        };
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
            group.detector.leave(column);
        }
    }

    /// One row for each group that is due. What is odd is told of the signal that has the largest part in it.
    pub(super) fn step(
        &mut self,
        context: &Context,
        head: &Head,
        z: impl Fn(LaneRef) -> f32,
        odd: &mut Vec<Odd>,
    ) {
        for ((_, cadence_seconds), groups) in &mut self.by_entity {
            if context.at.0.rem_euclid(i64::from(*cadence_seconds) * 1000) != 0 {
                continue;
            }
            let tick = context.local_time.tick(context.at, *cadence_seconds);
            for group in groups {
                let series_of = |lane: LaneRef| head.block(lane.block).series(lane.lane);
                let frozen =
                    !context.frozen.is_empty()
                        && group.lanes.iter().flatten().any(|lane| {
                            series_of(*lane).is_some_and(|series| context.frozen.contains(&series))
                        });
                group.z.clear();
                group.z.extend(group.lanes.iter().map(|lane| lane.map_or(f32::NAN, &z)));
                let together = group.detector.step(&tick, &group.z, !frozen);
                if together.surprise < context.surprise_min {
                    continue;
                }
                let first =
                    together.parts.first().and_then(|part| group.lanes[part.column]).and_then(series_of);
                if let Some(series) = first {
                    odd.push(Odd { series, surprise: together.surprise, detector: Kind::Multivariate });
                }
            }
        }
    }
}
