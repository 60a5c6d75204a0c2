//! The one clock of the edges: data time, which is wall time unless a demo runs it faster.
//!
//! Everything that stands in data time (scrapes, ticks, cool-downs, re-sends) asks this clock;
//! network time-outs stay in wall time. The engine never sees it: it is told the time as an input.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::sample::Timestamp;

/// Data time as an affine function of wall time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Start,
    origin: Timestamp,
    scale: f64,
}

/// Since when it runs.
#[derive(Clone, Copy, Debug)]
enum Start {
    At(Instant),
    /// Every copy of the clock looks at the same gate, which lives as long as the process.
    Held(&'static Gate),
}

#[derive(Debug, Default)]
struct Gate {
    opened: OnceLock<Instant>,
    news: Notify,
}

impl Clock {
    /// Wall time.
    pub fn wall() -> Self {
        Self::scaled(Self::wall_now(), 1.0)
    }

    /// Starts at `origin` and runs `scale` data seconds a wall second.
    pub fn scaled(origin: Timestamp, scale: f64) -> Self {
        Clock { start: Start::At(Instant::now()), origin, scale }
    }

    /// As `scaled`, but it stands at `origin`, and whoever sleeps by it sleeps, until `release`. For one or a few clocks a
    /// process: what they share is never freed.
    pub fn held(origin: Timestamp, scale: f64) -> Self {
        Clock { start: Start::Held(Box::leak(Box::default())), origin, scale }
    }

    /// Lets a held clock run, in all its copies.
    pub fn release(&self) {
        if let Start::Held(gate) = self.start {
            gate.opened.get_or_init(Instant::now);
            gate.news.notify_waiters();
        }
    }

    fn wall_now() -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since_epoch.as_millis() as i64)
    }

    pub fn now(&self) -> Timestamp {
        let started = match self.start {
            // At scale 1 a stepped system clock (NTP, resume from sleep) must show, so it is read anew.
            Start::At(_) if self.scale == 1.0 => return Self::wall_now(),
            Start::At(started) => Some(started),
            Start::Held(gate) => gate.opened.get().copied(),
        };
        let elapsed_seconds = started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        self.origin.plus_ms((elapsed_seconds * 1000.0 * self.scale) as i64)
    }

    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Sleeps for `span` of data time.
    pub async fn sleep(&self, span: Duration) {
        if let Start::Held(gate) = self.start {
            loop {
                // Heard from here on, so that a release between the two is not missed.
                let news = gate.news.notified();
                if gate.opened.get().is_some() {
                    break;
                }
                news.await;
            }
        }
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

    #[tokio::test]
    async fn a_held_clock_stands_and_its_sleepers_sleep_until_it_is_released() {
        let clock = Clock::held(Timestamp(0), 1000.0);
        let sleeper = tokio::spawn(async move { clock.sleep_until(Timestamp(5_000)).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!sleeper.is_finished());
        assert_eq!(clock.now(), Timestamp(0));
        clock.release();
        sleeper.await.unwrap();
        assert!(clock.now() >= Timestamp(5_000));
    }
}
