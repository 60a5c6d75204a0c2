//! An MTA of the simulated cluster that has stopped, as collectors show it that do not know: nothing counts any more, and
//! its queue is said to be empty.

use super::cluster::readings::{HostReadings, ServiceReadings};
use super::cluster::{Cluster, STEP_SECONDS, Shape};
use super::exporter::{BatchPage, Exporters, Families};
use crate::engine::{Engine, Input, Settings};
use crate::incident::event::Event;
use crate::predict::pack::builtins;
use crate::sample::{Labels, Timestamp};

const SCRAPE_SECONDS: u32 = 60;
const HOST: &str = "mta1.mail.example";
/// From a Monday morning on.
const STOPS_AT_HOUR: i64 = 30;

/// As a dead Postfix looks from outside.
fn stop(host: &mut HostReadings, last: &HostReadings) {
    let (ServiceReadings::Mta(mta), ServiceReadings::Mta(last)) = (&mut host.service, &last.service) else {
        panic!("{HOST} is an MTA");
    };
    *mta = last.clone();
    (mta.incoming, mta.active, mta.deferred, mta.hold) = (0.0, 0.0, 0.0, 0.0);
    (mta.oldest_active_seconds, mta.oldest_deferred_seconds, mta.queue_bytes) = (0.0, 0.0, 0.0);
}

/// What is told of it in a day and the twenty minutes in which it is stopped, if it `is_stopped`, and the oddest that its
/// series of stalled work is in these.
fn told(families: &str, is_stopped: bool) -> (Vec<Event>, f32) {
    let start = Timestamp::parse_rfc3339("2026-03-02T04:00:00Z").unwrap();
    let mut cluster = Cluster::new(Shape::default(), 11, start);
    let mut exporters = Exporters::new(families.parse::<Families>().unwrap());
    let mut page = BatchPage::new("sim".into(), "host");
    let settings = Settings { step_seconds: SCRAPE_SECONDS, packs: builtins(), ..Settings::default() };
    let (mut engine, mut events, mut last) = (Engine::new(settings), Vec::new(), None);
    let is_it =
        |labels: &Labels| labels.name() == "foreshock_mta_stalled" && labels.get("host") == Some(HOST);
    let mut oddest: f32 = 0.0;
    for minute in 0..(STOPS_AT_HOUR * 60 + 20) {
        (0..SCRAPE_SECONDS / STEP_SECONDS as u32).for_each(|_| cluster.step());
        let mut readings = cluster.readings();
        for host in &mut readings.hosts {
            if host.name == HOST && is_stopped && minute >= STOPS_AT_HOUR * 60 {
                stop(host, last.as_ref().unwrap());
            } else if host.name == HOST {
                last = Some(host.clone());
            }
        }
        exporters.print(&readings, &mut page);
        engine.step(Input::Samples(page.take()), &mut events);
        if minute >= STOPS_AT_HOUR * 60 {
            let seen = engine.series(&is_it, 1).pop().expect("it is made");
            oddest = oddest.max(seen.surprise);
        }
    }
    events.retain(|event| event.incident.as_ref().is_some_and(|i| i.entities.iter().any(|e| e == HOST)));
    (events, oddest)
}

#[test]
fn it_is_told_from_a_quiet_hour_and_to_be_started_again() {
    let (events, oddest) = told("mta=postfix_exporter", true);
    assert!(oddest >= 3.0, "{oddest}");
    let incidents = events.iter().filter_map(|event| event.incident.as_ref());
    let named: Vec<_> = incidents.map(|i| (i.fault.as_deref(), i.remedy.as_deref())).collect();
    assert!(named.contains(&(Some("mta_stopped"), Some("restart_mta"))), "{named:?}");
    let (quiet, oddest) = told("mta=postfix_exporter", false);
    let named = quiet.iter().filter_map(|event| event.incident.as_ref()?.fault.as_deref());
    assert!(oddest < 3.0 && !named.clone().any(|fault| fault == "mta_stopped"), "{oddest}");
}

#[test]
fn a_collector_that_says_zero_for_nobody_answers_does_not_hide_it() {
    let (_, oddest) = told("mta=textfile", true);
    assert!(oddest >= 3.0, "{oddest}");
}
