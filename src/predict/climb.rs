//! The climb under way of a signal, and the climbs and crests from which it came back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;

/// A height is clear of the crests once it is above them by this share of the usual climb.
const CLEAR: f64 = 0.1;
/// The height of the usual climb is half forgotten after this.
const HALF_LIFE_SECONDS: f64 = 21.0 * 86_400.0;
/// Once days are known, a climb teaches at most so many times what was usual: a leak that a restart ended is told
/// again when it comes again, and a weekly job is soon usual.
const TEACHES_TIMES: f64 = 2.0;
/// Days that are compared with: a week, since Mondays are like Mondays.
const DAYS: usize = 7;
/// A height is new once it is above those of the last days by this share of what one day came back from the day before.
const NEW_GROUND: f64 = 0.25;
pub(super) const DAY_MS: i64 = 86_400_000;

/// How high each of the last days went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Days {
    /// Of whole days that are over, oldest first.
    pub(super) tops: VecDeque<f64>,
    /// Number and height of the day under way, and whether it was seen from its beginning.
    today: Option<(i64, f64, bool)>,
    pub(super) began: Option<Timestamp>,
    newest: f64,
}

impl Days {
    pub(super) fn take(&mut self, at: Timestamp, height: f64) {
        let day = at.0.div_euclid(DAY_MS);
        self.newest = height;
        self.began.get_or_insert(at);
        match &mut self.today {
            Some((today, top, _)) if *today == day => *top = top.max(height),
            over => {
                let (top, whole) = over.map_or((height, false), |(_, top, whole)| (top, whole));
                if whole {
                    self.tops.push_back(top);
                }
                if self.tops.len() > DAYS {
                    self.tops.pop_front();
                }
                *over = Some((day, height, over.is_some()));
            }
        }
    }

    /// Clearly higher than any of them. A volume that fills never comes back; what weekends halve goes a little higher on
    /// many a Monday.
    pub(super) fn is_new_ground(&self) -> bool {
        let days = self.tops.iter().zip(self.tops.iter().skip(1));
        let came_back = days.map(|(before, after)| before - after).fold(0.0, f64::max);
        self.tops.iter().all(|top| self.newest > top + NEW_GROUND * came_back)
    }
}

/// The climb under way, and how high climbs get that come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Climb {
    foot: f64,
    top: f64,
    pub(super) usual: f64,
    /// The highest top from which it came back; like `usual` it is forgotten, towards where the signal is.
    crest: Option<f64>,
    /// The last two heights.
    last: [f64; 2],
    at: Option<Timestamp>,
}

/// Samples over which the floor of what lies beyond the expected is taken. One alone may be an accident, four or eight that
/// all lie beyond are none, and the load wanders that far for as long more seldom than for a moment.
const FLOORS: [usize; 3] = [1, 4, 8];

/// The climbs of what lies beyond the expected, by the floors of its last samples, and since when that is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Beyond {
    /// Above what was expected, 0 below it; oldest first.
    newest: VecDeque<f64>,
    climbs: [Climb; FLOORS.len()],
    since: Option<Timestamp>,
}

impl Beyond {
    pub(super) fn take(&mut self, at: Timestamp, beyond: f64, is_settled: bool) {
        self.since.get_or_insert(at);
        self.newest.push_back(beyond.max(0.0));
        if self.newest.len() > FLOORS[FLOORS.len() - 1] {
            self.newest.pop_front();
        }
        for (climb, samples) in self.climbs.iter_mut().zip(FLOORS) {
            if let Some(first) = self.newest.len().checked_sub(samples) {
                let floor = self.newest.range(first..).copied().fold(f64::INFINITY, f64::min);
                climb.take(at, floor, is_settled);
            }
        }
    }

    /// Itself, once it is of a whole day: before that all is beyond what was ever expected.
    pub(super) fn known(&self, now: Timestamp) -> Option<&Beyond> {
        self.since.filter(|since| now.since(*since) >= DAY_MS).map(|_| self)
    }

    /// The climbs at a pace.
    pub(super) fn climb(&self, pace: usize) -> Option<&Climb> {
        [&self.climbs[0], &self.climbs[2]].get(pace).copied()
    }

    /// Whether the last samples are clear of the crests from which as many came back.
    pub(super) fn is_clear(&self, pace: usize) -> bool {
        let [one, four, eight] = &self.climbs;
        match pace {
            0 => one.is_clear() || four.is_below(four.last[1]),
            1 => eight.is_below(eight.last[1]),
            _ => false,
        }
    }
}

impl Climb {
    pub(super) fn take(&mut self, at: Timestamp, height: f64, is_settled: bool) {
        let Some(before) = self.at.replace(at) else {
            (self.foot, self.top, self.last) = (height, height, [height; 2]);
            return;
        };
        self.last = [self.last[1], height];
        let keeps = libm::exp2(-(at.since(before) as f64) / 1000.0 / HALF_LIFE_SECONDS);
        self.usual *= keeps;
        self.crest =
            self.crest.map(|crest| if crest > height { height + (crest - height) * keeps } else { crest });
        self.top = self.top.max(height);
        let climbed = self.top - self.foot;
        if self.top - height > 0.5 * climbed {
            let taught = if is_settled { climbed.min(TEACHES_TIMES * self.usual) } else { climbed };
            self.usual = taught.max(self.usual);
            self.crest = Some(self.crest.map_or(self.top, |crest| crest.max(self.top)));
            (self.foot, self.top) = (height, height);
        }
        self.foot = self.foot.min(height);
    }

    /// Whether it is so many times as high as those that came back.
    pub(super) fn outgrows(&self, times: f64) -> bool {
        self.top - self.foot > times * self.usual
    }

    /// Whether `height` is clear of the crests; never before anything came back.
    pub(super) fn is_below(&self, height: f64) -> bool {
        self.crest.is_some_and(|crest| height > crest + CLEAR * self.usual)
    }

    /// Whether the last heights are: one alone may be an accident.
    pub(super) fn is_clear(&self) -> bool {
        self.is_below(self.last[0].min(self.last[1])) && self.last[1] >= self.last[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A week of days that went so high, and the next day as high as `today`.
    fn week(tops: [f64; 7], today: f64) -> Days {
        let mut days = Days::default();
        // The first day is not seen from its beginning.
        for (day, top) in (0..).zip([0.0].into_iter().chain(tops).chain([today])) {
            days.take(Timestamp(day * DAY_MS), top);
        }
        days
    }

    #[test]
    fn a_monday_a_little_higher_than_all_of_last_week_is_no_new_ground() {
        let last_week = [100.0, 98.0, 101.0, 99.0, 100.0, 50.0, 48.0];
        assert!(!week(last_week, 110.0).is_new_ground());
        assert!(week(last_week, 120.0).is_new_ground());
    }

    #[test]
    fn what_only_fills_is_on_new_ground_all_the_time() {
        assert!(week([10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0], 71.0).is_new_ground());
    }
}
