//! The parts of a `balance`, a `share` or of what is `stalled`: they must be measured, each on its side, in one unit and on one machine.

use std::collections::BTreeSet;

use serde_saphyr::{Location, Spanned};

use super::Problems;
use super::names::Names;
use super::raw::{RawBalance, RawExported, RawShareOf, RawSignal, RawStalled};
use crate::predict::pack::{ANY_MACHINE, Balance, PERCENT, Share, Side, Signal, Stalled, rate};
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

    /// Why it cannot be on that side, and what could.
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
            Side::Part | Side::Rest if !is_rate(unit) => {
                let what = format!("`{name}` is in {unit}, and a share is of what passes");
                Some((what, "name a rate, as in `messages a second`"))
            }
            _ if !self.forms.iter().any(|(own, _)| is_rate(own.unwrap_or(unit))) => {
                Some((format!("no form of `{name}` is a rate"), "name a signal that some exporter counts"))
            }
            _ => None,
        }
    }
}

impl Names<'_> {
    /// The law, and all that keeps it from ever holding.
    pub fn balance(&self, of: &RawSignal, raw: &Spanned<RawBalance>, problems: &mut Problems) -> Balance {
        let RawBalance { comes, goes, stays } = &raw.value;
        let others = [
            ("behind", of.behind.is_some()),
            ("from", !of.from.is_empty()),
            ("share", of.share.is_some()),
            ("stalled", of.stalled.is_some()),
        ];
        alone("balance", raw.referenced, &others, problems);
        let mend = "a law needs what comes and what goes";
        filled(raw.referenced, &[("comes", comes), ("goes", goes)], mend, problems);
        if rate(&of.unit).is_none() {
            let what =
                format!("`{}` is in {}, and what is unaccounted for is a rate", of.name.value, of.unit);
            problems.at(raw.referenced, what, "write its unit as in `messages a minute`");
        }
        let own = Known::from(of);
        let sides = [(Side::Comes, comes), (Side::Goes, goes), (Side::Stays, stays)];
        self.parts("balance", own.role, Some(own.thing()), &sides, problems);
        Balance { comes: names(comes), goes: names(goes), stays: names(stays) }
    }

    /// The share, and all that keeps it from ever being told.
    pub fn share(&self, of: &RawSignal, raw: &Spanned<RawShareOf>, problems: &mut Problems) -> Share {
        let RawShareOf { part, rest } = &raw.value;
        let others = [
            ("behind", of.behind.is_some()),
            ("from", !of.from.is_empty()),
            ("stalled", of.stalled.is_some()),
        ];
        alone("share", raw.referenced, &others, problems);
        let mend = "a share needs its part and the rest";
        filled(raw.referenced, &[("part", part), ("rest", rest)], mend, problems);
        if of.unit != PERCENT {
            let what = format!("`{}` is in {}, and a share is in percent", of.name.value, of.unit);
            problems.at(raw.referenced, what, "write its unit as \"%\"");
        }
        let sides = [(Side::Part, part), (Side::Rest, rest)];
        self.parts("share", &of.role, None, &sides, problems);
        Share { part: names(part), rest: names(rest) }
    }

    /// What shows that a machine works, and what the others do, with all that keeps it from ever being told.
    pub fn stalled(&self, of: &RawSignal, raw: &Spanned<RawStalled>, problems: &mut Problems) -> Stalled {
        let RawStalled { shows, meanwhile } = &raw.value;
        let others = [("behind", of.behind.is_some()), ("from", !of.from.is_empty())];
        alone("stalled", raw.referenced, &others, problems);
        let mend = "name what moves where a machine works, and what keeps others busy";
        filled(raw.referenced, &[("shows", shows), ("while", meanwhile)], mend, problems);
        for (is_shown, part) in
            shows.iter().map(|part| (true, part)).chain(meanwhile.iter().map(|part| (false, part)))
        {
            let (name, place) = (part.value.as_str(), part.referenced);
            self.known_signal(name, place, problems);
            let Some(known) = self.signals.get(name) else { continue };
            if known.is_derived {
                let what = format!("`{name}` is itself derived");
                problems.at(place, what, "name signals that exporters give");
            }
            if is_shown && of.role != known.role {
                let what = format!(
                    "`{name}` is of the role `{}`, and `{}` of `{}`",
                    known.role, of.name.value, of.role
                );
                problems.at(place, what, "a machine shows its own work: name signals of its role");
            }
            if !is_shown && rate(known.unit).is_none() {
                let what = format!("`{name}` is in {}, and what others do is a rate", known.unit);
                problems.at(place, what, "name a rate, as in `messages a second`");
            }
        }
        Stalled { shows: names(shows), meanwhile: names(meanwhile) }
    }

    /// `key` has parts that count `thing` on machines of one role; where no thing is known yet that of the first counts.
    fn parts(
        &self,
        key: &str,
        role: &str,
        thing: Option<&str>,
        sides: &[(Side, &Vec<Spanned<String>>)],
        problems: &mut Problems,
    ) {
        let mut seen = BTreeSet::new();
        let (mut role, mut thing) = (role, thing);
        let parts = sides.iter().flat_map(|(side, names)| names.iter().map(move |part| (*side, part)));
        for (side, part) in parts {
            let (name, place) = (part.value.as_str(), part.referenced);
            self.known_signal(name, place, problems);
            let Some(known) = self.signals.get(name) else { continue };
            if !seen.insert(name) {
                problems.at(place, format!("`{name}` stands in the {key} twice"), "keep one");
            }
            if known.is_derived {
                let what = format!("`{name}` is itself derived");
                problems.at(place, what, "name signals that exporters give");
                continue;
            }
            if let Some((what, mend)) = known.misplaced(name, side) {
                problems.at(place, what, mend);
            }
            let counted = *thing.get_or_insert(known.thing());
            if known.thing() != counted {
                let what = format!("`{name}` is of {}, and the {key} of {counted}", known.thing());
                problems.at(place, what, "count the same thing on all sides: they have one unit");
            }
            if role == ANY_MACHINE {
                role = known.role;
            } else if known.role != role && known.role != ANY_MACHINE {
                let what = format!("`{name}` is of the role `{}`, and the {key} of `{role}`", known.role);
                problems.at(place, what, "it is told of one machine: name signals of one role");
            }
        }
    }
}

fn alone(key: &str, place: Location, others: &[(&str, bool)], problems: &mut Problems) {
    for (other, _) in others.iter().filter(|(_, stands)| *stands) {
        problems.at(place, format!("`{other}` and `{key}` stand together"), "keep one");
    }
}

fn filled(
    place: Location,
    keys: &[(&str, &Vec<Spanned<String>>)],
    mend: &'static str,
    problems: &mut Problems,
) {
    for (key, _) in keys.iter().filter(|(_, names)| names.is_empty()) {
        problems.at(place, format!("`{key}` names no signal"), mend);
    }
}

fn names(names: &[Spanned<String>]) -> Vec<String> {
    names.iter().map(|name| name.value.clone()).collect()
}
