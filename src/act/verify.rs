//! Did the remedy help? An action counts as verified once its incident has ended after delivery.
//!
//! The engine ends an incident only when its signals are back in their bands for a while, and never for
//! want of data, so the end is the check.

use super::case::say;
use crate::durable::record::{Case, Changes, Stage};
use crate::incident::event::EventKind;
use crate::sample::Timestamp;

/// The case has ended at `at`: what was delivered has helped.
pub fn verify(case: &mut Case, at: Timestamp, out: &mut Changes) {
    let mut cleared = Vec::new();
    for step in case.steps.iter_mut().filter(|step| step.stage == Stage::Delivered) {
        step.stage = Stage::Verified;
        step.action.outcome = "cleared".into();
        cleared.push(step.action.clone());
    }
    for action in cleared {
        say(case, EventKind::Verified, at, &action, out);
    }
}
