//! AUC-PR as average precision: the mean, over labelled rows, of the precision at each one's score.

use super::by_descending_score;

/// Average precision of `score` against `label`, in 0..1; `None` where no row is labelled.
///
/// Rows of equal score are told apart by nobody: they are found together.
pub fn average_precision(score: &[f64], label: &[bool]) -> Option<f64> {
    let labelled = label.iter().filter(|on| **on).count();
    let rows = by_descending_score(score);
    let (mut found, mut flagged, mut sum) = (0, 0, 0.0);
    for tied in rows.chunk_by(|&a, &b| score[a] == score[b]) {
        let new = tied.iter().filter(|&&row| label[row]).count();
        flagged += tied.len();
        found += new;
        sum += new as f64 * found as f64 / flagged as f64;
    }
    (labelled > 0).then(|| sum / labelled as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_found_counts_by_the_precision_at_its_score() {
        // Found at places 1 and 3: (1/1 + 2/3) / 2.
        let ap = average_precision(&[0.9, 0.8, 0.7, 0.1], &[true, false, true, false]);
        assert!((ap.unwrap() - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(average_precision(&[0.1, 0.9], &[false, true]), Some(1.0));
        assert_eq!(average_precision(&[0.1, 0.9], &[false, false]), None);
    }

    #[test]
    fn rows_of_equal_score_are_found_together() {
        assert_eq!(average_precision(&[0.5; 4], &[true, false, false, false]), Some(0.25));
        assert_eq!(average_precision(&[0.5; 4], &[false, false, false, true]), Some(0.25));
    }
}
