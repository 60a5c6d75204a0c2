//! What `score` promises: a row for each row, each from the rows before it only, times as they stood.

use super::*;

fn scored(text: &str) -> String {
    let mut out = Vec::new();
    score(ScoreCsv::new(text.as_bytes()).unwrap(), &mut out, false, Detectors::default()).unwrap();
    String::from_utf8(out).unwrap()
}

/// A day of minutes with a rhythm and some noise, and at the end a jump.
fn recording(rows: u64) -> String {
    let mut text = String::from("timestamp,load,users\n");
    let mut random = 1u64;
    for minute in 0..rows {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (random >> 40) as f64 / (1u64 << 24) as f64;
        let jump = if minute + 5 >= rows { 20.0 } else { 0.0 };
        let load = 10.0 + (minute as f64 / 229.0).sin() + noise + jump;
        text.push_str(&format!("{},{load:.4},{:.3}\n", minute * 60, 100.0 + 5.0 * noise));
    }
    text
}

fn column(output: &str, i: usize) -> Vec<f64> {
    output.lines().skip(1).map(|line| line.split(',').nth(i).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_jump_scores_high_and_is_alerted_once() {
    let output = scored(&recording(1500));
    let (scores, alerts) = (column(&output, 1), column(&output, 2));
    assert_eq!(scores.len(), 1500);
    let usual = scores[200..1494].iter().cloned().fold(0.0, f64::max);
    assert!(scores[1495] > usual && scores[1495] > 0.3, "{} {usual}", scores[1495]);
    let loudest = alerts[200..1495].iter().cloned().fold(0.0, f64::max);
    assert!(alerts[1495] > loudest, "{} {loudest}", alerts[1495]);
    assert!(alerts[1496..].iter().all(|&alert| alert == 0.0), "{:?}", &alerts[1495..]);
}

#[test]
fn rows_of_equal_time_are_all_scored_and_times_stand_as_they_stood() {
    let output =
        scored("timestamp,v\n\"2020-01-01T00:00:00Z\",1\n\"2020-01-01T00:00:00Z\",2\n2020-01-01 00:00:05,\n");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(
        lines,
        [
            "timestamp,anomaly_score,alert_score",
            "\"2020-01-01T00:00:00Z\",0.000000000,0.000000000",
            "\"2020-01-01T00:00:00Z\",0.000000000,0.000000000",
            "2020-01-01 00:00:05,0.000000000,0.000000000",
        ]
    );
}

#[test]
fn rows_before_an_error_are_written() {
    for rows in [3, 40] {
        let good: String = recording(rows);
        let mut out = Vec::new();
        let text = format!("{good}0,1,1\n");
        let error = score(ScoreCsv::new(text.as_bytes()).unwrap(), &mut out, false, Detectors::default())
            .unwrap_err();
        assert!(error.to_string().contains(&format!("line {}: time goes backwards", rows + 2)), "{error}");
        assert_eq!(String::from_utf8(out).unwrap(), scored(&good));
    }
}

#[test]
fn a_signal_has_a_column_and_where_it_is_missing_no_score() {
    let mut out = Vec::new();
    let csv = ScoreCsv::new(&b"timestamp,\"a,b\",c\n0,1,\n60,,2\n"[..]).unwrap();
    score(csv, &mut out, true, Detectors::default()).unwrap();
    let want = "timestamp,anomaly_score,alert_score,\"a,b\",c\n\
                0,0.000000000,0.000000000,0.000000000,\n60,0.000000000,0.000000000,,0.000000000\n";
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn the_first_part_scores_as_it_does_in_the_whole() {
    let whole = recording(600);
    let output = scored(&whole);
    for rows in [0, 1, 2, 5, 9, 10, 11, 150, 300, 599] {
        let part: String = whole.split_inclusive('\n').take(rows + 1).collect();
        let part = scored(&part);
        assert_eq!(part.lines().count(), rows + 1);
        assert!(output.starts_with(&part), "the first {rows} rows");
    }
}
