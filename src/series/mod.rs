//! Samples become aligned rows: registry, clean, cadence, blocks, and the ticks that a watermark drives.
//!
//! One `Registry` and one `Ticker` serve the whole engine; each shard has a `Head` over its own series:
//!
//! ```text
//! key -> Registry -> SeriesId -> Ticker -> Due { at, arrivals } -> Head: Cleaner -> Cadence -> Block -> row
//! ```
//!
//! Nothing here depends on the order in which sources interleave, nor on the number of shards.

pub mod block;
pub mod cadence;
pub mod clean;
pub mod head;
pub mod registry;
pub mod tick;

mod chunk;
mod watermark;

#[cfg(test)]
mod properties;
