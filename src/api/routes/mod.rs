//! One file for each thing that can be asked.

pub mod actions;
pub mod health;
pub mod incidents;
pub mod metrics;
pub mod series;
pub mod write;
