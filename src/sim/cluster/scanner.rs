//! amavis and clamd of an MTA: workers that take messages, first come, first served.
//!
//! A stuck thread is one that never comes back: it counts as live, scans nothing and keeps the message that it took.

use rand_pcg::Pcg64;

use super::fifo::{Fifo, count_of};
use crate::sample::Timestamp;
use crate::sim::load::normal;

pub const THREADS: f64 = 10.0;
const SCAN_SECONDS: f64 = 0.8;

/// The scanner, and what waits for it.
#[derive(Clone, Debug)]
pub struct Scanner {
    pub waiting: Fifo,
    /// With the threads that are stuck.
    pub held: Fifo,
    /// At work, the stuck ones not counted.
    pub busy: f64,
    pub stuck: f64,
    pub is_up: bool,
}

impl Default for Scanner {
    /// All threads in good order, nothing waits.
    fn default() -> Self {
        Scanner {
            waiting: Fifo::with_grain(5),
            held: Fifo::with_grain(5),
            busy: 0.0,
            stuck: 0.0,
            is_up: true,
        }
    }
}

impl Scanner {
    /// Scans for `seconds` on a machine whose CPU is `cpu_busy`, and gives what passed.
    pub fn step(&mut self, stuck: f64, is_up: bool, cpu_busy: f64, seconds: f64) -> Vec<(Timestamp, f64)> {
        (self.stuck, self.is_up) = (stuck.min(THREADS), is_up);
        self.hold(if is_up { self.stuck } else { 0.0 });
        if !is_up {
            self.busy = 0.0;
            return Vec::new();
        }
        let scan = SCAN_SECONDS * (0.7 + 0.3 / (1.0 - cpu_busy.min(0.95)));
        let usable = THREADS - self.stuck;
        let passed = self.waiting.take(usable * seconds / scan);
        self.busy = (count_of(&passed) * scan / seconds).min(usable);
        passed
    }

    /// Each of so many threads keeps one message; what others kept waits again.
    fn hold(&mut self, threads: f64) {
        let more = threads - self.held.count();
        let (from, to) = if more > 0.0 {
            (&mut self.waiting, &mut self.held)
        } else {
            (&mut self.held, &mut self.waiting)
        };
        for (since, count) in from.take(more.abs()) {
            to.put(since, count);
        }
    }

    /// Threads as an instant sees them: they change state within a step.
    pub fn live(&self, random: &mut Pcg64) -> f64 {
        if !self.is_up {
            return 0.0;
        }
        let busy = (self.busy + normal(0.5, random)).clamp(0.0, THREADS - self.stuck);
        (busy + self.stuck).round()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_threads_let_messages_wait() {
        let mut scanner = Scanner::default();
        for second in 0..60 {
            scanner.waiting.put(Timestamp(second * 5_000), 15.0);
            scanner.step(0.0, true, 0.2, 5.0);
        }
        assert!(scanner.waiting.count() < 1.0);
        for second in 60..120 {
            scanner.waiting.put(Timestamp(second * 5_000), 15.0);
            scanner.step(9.0, true, 0.2, 5.0);
        }
        assert!(scanner.waiting.count() > 400.0 && scanner.busy <= 1.0, "{scanner:?}");
        assert!((scanner.held.count() - 9.0).abs() < 1e-9, "{scanner:?}");
        let before = scanner.waiting.count() + scanner.held.count();
        assert!(scanner.step(0.0, false, 0.2, 5.0).is_empty());
        assert!(
            (scanner.waiting.count() - before).abs() < 1e-9 && scanner.held.count() == 0.0,
            "{scanner:?}"
        );
    }
}
