//! Samples from Kafka: a consumer group whose offsets are committed only once what they carried is durable.
//!
//! consumer -> format -> merge (partitions in order of time) -> order (topics likewise) -> the engine's queue.
//! A message that no format can read is counted and kept in the dead-letter file; it never blocks its partition.

pub mod consumer;
pub mod dead_letter;
pub mod format;
pub mod merge;
pub mod order;
mod positions;

pub use consumer::{Consumer, KafkaError, start};
pub use positions::Positions;

#[cfg(test)]
mod tests;
