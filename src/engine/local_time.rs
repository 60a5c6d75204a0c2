//! The local time of the site: detectors learn habits, and habits follow the clock on the wall.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::detect::Tick;
use crate::sample::Timestamp;

/// Sunday, which is also how a holiday counts.
const SUNDAY: u8 = 6;

/// Time zone and holidays of the site. The zone's rules come with the binary, so that they are part of
/// what a replay repeats.
#[derive(Clone, Debug)]
pub(super) struct LocalTime {
    timezone: TimeZone,
    holidays: Vec<Date>,
}

impl LocalTime {
    pub(super) fn new(timezone: TimeZone, mut holidays: Vec<Date>) -> Self {
        holidays.sort_unstable();
        LocalTime { timezone, holidays }
    }

    /// What detectors need to know of a tick; a time beyond the calendar counts as Monday, midnight.
    pub(super) fn tick(&self, at: Timestamp, cadence_seconds: u32) -> Tick {
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.0) else {
            return Tick { at, cadence_seconds, local_second_of_day: 0, local_weekday: 0 };
        };
        let local = self.timezone.to_datetime(instant);
        let second = u32::from(local.hour().unsigned_abs()) * 3600
            + u32::from(local.minute().unsigned_abs()) * 60
            + u32::from(local.second().unsigned_abs());
        let weekday = if self.holidays.binary_search(&local.date()).is_ok() {
            SUNDAY
        } else {
            local.weekday().to_monday_zero_offset().unsigned_abs()
        };
        Tick { at, cadence_seconds, local_second_of_day: second, local_weekday: weekday }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(time: &str, want: (u32, u8)) {
        let zone = TimeZone::get("Europe/Vienna").unwrap();
        let local = LocalTime::new(zone, vec![jiff::civil::date(2024, 12, 26)]);
        let tick = local.tick(Timestamp::parse_rfc3339(time).unwrap(), 60);
        assert_eq!((tick.local_second_of_day, tick.local_weekday), want, "{time}");
    }

    #[test]
    fn a_dst_night_skips_or_repeats_an_hour() {
        check("2024-03-31T00:59:00Z", (3600 + 59 * 60, 6));
        check("2024-03-31T01:00:00Z", (3 * 3600, 6));
        check("2024-10-27T00:30:00Z", (2 * 3600 + 1800, 6));
        check("2024-10-27T01:30:00Z", (2 * 3600 + 1800, 6));
    }

    #[test]
    fn a_holiday_counts_as_sunday() {
        check("2024-12-25T12:00:00Z", (13 * 3600, 2));
        check("2024-12-26T12:00:00Z", (13 * 3600, 6));
    }
}
