//! The local day: how much people work at an instant, and which jobs run.
//!
//! Jobs stand at their usual hours in every mail system: they are load like any other, and no fault.

use jiff::Timestamp as Instant;
use jiff::civil::{DateTime, Weekday};

use super::shape::Shape;
use crate::sample::Timestamp;
use crate::sim::load::share_of_peak;

/// Shares of a host that jobs take at an instant, 0 where none runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jobs {
    /// Of a store's disk and CPU: the backup.
    pub backup: f64,
    /// Look-ups of quotas, a second and store.
    pub quota_lookups: f64,
    /// Of a store's database: cleanup and the weekly check.
    pub database: f64,
    /// Of an MTA's CPU: training of the spam filter.
    pub training: f64,
    /// Messages a second of the daily report.
    pub report: f64,
    /// Rotation and deletion of old backups, within this step.
    pub rotates: bool,
}

/// What the clock on the wall says.
pub fn local(at: Timestamp, shape: &Shape) -> DateTime {
    let instant = Instant::from_millisecond(at.0).unwrap_or(Instant::UNIX_EPOCH);
    shape.timezone.to_datetime(instant)
}

/// Share of the weekly peak of what people do. A holiday is a Sunday.
pub fn people(at: Timestamp, shape: &Shape) -> f64 {
    let now = local(at, shape);
    let date = now.date();
    // The rhythm is that of a week in UTC; the local clock is read as if it were one.
    let seconds = i64::from(now.hour()) * 3600 + i64::from(now.minute()) * 60 + i64::from(now.second());
    let weekday = match shape.holidays.contains(&date) {
        true => 6,
        false => i64::from(date.weekday().to_monday_zero_offset()),
    };
    // Monday, 1970-01-05.
    share_of_peak(Timestamp((4 * 86_400 + weekday * 86_400 + seconds) * 1000))
}

/// What runs in the step of `seconds` that ends at `at`.
pub fn jobs(at: Timestamp, seconds: f64, shape: &Shape) -> Jobs {
    let now = local(at, shape);
    let minute = f64::from(now.hour()) * 60.0 + f64::from(now.minute()) + f64::from(now.second()) / 60.0;
    let within = |from: f64, minutes: f64| (from..from + minutes).contains(&minute);
    let mut jobs = Jobs::default();
    match now.date().weekday() {
        Weekday::Saturday if within(60.0, 170.0) => jobs.backup = 0.40,
        Weekday::Saturday | Weekday::Sunday => {}
        _ if within(60.0, 38.0) => jobs.backup = 0.22,
        _ => {}
    }
    if within(135.0, 6.0) {
        jobs.quota_lookups = 15.0;
    }
    if within(150.0, 20.0) {
        jobs.database = 0.15;
    }
    if now.date().weekday() == Weekday::Sunday && within(23.0 * 60.0, 30.0) {
        jobs.database = 0.3;
    }
    if within(22.0 * 60.0, 18.0) {
        jobs.training = 0.3;
    }
    if within(23.5 * 60.0, 4.0) {
        jobs.report = 0.4;
    }
    jobs.rotates = minute * 60.0 < seconds;
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn the_rhythm_and_the_jobs_follow_the_local_clock_through_a_dst_night() {
        let berlin = Shape { timezone: TimeZone::get("Europe/Berlin").unwrap(), ..Shape::default() };
        // 10:30 on a Wednesday in winter and in summer.
        for text in ["2026-03-25T09:30:00Z", "2026-04-01T08:30:00Z"] {
            assert!(people(at(text), &berlin) > 0.95, "{text}");
        }
        assert!(jobs(at("2026-03-25T00:10:00Z"), 5.0, &berlin).backup > 0.0);
        assert_eq!(jobs(at("2026-04-01T00:10:00Z"), 5.0, &berlin).backup, 0.0);
        assert!(jobs(at("2026-03-31T23:10:00Z"), 5.0, &berlin).backup > 0.0);
    }

    #[test]
    fn a_holiday_is_a_sunday_and_midnight_rotates_once() {
        let shape = Shape { holidays: vec![date(2026, 5, 1)], ..Shape::default() };
        assert!(people(at("2026-05-01T10:00:00Z"), &shape) < 0.25);
        assert!(people(at("2026-04-30T10:00:00Z"), &shape) > 0.9);
        let rotates =
            (0..100).filter(|i| jobs(at("2026-04-30T23:55:00Z").plus_ms(i * 5_000), 5.0, &shape).rotates);
        assert_eq!(rotates.count(), 1);
    }
}
