//! A recording scored in one pass, each row from the rows before it: what `score` writes and `eval` measures.

use std::io::{self, BufRead};

use super::hold_off::HoldOff;
use crate::collect::recording::score_csv::{Row, ScoreCsv};
use crate::detect::entity::EntityScore;
use crate::detect::novelty::NOVELTY_MAX;
use crate::detect::{Detectors, Tick};
use crate::kernel::tail::SURPRISE_MAX;

/// Intervals whose median is the cadence. Their rows wait until it is known, and score 0: all warm-up.
const CADENCE_INTERVALS: usize = 8;
const CADENCE_SECONDS_MAX: i64 = 86_400;
/// Where rows have no interval between them to learn from.
const CADENCE_SECONDS_DEFAULT: u32 = 60;

/// What one row is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Of the row as a whole.
    pub surprise: f32,
    /// The same, ranked among rows of all recordings.
    pub unusual: f32,
    /// How loudly to tell a person: 0 for no news, 1 for the worst there can be.
    pub news: f64,
    /// Of each signal by itself; NaN where it is missing.
    pub signals: Vec<f32>,
}

/// Hands each row of `csv` with its score to `take`.
///
/// Rows before an error are handed on. Each score depends on the rows before it only: the scores of the
/// first half are those of a file that ends there.
pub fn each_row<R: BufRead>(
    csv: &mut ScoreCsv<R>,
    detectors: Detectors,
    mut take: impl FnMut(&Row, &Scored) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut first_rows = Vec::new();
    let mut more = Ok(true);
    while let Ok(true) = more
        && first_rows.len() <= CADENCE_INTERVALS
    {
        let mut row = Row::default();
        more = csv.next_row(&mut row);
        if let Ok(true) = more {
            first_rows.push(row);
        }
    }
    let mut scorer = Scorer::new(cadence_seconds(&first_rows), csv.signals().len(), detectors);
    for row in &first_rows {
        take(row, &scorer.step(row))?;
    }
    let mut row = Row::default();
    while let Ok(true) = more {
        more = csv.next_row(&mut row);
        if let Ok(true) = more {
            take(&row, &scorer.step(&row))?;
        }
    }
    more?;
    Ok(())
}

/// A surprise as a score in 0..1.
pub fn score_of(surprise: f32) -> f64 {
    f64::from(surprise.clamp(0.0, SURPRISE_MAX)) / f64::from(SURPRISE_MAX)
}

/// The median interval of `rows`, those of equal time left out.
fn cadence_seconds(rows: &[Row]) -> u32 {
    let mut intervals: Vec<i64> = rows.windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
    intervals.retain(|&ms| ms > 0);
    intervals.sort_unstable();
    match intervals.get(intervals.len() / 2) {
        Some(&ms) => ((ms + 500) / 1000).clamp(1, CADENCE_SECONDS_MAX) as u32,
        None => CADENCE_SECONDS_DEFAULT,
    }
}

struct Scorer {
    entity: EntityScore,
    cadence_seconds: u32,
    hold_off: HoldOff,
    by_novelty: bool,
}

impl Scorer {
    fn new(cadence_seconds: u32, signals: usize, detectors: Detectors) -> Self {
        let entity = EntityScore::with(cadence_seconds, signals, detectors);
        let by_novelty = signals == 1 && detectors.novelty;
        Scorer { entity, cadence_seconds, hold_off: HoldOff::new(f64::from(NOVELTY_MAX)), by_novelty }
    }

    fn step(&mut self, row: &Row) -> Scored {
        let scored = self.entity.step(&Tick::utc(row.at, self.cadence_seconds), &row.values);
        // Of one signal, what is new about it; of several, how odd they are together.
        let together = scored.surprise * NOVELTY_MAX / SURPRISE_MAX;
        let evidence = if self.by_novelty { scored.novelty } else { together };
        let news = self.hold_off.news(f64::from(evidence));
        Scored { surprise: scored.surprise, unusual: scored.unusual, news, signals: scored.signals }
    }
}
