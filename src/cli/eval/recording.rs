//! A labelled file with its scores: made in one pass here, or taken from a score CSV that stands ready.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::ProgressBar;

use super::How;
use super::files::in_parallel;
use crate::cli::progress::bar;
use crate::cli::scoring::{each_row, score_of};
use crate::collect::recording::input;
use crate::collect::recording::score_csv::{Row, ScoreCsv};
use crate::detect::Detectors;
use crate::kernel::tail::SURPRISE_MAX;
use crate::sample::Timestamp;

/// A file's rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// As it is called below its folder.
    pub name: String,
    pub at: Vec<Timestamp>,
    pub label: Vec<Option<bool>>,
    /// `anomaly_score` of each row.
    pub score: Vec<f64>,
    /// The surprise of each row; of scores that stand ready, what their `anomaly_score` stands for.
    pub surprise: Vec<f64>,
    /// `alert_score` of each row.
    pub alert: Vec<f64>,
    /// Whether the file has a column of labels.
    pub has_labels: bool,
}

/// Scores the files `names` of `folder` and lets `measure` make of each what is to be kept, in parallel.
pub fn measure_all<T: Send>(
    folder: &Path,
    names: &[String],
    how: &How,
    measure: impl Fn(Recording) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let progress = bar(input::bytes_on_disk(&paths), "scoring", "{bytes} of {total_bytes}, {eta} left");
    let all = in_parallel(names, how.threads, |name| {
        let path = folder.join(name);
        let recording = read(&path, name, how, &progress).with_context(|| path.display().to_string())?;
        measure(recording).with_context(|| path.display().to_string())
    });
    progress.finish_and_clear();
    all
}

fn read(path: &Path, name: &str, how: &How, progress: &ProgressBar) -> anyhow::Result<Recording> {
    let mut csv = ScoreCsv::new(input::open(path, progress)?)?;
    let mut recording = Recording { name: name.into(), has_labels: csv.has_labels(), ..Recording::default() };
    let Some(scores) = &how.scores else {
        each_row(&mut csv, Detectors::without(&how.without), |row, scored| {
            recording.at.push(row.at);
            recording.label.push(row.label);
            recording.score.push(as_printed(score_of(scored.unusual)));
            recording.surprise.push(f64::from(scored.surprise));
            recording.alert.push(as_printed(scored.news));
            Ok(())
        })?;
        return Ok(recording);
    };
    let mut row = Row::default();
    while csv.next_row(&mut row)? {
        recording.at.push(row.at);
        recording.label.push(row.label);
    }
    let ready = ready_file(scores, name)?;
    let csv = ScoreCsv::new(input::open(&ready, &ProgressBar::hidden())?);
    csv.map_err(anyhow::Error::from)
        .and_then(|csv| take_scores(csv, &mut recording))
        .with_context(|| ready.display().to_string())?;
    Ok(recording)
}

/// A score with the digits that a score CSV has, so that scores made here and there are the same.
fn as_printed(score: f64) -> f64 {
    (score * 1e9).round() / 1e9
}

/// The score CSV of `name`: by the same name, packed or not.
fn ready_file(scores: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let plain = name.trim_end_matches(".gz");
    let found = [name.to_string(), plain.to_string(), format!("{plain}.gz")]
        .map(|name| scores.join(name))
        .into_iter()
        .find(|path| path.is_file());
    found.with_context(|| format!("no scores for it: {} is not there", scores.join(plain).display()))
}

/// Reads a score a row, which must be as many and of the same times as the rows of `recording`.
fn take_scores(mut csv: ScoreCsv<impl BufRead>, recording: &mut Recording) -> anyhow::Result<()> {
    let column = |name: &str| {
        csv.signals().position(|signal| signal == name).with_context(|| format!("no column `{name}`"))
    };
    let (score, alert) = (column("anomaly_score")?, column("alert_score")?);
    let mut row = Row::default();
    while csv.next_row(&mut row)? {
        let want = recording.at.get(recording.score.len());
        if want != Some(&row.at) {
            let want = want.map_or("no more rows".into(), Timestamp::to_string);
            bail!("line {}: it is of {}, the data has {want} there", row.line, row.at);
        }
        // Where a detector says nothing it does not alarm.
        let value = |column: usize| if row.values[column].is_nan() { 0.0 } else { row.values[column] };
        recording.score.push(value(score));
        recording.surprise.push(value(score) * f64::from(SURPRISE_MAX));
        recording.alert.push(value(alert));
    }
    if recording.score.len() < recording.at.len() {
        bail!("it has {} rows, the data {}", recording.score.len(), recording.at.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording() -> Recording {
        Recording { at: vec![Timestamp(0), Timestamp(60_000)], ..Recording::default() }
    }

    fn taken(text: &str) -> anyhow::Result<Recording> {
        let mut recording = recording();
        take_scores(ScoreCsv::new(text.as_bytes()).unwrap(), &mut recording)?;
        Ok(recording)
    }

    #[test]
    fn ready_scores_go_row_by_row_with_the_data() {
        let got = taken("timestamp,anomaly_score,alert_score\n0,0.5,0.25\n60,,0\n").unwrap();
        assert_eq!((got.score, got.alert), (vec![0.5, 0.0], vec![0.25, 0.0]));
        assert_eq!(got.surprise, [6.0, 0.0]);
    }

    #[test]
    fn scores_of_other_rows_are_refused() {
        let fails = |text: &str, want: &str| assert_eq!(taken(text).unwrap_err().to_string(), want);
        fails("timestamp,anomaly_score\n0,1\n", "no column `alert_score`");
        fails("timestamp,anomaly_score,alert_score\n0,1,1\n", "it has 1 rows, the data 2");
        fails(
            "timestamp,anomaly_score,alert_score\n1,1,1\n",
            "line 2: it is of 1970-01-01T00:00:01.000Z, the data has 1970-01-01T00:00:00.000Z there",
        );
        fails(
            "timestamp,anomaly_score,alert_score\n0,1,1\n60,1,1\n70,1,1\n",
            "line 4: it is of 1970-01-01T00:01:10.000Z, the data has no more rows there",
        );
    }

    #[test]
    fn a_score_made_here_is_the_one_that_a_csv_has() {
        for surprise in (0..12_000).map(|n| n as f32 * 0.001_003) {
            let printed: f64 = format!("{:.9}", score_of(surprise)).parse().unwrap();
            assert_eq!(as_printed(score_of(surprise)), printed);
        }
    }
}
