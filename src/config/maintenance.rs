//! Windows of maintenance: once, every day or every week, for some entities or the whole site.

use jiff::civil::{Time, Weekday};

use super::problem::Place;
use super::read::{FromNode, Placed, Reader, Section, did_you_mean};
use super::yaml::{Node, Value};
use crate::engine::{Maintenance, When};
use crate::sample::Timestamp;
use crate::series::registry::without_port;

/// Windows at most: each is looked at once a tick.
const WINDOWS_MAX: usize = 256;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// What a window can say of when it holds.
const FORMS: &str = "`daily: 01:00-02:00`, `weekly: sat 03:00-05:00`, or `from` and `to`";

pub(super) fn maintenance(root: &Section) -> Vec<Maintenance> {
    let sections = root.list("maintenance");
    if let Some(beyond) = sections.get(WINDOWS_MAX) {
        let what = format!("more than {WINDOWS_MAX} maintenance windows");
        root.reader.sink.push(beyond.at, what, "remove those that are over");
    }
    sections.into_iter().filter_map(window).collect()
}

fn window(section: Section) -> Option<Maintenance> {
    let daily = section.get::<Placed<Span>>("daily").map(|p| (p.at, p.value));
    let weekly = section.get::<Placed<OfWeek>>("weekly").map(|p| (p.at, p.value));
    let [from, to] = ["from", "to"].map(|key| section.get::<Placed<Instant>>(key));
    let entities = entities(&section);
    let named = ["daily", "weekly", "from", "to"].map(|key| section.node(key).is_some());
    let is_once = named[2] || named[3];
    let forms = [named[0], named[1], is_once].into_iter().filter(|named| *named).count();
    if forms != 1 || (is_once && !(named[2] && named[3])) {
        let what = if forms > 1 {
            "a maintenance window holds at one kind of time, and this has several"
        } else {
            "a maintenance window does not say when it holds"
        };
        section.reader.sink.push(section.at, what, format!("write one of {FORMS}"));
        section.finish();
        return None;
    }
    let when = match (daily, weekly, from, to) {
        (Some((_, Span { from, to })), ..) => Some(When::Daily { from, to }),
        (_, Some((_, OfWeek { on, span })), ..) => Some(When::Weekly { on, from: span.from, to: span.to }),
        (_, _, Some(from), Some(to)) => once(&section, from.value.0, (to.at, to.value.0)),
        // Wrong, and told.
        _ => None,
    };
    section.finish();
    Some(Maintenance { when: when?, entities: entities? })
}

fn once(section: &Section, from: Timestamp, (at, to): (Place, Timestamp)) -> Option<When> {
    if to <= from {
        section.reader.sink.push(at, "the window ends before it begins", "let `to` be later than `from`");
        return None;
    }
    Some(When::Once { from, to })
}

/// None stands for all; an empty list could mean either.
pub(super) fn entities(section: &Section) -> Option<Vec<String>> {
    if section.node("entities").is_none() {
        return Some(Vec::new());
    }
    let node = section.node("entities")?;
    let named: Vec<String> = section.get("entities")?;
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        let mend = "name some, or leave the key out for the whole site";
        section.reader.sink.push(node.at, "`entities` is empty", mend);
    }
    // Machines have no port, also where the label that names them does.
    let machines: Vec<String> = named.iter().map(|name| without_port(name.trim()).to_owned()).collect();
    (!machines.is_empty()).then_some(machines)
}

struct Instant(Timestamp);

impl FromNode for Instant {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let at = Timestamp::parse_rfc3339(&text);
        if at.is_none() {
            let mend = "write it with its offset, such as 2026-11-01T02:00:00+01:00";
            reader.sink.push(node.at, format!("`{text}` is no time"), mend);
        }
        at.map(Instant)
    }
}

/// `01:00-02:00`; over midnight where the end is not later.
struct Span {
    from: Time,
    to: Time,
}

impl Span {
    fn read(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let minute = |text: &str| Time::strptime("%H:%M", text.trim()).ok();
        let span = Span { from: minute(from)?, to: minute(to)? };
        // A window that begins when it ends could be none or never end.
        (span.from != span.to).then_some(span)
    }
}

impl FromNode for Span {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let span = Span::read(&text);
        if span.is_none() {
            let mend = "write when it begins and ends, such as 01:00-02:00";
            reader.sink.push(node.at, format!("`{text}` is no time of the day"), mend);
        }
        span
    }
}

/// `sat 03:00-05:00`; the day is the one on which it begins.
struct OfWeek {
    on: Weekday,
    span: Span,
}

impl FromNode for OfWeek {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let (day, span) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let Some(place) = DAYS.iter().position(|known| *known == day.to_ascii_lowercase()) else {
            reader.sink.push(node.at, format!("`{day}` is no day of the week"), did_you_mean(day, &DAYS));
            return None;
        };
        let Some(span) = Span::read(span) else {
            let mend = "write the day and when it begins and ends, such as sat 03:00-05:00";
            reader.sink.push(node.at, format!("`{text}` is no time of the week"), mend);
            return None;
        };
        let on = Weekday::from_monday_zero_offset(place as i8).ok()?;
        Some(OfWeek { on, span })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn each_kind_of_window_is_read() {
        let text = "site: home\nmaintenance:\n  - daily: 23:30-01:00\n  - weekly: Sat 03:00 - 05:00\n    entities: [store1]\n  - {from: 2026-11-01T02:00:00+01:00, to: 2026-11-01T04:00:00Z}\n";
        let config = Config::parse(text, Path::new("c.yaml"), Path::new(""), &|_| None).unwrap();
        let time = |hour, minute| jiff::civil::time(hour, minute, 0, 0);
        let [daily, weekly, once] = &config.maintenance[..] else { panic!("{:?}", config.maintenance) };
        assert_eq!(daily.when, When::Daily { from: time(23, 30), to: time(1, 0) });
        assert_eq!(weekly.when, When::Weekly { on: Weekday::Saturday, from: time(3, 0), to: time(5, 0) });
        assert_eq!((daily.entities.len(), &weekly.entities[..]), (0, &["store1".to_owned()][..]));
        let at = |text| Timestamp::parse_rfc3339(text).unwrap();
        let want = When::Once { from: at("2026-11-01T01:00:00Z"), to: at("2026-11-01T04:00:00Z") };
        assert_eq!(once.when, want);
        assert!(config.to_string().ends_with(", 3 maintenance windows"), "{config}");
    }
}
