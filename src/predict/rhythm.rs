//! How the load of a site goes through the week, so that what fills by the work it is given is foreseen by the work ahead.
//!
//! A queue that grows through the night at what the night brings is full soon after the morning has begun: not along its
//! line. Time is counted in work: an hour of twice the mean load is two. What climbs with the load climbs evenly then, and
//! `course` is asked for both times.

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;

const HOUR_MS: i64 = 3_600_000;
const HOURS: usize = 168;
const DAY: usize = 24;
/// Of the same hour a week before, what the newest counts.
const NEWEST: f64 = 0.5;
/// Of the mean load, what goes on in the quietest hour.
const LEAST: f64 = 0.1;

/// The mean load of each hour of the week, by UTC. 2.7 kB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rhythm {
    hours: Vec<Option<f64>>,
    /// The hour under way: its number, sum and count.
    open: Option<(i64, f64, f64)>,
}

/// Work done by the end of each hour of a week.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    done: Vec<f64>,
}

impl Rhythm {
    /// Takes the load at one time; times grow.
    pub fn take(&mut self, at: Timestamp, load: f64) {
        if !load.is_finite() {
            return;
        }
        let hour = at.0.div_euclid(HOUR_MS);
        match &mut self.open {
            Some((number, sum, count)) if *number == hour => {
                *sum += load;
                *count += 1.0;
            }
            open => {
                if let Some((number, sum, count)) = open.replace((hour, load, 1.0)) {
                    self.hours.resize(HOURS, None);
                    let known = &mut self.hours[number.rem_euclid(HOURS as i64) as usize];
                    let mean = sum / count;
                    *known = Some(known.map_or(mean, |known| known + NEWEST * (mean - known)));
                }
            }
        }
    }

    /// `None` before a whole day is known. What a week has not shown yet is as on the mean of the days that are known.
    pub fn work(&self) -> Option<Work> {
        if self.hours.len() < HOURS {
            return None;
        }
        let of_day = |hour: usize| {
            let same = (0..HOURS / DAY).filter_map(|day| self.hours[(hour % DAY) + day * DAY]);
            let (sum, count) = same.fold((0.0, 0.0), |(sum, count), load| (sum + load, count + 1.0));
            (count > 0.0).then_some(sum / count)
        };
        let loads: Option<Vec<f64>> =
            (0..HOURS).map(|hour| self.hours[hour].or_else(|| of_day(hour))).collect();
        let loads = loads?;
        let mean = loads.iter().sum::<f64>() / HOURS as f64;
        if mean.is_nan() || mean <= 0.0 {
            return None;
        }
        let mut done = 0.0;
        let done = loads.iter().map(|load| {
            done += (load / mean).max(LEAST);
            done
        });
        Some(Work { done: done.collect() })
    }
}

impl Work {
    pub fn at(&self, now: Timestamp) -> Clock<'_> {
        let begin = now.0.rem_euclid(HOURS as i64 * HOUR_MS) as f64 / HOUR_MS as f64;
        Clock { work: self, begin, done: self.by(begin) }
    }

    /// Hours of work from the beginning of a week to `hours` after it.
    fn by(&self, hours: f64) -> f64 {
        let week = self.done[HOURS - 1];
        let weeks = (hours / HOURS as f64).floor();
        let within = hours - weeks * HOURS as f64;
        let hour = (within as usize).min(HOURS - 1);
        let before = if hour == 0 { 0.0 } else { self.done[hour - 1] };
        weeks * week + before + (within - hour as f64) * (self.done[hour] - before)
    }
}

/// The work from one time on.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    work: &'a Work,
    /// Hours of the week by now, and of its work.
    begin: f64,
    done: f64,
}

impl Clock<'_> {
    /// Seconds of work until `seconds` later, which may be before; a mean second is 1.
    pub fn work(&self, seconds: f64) -> f64 {
        3600.0 * (self.work.by(self.begin + seconds / 3600.0) - self.done)
    }

    /// Seconds until so much work is done.
    pub fn seconds(&self, work: f64) -> f64 {
        let done = &self.work.done;
        let week = done[HOURS - 1];
        let sum = self.done + work / 3600.0;
        let weeks = (sum / week).floor();
        let within = sum - weeks * week;
        let hour = done.partition_point(|done| *done < within).min(HOURS - 1);
        let before = if hour == 0 { 0.0 } else { done[hour - 1] };
        let at = hour as f64 + (within - before) / (done[hour] - before);
        3600.0 * (weeks * HOURS as f64 + at - self.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A working day from 8 to 18 that has five times the load of the night.
    fn working_days() -> Rhythm {
        let mut rhythm = Rhythm::default();
        for minute in 0..3 * 1440 {
            let hour = minute / 60 % 24;
            rhythm.take(Timestamp(minute * 60_000), if (8..18).contains(&hour) { 5.0 } else { 1.0 });
        }
        rhythm
    }

    #[test]
    fn a_morning_does_more_than_a_night() {
        let work = working_days().work().unwrap();
        let at = |hour: i64| Timestamp(hour * HOUR_MS);
        assert!((work.at(at(9)).work(3600.0) / work.at(at(2)).work(3600.0) - 5.0).abs() < 1e-9);
        // A mean day is a day.
        assert!((work.at(at(0)).work(86_400.0) - 86_400.0).abs() < 1e-6);
        assert!((work.at(at(5)).work(-86_400.0) + 86_400.0).abs() < 1e-6);
    }

    #[test]
    fn work_and_time_are_inverse() {
        let work = working_days().work().unwrap();
        for hour in [0, 7, 30, 167] {
            for seconds in [1.0, 4000.0, 90_000.0, 2e6] {
                let clock = work.at(Timestamp(hour * HOUR_MS + 12_345));
                let back = clock.seconds(clock.work(seconds));
                assert!((back - seconds).abs() < 1e-4, "{hour} {seconds} {back}");
            }
        }
    }

    #[test]
    fn before_a_day_is_known_there_is_no_rhythm() {
        let mut rhythm = Rhythm::default();
        for hour in 0..24 {
            rhythm.take(Timestamp(hour * HOUR_MS), 1.0);
            assert_eq!(rhythm.work(), None);
        }
        rhythm.take(Timestamp(24 * HOUR_MS), 1.0);
        assert!(rhythm.work().is_some());
        assert_eq!(Rhythm::default().work(), None);
    }
}
