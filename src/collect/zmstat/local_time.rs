//! Local times without a zone, as `MM/dd/yyyy HH:mm:ss`, put on the one line of time.
//!
//! In the night in which an hour comes twice, the rows of a file tell by their order which of the two is meant:
//! the earlier, unless that would lie before the row above; then the later. In the night in which an hour is
//! skipped, a time within it is as long after the jump as it claims to be after its beginning.
//!
//! Two things cannot be told: a clock that is set back a little within the hour that comes twice may look like its
//! second time, and a writer that was silent from before that hour into its second time looks like the first.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::sample::Timestamp;

/// Reads `MM/dd/yyyy HH:mm:ss`.
pub fn read(text: &[u8]) -> Option<DateTime> {
    let [m1, m2, b'/', d1, d2, b'/', y1, y2, y3, y4, b' ', h1, h2, b':', n1, n2, b':', s1, s2] = *text else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0i16, |n, d| d.is_ascii_digit().then(|| n * 10 + i16::from(d - b'0')))
    };
    let two = |a, b| number(&[a, b]).and_then(|n| i8::try_from(n).ok());
    let date = Date::new(number(&[y1, y2, y3, y4])?, two(m1, m2)?, two(d1, d2)?).ok()?;
    let time = Time::new(two(h1, h2)?, two(n1, n2)?, two(s1, s2)?, 0).ok()?;
    Some(date.to_datetime(time))
}

/// Why a row has no place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfTime {
    /// The clock of the host was set back: the row lies before the one above.
    Backwards,
    /// The clock of the host runs ahead of ours.
    Ahead,
}

/// The times of one writer's rows, which never go back.
#[derive(Clone, Debug)]
pub struct LocalClock {
    zone: TimeZone,
    newest: Option<Timestamp>,
}

impl LocalClock {
    pub fn new(zone: TimeZone) -> Self {
        LocalClock { zone, newest: None }
    }

    /// When the next row was written. `latest` is the last instant that can be meant, where the present is known.
    ///
    /// # Errors
    /// A time before that of an earlier row, or after `latest`: the clock stays where it was.
    pub fn place(&mut self, local: DateTime, latest: Option<Timestamp>) -> Result<Timestamp, OutOfTime> {
        let at = |offset: Offset| offset.to_timestamp(local).map(|at| Timestamp(at.as_millisecond()));
        let (first, second) = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => (at(offset), None),
            AmbiguousOffset::Gap { before, .. } => (at(before), None),
            AmbiguousOffset::Fold { before, after } => (at(before), at(after).ok()),
        };
        // No clock shows a time beyond the calendar.
        let first = first.map_err(|_| OutOfTime::Ahead)?;
        let is_past = |at: Timestamp| latest.is_none_or(|latest| at <= latest);
        let goes_on = |at: Timestamp| self.newest.is_none_or(|newest| newest <= at);
        if !is_past(first) {
            return Err(OutOfTime::Ahead);
        }
        let at = [Some(first), second].into_iter().flatten().find(|at| goes_on(*at) && is_past(*at));
        self.newest = at.or(self.newest);
        at.ok_or(OutOfTime::Backwards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Places each local time of a file, told as UTC.
    fn check(zone: &str, rows: &[(&str, Result<&str, OutOfTime>)]) {
        let mut clock = LocalClock::new(TimeZone::get(zone).unwrap());
        for (local, want) in rows {
            let want = want.map(|want| Timestamp::parse_rfc3339(want).unwrap());
            assert_eq!(clock.place(read(local.as_bytes()).unwrap(), None), want, "{local}");
        }
    }

    #[test]
    fn in_the_hour_that_comes_twice_the_order_of_rows_tells_which() {
        check(
            "Europe/Berlin",
            &[
                ("10/25/2026 01:59:30", Ok("2026-10-24T23:59:30Z")),
                ("10/25/2026 02:00:00", Ok("2026-10-25T00:00:00Z")),
                ("10/25/2026 02:59:30", Ok("2026-10-25T00:59:30Z")),
                ("10/25/2026 02:00:00", Ok("2026-10-25T01:00:00Z")),
                ("10/25/2026 02:00:00", Ok("2026-10-25T01:00:00Z")),
                ("10/25/2026 02:59:30", Ok("2026-10-25T01:59:30Z")),
                ("10/25/2026 03:00:00", Ok("2026-10-25T02:00:00Z")),
            ],
        );
        check(
            "America/New_York",
            &[
                ("11/01/2026 01:10:00", Ok("2026-11-01T05:10:00Z")),
                ("11/01/2026 01:50:00", Ok("2026-11-01T05:50:00Z")),
                ("11/01/2026 01:00:00", Ok("2026-11-01T06:00:00Z")),
                ("11/01/2026 01:50:00", Ok("2026-11-01T06:50:00Z")),
                ("11/01/2026 02:00:00", Ok("2026-11-01T07:00:00Z")),
            ],
        );
    }

    #[test]
    fn the_hour_that_is_skipped_moves_nothing_else() {
        check(
            "Europe/Berlin",
            &[
                ("03/29/2026 01:59:30", Ok("2026-03-29T00:59:30Z")),
                ("03/29/2026 02:00:30", Ok("2026-03-29T01:00:30Z")),
                ("03/29/2026 03:01:00", Ok("2026-03-29T01:01:00Z")),
            ],
        );
        check(
            "America/New_York",
            &[
                ("03/08/2026 01:59:00", Ok("2026-03-08T06:59:00Z")),
                ("03/08/2026 03:00:00", Ok("2026-03-08T07:00:00Z")),
            ],
        );
    }

    #[test]
    fn a_clock_that_was_set_back_costs_the_rows_until_it_has_caught_up() {
        check(
            "Europe/Berlin",
            &[
                ("11/28/2026 12:00:30", Ok("2026-11-28T11:00:30Z")),
                ("11/28/2026 12:00:10", Err(OutOfTime::Backwards)),
                ("11/28/2026 12:00:40", Ok("2026-11-28T11:00:40Z")),
            ],
        );
    }

    #[test]
    fn a_clock_that_was_wrong_for_a_moment_does_not_silence_its_file() {
        let mut clock = LocalClock::new(TimeZone::get("Europe/Berlin").unwrap());
        let mut place = |local: &str, now: &str| {
            clock.place(read(local.as_bytes()).unwrap(), Timestamp::parse_rfc3339(now))
        };
        assert_eq!(place("01/01/2038 00:00:00", "2026-10-25T00:30:00Z"), Err(OutOfTime::Ahead));
        assert!(place("10/25/2026 02:30:00", "2026-10-25T00:30:00Z").is_ok());
        // Set back by a second within the hour that comes twice: its second time is yet to come.
        assert_eq!(place("10/25/2026 02:29:59", "2026-10-25T00:30:01Z"), Err(OutOfTime::Backwards));
        assert!(place("10/25/2026 02:30:01", "2026-10-25T00:30:01Z").is_ok());
    }

    #[test]
    fn what_is_no_time_is_none() {
        assert_eq!(read(b"11/28/2026 23:59:07").unwrap().to_string(), "2026-11-28T23:59:07");
        for wrong in [
            "",
            "timestamp",
            "2026-11-28 23:59:07",
            "11/28/2026 23:59",
            "13/01/2026 00:00:00",
            "02/30/2026 00:00:00",
            "11/28/2026 24:00:00",
            "11/28/2026 23:59:+7",
            "11/28/2026 23:59:07 ",
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn times_never_go_back(minutes in prop::collection::vec(0i64..600, 1..40)) {
            let mut clock = LocalClock::new(TimeZone::get("Europe/Berlin").unwrap());
            let mut newest = Timestamp::MIN;
            let midnight = read(b"10/25/2026 00:00:00").unwrap();
            for minute in minutes {
                let local = midnight.checked_add(jiff::Span::new().minutes(minute)).unwrap();
                if let Ok(at) = clock.place(local, None) {
                    prop_assert!(at >= newest);
                    newest = at;
                }
            }
        }
    }
}
