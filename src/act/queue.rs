//! What is due next: the unfinished records in lanes, one in flight a lane, so that an end never overtakes
//! its beginning.
//!
//! A lane is what one sink hears of one incident; its remedies have one of their own, because a notice that
//! nobody takes must not hold up a cure. Ids and times only: the records themselves stay in the store.

use std::collections::{BTreeMap, VecDeque};

use crate::durable::record::{OutboxRecord, RecordState};
use crate::incident::event::EventKind;
use crate::sample::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    sink: String,
    incident: String,
    remedies: bool,
}

impl Lane {
    pub fn of(record: &OutboxRecord) -> Self {
        Lane {
            sink: record.sink.clone(),
            incident: record.incident.clone(),
            remedies: record.event.action.is_some(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ticket {
    id: String,
    due_at: Timestamp,
    /// Gives way to a later record of its lane: delivered and only repeated, or an update not yet tried.
    yields: bool,
}

#[derive(Clone, Debug, Default)]
struct Waiting {
    tickets: VecDeque<Ticket>,
    busy: bool,
}

/// The head of a lane, taken to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub id: String,
    pub lane: Lane,
    /// A later record of the lane takes its place.
    pub superseded: bool,
}

/// Lanes of one sink that may be in flight at once.
const IN_FLIGHT_MAX: usize = 4;

#[derive(Debug, Default)]
pub struct Queue {
    lanes: BTreeMap<Lane, Waiting>,
    busy: BTreeMap<String, usize>,
    len: usize,
}

impl Queue {
    /// Records waiting or in flight.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Pushes what is not there yet, in flight or not.
    pub fn push_missing(&mut self, record: &OutboxRecord) {
        let lane = self.lanes.get(&Lane::of(record));
        if !lane.is_some_and(|waiting| waiting.tickets.iter().any(|ticket| ticket.id == record.id)) {
            self.push(record);
        }
    }

    pub fn push(&mut self, record: &OutboxRecord) {
        let untried_update = record.event.event == EventKind::Updated && record.attempts == 0;
        let ticket = Ticket {
            id: record.id.clone(),
            due_at: record.due_at,
            yields: record.state == RecordState::Standing || untried_update,
        };
        self.lanes.entry(Lane::of(record)).or_default().tickets.push_back(ticket);
        self.len += 1;
    }

    /// Takes the head of the lane that is due first, cures before notices; of a sink's lanes only a few fly at once.
    pub fn take(&mut self, now: Timestamp) -> Option<Taken> {
        let busy = &self.busy;
        let idle = self.lanes.iter_mut().filter(|(lane, waiting)| !waiting.busy && has_room(busy, lane));
        let due = idle.filter_map(|(lane, waiting)| Some((due_at(waiting)?, lane, waiting)));
        let (_, lane, waiting) =
            due.filter(|(at, ..)| *at <= now).min_by_key(|(at, lane, _)| (*at, !lane.remedies))?;
        let head = waiting.tickets.front()?;
        let taken = Taken {
            id: head.id.clone(),
            lane: lane.clone(),
            superseded: head.yields && waiting.tickets.len() > 1,
        };
        waiting.busy = true;
        *self.busy.entry(lane.sink.clone()).or_default() += 1;
        Some(taken)
    }

    /// The head of `lane` is finished.
    pub fn finish(&mut self, lane: &Lane) {
        self.free(lane);
        if let Some(waiting) = self.lanes.get_mut(lane) {
            self.len -= usize::from(waiting.tickets.pop_front().is_some());
            if waiting.tickets.is_empty() {
                self.lanes.remove(lane);
            }
        }
    }

    /// The head of `lane` is to be sent again at `due_at`.
    pub fn put_back(&mut self, lane: &Lane, due_at: Timestamp, standing: bool) {
        self.free(lane);
        if let Some(head) = self.lanes.get_mut(lane).and_then(|waiting| waiting.tickets.front_mut()) {
            head.due_at = due_at;
            head.yields = standing;
        }
    }

    /// The head of `lane` stays as it is, for `due_at`.
    pub fn release(&mut self, lane: &Lane, due_at: Timestamp) {
        self.free(lane);
        if let Some(head) = self.lanes.get_mut(lane).and_then(|waiting| waiting.tickets.front_mut()) {
            head.due_at = due_at;
        }
    }

    /// When the next lane that may fly is due.
    pub fn next_due_at(&self) -> Option<Timestamp> {
        let idle = self.lanes.iter().filter(|(lane, waiting)| !waiting.busy && has_room(&self.busy, lane));
        idle.filter_map(|(_, waiting)| due_at(waiting)).min()
    }

    /// Ids of what waits for `sink` and is not in flight.
    pub fn ids_of(&self, sink: &str) -> Vec<String> {
        let lanes = self.lanes.iter().filter(|(lane, _)| lane.sink == sink);
        lanes.flat_map(|(_, w)| w.tickets.iter().skip(usize::from(w.busy))).map(|t| t.id.clone()).collect()
    }

    /// Takes what waits for `sink` and is not in flight out of the queue.
    pub fn drop_all_of(&mut self, sink: &str) {
        self.lanes.retain(|lane, waiting| {
            if lane.sink != sink {
                return true;
            }
            self.len -= waiting.tickets.drain(usize::from(waiting.busy)..).count();
            waiting.busy
        });
    }

    fn free(&mut self, lane: &Lane) {
        let Some(waiting) = self.lanes.get_mut(lane) else { return };
        if std::mem::take(&mut waiting.busy)
            && let Some(busy) = self.busy.get_mut(&lane.sink)
        {
            *busy -= 1;
        }
    }
}

fn has_room(busy: &BTreeMap<String, usize>, lane: &Lane) -> bool {
    busy.get(&lane.sink).copied().unwrap_or(0) < IN_FLIGHT_MAX
}

/// A head that gives way is due at once.
fn due_at(waiting: &Waiting) -> Option<Timestamp> {
    let head = waiting.tickets.front()?;
    Some(if head.yields && waiting.tickets.len() > 1 { Timestamp::MIN } else { head.due_at })
}
