//! The engine: a pure state machine from samples, clock and commands to events.
//!
//! It reads no clock, no file, no socket, no randomness: the same inputs in the same order give the
//! same events, bit for bit.

use serde::{Deserialize, Serialize};

use crate::sample::{Batch, Timestamp};

/// Everything that can reach the engine.
#[derive(Clone, Debug)]
pub enum Input {
    Samples(Batch),
    /// The clock is now at least this far, so that silence and expiry happen although no sample comes.
    Clock(Timestamp),
    Command(Command),
}

/// What a person asks of the engine; the id is an incident's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    Acknowledge { incident: String, by: String },
    Resolve { incident: String, by: String },
}
