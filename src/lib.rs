//! Foreshock: watches a mail platform's metrics, predicts faults within a false-alarm budget, heals and checks.
//!
//! The way of the data is one line:
//!
//! ```text
//! collect -> series -> detect -> predict -> incident -> act
//!            (the engine: pure, synchronous)
//! ```
//!
//! The modules stand below in the order in which they may import each other: the engine along the line, then
//! its edges. `ARCHITECTURE.md` has the map and the invariants; `tests/tidy.rs` holds who may import whom.
#![deny(unsafe_code)]

pub mod sample;

pub mod kernel;

pub mod series;

pub mod detect;

pub mod predict;

pub mod incident;

pub mod engine;

// The edges, which know the engine's words and which the engine does not know.
pub mod clock;
pub mod telemetry;

pub mod config;
pub mod durable;

pub mod act;
pub mod collect;

pub mod api;
pub mod runtime;

pub mod sim;

pub mod eval;

pub mod cli;
