//! Machines whose services restarted: caches are cold, clients come back, counters start at nothing.
//!
//! Most of that is over within a quarter of an hour, whoever restarted them. Caches of a large store take longer, and so
//! what is on its way back may take its time, if it gets there; whatever else still strays then is worth a page. A service that restarts
//! again and again has had its quarter of an hour with the first time; and what restarts a third time within two hours, with
//! quiet between, is no more planned than it is repaired.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mover::Track;
use crate::sample::Timestamp;
use crate::series::registry::EntityId;

/// For so long what strays may be the restart.
const SETTLES_MS: i64 = 900_000;
/// And for so long what began to in that time and is on its way back: by then no further off than this share of the furthest
/// that it has been, and by four times then, than half of it.
const RECOVERS_MS: i64 = 2 * 3_600_000;
const COMES_BACK: f64 = 0.75;
/// A service that restarts oftener than so is not well.
const TIMES_MAX: u32 = 2;
/// What moved so long before was the way down: sessions that are drained, a service that is not read any more.
const DOWN_MS: i64 = 300_000;

/// What restarted of late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Restarts {
    machines: BTreeMap<EntityId, Restarted>,
}

/// The restarts of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Restarted {
    /// The first, of those that came before the one before was forgotten.
    begun: Timestamp,
    /// The first of the last few, each of which came while the one before settled; and the last.
    first: Timestamp,
    last: Timestamp,
    /// How many there have been since it begun, where such few are one.
    times: u32,
}

impl Restarts {
    /// These restarted now.
    pub fn take(&mut self, at: Timestamp, machines: impl IntoIterator<Item = EntityId>) {
        self.machines.retain(|_, restarted| at.since(restarted.last) <= RECOVERS_MS);
        for machine in machines {
            let new = Restarted { begun: at, first: at, last: at, times: 1 };
            let restarted = self.machines.entry(machine).or_insert(new);
            if at.since(restarted.last) > SETTLES_MS {
                restarted.first = at;
                restarted.times = restarted.times.saturating_add(1);
            }
            restarted.last = at;
        }
    }

    /// When the machine restarted, if what has moved since `since` on it may still be for that.
    pub fn explains(&self, at: Timestamp, machine: EntityId, since: Timestamp) -> Option<Timestamp> {
        let restarted = self.excuse(machine, since)?;
        (at.since(restarted.first) <= SETTLES_MS).then_some(restarted.first)
    }

    /// Whether what `track` does may be for the restart of a machine of its story.
    pub fn may_be_all(&self, at: Timestamp, machine: EntityId, track: &Track) -> bool {
        let since = track.stands_since();
        let comes_back = |Restarted { first, .. }: &Restarted| {
            let after_ms = at.since(*first);
            let share = COMES_BACK * libm::sqrt(SETTLES_MS as f64 / after_ms as f64);
            since.since(*first) <= SETTLES_MS && after_ms <= RECOVERS_MS && track.is_back_to(share, at)
        };
        self.explains(at, machine, since).is_some() || self.excuse(machine, since).is_some_and(comes_back)
    }

    /// Whether what moved since `since` did so by a restart at a time, if it was for that.
    pub fn settles(restart: Timestamp, since: Timestamp) -> bool {
        (-DOWN_MS..=SETTLES_MS).contains(&since.since(restart))
    }

    /// The restarts of a machine, if they may be why something moves since `since`.
    fn excuse(&self, machine: EntityId, since: Timestamp) -> Option<&Restarted> {
        let restarted = self.machines.get(&machine)?;
        (restarted.times <= TIMES_MAX && since.since(restarted.begun) >= -DOWN_MS).then_some(restarted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Kind;
    use crate::incident::Finding;
    use crate::sample::Labels;
    use crate::series::registry::SeriesId;

    const MINUTE_MS: i64 = 60_000;

    fn minute(minute: i64) -> Timestamp {
        Timestamp(minute * MINUTE_MS)
    }

    #[test]
    fn a_restart_explains_a_quarter_of_an_hour_and_the_way_down() {
        let mut restarts = Restarts::default();
        restarts.take(minute(100), [EntityId(1)]);
        let explains = |at, machine, since| restarts.explains(minute(at), EntityId(machine), minute(since));
        assert_eq!(explains(101, 1, 98), Some(minute(100)));
        assert_eq!(explains(101, 1, 90), None, "it went wrong before");
        assert_eq!(explains(116, 1, 101), None, "it should be over");
        assert_eq!(explains(101, 2, 101), None, "another machine");
    }

    #[test]
    fn what_restarts_again_and_again_explains_no_more_than_once() {
        let mut restarts = Restarts::default();
        (100..130).step_by(5).for_each(|at| restarts.take(minute(at), [EntityId(1)]));
        assert_eq!(restarts.explains(minute(126), EntityId(1), minute(124)), None);
        restarts.take(minute(150), []);
        restarts.take(minute(151), [EntityId(1)]);
        assert_eq!(restarts.explains(minute(152), EntityId(1), minute(151)), Some(minute(151)));
    }

    #[test]
    fn what_one_restart_moved_another_may_move_again() {
        let mut restarts = Restarts::default();
        restarts.take(minute(100), [EntityId(1)]);
        restarts.take(minute(150), [EntityId(1)]);
        assert_eq!(restarts.explains(minute(160), EntityId(1), minute(101)), Some(minute(150)));
        assert_eq!(restarts.explains(minute(160), EntityId(1), minute(90)), None);
        restarts.take(minute(180), [EntityId(1)]);
        assert_eq!(restarts.explains(minute(181), EntityId(1), minute(180)), None, "it does not stay up");
    }

    #[test]
    fn what_began_with_a_restart_may_take_two_hours_if_it_comes_back() {
        let mut restarts = Restarts::default();
        restarts.take(minute(100), [EntityId(1)]);
        let after = |silent: i64, at: i64, began: i64, off: f64| {
            let mut track = Track::begin(&finding(minute(began), 40.0));
            (at - 20..=at - silent).for_each(|at| track.take_finding(&finding(minute(at), off)));
            restarts.may_be_all(minute(at), EntityId(1), &track)
        };
        let may_be_all = |at: i64, began: i64, off: f64| after(0, at, began, off);
        assert!(may_be_all(110, 101, 40.0));
        assert!(may_be_all(120, 101, 25.0));
        assert!(!may_be_all(120, 101, 27.0), "it stays away");
        assert!(may_be_all(160, 101, 14.0));
        assert!(!may_be_all(160, 101, 16.0), "it does not get there");
        assert!(!may_be_all(160, 130, 10.0), "it began later");
        assert!(!may_be_all(230, 101, 10.0), "it takes too long");
        assert!(!after(4, 160, 101, 10.0), "it is not heard any more");
    }

    /// A value `off` what is expected.
    fn finding(at: Timestamp, off: f64) -> Finding {
        Finding {
            series: SeriesId(0),
            labels: Labels::new(&[("__name__", "hits")]),
            entity: EntityId(1),
            entity_name: "store1".into(),
            signal: None,
            at,
            value: 100.0 - off,
            expected: 100.0,
            low: 97.0,
            high: 103.0,
            surprise: 6.0,
            own: 1.0,
            detector: Kind::Seasonal,
        }
    }
}
