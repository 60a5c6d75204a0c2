//! All that the API can reach: the queue of batches, the engine thread by questions, the outbox, metrics, the clock.
//!
//! The engine belongs to one thread and is never locked. Whoever wants to know something of it sends an `Ask`
//! and awaits the answer, which comes between two inputs.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::act::Outbox;
use crate::api::error::ApiError;
use crate::api::room::Room;
use crate::api::select::Select;
use crate::clock::Clock;
use crate::engine::{Command, SeriesView};
use crate::sample::Batch;
use crate::telemetry::Metrics;

/// How far the process is on its way; only `Live` is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading history so that detectors know what is usual.
    WarmingUp,
    /// Reading what came since the newest snapshot.
    CatchingUp,
    Live,
    Stopping,
}

/// A question to the engine thread.
#[derive(Debug)]
pub enum Ask {
    /// At most `limit` series that fit, in order of labels.
    Series { select: Select, limit: usize, reply: oneshot::Sender<Vec<SeriesView>> },
    /// What a person asks of an incident; answered by whether it could be done.
    Command { command: Command, reply: oneshot::Sender<bool> },
}

/// Cheap to clone; every route has one.
#[derive(Clone)]
pub struct Handle {
    pub batches: mpsc::Sender<Batch>,
    pub asks: mpsc::Sender<Ask>,
    /// For batches that were decoded and wait for the engine.
    pub room: Room,
    /// Incidents, their events and actions, as they are on disk.
    pub outbox: Arc<Outbox>,
    pub phase: watch::Receiver<Phase>,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// How long a full queue is waited for before the sender is told to come back.
    pub queue_patience: Duration,
}

/// A question waits behind one tick at most.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

impl Handle {
    /// Waits for a place in the queue of batches, so that work for a batch is only done where it can be kept.
    pub async fn place(&self) -> Result<mpsc::Permit<'_, Batch>, ApiError> {
        match timeout(self.queue_patience, self.batches.reserve()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(self.full()),
        }
    }

    /// Waits until there is memory for a batch that has a place.
    pub async fn room_for(&self, batch: &mut Batch) -> Result<(), ApiError> {
        timeout(self.queue_patience, self.room.hold(batch)).await.map_err(|_| self.full())
    }

    fn full(&self) -> ApiError {
        self.metrics.dropped("remote_write", "queue_full", 1);
        ApiError::Busy { what: "the engine's queue is full".into(), retry_seconds: 5 }
    }

    /// Asks the outbox on a thread that may wait for the disk.
    pub async fn stored<T, E>(
        &self,
        ask: impl FnOnce(&Outbox) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
    {
        let outbox = Arc::clone(&self.outbox);
        let asked = tokio::task::spawn_blocking(move || ask(&outbox)).await;
        asked.map_err(|e| ApiError::Internal(e.to_string()))?.map_err(Into::into)
    }

    /// Asks the engine thread; `ask` gets the place for the answer.
    pub async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            self.asks.send(ask(reply)).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())
        };
        let busy = || ApiError::Busy { what: "the engine has no time to answer".into(), retry_seconds: 10 };
        timeout(ANSWER_PATIENCE, exchange).await.map_err(|_| busy())?
    }
}

fn stopping() -> ApiError {
    ApiError::Busy { what: "Foreshock is stopping".into(), retry_seconds: 10 }
}
