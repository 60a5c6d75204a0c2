//! The Python exporters of Zimbra sites: all gauges, and a state is a label, so that a change of state ends one
//! series and begins another.

use super::telegraf::used_percent;
use super::{Kind, Page, View, flag};
use crate::sim::cluster::readings::{HostReadings, MailboxReadings, MtaReadings, ServiceReadings};

/// Accounts on a store.
const ACCOUNTS: f64 = 2_000.0;

/// The common one: services, ports, queues and a little of the machine.
pub fn print_stats(view: &View, page: &mut impl Page) {
    let gauge =
        |page: &mut _, name, labels: &[_], value| Page::sample(page, name, labels, Kind::Gauge, value);
    let machine = &view.host.machine;
    if let ServiceReadings::Mailbox(_) = view.host.service {
        gauge(page, "zimbra_account_status_total", &[("name", "active")], ACCOUNTS - 60.0);
        gauge(page, "zimbra_account_status_total", &[("name", "closed")], 42.0);
        gauge(page, "zimbra_account_status_total", &[("name", "locked")], 18.0);
    }
    gauge(page, "zimbra_cpu_usage", &[], 100.0 - view.cpu.idle);
    let fullest = machine.volumes.iter().map(used_percent).fold(0.0, f64::max);
    gauge(page, "zimbra_disk_usage", &[], fullest);
    gauge(page, "zimbra_iowait", &[], view.cpu.iowait);
    let used = 1.0 - machine.memory_available_bytes / machine.memory_bytes.max(1.0);
    gauge(page, "zimbra_mem_usage", &[], 100.0 * used);
    for (name, open) in ports(view.host) {
        let status = if open { "open" } else { "closed" };
        gauge(page, "zimbra_port", &[("name", name), ("status", status)], flag(open));
    }
    if let ServiceReadings::Mta(mta) = &view.host.service {
        print_queues(mta, page);
    }
    for (name, runs) in services(view.host) {
        let status = if runs { "Running" } else { "Stopped" };
        gauge(page, "zimbra_service_status", &[("name", name), ("status", status)], flag(runs));
    }
    if let ServiceReadings::Mta(mta) = &view.host.service {
        let stats = [
            ("bounced", mta.bounced_total),
            ("deferred", mta.deferred_total),
            ("delivered", mta.delivered_total),
            ("received", mta.received_total),
            ("rejected", mta.rejected_total),
        ];
        for (name, value) in stats {
            gauge(page, "zimbra_stats", &[("name", name)], value);
        }
    }
}

fn print_queues(mta: &MtaReadings, page: &mut impl Page) {
    let queues = [
        ("active", mta.active),
        ("corrupt", mta.corrupt),
        ("deferred", mta.deferred),
        ("hold", mta.hold),
        ("incoming", mta.incoming),
    ];
    for (name, messages) in queues {
        // `mailq` of a Postfix that is down lists nothing.
        let messages = if mta.is_up { messages } else { 0.0 };
        page.sample("zimbra_queue", &[("name", name)], Kind::Gauge, messages);
    }
}

/// The newer one: no state in labels, and a look at the web client.
pub fn print_new(view: &View, page: &mut impl Page) {
    let gauge =
        |page: &mut _, name, labels: &[_], value| Page::sample(page, name, labels, Kind::Gauge, value);
    match &view.host.service {
        ServiceReadings::Mailbox(mailbox) => {
            gauge(page, "zimbra_accounts_total", &[], ACCOUNTS);
            let used =
                view.host.machine.volumes.iter().map(|v| v.size_bytes - v.free_bytes).fold(0.0, f64::max);
            gauge(page, "zimbra_quota_used_bytes", &[], used);
            let (up, seconds) = web_client(mailbox);
            gauge(page, "zimbra_webmail_latency_seconds", &[], seconds);
            gauge(page, "zimbra_webmail_up", &[], flag(up));
        }
        ServiceReadings::Mta(mta) => {
            gauge(page, "zimbra_amavis_queue_size", &[], mta.amavis_queue);
            gauge(page, "zimbra_clamav_up", &[], flag(mta.clamd_is_up));
        }
        _ => {}
    }
    for (port, open) in ports(view.host) {
        gauge(page, "zimbra_port_open", &[("port", port)], flag(open));
    }
    for (service, runs) in services(view.host) {
        gauge(page, "zimbra_service_up", &[("service", service)], flag(runs));
    }
}

/// The exporter gives up after 10 s.
fn web_client(mailbox: &MailboxReadings) -> (bool, f64) {
    let mean_ms = mailbox.statistics.as_ref().map_or(0.0, |s| s.soap.mean_ms);
    let seconds = if mailbox.statistics.is_some() { 0.05 + mean_ms / 1e3 } else { mailbox.soap_seconds_max };
    (mailbox.is_up && seconds < 10.0, if mailbox.is_up { seconds.min(10.0) } else { 0.0 })
}

fn ports(host: &HostReadings) -> Vec<(&'static str, bool)> {
    match &host.service {
        ServiceReadings::Mailbox(m) => vec![("7025", m.is_up), ("7143", m.is_up), ("8080", m.is_up)],
        ServiceReadings::Mta(m) => vec![("25", m.is_up), ("587", m.is_up)],
        ServiceReadings::Proxy(p) => vec![("443", p.is_up), ("993", p.is_up)],
        ServiceReadings::Directory(d) => vec![("389", d.is_up)],
    }
}

fn services(host: &HostReadings) -> Vec<(&'static str, bool)> {
    match &host.service {
        ServiceReadings::Mailbox(m) => vec![("mailbox", m.is_up), ("service webapp", m.is_up)],
        ServiceReadings::Mta(m) => vec![("amavis", true), ("antivirus", m.clamd_is_up), ("mta", m.is_up)],
        ServiceReadings::Proxy(p) => vec![("memcached", p.memcached_is_up), ("proxy", p.is_up)],
        ServiceReadings::Directory(d) => vec![("ldap", d.is_up)],
    }
}
