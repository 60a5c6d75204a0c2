//! The vector loops: free functions over 16 lanes, each beside the scalar oracle that its tests compare it with.
//!
//! A loop runs over a fixed 16 lanes so that the compiler turns it into vectors. The functions are
//! inlined into a detector's sweep over a block, which is compiled for several instruction sets
//! (`multiversion`, in `detect/univariate.rs`). Nothing here reorders or contracts floating point, so
//! every instruction set gives the same bits.
#![allow(clippy::needless_range_loop, reason = "a lane indexes several arrays at once")]

pub mod holt;
pub mod scale;
pub mod tail;

use crate::sample::CHUNK;

/// Values and errors in a lane's unit stop here, so that their squares are finite.
pub const NORMALISED_MAX: f32 = 1e15;

/// One value for each of 16 lanes.
pub type Lanes = [f32; CHUNK];

/// The gain with which the `age`th sample enters a mean: of all samples so far until there are `memory` of them,
/// exponentially weighted from then on.
#[inline(always)]
pub fn gain(age: f32, memory: f32) -> f32 {
    1.0 / (age + 1.0).min(memory)
}
