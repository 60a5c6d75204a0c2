//! What others do while a machine stands still: a service that has stopped looks like one that has nothing to do.
//!
//! A counter that no longer counts, a queue of which the collector says 0 where nobody answers it: each may be an idle hour.
//! It is none while others are busy. So the clock of such a pause is the work that passes elsewhere until anything moves on
//! the machine again, and how long pauses usually are is learnt as of any other series: on a site of one message an hour
//! they are long.
//!
//! Blind to: a service that stops where nobody else does anything. Cost: a number for each series that shows work, a
//! cleaner for each that counts it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::member::{Member, Past};
use super::{Known, New};
use crate::predict::signals::{SignalRef, SignalTable};
use crate::predict::stall::{Stall, work};
use crate::sample::{Labels, Sample, Timestamp};
use crate::series::registry::{EntityId, SeriesId};
use crate::series::tick::Arrival;

/// A pause ends where the machine has not been heard of for so long: silence is told otherwise.
const FRESH_MS: i64 = 1_800_000;

/// All machines that may stand still, and those that work meanwhile.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stalls {
    /// By the place of the signal that is told and the machine.
    machines: BTreeMap<(u16, EntityId), Machine>,
    workers: BTreeMap<SeriesId, Worker>,
    /// What was done since the last tick, by the labels of the series.
    #[serde(skip)]
    done: BTreeMap<Labels, (SeriesId, f64)>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Machine {
    /// What each series that shows work said last.
    shown: BTreeMap<SeriesId, f64>,
    heard_at: Option<Timestamp>,
    /// In this tick.
    is_heard: bool,
    has_moved: bool,
    /// What others did since it last moved.
    passed: f64,
    /// Of the series that is made; known once a tick has been.
    labels: Option<Labels>,
}

/// A series of what others do.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Worker {
    member: Member,
    signal: u16,
    entity: EntityId,
}

impl Stalls {
    /// Takes in a sample of a series that shows work or counts it.
    pub fn take(&mut self, known: &Known, meaning: SignalRef, arrival: &Arrival) {
        let entity = known.registry.entity(arrival.series);
        let mut counts = false;
        for stall in known.table.stalls() {
            counts |= stall.is_meanwhile(meaning.signal);
            if stall.shows(meaning.signal) && arrival.value.is_finite() {
                self.machines.entry((stall.signal, entity)).or_default().hear(arrival);
            }
        }
        if counts {
            self.count(known, meaning, entity, arrival);
        }
    }

    fn count(&mut self, known: &Known, meaning: SignalRef, entity: EntityId, arrival: &Arrival) {
        let Some(part) = work(known.table, meaning) else { return };
        let labels = known.registry.labels(arrival.series);
        let new = || {
            let member = Member::new(arrival.series, labels.name(), part);
            Worker { member, signal: meaning.signal, entity }
        };
        let worker = self.workers.entry(arrival.series).or_insert_with(new);
        let before = worker.member.newest().and_then(|at| worker.member.at(at));
        let sample = Sample { at: arrival.at, value: arrival.value };
        match worker.member.take(known.registry.kind(arrival.series), sample) {
            Past::Ended => drop(self.workers.remove(&arrival.series)),
            Past::Broken => {}
            Past::Holds => {
                let Some(newest) = worker.member.newest() else { return };
                worker.member.forget_before(newest);
                let done = worker.member.at(newest).zip(before).map_or(0.0, |(now, before)| now - before);
                self.done.entry(labels.clone()).or_insert((arrival.series, 0.0)).1 += done.max(0.0);
            }
        }
    }

    /// What others did since each machine last moved, for those that were heard of.
    pub fn new_values(&mut self, known: &Known, at: Timestamp) -> Vec<New> {
        let done = std::mem::take(&mut self.done);
        let workers = &self.workers;
        let mut new = Vec::new();
        for stall in known.table.stalls() {
            let of_stall = (stall.signal, EntityId(0))..=(stall.signal, EntityId(u32::MAX));
            for ((_, entity), machine) in self.machines.range_mut(of_stall) {
                let others = |worker: &&Worker| worker.is_other(stall, *entity);
                let by_others = done
                    .values()
                    .filter_map(|(series, done)| workers.get(series).filter(others).map(|_| done));
                machine.pass(at, by_others.sum());
                let is_heard = std::mem::take(&mut machine.is_heard);
                // Where nobody else is known to work there is nothing to tell it by.
                if !is_heard || !workers.values().any(|worker| others(&worker)) {
                    continue;
                }
                if machine.labels.is_none() {
                    let of = |series: &SeriesId| {
                        known.derived_labels(&stall.metric, known.registry.labels(*series))
                    };
                    machine.labels = machine.shown.keys().map(of).min();
                }
                new.extend(machine.labels.clone().map(|labels| New { labels, value: machine.passed }));
            }
        }
        new
    }

    pub fn retire(&mut self, series: SeriesId, entity: EntityId) {
        self.workers.remove(&series);
        self.machines.retain(|(_, of), machine| {
            if *of == entity {
                machine.shown.remove(&series);
            }
            !machine.shown.is_empty()
        });
    }

    /// Forgets what other packs would make nothing of, or something else.
    pub fn keep_known(&mut self, table: &SignalTable, meaning: impl Fn(SeriesId) -> Option<SignalRef>) {
        self.workers.retain(|series, worker| {
            let meant = meaning(*series).filter(|meant| meant.signal == worker.signal);
            let counts = |stall: &Stall| stall.is_meanwhile(worker.signal);
            meant.is_some_and(|meant| work(table, meant) == Some(worker.member.part()))
                && table.stalls().iter().any(counts)
        });
        self.machines.retain(|(signal, _), machine| {
            let Some(stall) = table.stalls().iter().find(|stall| stall.signal == *signal) else {
                return false;
            };
            let is_named = machine.labels.as_ref().is_none_or(|labels| labels.name() == stall.metric);
            let is_shown =
                |series: &SeriesId| meaning(*series).is_some_and(|meant| stall.shows(meant.signal));
            machine.shown.retain(|series, _| is_shown(series));
            is_named && !machine.shown.is_empty()
        });
    }
}

impl Worker {
    /// Whether it says what others do, seen from this machine.
    fn is_other(&self, stall: &Stall, machine: EntityId) -> bool {
        stall.is_meanwhile(self.signal) && !(self.entity == machine && stall.shows(self.signal))
    }
}

impl Machine {
    fn hear(&mut self, arrival: &Arrival) {
        let before = self.shown.insert(arrival.series, arrival.value);
        self.has_moved |= before != Some(arrival.value);
        self.is_heard = true;
        self.heard_at = self.heard_at.max(Some(arrival.at));
    }

    /// So much was done by others in this tick.
    fn pass(&mut self, at: Timestamp, done: f64) {
        let is_silent = self.heard_at.is_none_or(|heard| at.since(heard) > FRESH_MS);
        let has_moved = std::mem::take(&mut self.has_moved);
        self.passed = if has_moved || is_silent { 0.0 } else { self.passed + done };
    }
}

#[cfg(test)]
mod tests;
