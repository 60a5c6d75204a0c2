//! A morning with more requests than ever, for hours: harmless, and what fails meanwhile must not hide in it.

use super::super::event::Incident;
use super::site::{Site, settings};

const ACTIVE: usize = 0;
const IDLE: usize = 1;
const SCAN_QUEUE: usize = 2;

/// How far off its mean each series is then.
const BUSY: [f64; 10] = [25.0, -15.0, 0.0, 3.0, 500.0, 700.0, 80.0, 9e5, 7e5, 90.0];

/// After hours of it, this happens besides to the scanner that is on the same host, for so many ticks.
fn morning(what: impl Fn(usize, usize) -> f64, ticks: usize) -> Site {
    let mut site = Site::new(settings());
    site.add("all1", "postfix_queue_stat", ("queue", "active"), 30.0, 5.0);
    site.add("all1", "clamav_threads_idle", ("", ""), 80.0, 3.0);
    site.add("all1", "clamav_queue_length", ("", ""), 2.0, 1.0);
    site.add("all1", "node_cpu_seconds_total", ("mode", "user"), 3.0, 0.3);
    site.add("all1", "mailboxd_soap_count", ("", ""), 300.0, 10.0);
    site.add("all1", "mysql_global_status_questions", ("", ""), 500.0, 20.0);
    site.add("all1", "nginx_http_requests_total", ("code", "200"), 50.0, 2.0);
    site.add("all1", "mysql_global_status_bytes_sent", ("", ""), 9e5, 1e4);
    site.add("all1", "mailboxd_idx_bytes_read", ("", ""), 7e5, 1e4);
    site.add("all1", "openldap_operations_search_completed", ("", ""), 90.0, 3.0);
    site.calm(300);
    site.ticks(300, |place| Some(BUSY[place]));
    assert_eq!(names(&site), [Some("request_surge")], "{:#?}", site.events);
    for tick in 0..ticks {
        site.tick(|place| Some(BUSY[place] + what(tick, place)));
    }
    site
}

/// The faults of the incidents that are open.
fn names(site: &Site) -> Vec<Option<&str>> {
    site.incidents.open().map(|incident| incident.fault.as_deref()).collect()
}

#[test]
fn a_fault_does_not_hide_in_a_busy_morning_by_signs_that_were_odd_before() {
    let stuck = |tick: usize, place| {
        let minutes = tick as f64 / 4.0;
        match place {
            ACTIVE => 40.0 * minutes,
            IDLE => -(10.0 * minutes).min(65.0),
            SCAN_QUEUE => 20.0 * minutes,
            _ => 0.0,
        }
    };
    let site = morning(stuck, 40);
    assert_eq!(names(&site), [Some("request_surge"), Some("clamd_stuck")], "{:#?}", site.events);
    let stuck: &Incident = site.incidents.open().last().unwrap();
    assert_eq!(stuck.remedy.as_deref(), Some("restart_clamd_then_amavis"));
}

#[test]
fn a_morning_that_grows_busier_is_the_same_still() {
    let more = |tick: usize, place: usize| {
        // The scanners have hardly more to do.
        if tick > 5 && place != IDLE { 3.0 * BUSY[place] } else { 0.0 }
    };
    assert_eq!(names(&morning(more, 60)), [Some("request_surge")]);
}
