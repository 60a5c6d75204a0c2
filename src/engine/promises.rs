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

/// Rows of an MTA that puts off so many of a thousand messages a minute.
fn mail(engine: &mut Engine, rows: std::ops::Range<i64>, total: &mut (f64, f64), put_off: f64) {
    for row in rows {
        let at = Timestamp(row * STEP_MS);
        *total = (total.0 + put_off, total.1 + 1000.0 - put_off);
        let mut batch = Batch::new("scrape:mta1".into());
        let name = "postfix_smtpd_messages_rejected_total";
        let labels = &mut [("__name__", name), ("code", "450"), ("host", "mta1")];
        batch.push(labels, ValueKind::Counter, at, total.0);
        let labels = &mut [("__name__", "postfix_cleanup_messages_processed_total"), ("host", "mta1")];
        batch.push(labels, ValueKind::Counter, at, total.1);
        engine.step(Input::Samples(batch), &mut Vec::new());
    }
}

#[test]
fn minutes_in_which_more_is_put_off_than_was_promised_are_counted() {
    let promise = Promise {
        within: BTreeMap::from([("put_off".into(), 5.0)]),
        ..settings().service_levels.0[0].clone()
    };
    let promised =
        Settings { service_levels: ServiceLevels(vec![promise]), maintenance: Vec::new(), ..settings() };
    let mut engine = Engine::new(promised);
    let mut total = (1e4, 1e6);
    mail(&mut engine, 0..100, &mut total, 20.0);
    assert_eq!(used_minutes(&engine), 0.0);
    mail(&mut engine, 100..120, &mut total, 100.0);
    mail(&mut engine, 120..140, &mut total, 20.0);
    // A share is of five minutes: it is over the promise from the second minute on, and until the fourth after.
    let used = used_minutes(&engine);
    assert!((20.0..=23.0).contains(&used), "{used}");
}

#[test]
fn what_share_is_put_off_is_told_only_where_somebody_was_promised_one() {
    let shares = |settings: Settings| {
        let mut engine = Engine::new(settings);
        mail(&mut engine, 0..20, &mut (1e4, 1e6), 20.0);
        engine.series(&|labels| labels.name() == "foreshock_mta_put_off_share", 9).len()
    };
    assert_eq!(shares(settings()), 0);
    let promise = Promise { within: BTreeMap::from([("put_off".into(), 5.0)]), ..Promise::default() };
    let with = |promise| Settings { service_levels: ServiceLevels(vec![promise]), ..settings() };
    assert_eq!(shares(with(promise)), 1);
    let other = Promise { within: BTreeMap::from([("failed".into(), 5.0)]), ..Promise::default() };
    assert_eq!(shares(with(other)), 0);
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
