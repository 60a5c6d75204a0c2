//! Foreshock: watches a mail platform's metrics, predicts faults within a false-alarm budget, heals and checks.
//!
//! The way of the data is one line, and the modules stand in its order:
//!
//! ```text
//! collect -> series -> detect -> predict -> incident -> act
//!            (the engine: pure, synchronous)
//! ```
//!
//! `ARCHITECTURE.md` has the map and the invariants; `tests/tidy.rs` holds who may import whom.
#![deny(unsafe_code)]

pub mod sample;

pub mod kernel;

pub mod series;

pub mod detect;

pub mod predict;

pub mod incident;

pub mod engine;

pub mod clock;
pub mod config;
pub mod durable;

pub mod act;
pub mod collect;

pub mod api;
pub mod runtime;
pub mod telemetry;

pub mod cli;
pub mod sim;
