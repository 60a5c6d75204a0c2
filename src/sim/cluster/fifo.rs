//! Messages that wait, first in, first out, each with the time at which it came.

use std::collections::VecDeque;

use crate::sample::Timestamp;

/// Less than this of a message is counted with those that came next.
const FRAGMENT: f64 = 0.05;

/// A queue of messages; those that came within a grain of time are kept together, as of the first of them.
#[derive(Clone, Debug)]
pub struct Fifo {
    waiting: VecDeque<(Timestamp, f64)>,
    grain_ms: i64,
    count: f64,
}

impl Fifo {
    /// A queue that tells messages apart which came `grain_seconds` after each other.
    pub fn with_grain(grain_seconds: i64) -> Self {
        Fifo { waiting: VecDeque::new(), grain_ms: grain_seconds * 1000, count: 0.0 }
    }

    /// Messages that wait.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// How long the first has waited; 0 where none does.
    pub fn oldest_seconds(&self, now: Timestamp) -> f64 {
        self.waiting.front().map_or(0.0, |(since, _)| now.since(*since) as f64 / 1000.0)
    }

    /// Messages that have waited for longer than `seconds`.
    pub fn late(&self, now: Timestamp, seconds: f64) -> f64 {
        let late = self.waiting.iter().take_while(|(since, _)| now.since(*since) as f64 > 1000.0 * seconds);
        late.map(|(_, count)| count).sum()
    }

    /// Sum over the messages of how long they have waited.
    pub fn waited_seconds(&self, now: Timestamp) -> f64 {
        self.waiting.iter().fold(0.0, |sum, (since, count)| sum + count * now.since(*since) as f64 / 1000.0)
    }

    /// Puts `count` messages that came at `since` where their age belongs: a retry keeps its age.
    pub fn put(&mut self, since: Timestamp, count: f64) {
        if count <= 0.0 {
            return;
        }
        self.count += count;
        let place = match self.waiting.back() {
            Some((newest, _)) if *newest > since => self.waiting.partition_point(|(at, _)| *at <= since),
            _ => self.waiting.len(),
        };
        match place.checked_sub(1).and_then(|before| self.waiting.get_mut(before)) {
            Some((at, n)) if since.since(*at) < self.grain_ms => *n += count,
            _ => self.waiting.insert(place, (since, count)),
        }
    }

    /// Takes up to `room` messages out, oldest first, and gives them in their batches.
    pub fn take(&mut self, room: f64) -> Vec<(Timestamp, f64)> {
        let mut taken = Vec::new();
        let mut room = room.max(0.0);
        while let Some((since, count)) = self.waiting.front_mut() {
            let part = count.min(room);
            if part <= 0.0 {
                break;
            }
            *count -= part;
            room -= part;
            self.count -= part;
            taken.push((*since, part));
            if *count > 1e-9 {
                break;
            }
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() {
            self.count = 0.0;
        }
        taken
    }

    /// Takes this share of every batch out.
    pub fn take_share(&mut self, share: f64) -> Vec<(Timestamp, f64)> {
        let share = share.clamp(0.0, 1.0);
        let mut taken = Vec::new();
        let mut left = VecDeque::new();
        let mut fragment = 0.0;
        for (since, count) in self.waiting.drain(..) {
            taken.push((since, count * share));
            fragment += count * (1.0 - share);
            if fragment >= FRAGMENT {
                left.push_back((since, fragment));
                fragment = 0.0;
            }
        }
        // The last fragment stays with the newest, or goes.
        match left.back_mut() {
            Some((_, count)) => *count += fragment,
            None => taken.last_mut().map_or((), |(_, count)| *count += fragment),
        }
        self.waiting = left;
        self.count = count_of(self.waiting.make_contiguous());
        taken
    }

    /// Drops what has waited for longer, and says how many that were.
    pub fn expire(&mut self, before: Timestamp) -> f64 {
        let mut gone = 0.0;
        while self.waiting.front().is_some_and(|(since, _)| *since < before) {
            gone += self.waiting.pop_front().map_or(0.0, |(_, count)| count);
        }
        self.count = (self.count - gone).max(0.0);
        gone
    }
}

/// How many messages the batches hold.
pub fn count_of(batches: &[(Timestamp, f64)]) -> f64 {
    batches.iter().fold(0.0, |sum, (_, count)| sum + count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leaves_first_and_a_retry_keeps_its_age() {
        let mut queue = Fifo::with_grain(1);
        queue.put(Timestamp(1_000), 2.0);
        queue.put(Timestamp(5_000), 3.0);
        assert_eq!(queue.oldest_seconds(Timestamp(6_000)), 5.0);
        let taken = queue.take(3.0);
        assert_eq!(taken, [(Timestamp(1_000), 2.0), (Timestamp(5_000), 1.0)]);
        queue.put(Timestamp(1_000), 1.0);
        assert_eq!((queue.count(), queue.oldest_seconds(Timestamp(6_000))), (3.0, 5.0));
        assert_eq!(queue.late(Timestamp(6_000), 2.0), 1.0);
        assert_eq!(count_of(&queue.take_share(0.5)), 1.5);
        assert_eq!(queue.expire(Timestamp(5_000)), 0.5);
        assert_eq!(queue.count(), 1.0);
    }

    #[test]
    fn no_message_is_lost_by_being_shared_out() {
        let mut queue = Fifo::with_grain(60);
        let mut out = 0.0;
        for step in 0..1_000 {
            queue.put(Timestamp(step * 5_000), 0.1);
            if step % 60 == 0 {
                out += count_of(&queue.take_share(0.3));
            }
        }
        assert!((out + queue.count() - 100.0).abs() < 1e-6, "{out} {}", queue.count());
        assert!(queue.waiting.len() < 90, "{}", queue.waiting.len());
        out += count_of(&queue.take_share(1.0));
        assert!((out - 100.0).abs() < 1e-6 && queue.count() == 0.0);
    }
}
