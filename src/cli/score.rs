//! `foreshock score`: how unusual each row of a CSV is, given the rows before it. One pass, no configuration.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;

use super::scoring::{self, score_of};
use super::streams::{output, same_file};
use crate::collect::recording::input;
use crate::collect::recording::score_csv::ScoreCsv;
use crate::detect::Detectors;

const EXAMPLE: &str = "\
Example: score a recording, and see its five most unusual rows

  foreshock score --input cpu.csv.gz | tail -n +2 | sort -t, -k2,2r | head -5

The input's first line names its columns. The column `timestamp` holds RFC 3339, `YYYY-MM-DD HH:MM:SS` \
(UTC) or epoch seconds; `label` is left alone; every other column is a signal of one entity. \
The output has a row for each row: timestamp,anomaly_score,alert_score. A score is in 0..1 and ranks rows of \
all recordings. It is the larger of two over 12: the surprise (-log10 of the probability of something at least \
as odd), of one signal half of it, of two three quarters and so on; and, from four times the usual on, how \
far signals are from where they were and from their mean. About one normal row in a thousand is above 0.25. \
It is 0 while there is too little past. An alert_score is what a person would be told: only where \
something is new after the last alert, and the louder the less often this series has cried of late.";

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
    /// Score without this detector; may be given several times
    #[arg(long, value_name = "DETECTOR", value_parser = Detectors::NAMES)]
    pub without: Vec<String>,
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
        let scored = score(csv, &mut out, self.per_signal, Detectors::without(&self.without));
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
fn score(
    mut csv: ScoreCsv<impl BufRead>,
    out: &mut impl Write,
    per_signal: bool,
    detectors: Detectors,
) -> anyhow::Result<u64> {
    write!(out, "timestamp,anomaly_score,alert_score")?;
    if per_signal {
        csv.signals().try_for_each(|name| write!(out, ",{}", quoted(name)))?;
    }
    writeln!(out)?;

    scoring::each_row(&mut csv, detectors, |row, scored| {
        out.write_all(&row.timestamp)?;
        write!(out, ",{:.9},{:.9}", score_of(scored.unusual), scored.news)?;
        for &surprise in scored.signals.iter().filter(|_| per_signal) {
            // A signal without a value has no score: no data is not "as usual".
            if surprise.is_nan() { write!(out, ",")? } else { write!(out, ",{:.9}", score_of(surprise))? }
        }
        writeln!(out)
    })?;
    Ok(csv.text_cells())
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
