//! Where tokio meets the engine: threads, channels, clock, snapshots, shutdown.
//!
//! `serve` starts and ends everything in order; `engine_thread` owns the engine.

pub mod collectors;
pub mod engine_thread;
pub mod history;
pub mod ledger;
pub mod owed;
pub mod pulse;
pub mod recover;
pub mod serve;
pub mod settings;
pub mod shutdown;
pub mod snapshots;

#[cfg(test)]
mod tests;
