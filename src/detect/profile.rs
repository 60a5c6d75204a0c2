//! What a lane usually is at this time of the day or of the week: a table of slots, each with its mean.
//!
//! Samples are summed while a slot lasts and enter its mean when it ends, so a slot counts visits and not
//! samples and every cadence learns a habit equally fast. Between the middles of slots the table is
//! interpolated. A slot holds 4 bytes a lane: how often it was visited is counted in rounds of the whole table.
//!
//! A table and not the harmonics of a shared regression: the habits of a mail platform are a backup at
//! 01:00 and a queue run at every full hour, edges that take dozens of harmonics and ring beside them;
//! a table learns each in one visit and a fault in one slot stays in that slot.

use serde::{Deserialize, Serialize};

use crate::kernel::Lanes;
use crate::sample::CHUNK;

/// Visits before a slot's mean doubts a new one.
const TRUSTING_VISITS: u8 = 3;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    slots: usize,
    /// Visits that a slot remembers.
    memory: u8,
    /// Row of slots after row of slots, one row a chunk; NaN before a slot's first visit.
    mean: Vec<Lanes>,
    /// Rounds of the table since a lane's first visit, that one included, as far as they are remembered.
    rounds: Vec<[u8; CHUNK]>,
    /// Of the visit that goes on.
    sum: Vec<Lanes>,
    count: Vec<Lanes>,
    current: Option<usize>,
}

/// A place between the middles of two slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The slot that the time lies in.
    pub slot: usize,
    pub before: usize,
    pub after: usize,
    /// Weight of `after`, 0..1.
    pub share: f32,
}

impl Place {
    /// Where `turn`, the share of the day or week that has passed (0..1), lies in a table of so many slots.
    pub fn of(turn: f64, slots: usize) -> Place {
        let at = turn * slots as f64;
        let slot = (at as usize).min(slots - 1);
        let past_middle = at - slot as f64 - 0.5;
        let (before, after, share) = if past_middle < 0.0 {
            ((slot + slots - 1) % slots, slot, past_middle + 1.0)
        } else {
            (slot, (slot + 1) % slots, past_middle)
        };
        Place { slot, before, after, share: share as f32 }
    }
}

/// What a lane usually is at a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// Interpolated.
    pub value: f32,
    /// Of the two slots around the place: where a habit has a sharp edge, anything between is usual.
    pub low: f32,
    pub high: f32,
    /// About how many visits this rests on; 0: nothing is known.
    pub visits: u8,
}

impl Profile {
    pub fn new(slots: usize, memory: u8) -> Self {
        let (mean, rounds, sum, count) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Profile { slots, memory, mean, rounds, sum, count, current: None }
    }

    pub fn grow(&mut self, chunks: usize) {
        self.mean.resize(chunks * self.slots, [f32::NAN; CHUNK]);
        self.rounds.resize(chunks, [0; CHUNK]);
        self.sum.resize(chunks, [0.0; CHUNK]);
        self.count.resize(chunks, [0.0; CHUNK]);
    }

    /// Where `turn`, the share of the day or week that has passed (0..1), lies.
    pub fn place(&self, turn: f64) -> Place {
        Place::of(turn, self.slots)
    }

    /// Ends the visit of the last slot when the time has left it; `limit(chunk)` is how far one visit
    /// may pull a mean that has seen a few.
    pub fn enter(&mut self, slot: usize, limit: impl Fn(usize) -> Lanes) {
        let Some(last) = self.current.replace(slot) else { return };
        if last == slot {
            return;
        }
        for chunk in 0..self.sum.len() {
            let (limit, at) = (limit(chunk), chunk * self.slots + last);
            for lane in 0..CHUNK {
                let count = std::mem::take(&mut self.count[chunk][lane]);
                let sum = std::mem::take(&mut self.sum[chunk][lane]);
                let rounds = &mut self.rounds[chunk][lane];
                if count > 0.0 {
                    *rounds = (*rounds).max(1);
                    let mean = &mut self.mean[at][lane];
                    if mean.is_nan() {
                        *mean = sum / count;
                    } else {
                        let pull = sum / count - *mean;
                        let bounded = pull.clamp(-limit[lane], limit[lane]);
                        let pull = if *rounds > TRUSTING_VISITS { bounded } else { pull };
                        *mean += pull / f32::from(*rounds);
                    }
                }
                if slot < last && *rounds > 0 {
                    *rounds = (*rounds + 1).min(self.memory);
                }
            }
        }
    }

    /// What one lane of a chunk usually is here.
    #[inline(always)]
    pub fn usual(&self, chunk: usize, lane: usize, place: Place) -> Usual {
        let [here, before, after] =
            [place.slot, place.before, place.after].map(|slot| chunk * self.slots + slot);
        let known = self.mean[here][lane];
        if known.is_nan() {
            return Usual { value: 0.0, low: 0.0, high: 0.0, visits: 0 };
        }
        // The visit of this round goes on.
        let visits = (self.rounds[chunk][lane] - 1).max(1);
        let (from, to) = (self.mean[before][lane], self.mean[after][lane]);
        if from.is_nan() || to.is_nan() {
            return Usual { value: known, low: known, high: known, visits };
        }
        Usual { value: from + place.share * (to - from), low: from.min(to), high: from.max(to), visits }
    }

    /// Adds a sample to the visit that goes on.
    #[inline(always)]
    pub fn add(&mut self, chunk: usize, lane: usize, x: f32) {
        self.sum[chunk][lane] += x;
        self.count[chunk][lane] += 1.0;
    }

    /// Takes nothing from the visit that goes on: learning has stopped, and its samples may be the beginning of why.
    /// Few as they are, they would stand for the whole visit.
    #[inline(always)]
    pub fn leave(&mut self, chunk: usize, lane: usize) {
        self.sum[chunk][lane] = 0.0;
        self.count[chunk][lane] = 0.0;
    }

    pub fn reset(&mut self, lane: usize) {
        let (chunk, lane) = (lane / CHUNK, lane % CHUNK);
        for slot in chunk * self.slots..(chunk + 1) * self.slots {
            self.mean[slot][lane] = f32::NAN;
        }
        self.rounds[chunk][lane] = 0;
        self.sum[chunk][lane] = 0.0;
        self.count[chunk][lane] = 0.0;
    }

    /// Follows the normaliser of one lane.
    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        let (chunk, lane) = (lane / CHUNK, lane % CHUNK);
        for slot in chunk * self.slots..(chunk + 1) * self.slots {
            self.mean[slot][lane] = (self.mean[slot][lane] - shift) * factor;
        }
        self.sum[chunk][lane] = (self.sum[chunk][lane] - shift * self.count[chunk][lane]) * factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of four slots after `days` of `values`, one visit of three samples a slot.
    fn table(values: [f32; 4], days: usize) -> Profile {
        let mut profile = Profile::new(4, 5);
        profile.grow(1);
        for slot in (0..4 * days).map(|visit| visit % 4) {
            profile.enter(slot, |_| [1.0; CHUNK]);
            for x in [-1.0, 0.0, 1.0] {
                profile.add(0, 9, values[slot] + x);
            }
        }
        profile.enter(0, |_| [1.0; CHUNK]);
        profile
    }

    fn value(profile: &Profile, turn: f64) -> f32 {
        profile.usual(0, 9, profile.place(turn)).value
    }

    #[test]
    fn the_middle_of_a_slot_has_its_mean_and_the_edge_the_mean_of_two() {
        let profile = table([0.0, 8.0, 4.0, 2.0], 1);
        assert_eq!([0.375, 0.5, 0.0, 0.999].map(|turn| value(&profile, turn).round()), [8.0, 6.0, 1.0, 1.0]);
    }

    #[test]
    fn between_two_slots_anything_between_them_is_usual() {
        let profile = table([0.0, 8.0, 4.0, 2.0], 1);
        let usual = profile.usual(0, 9, profile.place(0.5));
        assert_eq!((usual.low, usual.high), (4.0, 8.0));
    }

    #[test]
    fn a_slot_never_visited_is_unknown() {
        let mut profile = Profile::new(4, 5);
        profile.grow(1);
        profile.enter(1, |_| [1.0; CHUNK]);
        profile.add(0, 9, 7.0);
        profile.enter(2, |_| [1.0; CHUNK]);
        assert_eq!(profile.usual(0, 9, profile.place(0.3)).visits, 1);
        assert_eq!(profile.usual(0, 9, profile.place(0.8)).visits, 0);
        assert_eq!(value(&profile, 0.26), 7.0);
    }

    #[test]
    fn a_visit_in_which_learning_stopped_is_none() {
        let before = table([0.0; 4], 1);
        let mut profile = before.clone();
        profile.add(0, 9, 50.0);
        profile.leave(0, 9);
        profile.enter(1, |_| [1.0; CHUNK]);
        assert_eq!(value(&profile, 0.125), value(&before, 0.125));
    }

    #[test]
    fn a_visit_pulls_an_established_mean_only_as_far_as_its_limit() {
        let mut profile = table([0.0; 4], 6);
        profile.add(0, 9, 1e9);
        profile.enter(1, |_| [1.0; CHUNK]);
        assert!(value(&profile, 0.125) <= 0.2);
    }
}
