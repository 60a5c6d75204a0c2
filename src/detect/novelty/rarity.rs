//! How rare it is that a lane is as new as this: from how often it is new of late, and by how much.
//!
//! Everything is new at first and less and less is later, so neither is a quantile of a steady past: the rate is a mean
//! over all samples, then over the last thousand, the size one over the last events. Beyond them a generalised Pareto
//! tail of a fixed shape, since a lane is new too rarely to know its own. Only the first rows of a run teach: what is
//! new for an hour is one event. A lane costs 13 bytes.

use serde::{Deserialize, Serialize};

use crate::kernel::tail::{GROWN_SAMPLES, SURPRISE_MAX, WARM_SAMPLES};
use crate::kernel::{Lanes, gain};
use crate::sample::CHUNK;

/// Samples over which a rate is taken, and events over which a size is.
const MEMORY_SAMPLES: f32 = 1_000.0;
const MEMORY_EVENTS: f32 = 30.0;
/// A lane is new when its gaps add up to this share of the range.
const NEW_MIN: f32 = 0.03;
/// What is assumed before anything was seen: Gaussian noise leaves its range by a twentieth of it.
const PRIOR_SIZE: f32 = 0.05;
const PRIOR_EVENTS: f32 = 3.0;
/// The rate never falls below this many events in all samples.
const EVENTS_MIN: f32 = 1.0;
/// An event counts as at most so many usual ones.
const WINSOR: f32 = 10.0;
/// Shape of the tail: a little heavier than exponential.
const SHAPE: f32 = 0.15;
/// Rows of a run that teach.
const RUN_ROWS: u8 = 2;

/// How often and by how much 16 lanes are new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rarity {
    rate: Lanes,
    /// How far beyond `NEW_MIN`.
    size: Lanes,
    events: Lanes,
    /// Rows of the run that goes on: one more when new, one less when not.
    run: [u8; CHUNK],
}

impl Rarity {
    pub fn new() -> Self {
        Rarity { rate: [1.0; CHUNK], size: [PRIOR_SIZE; CHUNK], events: [0.0; CHUNK], run: [0; CHUNK] }
    }

    pub fn reset(&mut self, lane: usize) {
        (self.rate[lane], self.size[lane]) = (1.0, PRIOR_SIZE);
        (self.events[lane], self.run[lane]) = (0.0, 0);
    }

    /// The surprise of a lane whose gaps add up to `new`, and that has learnt from `age` samples.
    #[inline(always)]
    pub fn surprise(&self, lane: usize, age: f32, new: f32) -> f32 {
        if age < WARM_SAMPLES || new <= NEW_MIN {
            return 0.0;
        }
        let rate = self.rate[lane].max(EVENTS_MIN / age.min(MEMORY_SAMPLES));
        let beyond = libm::log10f(1.0 + SHAPE * (new - NEW_MIN) / self.size[lane]) / SHAPE;
        ((beyond - libm::log10f(rate)) * (age / GROWN_SAMPLES).min(1.0)).clamp(0.0, SURPRISE_MAX)
    }

    /// Learns that a lane which had learnt from `age` samples was `new` by so much.
    #[inline(always)]
    pub fn learn(&mut self, lane: usize, age: f32, new: f32) {
        let is_new = new > NEW_MIN;
        let run = &mut self.run[lane];
        *run = if is_new { run.saturating_add(1) } else { run.saturating_sub(1) };
        if *run > RUN_ROWS {
            return;
        }
        self.rate[lane] += gain(age, MEMORY_SAMPLES) * (f32::from(u8::from(is_new)) - self.rate[lane]);
        if is_new {
            let size = (new - NEW_MIN).min(WINSOR * self.size[lane]);
            let gain = gain(self.events[lane] + PRIOR_EVENTS, MEMORY_EVENTS);
            self.size[lane] += gain * (size - self.size[lane]);
            self.events[lane] = (self.events[lane] + 1.0).min(MEMORY_EVENTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::Exp1;

    /// Rows above each surprise, of a lane that is new one time in fifty by an exponential size.
    fn above(surprises: [f32; 2]) -> [usize; 2] {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(3);
        let (mut rarity, mut above) = (Rarity::new(), [0; 2]);
        for n in 0..110_000 {
            let is_new = rng.random_range(0..50) == 0;
            let new = if is_new { NEW_MIN + 0.02 * rng.sample::<f32, _>(Exp1) } else { 0.0 };
            let surprise = rarity.surprise(4, n as f32, new);
            for (count, limit) in above.iter_mut().zip(surprises).filter(|_| n >= 10_000) {
                *count += usize::from(surprise > limit);
            }
            rarity.learn(4, n as f32, new);
        }
        above
    }

    #[test]
    fn surprises_are_at_most_as_frequent_as_they_say() {
        let [hundredth, thousandth] = above([2.0, 3.0]);
        assert!((500..=1_300).contains(&hundredth), "{hundredth}");
        assert!((30..=130).contains(&thousandth), "{thousandth}");
    }

    #[test]
    fn news_of_an_hour_does_not_become_usual() {
        let mut rarity = Rarity::new();
        (0..3_000).for_each(|n| rarity.learn(4, n as f32, if n % 100 == 0 { 0.05 } else { 0.0 }));
        let first = rarity.surprise(4, 3_000.0, 0.5);
        (3_000..3_060).for_each(|n| rarity.learn(4, n as f32, 0.5));
        assert!(first > 4.0 && rarity.surprise(4, 3_060.0, 0.5) > 0.8 * first);
    }
}
