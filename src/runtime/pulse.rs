//! When the engine is told the time: about once a step, and never ahead of the batches that came before.
//!
//! Time told too early would turn batches that still wait in the queue into late ones. So a beat falls due
//! with the batches then waiting in front of it, and is told once they have gone in.

use std::time::Duration;

use crate::clock::Clock;
use crate::sample::Timestamp;

/// The beats of one engine.
#[derive(Debug)]
pub struct Pulse {
    step_ms: i64,
    next: Timestamp,
    due: Option<Due>,
}

#[derive(Debug)]
struct Due {
    at: Timestamp,
    batches_before: usize,
}

impl Pulse {
    /// The first beat falls due at once.
    pub fn new(step: Duration) -> Self {
        Pulse { step_ms: (step.as_millis() as i64).max(1), next: Timestamp::MIN, due: None }
    }

    /// Sleeps until a beat falls due; for ever while one waits for batches.
    pub async fn beat(&self, clock: &Clock) {
        if self.due.is_some() {
            return std::future::pending().await;
        }
        clock.sleep_until(self.next).await;
    }

    /// A beat falls due at `now`, behind `waiting` batches. Returns the time to tell, if it can be told at once.
    #[must_use]
    pub fn fall_due(&mut self, now: Timestamp, waiting: usize) -> Option<Timestamp> {
        self.next = now.plus_ms(self.step_ms);
        if waiting == 0 {
            return Some(now);
        }
        self.due = Some(Due { at: now, batches_before: waiting });
        None
    }

    /// A batch has gone in. Returns the time to tell, if it was the last one in front of a beat.
    #[must_use]
    pub fn batch_done(&mut self) -> Option<Timestamp> {
        let due = self.due.as_mut()?;
        due.batches_before = due.batches_before.saturating_sub(1);
        if due.batches_before > 0 {
            return None;
        }
        self.due.take().map(|due| due.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_engine_is_told_at_once() {
        let mut pulse = Pulse::new(Duration::from_secs(1));
        assert_eq!(pulse.fall_due(Timestamp(5_000), 0), Some(Timestamp(5_000)));
        assert_eq!(pulse.batch_done(), None);
    }

    #[test]
    fn time_waits_for_the_batches_before_it() {
        let mut pulse = Pulse::new(Duration::from_secs(1));
        assert_eq!(pulse.fall_due(Timestamp(5_000), 2), None);
        assert_eq!(pulse.batch_done(), None);
        assert_eq!(pulse.batch_done(), Some(Timestamp(5_000)));
        assert_eq!(pulse.batch_done(), None);
    }

    #[tokio::test]
    async fn beats_come_a_step_apart_in_data_time() {
        let clock = Clock::scaled(Timestamp(0), 1000.0);
        let mut pulse = Pulse::new(Duration::from_secs(100));
        pulse.beat(&clock).await;
        let first = clock.now();
        assert!(pulse.fall_due(first, 0).is_some());
        pulse.beat(&clock).await;
        let apart_ms = clock.now().since(first);
        assert!((100_000..1_000_000).contains(&apart_ms), "{apart_ms} ms of data time");
    }
}
