//! The virus scanner as a queue with servers: messages wait first in, first out for a clamd thread.
//!
//! A stuck thread is one that never comes back: it counts as busy and scans nothing.

use std::collections::VecDeque;

use crate::sample::Timestamp;

/// What one step of the scanner did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scanned {
    /// Messages that passed.
    pub messages: f64,
    /// Threads at work, the stuck ones not counted.
    pub busy: f64,
}

/// Threads, and the messages that wait for one.
#[derive(Clone, Debug)]
pub struct Scanner {
    /// Threads that clamd may run.
    pub threads: f64,
    /// Threads that hang.
    pub stuck: f64,
    /// Mean time of one scan.
    pub scan_seconds: f64,
    waiting: VecDeque<(Timestamp, f64)>,
}

impl Scanner {
    /// All threads in good order, nothing waits.
    pub fn new(threads: f64, scan_seconds: f64) -> Self {
        Scanner { threads, stuck: 0.0, scan_seconds, waiting: VecDeque::new() }
    }

    /// Messages that wait for a thread.
    pub fn queue(&self) -> f64 {
        self.waiting.iter().fold(0.0, |sum, (_, count)| sum + count)
    }

    /// How long the message at the head of the queue has waited.
    pub fn oldest_seconds(&self, now: Timestamp) -> f64 {
        self.waiting.front().map_or(0.0, |(since, _)| now.since(*since) as f64 / 1000.0)
    }

    /// Takes `arrived` messages in and scans for `seconds`.
    pub fn step(&mut self, now: Timestamp, arrived: f64, seconds: f64) -> Scanned {
        if arrived > 0.0 {
            self.waiting.push_back((now, arrived));
        }
        let usable = (self.threads - self.stuck).max(0.0);
        let mut room = usable * seconds / self.scan_seconds;
        let mut messages = 0.0;
        while let Some((_, count)) = self.waiting.front_mut() {
            let taken = count.min(room);
            *count -= taken;
            room -= taken;
            messages += taken;
            if *count > 0.0 {
                break;
            }
            self.waiting.pop_front();
        }
        Scanned { messages, busy: (messages * self.scan_seconds / seconds).min(usable) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_goes_out_or_waits() {
        let mut scanner = Scanner::new(10.0, 2.0);
        let done = scanner.step(Timestamp(0), 20.0, 5.0);
        assert_eq!(done, Scanned { messages: 20.0, busy: 8.0 });
        scanner.stuck = 8.0;
        let done = scanner.step(Timestamp(5_000), 20.0, 5.0);
        assert_eq!(done, Scanned { messages: 5.0, busy: 2.0 });
        assert_eq!(scanner.queue(), 15.0);
        scanner.step(Timestamp(10_000), 0.0, 5.0);
        assert_eq!(scanner.oldest_seconds(Timestamp(10_000)), 5.0);
    }

    #[test]
    fn a_scanner_without_threads_only_gathers() {
        let mut scanner = Scanner::new(10.0, 2.0);
        scanner.stuck = 10.0;
        assert_eq!(scanner.step(Timestamp(0), 7.0, 5.0).messages, 0.0);
        assert_eq!(scanner.queue(), 7.0);
    }
}
