//! Where a decision and its record become one: nothing is published, and nothing leaves, before it is on disk.
//!
//! `accept` and `approve` make records, `begin` hands the next one out for an attempt, `end` writes down how it
//! went. Each is one transaction. A crash between `begin` and `end` means one more attempt under the same id.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use super::acting::{Acting, Outcome};
use super::approve::ApproveError;
use super::guard::Policy;
use super::id::fingerprint;
use super::queue::{Lane, Queue, Taken};
use super::retry::{self, Next};
use super::room::{Part, Room};
use super::{Verdict, sinks};
use crate::config::Config;
use crate::durable::record::{Case, Changes, Disabled, OutboxRecord, RecordState, Stage};
use crate::durable::store::{Store, StoreError};
use crate::incident::event::{Action, Event};
use crate::sample::Timestamp;

use tally::Tally;

/// Events that a slow listener may fall behind before it misses some.
const EVENTS_BEHIND_MAX: usize = 1_024;

/// What the outbox needs to know of the config.
#[derive(Clone, Debug)]
pub struct Settings {
    pub policy: Policy,
    /// Notices, and apart from them remedies, that may wait for one sink.
    pub records_max: usize,
    /// Closed incidents are kept this long.
    pub retention: Duration,
    /// A fingerprint of each sink's URL: a changed URL is turned on again.
    pub endpoints: BTreeMap<String, String>,
}

impl Settings {
    pub fn of(config: &Config) -> Self {
        let url = |sink| fingerprint(sinks::url_of(sink).as_str());
        Settings {
            policy: Policy::of(config),
            records_max: config.limits.outbox_records_max,
            retention: config.limits.retention,
            endpoints: config.sinks.iter().map(|sink| (sink.name.clone(), url(&sink.kind))).collect(),
        }
    }
}

/// Why an approval did not go through.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    #[error(transparent)]
    Approve(#[from] ApproveError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An attempt that has begun.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub record: OutboxRecord,
    pub note: Option<String>,
    lane: Lane,
}

struct Inner {
    acting: Acting,
    queue: Queue,
    tally: Tally,
    /// A commit failed: `acting` may know what the disk does not, and is read anew.
    stale: bool,
}

pub struct Outbox {
    store: Store,
    settings: Settings,
    inner: Mutex<Inner>,
    changed: Notify,
    published: broadcast::Sender<Event>,
}

impl Outbox {
    /// Goes on where the store stands.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(store: Store, settings: Settings) -> Result<Self, StoreError> {
        let mut loaded = store.load()?;
        for (sink, disabled) in std::mem::take(&mut loaded.disabled) {
            if settings.endpoints.get(&sink) == Some(&disabled.url) {
                loaded.disabled.push((sink, disabled));
            } else {
                store.enable(&sink)?;
            }
        }
        let mut queue = Queue::default();
        loaded.pending.iter().for_each(|record| queue.push(record));
        let acting = Acting::of_store(settings.policy.clone(), loaded);
        let inner = Inner { acting, queue, tally: Tally::default(), stale: false };
        Ok(Outbox {
            store,
            settings,
            inner: Mutex::new(inner),
            changed: Notify::new(),
            published: broadcast::Sender::new(EVENTS_BEHIND_MAX),
        })
    }

    /// For reading: incidents, their events, single records.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Every event from here on, once it is on disk.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.published.subscribe()
    }

    /// Takes in what the engine says. The events that come back are on disk, with all that they caused; publish these.
    ///
    /// # Errors
    /// The disk; nothing has changed then, and the same call may be made again.
    pub fn accept(&self, events: &[Event]) -> Result<Vec<Event>, StoreError> {
        self.change(|acting| Ok(acting.accept(events)))
    }

    /// Lets a waiting action go.
    ///
    /// # Errors
    /// See `Acting::approve`; or the disk, and nothing has changed then.
    pub fn approve(&self, now: Timestamp, action: &str, by: &str) -> Result<Vec<Event>, ApprovalError> {
        self.change(|acting| Ok(acting.approve(now, action, by)?))
    }

    /// Actions that wait for a person.
    pub fn waiting(&self) -> Result<Vec<Action>, StoreError> {
        let inner = self.lock()?;
        let steps = inner.acting.state().cases.values().flat_map(|case| &case.steps);
        Ok(steps.filter(|step| step.stage == Stage::Waiting).map(|step| step.action.clone()).collect())
    }

    /// Data time of the newest event of any open incident.
    pub fn open_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let inner = self.lock()?;
        let open = inner.acting.state().cases.values().filter(|case| case.is_open());
        Ok(open.map(|case| case.accepted.0).max())
    }

    /// The cases of open incidents that the engine does not know.
    pub fn lost(&self, open: &BTreeSet<String>) -> Result<Vec<Case>, StoreError> {
        let inner = self.lock()?;
        let cases = inner.acting.state().cases.values();
        Ok(cases.filter(|case| case.is_open() && !open.contains(&case.incident.id)).cloned().collect())
    }

    /// Closes incidents that the engine does not know; called once, when it has lived through `open_until` again.
    pub fn reconcile(&self, now: Timestamp, open: &BTreeSet<String>) -> Result<Vec<Event>, StoreError> {
        self.change(|acting| Ok(acting.reconcile(now, open)))
    }

    /// Lets go of approvals that never came.
    pub fn expire(&self, now: Timestamp) -> Result<Vec<Event>, StoreError> {
        self.change(|acting| Ok(acting.expire(now)))
    }

    /// Forgets what is past retention; returns how many rows.
    pub fn prune(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.store.prune(now, self.settings.retention.as_millis() as i64)
    }

    pub fn stats(&self) -> OutboxStats {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = inner.queue.waiting();
        for sink in self.settings.policy.sinks.keys() {
            waiting.entry(Part::new(sink, false)).or_default();
            waiting.entry(Part::new(sink, true)).or_default();
        }
        OutboxStats {
            pending: inner.queue.len(),
            waiting,
            capacity: self.settings.records_max,
            dropped: inner.tally.dropped.clone(),
            disabled: inner.acting.state().disabled.keys().cloned().collect(),
            sinks: inner.tally.sinks.clone(),
        }
    }

    /// Hands out the next record that is due, its attempt counted on disk.
    ///
    /// # Errors
    /// The disk; the record stays where it was.
    pub fn begin(&self, now: Timestamp) -> Result<Option<Delivery>, StoreError> {
        let mut inner = self.lock()?;
        self.end_what_gave_way(&mut inner)?;
        while let Some(taken) = inner.queue.take(now) {
            let delivery = self.attempt(&mut inner, &taken, now);
            match delivery {
                Ok(Some(delivery)) => return Ok(Some(delivery)),
                Ok(None) => inner.queue.finish(&taken.lane),
                Err(error) => {
                    inner.queue.release(&taken.lane, now.plus_ms(1_000));
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// `None` where the record has come to its end without an attempt.
    fn attempt(
        &self,
        inner: &mut Inner,
        taken: &Taken,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StoreError> {
        let Some(mut record) = self.store.record(&taken.id)? else { return Ok(None) };
        if let Some(reason) = inner.acting.unwanted(&record, now) {
            let reason = reason.to_owned();
            let mut changes = inner.acting.settle(now, &record, &Outcome::Expired { reason: reason.clone() });
            record.state = RecordState::Failed { at: now, reason };
            changes.moved.push(record);
            self.commit(inner, &changes)?;
            return Ok(None);
        }
        if record.state == RecordState::Pending {
            record.attempts += 1;
            self.commit(inner, &Changes { moved: vec![record.clone()], ..Changes::default() })?;
        }
        let case = inner.acting.state().cases.get(&record.incident);
        let note = case.and_then(|case| case.notes.get(&record.sink).cloned().flatten());
        Ok(Some(Delivery { record, note, lane: taken.lane.clone() }))
    }

    /// Writes down how an attempt went; `resend` is the sink's wish to have what arrived repeated.
    ///
    /// # Errors
    /// The disk: the lane stays taken, so that the same call can be made again and nothing is sent twice.
    pub fn end(
        &self,
        now: Timestamp,
        delivery: &Delivery,
        verdict: &Verdict,
        resend: Option<Duration>,
    ) -> Result<Vec<Event>, StoreError> {
        let mut inner = self.lock()?;
        let mut record = delivery.record.clone();
        let standing = record.state == RecordState::Standing;
        let next = retry::judge(&record, verdict, now, resend);
        let outcome = match (&next, verdict) {
            (_, Verdict::Delivered { note }) if !standing => Some(Outcome::Delivered { note: note.clone() }),
            (_, Verdict::Next { note }) => Some(Outcome::Noted { note: note.clone() }),
            (Next::End(RecordState::Failed { reason, .. }), _) => {
                Some(Outcome::Failed { reason: reason.clone() })
            }
            _ => None,
        };
        let mut changes = outcome.map_or_else(Changes::default, |o| inner.acting.settle(now, &record, &o));
        if let Next::At(due_at, state) = &next {
            record.due_at = *due_at;
            record.state = state.clone();
        } else if let Next::End(state) = &next {
            record.state = state.clone();
        }
        // A repeat of what stands leaves no trace, or every open incident would cost a write a minute.
        if !(standing && record.state == RecordState::Standing) {
            changes.moved.push(record.clone());
        }
        if *verdict == Verdict::Gone {
            self.turn_off(&mut inner, &record.sink, now, &mut changes)?;
        }
        self.commit(&mut inner, &changes)?;
        match next {
            Next::End(_) => inner.queue.finish(&delivery.lane),
            Next::At(due_at, state) => {
                inner.queue.put_back(&delivery.lane, due_at, state == RecordState::Standing);
            }
        }
        if *verdict == Verdict::Gone {
            inner.queue.drop_all_of(&record.sink);
        }
        inner.tally.attempt(record.sink, verdict, &record.state);
        self.changed.notify_one();
        Ok(changes.events)
    }

    /// Writes down the end of what a later record has taken the place of. A crash before it costs nothing: the queue
    /// is built anew from the same records.
    fn end_what_gave_way(&self, inner: &mut Inner) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        for (id, at) in inner.queue.given_way() {
            let Some(mut record) = self.store.record(id)? else { continue };
            record.state = match record.state {
                RecordState::Standing => RecordState::Delivered { at: *at },
                RecordState::Pending => RecordState::Superseded { at: *at },
                _ => continue,
            };
            changes.moved.push(record);
        }
        self.commit(inner, &changes)?;
        inner.queue.forget_given_way();
        Ok(())
    }

    /// The receiver wants nothing more: what waits for it has failed.
    fn turn_off(
        &self,
        inner: &mut Inner,
        sink: &str,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        let url = self.settings.endpoints.get(sink).cloned().unwrap_or_default();
        changes.join(inner.acting.disable(sink, Disabled { at: now, url }));
        for id in inner.queue.ids_of(sink) {
            let Some(mut record) = self.store.record(&id)? else { continue };
            let reason = "the receiver answered 410 to another record".to_owned();
            changes.join(inner.acting.settle(now, &record, &Outcome::Failed { reason: reason.clone() }));
            record.state = RecordState::Failed { at: now, reason };
            changes.moved.push(record);
        }
        Ok(())
    }

    /// Resolves when there may be something new to send.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    pub fn next_due_at(&self) -> Option<Timestamp> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).queue.next_due_at()
    }

    fn change<E: From<StoreError>>(
        &self,
        decide: impl FnOnce(&mut Acting) -> Result<Changes, E>,
    ) -> Result<Vec<Event>, E> {
        let mut inner = self.lock()?;
        let inner = &mut *inner;
        let room = Room::new(self.settings.records_max, inner.queue.waiting());
        inner.acting.set_room(room.clone());
        let decided = decide(&mut inner.acting);
        inner.tally.drops(inner.acting.take_dropped(), &room, self.settings.records_max);
        let changes = decided?;
        self.commit(inner, &changes)?;
        Ok(changes.events)
    }

    fn commit(&self, inner: &mut Inner, changes: &Changes) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let fresh = self.store.commit(changes).inspect_err(|_| inner.stale = true)?;
        for event in &changes.events {
            // Fails where nobody listens, which is fine.
            let _ = self.published.send(event.clone());
        }
        let fresh: BTreeSet<&String> = fresh.iter().collect();
        for record in changes.records.iter().filter(|record| fresh.contains(&record.id)) {
            inner.queue.push(record);
            self.changed.notify_one();
        }
        Ok(())
    }

    fn lock(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.stale {
            let loaded = self.store.load()?;
            // The commit may have reached the disk although it failed here; then nobody has queued its records.
            loaded.pending.iter().for_each(|record| inner.queue.push_missing(record));
            inner.acting = Acting::of_store(self.settings.policy.clone(), loaded);
            inner.stale = false;
        }
        Ok(inner)
    }
}

mod tally;
#[cfg(test)]
mod tests;

pub use tally::{Counts, OutboxStats};
