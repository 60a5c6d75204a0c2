//! Hand-worked cases, by the arithmetic of the published scorer.

use super::*;

/// A file of 100 rows, so that 15 are in probation, with alerts at some rows.
fn file(alerts: &[(usize, f64)], windows: &[RangeInclusive<usize>]) -> Alerts {
    let mut score = vec![0.0; 100];
    alerts.iter().for_each(|&(row, value)| score[row] = value);
    Alerts { score, windows: windows.to_vec() }
}

/// The best threshold and score in the standard profile, over one file.
fn check(alerts: &[(usize, f64)], windows: &[RangeInclusive<usize>], want: (f64, f64)) {
    let sweep = Sweep::new(&[file(alerts, windows)], PROFILES[0]);
    let got = sweep.best(&[true]);
    assert!(got.0 == want.0 && (got.1 - want.1).abs() < 1e-4, "{got:?}, not {want:?}");
    if got.0.is_finite() {
        assert!((sweep.at(got.0, &[true]) - got.1).abs() < 1e-9);
    }
}

#[test]
fn silence_has_0_and_the_first_row_of_every_window_100() {
    check(&[], &[40..=49, 70..=79], (f64::INFINITY, 0.0));
    check(&[(40, 0.9), (70, 0.7)], &[40..=49, 70..=79], (0.7, 100.0));
}

#[test]
fn the_earlier_in_the_window_the_better() {
    // Row 45 of 40..=49 lies at -(49 - 45 + 1) / 10 = -0.5: (2 / (1 + e^-2.5) - 1) / 0.98661 = 0.85979.
    // The score is the mean of it and of what a missed window would not have cost: (0.85979 + 1) / 2.
    check(&[(45, 0.5)], &[40..=49], (0.5, 92.9896));
    // At the last row, -0.1: 0.24492 / 0.98661 = 0.24824.
    check(&[(49, 0.5)], &[40..=49], (0.5, 62.4121));
    // Only the first alert in a window counts, whichever is louder.
    check(&[(45, 0.5), (48, 0.9), (47, 0.6)], &[40..=49], (0.5, 92.9896));
}

#[test]
fn an_alert_outside_costs_the_more_the_further_it_is_behind() {
    // Before any window: -0.11 of 2.
    check(&[(20, 0.9), (40, 0.9)], &[40..=49], (0.9, 94.5));
    // Three rows behind a window of ten: 3 / 9, (2 / (1 + e^(5/3)) - 1) * 0.11 = -0.07505.
    check(&[(40, 0.9), (52, 0.9)], &[40..=49], (0.9, 96.2476));
    // Far behind, the whole: -0.11.
    check(&[(40, 0.9), (99, 0.9)], &[40..=49], (0.9, 94.5));
}

#[test]
fn alerts_in_probation_are_ignored() {
    check(&[(0, 0.9), (14, 0.9), (40, 0.9)], &[40..=49], (0.9, 100.0));
    check(&[(15, 0.9), (40, 0.9)], &[40..=49], (0.9, 94.5));
    assert_eq!((probation(100), probation(4_000), probation(5_001), probation(22_000)), (15, 600, 750, 750));
}

#[test]
fn the_threshold_is_the_best_of_all_and_one_for_all_files() {
    // Lowering to 0.3 would find the window at the cost of fifty false alarms.
    let noise: Vec<(usize, f64)> = (50..100).map(|row| (row, 0.3)).chain([(40, 0.3)]).collect();
    check(&noise, &[40..=49], (f64::INFINITY, 0.0));
    let files = [file(&noise, &[40..=49]), file(&[(40, 0.3)], &[40..=49]), file(&[(40, 0.9)], &[40..=49])];
    let sweep = Sweep::new(&files, PROFILES[0]);
    let (threshold, score) = sweep.best(&[true; 3]);
    assert_eq!(threshold, 0.9);
    assert!((score - 100.0 / 3.0).abs() < 1e-9);
    assert_eq!(sweep.best(&[false, true, true]), (0.3, 100.0));
    assert_eq!(sweep.points(2, 0.9), (100.0 / 3.0, 100.0 / 3.0));
}

#[test]
fn the_profiles_weigh_false_alarms_and_misses() {
    let files = [file(&[(20, 0.9), (40, 0.9)], &[40..=49, 70..=79])];
    let score = |profile| Sweep::new(&files, profile).best(&[true]).1;
    // Of two windows one is found and one false alarm given.
    assert!((score(PROFILES[0]) - 100.0 * (1.0 - 0.11 - 1.0 + 2.0) / 4.0).abs() < 1e-9);
    assert!((score(PROFILES[1]) - 100.0 * (1.0 - 0.22 - 1.0 + 2.0) / 4.0).abs() < 1e-9);
    assert!((score(PROFILES[2]) - 100.0 * (1.0 - 0.11 - 2.0 + 4.0) / 6.0).abs() < 1e-9);
}

#[test]
fn a_threshold_from_other_files_is_held_to_what_it_does() {
    // Whichever two choose, the threshold that finds their windows finds the others'.
    let alike: Vec<Alerts> = (0..4).map(|_| file(&[(40, 0.5), (20, 0.2)], &[40..=49])).collect();
    assert_eq!(Sweep::new(&alike, PROFILES[0]).held_out(20), 100.0);
    // Of a quiet and a loud file, the one alerts too little for the other and that one too much.
    let quiet = file(&[(40, 0.2)], &[40..=49]);
    let loud = file(&[(40, 0.9), (20, 0.2), (30, 0.2)], &[40..=49]);
    let held_out = Sweep::new(&[quiet, loud], PROFILES[0]).held_out(200);
    // Either silence, or two false alarms at 0.11 of 2.
    assert!(held_out > 0.0 && held_out < 89.0, "{held_out}");
}

#[test]
fn windows_are_given_by_their_times() {
    let at: Vec<Timestamp> = [0, 10, 20, 20, 30, 40].map(Timestamp).to_vec();
    let rows = |first, last| rows_of(&at, &[(Timestamp(first), Timestamp(last))]);
    assert_eq!(rows(10, 30), [1..=4]);
    assert_eq!(rows(10, 20), [1..=2], "the first row of that time");
    assert_eq!(rows(15, 35), [2..=4]);
    assert!(rows(50, 60).is_empty());
}

#[test]
fn windows_hit_and_alerts_outside_are_counted() {
    let file = file(&[(3, 0.9), (20, 0.9), (42, 0.9), (44, 0.9), (70, 0.1)], &[40..=49, 70..=79]);
    assert_eq!(counts(&file, 0.5), (1, 1));
    assert_eq!(counts(&file, 0.1), (2, 1));
}
