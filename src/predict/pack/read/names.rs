//! From the keys as they stand to the parts of a pack: every name must be of something, every number possible.

use std::collections::{BTreeMap, BTreeSet};

use serde_saphyr::{Location, Spanned};

use super::Problems;
use super::balance::Known;
use super::raw::{
    RawEvidence, RawExported, RawExtension, RawFault, RawFullRemedy, RawImpact, RawLevel, RawLimit, RawPack,
    RawRemedy, RawRole, RawShare, RawSignal,
};
use crate::predict::pack::{
    Approval, Evidence, Exported, Extension, Fault, Impact, Level, Limit, PERCENT, Pack, Remedy, Role,
    Selector, Signal, derived_name, rate,
};
use crate::predict::service_levels::pieces;
use crate::sample::ValueKind;
use crate::series::clean::is_cumulative_name;

/// Notice of a limit where the pack asks for none: what a person needs to act.
const NOTICE_HOURS: f64 = 4.0;
/// How probable a sign is where the pack doesn't say.
pub(super) const SURE: f64 = 0.8;
/// A service seldom starts anew where a pack says nothing of it.
const RESTART: f64 = 0.1;
/// A year: what takes longer does not pass.
const MINUTES_MAX: f64 = 525_600.0;

/// The names that the parts of a pack may refer to: its own and those of the packs that it needs.
pub(super) struct Names<'a> {
    pub signals: BTreeMap<&'a str, Known<'a>>,
    remedies: BTreeSet<&'a str>,
    roles: BTreeSet<&'a str>,
    /// Each with whether it is a share.
    levels: BTreeMap<&'a str, bool>,
    needed_levels: BTreeMap<&'a str, bool>,
    /// Faults of needed packs alone.
    needed_faults: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    pub fn new(raw: &'a RawPack, needed: &'a [Pack]) -> Self {
        let needed_signals = || needed.iter().flat_map(|pack| &pack.signals);
        let own_roles = raw.roles.keys().chain(raw.signals.iter().map(|s| &s.role));
        let needed_roles = needed.iter().flat_map(|pack| &pack.roles).map(|role| &role.name);
        let roles = own_roles.chain(needed_roles).chain(needed_signals().map(|s| &s.role));
        let needed_remedies = needed.iter().flat_map(|pack| &pack.remedies).map(|remedy| &remedy.name);
        let needed_levels = needed.iter().rev().flat_map(|pack| &pack.levels);
        let needed_levels: BTreeMap<_, _> =
            needed_levels.map(|level| (level.name.as_str(), level.seconds.is_none())).collect();
        let own_levels =
            raw.service_levels.iter().map(|(name, raw)| (name.as_str(), raw.value.unit.is_some()));
        // What a pack says of a name counts before what those say that it needs.
        let known = needed.iter().rev().flat_map(|pack| &pack.signals).map(|s| (s.name.as_str(), s.into()));
        let own_known = raw.signals.iter().map(|s| (s.name.value.as_str(), s.into()));
        Names {
            signals: known.chain(own_known).collect(),
            remedies: raw.remedies.keys().chain(needed_remedies).map(String::as_str).collect(),
            roles: roles.map(String::as_str).collect(),
            levels: needed_levels.clone().into_iter().chain(own_levels).collect(),
            needed_levels,
            needed_faults: needed.iter().flat_map(|pack| &pack.faults).map(|f| f.name.as_str()).collect(),
        }
    }

    pub fn role(&self, name: &str, raw: &RawRole, problems: &mut Problems) -> Role {
        for depends in &raw.depends {
            if depends.value == name {
                let message = format!("the role `{name}` depends on itself");
                problems.at(depends.referenced, message, "remove it");
            }
            self.known_role(&depends.value, depends.referenced, problems);
        }
        let depends = raw.depends.iter().map(|depends| depends.value.clone()).collect();
        Role { name: name.to_owned(), about: raw.about.clone(), depends }
    }

    pub fn remedy(&self, name: &str, raw: &Spanned<RawRemedy>, problems: &mut Problems) -> Remedy {
        let name = name.to_owned();
        match &raw.value {
            RawRemedy::About(about) => Remedy {
                name,
                about: about.clone(),
                approval: Approval::None,
                role: None,
                verify: Vec::new(),
                worsens: Vec::new(),
            },
            RawRemedy::Full(RawFullRemedy { about, approval, role, verify, worsens }) => {
                for signal in verify.iter().chain(worsens) {
                    self.known_signal(signal, raw.referenced, problems);
                }
                if let Some(role) = role {
                    self.known_role(role, raw.referenced, problems);
                }
                Remedy {
                    name,
                    about: about.clone(),
                    approval: *approval,
                    role: role.clone(),
                    verify: verify.clone(),
                    worsens: worsens.clone(),
                }
            }
        }
    }

    pub fn signal(&self, raw: &RawSignal, problems: &mut Problems) -> Signal {
        let notice_hours =
            positive("notice_hours", &raw.notice_hours, f64::MAX, problems).unwrap_or(NOTICE_HOURS);
        if raw.from.is_empty() && !raw.is_derived() {
            let message = format!("signal `{}` comes from nowhere", raw.name.value);
            let mend = "add a selector to `from`, or `behind`, `balance`, `share` or `stalled`";
            problems.at(raw.name.referenced, message, mend);
        }
        let mut from: Vec<Exported> = Vec::new();
        for place in &raw.from {
            let Some(exported) = exported(place, problems) else { continue };
            counted_a_second(raw, &exported, place.referenced, problems);
            from.push(exported);
        }
        if let Some(behind) = &raw.behind {
            self.known_signal(&behind.value, behind.referenced, problems);
        }
        if raw.is_derived() {
            from.extend(derived(&raw.name.value));
        }
        for other in raw.unless.iter().chain(&raw.grows_with) {
            self.known_signal(&other.value, other.referenced, problems);
        }
        Signal {
            name: raw.name.value.clone(),
            reads: raw.reads.clone(),
            unit: raw.unit.clone(),
            role: raw.role.clone(),
            hurts: raw.hurts,
            limit: raw.limit.as_ref().and_then(|limit| self.limit(limit, problems)),
            unless: raw.unless.as_ref().map(|unless| unless.value.clone()),
            grows_with: raw.grows_with.as_ref().map(|load| load.value.clone()),
            fills: raw.fills,
            least: positive("least", &raw.least, f64::MAX, problems).unwrap_or(0.0),
            notice_seconds: notice_hours * 3600.0,
            from,
            behind: raw.behind.as_ref().map(|behind| behind.value.clone()),
            balance: raw.balance.as_ref().map(|balance| self.balance(raw, balance, problems)),
            share: raw.share.as_ref().map(|share| self.share(raw, share, problems)),
            stalled: raw.stalled.as_ref().map(|stalled| self.stalled(raw, stalled, problems)),
        }
    }

    fn limit(&self, raw: &Spanned<RawLimit>, problems: &mut Problems) -> Option<Limit> {
        match &raw.value {
            RawLimit::Value(value) if value.is_finite() => Some(Limit::Value(*value)),
            RawLimit::Word(word) if word == "due" => Some(Limit::Due),
            RawLimit::Share(RawShare { signal, share }) if *share > 0.0 && share.is_finite() => {
                self.known_signal(signal, raw.referenced, problems);
                Some(Limit::Share { of: signal.clone(), share: *share })
            }
            _ => {
                let mend = "give a number, `due`, or { signal: …, share: … } with a share over 0";
                problems.at(raw.referenced, "this is no limit".to_owned(), mend);
                None
            }
        }
    }

    pub fn fault(&self, raw: &RawFault, problems: &mut Problems) -> Fault {
        if raw.evidence.is_empty() {
            let message = format!("fault `{}` shows in nothing", raw.name.value);
            problems.at(raw.name.referenced, message, "add `evidence`");
        }
        for level in pieces(&raw.users.value).filter_map(|(_, level)| level) {
            self.known_level(level, raw.users.referenced, problems);
            if self.levels.get(level) == Some(&true) {
                let what = format!("`{{{level}}}` is a share, and has no value where none is promised");
                problems.at(raw.users.referenced, what, "say it in words");
            }
        }
        no_conflict(&raw.remedies, &raw.forbidden, problems);
        Fault {
            name: raw.name.value.clone(),
            users: raw.users.value.clone(),
            urgency: raw.urgency,
            lead: raw.lead,
            lead_seconds: lead_seconds(raw.lead_minutes.as_ref(), problems),
            evidence: self.evidence(&raw.evidence, problems),
            impact: self.impact(&raw.impact, problems),
            prior: positive("prior", &raw.prior, f64::MAX, problems).unwrap_or(1.0),
            restart: positive("restart", &raw.restart, 0.999, problems).unwrap_or(RESTART),
            passes_seconds: positive("passes_minutes", &raw.passes_minutes, MINUTES_MAX, problems)
                .map(|m| 60.0 * m),
            remedies: self.known_remedies(&raw.remedies, problems),
            forbidden: self.known_remedies(&raw.forbidden, problems),
        }
    }

    pub fn extension(&self, raw: &RawExtension, problems: &mut Problems) -> Extension {
        if !self.needed_faults.contains(raw.fault.value.as_str()) {
            problems.at(
                raw.fault.referenced,
                format!("no pack in `needs` has a fault `{}`", raw.fault.value),
                "mend the name, add its pack to `needs`, or give the fault whole under `faults`",
            );
        }
        no_conflict(&raw.remedies, &raw.forbidden, problems);
        Extension {
            fault: raw.fault.value.clone(),
            early: self.evidence(&raw.early, problems),
            evidence: self.evidence(&raw.evidence, problems),
            impact: self.impact(&raw.impact, problems),
            remedies: self.known_remedies(&raw.remedies, problems),
            forbidden: self.known_remedies(&raw.forbidden, problems),
        }
    }

    fn evidence(&self, raw: &[RawEvidence], problems: &mut Problems) -> Vec<Evidence> {
        let mut seen: Vec<(&str, _)> = Vec::new();
        let read = raw.iter().map(|e| {
            self.known_signal(&e.signal.value, e.signal.referenced, problems);
            if let Some(role) = &e.role {
                self.known_role(&role.value, role.referenced, problems);
            }
            if seen.contains(&(&e.signal.value, e.moves)) {
                let message = format!("`{}` is a sign twice with the same `moves`", e.signal.value);
                problems.at(e.signal.referenced, message, "keep one");
            }
            seen.push((&e.signal.value, e.moves));
            Evidence {
                signal: e.signal.value.clone(),
                role: e.role.as_ref().map(|role| role.value.clone()),
                moves: e.moves,
                sure: positive("sure", &e.sure, 0.999, problems).unwrap_or(SURE),
            }
        });
        read.collect()
    }

    fn impact(&self, raw: &[RawImpact], problems: &mut Problems) -> Vec<Impact> {
        let read = raw.iter().map(|i| {
            self.known_signal(&i.signal.value, i.signal.referenced, problems);
            for other in i.times_usual.iter().chain(&i.unless) {
                self.known_signal(&other.value, other.referenced, problems);
            }
            if let Some(of) = i.times_usual.as_ref().filter(|_| i.reaches.is_none() && i.level.is_none()) {
                let what = "`times_usual` stands without `reaches` or `level`".into();
                problems.at(of.referenced, what, "say with `reaches` how many times the usual it is");
            }
            if let Some(level) = &i.level {
                self.known_level(&level.value, level.referenced, problems);
                self.fits_level(i, level, problems);
                if i.reaches.is_some() {
                    let what = "`reaches` and `level` stand together".into();
                    problems.at(level.referenced, what, "keep one: both say where users feel it");
                }
            }
            let name = |other: &Option<Spanned<String>>| other.as_ref().map(|other| other.value.clone());
            Impact {
                signal: i.signal.value.clone(),
                reaches: i.reaches,
                level: name(&i.level),
                times_usual: name(&i.times_usual),
                unless: name(&i.unless),
            }
        });
        read.collect()
    }

    pub(super) fn known_signal(&self, name: &str, place: Location, problems: &mut Problems) {
        if !self.signals.contains_key(name) {
            let mend = "add it under `signals`, add its pack to `needs`, or mend the name";
            problems.at(place, format!("there is no signal `{name}`"), mend);
        }
    }

    /// Whether a signal is measured as the service level is.
    fn fits_level(&self, impact: &RawImpact, level: &Spanned<String>, problems: &mut Problems) {
        let Some(known) = self.signals.get(impact.signal.value.as_str()) else { return };
        let (signal, unit, place) = (&impact.signal.value, known.unit, level.referenced);
        match self.levels.get(level.value.as_str()) {
            Some(true) if impact.times_usual.is_some() || unit != PERCENT => {
                let what =
                    format!("the service level `{}` is a share, and `{signal}` is in {unit}", level.value);
                problems.at(place, what, "take a signal in %, without `times_usual`");
            }
            Some(false) if impact.times_usual.is_none() && !["s", "ms"].contains(&unit) => {
                let what = format!("a service level is a time, and `{signal}` is in {unit}");
                problems.at(place, what, "take a signal in s or ms, or add `times_usual`");
            }
            _ => {}
        }
    }

    pub fn level(&self, name: &str, raw: &Spanned<RawLevel>, problems: &mut Problems) -> Level {
        let RawLevel { about, seconds, unit } = &raw.value;
        positive("seconds", seconds, f64::MAX, problems);
        if let Some(unit) = unit.as_ref().filter(|unit| unit.value != PERCENT) {
            let what = format!("a service level in {}", unit.value);
            problems.at(unit.referenced, what, "write `seconds: …` for a time, `unit: \"%\"` for a share");
        }
        if seconds.is_some() == unit.is_some() {
            let has =
                if unit.is_some() { "both `seconds` and `unit`" } else { "neither `seconds` nor `unit`" };
            let what = format!("the service level `{name}` has {has}");
            problems.at(raw.referenced, what, "write either `seconds: …` or `unit: \"%\"`");
        }
        if self.needed_levels.get(name).is_some_and(|is_share| *is_share != unit.is_some()) {
            let what = format!("a pack in `needs` has `{name}` too, and measures it otherwise");
            problems.at(raw.referenced, what, "give it a name of its own");
        }
        let seconds = seconds.as_ref().filter(|_| unit.is_none()).map(|seconds| seconds.value);
        Level { name: name.to_owned(), about: about.clone(), seconds }
    }

    fn known_level(&self, name: &str, place: Location, problems: &mut Problems) {
        if !self.levels.contains_key(name) {
            let mend = "add it under `service_levels`, add its pack to `needs`, or mend the name";
            problems.at(place, format!("there is no service level `{name}`"), mend);
        }
    }

    fn known_role(&self, name: &str, place: Location, problems: &mut Problems) {
        if !self.roles.contains(name) {
            let mend = "add it under `roles`, give it to a signal, or mend the name";
            problems.at(place, format!("there is no role `{name}`"), mend);
        }
    }

    fn known_remedies(&self, names: &[Spanned<String>], problems: &mut Problems) -> Vec<String> {
        for name in names.iter().filter(|name| !self.remedies.contains(name.value.as_str())) {
            let message = format!("there is no remedy `{}`", name.value);
            problems.at(name.referenced, message, "add it under `remedies`, or mend the name");
        }
        names.iter().map(|name| name.value.clone()).collect()
    }
}

fn no_conflict(remedies: &[Spanned<String>], forbidden: &[Spanned<String>], problems: &mut Problems) {
    for remedy in remedies.iter().filter(|r| forbidden.iter().any(|f| f.value == r.value)) {
        let message = format!("`{}` is both a remedy and forbidden", remedy.value);
        problems.at(remedy.referenced, message, "keep one");
    }
}

fn positive(key: &str, raw: &Option<Spanned<f64>>, max: f64, problems: &mut Problems) -> Option<f64> {
    let raw = raw.as_ref()?;
    if !(raw.value > 0.0 && raw.value <= max) {
        let range = if max == f64::MAX { "over 0".to_owned() } else { format!("over 0 and at most {max}") };
        problems.at(raw.referenced, format!("`{key}` is {}", raw.value), format!("give a number {range}"));
    }
    Some(raw.value)
}

fn exported(raw: &Spanned<RawExported>, problems: &mut Problems) -> Option<Exported> {
    let (text, unit, times, kind) = match &raw.value {
        RawExported::Select(text) => (text, None, 1.0, None),
        RawExported::Full(full) => (&full.select, full.unit.clone(), full.times, full.kind),
    };
    if !(times.is_finite() && times > 0.0) {
        problems.at(raw.referenced, format!("`times` is {times}"), "give a number over 0");
    }
    let kind = kind.map(ValueKind::from);
    match Selector::parse(text) {
        Ok(select) => Some(Exported { select, unit, times, kind }),
        Err(error) => {
            problems.at(raw.referenced, error.to_string(), "write `metric` or `metric{label=\"value\"}`");
            None
        }
    }
}

/// A counter is read as its rate a second, whatever the signal is in.
fn counted_a_second(of: &RawSignal, exported: &Exported, place: Location, problems: &mut Problems) {
    let unit = exported.unit.as_ref().unwrap_or(&of.unit);
    let Some((thing, seconds)) = rate(unit).filter(|(_, seconds)| *seconds != 1.0) else { return };
    let metric = exported.select.name();
    let is_counter = match exported.kind {
        Some(kind) => kind == ValueKind::Counter,
        None => is_cumulative_name(metric),
    };
    if is_counter {
        let what = format!("`{metric}` is a counter, which is read as its rate a second, and not in {unit}");
        let times = seconds * exported.times;
        let mend = format!(
            "write {{ select: {metric}, unit: {thing} a second, times: {times} }}, or `kind: gauge` where it is none"
        );
        problems.at(place, what, mend);
    }
}

/// The shortest and the longest time before users feel it, from minutes.
fn lead_seconds(raw: Option<&Spanned<[f64; 2]>>, problems: &mut Problems) -> Option<(f64, f64)> {
    let raw = raw?;
    let [shortest, longest] = raw.value;
    if !(shortest >= 0.0 && longest > shortest && longest.is_finite()) {
        let mend = "give the shortest and the longest, as in [5, 30]";
        problems.at(raw.referenced, "`lead_minutes` is no span of time".to_owned(), mend);
        return None;
    }
    Some((60.0 * shortest, 60.0 * longest))
}

/// The series that the engine makes itself for a derived signal.
fn derived(signal: &str) -> Option<Exported> {
    let select = Selector::parse(&derived_name(signal)).ok()?;
    Some(Exported { select, unit: None, times: 1.0, kind: Some(ValueKind::Gauge) })
}
