//! The signal by which each fault of the simulated cluster reaches a hard limit, and what an hour is expected to be.

use std::collections::BTreeMap;

use crate::predict::pack::Direction;
use crate::sample::Timestamp;
use crate::sim::cluster::Fault;
use crate::sim::cluster::readings::{HostReadings, ServiceReadings, Statistics};

/// A signal with a limit.
#[derive(Clone, Copy)]
pub struct Watched {
    read: fn(&HostReadings, Timestamp) -> Option<f64>,
    pub limit: f64,
    pub hurts: Direction,
}

impl Watched {
    /// What a collector reads now; `None` where nothing is to be read.
    pub fn value(&self, host: &HostReadings, now: Timestamp) -> Option<f64> {
        if host.answers { (self.read)(host, now) } else { None }
    }

    pub fn is_reached(&self, value: f64) -> bool {
        match self.hurts {
            Direction::Up => value >= self.limit,
            Direction::Down => value <= self.limit,
        }
    }
}

/// The signal of a fault; `None` where no limit tells of it, or the limit is a date that is known.
pub fn watched(fault: Fault) -> Option<Watched> {
    let up = |limit, read| Some(Watched { read, limit, hurts: Direction::Up });
    let down = |limit, read| Some(Watched { read, limit, hurts: Direction::Down });
    match fault {
        Fault::RemoteOutage => up(1_000.0, |host, _| mta(host).map(|mta| mta.deferred)),
        Fault::CompromisedAccount => up(1_000.0, |host, _| mta(host).map(|mta| mta.active)),
        Fault::ClamdStuck => {
            down(0.0, |host, _| mta(host).filter(|mta| mta.clamd_is_up).map(|mta| mta.clamd_threads_idle))
        }
        Fault::SlowLmtp => up(20.0, |host, now| row(host, now).map(|row| row.lmtp_connections)),
        Fault::DbPoolExhaustion => up(100.0, |host, now| row(host, now).map(|row| row.database_pool_active)),
        Fault::HeapLeak => up(7.6e9, |host, now| row(host, now).map(|row| row.old_used_bytes)),
        Fault::HeapBurst => up(7.6e9, |host, _| mailbox(host).map(|store| store.old_used_bytes)),
        // Whole connections.
        Fault::ImapStorm => up(199.5, |host, _| {
            mailbox(host).map(|store| store.imap_connections + store.imap_ssl_connections)
        }),
        Fault::DiskFill | Fault::DiskRunaway => {
            down(0.0, |host, _| host.machine.volumes.last().map(|volume| volume.free_bytes))
        }
        Fault::ClockSkew => up(300.0, |host, _| Some(host.machine.clock_offset_seconds.abs())),
        _ => None,
    }
}

fn mta(host: &HostReadings) -> Option<&crate::sim::cluster::readings::MtaReadings> {
    match &host.service {
        ServiceReadings::Mta(mta) => Some(mta.as_ref()).filter(|mta| mta.is_up),
        _ => None,
    }
}

fn mailbox(host: &HostReadings) -> Option<&crate::sim::cluster::readings::MailboxReadings> {
    match &host.service {
        ServiceReadings::Mailbox(store) => Some(store.as_ref()).filter(|store| store.is_up),
        _ => None,
    }
}

/// The row that mailboxd has written since the last sample.
fn row(host: &HostReadings, now: Timestamp) -> Option<&Statistics> {
    mailbox(host)?.statistics.as_ref().filter(|row| now.since(row.at) < 15_000)
}

const SLOT_MS: i64 = 900_000;
const SLOTS: i64 = 96;
/// Of a day that has just gone by, in what its quarter of an hour is expected to be.
const NEWEST_DAY: f64 = 0.4;

/// The mean of each quarter of an hour over the days before.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    slots: BTreeMap<i64, f64>,
    /// The quarter under way: its number, sum and count.
    open: Option<(i64, f64, f64)>,
}

impl Expected {
    /// What was expected at `at`, NaN before a day is known; then takes the value.
    pub fn next(&mut self, at: Timestamp, value: f64) -> f64 {
        let slot = at.0.div_euclid(SLOT_MS);
        match &mut self.open {
            Some((number, sum, count)) if *number == slot => {
                *sum += value;
                *count += 1.0;
            }
            open => {
                if let Some((number, sum, count)) = open.replace((slot, value, 1.0)) {
                    let mean = sum / count;
                    let known = self.slots.entry(number.rem_euclid(SLOTS)).or_insert(mean);
                    *known += NEWEST_DAY * (mean - *known);
                }
            }
        }
        let within = at.0.rem_euclid(SLOT_MS) as f64 / SLOT_MS as f64 - 0.5;
        let neighbour = if within < 0.0 { slot - 1 } else { slot + 1 };
        let of = |slot: i64| self.slots.get(&slot.rem_euclid(SLOTS)).copied().unwrap_or(f64::NAN);
        of(slot) * (1.0 - within.abs()) + of(neighbour) * within.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_like_the_last_is_expected() {
        let mut expected = Expected::default();
        let value = |minute: i64| (minute % 1440) as f64;
        let first: Vec<f64> =
            (0..1400).map(|minute| expected.next(Timestamp(minute * 60_000), value(minute))).collect();
        assert!(first.iter().all(|expected| expected.is_nan()));
        for minute in 1400..1440 {
            expected.next(Timestamp(minute * 60_000), value(minute));
        }
        let noon = expected.next(Timestamp((1440 + 720) * 60_000), 0.0);
        assert!((noon - 720.0).abs() < 10.0, "{noon}");
    }
}
