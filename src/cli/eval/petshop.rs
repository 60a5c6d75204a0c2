//! PetShop (Hardt et al., CLeaR 2024): a microservice application's metrics, its call graph, and issues with known cause.
//!
//! `graph.csv` is a matrix whose row calls its column. `metrics.csv` begins with a line each of nodes, metrics,
//! statistics and the name of the time; `target.json` of an issue names its root cause.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::sample::Timestamp;

/// Signals of nodes over time.
pub struct Metrics {
    pub at: Vec<Timestamp>,
    /// By node, then by metric and statistic; NaN is missing.
    pub nodes: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

/// Whom each node calls.
pub type Graph = BTreeMap<String, Vec<String>>;

/// Where the recordings stand.
pub struct Issue {
    pub name: String,
    pub folder: PathBuf,
    pub cause: String,
}

#[derive(Deserialize)]
struct Target {
    root_cause: RootCause,
}

#[derive(Deserialize)]
struct RootCause {
    node: String,
}

fn records(path: &Path) -> anyhow::Result<Vec<csv::StringRecord>> {
    let read = || {
        let file = File::open(path)?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file);
        anyhow::Ok(reader.records().collect::<Result<Vec<_>, _>>()?)
    };
    read().with_context(|| path.display().to_string())
}

/// Reads a matrix of who calls whom.
pub fn read_graph(path: &Path) -> anyhow::Result<Graph> {
    let records = records(path)?;
    let Some((header, rows)) = records.split_first() else { bail!("{}: it is empty", path.display()) };
    let called = |row: &csv::StringRecord| {
        let cells = header.iter().zip(row.iter()).skip(1);
        cells
            .filter(|(_, cell)| cell.parse().is_ok_and(|calls: f64| calls > 0.0))
            .map(|(name, _)| name.to_string())
            .collect()
    };
    Ok(rows.iter().map(|row| (row.get(0).unwrap_or_default().to_string(), called(row))).collect())
}

/// Reads how well each node answers: its latencies and availability, and not how much it is asked.
pub fn read_metrics(path: &Path) -> anyhow::Result<Metrics> {
    let records = records(path)?;
    let [nodes, metrics, statistics, _, rows @ ..] = records.as_slice() else {
        bail!("{}: it has no four lines of header", path.display());
    };
    let number = |row: &csv::StringRecord, column| row.get(column).and_then(|cell| cell.parse::<f64>().ok());
    let mut read = Metrics { at: Vec::new(), nodes: BTreeMap::new() };
    for (line, row) in rows.iter().enumerate() {
        let seconds = number(row, 0)
            .with_context(|| format!("{}: line {} begins with no time", path.display(), line + 5))?;
        read.at.push(Timestamp::from_seconds(seconds));
    }
    for (column, node) in nodes.iter().enumerate().skip(1) {
        let (metric, statistic) = (metrics.get(column).unwrap_or(""), statistics.get(column).unwrap_or(""));
        if metric != "requests" {
            let values = rows.iter().map(|row| number(row, column).unwrap_or(f64::NAN)).collect();
            let signals = read.nodes.entry(node.to_string()).or_default();
            signals.insert(format!("{metric} {statistic}"), values);
        }
    }
    Ok(read)
}

/// The issues of one part of the data (`train`, `test`), by number.
pub fn issues_in(part: &Path) -> anyhow::Result<Vec<Issue>> {
    let mut issues = Vec::new();
    for entry in fs::read_dir(part).with_context(|| part.display().to_string())? {
        let folder = entry.with_context(|| part.display().to_string())?.path();
        let target = folder.join("target.json");
        if !target.is_file() {
            continue;
        }
        let read = || anyhow::Ok(serde_json::from_str::<Target>(&fs::read_to_string(&target)?)?);
        let cause = read().with_context(|| target.display().to_string())?.root_cause.node;
        let name = folder.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        issues.push(Issue { name, folder, cause });
    }
    let number =
        |issue: &Issue| issue.name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
    issues.sort_by(|a, b| number(a).cmp(&number(b)).then(a.name.cmp(&b.name)));
    Ok(issues)
}
