//! `foreshock replay` as a user runs it: the same bytes again, for any number of shards, and in two parts.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A minute apart from here.
const START_SECONDS: i64 = 1_714_521_600;
const MINUTES: i64 = 3 * 1440;
/// The deferred queue of `mail1` begins to fill at this minute of the third day, for three hours.
const FAULT: i64 = 2 * 1440 + 600;

struct Setting {
    folder: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = "site: test\nstep_seconds: 60\npacks: [zimbra, host]\n";
        fs::write(folder.path().join("foreshock.yaml"), config).unwrap();
        Setting { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, inputs: &[&Path], more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_foreshock"))
            .arg("replay")
            .arg("--config")
            .arg(self.path("foreshock.yaml"))
            .arg("--input")
            .args(inputs)
            .args(more)
            .output()
            .unwrap()
    }

    /// The events, which are all that stands on standard output.
    fn replay(&self, inputs: &[&Path], more: &[&str]) -> String {
        let output = self.run(inputs, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A sample of each signal of two hosts at `minute`, by name, host and value.
fn samples_at(minute: i64) -> Vec<(&'static str, &'static str, f64)> {
    let mut samples = Vec::new();
    for (i, host) in ["mail1:9100", "mail2:9100"].into_iter().enumerate() {
        let noise = |salt: i64| ((minute * 7919 + salt * 104_729 + i as i64 * 31) % 211) as f64 / 211.0 - 0.5;
        let day = (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let filling = (minute - FAULT).clamp(0, 90) as f64;
        let fault = if i == 0 && minute < FAULT + 180 { filling } else { 0.0 };
        samples.push(("node_load1", host, 2.0 + day + 0.3 * noise(1) + fault / 20.0));
        samples.push(("node_memory_MemAvailable_bytes", host, 8e9 + 1e8 * day + 3e7 * noise(2)));
        samples.push(("queue_depth", host, 20.0 + 4.0 * day + 3.0 * noise(3) + 12.0 * fault));
        samples.push(("latency_seconds", host, 0.2 + 0.02 * noise(4) + fault / 100.0));
    }
    samples
}

/// OpenMetrics of the minutes, grouped by series as a dump is.
fn dump(minutes: std::ops::Range<i64>) -> String {
    let mut text = String::new();
    for i in 0..samples_at(0).len() {
        for minute in minutes.clone() {
            let (name, host, value) = samples_at(minute)[i];
            writeln!(text, "{name}{{instance=\"{host}\"}} {value:.4} {}", START_SECONDS + minute * 60)
                .unwrap();
        }
    }
    text + "# EOF\n"
}

/// The same as the answer of a range query.
fn range_query(minutes: std::ops::Range<i64>) -> String {
    let mut result = Vec::new();
    for i in 0..samples_at(0).len() {
        let (name, host, _) = samples_at(0)[i];
        let values: Vec<Value> = minutes
            .clone()
            .map(|minute| {
                let value = format!("{:.4}", samples_at(minute)[i].2);
                serde_json::json!([START_SECONDS + minute * 60, value])
            })
            .collect();
        result.push(serde_json::json!({"metric": {"__name__": name, "instance": host}, "values": values}));
    }
    serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": result}}).to_string()
}

fn events_of(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a replay says, and the end.
fn split_end(output: &str) -> (&str, &str) {
    let start = output.trim_end().rfind('\n').map_or(0, |newline| newline + 1);
    output.split_at(start)
}

#[test]
fn a_fault_becomes_an_incident_the_same_for_any_number_of_shards() {
    let setting = Setting::new();
    let input = setting.write("dump.om", &dump(0..MINUTES));
    let output = setting.replay(&[&input], &[]);
    let events = events_of(&output);
    let opened: Vec<&Value> = events.iter().filter(|e| e["event"] == "incident.opened").collect();
    let fault_at = START_SECONDS + FAULT * 60;
    let of_fault = opened.iter().find(|e| {
        let at: jiff::Timestamp = e["at"].as_str().unwrap().parse().unwrap();
        (fault_at..fault_at + 1800).contains(&at.as_second()) && e["incident"]["entity"] == "mail1"
    });
    assert!(of_fault.is_some(), "{opened:#?}");
    assert!(events.iter().any(|e| e["event"] == "incident.resolved"));
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["incident"]), (&"end".into(), &Value::Null));

    let order = |e: &Value| (e["at"].to_string(), e["incident"]["id"].to_string(), e["seq"].as_u64());
    assert!(events[..events.len() - 1].is_sorted_by_key(order));
    for shards in ["1", "2", "4"] {
        assert_eq!(setting.replay(&[&input], &["--shards", shards]), output, "{shards} shards");
    }
}

#[test]
fn a_format_changes_nothing_and_neither_does_the_order_of_files() {
    let setting = Setting::new();
    let whole = setting.write("dump.om", &dump(0..MINUTES));
    let early = setting.write("early.om", &dump(0..1500));
    let late = setting.write("late.json", &range_query(1500..MINUTES));
    let output = setting.replay(&[&whole], &[]);
    assert!(output.lines().count() > 1);
    assert_eq!(setting.replay(&[&late, &early], &[]), output);
}

#[test]
fn two_parts_say_what_the_whole_says() {
    let setting = Setting::new();
    let whole = setting.write("dump.om", &dump(0..MINUTES));
    let output = setting.replay(&[&whole], &[]);
    // Once while all is quiet, once in the midst of the incident.
    for half in [MINUTES / 2, FAULT + 45] {
        let snapshot = setting.path("snapshot");
        let snapshot = snapshot.to_str().unwrap();
        let until = jiff::Timestamp::from_second(START_SECONDS + half * 60).unwrap().to_string();
        let first = setting.replay(&[&whole], &["--until", &until, "--snapshot-out", snapshot]);
        let (said, _) = split_end(&first);
        // The recording may be given whole again, or what came after only.
        let rest = setting.write("rest.om", &dump(half + 1..MINUTES));
        for input in [&whole, &rest] {
            for shards in ["1", "4"] {
                let second = setting.replay(&[input], &["--resume", snapshot, "--shards", shards]);
                assert_eq!(format!("{said}{second}"), output, "half {half}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_printed() {
    let setting = Setting::new();
    let fails = |inputs: &[&Path], more: &[&str], code: i32, want: &str| {
        let output = setting.run(inputs, more);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(want), "{stderr}");
        assert!(output.stdout.is_empty());
    };
    let input = setting.write("dump.om", &dump(0..3));
    let page = setting.write("page.om", "up 1\n# EOF\n");
    let empty = setting.write("empty.om", "# EOF\n");
    fails(&[Path::new("no-such.om")], &[], 1, "no-such.om: No such file");
    fails(&[&page], &[], 1, "page.om: no line of it could be used; a sample of up has no time");
    fails(&[&empty], &[], 1, "the inputs hold no sample");
    fails(
        &[&input],
        &["--until", "2020-01-01T00:00:00Z"],
        1,
        "its first sample is of 2024-05-01T00:00:00.000Z",
    );
    fails(&[&input], &["--until", "yesterday"], 2, "write RFC 3339");
    fails(&[&input], &["--resume", input.to_str().unwrap()], 1, "is not one of Foreshock's");
    fails(&[&input], &["--samples-max", "10"], 1, "more than 10 samples; raise `--samples-max`");
    setting.write("foreshock.yaml", "site: test\nstep_second: 60\n");
    fails(&[&input], &[], 2, "foreshock.yaml:2:1: ");
}
