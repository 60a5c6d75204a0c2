//! Minutes of brown-out: in how much of the last week users did without what they were promised, and when they have done so
//! for as long as they accept.
//!
//! Once a minute each promise that says how much of a week is accepted is looked at, by the very signals and values by which
//! the packs say that users feel it. A minute counts once, on however many machines. What gives no data is neither kept nor
//! broken, and a machine in maintenance uses nothing up: that was announced. What people say of an incident changes nothing
//! here. A week is 168 hours, of which the oldest is forgotten as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::BrownOut;
use super::watch::Watches;
use super::{House, View};
use crate::predict::pack::{Fault, Impact};
use crate::predict::service_levels::{Promise, ServiceLevels};
use crate::predict::signals::SignalTable;
use crate::sample::Timestamp;
use crate::series::registry::EntityId;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A week of them.
const HOURS: i64 = 168;

/// How much of what some users accept is used.
#[derive(Clone, Debug, PartialEq)]
pub struct BrownOutUse {
    /// What they are called.
    pub users: String,
    /// In a week.
    pub accepted_seconds: f64,
    /// In the last seven days.
    pub used_seconds: f64,
}

/// The minutes of one promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tally {
    promise: Promise,
    /// How many it was broken in, by the hour since 1970; at most `HOURS` of them.
    minutes: BTreeMap<i64, i64>,
}

/// Those of all promises that have some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct BrownOuts {
    tallies: Vec<Tally>,
    /// The minute since 1970 that was looked at last.
    looked_at: Option<i64>,
}

/// A fault that users will feel.
pub(super) struct Ahead<'a> {
    pub fault: &'a Fault,
    pub machines: &'a BTreeMap<EntityId, &'a Arc<str>>,
    /// When it breaks the packs' own levels, where that is foretold by how such faults go and not measured.
    pub typical: Option<Timestamp>,
}

impl BrownOuts {
    /// Goes on with what is promised now: what was counted of the same promise stays.
    pub fn fit(&mut self, levels: &ServiceLevels) {
        let known = std::mem::take(&mut self.tallies);
        let tally = |promise: &Promise| {
            let same = known.iter().find(|tally| tally.promise.is_same(promise));
            let minutes = same.map(|tally| tally.minutes.clone()).unwrap_or_default();
            Tally { promise: promise.clone(), minutes }
        };
        let counted = levels.0.iter().filter(|promise| promise.brown_out_seconds.is_some());
        self.tallies = counted.map(tally).collect();
    }

    /// Looks once a minute at what users feel.
    pub fn step(&mut self, house: &House, at: Timestamp, watches: &Watches, view: &impl View) {
        let minute = at.0.div_euclid(MINUTE_MS);
        if self.tallies.is_empty() || self.looked_at.is_some_and(|before| minute <= before) {
            return;
        }
        // A step may be longer than a minute. Where two ticks lie further apart than a step nobody has looked in between.
        let step = i64::from(house.settings.step_seconds.div_ceil(60).max(1));
        let minutes = self.looked_at.map_or(step, |before| minute.saturating_sub(before).min(step));
        self.looked_at = Some(minute);
        for tally in &mut self.tallies {
            tally.minutes = tally.minutes.split_off(&oldest(at));
            if tally.is_broken(house, watches, view) {
                *tally.minutes.entry(hour(at)).or_default() += minutes;
            }
        }
    }

    /// What is used of what users accept who will feel a fault; of several such promises that of which the least is left.
    pub fn foretold(
        &self,
        house: &House,
        watches: &Watches,
        view: &impl View,
        now: Timestamp,
        ahead: &Ahead,
    ) -> Option<BrownOut> {
        let told = self.tallies.iter().filter_map(|tally| {
            let broken_at = tally.broken_at(house, watches, view, ahead)?;
            let BrownOutUse { users, accepted_seconds, used_seconds } = tally.used(now);
            let used_up_at = tally.used_up_at(now, broken_at.max(now));
            Some(BrownOut { name: users, accepted_seconds, used_seconds, used_up_at })
        });
        told.min_by_key(|told| told.used_up_at)
    }

    /// What is used of each, in the order of the configuration.
    pub fn used(&self, at: Timestamp) -> impl Iterator<Item = BrownOutUse> {
        self.tallies.iter().map(move |tally| tally.used(at))
    }
}

impl Tally {
    /// The promise as if there were no other, on whichever machine.
    fn alone(&self) -> ServiceLevels {
        ServiceLevels(vec![Promise { within: self.promise.within.clone(), ..Promise::default() }])
    }

    fn is_theirs(&self, house: &House, entity: EntityId, name: &str) -> bool {
        self.promise.is_of(name) && !house.paused.contains(&entity)
    }

    fn is_broken(&self, house: &House, watches: &Watches, view: &impl View) -> bool {
        let signs = signs(house.table, &self.promise);
        let is_theirs = |entity, name: &str| self.is_theirs(house, entity, name);
        watches.is_felt(house, &self.alone(), view, &signs, is_theirs)
    }

    /// When a fault breaks what was promised.
    fn broken_at(
        &self,
        house: &House,
        watches: &Watches,
        view: &impl View,
        ahead: &Ahead,
    ) -> Option<Timestamp> {
        let mut impacts = ahead.fault.impact.iter().filter_map(|impact| {
            let level = impact.level.as_deref()?;
            Some((impact, *self.promise.within.get(level)?, house.table.level_seconds(level)))
        });
        let theirs = ahead.machines.iter().filter(|(entity, name)| self.is_theirs(house, **entity, name));
        if let Some(at) = ahead.typical {
            // What is looser than the pack's own may be kept for longer, and of a share it has none.
            let is_broken =
                impacts.any(|(_, promised, packs_own)| packs_own.is_some_and(|own| promised <= own));
            return theirs.map(|_| at).next().filter(|_| is_broken);
        }
        let alone = self.alone();
        let on = |(impact, ..): (&Impact, f64, Option<f64>)| {
            let time = |(entity, name): (&EntityId, &&Arc<str>)| {
                Some(watches.impact(house, &alone, view, (*entity, name), impact)?.at)
            };
            theirs.clone().filter_map(time).min()
        };
        impacts.filter_map(on).min()
    }

    fn used(&self, at: Timestamp) -> BrownOutUse {
        BrownOutUse {
            users: self.promise.users(),
            accepted_seconds: self.promise.brown_out_seconds.unwrap_or_default(),
            used_seconds: self.used_ms(at) as f64 / 1000.0,
        }
    }

    fn used_ms(&self, at: Timestamp) -> i64 {
        self.minutes.range(oldest(at)..).map(|(_, minutes)| minutes * MINUTE_MS).sum()
    }

    /// When the rest is used up of what is broken from a time on; `None` where that is so by now. What is forgotten before
    /// then may be used again.
    fn used_up_at(&self, now: Timestamp, broken_at: Timestamp) -> Option<Timestamp> {
        let accepted_ms = (self.promise.brown_out_seconds? * 1000.0) as i64;
        let mut left_ms = accepted_ms - self.used_ms(now);
        if left_ms <= 0 {
            return None;
        }
        for (hour, minutes) in self.minutes.range(oldest(now)..) {
            let forgotten = Timestamp((hour + HOURS).saturating_mul(HOUR_MS));
            if broken_at.plus_ms(left_ms) <= forgotten {
                break;
            }
            left_ms += minutes * MINUTE_MS;
        }
        Some(broken_at.plus_ms(left_ms))
    }
}

fn hour(at: Timestamp) -> i64 {
    at.0.div_euclid(HOUR_MS)
}

/// The oldest hour that counts.
fn oldest(at: Timestamp) -> i64 {
    hour(at) - HOURS + 1
}

/// The signs by which the packs say that users feel one of the levels, each once.
fn signs<'t>(table: &'t SignalTable, promise: &Promise) -> Vec<(u16, &'t Impact)> {
    let is_of =
        |impact: &&Impact| impact.level.as_ref().is_some_and(|level| promise.within.contains_key(level));
    let mut signs: Vec<(u16, &Impact)> = Vec::new();
    for impact in table.faults().iter().flat_map(|fault| &fault.impact).filter(is_of) {
        let sign = table.find(&impact.signal).map(|signal| (signal, impact));
        signs.extend(sign.filter(|sign| !signs.contains(sign)));
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64, minutes: i64) -> Timestamp {
        Timestamp(hours * HOUR_MS + minutes * MINUTE_MS)
    }

    /// Of half an hour a week, so many minutes used in these hours.
    fn tally(minutes: &[(i64, i64)]) -> Tally {
        let promise = Promise { brown_out_seconds: Some(1800.0), ..Promise::default() };
        Tally { promise, minutes: minutes.iter().copied().collect() }
    }

    #[test]
    fn an_hour_counts_for_a_week_and_is_then_forgotten() {
        let tally = tally(&[(0, 10), (1, 5)]);
        for (now, minutes) in [(at(1, 59), 15.0), (at(167, 59), 15.0), (at(168, 0), 5.0), (at(169, 0), 0.0)] {
            assert_eq!(tally.used(now).used_seconds, 60.0 * minutes, "{now}");
        }
    }

    #[test]
    fn the_rest_is_used_up_so_much_later_than_it_is_broken() {
        let (now, broken) = (at(100, 0), at(100, 20));
        assert_eq!(tally(&[]).used_up_at(now, broken), Some(at(100, 50)));
        assert_eq!(tally(&[(99, 12)]).used_up_at(now, broken), Some(at(100, 38)));
        assert_eq!(tally(&[(99, 12), (100, 17)]).used_up_at(now, broken), Some(at(100, 21)));
        assert_eq!(tally(&[(99, 30)]).used_up_at(now, broken), None);
        assert_eq!(tally(&[(50, 20), (99, 20)]).used_up_at(now, broken), None);
    }

    #[test]
    fn what_is_forgotten_before_then_may_be_used_again() {
        // 25 minutes of hour 0 are forgotten as hour 168 begins.
        let tally = tally(&[(0, 25)]);
        assert_eq!(tally.used_up_at(at(167, 0), at(167, 30)), Some(at(167, 35)));
        assert_eq!(tally.used_up_at(at(167, 0), at(167, 55)), Some(at(168, 0)), "not a minute too late");
        assert_eq!(tally.used_up_at(at(167, 0), at(167, 56)), Some(at(168, 26)));
        assert_eq!(tally.used_up_at(at(168, 0), at(168, 0)), Some(at(168, 30)));
    }
}
