//! Services that restart: what comes back by itself wakes nobody, and what does not come back does.

use std::collections::BTreeSet;

use super::site::{Site, settings};
use crate::incident::event::Severity;

/// After how many ticks a host that strays in signals that no pack knows is a page, and the first that was told.
fn unknown_disturbance(restarts: bool) -> (usize, String) {
    let mut site = Site::new(settings());
    for metric in ["orders", "carts", "visits", "sales"] {
        site.add("web1", metric, ("", ""), 50.0, 5.0);
    }
    site.calm(300);
    if restarts {
        let machine = site.series[0].entity;
        site.incidents.restarted(site.at.plus_ms(15_000), vec![machine]);
    }
    let mut paged = 0;
    for tick in 1..=100 {
        site.tick(|_| Some(80.0));
        if paged == 0 && site.incidents.open().any(|incident| incident.severity == Severity::Page) {
            paged = tick;
        }
    }
    let opened = site.events[0].incident.as_ref().unwrap();
    assert_eq!(opened.severity, Severity::Ticket);
    (paged, opened.summary.clone())
}

#[test]
fn what_nothing_known_explains_pages_after_ten_minutes_and_after_a_restart_a_little_later() {
    let (paged, summary) = unknown_disturbance(false);
    assert!((40..=43).contains(&paged), "{paged}");
    assert!(!summary.contains("restarted"), "{summary}");
    let (paged, summary) = unknown_disturbance(true);
    assert!((60..=64).contains(&paged), "{paged}");
    assert!(summary.contains("web1 restarted at"), "{summary}");
}

/// Whether anything was a page.
fn woke(site: &Site) -> bool {
    let told = site.events.iter().filter_map(|event| event.incident.as_ref());
    told.map(|incident| incident.severity).max() == Some(Severity::Page)
}

/// All remedies that were proposed.
fn called(site: &Site) -> BTreeSet<String> {
    let told = site.events.iter().filter_map(|event| event.incident.as_ref());
    told.filter_map(|incident| incident.remedy.clone()).collect()
}

/// Whether a store wakes somebody within an hour and a half of a restart after which its caches hold so much less than
/// they did, by minute.
fn wakes_by_cold_caches(less: impl Fn(f64) -> f64) -> bool {
    let mut site = Site::new(settings());
    add_caches(&mut site, "store1");
    site.calm(300);
    restart(&mut site, "store1");
    let from = site.at;
    for _ in 0..360 {
        let minutes = site.at.since(from) as f64 / 60_000.0;
        site.tick(|_| Some(-less(minutes)));
    }
    woke(&site)
}

fn add_caches(site: &mut Site, host: &str) {
    for metric in ["account_cache_hit_rate", "mbox_cache", "idx_cache_hits", "bis_read_hits"] {
        site.add(host, metric, ("", ""), 95.0, 0.7);
    }
}

/// A service of the host has restarted by the next tick.
fn restart(site: &mut Site, host: &str) {
    let machine = site.series.iter().find(|s| &*s.entity_name == host).map(|s| s.entity).unwrap();
    site.incidents.restarted(site.at.plus_ms(15_000), vec![machine]);
}

/// Whether a store wakes somebody that restarts so many times, forty minutes apart, and whose caches fill in between.
fn wakes_by_restarts(times: usize) -> bool {
    let mut site = Site::new(settings());
    add_caches(&mut site, "store1");
    site.calm(300);
    for _ in 0..times {
        restart(&mut site, "store1");
        let from = site.at;
        for _ in 0..160 {
            let minutes = site.at.since(from) as f64 / 60_000.0;
            site.tick(|_| Some(-85.0 * (-minutes / 20.0).exp()));
        }
    }
    woke(&site)
}

#[test]
fn two_restarts_in_an_evening_are_work_and_the_third_is_news() {
    assert!(!wakes_by_restarts(2));
    assert!(wakes_by_restarts(3));
}

#[test]
fn caches_that_fill_again_wake_nobody_and_those_that_stay_cold_do() {
    let fills = |minutes: f64| 85.0 * (-minutes / 20.0).exp();
    assert!(!wakes_by_cold_caches(fills));
    assert!(wakes_by_cold_caches(|_| 85.0));
    assert!(wakes_by_cold_caches(|minutes| fills(minutes).max(50.0)), "they stop half-way");
}

/// What a store calls for within an hour and a quarter of a restart with which its requests take so much longer, in spreads
/// by minute, and what is told of it at last.
fn calls_for(longer: impl Fn(f64) -> f64) -> (BTreeSet<String>, Option<String>) {
    let mut site = Site::new(settings());
    site.add("store1", "mailboxd_account_cache_hit_rate", ("", ""), 95.0, 0.7);
    site.add("store1", "process_files_open_files", ("job", "mailboxd"), 750.0, 10.0);
    site.add("store1", "mysql_global_status_threads_connected", ("", ""), 12.0, 0.5);
    site.add("store1", "mailboxd_soap_ms_avg", ("", ""), 36.0, 1.0);
    site.add("store1", "mailboxd_imap_ms_avg", ("", ""), 11.0, 0.5);
    site.calm(300);
    restart(&mut site, "store1");
    let from = site.at;
    for _ in 0..300 {
        let minutes = site.at.since(from) as f64 / 60_000.0;
        let left = |over: f64| (-minutes / over).exp();
        let slower = longer(minutes);
        let off = [-85.0 * left(20.0), -120.0 * left(5.0), -11.0 * left(5.0), slower, 0.5 * slower];
        site.tick(|place| Some(off[place]));
    }
    (called(&site), site.last().fault.clone())
}

#[test]
fn a_store_that_warms_up_is_left_alone_and_a_version_that_grows_slower_is_taken_back() {
    let (remedies, _) = calls_for(|minutes| 6.0 * (-minutes / 20.0).exp());
    assert_eq!(remedies, BTreeSet::new());
    let (remedies, fault) = calls_for(|minutes| 6.0 + 0.5 * minutes);
    assert_eq!((remedies, fault.as_deref()), (BTreeSet::from(["roll_back".to_owned()]), Some("bad_deploy")));
}

/// Whether two minutes without a store, of which a proxy tells, wake somebody, and what they call for, where something else
/// about that proxy is odd from four minutes before to two after, or not; `lasts` is that the store does not come back.
fn while_a_store_is_away(is_odd: bool, lasts: bool) -> (bool, BTreeSet<String>) {
    let mut site = Site::new(settings());
    let odd = site.add("proxy1", "orders", ("", ""), 100.0, 5.0);
    site.add("proxy1", "nginx_connections_writing", ("", ""), 1.0, 0.2);
    site.add("proxy1", "nginx_connections_waiting", ("", ""), 90.0, 5.0);
    site.add("proxy1", "probe_duration_seconds", ("job", "blackbox_https"), 0.08, 0.01);
    site.add("proxy1", "probe_success", ("job", "blackbox_https"), 1.0, 0.001);
    site.calm(300);
    let strays = |place: usize| if is_odd && place == odd { -20.0 } else { 0.0 };
    site.ticks(16, |place| Some(strays(place)));
    let away = [0.0, 10.0, -50.0, 15.0, -1.0];
    site.ticks(8, |place| Some(away[place] + strays(place)));
    let later = |place: usize| if lasts { away[place] } else { 0.0 };
    site.ticks(8, |place| Some(later(place) + strays(place)));
    site.ticks(40, |place| Some(later(place)));
    (woke(&site), called(&site))
}

#[test]
fn what_has_strayed_for_longer_lends_its_age_to_no_other() {
    let nothing = (false, BTreeSet::new());
    assert_eq!(while_a_store_is_away(false, false), nothing);
    assert_eq!(while_a_store_is_away(true, false), nothing);
    assert_eq!(while_a_store_is_away(true, true), (true, BTreeSet::from(["restart_proxy".to_owned()])));
}

#[test]
fn stores_that_restart_one_after_the_other_call_for_nothing() {
    let mut site = Site::new(settings());
    site.add("proxy1", "nginx_connections_writing", ("", ""), 1.0, 0.2);
    site.add("proxy1", "nginx_connections_waiting", ("", ""), 90.0, 5.0);
    site.add("proxy1", "probe_duration_seconds", ("job", "blackbox_https"), 0.08, 0.01);
    add_caches(&mut site, "store1");
    add_caches(&mut site, "store2");
    site.calm(300);
    let mut up_since = [None; 2];
    for (turn, store) in ["store1", "store2"].into_iter().enumerate() {
        for tick in 0..100 {
            if tick == 8 {
                restart(&mut site, store);
                up_since[turn] = Some(site.at);
            }
            let (at, before) = (site.at, up_since);
            let cold = |store: usize| before[store].map_or(0.0, |up| (-at.since(up) as f64 / 1.2e6).exp());
            site.tick(|place| {
                let away = [10.0, -50.0, 15.0].map(|off| if tick < 8 { off } else { 0.0 });
                Some(away.get(place).copied().unwrap_or_else(|| -85.0 * cold((place - 3) / 4)))
            });
        }
    }
    assert_eq!((woke(&site), called(&site)), (false, BTreeSet::new()));
}

/// What is called for where a store falls silent for five minutes while something else has been odd at a proxy for half an
/// hour; and the proxy misses the store, or not.
fn called_for_a_silent_store(is_missed: bool) -> BTreeSet<String> {
    let mut site = Site::new(settings());
    let node = [
        ("node_cpu_seconds_total", ("mode", "user")),
        ("node_cpu_seconds_total", ("mode", "system")),
        ("node_cpu_seconds_total", ("mode", "idle")),
        ("node_load1", ("", "")),
        ("node_memory_MemAvailable_bytes", ("", "")),
    ];
    for host in ["store1", "store2", "proxy1"] {
        for (metric, label) in node {
            site.add(host, metric, label, 10.0, 1.0);
        }
    }
    let other = site.add("proxy1", "orders", ("", ""), 90.0, 5.0);
    let writing = site.add("proxy1", "nginx_connections_writing", ("", ""), 1.0, 0.2);
    let waiting = site.add("proxy1", "nginx_connections_waiting", ("", ""), 90.0, 5.0);
    site.add("store1", "mailboxd_soap_ms_avg", ("", ""), 36.0, 1.0);
    site.calm(300);
    let odd = |place: usize| if place == other { 18.0 } else { 0.0 };
    site.ticks(120, |place| Some(odd(place)));
    let hosts: Vec<bool> = site.series.iter().map(|s| &*s.entity_name == "store1").collect();
    site.ticks(20, |place| {
        let misses = if place == writing {
            10.0
        } else if place == waiting {
            -50.0
        } else {
            0.0
        };
        (!hosts[place]).then_some(odd(place) + if is_missed { misses } else { 0.0 })
    });
    called(&site)
}

#[test]
fn a_machine_is_replaced_where_somebody_misses_it() {
    assert_eq!(called_for_a_silent_store(false), BTreeSet::new());
    assert_eq!(called_for_a_silent_store(true), BTreeSet::from(["replace_node".to_owned()]));
}

/// After how many ticks it is called for to empty a disk that fills by a terabyte a day, which detectors take as usual, where
/// its store restarts at such a tick, or never.
fn tick_of_a_full_disk(restarts_at: Option<usize>) -> Option<usize> {
    let mut site = Site::new(settings());
    add_caches(&mut site, "store1");
    site.add("store1", "mailboxd_soap_ms_avg", ("", ""), 36.0, 1.0);
    let disk = site.add("store1", "node_filesystem_avail_bytes", ("mountpoint", "/opt"), 6e11, 1e7);
    let (from, mut up_since) = (site.at, None);
    (0..3300).find(|tick| {
        if restarts_at == Some(*tick) {
            restart(&mut site, "store1");
            up_since = Some(site.at);
        }
        let at = site.at;
        let cold = up_since.map_or(0.0, |up| (-at.since(up) as f64 / 1.2e6).exp());
        site.series[disk].mean = 6e11 - 1e12 / 86_400_000.0 * at.since(from) as f64;
        site.tick(|place| Some(if place < 4 { -85.0 * cold } else { 0.0 }));
        site.incidents.open().any(|incident| incident.remedy.is_some())
    })
}

#[test]
fn a_disk_that_fills_is_to_be_emptied_though_its_store_restarts() {
    let called = tick_of_a_full_disk(None).unwrap();
    let later = tick_of_a_full_disk(Some(called - 20)).unwrap();
    assert!((called..called + 80).contains(&later), "{called} {later}");
}
