//! `foreshock eval tails`: whether a surprise of 3 is one normal row in a thousand, and still finds events.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::How;
use super::files::csvs_in;
use super::nab::{labels_of, read_windows};
use super::recording::{Recording, measure_all};
use super::table::{figure, percent, print_json, print_table};
use crate::eval::tails::{LEVELS, Tails};
use crate::eval::{events, nab};

const WEEK_MS: i64 = 7 * 86_400_000;

const EXAMPLE: &str = "\
Example: four data sets, each by itself and all together

  foreshock eval tails NAB servers hosts services

A DIR is one data set: laid out as for `eval nab` (normal are the rows outside windows), or as for \
`eval labelled` (normal are the rows with label 0). Rows count after a file's first week, or its first half \
where it is shorter than a week; events count wherever they are. With --scores its folders have the names of \
the data sets.";

/// Whether a surprise of 3 is one normal row in a thousand
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct TailsOf {
    #[arg(value_name = "DIR", required = true, num_args = 1..)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

#[derive(Serialize)]
struct DataSet {
    data: String,
    #[serde(flatten)]
    tails: Tails,
    shares: [f64; LEVELS.len()],
    recall: f64,
}

impl DataSet {
    fn new(data: String, tails: Tails) -> Self {
        DataSet { data, tails, shares: tails.shares(), recall: tails.recall() }
    }
}

impl TailsOf {
    pub fn run(self) -> anyhow::Result<()> {
        let mut sets = Vec::new();
        let mut pooled = Tails::default();
        for folder in &self.folders {
            let name = folder.file_name().and_then(OsStr::to_str).unwrap_or("data").to_string();
            let mut how = self.how.clone();
            how.scores = how.scores.map(|scores| scores.join(&name));
            let tails = tails_in(folder, &how)?;
            pooled = pooled.plus(tails);
            sets.push(DataSet::new(name, tails));
        }
        if sets.len() > 1 {
            sets.push(DataSet::new("all".into(), pooled));
        }
        if self.how.json { print_json(&sets) } else { print(&sets) }
    }
}

fn tails_in(folder: &Path, how: &How) -> anyhow::Result<Tails> {
    let labels = labels_of(folder);
    let each = if labels.is_file() {
        let windows = read_windows(&labels)?;
        let names: Vec<String> = windows.keys().cloned().collect();
        measure_all(&folder.join("data"), &names, how, |mut recording| {
            recording.label = vec![Some(false); recording.at.len()];
            for window in nab::rows_of(&recording.at, &windows[&recording.name]) {
                recording.label[window].fill(Some(true));
            }
            Ok(tails_of(&recording))
        })?
    } else {
        measure_all(folder, &csvs_in(folder)?, how, |recording| {
            if !recording.has_labels {
                bail!("it has no column `label`");
            }
            Ok(tails_of(&recording))
        })?
    };
    Ok(each.into_iter().fold(Tails::default(), Tails::plus))
}

fn tails_of(recording: &Recording) -> Tails {
    let mut tails = Tails::default();
    let surprises = &recording.surprise;
    let rows = recording.label.iter().zip(surprises).skip(settled(recording));
    rows.filter(|(label, _)| **label == Some(false)).for_each(|(_, surprise)| tails.normal(*surprise));
    let anomalous: Vec<bool> = recording.label.iter().map(|label| *label == Some(true)).collect();
    events(&anomalous).into_iter().for_each(|event| tails.event(&surprises[event]));
    tails
}

/// The first row that counts.
fn settled(recording: &Recording) -> usize {
    let at = &recording.at;
    let (Some(first), Some(last)) = (at.first(), at.last()) else { return 0 };
    if last.since(*first) < WEEK_MS {
        return at.len() / 2;
    }
    at.partition_point(|t| t.since(*first) < WEEK_MS)
}

fn print(sets: &[DataSet]) -> anyhow::Result<()> {
    let mut rows = vec![vec!["data".to_string(), "normal rows".into()]];
    rows[0].extend(LEVELS.map(|(level, share)| format!("above {level} ({}%)", share * 100.0)));
    rows[0].extend(["events".to_string(), "recall at 3".into()]);
    for set in sets {
        let mut row = vec![set.data.clone(), set.tails.rows.to_string()];
        row.extend(set.shares.map(percent));
        row.extend([set.tails.events.to_string(), figure(Some(set.recall), 3)]);
        rows.push(row);
    }
    print_table(&rows)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Timestamp;

    /// A row every six hours of so many days, the last two labelled.
    fn recording(days: i64) -> Recording {
        let at: Vec<Timestamp> = (0..=days * 4).map(|n| Timestamp(n * 6 * 3_600_000)).collect();
        let rows = at.len();
        let mut label = vec![Some(false); rows];
        label[rows - 2..].fill(Some(true));
        label[rows - 3] = None;
        Recording { at, label, surprise: vec![3.6; rows], ..Recording::default() }
    }

    #[test]
    fn normal_rows_count_after_the_first_week_or_half() {
        let long = tails_of(&recording(10));
        // 41 rows: 28 in the first week, two labelled, one that nobody labelled.
        assert_eq!((long.rows, long.events, long.found), (10, 1, 1));
        assert_eq!(long.above, [10, 10, 0], "a score of 0.3 is a surprise of 3.6");
        let short = tails_of(&recording(5));
        assert_eq!(short.rows, 21 - 10 - 3);
    }
}
