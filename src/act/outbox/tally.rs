//! What the outbox counts: attempts by how they went, and what it had no room for.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Verdict;
use super::super::room::{Part, Room};
use crate::durable::record::RecordState;

/// Attempts by how they went, of one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub delivered: u64,
    pub retried: u64,
    pub failed: u64,
}

/// For metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxStats {
    pub pending: usize,
    /// Records waiting or in flight, by part; every sink of the config is there.
    pub waiting: BTreeMap<Part, usize>,
    /// Records that one part takes.
    pub capacity: usize,
    /// Records not made because their part was full.
    pub dropped: BTreeMap<Part, u64>,
    pub disabled: BTreeSet<String>,
    pub sinks: BTreeMap<String, Counts>,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub sinks: BTreeMap<String, Counts>,
    pub dropped: BTreeMap<Part, u64>,
    /// Parts of which it was said that they are full.
    full: BTreeSet<Part>,
}

impl Tally {
    pub fn attempt(&mut self, sink: String, verdict: &Verdict, state: &RecordState) {
        let counts = self.sinks.entry(sink).or_default();
        match (verdict, state) {
            (Verdict::Delivered { .. }, _) => counts.delivered += 1,
            (_, RecordState::Failed { .. }) => counts.failed += 1,
            (Verdict::Next { .. }, _) => {}
            _ => counts.retried += 1,
        }
    }

    /// Counts what was dropped, and says so once until the part has room again.
    pub fn drops(&mut self, dropped: BTreeMap<Part, u64>, room: &Room, records_max: usize) {
        self.full.retain(|part| {
            let is_full = dropped.contains_key(part) || !room.has(part);
            if !is_full {
                let (sink, what) = (&part.sink, part.what());
                let dropped = self.dropped.get(part).copied().unwrap_or(0);
                tracing::warn!(%sink, what, dropped, "the outbox has room for this sink again");
            }
            is_full
        });
        for (part, count) in dropped {
            *self.dropped.entry(part.clone()).or_default() += count;
            if !self.full.contains(&part) {
                let (sink, what) = (&part.sink, part.what());
                tracing::error!(%sink, what, records_max,
                    "the outbox is full for this sink, whose receiver does not take what waits; more is dropped");
                self.full.insert(part);
            }
        }
    }
}
