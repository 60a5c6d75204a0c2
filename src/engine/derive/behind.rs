//! How far a machine is behind the newest of its kind, such as a replica of a directory behind its master.
//!
//! Each machine's own value only grows, as busily as the day is, and says nothing alone; the distance is what is usual or
//! not.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Known, New};
use crate::sample::{Labels, Sample, Timestamp};
use crate::series::registry::EntityId;
use crate::series::tick::Arrival;

/// A value older than this says nothing of now.
const FRESH_MS: i64 = 600_000;
/// What another machine got within this may be on its way.
const ALLOWED_MS: i64 = 60_000;

/// The newest values of what is compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Behind {
    /// By signal and machine, and the labels of the series that is made of it.
    values: BTreeMap<(u16, EntityId), Value>,
    /// What the newest of each signal has been, by time: machines are not read at the same instant.
    newest: BTreeMap<u16, VecDeque<(Timestamp, f64)>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Value {
    sample: Sample,
    labels: Labels,
}

impl Behind {
    /// Takes note of a value of a signal that others are compared by.
    pub fn take(&mut self, known: &Known, signal: u16, arrival: &Arrival) {
        let Some(metric) = known.table.derived_from(signal) else { return };
        let sample = Sample { at: arrival.at, value: arrival.value };
        if !sample.value.is_finite() {
            return;
        }
        let entity = known.registry.entity(arrival.series);
        let value = self.values.entry((signal, entity)).or_insert_with(|| {
            let labels = known.derived_labels(metric, known.registry.labels(arrival.series));
            Value { sample, labels }
        });
        // Of several series of one machine the furthest counts.
        let is_newer = sample.at > value.sample.at;
        if is_newer || sample.value > value.sample.value {
            value.sample = sample;
        }
    }

    /// How far each machine is behind, where there are others to compare it with.
    pub fn new_values(&mut self, at: Timestamp) -> Vec<New> {
        let is_fresh = |value: &&Value| at.since(value.sample.at) <= FRESH_MS;
        let mut newest: BTreeMap<u16, (f64, usize)> = BTreeMap::new();
        for ((signal, _), value) in self.values.iter().filter(|(_, value)| is_fresh(value)) {
            let (most, count) = newest.entry(*signal).or_insert((f64::NEG_INFINITY, 0));
            *most = most.max(value.sample.value);
            *count += 1;
        }
        for (signal, (most, _)) in &newest {
            let past = self.newest.entry(*signal).or_default();
            past.push_back((at, *most));
            while past.len() > 1 && past.get(1).is_some_and(|(then, _)| at.since(*then) >= ALLOWED_MS) {
                past.pop_front();
            }
        }
        let fresh = self.values.iter().filter(|(_, value)| is_fresh(value));
        let behind = fresh.filter_map(|((signal, _), value)| {
            newest.get(signal).filter(|(_, count)| *count > 1)?;
            let (_, most) = self.newest.get(signal)?.front()?;
            Some(New { labels: value.labels.clone(), value: (most - value.sample.value).max(0.0) })
        });
        behind.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far a replica is behind, when it holds what the master had so many seconds ago.
    fn behind(seconds: i64) -> Vec<f64> {
        let mut derived = Behind::default();
        let mut told = Vec::new();
        for second in (0..600).step_by(15) {
            let at = Timestamp(second * 1000);
            for (machine, value) in [(0, second), (1, second - seconds)] {
                let sample = Sample { at, value: value as f64 };
                let labels = Labels::new(&[("host", if machine == 0 { "a" } else { "b" })]);
                derived.values.insert((0, EntityId(machine)), Value { sample, labels });
            }
            told = derived.new_values(at).iter().map(|new| new.value).collect();
        }
        told
    }

    #[test]
    fn what_may_be_on_its_way_is_not_behind_and_the_rest_is() {
        assert_eq!(behind(30), [0.0, 0.0]);
        assert_eq!(behind(300), [0.0, 240.0]);
    }

    #[test]
    fn a_machine_without_another_is_not_compared() {
        let mut derived = Behind::default();
        let sample = Sample { at: Timestamp(0), value: 7.0 };
        derived.values.insert((0, EntityId(0)), Value { sample, labels: Labels::new(&[("host", "a")]) });
        assert!(derived.new_values(Timestamp(15_000)).is_empty());
    }
}
