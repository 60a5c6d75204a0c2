//! What will hurt, and when: time to a hard limit, and the signatures of known faults.
//!
//! `pack` is what is known of a kind of system, `signals` finds a series' place in it, `limit` draws the
//! line to a hard limit (`line` fits it), `signature` ranks the faults that would move what has moved.

#[cfg(test)]
mod families;
pub mod limit;
pub mod line;
pub mod pack;
pub mod signals;
pub mod signature;
