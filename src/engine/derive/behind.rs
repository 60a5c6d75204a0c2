//! How far a machine is behind the newest of its kind, such as a replica of a directory behind its master.
//!
//! Each machine's own value only grows, as busily as the day is, and says nothing alone; the distance is what is usual or
//! not.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Known, New};
use crate::predict::signals::{SignalRef, SignalTable};
use crate::sample::{Labels, Sample, Timestamp};
use crate::series::registry::{EntityId, SeriesId};
use crate::series::tick::Arrival;

/// A value older than this says nothing of now.
const FRESH_MS: i64 = 600_000;
/// What another machine got within this may be on its way.
const ALLOWED_MS: i64 = 60_000;

/// The newest values of what is compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Behind {
    /// By signal and machine.
    machines: BTreeMap<(u16, EntityId), Machine>,
    /// What the newest of each signal has been, by time: machines are not read at the same instant.
    newest: BTreeMap<u16, VecDeque<(Timestamp, f64)>>,
}

/// One signal on one machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Machine {
    /// In the signal's unit.
    values: BTreeMap<SeriesId, Sample>,
    /// Of the series that is made; known once a tick has been.
    labels: Option<Labels>,
    /// Of the value that was compared last: what is not heard of gets no older for that.
    compared_at: Option<Timestamp>,
}

impl Behind {
    /// Takes note of a value of a signal that others are compared by.
    pub fn take(&mut self, known: &Known, meaning: SignalRef, arrival: &Arrival) {
        if known.table.derived_from(meaning.signal).is_none() {
            return;
        }
        let sample = Sample { at: arrival.at, value: arrival.value * known.table.exported(meaning).times };
        if sample.value.is_finite() {
            let entity = known.registry.entity(arrival.series);
            let machine = self.machines.entry((meaning.signal, entity)).or_default();
            machine.values.insert(arrival.series, sample);
        }
    }

    /// How far each machine is behind, where there are others to compare it with.
    pub fn new_values(&mut self, known: &Known, at: Timestamp) -> Vec<New> {
        let mut newest: BTreeMap<u16, (f64, usize)> = BTreeMap::new();
        for ((signal, _), machine) in &self.machines {
            let Some(Sample { value, .. }) = machine.furthest(at) else { continue };
            let (most, count) = newest.entry(*signal).or_insert((f64::NEG_INFINITY, 0));
            *most = most.max(value);
            *count += 1;
        }
        for (signal, (most, _)) in &newest {
            let past = self.newest.entry(*signal).or_default();
            past.push_back((at, *most));
            while past.len() > 1 && past.get(1).is_some_and(|(then, _)| at.since(*then) >= ALLOWED_MS) {
                past.pop_front();
            }
        }
        let behind = self.machines.iter_mut().filter_map(|((signal, _), machine)| {
            let Sample { at, value } = machine.furthest(at)?;
            if machine.compared_at.replace(at) == Some(at) {
                return None;
            }
            let Machine { values, labels, .. } = machine;
            if labels.is_none() {
                let metric = known.table.derived_from(*signal)?;
                let of = |series: &SeriesId| known.derived_labels(metric, known.registry.labels(*series));
                *labels = values.keys().map(of).min();
            }
            newest.get(signal).filter(|(_, count)| *count > 1)?;
            let (_, most) = self.newest.get(signal)?.front()?;
            Some(New { labels: labels.clone()?, value: (most - value).max(0.0) })
        });
        behind.collect()
    }

    pub fn retire(&mut self, series: SeriesId, entity: EntityId) {
        self.machines.retain(|(_, of), machine| {
            if *of == entity {
                machine.values.remove(&series);
            }
            !machine.values.is_empty()
        });
    }

    /// Forgets what other packs would make nothing of, or something else.
    pub fn keep_known(&mut self, table: &SignalTable, meaning: impl Fn(SeriesId) -> Option<SignalRef>) {
        self.machines.retain(|(signal, _), machine| {
            let metric = table.derived_from(*signal);
            let is_named = machine.labels.as_ref().is_none_or(|labels| Some(labels.name()) == metric);
            let is_meant = |series: &SeriesId| meaning(*series).is_some_and(|meant| meant.signal == *signal);
            is_named && machine.values.keys().all(is_meant)
        });
        let machines = &self.machines;
        self.newest.retain(|signal, _| machines.keys().any(|(of, _)| of == signal));
    }
}

impl Machine {
    /// Of several series of one machine the furthest counts, of those that say something of now.
    fn furthest(&self, at: Timestamp) -> Option<Sample> {
        let fresh = self.values.values().filter(|sample| at.since(sample.at) <= FRESH_MS);
        fresh.max_by(|a, b| a.value.total_cmp(&b.value).then(a.at.cmp(&b.at))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::pack::Pack;
    use crate::sample::ValueKind;
    use crate::series::registry::{Registry, RegistryLimits};

    const PACK: &str = r#"
name: shop
signals:
  - { name: change, reads: newest change, unit: s since 1970, role: shop, hurts: down, from: [change, { select: change_ms, times: 0.001 }] }
  - { name: late, reads: behind, unit: s, role: shop, hurts: up, behind: change }
"#;

    /// Host, series, metric, and value by second.
    type Shown<'n> = (&'n str, &'n str, &'n str, &'n dyn Fn(i64) -> f64);

    /// What is told last, by machine, where machines show these values.
    fn told(shown: &[Shown]) -> Vec<(String, f64)> {
        let table = SignalTable::new(&[Pack::from_yaml(PACK).unwrap()]);
        let limits = RegistryLimits { series_max: 100, labels_max: 9, label_bytes_max: 99 };
        let mut registry = Registry::new(limits, vec!["host".into()]);
        let mut derived = Behind::default();
        let mut told = Vec::new();
        for second in (0..600).step_by(15) {
            let mut arrivals = Vec::new();
            for (host, series, metric, value) in shown {
                let labels = Labels::new(&[("__name__", metric), ("host", host), ("series", series)]);
                let id = registry.resolve(labels.key()).unwrap();
                registry.declare(id, ValueKind::Gauge);
                // Each is read at another second.
                let at = Timestamp((second + i64::from(series.len() as u32)) * 1000);
                arrivals.push(Arrival { series: id, at, value: value(second) });
            }
            let known = Known { table: &table, registry: &registry, entity_labels: &["host".into()] };
            for arrival in &arrivals {
                derived.take(&known, table.resolve(registry.labels(arrival.series)).unwrap(), arrival);
            }
            let new = derived.new_values(&known, Timestamp((second + 10) * 1000));
            told = new.iter().map(|n| (n.labels.get("host").unwrap().to_owned(), n.value)).collect();
        }
        told
    }

    fn newest(second: i64) -> f64 {
        second as f64
    }

    #[test]
    fn what_may_be_on_its_way_is_not_behind_and_the_rest_is() {
        let late = |seconds: f64| {
            let told = told(&[("a", "", "change", &newest), ("b", "", "change", &|s| s as f64 - seconds)]);
            told.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(late(30.0), [0.0, 0.0]);
        assert_eq!(late(300.0), [0.0, 240.0]);
    }

    #[test]
    fn a_machine_without_another_is_not_compared() {
        assert!(told(&[("a", "", "change", &newest), ("a", "two", "change", &newest)]).is_empty());
    }

    #[test]
    fn of_several_series_the_furthest_counts_whichever_is_read_last() {
        for (still, moving) in [("first", "a"), ("a", "second")] {
            for order in [[0, 1], [1, 0]] {
                let own: [Shown; 2] = [("b", moving, "change", &newest), ("b", still, "change", &|_| 7.0)];
                let shown =
                    [("a", "", "change", &newest as &dyn Fn(i64) -> f64), own[order[0]], own[order[1]]];
                assert_eq!(told(&shown), [("a".to_owned(), 0.0), ("b".to_owned(), 0.0)], "{still} {order:?}");
            }
        }
    }

    #[test]
    fn a_machine_that_is_not_heard_falls_no_further_behind() {
        let away = |s: i64| if s < 300 { s as f64 } else { f64::NAN };
        let told = told(&[("a", "", "change", &newest), ("b", "", "change", &away)]);
        assert_eq!(told, [("a".to_owned(), 0.0)]);
    }

    #[test]
    fn sources_in_other_units_are_compared_in_that_of_the_signal() {
        let shown: [Shown; 2] =
            [("a", "", "change", &newest), ("b", "", "change_ms", &|s| 1000.0 * (s as f64 - 90.0))];
        assert_eq!(told(&shown)[1].1, 30.0);
    }
}
