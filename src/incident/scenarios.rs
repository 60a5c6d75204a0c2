//! What incidents must make of the disturbances that a site knows, told as scenarios over a small site.

mod brown_out;
mod busy;
mod disk;
mod restart;
pub(super) mod site;

use std::collections::BTreeMap;

use site::{STEP_SECONDS, Site, settings, table};

use super::event::{EventKind, Incident, Severity, State};
use super::{IncidentSettings, Incidents, Observed};
use crate::detect::Kind;
use crate::predict::service_levels::{Promise, ServiceLevels};
use crate::series::registry::SeriesId;

/// A mail host as Carbonio's exporters show it.
fn mail_host() -> Site {
    mail_host_of(settings())
}

fn mail_host_of(settings: IncidentSettings) -> Site {
    let mut site = Site::new(settings);
    site.add("mta1", "postfix_queue_stat", ("queue", "active"), 30.0, 5.0);
    site.add("mta1", "postfix_queue_stat", ("queue", "deferred"), 40.0, 5.0);
    site.add("mta1", "clamav_threads_idle", ("", ""), 8.0, 0.7);
    site.add("mta1", "clamav_queue_length", ("", ""), 2.0, 1.0);
    site.add("mta1", "mailboxd_lmtp_rcvd_msgs", ("", ""), 100.0, 10.0);
    site.add("mta1", "node_cpu_seconds_total", ("mode", "user"), 3.0, 0.3);
    site.add("mta1", "mailboxd_soap_ms_avg", ("", ""), 30.0, 3.0);
    site.add("mta1", "postfix_qmgr_messages_removed_total", ("", ""), 1.1, 0.1);
    site.calm(300);
    assert_eq!(site.events, []);
    site
}

const ACTIVE: usize = 0;
const DEFERRED: usize = 1;
const IDLE: usize = 2;
const SCAN_QUEUE: usize = 3;
const RECEIVED: usize = 4;
const CPU: usize = 5;

/// How far off a scanner that stands still takes each of them, so long after it stopped.
fn stuck_scanner(since_ms: i64, place: usize) -> Option<f64> {
    let minutes = since_ms as f64 / 60_000.0;
    Some(match place {
        IDLE => -(2.0 * minutes).min(8.0),
        SCAN_QUEUE | ACTIVE => 40.0 * (minutes - 2.0).max(0.0),
        RECEIVED => -(20.0 * minutes).min(90.0),
        CPU => -(0.5 * minutes).min(2.5),
        _ => 0.0,
    })
}

#[test]
fn a_ramp_of_the_deferred_queue_is_an_incident_within_four_ticks() {
    let mut site = mail_host();
    // It leaves its 0.999 quantile, 3.3 spreads, with the first of these.
    let took = site
        .until_event(4, |tick, place| Some(if place == DEFERRED { 15.0 + 5.0 * tick as f64 } else { 0.0 }));
    assert!(took.is_some());
    let incident = site.last();
    assert_eq!(incident.fault.as_deref(), Some("remote_outage"));
    assert_eq!(incident.remedy.as_deref(), Some("flush_queue"));
    assert_eq!((incident.entity.as_str(), incident.movers.len()), ("mta1", 1));
    assert!(incident.severity >= Severity::Ticket);
    assert!(incident.summary.starts_with("mta1: deferred queue at "), "{}", incident.summary);
}

#[test]
fn what_was_promised_is_broken_sooner() {
    let within = BTreeMap::from([("delivery".to_owned(), 300.0)]);
    let promise = Promise { entities: vec!["mta1".into()], within, ..Promise::default() };
    let service_levels = ServiceLevels(vec![promise]);
    let mut site = mail_host_of(IncidentSettings { service_levels, ..settings() });
    let from = site.at;
    for _ in 0..34 {
        let since_ms = site.at.since(from);
        site.tick(|place| stuck_scanner(since_ms, place));
    }
    let prediction = site.last().prediction.clone().unwrap();
    assert_eq!(prediction.what, "delivery over 5 min late");
    // What is usually delivered in five minutes, 330 messages, waits nine and a half minutes after the fault.
    let minutes = prediction.impact_at.since(from) as f64 / 60_000.0;
    assert!((8.5..10.5).contains(&minutes), "{minutes}");
}

#[test]
fn a_stuck_scanner_is_known_forecast_and_cleared() {
    let mut site = mail_host();
    let from = site.at;
    let course = |site: &Site, place: usize| stuck_scanner(site.at.since(from), place);
    let mut foreseen = None;
    for tick in 0..36 {
        let offsets: Vec<Option<f64>> = (0..site.series.len()).map(|place| course(&site, place)).collect();
        site.tick(|place| offsets[place]);
        let told = site.events.last().and_then(|event| event.incident.as_ref());
        if let Some(prediction) = told.and_then(|incident| incident.prediction.clone()) {
            foreseen.get_or_insert((tick, prediction));
        }
    }
    let incident = site.last().clone();
    assert_eq!(incident.fault.as_deref(), Some("clamd_stuck"), "{incident:#?}");
    assert_eq!(incident.remedy.as_deref(), Some("restart_clamd_then_amavis"));
    assert_eq!(incident.severity, Severity::Page);
    let (tick, _) = foreseen.unwrap();
    assert!(tick < 24, "foreseen at tick {tick}");
    // The active queue holds what is usually delivered in 15 minutes, 990 messages, 26 minutes after the fault.
    let prediction = incident.prediction.unwrap();
    let [early, at, late] = [prediction.earliest, prediction.impact_at, prediction.latest]
        .map(|t| t.since(from) as f64 / 60_000.0);
    assert!(early <= 27.5 && 26.2 <= late, "{early} {at} {late}");
    assert!((20.0..32.0).contains(&at), "{at}");
    assert_eq!(prediction.what, "delivery over 15 min late");
    assert!(incident.summary.contains("looks like clamd_stuck"), "{}", incident.summary);

    site.calm(60);
    let resolved = site.events.last().unwrap();
    assert_eq!(resolved.event, EventKind::Resolved);
    assert_eq!(site.last().state, State::Resolved);
    assert_eq!(site.kinds().iter().filter(|kind| **kind == EventKind::Opened).count(), 1);
    let seqs: Vec<u32> = site.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (0..seqs.len() as u32).collect::<Vec<_>>());
    assert!(seqs.len() < 12, "{} events are too many", seqs.len());
}

#[test]
fn a_spike_and_two_days_of_noise_are_no_incidents() {
    let mut site = mail_host();
    site.tick(|place| Some(if place == DEFERRED { 22.0 } else { 0.0 }));
    site.calm(2 * 5760);
    assert_eq!(site.events, []);
}

/// One series that no pack knows.
fn batch_host() -> Site {
    let mut site = Site::new(settings());
    site.add("batch1", "some_app_work", ("", ""), 100.0, 1.0);
    site
}

#[test]
fn a_weekly_job_is_told_twice_and_then_expected_but_not_more_of_it() {
    const WEEK: usize = 40_320;
    let mut site = batch_host();
    let opened = |site: &Site| site.kinds().iter().filter(|kind| **kind == EventKind::Opened).count();
    let mut told = Vec::new();
    for off in [4.0, 4.0, 4.0, 4.0, 16.0] {
        let before = opened(&site);
        site.calm(WEEK - 40);
        site.ticks(40, |_| Some(off));
        told.push(opened(&site) - before);
    }
    assert_eq!(told, [1, 1, 0, 0, 1]);
}

#[test]
fn what_is_over_and_back_within_minutes_is_not_news_each_time() {
    let mut site = batch_host();
    site.calm(5_760);
    for _ in 0..24 {
        site.ticks(10, |_| Some(8.0));
        site.calm(12);
    }
    let opened = site.kinds().iter().filter(|kind| **kind == EventKind::Opened).count();
    assert!((1..=3).contains(&opened), "{opened} incidents in two hours");
}

#[test]
fn what_breaks_together_is_one_incident_and_what_does_not_is_two() {
    let mut site = Site::new(settings());
    site.add("mta1", "postfix_queue_stat", ("queue", "active"), 30.0, 5.0);
    site.add("mta2", "postfix_queue_stat", ("queue", "active"), 30.0, 5.0);
    site.add("web1", "some_app_errors", ("", ""), 10.0, 2.0);
    site.calm(100);
    site.ticks(30, |_| Some(60.0));
    let open: Vec<&Incident> = site.incidents.open().collect();
    let entities: Vec<_> = open.iter().map(|incident| incident.entities.join(" ")).collect();
    assert_eq!(entities, ["mta1 mta2", "web1"]);
}

#[test]
fn no_data_never_clears() {
    let mut site = mail_host();
    site.ticks(10, |place| Some(if place == DEFERRED { 60.0 } else { 0.0 }));
    assert_eq!(site.incidents.open().count(), 1);
    site.ticks(1000, |place| (place != DEFERRED).then_some(0.0));
    assert_eq!(site.incidents.open().count(), 1);
    // Gone for good is no calm either: a person decides.
    site.incidents.retire(SeriesId(DEFERRED as u32), "postfix_queue_stat");
    site.seen.0.remove(&SeriesId(DEFERRED as u32));
    site.ticks(100, |place| (place != DEFERRED).then_some(0.0));
    let id = site.incidents.open().next().unwrap().id.clone();
    assert!(site.incidents.resolve(site.at, &id, "ann", &mut site.events));
    assert!(site.last().summary.starts_with("Resolved by ann after "), "{}", site.last().summary);
    assert!(!site.incidents.resolve(site.at, &id, "ann", &mut site.events));
}

#[test]
fn silence_alone_is_only_recorded() {
    let mut site = mail_host();
    for _ in 0..40 {
        site.at = site.at.plus_ms(1000 * i64::from(STEP_SECONDS));
        let silent = site.series.iter().enumerate().map(|(place, s)| {
            let series = SeriesId(place as u32);
            let last = site.seen.0[&series];
            s.finding(series, Observed { at: site.at, surprise: 6.0, has_data: false, ..last }, Kind::Silence)
        });
        site.give(silent.collect());
    }
    assert_eq!(site.last().severity, Severity::Info);
    assert!(site.last().summary.contains("has given no data since"), "{}", site.last().summary);
}

#[test]
fn a_disk_that_fills_slowly_is_a_ticket_before_it_is_a_page() {
    let mut site = Site::new(settings());
    site.add("store1", "node_filesystem_avail_bytes", ("mountpoint", "/opt"), 6e11, 1e7);
    let mut severities = Vec::new();
    // A terabyte a day: 14 hours are left. The detectors take the slope as usual.
    for tick in 0..3000 {
        site.at = site.at.plus_ms(1000 * i64::from(STEP_SECONDS));
        let value = 6e11 - 1e12 / 5760.0 * f64::from(tick);
        let observed = Observed {
            at: site.at,
            value,
            expected: value,
            low: value,
            high: value,
            surprise: 0.3,
            own: 1.0,
            has_data: true,
        };
        site.seen.0.insert(SeriesId(0), observed);
        site.give(Vec::new());
        if let Some(event) = site.events.last() {
            severities.push(event.incident.as_ref().unwrap().severity);
        }
    }
    severities.dedup();
    assert_eq!(severities, [Severity::Ticket, Severity::Page]);
    let incident = site.last();
    assert_eq!(incident.fault.as_deref(), Some("disk_fill"));
    assert_eq!(incident.movers[0].detector, Kind::Limit);
    let left = incident.prediction.as_ref().unwrap().impact_at.since(site.at) as f64 / 3600.0 / 1000.0;
    let truth = (6e11 / 1e12 * 24.0) - 3000.0 / 240.0;
    assert!((left - truth).abs() < 0.2, "{left} h, in truth {truth} h");
}

#[test]
fn learning_stops_while_it_lasts_and_goes_on_with_a_new_normal() {
    let mut site = mail_host();
    let (moved, other) = (SeriesId(DEFERRED as u32), SeriesId(CPU as u32));
    assert!(site.incidents.learning(moved));
    let course = |place| Some(if place == DEFERRED { 60.0 } else { 0.0 });
    site.ticks(20, course);
    assert!(!site.incidents.learning(moved) && site.incidents.learning(other));
    site.ticks(6 * 240, course);
    assert!(site.incidents.learning(moved));
}

#[test]
fn a_person_takes_it_on() {
    let mut site = mail_host();
    site.ticks(10, |place| Some(if place == DEFERRED { 60.0 } else { 0.0 }));
    let id = site.incidents.open().next().unwrap().id.clone();
    assert!(!site.incidents.acknowledge(site.at, "0123", "ann", &mut site.events));
    assert!(site.incidents.acknowledge(site.at, &id, "ann", &mut site.events));
    assert_eq!(site.last().state, State::Acknowledged);
    assert_eq!(site.incidents.get(&id).unwrap().state, State::Acknowledged);
    site.calm(40);
    assert_eq!(site.last().state, State::Resolved);
}

#[test]
fn no_more_incidents_are_open_than_the_bound_allows() {
    let mut site = Site::new(IncidentSettings { open_max: 2, ..settings() });
    for host in ["a", "b", "c", "d"] {
        site.add(host, &format!("{host}_errors"), ("", ""), 10.0, 1.0);
    }
    site.ticks(10, |_| Some(30.0));
    assert_eq!(site.incidents.open().count(), 2);
    assert!(site.incidents.drops().incidents > 0);
    let mut few = Site::new(IncidentSettings { movers_max: 3, watched_max: 0, ..settings() });
    for host in ["a", "b", "c", "d"] {
        few.add(host, "postfix_queue_stat", ("queue", "active"), 10.0, 1.0);
    }
    few.ticks(1, |_| Some(30.0));
    assert_eq!((few.incidents.drops().movers, few.incidents.drops().watched), (1, 4));
}

#[test]
fn a_restart_changes_nothing() {
    let course = |tick: usize, place: usize| {
        Some(match place {
            ACTIVE | SCAN_QUEUE if (50..120).contains(&tick) => 8.0 * (tick - 50) as f64,
            DEFERRED if tick > 90 && tick < 150 => 50.0,
            _ => 0.0,
        })
    };
    let run = |stop: Option<usize>| {
        let mut site = mail_host();
        for tick in 0..300 {
            if stop == Some(tick) {
                let bytes = postcard::to_stdvec(&site.incidents.save()).unwrap();
                let state = postcard::from_bytes(&bytes).unwrap();
                site.incidents = Incidents::load(settings(), table(), state);
                site.admit_all();
            }
            site.tick(|place| course(tick, place));
        }
        serde_json::to_string(&site.events).unwrap()
    };
    let never = run(None);
    assert!(never.contains("incident.resolved"));
    for stop in [30, 53, 70, 100, 160] {
        assert_eq!(run(Some(stop)), never, "stopped at {stop}");
    }
}

#[test]
fn a_known_past_of_false_alarms_raises_what_a_page_takes() {
    let mut site = Site::new(settings());
    site.add("web1", "some_app_errors", ("", ""), 10.0, 1.0);
    // A site's first days say nothing of later ones.
    site.calm(3 * 5760 + 100);
    let before = site.incidents.thresholds();
    for _ in 0..12 {
        site.ticks(8, |_| Some(6.0));
        site.calm(200);
    }
    assert!(site.incidents.thresholds()[1] > before[1] + 5.0, "{before:?} {:?}", site.incidents.thresholds());
}

#[test]
fn a_fault_that_is_foretold_again_and_again_and_never_felt_wakes_nobody_any_more() {
    let mut site = mail_host();
    site.calm(3 * 5760);
    let mut worst = Vec::new();
    for _ in 0..8 {
        let before = site.events.len();
        // Its worst is there at once: nothing is on its way to a limit.
        site.ticks(40, |place| if place == ACTIVE { Some(0.0) } else { stuck_scanner(180_000, place) });
        site.calm(720);
        let told = site.events[before..].iter().filter_map(|event| event.incident.as_ref());
        worst.push(told.map(|incident| incident.severity).max().unwrap());
    }
    assert_eq!(worst[0], Severity::Page, "{worst:?}");
    assert_eq!(worst[7], Severity::Ticket, "{worst:?}");
}

#[test]
fn what_begins_hours_into_an_incident_and_is_no_sign_of_its_fault_is_another() {
    let mut site = mail_host();
    let stuck = |place| match place {
        ACTIVE => 90.0,
        IDLE => -8.0,
        SCAN_QUEUE => 30.0,
        _ => 0.0,
    };
    site.ticks(300, |place| Some(stuck(place)));
    assert_eq!(site.last().fault.as_deref(), Some("clamd_stuck"));
    // The processor has more to do, which is no sign of it; less would be.
    site.ticks(40, |place| Some(if place == CPU { 20.0 } else { stuck(place) }));
    let movers = |incident: &Incident| -> Vec<String> {
        incident.movers.iter().map(|mover| mover.series.name().to_owned()).collect()
    };
    let open: Vec<Vec<String>> = site.incidents.open().map(movers).collect();
    assert_eq!(open.len(), 2, "{open:#?}");
    assert!(!open[0].contains(&"node_cpu_seconds_total".into()), "{open:#?}");
    assert_eq!(open[1], ["node_cpu_seconds_total"]);
}

/// What is proposed for deliveries that an MTA waits for, as a store may show too, with another store's disk slow since hours
/// before, or without.
fn remedy_of_late_deliveries(shows: bool, is_disk_slow: bool) -> Option<String> {
    let mut site = Site::new(settings());
    site.add("store1", "node_disk_io_time_weighted_seconds_total", ("device", "sda"), 0.1, 0.02);
    site.add("store1", "node_disk_io_now", ("device", "sda"), 1.0, 0.2);
    site.add("store1", "node_cpu_seconds_total", ("mode", "iowait"), 0.05, 0.01);
    site.add("mx1", "postfix_lmtp_delivery_delay_seconds_sum", ("stage", "transmission"), 0.1, 0.02);
    site.add("mx1", "postfix_queue_length", ("queue", "active"), 5.0, 1.0);
    if shows {
        site.add("store2", "mailboxd_lmtp_conn", ("job", "carbonio"), 5.0, 1.0);
    }
    let disk = |place| if is_disk_slow && place < 3 { [4.0, 30.0, 1.0][place] } else { 0.0 };
    site.ticks(400, |place| Some(disk(place)));
    assert_eq!(site.events.is_empty(), !is_disk_slow);
    site.ticks(40, |place| Some(if place < 3 { disk(place) } else { [4.0, 80.0, 60.0][place - 3] }));
    let late: Vec<&Incident> =
        site.incidents.open().filter(|i| i.fault.as_deref() == Some("slow_lmtp")).collect();
    assert_eq!(late.len(), 1, "{:#?}", site.events);
    late[0].remedy.clone()
}

#[test]
fn what_would_worsen_another_open_incident_is_not_proposed() {
    assert_eq!(remedy_of_late_deliveries(true, false).as_deref(), Some("restart_mailboxd"));
    assert_eq!(remedy_of_late_deliveries(true, true), None);
}

#[test]
fn a_store_whose_writes_are_slow_is_not_restarted() {
    let mut site = Site::new(settings());
    site.add("store1", "mailboxd_mbox_add_msg_ms_avg", ("", ""), 36.0, 1.5);
    site.add("store1", "node_disk_write_time_seconds_total", ("device", "sda"), 0.1, 0.02);
    site.add("store1", "node_disk_io_time_weighted_seconds_total", ("device", "sda"), 0.5, 0.2);
    site.add("store1", "node_cpu_seconds_total", ("mode", "iowait"), 0.05, 0.01);
    site.add("store1", "mailboxd_lmtp_conn", ("job", "carbonio"), 5.0, 1.0);
    site.calm(300);
    let slow = |place| if place < 2 { [16.0, 0.3][place] } else { 0.0 };
    site.ticks(40, |place| Some(slow(place)));
    let remedies: Vec<_> =
        site.events.iter().filter_map(|e| e.incident.as_ref()?.remedy.as_deref()).collect();
    assert!(!site.events.is_empty() && !remedies.contains(&"restart_mailboxd"), "{:#?}", site.events);
}

#[test]
fn no_store_is_restarted_for_what_only_an_mta_shows() {
    assert_eq!(remedy_of_late_deliveries(false, false), None);
}
