//! The YAML of a pack, and everything that can be wrong with it, each with its place.
//!
//! ```yaml
//! name: zimbra
//! needs: [host]                  # packs of ours whose signals and remedies may be named here
//! remedies:
//!   flush_queue: ask the MTA to try everything again now
//! signals:
//!   - name: mta_queue_active      # unique over all packs
//!     reads: active queue         # its words in a sentence
//!     unit: messages
//!     role: mta
//!     hurts: up                   # up | down
//!     limit: 1000                 # a value | { signal, share } | due
//!     notice_hours: 24            # how early a person wants to know; default 4
//!     from:                       # one line an exporter
//!       - postfix_queue_stat{queue="active"}
//!       - { select: x_seconds, unit: s, times: 1000, kind: gauge }
//! faults:
//!   - name: remote_outage
//!     users: mail to outside over 4 h late
//!     prior: 2                    # against other faults; default 1
//!     evidence:                   # in the order in which it shows
//!       - { signal: mta_queue_deferred, moves: up, sure: 0.9 }   # up | down | silent
//!     impact:
//!       - { signal: mta_queue_age, reaches: 14400 }              # without `reaches` the signal's limit
//!     remedies: [flush_queue]     # best first
//!     forbidden: []
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::{
    BUILTIN_NAMES, Direction, Evidence, Exported, Fault, Impact, Limit, Movement, Pack, PackError, Remedy,
    Selector, Signal, builtin,
};
use crate::sample::ValueKind;

/// Notice of a limit where the pack asks for none: what a person needs to act.
const NOTICE_HOURS: f64 = 4.0;
/// How probable a sign is where the pack doesn't say.
const SURE: f64 = 0.8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPack {
    name: String,
    #[serde(default)]
    needs: Vec<Spanned<String>>,
    #[serde(default)]
    remedies: BTreeMap<String, String>,
    #[serde(default)]
    signals: Vec<RawSignal>,
    #[serde(default)]
    faults: Vec<RawFault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignal {
    name: Spanned<String>,
    reads: String,
    unit: String,
    role: String,
    hurts: Direction,
    limit: Option<Spanned<RawLimit>>,
    notice_hours: Option<Spanned<f64>>,
    from: Vec<Spanned<RawExported>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a limit is a number, `due`, or { signal: …, share: … }")]
enum RawLimit {
    Value(f64),
    Word(String),
    Share(RawShare),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawShare {
    signal: String,
    #[serde(default = "whole")]
    share: f64,
}

fn whole() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a selector, or { select: …, unit: …, times: …, kind: gauge|counter }")]
enum RawExported {
    Select(String),
    Full(RawFull),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFull {
    select: String,
    unit: Option<String>,
    #[serde(default = "whole")]
    times: f64,
    kind: Option<RawKind>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Gauge,
    Counter,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    name: Spanned<String>,
    users: String,
    prior: Option<Spanned<f64>>,
    evidence: Vec<RawEvidence>,
    #[serde(default)]
    impact: Vec<RawImpact>,
    #[serde(default)]
    remedies: Vec<Spanned<String>>,
    #[serde(default)]
    forbidden: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvidence {
    signal: Spanned<String>,
    moves: Movement,
    sure: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImpact {
    signal: Spanned<String>,
    reaches: Option<f64>,
}

/// What is wrong, gathered until the end of the file.
#[derive(Default)]
struct Problems(Vec<PackError>);

impl Problems {
    fn at(&mut self, place: Location, what: String, mend: impl Into<String>) {
        self.0.push(error_at(place, what, mend));
    }
}

/// The reader knows no place for a few faults, such as those of a tag; they are told at the file's start.
fn error_at(place: Location, what: String, mend: impl Into<String>) -> PackError {
    PackError { line: place.line().max(1), column: place.column().max(1), what, mend: mend.into() }
}

/// Reads and checks; all problems at once, in the order of the file.
pub(super) fn pack(text: &str) -> Result<Pack, Vec<PackError>> {
    let raw: RawPack = serde_saphyr::from_str(text).map_err(|error| vec![syntax(&error)])?;
    let mut problems = Problems::default();
    let needed = needed(&raw.needs, &mut problems);
    let names = Names {
        signals: raw.signals.iter().map(|s| s.name.value.as_str()).chain(needed.signals()).collect(),
        remedies: raw.remedies.keys().map(String::as_str).chain(needed.remedies()).collect(),
    };
    unique("signal", raw.signals.iter().map(|s| &s.name), &mut problems);
    unique("fault", raw.faults.iter().map(|f| &f.name), &mut problems);
    let signals = raw.signals.iter().map(|s| names.signal(s, &mut problems)).collect();
    let faults = raw.faults.iter().map(|f| names.fault(f, &mut problems)).collect();
    if !problems.0.is_empty() {
        problems.0.sort_by_key(|p| (p.line, p.column));
        return Err(problems.0);
    }
    let remedies = raw.remedies.into_iter().map(|(name, about)| Remedy { name, about }).collect();
    let needs = raw.needs.into_iter().map(|need| need.value).collect();
    Ok(Pack { name: raw.name, needs, remedies, signals, faults })
}

/// The packs of ours that a pack builds on.
struct Needed(Vec<Pack>);

impl Needed {
    fn signals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|pack| &pack.signals).map(|signal| signal.name.as_str())
    }

    fn remedies(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|pack| &pack.remedies).map(|remedy| remedy.name.as_str())
    }
}

fn needed(needs: &[Spanned<String>], problems: &mut Problems) -> Needed {
    let mut packs = Vec::new();
    for need in needs {
        match builtin(&need.value) {
            Some(Ok(pack)) => packs.push(pack),
            _ => {
                let known = BUILTIN_NAMES.join(", ");
                problems.at(
                    need.referenced,
                    format!("there is no pack `{}` of ours", need.value),
                    format!("there are {known}"),
                );
            }
        }
    }
    Needed(packs)
}

fn syntax(error: &serde_saphyr::Error) -> PackError {
    let place = error.location().unwrap_or(Location::UNKNOWN);
    let text = error.without_snippet().to_string();
    // The location has its own fields; what the parser adds in words would say it twice.
    let what = text.split(" at line ").next().unwrap_or(&text).trim();
    error_at(place, what.to_owned(), "models/zimbra.yaml shows the form")
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a Spanned<String>>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.value.as_str()) {
            problems.at(
                name.referenced,
                format!("{what} `{}` stands here twice", name.value),
                "rename or remove one",
            );
        }
    }
}

/// The names that the parts of a pack may refer to.
struct Names<'a> {
    signals: BTreeSet<&'a str>,
    remedies: BTreeSet<&'a str>,
}

impl Names<'_> {
    fn signal(&self, raw: &RawSignal, problems: &mut Problems) -> Signal {
        let notice_hours = positive("notice_hours", &raw.notice_hours, NOTICE_HOURS, f64::MAX, problems);
        if raw.from.is_empty() {
            let message = format!("signal `{}` comes from nowhere", raw.name.value);
            problems.at(raw.name.referenced, message, "add a selector to `from`");
        }
        Signal {
            name: raw.name.value.clone(),
            reads: raw.reads.clone(),
            unit: raw.unit.clone(),
            role: raw.role.clone(),
            hurts: raw.hurts,
            limit: raw.limit.as_ref().and_then(|limit| self.limit(limit, problems)),
            notice_seconds: notice_hours * 3600.0,
            from: raw.from.iter().filter_map(|from| exported(from, problems)).collect(),
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

    fn fault(&self, raw: &RawFault, problems: &mut Problems) -> Fault {
        if raw.evidence.is_empty() {
            let message = format!("fault `{}` shows in nothing", raw.name.value);
            problems.at(raw.name.referenced, message, "add `evidence`");
        }
        for remedy in raw.remedies.iter().filter(|r| raw.forbidden.iter().any(|f| f.value == r.value)) {
            let message = format!("`{}` is both a remedy and forbidden", remedy.value);
            problems.at(remedy.referenced, message, "keep one");
        }
        let evidence = raw.evidence.iter().map(|e| {
            self.known_signal(&e.signal.value, e.signal.referenced, problems);
            let sure = positive("sure", &e.sure, SURE, 0.999, problems);
            Evidence { signal: e.signal.value.clone(), moves: e.moves, sure }
        });
        let evidence = evidence.collect();
        let impact = raw.impact.iter().map(|i| {
            self.known_signal(&i.signal.value, i.signal.referenced, problems);
            Impact { signal: i.signal.value.clone(), reaches: i.reaches }
        });
        Fault {
            name: raw.name.value.clone(),
            users: raw.users.clone(),
            evidence,
            impact: impact.collect(),
            prior: positive("prior", &raw.prior, 1.0, f64::MAX, problems),
            remedies: self.known_remedies(&raw.remedies, problems),
            forbidden: self.known_remedies(&raw.forbidden, problems),
        }
    }

    fn known_signal(&self, name: &str, place: Location, problems: &mut Problems) {
        if !self.signals.contains(name) {
            problems.at(
                place,
                format!("there is no signal `{name}`"),
                "add it under `signals`, or mend the name",
            );
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

fn positive(key: &str, raw: &Option<Spanned<f64>>, default: f64, max: f64, problems: &mut Problems) -> f64 {
    let Some(raw) = raw else { return default };
    if !(raw.value > 0.0 && raw.value <= max) {
        let range = if max == f64::MAX { "over 0".to_owned() } else { format!("over 0 and at most {max}") };
        problems.at(raw.referenced, format!("`{key}` is {}", raw.value), format!("give a number {range}"));
    }
    raw.value
}

fn exported(raw: &Spanned<RawExported>, problems: &mut Problems) -> Option<Exported> {
    let (text, unit, times, kind) = match &raw.value {
        RawExported::Select(text) => (text, None, 1.0, None),
        RawExported::Full(full) => (&full.select, full.unit.clone(), full.times, full.kind),
    };
    if !(times.is_finite() && times > 0.0) {
        problems.at(raw.referenced, format!("`times` is {times}"), "give a number over 0");
    }
    let kind = kind.map(|kind| match kind {
        RawKind::Gauge => ValueKind::Gauge,
        RawKind::Counter => ValueKind::Counter,
    });
    match Selector::parse(text) {
        Ok(select) => Some(Exported { select, unit, times, kind }),
        Err(error) => {
            problems.at(raw.referenced, error.to_string(), "write `metric` or `metric{label=\"value\"}`");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name: small
remedies:
  flush: try again
signals:
  - name: queue
    reads: queue
    unit: messages
    role: mta
    hurts: up
    limit: 1000
    from: ['queue{q="a"}', { select: other_ms, unit: ms, times: 0.001, kind: counter }]
faults:
  - name: outage
    users: mail late
    evidence: [{ signal: queue, moves: up }]
    impact: [{ signal: queue, reaches: 500 }]
    remedies: [flush]
"#;

    /// What is said about the pack once `from` in it became `to`.
    fn check(from: &str, to: &str, want: &[&str]) {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        let problems = Pack::from_yaml(&text).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), want.len(), "{said:#?}");
        for (said, want) in said.iter().zip(want) {
            assert!(said.starts_with(want), "{said}\nshould begin with\n{want}");
        }
    }

    #[test]
    fn a_sound_pack_is_read() {
        let pack = Pack::from_yaml(GOOD).unwrap();
        let queue = &pack.signals[0];
        assert_eq!(queue.limit, Some(Limit::Value(1000.0)));
        assert_eq!(queue.from[1].kind, Some(ValueKind::Counter));
        assert_eq!((queue.from[1].times, queue.notice_seconds), (0.001, 14_400.0));
        assert_eq!((pack.faults[0].prior, pack.faults[0].evidence[0].sure), (1.0, SURE));
    }

    #[test]
    fn what_the_reader_cannot_place_is_told_at_the_start() {
        let problems = Pack::from_yaml("remedies:\n m: x\n!2 remedies:").unwrap_err();
        assert!(problems[0].to_string().starts_with("1:1: "), "{problems:?}");
        assert!(problems[0].what.len() > 10, "{problems:?}");
    }

    #[test]
    fn a_name_that_nothing_bears_is_placed() {
        check("signal: queue, moves", "signal: quue, moves", &["16:26: there is no signal `quue`"]);
        check("remedies: [flush]", "remedies: [flash]", &["18:16: there is no remedy `flash`"]);
        check("limit: 1000", "limit: { signal: max }", &["11:12: there is no signal `max`"]);
    }

    #[test]
    fn what_cannot_be_meant_is_placed() {
        check("limit: 1000", "limit: lots", &["11:12: this is no limit"]);
        check("moves: up }", "moves: up, sure: 1.5 }", &["16:50: `sure` is 1.5"]);
        check("queue{q=\"a\"}", "{q=\"a\"}", &["12:12: `{q=\"a\"}` has no metric name"]);
        check("times: 0.001", "times: 0", &["12:28: `times` is 0"]);
        check("remedies: [flush]", "remedies: [flush]\n    forbidden: [flush]", &["18:16: `flush` is both"]);
    }

    #[test]
    fn all_problems_come_at_once() {
        let text = GOOD.replace("signal: queue,", "signal: quue,");
        assert_eq!(Pack::from_yaml(&text).unwrap_err().len(), 2);
    }

    #[test]
    fn unknown_keys_and_broken_yaml_are_placed() {
        check("reads: queue", "raeds: queue", &["7:5: "]);
        check("remedies:\n", "remedies: [\n", &[""]);
        assert_eq!(Pack::from_yaml("").unwrap_err().len(), 1);
    }
}
