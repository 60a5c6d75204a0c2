//! `foreshock eval nab`: alerts scored as the Numenta Anomaly Benchmark does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;

use super::How;
use super::recording::measure_all;
use super::table::{figure, print_json, print_table};
use crate::cli::hold_off::HoldOff;
use crate::collect::recording::score_csv::time_of;
use crate::detect::novelty::NOVELTY_MAX;
use crate::eval::nab::{Alerts, PROFILES, Sweep, counts, probation, rows_of};
use crate::kernel::tail::SURPRISE_MAX;
use crate::sample::Timestamp;

/// Random halves of the files, on one of which the threshold for the other is chosen.
const SPLITS: u64 = 160;

const EXAMPLE: &str = "\
Example: measure, and see which files cost most

  foreshock eval nab NAB
  foreshock eval nab NAB --json | jq -c '.files | sort_by(.points - .points_max) | .[:5][]'

DIR is laid out as the benchmark is: data/CATEGORY/FILE.csv and labels/combined_windows.json. \
`score` is with the best threshold for all files, `held out` the mean over 160 halvings of the files, \
the threshold chosen on one half and scored on the other. A perfect detector has 100, silence 0.";

/// Score alerts as the Numenta Anomaly Benchmark does
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Nab {
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Make the alerts of anomaly_score by the hold-off that `foreshock score` has; alert_score is left aside
    #[arg(long)]
    hold_off: bool,
    #[command(flatten)]
    how: How,
}

/// Windows of each file, by its name below `data/`.
pub type Windows = BTreeMap<String, Vec<(Timestamp, Timestamp)>>;

/// Where a folder of the benchmark has its labels.
pub fn labels_of(folder: &Path) -> PathBuf {
    folder.join("labels").join("combined_windows.json")
}

/// Reads the windows of all files.
pub fn read_windows(path: &Path) -> anyhow::Result<Windows> {
    let read = || {
        let texts: BTreeMap<String, Vec<(String, String)>> =
            serde_json::from_str(&fs::read_to_string(path)?)?;
        let time = |text: &str| time_of(text.as_bytes()).ok_or_else(|| anyhow!("`{text}` is no time"));
        let mut windows = Windows::new();
        for (file, pairs) in texts {
            let pairs = pairs.iter().map(|(first, last)| Ok((time(first)?, time(last)?)));
            windows.insert(file, pairs.collect::<anyhow::Result<_>>()?);
        }
        anyhow::Ok(windows)
    };
    read().with_context(|| path.display().to_string())
}

#[derive(Serialize)]
struct Report {
    profiles: Vec<ProfileScore>,
    files: Vec<FileScore>,
}

#[derive(Serialize)]
struct ProfileScore {
    profile: &'static str,
    score: f64,
    /// `None` is silence.
    threshold: Option<f64>,
    held_out: f64,
    windows: usize,
    hit: usize,
    false_alarms: usize,
    days: f64,
    false_alarms_a_day: f64,
}

/// A file in the standard profile, at the threshold for all.
#[derive(Serialize)]
struct FileScore {
    file: String,
    windows: usize,
    hit: usize,
    false_alarms: usize,
    points: f64,
    points_max: f64,
}

struct File {
    name: String,
    alerts: Alerts,
    days: f64,
}

impl Nab {
    pub fn run(self) -> anyhow::Result<()> {
        let windows = read_windows(&labels_of(&self.folder))?;
        let names: Vec<String> = windows.keys().cloned().collect();
        let files = measure_all(&self.folder.join("data"), &names, &self.how, |recording| {
            let scored = &recording.at[probation(recording.at.len())..];
            let span_ms = scored.first().zip(scored.last()).map_or(0, |(first, last)| last.since(*first));
            let windows = rows_of(&recording.at, &windows[&recording.name]);
            let score = if self.hold_off { held_off(&recording.score) } else { recording.alert };
            let alerts = Alerts { score, windows };
            Ok(File { name: recording.name, alerts, days: span_ms as f64 / 86_400_000.0 })
        })?;
        let report = report(&files);
        if self.how.json { print_json(&report) } else { print(&report) }
    }
}

/// What a person would be told of scores, which are surprises over their maximum.
fn held_off(scores: &[f64]) -> Vec<f64> {
    let loudest = f64::from(NOVELTY_MAX);
    let mut hold_off = HoldOff::new(loudest);
    scores.iter().map(|score| hold_off.news((score * f64::from(SURPRISE_MAX)).clamp(0.0, loudest))).collect()
}

fn report(files: &[File]) -> Report {
    let alerts: Vec<Alerts> = files.iter().map(|file| file.alerts.clone()).collect();
    let all = vec![true; files.len()];
    let days: f64 = files.iter().map(|file| file.days).sum();
    let mut report = Report { profiles: Vec::new(), files: Vec::new() };
    for profile in PROFILES {
        let sweep = Sweep::new(&alerts, profile);
        let (threshold, score) = sweep.best(&all);
        let found: Vec<(usize, usize)> = alerts.iter().map(|alerts| counts(alerts, threshold)).collect();
        let false_alarms = found.iter().map(|(_, outside)| outside).sum();
        report.profiles.push(ProfileScore {
            profile: profile.name,
            score,
            threshold: threshold.is_finite().then_some(threshold),
            held_out: sweep.held_out(SPLITS),
            windows: alerts.iter().map(|alerts| alerts.windows.len()).sum(),
            hit: found.iter().map(|(hit, _)| hit).sum(),
            false_alarms,
            days,
            false_alarms_a_day: false_alarms as f64 / days,
        });
        if profile == PROFILES[0] {
            report.files = files
                .iter()
                .zip(&found)
                .enumerate()
                .map(|(i, (file, &(hit, false_alarms)))| {
                    let (points, points_max) = sweep.points(i, threshold);
                    let windows = file.alerts.windows.len();
                    FileScore { file: file.name.clone(), windows, hit, false_alarms, points, points_max }
                })
                .collect();
        }
    }
    report
}

fn print(report: &Report) -> anyhow::Result<()> {
    let header = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let mut files =
        vec![header(&["file (standard profile)", "windows", "hit", "false alarms", "points", "of at most"])];
    for file in &report.files {
        files.push(vec![
            file.file.clone(),
            file.windows.to_string(),
            file.hit.to_string(),
            file.false_alarms.to_string(),
            format!("{:.2}", file.points),
            format!("{:.2}", file.points_max),
        ]);
    }
    print_table(&files)?;
    println!();
    let mut profiles =
        vec![header(&["profile", "score", "held out", "threshold", "hit", "of", "false alarms", "a day"])];
    for profile in &report.profiles {
        profiles.push(vec![
            profile.profile.into(),
            format!("{:.2}", profile.score),
            format!("{:.2}", profile.held_out),
            figure(profile.threshold, 6),
            profile.hit.to_string(),
            profile.windows.to_string(),
            profile.false_alarms.to_string(),
            format!("{:.3}", profile.false_alarms_a_day),
        ]);
    }
    print_table(&profiles)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_scores_that_go_on_one_is_told_and_one_that_is_worse() {
        let mut scores = vec![0.0; 300];
        scores[200..220].fill(0.4);
        scores[210] = 0.6;
        let told = held_off(&scores);
        let rows: Vec<usize> = (0..told.len()).filter(|&row| told[row] > 0.0).collect();
        assert_eq!(rows, [200, 210]);
        assert!(told[210] > told[200]);
    }
}
