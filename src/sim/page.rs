//! What exporters would print of the simulated host: names and quirks as in the field.
//!
//! The MTA's and mailboxd's figures come as Carbonio's textfiles do, with a space before `{` and no TYPE;
//! clamd's and the node's come with TYPE lines.

use std::fmt::Write;

use crate::sample::ValueKind;
use crate::sim::host::Readings;

/// One line of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub name: &'static str,
    pub labels: &'static [(&'static str, &'static str)],
    /// `None` where the exporter prints no TYPE.
    pub kind: Option<ValueKind>,
    pub value: f64,
}

const NO_LABELS: &[(&str, &str)] = &[];

/// Every series of the host, in the order of the page; the order never changes.
pub fn readings(r: &Readings) -> Vec<Reading> {
    let untyped = |name, labels, value| Reading { name, labels, kind: None, value };
    let gauge = |name, labels, value| Reading { name, labels, kind: Some(ValueKind::Gauge), value };
    let counter = |name, labels, value| Reading { name, labels, kind: Some(ValueKind::Counter), value };
    vec![
        untyped("postfix_queue_stat", &[("queue", "active")], r.active_queue),
        untyped("postfix_queue_stat", &[("queue", "incoming")], r.incoming_queue),
        untyped("postfix_queue_stat", &[("queue", "deferred")], r.deferred_queue.round()),
        untyped("postfix_queue_stat", &[("queue", "hold")], 0.0),
        untyped("postfix_queue_stat", &[("queue", "corrupt")], 0.0),
        untyped("mailboxd_lmtp_rcvd_msgs", NO_LABELS, r.received_last_minute.round()),
        untyped("mailboxd_mbox_add_msg_ms_avg", NO_LABELS, r.add_message_ms),
        untyped("mailboxd_soap_count", NO_LABELS, r.soap_count),
        untyped("mailboxd_soap_ms_avg", NO_LABELS, r.soap_ms),
        untyped("mailboxd_imap_conn", NO_LABELS, r.imap_connections.round()),
        untyped("mailboxd_heap_used", NO_LABELS, r.heap_used_bytes.round()),
        untyped("mailboxd_gc_minor_count", NO_LABELS, r.gc_count_total),
        untyped("mailboxd_gc_minor_ms", NO_LABELS, r.gc_ms_total.round()),
        counter("postfix_smtpd_connects_total", NO_LABELS, r.received_total.round()),
        counter("postfix_qmgr_messages_removed_total", NO_LABELS, r.removed_total.round()),
        gauge("clamav_up", NO_LABELS, f64::from(u8::from(r.clamd_up))),
        gauge("clamav_threads_live", NO_LABELS, r.clamd_live),
        gauge("clamav_threads_idle", NO_LABELS, r.clamd_idle),
        gauge("clamav_threads_max", NO_LABELS, r.clamd_max),
        gauge("clamav_queue_length", NO_LABELS, r.clamd_queue),
        counter("node_cpu_seconds_total", &[("mode", "user")], r.cpu_user_seconds_total),
        counter("node_cpu_seconds_total", &[("mode", "system")], r.cpu_system_seconds_total),
        counter("node_cpu_seconds_total", &[("mode", "iowait")], r.cpu_iowait_seconds_total),
        counter("node_cpu_seconds_total", &[("mode", "idle")], r.cpu_idle_seconds_total),
        gauge("node_load1", NO_LABELS, r.load1),
        gauge("node_filesystem_avail_bytes", &[("mountpoint", "/opt/zimbra")], r.disk_free_bytes.round()),
        gauge("node_filesystem_size_bytes", &[("mountpoint", "/opt/zimbra")], r.disk_size_bytes),
        counter(
            "node_network_receive_bytes_total",
            &[("device", "eth0")],
            r.network_receive_bytes_total.round(),
        ),
    ]
}

/// The page as text exposition.
pub fn print(r: &Readings) -> String {
    let mut page = String::new();
    let mut typed = "";
    for reading in readings(r) {
        if let Some(kind) = reading.kind.filter(|_| typed != reading.name) {
            let kind = if kind == ValueKind::Counter { "counter" } else { "gauge" };
            let _ = writeln!(page, "# TYPE {} {kind}", reading.name);
            typed = reading.name;
        }
        page.push_str(reading.name);
        if !reading.labels.is_empty() {
            let labels: Vec<String> = reading.labels.iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect();
            let space = if reading.kind.is_none() { " " } else { "" };
            let _ = write!(page, "{space}{{{}}}", labels.join(","));
        }
        let _ = writeln!(page, " {}", reading.value);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_quirks_of_the_field() {
        let page = print(&Readings { active_queue: 3.0, ..Readings::default() });
        assert!(page.contains("\npostfix_queue_stat {queue=\"incoming\"} 0\n"), "{page}");
        assert!(page.starts_with("postfix_queue_stat {queue=\"active\"} 3\n"));
        assert!(
            page.contains("# TYPE node_cpu_seconds_total counter\nnode_cpu_seconds_total{mode=\"user\"} 0\n")
        );
    }
}
