//! The section `service_levels`: what users were promised, for all of them or for those of some machines, and how much of a
//! week they accept without it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::maintenance::entities;
use super::problem::Place;
use super::read::{FromNode, Placed, Reader, Section, did_you_mean};
use super::scalar::parse_duration;
use super::yaml::{Node, Value};
use crate::predict::pack::Pack;
use crate::predict::service_levels::{Promise, ServiceLevels};
use crate::predict::signals::SignalTable;

/// Promises at most: each is looked at for every forecast.
const PROMISES_MAX: usize = 64;
const SECONDS_MAX: f64 = 30.0 * 86_400.0;
const PERCENT_MAX: f64 = 100.0;
/// It is said of every week.
const BROWN_OUT_SECONDS_MAX: f64 = 7.0 * 86_400.0;
/// It stands in sentences.
const NAME_CHARS_MAX: usize = 64;

pub(super) fn service_levels(root: &Section, packs: &[Pack]) -> ServiceLevels {
    let sections = root.list("service_levels");
    if let Some(beyond) = sections.get(PROMISES_MAX) {
        let what = format!("more than {PROMISES_MAX} service levels");
        root.reader.sink.push(beyond.at, what, "join those that promise the same");
    }
    let table = SignalTable::new(packs);
    let mut called = Vec::new();
    let promises = sections.into_iter().map(|section| {
        let (at, has_name) = (section.at, section.node("name").is_some());
        let promise = promise(section, &table);
        // A name that is wrong is told, and says nothing of others.
        if has_name == promise.name.is_some() {
            tell_apart(root, at, &promise, &mut called);
        }
        promise
    });
    ServiceLevels(promises.collect())
}

/// Users whose minutes are counted, or who have a name, are not called as others before them are.
fn tell_apart(root: &Section, at: Place, promise: &Promise, called: &mut Vec<String>) {
    if promise.name.is_none() && promise.brown_out_seconds.is_none() {
        return;
    }
    let users = promise.users();
    if called.contains(&users) {
        let what = format!("two service levels are of `{users}`");
        root.reader.sink.push(at, what, "give one of them a `name` of its own");
    }
    called.push(users);
}

/// What is promised of one level.
#[derive(Clone, Copy, Debug)]
enum Amount {
    Time(Duration),
    Percent(f64),
}

impl FromNode for Amount {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        if let Value::Plain(text) | Value::Quoted(text) = &node.value {
            let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
            let amount = percent.map(Amount::Percent).or_else(|| Some(Amount::Time(parse_duration(text)?)));
            if amount.is_some() {
                return amount;
            }
        }
        reader.wrong(node, "a duration or a share", "write such as 15s, 5m or 4h, or 2%");
        None
    }
}

fn promise(section: Section, table: &SignalTable) -> Promise {
    let entities = entities(&section).unwrap_or_default();
    let named = section.need::<BTreeMap<String, Placed<Amount>>>(
        "within",
        "say what is promised: `within: { delivery: 5m }`",
    );
    let is_empty = |node: &Node| matches!(&node.value, Value::Map(entries) if entries.is_empty());
    if section.node("within").is_some_and(|node| is_empty(node) || matches!(node.value, Value::Empty)) {
        let mend = "name a level, or leave the entry out";
        section.reader.sink.push(section.at, "`within` promises nothing", mend);
    }
    let known: Vec<&str> = table.levels().collect();
    let mut within = BTreeMap::new();
    for (level, Placed { at, value }) in named.unwrap_or_default() {
        let (at_most, max, max_shown) = match value {
            Amount::Time(time) => (time.as_secs_f64(), SECONDS_MAX, "30d"),
            Amount::Percent(percent) => (percent, PERCENT_MAX, "100%"),
        };
        let is_share = matches!(value, Amount::Percent(_));
        // Where no pack could be read that is told, and nothing is known here.
        if !known.is_empty() && !known.contains(&level.as_str()) {
            let mend = did_you_mean(&level, &known);
            section.reader.sink.push(at, format!("no pack has a service level `{level}`"), mend);
        } else if !known.is_empty() && table.is_share(&level) != is_share {
            let (what, mend) = if is_share { ("a time", "10s") } else { ("a share", "2%") };
            section.reader.sink.push(at, format!("`{level}` is {what}"), format!("write such as {mend}"));
        } else if !(at_most > 0.0 && at_most <= max) {
            let what = format!("`{level}` is out of bounds");
            section.reader.sink.push(at, what, format!("choose more than nothing and at most {max_shown}"));
        }
        within.insert(level, at_most);
    }
    let (name, brown_out_seconds) = (name(&section), brown_out_seconds(&section));
    section.finish();
    Promise { name, entities, within, brown_out_seconds }
}

fn name(section: &Section) -> Option<String> {
    let Placed { at, value } = section.get::<Placed<String>>("name")?;
    let value = value.trim().to_owned();
    if value.is_empty() || value.chars().any(char::is_control) || value.chars().count() > NAME_CHARS_MAX {
        let what = format!("the name is not one line of at most {NAME_CHARS_MAX} characters");
        section.reader.sink.push(at, what, "name the users shortly, such as `customers`");
        return None;
    }
    Some(value)
}

fn brown_out_seconds(section: &Section) -> Option<f64> {
    let Placed { at, value } = section.get::<Placed<Duration>>("brown_out_per_week")?;
    let seconds = value.as_secs_f64();
    if !(seconds > 0.0 && seconds <= BROWN_OUT_SECONDS_MAX) {
        let mend = "choose more than nothing and at most 7d, or leave it out";
        section.reader.sink.push(at, "`brown_out_per_week` is out of bounds", mend);
        return None;
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Problems};

    fn read(levels: &str) -> Result<Config, Problems> {
        let text = format!("site: home\nservice_levels:\n{levels}");
        Config::parse(&text, Path::new("c.yaml"), Path::new(""), &|_| None)
    }

    #[test]
    fn promises_hold_for_all_or_for_those_of_some_machines() {
        let config =
            read("  - within: {delivery: 10m}\n  - entities: [store1]\n    within: {login: 3s}\n").unwrap();
        let [all, some] = &config.service_levels.0[..] else { panic!("{:?}", config.service_levels) };
        assert_eq!((all.entities.len(), all.within["delivery"]), (0, 600.0));
        assert_eq!((&some.entities[..], some.within["login"]), (&["store1".to_owned()][..], 3.0));
    }

    #[test]
    fn a_share_is_promised_in_percent_and_a_time_is_not() {
        let config = read("  - within: {put_off: 2.5%, failed: 1 %, delivery: 10m}\n").unwrap();
        let within = &config.service_levels.0[0].within;
        assert_eq!((within["put_off"], within["failed"], within["delivery"]), (2.5, 1.0, 600.0));
        for (wrong, what) in [
            ("put_off: 10m", "`put_off` is a share; write such as 2%"),
            ("login: 3%", "`login` is a time; write such as 10s"),
            ("put_off: 0%", "`put_off` is out of bounds; choose more than nothing and at most 100%"),
            ("put_off: 101%", "at most 100%"),
            ("put_off: NaN%", "out of bounds"),
            ("put_off: 2", "needs a duration or a share, found `2`; write such as 15s, 5m or 4h, or 2%"),
        ] {
            let told = read(&format!("  - within: {{{wrong}}}\n")).unwrap_err().to_string();
            assert!(told.starts_with("c.yaml:3:") && told.contains(what), "{wrong}: {told}");
        }
    }

    #[test]
    fn what_no_pack_knows_or_nobody_could_keep_is_placed() {
        let said =
            |levels: &str| read(levels).unwrap_err().0.iter().map(ToString::to_string).collect::<Vec<_>>();
        let unknown = said("  - within: {delivry: 10m}\n");
        assert_eq!(unknown.len(), 1, "{unknown:?}");
        assert!(unknown[0].contains("c.yaml:3:") && unknown[0].contains("`delivery`"), "{unknown:?}");
        assert!(said("  - within: {login: 0s}\n")[0].contains("out of bounds"));
        assert!(said("  - entities: [store1]\n")[0].contains("`within` is missing"));
    }

    #[test]
    fn users_have_a_name_and_a_week_some_minutes_without_what_was_promised() {
        let text = "  - {name: customers, brown_out_per_week: 30m, within: {delivery: 10m}}\n  - within: {login: 3s}\n";
        let config = read(text).unwrap();
        let [named, other] = &config.service_levels.0[..] else { panic!("{:?}", config.service_levels) };
        assert_eq!((named.name.as_deref(), named.brown_out_seconds), (Some("customers"), Some(1800.0)));
        assert_eq!((&other.name, other.brown_out_seconds), (&None, None));
        assert!(read("  - {brown_out_per_week: 7d, within: {login: 3s}}\n").is_ok());
    }

    #[test]
    fn users_are_told_apart_where_their_minutes_are_counted() {
        let entry = |name: &str| format!("  - {{{name}brown_out_per_week: 30m, within: {{login: 3s}}}}\n");
        let both = |one: &str, other: &str| read(&(entry(one) + &entry(other)));
        assert!(both("", "name: staff, ").is_ok());
        assert!(both("entities: [a], ", "entities: [b], ").is_ok());
        for same in ["", "name: staff, ", "entities: [a], "] {
            let told = both(same, same).unwrap_err().to_string();
            assert!(told.starts_with("c.yaml:4:") && told.contains("two service levels are of"), "{told}");
        }
        assert!(read("  - within: {login: 3s}\n  - within: {login: 2s}\n").is_ok(), "nothing is counted");
    }
}
