//! A mailbox store: requests and deliveries meet its CPU, disk, heap, database and the directory.
//!
//! Every time is made of what a call needs: CPU behind the other work, disk requests, a database connection, an answer
//! of the directory, and the pauses of garbage collection around all of it. Threads are servers: where calls come
//! faster than they end, they wait, and those that find no room are refused.

use rand_pcg::Pcg64;

use super::causes::HostCauses;
use super::database::{Database, Demand};
use super::heap::{HEAP_BYTES, Heap};
use super::machine::{Machine, Usage};
use super::minute::Minute;
use super::readings::{MailboxReadings, Statistics};
use super::storage::Work;
use crate::sample::Timestamp;
use crate::sim::load::{Arrivals, lognormal, normal};

/// Of one user at the weekly peak, a second.
const SOAP_PER_USER: f64 = 0.0125;
const IMAP_PER_USER: f64 = 0.02;
const POP_PER_USER: f64 = 0.0004;
const LOGINS_PER_USER: f64 = 0.0004;
const IMAP_CONNECTIONS_PER_USER: f64 = 0.062;

const HTTP_THREADS: f64 = 250.0;
const HTTP_WAITING_MAX: f64 = 1_500.0;
const LMTP_THREADS: f64 = 20.0;
/// Of each listener, plain and TLS.
const IMAP_CONNECTIONS_MAX: f64 = 200.0;
const IMAP_TLS_SHARE: f64 = 0.88;
/// Share of SOAP requests that search.
pub const SEARCHES: f64 = 0.05;
/// Caches are warm again after about this.
const WARM_SECONDS: f64 = 1_200.0;
/// After a start, mailboxd answers once its classes are loaded.
const START_SECONDS: f64 = 45.0;
/// No client waits for longer.
const SECONDS_MAX: f64 = 120.0;

/// What reaches a store in one step, beside its own users.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    /// What people do, as a share of the weekly peak.
    pub people: f64,
    /// Deliveries that ended in the last step.
    pub delivered: f64,
    pub delivered_bytes: f64,
    /// Deliveries a second that want to be made.
    pub offered_per_second: f64,
    /// Look-ups a second that proxies ask since no cache tells them where a mailbox is.
    pub route_lookups: f64,
    /// Time of an answer of the directory, and of a name.
    pub directory_seconds: f64,
    pub dns_seconds: f64,
    pub quota_lookups: f64,
    pub database_job: f64,
    pub backup: f64,
    pub rotates: bool,
}

/// What users of a store feel, and how much it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Service {
    pub soap_seconds: f64,
    pub imap_seconds: f64,
    pub login_seconds: f64,
    pub search_seconds: f64,
    /// Shares of requests and of IMAP connections that are refused.
    pub refused: f64,
    pub imap_refused: f64,
    pub error_share: f64,
    pub deliveries_per_second_max: f64,
    pub delivery_seconds: f64,
    /// Look-ups a second at the directory.
    pub directory_lookups: f64,
    /// In flight at the store, as its proxies see it.
    pub requests_per_second: f64,
    pub connections: f64,
}

/// The state of a store.
#[derive(Clone, Debug)]
pub struct Store {
    users: f64,
    pub machine: Machine,
    pub heap: Heap,
    pub database: Database,
    pub service: Service,
    soap: Arrivals,
    imap: Arrivals,
    random: Pcg64,
    up_seconds: f64,
    /// 0 after a start, 1 once caches hold what is used.
    warm: f64,
    imap_connections: f64,
    http_waiting: f64,
    leaked_bytes: f64,
    lmtp_busy: f64,
    pub readings: MailboxReadings,
    minute: Minute,
}

impl Store {
    pub fn new(users: f64, machine: Machine, random: Pcg64) -> Self {
        Store {
            users,
            machine,
            heap: Heap::new(),
            database: Database::default(),
            service: Service::default(),
            soap: Arrivals::default(),
            imap: Arrivals::default(),
            random,
            up_seconds: 86_400.0,
            warm: 1.0,
            imap_connections: 0.03 * users,
            http_waiting: 0.0,
            leaked_bytes: 0.0,
            lmtp_busy: 0.0,
            readings: MailboxReadings {
                heap_max_bytes: HEAP_BYTES,
                is_up: true,
                ..MailboxReadings::default()
            },
            minute: Minute::default(),
        }
    }

    /// Starts mailboxd anew: cold, with nothing held. What it counted begins at 0.
    pub fn restart(&mut self) {
        self.heap = Heap::new();
        self.database.drop_connections();
        (self.up_seconds, self.warm, self.http_waiting, self.leaked_bytes) = (0.0, 0.0, 0.0, 0.0);
        self.imap_connections = 0.0;
        let version = self.readings.version;
        self.readings = MailboxReadings { heap_max_bytes: HEAP_BYTES, version, ..MailboxReadings::default() };
    }

    /// Moves on by `seconds`.
    pub fn step(&mut self, now: Timestamp, reach: &Reach, causes: &HostCauses, seconds: f64) {
        let serves = causes.serves() && self.up_seconds >= START_SECONDS;
        self.readings.is_up = serves;
        if causes.serves() {
            self.up_seconds += seconds;
        }
        if !serves {
            self.rest(now, reach, causes, seconds);
            return;
        }
        self.warm += (1.0 - self.warm) * seconds / WARM_SECONDS;
        let soap =
            self.soap.draw(self.users * (SOAP_PER_USER * reach.people + 0.0003), seconds, &mut self.random);
        let imap =
            self.imap.draw(self.users * (IMAP_PER_USER * reach.people + 0.001), seconds, &mut self.random);
        let pop = lognormal(
            self.users * POP_PER_USER * (0.3 + 0.7 * reach.people) * seconds,
            0.2,
            &mut self.random,
        );
        let logins = self.users
            * LOGINS_PER_USER
            * (0.05 + reach.people)
            * seconds
            * lognormal(1.0, 0.2, &mut self.random);
        let route = reach.route_lookups * seconds;

        self.connect(reach, causes, seconds);
        let account_hits = 0.9 * self.warm + 0.05;
        let asks = 0.7 * soap
            + 0.1 * imap
            + 1.5 * reach.delivered
            + 3.0 * logins
            + 1.2 * route
            + reach.quota_lookups * seconds;
        let lookups = asks * (1.0 - account_hits) + 0.2 * seconds;

        let busy = self.machine.busy;
        let disk = self.machine.storage.request_seconds;
        let cold = 0.02 + 0.5 * (1.0 - self.warm);
        let queries =
            3.0 * soap + 1.2 * imap + 5.0 * reach.delivered + route + 0.5 * reach.quota_lookups * seconds;
        let demand = Demand {
            queries_per_second: queries / seconds + 1.0,
            busy,
            disk_seconds: disk,
            cold,
            held: causes.database_held,
            slowness: causes.database_slowness,
            job: reach.database_job,
        };
        self.database.step(&demand, seconds);
        let database = self.database.wait_seconds + self.database.query_seconds;

        let stretch = 1.0 / (1.0 - self.heap.gc_share);
        let cpu = |cost: f64| cost / (1.0 - busy.min(0.97));
        let directory = (1.0 - account_hits) * reach.directory_seconds;
        let noise = lognormal(1.0, 0.05, &mut self.random);
        let search = (cpu(0.07) + 6.0 * disk + database + 25.0 * causes.index_damage * causes.index_damage)
            * stretch
            * noise;
        let soap_own =
            (cpu(0.018) * causes.version_slowness + 2.0 * database + directory + 1.5 * (0.5 + cold) * disk)
                * stretch
                * noise
                + SEARCHES * search;
        let wait = self.wait_for_threads(soap / seconds, soap_own, seconds);
        let soap_seconds = (soap_own + wait).min(SECONDS_MAX);
        let imap_seconds = ((cpu(0.006) + 0.8 * database + 0.3 * directory + (0.3 + cold) * disk)
            * causes.version_slowness.sqrt()
            * stretch
            * noise)
            .min(SECONDS_MAX);
        let login = ((cpu(0.05) + 3.0 * reach.directory_seconds + database) * stretch
            + 0.2 * soap_seconds
            + (reach.dns_seconds - 0.012).max(0.0))
        .min(SECONDS_MAX);
        let contention = causes.lock_wait_seconds * causes.lmtp_threads;
        let add =
            ((cpu(0.009) + 5.0 * disk + 3.0 * database) * stretch * noise + contention).min(SECONDS_MAX);
        let lookup = ((cpu(0.001) + 0.3 * database + 0.2 * directory) * stretch).min(SECONDS_MAX);

        let threads = LMTP_THREADS * causes.lmtp_threads;
        let takes = if self.machine.volumes.last().is_some_and(|v| v.is_full()) { 0.0 } else { 1.0 };
        let delivery_seconds = add + 0.04;
        self.lmtp_busy = (reach.offered_per_second * delivery_seconds).min(threads);
        let refused_here = self.refused(soap / seconds, soap_own);
        self.service = Service {
            soap_seconds,
            imap_seconds,
            login_seconds: login,
            search_seconds: search.min(SECONDS_MAX),
            refused: refused_here,
            imap_refused: self.imap_refused(causes),
            error_share: causes.version_errors + 0.0005,
            deliveries_per_second_max: takes * threads / delivery_seconds,
            delivery_seconds,
            directory_lookups: lookups / seconds,
            requests_per_second: soap / seconds,
            connections: self.imap_connections + causes.imap_extra,
        };
        let served = soap * (1.0 - refused_here);
        let http_busy = (served / seconds * soap_own + self.http_waiting).min(HTTP_THREADS);
        self.hold(&[soap, imap, reach.delivered], http_busy, causes, seconds);
        let usage = self.usage(&[soap, imap, pop, logins, lookups, queries], reach, causes, seconds);
        self.machine.step(&usage, causes, seconds);
        self.fill_disk(reach);
        self.count(served, imap, [soap_seconds, imap_seconds], usage.cpu_seconds, causes);

        let m = &mut self.minute;
        m.soap.add(served, soap_seconds);
        m.imap.add(imap, imap_seconds);
        m.pop.add(pop, imap_seconds);
        m.searches.add(SEARCHES * served, search.min(SECONDS_MAX));
        m.logins.add(logins, login);
        m.added.add(reach.delivered, add);
        m.lookups.add(0.8 * soap + 0.3 * imap + reach.delivered + route, lookup);
        m.directory.add(lookups, reach.directory_seconds);
        m.database.add(queries, self.database.wait_seconds);
        m.delivered_bytes += reach.delivered_bytes;
        m.index_read_bytes +=
            served * SEARCHES * 90e3 * (1.0 + 60.0 * causes.index_damage) + reach.delivered * 8e3;
        m.blob_reads += 0.2 * soap + 0.3 * imap + served * SEARCHES * 30.0 * causes.index_damage;
        self.write_statistics(now, http_busy, account_hits);
    }

    /// Nothing answers; the machine goes on, if it is there.
    fn rest(&mut self, now: Timestamp, reach: &Reach, causes: &HostCauses, seconds: f64) {
        self.service = Service { refused: 1.0, imap_refused: 1.0, ..Service::default() };
        self.imap_connections = 0.0;
        self.minute.skip(now);
        self.readings.statistics = None;
        if !causes.gone {
            let job = Work { job_share: reach.backup, ..Work::default() };
            self.machine.step(&Usage { work: job, memory_bytes: 6e9, ..Usage::default() }, causes, seconds);
            self.fill_disk(reach);
        }
    }

    fn connect(&mut self, reach: &Reach, causes: &HostCauses, seconds: f64) {
        // Phones stay connected at night.
        let wanted = self.users * IMAP_CONNECTIONS_PER_USER * (0.48 + 0.52 * reach.people);
        // Clients that lost their connection come back within minutes, others come and go with the day.
        let pace = if self.warm < 0.3 { 240.0 } else { 1_800.0 };
        let drift = (wanted - self.imap_connections) * seconds / pace + normal(0.5, &mut self.random);
        // Each listener has a limit of its own, and the one client comes to that of TLS as most do.
        let room = (IMAP_CONNECTIONS_MAX * causes.imap_limit - causes.imap_extra).max(0.0) / IMAP_TLS_SHARE;
        self.imap_connections = (self.imap_connections + drift).clamp(0.0, room.max(1.0));
    }

    /// The share of people who are not let in.
    fn imap_refused(&self, causes: &HostCauses) -> f64 {
        let limit = IMAP_CONNECTIONS_MAX * causes.imap_limit;
        if IMAP_TLS_SHARE * self.imap_connections + causes.imap_extra < limit - 1.5 {
            return 0.0;
        }
        (causes.imap_extra / limit).clamp(0.05, 1.0)
    }

    fn wait_for_threads(&mut self, per_second: f64, seconds_each: f64, seconds: f64) -> f64 {
        let capacity = HTTP_THREADS / seconds_each;
        self.http_waiting =
            (self.http_waiting + (per_second - capacity) * seconds).clamp(0.0, HTTP_WAITING_MAX);
        self.http_waiting / capacity
    }

    fn refused(&self, per_second: f64, seconds_each: f64) -> f64 {
        if self.http_waiting < HTTP_WAITING_MAX {
            return 0.0;
        }
        (1.0 - HTTP_THREADS / seconds_each / per_second.max(1e-6)).clamp(0.0, 1.0)
    }

    fn hold(
        &mut self,
        [soap, imap, delivered]: &[f64; 3],
        http_busy: f64,
        causes: &HostCauses,
        seconds: f64,
    ) {
        self.leaked_bytes += causes.leak_bytes * seconds;
        self.heap.held_bytes = self.leaked_bytes + causes.burst_bytes;
        let allocated = 2.0e6 * soap + 0.25e6 * imap + 1.5e6 * delivered + 0.3e6 * seconds;
        let in_use = 1.2e6 * (self.imap_connections + causes.imap_extra) + 3.0e6 * http_busy;
        self.heap.step(allocated, in_use, seconds, &mut self.random);
    }

    fn usage(&self, load: &[f64; 6], reach: &Reach, causes: &HostCauses, seconds: f64) -> Usage {
        let [soap, imap, pop, logins, lookups, queries] = *load;
        let cold = 1.0 - self.warm;
        let collecting = 4.0 * self.heap.gc_share * seconds;
        let cpu = 0.040 * soap * (0.5 + 0.5 * causes.version_slowness)
            + 0.012 * imap
            + 0.01 * pop
            + 0.08 * logins
            + 0.06 * reach.delivered
            + 0.0006 * queries
            + collecting
            + 0.9 * reach.backup * seconds
            + 0.8 * reach.database_job * seconds
            + 1.5 * causes.index_damage * SEARCHES * soap
            + 0.02 * causes.database_held.min(100.0) * seconds / 4.0;
        let work = Work {
            reads: (1.2 + 4.0 * cold) * soap
                + (1.0 + 2.0 * cold) * imap
                + 1.5 * pop
                + reach.delivered
                + 40.0 * causes.index_damage * SEARCHES * soap,
            writes: 9.0 * reach.delivered + 0.5 * soap + 0.2 * imap,
            read_bytes: 24e3 * (soap + imap + pop) * (1.0 + cold),
            written_bytes: 1.4 * reach.delivered_bytes + 6e3 * soap,
            job_share: reach.backup + 0.5 * reach.database_job,
        };
        let connections = self.imap_connections + causes.imap_extra;
        Usage {
            cpu_seconds: cpu,
            work,
            received_bytes: reach.delivered_bytes + 1_500.0 * soap + 300.0 * imap,
            sent_bytes: 9_000.0 * soap + 7_000.0 * imap + 30_000.0 * pop + 400.0 * lookups,
            connections_opened: 0.3 * soap + pop + logins,
            connections: connections + 40.0,
            memory_bytes: 11e9 + 0.3e6 * connections,
            open_files: 900.0 + 2.0 * connections,
        }
    }

    fn fill_disk(&mut self, reach: &Reach) {
        let Some(volume) = self.machine.volumes.last_mut() else { return };
        volume.add(1.4 * reach.delivered_bytes);
        if reach.rotates {
            // What a day brings goes to the archive, and with it logs and old backups.
            let kept = 0.45 * volume.size_bytes;
            let back = (0.8 * (volume.used_bytes - kept)).max(0.0).min(0.02 * volume.size_bytes);
            volume.add(-back);
        }
        volume.add(reach.backup * 25e6);
    }

    fn count(&mut self, soap: f64, imap: f64, [soap_s, imap_s]: [f64; 2], cpu: f64, causes: &HostCauses) {
        let heap = &self.heap;
        let r = &mut self.readings;
        r.heap_used_bytes = heap.used_bytes().round();
        r.heap_committed_bytes = HEAP_BYTES;
        r.young_used_bytes = heap.young_bytes.round();
        r.old_used_bytes = heap.old_bytes.round();
        r.old_left_bytes = heap.left_bytes.round();
        r.gc_young_count_total = heap.young_count_total;
        r.gc_young_seconds_total = heap.young_seconds_total;
        r.gc_old_count_total = heap.old_count_total;
        r.gc_old_seconds_total = heap.old_seconds_total;
        r.soap_requests_total += soap.round();
        r.soap_seconds_total += soap.round() * soap_s;
        r.soap_seconds_max = (r.soap_seconds_max * 0.97).max(3.0 * soap_s);
        r.imap_commands_total += imap.round();
        r.imap_seconds_total += imap.round() * imap_s;
        r.imap_seconds_max = (r.imap_seconds_max * 0.97).max(3.0 * imap_s);
        r.http_errors_total +=
            (soap * (causes.version_errors + 0.0005) + 0.4 * self.service.refused * soap).round();
        r.imap_connections = ((1.0 - IMAP_TLS_SHARE) * self.imap_connections).round();
        r.imap_ssl_connections = (IMAP_TLS_SHARE * self.imap_connections + causes.imap_extra).round();
        r.jvm_threads =
            (160.0 + self.lmtp_busy + self.service.requests_per_second * soap_s).min(700.0).round();
        r.database = self.database.readings();
        r.process_cpu_seconds_total += 0.9 * cpu;
        r.process_resident_bytes = 9.5e9;
        r.open_files =
            (620.0 + 2.0 * (r.imap_connections + r.imap_ssl_connections) + normal(4.0, &mut self.random))
                .round();
    }

    fn write_statistics(&mut self, now: Timestamp, http_busy: f64, account_hits: f64) {
        if !self.minute.is_over(now) {
            return;
        }
        let mut row = self.minute.row(now);
        if self.database.is_exhausted() {
            self.readings.statistics = None;
            return;
        }
        let r = &self.readings;
        let connections = r.imap_connections + r.imap_ssl_connections;
        let noise = |sd: f64, random: &mut Pcg64| normal(sd, random);
        row = Statistics {
            mailbox_cache_hit_percent: (97.0 * self.warm + 1.0 + noise(0.3, &mut self.random))
                .clamp(0.0, 100.0),
            message_cache_hit_percent: (82.0 * self.warm + 4.0 + noise(1.0, &mut self.random))
                .clamp(0.0, 100.0),
            item_cache_hit_percent: (90.0 * self.warm + 3.0 + noise(0.7, &mut self.random)).clamp(0.0, 100.0),
            account_cache_hit_percent: (100.0 * account_hits + noise(0.4, &mut self.random))
                .clamp(0.0, 100.0),
            database_pool_active: (self.database.active + noise(0.5, &mut self.random)).max(0.0).round(),
            buffer_pool_hits_permille: (999.0 - 60.0 * (1.0 - self.warm)).round(),
            lmtp_connections: (self.lmtp_busy + 0.6 + noise(0.4, &mut self.random))
                .clamp(0.0, LMTP_THREADS)
                .round(),
            lmtp_threads: (self.lmtp_busy + 3.0).min(LMTP_THREADS * 4.0).round(),
            pop_connections: (self.users * 0.0004 * 5.0 * noise(1.0, &mut self.random).abs()).round(),
            pop_threads: 4.0,
            imap_connections: r.imap_connections,
            imap_ssl_connections: r.imap_ssl_connections,
            imap_threads: (0.02 * connections + 2.0).round(),
            imap_ssl_threads: (0.18 * connections + 4.0).min(200.0).round(),
            http_threads: HTTP_THREADS.min(60.0_f64.max(http_busy + 30.0)).round(),
            http_threads_idle: (HTTP_THREADS.min(60.0_f64.max(http_busy + 30.0)) - http_busy)
                .max(0.0)
                .round(),
            soap_sessions: (self.users * 0.1 * self.service.requests_per_second / 25.0 + 20.0).round(),
            mailbox_cache_size: (self.users * self.warm).round(),
            message_cache_size: (2_000.0 * self.warm).round(),
            file_cache_size: (1_000.0 * self.warm).round(),
            account_cache_size: (self.users * 0.9 * self.warm).round(),
            gc_young_count_total: r.gc_young_count_total,
            gc_young_ms_total: (r.gc_young_seconds_total * 1000.0).round(),
            gc_old_count_total: r.gc_old_count_total,
            gc_old_ms_total: (r.gc_old_seconds_total * 1000.0).round(),
            heap_used_bytes: r.heap_used_bytes,
            heap_committed_bytes: r.heap_committed_bytes,
            young_used_bytes: r.young_used_bytes,
            old_used_bytes: r.old_used_bytes,
            open_files: r.open_files,
            ..row
        };
        self.readings.statistics = Some(row);
    }
}
