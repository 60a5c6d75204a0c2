//! Holding off repeats: what `alert_score` says is what a person would be told, and how loudly.
//!
//! After an alert, for a shift of rows, only what is clearly worse is news. And news is told by how it ranks among the
//! loudest alerts of the past, which fade: a series that cries often has to cry louder. The rank is soft, a sum of
//! logistic steps, so that a hair's breadth never decides. Rows are counted and not hours, as the public files whose
//! pace this was measured on differ in cadence by a factor of 60.

/// Rows after an alert in which more of the same is a repeat, and what is more by this is not.
const SHIFT_ROWS: u64 = 70;
const WORSE: f64 = 0.9;
/// Alerts remembered, and rows in which the exponential of a remembered loudness halves.
const REMEMBERED: usize = 16;
const HALF_LIFE_ROWS: f64 = 2_600.0;
/// Width of the logistic step, and what one e-fold of rank costs.
const STEP: f64 = 0.35;
const RANK_COST: f64 = 3.0;
/// Novelty below this is silence.
const SILENCE: f64 = 0.01;
/// Rows before anyone is told anything.
const WARM_ROWS: u64 = 100;

/// The loudest past alerts, and the last one.
#[derive(Clone, Debug)]
pub struct HoldOff {
    /// How loud an alert may be.
    loudest: f64,
    rows: u64,
    /// Loudness of each remembered alert, as of row 0: what has faded since is the same for all.
    past: Vec<f64>,
    /// Row and loudness of the last alert, and its place in `past`.
    last: Option<(u64, f64)>,
    place: Option<usize>,
}

impl HoldOff {
    /// For evidence in 0..=`loudest`.
    pub fn new(loudest: f64) -> Self {
        HoldOff { loudest, rows: 0, past: Vec::new(), last: None, place: None }
    }

    /// How loudly to tell of a row: 0 for no news, 1 for the worst there can be.
    pub fn news(&mut self, evidence: f64) -> f64 {
        let row = self.rows;
        self.rows += 1;
        if evidence <= SILENCE {
            return 0.0;
        }
        let new = self.last.is_none_or(|(then, _)| row - then > SHIFT_ROWS);
        if !new && self.last.is_some_and(|(_, then)| evidence <= then + WORSE) {
            return 0.0;
        }
        let faded = (row + 1) as f64 * std::f64::consts::LN_2 / HALF_LIFE_ROWS;
        let others = self.past.iter().enumerate().filter(|&(i, _)| new || self.place != Some(i));
        let above = others.map(|(_, past)| 1.0 / (1.0 + libm::exp(-(past - faded - evidence) / STEP)));
        let rank = 1.0 + above.sum::<f64>();
        self.remember(new, evidence + faded);
        self.last = Some((row, evidence));
        if row < WARM_ROWS {
            return 0.0;
        }
        ((evidence - RANK_COST * libm::log(rank) + self.loudest) / (2.0 * self.loudest)).clamp(0.0, 1.0)
    }

    /// An alert that only got worse stays one; a new one takes the place of the quietest, where it is louder.
    fn remember(&mut self, new: bool, loudness: f64) {
        if let Some(place) = self.place.filter(|_| !new) {
            self.past[place] = self.past[place].max(loudness);
        } else if self.past.len() < REMEMBERED {
            self.past.push(loudness);
            self.place = Some(self.past.len() - 1);
        } else {
            let quietest = (1..REMEMBERED).fold(0, |q, i| if self.past[i] < self.past[q] { i } else { q });
            self.place = (loudness > self.past[quietest]).then_some(quietest);
            if let Some(place) = self.place {
                self.past[place] = loudness;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of evidence at rows, all others silent.
    fn told(rows: &[(u64, f64)]) -> Vec<f64> {
        let mut hold_off = HoldOff::new(8.5);
        let mut told = Vec::new();
        for &(row, evidence) in rows {
            while hold_off.rows < row {
                assert_eq!(hold_off.news(0.0), 0.0);
            }
            told.push(hold_off.news(evidence));
        }
        told
    }

    #[test]
    fn a_repeat_is_no_news_until_the_shift_ends_and_worse_is() {
        let told = told(&[(200, 4.0), (210, 4.5), (220, 5.5), (260, 5.5), (292, 5.5)]);
        assert!(told[0] > 0.5 && told[2] > told[0], "{told:?}");
        assert_eq!((told[1], told[3]), (0.0, 0.0));
        assert!(told[4] > 0.0, "{told:?}");
    }

    #[test]
    fn who_cries_often_has_to_cry_louder() {
        let often = told(&(1..20).map(|n| (200 * n, 4.0)).collect::<Vec<_>>());
        assert!(often.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9), "{often:?}");
        assert!(often[18] < often[0] - 0.2);
        let louder = told(&(1..20).map(|n| (200 * n, if n == 19 { 7.0 } else { 4.0 })).collect::<Vec<_>>());
        assert!(louder[18] > often[0]);
    }

    #[test]
    fn nobody_is_told_of_the_first_rows() {
        assert_eq!(told(&[(3, 8.0), (99, 8.5)]), [0.0, 0.0]);
    }
}
