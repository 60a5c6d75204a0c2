//! The sentence that a person reads first: what, where, how unusual, since when, what will happen when.

use super::House;
use super::case::Assessment;
use super::event::BrownOut;
use super::mover::Track;
use crate::predict::pack::{Fault, Movement};
use crate::sample::{Labels, Timestamp};

/// Movers named one by one before the rest is counted.
const NAMED: usize = 3;

/// Faults named where none stands out.
const CAUSES: usize = 2;

/// Labels that say where a series is scraped and not what it measures.
const PLACE: [&str; 4] = ["host", "instance", "job", "node"];

/// One sentence about a case whose movers are `story`, in the order in which they moved; not empty.
pub(super) fn summary(
    house: &House,
    at: Timestamp,
    story: &[&Track],
    fault: Option<(&Fault, f64)>,
    assessment: &Assessment,
) -> String {
    let mut text = past(house, at, story);
    if let Some((machine, restarted)) = &assessment.restarted {
        text.push_str(&format!("; {machine} restarted at {}", clock(*restarted, at)));
    }
    if let Some((fault, probability)) = fault {
        text.push_str(&format!("; looks like {} ({:.0} %)", fault.name, probability * 100.0));
    }
    if let Some(p) = &assessment.foreseen.prediction {
        if !assessment.foreseen.causes.is_empty() {
            text.push_str(&format!("; may be {}", causes(house, &assessment.foreseen.causes)));
        }
        let when = if p.impact_at <= at {
            " by now".to_owned()
        } else if p.earliest == p.latest {
            format!(" at {}", clock(p.impact_at, at))
        } else {
            let [at, from, to] = [p.impact_at, p.earliest, p.latest].map(|t| clock(t, at));
            format!(" at about {at} ({from} to {to})")
        };
        text.push_str(&format!("; {}{when}", p.what));
    }
    if let Some(brown_out) = &assessment.foreseen.brown_out {
        text.push_str(&format!("; {}", accepted(brown_out, at)));
    }
    text
}

/// `customers accept 30 min a week: 12 are used, the rest by 11:50 UTC`.
fn accepted(brown_out: &BrownOut, now: Timestamp) -> String {
    let ms = |seconds: f64| (1000.0 * seconds) as i64;
    let accepted = duration(ms(brown_out.accepted_seconds));
    let used = match (brown_out.used_seconds / 60.0, accepted.ends_with(" min")) {
        (minutes, true) if minutes < 120.0 => format!("{minutes:.0}"),
        (minutes, false) if minutes < 120.0 => format!("{minutes:.0} min"),
        _ => duration(ms(brown_out.used_seconds)),
    };
    let used = match brown_out.used_up_at.map(|by| clock(by, now)) {
        None => "all are used".to_owned(),
        Some(by) if brown_out.used_seconds == 0.0 => format!("none are used, all by {by}"),
        Some(by) if brown_out.used_seconds == 60.0 => format!("{used} is used, the rest by {by}"),
        Some(by) => format!("{used} are used, the rest by {by}"),
    };
    format!("{} accept {accepted} a week: {used}", brown_out.name)
}

/// The faults that it may be, of which none stands out: `clamd_stuck (40 %) or slow_lmtp (30 %)`.
fn causes(house: &House, causes: &[(usize, f64)]) -> String {
    let names = causes.iter().take(CAUSES).map(|(fault, probability)| {
        format!("{} ({:.0} %)", house.table.faults()[*fault].name, 100.0 * probability)
    });
    names.collect::<Vec<_>>().join(" or ")
}

/// What it was about, once it is over.
pub(super) fn past(house: &House, at: Timestamp, story: &[&Track]) -> String {
    let Some((first, others)) = story.split_first() else { return String::new() };
    let mut text = format!("{}: {}", place(first), course(house, at, first));
    if !others.is_empty() {
        text.push_str(", then ");
        text.push_str(&also(house, others));
    }
    text
}

/// `14 min`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => two(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

fn place(track: &Track) -> &str {
    if track.entity_name.is_empty() { "unnamed host" } else { &track.entity_name }
}

/// What the first mover did, with numbers.
fn course(house: &House, at: Timestamp, track: &Track) -> String {
    let (since, worst) = track.course();
    let since = clock(since, at);
    let name = name(house, track);
    if track.moves() == Movement::Silent {
        return format!("{name} has given no data since {since}");
    }
    let unit = track.signal.map_or("", |signal| house.table.unit(signal));
    // The band of a count or a size ends at nothing, where its detectors know only numbers.
    let floor = if worst.value >= 0.0 && worst.expected >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
    let [value, low, high] = [worst.value, worst.low.max(floor), worst.high];
    let (value, [low, high]) = match unit {
        "s since 1970" => (moment(value, at), [low, high].map(|v| moment(v, at))),
        "0 or 1" => (number(value), [low, high].map(|v| number(v.round()))),
        // Each in the unit that suits it, and what it is of once.
        _ if unit.starts_with("bytes") => (quantity(value, unit), [low, high].map(|v| quantity(v, "bytes"))),
        _ => (quantity(value, unit), [low, high].map(number)),
    };
    let usual = if low == high { format!("usually {low}") } else { format!("usually {low} to {high}") };
    format!("{name} at {value} ({usual}) since {since}")
}

fn also(house: &House, others: &[&Track]) -> String {
    let mut names: Vec<String> = Vec::new();
    for track in others {
        let word = match track.moves() {
            Movement::Up => "up",
            Movement::Down => "down",
            Movement::Silent => "silent",
        };
        let said = format!("{} {word}", name(house, track));
        if !names.contains(&said) {
            names.push(said);
        }
    }
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let list = names.join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

/// The pack's words for a signal, the series itself where no pack knows it.
fn name(house: &House, track: &Track) -> String {
    match track.signal {
        Some(signal) => house.table.signal(signal).reads.clone(),
        None => without_place(&track.labels),
    }
}

/// A series without the labels that only say where it was scraped: the sentence has named the place.
fn without_place(labels: &Labels) -> String {
    let told: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| !PLACE.contains(name)).collect();
    Labels::new(&told).to_string()
}

/// A number with three digits that count, and its unit; bytes by powers of 1024.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    if let Some(rest) = unit.strip_prefix("bytes") {
        return bytes(value, rest);
    }
    let number = number(value);
    match unit {
        "" | "0 or 1" => number,
        _ => format!("{number} {unit}"),
    }
}

fn bytes(value: f64, rest: &str) -> String {
    let mut value = value;
    let mut unit = "B";
    for bigger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value.abs() < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = bigger;
    }
    format!("{} {unit}{rest}", number(value))
}

fn number(value: f64) -> String {
    let size = value.abs();
    // Whole numbers, and what has three digits before the point, need none after it.
    if size == 0.0 {
        return "0".into();
    }
    if !size.is_finite() || size >= 100.0 || size.fract() == 0.0 {
        return format!("{value:.0}");
    }
    if size < 1e-3 {
        return format!("{value:.2e}");
    }
    // cannot fail: 1e-3 to 100 has a logarithm of -3 to 1
    let digits = (2 - libm::floor(libm::log10(size)) as i32) as usize;
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value in seconds since 1970.
fn moment(value: f64, now: Timestamp) -> String {
    clock(Timestamp::from_seconds(value), now)
}

/// `14:03` UTC, with the date where it is another day's than `now`.
fn clock(at: Timestamp, now: Timestamp) -> String {
    let (text, today) = (at.to_string(), now.to_string());
    match (text.get(..10), text.get(11..16), today.get(..10)) {
        (Some(day), Some(minute), Some(today)) if day == today => format!("{minute} UTC"),
        (Some(day), Some(minute), _) => format!("{day} {minute} UTC"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_named_without_its_place() {
        let labels = Labels::new(&[
            ("__name__", "up"),
            ("host", "a"),
            ("instance", "a:1"),
            ("job", "x"),
            ("queue", "hold"),
        ]);
        assert_eq!(without_place(&labels), r#"up{queue="hold"}"#);
    }

    #[test]
    fn numbers_have_the_digits_that_count() {
        for (value, unit, want) in [
            (0.0, "messages", "0 messages"),
            (412.0, "messages", "412 messages"),
            (12345.6, "ms", "12346 ms"),
            (2.4649, "s", "2.46 s"),
            (0.0420, "s", "0.042 s"),
            (0.000_064, "s", "6.40e-5 s"),
            (-0.0, "", "0"),
            (99.95, "%", "100 %"),
            (-2.5, "", "-2.5"),
            (1536.0, "bytes", "1.5 KiB"),
            (5e12, "bytes a second", "4.55 TiB a second"),
            (0.0, "0 or 1", "0"),
            (f64::NAN, "s", "NaN s"),
        ] {
            assert_eq!(quantity(value, unit), want);
        }
    }

    #[test]
    fn what_users_accept_is_told_with_what_is_left_of_it() {
        let now = Timestamp::parse_rfc3339("2026-03-02T11:30:00Z").unwrap();
        let said = |accepted_minutes: f64, used_minutes: f64, minutes_ahead: Option<i64>| {
            let (accepted_seconds, used_seconds) = (60.0 * accepted_minutes, 60.0 * used_minutes);
            let used_up_at = minutes_ahead.map(|minutes| now.plus_ms(60_000 * minutes));
            accepted(&BrownOut { name: "customers".into(), accepted_seconds, used_seconds, used_up_at }, now)
        };
        for (told, want) in [
            (said(30.0, 12.0, Some(20)), "30 min a week: 12 are used, the rest by 11:50 UTC"),
            (said(30.0, 1.0, Some(29)), "30 min a week: 1 is used, the rest by 11:59 UTC"),
            (said(30.0, 0.0, Some(840)), "30 min a week: none are used, all by 2026-03-03 01:30 UTC"),
            (said(30.0, 31.0, None), "30 min a week: all are used"),
            (said(240.0, 12.0, Some(20)), "4 h a week: 12 min are used, the rest by 11:50 UTC"),
            (said(240.0, 150.0, Some(20)), "4 h a week: 2 h 30 min are used, the rest by 11:50 UTC"),
            (said(1.5, 1.0, Some(20)), "90 s a week: 1 min is used, the rest by 11:50 UTC"),
        ] {
            assert_eq!(told, format!("customers accept {want}"));
        }
    }

    #[test]
    fn a_time_of_another_day_says_which() {
        let now = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
        assert_eq!(clock(now.plus_ms(60_000), now), "09:01 UTC");
        assert_eq!(clock(now.plus_ms(86_400_000), now), "2026-03-03 09:00 UTC");
    }
}
