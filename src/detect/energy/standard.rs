//! A quantity of every signal in deviations of its own past: winsorised means and variances with a floor.

use serde::{Deserialize, Serialize};

/// Evidence counts as at most so many deviations.
const EVIDENCE_MAX: f64 = 20.0;
/// A glitch widens that range to so many deviations at most, or it would blind the signal for good.
const RANGE_REACH: f64 = 1_000.0;

/// A quantity of every signal, standardised by its own past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Standard {
    pub(super) mean: Vec<f64>,
    pub(super) variance: Vec<f64>,
    /// The range ever met.
    low: Vec<f64>,
    high: Vec<f64>,
    floor: f64,
    winsor: f64,
}

impl Standard {
    pub(super) fn new(floor: f64, winsor: f64) -> Self {
        let none = Vec::new;
        Standard { mean: none(), variance: none(), low: none(), high: none(), floor, winsor }
    }

    pub(super) fn resize(&mut self, signals: usize) {
        for zero in [&mut self.mean, &mut self.variance, &mut self.low, &mut self.high] {
            zero.resize(signals, 0.0);
        }
    }

    pub(super) fn seed(&mut self, signal: usize, value: f64) {
        self.variance[signal] = 0.0;
        for place in [&mut self.mean, &mut self.low, &mut self.high] {
            place[signal] = value;
        }
    }

    #[inline]
    fn deviation(&self, signal: usize) -> f64 {
        let floor = self.floor * (self.high[signal] - self.low[signal]);
        (self.variance[signal] + floor * floor).sqrt()
    }

    /// Deviations of `value` from the mean of the past, at most `EVIDENCE_MAX`; learns with `gain`.
    #[inline]
    pub(super) fn deviations(&mut self, signal: usize, value: f64, gain: f64, settled: bool) -> f64 {
        let mut apart = value - self.mean[signal];
        if gain > 0.0 {
            let reach = if settled { RANGE_REACH * self.deviation(signal) } else { f64::INFINITY };
            let met = if reach > 0.0 { self.mean[signal] + apart.clamp(-reach, reach) } else { value };
            self.low[signal] = self.low[signal].min(met);
            self.high[signal] = self.high[signal].max(met);
        }
        let deviation = self.deviation(signal);
        // A signal that never moved has no deviation; its first move is as odd as can be.
        let deviations =
            if apart == 0.0 { 0.0 } else { (apart / deviation).clamp(-EVIDENCE_MAX, EVIDENCE_MAX) };
        if settled {
            apart = apart.clamp(-self.winsor * deviation, self.winsor * deviation);
        }
        self.mean[signal] += gain * apart;
        self.variance[signal] = (1.0 - gain) * (self.variance[signal] + gain * apart * apart);
        deviations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_row_changes_nothing() {
        let mut standard = Standard::new(0.005, 5.0);
        standard.resize(1);
        standard.seed(0, 100.0);
        (0..10).for_each(|n| {
            standard.deviations(0, f64::from(n), 0.1, false);
        });
        let before = standard.clone();
        standard.deviations(0, 1e9, 0.0, true);
        assert_eq!(standard, before);
    }
}
