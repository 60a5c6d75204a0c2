//! `foreshock demo --once` tells its whole story by itself, and its last line says so.

mod support;

use serde_json::Value;

#[test]
fn a_predicted_fault_is_healed_before_anyone_is_hurt() {
    let output = support::foreshock().args(["demo", "--once"]).output().unwrap();
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
    for what in ["signal", "incident", "predicted", "remedy", "webhook", "healed", "cleared"] {
        assert!(text.lines().any(|line| line.contains(what)), "the story lacks {what:?}:\n{text}");
    }
}
