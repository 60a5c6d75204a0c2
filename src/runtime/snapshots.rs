//! When the state goes to disk, and what may be forgotten by its sources once it is there.
//!
//! A snapshot is a barrier between two inputs: the state and the positions of one instant, with every event of
//! earlier inputs already in the store. The state is copied at the barrier and written beside the engine,
//! one snapshot at a time. Only then are its positions told as durable, and only these are committed to Kafka.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::durable::snapshot::{self, Snapshot, SnapshotError};
use crate::engine::EngineState;
use crate::sample::Position;
use crate::telemetry::{Metrics, Stage};

/// Where to read on in each source that can be read again.
pub type Positions = BTreeMap<String, Position>;

/// Between two snapshots, however much happens.
const HURRY: Duration = Duration::from_secs(5);

/// Writes snapshots of one engine.
pub struct Snapshots {
    path: PathBuf,
    interval: Duration,
    next: Instant,
    writing: Option<JoinHandle<()>>,
    durable: Arc<watch::Sender<Positions>>,
    metrics: Arc<Metrics>,
}

impl Snapshots {
    /// `durable` is told the positions of each snapshot that is on disk.
    pub fn new(
        path: PathBuf,
        interval: Duration,
        durable: watch::Sender<Positions>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let next = Instant::now() + interval;
        Snapshots { path, interval, next, writing: None, durable: Arc::new(durable), metrics }
    }

    /// Resolves when the next snapshot is due; not before the one before is on disk.
    pub async fn due(&mut self) {
        if let Some(writing) = &mut self.writing {
            // A panic of the writer has been reported where it happened; the next snapshot is another try.
            let _ = writing.await;
            self.writing = None;
        }
        sleep_until(self.next).await;
    }

    /// Wants the next snapshot soon, if the last one is not quite new.
    pub fn hurry(&mut self) {
        let began = self.next.checked_sub(self.interval).unwrap_or(self.next);
        self.next = self.next.min((began + HURRY).max(Instant::now()));
    }

    /// Starts writing a snapshot, unless one is being written.
    pub fn begin(&mut self, runtime: &Handle, snapshot: Snapshot<EngineState>) {
        self.next = Instant::now() + self.interval;
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let (path, durable, metrics) =
            (self.path.clone(), Arc::clone(&self.durable), Arc::clone(&self.metrics));
        self.writing = Some(runtime.spawn_blocking(move || {
            // A failure leaves the old snapshot and its positions in force; the error is counted and logged.
            let _ = write(&path, snapshot, &durable, &metrics);
        }));
    }

    /// Waits for the one being written, then writes the last.
    ///
    /// # Errors
    /// The disk; the snapshot before is still there then.
    pub async fn finish(mut self, last: Snapshot<EngineState>) -> Result<(), SnapshotError> {
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
        write(&self.path, last, &self.durable, &self.metrics)
    }
}

fn write(
    path: &std::path::Path,
    snapshot: Snapshot<EngineState>,
    durable: &watch::Sender<Positions>,
    metrics: &Metrics,
) -> Result<(), SnapshotError> {
    match metrics.time(Stage::Snapshot, || snapshot::write(path, &snapshot)) {
        Ok(bytes) => {
            metrics.snapshot(snapshot.at, bytes);
            durable.send_replace(snapshot.positions);
            Ok(())
        }
        Err(error) => {
            metrics.error("snapshot", "write");
            tracing::error!(%error, "the snapshot could not be written; the one before stays in force");
            Err(error)
        }
    }
}
