//! Random cut forests from crates.io over a CSV: standard input to scores, each row scored before it is learnt.
//!
//! The CSV is one that `foreshock score` reads. The last line on standard error has rows, signals and the CPU
//! seconds that the forest's calls took.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use cpu_time::ThreadTime;
use krcf::{RandomCutForest, RandomCutForestOptions};
use rcf3::Forest;

type Outcome<T> = Result<T, Box<dyn Error>>;

const SEED: u64 = 42;
const USAGE: &str = "\
Usage: forests rcf3|krcf < RECORDING.csv > SCORES.csv

Example: the five most unusual rows of a recording

  zcat cpu.csv.gz | forests rcf3 | tail -n +2 | sort -t, -k2,2gr | head -5";

/// Scores a row, then learns it. `None` while the forest calls itself not ready.
type Step = Box<dyn FnMut(&[f32]) -> Outcome<Option<f64>>>;

/// rcf3's documented defaults: 50 trees of 256 points, one row a point.
fn rcf3(signals: usize) -> Outcome<Step> {
    let mut forest = Forest::builder(signals).seed(SEED).build()?;
    Ok(Box::new(move |row| {
        let score = if forest.is_ready() { Some(forest.score(row)?) } else { None };
        forest.update(row)?;
        Ok(score)
    }))
}

/// krcf's `Default`, which leaves all but the sizes to the library below it.
fn krcf(signals: usize) -> Outcome<Step> {
    let options =
        RandomCutForestOptions { dimensions: signals, random_seed: Some(SEED), ..Default::default() };
    let mut forest = RandomCutForest::new(options).map_err(|error| format!("{error:?}"))?;
    Ok(Box::new(move |row| {
        let ready = forest.is_output_ready();
        let score = ready.then(|| forest.score(row)).transpose().map_err(|error| format!("{error:?}"))?;
        forest.update(row).map_err(|error| format!("{error:?}"))?;
        Ok(score)
    }))
}

fn main() -> Outcome<()> {
    let start = match std::env::args().nth(1).as_deref() {
        Some("rcf3") => rcf3,
        Some("krcf") => krcf,
        Some("-h" | "--help") => {
            println!("{USAGE}");
            return Ok(());
        }
        _ => return Err(USAGE.into()),
    };
    let mut csv = csv::Reader::from_reader(io::stdin().lock());
    let names: Vec<String> = csv.headers()?.iter().map(str::to_lowercase).collect();
    let time = names.iter().position(|name| name == "timestamp").ok_or("no column `timestamp`")?;
    let signals: Vec<usize> =
        (0..names.len()).filter(|&i| !["timestamp", "label"].contains(&names[i].as_str())).collect();

    let mut step = start(signals.len())?;
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "timestamp,anomaly_score,alert_score")?;
    let (mut row, mut record) = (vec![0.0; signals.len()], csv::StringRecord::new());
    let (mut rows, mut calls) = (0u64, Duration::ZERO);
    while csv.read_record(&mut record)? {
        // A missing value repeats the one before.
        for (value, &column) in row.iter_mut().zip(&signals) {
            if let Some(new) = record[column].parse().ok().filter(|new: &f32| new.is_finite()) {
                *value = new;
            }
        }
        let began = ThreadTime::now();
        let score = step(&row)?;
        calls += began.elapsed();
        rows += 1;
        let score = score.filter(|score| score.is_finite()).unwrap_or(0.0);
        writeln!(out, "{},{score},{score}", &record[time])?;
    }
    out.flush()?;
    eprintln!("{rows} {} {:.9}", signals.len(), calls.as_secs_f64());
    Ok(())
}
