//! What is due next: the unfinished records in lanes, one in flight a lane, so that an end never overtakes
//! its beginning.
//!
//! A lane is what one sink hears of one incident; its remedies have one of their own, because a notice that
//! nobody takes must not hold up a cure. Ids and times only: the records themselves stay in the store.
//!
//! A notice that waits gives way to a later one that says all that it would: an update to the next update, and
//! anything to the end. So a receiver that was away hears of an incident that came and went meanwhile by its
//! end alone, which tells both times: a beginning told late would call a person to what is over, and saying
//! nothing could leave one open that had arrived although its answer was lost.

use std::collections::{BTreeMap, VecDeque};

use super::room::Part;
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
    kind: EventKind,
    created_at: Timestamp,
    due_at: Timestamp,
    /// Delivered, and only repeated.
    standing: bool,
    /// Tried and not taken: what takes its place keeps the pause that it was given.
    tried: bool,
}

impl Ticket {
    fn gives_way_to(&self, later: EventKind) -> bool {
        match later {
            EventKind::Resolved => true,
            EventKind::Updated => self.standing || self.kind == EventKind::Updated,
            _ => false,
        }
    }
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
}

/// Lanes of one sink that may be in flight at once.
const IN_FLIGHT_MAX: usize = 4;

#[derive(Debug, Default)]
pub struct Queue {
    lanes: BTreeMap<Lane, Waiting>,
    busy: BTreeMap<String, usize>,
    len: usize,
    /// Gave way, each to a record of that time; their ends are yet to be written down.
    given_way: BTreeMap<String, Timestamp>,
}

impl Queue {
    /// Records waiting or in flight.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Records waiting or in flight, by the part of the outbox that they fill.
    pub fn waiting(&self) -> BTreeMap<Part, usize> {
        let mut waiting = BTreeMap::new();
        for (lane, tickets) in &self.lanes {
            *waiting.entry(Part::new(&lane.sink, lane.remedies)).or_default() += tickets.tickets.len();
        }
        waiting
    }

    /// Pushes what is not there yet, in flight or not.
    pub fn push_missing(&mut self, record: &OutboxRecord) {
        let lane = self.lanes.get(&Lane::of(record));
        let is_there =
            lane.is_some_and(|waiting| waiting.tickets.iter().any(|ticket| ticket.id == record.id));
        if !is_there && !self.given_way.contains_key(&record.id) {
            self.push(record);
        }
    }

    pub fn push(&mut self, record: &OutboxRecord) {
        let lane = Lane::of(record);
        self.lanes.entry(lane.clone()).or_default().tickets.push_back(Ticket {
            id: record.id.clone(),
            kind: record.event.event,
            created_at: record.created_at,
            due_at: record.due_at,
            standing: record.state == RecordState::Standing,
            tried: record.attempts > 0,
        });
        self.len += 1;
        self.give_way(&lane);
    }

    /// What gave way since the last `forget_given_way`, with the time of what took its place.
    pub fn given_way(&self) -> &BTreeMap<String, Timestamp> {
        &self.given_way
    }

    /// All that gave way is written down.
    pub fn forget_given_way(&mut self) {
        self.given_way.clear();
    }

    /// Takes out of `lane` whatever gives way to its newest record and is not in flight.
    fn give_way(&mut self, lane: &Lane) {
        let Some(waiting) = self.lanes.get_mut(lane) else { return };
        let Some(mut newest) = waiting.tickets.pop_back() else { return };
        let in_flight = if waiting.busy { waiting.tickets.pop_front() } else { None };
        let given_way = &mut self.given_way;
        waiting.tickets.retain(|ticket| {
            let stays = !ticket.gives_way_to(newest.kind);
            if !stays {
                if ticket.tried && !ticket.standing {
                    newest.due_at = newest.due_at.max(ticket.due_at);
                }
                given_way.insert(ticket.id.clone(), newest.created_at);
                self.len -= 1;
            }
            stays
        });
        waiting.tickets.push_back(newest);
        if let Some(in_flight) = in_flight {
            waiting.tickets.push_front(in_flight);
        }
    }

    /// Takes the head of the lane that is due first, cures before notices; of a sink's lanes only a few fly at once.
    pub fn take(&mut self, now: Timestamp) -> Option<Taken> {
        let busy = &self.busy;
        let idle = self.lanes.iter_mut().filter(|(lane, waiting)| !waiting.busy && has_room(busy, lane));
        let due = idle.filter_map(|(lane, waiting)| Some((waiting.tickets.front()?.due_at, lane, waiting)));
        let (_, lane, waiting) =
            due.filter(|(at, ..)| *at <= now).min_by_key(|(at, lane, _)| (*at, !lane.remedies))?;
        let head = waiting.tickets.front()?;
        let taken = Taken { id: head.id.clone(), lane: lane.clone() };
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
            (head.due_at, head.standing, head.tried) = (due_at, standing, true);
        }
        self.give_way(lane);
    }

    /// The head of `lane` stays as it is, for `due_at`.
    pub fn release(&mut self, lane: &Lane, due_at: Timestamp) {
        self.free(lane);
        if let Some(head) = self.lanes.get_mut(lane).and_then(|waiting| waiting.tickets.front_mut()) {
            head.due_at = due_at;
        }
        self.give_way(lane);
    }

    /// When the next lane that may fly is due.
    pub fn next_due_at(&self) -> Option<Timestamp> {
        let idle = self.lanes.iter().filter(|(lane, waiting)| !waiting.busy && has_room(&self.busy, lane));
        idle.filter_map(|(_, waiting)| Some(waiting.tickets.front()?.due_at)).min()
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
