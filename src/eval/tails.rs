//! Whether a surprise means what it says: on normal rows, 2 is one in a hundred, 3 in a thousand, 4 in ten thousand.

use serde::Serialize;

/// The surprises that are counted above, and the share that each promises.
pub const LEVELS: [(f64, f64); 3] = [(2.0, 1e-2), (3.0, 1e-3), (4.0, 1e-4)];

/// Normal rows, and how many of them lie above each level; events, and how many reach surprise 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tails {
    pub rows: usize,
    pub above: [usize; LEVELS.len()],
    pub events: usize,
    pub found: usize,
}

impl Tails {
    /// Counts a row that is normal.
    pub fn normal(&mut self, surprise: f64) {
        self.rows += 1;
        for (count, (level, _)) in self.above.iter_mut().zip(LEVELS) {
            *count += usize::from(surprise > level);
        }
    }

    /// Counts an event by the surprises of its rows.
    pub fn event(&mut self, surprises: &[f64]) {
        self.events += 1;
        self.found += usize::from(surprises.iter().any(|s| *s >= 3.0));
    }

    /// Both together.
    pub fn plus(mut self, other: Tails) -> Tails {
        self.rows += other.rows;
        self.events += other.events;
        self.found += other.found;
        for (count, more) in self.above.iter_mut().zip(other.above) {
            *count += more;
        }
        self
    }

    /// The share of normal rows above each level.
    pub fn shares(&self) -> [f64; LEVELS.len()] {
        self.above.map(|count| count as f64 / self.rows as f64)
    }

    /// The share of events that reach surprise 3.
    pub fn recall(&self) -> f64 {
        self.found as f64 / self.events as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_normal_rows_and_recall_of_the_events() {
        let mut tails = Tails::default();
        [0.0, 2.0, 2.5, 3.5, 0.1, 0.2, 5.0, 0.0].into_iter().for_each(|s| tails.normal(s));
        tails.event(&[0.0, 3.0]);
        tails.event(&[2.9]);
        assert_eq!(tails.shares(), [3.0 / 8.0, 2.0 / 8.0, 1.0 / 8.0]);
        assert_eq!(tails.recall(), 0.5);
        let twice = tails.plus(tails);
        assert_eq!((twice.rows, twice.above, twice.events, twice.found), (16, [6, 4, 2], 4, 2));
    }
}
