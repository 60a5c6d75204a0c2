//! What each signal usually is at this half hour of the day, in deviations of its level.
//!
//! Slots as in `detect/profile.rs`, but of standardised levels and in steps that a single wild day can't take far.

use serde::{Deserialize, Serialize};

use super::DAY_SECONDS;

/// The day's profile: half hours that remember five visits, and how much one may change a slot that has three.
const SLOTS: usize = 48;
const VISITS: f64 = 5.0;
const VISIT_STEP_MAX: f64 = 2.0;
const VISITS_SURE: f64 = 3.0;

/// How each signal usually is over the day, in deviations of its level.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Day {
    /// `SLOTS` means and visits a signal, signal after signal.
    mean: Vec<f32>,
    visits: Vec<u8>,
    /// Of the visit that goes on.
    sum: Vec<f64>,
    samples: Vec<u32>,
    slot: usize,
}

/// Where in the day a row is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    slot: usize,
    before: usize,
    after: usize,
    /// Weight of `after`.
    share: f64,
}

impl Place {
    pub(super) fn of(second_of_day: u32) -> Self {
        let slots = f64::from(second_of_day) / DAY_SECONDS * SLOTS as f64;
        let from_middle = slots - 0.5;
        let before = libm::floor(from_middle);
        let wrap = |slot: f64| (slot as i64).rem_euclid(SLOTS as i64) as usize;
        Place {
            slot: (slots as usize).min(SLOTS - 1),
            before: wrap(before),
            after: wrap(before + 1.0),
            share: from_middle - before,
        }
    }
}

impl Day {
    pub(super) fn resize(&mut self, signals: usize) {
        self.mean.resize(signals * SLOTS, 0.0);
        self.visits.resize(signals * SLOTS, 0);
        self.sum.resize(signals, 0.0);
        self.samples.resize(signals, 0);
    }

    pub(super) fn forget(&mut self, signal: usize) {
        self.visits[signal * SLOTS..(signal + 1) * SLOTS].fill(0);
        (self.sum[signal], self.samples[signal]) = (0.0, 0);
    }

    /// Ends the visit to the slot before, once another begins.
    pub(super) fn enter(&mut self, place: Place) {
        if place.slot == self.slot {
            return;
        }
        for signal in 0..self.sum.len() {
            if self.samples[signal] > 0 {
                let (index, mean) =
                    (signal * SLOTS + self.slot, self.sum[signal] / f64::from(self.samples[signal]));
                let visits = f64::from(self.visits[index]);
                let mut apart = mean - f64::from(self.mean[index]);
                if visits >= VISITS_SURE {
                    apart = apart.clamp(-VISIT_STEP_MAX, VISIT_STEP_MAX);
                }
                self.mean[index] += ((1.0 / (visits + 1.0)).max(1.0 / VISITS) * apart) as f32;
                self.visits[index] = self.visits[index].saturating_add(1);
            }
            (self.sum[signal], self.samples[signal]) = (0.0, 0);
        }
        self.slot = place.slot;
    }

    /// What `level` adds to what is usual now; 0 where nothing is known.
    pub(super) fn residual(&mut self, signal: usize, place: Place, level: f64, learn: bool) -> f64 {
        if learn {
            self.sum[signal] += level;
            self.samples[signal] += 1;
        }
        let at = |slot: usize| {
            (f64::from(self.mean[signal * SLOTS + slot]), self.visits[signal * SLOTS + slot] > 0)
        };
        let (here, known) = at(place.slot);
        let ((before, one), (after, other)) = (at(place.before), at(place.after));
        match (known, one && other) {
            (false, _) => 0.0,
            (true, true) => level - ((1.0 - place.share) * before + place.share * after),
            (true, false) => level - here,
        }
    }
}
