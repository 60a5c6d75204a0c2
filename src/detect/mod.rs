//! How odd is this value, given the past of its own series? Every detector answers in one currency, the surprise.
//!
//! A surprise is -log10 of the probability of something at least as odd: 3 is one in a thousand.
//! `derivative`, `seasonal` and later detectors give a raw statistic a lane; `kernel::tail` turns each
//! into a surprise, `fuse` makes one of several; `univariate` holds all of a block's detectors;
//! `multivariate` watches how the signals of one entity move together; `entity` scores a row of signals
//! from raw values.
#![allow(clippy::needless_range_loop, reason = "a lane indexes several arrays at once")]

pub mod derivative;
pub mod entity;
pub mod fuse;
pub mod multivariate;
pub mod profile;
pub mod seasonal;
pub mod subspace;
pub mod univariate;

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::{CHUNK, Mask, Timestamp};

pub use entity::{EntityRow, EntityScore};
pub use multivariate::{MultiSurprise, Multivariate, Part};
pub use univariate::{Row, Univariate};

/// The detectors, a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Derivative,
    Seasonal,
    Multivariate,
    /// No value came where one was due.
    Silence,
    /// A hard limit comes near (`predict/limit.rs`).
    Limit,
}

/// When a tick is, as detectors need to know it: the instant, and the local time by which people live.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    pub at: Timestamp,
    pub cadence_seconds: u32,
    /// 0..86_400, local to the site: on a DST night it jumps or repeats, as habits do.
    pub local_second_of_day: u32,
    /// 0 is Monday; a holiday counts as Sunday, 6.
    pub local_weekday: u8,
}

/// What a series was expected to be, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    pub expected: f64,
    pub low: f64,
    pub high: f64,
}

/// How much past the 16 lanes of a chunk have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Samples learnt from.
    pub age: Lanes,
    /// Rows missed since the last sample.
    pub gap: Lanes,
    pub cadence_seconds: f32,
}

impl Past {
    fn new(cadence_seconds: u32) -> Self {
        Past { age: [0.0; CHUNK], gap: [0.0; CHUNK], cadence_seconds: cadence_seconds as f32 }
    }

    /// The lanes that have learnt from a sample at least.
    #[inline(always)]
    fn known(&self) -> Mask {
        let mut known = Mask::NONE;
        for lane in 0..CHUNK {
            known = known.with(lane, self.age[lane] > 0.0);
        }
        known
    }
}
