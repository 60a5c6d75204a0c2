//! What the engine must know before its first input; nothing of it changes while it runs.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::maintenance::Maintenance;
use crate::detect::Detectors;
use crate::incident::{Budget, IncidentSettings};
use crate::predict::pack::Pack;
use crate::predict::service_levels::ServiceLevels;
use crate::predict::signals::SignalTable;
use crate::series::registry::RegistryLimits;

/// Settings that decide what the engine says. Two engines with equal settings and inputs say the same.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names the installation in incidents.
    pub site: String,
    /// Zone of the habits that detectors learn.
    pub timezone: TimeZone,
    /// Local dates that count as Sundays.
    pub holidays: Vec<Date>,
    /// When nothing is learnt and nothing told of some entities, or of all.
    pub maintenance: Vec<Maintenance>,
    /// The grid of ticks, 1 to 3600.
    pub step_seconds: u32,
    /// The first of these labels that a series has names its entity.
    pub entity_labels: Vec<String>,
    /// False pages that the operator can live with.
    pub pages_per_week: f64,
    /// False tickets that the operator can live with.
    pub tickets_per_week: f64,
    /// Which detectors speak.
    pub detectors: Detectors,
    /// What signals mean and how faults show.
    pub packs: Vec<Pack>,
    /// What users were promised, where it is not what the packs say.
    pub service_levels: ServiceLevels,
    /// Worker threads; changes nothing in what is said.
    pub shards: usize,
    /// Series kept at most; further ones are counted and dropped.
    pub series_max: usize,
    /// Labels of one series at most.
    pub labels_max: usize,
    /// Bytes of one series' labels at most.
    pub label_bytes_max: usize,
    /// Incidents open at once at most.
    pub open_incidents_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            site: "default".into(),
            timezone: TimeZone::UTC,
            holidays: Vec::new(),
            maintenance: Vec::new(),
            step_seconds: 15,
            entity_labels: ["host", "node", "instance"].map(String::from).into(),
            pages_per_week: 1.0,
            tickets_per_week: 7.0,
            detectors: Detectors::default(),
            packs: Vec::new(),
            service_levels: ServiceLevels::default(),
            shards: 1,
            series_max: 200_000,
            labels_max: 64,
            label_bytes_max: 4096,
            open_incidents_max: 1_000,
        }
    }
}

impl Settings {
    /// What signals mean here, and what is told of them.
    pub(super) fn signals(&self) -> Arc<SignalTable> {
        Arc::new(SignalTable::new(&self.packs).with_promises(&self.service_levels))
    }

    pub(super) fn registry_limits(&self) -> RegistryLimits {
        RegistryLimits {
            series_max: self.series_max,
            labels_max: self.labels_max,
            label_bytes_max: self.label_bytes_max,
        }
    }

    pub(super) fn incident_settings(&self) -> IncidentSettings {
        let budget = Budget { pages_per_week: self.pages_per_week, tickets_per_week: self.tickets_per_week };
        let mut settings = IncidentSettings::new(self.site.clone(), self.step_seconds, budget);
        settings.open_max = self.open_incidents_max;
        settings.service_levels = self.service_levels.clone();
        settings
    }
}
