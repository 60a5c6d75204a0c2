//! What the seeds of a trial come to: a line a fault, and what weeks without one cost.

use serde::Serialize;

use super::trial::{SeedReport, Week};
use crate::cli::eval::table::{figure, print_json, print_table};
use crate::eval::faults::Verdict;

/// Means and medians over all seeds; of faults, at the first budget.
#[derive(Serialize)]
pub struct Report<'r> {
    faults: Vec<Line>,
    /// All faults that have a lead, together.
    with_lead: Line,
    all: Line,
    weeks: Vec<Weeks>,
    series_ticks_per_second: f64,
    seeds: &'r [SeedReport],
}

/// Shares of the runs of one fault, or of several.
#[derive(Serialize)]
struct Line {
    fault: String,
    runs: usize,
    detected: f64,
    /// Of the runs in which users felt it.
    predicted: f64,
    impact_minutes: Option<f64>,
    lead_minutes: Option<f64>,
    lead_share: Option<f64>,
    right_fault: f64,
    right_remedy: f64,
    forbidden: usize,
    /// Of the forecasts at half of the way: how many there are, how many hold the impact, their width.
    half_way: f64,
    covers: f64,
    width: Option<f64>,
}

/// Weeks without a fault under one budget, and all faults at it.
#[derive(Serialize)]
struct Weeks {
    pages_per_week: f64,
    weeks: usize,
    pages: f64,
    pages_most: usize,
    tickets: f64,
    /// Incidents a week that would have called a remedy.
    remedies: f64,
    faults: Line,
}

impl Line {
    fn of(fault: &str, verdicts: &[&Verdict]) -> Self {
        let share = |of: &dyn Fn(&Verdict) -> bool, among: &dyn Fn(&Verdict) -> bool| {
            let among: Vec<&&Verdict> = verdicts.iter().filter(|v| among(v)).collect();
            among.iter().filter(|v| of(v)).count() as f64 / among.len() as f64
        };
        let any = |_: &Verdict| true;
        let felt = |v: &Verdict| v.impact_seconds.is_some();
        let middle =
            |of: &dyn Fn(&Verdict) -> Option<f64>| median(verdicts.iter().filter_map(|v| of(v)).collect());
        let lead = |v: &Verdict| Some((v.impact_seconds? - v.predicted_seconds?) / 60.0);
        Line {
            fault: fault.to_owned(),
            runs: verdicts.len(),
            detected: share(&|v| v.detected_seconds.is_some(), &any),
            predicted: share(&|v| v.predicted_seconds.is_some(), &felt),
            impact_minutes: middle(&|v| Some(v.impact_seconds? / 60.0)),
            lead_minutes: middle(&lead),
            // A run without a prediction has no lead.
            lead_share: middle(&|v| v.impact_seconds.map(|_| v.lead_share().unwrap_or(0.0))),
            right_fault: share(&|v| v.right_fault, &any),
            right_remedy: share(&|v| v.right_remedy, &any),
            forbidden: verdicts.iter().filter(|v| v.forbidden.is_some()).count(),
            half_way: share(&|v| v.half_way.is_some(), &felt),
            covers: share(&|v| v.half_way.is_some_and(|h| h.covers), &felt),
            width: middle(&|v| v.half_way.map(|h| h.width)),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.fault.clone(),
            self.runs.to_string(),
            percent(self.detected),
            percent(self.predicted),
            figure(self.impact_minutes, 0),
            figure(self.lead_minutes, 0),
            self.lead_share.map_or("-".into(), percent),
            percent(self.right_fault),
            percent(self.right_remedy),
            self.forbidden.to_string(),
            percent(self.half_way),
            percent(self.covers),
            figure(self.width, 2),
        ]
    }
}

const HEADER: [&str; 13] = [
    "fault",
    "runs",
    "detected",
    "predicted",
    "impact min",
    "lead min",
    "lead share",
    "right fault",
    "right remedy",
    "forbidden",
    "half way",
    "covers",
    "width",
];

const WEEKS_HEADER: [&str; 10] = [
    "budget, pages a week",
    "weeks",
    "pages a week",
    "most in a week",
    "tickets a week",
    "remedies a week",
    "faults detected",
    "predicted",
    "right fault",
    "right remedy",
];

impl<'r> Report<'r> {
    pub fn of(seeds: &'r [SeedReport]) -> Self {
        let verdicts: Vec<&Verdict> = seeds.iter().flat_map(|seed| &seed.verdicts).collect();
        let mut names: Vec<&str> = Vec::new();
        for name in crate::sim::cluster::FAULTS.iter().map(|about| about.name) {
            if verdicts.iter().any(|v| v.fault == name) {
                names.push(name);
            }
        }
        let of =
            |name: &str| -> Vec<&Verdict> { verdicts.iter().filter(|v| v.fault == name).copied().collect() };
        let with_lead: Vec<&Verdict> = verdicts.iter().filter(|v| v.has_lead).copied().collect();
        let weeks: Vec<&Week> = seeds.iter().flat_map(|seed| &seed.weeks).collect();
        let mut budgets: Vec<f64> = weeks.iter().map(|week| week.pages_per_week).collect();
        budgets.sort_by(f64::total_cmp);
        budgets.dedup();
        let ticks: u64 = seeds.iter().map(|seed| seed.series_ticks).sum();
        let seconds: f64 = seeds.iter().map(|seed| seed.seconds).sum();
        Report {
            faults: names.iter().map(|name| Line::of(name, &of(name))).collect(),
            with_lead: Line::of("with a lead", &with_lead),
            all: Line::of("all", &verdicts),
            weeks: budgets.iter().map(|budget| Weeks::of(*budget, &weeks, seeds)).collect(),
            series_ticks_per_second: ticks as f64 / seconds,
            seeds,
        }
    }

    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return print_json(self);
        }
        let mut rows = vec![HEADER.map(String::from).to_vec()];
        rows.extend(self.faults.iter().map(Line::row));
        if self.all.runs > 0 {
            rows.extend([self.with_lead.row(), self.all.row()]);
            print_table(&rows)?;
            println!();
        }
        if self.weeks.is_empty() {
            return Ok(());
        }
        let mut rows = vec![WEEKS_HEADER.map(String::from).to_vec()];
        rows.extend(self.weeks.iter().map(Weeks::row));
        print_table(&rows)?;
        for seed in self.seeds {
            for week in &seed.weeks {
                for told in &week.told {
                    let under = told.under.as_deref().unwrap_or("nothing known");
                    let remedy =
                        told.remedy.as_ref().map(|said| format!("; would call {said}")).unwrap_or_default();
                    println!(
                        "seed {}, budget {}: {:?} at {}, under {under}: {}{remedy}",
                        seed.seed, week.pages_per_week, told.severity, told.at, told.summary
                    );
                }
            }
        }
        Ok(())
    }
}

impl Weeks {
    fn of(budget: f64, weeks: &[&Week], seeds: &[SeedReport]) -> Self {
        let verdicts = seeds.iter().flat_map(|seed| seed.at(budget));
        let weeks: Vec<&&Week> = weeks.iter().filter(|week| week.pages_per_week == budget).collect();
        let mean = |of: &dyn Fn(&Week) -> usize| {
            weeks.iter().map(|week| of(week) as f64).sum::<f64>() / weeks.len() as f64
        };
        Weeks {
            pages_per_week: budget,
            weeks: weeks.len(),
            pages: mean(&|week| week.pages),
            pages_most: weeks.iter().map(|week| week.pages).max().unwrap_or(0),
            tickets: mean(&|week| week.tickets),
            remedies: mean(&|week| week.remedies),
            faults: Line::of("all", &verdicts.collect::<Vec<_>>()),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            format!("{}", self.pages_per_week),
            self.weeks.to_string(),
            format!("{:.2}", self.pages),
            self.pages_most.to_string(),
            format!("{:.2}", self.tickets),
            format!("{:.2}", self.remedies),
            percent(self.faults.detected),
            percent(self.faults.predicted),
            percent(self.faults.right_fault),
            percent(self.faults.right_remedy),
        ]
    }
}

/// A share of none is a dash.
fn percent(share: f64) -> String {
    if share.is_nan() { "-".into() } else { format!("{:.0}%", 100.0 * share) }
}

/// The middle of `values`; the mean of two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(0.5 * (values[middle - 1] + values[middle])),
    }
}
