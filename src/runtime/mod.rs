//! Where tokio meets the engine: threads, channels, clock, snapshots, shutdown.
