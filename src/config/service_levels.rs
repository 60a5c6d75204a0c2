//! The section `service_levels`: what users were promised, for all of them or for those of some machines.

use std::collections::BTreeMap;
use std::time::Duration;

use super::maintenance::entities;
use super::read::{Placed, Section, did_you_mean};
use crate::predict::pack::Pack;
use crate::predict::service_levels::{Promise, ServiceLevels};
use crate::predict::signals::SignalTable;

/// Promises at most: each is looked at for every forecast.
const PROMISES_MAX: usize = 64;
const SECONDS_MAX: f64 = 30.0 * 86_400.0;

pub(super) fn service_levels(root: &Section, packs: &[Pack]) -> ServiceLevels {
    let sections = root.list("service_levels");
    if let Some(beyond) = sections.get(PROMISES_MAX) {
        let what = format!("more than {PROMISES_MAX} service levels");
        root.reader.sink.push(beyond.at, what, "join those that promise the same");
    }
    let table = SignalTable::new(packs);
    let known: Vec<&str> = table.levels().collect();
    ServiceLevels(sections.into_iter().map(|section| promise(section, &known)).collect())
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
    section.finish();
    Promise { entities, within }
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
}
