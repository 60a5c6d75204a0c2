//! One seed's trial: weeks of an ordinary life, then a week without a fault, and from moments of it each fault on its own.
//!
//! A fault runs in a fork of the cluster and of the engine, so that all begin from one warmed state and none knows of
//! another. The cluster alone is run first, to know when users feel it.

use std::time::Instant;

use indicatif::ProgressBar;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use crate::engine::{Engine, Input, Settings};
use crate::eval::faults::{AFTER_SECONDS, Verdict, judge};
use crate::incident::event::{Event, EventKind, Severity};
use crate::predict::pack;
use crate::sample::Timestamp;
use crate::sim::cluster::{BenignKind, Cluster, FAULTS, Fault, Outbreak, STEP_SECONDS, Shape};
use crate::sim::exporter::Families;
use crate::sim::feed::{ENTITY_LABEL, Feed, Missing};
use crate::sim::truth::FaultTruth;

const DAY_MS: i64 = 86_400_000;
/// A fault that hurts nobody for so long is run no longer.
const HORIZON_HOURS: f64 = 96.0;
const HORIZON_SHORT_HOURS: f64 = 16.0;
const MISSING_SHARE: f64 = 0.3;

/// What is tried, the same for all seeds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Days of life before the week that counts; whole weeks.
    pub days: i64,
    pub step_seconds: u32,
    /// Pages a week that the operator allows. Each has a week of its own, with the same faults.
    pub budgets: Vec<f64>,
    pub faults: Vec<Fault>,
    /// Other exporters, signals that are missing, other speeds.
    pub variation: bool,
}

/// What came of one seed.
#[derive(Clone, Debug, Serialize)]
pub struct SeedReport {
    pub seed: u64,
    pub exporters: String,
    /// At the first budget.
    pub verdicts: Vec<Verdict>,
    /// At each of the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<Faults>,
    pub weeks: Vec<Week>,
    pub series: usize,
    pub series_ticks: u64,
    pub seconds: f64,
}

impl SeedReport {
    /// What was told of each fault under a budget: the first, where it is none of the others.
    pub fn at(&self, pages_per_week: f64) -> &[Verdict] {
        let other = self.further.iter().find(|faults| faults.pages_per_week == pages_per_week);
        other.map_or(&self.verdicts, |faults| &faults.verdicts)
    }
}

/// What was told of each fault under one budget.
#[derive(Clone, Debug, Serialize)]
pub struct Faults {
    pub pages_per_week: f64,
    pub verdicts: Vec<Verdict>,
}

/// A week without a fault under one budget.
#[derive(Clone, Debug, Serialize)]
pub struct Week {
    pub pages_per_week: f64,
    pub pages: usize,
    pub tickets: usize,
    /// How many of those would have called a remedy.
    pub remedies: usize,
    pub told: Vec<Told>,
}

impl Week {
    pub fn of(pages_per_week: f64, told: Vec<Told>) -> Self {
        let count = |severity| told.iter().filter(|told| told.severity == severity).count();
        Week {
            pages_per_week,
            pages: count(Severity::Page),
            tickets: count(Severity::Ticket),
            remedies: told.iter().filter(|told| told.remedy.is_some()).count(),
            told,
        }
    }
}

/// An incident of a week in which there was none.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    pub at: Timestamp,
    pub severity: Severity,
    pub summary: String,
    /// The harmless event that goes on there, where there is one.
    pub under: Option<String>,
    /// The first remedy that was proposed, and what was said with it.
    pub remedy: Option<String>,
}

/// The Mondays from which weeks count: of both DST nights, of a holiday, and an ordinary one.
const MONDAYS: [Date; 4] = [date(2026, 3, 23), date(2026, 10, 19), date(2026, 4, 27), date(2026, 6, 15)];
const HOLIDAYS: [Date; 3] = [date(2026, 5, 1), date(2026, 4, 6), date(2026, 10, 3)];

fn shape() -> Shape {
    // The zones come with the binary.
    let timezone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
    Shape { timezone, holidays: HOLIDAYS.into(), ..Shape::default() }
}

impl Plan {
    fn settings(&self, pages_per_week: f64) -> Settings {
        let shape = shape();
        Settings {
            site: "simulated".into(),
            packs: pack::builtins(),
            step_seconds: self.step_seconds,
            timezone: shape.timezone,
            holidays: shape.holidays,
            entity_labels: vec![ENTITY_LABEL.into()],
            pages_per_week,
            ..Settings::default()
        }
    }

    fn ticks(&self, ms: i64) -> i64 {
        ms / (i64::from(self.step_seconds) * 1000)
    }

    /// Ticks of a seed's history and week, for a progress bar.
    pub fn ticks_per_seed(&self) -> u64 {
        self.ticks((self.days + 7 * self.budgets.len() as i64) * DAY_MS).unsigned_abs()
    }

    fn feed(&self, seed: u64) -> Feed {
        let shape = shape();
        let monday = MONDAYS[(seed % MONDAYS.len() as u64) as usize];
        let midnight = shape.timezone.to_timestamp(monday.at(0, 0, 0, 0)).map_or(0, |at| at.as_millisecond());
        let start = Timestamp(midnight - self.days * DAY_MS);
        let cluster = Cluster::new(shape, seed, start).with_benign(seed);
        let missing = self.variation.then_some(Missing { seed, share: MISSING_SHARE });
        let families = if self.variation { Families::drawn(seed) } else { Families::default() };
        Feed::new(cluster, families, self.step_seconds, missing)
    }

    /// Runs one seed; `progress` counts ticks.
    pub fn run(&self, seed: u64, progress: &ProgressBar) -> anyhow::Result<SeedReport> {
        let started = Instant::now();
        let mut feed = self.feed(seed);
        let exporters = Families::to_string(feed.families());
        let mut engine = Engine::new(self.settings(self.budgets[0]));
        let mut events = Vec::new();
        for _ in 0..self.ticks(self.days * DAY_MS) {
            engine.step(Input::Samples(feed.next_batch()), &mut events);
            progress.inc(1);
        }
        let known = engine.save();
        let mut report = SeedReport {
            seed,
            exporters,
            verdicts: Vec::new(),
            further: Vec::new(),
            weeks: Vec::new(),
            series: engine.stats().series,
            series_ticks: 0,
            seconds: 0.0,
        };
        for (place, &budget) in self.budgets.iter().enumerate() {
            let mut fork = feed.fork();
            let mut engine = Engine::load(self.settings(budget), known.clone())?;
            let (week, verdicts) = self.week(budget, &mut fork, &mut engine, seed, progress)?;
            report.weeks.push(week);
            match place {
                0 => report.verdicts = verdicts,
                _ => report.further.push(Faults { pages_per_week: budget, verdicts }),
            }
        }
        report.series_ticks = engine.ticks() * report.series as u64;
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    }

    /// A week without a fault, and the faults that begin at moments of it.
    fn week(
        &self,
        budget: f64,
        feed: &mut Feed,
        engine: &mut Engine,
        seed: u64,
        progress: &ProgressBar,
    ) -> anyhow::Result<(Week, Vec<Verdict>)> {
        let begin = feed.cluster.now();
        let ticks = self.ticks(7 * DAY_MS);
        let mut random = Pcg64::seed_from_u64(!seed);
        let mut uniform = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        // Each begins in its own share of the week, in an order of its own.
        let mut order: Vec<(f64, Fault)> = self.faults.iter().map(|fault| (uniform(), *fault)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let share = ticks as f64 / order.len().max(1) as f64;
        let mut starts: Vec<(i64, Fault)> = order
            .iter()
            .enumerate()
            .map(|(i, (_, fault))| (((i as f64 + uniform()) * share) as i64, *fault))
            .collect();
        starts.reverse();
        let (mut events, mut verdicts) = (Vec::new(), Vec::new());
        let mut near = Vec::new();
        for tick in 0..ticks {
            while starts.last().is_some_and(|(start, _)| *start <= tick) {
                let Some((_, fault)) = starts.pop() else { break };
                verdicts.push(self.fault(budget, fault, feed, engine, seed)?);
            }
            engine.step(Input::Samples(feed.next_batch()), &mut events);
            for event in feed.cluster.benign_near() {
                if !near.contains(event) {
                    near.push(event.clone());
                }
            }
            progress.inc(1);
        }
        let told = told(&events, begin, |incident_at, entities| {
            let under = near.iter().find(|event| {
                let lasts = event.from.plus_ms(-120_000)..=event.until.plus_ms(3_600_000);
                let is_there = event.kind == BenignKind::Newsletter
                    || entities.contains(&feed.cluster.names()[event.host]);
                is_there && lasts.contains(&incident_at)
            });
            under.map(|event| event.kind.name().to_owned())
        });
        Ok((Week::of(budget, told), verdicts))
    }

    /// One fault from here, and what was told of it.
    fn fault(
        &self,
        budget: f64,
        fault: Fault,
        feed: &Feed,
        engine: &Engine,
        seed: u64,
    ) -> anyhow::Result<Verdict> {
        let mut random = Pcg64::seed_from_u64(seed.wrapping_mul(31).wrapping_add(fault as u64));
        let onset = feed.cluster.now().plus_ms(((random.next_u64() % 60) as i64) * 1000);
        let shape = feed.cluster.shape().clone();
        let mut outbreak = Outbreak::draw(fault, onset, &shape, &mut random);
        if self.variation {
            let stretch = 0.5 * 4.0_f64.powf((random.next_u64() >> 11) as f64 / (1u64 << 53) as f64);
            outbreak.span_seconds *= stretch;
        }
        let mut truth = FaultTruth::of(&outbreak, &feed.cluster);
        truth.impact = impact(feed.cluster.clone(), &outbreak);
        let end = truth.impact.map_or(onset.plus_ms(4 * 3_600_000), |impact| {
            impact.plus_ms((AFTER_SECONDS * 1000.0) as i64 + 60_000)
        });
        let mut feed = feed.fork();
        feed.cluster.inject(outbreak);
        let mut engine = Engine::load(self.settings(budget), engine.save())?;
        let mut events = Vec::new();
        while feed.cluster.now() < end {
            engine.step(Input::Samples(feed.next_batch()), &mut events);
        }
        Ok(judge(&truth, &events))
    }
}

/// When users feel it if nobody does anything.
fn impact(mut cluster: Cluster, outbreak: &Outbreak) -> Option<Timestamp> {
    cluster.inject(outbreak.clone());
    let spans = 1.5 * outbreak.span_seconds / 3600.0;
    let hours = (HORIZON_SHORT_HOURS + spans).min(HORIZON_HOURS);
    let mut before = false;
    for _ in 0..(hours * 3600.0 / STEP_SECONDS) as usize {
        cluster.step();
        // Felt once is an accident; felt twice, half a minute is on its way.
        let hurts = cluster.hurts(outbreak);
        if hurts && before {
            return Some(cluster.now().plus_ms(-(STEP_SECONDS * 1000.0) as i64));
        }
        before = hurts;
    }
    None
}

/// Incidents that people were told of, at their worst, in order of opening.
pub fn told(
    events: &[Event],
    begin: Timestamp,
    under: impl Fn(Timestamp, &[String]) -> Option<String>,
) -> Vec<Told> {
    let mut worst: std::collections::BTreeMap<(Timestamp, &str), Told> = Default::default();
    for event in events.iter().filter(|e| matches!(e.event, EventKind::Opened | EventKind::Updated)) {
        let Some(incident) = event.incident.as_ref() else { continue };
        if incident.severity < Severity::Ticket || incident.opened_at < begin {
            continue;
        }
        let now = Told {
            at: incident.opened_at,
            severity: incident.severity,
            summary: incident.summary.clone(),
            under: under(incident.opened_at, &incident.entities),
            remedy: incident
                .remedy
                .as_ref()
                .map(|remedy| format!("{remedy} at {}: {}", event.at, incident.summary)),
        };
        let entry = worst.entry((incident.opened_at, incident.id.as_str())).or_insert_with(|| now.clone());
        let remedy = entry.remedy.take().or_else(|| now.remedy.clone());
        if now.severity > entry.severity {
            *entry = now;
        }
        entry.remedy = remedy;
    }
    worst.into_values().collect()
}

/// The faults of these names; all where none is named.
pub fn faults_of(names: &[String]) -> anyhow::Result<Vec<Fault>> {
    if names.is_empty() {
        return Ok(FAULTS.iter().map(|about| about.fault).collect());
    }
    let find = |name: &String| {
        let known = || FAULTS.iter().map(|about| about.name).collect::<Vec<_>>().join(", ");
        Fault::of_name(name)
            .ok_or_else(|| anyhow::anyhow!("there is no fault `{name}`; there are {}", known()))
    };
    names.iter().map(find).collect()
}
