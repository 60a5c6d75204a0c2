//! What of the configuration the engine may know: only what decides what it says.

use crate::config::Config;
use crate::engine::Settings;

/// The engine's part of a configuration.
pub fn settings_of(config: &Config) -> Settings {
    Settings {
        site: config.site.clone(),
        timezone: config.timezone.clone(),
        holidays: config.holidays.clone(),
        maintenance: config.maintenance.clone(),
        step_seconds: config.step_seconds,
        entity_labels: config.entity_labels.clone(),
        pages_per_week: config.budget.pages_per_week,
        tickets_per_week: config.budget.tickets_per_week,
        detectors: config.detectors,
        packs: config.packs.clone(),
        service_levels: config.service_levels.clone(),
        shards: config.limits.shards,
        series_max: config.limits.series_max,
        labels_max: config.limits.labels_max,
        label_bytes_max: config.limits.label_bytes_max,
        open_incidents_max: config.limits.open_incidents_max,
    }
}
