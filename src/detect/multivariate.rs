//! How the signals of one entity move together, and which relation broke.
//!
//! A bounded sample of past rows gives the few directions in which the signals usually move
//! (`subspace`, refitted at fixed counts of rows). A row is judged by what those directions don't explain
//! (Q, and its largest single part), and by how far it lies along them (Hotelling's T2).
//! Sees: a signal that stops following the others, though each stays inside its own band.
//! Blind to: a relation that is not linear; an odd row that repeats an earlier one's directions.
//! Cost: 4 flops a component and signal a row; a refit every 64 kept rows.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::subspace::Subspace;
use super::{Tick, fuse, noise_memory_max, noise_memory_samples};
use crate::kernel::tail::{self, Tail};
use crate::sample::{CHUNK, Mask};

/// Signals in one group; further ones are watched one by one only.
pub const COLUMNS_MAX: usize = 256;
/// Rows that a model is fitted to, and rows before there is a first one.
const ROWS_MAX: usize = 256;
const ROWS_MIN: usize = 64;
/// Kept rows between refits.
const REFIT_ROWS: u64 = 64;
/// How far back the kept rows should reach: relations hold over nights and days.
const REACH_SECONDS: u64 = 86_400;
/// A standardised value counts as at most this much as evidence, and this much in a fit.
const EVIDENCE_MAX: f32 = 20.0;
const FIT_MAX: f32 = 5.0;
/// Signals named as having taken part, and the surprise from which they are.
const PARTS_MAX: usize = 8;
const PARTS_SURPRISE: f32 = 1.0;

/// A signal's share in what was odd about a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub column: usize,
    /// 0..=1
    pub share: f32,
}

/// How odd a row is as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MultiSurprise {
    /// -log10 of the probability of something at least as odd; 0 while warming up.
    pub surprise: f32,
    /// At most 8, the largest share first; empty while nothing is odd.
    pub parts: Vec<Part>,
    /// The signal that left, and the one that it usually moves with most.
    pub broken: Option<(usize, usize)>,
}

/// The three statistics of a row, each a lane of the tail.
const LANES: Mask = Mask(0b111);
const T2: usize = 2;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Multivariate {
    /// Whether a column is taken.
    columns: Vec<bool>,
    /// Standardised rows, oldest first; NaN is missing. A row may be shorter than `columns`.
    rows: VecDeque<Vec<f32>>,
    /// One row in so many is kept.
    stride: u64,
    learnt_rows: u64,
    kept_rows: u64,
    /// Refits are due when this and `kept_rows` are a multiple of `REFIT_ROWS`.
    phase: u64,
    model: Option<Subspace>,
    tail: Tail,
    /// Rows that the tail has learnt from.
    age: f32,
    /// As of the last row.
    own: Vec<f32>,
}

impl Default for Multivariate {
    fn default() -> Self {
        Multivariate {
            columns: Vec::new(),
            rows: VecDeque::new(),
            stride: 1,
            learnt_rows: 0,
            kept_rows: 0,
            phase: 0,
            model: None,
            tail: Tail::GAUSSIAN,
            age: 0.0,
            own: Vec::new(),
        }
    }
}

impl Multivariate {
    pub fn new() -> Self {
        Self::default()
    }

    /// Groups that began in the same tick refit in the same tick, unless their phases differ; give each one that
    /// depends on its name, and not on how many groups there are or where they run.
    pub fn with_phase(phase: u64) -> Self {
        Multivariate { phase: phase % REFIT_ROWS, ..Self::default() }
    }

    /// A column for one more signal; `None` where the group is full.
    pub fn join(&mut self) -> Option<usize> {
        if let Some(free) = self.columns.iter().position(|taken| !taken) {
            self.columns[free] = true;
            return Some(free);
        }
        if self.columns.len() == COLUMNS_MAX {
            return None;
        }
        self.columns.push(true);
        Some(self.columns.len() - 1)
    }

    /// Gives a column back; what was known of it is forgotten.
    pub fn leave(&mut self, column: usize) {
        self.columns[column] = false;
        for row in self.rows.iter_mut().filter(|row| row.len() > column) {
            row[column] = f32::NAN;
        }
        if let Some(model) = &mut self.model {
            model.forget(column);
        }
    }

    /// Of each column's deviation in the last row, the share that the other columns do not explain.
    pub fn own(&self, column: usize) -> f32 {
        self.own.get(column).copied().unwrap_or(1.0)
    }

    /// Scores one row of standardised residuals, a column each (NaN is missing), then learns from it if `learn`.
    pub fn step(&mut self, tick: &Tick, z: &[f32], learn: bool) -> MultiSurprise {
        let row: Vec<f32> =
            z.iter().take(self.columns.len()).map(|z| z.clamp(-EVIDENCE_MAX, EVIDENCE_MAX)).collect();
        let answer = self.score(&row, noise_memory_max(tick.cadence_seconds as f32), learn);
        if learn {
            self.keep(tick, &row);
        }
        answer
    }

    fn score(&mut self, row: &[f32], memory_max: f32, learn: bool) -> MultiSurprise {
        let Some(view) = self.model.as_ref().and_then(|model| model.view(row)) else {
            self.own.clear();
            return MultiSurprise::default();
        };
        view.own(&mut self.own);
        let mut statistics = [0.0; CHUNK];
        statistics[..3].copy_from_slice(&[view.unexplained(), view.largest(), view.along()]);
        let mut surprises = [0.0; CHUNK];
        let learn = if learn { LANES } else { Mask::NONE };
        tail::step(
            &mut self.tail,
            &[self.age; CHUNK],
            &[noise_memory_samples(self.age, memory_max); CHUNK],
            &statistics,
            LANES,
            learn,
            &mut surprises,
        );
        if !learn.is_empty() {
            self.age += 1.0;
        }
        let surprise = fuse::mean_of_odds(surprises[..3].iter().copied());
        if surprise < PARTS_SURPRISE {
            return MultiSurprise { surprise, ..MultiSurprise::default() };
        }
        let along = surprises[T2] > surprises[0].max(surprises[1]);
        let shares = if along { view.shares_along() } else { view.shares_unexplained() };
        let mut parts: Vec<Part> =
            shares.into_iter().enumerate().map(|(column, share)| Part { column, share }).collect();
        parts.retain(|part| part.share > 0.0);
        parts.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.column.cmp(&b.column)));
        parts.truncate(PARTS_MAX);
        let left = parts.first().filter(|_| !along).map(|part| part.column);
        let broken = left.and_then(|left| Some((left, self.model.as_ref()?.companion(left)?)));
        MultiSurprise { surprise, parts, broken }
    }

    /// Keeps one row in `stride`, so that the kept ones reach back a day, and refits when it is due.
    fn keep(&mut self, tick: &Tick, row: &[f32]) {
        self.learnt_rows += 1;
        if !self.learnt_rows.is_multiple_of(self.stride) {
            return;
        }
        if self.rows.len() == ROWS_MAX {
            let reach = self.stride * ROWS_MAX as u64 * u64::from(tick.cadence_seconds.max(1));
            if reach < REACH_SECONDS {
                self.stride *= 2;
                let mut index = 0;
                self.rows.retain(|_| {
                    index += 1;
                    index % 2 == 0
                });
            } else {
                self.rows.pop_front();
            }
        }
        self.rows.push_back(row.iter().map(|z| z.clamp(-FIT_MAX, FIT_MAX)).collect());
        self.kept_rows += 1;
        if self.rows.len() >= ROWS_MIN
            && (self.kept_rows + self.phase).is_multiple_of(REFIT_ROWS)
            && let Some(model) = Subspace::fit(&self.rows, &self.columns)
        {
            self.model = Some(model);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Timestamp;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    fn tick(n: u32) -> Tick {
        Tick::utc(Timestamp(i64::from(n) * 60_000), 60)
    }

    /// Signals that follow two hidden loads: the even ones the first, the odd ones the second.
    struct Host {
        group: Multivariate,
        rng: rand_pcg::Pcg64,
        n: u32,
    }

    impl Host {
        fn new(signals: usize) -> Self {
            let mut group = Multivariate::new();
            for column in 0..signals {
                assert_eq!(group.join(), Some(column));
            }
            Host { group, rng: rand_pcg::Pcg64::seed_from_u64(3), n: 0 }
        }

        fn row(&mut self) -> Vec<f32> {
            let loads: [f32; 2] = [self.rng.sample(StandardNormal), self.rng.sample(StandardNormal)];
            (0..self.group.columns.len())
                .map(|column| {
                    let own: f32 = self.rng.sample(StandardNormal);
                    0.97 * loads[column % 2] + 0.24 * own
                })
                .collect()
        }

        fn see(&mut self, row: &[f32], learn: bool) -> MultiSurprise {
            self.n += 1;
            self.group.step(&tick(self.n), row, learn)
        }

        fn run(&mut self, rows: usize) -> Vec<f32> {
            (0..rows)
                .map(|_| {
                    let row = self.row();
                    self.see(&row, true).surprise
                })
                .collect()
        }
    }

    #[test]
    fn a_broken_relation_surprises_though_each_signal_stays_in_its_band() {
        let mut host = Host::new(6);
        host.run(1_500);
        let answer = host.see(&[1.6, 0.2, 1.6, 0.2, -1.6, 0.2], false);
        assert!(answer.surprise > 4.0, "{answer:?}");
        let (left, companion) = answer.broken.unwrap();
        assert_eq!(left, 4);
        assert!(companion == 0 || companion == 2);
        assert!(host.see(&[1.6, 0.2, 1.6, 0.2, 1.6, 0.2], false).surprise < 2.0);
    }

    #[test]
    fn surprises_are_as_rare_as_they_say() {
        let mut host = Host::new(12);
        host.run(1_000);
        let surprises = host.run(20_000);
        let above = |limit: f32| surprises.iter().filter(|&&s| s > limit).count();
        assert!((80..=400).contains(&above(2.0)), "{}", above(2.0));
        assert!(above(3.0) <= 40, "{}", above(3.0));
    }

    #[test]
    fn all_moving_further_than_ever_is_told_from_one_leaving() {
        let mut host = Host::new(6);
        host.run(1_500);
        let answer = host.see(&[8.0, 0.0, 8.0, 0.0, 8.0, 0.0], false);
        assert!(answer.surprise > 4.0, "{answer:?}");
        assert_eq!(answer.broken, None);
        let mut columns: Vec<usize> = answer.parts.iter().take(3).map(|part| part.column).collect();
        columns.sort_unstable();
        assert_eq!(columns, [0, 2, 4]);
    }

    #[test]
    fn a_missing_signal_is_no_evidence() {
        let mut host = Host::new(6);
        host.run(1_500);
        let row = [1.6, 0.2, 1.6, 0.2, f32::NAN, 0.2];
        assert!(host.see(&row, false).surprise < 2.0);
        assert_eq!(host.see(&[f32::NAN; 6], false), MultiSurprise::default());
    }

    #[test]
    fn one_signal_or_unrelated_ones_have_no_relation_to_break() {
        let mut host = Host::new(1);
        assert!(host.run(500).iter().all(|&s| s == 0.0));
    }

    #[test]
    fn groups_of_different_phase_refit_at_different_rows() {
        let refits = |phase| {
            let mut host = Host::new(4);
            host.group.phase = Multivariate::with_phase(phase).phase;
            let mut models = Vec::new();
            for row in 0..130 {
                let before = host.group.model.clone();
                host.run(1);
                if host.group.model != before {
                    models.push(row);
                }
            }
            models
        };
        assert_eq!((refits(0), refits(64 + 24)), (vec![63, 127], vec![103]));
    }

    #[test]
    fn columns_are_given_back_and_bounded() {
        let mut group = Multivariate::new();
        let joined = std::iter::repeat_with(|| group.join()).take_while(Option::is_some).count();
        assert_eq!(joined, COLUMNS_MAX);
        group.leave(17);
        assert_eq!(group.join(), Some(17));
    }

    #[test]
    fn saved_and_loaded_equals_never_stopped() {
        let mut host = Host::new(6);
        host.run(700);
        let bytes = postcard::to_stdvec(&host.group).unwrap();
        let mut loaded = Host {
            group: postcard::from_bytes(&bytes).unwrap(),
            rng: rand_pcg::Pcg64::seed_from_u64(4),
            n: host.n,
        };
        host.rng = rand_pcg::Pcg64::seed_from_u64(4);
        assert_eq!(host.run(300), loaded.run(300));
        assert_eq!(postcard::to_stdvec(&host.group).unwrap(), postcard::to_stdvec(&loaded.group).unwrap());
    }
}
