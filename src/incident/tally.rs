//! Cases that meant nothing, by weight, and the weight that they exceed so often and no oftener.
//!
//! The past seldom reaches as far as the budget: who wants one page a month and was watched for two weeks asks for a
//! weight that has not been seen. The heaviest twenty cases have an exponential tail, as sums of decades do, and beyond
//! them it goes on, at the scale that their median tells, since one huge case says little of others (it counts for
//! itself); what twenty know of its scale is uncertain, so the predictive distribution is taken (with the scale unknown it
//! is a Lomax: Geisser 1993), which asks for a little more than the estimate would.
//!
//! Cases that began in one hour are one event, of which the heaviest counts: a tail is that of independent exceedances
//! (Davison and Smith 1990).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;

/// Cases whose weights say how the tail goes on, and how few say nothing.
const TAIL_CASES: f64 = 20.0;
const TAIL_CASES_MIN: f64 = 5.0;
/// Half a decade wide to begin with; from `EVEN` of them on each is wider than the one before by so much, up to 5,000.
const BIN: f64 = 0.5;
const EVEN: usize = 64;
const WIDER: f64 = 1.02;
const BINS: usize = 320;
const HOUR_MS: i64 = 3_600_000;
/// Hours whose heaviest case is known: people say what it was within days.
const HOURS: usize = 512;

fn bin(weight: f64) -> usize {
    let even = weight / BIN;
    let wider = || EVEN as f64 + libm::log(even / EVEN as f64) / libm::log(WIDER);
    let bin = if even < EVEN as f64 { even } else { wider() };
    (bin as usize).min(BINS - 1)
}

/// The least weight in a bin.
fn least(bin: usize) -> f64 {
    let wider = bin.saturating_sub(EVEN) as f64;
    bin.min(EVEN) as f64 * BIN * libm::pow(WIDER, wider)
}

fn hour(began: Timestamp) -> i64 {
    began.0.div_euclid(HOUR_MS)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Cases by weight, in bins; the last bin is open. Of those that began in one hour, the heaviest.
    cases: Vec<f64>,
    /// The heaviest of the last hours.
    hours: BTreeMap<i64, f64>,
}

impl Default for Tally {
    fn default() -> Self {
        Tally { cases: vec![0.0; BINS], hours: BTreeMap::new() }
    }
}

impl Tally {
    /// What is long ago counts less: this share of what it did.
    pub fn fade(&mut self, keep: f64) {
        for count in &mut self.cases {
            *count *= keep;
        }
    }

    pub fn add(&mut self, weight: f64, began: Timestamp) {
        let hour = hour(began);
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

    /// Takes a case back that has faded to this share of one. What was never added takes nothing of others with it.
    pub fn remove(&mut self, weight: f64, began: Timestamp, faded: f64) {
        let hour = hour(began);
        if self.hours.get(&hour) == Some(&weight) {
            self.hours.remove(&hour);
            self.cases[bin(weight)] = (self.cases[bin(weight)] - faded).max(0.0);
        }
    }

    /// The lowest weight that at most `most` cases exceed, to which `chance` adds what else would be as heavy.
    pub fn threshold(&self, most: f64, chance: impl Fn(f64) -> f64) -> f64 {
        let tail = self.tail();
        let mut heavier = self.cases.iter().sum::<f64>();
        for bin in 0..BINS {
            let weight = least(bin);
            let expected = tail.filter(|tail| weight > tail.begin).map_or(0.0, |tail| tail.beyond(weight));
            if heavier.max(expected) + chance(weight) <= most {
                return weight;
            }
            heavier -= self.cases[bin];
        }
        least(BINS)
    }

    /// How the heaviest cases are spread; `None` where there are too few to say.
    fn tail(&self) -> Option<Tail> {
        // The lowest bin of the so many heaviest, and how many there are from it on.
        let heaviest = |count: f64| {
            let mut cases = 0.0;
            for bin in (0..BINS).rev() {
                cases += self.cases[bin];
                if cases >= count {
                    return (bin, cases);
                }
            }
            (0, cases)
        };
        let (first, cases) = heaviest(TAIL_CASES);
        let (middle, _) = heaviest(cases / 2.0);
        let (begin, middle) = (least(first), 0.5 * (least(middle) + least(middle + 1)));
        let mean_excess = (middle - begin) / std::f64::consts::LN_2;
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

    fn of(cases: &[f64]) -> Tally {
        let mut tally = Tally::default();
        (0..).zip(cases).for_each(|(hour, weight)| tally.add(*weight, Timestamp(hour * HOUR_MS)));
        tally
    }

    #[test]
    fn a_weight_is_in_its_bin() {
        for weight in (0..5_000).map(|tenths| f64::from(tenths) * 0.9) {
            let bin = bin(weight);
            assert!(least(bin) <= weight * 1.000_001 && weight < least(bin + 1) * 1.000_001, "{weight}");
        }
        assert_eq!((bin(1e9), bin(32.0), least(EVEN)), (BINS - 1, EVEN, 32.0));
    }

    #[test]
    fn what_begins_in_one_hour_counts_once_by_its_heaviest() {
        let mut burst = Tally::default();
        for (minute, weight) in [(5, 20.0), (10, 50.0), (59, 30.0)] {
            burst.add(weight, Timestamp(minute * 60_000));
        }
        assert_eq!(burst, of(&[50.0]));
    }

    #[test]
    fn what_is_taken_back_takes_nothing_of_others_with_it() {
        let (mut tally, before) = (of(&[20.0, 50.0]), of(&[20.0]));
        tally.remove(50.0, Timestamp(HOUR_MS), 1.0);
        assert_eq!(tally, before);
        tally.remove(40.0, Timestamp(0), 1.0);
        assert_eq!(tally, before);
    }

    #[test]
    fn whoever_allows_more_never_needs_more() {
        let past = of(&[8.0, 12.0, 19.0, 40.0, 41.0, 300.0]);
        let thresholds = [0.01, 0.1, 0.5, 1.0, 3.0, 10.0].map(|most| past.threshold(most, |_| 0.0));
        assert!(thresholds.is_sorted_by(|a, b| a >= b), "{thresholds:?}");
    }
}
