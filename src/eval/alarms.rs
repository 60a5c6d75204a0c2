//! What an operator feels: the share of events found at so many false alarms a week, one threshold for all.
//!
//! An event is found if one of its rows is at or over the threshold. A false alarm is a cluster of such rows
//! outside events, each at most an hour (or one row) after the one before: what comes within the hour is the
//! same alarm. A score of 0 alarms at no threshold. The threshold is lowered until one step more would give
//! more false alarms than allowed, and not beyond, where clusters that merge would make them fewer again.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use serde::Serialize;

use super::events;
use crate::sample::Timestamp;

const SAME_ALARM_MS: i64 = 3_600_000;
const DAY_MS: f64 = 86_400_000.0;

/// The labelled rows of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    pub at: Vec<Timestamp>,
    pub score: Vec<f64>,
    pub label: Vec<bool>,
}

impl Track {
    fn interval_ms(&self) -> i64 {
        let mut intervals: Vec<i64> = self.at.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        intervals.sort_unstable();
        intervals.get(intervals.len() / 2).copied().unwrap_or(0)
    }
}

/// What one threshold over all tracks gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Operating {
    /// `None` where even the highest score alarms too often.
    pub threshold: Option<f64>,
    pub events: usize,
    pub found: usize,
    pub false_alarms: usize,
    /// Time under watch, over all tracks.
    pub days: f64,
    /// From an event's first row to the first at or over the threshold, of the events found.
    pub delay_seconds_median: Option<f64>,
}

impl Operating {
    pub fn recall(&self) -> f64 {
        self.found as f64 / self.events as f64
    }
}

/// The lowest threshold with at most `alarms_a_day` false alarms a day and track.
pub fn at_rate(tracks: &[Track], alarms_a_day: f64) -> Operating {
    let intervals: Vec<i64> = tracks.iter().map(Track::interval_ms).collect();
    let watched_ms = tracks.iter().zip(&intervals).map(|(track, ms)| track.at.len() as f64 * *ms as f64);
    let days = watched_ms.sum::<f64>() / DAY_MS;
    let mut rows: Vec<(usize, usize)> = (0..tracks.len())
        .flat_map(|track| (0..tracks[track].score.len()).map(move |row| (track, row)))
        .filter(|&(track, row)| tracks[track].score[row] > 0.0)
        .collect();
    let score = |&(track, row): &(usize, usize)| tracks[track].score[row];
    rows.sort_by(|a, b| score(b).total_cmp(&score(a)));

    let mut clusters: Vec<Clusters> =
        intervals.iter().map(|&ms| Clusters::apart_by(ms.max(SAME_ALARM_MS))).collect();
    let (mut threshold, mut false_alarms) = (None, 0);
    for tied in rows.chunk_by(|a, b| score(a) == score(b)) {
        for &(track, row) in tied.iter().filter(|&&(track, row)| !tracks[track].label[row]) {
            clusters[track].add(tracks[track].at[row], row);
        }
        let now: usize = clusters.iter().map(|c| c.count).sum();
        if now as f64 > alarms_a_day * days {
            break;
        }
        (threshold, false_alarms) = (Some(score(&tied[0])), now);
    }
    let (events, mut delays) = found(tracks, threshold.unwrap_or(f64::INFINITY));
    delays.sort_by(f64::total_cmp);
    let delay_seconds_median = delays.get(delays.len() / 2).copied();
    Operating { threshold, events, found: delays.len(), false_alarms, days, delay_seconds_median }
}

/// How many events there are, and the delay in seconds of each that is found.
fn found(tracks: &[Track], threshold: f64) -> (usize, Vec<f64>) {
    let (mut count, mut delays) = (0, Vec::new());
    for track in tracks {
        for event in events(&track.label) {
            count += 1;
            let start = track.at[event.start];
            let first = event.clone().find(|&row| track.score[row] >= threshold);
            delays.extend(first.map(|row| track.at[row].since(start) as f64 / 1000.0));
        }
    }
    (count, delays)
}

/// Rows of one track that alarm, and how many clusters they form.
struct Clusters {
    apart_ms: i64,
    rows: BTreeSet<(Timestamp, usize)>,
    count: usize,
}

impl Clusters {
    fn apart_by(apart_ms: i64) -> Self {
        Clusters { apart_ms, rows: BTreeSet::new(), count: 0 }
    }

    fn add(&mut self, at: Timestamp, row: usize) {
        let before = self.rows.range(..(at, row)).next_back().map(|(t, _)| *t);
        let after = self.rows.range((Excluded((at, row)), Unbounded)).next().map(|(t, _)| *t);
        let near = |a: Option<Timestamp>, b: Option<Timestamp>| {
            usize::from(a.zip(b).is_some_and(|(a, b)| b.since(a) <= self.apart_ms))
        };
        // A row between two clusters joins them; one between two rows of a cluster changes nothing.
        let bridged = near(before, after);
        self.count = self.count + 1 + bridged - near(before, Some(at)) - near(Some(at), after);
        self.rows.insert((at, row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A track of half-hourly rows: score in tenths a digit, labelled where the mark is `^`.
    fn track(scores: &str, marks: &str) -> Track {
        let score: Vec<f64> = scores.bytes().map(|b| f64::from(b - b'0') / 10.0).collect();
        Track {
            at: (0..score.len()).map(|row| Timestamp(row as i64 * 1_800_000)).collect(),
            label: marks.bytes().map(|b| b == b'^').collect(),
            score,
        }
    }

    fn check(tracks: &[Track], alarms: usize, want: (Option<f64>, usize, usize, Option<f64>)) {
        let days = tracks.iter().map(|t| t.at.len() as f64).sum::<f64>() / 48.0;
        let got = at_rate(tracks, alarms as f64 / days + 1e-9);
        assert!((got.days - days).abs() < 1e-9);
        assert_eq!((got.threshold, got.found, got.false_alarms, got.delay_seconds_median), want);
    }

    #[test]
    fn the_threshold_falls_until_false_alarms_would_be_too_many() {
        let tracks = [track("0090000620000300", "......^^^...^^^.")];
        // 0.9 is a false alarm; only without it is nothing allowed at all.
        check(&tracks, 0, (None, 0, 0, None));
        // With one, down to 0.2: both events are found, the first half an hour after it began.
        check(&tracks, 1, (Some(0.2), 2, 1, Some(1800.0)));
    }

    #[test]
    fn what_comes_within_the_hour_is_one_alarm() {
        check(&[track("505050000500000", "...............")], 1, (None, 0, 0, None));
        check(&[track("505050000500000", "...............")], 2, (Some(0.5), 0, 2, None));
        // The row that joins two clusters makes them one.
        check(&[track("000504050000000", "...............")], 2, (Some(0.4), 0, 1, None));
    }

    #[test]
    fn one_threshold_holds_for_all_tracks() {
        let loud = track("8070", "....");
        let quiet = track("0060", "..^^");
        check(&[loud.clone(), quiet.clone()], 1, (Some(0.6), 1, 1, Some(0.0)));
        let got = at_rate(&[loud, quiet], 0.0);
        assert_eq!((got.events, got.found), (1, 0));
    }
}
