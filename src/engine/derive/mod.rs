//! Signals that no exporter gives, made of those of others.
//!
//! Three kinds: how far a machine is *behind* the newest of its kind (`behind`), what is unaccounted for on a machine by a
//! law of conservation, or what share of it fails (`balance`), and what others do while it stands still (`stalled`). A derived series is like any other from then on: it has a course, detectors, a
//! limit. What they are made of comes in tick by tick, so no source that speaks first changes anything.

mod balance;
mod behind;
mod member;
mod stalled;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::predict::signals::{SignalRef, SignalTable};
use crate::sample::{Labels, METRIC_NAME, Timestamp};
use crate::series::registry::{EntityId, Registry, SeriesId};
use crate::series::tick::Arrival;

use balance::Balances;
use behind::Behind;
use stalled::Stalls;

/// What is remembered of the series that others are made of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Derived {
    behind: Behind,
    balances: Balances,
    stalls: Stalls,
}

/// What is known of the series that come in.
pub(super) struct Known<'e> {
    pub table: &'e SignalTable,
    pub registry: &'e Registry,
    /// Those that may name a machine.
    pub entity_labels: &'e [String],
}

/// A value of a derived series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct New {
    pub labels: Labels,
    pub value: f64,
}

impl Known<'_> {
    /// The labels of what is made of `source`: the metric, and what names the machine.
    fn derived_labels(&self, metric: &str, source: &Labels) -> Labels {
        let names_machine = |name: &str| self.entity_labels.iter().any(|label| label == name);
        let mut labels: Vec<(&str, &str)> = vec![(METRIC_NAME, metric)];
        labels.extend(source.iter().filter(|(name, _)| names_machine(name)));
        Labels::new(&labels)
    }
}

impl Derived {
    /// Takes in what arrived of one series whose signal others are made of. Those of a tick come before its
    /// `new_values`.
    pub fn take(&mut self, known: &Known, meaning: SignalRef, arrival: &Arrival) {
        self.behind.take(known, meaning, arrival);
        self.balances.take(known, meaning, arrival);
        self.stalls.take(known, meaning, arrival);
    }

    /// The values of this tick, in order of their labels.
    pub fn new_values(&mut self, known: &Known, at: Timestamp) -> Vec<New> {
        let mut new = self.behind.new_values(known, at);
        new.extend(self.balances.new_values(known, at));
        new.extend(self.stalls.new_values(known, at));
        new.sort_by(|a, b| a.labels.cmp(&b.labels));
        new
    }

    /// Forgets a series that has been silent for long.
    pub fn retire(&mut self, series: SeriesId, entity: EntityId) {
        self.behind.retire(series, entity);
        self.balances.retire(series, entity);
        self.stalls.retire(series, entity);
    }

    /// After a restart: forgets what other packs would make nothing of, or something else; `meaning` is that of a series
    /// now.
    pub fn keep_known(&mut self, table: &SignalTable, meaning: impl Fn(SeriesId) -> Option<SignalRef>) {
        self.behind.keep_known(table, &meaning);
        self.stalls.keep_known(table, &meaning);
        self.balances.keep_known(table);
    }
}
