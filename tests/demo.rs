//! `foreshock demo --once` tells its whole story by itself, and its last line says so.

mod support;

use serde_json::Value;

#[test]
fn a_predicted_fault_is_healed_before_anyone_is_hurt() {
    // Two days of history are enough for this story, and are read in time by a binary that isn't optimised.
    let output = support::foreshock().args(["demo", "--once", "--history-days", "2"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:\n{text}\n{errors}", output.status);

    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(summary["fault"], "clamd_stuck", "{summary}");
    assert_eq!(summary["signature_valid"], true);
    // RFC 3339 in UTC with milliseconds sorts as text.
    let at = |name: &str| summary[name].as_str().unwrap_or_else(|| panic!("{name} in {summary}")).to_string();
    assert!(at("first_surprise_at") <= at("incident_at"), "{summary}");
    assert!(at("incident_at") <= at("webhook_at"), "{summary}");
    assert!(at("webhook_at") < at("impact_at"), "{summary}");
    assert!(at("webhook_at") < at("cleared_at"), "{summary}");
    assert!(summary["annotations"].as_u64() > Some(0) && summary["alerts"].as_u64() > Some(0), "{summary}");
    let mut told = text.lines().filter_map(|line| line.split_whitespace().nth(1));
    for what in
        ["history", "fault", "signal", "incident", "predicted", "webhook", "healed", "cleared", "told"]
    {
        assert!(told.any(|word| word == what), "the story lacks {what:?}, or has it too early:\n{text}");
    }
}

#[test]
fn every_fault_can_be_asked_for() {
    let output = support::foreshock().args(["demo", "--list"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 21, "{text}");
    assert!(text.contains("heap_leak"), "{text}");
    assert!(!support::foreshock().args(["demo", "--fault", "no_such"]).output().unwrap().status.success());
}
