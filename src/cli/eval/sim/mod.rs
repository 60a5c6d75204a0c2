//! `foreshock eval sim`: every fault of a simulated cluster, and weeks without one.

pub(super) mod report;
pub(super) mod trial;

use clap::Args;

use super::files::in_parallel;
use crate::cli::progress::bar;
use report::Report;
use trial::{Plan, faults_of};

const EXAMPLE: &str = "\
Examples:
  foreshock eval sim --seeds 1..20
  foreshock eval sim --seeds 1..20 --variation --json > variation.json
  foreshock eval sim --seeds 3 --faults clamd_stuck,slow_ldap
  foreshock eval sim --seeds 1..20 --budgets 0.25,1,4 --faults none

A fault counts as predicted if people were told of it before users felt it, with a time at which they will; its fault \
and remedy are those that stood when users began to feel it. Everything is simulated: the cluster, its exporters and \
its faults; the engine and the packs are those that `serve` runs.";

/// Tell the faults of a simulated cluster from its harmless events
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Sim {
    /// One seed, or the first and the last
    #[arg(long, value_name = "A..B", default_value = "1..4", value_parser = seeds)]
    seeds: Seeds,
    /// Days of ordinary life before the week that counts; whole weeks are best, and three of them show what a Monday is
    #[arg(long, value_name = "DAYS", default_value_t = 21, value_parser = clap::value_parser!(i64).range(1..=70))]
    days: i64,
    /// Seconds between two scrapes
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(5..=300))]
    step: u32,
    /// Only these faults; `none` leaves the weeks without one
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    faults: Vec<String>,
    /// Pages a week that the operator allows; each has its own week and tries all faults, and the first is reported fault by fault
    #[arg(long, value_name = "PAGES", value_delimiter = ',', default_value = "1", value_parser = budget)]
    budgets: Vec<f64>,
    /// Other exporters, three signals of ten missing, other speeds
    #[arg(long)]
    variation: bool,
    /// A rougher answer within minutes: a scrape a minute, and eight days of life before
    #[arg(long)]
    quick: bool,
    /// Seeds to work on at a time [default: as many as cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print JSON in place of tables
    #[arg(long)]
    json: bool,
}

/// Seeds from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seeds(pub u64, pub u64);

fn budget(text: &str) -> Result<f64, String> {
    let pages = text.parse::<f64>().ok().filter(|pages| *pages > 0.0 && *pages <= 10_000.0);
    pages.ok_or_else(|| format!("`{text}` is no number of pages a week"))
}

pub(super) fn seeds(text: &str) -> Result<Seeds, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is no seed"));
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (number(first)?, number(last.trim_start_matches('='))?),
        None => (number(text)?, number(text)?),
    };
    match last.checked_sub(first) {
        Some(0..10_000) => Ok(Seeds(first, last)),
        _ => Err("write the first and the last, as in 1..20".into()),
    }
}

impl Sim {
    pub fn run(self) -> anyhow::Result<()> {
        let mut budgets: Vec<f64> = Vec::new();
        for pages in self.budgets {
            if !budgets.contains(&pages) {
                budgets.push(pages);
            }
        }
        let is_none = self.faults.iter().any(|name| name == "none");
        let plan = Plan {
            days: if self.quick { self.days.min(8) } else { self.days },
            step_seconds: if self.quick { self.step.max(60) } else { self.step },
            budgets,
            faults: if is_none { Vec::new() } else { faults_of(&self.faults)? },
            variation: self.variation,
        };
        let seeds: Vec<u64> = (self.seeds.0..=self.seeds.1).collect();
        let progress = bar(plan.ticks_per_seed() * seeds.len() as u64, "simulating", "{eta} left");
        let reports = in_parallel(&seeds, self.threads, |seed| plan.run(*seed, &progress))?;
        progress.finish_and_clear();
        Report::of(&reports).print(self.json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range() {
        assert_eq!(seeds("7"), Ok(Seeds(7, 7)));
        assert_eq!(seeds("1..20"), Ok(Seeds(1, 20)));
        assert_eq!(seeds("1..=20"), Ok(Seeds(1, 20)));
        assert!(budget("0").is_err() && budget("nan").is_err() && budget("0.25") == Ok(0.25));
        assert!(seeds("20..1").is_err() && seeds("x").is_err() && seeds("1..99999999").is_err());
    }
}
