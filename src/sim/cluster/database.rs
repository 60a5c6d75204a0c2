//! The pool of database connections of a store: a query holds one, and waits where none is free.

use super::readings::DatabaseReadings;

/// Connections that mailboxd may open.
pub const POOL: f64 = 100.0;
const QUERY_SECONDS: f64 = 0.004;
/// Requests that wait for a connection at most: the threads that could ask for one.
const WAITING_MAX: f64 = 270.0;
/// What keeps a pool from being fully held: the connections that the longest queries leave.
const FREE_MIN: f64 = 0.4;
const WAIT_SECONDS_MAX: f64 = 60.0;

/// The pool, and MySQL behind it.
#[derive(Clone, Debug, Default)]
pub struct Database {
    waiting: f64,
    /// Of the last step: time to get a connection, time of a query, connections in use.
    pub wait_seconds: f64,
    pub query_seconds: f64,
    pub active: f64,
    readings: DatabaseReadings,
}

/// What bears on the database in a step.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub queries_per_second: f64,
    /// Share of the machine's CPU in use, and the time of a disk request.
    pub busy: f64,
    pub disk_seconds: f64,
    /// Share of pages that memory doesn't hold.
    pub cold: f64,
    /// Connections that a long query holds, and how much it slows the others.
    pub held: f64,
    pub slowness: f64,
    /// Share that a job takes.
    pub job: f64,
}

impl Database {
    pub fn step(&mut self, demand: &Demand, seconds: f64) {
        let io = (0.08 + 0.7 * demand.cold) * demand.disk_seconds;
        let cpu = QUERY_SECONDS / (1.0 - (demand.busy + 0.3 * demand.job).min(0.97));
        self.query_seconds = (cpu + io) * demand.slowness;
        let free = (POOL - demand.held.min(POOL)).max(FREE_MIN);
        let capacity = free / self.query_seconds;
        let asked = demand.queries_per_second;
        self.waiting = (self.waiting + (asked - capacity) * seconds).clamp(0.0, WAITING_MAX);
        let usage = (asked * self.query_seconds / free).min(0.999);
        let queueing = 0.0012 + self.query_seconds * usage.powi(6) / (1.0 - usage);
        self.wait_seconds = (queueing + self.waiting / capacity).min(WAIT_SECONDS_MAX);
        let served = asked.min(capacity);
        self.active = (demand.held + served * self.query_seconds).min(POOL);
        let r = &mut self.readings;
        r.uptime_seconds += seconds;
        r.threads_connected = (12.0 + self.active * 1.03).min(110.0).round();
        r.threads_running = (1.0 + served * self.query_seconds + demand.held).round();
        r.queries_total += served * seconds;
        r.slow_queries_total += if self.query_seconds > 1.0 { served * seconds } else { 0.02 * demand.held };
        r.row_lock_waits_total += 0.001 * served * seconds * demand.slowness;
        r.row_lock_seconds_total += 0.001 * served * seconds * demand.slowness * self.query_seconds;
        r.buffer_read_requests_total += 40.0 * served * seconds;
        r.buffer_reads_total += 40.0 * served * seconds * (0.004 + 0.05 * demand.cold);
        r.bytes_sent_total += 900.0 * served * seconds;
    }

    /// Whether no connection is to be had: nothing that needs one can be written, statistics among it.
    pub fn is_exhausted(&self) -> bool {
        self.active > 0.985 * POOL && self.wait_seconds > 1.0
    }

    /// All connections are dropped, as when mailboxd restarts.
    pub fn drop_connections(&mut self) {
        (self.waiting, self.active, self.wait_seconds) = (0.0, 0.0, 0.0012);
    }

    pub fn readings(&self) -> DatabaseReadings {
        let r = &self.readings;
        DatabaseReadings {
            queries_total: r.queries_total.round(),
            slow_queries_total: r.slow_queries_total.round(),
            row_lock_waits_total: r.row_lock_waits_total.round(),
            buffer_reads_total: r.buffer_reads_total.round(),
            buffer_read_requests_total: r.buffer_read_requests_total.round(),
            bytes_sent_total: r.bytes_sent_total.round(),
            ..r.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_connections_slow_and_then_exhaust_the_pool() {
        let mut demand = Demand {
            queries_per_second: 150.0,
            busy: 0.3,
            disk_seconds: 0.003,
            cold: 0.02,
            held: 0.0,
            slowness: 1.0,
            job: 0.0,
        };
        let mut database = Database::default();
        database.step(&demand, 5.0);
        assert!(database.wait_seconds < 0.01 && database.active < 5.0);
        let mut waits = Vec::new();
        for held in 0..=100 {
            demand.held = f64::from(held);
            demand.slowness = 1.0 + 0.3 * f64::from(held);
            database.step(&demand, 5.0);
            waits.push(database.wait_seconds);
        }
        assert!(waits.is_sorted(), "{waits:?}");
        assert!(database.is_exhausted() && database.wait_seconds > 10.0, "{database:?}");
    }
}
