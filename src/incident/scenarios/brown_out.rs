//! What users accept of brown-out: minutes counted by hand, and what an incident says of those that are left.

use std::collections::{BTreeMap, BTreeSet};

use super::site::{Site, settings, table};
use super::{ACTIVE, DEFERRED, mail_host_of, stuck_scanner};
use crate::incident::event::{BrownOut, EventKind, Incident, Severity};
use crate::incident::{IncidentSettings, Incidents, Observed};
use crate::predict::service_levels::{Promise, ServiceLevels};
use crate::sample::Timestamp;
use crate::series::registry::SeriesId;

const MINUTE_MS: i64 = 60_000;
const STEP_MS: i64 = 15_000;

/// Half an hour a week without one level.
fn accepts(name: &str, entities: &[&str], level: &str, seconds: f64) -> Promise {
    Promise {
        name: Some(name.into()),
        entities: entities.iter().map(|entity| entity.to_string()).collect(),
        within: BTreeMap::from([(level.to_owned(), seconds)]),
        brown_out_seconds: Some(1800.0),
    }
}

fn promised(promises: &[Promise]) -> IncidentSettings {
    IncidentSettings { service_levels: ServiceLevels(promises.to_vec()), ..settings() }
}

/// Two stores, one of which tells its times in seconds; the first tick is that of a minute.
fn stores(promises: &[Promise]) -> Site {
    let mut site = Site::new(promised(promises));
    site.add("store1", "mailboxd_soap_ms_avg", ("", ""), 100.0, 10.0);
    site.add("store2", "soap_exec_seconds_max", ("command", "SendMsgRequest"), 0.1, 0.01);
    site.at = site.at.plus_ms(-STEP_MS);
    site
}

/// Some ticks with these values, of which no detector says anything; `None` is no data.
fn hold(site: &mut Site, (ticks, step_ms): (i64, i64), values: &[Option<f64>]) {
    for _ in 0..ticks {
        site.at = site.at.plus_ms(step_ms);
        for (place, value) in values.iter().enumerate() {
            let series = SeriesId(place as u32);
            let Some(value) = *value else {
                site.seen.0.entry(series).and_modify(|seen| seen.has_data = false);
                continue;
            };
            let expected = site.series[place].mean;
            let (at, surprise, own, has_data) = (site.at, 0.3, 1.0, true);
            let observed = Observed { at, value, expected, low: value, high: value, surprise, own, has_data };
            site.seen.0.insert(series, observed);
        }
        site.give(Vec::new());
    }
}

fn minutes(site: &mut Site, minutes: i64, values: &[Option<f64>]) {
    hold(site, (minutes * MINUTE_MS / STEP_MS, STEP_MS), values);
}

/// The minutes that each has used.
fn used(site: &Site) -> Vec<f64> {
    site.incidents.brown_outs().map(|used| used.used_seconds / 60.0).collect()
}

/// Whoever is told of with the settings goes on where the site was saved.
fn restart(site: &mut Site, promises: &[Promise]) {
    let bytes = postcard::to_stdvec(&site.incidents.save()).unwrap();
    let state = postcard::from_bytes(&bytes).unwrap();
    site.incidents = Incidents::load(promised(promises), table(), state);
    site.admit_all();
}

#[test]
fn a_minute_counts_once_on_however_many_machines() {
    let mut site =
        stores(&[accepts("all", &[], "request", 5.0), accepts("some", &["store1"], "request", 5.0)]);
    minutes(&mut site, 3, &[Some(100.0), Some(0.1)]);
    assert_eq!(used(&site), [0.0, 0.0]);
    minutes(&mut site, 10, &[Some(6000.0), Some(0.1)]);
    assert_eq!(used(&site), [10.0, 10.0]);
    minutes(&mut site, 5, &[Some(6000.0), Some(6.0)]);
    assert_eq!(used(&site), [15.0, 15.0]);
    minutes(&mut site, 4, &[Some(4999.0), Some(6.0)]);
    assert_eq!(used(&site), [19.0, 15.0]);
    minutes(&mut site, 4, &[Some(4999.0), Some(4.999)]);
    assert_eq!(used(&site), [19.0, 15.0]);
}

#[test]
fn only_levels_that_were_promised_count_and_each_by_its_own_time() {
    let strict = accepts("strict", &[], "request", 2.0);
    let loose = accepts("loose", &[], "request", 8.0);
    let mut site = stores(&[strict, loose, accepts("other", &[], "delivery", 600.0)]);
    minutes(&mut site, 6, &[Some(3000.0), Some(0.1)]);
    minutes(&mut site, 2, &[Some(9000.0), Some(0.1)]);
    assert_eq!(used(&site), [8.0, 2.0, 0.0]);
}

#[test]
fn what_gives_no_data_is_neither_kept_nor_broken() {
    let mut site = stores(&[accepts("all", &[], "request", 5.0)]);
    minutes(&mut site, 3, &[Some(6000.0), None]);
    minutes(&mut site, 10, &[None, None]);
    assert_eq!(used(&site), [3.0]);
    minutes(&mut site, 2, &[None, Some(6.0)]);
    assert_eq!(used(&site), [5.0]);
}

#[test]
fn announced_work_uses_nothing_up() {
    let mut site = stores(&[accepts("all", &[], "request", 5.0)]);
    let store1 = site.series[0].entity;
    site.incidents.pause(BTreeSet::from([store1]));
    minutes(&mut site, 10, &[Some(6000.0), Some(0.1)]);
    assert_eq!(used(&site), [0.0]);
    minutes(&mut site, 2, &[Some(6000.0), Some(6.0)]);
    assert_eq!(used(&site), [2.0], "the other works as ever");
    site.incidents.pause(BTreeSet::new());
    minutes(&mut site, 3, &[Some(6000.0), Some(0.1)]);
    assert_eq!(used(&site), [5.0]);
}

#[test]
fn a_queue_is_late_by_what_it_usually_gives_away_unless_its_age_is_known() {
    let mut site = Site::new(promised(&[accepts("all", &[], "delivery", 300.0)]));
    site.add("mta1", "postfix_queue_stat", ("queue", "active"), 30.0, 5.0);
    site.add("mta1", "postfix_qmgr_messages_removed_total", ("", ""), 1.1, 0.1);
    site.at = site.at.plus_ms(-STEP_MS);
    minutes(&mut site, 4, &[Some(329.0), Some(0.2)]);
    assert_eq!(used(&site), [0.0]);
    minutes(&mut site, 4, &[Some(331.0), Some(5.0)]);
    assert_eq!(used(&site), [4.0], "331 messages take over 300 s at 1.1 a second");
    site.add("mta1", "postfix_queue_age", ("queue", "active"), 5.0, 1.0);
    minutes(&mut site, 4, &[Some(331.0), Some(1.1), Some(20.0)]);
    minutes(&mut site, 4, &[Some(331.0), Some(1.1), None]);
    assert_eq!(used(&site), [4.0]);
    minutes(&mut site, 1, &[Some(10.0), Some(1.1), Some(301.0)]);
    assert_eq!(used(&site), [5.0]);
}

#[test]
fn one_that_passes_by_in_a_quiet_hour_is_not_late() {
    let mut site = Site::new(promised(&[accepts("all", &[], "delivery", 300.0)]));
    site.add("mta1", "postfix_queue_stat", ("queue", "active"), 1.0, 1.0);
    // Twelve an hour: in five minutes usually one.
    site.add("mta1", "postfix_qmgr_messages_removed_total", ("", ""), 12.0 / 3600.0, 0.01);
    site.at = site.at.plus_ms(-STEP_MS);
    minutes(&mut site, 4, &[Some(1.0), Some(0.003)]);
    assert_eq!(used(&site), [0.0]);
    minutes(&mut site, 4, &[Some(12.0), Some(0.003)]);
    assert_eq!(used(&site), [4.0], "a queue of a dozen is");
}

#[test]
fn a_week_later_it_is_forgotten() {
    let mut site = stores(&[accepts("all", &[], "request", 5.0)]);
    // 09:00 to 09:10.
    minutes(&mut site, 10, &[Some(6000.0), None]);
    let week = Timestamp::parse_rfc3339("2026-03-09T08:58:45Z").unwrap();
    site.at = week;
    minutes(&mut site, 1, &[Some(100.0), None]);
    assert_eq!(used(&site), [10.0]);
    minutes(&mut site, 1, &[Some(6000.0), None]);
    assert_eq!(used(&site), [1.0]);
}

#[test]
fn a_step_counts_whole_and_a_gap_does_not() {
    let mut site = stores(&[]);
    let settings = IncidentSettings { step_seconds: 300, ..promised(&[accepts("all", &[], "request", 5.0)]) };
    site.incidents = Incidents::new(settings, table());
    site.admit_all();
    hold(&mut site, (3, 5 * MINUTE_MS), &[Some(6000.0), None]);
    assert_eq!(used(&site), [15.0]);
    hold(&mut site, (1, 60 * MINUTE_MS), &[Some(6000.0), None]);
    assert_eq!(used(&site), [20.0]);
}

#[test]
fn a_restart_loses_no_minute_and_counts_none_twice() {
    let all = [accepts("all", &[], "request", 5.0)];
    let mut site = stores(&all);
    minutes(&mut site, 7, &[Some(6000.0), None]);
    hold(&mut site, (1, STEP_MS), &[Some(6000.0), None]);
    assert_eq!(used(&site), [8.0]);
    restart(&mut site, &all);
    hold(&mut site, (3, STEP_MS), &[Some(6000.0), None]);
    assert_eq!(used(&site), [8.0], "it is still that minute");
    minutes(&mut site, 1, &[Some(6000.0), None]);
    assert_eq!(used(&site), [9.0]);
}

#[test]
fn another_promise_begins_at_nothing_and_the_same_goes_on() {
    let (one, other) = (accepts("one", &[], "request", 5.0), accepts("other", &[], "request", 4.0));
    let mut site = stores(&[one.clone(), other.clone()]);
    minutes(&mut site, 7, &[Some(4500.0), None]);
    minutes(&mut site, 2, &[Some(6000.0), None]);
    assert_eq!(used(&site), [2.0, 9.0]);
    let more = Promise { brown_out_seconds: Some(3600.0), ..other.clone() };
    restart(&mut site, &[accepts("new", &[], "request", 5.5), more]);
    assert_eq!(used(&site), [0.0, 9.0], "accepted is more, used is the same");
    restart(&mut site, &[Promise { name: Some("renamed".into()), ..other }]);
    assert_eq!(used(&site), [9.0], "however they are called");
    restart(&mut site, &[]);
    assert_eq!(used(&site), [0.0; 0]);
}

/// A mail host, and a second MTA whose queue was late for so many minutes, which was no incident.
fn mail_hosts(promises: &[Promise], late_minutes: i64) -> Site {
    let mut site = mail_host_of(promised(promises));
    let queue = site.add("mta2", "postfix_queue_stat", ("queue", "active"), 30.0, 5.0);
    site.add("mta2", "postfix_qmgr_messages_removed_total", ("", ""), 1.1, 0.1);
    let calm: Vec<Option<f64>> = site.series.iter().map(|series| Some(series.mean)).collect();
    let late: Vec<Option<f64>> =
        (0..calm.len()).map(|place| if place == queue { Some(400.0) } else { calm[place] }).collect();
    minutes(&mut site, late_minutes, &late);
    minutes(&mut site, 5, &calm);
    assert_eq!(site.events, []);
    site
}

/// The scanner of the first host, which stopped so many ticks ago, stands still for some more.
fn scanner_stops(site: &mut Site, after: i64, ticks: usize) {
    let from = site.at.plus_ms(-after * STEP_MS);
    for _ in 0..ticks {
        let since_ms = site.at.since(from);
        site.tick(|place| if place < 8 { stuck_scanner(since_ms, place) } else { Some(0.0) });
    }
}

fn customers() -> Promise {
    accepts("customers", &[], "delivery", 300.0)
}

#[test]
fn an_incident_says_when_what_users_accept_is_used_up() {
    let mut site = mail_hosts(&[customers()], 12);
    scanner_stops(&mut site, 0, 34);
    let incident = site.last().clone();
    let prediction = incident.prediction.clone().unwrap();
    assert_eq!(prediction.what, "delivery over 5 min late");
    // Twelve minutes of thirty are used, and the rest begins with the impact.
    let used_up_at = prediction.impact_at.plus_ms(18 * MINUTE_MS);
    let (name, used_up_at) = ("customers".to_owned(), Some(used_up_at));
    let want = BrownOut { name, accepted_seconds: 1800.0, used_seconds: 720.0, used_up_at };
    assert_eq!(incident.brown_out, Some(want));
    let by = used_up_at.unwrap().to_string();
    let said = format!("; customers accept 30 min a week: 12 are used, the rest by {} UTC", &by[11..16]);
    assert!(incident.summary.ends_with(&said), "{}", incident.summary);
    let told = serde_json::to_value(&incident).unwrap();
    assert_eq!(told["brown_out"]["used_up_at"], by);
    assert_eq!(serde_json::from_value::<Incident>(told).unwrap(), incident);

    let events = site.events.len();
    scanner_stops(&mut site, 34, 100);
    let incident = site.last().clone();
    let brown_out = incident.brown_out.unwrap();
    assert!(brown_out.is_used_up() && brown_out.used_seconds >= 1800.0, "{brown_out:?}");
    assert!(
        incident.summary.ends_with("; customers accept 30 min a week: all are used"),
        "{}",
        incident.summary
    );
    let used_up = |incident: &Incident| incident.brown_out.as_ref().is_some_and(BrownOut::is_used_up);
    let first = site.events[events..].iter().find(|event| event.incident.as_ref().is_some_and(used_up));
    let late_ms = first.unwrap().at.since(used_up_at.unwrap());
    assert!((-120_000..=180_000).contains(&late_ms), "told {late_ms} ms after it was foretold");

    site.calm(100);
    let resolved = site.events.last().unwrap();
    assert_eq!(resolved.event, EventKind::Resolved);
    assert_eq!(site.last().brown_out, None);
}

#[test]
fn what_users_accept_makes_no_incident_louder_or_quieter() {
    let severities = |promise: Promise| {
        let mut site = mail_hosts(&[promise], 40);
        let mut severities: Vec<Vec<Severity>> = Vec::new();
        for tick in 0..134 {
            scanner_stops(&mut site, tick, 1);
            severities.push(site.incidents.open().map(|incident| incident.severity).collect());
        }
        let told = serde_json::to_string(&site.events).unwrap();
        (severities, told.contains("all are used"), told.contains("brown_out"))
    };
    let (with, used_up, _) = severities(customers());
    let (without, _, is_told) = severities(Promise { brown_out_seconds: None, ..customers() });
    assert!(used_up && !is_told);
    assert!(with.contains(&vec![Severity::Page]));
    assert_eq!(with, without);
}

#[test]
fn of_several_promises_that_which_is_used_up_first_is_told() {
    let ample = Promise { brown_out_seconds: Some(7200.0), ..accepts("ample", &[], "delivery", 300.0) };
    let others = accepts("others", &["mta2"], "delivery", 300.0);
    let mut site = mail_hosts(&[ample, customers(), others], 12);
    scanner_stops(&mut site, 0, 34);
    assert_eq!(site.last().brown_out.as_ref().unwrap().name, "customers");
}

/// What is told of mail that waits for other sites, where nothing measures how long it does.
fn deferred(promise: Promise) -> Incident {
    let mut site = mail_host_of(promised(&[promise]));
    site.until_event(4, |tick, place| Some(if place == DEFERRED { 15.0 + 5.0 * tick as f64 } else { 0.0 }))
        .unwrap();
    assert_eq!(site.last().fault.as_deref(), Some("remote_outage"));
    site.last().clone()
}

#[test]
fn what_is_foretold_by_how_such_faults_go_uses_up_what_is_no_looser_than_the_packs() {
    let incident = deferred(accepts("customers", &["mta1"], "outside", 3600.0));
    let used_up_at = incident.brown_out.unwrap().used_up_at;
    assert_eq!(used_up_at, Some(incident.prediction.unwrap().impact_at.plus_ms(30 * MINUTE_MS)));
    for kept in [
        accepts("customers", &["mta1"], "outside", 20_000.0),
        accepts("customers", &["mta2"], "outside", 3600.0),
        accepts("customers", &["mta1"], "delivery", 3600.0),
    ] {
        assert_eq!(deferred(kept.clone()).brown_out, None, "{kept:?}");
    }
}

#[test]
fn a_restart_changes_nothing_of_what_is_told() {
    let taken_on = |restarts: bool| {
        let mut site = mail_hosts(&[customers()], 12);
        scanner_stops(&mut site, 0, 34);
        if restarts {
            restart(&mut site, &[customers()]);
        }
        let id = site.incidents.open().next().unwrap().id.clone();
        site.incidents.acknowledge(site.at, &id, "ann", &mut site.events);
        assert!(site.last().brown_out.is_some());
        scanner_stops(&mut site, 34, 100);
        site.events
    };
    assert_eq!(taken_on(true), taken_on(false));
}

#[test]
fn a_queue_that_is_late_already_uses_up_what_is_left_from_now_on() {
    let mut site = mail_hosts(&[customers()], 0);
    // What takes ten minutes, at once.
    site.ticks(40, |place| if place == ACTIVE { Some(600.0) } else { stuck_scanner(180_000, place) });
    let told = site.events.iter().rev().find_map(|event| Some((event.at, event.incident.as_ref()?)));
    let (at, incident) = told.unwrap();
    let brown_out = incident.brown_out.as_ref().unwrap();
    let left_ms = 1000 * (1800 - brown_out.used_seconds as i64);
    assert!(brown_out.used_seconds > 0.0, "{brown_out:?}");
    assert_eq!(brown_out.used_up_at, Some(at.plus_ms(left_ms)));
}
