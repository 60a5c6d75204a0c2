//! Where tokio meets the engine: threads, channels, clock, snapshots, shutdown.

pub mod pulse;
pub mod shutdown;
