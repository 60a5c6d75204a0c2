//! How much evidence wakes a person: as much as false alarms exceed no more often than the budget allows.
//!
//! A case's weight is compared with a threshold, and the threshold stands where
//!
//! ```text
//! (past cases at least as heavy + a week's worth of what chance gives) / (weeks watched + one week)
//! ```
//!
//! meets the budget. Chance: the evidence of one series is a random walk with a drift down (`mover`), whose
//! excursions beyond w are about as frequent as `looks · 10^(-0.92 w)`; 0.92 solves `1 - θ = 10^(-1.2 θ)` for
//! surprises that are exponential and a drift of 1.2. So a site begins with a threshold from the number of
//! looks alone, and what its own past shows takes over within weeks. A case in which several signs of a known
//! fault agreed, or that a person took on, was no false alarm and isn't counted.

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;

const WEEK_MS: f64 = 7.0 * 86_400_000.0;
/// Decades of rarity for one of evidence.
const DECADES: f64 = 0.92;
/// A lone value, however odd, weighs 10.8 at most; what no site should hear of stays below this.
const THRESHOLD_MIN: f64 = 7.5;
const BIN: f64 = 0.5;
const BINS: usize = 512;
/// The past counts half after this.
const HALF_LIFE_WEEKS: f64 = 8.0;
/// A longer silence was not watched.
const GAP_MS_MAX: i64 = 3_600_000;

/// False alarms that the operator can live with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub pages_per_week: f64,
    pub tickets_per_week: f64,
}

/// The weight that a case needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Thresholds {
    pub ticket: f64,
    pub page: f64,
}

/// How heavy past cases were that meant nothing, and for how long that was watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Past {
    /// Cases by weight, in bins of `BIN`; the last bin is open.
    cases: Vec<f64>,
    weeks: f64,
    newest: Option<Timestamp>,
}

impl Default for Past {
    fn default() -> Self {
        Past { cases: vec![0.0; BINS], weeks: 0.0, newest: None }
    }
}

impl Past {
    /// Time passes, and what is long ago counts less.
    pub fn advance(&mut self, at: Timestamp) {
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
        let keep = libm::exp2(-weeks / HALF_LIFE_WEEKS);
        self.weeks = self.weeks * keep + weeks;
        for count in &mut self.cases {
            *count *= keep;
        }
    }

    /// A case of this weight has ended and meant nothing.
    pub fn record(&mut self, weight: f64) {
        let bin = ((weight / BIN) as usize).min(BINS - 1);
        self.cases[bin] += 1.0;
    }

    /// A case recorded this long ago did mean something.
    pub fn take_back(&mut self, weight: f64, ago_ms: i64) {
        let bin = ((weight / BIN) as usize).min(BINS - 1);
        let faded = libm::exp2(-(ago_ms as f64) / WEEK_MS / HALF_LIFE_WEEKS);
        self.cases[bin] = (self.cases[bin] - faded).max(0.0);
    }

    /// `looks` is how many values a week are judged.
    pub fn thresholds(&self, budget: Budget, looks: f64) -> Thresholds {
        let page = self.threshold(budget.pages_per_week, looks);
        Thresholds { ticket: self.threshold(budget.tickets_per_week, looks).min(page), page }
    }

    /// The lowest weight that meaningless cases exceed at most so often.
    fn threshold(&self, per_week: f64, looks: f64) -> f64 {
        let mut heavier = 0.0;
        for bin in (0..BINS).rev() {
            let weight = bin as f64 * BIN;
            let chance = looks * libm::exp10(-DECADES * weight);
            heavier += self.cases[bin];
            if (heavier + chance) / (self.weeks + 1.0) > per_week {
                return (weight + BIN).max(THRESHOLD_MIN);
            }
        }
        THRESHOLD_MIN
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
            past.advance(at);
            at = at.plus_ms(GAP_MS_MAX);
        }
        cases.iter().for_each(|&weight| past.record(weight));
        past
    }

    #[test]
    fn a_new_site_begins_with_what_chance_gives() {
        let fresh = Past::default().thresholds(BUDGET, LOOKS);
        assert!((8.0..9.5).contains(&fresh.page), "{fresh:?}");
        assert!(fresh.ticket < fresh.page);
        let small = Past::default().thresholds(BUDGET, LOOKS / 1000.0);
        assert_eq!(small.page, THRESHOLD_MIN);
    }

    #[test]
    fn a_noisy_past_raises_the_threshold_above_it() {
        let noisy = watched(4.0, &[30.0; 20]).thresholds(BUDGET, LOOKS);
        assert_eq!(noisy.page, 30.5);
        let one_a_month = watched(4.0, &[30.0]).thresholds(BUDGET, LOOKS);
        assert!(one_a_month.page < 9.5, "one in four weeks is within the budget: {one_a_month:?}");
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
            past.advance(at);
        }
        assert!(past.threshold(1.0, LOOKS) < 10.0);
    }
}
