//! The Numenta Anomaly Benchmark's score (Lavin and Ahmad, 2015), by its published scorer, version 1.1.
//!
//! The first alert in a window earns up to 1, the earlier the more; an alert outside costs, the more the
//! further behind the last window it is; a window without alert costs. Rows in probation count for nothing.
//! One threshold serves all files: the best one, found by going through every score, or one that other files chose.

use std::ops::RangeInclusive;

use rand::SeedableRng;
use rand::seq::SliceRandom;

use crate::sample::Timestamp;

/// What alerts and silence are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    pub name: &'static str,
    pub true_positive: f64,
    pub false_positive: f64,
    pub false_negative: f64,
}

/// The published ones.
pub const PROFILES: [Profile; 3] = [
    Profile { name: "standard", true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 },
    Profile { name: "reward_low_FP", true_positive: 1.0, false_positive: 0.22, false_negative: 1.0 },
    Profile { name: "reward_low_FN", true_positive: 1.0, false_positive: 0.11, false_negative: 2.0 },
];

/// One file: what was alerted, and the windows in which somebody should have been.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerts {
    pub score: Vec<f64>,
    /// First and last row of each window, in order of time.
    pub windows: Vec<RangeInclusive<usize>>,
}

/// Rows at the start of a file of `rows` in which nothing counts.
pub fn probation(rows: usize) -> usize {
    (rows * 15 / 100).min(750)
}

/// The rows of windows given by their times, both ends in it.
pub fn rows_of(at: &[Timestamp], windows: &[(Timestamp, Timestamp)]) -> Vec<RangeInclusive<usize>> {
    let row_of = |time: Timestamp| at.partition_point(|t| *t < time);
    let rows = windows.iter().filter_map(|&(first, last)| {
        let (left, right) = (row_of(first), row_of(last));
        // The first of several rows of that time, as the published scorer has it.
        let right = if at.get(right) == Some(&last) { right } else { right.checked_sub(1)? };
        (left <= right).then_some(left..=right)
    });
    rows.collect()
}

/// From 1 far left of 0 to -1 far right of it.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

/// What an alert at each row is worth, and the window that it finds.
fn worth(rows: usize, windows: &[RangeInclusive<usize>], profile: &Profile) -> Vec<(f64, Option<usize>)> {
    let best = sigmoid(-1.0);
    let mut next = 0;
    let row_worth = |row: usize| {
        while windows.get(next).is_some_and(|window| *window.end() < row) {
            next += 1;
        }
        if let Some(window) = windows.get(next).filter(|window| window.contains(&row)) {
            let length = (window.end() - window.start() + 1) as f64;
            let position = -((window.end() - row + 1) as f64) / length;
            return (sigmoid(position) * profile.true_positive / best, Some(next));
        }
        let cost = match next.checked_sub(1).map(|last| &windows[last]) {
            None => -1.0,
            Some(last) => sigmoid((row - last.end()) as f64 / (last.end() - last.start()).max(1) as f64),
        };
        (cost * profile.false_positive, None)
    };
    (0..rows).map(row_worth).collect()
}

/// What lowering the threshold to a score changes.
#[derive(Clone, Copy, Debug)]
struct Step {
    score: f64,
    file: usize,
    change: f64,
}

/// The raw score as a function of the threshold, for any choice of files.
pub struct Sweep {
    profile: Profile,
    /// By descending score.
    steps: Vec<Step>,
    windows: Vec<usize>,
}

impl Sweep {
    /// Weighs every row of every file once.
    pub fn new(files: &[Alerts], profile: Profile) -> Self {
        let mut steps = Vec::new();
        for (file, alerts) in files.iter().enumerate() {
            let worth = worth(alerts.score.len(), &alerts.windows, &profile);
            let start = probation(alerts.score.len());
            let mut rows: Vec<usize> = (start..alerts.score.len()).collect();
            rows.sort_by(|&a, &b| alerts.score[b].total_cmp(&alerts.score[a]));
            let mut best = vec![-profile.false_negative; alerts.windows.len()];
            for row in rows {
                let change = match worth[row] {
                    (cost, None) => cost,
                    (gain, Some(window)) => {
                        let more = (gain - best[window]).max(0.0);
                        best[window] += more;
                        more
                    }
                };
                steps.push(Step { score: alerts.score[row], file, change });
            }
        }
        steps.sort_by(|a, b| b.score.total_cmp(&a.score));
        Sweep { profile, steps, windows: files.iter().map(|alerts| alerts.windows.len()).collect() }
    }

    /// The highest of the best thresholds for the files that `with` names, and the score there;
    /// an infinite threshold is silence.
    pub fn best(&self, with: &[bool]) -> (f64, f64) {
        let silence = self.silence(with);
        let (mut raw, mut best) = (silence, (f64::INFINITY, silence));
        for tied in self.steps.chunk_by(|a, b| a.score == b.score) {
            raw += tied.iter().filter(|step| with[step.file]).map(|step| step.change).sum::<f64>();
            if raw > best.1 {
                best = (tied[0].score, raw);
            }
        }
        (best.0, self.normalised(best.1, with))
    }

    /// The score of the files that `with` names at a threshold that somebody else chose.
    pub fn at(&self, threshold: f64, with: &[bool]) -> f64 {
        let over = self.steps.iter().take_while(|step| step.score >= threshold);
        let changes = over.filter(|step| with[step.file]).fold(0.0, |sum, step| sum + step.change);
        self.normalised(self.silence(with) + changes, with)
    }

    /// What `file` adds to the score of all files at `threshold`, and the most that it could.
    pub fn points(&self, file: usize, threshold: f64) -> (f64, f64) {
        let all = vec![true; self.windows.len()];
        let span = self.profile.true_positive * self.windows_with(&all) - self.silence(&all);
        let over = self.steps.iter().take_while(|step| step.score >= threshold);
        let changes = over.filter(|step| step.file == file).fold(0.0, |sum, step| sum + step.change);
        let most = (self.profile.true_positive + self.profile.false_negative) * self.windows[file] as f64;
        (100.0 * changes / span, 100.0 * most / span)
    }

    /// The mean over seeded splits into halves: the threshold is chosen on one and scored on the other.
    pub fn held_out(&self, splits: u64) -> f64 {
        let scored = (0..splits).filter_map(|seed| {
            let mut files: Vec<usize> = (0..self.windows.len()).collect();
            files.shuffle(&mut rand_pcg::Pcg64::seed_from_u64(seed));
            let mut choosing = vec![false; files.len()];
            files[..files.len() / 2].iter().for_each(|&file| choosing[file] = true);
            let others: Vec<bool> = choosing.iter().map(|on| !on).collect();
            let score = self.at(self.best(&choosing).0, &others);
            score.is_finite().then_some(score)
        });
        let scores: Vec<f64> = scored.collect();
        scores.iter().sum::<f64>() / scores.len() as f64
    }

    fn windows_with(&self, with: &[bool]) -> f64 {
        self.windows.iter().zip(with).filter(|(_, on)| **on).map(|(n, _)| *n).sum::<usize>() as f64
    }

    fn silence(&self, with: &[bool]) -> f64 {
        -self.profile.false_negative * self.windows_with(with)
    }

    /// 0 is silence, 100 an alert at the first row of every window and no other.
    fn normalised(&self, raw: f64, with: &[bool]) -> f64 {
        let perfect = self.profile.true_positive * self.windows_with(with);
        100.0 * (raw - self.silence(with)) / (perfect - self.silence(with))
    }
}

/// Windows that an alert at `threshold` falls into, and alerts outside of any, without those in probation.
pub fn counts(alerts: &Alerts, threshold: f64) -> (usize, usize) {
    let alert = |row: &usize| alerts.score[*row] >= threshold && *row >= probation(alerts.score.len());
    let hit = alerts.windows.iter().filter(|window| (*window).clone().any(|row| alert(&row))).count();
    let inside = |row: &usize| alerts.windows.iter().any(|window| window.contains(row));
    let outside = (0..alerts.score.len()).filter(alert).filter(|row| !inside(row)).count();
    (hit, outside)
}

#[cfg(test)]
mod tests;
