//! The one clock of the edges: data time, which is wall time unless a demo runs it faster.
//!
//! Everything that stands in data time (scrapes, ticks, cool-downs, re-sends) asks this clock;
//! network time-outs stay in wall time. The engine never sees it: it is told the time as an input.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sample::Timestamp;

/// Data time as an affine function of wall time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    origin: Timestamp,
    scale: f64,
}

impl Clock {
    /// Wall time.
    pub fn wall() -> Self {
        Self::scaled(Self::wall_now(), 1.0)
    }

    /// Starts at `origin` and runs `scale` data seconds a wall second.
    pub fn scaled(origin: Timestamp, scale: f64) -> Self {
        Clock { started: Instant::now(), origin, scale }
    }

    fn wall_now() -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since_epoch.as_millis() as i64)
    }

    pub fn now(&self) -> Timestamp {
        // At scale 1 a stepped system clock (NTP, resume from sleep) must show, so it is read anew.
        if self.scale == 1.0 {
            return Self::wall_now();
        }
        let elapsed_ms = self.started.elapsed().as_secs_f64() * 1000.0 * self.scale;
        self.origin.plus_ms(elapsed_ms as i64)
    }

    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Sleeps for `span` of data time.
    pub async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span.div_f64(self.scale)).await;
    }

    /// Sleeps until data time is `at`; at once where it is past.
    pub async fn sleep_until(&self, at: Timestamp) {
        let ms = at.since(self.now()).max(0) as u64;
        self.sleep(Duration::from_millis(ms)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_runs_faster_from_its_origin() {
        let clock = Clock::scaled(Timestamp(0), 1000.0);
        std::thread::sleep(Duration::from_millis(5));
        assert!(clock.now() >= Timestamp(5_000));
    }
}
