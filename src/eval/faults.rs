//! Whether a fault was told in time, by its name and with the right remedy: events against what really happened.
//!
//! An event is *of* a fault if it tells people (a ticket or a page) of an incident on a host where the fault shows,
//! one of whose signals has moved since the onset. What counts is what was told until impact; where nothing was until
//! then, or there is no lead, what was told within `AFTER_SECONDS` of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::incident::event::{Event, EventKind, Incident, Prediction, Severity};
use crate::sample::Timestamp;
use crate::sim::truth::FaultTruth;

/// What is told so long after impact is still an answer.
pub const AFTER_SECONDS: f64 = 900.0;
/// A series is read at some time within a minute of what it shows. What users feel sooner than that has no lead.
const CADENCE_MS: i64 = 60_000;

/// What was told of one fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub fault: String,
    /// Whether it could be foreseen: it shows first, by its nature, and this time did so for a minute at least.
    pub has_lead: bool,
    /// From onset to impact.
    pub impact_seconds: Option<f64>,
    /// From onset to the first event of it.
    pub detected_seconds: Option<f64>,
    /// From onset to the first event before impact that says when it will hurt.
    pub predicted_seconds: Option<f64>,
    /// Whether the likeliest hypothesis was right, and which it was.
    pub right_fault: bool,
    pub first_fault: Option<String>,
    pub right_remedy: bool,
    pub remedy: Option<String>,
    /// The first remedy that was proposed and makes it worse, if one ever was, and what was said with it.
    pub forbidden: Option<String>,
    /// The forecast that stood at half of the way from onset to impact.
    pub half_way: Option<HalfWay>,
    pub severity: Option<Severity>,
    pub summary: Option<String>,
}

/// A forecast at half of the way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HalfWay {
    /// Whether impact lies within the 80 % interval.
    pub covers: bool,
    /// Width of the interval as a share of the time that was left.
    pub width: f64,
}

impl Verdict {
    /// Lead time as a share of the time from onset to impact.
    pub fn lead_share(&self) -> Option<f64> {
        let (impact, predicted) = (self.impact_seconds?, self.predicted_seconds?);
        Some((impact - predicted) / impact)
    }
}

/// Judges the events of one run in which one fault was there.
pub fn judge(truth: &FaultTruth, events: &[Event]) -> Verdict {
    let since_onset = |at: Timestamp| at.since(truth.onset) as f64 / 1000.0;
    let of_it: Vec<(Timestamp, &Incident)> = events.iter().filter_map(|event| of(truth, event)).collect();
    let end = match truth.impact {
        Some(impact) => impact.plus_ms((AFTER_SECONDS * 1000.0) as i64),
        None => Timestamp(i64::MAX),
    };
    let over = over(events);
    let in_time: Vec<_> = of_it.iter().filter(|(at, _)| *at <= end).copied().collect();
    let is_early = |at: Timestamp| truth.impact.is_none_or(|impact| at < impact);
    let detected = in_time.first().map(|(at, _)| since_onset(*at));
    let predicted = in_time.iter().find(|(at, incident)| is_early(*at) && incident.prediction.is_some());
    // What stands when users begin to feel it, or a little later where nothing stood.
    let has_lead =
        truth.has_lead && truth.impact.is_none_or(|impact| impact.since(truth.onset) >= CADENCE_MS);
    let last = in_time.iter().rfind(|(at, _)| has_lead && is_early(*at));
    let decided_at = last.or(in_time.last()).map(|(at, _)| *at);
    let decided = decided_at.and_then(|at| standing(truth.onset, &in_time, &over, at));
    let first_fault = decided.and_then(|incident| incident.hypotheses.first()).map(|h| h.fault.clone());
    let remedy = decided.and_then(|incident| incident.remedy.clone());
    let is_right = |remedy: &String| truth.right.contains(remedy);
    Verdict {
        fault: truth.fault.clone(),
        has_lead,
        impact_seconds: truth.impact.map(since_onset),
        detected_seconds: detected,
        predicted_seconds: predicted.map(|(at, _)| since_onset(*at)),
        right_fault: first_fault.as_ref() == Some(&truth.fault),
        first_fault,
        right_remedy: match &remedy {
            Some(remedy) => is_right(remedy),
            // Where nothing heals, nothing is to be proposed, and people are to know.
            None => truth.right.is_empty() && decided.is_some(),
        },
        remedy,
        forbidden: events.iter().filter(|event| event.at >= truth.onset).find_map(|event| {
            let incident = event.incident.as_ref()?;
            let remedy = incident.remedy.as_ref().filter(|remedy| truth.wrong.contains(remedy))?;
            Some(format!("{remedy} at {}: {}", event.at, incident.summary))
        }),
        half_way: half_way(truth, &of_it, &over),
        severity: decided.map(|incident| incident.severity),
        summary: decided.map(|incident| incident.summary.clone()),
    }
}

/// The incident of an event that is of this fault.
fn of<'e>(truth: &FaultTruth, event: &'e Event) -> Option<(Timestamp, &'e Incident)> {
    let tells = matches!(event.event, EventKind::Opened | EventKind::Updated);
    let incident = event.incident.as_ref().filter(|i| tells && i.severity > Severity::Info)?;
    let is_there =
        incident.entities.iter().any(|entity| truth.hosts.contains(entity) || *entity == truth.host);
    let moved = incident.movers.iter().any(|mover| mover.at >= truth.onset.plus_ms(-CADENCE_MS));
    (event.at > truth.onset && is_there && moved).then_some((event.at, incident))
}

/// When each incident that is over was resolved.
fn over(events: &[Event]) -> BTreeMap<&str, Timestamp> {
    let resolved = events.iter().filter(|event| event.event == EventKind::Resolved);
    resolved.filter_map(|event| Some((event.incident.as_ref()?.id.as_str(), event.at))).collect()
}

/// The incident that told of it first, as it was told last by `at`; once that is over, the next. What was open before
/// the onset tells of something else, and counts where nothing new was told.
fn standing<'e>(
    onset: Timestamp,
    told: &[(Timestamp, &'e Incident)],
    over: &BTreeMap<&str, Timestamp>,
    at: Timestamp,
) -> Option<&'e Incident> {
    let mut last: BTreeMap<&str, &Incident> = BTreeMap::new();
    for (_, incident) in told.iter().filter(|(told_at, _)| *told_at <= at) {
        if over.get(incident.id.as_str()).is_none_or(|over| *over > at) {
            last.insert(&incident.id, incident);
        }
    }
    last.into_values().min_by_key(|incident| (incident.opened_at < onset, incident.opened_at))
}

fn half_way(
    truth: &FaultTruth,
    of_it: &[(Timestamp, &Incident)],
    over: &BTreeMap<&str, Timestamp>,
) -> Option<HalfWay> {
    let impact = truth.impact?;
    let left_ms = impact.since(truth.onset) / 2;
    let half = truth.onset.plus_ms(left_ms);
    let before: Vec<_> = of_it.iter().filter(|(at, _)| *at <= half).copied().collect();
    let p: &Prediction = standing(truth.onset, &before, over, half)?.prediction.as_ref()?;
    let width = p.latest.since(p.earliest) as f64 / left_ms.max(1) as f64;
    Some(HalfWay { covers: (p.earliest..=p.latest).contains(&impact), width })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Kind;
    use crate::incident::event::{Hypothesis, Mover, SCHEMA_VERSION, State};
    use crate::sample::Labels;

    fn minute(n: i64) -> Timestamp {
        Timestamp(n * 60_000)
    }

    fn truth() -> FaultTruth {
        FaultTruth {
            fault: "clamd_stuck".into(),
            host: "mta1".into(),
            hosts: vec!["mta1".into()],
            onset: minute(10),
            first_change: None,
            impact: Some(minute(40)),
            has_lead: true,
            right: vec!["restart_clamd_then_amavis".into()],
            wrong: vec!["flush_queue".into()],
        }
    }

    /// An event at a minute: what it calls the fault, which remedy it proposes, and between which minutes it will hurt.
    fn told(at: i64, fault: &str, remedy: Option<&str>, hurts: Option<(i64, i64)>) -> Event {
        let mover = Mover {
            series: Labels::new(&[("__name__", "x")]),
            signal: None,
            at: minute(at),
            value: 1.0,
            unit: None,
            expected: 0.0,
            low: 0.0,
            high: 0.0,
            surprise: 5.0,
            detector: Kind::Derivative,
        };
        let prediction = hurts.map(|(from, to)| Prediction {
            impact_at: minute((from + to) / 2),
            earliest: minute(from),
            latest: minute(to),
            what: "mail is late".into(),
        });
        let incident = Incident {
            id: "a".into(),
            site: "s".into(),
            entity: "mta1".into(),
            entities: vec!["mta1".into()],
            opened_at: minute(at),
            resolved_at: None,
            root: None,
            severity: Severity::Page,
            state: State::Open,
            fault: None,
            probability: None,
            hypotheses: vec![Hypothesis { fault: fault.into(), probability: 0.8, evidence: vec![] }],
            movers: vec![mover],
            prediction,
            brown_out: None,
            remedy: remedy.map(Into::into),
            summary: "something".into(),
        };
        let (event, action) = (EventKind::Updated, None);
        Event { v: SCHEMA_VERSION, seq: 0, at: minute(at), event, incident: Some(incident), action }
    }

    #[test]
    fn what_stands_at_impact_counts() {
        let events = [
            told(5, "clamd_stuck", None, None),
            told(12, "slow_lmtp", None, None),
            told(20, "clamd_stuck", Some("restart_clamd_then_amavis"), Some((35, 50))),
            told(45, "storage_latency", Some("drain_store"), None),
        ];
        let verdict = judge(&truth(), &events);
        assert_eq!((verdict.detected_seconds, verdict.predicted_seconds), (Some(120.0), Some(600.0)));
        assert!(verdict.right_fault && verdict.right_remedy && verdict.forbidden.is_none());
        assert_eq!(verdict.lead_share(), Some(20.0 / 30.0));
        // Half of the way is minute 25; 15 minutes are left, and the interval is as wide.
        assert_eq!(verdict.half_way, Some(HalfWay { covers: true, width: 1.0 }));
    }

    #[test]
    fn what_comes_after_impact_is_detected_and_not_predicted() {
        let late = judge(&truth(), &[told(45, "clamd_stuck", None, Some((46, 50)))]);
        assert_eq!((late.detected_seconds, late.predicted_seconds), (Some(2100.0), None));
        assert!(late.right_fault && !late.right_remedy);
        let never = judge(&truth(), &[told(60, "clamd_stuck", None, None)]);
        assert_eq!((never.detected_seconds, never.right_fault), (None, false));
        let elsewhere = FaultTruth { host: "b".into(), hosts: vec!["b".into()], ..truth() };
        assert_eq!(judge(&elsewhere, &[told(20, "clamd_stuck", None, None)]).detected_seconds, None);
    }

    #[test]
    fn what_is_felt_at_once_could_not_be_foreseen() {
        let at_once = FaultTruth { impact: Some(truth().onset.plus_ms(1000)), ..truth() };
        let verdict = judge(&at_once, &[told(12, "clamd_stuck", None, None)]);
        assert!(!verdict.has_lead && verdict.right_fault);
        assert!(judge(&truth(), &[]).has_lead);
    }

    #[test]
    fn a_forbidden_remedy_counts_whenever_it_is_proposed() {
        let verdict = judge(&truth(), &[told(80, "remote_outage", Some("flush_queue"), None)]);
        assert!(verdict.forbidden.unwrap().starts_with("flush_queue at "));
    }

    #[test]
    fn what_is_over_stands_no_more() {
        let mut other = told(11, "storage_latency", None, None);
        let mut resolved = told(14, "storage_latency", None, None);
        resolved.event = EventKind::Resolved;
        for event in [&mut other, &mut resolved] {
            let incident = event.incident.as_mut().unwrap();
            incident.id = "b".into();
            incident.hypotheses[0].probability = 0.9;
        }
        let own = told(20, "clamd_stuck", None, None);
        let first = |events: &[Event]| judge(&truth(), events).first_fault.unwrap();
        assert_eq!(first(&[other.clone(), own.clone()]), "storage_latency", "it was told first");
        assert_eq!(first(&[other, resolved, own]), "clamd_stuck");
    }
}
