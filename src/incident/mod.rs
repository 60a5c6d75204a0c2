//! Surprises that move together are one incident: correlated, weighed against the budget, explained, closed.
//!
//! Once a tick, after all shards: `quiet` listens for series that fall silent, `mover` gathers evidence for each series that
//! may be leaving its course,
//! `habit` and `routine` say how rare that is for it, `correlate` puts movers into cases, `elsewhere` knows what harmless ones move, `budget` says how much evidence a page or a ticket needs, `watch`
//! says when a hard limit will be reached, `lifecycle` opens, updates and resolves, `explain` says it in a
//! sentence, `id` names it so that a replay gives the same name; `brown_out` counts how long users did without what they were
//! promised; `flap` keeps what comes back at once from being news each
//! time. `feedback` hears what people say of it, and
//! `excuse` keeps what was called false, so that it needs more the next time.

mod brown_out;
mod budget;
mod case;
mod correlate;
mod elsewhere;
pub mod event;
mod excuse;
mod explain;
mod feedback;
mod flap;
mod forbidden;
mod foresee;
mod habit;
mod id;
mod lifecycle;
mod loads;
mod mover;
mod quiet;
mod remedy;
mod restart;
mod routine;
#[cfg(test)]
mod scenarios;
mod severity;
mod state;
mod tally;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use brown_out::BrownOutUse;
pub use budget::Budget;
pub use feedback::{Heard, Verdict};
pub use state::IncidentState;

use crate::detect::Kind;
use crate::predict::service_levels::ServiceLevels;
use crate::predict::signals::{SignalRef, SignalTable};
use crate::predict::signature::Signatures;
use crate::sample::{Labels, Timestamp};
use crate::series::registry::{EntityId, SeriesId};
use event::{Event, Incident};

/// A surprise below this begins nothing; `View` tells how a series goes on that has begun.
pub const FINDING_SURPRISE_MIN: f32 = 2.5;

/// One series did something odd at this tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub series: SeriesId,
    pub labels: Labels,
    pub entity: EntityId,
    pub entity_name: Arc<str>,
    /// As `Incidents::admit` gave it.
    pub signal: Option<SignalRef>,
    pub at: Timestamp,
    /// Raw units; the last known value where the finding is a silence.
    pub value: f64,
    pub expected: f64,
    pub low: f64,
    pub high: f64,
    pub surprise: f32,
    /// As `Observed::own`.
    pub own: f32,
    pub detector: Kind,
}

impl Finding {
    /// Whether it is about how signals move together, and not about this one: which of them has the largest part in
    /// that may be chance.
    pub fn is_relation(&self) -> bool {
        is_relation(self.detector, &mover::observed(self))
    }
}

fn is_relation(detector: Kind, now: &Observed) -> bool {
    matches!(detector, Kind::Multivariate | Kind::Energy) && (now.low..=now.high).contains(&now.value)
}

/// What a series last was, in raw units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Time of the last value; it changes with each new one.
    pub at: Timestamp,
    pub value: f64,
    pub expected: f64,
    pub low: f64,
    pub high: f64,
    pub surprise: f32,
    /// The share of the surprise that other signals of the entity do not explain, 0..=1.
    pub own: f32,
    /// False once nothing came where something was due.
    pub has_data: bool,
}

/// How incidents look at series that no finding is about.
pub trait View {
    /// Seconds since Monday, 00:00, of the site's local time; a holiday is as a Sunday.
    fn second_of_week(&self, at: Timestamp) -> u32;

    /// `None` for a series that is not known, or no longer.
    fn now(&self, series: SeriesId) -> Option<Observed>;
}

/// What an operator and the bounds of the house set.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentSettings {
    pub site: String,
    pub step_seconds: u32,
    pub budget: Budget,
    /// Incidents open at once; one more is counted and not opened.
    pub open_max: usize,
    /// Series followed at once because they may be leaving their course.
    pub movers_max: usize,
    /// Series whose way to a hard limit is followed, 3 kB each.
    pub watched_max: usize,
    /// Calm values of each mover before an incident is resolved.
    pub calm_values: u32,
    /// Impact within this is a page: what a person needs to get to it.
    pub page_seconds: f64,
    /// Learning stops on the movers of an incident, but no longer than this: then it is the new normal.
    pub learning_stops_seconds: f64,
    /// What users were promised.
    pub service_levels: ServiceLevels,
}

impl IncidentSettings {
    /// The defaults for a site.
    pub fn new(site: String, step_seconds: u32, budget: Budget) -> Self {
        IncidentSettings {
            site,
            step_seconds,
            budget,
            open_max: 256,
            movers_max: 4096,
            watched_max: 20_000,
            calm_values: 8,
            page_seconds: 4.0 * 3600.0,
            learning_stops_seconds: 6.0 * 3600.0,
            service_levels: ServiceLevels::default(),
        }
    }
}

/// What didn't fit into a bound, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentDrops {
    pub movers: u64,
    pub watched: u64,
    pub incidents: u64,
}

/// All incidents of a site, and what may become one.
#[derive(Clone, Debug)]
pub struct Incidents {
    settings: IncidentSettings,
    table: Arc<SignalTable>,
    signatures: Signatures,
    state: IncidentState,
    /// Entities in maintenance, as of this tick.
    paused: BTreeSet<EntityId>,
}

impl Incidents {
    pub fn new(settings: IncidentSettings, table: Arc<SignalTable>) -> Self {
        Self::load(settings, table, IncidentState::default())
    }

    /// Goes on from `state`. Signals are resolved anew, since the packs may be others, and so may be what is promised;
    /// `admit` is then called once more for every series that is registered.
    pub fn load(settings: IncidentSettings, table: Arc<SignalTable>, mut state: IncidentState) -> Self {
        state.fit(&table, &settings.service_levels);
        let signatures = Signatures::new(&table);
        Incidents { settings, table, signatures, state, paused: BTreeSet::new() }
    }

    /// All state; what goes on from it gives the same events.
    pub fn save(&self) -> IncidentState {
        self.state.clone()
    }

    /// Makes a series known, once in its life and again after `load`. Gives its signal, for its findings.
    pub fn admit(
        &mut self,
        series: SeriesId,
        labels: &Labels,
        entity: EntityId,
        entity_name: &Arc<str>,
    ) -> Option<SignalRef> {
        let (house, state) = self.parts();
        let signal = house.table.resolve(labels);
        state.habits.admit(series, labels.name());
        state.revive(series, labels);
        state.quiet.admit(&house, series, labels, (entity, entity_name), signal);
        if !state.watches.admit(&house, series, labels, (entity, entity_name), signal) {
            state.drops.watched += 1;
        }
        signal
    }

    /// Forgets a series of this name that is gone for good; an open incident keeps its mover.
    pub fn retire(&mut self, series: SeriesId, name: &str) {
        self.state.retire(series, name);
    }

    /// Services of these machines restarted in this tick; to be told before `step`.
    pub fn restarted(&mut self, at: Timestamp, machines: Vec<EntityId>) {
        self.state.restarts.take(at, machines);
    }

    /// One tick, after all shards. `findings` are in order of (entity name, labels), one a series.
    pub fn step(&mut self, at: Timestamp, findings: &[Finding], view: &impl View, out: &mut Vec<Event>) {
        let (house, state) = self.parts();
        state.step(&house, at, findings, view, out);
    }

    /// A person has taken the incident on. False where it isn't open.
    pub fn acknowledge(&mut self, at: Timestamp, id: &str, by: &str, out: &mut Vec<Event>) -> bool {
        self.state.acknowledge(at, id, by, out)
    }

    /// A person says that it is over. False where it isn't open.
    pub fn resolve(&mut self, at: Timestamp, id: &str, by: &str, out: &mut Vec<Event>) -> bool {
        let (house, state) = self.parts();
        state.resolve(&house, at, id, by, out)
    }

    /// A person says what an incident was: one that is open, or one of the last few hundred that were.
    pub fn feedback(
        &mut self,
        at: Timestamp,
        id: &str,
        verdict: Verdict,
        by: &str,
        out: &mut Vec<Event>,
    ) -> Heard {
        let (house, state) = self.parts();
        state.feedback(&house, at, id, (verdict, by), out)
    }

    /// Whether a verdict on an incident would be heard.
    pub fn remembers(&self, id: &str) -> bool {
        self.state.remembers(id)
    }

    /// The most that an incident has weighed, if it is open or remembered.
    pub fn weight(&self, id: &str) -> Option<f64> {
        self.state.weight(id)
    }

    /// From now on these entities are in maintenance: what their series do is not followed. Nothing opens there, and
    /// what is open is neither told of nor resolved.
    pub fn pause(&mut self, entities: BTreeSet<EntityId>) {
        self.paused = entities;
    }

    /// Goes on with an incident that was told before a crash and that the state knows nothing of, because its samples
    /// were lost with it: no data clears nothing. `movers` are those of its movers whose series are known; `told`
    /// are the number and time of its last event. False where there is nothing to go on with: no mover is known, or
    /// what they do is being told already.
    pub fn take_back(&mut self, incident: &Incident, told: (Timestamp, u32), movers: &[Finding]) -> bool {
        let mut opened = case::Opened::new(incident.clone(), told.1.saturating_add(1), told.0);
        opened.acknowledged = incident.state == event::State::Acknowledged;
        self.state.take_back(&self.settings, opened, movers)
    }

    /// Whether the series' detectors may learn from what it does now.
    pub fn learning(&self, series: SeriesId) -> bool {
        self.state.learning(&self.settings, series)
    }

    /// The series on which learning has stopped.
    pub fn not_learning(&self) -> BTreeSet<SeriesId> {
        self.state.not_learning(&self.settings)
    }

    /// The open incidents, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        self.state.open()
    }

    /// An open incident.
    pub fn get(&self, id: &str) -> Option<&Incident> {
        self.open().find(|incident| incident.id == id)
    }

    fn parts(&mut self) -> (House<'_>, &mut IncidentState) {
        let Incidents { settings, table, signatures, state, paused } = self;
        (House { settings, table, signatures, paused }, state)
    }

    pub fn drops(&self) -> IncidentDrops {
        self.state.drops
    }

    /// How much is used of what users accept in a week without what they were promised, in the order of the configuration.
    pub fn brown_outs(&self) -> impl Iterator<Item = BrownOutUse> {
        self.state.brown_outs()
    }

    /// The evidence that a ticket and a page take now.
    pub fn thresholds(&self) -> [f64; 2] {
        let thresholds = self.state.thresholds(&self.settings);
        [thresholds.ticket, thresholds.page]
    }
}

/// What does not change within a tick.
struct House<'a> {
    settings: &'a IncidentSettings,
    table: &'a SignalTable,
    signatures: &'a Signatures,
    paused: &'a BTreeSet<EntityId>,
}
