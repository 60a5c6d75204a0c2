//! How good scores are, against labels that people set: the field's published measures, as pure functions.
//!
//! `nab` scores alerts as the Numenta Anomaly Benchmark does; `vus` and `precision` how scores rank labelled
//! rows above the others; `alarms` what an operator feels: events found at so many false alarms a week;
//! `cause` ranks the nodes of a call graph; `tails` tells whether a surprise of 3 is one row in a thousand.

pub mod alarms;
pub mod cause;
pub mod faults;
pub mod nab;
pub mod precision;
pub mod tails;
pub mod vus;

use std::ops::Range;

/// The events of a track: its runs of labelled rows.
pub fn events(label: &[bool]) -> Vec<Range<usize>> {
    let mut events: Vec<Range<usize>> = Vec::new();
    for (row, _) in label.iter().enumerate().filter(|(_, on)| **on) {
        match events.last_mut() {
            Some(event) if event.end == row => event.end += 1,
            _ => events.push(row..row + 1),
        }
    }
    events
}

/// The rows by descending score; rows of equal score stay in their order.
fn by_descending_score(score: &[f64]) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..score.len()).collect();
    rows.sort_by(|&a, &b| score[b].total_cmp(&score[a]));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_run_of_labelled_rows() {
        let label = |text: &str| text.bytes().map(|b| b == b'1').collect::<Vec<bool>>();
        assert_eq!(events(&label("0110100")), [1..3, 4..5]);
        assert_eq!(events(&label("1011")), [0..1, 2..4]);
        assert!(events(&label("000")).is_empty());
    }
}
