//! `foreshock eval cause`: whether the node at the root of an issue is ranked first.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::files::in_parallel;
use super::petshop::{Graph, Issue, Metrics, issues_in, read_graph, read_metrics};
use super::table::{print_json, print_table};
use crate::detect::{Detectors, EntityScore, Tick};
use crate::eval::cause::{Node, rank};
use crate::sample::Timestamp;

const CADENCE_SECONDS: u32 = 300;
const WEEK_MS: i64 = 7 * 86_400_000;

const EXAMPLE: &str = "\
Example: the issues whose cause was not ranked first, and what was

  foreshock eval cause petshop/low_traffic --json | jq -c '.issues[] | select(.rank != 1)'

DIR is one traffic pattern of PetShop: graph.csv, noissue/metrics.csv and test/issue_N with metrics.csv and \
target.json. The detectors learn each node's latencies and availability from `noissue`; an issue is put \
whole weeks later, after it, so that time goes on and the hour of the day stays.";

/// Whether the node at the root of an issue is ranked first
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Cause {
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The part of the data whose issues are ranked
    #[arg(long, value_name = "NAME", default_value = "test")]
    part: String,
    /// Issues to work on at a time; changes the speed and nothing else [default: as many as cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Score without this detector; may be given several times
    #[arg(long, value_name = "DETECTOR", value_parser = Detectors::NAMES)]
    without: Vec<String>,
    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    issues: Vec<Ranked>,
    first: usize,
    in_first_three: usize,
}

#[derive(Serialize)]
struct Ranked {
    issue: String,
    cause: String,
    /// `None` where the cause has no signal.
    rank: Option<usize>,
    ranked_first: String,
}

/// A node's detectors, and which signals they know in which order.
struct Learnt {
    signals: Vec<String>,
    score: EntityScore,
}

impl Cause {
    pub fn run(self) -> anyhow::Result<()> {
        let graph = read_graph(&self.folder.join("graph.csv"))?;
        let normal = read_metrics(&self.folder.join("noissue").join("metrics.csv"))?;
        let detectors = Detectors::without(&self.without);
        let learnt: BTreeMap<&String, Learnt> = normal
            .nodes
            .iter()
            .map(|(node, signals)| (node, learn(&normal.at, signals, detectors)))
            .collect();
        let end = normal.at.last().copied().unwrap_or(Timestamp::MIN);
        let issues =
            in_parallel(&issues_in(&self.folder.join(&self.part))?, self.threads, |issue: &Issue| {
                let metrics = read_metrics(&issue.folder.join("metrics.csv"))?;
                let nodes = nodes_of(&metrics, &learnt, &graph, end);
                let order = rank(&nodes);
                let place = order.iter().position(|&node| nodes[node].name == issue.cause);
                let ranked_first = order.first().map_or(String::new(), |&node| nodes[node].name.clone());
                let (name, cause) = (issue.name.clone(), issue.cause.clone());
                Ok(Ranked { issue: name, cause, rank: place.map(|place| place + 1), ranked_first })
            })?;
        let within = |most: usize| issues.iter().filter(|i| i.rank.is_some_and(|rank| rank <= most)).count();
        let report = Report { first: within(1), in_first_three: within(3), issues };
        if self.json { print_json(&report) } else { print(&report) }
    }
}

fn learn(at: &[Timestamp], signals: &BTreeMap<String, Vec<f64>>, detectors: Detectors) -> Learnt {
    let mut score = EntityScore::with(CADENCE_SECONDS, signals.len(), detectors);
    for (row, at) in at.iter().enumerate() {
        let values: Vec<f64> = signals.values().map(|values| values[row]).collect();
        score.step(&Tick::utc(*at, CADENCE_SECONDS), &values);
    }
    Learnt { signals: signals.keys().cloned().collect(), score }
}

/// The nodes of an issue, those of which something is known.
fn nodes_of(
    metrics: &Metrics,
    learnt: &BTreeMap<&String, Learnt>,
    graph: &Graph,
    end: Timestamp,
) -> Vec<Node> {
    let first = metrics.at.first().copied().unwrap_or(end);
    let weeks = end.since(first).max(0) / WEEK_MS + 1;
    let known: Vec<&String> = metrics.nodes.keys().filter(|node| learnt.contains_key(node)).collect();
    let node = |name: &&String| {
        let Learnt { signals, score } = &learnt[*name];
        let mut score = score.clone();
        let value =
            |signal: &String, row: usize| metrics.nodes[*name].get(signal).map_or(f64::NAN, |v| v[row]);
        let surprises = metrics.at.iter().enumerate().map(|(row, at)| {
            let values: Vec<f64> = signals.iter().map(|signal| value(signal, row)).collect();
            let later = at.plus_ms(weeks * WEEK_MS);
            f64::from(score.step(&Tick::utc(later, CADENCE_SECONDS), &values).surprise)
        });
        let surprises = surprises.collect();
        let place = |called: &String| known.iter().position(|other| *other == called);
        let calls = graph.get(*name).map_or(Vec::new(), |called| called.iter().filter_map(place).collect());
        Node { name: name.to_string(), surprises, calls }
    };
    known.iter().map(node).collect()
}

fn print(report: &Report) -> anyhow::Result<()> {
    let mut rows = vec![["issue", "rank", "cause", "ranked first"].map(String::from).to_vec()];
    for issue in &report.issues {
        let rank = issue.rank.map_or("-".into(), |rank| rank.to_string());
        rows.push(vec![issue.issue.clone(), rank, issue.cause.clone(), issue.ranked_first.clone()]);
    }
    print_table(&rows)?;
    let all = report.issues.len();
    println!("\nfirst {} of {all}, in the first three {} of {all}", report.first, report.in_first_three);
    Ok(())
}
