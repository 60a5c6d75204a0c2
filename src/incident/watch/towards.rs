//! How far a series is from a limit, or from where users feel a fault, by all that is measured on its machine.

use std::collections::BTreeMap;

use super::super::loads::Loads;
use super::super::{House, Observed, View};
use super::Watch;
use crate::predict::limit::TimeToLimit;
use crate::predict::pack::{Impact, Limit};
use crate::predict::rhythm::Work;
use crate::predict::service_levels::ServiceLevels;
use crate::predict::signals::SignalRef;
use crate::sample::Timestamp;
use crate::series::registry::SeriesId;

/// A queue of fewer is no sign that users wait.
const FEWEST: f64 = 10.0;

/// What a limit is measured against.
pub(super) struct Towards<'a, V> {
    pub house: &'a House<'a>,
    pub loads: &'a Loads,
    /// The signals of the entity.
    pub places: Option<&'a BTreeMap<u16, BTreeMap<SeriesId, SignalRef>>>,
    pub view: &'a V,
}

impl<V: View> Towards<'_, V> {
    pub fn forecast(&self, watch: &Watch, limit: &Limit, now: Observed, is_odd: bool) -> Option<TimeToLimit> {
        let signal = watch.signal?;
        let times = self.house.table.exported(signal).times;
        let work = || self.work(signal);
        match limit {
            Limit::Value(value) => watch.forecast(value / times, is_odd, work),
            Limit::Share { of, share } => {
                watch.forecast(share * self.first_of(of, |now| now.value)? / times, is_odd, work)
            }
            Limit::Due => {
                let due = Timestamp::from_seconds(now.value * times);
                Some(TimeToLimit { at: due, earliest: due, latest: due })
            }
        }
    }

    /// The load with which a signal grows, where it is measured.
    fn work(&self, signal: SignalRef) -> Option<Work> {
        let load = self.house.table.find(self.house.table.signal(signal).grows_with.as_deref()?)?;
        self.loads.work(self.places?.get(&load)?.keys())
    }

    /// The value at which users feel a fault by a signal, by what is good enough for them; within, `None` is the signal's own
    /// limit. `None` where the signal says nothing of that here.
    pub fn felt_at(&self, levels: &ServiceLevels, name: &str, impact: &Impact) -> Option<Option<f64>> {
        if impact.unless.as_ref().is_some_and(|unless| self.is_measured(unless)) {
            return None;
        }
        let times = match &impact.times_usual {
            Some(of) => self.first_of(of, |now| now.expected)?,
            None => 1.0,
        };
        // Of the few of a quiet hour one that passes by would be late already.
        let floor =
            if impact.times_usual.is_some() && impact.level.is_some() { FEWEST } else { f64::NEG_INFINITY };
        Some(levels.reaches(self.house.table, impact, name).map(|reaches| (reaches * times).max(floor)))
    }

    pub fn is_measured(&self, signal: &str) -> bool {
        let place = self.house.table.find(signal);
        place.zip(self.places).is_some_and(|(place, places)| places.contains_key(&place))
    }

    /// What is read off another signal of the entity, in that signal's unit and over 0; the first of its series counts.
    fn first_of(&self, name: &str, read: impl Fn(Observed) -> f64) -> Option<f64> {
        let place = self.house.table.find(name)?;
        let values = self.places?.get(&place)?.iter().filter_map(|(series, signal)| {
            let now = self.view.now(*series).filter(|now| now.has_data)?;
            Some(read(now) * self.house.table.exported(*signal).times).filter(|read| *read > 0.0)
        });
        values.into_iter().next()
    }
}
