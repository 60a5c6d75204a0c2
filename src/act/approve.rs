//! Mode `approve`: a planned action waits for a person's yes, for four hours or until its incident ends.

use super::acting::{ACTION_MS_MAX, Acting};
use super::case::{end_steps, new_record, say};
use super::guard::Refused;
use crate::durable::record::{Case, Changes, Stage, Step};
use crate::incident::event::EventKind;
use crate::sample::Timestamp;

const NAME_CHARS_MAX: usize = 100;

/// Why an approval was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    #[error("no action has this id")]
    Unknown,
    #[error("the action does not wait for approval: it is {outcome}")]
    NotWaiting { outcome: String },
    #[error("the action was planned more than 4 hours ago")]
    Expired,
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Acting {
    /// A person lets a waiting action go; cool-down and limit hold for people too.
    ///
    /// # Errors
    /// There is no such action, it does not wait any more, or the guard refuses: then it goes on waiting.
    pub fn approve(&mut self, at: Timestamp, action: &str, by: &str) -> Result<Changes, ApproveError> {
        let is_it = |step: &Step| step.action.id == action;
        let case = self.state.cases.values().find(|case| case.steps.iter().any(is_it));
        let mut case = case.cloned().ok_or(ApproveError::Unknown)?;
        let step = case.steps.iter_mut().find(|step| is_it(step)).ok_or(ApproveError::Unknown)?;
        if step.stage != Stage::Waiting {
            return Err(ApproveError::NotWaiting { outcome: step.action.outcome.clone() });
        }
        if at.since(step.planned_at) > ACTION_MS_MAX {
            return Err(ApproveError::Expired);
        }
        let mut route = self.policy.route(&step.action.remedy)?;
        route.sink = &step.action.sink;
        self.may(at, &step.action.target, &route)?;
        let by: String = by.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        step.stage = Stage::Queued;
        step.action.outcome = "approved".into();
        step.action.reason = Some(format!("approved by {by}"));
        let action = step.action.clone();
        let mut out = Changes::default();
        let approved = say(&mut case, EventKind::Planned, at, &action, &mut out);
        self.charge(at, &action, &mut out);
        self.enqueue(new_record(action.id, action.sink, &approved), &mut out)?;
        self.keep(case, &mut out);
        Ok(out)
    }

    /// Lets go of actions that have waited too long for approval.
    pub fn expire(&mut self, now: Timestamp) -> Changes {
        let is_late =
            |step: &Step| step.stage == Stage::Waiting && now.since(step.planned_at) > ACTION_MS_MAX;
        let late: Vec<Case> =
            self.state.cases.values().filter(|case| case.steps.iter().any(is_late)).cloned().collect();
        let mut out = Changes::default();
        for mut case in late {
            end_steps(&mut case, now, is_late, "nobody approved it within 4 hours", &mut out);
            self.keep(case, &mut out);
        }
        out
    }
}
