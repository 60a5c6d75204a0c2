//! `foreshock eval labelled`: how scores rank labelled rows, and what an operator would get of them.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::How;
use super::files::csvs_in;
use super::recording::{Recording, measure_all};
use super::table::{figure, print_json, print_table};
use crate::eval::alarms::{Operating, Track, at_rate};
use crate::eval::events;
use crate::eval::precision::average_precision;
use crate::eval::vus::vus_pr;

/// False alarms that an operator would bear, a file and day.
const RATES: [(&str, f64); 3] = [("a day", 1.0), ("a week", 1.0 / 7.0), ("in four weeks", 1.0 / 28.0)];

const EXAMPLE: &str = "\
Example: events found at one false alarm a week

  foreshock eval labelled servers --window 100 --json | jq '.alarms[1].recall'

DIR holds .csv or .csv.gz as `foreshock score` reads them, with a column `label`: 1 is anomalous, 0 normal, \
empty is scored by the detectors and measured by nobody. VUS-PR and AUC-PR are of anomaly_score, a file at \
a time; events are pooled over the files, with one threshold for all. A false alarm is a cluster of rows at \
or over the threshold outside events, each within an hour of the one before.";

/// How scores rank labelled rows, and what of the events is found at so many false alarms
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Labelled {
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Rows around an event up to which VUS-PR is tolerant
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u16).range(..=10_000))]
    window: u16,
    #[command(flatten)]
    how: How,
}

#[derive(Serialize)]
struct Report {
    window: u16,
    /// Means over the files that have events.
    vus_pr: f64,
    auc_pr: f64,
    alarms: Vec<Budgeted>,
    files: Vec<FileScore>,
}

#[derive(Serialize)]
struct Budgeted {
    one_false_alarm: &'static str,
    recall: f64,
    #[serde(flatten)]
    operating: Operating,
}

#[derive(Serialize)]
struct FileScore {
    file: String,
    rows: usize,
    events: usize,
    vus_pr: Option<f64>,
    auc_pr: Option<f64>,
}

impl Labelled {
    pub fn run(self) -> anyhow::Result<()> {
        let names = csvs_in(&self.folder)?;
        let measured = measure_all(&self.folder, &names, &self.how, |recording| {
            let track = track_of(&recording)?;
            let score = FileScore {
                file: recording.name,
                rows: track.at.len(),
                events: events(&track.label).len(),
                vus_pr: vus_pr(&track.score, &track.label, usize::from(self.window)),
                auc_pr: average_precision(&track.score, &track.label),
            };
            Ok((score, track))
        })?;
        let (files, tracks): (Vec<FileScore>, Vec<Track>) = measured.into_iter().unzip();
        let alarms = RATES.map(|(one_false_alarm, alarms_a_day)| {
            let operating = at_rate(&tracks, alarms_a_day);
            Budgeted { one_false_alarm, recall: operating.recall(), operating }
        });
        let report = Report {
            window: self.window,
            vus_pr: mean(files.iter().filter_map(|file| file.vus_pr)),
            auc_pr: mean(files.iter().filter_map(|file| file.auc_pr)),
            alarms: alarms.into(),
            files,
        };
        if self.how.json { print_json(&report) } else { print(&report) }
    }
}

/// The labelled rows of a file.
fn track_of(recording: &Recording) -> anyhow::Result<Track> {
    if !recording.has_labels {
        bail!("it has no column `label`");
    }
    let mut track = Track::default();
    for (row, label) in recording.label.iter().enumerate() {
        if let Some(label) = label {
            track.at.push(recording.at[row]);
            track.score.push(recording.score[row]);
            track.label.push(*label);
        }
    }
    Ok(track)
}

fn mean(of: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = of.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn print(report: &Report) -> anyhow::Result<()> {
    let header = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let mut files = vec![header(&["file", "rows", "events", "VUS-PR", "AUC-PR"])];
    for file in &report.files {
        let (rows, events) = (file.rows.to_string(), file.events.to_string());
        files.push(vec![file.file.clone(), rows, events, figure(file.vus_pr, 4), figure(file.auc_pr, 4)]);
    }
    let (rows, events) = (|f: &FileScore| f.rows, |f: &FileScore| f.events);
    files.push(vec![
        "mean".into(),
        report.files.iter().map(rows).sum::<usize>().to_string(),
        report.files.iter().map(events).sum::<usize>().to_string(),
        figure(Some(report.vus_pr), 4),
        figure(Some(report.auc_pr), 4),
    ]);
    print_table(&files)?;
    println!();
    let mut alarms = vec![header(&[
        "one false alarm a file",
        "recall",
        "found",
        "of",
        "false alarms",
        "threshold",
        "median delay",
    ])];
    for Budgeted { one_false_alarm, recall, operating } in &report.alarms {
        alarms.push(vec![
            one_false_alarm.to_string(),
            figure(Some(*recall), 3),
            operating.found.to_string(),
            operating.events.to_string(),
            operating.false_alarms.to_string(),
            figure(operating.threshold, 6),
            operating.delay_seconds_median.map_or("-".into(), |seconds| format!("{seconds:.0} s")),
        ]);
    }
    print_table(&alarms)?;
    Ok(())
}
