//! What the engine says becomes what is on disk, with the actions that follow from it.
//!
//! The engine goes on only after the store has taken the events of its last step. So whatever a snapshot
//! holds, the store holds too; and a store that cannot be written stops the intake instead of losing an action.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::act::Outbox;
use crate::durable::record::Case;
use crate::durable::store::StoreError;
use crate::incident::event::{Event, EventKind};
use crate::sample::Timestamp;
use crate::telemetry::{Metrics, Stage};

/// How long a store that fails is tried again before the process ends and leaves the rest to its next start.
const STORE_PATIENCE: Duration = Duration::from_secs(60);
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The way of events out of the engine.
pub struct Ledger {
    outbox: Arc<Outbox>,
    metrics: Arc<Metrics>,
    /// While history is read: the newest event of each incident that is still open in it.
    history: Option<BTreeMap<String, Event>>,
    /// Once live: how far the store's open incidents reach that may have come from lost samples.
    doubtful_until: Option<Timestamp>,
}

impl Ledger {
    /// With `warming_up` nothing is recorded before `go_live`.
    pub fn new(outbox: Arc<Outbox>, metrics: Arc<Metrics>, warming_up: bool) -> Self {
        Ledger { outbox, metrics, history: warming_up.then(BTreeMap::new), doubtful_until: None }
    }

    /// Puts the events of one step on disk.
    ///
    /// # Errors
    /// The store cannot be written, and that didn't pass within a minute.
    pub fn record(&mut self, events: &[Event]) -> Result<(), StoreError> {
        match &mut self.history {
            Some(open) => remember(open, events),
            None if events.is_empty() => {}
            None => drop(self.persist(|outbox| outbox.accept(events))?),
        }
        Ok(())
    }

    /// What still goes on at the end of history is told as if it began now. From here on events are recorded as
    /// they come.
    ///
    /// # Errors
    /// As for `record`.
    pub fn go_live(&mut self) -> Result<(), StoreError> {
        self.doubtful_until = self.persist(Outbox::open_until)?;
        let history = self.history.take().unwrap_or_default();
        let mut ongoing: Vec<Event> = history.into_values().collect();
        ongoing.sort_by(|a, b| opening(a).cmp(&opening(b)));
        for event in &mut ongoing {
            event.event = EventKind::Opened;
        }
        self.record(&ongoing)
    }

    /// Whether the engine, that has reached `reached`, has now lived through all that the store knew when it
    /// went live. Before that an incident may be unknown to it only because its tick has yet to come again.
    pub fn is_settled(&self, reached: Timestamp) -> bool {
        self.doubtful_until.is_some_and(|until| reached >= until)
    }

    /// What the store has open and the engine, once it `is_settled`, doesn't know: found in samples that came after
    /// the snapshot and cannot be read again.
    ///
    /// # Errors
    /// As for `record`.
    pub fn lost(&self, open: &BTreeSet<String>) -> Result<Vec<Case>, StoreError> {
        self.persist(|outbox| outbox.lost(open))
    }

    /// Closes what the store has open and the engine doesn't know and could not take back.
    ///
    /// # Errors
    /// As for `record`.
    pub fn settle(&mut self, now: Timestamp, open: &BTreeSet<String>) -> Result<(), StoreError> {
        self.persist(|outbox| outbox.reconcile(now, open))?;
        self.doubtful_until = None;
        Ok(())
    }

    fn persist<T>(&self, work: impl Fn(&Outbox) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let first_try = Instant::now();
        loop {
            let error = match self.metrics.time(Stage::Store, || work(&self.outbox)) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            self.metrics.error("store", "write");
            if !error.is_retryable() || first_try.elapsed() > STORE_PATIENCE {
                return Err(error);
            }
            tracing::error!(%error, "events cannot be recorded; nothing is taken in until they are");
            std::thread::sleep(STORE_PAUSE);
        }
    }
}

/// What was over before the present concerns nobody any more.
fn remember(open: &mut BTreeMap<String, Event>, events: &[Event]) {
    for event in events {
        let Some(incident) = &event.incident else { continue };
        if incident.resolved_at.is_some() {
            open.remove(&incident.id);
        } else {
            open.insert(incident.id.clone(), event.clone());
        }
    }
}

fn opening(event: &Event) -> Option<(Timestamp, &str)> {
    event.incident.as_ref().map(|incident| (incident.opened_at, incident.id.as_str()))
}
