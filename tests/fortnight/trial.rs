//! One site's trial: history, then a fortnight at each budget, with disturbances told to forks of the engine.

use std::collections::BTreeMap;

use foreshock::engine::{Engine, Input, Settings};
use foreshock::incident::event::{Event, EventKind, Severity};
use foreshock::predict::pack::builtins;
use foreshock::sample::{Labels, Timestamp};

use super::chance::Chance;
use super::site::{Disturbance, Site};

const DAY_SECONDS: i64 = 86_400;
const DISTURBED_SECONDS: i64 = 600;
/// What is told so long after a disturbance still is of it.
const ECHO_SECONDS: i64 = 120;
const DEVIATIONS: f64 = 4.0;
const SIGNALS: usize = 6;

/// What is tried, but for the seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of fifty series each.
    pub hosts: usize,
    pub step_seconds: u32,
    pub history_days: i64,
    pub days: i64,
    /// Pages a week; tickets stay at their default.
    pub budgets: Vec<f64>,
    pub disturbances: usize,
}

impl Plan {
    fn ticks(&self, seconds: i64) -> i64 {
        seconds / i64::from(self.step_seconds)
    }

    fn settings(&self, pages_per_week: f64) -> Settings {
        let step_seconds = self.step_seconds;
        Settings { packs: builtins(), step_seconds, pages_per_week, ..Settings::default() }
    }
}

/// An incident, as it was told at its worst.
#[derive(Clone, Debug)]
pub struct Told {
    pub opened_at: Timestamp,
    pub severity: Severity,
    pub what: String,
}

/// What was told of a disturbance.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub of_one_host: bool,
    /// Until the first incident that names one of the disturbed series, and the worst it became.
    pub told: Option<(f64, Severity)>,
}

/// What a site that had no fault was told, and what it was told of disturbances.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub budget: f64,
    pub told: Vec<Told>,
    pub answers: Vec<Answer>,
    pub thresholds: [f64; 2],
}

/// The incidents of the history, which begins cold, and the outcome at each budget.
pub fn run(plan: &Plan, seed: u64) -> (Vec<Told>, Vec<Outcome>) {
    let mut site = Site::new(seed, plan.hosts, plan.step_seconds);
    // What lies before is learnt under the first budget; learning knows tickets and not pages.
    let mut engine = Engine::new(plan.settings(plan.budgets[0]));
    let mut events = Vec::new();
    for _ in 0..plan.ticks(plan.history_days * DAY_SECONDS) {
        engine.step(Input::Samples(site.step(None)), &mut events);
    }
    let known = engine.save();
    let outcomes = plan.budgets.iter().map(|&budget| {
        let engine = Engine::load(plan.settings(budget), known.clone()).unwrap();
        fortnight(plan, budget, engine, site.clone(), Chance::new(!seed))
    });
    (told(&events), outcomes.collect())
}

fn fortnight(plan: &Plan, budget: f64, mut engine: Engine, mut site: Site, mut chance: Chance) -> Outcome {
    let (begin, ticks) = (site.tick(), plan.ticks(plan.days * DAY_SECONDS));
    // Spread over the fortnight, each somewhere in its own share of it; all of it lies before the end.
    let share =
        (ticks - plan.ticks(DISTURBED_SECONDS + ECHO_SECONDS)) as f64 / plan.disturbances.max(1) as f64;
    let mut starts: Vec<i64> =
        (0..plan.disturbances).map(|i| begin + ((i as f64 + chance.uniform()) * share) as i64).collect();
    starts.reverse();
    let (mut events, mut answers) = (Vec::new(), Vec::new());
    while site.tick() < begin + ticks {
        if starts.last() == Some(&site.tick()) {
            starts.pop();
            for of_one_host in [true, false] {
                let series = site.pick(&mut chance, SIGNALS, of_one_host);
                let until = site.tick() + plan.ticks(DISTURBED_SECONDS);
                let disturbance = Disturbance { series, deviations: DEVIATIONS, ticks: site.tick()..until };
                let fork = Engine::load(plan.settings(budget), engine.save()).unwrap();
                answers.push(Answer { of_one_host, told: disturb(plan, fork, site.clone(), &disturbance) });
            }
        }
        engine.step(Input::Samples(site.step(None)), &mut events);
    }
    Outcome { budget, told: told(&events), answers, thresholds: engine.stats().thresholds }
}

/// What a disturbed site was told of it.
fn disturb(plan: &Plan, mut engine: Engine, mut site: Site, what: &Disturbance) -> Option<(f64, Severity)> {
    let hit: Vec<Labels> = what.series.iter().map(|place| site.labels(*place).clone()).collect();
    let mut events = Vec::new();
    for _ in 0..plan.ticks(DISTURBED_SECONDS + ECHO_SECONDS) {
        engine.step(Input::Samples(site.step(Some(what))), &mut events);
    }
    let of_it = events.iter().filter_map(|event| {
        let incident = event.incident.as_ref().filter(|_| event.event != EventKind::Resolved)?;
        let names_it = incident.movers.iter().any(|mover| hit.contains(&mover.series));
        (names_it && incident.severity > Severity::Info).then_some((event.at, incident.severity))
    });
    let of_it: Vec<(Timestamp, Severity)> = of_it.collect();
    let (first, _) = of_it.first()?;
    let worst = of_it.iter().map(|(_, severity)| *severity).max()?;
    Some((first.since(site.at(what.ticks.start)) as f64 / 1000.0, worst))
}

/// One entry an incident, in order of opening.
fn told(events: &[Event]) -> Vec<Told> {
    let mut told: BTreeMap<(Timestamp, &str), Told> = BTreeMap::new();
    for incident in events.iter().filter_map(|event| event.incident.as_ref()) {
        let movers = incident
            .movers
            .iter()
            .map(|mover| format!("{} {:?} {:.1}", mover.series, mover.detector, mover.surprise));
        let what = format!("{} | {}", incident.summary, movers.collect::<Vec<_>>().join(", "));
        let entry = told.entry((incident.opened_at, &incident.id)).or_insert_with(|| Told {
            opened_at: incident.opened_at,
            severity: incident.severity,
            what: what.clone(),
        });
        if incident.severity > entry.severity {
            (entry.severity, entry.what) = (incident.severity, what);
        }
    }
    told.into_values().collect()
}
