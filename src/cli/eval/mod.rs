//! `foreshock eval`: the detectors against labelled data, by the measures that the field publishes; and limits, simulated.
//!
//! Every file is scored by the one pass that `foreshock score` makes, or scores that stand ready are taken,
//! so that others are measured by the same scorers.

mod cause;
mod files;
mod labelled;
mod limit;
mod nab;
mod petshop;
mod recording;
mod recordings;
mod sim;
mod table;
mod tails;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::detect::Detectors;

const EXAMPLE: &str = "\
Example: the Numenta Anomaly Benchmark, as a table and for a program

  foreshock eval nab NAB
  foreshock eval nab NAB --json | jq '.profiles[0].score'

Example: another detector's scores by the same measure

  foreshock eval labelled servers --window 100 --scores their-scores";

/// Measure the detectors against labelled data
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE, arg_required_else_help = true)]
pub struct Eval {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Score alerts as the Numenta Anomaly Benchmark does
    Nab(nab::Nab),
    /// How scores rank labelled rows, and what of the events is found at so many false alarms
    Labelled(labelled::Labelled),
    /// Whether a surprise of 3 is one normal row in a thousand
    Tails(tails::TailsOf),
    /// Whether the node at the root of an issue is ranked first
    Cause(cause::Cause),
    /// Whether the time to a hard limit is told half of the way, and its interval holds
    Limit(limit::LimitOf),
    /// Tell the faults of a simulated cluster from its harmless events
    Sim(sim::Sim),
    /// Tell the faults of recordings that have their truth beside them
    Recording(recordings::Recordings),
}

/// How to measure; the same for all.
#[derive(Args, Clone, Debug)]
struct How {
    /// Take scores that stand ready: a CSV for each file, by the same name, with the columns
    /// timestamp, anomaly_score and alert_score
    #[arg(long, value_name = "DIR")]
    scores: Option<PathBuf>,
    /// Score without this detector; may be given several times
    #[arg(long, value_name = "DETECTOR", value_parser = Detectors::NAMES, conflicts_with = "scores")]
    without: Vec<String>,
    /// Files to work on at a time; changes the speed and nothing else [default: as many as cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,
}

impl Eval {
    /// Measures, and prints what was found.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Nab(nab) => nab.run()?,
            What::Labelled(labelled) => labelled.run()?,
            What::Tails(tails) => tails.run()?,
            What::Cause(cause) => cause.run()?,
            What::Limit(limit) => limit.run()?,
            What::Sim(sim) => sim.run()?,
            What::Recording(recordings) => recordings.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
