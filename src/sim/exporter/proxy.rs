//! What looks at a proxy: nginx exporter, memcached_exporter, and counts of answers from access logs.

use super::{Kind, Page, flag};
use crate::sim::cluster::readings::{MailboxReadings, ProxyReadings};

pub fn print_nginx(proxy: &ProxyReadings, page: &mut impl Page) {
    if proxy.is_up {
        let figures = [
            ("nginx_connections_accepted", Kind::Counter, proxy.accepted_total),
            ("nginx_connections_active", Kind::Gauge, proxy.active),
            ("nginx_connections_handled", Kind::Counter, proxy.handled_total),
            ("nginx_connections_reading", Kind::Gauge, proxy.reading),
            ("nginx_connections_waiting", Kind::Gauge, proxy.waiting),
            ("nginx_connections_writing", Kind::Gauge, proxy.writing),
            ("nginx_http_requests_total", Kind::Counter, proxy.requests_total),
        ];
        for (name, kind, value) in figures {
            page.sample(name, &[], kind, value);
        }
    }
    page.sample("nginx_up", &[], Kind::Gauge, flag(proxy.is_up));
}

pub fn print_memcached(proxy: &ProxyReadings, page: &mut impl Page) {
    if proxy.memcached_is_up {
        let commands = [("hit", proxy.memcached_hits_total), ("miss", proxy.memcached_misses_total)];
        for (status, value) in commands {
            let labels = [("command", "get"), ("status", status)];
            page.sample("memcached_commands_total", &labels, Kind::Counter, value);
        }
        page.sample("memcached_current_items", &[], Kind::Gauge, proxy.memcached_items);
    }
    page.sample("memcached_up", &[], Kind::Gauge, flag(proxy.memcached_is_up));
}

/// Answers of a store by code, counted by mtail in mailboxd's access log; the log stays when mailboxd is down.
pub fn print_mailbox_log(mailbox: &MailboxReadings, page: &mut impl Page) {
    // Not less the errors: a difference of counters may fall, and a counter that falls was started anew.
    let name = "http_requests_total";
    page.sample(name, &[("code", "200")], Kind::Counter, mailbox.soap_requests_total);
    page.sample(name, &[("code", "500")], Kind::Counter, mailbox.http_errors_total);
}

/// Answers of a proxy by status, counted by nginxlog_exporter.
pub fn print_nginx_log(proxy: &ProxyReadings, page: &mut impl Page) {
    let name = "nginx_http_response_count_total";
    page.sample(name, &[("method", "POST"), ("status", "200")], Kind::Counter, proxy.requests_total);
    page.sample(name, &[("method", "POST"), ("status", "502")], Kind::Counter, proxy.errors_total);
}
