//! What the last few visits to an hour of the day, and to two hours of the week, have looked like.
//!
//! Not `detect/profile.rs`: these means follow every sample and remember about ten of them, so a residual says
//! whether today is like yesterday and not whether it is as usual.

use serde::{Deserialize, Serialize};

use crate::detect::Tick;
use crate::kernel::Lanes;
use crate::sample::CHUNK;

const DAY_SLOTS: usize = 24;
const WEEK_SLOTS: usize = 84;
/// A new sample's least weight.
const DAY_GAIN: f32 = 0.1;
const WEEK_GAIN: f32 = 0.2;

/// The slots that a tick lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    day: usize,
    week: usize,
}

impl Slots {
    pub fn of(tick: &Tick) -> Self {
        let second = tick.local_second_of_day as usize;
        let day = (second / 3_600).min(DAY_SLOTS - 1);
        let week = (usize::from(tick.local_weekday) * 12 + second / 7_200).min(WEEK_SLOTS - 1);
        Slots { day, week }
    }
}

/// The means of 16 lanes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    day: Vec<Slot>,
    week: Vec<Slot>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Slot {
    mean: Lanes,
    samples: [u8; CHUNK],
}

impl Habits {
    pub fn new() -> Self {
        let empty = Slot { mean: [0.0; CHUNK], samples: [0; CHUNK] };
        Habits { day: vec![empty.clone(); DAY_SLOTS], week: vec![empty; WEEK_SLOTS] }
    }

    pub fn reset(&mut self, lane: usize) {
        self.day.iter_mut().chain(&mut self.week).for_each(|slot| slot.samples[lane] = 0);
    }

    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        for slot in self.day.iter_mut().chain(&mut self.week) {
            slot.mean[lane] = (slot.mean[lane] - shift) * factor;
        }
    }

    /// What `value` adds to the mean of its hour of the day; 0 at the first visit.
    #[inline(always)]
    pub fn day_residual(&mut self, lane: usize, slots: Slots, value: f32, learn: bool) -> f32 {
        self.day[slots.day].residual(lane, value, DAY_GAIN, learn)
    }

    /// The same for the two hours of the week.
    #[inline(always)]
    pub fn week_residual(&mut self, lane: usize, slots: Slots, value: f32, learn: bool) -> f32 {
        self.week[slots.week].residual(lane, value, WEEK_GAIN, learn)
    }
}

impl Slot {
    #[inline(always)]
    fn residual(&mut self, lane: usize, value: f32, gain_min: f32, learn: bool) -> f32 {
        let residual = if self.samples[lane] > 0 { value - self.mean[lane] } else { 0.0 };
        if learn {
            if self.samples[lane] == 0 {
                self.mean[lane] = value;
            }
            self.samples[lane] = self.samples[lane].saturating_add(1);
            self.mean[lane] += (1.0 / f32::from(self.samples[lane])).max(gain_min) * residual;
        }
        residual
    }
}
