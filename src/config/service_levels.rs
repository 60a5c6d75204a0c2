//! The section `service_levels`: what users were promised, for all of them or for those of some machines, and how much of a
//! week they accept without it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::maintenance::entities;
use super::problem::Place;
use super::read::{Placed, Section, did_you_mean};
use crate::predict::pack::Pack;
use crate::predict::service_levels::{Promise, ServiceLevels};
use crate::predict::signals::SignalTable;

/// Promises at most: each is looked at for every forecast.
const PROMISES_MAX: usize = 64;
const SECONDS_MAX: f64 = 30.0 * 86_400.0;
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
    let known: Vec<&str> = table.levels().collect();
    let mut called = Vec::new();
    let promises = sections.into_iter().map(|section| {
        let (at, has_name) = (section.at, section.node("name").is_some());
        let promise = promise(section, &known);
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

fn promise(section: Section, known: &[&str]) -> Promise {
    let entities = entities(&section).unwrap_or_default();
    let named = section.need::<BTreeMap<String, Placed<Duration>>>(
        "within",
        "say what is promised: `within: { delivery: 5m }`",
    );
    if named.as_ref().is_some_and(BTreeMap::is_empty) {
        section.reader.sink.push(
            section.at,
            "`within` promises nothing",
            "name a level, or leave the entry out",
        );
    }
    let mut within = BTreeMap::new();
    for (level, Placed { at, value }) in named.unwrap_or_default() {
        let seconds = value.as_secs_f64();
        // Where no pack could be read that is told, and nothing is known here.
        if !known.is_empty() && !known.contains(&level.as_str()) {
            let mend = did_you_mean(&level, known);
            section.reader.sink.push(at, format!("no pack has a service level `{level}`"), mend);
        } else if !(seconds > 0.0 && seconds <= SECONDS_MAX) {
            let what = format!("`{level}` is out of bounds");
            section.reader.sink.push(at, what, "choose more than nothing and at most 30d");
        }
        within.insert(level, seconds);
    }
    let (name, brown_out_seconds) = (name(&section), brown_out_seconds(&section));
    section.finish();
    Promise { name, entities, within, brown_out_seconds }
}

fn name(section: &Section) -> Option<String> {
    let Placed { at, value } = section.get::<Placed<String>>("name")?;
    if value.chars().any(char::is_control) || value.chars().count() > NAME_CHARS_MAX {
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
