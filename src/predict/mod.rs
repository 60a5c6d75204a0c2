//! What will hurt, and when: time to a hard limit, and the signatures of known faults.
//!
//! `pack` is what is known of a kind of system, `signals` finds a series' place in it, `law` its place in a law of
//! conservation and `stall` in what shows that a machine works, `limit` says when a hard limit is reached (`line` whether there is a trend, `course` when it arrives),
//! `signature` ranks the faults that would move what has moved.

mod climb;
pub mod course;
#[cfg(test)]
mod families;
pub mod law;
pub mod limit;
pub mod line;
pub mod pack;
pub mod rhythm;
pub mod service_levels;
pub mod signals;
pub mod signature;
pub mod stall;
