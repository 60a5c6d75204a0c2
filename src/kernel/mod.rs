//! The vector loops: free functions over slices, each beside the scalar oracle that its tests compare it with.
//!
//! A loop runs over a fixed 16 lanes so that the compiler turns it into vectors, and is compiled for
//! several instruction sets (`multiversion`). Nothing here reorders or contracts floating point, so
//! every instruction set gives the same bits.

use crate::sample::CHUNK;

/// One value for each of 16 lanes.
pub type Lanes = [f32; CHUNK];
