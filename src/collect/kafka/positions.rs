//! Where each partition is to be read next, shared by the consumer and its rebalance call-back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::sample::{Position, Timestamp};

/// The name of a partition as a source of samples, `kafka:TOPIC/PARTITION`.
pub fn source_name(topic: &str, partition: i32) -> String {
    format!("kafka:{topic}/{partition}")
}

/// The partition that a source name stands for, where it is one of Kafka's.
pub fn partition_of(source: &str) -> Option<(&str, i32)> {
    let (topic, partition) = source.strip_prefix("kafka:")?.rsplit_once('/')?;
    Some((topic, partition.parse().ok()?))
}

/// Offsets to read next by source name: first the snapshot's, then what has been handed over since.
#[derive(Debug, Default)]
pub struct Positions(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: BTreeMap<String, Position>,
    /// Time of the newest sample handed over since the start.
    reached: BTreeMap<String, Timestamp>,
}

impl Positions {
    /// Starts from what the snapshot held.
    pub fn new(from_snapshot: BTreeMap<String, Position>) -> Self {
        Positions(Mutex::new(Inner { next: from_snapshot, reached: BTreeMap::new() }))
    }

    /// Where to read a partition on; `None` where nothing of it has been read.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Position> {
        self.lock().next.get(&source_name(topic, partition)).copied()
    }

    /// A batch that reaches as far as `position`, and in data time as far as `at`, has been handed over.
    pub fn set(&self, source: &str, position: Position, at: Option<Timestamp>) {
        let mut inner = self.lock();
        inner.next.insert(source.to_string(), position);
        if let Some(at) = at {
            inner.reached.insert(source.to_string(), at);
        }
    }

    /// Where the partitions stand whose samples are from before `now`: it changes as long as a backlog gets shorter,
    /// and not by what only comes in today.
    pub fn behind(&self, now: Timestamp) -> BTreeMap<String, Position> {
        let inner = self.lock();
        let behind = inner.reached.iter().filter(|(_, at)| **at < now);
        behind.filter_map(|(source, _)| Some((source.clone(), *inner.next.get(source)?))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_name_leads_back_to_its_partition() {
        assert_eq!(partition_of(&source_name("metrics/eu", 3)), Some(("metrics/eu", 3)));
        assert_eq!(partition_of("scrape:http://host/3"), None);
    }

    #[test]
    fn a_backlog_moves_and_what_comes_in_today_does_not_count() {
        let positions = Positions::new(BTreeMap::new());
        let now = Timestamp(1_000);
        let read = |source: &str, next_offset, at| {
            positions.set(source, Position { next_offset }, Some(Timestamp(at)));
            positions.behind(now)
        };
        let first = read("kafka:t/0", 1, 10);
        let second = read("kafka:t/0", 2, 10);
        assert_ne!(first, second);
        assert_eq!(read("kafka:t/1", 1, 1_000), second);
        assert_eq!(read("kafka:t/1", 2, 1_015), second);
        assert_ne!(read("kafka:t/0", 3, 1_001), second, "its end is reached");
    }
}
