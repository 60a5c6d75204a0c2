//! What one event causes: notices to the sinks that are to hear of it, and a remedy planned or refused.

use super::acting::Acting;
use super::case::{new_record, say};
use super::guard::{Refused, Route};
use super::id::delivery_id;
use super::room::Part;
use crate::durable::record::{Case, Changes, Charge, OutboxRecord, Stage, Step};
use crate::incident::event::{Action, Event, EventKind, Mode, Severity};
use crate::sample::Timestamp;

impl Acting {
    /// Makes a record for each sink that is to hear of `event`.
    pub(super) fn tell(&mut self, case: &mut Case, event: &Event, out: &mut Changes) {
        let transition = match event.event {
            EventKind::Opened => "opened".to_owned(),
            EventKind::Resolved => "resolved".to_owned(),
            EventKind::Updated => format!("updated@{}/{}", event.at.0, case.accepted.1),
            _ => return,
        };
        let sinks: Vec<String> = self
            .policy
            .sinks
            .iter()
            .filter(|(name, sink)| {
                let told = case.notes.contains_key(*name);
                let ending = event.event == EventKind::Resolved;
                sink.incidents && (told || !ending && case.severity_max >= sink.severity_min)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for sink in sinks {
            if self.state.disabled.contains_key(&sink) {
                continue;
            }
            let id = delivery_id(&case.incident.id, &transition, &sink);
            let record = new_record(id, sink.clone(), event);
            // What was told of must end, or it would stand for ever; there is one end for each beginning.
            let taken = if event.event == EventKind::Resolved {
                out.records.push(record);
                Ok(())
            } else {
                self.enqueue(record, out)
            };
            if taken.is_ok() {
                case.notes.entry(sink).or_default();
            }
        }
    }

    /// Plans the remedy that the incident names, once; one that was refused is asked for again at each update.
    pub(super) fn plan(&mut self, case: &mut Case, at: Timestamp, out: &mut Changes) {
        let Some(remedy) = case.incident.remedy.clone() else { return };
        let route = self.policy.route(&remedy);
        if case.severity_max < route.as_ref().map_or(Severity::Ticket, |route| route.severity_min) {
            return;
        }
        let before = case.steps.iter().position(|step| step.action.remedy == remedy);
        if before.is_some_and(|i| case.steps[i].stage != Stage::Refused) {
            return;
        }
        let sink = route.as_ref().map_or("", |route| route.sink).to_owned();
        let mut action = Action {
            id: delivery_id(&case.incident.id, &format!("remedy:{remedy}"), &sink),
            remedy,
            target: case.incident.root.as_ref().unwrap_or(&case.incident.entity).clone(),
            sink,
            mode: route.as_ref().map_or(self.policy.mode, |route| route.mode),
            outcome: "planned".into(),
            reason: None,
        };
        let stage = match route.and_then(|route| self.may(at, &action.target, &route)) {
            Ok(()) => match action.mode {
                Mode::Observe => Stage::Observed,
                Mode::Approve => Stage::Waiting,
                Mode::Auto => Stage::Queued,
            },
            Err(refused) => {
                if before.is_some_and(|i| case.steps[i].action.outcome == refused.slug()) {
                    return;
                }
                if refused == Refused::OutboxFull {
                    *self.dropped.entry(Part::new(&action.sink, true)).or_default() += 1;
                }
                action.outcome = refused.slug().into();
                action.reason = Some(refused.to_string());
                Stage::Refused
            }
        };
        if stage == Stage::Waiting {
            action.outcome = "waiting".into();
        }
        let kind = if stage == Stage::Refused { EventKind::Refused } else { EventKind::Planned };
        let planned = say(case, kind, at, &action, out);
        match stage {
            Stage::Observed => self.charge(at, &action, out),
            Stage::Queued => {
                self.charge(at, &action, out);
                // cannot fail: `may` has seen that there is room
                let _ = self.enqueue(new_record(action.id.clone(), action.sink.clone(), &planned), out);
            }
            _ => {}
        }
        case.steps.retain(|step| step.action.remedy != action.remedy);
        case.steps.push(Step { action, planned_at: at, stage });
    }

    /// Whether the guard lets an action through now.
    pub(super) fn may(&self, at: Timestamp, target: &str, route: &Route) -> Result<(), Refused> {
        if self.state.disabled.contains_key(route.sink) {
            return Err(Refused::SinkDisabled { sink: route.sink.into() });
        }
        if !self.room.has(&Part::new(route.sink, true)) {
            return Err(Refused::OutboxFull);
        }
        self.state.history.check(at, target, route.cooldown, self.policy.actions_per_hour_max)
    }

    pub(super) fn charge(&mut self, at: Timestamp, action: &Action, out: &mut Changes) {
        let charge = Charge { action: action.id.clone(), target: action.target.clone(), at };
        self.state.history.charge(charge.clone());
        out.charges.push(charge);
    }

    pub(super) fn enqueue(&mut self, record: OutboxRecord, out: &mut Changes) -> Result<(), Refused> {
        let part = Part::new(&record.sink, record.event.action.is_some());
        if !self.room.take(part.clone()) {
            *self.dropped.entry(part).or_default() += 1;
            return Err(Refused::OutboxFull);
        }
        out.records.push(record);
        Ok(())
    }
}
