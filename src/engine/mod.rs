//! The engine: a pure state machine from samples, clock and commands to events.
//!
//! It reads no clock, no file, no socket, no randomness: the same inputs in the same order give the
//! same events, bit for bit, for any number of shards. Replay, recovery, back-testing and simulation
//! are all this one property.
//!
//! One tick: the ticker says which samples are due -> each shard turns its own into rows, surprises and
//! what is odd -> incidents weigh what is odd in all shards together.

mod derive;
mod groups;
mod local_time;
mod maintenance;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod properties;
mod settings;
mod settle;
mod shard;
mod state;
mod stats;
#[cfg(test)]
mod teaching;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::incident::event::{Event, Incident};
use crate::incident::{FINDING_SURPRISE_MIN, Finding, Heard, Incidents, Verdict};
use crate::predict::signals::{SignalRef, SignalTable};
use crate::sample::{Batch, Labels, Timestamp, ValueKind};
use crate::series::registry::{EntityId, Registry, SeriesId};
use crate::series::tick::{Arrival, Due, TickLimits, Ticker};

pub use maintenance::{Maintenance, When};
pub use settings::Settings;
pub use state::{EngineState, LoadError};
pub use stats::Stats;
pub use view::SeriesView;

use derive::{Derived, Known};
use local_time::LocalTime;
use maintenance::Calendar;
use settle::Settlement;
use shard::{Context, Odd, Shard};
use view::EngineView;

use crate::incident::View;

/// Counters of one machine that are reset at once where a service restarted.
const COUNTERS_RESET: usize = 2;

/// Everything that can reach the engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Samples of one source, taken in as a whole.
    Samples(Batch),
    /// The clock is now at least this far, so that silence and expiry happen although no sample comes.
    Clock(Timestamp),
    /// What a person asks.
    Command(Command),
    /// No more samples will come: what waits for its tick is due. The end of a recording.
    End,
}

/// What a person asks of the engine; `incident` is an incident's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Somebody looks after it.
    Acknowledge { incident: String, by: String },
    /// Somebody says that it is over.
    Resolve { incident: String, by: String },
    /// Somebody says what it was; it may be over.
    Feedback { incident: String, verdict: Verdict, by: String },
}

/// Series, detectors and incidents of one installation.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    local_time: LocalTime,
    signals: Arc<SignalTable>,
    registry: Registry,
    ticker: Ticker,
    shards: Vec<Shard>,
    incidents: Incidents,
    /// What each series means, by `SeriesId`.
    meanings: Vec<Option<SignalRef>>,
    /// Series that learn nothing: an incident is open on them, they are excused, or they are being moved.
    frozen: BTreeSet<SeriesId>,
    /// Series that a person has called usual where they are.
    settlement: Settlement,
    calendar: Calendar,
    /// What is made of other signals.
    derived: Derived,
    now: Timestamp,
    stats: Stats,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        let shards = (0..settings.shards.max(1)).map(|_| Shard::new(settings.step_seconds)).collect();
        let signals = settings.signals();
        Engine {
            local_time: LocalTime::new(settings.timezone.clone(), settings.holidays.clone()),
            registry: Registry::new(settings.registry_limits(), settings.entity_labels.clone()),
            ticker: Ticker::new(settings.step_seconds, TickLimits::default()),
            incidents: Incidents::new(settings.incident_settings(), signals.clone()),
            signals,
            meanings: Vec::new(),
            shards,
            frozen: BTreeSet::new(),
            settlement: Settlement::default(),
            calendar: Calendar::new(settings.maintenance.clone(), settings.timezone.clone()),
            derived: Derived::default(),
            now: Timestamp::MIN,
            stats: Stats::default(),
            settings,
        }
    }

    /// Takes one input and appends what there is to tell to `out`.
    pub fn step(&mut self, input: Input, out: &mut Vec<Event>) {
        match input {
            Input::Samples(batch) => self.accept(&batch),
            Input::Clock(now) => self.ticker.clock(now),
            Input::Command(command) => self.obey(&command, out),
            Input::End => self.ticker.finish(),
        }
        while let Some(mut due) = self.ticker.next_due() {
            self.derive(&mut due);
            self.tick(&due, out);
        }
    }

    fn obey(&mut self, command: &Command, out: &mut Vec<Event>) {
        match command {
            Command::Acknowledge { incident, by } => {
                self.incidents.acknowledge(self.now, incident, by, out);
            }
            Command::Resolve { incident, by } => {
                self.incidents.resolve(self.now, incident, by, out);
            }
            Command::Feedback { incident, verdict, by } => {
                if let Heard::Taken { settle } =
                    self.incidents.feedback(self.now, incident, *verdict, by, out)
                {
                    self.stats.verdicts[*verdict as usize] += 1;
                    self.settle(&settle);
                }
            }
        }
        // What is over keeps nothing from learning, from the next row on.
        self.refreeze();
    }

    /// These series are usual where they are now.
    fn settle(&mut self, series: &[Labels]) {
        for labels in series {
            let Some(series) = self.registry.find(labels.key()) else { continue };
            let last = self.view().now(series);
            if let Some(by) = self.settlement.begin(self.now, (series, self.registry.entity(series)), last) {
                self.shift(series, by);
            }
        }
    }

    fn shift(&mut self, series: SeriesId, by: f64) {
        let shard = shard_of(self.registry.entity(series), self.shards.len());
        self.shards[shard].shift(series, by);
    }

    fn refreeze(&mut self) {
        self.frozen = self.incidents.not_learning();
        self.frozen.extend(self.settlement.moving());
        // Where there is no idea of the usual yet, keeping one from learning would keep the incident open.
        self.frozen.retain(|series| self.shards.iter().any(|shard| shard.knows(*series)));
    }

    fn accept(&mut self, batch: &Batch) {
        for (key, kind, samples) in batch.iter() {
            let known = self.registry.len();
            let series = match self.registry.resolve(key) {
                Ok(series) => series,
                Err(why) => {
                    self.stats.rejected(why, samples.len() as u64);
                    continue;
                }
            };
            if self.registry.len() > known {
                self.admit(series);
            }
            // Where an exporter is known to lie about a signal's kind the pack says the truth.
            let known = self.meanings[series.index()].and_then(|signal| self.signals.exported(signal).kind);
            self.registry.declare(series, known.unwrap_or(kind));
            for sample in samples {
                match self.ticker.accept(series, *sample) {
                    Ok(()) => self.stats.accepted += 1,
                    Err(why) => self.stats.dropped(why),
                }
            }
        }
        if let Some(latest) = batch.latest() {
            self.ticker.observe(&batch.source, latest, batch.lateness_ms);
        }
    }

    /// Finds out what a new series means.
    fn admit(&mut self, series: SeriesId) {
        let entity = self.registry.entity(series);
        let (labels, name) = (self.registry.labels(series), self.registry.entity_name(entity));
        let meaning = self.incidents.admit(series, labels, entity, name);
        self.meanings.resize(self.registry.id_end(), None);
        self.meanings[series.index()] = meaning;
    }

    /// Adds the values of derived series to those that are due.
    fn derive(&mut self, due: &mut Due) {
        let known = Known {
            table: &self.signals,
            registry: &self.registry,
            entity_labels: &self.settings.entity_labels,
        };
        for arrival in due.arrivals.iter().filter(|arrival| known.registry.is_alive(arrival.series)) {
            let meaning = self.meanings[arrival.series.index()];
            if let Some(meaning) = meaning.filter(|meaning| known.table.is_source(*meaning)) {
                self.derived.take(&known, meaning, arrival);
            }
        }
        let mut arrivals = Vec::new();
        for new in self.derived.new_values(&known, due.at) {
            let known = self.registry.len();
            let Ok(series) = self.registry.resolve(new.labels.key()) else { continue };
            if self.registry.len() > known {
                self.admit(series);
                self.registry.declare(series, ValueKind::Gauge);
            }
            arrivals.push(Arrival { series, at: due.at, value: new.value });
        }
        if !arrivals.is_empty() {
            due.arrivals.extend(arrivals);
            due.arrivals.sort_by_key(|arrival| (arrival.series, arrival.at));
        }
    }

    fn tick(&mut self, due: &Due, out: &mut Vec<Event>) {
        self.now = due.at;
        self.stats.ticks += 1;
        self.stats.ticks_skipped += due.skipped;
        let paused = self.calendar.entities(due.at, &self.registry);
        self.frozen.extend(maintenance::series_of(&paused, &self.registry));
        self.incidents.pause(paused);
        let odd = self.tick_shards(due);
        let mut findings = self.findings(due.at, &odd);
        findings.retain(|finding| !self.settlement.absorbs(finding));
        self.incidents.restarted(due.at, self.restarted());
        let view =
            EngineView { shards: &self.shards, registry: &self.registry, local_time: &self.local_time };
        self.incidents.step(due.at, &findings, &view, out);
        for (series, by) in self.settlement.step(due.at, |series| view.now(series)) {
            self.shift(series, by);
        }
        self.refreeze();
        for shard in &mut self.shards {
            for series in shard.retire() {
                self.registry.retire(series, due.at);
                self.derived.retire(series, self.registry.entity(series));
                self.incidents.retire(series, self.registry.labels(series).name());
                self.settlement.retire(series);
            }
        }
    }

    /// The machines on which a service restarted in this tick: one counter alone may have been set to nothing.
    fn restarted(&self) -> Vec<EntityId> {
        let mut counters: BTreeMap<EntityId, usize> = BTreeMap::new();
        for series in self.shards.iter().flat_map(|shard| shard.head().counters_reset()) {
            *counters.entry(self.registry.entity(*series)).or_default() += 1;
        }
        counters
            .into_iter()
            .filter(|(_, counters)| *counters >= COUNTERS_RESET)
            .map(|(entity, _)| entity)
            .collect()
    }

    /// What is odd, as incidents want to hear it: in order of entity and labels, which no shard changes.
    fn findings(&self, at: Timestamp, odd: &[Odd]) -> Vec<Finding> {
        let view = self.view();
        let finding = |odd: &Odd| {
            let now = view.now(odd.series)?;
            let entity = self.registry.entity(odd.series);
            Some(Finding {
                series: odd.series,
                labels: self.registry.labels(odd.series).clone(),
                entity,
                entity_name: self.registry.entity_name(entity).clone(),
                signal: self.meanings[odd.series.index()],
                at,
                value: now.value,
                expected: now.expected,
                low: now.low,
                high: now.high,
                surprise: odd.surprise,
                own: now.own,
                detector: odd.detector,
            })
        };
        let mut findings: Vec<Finding> = odd.iter().filter_map(finding).collect();
        findings.sort_by(|a, b| (&a.entity_name, &a.labels).cmp(&(&b.entity_name, &b.labels)));
        findings
    }

    fn view(&self) -> EngineView<'_> {
        EngineView { shards: &self.shards, registry: &self.registry, local_time: &self.local_time }
    }

    /// Every shard takes its own arrivals, all at the same time.
    fn tick_shards(&mut self, due: &Due) -> Vec<Odd> {
        let mut arrivals: Vec<Vec<Arrival>> = vec![Vec::new(); self.shards.len()];
        for arrival in &due.arrivals {
            arrivals[shard_of(self.registry.entity(arrival.series), self.shards.len())].push(*arrival);
        }
        let context = Context {
            at: due.at,
            is_active: !due.arrivals.is_empty(),
            registry: &self.registry,
            local_time: &self.local_time,
            frozen: &self.frozen,
            surprise_min: FINDING_SURPRISE_MIN,
            detectors: self.settings.detectors,
        };
        let odd: Vec<Vec<Odd>> = self
            .shards
            .par_iter_mut()
            .zip(arrivals)
            .map(|(shard, arrivals)| shard.tick(&context, &arrivals))
            .collect();
        odd.concat()
    }

    /// The series whose labels `filter` wants, in order of labels, `count_max` at most.
    pub fn series(&self, filter: &dyn Fn(&Labels) -> bool, count_max: usize) -> Vec<SeriesView> {
        let mut wanted: Vec<(SeriesId, &Labels)> =
            self.registry.iter().filter(|(_, labels)| filter(labels)).collect();
        wanted.sort_by_key(|(_, labels)| *labels);
        wanted.truncate(count_max);
        let view = self.view();
        let unit = |series: SeriesId| self.meanings[series.index()].map(|signal| self.signals.unit(signal));
        wanted.into_iter().filter_map(|(series, labels)| view.series(series, labels, unit(series))).collect()
    }

    /// The open incidents, oldest first.
    pub fn incidents(&self) -> Vec<Incident> {
        self.incidents.open().cloned().collect()
    }

    /// Goes on with an incident that is open for the world and unknown here, since a crash took its samples;
    /// see `Incidents::take_back`.
    pub fn take_back(&mut self, incident: &Incident, told: (Timestamp, u32)) -> bool {
        let movers = incident.movers.iter().filter_map(|mover| {
            let series = self.registry.find(mover.series.key())?;
            let entity = self.registry.entity(series);
            Some(Finding {
                series,
                labels: mover.series.clone(),
                entity,
                entity_name: self.registry.entity_name(entity).clone(),
                signal: self.meanings[series.index()],
                at: mover.at,
                value: mover.value,
                expected: mover.expected,
                low: mover.low,
                high: mover.high,
                surprise: mover.surprise as f32,
                own: 1.0,
                detector: mover.detector,
            })
        });
        let movers: Vec<Finding> = movers.collect();
        self.incidents.take_back(incident, told, &movers)
    }

    /// Whether what a command is about is known, and not yet past it.
    pub fn can_obey(&self, command: &Command) -> bool {
        match command {
            Command::Acknowledge { incident, .. } | Command::Resolve { incident, .. } => {
                self.incidents.get(incident).is_some()
            }
            Command::Feedback { incident, .. } => self.incidents.remembers(incident),
        }
    }

    /// The most evidence that an incident has had, if it is open or was not long ago: what thresholds compare.
    pub fn weight(&self, incident: &str) -> Option<f64> {
        self.incidents.weight(incident)
    }

    /// It is no later than this: what a source claims beyond it neither counts nor moves time.
    pub fn bound(&mut self, now: Timestamp) {
        self.ticker.bound(now);
    }

    /// Goes on without a clock until one is given again: while the past is read once more, after a restart.
    pub fn forget_clock(&mut self) {
        self.ticker.forget_clock();
    }

    /// Ticks done since it was made or loaded.
    pub fn ticks(&self) -> u64 {
        self.stats.ticks
    }

    /// Counts and sizes as of now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        for (why, count) in self.shards.iter().flat_map(|shard| shard.head().nothing()) {
            *stats.dropped.entry(why.name()).or_default() += count;
        }
        stats.series = self.registry.len();
        stats.entities = self.registry.entity_count();
        stats.lanes = self.shards.iter().map(Shard::lanes).sum();
        stats.open_incidents = self.incidents.open().count();
        stats.waiting = self.ticker.waiting();
        stats.thresholds = self.incidents.thresholds();
        stats.brown_outs = self.incidents.brown_outs().collect();
        let drops = self.incidents.drops();
        stats.not_followed = [
            ("movers_full", drops.movers),
            ("limits_full", drops.watched),
            ("incidents_full", drops.incidents),
        ];
        stats.tick_at = (self.now != Timestamp::MIN).then_some(self.now);
        stats
    }
}

/// All series of an entity live in one shard.
fn shard_of(entity: EntityId, shards: usize) -> usize {
    entity.index() % shards
}
