//! The engine as a snapshot holds it, and how it comes back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::derive::Derived;
use super::local_time::LocalTime;
use super::maintenance::Calendar;
use super::settle::Settlement;
use super::shard::Shard;
use super::{Engine, Settings, Stats};
use crate::incident::{IncidentState, Incidents};
use crate::sample::Timestamp;
use crate::series::registry::{Registry, RegistryError, RegistryState, SeriesId};
use crate::series::tick::Ticker;

/// All that decides what the engine says next. Opaque: it is made to be stored and loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EngineState {
    step_seconds: u32,
    registry: RegistryState,
    ticker: Ticker,
    shards: Vec<Shard>,
    incidents: IncidentState,
    frozen: BTreeSet<SeriesId>,
    settlement: Settlement,
    derived: Derived,
    now: Timestamp,
}

/// Why a saved engine cannot go on under these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("the snapshot was taken with a step of {saved} s, the config now says {configured} s")]
    Step { saved: u32, configured: u32 },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the snapshot holds no shard")]
    NoShard,
}

impl Engine {
    /// The state as of the last input.
    pub fn save(&self) -> EngineState {
        EngineState {
            step_seconds: self.settings.step_seconds,
            registry: self.registry.save(),
            ticker: self.ticker.clone(),
            shards: self.shards.clone(),
            incidents: self.incidents.save(),
            frozen: self.frozen.clone(),
            settlement: self.settlement.clone(),
            derived: self.derived.clone(),
            now: self.now,
        }
    }

    /// Goes on where `state` was saved, with as many shards as it has: what the engine says does not
    /// depend on their number. Packs and budget may have changed; step and entity labels may not.
    pub fn load(settings: Settings, state: EngineState) -> Result<Self, LoadError> {
        if state.step_seconds != settings.step_seconds {
            return Err(LoadError::Step { saved: state.step_seconds, configured: settings.step_seconds });
        }
        if state.shards.is_empty() {
            return Err(LoadError::NoShard);
        }
        let registry =
            Registry::load(settings.registry_limits(), settings.entity_labels.clone(), state.registry)?;
        let signals = settings.signals();
        let mut engine = Engine {
            local_time: LocalTime::new(settings.timezone.clone(), settings.holidays.clone()),
            incidents: Incidents::load(settings.incident_settings(), signals.clone(), state.incidents),
            signals,
            registry,
            ticker: state.ticker,
            shards: state.shards,
            meanings: Vec::new(),
            frozen: state.frozen,
            settlement: state.settlement,
            derived: state.derived,
            calendar: Calendar::new(settings.maintenance.clone(), settings.timezone.clone()),
            now: state.now,
            stats: Stats::default(),
            settings,
        };
        let known: Vec<SeriesId> = engine.registry.iter().map(|(series, _)| series).collect();
        for series in known {
            engine.admit(series);
        }
        let Engine { derived, meanings, signals, .. } = &mut engine;
        derived.keep_known(signals, |series| meanings.get(series.index()).copied().flatten());
        Ok(engine)
    }
}
