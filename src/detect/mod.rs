//! How odd is this value, given the past of its own series? Every detector answers in one currency, the surprise.
//!
//! A surprise is -log10 of the probability of something at least as odd: 3 is one in a thousand.
//! `derivative`, `seasonal` and later detectors give a raw statistic a lane; `calibrate` turns each into
//! a surprise and fuses them; `univariate` holds all of a block's; `multivariate` watches how the signals
//! of one entity move together.

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;

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
