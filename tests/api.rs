//! `serve` from outside: samples by remote write, answers by HTTP, a stop by SIGTERM, a crash by SIGKILL.

mod support;

use std::path::Path;
use std::time::Duration;

use support::http::{self, Answer};
use support::remote_write::{self, Series};
use support::{Foreshock, foreshock, free_port, now_ms, wait_until};

const CONFIG: &str = "site: test\nstep_seconds: 1\nremote_write: {lateness: 1s}\n";
const SOON: Duration = Duration::from_secs(30);

/// A sample a second of `queue_length` on each of `hosts`, over the last `seconds`.
fn request(hosts: &[&str], seconds: i64) -> Vec<Series> {
    let now = now_ms() / 1000 * 1000;
    let samples: Vec<(i64, f64)> =
        (0..seconds).map(|i| (now - (seconds - 1 - i) * 1000, 100.0 + (i % 7) as f64)).collect();
    let series = |host: &&str| Series::new(&[("__name__", "queue_length"), ("host", host)], samples.clone());
    hosts.iter().map(series).collect()
}

fn write(foreshock: &Foreshock, request: &[Series]) -> Answer {
    remote_write::send(&format!("{}/api/v1/write", foreshock.url), request)
}

fn wait_ready(foreshock: &Foreshock) {
    wait_until("ready", SOON, || foreshock.get("/-/ready").status == 200);
}

/// State of each series that fits, in order of labels.
fn states(foreshock: &Foreshock, selector: &str) -> Vec<String> {
    let found = foreshock.json(&format!("/api/v1/series?match[]={selector}"));
    let series = found["series"].as_array().unwrap().iter();
    series
        .map(|s| format!("{} {}", s["labels"]["host"].as_str().unwrap(), s["state"].as_str().unwrap()))
        .collect()
}

fn ready(dir: &Path) -> Foreshock {
    let foreshock = Foreshock::serve(dir, CONFIG);
    wait_ready(&foreshock);
    foreshock
}

#[test]
fn what_is_written_is_watched_and_survives_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut foreshock = ready(dir.path());
    assert_eq!(write(&foreshock, &request(&["mx1", "mx2"], 120)).status, 204);
    wait_until("both series live", SOON, || states(&foreshock, "queue_length") == ["mx1 live", "mx2 live"]);

    let mx2 = foreshock.json("/api/v1/series?match[]=queue_length%7Bhost=%22mx2%22%7D");
    assert_eq!(mx2["series"].as_array().unwrap().len(), 1);
    assert!((100.0..107.0).contains(&mx2["series"][0]["value"].as_f64().unwrap()), "{mx2}");
    assert_eq!(foreshock.json("/api/v1/series?limit=1")["truncated"], true);
    assert_eq!(foreshock.json("/api/v1/incidents")["incidents"].as_array().unwrap().len(), 0);

    assert_eq!(foreshock.metric("foreshock_samples_total"), Some(240.0));
    assert_eq!(foreshock.metric("foreshock_known_series"), Some(2.0));
    assert_eq!(foreshock.metric(r#"foreshock_queue_capacity_entries{queue="batches"}"#), Some(256.0));
    assert!(foreshock.metric("foreshock_ticks_total").unwrap() >= 100.0);
    assert!(foreshock.metric(r#"foreshock_stage_duration_seconds_count{stage="parse"}"#).unwrap() >= 1.0);

    assert_eq!(foreshock.process.terminate(), Some(0), "{}", foreshock.log_tail());
    foreshock.restart();
    wait_ready(&foreshock);
    let known = states(&foreshock, "queue_length");
    assert_eq!(known.len(), 2, "{known:?}");
    assert!(known.iter().all(|state| !state.ends_with("learning")), "{known:?}");
}

#[test]
fn after_a_crash_the_newest_snapshot_is_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("{CONFIG}limits: {{snapshot_interval: 1s}}\n");
    let mut foreshock = Foreshock::serve(dir.path(), &config);
    wait_ready(&foreshock);
    assert_eq!(write(&foreshock, &request(&["mx1"], 120)).status, 204);
    wait_until("the series is live", SOON, || states(&foreshock, "queue_length") == ["mx1 live"]);
    let snapshots =
        |f: &Foreshock| f.metric(r#"foreshock_stage_duration_seconds_count{stage="snapshot"}"#).unwrap();
    let before = snapshots(&foreshock);
    wait_until("two snapshots", SOON, || snapshots(&foreshock) >= before + 2.0);

    // SIGKILL, then a start on what is on disk.
    foreshock.restart();
    wait_ready(&foreshock);
    assert_eq!(states(&foreshock, "queue_length").len(), 1);
    assert!(foreshock.metric("foreshock_snapshot_age_seconds").is_some_and(|age| age < 60.0));
    // The gap is no data, and nobody is told of it.
    wait_until("no data", SOON, || states(&foreshock, "queue_length") == ["mx1 no_data"]);
    assert_eq!(foreshock.json("/api/v1/incidents")["incidents"].as_array().unwrap().len(), 0);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut foreshock = ready(dir.path());
    assert_eq!(foreshock.process.terminate(), Some(0));
    let snapshot = dir.path().join("data/engine.snapshot");
    let mut bytes = std::fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&snapshot, bytes).unwrap();
    foreshock.restart();
    wait_ready(&foreshock);
    assert!(dir.path().join("data/engine.snapshot.unreadable").exists());
}

#[test]
fn a_second_instance_on_the_same_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = ready(dir.path());
    let config = dir.path().join("second.yaml");
    let data_dir = dir.path().join("data");
    let text = format!("{CONFIG}listen: 127.0.0.1:{}\ndata_dir: {}\n", free_port(), data_dir.display());
    std::fs::write(&config, text).unwrap();
    let second = foreshock().args(["serve", "--config"]).arg(&config).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains("in use by another instance"), "{told}");
}

#[test]
fn a_port_that_is_taken_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = dir.path().join("foreshock.yaml");
    std::fs::write(&config, format!("{CONFIG}listen: {}\n", taken.local_addr().unwrap())).unwrap();
    let refused = foreshock().args(["serve", "--config"]).arg(&config).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("cannot listen on 127.0.0.1:"), "{told}");
}

#[test]
fn the_token_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("{CONFIG}auth: {{bearer_token: 0123456789abcdef}}\n");
    let foreshock = Foreshock::serve(dir.path(), &config);
    let url = format!("{}/api/v1/series", foreshock.url);
    assert_eq!(http::get(&url).unwrap().status, 401);
    let with_token = http::send("GET", &url, &[("Authorization", "Bearer 0123456789abcdef")], b"").unwrap();
    assert_eq!(with_token.status, 200);
    assert_eq!(write(&foreshock, &request(&["mx1"], 1)).status, 401);
}

/// A quarter of an hour of two calm signals of one host, the last minute of which is far off.
fn disturbance() -> Vec<Series> {
    let now = now_ms() / 1000 * 1000;
    let seconds = 900;
    let value = |i: i64, phase: i64| {
        let off = if i >= seconds - 60 { 80.0 } else { 0.0 };
        100.0 + ((i + phase) * 7919 % 13) as f64 / 13.0 + off
    };
    let signal = |(name, phase): (&str, i64)| {
        let samples: Vec<_> =
            (0..seconds).map(|i| (now - (seconds - 1 - i) * 1000, value(i, phase))).collect();
        Series::new(&[("__name__", name), ("host", "mx1")], samples)
    };
    [("queue_length", 0), ("delivery_time", 5)].map(signal).into()
}

#[test]
fn what_an_incident_was_is_heard_once_and_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut foreshock = ready(dir.path());
    assert_eq!(write(&foreshock, &disturbance()).status, 204);
    let incidents = |f: &Foreshock| f.json("/api/v1/incidents?state=open")["incidents"].clone();
    wait_until("an incident", SOON, || incidents(&foreshock).as_array().unwrap().len() == 1);
    let id = incidents(&foreshock)[0]["id"].as_str().unwrap().to_owned();

    let say = |f: &Foreshock, id: &str, body: &str| {
        let url = format!("{}/api/v1/incidents/{id}/feedback", f.url);
        let answer = http::send("POST", &url, &[], body.as_bytes()).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, body)
    };
    let heard = |f: &Foreshock, verdict: &str| {
        f.metric(&format!("foreshock_feedback_total{{verdict=\"{verdict}\"}}"))
    };
    let false_alarm = r#"{"verdict":"false_alarm","by":"anna"}"#;
    let (status, incident) = say(&foreshock, &id, false_alarm);
    assert_eq!((status, incident["state"].as_str()), (200, Some("resolved")), "{incident}");
    let summary = incident["summary"].as_str().unwrap();
    assert!(summary.starts_with("Resolved as a false alarm by anna after"), "{summary}");
    assert_eq!(heard(&foreshock, "false_alarm"), Some(1.0));
    assert_eq!(say(&foreshock, &id, false_alarm).0, 200);
    assert_eq!(heard(&foreshock, "false_alarm"), Some(1.0), "said twice is said once");
    assert_eq!(say(&foreshock, "0123456789abcdef", false_alarm).0, 404);
    let (status, error) = say(&foreshock, &id, r#"{"by":"anna"}"#);
    assert_eq!(status, 400);
    assert!(error["error"]["message"].as_str().unwrap().contains("verdict"), "{error}");
    assert_eq!(say(&foreshock, &id, &format!("{{\"by\":\"{}\"}}", "a".repeat(70_000))).0, 413);

    assert_eq!(foreshock.process.terminate(), Some(0), "{}", foreshock.log_tail());
    foreshock.restart();
    wait_ready(&foreshock);
    assert_eq!(say(&foreshock, &id, false_alarm).0, 200);
    assert_eq!(heard(&foreshock, "false_alarm"), Some(0.0), "it is known that this was said");
    assert_eq!(say(&foreshock, &id, r#"{"verdict":"true_alarm"}"#).0, 200);
    assert_eq!(heard(&foreshock, "true_alarm"), Some(1.0));
}
