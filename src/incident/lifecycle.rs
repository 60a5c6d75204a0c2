//! An incident's life as events: opened, updated when there is news, resolved once every mover has come to rest.

use super::House;
use super::case::{Assessment, Case, Opened};
use super::event::{
    BrownOut, Event, EventKind, Hypothesis, Incident, Mover, Prediction, SCHEMA_VERSION, State,
};
use super::explain;
use super::id::incident_id;
use super::mover::Track;
use crate::sample::Timestamp;

/// Movers and hypotheses that an event lists.
const MOVERS_MAX: usize = 32;
const HYPOTHESES_MAX: usize = 5;
const HYPOTHESIS_MIN: f64 = 0.02;
/// Steps between two updates; twice as many after every eighth event, up to an hour.
const UPDATE_STEPS: i64 = 4;
const UPDATE_MS_MAX: i64 = 3_600_000;

/// Opens the incident of a case.
pub(super) fn open(house: &House, at: Timestamp, case: &mut Case, assessment: &Assessment) -> Option<Event> {
    let incident = describe(house, at, case, assessment)?;
    let event = event(0, at, EventKind::Opened, incident.clone());
    let mut opened = Opened::new(incident, 1, at);
    opened.felt = assessment.foreseen.felt;
    opened.is_measured = assessment.foreseen.is_measured;
    case.opened = Some(opened);
    Some(event)
}

/// Tells what is new about an open incident, if anything is.
pub(super) fn update(
    house: &House,
    at: Timestamp,
    case: &mut Case,
    assessment: &Assessment,
) -> Option<Event> {
    let now = describe(house, at, case, assessment)?;
    let opened = case.opened.as_mut()?;
    opened.felt |= assessment.foreseen.felt;
    if let Some((fault, _)) = assessment.fault(house) {
        opened.bears(&fault.name);
    }
    let before = &opened.incident;
    let waited_ms = at.since(opened.told_at);
    let step_ms = 1000 * i64::from(house.settings.step_seconds);
    let pause_ms = ((UPDATE_STEPS * step_ms) << (opened.seq / 8).min(16)).min(UPDATE_MS_MAX);
    let worse = now.severity > before.severity;
    if !worse && (waited_ms < pause_ms || !has_news(before, &now, at, step_ms)) {
        return None;
    }
    opened.incident = now.clone();
    opened.is_measured = assessment.foreseen.is_measured;
    opened.told_at = at;
    opened.seq += 1;
    Some(event(opened.seq - 1, at, EventKind::Updated, now))
}

/// A person looks after it, or says that it is no false alarm; `said` is how people read that.
pub(super) fn acknowledge(at: Timestamp, opened: &mut Opened, said: &str) -> Event {
    opened.acknowledged = true;
    opened.incident.state = State::Acknowledged;
    opened.incident.summary = format!("{}; {said}", opened.incident.summary);
    opened.told_at = at;
    opened.seq += 1;
    event(opened.seq - 1, at, EventKind::Updated, opened.incident.clone())
}

/// It is over; `said` is what a person said of that, such as ` by ann`.
pub(super) fn resolve(house: &House, at: Timestamp, case: &Case, said: &str) -> Option<Event> {
    let opened = case.opened.as_ref()?;
    let mut incident = opened.incident.clone();
    incident.movers = movers(house, &case.story());
    incident.state = State::Resolved;
    incident.resolved_at = Some(at);
    incident.prediction = None;
    incident.brown_out = None;
    let lasted = explain::duration(at.since(incident.opened_at));
    incident.summary = format!("Resolved{said} after {lasted}: {}", explain::past(house, at, &case.story()));
    Some(event(opened.seq, at, EventKind::Resolved, incident))
}

fn event(seq: u32, at: Timestamp, kind: EventKind, incident: Incident) -> Event {
    Event { v: SCHEMA_VERSION, seq, at, event: kind, incident: Some(incident), action: None }
}

fn has_news(before: &Incident, now: &Incident, at: Timestamp, step_ms: i64) -> bool {
    before.fault != now.fault
        || before.remedy != now.remedy
        || now.entities.len() > before.entities.len()
        || now.movers.len() > before.movers.len()
        || prediction_moved(before.prediction.as_ref(), now.prediction.as_ref(), at, step_ms)
        || is_used_up(now) && !is_used_up(before)
}

fn is_used_up(incident: &Incident) -> bool {
    incident.brown_out.as_ref().is_some_and(BrownOut::is_used_up)
}

/// Worth telling: something else will hurt, a quarter of what is left, or a tenth of it where what was told is no longer believed.
fn prediction_moved(
    before: Option<&Prediction>,
    now: Option<&Prediction>,
    at: Timestamp,
    step_ms: i64,
) -> bool {
    match (before, now) {
        (None, None) => false,
        (Some(before), Some(now)) => {
            let moved_ms = now.impact_at.since(before.impact_at).abs();
            let left_ms = before.impact_at.since(at).abs();
            let is_believed = (now.earliest..=now.latest).contains(&before.impact_at);
            let is_other = now.what != before.what;
            // That it was felt by then is known; since when says nothing new.
            let is_past = before.impact_at <= at && now.impact_at <= at;
            let is_far = moved_ms > 2 * step_ms && moved_ms > left_ms / if is_believed { 4 } else { 10 };
            is_other || is_far && !is_past
        }
        _ => true,
    }
}

/// The incident as it is to be told now. What was told once as worse stays so.
fn describe(house: &House, at: Timestamp, case: &Case, assessment: &Assessment) -> Option<Incident> {
    let story = case.story();
    let first = *story.first()?;
    let told = case.opened.as_ref();
    let mut entities: Vec<String> = Vec::new();
    for track in &story {
        if !entities.iter().any(|known| **known == *track.entity_name) {
            entities.push(track.entity_name.to_string());
        }
    }
    let fault = assessment.fault(house);
    let identity = told.map(|opened| &opened.incident);
    Some(Incident {
        id: identity.map_or_else(|| incident_id(&house.settings.site, &first.labels, at), |i| i.id.clone()),
        site: house.settings.site.clone(),
        entity: identity.map_or_else(|| first.entity_name.to_string(), |i| i.entity.clone()),
        entities,
        opened_at: identity.map_or(at, |i| i.opened_at),
        resolved_at: None,
        root: assessment.root(house).map(str::to_owned),
        severity: identity.map_or(assessment.severity, |i| i.severity.max(assessment.severity)),
        state: if told.is_some_and(|opened| opened.acknowledged) { State::Acknowledged } else { State::Open },
        fault: fault.map(|(fault, _)| fault.name.clone()),
        probability: fault.map(|(_, probability)| probability),
        hypotheses: hypotheses(house, &story, assessment),
        movers: movers(house, &story),
        prediction: assessment.foreseen.prediction.clone(),
        brown_out: assessment.foreseen.brown_out.clone(),
        remedy: assessment.remedy.clone(),
        summary: explain::summary(house, at, &story, fault, assessment),
    })
}

fn hypotheses(house: &House, story: &[&Track], assessment: &Assessment) -> Vec<Hypothesis> {
    let weighty = assessment.ranked.iter().filter(|ranked| ranked.probability >= HYPOTHESIS_MIN);
    let hypotheses = weighty.take(HYPOTHESES_MAX).map(|ranked| Hypothesis {
        fault: house.table.faults()[ranked.fault].name.clone(),
        probability: ranked.probability,
        evidence: story
            .iter()
            .filter(|track| track.signal.is_some_and(|s| ranked.signs.contains(&s.signal)))
            .take(MOVERS_MAX)
            .map(|track| track.labels.clone())
            .collect(),
    });
    hypotheses.collect()
}

fn movers(house: &House, story: &[&Track]) -> Vec<Mover> {
    let mover = |track: &&Track| {
        let (at, worst) = track.course();
        Mover {
            series: track.labels.clone(),
            signal: track.signal.map(|signal| house.table.signal(signal).name.clone()),
            at,
            value: worst.value,
            unit: track.signal.map(|signal| house.table.unit(signal).to_owned()),
            expected: worst.expected,
            low: worst.low,
            high: worst.high,
            surprise: f64::from(worst.surprise),
            detector: track.detector,
        }
    };
    // Of a long story the beginning, and what is new.
    let newest = story.len().saturating_sub(MOVERS_MAX / 2).max(MOVERS_MAX / 2);
    let told = story.iter().take(MOVERS_MAX / 2).chain(story.iter().skip(newest));
    told.map(mover).collect()
}
