//! How much evidence wakes a person: as much as false alarms exceed no more often than the budget allows.
//!
//! A case's weight is compared with a threshold, and the threshold stands where
//!
//! ```text
//! (past cases at least as heavy + what chance gives in w weeks) / (weeks watched + w)
//! ```
//!
//! meets the budget. At first w is one week, and it shrinks as more is watched: what chance gave in weeks that nobody saw
//! would lend its quiet to a site that has none. Chance: a weight is in decades, so that of one series passes so many in a
//! share of ten to minus them of its runs, of about twenty values each. What moves on one host is not independent, which is
//! taken for two fifths of the decades. So a site begins with a threshold from the number of looks alone, and its own past
//! takes over within weeks.
//!
//! A fault that shows in a few series would never be told on a site whose busy hours move fifty. So what looks like a fault
//! takes no more than what looked like it before and meant nothing: each fault has a record of its own.
//!
//! How the past is counted, and how it goes on beyond what it has seen, says `tally`.
//!
//! All that is an estimate, so a slow loop watches what really fired: each false ticket or page raises what the next one
//! takes, and quiet time lowers it, at a rate that holds still where the budget is just used up (Robbins and Monro
//! 1951). For pages it only ever raises: a page that nobody needed to get is no loss.
//!
//! A hard limit that is surely near wakes at once, whatever the past. So that is what has to be earned: a limit of which
//! somebody was woken in vain wakes nobody by itself until its share of the budget has come again.
//!
//! A case that users felt, or that a person took on, was no false alarm and isn't counted. One in which several signs of
//! a known fault agreed is counted for pages: what looks like a fault each night, and hurts nobody, is no reason to wake
//! someone each night, and still one to look at by day.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::case::USUAL_RARITY;
use super::event::Severity;
use super::tally::Tally;
use crate::sample::Timestamp;

const WEEK_MS: f64 = 7.0 * 86_400_000.0;
/// Of the tickets that a week may have, those that may look like one fault and be none.
const FAULT_SHARE: f64 = 1.0 / 14.0;
/// Of the pages that a week may have, those that may be for one limit that is not reached.
const LIMIT_SHARE: f64 = 1.0 / 4.0;
/// Of a case's decades, what counts as independent.
const INDEPENDENT: f64 = 0.54;
/// Values of a run.
const RUN_VALUES: f64 = 20.0;
/// What no site should hear of stays below this. On a new site a lone value of a surprise of seven weighs as much.
pub(super) const THRESHOLD_MIN: f64 = 4.0;
/// The past counts half after this.
const HALF_LIFE_WEEKS: f64 = 8.0;
/// What one that fired raises, and how far the loop goes either way.
const LOOP_STEP: f64 = 0.5;
const LOOP_DOWN_MAX: f64 = 6.0;
const LOOP_UP_MAX: f64 = 6.0;
/// Before a site's days are known everything is odd, which says nothing of later.
const STRANGE_WEEKS: f64 = 3.0 / 7.0;
/// A longer silence was not watched.
const GAP_MS_MAX: i64 = 3_600_000;

/// False alarms that the operator can live with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub pages_per_week: f64,
    pub tickets_per_week: f64,
}

/// The weight that a case needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Thresholds {
    pub ticket: f64,
    pub page: f64,
}

/// As what a case counts that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Counts {
    /// It was no false alarm.
    Not,
    /// It looked like a fault that nobody felt: against pages.
    AsUnfelt,
    /// It meant nothing.
    AsFalse,
}

/// A case that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    /// The most it weighed.
    pub weight: f64,
    pub began: Timestamp,
    /// Where people were told of it, it may have cost some of the budget.
    pub told: Severity,
    /// What it looked like at its heaviest.
    pub fault: Option<String>,
    /// Signals whose limit was near enough to wake somebody for that alone.
    pub limits: BTreeSet<String>,
}

/// How heavy past cases were that meant nothing, and for how long that was watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Past {
    tickets: Tally,
    pages: Tally,
    /// By the fault that they looked like.
    faults: BTreeMap<String, Tally>,
    /// When somebody was last woken in vain for the limit of a signal.
    in_vain: BTreeMap<String, Timestamp>,
    weeks: f64,
    newest: Option<Timestamp>,
    /// Weeks since the beginning that were watched; they do not fade.
    age_weeks: f64,
    /// What the loop adds to the estimates.
    fired: Thresholds,
}

impl Default for Past {
    fn default() -> Self {
        Past {
            tickets: Tally::default(),
            pages: Tally::default(),
            faults: BTreeMap::new(),
            in_vain: BTreeMap::new(),
            weeks: 0.0,
            newest: None,
            age_weeks: 0.0,
            fired: Thresholds { ticket: 0.0, page: 0.0 },
        }
    }
}

impl Past {
    /// Time passes, and what is long ago counts less.
    pub fn advance(&mut self, at: Timestamp, budget: Budget) {
        let Some(newest) = self.newest else {
            self.newest = Some(at);
            return;
        };
        // By the quarter of an hour: the fading is a pass over all bins.
        let passed_ms = at.since(newest);
        if passed_ms < GAP_MS_MAX / 4 {
            return;
        }
        self.newest = Some(at);
        let weeks = passed_ms.min(GAP_MS_MAX) as f64 / WEEK_MS;
        self.age_weeks += weeks;
        if self.age_weeks < STRANGE_WEEKS {
            return;
        }
        let Thresholds { ticket, page } = &mut self.fired;
        *ticket = (*ticket - LOOP_STEP * budget.tickets_per_week * weeks).max(-LOOP_DOWN_MAX);
        *page = (*page - LOOP_STEP * budget.pages_per_week * weeks).max(0.0);
        let keep = libm::exp2(-weeks / HALF_LIFE_WEEKS);
        self.weeks = self.weeks * keep + weeks;
        self.tickets.fade(keep);
        self.pages.fade(keep);
        self.faults.values_mut().for_each(|tally| tally.fade(keep));
    }

    /// A case has ended and meant nothing, as far as `counts` says.
    pub fn record(&mut self, ended: &Ended, counts: Counts) {
        self.move_loop(ended.told, counts, LOOP_STEP);
        if counts != Counts::Not {
            self.in_vain.extend(ended.limits.iter().map(|signal| (signal.clone(), ended.began)));
        }
        if self.age_weeks >= STRANGE_WEEKS {
            self.of(ended, counts).for_each(|tally| tally.add(ended.weight, ended.began));
        }
    }

    fn of(&mut self, ended: &Ended, counts: Counts) -> impl Iterator<Item = &mut Tally> {
        let Past { tickets, pages, faults, .. } = self;
        let tickets = (counts == Counts::AsFalse).then_some(tickets);
        let pages = (counts != Counts::Not).then_some(pages);
        let fault = ended.fault.as_ref().filter(|_| counts != Counts::Not);
        let fault = fault.map(|fault| faults.entry(fault.clone()).or_default());
        tickets.into_iter().chain(pages).chain(fault)
    }

    fn move_loop(&mut self, told: Severity, counts: Counts, by: f64) {
        let Thresholds { ticket, page } = &mut self.fired;
        if told > Severity::Info && counts == Counts::AsFalse {
            *ticket = (*ticket + by).clamp(-LOOP_DOWN_MAX, LOOP_UP_MAX);
        }
        if told == Severity::Page && counts != Counts::Not {
            *page = (*page + by).clamp(0.0, LOOP_UP_MAX);
        }
    }

    /// A case that was recorded did mean something.
    pub fn take_back(&mut self, ended: &Ended, counts: Counts) {
        self.move_loop(ended.told, counts, -LOOP_STEP);
        if counts != Counts::Not {
            self.in_vain.retain(|signal, _| !ended.limits.contains(signal));
        }
        let ago_ms = self.newest.map_or(0, |newest| newest.since(ended.began));
        let faded = libm::exp2(-(ago_ms as f64) / WEEK_MS / HALF_LIFE_WEEKS);
        self.of(ended, counts).for_each(|tally| tally.remove(ended.weight, ended.began, faded));
    }

    /// `looks` is how many values a week are judged.
    pub fn thresholds(&self, budget: Budget, looks: f64) -> Thresholds {
        let page = self.threshold(&self.pages, budget.pages_per_week, looks) + self.fired.page;
        let ticket = self.threshold(&self.tickets, budget.tickets_per_week, looks) + self.fired.ticket;
        Thresholds { ticket: ticket.clamp(THRESHOLD_MIN, page), page }
    }

    /// What a ticket takes that looks like this fault, where that is less than what any ticket takes: as much as its own
    /// look-alikes had. A clock that drifts moves three series, and a busy hour of the same site fifty.
    pub fn ticket_of(&self, fault: &str, budget: Budget, looks: f64) -> f64 {
        let none = Tally::default();
        let alike = self.faults.get(fault).unwrap_or(&none);
        self.threshold(alike, FAULT_SHARE * budget.tickets_per_week, looks)
    }

    /// Whether the limit of a signal may wake somebody by itself.
    pub fn wakes_for(&self, signal: &str, at: Timestamp, budget: Budget) -> bool {
        let weeks = |since: &Timestamp| at.since(*since) as f64 / WEEK_MS;
        self.in_vain.get(signal).is_none_or(|since| weeks(since) * LIMIT_SHARE * budget.pages_per_week >= 1.0)
    }

    /// The lowest weight that meaningless cases exceed at most so often.
    fn threshold(&self, past: &Tally, per_week: f64, looks: f64) -> f64 {
        let unseen_weeks = 1.0 / (1.0 + self.weeks);
        let chance =
            |weight| unseen_weeks * looks / RUN_VALUES * libm::exp10(-USUAL_RARITY - INDEPENDENT * weight);
        past.threshold(per_week * (self.weeks + unseen_weeks), chance).max(THRESHOLD_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { pages_per_week: 1.0, tickets_per_week: 7.0 };
    /// 1,000 series at 15 s.
    const LOOKS: f64 = 4e7;

    fn ended(weight: f64, hour: i64) -> Ended {
        Ended {
            weight,
            began: Timestamp(hour * GAP_MS_MAX),
            told: Severity::Info,
            fault: None,
            limits: BTreeSet::new(),
        }
    }

    fn watched(weeks: f64, cases: &[f64]) -> Past {
        let mut past = Past::default();
        let mut at = Timestamp(0);
        for _ in 0..(weeks * 168.0) as usize {
            past.advance(at, BUDGET);
            at = at.plus_ms(GAP_MS_MAX);
        }
        for (hour, &weight) in (0..).zip(cases) {
            past.record(&ended(weight, hour), Counts::AsFalse);
        }
        past
    }

    #[test]
    fn a_new_site_begins_with_what_chance_gives() {
        let fresh = Past::default().thresholds(BUDGET, LOOKS);
        assert!((6.5..9.5).contains(&fresh.page), "{fresh:?}");
        assert!(fresh.ticket < fresh.page);
        let small = Past::default().thresholds(BUDGET, LOOKS / 1000.0);
        assert_eq!(small.page, THRESHOLD_MIN);
    }

    #[test]
    fn a_noisy_past_raises_the_threshold_above_it() {
        let noisy = watched(4.0, &[30.0; 20]).thresholds(BUDGET, LOOKS);
        assert_eq!(noisy.page, 31.0);
        let one_a_month = watched(4.0, &[30.0]).thresholds(BUDGET, LOOKS);
        assert!(one_a_month.page < 9.5, "one in four weeks is within the budget: {one_a_month:?}");
    }

    #[test]
    fn a_true_alarm_takes_back_all_that_it_taught() {
        let (mut past, began) = (watched(4.0, &[]), Timestamp(9 * GAP_MS_MAX));
        let mut before = past.clone();
        before.fired.page = LOOP_STEP;
        past.fired.page = LOOP_STEP;
        let ended = Ended { told: Severity::Page, ..ended(50.0, 9) };
        past.record(&ended, Counts::AsFalse);
        assert!(past.thresholds(BUDGET, LOOKS).page > before.thresholds(BUDGET, LOOKS).page);
        past.newest = Some(began);
        past.take_back(&ended, Counts::AsFalse);
        past.newest = before.newest;
        assert_eq!(past, before);
    }

    #[test]
    fn what_looks_like_a_fault_and_is_never_felt_wakes_nobody_and_is_told_all_the_same() {
        let (mut past, quiet) = (watched(4.0, &[]), watched(4.0, &[]));
        for hour in 0..20 {
            past.record(&ended(50.0, hour), Counts::AsUnfelt);
        }
        let [past, quiet] = [past, quiet].map(|past| past.thresholds(BUDGET, LOOKS));
        assert!((50.0..53.0).contains(&past.page), "{past:?}");
        assert_eq!(past.ticket, quiet.ticket);
    }

    #[test]
    fn a_fault_has_a_record_of_its_own() {
        let mut past = watched(4.0, &[60.0; 60]);
        assert!(past.thresholds(BUDGET, LOOKS).ticket > 50.0);
        let takes = |past: &Past, fault| past.ticket_of(fault, BUDGET, LOOKS);
        assert!(takes(&past, "clock_skew") < 9.0, "{}", takes(&past, "clock_skew"));
        for hour in 0..20 {
            let ended = Ended { fault: Some("mail_surge".into()), ..ended(30.0, hour) };
            past.record(&ended, Counts::AsUnfelt);
        }
        assert!(takes(&past, "mail_surge") > 30.0 && takes(&past, "clock_skew") < 9.0);
    }

    #[test]
    fn a_limit_that_woke_somebody_in_vain_waits_for_its_share_of_the_budget() {
        let mut past = watched(4.0, &[]);
        let limits = BTreeSet::from(["heap_used".to_owned()]);
        let vain = Ended { told: Severity::Page, limits, ..ended(9.0, 0) };
        past.record(&vain, Counts::AsUnfelt);
        let wakes = |past: &Past, signal, weeks: i64, pages_per_week| {
            let budget = Budget { pages_per_week, ..BUDGET };
            past.wakes_for(signal, Timestamp(weeks * 168 * GAP_MS_MAX), budget)
        };
        assert!(!wakes(&past, "heap_used", 3, 1.0) && wakes(&past, "heap_used", 4, 1.0));
        assert!(!wakes(&past, "heap_used", 15, 0.25) && wakes(&past, "heap_used", 1, 4.0));
        assert!(wakes(&past, "disk_free", 0, 0.25));
        past.take_back(&vain, Counts::AsUnfelt);
        assert!(wakes(&past, "heap_used", 0, 1.0));
        past.record(&vain, Counts::Not);
        assert!(wakes(&past, "heap_used", 0, 1.0), "that one was felt");
    }

    #[test]
    fn a_bigger_budget_never_needs_more() {
        let past = watched(2.0, &[8.0, 12.0, 19.0, 40.0, 41.0, 300.0]);
        let mut last = f64::MAX;
        for per_week in [0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 1e9] {
            let threshold = past.threshold(&past.pages, per_week, LOOKS);
            assert!(threshold <= last);
            last = threshold;
        }
    }

    #[test]
    fn a_bad_month_is_forgotten_within_the_year() {
        let mut past = watched(4.0, &[60.0; 40]);
        assert!(past.threshold(&past.pages, 1.0, LOOKS) > 60.0);
        let mut at = past.newest.unwrap();
        for _ in 0..48 * 168 {
            at = at.plus_ms(GAP_MS_MAX);
            past.advance(at, BUDGET);
        }
        assert!(past.threshold(&past.pages, 1.0, LOOKS) < 10.0);
    }
}
