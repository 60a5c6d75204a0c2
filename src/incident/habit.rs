//! How rare it is that a series strays so far: its evidence, held against its own past.
//!
//! A surprise judges each value for itself, but values linger: a queue that is long stays long for minutes, and one
//! series strays every day where another never does. Evidence (`mover`) adds that up, so it can't be compared between
//! series. What can is the share of time in which a series has at least so much evidence. The excursions of a random
//! walk that drifts down are exponential (Cramér 1930), so two numbers tell it: the share of time in which a series
//! strays at all, and its mean evidence meanwhile.
//! A long run, or one of much evidence, teaches little more than ordinary straying does, so that what happened once is
//! told again; what comes each night at the same time is learnt in a few.
//! Twice for each series: for all of its evidence, and for what no other signal of its entity explains.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mover::{Evidence, Track};
use super::routine::{Hour, Routines};
use crate::sample::Timestamp;
use crate::series::registry::SeriesId;

/// What is assumed of a series before anything is known: it strays for a hundredth of its time, with the evidence that
/// series of the site have when they stray; of a new site, with that of noise whose values do not linger.
const STRAYED_PRIOR: f64 = 0.01;
const EVIDENCE_PRIOR: f64 = 0.6;
/// How much time that assumption is worth, and how much time of straying.
const PRIOR_SECONDS: f64 = 86_400.0;
const PRIOR_STRAYED_SECONDS: f64 = 1_500.0;
/// A run counts as at most so long, and its evidence as at most so many times the mean.
const RUN_SECONDS_MAX: f64 = 600.0;
const WINSOR: f64 = 5.0;
/// What is worth a look whether it comes back next week.
const NOTABLE_RARITY: f64 = 2.5;
/// The past counts half after this.
const HALF_LIFE_SECONDS: f64 = 14.0 * 86_400.0;

/// One of the two, or its integral over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Strayed {
    pub seconds: f64,
    pub evidence_seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Habit {
    /// For how long the series was watched, as of `at`; what is long ago counts less.
    watched_seconds: f64,
    at: Timestamp,
    whole: Strayed,
    own: Strayed,
}

/// What all series of a site usually do; 56 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Habits {
    by_series: BTreeMap<SeriesId, Habit>,
    /// Of all of them together.
    all: Option<Habit>,
    /// Admitted since the last tick.
    new: Vec<SeriesId>,
    routines: Routines,
}

impl Strayed {
    fn mean(&self, prior: f64) -> f64 {
        (self.evidence_seconds + prior * PRIOR_STRAYED_SECONDS) / (self.seconds + PRIOR_STRAYED_SECONDS)
    }

    fn fade(&mut self, keep: f64) {
        self.seconds *= keep;
        self.evidence_seconds *= keep;
    }

    pub fn add(&mut self, seconds: f64, evidence_seconds: f64) {
        self.seconds += seconds;
        self.evidence_seconds += evidence_seconds;
    }

    fn learn(&mut self, seconds: f64, evidence_seconds: f64, prior: f64) {
        if seconds > 0.0 {
            let mean = (evidence_seconds / seconds).min(WINSOR * self.mean(prior));
            let seconds = seconds.min(RUN_SECONDS_MAX);
            self.add(seconds, mean * seconds);
        }
    }

    /// -log10 of the share of time in which there is at least so much evidence, of what strays for `share` of it. Its
    /// mean is `prior` where little is known.
    pub fn rarity(&self, evidence: f64, share: f64, prior: f64) -> f64 {
        if evidence <= 0.0 {
            return 0.0;
        }
        evidence / self.mean(prior) * std::f64::consts::LOG10_E - libm::log10(share.min(1.0))
    }
}

impl Habit {
    fn new(at: Timestamp) -> Self {
        Habit { watched_seconds: 0.0, at, whole: Strayed::default(), own: Strayed::default() }
    }

    fn rarity(&self, evidence: Evidence, prior: Evidence) -> Evidence {
        let rarity = |strayed: Strayed, evidence: f64, prior: f64| {
            let seconds = strayed.seconds + STRAYED_PRIOR * PRIOR_SECONDS;
            strayed.rarity(evidence, seconds / (self.watched_seconds + PRIOR_SECONDS), prior)
        };
        Evidence {
            whole: rarity(self.whole, evidence.whole, prior.whole),
            own: rarity(self.own, evidence.own, prior.own),
        }
    }

    fn advance(&mut self, at: Timestamp) {
        let passed_seconds = (at.since(self.at) as f64 / 1000.0).max(0.0);
        let keep = libm::exp2(-passed_seconds / HALF_LIFE_SECONDS);
        self.at = self.at.max(at);
        self.watched_seconds = self.watched_seconds * keep + passed_seconds;
        self.whole.fade(keep);
        self.own.fade(keep);
    }
}

impl Habits {
    /// From the next tick on the series, which has this name, is watched.
    pub fn admit(&mut self, series: SeriesId, name: &str) {
        if !self.by_series.contains_key(&series) {
            self.new.push(series);
            self.routines.admit(name);
        }
    }

    pub fn retire(&mut self, series: SeriesId, name: &str) {
        self.by_series.remove(&series);
        self.new.retain(|new| *new != series);
        self.routines.retire(series, name);
    }

    /// A tick begins.
    pub fn step(&mut self, at: Timestamp) {
        for series in self.new.drain(..) {
            self.by_series.entry(series).or_insert(Habit::new(at));
        }
    }

    /// A series has strayed, and as far as is known it meant nothing.
    pub fn learn(&mut self, series: SeriesId, now: Hour, run: &Track) {
        let prior = self.prior();
        let Some(habit) = self.by_series.get_mut(&series) else { return };
        if habit.rarity(Evidence { whole: run.peak, own: 0.0 }, prior).whole >= NOTABLE_RARITY {
            self.routines.learn(series, now, run);
        }
        for habit in [habit, self.all.get_or_insert(Habit::new(now.at))] {
            habit.advance(now.at);
            habit.whole.learn(run.strayed_seconds.whole, run.evidence_seconds.whole, prior.whole);
            habit.own.learn(run.strayed_seconds.own, run.evidence_seconds.own, prior.own);
        }
    }

    /// The mean evidence of what strays on this site.
    pub fn prior(&self) -> Evidence {
        let mean = |of: fn(&Habit) -> Strayed| {
            self.all.as_ref().map_or(EVIDENCE_PRIOR, |all| of(all).mean(EVIDENCE_PRIOR))
        };
        Evidence { whole: mean(|all| all.whole), own: mean(|all| all.own) }
    }

    /// How rare the evidence of a run is, with the site's `prior`: -log10 of the share of its time, or of this hour of
    /// the week, in which the series has at least as much.
    pub fn rarity(&self, series: SeriesId, now: Hour, run: &Track, prior: Evidence) -> Evidence {
        let Some(mut habit) = self.by_series.get(&series).copied() else { return Evidence::default() };
        habit.advance(now.at);
        let ever = habit.rarity(run.evidence, prior);
        match self.routines.rarity(series, now, run, prior) {
            Some(now) => Evidence { whole: ever.whole.min(now.whole), own: ever.own.min(now.own) },
            None => ever,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::mover::tests::strayed;

    const SERIES: SeriesId = SeriesId(7);
    const WEEK_MS: i64 = 7 * 86_400_000;

    /// A series that strayed for two minutes every so many hours of a week, with this evidence.
    fn habits(every_hours: i64, evidence: f64) -> Habits {
        let mut habits = Habits::default();
        habits.admit(SERIES, "queue");
        habits.step(Timestamp(0));
        for hour in (every_hours..=168).step_by(every_hours as usize) {
            habits.learn(SERIES, hour_at(hour * 3_600_000), &strayed(120.0, evidence));
        }
        habits
    }

    fn rarity(habits: &Habits, evidence: f64) -> f64 {
        let mut run = strayed(1.0, 0.0);
        run.evidence = Evidence { whole: evidence, own: 0.0 };
        habits.rarity(SERIES, hour_at(WEEK_MS), &run, habits.prior()).whole
    }

    fn hour_at(ms: i64) -> Hour {
        Hour::new(Timestamp(ms), (ms / 1000 % (7 * 86_400)) as u32)
    }

    #[test]
    fn the_same_evidence_is_rarer_where_a_series_strays_less_often_or_less_far() {
        let (often, seldom, mild) = (habits(1, 5.0), habits(24, 5.0), habits(1, 1.0));
        assert!(rarity(&often, 10.0) + 0.8 < rarity(&seldom, 10.0));
        assert!(rarity(&often, 10.0) + 1.0 < rarity(&mild, 10.0));
        assert_eq!(rarity(&often, 0.0), 0.0);
    }

    #[test]
    fn the_rarity_is_the_share_of_time_with_at_least_as_much() {
        // Strayed for two minutes an hour with a mean of 5: with more than 10 for a share of exp(-2) of them.
        let expected = -libm::log10(120.0 / 3_600.0 * (-2f64).exp());
        let got = rarity(&habits(1, 5.0), 10.0);
        assert!((got - expected).abs() < 0.15, "{got} for {expected}");
    }

    #[test]
    fn one_long_run_does_not_make_a_series_deaf() {
        let mut habits = habits(6, 5.0);
        let before = rarity(&habits, 100.0);
        habits.learn(SERIES, hour_at(WEEK_MS), &strayed(86_400.0, 400.0));
        let after = rarity(&habits, 100.0);
        assert!(after > 0.3 * before && after > 4.0, "{before}, then {after}");
    }

    #[test]
    fn who_is_not_known_is_not_rare() {
        assert_eq!(rarity(&Habits::default(), 50.0), 0.0);
    }
}
