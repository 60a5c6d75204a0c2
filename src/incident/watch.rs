//! Every series on the way to a hard limit, and which signals are measured where.

mod towards;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::loads::Loads;
use super::{Finding, House, Observed, View};
use crate::detect::Kind;
use crate::predict::limit::{Known, LimitTracker, TimeToLimit};
use crate::predict::pack::{Direction, Impact, Limit, Signal};
use crate::predict::rhythm::Work;
use crate::predict::service_levels::ServiceLevels;
use crate::predict::signals::SignalRef;
use crate::sample::{Labels, Timestamp};
use crate::series::registry::{EntityId, SeriesId};
use towards::Towards;

/// A forecast is drawn at every fourth value of a series, and not for all series at one tick.
const PACE: u32 = 4;
/// Forecasts in a row within the notice before a limit alone opens an incident.
const CONFIRMED: u32 = 3;
/// Values in a row beyond what is usual, each one in a thousand, before a series counts as odd.
const ODD: u32 = 3;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Watch {
    labels: Labels,
    entity: EntityId,
    entity_name: Arc<str>,
    #[serde(skip)]
    signal: Option<SignalRef>,
    tracker: LimitTracker,
    values: u32,
    confirmed: u32,
    /// Values in a row that lie beyond what is usual, on the side that hurts.
    odd: u32,
    #[serde(skip)]
    last: LastForecast,
}

/// The last forecast of a tracker, for all who ask the same before it takes another value.
#[derive(Clone, Debug, Default)]
struct LastForecast(Cell<Option<Told>>);

#[derive(Clone, Copy, Debug)]
struct Told {
    towards: f64,
    is_odd: bool,
    time: Option<TimeToLimit>,
}

/// It says nothing that its tracker does not.
impl PartialEq for LastForecast {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The trackers, kept over a restart, and the places of all signals, which `admit` gives again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watches {
    watches: BTreeMap<SeriesId, Watch>,
    loads: Loads,
    #[serde(skip)]
    places: BTreeMap<EntityId, BTreeMap<u16, BTreeMap<SeriesId, SignalRef>>>,
    #[serde(skip)]
    admitted: BTreeMap<SeriesId, Option<(EntityId, SignalRef)>>,
}

impl Watches {
    /// Series known. They are what is looked at.
    pub fn series(&self) -> usize {
        self.admitted.len()
    }

    /// False where the series should be watched and there is no room.
    pub fn admit(
        &mut self,
        house: &House,
        series: SeriesId,
        labels: &Labels,
        (entity, entity_name): (EntityId, &Arc<str>),
        signal: Option<SignalRef>,
    ) -> bool {
        self.admitted.insert(series, signal.map(|signal| (entity, signal)));
        let Some(signal) = signal else { return true };
        self.loads.admit(house, series, labels, signal);
        self.places.entry(entity).or_default().entry(signal.signal).or_default().insert(series, signal);
        if let Some(watch) = self.watches.get_mut(&series).filter(|watch| watch.labels == *labels) {
            watch.signal = Some(signal);
            return true;
        }
        if !house.table.is_watched(signal) {
            return true;
        }
        if self.watches.len() >= house.settings.watched_max {
            return false;
        }
        let watch = Watch {
            labels: labels.clone(),
            entity,
            entity_name: entity_name.clone(),
            signal: Some(signal),
            tracker: LimitTracker::new(house.table.signal(signal).hurts),
            values: 0,
            confirmed: 0,
            odd: 0,
            last: LastForecast::default(),
        };
        self.watches.insert(series, watch);
        true
    }

    pub fn retire(&mut self, series: SeriesId) {
        self.watches.remove(&series);
        self.loads.retire(series);
        if let Some(Some((entity, signal))) = self.admitted.remove(&series)
            && let Some(measured) = self.places.get_mut(&entity)
            && let Some(places) = measured.get_mut(&signal.signal)
        {
            places.remove(&series);
            if places.is_empty() {
                measured.remove(&signal.signal);
            }
        }
    }

    /// The signals that are measured on an entity, and by how many series.
    pub fn measured(&self, entity: EntityId) -> impl Iterator<Item = (u16, usize)> {
        self.places.get(&entity).into_iter().flatten().map(|(signal, series)| (*signal, series.len()))
    }

    /// Takes what is new, and gives the series that will reach their limit within the pack's notice.
    pub fn step(&mut self, house: &House, at: Timestamp, view: &impl View) -> Vec<Finding> {
        let mut alarms = Vec::new();
        self.loads.step(view);
        let Watches { watches, loads, places, .. } = self;
        for (series, watch) in watches {
            let (Some(signal), Some(now)) = (watch.signal, view.now(*series)) else { continue };
            if !now.has_data || watch.tracker.newest_at().is_some_and(|newest| now.at <= newest) {
                continue;
            }
            watch.tracker.push(now.at, now.value, now.expected);
            watch.last.0.set(None);
            watch.values = watch.values.wrapping_add(1);
            let meaning = house.table.signal(signal);
            watch.odd = if is_beyond(meaning, now) { watch.odd.saturating_add(1) } else { 0 };
            if !watch.values.wrapping_add(series.0).is_multiple_of(PACE) {
                continue;
            }
            let towards = Towards { house, loads, places: places.get(&watch.entity), view };
            let tells = |unless: &String| !towards.is_measured(unless);
            // Few are out of their rhythm, and only those need a forecast.
            let limit = meaning.limit.as_ref().filter(|_| {
                meaning.unless.as_ref().is_none_or(tells) && watch.is_out_of_rhythm(meaning, now)
            });
            let at_limit = limit.and_then(|limit| towards.forecast(watch, limit, now, false));
            let soon = at_limit.is_some_and(|t| is_soon(meaning, t, at));
            watch.confirmed = if soon { watch.confirmed.saturating_add(1) } else { 0 };
            if watch.confirmed >= CONFIRMED {
                alarms.push(watch.alarm(*series, now));
            }
        }
        alarms.sort_by(|a, b| (&a.entity_name, &a.labels).cmp(&(&b.entity_name, &b.labels)));
        alarms
    }

    /// When a signal of an entity will be at `reaches`, or at its own limit: the earliest over its series. For those who
    /// know that something is wrong.
    pub fn forecast(
        &self,
        house: &House,
        view: &impl View,
        entity: EntityId,
        signal: u16,
        reaches: Option<f64>,
    ) -> Option<TimeToLimit> {
        let places = self.places.get(&entity)?;
        let towards = Towards { house, loads: &self.loads, places: Some(places), view };
        let reaches = reaches.map(Limit::Value);
        let times = places.get(&signal)?.keys().filter_map(|series| {
            let watch = self.watches.get(series)?;
            let limit = reaches.as_ref().or(house.table.signal(watch.signal?).limit.as_ref())?;
            towards.forecast(watch, limit, view.now(*series)?, watch.odd >= ODD)
        });
        times.min_by_key(|t| (t.at, t.earliest, t.latest))
    }

    /// When users will feel a fault on an entity by this signal, by what is good enough for them.
    pub fn impact(
        &self,
        house: &House,
        levels: &ServiceLevels,
        view: &impl View,
        (entity, name): (EntityId, &str),
        impact: &Impact,
    ) -> Option<TimeToLimit> {
        let places = self.places.get(&entity)?;
        let towards = Towards { house, loads: &self.loads, places: Some(places), view };
        let reaches = towards.felt_at(levels, name, impact)?;
        self.forecast(house, view, entity, house.table.find(&impact.signal)?, reaches)
    }

    /// In how many seconds at least users feel a fault on an entity that one of these signals of it brings about by filling: see
    /// `Signal::fills`. `None` where none of them does.
    pub fn not_before_seconds(&self, house: &House, entity: EntityId, impacts: &[Impact]) -> Option<f64> {
        let fills = |impact: &Impact| {
            let place = house.table.find(&impact.signal)?;
            let is_so = house.table.signals()[usize::from(place)].fills
                && impact.level.is_none()
                && impact.reaches.is_none();
            is_so.then_some(place)
        };
        let places = self.places.get(&entity)?;
        let series = impacts.iter().filter_map(fills).filter_map(|signal| places.get(&signal)).flatten();
        let seconds = series.filter_map(|(series, signal)| {
            let Some(Limit::Value(limit)) = house.table.signal(*signal).limit else { return None };
            let tracker = &self.watches.get(series)?.tracker;
            tracker.at_steepest_seconds(limit / house.table.exported(*signal).times)
        });
        seconds.min_by(f64::total_cmp)
    }

    /// Whether users of some machines feel now, by one of these signs, that what is good enough for them is not kept. What
    /// gives no data says neither.
    pub fn is_felt(
        &self,
        house: &House,
        levels: &ServiceLevels,
        view: &impl View,
        impacts: &[(u16, &Impact)],
        is_theirs: impl Fn(EntityId, &str) -> bool,
    ) -> bool {
        self.watches.iter().any(|(series, watch)| {
            let Some(signal) = watch.signal else { return false };
            let mut impacts = impacts.iter().filter(|(place, _)| *place == signal.signal).peekable();
            if impacts.peek().is_none() || !is_theirs(watch.entity, &watch.entity_name) {
                return false;
            }
            let Some(now) = view.now(*series).filter(|now| now.has_data) else { return false };
            let towards = Towards { house, loads: &self.loads, places: self.places.get(&watch.entity), view };
            let value = now.value * house.table.exported(signal).times;
            let hurts = house.table.signal(signal).hurts;
            let is_reached = |reaches: f64| hurts.height(value) >= hurts.height(reaches);
            impacts.any(|(_, impact)| {
                towards.felt_at(levels, &watch.entity_name, impact).flatten().is_some_and(is_reached)
            })
        })
    }

    /// Whether a series is at its own limit or beyond, or heads for it within the notice.
    pub fn is_pressed(&self, house: &House, at: Timestamp, view: &impl View, series: SeriesId) -> bool {
        let found = self.watches.get(&series).and_then(|watch| {
            let signal = watch.signal?;
            let meaning = house.table.signal(signal);
            let towards = Towards { house, loads: &self.loads, places: self.places.get(&watch.entity), view };
            let now = view.now(series)?;
            let forecast = towards.forecast(watch, meaning.limit.as_ref()?, now, false)?;
            let comes = watch.is_out_of_rhythm(meaning, now) && is_soon(meaning, forecast, at);
            Some(comes || forecast.at <= at)
        });
        found.unwrap_or(false)
    }
}

impl Watch {
    /// As of the tracker; dear, so kept.
    fn forecast(&self, limit: f64, is_odd: bool, work: impl Fn() -> Option<Work>) -> Option<TimeToLimit> {
        let last = self.last.0.get().filter(|last| last.towards == limit && last.is_odd == is_odd);
        let told = last.unwrap_or_else(|| {
            let work = work();
            let known = Known { work: work.as_ref(), is_odd };
            Told { towards: limit, is_odd, time: self.tracker.forecast(limit, known) }
        });
        self.last.0.set(Some(told));
        told.time
    }

    /// Whether the way to the limit is more than the rise of an ordinary day: the value lies beyond what is
    /// usual at this time, or further than on any day of the last week. A due date has no rhythm.
    fn is_out_of_rhythm(&self, meaning: &Signal, now: Observed) -> bool {
        is_beyond(meaning, now) || self.tracker.is_new_ground() || matches!(meaning.limit, Some(Limit::Due))
    }

    fn alarm(&self, series: SeriesId, now: Observed) -> Finding {
        Finding {
            series,
            labels: self.labels.clone(),
            entity: self.entity,
            entity_name: self.entity_name.clone(),
            signal: self.signal,
            at: now.at,
            value: now.value,
            expected: now.expected,
            low: now.low,
            high: now.high,
            surprise: now.surprise,
            own: now.own,
            detector: Kind::Limit,
        }
    }
}

/// Beyond what is usual at this time, on the side that hurts.
fn is_beyond(meaning: &Signal, now: Observed) -> bool {
    match meaning.hurts {
        Direction::Up => now.value > now.high,
        Direction::Down => now.value < now.low,
        Direction::Away => now.value > now.high.max(0.0) || now.value < now.low.min(0.0),
    }
}

/// Ahead, and near enough that a person wants to know. A limit that is reached by now was no forecast.
fn is_soon(meaning: &Signal, forecast: TimeToLimit, at: Timestamp) -> bool {
    let seconds = forecast.at.since(at) as f64 / 1000.0;
    seconds > 0.0 && seconds <= meaning.notice_seconds
}
