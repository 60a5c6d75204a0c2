//! What users accept of brown-out, counted by a whole engine: a store that is read once a minute.

use std::collections::BTreeMap;

use super::*;
use crate::predict::pack::builtins;
use crate::predict::service_levels::{Promise, ServiceLevels};
use crate::sample::ValueKind;

const STEP_MS: i64 = 60_000;

fn settings() -> Settings {
    let promise = Promise {
        name: Some("customers".into()),
        within: BTreeMap::from([("request".into(), 5.0)]),
        brown_out_seconds: Some(1800.0),
        ..Promise::default()
    };
    let window = When::Once { from: Timestamp(120 * STEP_MS), to: Timestamp(130 * STEP_MS) };
    Settings {
        step_seconds: 60,
        packs: builtins(),
        service_levels: ServiceLevels(vec![promise]),
        maintenance: vec![Maintenance { when: window, entities: vec!["store1".into()] }],
        ..Settings::default()
    }
}

/// Rows in which a request takes so many milliseconds, and another machine is seen.
fn run(engine: &mut Engine, rows: std::ops::Range<i64>, request_ms: Option<f64>) {
    for row in rows {
        let at = Timestamp(row * STEP_MS);
        let mut batch = Batch::new("scrape:site".into());
        batch.push(&mut [("__name__", "node_load1"), ("host", "mta1")], ValueKind::Gauge, at, 1.0);
        if let Some(ms) = request_ms {
            let labels = &mut [("__name__", "mailboxd_soap_ms_avg"), ("host", "store1")];
            batch.push(labels, ValueKind::Gauge, at, ms);
        }
        engine.step(Input::Samples(batch), &mut Vec::new());
    }
}

fn used_minutes(engine: &Engine) -> f64 {
    let [customers] = &engine.stats().brown_outs[..] else { panic!("one promise is counted") };
    assert_eq!((customers.users.as_str(), customers.accepted_seconds), ("customers", 1800.0));
    customers.used_seconds / 60.0
}

#[test]
fn minutes_that_users_felt_are_counted_but_in_maintenance_and_in_silence() {
    let mut engine = Engine::new(settings());
    run(&mut engine, 0..100, Some(200.0));
    assert_eq!(used_minutes(&engine), 0.0);
    run(&mut engine, 100..110, Some(6000.0));
    run(&mut engine, 110..120, Some(200.0));
    assert_eq!(used_minutes(&engine), 10.0);
    run(&mut engine, 120..130, Some(6000.0));
    run(&mut engine, 130..140, Some(200.0));
    assert_eq!(used_minutes(&engine), 10.0, "in maintenance");
    run(&mut engine, 140..145, Some(6000.0));
    // A value holds until three rows are missed; then it says nothing.
    run(&mut engine, 145..200, None);
    let used = used_minutes(&engine);
    assert!((15.0..=18.0).contains(&used), "{used}");
}
