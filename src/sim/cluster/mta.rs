//! A mail transfer agent: what arrives is scanned, then delivered to a store or sent outside; what fails is deferred.
//!
//! Postfix' queues are where messages are: `active` holds what is scanned or delivered, `deferred` what is to be tried
//! again at the next queue run whose back-off has passed, and a retry keeps its age.

use rand_pcg::Pcg64;

use super::causes::{Causes, HostCauses};
use super::fifo::{Fifo, count_of};
use super::machine::{Machine, Usage};
use super::readings::{MtaReadings, QueueStatistics};
use super::scanner::{Scanner, THREADS};
use super::storage::Work;
use crate::sample::Timestamp;
use crate::sim::load::{Arrivals, lognormal, normal};

pub const MESSAGE_BYTES: f64 = 75_000.0;
const ACTIVE_MAX: f64 = 20_000.0;
const QUEUE_RUN_SECONDS: f64 = 300.0;
/// Share of what is deferred whose back-off has passed at a queue run.
const RETRIED: f64 = 0.3;
/// Of messages to the outside, those that are put off at first, and those whose address is dead.
const PUT_OFF: f64 = 0.02;
const DEAD: f64 = 0.0012;
const BOUNCE_MS: i64 = 5 * 86_400_000;
/// Deliveries to the outside at once, the time of one, and of one to a host that does not answer.
const OUTBOUND: f64 = 100.0;
const OUTBOUND_SECONDS: f64 = 0.6;
const TIMEOUT_SECONDS: f64 = 30.0;
/// Share of what users send that stays within the site.
const INSIDE: f64 = 0.45;
/// Recipients of a message of a stolen account, and the share of them that refuse.
const STOLEN_RECIPIENTS: f64 = 6.0;
const STOLEN_REFUSED: f64 = 0.35;
/// `zmstat-mtaqueue`: its cadence, and how it slows down above so many messages.
const STATISTICS_MS: i64 = 30_000;
const STATISTICS_MS_MAX: i64 = 600_000;
const STATISTICS_SLOW_ABOVE: f64 = 1_000.0;

/// What reaches an MTA in a step.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// A second: spam that is refused, mail from outside, mail that users send.
    pub spam: f64,
    pub inbound: f64,
    pub submitted: f64,
    /// Share of all mail that belongs to each store, deliveries a second that it takes from this MTA, and their time.
    pub stores: &'a [(f64, f64, f64)],
    pub training: f64,
    pub directory_seconds: f64,
}

/// The state of an MTA.
#[derive(Clone, Debug)]
pub struct Mta {
    pub machine: Machine,
    pub scanner: Scanner,
    pub readings: MtaReadings,
    /// Waits for delivery to each store.
    local: Vec<Fifo>,
    outbound: Fifo,
    /// Deferred: to stores, to hosts that put it off, to hosts that do not answer, to dead addresses.
    deferred_local: Vec<Fifo>,
    put_off: Fifo,
    unreachable: Fifo,
    dead: Fifo,
    /// Tries under way towards hosts that do not answer.
    retrying: f64,
    /// Delivered in the last step, to each store.
    pub delivered: Vec<f64>,
    run_at: Timestamp,
    statistics_due: Timestamp,
    statistics_ms: i64,
    arrivals: Arrivals,
    submissions: Arrivals,
    random: Pcg64,
}

impl Mta {
    pub fn new(stores: usize, machine: Machine, start: Timestamp, random: Pcg64) -> Self {
        let mut mta = Mta {
            machine,
            scanner: Scanner::default(),
            readings: MtaReadings { is_up: true, ..MtaReadings::default() },
            local: vec![Fifo::with_grain(5); stores],
            outbound: Fifo::with_grain(5),
            deferred_local: vec![Fifo::with_grain(60); stores],
            put_off: Fifo::with_grain(60),
            unreachable: Fifo::with_grain(60),
            dead: Fifo::with_grain(3_600),
            retrying: 0.0,
            delivered: vec![0.0; stores],
            run_at: start,
            statistics_due: start,
            statistics_ms: STATISTICS_MS,
            arrivals: Arrivals::default(),
            submissions: Arrivals::default(),
            random,
        };
        // What an MTA in the middle of its life holds.
        for hours in 0..116 {
            mta.dead.put(start.plus_ms(-(116 - hours) * 3_600_000), 0.35);
        }
        mta.put_off.put(start.plus_ms(-2_400_000), 20.0);
        mta
    }

    /// Messages that wait to be scanned or delivered.
    pub fn active(&self) -> f64 {
        self.scanner.waiting.count()
            + self.scanner.busy
            + self.scanner.held.count()
            + self.tried_again()
            + self.outbound.count()
            + self.local.iter().map(Fifo::count).sum::<f64>()
    }

    pub fn deferred(&self) -> f64 {
        self.deferred_local.iter().map(Fifo::count).sum::<f64>()
            + self.put_off.count()
            + self.unreachable.count()
            - self.tried_again()
            + self.dead.count()
    }

    /// Of those to hosts that do not answer, the ones that a try has taken into the active queue.
    fn tried_again(&self) -> f64 {
        self.retrying.min(self.unreachable.count())
    }

    /// Messages to users of this site that have waited for longer.
    pub fn inside_late(&self, now: Timestamp, seconds: f64) -> f64 {
        let scanned = [&self.scanner.waiting, &self.scanner.held];
        let queues = self.local.iter().chain(&self.deferred_local).chain(scanned);
        queues.map(|queue| queue.late(now, seconds)).sum()
    }

    /// Messages to hosts that answer no more that have waited for longer.
    pub fn outside_late(&self, now: Timestamp, seconds: f64) -> f64 {
        self.unreachable.late(now, seconds)
    }

    /// Deletes what a stolen account has queued: about this share of what waits.
    pub fn drop_stolen(&mut self) {
        let keep = 30.0;
        for queue in [&mut self.scanner.waiting, &mut self.outbound, &mut self.put_off] {
            let surplus = queue.count() - keep;
            if surplus > 0.0 {
                let share = surplus / queue.count();
                queue.take_share(share);
            }
        }
    }

    /// Starts Postfix anew; what it counted begins at 0, and the queues stay.
    pub fn restart(&mut self) {
        self.readings =
            MtaReadings { queue_statistics: self.readings.queue_statistics, ..MtaReadings::default() };
    }

    pub fn step(&mut self, now: Timestamp, mail: &Mail, causes: &Causes, own: &HostCauses, seconds: f64) {
        self.delivered.fill(0.0);
        if own.gone {
            return;
        }
        self.readings.is_up = own.serves();
        if own.serves() {
            self.accept(now, mail, causes, own, seconds);
            let passed = self.scanner.step(own.clamd_stuck, !own.scanner_down, self.machine.busy, seconds);
            let scans = count_of(&passed);
            self.route(&passed, mail);
            self.deliver_inside(mail, seconds);
            let tried = self.deliver_outside(causes, own, seconds);
            self.run_queue(now, causes);
            self.use_machine(scans, tried, mail, own, seconds);
        } else {
            self.machine.step(&Usage { memory_bytes: 1e9, ..Usage::default() }, own, seconds);
        }
        self.count(now, causes, own);
    }

    fn accept(&mut self, now: Timestamp, mail: &Mail, causes: &Causes, own: &HostCauses, seconds: f64) {
        // Look-ups of recipients and blocklists come before a message is taken; slow ones take the servers' time.
        let look_up = 0.05 + 2.0 * causes.dns_seconds + mail.directory_seconds;
        let most = 100.0 * seconds / look_up;
        let inbound = self.arrivals.draw(mail.inbound, seconds, &mut self.random).min(0.6 * most);
        let submitted = self.submissions.draw(mail.submitted, seconds, &mut self.random).min(0.4 * most);
        let spam = lognormal(mail.spam * seconds, 0.12, &mut self.random).round();
        let stolen = own.stolen_per_second * seconds * lognormal(1.0, 0.1, &mut self.random);
        self.scanner.waiting.put(now, inbound + submitted + stolen);
        let r = &mut self.readings;
        r.connects_total += (spam + inbound + submitted + stolen).round();
        r.rejected_total += (0.9 * spam).round();
        r.received_total += (inbound + submitted + stolen).round();
        r.queued_total += inbound + submitted + stolen;
        r.submitted_total += (submitted + stolen).round();
        r.recipients_total += (1.3 * (inbound + submitted) + STOLEN_RECIPIENTS * stolen).round();
        r.login_failures_total += (0.02 * spam * lognormal(1.0, 0.5, &mut self.random)).round();
    }

    /// Scanned messages go to the store of their recipient, or outside.
    fn route(&mut self, passed: &[(Timestamp, f64)], mail: &Mail) {
        let all = mail.inbound + mail.submitted;
        let inside = if all > 0.0 { (mail.inbound + INSIDE * mail.submitted) / all } else { 1.0 };
        for (since, count) in passed {
            for (store, (share, _, _)) in mail.stores.iter().enumerate() {
                self.local[store].put(*since, count * inside * share);
            }
            self.outbound.put(*since, count * (1.0 - inside));
        }
    }

    fn deliver_inside(&mut self, mail: &Mail, seconds: f64) {
        for (store, (_, per_second_max, delivery_seconds)) in mail.stores.iter().enumerate() {
            if *per_second_max <= 0.0 {
                // Refused or not there: tried once, then deferred.
                for (since, count) in self.local[store].take(10.0 * seconds) {
                    self.deferred_local[store].put(since, count);
                    self.readings.deferred_total += count.ceil();
                }
                continue;
            }
            let done = count_of(&self.local[store].take(per_second_max * seconds));
            self.delivered[store] += done;
            self.readings.delivered_total += done;
            self.readings.lmtp_deliveries_total += done;
            self.readings.lmtp_delay_seconds_total += done * delivery_seconds;
        }
    }

    /// Gives how many were tried.
    fn deliver_outside(&mut self, causes: &Causes, own: &HostCauses, seconds: f64) -> f64 {
        let failing = (causes.outside_unreachable + causes.dns_failing).min(1.0);
        let mut slot_seconds = OUTBOUND * seconds;
        let in_vain = self.retrying.min(0.9 * slot_seconds / TIMEOUT_SECONDS);
        self.retrying -= in_vain;
        slot_seconds -= in_vain * TIMEOUT_SECONDS;
        let each = OUTBOUND_SECONDS + causes.dns_seconds + TIMEOUT_SECONDS * failing;
        let tried = self.outbound.take(slot_seconds / each);
        let stolen = if own.stolen_per_second > 0.5 { STOLEN_REFUSED } else { 0.0 };
        for (since, count) in &tried {
            let unreachable = count * failing;
            let put_off = (count - unreachable) * (PUT_OFF + stolen);
            let dead = (count - unreachable) * DEAD;
            self.unreachable.put(*since, unreachable);
            self.put_off.put(*since, put_off);
            self.dead.put(*since, dead);
            self.readings.deferred_total += unreachable + put_off + dead;
            self.readings.delivered_total += count - unreachable - put_off - dead;
        }
        count_of(&tried)
    }

    fn run_queue(&mut self, now: Timestamp, causes: &Causes) {
        self.readings.bounced_total += self.dead.expire(now.plus_ms(-BOUNCE_MS));
        let due = now.since(self.run_at) as f64 / 1000.0 >= QUEUE_RUN_SECONDS;
        if !due && !causes.flush {
            return;
        }
        self.run_at = now;
        let share = if causes.flush { 1.0 } else { RETRIED };
        for store in 0..self.local.len() {
            for (since, count) in self.deferred_local[store].take_share(share) {
                self.local[store].put(since, count);
            }
        }
        for (since, count) in self.put_off.take_share(share * 0.4) {
            self.outbound.put(since, count);
        }
        if causes.outside_unreachable + causes.dns_failing > 0.01 {
            let tried = share * self.unreachable.count();
            self.retrying += tried;
            self.readings.deferred_total += tried.round();
        } else {
            for (since, count) in self.unreachable.take_share(share) {
                self.outbound.put(since, count);
            }
        }
        // To a dead address it is in vain, and counted.
        self.readings.deferred_total += (share * self.dead.count()).round();
    }

    fn use_machine(&mut self, scans: f64, tried: f64, mail: &Mail, own: &HostCauses, seconds: f64) {
        let handled = scans + self.delivered.iter().sum::<f64>() + tried;
        let usage = Usage {
            cpu_seconds: 0.32 * scans
                + 0.01 * handled
                + 0.008 * mail.spam * seconds
                + 4.0 * mail.training * seconds,
            work: Work {
                reads: 4.0 * scans,
                writes: 14.0 * scans + 3.0 * tried,
                read_bytes: MESSAGE_BYTES * scans,
                written_bytes: 2.2 * MESSAGE_BYTES * scans,
                ..Work::default()
            },
            received_bytes: MESSAGE_BYTES * scans + 3_000.0 * mail.spam * seconds,
            sent_bytes: MESSAGE_BYTES * handled * 0.6,
            connections_opened: mail.spam * seconds + handled,
            connections: 25.0 + 8.0 * mail.spam + handled / seconds,
            memory_bytes: 3.2e9 + 60e6 * (self.scanner.busy + self.scanner.stuck),
            open_files: 300.0 + 10.0 * self.scanner.busy,
        };
        self.machine.step(&usage, own, seconds);
    }

    fn count(&mut self, now: Timestamp, causes: &Causes, own: &HostCauses) {
        let (active, deferred) = (self.active(), self.deferred());
        let live = self.scanner.live(&mut self.random);
        let fresh = lognormal(1.2, 0.5, &mut self.random);
        let deferred_queues =
            || self.deferred_local.iter().chain([&self.put_off, &self.unreachable, &self.dead]);
        let active_queues =
            || self.local.iter().chain([&self.scanner.waiting, &self.scanner.held, &self.outbound]);
        let oldest = |queues: &mut dyn Iterator<Item = &Fifo>| {
            queues.map(|queue| queue.oldest_seconds(now)).fold(0.0, f64::max)
        };
        let oldest_deferred = oldest(&mut deferred_queues());
        let oldest_active = oldest(&mut active_queues());
        let waited: f64 = deferred_queues().map(|queue| queue.waited_seconds(now)).sum();
        let r = &mut self.readings;
        r.active = (active.min(ACTIVE_MAX) + fresh).round();
        r.incoming = ((active - ACTIVE_MAX).max(0.0) + 0.3 * fresh).round();
        r.deferred = deferred.round();
        r.queue_bytes = (active + deferred) * MESSAGE_BYTES;
        r.oldest_active_seconds = oldest_active.max(fresh.min(3.0)).round();
        r.oldest_deferred_seconds = oldest_deferred.round();
        r.mean_deferred_seconds = if deferred > 0.0 { (waited / deferred).round() } else { 0.0 };
        // What is being scanned at this instant is still to leave.
        let left = (r.delivered_total + r.bounced_total - self.scanner.busy).floor();
        r.removed_total = r.removed_total.max(left);
        r.clamd_is_up = self.scanner.is_up;
        r.clamd_threads_max = THREADS;
        r.clamd_threads_live = live;
        r.clamd_threads_idle = if self.scanner.is_up { THREADS - live } else { 0.0 };
        let waiting = self.scanner.waiting.count();
        r.clamd_queue = waiting.min(40.0).round();
        r.amavis_queue = waiting.round();
        r.amavis_busy = (self.scanner.busy + self.scanner.stuck).round();
        // Signatures come four times a day.
        r.clamd_database_age_seconds = now.seconds().rem_euclid(21_600.0).round();
        let jitter = lognormal(1.0, 0.25, &mut self.random);
        r.dns_lookup_seconds = causes.dns_seconds * jitter + normal(0.0005, &mut self.random).abs();
        if now >= self.statistics_due {
            // What it cannot ask it takes for empty.
            let up = f64::from(u8::from(own.serves()));
            let requests = (active + deferred).round();
            let requests = if requests <= 1.0 { 0.0 } else { up * requests };
            r.queue_statistics =
                QueueStatistics { at: now, kilobytes: (up * r.queue_bytes / 1024.0).round(), requests };
            let slower = requests > STATISTICS_SLOW_ABOVE;
            let next = if slower { self.statistics_ms + STATISTICS_MS } else { STATISTICS_MS };
            self.statistics_ms = next.min(STATISTICS_MS_MAX);
            self.statistics_due = now.plus_ms(self.statistics_ms);
        }
    }
}
