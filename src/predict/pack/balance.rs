//! Signals of one machine that are read together: what comes has left or is still there, and what share of it fails.

use serde::{Deserialize, Serialize};

/// Units of time that a rate may be over, in seconds.
const OVER: [(&str, f64); 3] = [(" a second", 1.0), (" a minute", 60.0), (" an hour", 3600.0)];

/// Signals of one machine that add up: what comes has gone, or stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// Rates of what comes in; at least one.
    pub comes: Vec<String>,
    /// Rates of what leaves; at least one.
    pub goes: Vec<String>,
    /// How much is held, wherever it is held.
    pub stays: Vec<String>,
}

/// How much of what one machine deals with goes a way of its own, such as mail that it puts off.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Rates of that; at least one.
    pub part: Vec<String>,
    /// Rates of all else; at least one.
    pub rest: Vec<String>,
}

/// How much others did since one machine last did anything: a service that has stopped looks like one with nothing to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Stalled {
    /// What moves where the machine works; at least one.
    pub shows: Vec<String>,
    /// Rates of what keeps others busy, and would it; at least one.
    pub meanwhile: Vec<String>,
}

/// The place of a signal in a law or in a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    Comes,
    Goes,
    Stays,
    Part,
    Rest,
}

impl Side {
    /// Whether it is of what passes, and not of what is there.
    pub fn is_passing(self) -> bool {
        self != Side::Stays
    }
}

impl Balance {
    /// All signals of the law, each with its side.
    pub fn parts(&self) -> impl Iterator<Item = (Side, &str)> {
        of_side(Side::Comes, &self.comes)
            .chain(of_side(Side::Goes, &self.goes))
            .chain(of_side(Side::Stays, &self.stays))
    }
}

impl Share {
    /// All signals of the share, each with its side.
    pub fn parts(&self) -> impl Iterator<Item = (Side, &str)> {
        of_side(Side::Part, &self.part).chain(of_side(Side::Rest, &self.rest))
    }
}

fn of_side(side: Side, names: &[String]) -> impl Iterator<Item = (Side, &str)> {
    names.iter().map(move |name| (side, name.as_str()))
}

/// What a rate is a rate of, and the seconds that it is over: `messages a minute` is of `messages`, over 60.
/// `None` for the unit of something that is there, such as `messages`.
pub fn rate(unit: &str) -> Option<(&str, f64)> {
    OVER.into_iter().find_map(|(over, seconds)| Some((unit.strip_suffix(over)?, seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_by_its_unit() {
        assert_eq!(rate("messages a second"), Some(("messages", 1.0)));
        assert_eq!(rate("messages a minute"), Some(("messages", 60.0)));
        assert_eq!(rate("kills an hour"), Some(("kills", 3600.0)));
        assert_eq!([rate("messages"), rate("s since 1970"), rate("%")], [None; 3]);
    }
}
