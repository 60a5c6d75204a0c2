//! What was called a false alarm, and may therefore happen again without counting.
//!
//! A person says it of an incident; what is kept of it is, for each of its movers, how far off its course that was:
//! this signal of this entity, up or down, by so much. From then on a value no further off than half as much again
//! counts as ordinary, for four times as long as that lasted. It is an excuse for the signals that were excused and for
//! nothing else: another signal of the entity counts whole, and so does an excused one that goes further or stays
//! longer, so nothing is ever silenced.
//!
//! Nor is it learnt, or a false alarm of each night would widen the band until nobody heard the real one: learning stops
//! on an excused series once it has gathered what an incident takes, and for no longer than there. A lone odd value is
//! learnt: a tail that never saw its own would find more and more of them odd.
//!
//! Memory fades: what is excused halves in eight weeks (the false alarm itself is excused for nearly five), in twice
//! eight where it was said twice, and so on. A mover of a hard limit has no size that could be excused: its limit is
//! asked again once half of the time that was left has gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mover::{Track, observed};
use super::{Finding, House, IncidentSettings, Observed, View};
use crate::predict::pack::Movement;
use crate::predict::signals::SignalRef;
use crate::sample::{Labels, Timestamp};
use crate::series::registry::SeriesId;

/// So many times what was called false is still excused.
const MARGIN: f64 = 1.5;
/// So many times as long may it last, and two hours at least: it may have been called false at its beginning.
const LASTS_TIMES: i64 = 4;
const LASTS_MS_MIN: i64 = 2 * 3_600_000;
const HALF_LIFE_SECONDS: f64 = 8.0 * 7.0 * 86_400.0;
/// Said more often than this it is remembered no longer.
const TIMES_MAX: u32 = 8;
/// Below this share of what was called false an excuse is worth nothing any more.
const FORGOTTEN: f64 = 0.25;
/// Excuses at most; the one said longest ago makes room.
const EXCUSES_MAX: usize = 1024;
/// What an excused value counts as: the mean surprise of ordinary ones.
const ORDINARY_SURPRISE: f32 = 0.43;
/// The evidence that an incident takes at least (`budget`).
const INCIDENT_EVIDENCE: f64 = 7.5;
const DAY_MS: i64 = 86_400_000;
/// A limit that was called false is not asked sooner than this, nor, where it has no date, later than that.
const LIMIT_AGAIN_MS: [i64; 2] = [3_600_000, 6 * 3_600_000];

/// What one mover of an incident did, as far as a later one may resemble it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Moved {
    pub labels: Labels,
    pub entity: Arc<str>,
    /// The pack's name of the signal, or the metric's.
    pub what: String,
    pub moves: Movement,
    /// How far from what was expected, in the unit of the series.
    pub reach: f64,
    pub surprise: f32,
    pub lasted_ms: i64,
    /// It was odd only by how signals move together, inside its own band.
    pub is_relation: bool,
    /// It headed for a hard limit, to be reached at `limit_at` if that could be said.
    pub by_limit: bool,
    pub limit_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Excuse {
    moves: Movement,
    reach: f64,
    surprise: f32,
    lasted_ms: i64,
    is_relation: bool,
    said_at: Timestamp,
    times: u32,
}

impl Excuse {
    /// How many times what was called false is excused now.
    fn margin(&self, at: Timestamp) -> f64 {
        let half_lives = at.since(self.said_at) as f64 / 1000.0 / HALF_LIFE_SECONDS / f64::from(self.times);
        MARGIN * libm::exp2(-half_lives.max(0.0))
    }
}

/// A value that may be excused.
struct Value {
    now: Observed,
    is_relation: bool,
    /// For how long its series has done what is excused.
    lasts_ms: i64,
}

/// All excuses, by entity and by what moved on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Excuses {
    excuses: BTreeMap<Arc<str>, BTreeMap<String, Vec<Excuse>>>,
    count: usize,
    /// Series whose hard limit is asked again only then.
    limits: BTreeMap<Labels, Timestamp>,
    swept_at: Timestamp,
    /// Series that are doing now what is excused, followed as the movers that they would be.
    runs: BTreeMap<SeriesId, Track>,
}

impl Excuses {
    /// What `moved` did was a false alarm.
    pub fn add(&mut self, at: Timestamp, moved: &Moved) {
        self.hold_limit(at, moved);
        let of_place = self.excuses.entry(moved.entity.clone()).or_default();
        let known = of_place.entry(moved.what.clone()).or_default();
        if let Some(excuse) = known.iter_mut().find(|excuse| excuse.moves == moved.moves) {
            let faded = excuse.margin(at) / MARGIN;
            excuse.reach = moved.reach.max(excuse.reach * faded);
            excuse.surprise = moved.surprise.max(excuse.surprise * faded as f32);
            excuse.lasted_ms = moved.lasted_ms.max(excuse.lasted_ms);
            excuse.is_relation |= moved.is_relation;
            // Cores of one processor and the like are said at once, and that is once.
            excuse.times = (excuse.times + u32::from(excuse.said_at != at)).min(TIMES_MAX);
            excuse.said_at = at;
            return;
        }
        let Moved { moves, reach, surprise, lasted_ms, is_relation, .. } = *moved;
        known.push(Excuse { moves, reach, surprise, lasted_ms, is_relation, said_at: at, times: 1 });
        self.count += 1;
        if self.count > EXCUSES_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let lists = self.excuses.values_mut().flat_map(BTreeMap::values_mut);
        let oldest = |known: &Vec<Excuse>| known.iter().map(|excuse| excuse.said_at).min();
        if let Some(known) = lists.filter(|known| !known.is_empty()).min_by_key(|known| oldest(known)) {
            let said_at = oldest(known);
            let place = known.iter().position(|excuse| Some(excuse.said_at) == said_at);
            place.map(|place| known.remove(place));
        }
        self.retain(|_| true);
    }

    /// What `moved` did was no false alarm after all.
    pub fn remove(&mut self, moved: &Moved) {
        self.limits.remove(&moved.labels);
        if let Some(known) = self.excuses.get_mut(&moved.entity).and_then(|place| place.get_mut(&moved.what))
        {
            known.retain(|excuse| excuse.moves != moved.moves);
        }
        self.retain(|_| true);
    }

    /// Drops what has faded, once a day.
    pub fn advance(&mut self, at: Timestamp) {
        if at.since(self.swept_at) < DAY_MS {
            return;
        }
        self.swept_at = at;
        self.retain(|excuse| excuse.margin(at) >= FORGOTTEN);
        self.limits.retain(|_, again_at| *again_at > at);
    }

    /// The limit that `moved` headed for was called false, or usual.
    pub fn hold_limit(&mut self, at: Timestamp, moved: &Moved) {
        if moved.by_limit {
            let half = moved.limit_at.map_or(LIMIT_AGAIN_MS[1], |limit_at| limit_at.since(at) / 2);
            self.limits.insert(moved.labels.clone(), at.plus_ms(half.max(LIMIT_AGAIN_MS[0])));
        }
    }

    pub fn holds_limit(&self, at: Timestamp, series: &Labels) -> bool {
        self.limits.get(series).is_some_and(|again_at| at < *again_at)
    }

    /// Whether what is found was called a false alarm; if so, its series is followed here.
    pub fn excuse(&mut self, house: &House, finding: &Finding) -> bool {
        let what = what(house, finding.signal, &finding.labels);
        let lasts_ms = self.lasts_ms(finding.at, finding.series);
        let value = Value { now: observed(finding), is_relation: finding.is_relation(), lasts_ms };
        if self.count == 0 || !self.covers(finding.at, &finding.entity_name, what, &value) {
            return false;
        }
        if let Some(run) = self.runs.get_mut(&finding.series) {
            run.take_finding(finding);
        } else if self.runs.len() < house.settings.movers_max {
            self.runs.insert(finding.series, Track::begin(finding));
        }
        true
    }

    /// Whether a relation that looks broken is the company of what is excused now on the same entity.
    pub fn is_company(&self, finding: &Finding) -> bool {
        let mut runs = self.runs.values().filter(|run| run.is_run());
        finding.is_relation() && runs.any(|run| run.entity == finding.entity)
    }

    /// Ends the runs of series that have come to rest.
    pub fn follow(&mut self, house: &House, view: &impl View) {
        self.runs.retain(|series, run| {
            let Some(now) = view.now(*series) else { return false };
            run.take(now);
            if run.is_run() { run.calm < house.settings.calm_values } else { run.evidence.whole > 0.0 }
        });
    }

    /// The series on which learning has stopped.
    pub fn not_learning(&self, settings: &IncidentSettings, at: Timestamp) -> impl Iterator<Item = SeriesId> {
        let stops_ms = settings.learning_stops_seconds * 1000.0;
        let runs = self
            .runs
            .iter()
            .filter(move |(_, run)| run.peak >= INCIDENT_EVIDENCE && at.since(run.since) as f64 <= stops_ms);
        runs.map(|(series, _)| *series)
    }

    /// A mover's next value as evidence hears it.
    pub fn heard(
        &self,
        house: &House,
        at: Timestamp,
        (series, track): (SeriesId, &Track),
        now: Observed,
    ) -> Observed {
        let what = what(house, track.signal, &track.labels);
        let value = Value { now, is_relation: false, lasts_ms: self.lasts_ms(at, series) };
        if self.count > 0 && self.covers(at, &track.entity_name, what, &value) {
            return Observed { surprise: now.surprise.min(ORDINARY_SURPRISE), ..now };
        }
        now
    }

    /// For how long a series has done what is excused.
    fn lasts_ms(&self, at: Timestamp, series: SeriesId) -> i64 {
        self.runs.get(&series).map_or(0, |run| at.since(run.since))
    }

    fn covers(&self, at: Timestamp, entity: &str, what: &str, value: &Value) -> bool {
        let Value { now, is_relation, lasts_ms } = *value;
        let Some(known) = self.excuses.get(entity).and_then(|place| place.get(what)) else { return false };
        let mut known =
            known.iter().filter(|e| lasts_ms <= LASTS_MS_MIN.max(e.lasted_ms.saturating_mul(LASTS_TIMES)));
        if !now.has_data {
            return known.any(|excuse| excuse.moves == Movement::Silent && excuse.margin(at) >= 1.0);
        }
        let off = now.value - now.expected;
        if now.value < now.low || now.value > now.high {
            let moves = if off < 0.0 { Movement::Down } else { Movement::Up };
            return known
                .any(|excuse| excuse.moves == moves && off.abs() <= excuse.margin(at) * excuse.reach);
        }
        // Inside its band a value is odd by how it came there, such as the way back from what is excused; or by its
        // company, and that is excused only where it was what was false.
        known
            .filter(|excuse| excuse.is_relation || !is_relation)
            .any(|excuse| f64::from(now.surprise) <= excuse.margin(at) * f64::from(excuse.surprise))
    }

    fn all(&self) -> impl Iterator<Item = &Excuse> {
        self.excuses.values().flat_map(BTreeMap::values).flatten()
    }

    fn retain(&mut self, keep: impl Fn(&Excuse) -> bool) {
        for place in self.excuses.values_mut() {
            place.values_mut().for_each(|known| known.retain(&keep));
            place.retain(|_, known| !known.is_empty());
        }
        self.excuses.retain(|_, place| !place.is_empty());
        self.count = self.all().count();
    }
}

/// What a series measures: the pack's name of the signal, or the metric's.
pub(super) fn what<'a>(house: &House<'a>, signal: Option<SignalRef>, labels: &'a Labels) -> &'a str {
    signal.map_or_else(|| labels.name(), |signal| house.table.signal(signal).name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(what: &str, reach: f64) -> Moved {
        Moved {
            labels: Labels::new(&[("__name__", what)]),
            entity: "mx1".into(),
            what: what.into(),
            moves: Movement::Up,
            reach,
            surprise: 5.0,
            lasted_ms: 3_600_000,
            is_relation: false,
            by_limit: false,
            limit_at: None,
        }
    }

    /// A value `off` what is expected, where the band is 3 wide to each side.
    fn value(off: f64, surprise: f32) -> Value {
        let value = 100.0 + off;
        let [expected, low, high] = [100.0, 97.0, 103.0];
        let now =
            Observed { at: Timestamp(0), value, expected, low, high, surprise, own: 1.0, has_data: true };
        Value { now, is_relation: false, lasts_ms: 0 }
    }

    fn check(excuses: &Excuses, day: i64, (what, off, surprise): (&str, f64, f32), want: bool) {
        let got = excuses.covers(Timestamp(day * DAY_MS), "mx1", what, &value(off, surprise));
        assert_eq!(got, want, "{what} by {off} after {day} days");
    }

    #[test]
    fn a_broken_relation_is_excused_only_where_one_was_called_false() {
        let mut excuses = Excuses::default();
        let broken = Value { is_relation: true, ..value(1.0, 6.0) };
        excuses.add(Timestamp(0), &moved("queue", 20.0));
        assert!(!excuses.covers(Timestamp(0), "mx1", "queue", &broken));
        excuses.add(Timestamp(0), &Moved { is_relation: true, ..moved("queue", 1.0) });
        assert!(excuses.covers(Timestamp(0), "mx1", "queue", &broken));
    }

    #[test]
    fn the_same_is_excused_and_the_stronger_the_other_and_the_opposite_are_not() {
        let mut excuses = Excuses::default();
        excuses.add(Timestamp(0), &moved("queue", 20.0));
        check(&excuses, 1, ("queue", 20.0, 6.0), true);
        check(&excuses, 1, ("queue", 29.0, 6.0), true);
        check(&excuses, 1, ("queue", 31.0, 6.0), false);
        check(&excuses, 1, ("queue", -20.0, 6.0), false);
        check(&excuses, 1, ("load", 20.0, 6.0), false);
        // The way back.
        check(&excuses, 1, ("queue", -1.0, 7.0), true);
        check(&excuses, 1, ("queue", -1.0, 8.0), false);
        assert!(!excuses.covers(Timestamp(0), "mx2", "queue", &value(20.0, 6.0)), "another host");
    }

    #[test]
    fn what_lasts_much_longer_than_what_was_called_false_is_excused_no_more() {
        let mut excuses = Excuses::default();
        excuses.add(Timestamp(0), &moved("queue", 20.0));
        let covers = |hours: i64| {
            let value = Value { lasts_ms: hours * 3_600_000, ..value(20.0, 6.0) };
            excuses.covers(Timestamp(DAY_MS), "mx1", "queue", &value)
        };
        assert_eq!([0, 4, 5].map(covers), [true, true, false]);
    }

    #[test]
    fn an_excuse_fades_and_lasts_longer_the_more_often_it_was_said() {
        let mut excuses = Excuses::default();
        excuses.add(Timestamp(0), &moved("queue", 20.0));
        check(&excuses, 30, ("queue", 20.0, 6.0), true);
        check(&excuses, 35, ("queue", 20.0, 6.0), false);
        excuses.add(Timestamp(35 * DAY_MS), &moved("queue", 20.0));
        check(&excuses, 95, ("queue", 20.0, 6.0), true);
        excuses.advance(Timestamp(500 * DAY_MS));
        assert_eq!(excuses.count, 0);
    }

    #[test]
    fn what_is_taken_back_counts_again() {
        let mut excuses = Excuses::default();
        excuses.add(Timestamp(0), &moved("queue", 20.0));
        excuses.add(Timestamp(0), &moved("load", 2.0));
        excuses.remove(&moved("queue", 3.0));
        check(&excuses, 1, ("queue", 20.0, 6.0), false);
        assert_eq!(excuses.count, 1);
    }

    #[test]
    fn a_full_store_forgets_what_was_said_longest_ago() {
        let mut excuses = Excuses::default();
        for i in 0..=EXCUSES_MAX as i64 {
            excuses.add(Timestamp(i), &moved(&format!("signal_{i}"), 20.0));
        }
        assert_eq!(excuses.count, EXCUSES_MAX);
        check(&excuses, 1, ("signal_0", 20.0, 6.0), false);
        check(&excuses, 1, ("signal_1", 20.0, 6.0), true);
    }

    #[test]
    fn a_limit_called_false_is_asked_again_when_half_of_the_time_has_gone() {
        let mut excuses = Excuses::default();
        let disk = Moved { by_limit: true, limit_at: Some(Timestamp(DAY_MS)), ..moved("disk", 0.0) };
        excuses.add(Timestamp(0), &disk);
        assert!(excuses.holds_limit(Timestamp(DAY_MS / 2 - 1), &disk.labels));
        assert!(!excuses.holds_limit(Timestamp(DAY_MS / 2), &disk.labels));
        excuses.add(Timestamp(DAY_MS - 1), &disk);
        let hour_later = DAY_MS - 1 + LIMIT_AGAIN_MS[0];
        assert!(excuses.holds_limit(Timestamp(hour_later - 1), &disk.labels), "at the limit: an hour");
        assert!(!excuses.holds_limit(Timestamp(hour_later), &disk.labels));
    }
}
