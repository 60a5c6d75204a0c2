//! When people send mail and when jobs run: what repeats each day and each week, exactly in time.

const DAY: f64 = 86_400.0;
const HOUR: f64 = 3_600.0;
/// Monday to Sunday.
const WEEKDAYS: [f64; 7] = [1.0, 1.05, 1.0, 0.98, 0.9, 0.4, 0.3];

/// Humps of an ordinary day: hour, half width in hours, height; the night between them has `NIGHT`.
const HUMPS: [(f64, f64, f64); 3] = [(9.8, 1.6, 0.85), (14.6, 1.8, 0.75), (20.0, 1.5, 0.15)];
const NIGHT: f64 = 0.15;

/// A backup each night at 01:00, and a longer job on Saturdays at 03:00: start and length in hours.
const NIGHTLY: (f64, f64) = (1.0, 0.7);
const SATURDAY: (f64, f64) = (3.0, 2.0);

/// What people do at a second since a Monday, 00:00; 1 is a busy working hour.
pub fn people(second: i64) -> f64 {
    let hour = second.rem_euclid(86_400) as f64 / HOUR;
    let bell = |(middle, width, height): (f64, f64, f64)| {
        let away = (hour - middle) / width;
        height * (-0.5 * away * away).exp()
    };
    let work: f64 = HUMPS.into_iter().map(bell).sum();
    // A weekday turns into the next within an hour around midnight.
    let day = second as f64 / DAY;
    let weekday = |day: f64| WEEKDAYS[(day as i64).rem_euclid(7) as usize];
    let past_midnight = (hour * 2.0).min(1.0);
    let level = weekday(day - 1.0 + 7.0) * (1.0 - past_midnight) + weekday(day) * past_midnight;
    NIGHT * level.sqrt() + work * level
}

/// How much of a machine the jobs take at that second: 0, or 1 for the nightly one, or 1.5 for that of Saturday.
pub fn jobs(second: i64) -> f64 {
    let hour = second.rem_euclid(86_400) as f64 / HOUR;
    let within = |(start, length): (f64, f64)| (start..start + length).contains(&hour);
    let is_saturday = second.div_euclid(86_400).rem_euclid(7) == 5;
    if within(NIGHTLY) {
        1.0
    } else if is_saturday && within(SATURDAY) {
        1.5
    } else {
        0.0
    }
}
