//! Partitions in order of time: after a stop one partition's backlog must not make the others' samples late.
//!
//! Batches wait here until every partition has one to compare with, or has none left to give (its end is
//! reached). A partition that runs ahead is to be paused: its queue is full while another's is empty.

use std::collections::{BTreeMap, VecDeque};

use crate::sample::{Batch, Timestamp};

/// Batches that wait from one partition before it is paused, and below which it goes on.
const WAITING_MAX: usize = 256;
const WAITING_RESUME: usize = 64;

#[derive(Debug, Default)]
struct Partition {
    waiting: VecDeque<Batch>,
    at_end: bool,
    /// It has been silent for so long that nobody waits for it.
    away: bool,
    paused: bool,
}

/// Asks the consumer to stop or go on with a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Pause(i32),
    Resume(i32),
}

/// The assigned partitions of one topic.
#[derive(Debug, Default)]
pub struct Merge {
    partitions: BTreeMap<i32, Partition>,
}

impl Merge {
    /// The partitions are now these; what waited from others is forgotten, to be read again by their new owner.
    pub fn assign(&mut self, partitions: &[i32]) {
        self.partitions.retain(|partition, _| partitions.contains(partition));
        for partition in partitions {
            let entry = self.partitions.entry(*partition).or_default();
            // A new assignment starts unpaused and re-reads what was not handed over.
            *entry = Partition::default();
        }
    }

    /// A batch of a partition arrived; one of a partition no longer assigned is dropped.
    pub fn push(&mut self, partition: i32, batch: Batch) -> Option<Flow> {
        let entry = self.partitions.get_mut(&partition)?;
        (entry.at_end, entry.away) = (false, false);
        entry.waiting.push_back(batch);
        if entry.waiting.len() < WAITING_MAX || entry.paused {
            return None;
        }
        entry.paused = true;
        Some(Flow::Pause(partition))
    }

    /// All of a partition has been read, for now.
    pub fn end_of(&mut self, partition: i32) {
        if let Some(entry) = self.partitions.get_mut(&partition) {
            (entry.at_end, entry.away) = (true, false);
        }
    }

    /// Waits no longer for partitions that neither bring anything nor reach their end: their broker may be away.
    pub fn give_up(&mut self) {
        for entry in self.partitions.values_mut() {
            entry.away = entry.waiting.is_empty() && !entry.at_end;
        }
    }

    /// Whether batches wait for those of another partition.
    pub fn is_waiting(&self) -> bool {
        self.partitions.values().any(|p| !p.waiting.is_empty())
    }

    /// The oldest batch, once no partition can bring an older one; with it what to do about its partition.
    pub fn pop(&mut self) -> Option<(Batch, Option<Flow>)> {
        if self.partitions.values().any(|p| p.waiting.is_empty() && !p.at_end && !p.away) {
            return None;
        }
        let newest_of =
            |p: &Partition| p.waiting.front().map(|batch| batch.latest().unwrap_or(Timestamp::MIN));
        let (number, _) = self
            .partitions
            .iter()
            .filter_map(|(number, p)| newest_of(p).map(|at| (*number, at)))
            .min_by_key(|(number, at)| (*at, *number))?;
        let entry = self.partitions.get_mut(&number)?;
        let batch = entry.waiting.pop_front()?;
        let resume = entry.paused && entry.waiting.len() <= WAITING_RESUME;
        entry.paused &= !resume;
        Some((batch, resume.then_some(Flow::Resume(number))))
    }

    /// Whether everything assigned has been read to its end and handed over.
    pub fn is_caught_up(&self) -> bool {
        self.partitions.values().all(|p| p.at_end && p.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::ValueKind;

    fn batch(ms: i64) -> Batch {
        let mut batch = Batch::new("kafka:t/0".into());
        batch.push(&mut [("__name__", "x")], ValueKind::Gauge, Timestamp(ms), 1.0);
        batch
    }

    fn drain(merge: &mut Merge) -> Vec<i64> {
        std::iter::from_fn(|| merge.pop()).filter_map(|(batch, _)| batch.latest()).map(|at| at.0).collect()
    }

    #[test]
    fn a_backlog_waits_for_the_other_partition() {
        let mut merge = Merge::default();
        merge.assign(&[0, 1]);
        for ms in [1, 3, 5] {
            merge.push(0, batch(ms));
        }
        assert!(drain(&mut merge).is_empty());
        merge.push(1, batch(2));
        assert_eq!(drain(&mut merge), [1, 2]);
        merge.end_of(1);
        assert_eq!(drain(&mut merge), [3, 5]);
        assert!(!merge.is_caught_up());
        merge.end_of(0);
        assert!(merge.is_caught_up());
    }

    #[test]
    fn a_partition_that_runs_ahead_is_paused_and_goes_on_later() {
        let mut merge = Merge::default();
        merge.assign(&[0, 1]);
        let flows: Vec<Flow> = (0..WAITING_MAX as i64).filter_map(|ms| merge.push(0, batch(ms))).collect();
        assert_eq!(flows, [Flow::Pause(0)]);
        merge.end_of(1);
        let flows: Vec<Flow> = std::iter::from_fn(|| merge.pop()).filter_map(|(_, flow)| flow).collect();
        assert_eq!(flows, [Flow::Resume(0)]);
    }

    #[test]
    fn a_silent_partition_is_given_up_until_it_speaks() {
        let mut merge = Merge::default();
        merge.assign(&[0, 1]);
        merge.push(0, batch(7));
        assert!(drain(&mut merge).is_empty() && merge.is_waiting());
        merge.give_up();
        assert_eq!(drain(&mut merge), [7]);
        merge.end_of(0);
        assert!(!merge.is_caught_up(), "nobody knows how far it reaches");
        merge.push(1, batch(8));
        merge.push(0, batch(9));
        assert_eq!(drain(&mut merge), [8], "it is waited for again");
    }

    #[test]
    fn a_partition_taken_away_holds_nobody_up() {
        let mut merge = Merge::default();
        merge.assign(&[0, 1]);
        merge.push(0, batch(7));
        merge.assign(&[1]);
        merge.push(1, batch(9));
        assert_eq!(drain(&mut merge), [9]);
        assert!(merge.push(0, batch(10)).is_none());
    }
}
