//! Where each partition is to be read next, shared by the consumer and its rebalance call-back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::sample::Position;

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
pub struct Positions(Mutex<BTreeMap<String, Position>>);

impl Positions {
    /// Starts from what the snapshot held.
    pub fn new(from_snapshot: BTreeMap<String, Position>) -> Self {
        Positions(Mutex::new(from_snapshot))
    }

    /// Where to read a partition on; `None` where nothing of it has been read.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Position> {
        self.lock().get(&source_name(topic, partition)).copied()
    }

    /// A batch that reaches as far as `position` has been handed over.
    pub fn set(&self, source: &str, position: Position) {
        self.lock().insert(source.to_string(), position);
    }

    /// All of them, as of now.
    pub fn all(&self) -> BTreeMap<String, Position> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Position>> {
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
}
