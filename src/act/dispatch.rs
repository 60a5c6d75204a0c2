//! Delivery: takes what is due from the outbox, makes one attempt at it, and has the outbox write down how it went.
//!
//! An attempt that a crash cuts off is made again under the same id. What was delivered but could not be
//! written down is written down later, never sent again for that.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::outbox::{Delivery, Outbox};
use super::sinks::{Connected, Sinks};
use super::{Letter, Verdict};
use crate::clock::Clock;
use crate::durable::store::StoreError;
use crate::telemetry::{Metrics, Stage};

/// Wall time between two looks after old rows and late approvals.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// The disk is tried again after this.
const DISK_PAUSE: Duration = Duration::from_secs(1);
/// Attempts in flight get this long to end when the process is asked to.
const FAREWELL: Duration = Duration::from_secs(5);

pub struct Dispatcher {
    outbox: Arc<Outbox>,
    sinks: Sinks,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Dispatcher {
    pub fn new(outbox: Arc<Outbox>, sinks: Sinks, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Dispatcher { outbox, sinks, clock, metrics }
    }

    /// Delivers until `stop`; what is in flight then may end within 5 s.
    pub async fn run(self, stop: CancellationToken) {
        let mut flying = JoinSet::new();
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        while !stop.is_cancelled() {
            let pause = match self.launch(&mut flying).await {
                Ok(()) => self.until_due(),
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read or written");
                    DISK_PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.outbox.changed() => {}
                Some(_) = flying.join_next(), if !flying.is_empty() => {}
                () = tokio::time::sleep(pause) => {}
                _ = housekeeping.tick() => self.keep_house().await,
            }
        }
        let all_down = async { while flying.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all_down).await.is_err() {
            tracing::warn!("attempts were cut off; they will be made again under the same ids");
        }
    }

    /// Starts an attempt at everything that is due.
    async fn launch(&self, flying: &mut JoinSet<()>) -> Result<(), StoreError> {
        loop {
            let (outbox, now) = (self.outbox.clone(), self.clock.now());
            let Some(delivery) = blocking(move || outbox.begin(now)).await? else { return Ok(()) };
            let connected = self.sinks.get(&delivery.record.sink);
            let metrics = self.metrics.clone();
            flying.spawn(attempt(self.outbox.clone(), connected, self.clock, metrics, delivery));
        }
    }

    /// Wall time until something is due.
    fn until_due(&self) -> Duration {
        let ms =
            self.outbox.next_due_at().map(|at| at.since(self.clock.now()).max(0) as f64 / self.clock.scale());
        ms.map_or(HOUSEKEEPING, |ms| Duration::from_secs_f64(ms / 1000.0).min(HOUSEKEEPING))
    }

    async fn keep_house(&self) {
        let (outbox, now) = (self.outbox.clone(), self.clock.now());
        let kept = blocking(move || {
            outbox.expire(now)?;
            outbox.prune(now)
        });
        if let Err(error) = kept.await {
            tracing::error!(%error, "old rows and late approvals could not be looked after");
        }
    }
}

async fn attempt(
    outbox: Arc<Outbox>,
    connected: Option<Arc<Connected>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    delivery: Delivery,
) {
    let started = Instant::now();
    let verdict = match &connected {
        Some(connected) => send(connected, clock, &delivery).await,
        None => Verdict::Refused { reason: "the config has no such sink any more".into() },
    };
    metrics.observe(Stage::Deliver, started.elapsed());
    let record = &delivery.record;
    let (sink, id, attempt) = (&record.sink, &record.id, record.attempts);
    match &verdict {
        Verdict::Delivered { .. } => tracing::debug!(%sink, %id, attempt, "delivered"),
        verdict => tracing::warn!(%sink, %id, attempt, ?verdict, "not delivered"),
    }
    let resend = connected.and_then(|connected| connected.sink.resend());
    let delivery = Arc::new(delivery);
    loop {
        let (outbox, delivery, verdict) = (outbox.clone(), delivery.clone(), verdict.clone());
        match blocking(move || outbox.end(clock.now(), &delivery, &verdict, resend)).await {
            Ok(_) => return,
            Err(error) => tracing::error!(%error, "how a delivery went cannot be written down"),
        }
        tokio::time::sleep(DISK_PAUSE).await;
    }
}

/// One attempt.
async fn send(connected: &Connected, clock: Clock, delivery: &Delivery) -> Verdict {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let letter = Letter {
        id: &delivery.record.id,
        event: &delivery.record.event,
        now: clock.now(),
        wall_seconds: wall.as_secs() as i64,
        attempt: delivery.record.attempts,
        note: delivery.note.as_deref(),
    };
    let request = match connected.sink.request(&letter) {
        Ok(request) => request,
        Err(error) => return Verdict::Refused { reason: error.to_string() },
    };
    match connected.client.send(&request).await {
        Ok(answer) => connected.sink.judge(&letter, &answer),
        Err(error) if error.is_retryable() => Verdict::Again { after: None, reason: error.to_string() },
        Err(error) => Verdict::Refused { reason: error.to_string() },
    }
}

/// The store waits for the disk, which the runtime must not.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down and took the work off its queue: there is nothing to go on with.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests;
