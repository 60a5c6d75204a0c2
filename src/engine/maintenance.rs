//! Maintenance windows: times known in advance when what a site, or some of it, does means nothing.
//!
//! A daily or weekly window is local time of the site. It begins when the clock on the wall first reads its beginning
//! and ends when the clock reads its end for the last time, and it is never shorter than on other nights. So on the
//! night that skips an hour a window within that hour lasts as long as it is written, from the jump on; on the night
//! that repeats an hour a window within it holds both times, and the time between.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use crate::sample::Timestamp;
use crate::series::registry::{EntityId, Registry, SeriesId};

/// One window, once or again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    pub when: When,
    /// Names of entities; empty stands for the whole site.
    pub entities: Vec<String>,
}

/// When a window holds. One that ends no later in the day than it begins ends on the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    Once { from: Timestamp, to: Timestamp },
    Daily { from: Time, to: Time },
    Weekly { on: Weekday, from: Time, to: Time },
}

impl When {
    fn holds(&self, at: Timestamp, zone: &TimeZone) -> bool {
        let (on, from, to) = match *self {
            When::Once { from, to } => return from <= at && at < to,
            When::Daily { from, to } => (None, from, to),
            When::Weekly { on, from, to } => (Some(on), from, to),
        };
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.0) else { return false };
        let today = zone.to_datetime(instant).date();
        // Of windows that began two days ago none is left: the longest is a day, and an hour on an odd night.
        [Some(today), today.yesterday().ok()].into_iter().flatten().any(|day| {
            on.is_none_or(|on| on == day.weekday())
                && span(day, from, to, zone).is_some_and(|(begin, end)| begin <= instant && instant < end)
        })
    }
}

/// The window that begins on `day`.
fn span(day: Date, from: Time, to: Time, zone: &TimeZone) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
    let last_day = if to > from { day } else { day.checked_add(1.day()).ok()? };
    let (begin, end) = (day.to_datetime(from), last_day.to_datetime(to));
    let length: SignedDuration = end.duration_since(begin);
    let begin = zone.to_ambiguous_timestamp(begin).compatible().ok()?;
    let end = zone.to_ambiguous_timestamp(end).later().ok()?;
    Some((begin, end.max(begin.checked_add(length).ok()?)))
}

/// All windows of a site.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    windows: Vec<Maintenance>,
    zone: TimeZone,
}

impl Calendar {
    pub(super) fn new(windows: Vec<Maintenance>, zone: TimeZone) -> Self {
        Calendar { windows, zone }
    }

    /// The entities in maintenance at a tick.
    pub(super) fn entities(&self, at: Timestamp, registry: &Registry) -> BTreeSet<EntityId> {
        let now: Vec<&Maintenance> =
            self.windows.iter().filter(|window| window.when.holds(at, &self.zone)).collect();
        if now.is_empty() {
            return BTreeSet::new();
        }
        let is_in =
            |name: &str| now.iter().any(|w| w.entities.is_empty() || w.entities.iter().any(|e| e == name));
        let all = (0..registry.entity_count()).map(|i| EntityId(i as u32));
        all.filter(|entity| is_in(registry.entity_name(*entity))).collect()
    }
}

/// The series of some entities.
pub(super) fn series_of<'r>(
    entities: &'r BTreeSet<EntityId>,
    registry: &'r Registry,
) -> impl Iterator<Item = SeriesId> + 'r {
    let series = registry.iter().filter(|_| !entities.is_empty()).map(|(series, _)| series);
    series.filter(|series| entities.contains(&registry.entity(*series)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;

    fn daily(from: (i8, i8), to: (i8, i8)) -> When {
        When::Daily { from: time(from.0, from.1, 0, 0), to: time(to.0, to.1, 0, 0) }
    }

    /// The times of `day`, UTC, at which a window begins or ends.
    fn check(when: &When, day: &str, want: &[&str]) {
        let zone = TimeZone::get("Europe/Vienna").unwrap();
        let begin = Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z")).unwrap();
        let minute = |m: i64| format!("{:02}:{:02}", m / 60, m % 60);
        let holds = |m: i64| when.holds(begin.plus_ms(m * 60_000), &zone);
        let edges: Vec<String> = (1..24 * 60).filter(|m| holds(*m) != holds(m - 1)).map(minute).collect();
        assert_eq!(edges, want, "{when:?} on {day}");
    }

    #[test]
    fn a_daily_window_is_local_time() {
        check(&daily((4, 0), (5, 30)), "2026-01-15", &["03:00", "04:30"]);
        check(&daily((4, 0), (5, 30)), "2026-07-15", &["02:00", "03:30"]);
        check(&daily((23, 0), (6, 0)), "2026-01-15", &["05:00", "22:00"]);
    }

    #[test]
    fn a_weekly_window_is_named_by_the_day_on_which_it_begins() {
        let saturday = When::Weekly { on: Weekday::Saturday, from: time(22, 0, 0, 0), to: time(3, 0, 0, 0) };
        // 2026-01-17 is a Saturday; midnight in Vienna is 23:00 UTC.
        let edges = |day: &str, at: &str| check(&saturday, day, &[at]);
        check(&saturday, "2026-01-16", &[]);
        edges("2026-01-17", "21:00");
        edges("2026-01-18", "02:00");
        check(&saturday, "2026-01-19", &[]);
    }

    #[test]
    fn the_night_that_skips_an_hour_makes_no_window_shorter() {
        // 2026-03-29, 02:00 becomes 03:00 at 01:00 UTC.
        check(&daily((2, 0), (3, 0)), "2026-03-29", &["01:00", "02:00"]);
        check(&daily((1, 30), (2, 30)), "2026-03-29", &["00:30", "01:30", "23:30"]);
        check(&daily((3, 0), (4, 0)), "2026-03-29", &["01:00", "02:00"]);
    }

    #[test]
    fn the_night_that_repeats_an_hour_has_it_twice_in_a_window() {
        // 2026-10-25, 03:00 becomes 02:00 at 01:00 UTC.
        check(&daily((2, 10), (2, 50)), "2026-10-25", &["00:10", "01:50"]);
        check(&daily((3, 0), (4, 0)), "2026-10-25", &["02:00", "03:00"]);
    }
}
