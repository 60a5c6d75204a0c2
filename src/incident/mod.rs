//! Surprises that move together are one incident: correlated, weighed against the budget, explained, closed.

pub mod event;
