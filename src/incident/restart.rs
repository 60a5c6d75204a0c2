//! Machines whose services restarted: caches are cold, clients come back, counters start at nothing.
//!
//! Most of that is over within a quarter of an hour, whoever restarted them, and whatever still strays then is worth a
//! page. A service that restarts again and again has had its quarter of an hour with the first time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;
use crate::series::registry::EntityId;

/// For so long what strays may be the restart.
const SETTLES_MS: i64 = 900_000;
/// What moved so long before was the way down: sessions that are drained, a service that is not read any more.
const DOWN_MS: i64 = 300_000;

/// By machine, the time of its first restart of late and of its last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Restarts {
    machines: BTreeMap<EntityId, (Timestamp, Timestamp)>,
}

impl Restarts {
    /// These restarted now.
    pub fn take(&mut self, at: Timestamp, machines: impl IntoIterator<Item = EntityId>) {
        self.machines.retain(|_, (_, last)| at.since(*last) <= SETTLES_MS);
        for machine in machines {
            let (_, last) = self.machines.entry(machine).or_insert((at, at));
            *last = at;
        }
    }

    /// When the machine restarted, if what has moved since `since` on it may still be for that.
    pub fn explains(&self, at: Timestamp, machine: EntityId, since: Timestamp) -> Option<Timestamp> {
        let (first, _) = self.machines.get(&machine)?;
        let is_of_it = since.since(*first) >= -DOWN_MS;
        (is_of_it && at.since(*first) <= SETTLES_MS).then_some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
