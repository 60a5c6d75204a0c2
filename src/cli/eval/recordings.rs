//! `foreshock eval recording`: recordings with the truth beside them, replayed and judged as `eval sim` judges.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;

use super::files::in_parallel;
use super::sim::report::Report;
use super::sim::trial::{SeedReport, Week, told};
use crate::cli::progress::bar;
use crate::collect::recording::columns::{Columns, RecordingLimits};
use crate::collect::recording::{self, input};
use crate::config::Config;
use crate::engine::{Engine, Input, Settings};
use crate::eval::faults::{Verdict, judge};
use crate::incident::event::Event;
use crate::predict::pack;
use crate::runtime::settings::settings_of;
use crate::sample::Timestamp;
use crate::sim::truth::{FaultTruth, TRUTH_FILE, Truth};

const EXAMPLE: &str = "\
Example: a recording of the simulated cluster, and recordings of one's own outages

  foreshock sim record --days 4 --fault clamd_stuck@+3d10h --out week
  foreshock eval recording week
  foreshock eval recording outages --config foreshock.yaml

A recording is a folder with truth.json and files that `replay` reads, packed or not, made by whatever tool; DIR is one, or \
has some. truth.json: {\"faults\": [{\"fault\": \"clamd_stuck\", \"host\": \"mta1\", \"onset\": \"2026-03-02T10:00:00Z\", \
\"impact\": \"2026-03-02T10:31:00Z\", \"right\": [\"restart_clamd_then_amavis\"]}]}; names of faults and remedies are those \
of the packs.";

const MINUTE_MS: i64 = 60_000;
const WEEK_MS: i64 = 7 * 86_400_000;
/// So long after users felt a fault, what is told may be of it; so long after an onset that nobody felt.
const AFTERMATH_MS: i64 = 3_600_000;
const UNFELT_MS: i64 = 4 * 3_600_000;

/// Tell the faults of recordings that have their truth beside them
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Recordings {
    /// A recording, or a folder of recordings
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The configuration, as for `serve` [default: all packs, a page a week]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seconds of a tick, where there is no configuration
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=3600))]
    step: u32,
    /// Refuse recordings of more samples; each takes 16 bytes of memory
    #[arg(long, value_name = "N", default_value_t = 200_000_000)]
    samples_max: u64,
    /// Recordings to work on at a time [default: 1, as they may be large]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print JSON in place of tables
    #[arg(long)]
    json: bool,
}

impl Recordings {
    pub fn run(self) -> anyhow::Result<()> {
        let settings = match &self.config {
            None => Settings {
                site: "recording".into(),
                packs: pack::builtins(),
                step_seconds: self.step,
                ..Settings::default()
            },
            Some(path) => settings_of(&Config::load(path).map_err(|problems| anyhow::anyhow!("{problems}"))?),
        };
        let folders = recordings_in(&self.folder)?;
        let files: Vec<PathBuf> =
            folders.iter().flat_map(|folder| files_of(folder).unwrap_or_default()).collect();
        let progress = bar(input::bytes_on_disk(&files), "reading", "{bytes} of {total_bytes}, {eta} left");
        let reports = in_parallel(&folders, Some(self.threads.unwrap_or(1)), |folder| {
            self.one(folder, settings.clone(), &progress).with_context(|| folder.display().to_string())
        })?;
        progress.finish_and_clear();
        Report::of(&reports).print(self.json)
    }

    fn one(&self, folder: &Path, settings: Settings, progress: &ProgressBar) -> anyhow::Result<SeedReport> {
        let started = Instant::now();
        let truth = truth_of(folder)?;
        let limits = RecordingLimits { series_max: settings.series_max, samples_max: self.samples_max };
        let mut columns = Columns::new(limits);
        let entity_label = settings.entity_labels.first().map_or("instance", String::as_str);
        for path in files_of(folder)? {
            let mut remark = |what: String| progress.suspend(|| eprintln!("{what}"));
            recording::read(&path, entity_label, &mut columns, progress, &mut remark)?;
        }
        let Some(span) = columns.span() else { bail!("no sample in any of its files") };
        let series = columns.series();
        let (step_seconds, budget) = (settings.step_seconds, settings.pages_per_week);
        let mut engine = Engine::new(settings);
        let mut events = Vec::new();
        for batch in columns.into_slices("recording".into(), step_seconds, Timestamp::MIN) {
            engine.step(Input::Samples(batch), &mut events);
        }
        engine.step(Input::End, &mut events);
        Ok(SeedReport {
            seed: 0,
            exporters: folder.display().to_string(),
            verdicts: verdicts(&truth, &events),
            further: Vec::new(),
            weeks: weeks(&truth, &events, span, budget),
            series,
            series_ticks: engine.ticks() * series as u64,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// Folders with a truth: `folder` itself, or those in it.
fn recordings_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let place = || folder.display().to_string();
    let has_truth = |folder: &Path| folder.join(TRUTH_FILE).is_file();
    if has_truth(folder) {
        return Ok(vec![folder.into()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(place)? {
        let path = entry.with_context(place)?.path();
        if has_truth(&path) {
            found.push(path);
        }
    }
    if found.is_empty() {
        bail!("{}: no {TRUTH_FILE} in it or in a folder of it", folder.display());
    }
    found.sort();
    Ok(found)
}

/// What of a folder is a recording: every file but the truth, configurations, notes and what is hidden.
fn files_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let place = || folder.display().to_string();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(place)? {
        let path = entry.with_context(place)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_other = name == TRUTH_FILE
            || name.starts_with('.')
            || [".yaml", ".yml", ".md", ".jsonl"].iter().any(|ending| name.ends_with(ending));
        if path.is_file() && !is_other {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("{}: a truth and nothing that was recorded", folder.display());
    }
    files.sort();
    Ok(files)
}

fn truth_of(folder: &Path) -> anyhow::Result<Truth> {
    let path = folder.join(TRUTH_FILE);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut truth: Truth = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    truth.faults.sort_by_key(|fault| fault.onset);
    Ok(truth)
}

/// Each fault by what was told from its onset until the next began.
fn verdicts(truth: &Truth, events: &[Event]) -> Vec<Verdict> {
    let next = truth.faults.iter().skip(1).map(|fault| fault.onset).chain([Timestamp(i64::MAX)]);
    let one = |(fault, next): (&FaultTruth, Timestamp)| {
        let until: Vec<Event> = events.iter().filter(|event| event.at < next).cloned().collect();
        judge(fault, &until)
    };
    truth.faults.iter().zip(next).map(one).collect()
}

/// What was told in each whole week of the recording while there was no fault.
fn weeks(truth: &Truth, events: &[Event], (first, last): (Timestamp, Timestamp), budget: f64) -> Vec<Week> {
    let is_fault = |at: Timestamp| {
        truth.faults.iter().any(|fault| {
            let end =
                fault.impact.map_or(fault.onset.plus_ms(UNFELT_MS), |impact| impact.plus_ms(AFTERMATH_MS));
            (fault.onset.plus_ms(-MINUTE_MS)..end).contains(&at)
        })
    };
    let under = |at: Timestamp, entities: &[String]| {
        let event = truth.benign.iter().find(|event| {
            let lasts = event.from.plus_ms(-2 * MINUTE_MS)..=event.until.plus_ms(AFTERMATH_MS);
            lasts.contains(&at) && event.host.as_ref().is_none_or(|host| entities.contains(host))
        });
        event.map(|event| event.event.clone())
    };
    let outside: Vec<_> = told(events, first, under).into_iter().filter(|told| !is_fault(told.at)).collect();
    (0..last.since(first) / WEEK_MS)
        .map(|week| {
            let week = first.plus_ms(week * WEEK_MS)..first.plus_ms((week + 1) * WEEK_MS);
            let told: Vec<_> = outside.iter().filter(|told| week.contains(&told.at)).cloned().collect();
            Week::of(budget, told)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_recording_or_has_some() {
        let root = tempfile::tempdir().unwrap();
        assert!(recordings_in(root.path()).unwrap_err().to_string().contains("no truth.json"));
        for name in ["b", "a", "notes"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        for file in
            ["b/truth.json", "a/truth.json", "a/x.om.gz", "a/y.json", "a/foreshock.yaml", "a/README.md"]
        {
            fs::write(root.path().join(file), "").unwrap();
        }
        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(recordings_in(root.path()).unwrap()), ["a", "b"]);
        let a = root.path().join("a");
        assert_eq!(recordings_in(&a).unwrap(), std::slice::from_ref(&a));
        assert_eq!(names(files_of(&a).unwrap()), ["x.om.gz", "y.json"]);
        assert!(files_of(&root.path().join("b")).is_err());
    }
}
