//! Series that fall silent where something is due: a sign of its own, where a pack says so.
//!
//! A machine that is gone, a writer that cannot write any more: what is not there can't be odd, so it is looked for. Only
//! series whose silence is a sign of some fault are listened to; many others come and go with use. Where half of them are
//! silent at once it is the collection that has failed, and no machine is blamed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Finding, House, View};
use crate::detect::Kind;
use crate::predict::signals::SignalRef;
use crate::sample::{Labels, Timestamp};
use crate::series::registry::{EntityId, SeriesId};

/// Silent for so many steps, and for at least so long: a scrape or two are missed every day.
const STEPS: i64 = 4;
const SILENT_MS: i64 = 60_000;
/// What a silent step says: as much as a value of which there is one in ten thousand.
const SURPRISE: f32 = 4.0;

/// Series that are listened to. They are told anew after a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Quiet {
    series: BTreeMap<SeriesId, Listened>,
}

#[derive(Clone, Debug, PartialEq)]
struct Listened {
    labels: Labels,
    entity: EntityId,
    entity_name: Arc<str>,
    signal: SignalRef,
}

impl Quiet {
    pub fn admit(
        &mut self,
        house: &House,
        series: SeriesId,
        labels: &Labels,
        (entity, entity_name): (EntityId, &Arc<str>),
        signal: Option<SignalRef>,
    ) {
        let Some(signal) = signal.filter(|signal| house.signatures.is_sign_by_silence(signal.signal)) else {
            return;
        };
        let listened = Listened { labels: labels.clone(), entity, entity_name: entity_name.clone(), signal };
        self.series.insert(series, listened);
    }

    pub fn retire(&mut self, series: SeriesId) {
        self.series.remove(&series);
    }

    /// One finding for each that is silent now, in order of entity and labels.
    pub fn findings(&self, house: &House, at: Timestamp, view: &impl View) -> Vec<Finding> {
        let due_ms = SILENT_MS.max(STEPS * 1000 * i64::from(house.settings.step_seconds));
        let mut heard = 0;
        let mut silent = Vec::new();
        for (series, listened) in &self.series {
            let Some(now) = view.now(*series) else { continue };
            heard += 1;
            if now.has_data || at.since(now.at) < due_ms {
                continue;
            }
            silent.push(Finding {
                series: *series,
                labels: listened.labels.clone(),
                entity: listened.entity,
                entity_name: listened.entity_name.clone(),
                signal: Some(listened.signal),
                at,
                value: now.value,
                expected: now.expected,
                low: now.low,
                high: now.high,
                surprise: SURPRISE,
                own: 1.0,
                detector: Kind::Silence,
            });
        }
        // Where one machine is all there is, its silence is that of the collection.
        if 2 * silent.len() >= heard {
            return Vec::new();
        }
        silent.sort_by(|a, b| (&a.entity_name, &a.labels).cmp(&(&b.entity_name, &b.labels)));
        silent
    }
}
