//! One simulated mail host: what arrives is scanned, delivered and stored, and everything else follows from that.
//!
//! Arrivals -> clamd threads -> delivery -> disk; requests -> CPU, heap, latency. CPU time is what scans and
//! requests cost, the heap fills with what they allocate, latency rises as 1/(1 - utilisation). A fault
//! changes a cause (a thread hangs), never a curve; its effects are whatever the model makes of it.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use crate::sample::Timestamp;
use crate::sim::load::{Arrivals, lognormal, normal, share_of_peak};
use crate::sim::scanner::Scanner;

/// Time that one call of `step` moves the host on.
pub const STEP_SECONDS: f64 = 5.0;

/// Messages a second at the weekly peak, and the flat rate of spam under it.
const MAIL_PER_SECOND: f64 = 2.6;
const SPAM_PER_SECOND: f64 = 0.5;
const REQUESTS_PER_SECOND: f64 = 60.0;
const CPUS: f64 = 8.0;
const SCAN_CPU_SECONDS: f64 = 0.9;
const REQUEST_CPU_SECONDS: f64 = 0.025;
const CLAMD_THREADS: f64 = 10.0;
const SCAN_SECONDS: f64 = 1.5;
/// clamd answers nothing while it loads its signatures.
const CLAMD_RESTART_SECONDS: f64 = 25.0;
const MESSAGE_BYTES: f64 = 75_000.0;
const DISK_BYTES: f64 = 2e12;
const HEAP_BYTES: f64 = 8e9;
/// The heap is collected when the young generation has taken this much.
const YOUNG_BYTES: f64 = 2.4e9;
const REQUEST_ALLOCATES_BYTES: f64 = 2.0e6;

/// Users feel it once mail waits this long.
pub const LATE_SECONDS: f64 = 900.0;

/// What goes wrong: clamd's threads hang, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct ClamdStuck {
    /// When the first thread hangs.
    pub from: Timestamp,
    /// Time between two threads.
    pub every_seconds: f64,
}

/// What the exporters of the host would read, in their units; `_total` fields only grow.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    pub received_total: f64,
    pub removed_total: f64,
    pub received_last_minute: f64,
    pub active_queue: f64,
    pub incoming_queue: f64,
    pub deferred_queue: f64,
    pub clamd_up: bool,
    pub clamd_live: f64,
    pub clamd_idle: f64,
    pub clamd_max: f64,
    pub clamd_queue: f64,
    pub oldest_seconds: f64,
    pub add_message_ms: f64,
    pub soap_count: f64,
    pub soap_ms: f64,
    pub imap_connections: f64,
    pub heap_used_bytes: f64,
    pub gc_count_total: f64,
    pub gc_ms_total: f64,
    pub disk_free_bytes: f64,
    pub disk_size_bytes: f64,
    pub cpu_user_seconds_total: f64,
    pub cpu_system_seconds_total: f64,
    pub cpu_iowait_seconds_total: f64,
    pub cpu_idle_seconds_total: f64,
    pub load1: f64,
    pub network_receive_bytes_total: f64,
}

/// The state of the host. Equal seeds and equal calls give equal hosts.
#[derive(Clone, Debug)]
pub struct MailHost {
    now: Timestamp,
    random: Pcg64,
    mail: Arrivals,
    requests: Arrivals,
    scanner: Scanner,
    fault: Option<ClamdStuck>,
    restarting_until: Timestamp,
    young_bytes: f64,
    old_bytes: f64,
    last_minute: std::collections::VecDeque<f64>,
    readings: Readings,
}

impl MailHost {
    /// A host in good order at `start`.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        MailHost {
            now: start,
            random: Pcg64::seed_from_u64(seed),
            mail: Arrivals::default(),
            requests: Arrivals::default(),
            scanner: Scanner::new(CLAMD_THREADS, SCAN_SECONDS),
            fault: None,
            restarting_until: Timestamp::MIN,
            young_bytes: 0.0,
            old_bytes: 2.2e9,
            last_minute: std::collections::VecDeque::new(),
            readings: Readings {
                deferred_queue: 35.0,
                disk_free_bytes: 0.42 * DISK_BYTES,
                disk_size_bytes: DISK_BYTES,
                imap_connections: 60.0,
                ..Readings::default()
            },
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn readings(&self) -> &Readings {
        &self.readings
    }

    /// Lets a fault begin at its time.
    pub fn break_with(&mut self, fault: ClamdStuck) {
        self.fault = Some(fault);
    }

    /// The remedy `restart_clamd_then_amavis`: clamd is away for a while and comes back with all threads.
    pub fn restart_clamd(&mut self) {
        self.fault = None;
        self.restarting_until = self.now.plus_ms((CLAMD_RESTART_SECONDS * 1000.0) as i64);
    }

    /// Whether users feel it: mail is over 15 minutes late.
    pub fn is_late(&self) -> bool {
        self.readings.oldest_seconds > LATE_SECONDS
    }

    /// Moves the host on by `STEP_SECONDS`.
    pub fn step(&mut self) {
        self.now = self.now.plus_ms((STEP_SECONDS * 1000.0) as i64);
        let share = share_of_peak(self.now);
        let scans = self.move_mail(share);
        self.serve_requests(share, scans);
        self.keep_disk(scans);
    }

    /// Mail through the scanner; returns the messages that passed it.
    fn move_mail(&mut self, share: f64) -> f64 {
        let mean = MAIL_PER_SECOND * share + SPAM_PER_SECOND;
        let arrived = self.mail.draw(mean, STEP_SECONDS, &mut self.random);
        let restarting = self.now < self.restarting_until;
        self.scanner.stuck = if restarting { CLAMD_THREADS } else { self.stuck_threads() };
        let scanned = self.scanner.step(self.now, arrived, STEP_SECONDS);
        // Threads change state within a step, and the exporter sees one instant of it.
        let busy =
            (scanned.busy + normal(0.4, &mut self.random)).clamp(0.0, CLAMD_THREADS - self.scanner.stuck);

        self.last_minute.push_back(scanned.messages);
        if self.last_minute.len() as f64 > 60.0 / STEP_SECONDS {
            self.last_minute.pop_front();
        }
        let deferred_now = 0.012 * scanned.messages;
        let r = &mut self.readings;
        r.received_total += arrived;
        r.removed_total += scanned.messages - deferred_now;
        r.received_last_minute = self.last_minute.iter().sum();
        r.deferred_queue += deferred_now - r.deferred_queue * STEP_SECONDS / 3600.0;
        r.clamd_up = !restarting;
        r.clamd_max = CLAMD_THREADS;
        r.clamd_live = if restarting { 0.0 } else { (busy + self.scanner.stuck).round() };
        r.clamd_idle = if restarting { 0.0 } else { CLAMD_THREADS - r.clamd_live };
        r.clamd_queue = self.scanner.queue().round();
        r.oldest_seconds = self.scanner.oldest_seconds(self.now);
        r.active_queue =
            (self.scanner.queue() + busy + self.scanner.stuck + lognormal(1.5, 0.5, &mut self.random))
                .round();
        r.incoming_queue = (r.active_queue - 500.0).max(0.0).round() + (0.3 * arrived).round();
        scanned.messages
    }

    fn stuck_threads(&self) -> f64 {
        let Some(fault) = self.fault else { return 0.0 };
        let seconds = self.now.since(fault.from) as f64 / 1000.0;
        if seconds < 0.0 { 0.0 } else { (1.0 + (seconds / fault.every_seconds).floor()).min(CLAMD_THREADS) }
    }

    fn serve_requests(&mut self, share: f64, scans: f64) {
        let requests = self.requests.draw(REQUESTS_PER_SECOND * share + 2.0, STEP_SECONDS, &mut self.random);
        let work_seconds = scans * SCAN_CPU_SECONDS + requests * REQUEST_CPU_SECONDS + 0.15 * STEP_SECONDS;
        let utilisation = (work_seconds / (CPUS * STEP_SECONDS)).min(0.97);

        self.young_bytes += requests * REQUEST_ALLOCATES_BYTES;
        let r = &mut self.readings;
        if self.young_bytes > YOUNG_BYTES {
            r.gc_count_total += 1.0;
            r.gc_ms_total += lognormal(28.0, 0.2, &mut self.random);
            self.old_bytes = (self.old_bytes + 0.02 * self.young_bytes).min(0.6 * HEAP_BYTES);
            self.young_bytes = 0.0;
            if self.old_bytes > 0.45 * HEAP_BYTES {
                r.gc_ms_total += lognormal(300.0, 0.2, &mut self.random);
                self.old_bytes = 2.2e9;
            }
        }
        r.heap_used_bytes = self.old_bytes + self.young_bytes;
        r.soap_count = requests.round();
        r.soap_ms = lognormal(22.0 / (1.0 - utilisation), 0.1, &mut self.random);
        r.add_message_ms = lognormal(14.0 / (1.0 - utilisation), 0.12, &mut self.random);
        // Phones stay connected at night.
        let connections = 130.0 * (0.45 + 0.55 * share);
        r.imap_connections +=
            (connections - r.imap_connections) * STEP_SECONDS / 1800.0 + normal(0.6, &mut self.random);
        r.cpu_user_seconds_total += 0.82 * work_seconds;
        r.cpu_system_seconds_total += 0.18 * work_seconds;
        let iowait = (0.004 * CPUS * STEP_SECONDS + 0.002 * scans) * lognormal(1.0, 0.3, &mut self.random);
        r.cpu_iowait_seconds_total += iowait;
        r.cpu_idle_seconds_total += (CPUS * STEP_SECONDS - work_seconds - iowait).max(0.0);
        r.load1 += (utilisation * CPUS - r.load1) * (STEP_SECONDS / 60.0);
        r.network_receive_bytes_total += scans * MESSAGE_BYTES + requests * 6_000.0;
    }

    fn keep_disk(&mut self, scans: f64) {
        let r = &mut self.readings;
        r.disk_free_bytes -= scans * MESSAGE_BYTES;
        // Rotation and old backups go at midnight.
        if self.now.0.rem_euclid(86_400_000) < (STEP_SECONDS * 1000.0) as i64 {
            r.disk_free_bytes = 0.42 * DISK_BYTES;
        }
    }
}

/// When users would be hurt if nobody did anything: the same host, left alone with its fault.
/// `None` within `horizon_seconds` means never.
pub fn impact_without_remedy(host: &MailHost, fault: ClamdStuck, horizon_seconds: f64) -> Option<Timestamp> {
    let mut alone = host.clone();
    alone.break_with(fault);
    for _ in 0..(horizon_seconds / STEP_SECONDS) as usize {
        alone.step();
        if alone.is_late() {
            return Some(alone.now());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monday_at_nine() -> Timestamp {
        Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap()
    }

    fn run(host: &mut MailHost, minutes: f64) {
        for _ in 0..(minutes * 60.0 / STEP_SECONDS) as usize {
            host.step();
        }
    }

    #[test]
    fn a_healthy_host_keeps_its_queue_short_for_two_days() {
        let mut host = MailHost::new(1, monday_at_nine());
        for _ in 0..(2.0 * 86_400.0 / STEP_SECONDS) as usize {
            host.step();
            assert!(host.readings().oldest_seconds < 60.0);
        }
        assert!(host.readings().received_total > 50_000.0);
    }

    #[test]
    fn stuck_threads_make_mail_late_and_a_restart_heals() {
        let mut host = MailHost::new(1, monday_at_nine());
        run(&mut host, 10.0);
        let fault = ClamdStuck { from: host.now(), every_seconds: 150.0 };
        let impact = impact_without_remedy(&host, fault, 7200.0).expect("mail gets late");
        let lead_minutes = impact.since(fault.from) as f64 / 60_000.0;
        assert!((20.0..60.0).contains(&lead_minutes), "{lead_minutes}");

        host.break_with(fault);
        run(&mut host, 25.0);
        assert!(host.readings().clamd_queue > 50.0 && !host.is_late());
        host.restart_clamd();
        run(&mut host, 25.0);
        assert!(host.readings().clamd_queue < 20.0, "{:?}", host.readings());
    }

    #[test]
    fn equal_seeds_give_equal_hosts() {
        let mut one = MailHost::new(9, monday_at_nine());
        let mut other = MailHost::new(9, monday_at_nine());
        run(&mut one, 30.0);
        run(&mut other, 30.0);
        assert_eq!(format!("{:?}", one.readings()), format!("{:?}", other.readings()));
    }
}
