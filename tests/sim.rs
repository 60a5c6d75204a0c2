//! `foreshock sim`: a recording reads back with its truth, and a served cluster breaks and is healed over HTTP.

mod support;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Process, foreshock, free_port, http, wait_until};

#[test]
fn a_recording_replays_and_equal_arguments_give_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let record = |name: &str| {
        let mut command = foreshock();
        command.args(["sim", "record", "--seed", "4", "--days", "1", "--step", "300", "--zmstat"]);
        command.args(["--fault", "clamd_stuck@+9h@mta1.mail.example", "--out", name]);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(folder.path().join(name).join("recording.om.gz")).unwrap()
    };
    assert!(record("a") == record("b"));

    let truth = fs::read(folder.path().join("a/truth.json")).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();
    let fault = &truth["faults"][0];
    assert_eq!(
        (&fault["fault"], &fault["onset"]),
        (&json!("clamd_stuck"), &json!("2026-03-02T09:00:00.000Z"))
    );
    let (first_change, impact) = (fault["first_change"].as_str(), fault["impact"].as_str());
    assert!(first_change > fault["onset"].as_str() && first_change < impact, "{fault}");
    assert!(fault["impact"].as_str().is_some_and(|impact| impact > "2026-03-02T09:00:00.000Z"), "{fault}");
    assert!(folder.path().join("a/zmstat/store1.mail.example/mailboxd.csv").is_file());

    let mut replay = foreshock();
    replay.args(["replay", "--config", "a/foreshock.yaml", "--input", "a/recording.om.gz"]);
    let output = replay.current_dir(folder.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("recorded 2026-03-02T00:05:00.000Z to 2026-03-03T00:00:00.000Z"), "{errors}");

    // Both recordings below the folder are judged, each by the truth beside it.
    let mut eval = foreshock();
    eval.args(["eval", "recording", ".", "--step", "300", "--json"]);
    let output = eval.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [all, ours] = [&report["all"], &report["faults"][0]];
    assert_eq!((&ours["fault"], &ours["runs"], &all["runs"]), (&json!("clamd_stuck"), &json!(2), &json!(2)));
    let verdict = &report["seeds"][0]["verdicts"][0];
    assert!(verdict["impact_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{verdict}");
    assert_eq!(verdict, &report["seeds"][1]["verdicts"][0]);
}

#[test]
fn what_is_wrong_with_a_fault_is_told() {
    for (fault, want) in [
        ("no_such@+1h", "there is no fault `no_such`"),
        ("clamd_stuck", "say when"),
        ("clamd_stuck@+1h@ldap1.mail.example", "cannot break out on"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = foreshock();
        command.args(["sim", "record", "--days", "1", "--out", "x", "--fault", fault]);
        let output = command.current_dir(folder.path()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(want), "{errors}");
    }
}

#[test]
fn a_served_cluster_shows_breaks_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = foreshock();
    command.args(["sim", "serve", "--history-days", "0", "--speed", "100", "--dir", "site"]);
    command.args(["--port", &port.to_string()]).current_dir(folder.path());
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    let url = format!("http://127.0.0.1:{port}/");
    wait_until("the cluster answers", Duration::from_secs(60), || http::get(&url).is_ok());

    let check =
        foreshock().args(["check", "--config"]).arg(folder.path().join("site/foreshock.yaml")).output();
    assert!(check.unwrap().status.success());
    let targets = fs::read(folder.path().join("site/targets.json")).unwrap();
    let targets: Value = serde_json::from_slice(&targets).unwrap();
    let mta = targets.as_array().unwrap().iter().find(|group| group["labels"]["job"] == "clamav").unwrap();
    let page = format!("http://{}/metrics", mta["targets"][0].as_str().unwrap());
    assert!(http::get(&page).unwrap().text().contains("clamav_threads_idle"));

    let fault = br#"{"fault": "clamd_stuck", "host": "mta1.mail.example"}"#;
    let answer = http::post(&format!("{url}fault"), &[], fault).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let state: Value = serde_json::from_slice(&http::get(&url).unwrap().body).unwrap();
    assert_eq!(state["faults"][0]["host"], "mta1.mail.example", "{state}");
    assert_eq!(http::post(&format!("{url}fault"), &[], br#"{"fault": "no_such"}"#).unwrap().status, 422);
    // Nobody heals without the secret.
    let remedy = br#"{"remedy": "restart_clamd_then_amavis", "target": "mta1.mail.example"}"#;
    assert_eq!(http::post(&format!("{url}remedy"), &[], remedy).unwrap().status, 401);

    assert_eq!(process.terminate(), Some(0));
}
