//! Did the remedy help? An action counts as verified once its incident has ended after delivery.
//!
//! The engine ends an incident only when its signals are back in their bands for a while, and never for
//! want of data, so the end is the check.

use crate::durable::record::{Stage, Step};
use crate::incident::event::Action;

/// Marks the delivered steps of a case that has ended, and gives their actions.
pub fn verify(steps: &mut [Step]) -> Vec<Action> {
    let delivered = steps.iter_mut().filter(|step| step.stage == Stage::Delivered);
    delivered
        .map(|step| {
            step.stage = Stage::Verified;
            step.action.outcome = "cleared".into();
            step.action.clone()
        })
        .collect()
}
