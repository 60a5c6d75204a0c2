//! VUS-PR: the area under the precision-recall curve, averaged over tolerances (Paparrizos et al., VLDB 2022).
//!
//! Rows near an event count in part, the less the further they are; the reach of that tolerance runs from 0
//! to the window, and the mean over all of it is the volume under the surface. Recall is weighed by the share
//! of events touched at all. Equal to `vus` 0.0.6 (`RangeAUC_volume_opt`, 250 thresholds) up to rounding, by
//! counting rows once a tolerance instead of once a threshold: a row only matters by the first threshold that
//! it reaches.

use std::ops::Range;

use super::{by_descending_score, events};

/// Thresholds at equal steps of rank, from the highest score to the lowest.
const THRESHOLDS: usize = 250;

/// VUS-PR of `score` against `label` with tolerances up to `window` rows; `None` where no row is labelled.
pub fn vus_pr(score: &[f64], label: &[bool], window: usize) -> Option<f64> {
    let events = events(label);
    if events.is_empty() {
        return None;
    }
    let steps = Steps::of(score);
    let mut base = vec![0.0; THRESHOLDS];
    for row in events.iter().cloned().flatten() {
        base[steps.first[row]] += 1.0;
    }
    let mut near = Near { weight: vec![0.0; label.len()], rows: Vec::new() };
    let sum: f64 = (0..=window).map(|w| area(&steps, &base, &events, label, w, &mut near)).sum();
    Some(sum / (window + 1) as f64)
}

/// What thresholding does to each row.
struct Steps {
    /// The first threshold, counted from the highest, that each row reaches.
    first: Vec<usize>,
    /// Rows at or over each threshold.
    flagged: Vec<f64>,
}

impl Steps {
    fn of(score: &[f64]) -> Self {
        let rows = by_descending_score(score);
        let step = (rows.len() - 1) as f64 / (THRESHOLDS - 1) as f64;
        let rank = |k: usize| if k + 1 == THRESHOLDS { rows.len() - 1 } else { (k as f64 * step) as usize };
        let thresholds: Vec<f64> = (0..THRESHOLDS).map(|k| score[rows[rank(k)]]).collect();
        let first: Vec<usize> = score.iter().map(|s| thresholds.partition_point(|t| t > s)).collect();
        let mut flagged = vec![0.0; THRESHOLDS];
        first.iter().for_each(|&k| flagged[k] += 1.0);
        for k in 1..THRESHOLDS {
            flagged[k] += flagged[k - 1];
        }
        Steps { first, flagged }
    }
}

/// The rows near events and what each is worth; empty between two uses.
struct Near {
    weight: Vec<f64>,
    rows: Vec<usize>,
}

impl Near {
    /// Weighs the unlabelled rows within half of `window` of an event; where events are close, both count.
    fn weigh(&mut self, events: &[Range<usize>], label: &[bool], window: usize) {
        let reach = window / 2;
        for event in events {
            let last = event.end - 1;
            let after = (event.end..(event.end + reach).min(label.len())).map(|row| (row, row - last));
            let before = (event.start.saturating_sub(reach)..event.start).map(|row| (row, event.start - row));
            for (row, distance) in after.chain(before).filter(|(row, _)| !label[*row]) {
                if self.weight[row] == 0.0 {
                    self.rows.push(row);
                }
                self.weight[row] += (1.0 - distance as f64 / window as f64).sqrt();
            }
        }
    }
}

/// The area for one tolerance.
fn area(
    steps: &Steps,
    base: &[f64],
    events: &[Range<usize>],
    label: &[bool],
    window: usize,
    near: &mut Near,
) -> f64 {
    near.weigh(events, label, window);
    let mut partial = vec![0.0; THRESHOLDS];
    for row in near.rows.drain(..) {
        partial[steps.first[row]] += near.weight[row].min(1.0);
        near.weight[row] = 0.0;
    }
    let groups = joined(events, window / 2, label.len());
    let mut touched = vec![0.0; THRESHOLDS];
    for group in &groups {
        if let Some(first) = steps.first[group.clone()].iter().min() {
            touched[*first] += 1.0;
        }
    }
    let labelled: f64 = base.iter().sum();
    let (mut whole, mut part, mut existing, mut recall_before, mut area) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for k in 0..THRESHOLDS {
        whole += base[k];
        part += partial[k];
        existing += touched[k];
        let positives = (labelled + labelled + part) / 2.0;
        let recall = ((whole + part) / positives).min(1.0) * existing / groups.len() as f64;
        area += (recall - recall_before) * (whole + part) / steps.flagged[k];
        recall_before = recall;
    }
    area
}

/// The events with `reach` rows around them, those that meet as one.
fn joined(events: &[Range<usize>], reach: usize, rows: usize) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for event in events {
        let (start, end) = (event.start.saturating_sub(reach), (event.end + reach).min(rows));
        match groups.last_mut() {
            // The last row of one and the first of the next are the same, or overlap.
            Some(group) if start < group.end => group.end = end,
            _ => groups.push(start..end),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        rows: usize,
        seed: u64,
        events: &'static [Range<usize>],
        window: usize,
        /// Scores are cut to so many steps, where it isn't 0.
        steps: f64,
        lift: f64,
    }

    impl Case {
        /// Scores that anyone can make again: a linear congruence's upper 24 bits, more in events.
        fn vus_pr(&self) -> f64 {
            let mut state = self.seed;
            let (mut score, mut label) = (Vec::new(), Vec::new());
            for row in 0..self.rows {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let on = self.events.iter().any(|event| event.contains(&row));
                let x = (state >> 40) as f64 / f64::from(1 << 24) + if on { self.lift } else { 0.0 };
                score.push(if self.steps > 0.0 { (x * self.steps).floor() / self.steps } else { x });
                label.push(on);
            }
            vus_pr(&score, &label, self.window).unwrap()
        }
    }

    /// What `vus` 0.0.6 (Python, `get_metrics(score, label, metric='vus', slidingWindow=window)`) answers.
    #[test]
    #[rustfmt::skip]
    fn equals_the_reference() {
        let few = &[10..14, 25..26];
        let edges = &[0..5, 60..90, 95..97, 290..300];
        let apart = &[60..90, 95..97, 200..201];
        let ends = &[2..3, 11..12];
        let close = &[100..120, 130..131, 400..450];
        let cases = [
            (Case { rows: 40, seed: 1, events: few, window: 4, steps: 0.0, lift: 0.3 }, 0.756469572295486),
            (Case { rows: 40, seed: 1, events: few, window: 0, steps: 0.0, lift: 0.3 }, 0.7477124183006536),
            (Case { rows: 300, seed: 2, events: edges, window: 20, steps: 0.0, lift: 0.2 }, 0.4127831571730738),
            (Case { rows: 300, seed: 3, events: apart, window: 9, steps: 8.0, lift: 0.0 }, 0.1286865529982907),
            (Case { rows: 700, seed: 4, events: close, window: 50, steps: 16.0, lift: 0.5 }, 0.696386658579588),
            (Case { rows: 12, seed: 5, events: ends, window: 6, steps: 0.0, lift: 0.4 }, 0.6812584911311401),
        ];
        for (case, want) in cases {
            let got = case.vus_pr();
            assert!((got - want).abs() < 1e-9, "seed {}, window {}: {got}, not {want}", case.seed, case.window);
        }
    }

    #[test]
    fn without_events_there_is_nothing_to_find() {
        assert_eq!(vus_pr(&[0.1, 0.2], &[false, false], 3), None);
        assert_eq!(vus_pr(&[], &[], 3), None);
        assert_eq!(vus_pr(&[0.5], &[true], 0), Some(1.0));
    }
}
