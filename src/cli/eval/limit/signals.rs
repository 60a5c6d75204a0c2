//! The signal by which each fault of the simulated cluster reaches a hard limit, and what an hour is expected to be.

use std::collections::BTreeMap;

use crate::predict::pack::{Direction, Limit};
use crate::predict::signals::SignalTable;
use crate::sample::Timestamp;
use crate::sim::cluster::readings::{HostReadings, ServiceReadings, Statistics};
use crate::sim::cluster::{Fault, HEAP_BYTES};

/// A signal that a pack gives a limit.
#[derive(Clone, Copy)]
pub struct Watched {
    read: Read,
    pub limit: f64,
    pub hurts: Direction,
    /// The load with which it grows, where the pack names one.
    load: Option<fn(&HostReadings, Timestamp) -> Option<Load>>,
}

type Read = fn(&HostReadings, Timestamp) -> Option<f64>;

/// What is read of a load.
#[derive(Clone, Copy)]
pub enum Load {
    /// All that has passed.
    Counter(f64),
    /// What has passed since the last that was read.
    Passed(f64),
}

impl Watched {
    /// What a collector reads now; `None` where nothing is to be read.
    pub fn value(&self, host: &HostReadings, now: Timestamp) -> Option<f64> {
        if host.answers { (self.read)(host, now) } else { None }
    }

    pub fn load(&self, host: &HostReadings, now: Timestamp) -> Option<Load> {
        if host.answers { self.load?(host, now) } else { None }
    }

    pub fn is_reached(&self, value: f64) -> bool {
        self.hurts.height(value) >= self.hurts.height(self.limit)
    }
}

/// The signal of a fault, with limit, direction and load as the packs have them; `None` where no limit tells of it, or the
/// limit is a date that is known.
pub fn watched(table: &SignalTable, fault: Fault) -> Option<Watched> {
    let (name, read): (&str, Read) = match fault {
        Fault::RemoteOutage => ("mta_queue_deferred", |host, _| mta(host).map(|mta| mta.deferred)),
        Fault::CompromisedAccount | Fault::ClamdStuck => {
            ("mta_queue_active", |host, _| mta(host).map(|mta| mta.active))
        }
        Fault::SlowLmtp => ("lmtp_connections", |host, now| row(host, now).map(|row| row.lmtp_connections)),
        Fault::DbPoolExhaustion => {
            ("db_pool", |host, now| row(host, now).map(|row| row.database_pool_active))
        }
        Fault::HeapLeak => ("heap_floor", |host, now| row(host, now).map(|row| row.old_used_bytes)),
        // What the JVM itself shows, which many read more often than once a minute.
        Fault::HeapBurst => ("heap_used", |host, _| mailbox(host).map(|store| store.old_used_bytes)),
        Fault::ImapStorm => {
            ("imap_connections", |host, _| mailbox(host).map(|store| store.imap_ssl_connections))
        }
        Fault::DiskFill | Fault::DiskRunaway => {
            ("disk_free", |host, _| host.machine.volumes.last().map(|volume| volume.free_bytes))
        }
        Fault::ClockSkew => ("clock_offset", |host, _| Some(host.machine.clock_offset_seconds)),
        _ => return None,
    };
    let signal = &table.signals()[usize::from(table.find(name)?)];
    let limit = match signal.limit.as_ref()? {
        Limit::Value(value) => *value,
        // The heap's is the only one here, and the simulated stores have one size.
        Limit::Share { share, .. } => share * HEAP_BYTES,
        Limit::Due => return None,
    };
    let load = signal.grows_with.as_deref().and_then(load);
    Some(Watched { read, limit, hurts: signal.hurts, load })
}

/// How a signal that others grow with is read.
fn load(name: &str) -> Option<fn(&HostReadings, Timestamp) -> Option<Load>> {
    Some(match name {
        "mta_connects" => |host, _| mta(host).map(|mta| Load::Counter(mta.connects_total)),
        "lmtp_received" => |host, now| row(host, now).map(|row| Load::Passed(row.lmtp_received_messages)),
        "db_queries" => |host, _| mailbox(host).map(|store| Load::Counter(store.database.queries_total)),
        "soap_requests" => |host, _| mailbox(host).map(|store| Load::Counter(store.soap_requests_total)),
        _ => return None,
    })
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

/// The mean of each quarter of an hour over the days before, and how far from it the values lay.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    slots: BTreeMap<i64, Slot>,
    /// The quarter under way: its number, count, sum and sum of squares.
    open: Option<(i64, [f64; 3])>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    mean: f64,
    variance: f64,
}

/// One in a thousand lies further to one side, as in the engine's band.
const BAND_DEVIATIONS: f64 = 3.1;

impl Expected {
    /// What was expected at `at`, and how far from it one in a thousand lies, both NaN before a day is known; then takes
    /// the value.
    pub fn next(&mut self, at: Timestamp, value: f64) -> (f64, f64) {
        let slot = at.0.div_euclid(SLOT_MS);
        let moments = [1.0, value, value * value];
        match &mut self.open {
            Some((number, sums)) if *number == slot => {
                sums.iter_mut().zip(moments).for_each(|(sum, moment)| *sum += moment);
            }
            open => {
                if let Some((number, [count, sum, squares])) = open.replace((slot, moments)) {
                    let (mean, square) = (sum / count, squares / count);
                    let known = self.slots.entry(number.rem_euclid(SLOTS));
                    let known = known.or_insert(Slot { mean, variance: square - mean * mean });
                    let off = square - 2.0 * mean * known.mean + known.mean * known.mean;
                    known.variance += NEWEST_DAY * (off - known.variance);
                    known.mean += NEWEST_DAY * (mean - known.mean);
                }
            }
        }
        let within = at.0.rem_euclid(SLOT_MS) as f64 / SLOT_MS as f64 - 0.5;
        let neighbour = if within < 0.0 { slot - 1 } else { slot + 1 };
        let of = |slot: i64| self.slots.get(&slot.rem_euclid(SLOTS)).copied();
        let (Some(here), Some(beside)) = (of(slot), of(neighbour)) else { return (f64::NAN, f64::NAN) };
        let between = |here: f64, beside: f64| here * (1.0 - within.abs()) + beside * within.abs();
        let variance = between(here.variance, beside.variance).max(0.0);
        (between(here.mean, beside.mean), BAND_DEVIATIONS * variance.sqrt())
    }
}
