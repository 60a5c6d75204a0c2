//! What incidents that can wait move, such as a busy morning: it does not stay still, so that speaks against no fault.

use std::collections::{BTreeMap, BTreeSet};

use super::House;
use super::case::Case;
use crate::series::registry::EntityId;

/// Machines and the signals that are off their course there, by which of these incidents.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(BTreeSet<(EntityId, u16, u64)>);

impl Elsewhere {
    pub fn new(house: &House, cases: &BTreeMap<u64, Case>) -> Self {
        let can_wait = cases.iter().filter(|(_, case)| case.can_wait(house));
        let moves = can_wait.flat_map(|(number, case)| {
            let off = case.tracks.values().filter(|t| t.is_real() && t.evidence.whole > 0.0);
            off.filter_map(|track| Some((track.entity, track.signal?.signal, *number)))
        });
        Elsewhere(moves.collect())
    }

    /// Whether one of them moves a signal of a machine, other than the case of this number.
    pub fn moves(&self, but: u64, entity: EntityId, signal: u16) -> bool {
        let mut by = self.0.range((entity, signal, 0)..=(entity, signal, u64::MAX));
        by.any(|(_, _, number)| *number != but)
    }
}
