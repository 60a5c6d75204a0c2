//! A directory server: look-ups that wait for its threads, and changes that a replica gets from the master.

use rand_pcg::Pcg64;

use super::causes::HostCauses;
use super::machine::{Machine, Usage};
use super::readings::DirectoryReadings;
use super::storage::Work;
use crate::sample::Timestamp;
use crate::sim::load::{Arrivals, lognormal, normal};

const THREADS: f64 = 8.0;
const SEARCH_SECONDS: f64 = 0.0015;
/// What clients wait for at most before they give up, and what may wait.
const WAITING_MAX: f64 = 2_000.0;
/// Changes a second at the weekly peak.
const CHANGES: f64 = 0.12;

/// The state of a directory server.
#[derive(Clone, Debug)]
pub struct Directory {
    pub machine: Machine,
    pub readings: DirectoryReadings,
    /// Time of a look-up, as its clients feel it.
    pub seconds: f64,
    /// How far a replica is behind its master.
    pub behind_seconds: f64,
    waiting: f64,
    changes: Arrivals,
    random: Pcg64,
}

/// What reaches a directory server in a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub searches_per_second: f64,
    pub people: f64,
    /// The newest change of the master.
    pub master_change_seconds: f64,
    pub connections: f64,
}

impl Directory {
    pub fn new(is_master: bool, machine: Machine, random: Pcg64) -> Self {
        Directory {
            machine,
            readings: DirectoryReadings { is_master, is_up: true, ..DirectoryReadings::default() },
            seconds: SEARCH_SECONDS,
            behind_seconds: 0.0,
            waiting: 0.0,
            changes: Arrivals::default(),
            random,
        }
    }

    /// Starts slapd anew.
    pub fn restart(&mut self) {
        self.waiting = 0.0;
        let (is_master, change_seconds) = (self.readings.is_master, self.readings.change_seconds);
        self.readings = DirectoryReadings { is_master, change_seconds, ..DirectoryReadings::default() };
    }

    pub fn step(&mut self, now: Timestamp, asked: &Asked, causes: &HostCauses, seconds: f64) {
        self.readings.is_up = causes.serves();
        if causes.gone {
            return;
        }
        if !causes.serves() {
            self.machine.step(&Usage::default(), causes, seconds);
            return;
        }
        let disk = self.machine.storage.request_seconds;
        let service = (SEARCH_SECONDS / (1.0 - self.machine.busy) + 0.05 * disk) * causes.directory_slowness;
        let capacity = THREADS / service;
        let rate = asked.searches_per_second * lognormal(1.0, 0.1, &mut self.random);
        self.waiting = (self.waiting + (rate - capacity) * seconds).clamp(0.0, WAITING_MAX);
        let usage = (rate / capacity).min(0.98);
        self.seconds = (service * (1.0 + usage.powi(4) / (1.0 - usage)) + self.waiting / capacity).min(120.0);
        let served = rate.min(capacity) * seconds;
        let changed = self.replicate(now, asked, causes, seconds);
        let r = &mut self.readings;
        r.searches_total += served.round();
        r.binds_total += (0.3 * served).round();
        r.modifies_total += changed;
        r.entries_total += (1.6 * served).round();
        r.bytes_total += (2_400.0 * served).round();
        r.search_seconds = self.seconds;
        r.connections = (asked.connections + normal(1.0, &mut self.random)).max(1.0).round();
        let busy = (rate * service).min(THREADS);
        r.read_waiters = (self.waiting + busy + normal(0.3, &mut self.random)).max(0.0).round();
        r.write_waiters = (0.05 * self.waiting + normal(0.1, &mut self.random)).max(0.0).round();
        let usage = Usage {
            cpu_seconds: 0.004 * served * causes.directory_slowness.min(8.0),
            work: Work {
                reads: 0.2 * served,
                writes: 4.0 * changed,
                read_bytes: 2e3 * served,
                ..Work::default()
            },
            received_bytes: 300.0 * served,
            sent_bytes: 2_400.0 * served,
            connections_opened: 0.3 * served,
            connections: asked.connections,
            memory_bytes: 2.5e9,
            open_files: 200.0 + asked.connections,
        };
        self.machine.step(&usage, causes, seconds);
    }

    /// Makes or follows changes; gives how many.
    fn replicate(&mut self, now: Timestamp, asked: &Asked, causes: &HostCauses, seconds: f64) -> f64 {
        let clock = now.seconds() + self.machine.clock_offset_seconds;
        if self.readings.is_master {
            let changed = self.changes.draw(CHANGES * (asked.people + 0.03), seconds, &mut self.random);
            if changed > 0.0 || self.readings.change_seconds == 0.0 {
                self.readings.change_seconds = clock.floor();
            }
            return changed;
        }
        self.behind_seconds = (self.behind_seconds + (1.0 - causes.replication_pace) * seconds).max(0.0);
        if causes.replication_pace >= 1.0 {
            // It catches up many times faster than changes come.
            self.behind_seconds *= (-seconds / 20.0_f64).exp();
        }
        let before = self.readings.change_seconds;
        self.readings.change_seconds =
            (asked.master_change_seconds - self.behind_seconds).floor().max(before);
        if self.readings.change_seconds > before { 1.0 } else { 0.0 }
    }
}
