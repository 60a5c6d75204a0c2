//! The edges that bring samples in: scrapes, remote write, history and tail of a Prometheus, Kafka, files.

pub mod http;
pub mod kafka;
pub mod prometheus;
pub mod recording;
pub mod zmstat;
