//! Foreshock's own metrics and logs: every queue, drop, error and stage latency has a name here.
//!
//! Counting is a few atomic adds, so edges count as they go. What has to be asked (queue lengths, ages,
//! memory) is asked when somebody reads `/metrics`.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::sample::Timestamp;

/// The stages of the way of the data, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes of a page, request or message to a batch.
    Parse,
    /// A batch into the buckets of its ticks.
    Accept,
    /// Rows, surprises and incidents of the ticks that became due.
    Tick,
    /// Events and their outbox records to disk.
    Store,
    /// State and positions to disk.
    Snapshot,
    /// One attempt to deliver one outbox record.
    Deliver,
}

impl Stage {
    const ALL: [Stage; 6] =
        [Stage::Parse, Stage::Accept, Stage::Tick, Stage::Store, Stage::Snapshot, Stage::Deliver];

    fn name(self) -> &'static str {
        match self {
            Stage::Parse => "parse",
            Stage::Accept => "accept",
            Stage::Tick => "tick",
            Stage::Store => "store",
            Stage::Snapshot => "snapshot",
            Stage::Deliver => "deliver",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    part: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    sink: String,
    outcome: &'static str,
}

/// One sink's notices or remedies in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    sink: String,
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeverityLabel {
    severity: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

/// Users to whom something was promised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UsersLabel {
    users: String,
}

struct Probe {
    queue: &'static str,
    length: Box<dyn Fn() -> usize + Send + Sync>,
}

/// All metrics of the process; one instance, shared by reference count.
pub struct Metrics {
    registry: Registry,
    stages: [Histogram; Stage::ALL.len()],
    samples: Counter,
    batches: Counter,
    dropped: Family<Why, Counter>,
    errors: Family<Why, Counter>,
    attempts: Family<Attempt, Counter>,
    feedback: Family<VerdictLabel, Counter>,
    sinks_disabled: Gauge,
    outbox_waiting: Family<Part, Gauge>,
    outbox_capacity: Gauge,
    outbox_dropped: Family<Part, Counter>,
    queue_length: Family<QueueLabel, Gauge>,
    queue_capacity: Family<QueueLabel, Gauge>,
    probes: Mutex<Vec<Probe>>,
    series: Gauge,
    lanes: Gauge,
    entities: Gauge,
    waiting: Gauge,
    incidents_open: Gauge,
    threshold: Family<SeverityLabel, Gauge<f64, AtomicU64>>,
    brown_out_accepted: Family<UsersLabel, Gauge<f64, AtomicU64>>,
    brown_out_used: Family<UsersLabel, Gauge<f64, AtomicU64>>,
    ticks: Counter,
    ticks_skipped: Counter,
    /// Data time of the newest tick, `i64::MIN` before the first.
    tick_at: AtomicI64,
    watermark_lag: Gauge<f64, AtomicU64>,
    /// Data time of the newest snapshot on disk, `i64::MIN` before the first.
    snapshot_at: AtomicI64,
    snapshot_age: Gauge<f64, AtomicU64>,
    snapshot_size: Gauge,
    resident: Gauge,
}

/// What the engine thread says about its engine, after a tick and from time to time.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineGauges {
    pub series: usize,
    pub lanes: usize,
    pub entities: usize,
    /// Samples that wait for their tick.
    pub waiting: usize,
    pub incidents_open: usize,
    /// The evidence that a ticket and a page take.
    pub thresholds: [f64; 2],
    /// Since the process started.
    pub ticks: u64,
    pub ticks_skipped: u64,
    /// The newest tick.
    pub tick_at: Option<Timestamp>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every metric that does not depend on the configuration.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("foreshock");
        // 10 us to 10 s.
        let by_stage = Family::<StageLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(1e-5, 10f64.sqrt(), 13))
        });
        let stages = Stage::ALL.map(|s| by_stage.get_or_create(&StageLabel { stage: s.name() }).clone());
        registry.register_with_unit(
            "stage_duration",
            "Time that one step of a stage took",
            Unit::Seconds,
            by_stage,
        );
        let metrics = Metrics {
            stages,
            samples: Counter::default(),
            batches: Counter::default(),
            dropped: Family::default(),
            errors: Family::default(),
            attempts: Family::default(),
            feedback: Family::default(),
            sinks_disabled: Gauge::default(),
            outbox_waiting: Family::default(),
            outbox_capacity: Gauge::default(),
            outbox_dropped: Family::default(),
            queue_length: Family::default(),
            queue_capacity: Family::default(),
            probes: Mutex::default(),
            series: Gauge::default(),
            lanes: Gauge::default(),
            entities: Gauge::default(),
            waiting: Gauge::default(),
            incidents_open: Gauge::default(),
            threshold: Family::default(),
            brown_out_accepted: Family::default(),
            brown_out_used: Family::default(),
            ticks: Counter::default(),
            ticks_skipped: Counter::default(),
            tick_at: AtomicI64::new(i64::MIN),
            watermark_lag: Gauge::default(),
            snapshot_at: AtomicI64::new(i64::MIN),
            snapshot_age: Gauge::default(),
            snapshot_size: Gauge::default(),
            resident: Gauge::default(),
            registry,
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register("samples", "Samples handed to the engine", self.samples.clone());
        r.register("batches", "Batches handed to the engine", self.batches.clone());
        r.register(
            "dropped",
            "Samples, messages or requests dropped, by the part that did and why",
            self.dropped.clone(),
        );
        r.register("errors", "Errors, by the part that met them and their kind", self.errors.clone());
        r.register(
            "delivery_attempts",
            "Attempts to deliver, by sink and how they went",
            self.attempts.clone(),
        );
        let feedback = "Verdicts of people on incidents that changed something, by verdict";
        r.register("feedback", feedback, self.feedback.clone());
        r.register("disabled_sinks", "Sinks whose receivers want nothing more", self.sinks_disabled.clone());
        let waiting = "Notices and remedies that wait in the outbox, by sink";
        r.register("outbox_waiting_records", waiting, self.outbox_waiting.clone());
        let capacity = "Notices, and apart from them remedies, that may wait for one sink";
        r.register("outbox_capacity_records", capacity, self.outbox_capacity.clone());
        let dropped = "Notices and remedies not sent because too many waited for the sink";
        r.register("outbox_dropped_records", dropped, self.outbox_dropped.clone());
        r.register("queue_length_entries", "Entries waiting in a queue", self.queue_length.clone());
        r.register("queue_capacity_entries", "Entries that fit into a queue", self.queue_capacity.clone());
        r.register("known_series", "Series known", self.series.clone());
        r.register(
            "live_lanes",
            "Series whose cadence is known and that detectors watch",
            self.lanes.clone(),
        );
        r.register("known_entities", "Entities that series belong to", self.entities.clone());
        r.register("waiting_samples", "Samples that wait for their tick", self.waiting.clone());
        r.register("open_incidents", "Incidents open", self.incidents_open.clone());
        let threshold = "Evidence that an incident of a severity takes, by the budget";
        r.register("incident_threshold_weight", threshold, self.threshold.clone());
        r.register("ticks", "Ticks done", self.ticks.clone());
        let skipped = "Ticks left out because nothing came for a long time";
        r.register("skipped_ticks", skipped, self.ticks_skipped.clone());
        let (seconds, bytes) = (|| Unit::Seconds, || Unit::Bytes);
        r.register_with_unit(
            "brown_out_accepted",
            "What users accept of a week without what they were promised",
            seconds(),
            self.brown_out_accepted.clone(),
        );
        r.register_with_unit(
            "brown_out_used",
            "How much of the last seven days users were without what they were promised",
            seconds(),
            self.brown_out_used.clone(),
        );
        r.register_with_unit(
            "watermark_lag",
            "How far the newest tick is behind the clock",
            seconds(),
            self.watermark_lag.clone(),
        );
        r.register_with_unit(
            "snapshot_age",
            "Age of the newest snapshot on disk",
            seconds(),
            self.snapshot_age.clone(),
        );
        r.register_with_unit(
            "snapshot_size",
            "Size of the newest snapshot",
            bytes(),
            self.snapshot_size.clone(),
        );
        r.register_with_unit(
            "resident_memory",
            "Resident memory of the process",
            bytes(),
            self.resident.clone(),
        );
        self
    }

    /// Adds one step of a stage to its latencies.
    pub fn observe(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].observe(took.as_secs_f64());
    }

    /// Runs `work` as one step of a stage.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let value = work();
        self.observe(stage, started.elapsed());
        value
    }

    /// Counts a batch that reached the engine.
    pub fn accepted(&self, samples: usize) {
        self.batches.inc();
        self.samples.inc_by(samples as u64);
    }

    /// Counts what `part` threw away; `reason` comes from a closed set.
    pub fn dropped(&self, part: &'static str, reason: &'static str, count: u64) {
        self.dropped.get_or_create(&Why { part, reason }).inc_by(count);
    }

    /// Sets the count of a drop that is counted elsewhere since the process started.
    pub fn dropped_in_all(&self, part: &'static str, reason: &'static str, count: u64) {
        self.dropped.get_or_create(&Why { part, reason }).inner().store(count, Ordering::Relaxed);
    }

    /// Counts an error that `part` met; `kind` comes from a closed set.
    pub fn error(&self, part: &'static str, kind: &'static str) {
        self.errors.get_or_create(&Why { part, reason: kind }).inc();
    }

    /// Sets how many attempts at a sink went so, since the process started. Sinks come from the configuration.
    pub fn attempts_in_all(&self, sink: &str, outcome: &'static str, count: u64) {
        let attempt = Attempt { sink: sink.into(), outcome };
        self.attempts.get_or_create(&attempt).inner().store(count, Ordering::Relaxed);
    }

    /// Sets how often a verdict on an incident was heard, since the process started.
    pub fn feedback_in_all(&self, verdict: &'static str, count: u64) {
        self.feedback.get_or_create(&VerdictLabel { verdict }).inner().store(count, Ordering::Relaxed);
    }

    /// Sets how many sinks are turned off because their receivers said so.
    pub fn sinks_disabled(&self, count: usize) {
        self.sinks_disabled.set(count as i64);
    }

    /// Sets what waits in the outbox, by sink and kind of record, and how much may.
    pub fn outbox<'a>(&self, capacity: usize, parts: impl Iterator<Item = (&'a str, &'static str, usize)>) {
        self.outbox_capacity.set(capacity as i64);
        for (sink, what, count) in parts {
            self.outbox_waiting.get_or_create(&Part { sink: sink.into(), what }).set(count as i64);
        }
    }

    /// Sets how many records the outbox had no room for, since the process started.
    pub fn outbox_dropped_in_all(&self, sink: &str, what: &'static str, count: u64) {
        let part = Part { sink: sink.into(), what };
        self.outbox_dropped.get_or_create(&part).inner().store(count, Ordering::Relaxed);
    }

    /// Has a queue's length asked for at each reading of the metrics.
    pub fn queue(
        &self,
        queue: &'static str,
        capacity: usize,
        length: impl Fn() -> usize + Send + Sync + 'static,
    ) {
        self.queue_capacity.get_or_create(&QueueLabel { queue }).set(capacity as i64);
        lock(&self.probes).push(Probe { queue, length: Box::new(length) });
    }

    /// Takes over what the engine says about itself.
    pub fn engine(&self, now: EngineGauges) {
        self.series.set(now.series as i64);
        self.lanes.set(now.lanes as i64);
        self.entities.set(now.entities as i64);
        self.waiting.set(now.waiting as i64);
        self.incidents_open.set(now.incidents_open as i64);
        for (severity, weight) in ["ticket", "page"].into_iter().zip(now.thresholds) {
            self.threshold.get_or_create(&SeverityLabel { severity }).set(weight);
        }
        self.ticks_skipped.inner().store(now.ticks_skipped, Ordering::Relaxed);
        self.ticks.inner().store(now.ticks, Ordering::Relaxed);
        if let Some(at) = now.tick_at {
            self.tick_at.store(at.0, Ordering::Relaxed);
        }
    }

    /// Sets what some users accept of a week without what they were promised, and what is used of that. Users come from the
    /// configuration.
    pub fn brown_out(&self, users: &str, accepted_seconds: f64, used_seconds: f64) {
        let users = UsersLabel { users: users.into() };
        self.brown_out_accepted.get_or_create(&users).set(accepted_seconds);
        self.brown_out_used.get_or_create(&users).set(used_seconds);
    }

    /// A snapshot of data time `at` is on disk.
    pub fn snapshot(&self, at: Timestamp, bytes: u64) {
        self.snapshot_at.store(at.0, Ordering::Relaxed);
        self.snapshot_size.set(bytes as i64);
    }

    /// All metrics as OpenMetrics text; `now` is data time.
    pub fn encode(&self, now: Timestamp) -> String {
        for probe in lock(&self.probes).iter() {
            self.queue_length.get_or_create(&QueueLabel { queue: probe.queue }).set((probe.length)() as i64);
        }
        self.watermark_lag.set(age_seconds(&self.tick_at, now));
        self.snapshot_age.set(age_seconds(&self.snapshot_at, now));
        self.resident.set(resident_bytes().unwrap_or(0) as i64);
        let mut page = String::new();
        if text::encode(&mut page, &self.registry).is_err() {
            // A `String` takes everything; should an encoder still give up, a scraper must see a broken page.
            let _ = page.write_str("\n!");
        }
        page
    }
}

/// NaN where there is nothing yet whose age could be told.
fn age_seconds(at: &AtomicI64, now: Timestamp) -> f64 {
    match at.load(Ordering::Relaxed) {
        i64::MIN => f64::NAN,
        at => now.since(Timestamp(at)) as f64 / 1000.0,
    }
}

/// A panic while counting leaves nothing half done, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Linux only; elsewhere unknown.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The media type of `Metrics::encode`.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Sends logs to stderr: for people on a terminal, as JSON otherwise. `FORESHOCK_LOG` filters, by default `info`.
///
/// A second call changes nothing.
pub fn init_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FORESHOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::io::stderr().is_terminal() { logs.try_init() } else { logs.json().try_init() };
    // The error says that logs are already set up, which is what was asked for.
    drop(set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_queues_drops_and_latencies() {
        let metrics = Metrics::new();
        metrics.queue("batches", 8, || 3);
        metrics.dropped("engine", "late", 2);
        metrics.observe(Stage::Tick, Duration::from_millis(5));
        metrics.accepted(40);
        metrics.snapshot(Timestamp(1_000), 77);
        metrics.outbox(10, [("pager", "notice", 4)].into_iter());
        metrics.outbox_dropped_in_all("pager", "notice", 2);
        metrics.brown_out(r#"our "best""#, 1800.0, 720.0);
        metrics.engine(EngineGauges {
            entities: 3,
            waiting: 9,
            thresholds: [7.5, 8.5],
            ticks_skipped: 6,
            ..EngineGauges::default()
        });
        let page = metrics.encode(Timestamp(61_000));
        for line in [
            r#"foreshock_queue_length_entries{queue="batches"} 3"#,
            r#"foreshock_queue_capacity_entries{queue="batches"} 8"#,
            r#"foreshock_dropped_total{part="engine",reason="late"} 2"#,
            r#"foreshock_stage_duration_seconds_count{stage="tick"} 1"#,
            r#"foreshock_stage_duration_seconds_count{stage="deliver"} 0"#,
            r#"foreshock_outbox_waiting_records{sink="pager",what="notice"} 4"#,
            r#"foreshock_outbox_dropped_records_total{sink="pager",what="notice"} 2"#,
            "foreshock_outbox_capacity_records 10",
            "foreshock_known_entities 3",
            "foreshock_waiting_samples 9",
            r#"foreshock_incident_threshold_weight{severity="page"} 8.5"#,
            r#"foreshock_brown_out_accepted_seconds{users="our \"best\""} 1800.0"#,
            r#"foreshock_brown_out_used_seconds{users="our \"best\""} 720.0"#,
            "foreshock_skipped_ticks_total 6",
            "foreshock_samples_total 40",
            "foreshock_snapshot_age_seconds 60.0",
            "foreshock_watermark_lag_seconds NaN",
            "foreshock_snapshot_size_bytes 77",
            "# EOF",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
    }
}
