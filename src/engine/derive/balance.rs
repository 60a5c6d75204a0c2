//! What is unaccounted for: what came to a machine, less what has left it and what it holds more than before. And what
//! share of that which passes is of one kind.
//!
//! Counters only ever tell what came or went between two looks, and nobody looks at everything at once. So the law is
//! drawn up at instants that all its parts have reached, and two of them a quarter of an hour apart are compared: what is
//! under way at a scrape is little against what passes in between. A share is of five minutes, or of as many more up to
//! half an hour as it takes for twenty to pass: of three one is a third, and says nothing. Where anything breaks that span - a counter that began
//! anew, a part that is missing, a series that came or went - there is no value until a new one is full.
//!
//! Blind to: as much that comes uncounted as is lost. Cost: a point for each quarter of a minute and series.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::member::{Member, Past, put};
use super::{Known, New};
use crate::predict::law::{Law, Tells};
use crate::predict::pack::Side;
use crate::predict::signals::{SignalRef, SignalTable};
use crate::sample::{Labels, Sample, Timestamp};
use crate::series::registry::{EntityId, SeriesId};
use crate::series::tick::Arrival;

/// What is compared lies at least so far apart.
const WINDOW_MS: i64 = 900_000;
const SHARE_WINDOW_MS: i64 = 300_000;
/// And at most so far.
const WINDOW_MS_MAX: i64 = 2 * WINDOW_MS;
/// A share is one of so many at least.
const FEWEST: f64 = 20.0;

/// What has passed since some instant before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    /// What had come and was neither gone nor held; of a share its part.
    told: f64,
    /// Of a share, that of which it is one.
    whole: f64,
}

/// All laws on all machines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Balances {
    /// By the law's signal and the machine.
    machines: BTreeMap<(u16, EntityId), Machine>,
}

/// One law on one machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Machine {
    /// In order of signal, form and labels, so that sums don't depend on who spoke first.
    members: BTreeMap<(SignalRef, Labels), Member>,
    /// Those that were counted last.
    counted: Vec<SeriesId>,
    /// By instant: the difference of two is what happened in between.
    sums: VecDeque<(Timestamp, Sums)>,
    /// Of the series that is made; known once there is a value.
    labels: Option<Labels>,
}

impl Balances {
    /// Takes in a sample of a series of some law.
    pub fn take(&mut self, known: &Known, meaning: SignalRef, arrival: &Arrival) {
        let entity = known.registry.entity(arrival.series);
        for law in known.table.laws() {
            let Some(part) = law.part(known.table, meaning) else { continue };
            let machine = self.machines.entry((law.signal, entity)).or_default();
            let labels = known.registry.labels(arrival.series);
            let key = (meaning, labels.clone());
            let new = || Member::new(arrival.series, labels.name(), part);
            let member = machine.members.entry(key.clone()).or_insert_with(new);
            let sample = Sample { at: arrival.at, value: arrival.value };
            match member.take(known.registry.kind(arrival.series), sample) {
                Past::Broken if machine.counted.contains(&arrival.series) => machine.sums.clear(),
                Past::Holds | Past::Broken => {}
                Past::Ended => drop(machine.members.remove(&key)),
            }
        }
    }

    /// What is unaccounted for on each machine of which that is newly known.
    pub fn new_values(&mut self, known: &Known, at: Timestamp) -> Vec<New> {
        let mut new = Vec::new();
        for law in known.table.laws() {
            let of_law = (law.signal, EntityId(0))..=(law.signal, EntityId(u32::MAX));
            for (_, machine) in self.machines.range_mut(of_law) {
                let Some(value) = machine.value(law, at) else { continue };
                let Some(((_, source), _)) = machine.members.first_key_value() else { continue };
                let labels = machine.labels.get_or_insert_with(|| known.derived_labels(&law.metric, source));
                new.push(New { labels: labels.clone(), value });
            }
        }
        new
    }

    pub fn retire(&mut self, series: SeriesId, entity: EntityId) {
        self.machines.retain(|(_, of), machine| {
            if *of == entity {
                machine.members.retain(|_, member| member.series() != series);
            }
            !machine.members.is_empty()
        });
    }

    /// Forgets laws that are others by these packs, or whose series have another meaning.
    pub fn keep_known(&mut self, table: &SignalTable) {
        self.machines.retain(|(signal, _), machine| {
            let Some(law) = table.laws().iter().find(|law| law.signal == *signal) else { return false };
            let is_named = machine.labels.as_ref().is_none_or(|labels| labels.name() == law.metric);
            let mut members = machine.members.iter();
            is_named
                && members.all(|((meaning, labels), member)| {
                    table.resolve(labels) == Some(*meaning)
                        && law.part(table, *meaning).is_some_and(|part| part == member.part())
                })
        });
    }
}

impl Machine {
    /// What the law tells as of the newest instant that all parts have reached; `None` where nothing is known since.
    fn value(&mut self, law: &Law, at: Timestamp) -> Option<f64> {
        let counted: Vec<_> = self.counted(at);
        let signals: BTreeSet<u16> = counted.iter().map(|(signal, _)| *signal).collect();
        if !law.signals().all(|signal| signals.contains(&signal)) {
            return None;
        }
        let end = counted.iter().filter_map(|(_, member)| member.newest()).min()?;
        let sums = sums_at(law, &counted, end);
        let ids: Vec<SeriesId> = counted.iter().map(|(_, member)| member.series()).collect();
        if ids != self.counted {
            self.sums.clear();
            self.counted = ids;
        }
        let sums = sums?;
        if self.sums.back().is_some_and(|(last, _)| *last >= end) {
            return None;
        }
        for member in self.members.values_mut() {
            member.forget_before(end);
        }
        put(&mut self.sums, (end, sums));
        let told = |(start, before): (Timestamp, Sums)| told(law.tells, end.since(start), before, sums);
        while self.sums.get(1).is_some_and(|second| told(*second).is_some()) {
            self.sums.pop_front();
        }
        while self.sums.front().is_some_and(|(start, _)| end.since(*start) > WINDOW_MS_MAX) {
            self.sums.pop_front();
        }
        told(*self.sums.front()?).filter(|value| value.is_finite())
    }

    /// The series that count now: of each signal those of the first form that the machine has, without the silent ones and
    /// those that never said a number.
    fn counted(&self, at: Timestamp) -> Vec<(u16, &Member)> {
        let mut forms: BTreeMap<u16, SignalRef> = BTreeMap::new();
        for ((meaning, _), _) in self.members.iter().filter(|(_, member)| member.newest().is_some()) {
            forms.entry(meaning.signal).or_insert(*meaning);
        }
        let of_form =
            self.members.iter().filter(|((meaning, _), _)| forms.get(&meaning.signal) == Some(meaning));
        of_form
            .filter(|(_, member)| member.newest().is_some() && !member.is_silent(at))
            .map(|((meaning, _), member)| (meaning.signal, member))
            .collect()
    }
}

/// What two instants tell that lie so far apart; `None` where that is too near or too far, or too little passed.
fn told(tells: Tells, span_ms: i64, before: Sums, now: Sums) -> Option<f64> {
    let (told, whole) = (now.told - before.told, now.whole - before.whole);
    let (window_ms, value) = match tells {
        Tells::Unaccounted { over_seconds } => {
            (WINDOW_MS, Some(told.abs() * over_seconds * 1000.0 / span_ms as f64))
        }
        Tells::Percent => {
            (SHARE_WINDOW_MS, (whole >= FEWEST).then(|| (100.0 * told / whole).clamp(0.0, 100.0)))
        }
    };
    value.filter(|_| (window_ms..=WINDOW_MS_MAX).contains(&span_ms))
}

/// The sums of an instant, where all that counts is known of it.
fn sums_at(law: &Law, counted: &[(u16, &Member)], at: Timestamp) -> Option<Sums> {
    counted.iter().try_fold(Sums::default(), |Sums { told, whole }, (signal, member)| {
        let value = member.at(at)?;
        Some(match law.side(*signal)? {
            Side::Comes => Sums { told: told + value, whole },
            Side::Goes | Side::Stays => Sums { told: told - value, whole },
            Side::Part => Sums { told: told + value, whole: whole + value },
            Side::Rest => Sums { told, whole: whole + value },
        })
    })
}

#[cfg(test)]
mod tests;
