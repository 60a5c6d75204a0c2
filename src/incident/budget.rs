//! How much evidence wakes a person: as much as false alarms exceed no more often than the budget allows.
//!
//! A case's weight is compared with a threshold, and the threshold stands where
//!
//! ```text
//! (past cases at least as heavy + a week's worth of what chance gives) / (weeks watched + one week)
//! ```
//!
//! meets the budget. Chance: a weight is in decades, so that of one series passes w in a share of `10^-w` of its runs,
//! of about twenty values each. What moves on one host is not independent, which is taken for two fifths of the decades. So
//! a site begins with a threshold from the number of looks alone, and its own past takes over within weeks.
//!
//! The past seldom reaches as far as the budget: who wants one page a month and was watched for two weeks asks for a
//! weight that has not been seen. The heaviest twenty cases have an exponential tail, as sums of decades do, and beyond
//! them it goes on, at the scale that their median tells, since one huge case says little of others (it counts for
//! itself); what twenty know of its scale is uncertain, so the predictive distribution is taken (with the scale unknown it
//! is a Lomax: Geisser 1993), which asks for a little more than the estimate would.
//!
//! All that is an estimate, so a slow loop watches what really fired: each false ticket or page raises what the next one
//! takes, and quiet time lowers it, at a rate that holds still where the budget is just used up (Robbins and Monro
//! 1951). For pages it only ever raises: a page that nobody needed to get is no loss.
//!
//! Cases that began in one hour are one event, of which the heaviest counts: a tail is that of independent exceedances
//! (Davison and Smith 1990).
//!
//! A case in which several signs of a known fault agreed, or that a person took on, was no false alarm and isn't
//! counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::USUAL_RARITY;
use super::event::Severity;
use crate::sample::Timestamp;

const WEEK_MS: f64 = 7.0 * 86_400_000.0;
/// Of a case's decades, what counts as independent.
const INDEPENDENT: f64 = 0.54;
/// Values of a run.
const RUN_VALUES: f64 = 20.0;
/// What no site should hear of stays below this. On a new site a lone value of a surprise of seven weighs as much.
const THRESHOLD_MIN: f64 = 4.0;
/// Cases whose weights say how the tail goes on, and how few say nothing.
const TAIL_CASES: f64 = 20.0;
const TAIL_CASES_MIN: f64 = 5.0;
const BIN: f64 = 0.5;
const BINS: usize = 512;
/// The past counts half after this.
const HALF_LIFE_WEEKS: f64 = 8.0;
/// What one that fired raises, and how far the loop goes either way.
const LOOP_STEP: f64 = 0.5;
const LOOP_DOWN_MAX: f64 = 6.0;
const LOOP_UP_MAX: f64 = 6.0;
/// Before a site's days are known everything is odd, which says nothing of later.
const STRANGE_WEEKS: f64 = 3.0 / 7.0;
const HOUR_MS: i64 = 3_600_000;
/// Hours whose heaviest case is known: people say what it was within days.
const HOURS: usize = 512;
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

fn bin(weight: f64) -> usize {
    ((weight / BIN) as usize).min(BINS - 1)
}

/// How heavy past cases were that meant nothing, and for how long that was watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Past {
    /// Cases by weight, in bins of `BIN`; the last bin is open. Of those that began in one hour, the heaviest.
    cases: Vec<f64>,
    /// The heaviest of the last hours.
    hours: BTreeMap<i64, f64>,
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
            cases: vec![0.0; BINS],
            hours: BTreeMap::new(),
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
        for count in &mut self.cases {
            *count *= keep;
        }
    }

    /// A case of this weight has ended and meant nothing.
    pub fn record(&mut self, weight: f64, began: Timestamp) {
        if self.age_weeks < STRANGE_WEEKS {
            return;
        }
        let hour = began.0.div_euclid(HOUR_MS);
        if self.hours.get(&hour).is_some_and(|heaviest| *heaviest >= weight) {
            return;
        }
        if let Some(lighter) = self.hours.insert(hour, weight) {
            self.cases[bin(lighter)] = (self.cases[bin(lighter)] - 1.0).max(0.0);
        }
        if self.hours.len() > HOURS {
            self.hours.pop_first();
        }
        self.cases[bin(weight)] += 1.0;
    }

    /// People were told of a case, and it meant nothing.
    pub fn fire(&mut self, told: Severity) {
        self.move_loop(told, LOOP_STEP);
    }

    fn move_loop(&mut self, told: Severity, by: f64) {
        let Thresholds { ticket, page } = &mut self.fired;
        if told > Severity::Info {
            *ticket = (*ticket + by).clamp(-LOOP_DOWN_MAX, LOOP_UP_MAX);
        }
        if told == Severity::Page {
            *page = (*page + by).clamp(0.0, LOOP_UP_MAX);
        }
    }

    /// A case that was recorded, and told of, did mean something.
    pub fn take_back(&mut self, weight: f64, began: Timestamp, told: Severity) {
        self.move_loop(told, -LOOP_STEP);
        let hour = began.0.div_euclid(HOUR_MS);
        if self.hours.get(&hour) != Some(&weight) {
            return;
        }
        self.hours.remove(&hour);
        let ago_ms = self.newest.map_or(0, |newest| newest.since(began));
        let faded = libm::exp2(-(ago_ms as f64) / WEEK_MS / HALF_LIFE_WEEKS);
        self.cases[bin(weight)] = (self.cases[bin(weight)] - faded).max(0.0);
    }

    /// `looks` is how many values a week are judged.
    pub fn thresholds(&self, budget: Budget, looks: f64) -> Thresholds {
        let page = self.threshold(budget.pages_per_week, looks) + self.fired.page;
        let ticket = self.threshold(budget.tickets_per_week, looks) + self.fired.ticket;
        Thresholds { ticket: ticket.clamp(THRESHOLD_MIN, page), page }
    }

    /// The lowest weight that meaningless cases exceed at most so often.
    fn threshold(&self, per_week: f64, looks: f64) -> f64 {
        let tail = self.tail();
        let mut heavier = self.cases.iter().sum::<f64>();
        for bin in 0..BINS {
            let weight = bin as f64 * BIN;
            let chance = looks / RUN_VALUES * libm::exp10(-USUAL_RARITY - INDEPENDENT * weight);
            let expected = tail.filter(|tail| weight > tail.begin).map_or(0.0, |tail| tail.beyond(weight));
            let past = heavier.max(expected);
            if (past + chance) / (self.weeks + 1.0) <= per_week {
                return weight.max(THRESHOLD_MIN);
            }
            heavier -= self.cases[bin];
        }
        BINS as f64 * BIN
    }

    /// How the heaviest cases are spread; `None` where there are too few to say.
    fn tail(&self) -> Option<Tail> {
        // The lowest bin of the so many heaviest, and how many there are from it on.
        let heaviest = |count: f64| {
            let mut cases = 0.0;
            for bin in (0..BINS).rev() {
                cases += self.cases[bin];
                if cases >= count {
                    return (bin as f64 * BIN, cases);
                }
            }
            (0.0, cases)
        };
        let (begin, cases) = heaviest(TAIL_CASES);
        let (middle, _) = heaviest(cases / 2.0);
        let mean_excess = (middle + BIN / 2.0 - begin) / std::f64::consts::LN_2;
        (cases >= TAIL_CASES_MIN).then_some(Tail { begin, cases, mean_excess })
    }
}

/// The heaviest cases of the past.
#[derive(Clone, Copy, Debug)]
struct Tail {
    /// What they weigh at least.
    begin: f64,
    cases: f64,
    mean_excess: f64,
}

impl Tail {
    /// How many to expect, in as much time again, that weigh at least so much.
    fn beyond(&self, weight: f64) -> f64 {
        let reach = (weight - self.begin) / (self.cases * self.mean_excess);
        self.cases * libm::pow(1.0 + reach, -self.cases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { pages_per_week: 1.0, tickets_per_week: 7.0 };
    /// 1,000 series at 15 s.
    const LOOKS: f64 = 4e7;

    fn watched(weeks: f64, cases: &[f64]) -> Past {
        let mut past = Past::default();
        let mut at = Timestamp(0);
        for _ in 0..(weeks * 168.0) as usize {
            past.advance(at, BUDGET);
            at = at.plus_ms(GAP_MS_MAX);
        }
        for (hour, &weight) in (0..).zip(cases) {
            past.record(weight, Timestamp(hour * HOUR_MS));
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
    fn what_begins_in_one_hour_counts_once_by_its_heaviest() {
        let (mut burst, single) = (watched(4.0, &[]), watched(4.0, &[50.0]));
        for (minute, weight) in [(5, 20.0), (10, 50.0), (59, 30.0)] {
            burst.record(weight, Timestamp(minute * 60_000));
        }
        assert_eq!(burst.cases, single.cases);
    }

    #[test]
    fn a_true_alarm_takes_back_all_that_it_taught() {
        let (mut past, began) = (watched(4.0, &[]), Timestamp(9 * HOUR_MS));
        let mut before = past.clone();
        before.fired.page = LOOP_STEP;
        past.fired.page = LOOP_STEP;
        past.record(50.0, began);
        past.fire(Severity::Page);
        assert!(past.thresholds(BUDGET, LOOKS).page > before.thresholds(BUDGET, LOOKS).page);
        past.newest = Some(began);
        past.take_back(50.0, began, Severity::Page);
        past.newest = before.newest;
        assert_eq!(past, before);
        // What was never recorded, as in the first days, takes nothing of others with it.
        past.record(50.0, began);
        past.take_back(40.0, began, Severity::Info);
        assert!(past.cases[bin(50.0)] == 1.0);
    }

    #[test]
    fn a_bigger_budget_never_needs_more() {
        let past = watched(2.0, &[8.0, 12.0, 19.0, 40.0, 41.0, 300.0]);
        let mut last = f64::MAX;
        for per_week in [0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 1e9] {
            let threshold = past.threshold(per_week, LOOKS);
            assert!(threshold <= last);
            last = threshold;
        }
    }

    #[test]
    fn a_bad_month_is_forgotten_within_the_year() {
        let mut past = watched(4.0, &[60.0; 40]);
        assert!(past.threshold(1.0, LOOKS) > 60.0);
        let mut at = past.newest.unwrap();
        for _ in 0..48 * 168 {
            at = at.plus_ms(GAP_MS_MAX);
            past.advance(at, BUDGET);
        }
        assert!(past.threshold(1.0, LOOKS) < 10.0);
    }
}
