//! The bounds of the outbox: so many notices and, apart from them, so many remedies for each sink.
//!
//! A receiver that is away fills its own part and nobody else's, and what it does not hear of incidents never
//! takes the place of a cure.

use std::collections::BTreeMap;

/// A part of the outbox with a bound of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    pub sink: String,
    pub remedies: bool,
}

impl Part {
    pub fn new(sink: &str, remedies: bool) -> Self {
        Part { sink: sink.into(), remedies }
    }

    /// What its records are called in metrics.
    pub fn what(&self) -> &'static str {
        if self.remedies { "remedy" } else { "notice" }
    }
}

/// How many more records each part takes.
#[derive(Clone, Debug)]
pub struct Room {
    records_max: usize,
    used: BTreeMap<Part, usize>,
}

impl Room {
    /// What is left of `records_max` records a part, with so many there.
    pub fn new(records_max: usize, used: BTreeMap<Part, usize>) -> Self {
        Room { records_max, used }
    }

    /// Where nothing is ever sent, nothing waits.
    pub fn without_bound() -> Self {
        Room::new(usize::MAX, BTreeMap::new())
    }

    pub fn has(&self, part: &Part) -> bool {
        self.used.get(part).is_none_or(|used| *used < self.records_max)
    }

    /// Takes the place of one record, if there is one.
    pub fn take(&mut self, part: Part) -> bool {
        let is_free = self.has(&part);
        if is_free {
            *self.used.entry(part).or_default() += 1;
        }
        is_free
    }
}
