//! A pack: what the signals of one kind of system mean, how its faults show, which remedy fits or is forbidden.
//!
//! Packs are the YAML files of `models/`; `read` is their schema and finds every problem in one. Domain
//! knowledge lives there, not in code: a new kind of system to watch is one more file.

mod builtin;
mod read;
mod selector;

pub use builtin::{BUILTIN_NAMES, builtin};
pub use selector::{Selector, SelectorError, vector};

use crate::sample::ValueKind;

/// One file of `models/`, checked: every name that a part of it refers to exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    pub name: String,
    /// Packs of ours that this one builds on.
    pub needs: Vec<String>,
    pub remedies: Vec<Remedy>,
    pub signals: Vec<Signal>,
    pub faults: Vec<Fault>,
}

/// Something that can be done, and what a person should know before it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Remedy {
    /// Slug, as in `remedy` of an event.
    pub name: String,
    pub about: String,
}

/// One thing worth measuring, under whatever names the exporters give it.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Canonical name, unique over all packs.
    pub name: String,
    /// The words for it in a sentence: `active queue`.
    pub reads: String,
    /// Unit of `limit` and, unless the exporter has its own, of the series.
    pub unit: String,
    /// What kind of machine has it; entities of one role break together.
    pub role: String,
    /// The way in which it hurts.
    pub hurts: Direction,
    pub limit: Option<Limit>,
    /// How long before the limit a person wants to know, though nothing else moves.
    pub notice_seconds: f64,
    pub from: Vec<Exported>,
}

/// Which way is away from normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Up,
    Down,
}

/// Where a signal hurts for certain.
#[derive(Clone, Debug, PartialEq)]
pub enum Limit {
    /// At this value, in the signal's unit.
    Value(f64),
    /// At this share of another signal of the same entity.
    Share { of: String, share: f64 },
    /// The value is itself the moment, in seconds since 1970: a certificate's end.
    Due,
}

/// How one exporter gives a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    pub select: Selector,
    /// The series' own unit, where it isn't the signal's.
    pub unit: Option<String>,
    /// A value times this is in the signal's unit.
    pub times: f64,
    /// What the series is, where its name or its TYPE line lies.
    pub kind: Option<ValueKind>,
}

/// A failure that is known, and how it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Slug, as in `fault` of an event.
    pub name: String,
    /// What users feel when it hurts.
    pub users: String,
    /// How often it is the cause, against the other faults; 1 is usual.
    pub prior: f64,
    /// In the order in which it shows.
    pub evidence: Vec<Evidence>,
    /// Users feel it once any of these is reached.
    pub impact: Vec<Impact>,
    /// Best first.
    pub remedies: Vec<String>,
    /// What would make it worse.
    pub forbidden: Vec<String>,
}

/// One sign of a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub signal: String,
    pub moves: Movement,
    /// How probable the sign is when this fault is the cause, in (0, 1).
    pub sure: f64,
}

/// What a signal did when it left its usual course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Movement {
    Up,
    Down,
    /// It said nothing where something was due.
    Silent,
}

impl From<Direction> for Movement {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Up => Movement::Up,
            Direction::Down => Movement::Down,
        }
    }
}

/// A value of a signal at which users feel a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    pub signal: String,
    /// In the signal's unit; `None` is the signal's own limit.
    pub reaches: Option<f64>,
}

/// One thing wrong in a pack's file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {what}; {mend}")]
pub struct PackError {
    pub line: u64,
    pub column: u64,
    pub what: String,
    pub mend: String,
}

impl Pack {
    /// Reads a pack, or says everything that is wrong with it.
    pub fn from_yaml(text: &str) -> Result<Pack, Vec<PackError>> {
        read::pack(text)
    }
}
