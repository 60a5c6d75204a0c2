//! What is good enough for users: how long delivery, a login or a request may take, what share of mail may be put off.
//!
//! A pack names the levels of its services, those that are a time with a value that most sites can live with. An operator who promised more says
//! so for all users or for some, by the machines that serve them; of several promises the strictest counts. With a promise
//! may stand how much of a week these users accept in which it is not kept.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::pack::{Fault, Impact};
use super::signals::SignalTable;

/// What some users were promised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// What people call these users.
    pub name: Option<String>,
    /// The machines that serve them; none stands for all.
    pub entities: Vec<String>,
    /// Seconds at most, by level; of a share percent at most.
    pub within: BTreeMap<String, f64>,
    /// Seconds a week in which they accept that one of the levels is not kept.
    pub brown_out_seconds: Option<f64>,
}

impl Promise {
    /// What these users are called in a sentence: by their name, else by the machines that serve them.
    pub fn users(&self) -> String {
        match (&self.name, &self.entities[..]) {
            (Some(name), _) => name.clone(),
            (None, []) => "users".into(),
            (None, [only]) => format!("users of {only}"),
            (None, [first, others @ ..]) => format!("users of {first} and {} more", others.len()),
        }
    }

    /// Whether it was given to the users of a machine.
    pub fn is_of(&self, entity: &str) -> bool {
        self.entities.is_empty() || self.entities.iter().any(|e| e == entity)
    }

    /// Whether the same was promised to users of the same machines, however they are called and however much of a week
    /// they accept without it.
    pub fn is_same(&self, other: &Promise) -> bool {
        let Promise { name: _, entities, within, brown_out_seconds: _ } = self;
        let machines = |entities: &[String]| entities.iter().cloned().collect::<BTreeSet<_>>();
        machines(entities) == machines(&other.entities) && *within == other.within
    }
}

/// All that was promised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceLevels(pub Vec<Promise>);

impl ServiceLevels {
    /// Whether anybody was promised something of a level.
    pub fn is_promised(&self, level: &str) -> bool {
        self.0.iter().any(|promise| promise.within.contains_key(level))
    }

    /// The seconds of a level on one of these machines, or its percent; as the pack has it where nothing is promised. `None`
    /// where it has nothing either.
    pub fn at_most<'e>(
        &self,
        table: &SignalTable,
        level: &str,
        entities: impl IntoIterator<Item = &'e str> + Clone,
    ) -> Option<f64> {
        let is_of = |promise: &&Promise| {
            promise.entities.is_empty() || entities.clone().into_iter().any(|name| promise.is_of(name))
        };
        let promised = self.0.iter().filter(is_of).filter_map(|promise| promise.within.get(level).copied());
        promised.min_by(f64::total_cmp).or_else(|| table.level_seconds(level))
    }

    /// The value at which users served by a machine feel it, in the signal's unit, or how many times the usual; `None` where
    /// it is the signal's own limit, or nothing was promised.
    pub fn reaches(&self, table: &SignalTable, impact: &Impact, entity: &str) -> Option<f64> {
        let Some(level) = &impact.level else { return impact.reaches };
        let signal = table.find(&impact.signal)?;
        let a_second = match table.signals()[usize::from(signal)].unit.as_str() {
            "ms" if impact.times_usual.is_none() => 1000.0,
            _ => 1.0,
        };
        Some(self.at_most(table, level, [entity])? * a_second)
    }

    /// What users of these machines feel of a fault: its words, with the levels in them.
    pub fn felt<'e>(
        &self,
        table: &SignalTable,
        fault: &Fault,
        entities: impl IntoIterator<Item = &'e str> + Clone,
    ) -> String {
        let said = pieces(&fault.users).map(|(text, level)| {
            let seconds = level.and_then(|level| self.at_most(table, level, entities.clone()));
            text.to_owned() + &seconds.map(span).unwrap_or_default()
        });
        said.collect()
    }
}

/// `40 ms`, `10 s`, `15 min`, `4 h`.
fn span(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{} ms", rounded(1000.0 * seconds))
    } else if seconds >= 7200.0 {
        format!("{} h", rounded(seconds / 3600.0))
    } else if seconds >= 120.0 {
        format!("{} min", rounded(seconds / 60.0))
    } else {
        format!("{} s", rounded(seconds))
    }
}

/// With a digit after the point where it matters.
fn rounded(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A text cut after each level that it names in braces; a brace without another stands for itself.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let found = text.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)));
        let (piece, level, left) = match found {
            Some((before, (level, after))) => (before, Some(level), Some(after)),
            None => (text, None, None),
        };
        rest = left;
        Some((piece, level))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::pack::builtins;

    fn promised(entities: &[&str], level: &str, seconds: f64) -> Promise {
        Promise {
            entities: entities.iter().map(|e| e.to_string()).collect(),
            within: BTreeMap::from([(level.to_owned(), seconds)]),
            ..Promise::default()
        }
    }

    /// What users feel of late deliveries on an entity, and the value of each of its signs of that.
    fn late(levels: &ServiceLevels, entity: &str) -> (String, Vec<Option<f64>>) {
        let table = SignalTable::new(&builtins());
        let fault = table.faults().iter().find(|fault| fault.name == "slow_lmtp").unwrap();
        let reaches = fault.impact.iter().map(|impact| levels.reaches(&table, impact, entity)).collect();
        (levels.felt(&table, fault, [entity]), reaches)
    }

    #[test]
    fn a_pack_says_what_most_can_live_with() {
        let said = late(&ServiceLevels::default(), "mx1");
        assert_eq!(said, ("delivery over 15 min late".into(), vec![Some(900.0), Some(900.0)]));
    }

    #[test]
    fn the_strictest_promise_counts_where_it_was_given() {
        let levels = ServiceLevels(vec![
            promised(&[], "delivery", 600.0),
            promised(&["mx1"], "delivery", 90.0),
            promised(&["mx1"], "login", 2.0),
        ]);
        assert_eq!(late(&levels, "mx1"), ("delivery over 90 s late".into(), vec![Some(90.0), Some(90.0)]));
        assert_eq!(
            late(&levels, "mx2"),
            ("delivery over 10 min late".into(), vec![Some(600.0), Some(600.0)])
        );
    }

    #[test]
    fn a_level_is_in_seconds_and_its_signal_may_not_be() {
        let table = SignalTable::new(&builtins());
        let fault = table.faults().iter().find(|fault| fault.name == "slow_ldap").unwrap();
        let levels = ServiceLevels(vec![promised(&[], "login", 2.5)]);
        let reaches: Vec<_> =
            fault.impact.iter().map(|impact| levels.reaches(&table, impact, "ldap1")).collect();
        assert_eq!(
            reaches,
            [Some(2500.0), Some(2500.0), None],
            "and nothing was promised of what is put off"
        );
        assert_eq!(levels.felt(&table, fault, ["ldap1"]), "login over 2.5 s");
    }

    #[test]
    fn users_are_called_by_their_name_or_by_their_machines() {
        assert_eq!(promised(&[], "login", 2.0).users(), "users");
        assert_eq!(promised(&["mx1"], "login", 2.0).users(), "users of mx1");
        let some = promised(&["mx1", "mx2", "mx3"], "login", 2.0);
        assert_eq!(some.users(), "users of mx1 and 2 more");
        assert_eq!(Promise { name: Some("staff".into()), ..some }.users(), "staff");
    }

    #[test]
    fn a_promise_is_the_same_however_much_without_it_is_accepted() {
        let one = promised(&["mx1", "mx2"], "login", 2.0);
        assert!(one.is_same(&Promise { brown_out_seconds: Some(60.0), ..one.clone() }));
        assert!(one.is_same(&Promise { name: Some("staff".into()), ..one.clone() }), "it was given a name");
        assert!(one.is_same(&promised(&["mx2", "mx1"], "login", 2.0)), "in another order");
        for other in [
            promised(&[], "login", 2.0),
            promised(&["mx1"], "login", 2.0),
            promised(&["mx1", "mx2"], "login", 3.0),
            promised(&["mx1", "mx2"], "request", 2.0),
        ] {
            assert!(!one.is_same(&other), "{other:?}");
        }
    }

    #[test]
    fn a_brace_alone_is_a_brace() {
        let cut = |text| pieces(text).collect::<Vec<_>>();
        assert_eq!(cut("over {a}, then {b}"), [("over ", Some("a")), (", then ", Some("b")), ("", None)]);
        assert_eq!(cut("a { b"), [("a { b", None)]);
        assert_eq!(cut(""), [("", None)]);
    }

    #[test]
    fn spans_have_the_unit_that_people_use() {
        for (seconds, want) in [
            (0.04, "40 ms"),
            (2.5, "2.5 s"),
            (90.0, "90 s"),
            (900.0, "15 min"),
            (14_400.0, "4 h"),
            (9000.0, "2.5 h"),
        ] {
            assert_eq!(span(seconds), want);
        }
    }
}
