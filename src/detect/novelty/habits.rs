//! What the last visits to two hours of the day, and of the week, have looked like.
//!
//! Not `detect/profile.rs`: these means follow every sample and remember about ten of them, so a residual says
//! whether today is like yesterday and not whether it is as usual. A lane costs 384 bytes.

use serde::{Deserialize, Serialize};

use crate::detect::Tick;
use crate::kernel::Lanes;
use crate::sample::CHUNK;

const SLOT_SECONDS: usize = 7_200;
const DAY_SLOTS: usize = 12;
const WEEK_SLOTS: usize = 7 * DAY_SLOTS;
/// A new sample's weight.
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
        let day = (tick.local_second_of_day as usize / SLOT_SECONDS).min(DAY_SLOTS - 1);
        Slots { day, week: (usize::from(tick.local_weekday) * DAY_SLOTS + day).min(WEEK_SLOTS - 1) }
    }
}

/// The means of 16 lanes; NaN before the first visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    day: [Lanes; DAY_SLOTS],
    week: Vec<Lanes>,
}

impl Habits {
    pub fn new() -> Self {
        Habits { day: [[f32::NAN; CHUNK]; DAY_SLOTS], week: vec![[f32::NAN; CHUNK]; WEEK_SLOTS] }
    }

    pub fn reset(&mut self, lane: usize) {
        self.day.iter_mut().chain(&mut self.week).for_each(|mean| mean[lane] = f32::NAN);
    }

    pub fn affine(&mut self, lane: usize, shift: f32, factor: f32) {
        for mean in self.day.iter_mut().chain(&mut self.week) {
            mean[lane] = (mean[lane] - shift) * factor;
        }
    }

    /// What `value` adds to the mean of its hours of the day; 0 at the first visit.
    #[inline(always)]
    pub fn day_residual(&mut self, lane: usize, slots: Slots, value: f32, learn: bool) -> f32 {
        residual(&mut self.day[slots.day][lane], value, DAY_GAIN, learn)
    }

    /// The same for the hours of the week.
    #[inline(always)]
    pub fn week_residual(&mut self, lane: usize, slots: Slots, value: f32, learn: bool) -> f32 {
        residual(&mut self.week[slots.week][lane], value, WEEK_GAIN, learn)
    }
}

#[inline(always)]
fn residual(mean: &mut f32, value: f32, gain: f32, learn: bool) -> f32 {
    if mean.is_nan() {
        if learn {
            *mean = value;
        }
        return 0.0;
    }
    let residual = value - *mean;
    if learn {
        *mean += gain * residual;
    }
    residual
}
