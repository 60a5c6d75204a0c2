//! The law of a `balance`: its parts must be measured, each on its side, in one unit and on one machine.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;

use super::Problems;
use super::names::Names;
use super::raw::{RawBalance, RawExported, RawSignal};
use crate::predict::pack::{ANY_MACHINE, Balance, Side, Signal, rate};
use crate::sample::ValueKind;

/// What a pack must know of a signal that it names.
pub(super) struct Known<'a> {
    pub unit: &'a str,
    role: &'a str,
    /// Whether its series are made here and not by exporters.
    is_derived: bool,
    /// Unit and kind in each form, where they are not left to the signal and the exporter.
    forms: Vec<(Option<&'a str>, Option<ValueKind>)>,
}

impl<'a> From<&'a RawSignal> for Known<'a> {
    fn from(raw: &'a RawSignal) -> Self {
        let form = |from: &'a Spanned<RawExported>| match &from.value {
            RawExported::Select(_) => (None, None),
            RawExported::Full(full) => (full.unit.as_deref(), full.kind.map(ValueKind::from)),
        };
        let forms = raw.from.iter().map(form).collect();
        Known { unit: &raw.unit, role: &raw.role, is_derived: raw.is_derived(), forms }
    }
}

impl<'a> From<&'a Signal> for Known<'a> {
    fn from(signal: &'a Signal) -> Self {
        let forms = signal.from.iter().map(|from| (from.unit.as_deref(), from.kind)).collect();
        Known { unit: &signal.unit, role: &signal.role, is_derived: signal.is_derived(), forms }
    }
}

impl Known<'_> {
    /// What it is in, or is a rate of.
    fn thing(&self) -> &str {
        rate(self.unit).map_or(self.unit, |(thing, _)| thing)
    }

    /// Why it cannot be on that side of a law, and what could.
    fn misplaced(&self, name: &str, side: Side) -> Option<(String, &'static str)> {
        let unit = self.unit;
        let is_rate = |unit: &str| rate(unit).is_some();
        match side {
            Side::Stays if is_rate(unit) => {
                let what = format!("`{name}` is in {unit}: it comes or goes, and is not held");
                Some((what, "move it to `comes` or `goes`"))
            }
            Side::Stays if self.forms.iter().any(|(_, kind)| *kind == Some(ValueKind::Counter)) => Some((
                format!("`{name}` is a counter, and no counter is held"),
                "name a gauge of what is there",
            )),
            Side::Stays => None,
            Side::Comes | Side::Goes if !is_rate(unit) => {
                let what = format!("`{name}` is in {unit}: it is held, and neither comes nor goes");
                Some((what, "move it to `stays`, or name a rate, as in `messages a second`"))
            }
            Side::Comes | Side::Goes if !self.forms.iter().any(|(own, _)| is_rate(own.unwrap_or(unit))) => {
                Some((format!("no form of `{name}` is a rate"), "name a signal that some exporter counts"))
            }
            Side::Comes | Side::Goes => None,
        }
    }
}

impl Names<'_> {
    /// The law, and all that keeps it from ever holding.
    pub fn balance(&self, of: &RawSignal, raw: &Spanned<RawBalance>, problems: &mut Problems) -> Balance {
        let place = raw.referenced;
        for (other, stands) in [("behind", of.behind.is_some()), ("from", !of.from.is_empty())] {
            if stands {
                problems.at(place, format!("`{other}` and `balance` stand together"), "keep one");
            }
        }
        let RawBalance { comes, goes, stays } = &raw.value;
        for (key, names) in [("comes", comes), ("goes", goes)] {
            if names.is_empty() {
                problems.at(
                    place,
                    format!("`{key}` names no signal"),
                    "a law needs what comes and what goes",
                );
            }
        }
        if rate(&of.unit).is_none() {
            let what =
                format!("`{}` is in {}, and what is unaccounted for is a rate", of.name.value, of.unit);
            problems.at(place, what, "write its unit as in `messages a minute`");
        }
        let own = Known::from(of);
        let mut seen = BTreeSet::new();
        let mut role = own.role;
        for (side, names) in [(Side::Comes, comes), (Side::Goes, goes), (Side::Stays, stays)] {
            for part in names {
                let (name, place) = (part.value.as_str(), part.referenced);
                self.known_signal(name, place, problems);
                let Some(known) = self.signals.get(name) else { continue };
                if !seen.insert(name) {
                    problems.at(place, format!("`{name}` stands in the balance twice"), "keep one");
                }
                if known.is_derived {
                    let what = format!("`{name}` is itself derived");
                    problems.at(place, what, "name signals that exporters give");
                    continue;
                }
                if let Some((what, mend)) = known.misplaced(name, side) {
                    problems.at(place, what, mend);
                }
                if known.thing() != own.thing() {
                    let what =
                        format!("`{name}` is of {}, and the balance of {}", known.thing(), own.thing());
                    problems.at(place, what, "a law has one unit: count the same thing on all sides");
                }
                if role == ANY_MACHINE {
                    role = known.role;
                } else if known.role != role && known.role != ANY_MACHINE {
                    let what =
                        format!("`{name}` is of the role `{}`, and the balance of `{role}`", known.role);
                    problems.at(place, what, "a law holds on one machine: name signals of one role");
                }
            }
        }
        let names = |names: &[Spanned<String>]| names.iter().map(|name| name.value.clone()).collect();
        Balance { comes: names(comes), goes: names(goes), stays: names(stays) }
    }
}
