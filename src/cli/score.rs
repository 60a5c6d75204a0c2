//! `foreshock score`: how unusual each row of a CSV is, given the rows before it. One pass, no configuration.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;

use super::hold_off::HoldOff;
use super::streams::{output, same_file};
use crate::collect::recording::input;
use crate::collect::recording::score_csv::{Row, ScoreCsv};
use crate::detect::Tick;
use crate::detect::entity::EntityScore;
use crate::sample::Timestamp;

/// Surprise at which a score is 1; rarer than one in 10^12 is all the same.
const SURPRISE_MAX: f32 = 12.0;
/// Intervals whose median is the cadence. Their rows wait until it is known, and score 0: all warm-up.
const CADENCE_INTERVALS: usize = 8;
const CADENCE_SECONDS_MAX: i64 = 86_400;
/// Where rows have no interval between them to learn from.
const CADENCE_SECONDS_DEFAULT: u32 = 60;

const EXAMPLE: &str = "\
Example: score a recording, and see its five most unusual rows

  foreshock score --input cpu.csv.gz | tail -n +2 | sort -t, -k2,2r | head -5

The input's first line names its columns. The column `timestamp` holds RFC 3339, `YYYY-MM-DD HH:MM:SS` \
(UTC) or epoch seconds; `label` is left alone; every other column is a signal of one entity. \
The output has a row for each row: timestamp,anomaly_score,alert_score. A score is in 0..1: the surprise \
(-log10 of the probability of something at least as odd) over 12, 0 while there is too little past.";

/// Score each row of a CSV by how unusual it is, given the rows before it
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Score {
    /// CSV to read; `.gz` is unpacked, `-` is standard input
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub input: PathBuf,
    /// CSV to write; `.gz` is packed, `-` is standard output
    #[arg(long, default_value = "-", value_name = "FILE")]
    pub output: PathBuf,
    /// Add a column with the score of each signal by itself
    #[arg(long)]
    pub per_signal: bool,
}

impl Score {
    /// Scores the input to its end; an error names the file, and the line where there is one.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if same_file(&self.input, &self.output) {
            bail!("{}: input and output are the same file", self.input.display());
        }
        let from = self.input.display();
        let input = input::open(&self.input, &ProgressBar::hidden()).with_context(|| from.to_string())?;
        let csv = ScoreCsv::new(input).with_context(|| from.to_string())?;
        let mut out = output(&self.output).with_context(|| self.output.display().to_string())?;
        let scored = score(csv, &mut out, self.per_signal);
        // What was scored before an error is worth having, and a gzip stream must end.
        let finished = out.finish().with_context(|| self.output.display().to_string());
        let text_cells = scored.with_context(|| from.to_string())?;
        finished?;
        if text_cells > 0 {
            eprintln!("{from}: {text_cells} cells hold text where a number should be; they count as missing");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a row for each row of `csv`, and returns how many cells held text in place of a number.
///
/// Rows before an error are written. Each row depends on the rows before it only: the first half of the
/// output is the output of the first half.
fn score(mut csv: ScoreCsv<impl BufRead>, out: &mut impl Write, per_signal: bool) -> anyhow::Result<u64> {
    write!(out, "timestamp,anomaly_score,alert_score")?;
    if per_signal {
        csv.signals().try_for_each(|name| write!(out, ",{}", quoted(name)))?;
    }
    writeln!(out)?;

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
    let mut scorer = Scorer::new(cadence_seconds(&first_rows), csv.signals().len(), per_signal);
    for row in &first_rows {
        scorer.write(row, out)?;
    }
    let mut row = Row::default();
    while let Ok(true) = more {
        more = csv.next_row(&mut row);
        if let Ok(true) = more {
            scorer.write(&row, out)?;
        }
    }
    more?;
    Ok(csv.text_cells())
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
    per_signal: bool,
}

impl Scorer {
    fn new(cadence_seconds: u32, signals: usize, per_signal: bool) -> Self {
        let entity = EntityScore::new(cadence_seconds, signals);
        Scorer { entity, cadence_seconds, hold_off: HoldOff::default(), per_signal }
    }

    fn write(&mut self, row: &Row, out: &mut impl Write) -> io::Result<()> {
        let scored = self.entity.step(&tick_utc(row.at, self.cadence_seconds), &row.values);
        let news = self.hold_off.news(row.at, scored.surprise);
        out.write_all(&row.timestamp)?;
        write!(out, ",{:.9},{:.9}", score_of(scored.surprise), score_of(news))?;
        if self.per_signal {
            for &surprise in &scored.signals {
                // A signal without a value has no score: no data is not "as usual".
                if surprise.is_nan() { write!(out, ",")? } else { write!(out, ",{:.9}", score_of(surprise))? }
            }
        }
        writeln!(out)
    }
}

fn score_of(surprise: f32) -> f64 {
    f64::from(surprise.clamp(0.0, SURPRISE_MAX)) / f64::from(SURPRISE_MAX)
}

fn tick_utc(at: Timestamp, cadence_seconds: u32) -> Tick {
    let seconds = at.0.div_euclid(1000);
    // 1970-01-01 was a Thursday, weekday 3.
    let local_weekday = (seconds.div_euclid(86_400) + 3).rem_euclid(7) as u8;
    Tick { at, cadence_seconds, local_second_of_day: seconds.rem_euclid(86_400) as u32, local_weekday }
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests;
