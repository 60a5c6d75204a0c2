//! What was over and is back: it has to be calm for twice as long each time before it is over again.
//!
//! Without this a series at the edge of what is odd opens an incident every five minutes, and each is news.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;
use crate::series::registry::SeriesId;

/// What has been over for longer is new when it comes again.
const REMEMBERED_MS: i64 = 6 * 3_600_000;
const DOUBLINGS_MAX: u32 = 5;

/// How often incidents of a series have ended of late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Flaps {
    ended: BTreeMap<SeriesId, (Timestamp, u32)>,
}

impl Flaps {
    /// An incident that people were told of is over; these were its movers.
    pub fn end(&mut self, at: Timestamp, movers: impl Iterator<Item = SeriesId>) {
        self.ended.retain(|_, (ended, _)| at.since(*ended) <= REMEMBERED_MS);
        for series in movers {
            let (ended, times) = self.ended.entry(series).or_insert((at, 0));
            *ended = at;
            *times = (*times + 1).min(DOUBLINGS_MAX);
        }
    }

    /// How many times as long as otherwise a series has to be calm.
    pub fn times(&self, at: Timestamp, series: SeriesId) -> u32 {
        let ended = self.ended.get(&series).filter(|(ended, _)| at.since(*ended) <= REMEMBERED_MS);
        ended.map_or(1, |(_, times)| 1 << times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn each_end_within_hours_doubles_and_a_quiet_night_forgets() {
        let (mut flaps, one) = (Flaps::default(), SeriesId(1));
        let times = |flaps: &Flaps, hour: i64| flaps.times(Timestamp(hour * HOUR_MS), one);
        assert_eq!(times(&flaps, 0), 1);
        for hour in 0..9 {
            flaps.end(Timestamp(hour * HOUR_MS), [one].into_iter());
        }
        assert_eq!((times(&flaps, 9), times(&flaps, 15)), (32, 1));
        flaps.end(Timestamp(20 * HOUR_MS), [one].into_iter());
        assert_eq!(times(&flaps, 20), 2);
        assert_eq!(flaps.times(Timestamp(20 * HOUR_MS), SeriesId(2)), 1);
    }
}
