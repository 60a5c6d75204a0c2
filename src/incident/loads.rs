//! How the load of each machine goes through the week, for the signals that grow with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{House, View};
use crate::predict::rhythm::{Rhythm, Work};
use crate::predict::signals::SignalRef;
use crate::sample::Labels;
use crate::series::registry::SeriesId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Load {
    labels: Labels,
    rhythm: Rhythm,
}

/// The series that a pack names in `grows_with`. As many at most as are watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Loads {
    loads: BTreeMap<SeriesId, Load>,
}

impl Loads {
    pub fn admit(&mut self, house: &House, series: SeriesId, labels: &Labels, signal: SignalRef) {
        let is_known = self.loads.get(&series).is_some_and(|load| load.labels == *labels);
        if house.table.is_load(signal) && !is_known && self.loads.len() < house.settings.watched_max {
            self.loads.insert(series, Load { labels: labels.clone(), rhythm: Rhythm::default() });
        }
    }

    pub fn retire(&mut self, series: SeriesId) {
        self.loads.remove(&series);
    }

    /// Takes what is expected now, which an incident does not teach.
    pub fn step(&mut self, view: &impl View) {
        for (series, load) in &mut self.loads {
            if let Some(now) = view.now(*series).filter(|now| now.has_data) {
                load.rhythm.take(now.at, now.expected);
            }
        }
    }

    /// By the first of these series that has done so for a day.
    pub fn work<'a>(&self, mut of: impl Iterator<Item = &'a SeriesId>) -> Option<Work> {
        of.find_map(|series| self.loads.get(series)?.rhythm.work())
    }
}
