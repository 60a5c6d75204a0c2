//! What is `stalled`, with its signals found: which series show that a machine works, and which that others do.

use std::collections::BTreeSet;

use super::law::Part;
use super::pack::{Side, Signal, derived_name, rate};
use super::signals::{SignalRef, SignalTable};

/// How much others did since one machine last did anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Stall {
    /// The place of the signal that tells it, and the metric of its series.
    pub signal: u16,
    pub metric: String,
    shows: BTreeSet<u16>,
    meanwhile: BTreeSet<u16>,
}

impl Stall {
    /// That of a signal that has one; of the signals by which it is told those that are known.
    pub(super) fn new(place: u16, signal: &Signal, find: impl Fn(&str) -> Option<u16>) -> Option<Stall> {
        let stalled = signal.stalled.as_ref()?;
        let places = |names: &[String]| names.iter().filter_map(|name| find(name)).collect();
        let (shows, meanwhile) = (places(&stalled.shows), places(&stalled.meanwhile));
        Some(Stall { signal: place, metric: derived_name(&signal.name), shows, meanwhile })
    }

    /// Whether a signal moves where a machine works.
    pub fn shows(&self, signal: u16) -> bool {
        self.shows.contains(&signal)
    }

    /// Whether a signal is of what keeps others busy.
    pub fn is_meanwhile(&self, signal: u16) -> bool {
        self.meanwhile.contains(&signal)
    }
}

/// How a series of this meaning tells how much is done; `None` where it is no rate.
pub fn work(table: &SignalTable, meaning: SignalRef) -> Option<Part> {
    rate(table.unit(meaning))?;
    let (_, seconds) = rate(&table.signal(meaning).unit)?;
    Some(Part { side: Side::Rest, times: table.exported(meaning).times / seconds })
}
