//! A pack: what the signals of one kind of system mean, how its faults show, which remedy fits or is forbidden.
//!
//! Packs are the YAML files of `models/`; `read` is their schema and finds every problem in one. Domain
//! knowledge lives there, not in code: a new kind of system to watch is one more file.

mod balance;
mod builtin;
mod needs;
mod read;
mod selector;

pub use balance::{Balance, Share, Side, Stalled, rate};
pub use builtin::{BUILTIN_NAMES, builtin, builtins};
pub use needs::with_needed;
pub use selector::{Selector, SelectorError, vector};

use crate::sample::ValueKind;

/// The role of machines in general: any has it, and sharing it links nothing.
pub const ANY_MACHINE: &str = "host";

/// The unit of shares.
pub const PERCENT: &str = "%";

/// One file of `models/`, checked: every name that a part of it refers to exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    pub name: String,
    /// Packs of ours that this one builds on, and through them those that they build on.
    pub needs: Vec<String>,
    pub roles: Vec<Role>,
    pub remedies: Vec<Remedy>,
    pub signals: Vec<Signal>,
    pub faults: Vec<Fault>,
    pub extends: Vec<Extension>,
    pub levels: Vec<Level>,
}

/// How good a service has to be for its users to be content.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    pub name: String,
    pub about: String,
    /// How long it may take, where the operator promised nothing else. `None` where it is a share, in percent: what is
    /// usual of that differs too much between sites, so there is none until it is promised.
    pub seconds: Option<f64>,
}

/// A kind of machine or service. A machine has the roles of the signals that it is seen to have.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    pub name: String,
    pub about: String,
    /// Roles that it cannot do its work without: their faults show in it.
    pub depends: Vec<String>,
}

/// Something that can be done, and what a person should know before it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Remedy {
    /// Slug, as in `remedy` of an event.
    pub name: String,
    pub about: String,
    pub approval: Approval,
    /// The kind of machine it is done to; `None` where the fault shows.
    pub role: Option<String>,
    /// Signals that must be back in their band before it counts as having worked.
    pub verify: Vec<String>,
    /// Signals that it drives the wrong way while it works.
    pub worsens: Vec<String>,
}

/// Whether a person must say yes, whatever mode acting is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    Required,
    #[default]
    None,
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
    /// Where this signal is measured on the same machine it tells the limit better, and nobody is told of this one alone.
    pub unless: Option<String>,
    /// What it climbs it climbs by the load that this signal of the same machine is: slower by night than by day.
    pub grows_with: Option<String>,
    /// It gets to its limit no faster than what flows in, and never by a jump: at the pace of the last minutes it is known when it
    /// is not there yet.
    pub fills: bool,
    /// Nearer to nothing than this it is as good as there, and no sign of anything.
    pub least: f64,
    /// How long before the limit a person wants to know, though nothing else moves.
    pub notice_seconds: f64,
    pub from: Vec<Exported>,
    /// It is how far a machine is behind the newest of this signal on all machines.
    pub behind: Option<String>,
    /// It is how much this law leaves unaccounted for, on each machine that has all its parts.
    pub balance: Option<Balance>,
    /// It is this share, in percent, on each machine that has all its parts.
    pub share: Option<Share>,
    /// It is what others did since the machine last did anything.
    pub stalled: Option<Stalled>,
}

impl Signal {
    /// Whether its series are made here, of those of other signals.
    pub fn is_derived(&self) -> bool {
        self.behind.is_some() || self.balance.is_some() || self.share.is_some() || self.stalled.is_some()
    }

    /// The signals of one machine that it is made of, each with its side.
    pub fn parts(&self) -> Vec<(Side, &str)> {
        let balance = self.balance.iter().flat_map(Balance::parts);
        balance.chain(self.share.iter().flat_map(Share::parts)).collect()
    }
}

/// The metric name of the series that are made for a derived signal.
pub fn derived_name(signal: &str) -> String {
    format!("foreshock_{signal}")
}

/// Which way is away from normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Up,
    Down,
    /// From nothing, to either side.
    Away,
}

impl Direction {
    /// The way that hurts, of what is at `value`.
    pub fn movement(self, value: f64) -> Movement {
        match self {
            Direction::Up => Movement::Up,
            Direction::Away if value >= 0.0 => Movement::Up,
            Direction::Down | Direction::Away => Movement::Down,
        }
    }

    /// How far along the way that hurts a value lies.
    pub fn height(self, value: f64) -> f64 {
        match self {
            Direction::Up => value,
            Direction::Down => -value,
            Direction::Away => value.abs(),
        }
    }
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
    /// What users feel when it hurts; `{delivery}` stands for the value of that level.
    pub users: String,
    pub urgency: Urgency,
    pub lead: Lead,
    /// From its first sign until users feel it, the shortest and the longest in eight cases of ten; where no signal is on
    /// its way to a limit, this is what is foretold.
    pub lead_seconds: Option<(f64, f64)>,
    /// How often it is the cause, against the other faults; 1 is usual.
    pub prior: f64,
    /// How surely a service of its machine starts anew as it begins.
    pub restart: f64,
    /// By then it is over by itself.
    pub passes_seconds: Option<f64>,
    /// In the order in which it shows.
    pub evidence: Vec<Evidence>,
    /// Users feel it once any of these is reached.
    pub impact: Vec<Impact>,
    /// Best first.
    pub remedies: Vec<String>,
    /// What would make it worse.
    pub forbidden: Vec<String>,
}

/// How bad the end of a fault is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Worth waking someone for.
    #[default]
    Page,
    /// Can wait for the day.
    Ticket,
}

/// How long a fault shows before users feel it, by its nature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lead {
    /// It is felt at once: there is nothing to foresee.
    None,
    #[default]
    Minutes,
    Hours,
    Days,
}

/// A fault of a pack that is built on, as it shows in this one too.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    pub fault: String,
    /// Signs that come before all that the fault has.
    pub early: Vec<Evidence>,
    /// Signs that come after them.
    pub evidence: Vec<Evidence>,
    pub impact: Vec<Impact>,
    /// In place of the fault's own, where there are any.
    pub remedies: Vec<String>,
    pub forbidden: Vec<String>,
}

/// One sign of a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub signal: String,
    /// The kind of machine on which it counts; `None` is any.
    pub role: Option<String>,
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

/// A value of a signal at which users feel a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    pub signal: String,
    /// In the signal's unit; `None` is the signal's own limit.
    pub reaches: Option<f64>,
    /// In place of `reaches`: the seconds of this level, or its percent.
    pub level: Option<String>,
    /// `reaches` is so many times what is usual of this signal at the hour: a queue is as late as what it usually gives
    /// away needs for it (Little 1961).
    pub times_usual: Option<String>,
    /// Says nothing where this signal is measured, which says it better.
    pub unless: Option<String>,
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

impl Extension {
    /// Adds what it knows to the fault that it is of.
    pub fn apply(&self, fault: &mut Fault) {
        fault.evidence.splice(0..0, self.early.iter().cloned());
        fault.evidence.extend(self.evidence.iter().cloned());
        fault.impact.extend(self.impact.iter().cloned());
        fault.forbidden.extend(self.forbidden.iter().cloned());
        if !self.remedies.is_empty() {
            fault.remedies.clone_from(&self.remedies);
        }
        let Fault { remedies, forbidden, .. } = fault;
        remedies.retain(|remedy| !forbidden.contains(remedy));
    }
}

impl Pack {
    /// Reads a pack, or says everything that is wrong with it.
    pub fn from_yaml(text: &str) -> Result<Pack, Vec<PackError>> {
        read::pack(text)
    }
}
