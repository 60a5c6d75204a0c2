//! Disks that are written to: a backup empties none, what runs over does.

use super::site::{Site, settings};

/// What is told last, and which remedies were ever called, of a volume with 200 GB left on which so many bytes more are written
/// in a tick than usual.
fn told_of(bytes: f64) -> (Option<String>, Vec<String>) {
    let mut site = Site::new(settings());
    let free = site.add("store1", "node_filesystem_avail_bytes", ("mountpoint", "/opt"), 2e11, 2e7);
    let written = site.add("store1", "node_disk_written_bytes_total", ("device", "sda"), 1e6, 2e5);
    site.calm(2 * 5760);
    for tick in 1..=60 {
        site.tick(|place| match place {
            place if place == free => Some(-bytes * f64::from(tick)),
            place if place == written => Some(bytes / 15.0),
            _ => Some(0.0),
        });
    }
    let mut told = site.events.iter().filter_map(|event| event.incident.as_ref());
    let called = told.clone().filter_map(|incident| incident.remedy.clone()).collect();
    (told.next_back().and_then(|incident| incident.fault.clone()), called)
}

#[test]
fn a_backup_that_would_need_a_day_to_fill_a_disk_calls_for_nothing() {
    let (fault, called) = told_of(3e7);
    assert_ne!(fault.as_deref(), Some("disk_runaway"));
    assert_eq!(called, [""; 0]);
}

#[test]
fn a_disk_that_is_full_within_the_hour_is_to_be_emptied() {
    let (fault, called) = told_of(2e9);
    assert_eq!(fault.as_deref(), Some("disk_runaway"));
    assert_eq!(called.last().map(String::as_str), Some("purge_logs"));
}
