//! What comes back at its hour of the week: a report each Saturday at three, on every machine that runs it.
//!
//! A weekly job is seen four times a month, so no series learns its own yardstick for it, and `habit` asks how rare
//! something is at any time. Here it is asked of one quarter of an hour of the week, over all series of a name, since
//! the machines that run a job are affected alike: for which share of that quarter, in the last three weeks, did they
//! stray, and with what evidence? What was met in two of these weeks is as rare as that, and no rarer. Stronger evidence
//! than that of the weeks before still counts, and twice as much counts whole, so a backup that fails on a Saturday is
//! told.
//! What is known to be a fault is not taught here (`feedback`).
//!
//! Cost: 56 bytes for each quarter of an hour of the last three weeks in which a series strayed notably.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::habit::Strayed;
use super::mover::{Evidence, Track};
use crate::sample::Timestamp;
use crate::series::registry::SeriesId;

const SLOT_SECONDS: i64 = 900;
const WEEK_SECONDS: i64 = 7 * 86_400;
const SLOTS: i64 = WEEK_SECONDS / SLOT_SECONDS;
/// The last weeks that are asked, and in how many of them something must have come to be a habit.
const WEEKS: i64 = 3;
const OCCURRENCES: usize = 2;
/// The share of the series of a name that must have strayed in a week, before one that did not is taken to do as they do.
const TOGETHER_MIN: f64 = 0.2;
/// So many times as much evidence as was ever met then is more than the routine.
const MORE_TIMES: f64 = 2.0;
/// What begins at ten will begin a few minutes before or after the next time.
const EARLY_OR_LATE_SECONDS: i64 = 300;
/// Names known; of more, no routine is learnt.
const NAMES_MAX: usize = 4_096;

/// A moment of the week, local time of the site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hour {
    pub at: Timestamp,
    second_of_week: u32,
}

impl Hour {
    pub fn new(at: Timestamp, second_of_week: u32) -> Self {
        Hour { at, second_of_week }
    }

    fn slot(self) -> u16 {
        (i64::from(self.second_of_week) / SLOT_SECONDS) as u16
    }
}

/// Of the calendar of UTC: two moments of one slot are told apart by it, wherever the site is.
fn week(at: Timestamp) -> i64 {
    at.0.div_euclid(WEEK_SECONDS * 1000)
}

/// How a series strayed in one slot of one week.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Met {
    week: i64,
    series: SeriesId,
    whole: Strayed,
    own: Strayed,
    /// The most evidence, of the whole.
    peak: f64,
}

impl Met {
    /// So much of a run lay in the slot.
    fn learn(&mut self, seconds: f64, run: &Track) {
        self.peak = self.peak.max(run.peak);
        let Evidence { whole, own } = run.strayed_seconds;
        for (met, strayed, evidence) in [
            (&mut self.whole, whole, run.evidence_seconds.whole),
            (&mut self.own, own, run.evidence_seconds.own),
        ] {
            if strayed > 0.0 {
                met.add(seconds * strayed / whole, seconds * evidence / whole);
            }
        }
    }
}

/// The series of one name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Routine {
    series: u32,
    slots: BTreeMap<u16, Vec<Met>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Routines {
    by_name: BTreeMap<Arc<str>, Routine>,
    /// The newest that something was learnt in.
    week: i64,
}

impl Routines {
    pub fn admit(&mut self, name: &str) {
        if let Some(routine) = self.by_name.get_mut(name) {
            routine.series += 1;
        } else if self.by_name.len() < NAMES_MAX {
            self.by_name.insert(name.into(), Routine { series: 1, ..Routine::default() });
        }
    }

    pub fn retire(&mut self, series: SeriesId, name: &str) {
        let Some(routine) = self.by_name.get_mut(name) else { return };
        routine.series = routine.series.saturating_sub(1);
        for slot in routine.slots.values_mut() {
            slot.retain(|met| met.series != series);
        }
        if routine.series == 0 {
            self.by_name.remove(name);
        }
    }

    /// A series strayed notably until now.
    pub fn learn(&mut self, series: SeriesId, now: Hour, run: &Track) {
        if self.week < week(now.at) {
            self.week = week(now.at);
            self.forget();
        }
        let Some(routine) = self.by_name.get_mut(run.labels.name()) else { return };
        let end = i64::from(now.second_of_week) + EARLY_OR_LATE_SECONDS;
        let lasted = now.at.since(run.since) / 1000 + 2 * EARLY_OR_LATE_SECONDS;
        let mut from = end - lasted.clamp(0, WEEK_SECONDS);
        while from < end {
            let slot = from.div_euclid(SLOT_SECONDS);
            let until = end.min((slot + 1) * SLOT_SECONDS);
            let at = now.at.plus_ms((from - i64::from(now.second_of_week)) * 1000);
            routine.met(series, week(at), slot.rem_euclid(SLOTS) as u16).learn((until - from) as f64, run);
            from = until;
        }
    }

    /// What did not come back for weeks.
    fn forget(&mut self) {
        for routine in self.by_name.values_mut() {
            routine.slots.retain(|_, slot| {
                slot.retain(|met| self.week - met.week <= WEEKS);
                !slot.is_empty()
            });
        }
    }

    /// How rare evidence of a series is in this hour, where that is known: -log10 of the share of it in which it has at
    /// least as much.
    pub fn rarity(&self, series: SeriesId, now: Hour, run: &Track, prior: Evidence) -> Option<Evidence> {
        let routine = self.by_name.get(run.labels.name())?;
        let this = week(now.at);
        let before = |met: &&Met| (1..=WEEKS).contains(&(this - met.week));
        let met: Vec<&Met> = routine.slots.get(&now.slot())?.iter().filter(before).collect();
        let its: Vec<&Met> = met.iter().copied().filter(|met| met.series == series).collect();
        let together = ((f64::from(routine.series) * TOGETHER_MIN).ceil() as usize).max(2);
        let (met, series) = if weeks_with(1, &its) >= OCCURRENCES {
            (its, 1.0)
        } else if weeks_with(together, &met) >= OCCURRENCES {
            (met, f64::from(routine.series))
        } else {
            return None;
        };
        let highest = met.iter().map(|met| met.peak).fold(0.0, f64::max);
        (run.evidence.whole <= MORE_TIMES * highest).then(|| rarity(&met, this, series, run.evidence, prior))
    }
}

/// In how many weeks so many series strayed.
fn weeks_with(series: usize, met: &[&Met]) -> usize {
    let weeks: BTreeSet<i64> = met.iter().map(|met| met.week).collect();
    weeks.into_iter().filter(|week| met.iter().filter(|met| met.week == *week).count() >= series).count()
}

fn rarity(met: &[&Met], this_week: i64, series: f64, evidence: Evidence, prior: Evidence) -> Evidence {
    let weeks = met.iter().map(|met| this_week - met.week).max().unwrap_or(1);
    let watched_seconds = series * (weeks * SLOT_SECONDS) as f64;
    let (mut whole, mut own) = (Strayed::default(), Strayed::default());
    for met in met {
        whole.add(met.whole.seconds, met.whole.evidence_seconds);
        own.add(met.own.seconds, met.own.evidence_seconds);
    }
    Evidence {
        whole: whole.rarity(evidence.whole, whole.seconds / watched_seconds, prior.whole),
        own: own.rarity(evidence.own, own.seconds / watched_seconds, prior.own),
    }
}

impl Routine {
    fn met(&mut self, series: SeriesId, week: i64, slot: u16) -> &mut Met {
        let slot = self.slots.entry(slot).or_default();
        let place =
            slot.iter().position(|met| (met.week, met.series) == (week, series)).unwrap_or_else(|| {
                slot.push(Met {
                    week,
                    series,
                    whole: Strayed::default(),
                    own: Strayed::default(),
                    peak: 0.0,
                });
                slot.len() - 1
            });
        &mut slot[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::mover::tests::strayed;

    const DAY_MS: i64 = 86_400_000;
    const PRIOR: Evidence = Evidence { whole: 2.0, own: 2.0 };

    /// Saturday, 03:00 of a week, and some minutes; the first Monday is the beginning of time.
    fn saturday(week: i64, minutes: i64) -> Hour {
        let at = Timestamp(week * 7 * DAY_MS + 5 * DAY_MS + (180 + minutes) * 60_000);
        Hour::new(at, (at.0 / 1000 % WEEK_SECONDS) as u32)
    }

    /// Until `now`, ten minutes at this mean evidence.
    fn run(now: Hour, evidence: f64) -> Track {
        let mut run = strayed(600.0, evidence);
        run.since = now.at.plus_ms(-600_000);
        run.peak = 1.5 * evidence;
        run
    }

    /// Twenty series of a name; those in `jobs` strayed from 03:00 for ten minutes on Saturdays of these weeks.
    fn routines(weeks: &[i64], jobs: impl Fn(i64) -> std::ops::Range<u32>) -> Routines {
        let mut routines = Routines::default();
        (0..20).for_each(|_| routines.admit("queue"));
        for week in weeks {
            for series in jobs(*week) {
                let end = saturday(*week, 10);
                routines.learn(SeriesId(series), end, &run(end, 20.0));
            }
        }
        routines
    }

    fn rarity(routines: &Routines, series: u32, now: Hour, evidence: f64) -> Option<f64> {
        let mut run = strayed(1.0, 0.0);
        run.evidence = Evidence { whole: evidence, own: 0.0 };
        Some(routines.rarity(SeriesId(series), now, &run, PRIOR)?.whole)
    }

    #[test]
    fn a_job_of_two_saturdays_is_not_rare_on_the_third() {
        let routines = routines(&[1, 2], |_| 0..10);
        assert!(rarity(&routines, 3, saturday(3, 5), 20.0).unwrap() < 1.5);
        // Not at another time, and not so much of it.
        assert_eq!(rarity(&routines, 3, saturday(3, 60), 20.0), None);
        assert_eq!(rarity(&routines, 3, saturday(3, 5), 200.0), None);
        // Another machine of those that run it, on which it was not seen yet.
        assert!(rarity(&routines, 15, saturday(3, 5), 20.0).unwrap() < 1.5);
    }

    #[test]
    fn one_machine_may_have_a_job_of_its_own() {
        let routines = routines(&[1, 2], |_| 4..5);
        assert!(rarity(&routines, 4, saturday(3, 5), 20.0).unwrap() < 1.5);
        assert_eq!(rarity(&routines, 5, saturday(3, 5), 20.0), None);
    }

    #[test]
    fn what_came_once_or_on_one_machine_and_then_on_another_is_no_routine() {
        assert_eq!(rarity(&routines(&[2], |_| 0..20), 3, saturday(3, 5), 20.0), None);
        let wandering = routines(&[1, 2], |week| week as u32..week as u32 + 1);
        assert_eq!(rarity(&wandering, 1, saturday(3, 5), 20.0), None);
    }

    #[test]
    fn a_job_that_no_longer_runs_is_forgotten() {
        let mut routines = routines(&[1, 2], |_| 0..10);
        assert!(rarity(&routines, 3, saturday(4, 5), 20.0).is_some());
        assert_eq!(rarity(&routines, 3, saturday(5, 5), 20.0), None);
        let later = saturday(9, 10);
        routines.learn(SeriesId(0), later, &run(later, 20.0));
        assert_eq!(routines.by_name["queue"].slots.values().map(Vec::len).max(), Some(1));
        (0..20).for_each(|series| routines.retire(SeriesId(series), "queue"));
        assert_eq!(routines.by_name.len(), 0);
    }

    #[test]
    fn a_run_over_the_end_of_the_week_is_of_both_weeks() {
        let mut routines = Routines::default();
        routines.admit("queue");
        let monday = Hour::new(Timestamp(14 * DAY_MS + 300_000), 300);
        routines.learn(SeriesId(0), monday, &run(monday, 20.0));
        let slots = &routines.by_name["queue"].slots;
        assert_eq!(slots.keys().copied().collect::<Vec<_>>(), [0, (SLOTS - 1) as u16]);
        assert_eq!((slots[&0][0].week, slots[&((SLOTS - 1) as u16)][0].week), (2, 1));
    }
}
