//! A small site without detectors: each series has a true mean and spread, and its surprise is what a perfect detector would
//! say.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_distr::{Distribution, Normal};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use crate::detect::Kind;
use crate::incident::event::{Event, EventKind, Incident};
use crate::incident::{Budget, FINDING_SURPRISE_MIN, Finding, IncidentSettings, Incidents, Observed, View};
use crate::predict::pack::builtins;
use crate::predict::signals::{SignalRef, SignalTable};
use crate::sample::{Labels, Timestamp};
use crate::series::registry::{EntityId, SeriesId};

pub(super) const STEP_SECONDS: u32 = 15;
pub(super) const BUDGET: Budget = Budget { pages_per_week: 1.0, tickets_per_week: 7.0 };

pub(super) struct Series {
    pub labels: Labels,
    pub entity: EntityId,
    pub entity_name: Arc<str>,
    pub signal: Option<SignalRef>,
    pub mean: f64,
    pub spread: f64,
}

pub(super) struct Seen(pub BTreeMap<SeriesId, Observed>);

impl View for Seen {
    fn second_of_week(&self, at: Timestamp) -> u32 {
        (at.0 / 1000).rem_euclid(7 * 86_400) as u32
    }

    fn now(&self, series: SeriesId) -> Option<Observed> {
        self.0.get(&series).copied()
    }
}

pub(super) struct Site {
    pub incidents: Incidents,
    pub series: Vec<Series>,
    pub seen: Seen,
    pub at: Timestamp,
    pub random: Pcg64,
    pub events: Vec<Event>,
}

pub(in crate::incident) fn table() -> Arc<SignalTable> {
    Arc::new(SignalTable::new(&builtins()))
}

pub(in crate::incident) fn settings() -> IncidentSettings {
    IncidentSettings::new("home".into(), STEP_SECONDS, BUDGET)
}

impl Site {
    pub fn new(settings: IncidentSettings) -> Self {
        Site {
            incidents: Incidents::new(settings, table()),
            series: Vec::new(),
            seen: Seen(BTreeMap::new()),
            at: Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap(),
            random: Pcg64::seed_from_u64(5),
            events: Vec::new(),
        }
    }

    /// Adds a series of a host; gives its place.
    pub fn add(&mut self, host: &str, metric: &str, label: (&str, &str), mean: f64, spread: f64) -> usize {
        let labels = Labels::new(&[("__name__", metric), ("instance", host), label]);
        let known = self.series.iter().find(|s| &*s.entity_name == host).map(|s| s.entity);
        let entity = known.unwrap_or(EntityId(self.series.len() as u32));
        let entity_name: Arc<str> = host.into();
        let series = SeriesId(self.series.len() as u32);
        let signal = self.incidents.admit(series, &labels, entity, &entity_name);
        self.series.push(Series { labels, entity, entity_name, signal, mean, spread });
        self.series.len() - 1
    }

    pub fn admit_all(&mut self) {
        for (place, s) in self.series.iter().enumerate() {
            self.incidents.admit(SeriesId(place as u32), &s.labels, s.entity, &s.entity_name);
        }
    }

    /// One tick. `course` says how far off its mean a series is, besides noise; `None` is no data.
    pub fn tick(&mut self, course: impl Fn(usize) -> Option<f64>) {
        self.at = self.at.plus_ms(1000 * i64::from(STEP_SECONDS));
        let mut findings = Vec::new();
        for (place, s) in self.series.iter().enumerate() {
            let series = SeriesId(place as u32);
            let Some(off) = course(place) else {
                if let Some(seen) = self.seen.0.get_mut(&series) {
                    seen.has_data = false;
                }
                continue;
            };
            let z = Normal::new(0.0, 1.0).unwrap().sample(&mut self.random) + off / s.spread;
            let surprise = -libm::log10(libm::erfc(z.abs() / std::f64::consts::SQRT_2).max(1e-12)) as f32;
            let observed = Observed {
                at: self.at,
                value: s.mean + z * s.spread,
                expected: s.mean,
                low: s.mean - 2.0 * s.spread,
                high: s.mean + 2.0 * s.spread,
                surprise,
                own: 1.0,
                has_data: true,
            };
            self.seen.0.insert(series, observed);
            if surprise >= FINDING_SURPRISE_MIN {
                findings.push(s.finding(series, observed, Kind::Derivative));
            }
        }
        self.give(findings);
    }

    pub fn give(&mut self, mut findings: Vec<Finding>) {
        findings.sort_by(|a, b| (&a.entity_name, &a.labels).cmp(&(&b.entity_name, &b.labels)));
        self.incidents.step(self.at, &findings, &self.seen, &mut self.events);
    }

    pub fn ticks(&mut self, count: usize, course: impl Fn(usize) -> Option<f64>) {
        (0..count).for_each(|_| self.tick(&course));
    }

    pub fn calm(&mut self, count: usize) {
        self.ticks(count, |_| Some(0.0));
    }

    pub fn kinds(&self) -> Vec<EventKind> {
        self.events.iter().map(|event| event.event).collect()
    }

    pub fn last(&self) -> &Incident {
        self.events.last().unwrap().incident.as_ref().unwrap()
    }

    /// Runs until the first event, at most `most` ticks; gives how many it took.
    pub fn until_event(
        &mut self,
        most: usize,
        course: impl Fn(usize, usize) -> Option<f64>,
    ) -> Option<usize> {
        let before = self.events.len();
        for tick in 1..=most {
            self.tick(|place| course(tick, place));
            if self.events.len() > before {
                return Some(tick);
            }
        }
        None
    }
}

impl Series {
    pub fn finding(&self, series: SeriesId, observed: Observed, detector: Kind) -> Finding {
        Finding {
            series,
            labels: self.labels.clone(),
            entity: self.entity,
            entity_name: self.entity_name.clone(),
            signal: self.signal,
            at: observed.at,
            value: observed.value,
            expected: observed.expected,
            low: observed.low,
            high: observed.high,
            surprise: observed.surprise,
            own: observed.own,
            detector,
        }
    }
}
