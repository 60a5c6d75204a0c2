//! The zmstat files as Carbonio hands them on: plain lines, a space before `{`, no TYPE, zero for an empty value.
//!
//! What wasn't written anew isn't there: with mailboxd's statistics silent, only the times of the last rows stay.

use super::columns::COLUMNS;
use super::{Kind, Page};
use crate::sample::Timestamp;
use crate::sim::cluster::readings::{MailboxReadings, MtaReadings, Protocol, Statistics};

/// Count and mean time of each protocol's commands, and when its file was read; what a site keeps stands first.
const PROTOCOLS: [(Protocol, &str, &str, &str); 5] = [
    (Protocol::Soap, "soap_exec_count", "soap_exec_ms_avg", "soap_last_extraction_timestamp"),
    (Protocol::Sql, "sql_exec_count", "sql_exec_ms_avg", "sql_last_extraction_timestamp"),
    (Protocol::Pop3, "pop3_exec_count", "pop3_exec_ms_avg", "pop3_last_extraction_timestamp"),
    (Protocol::Ldap, "ldap_exec_count", "ldap_exec_ms_avg", "ldap_last_extraction_timestamp"),
    (Protocol::Imap, "imap_exec_count", "imap_exec_ms_avg", "imap_last_extraction_timestamp"),
];
const PROTOCOLS_KEPT: usize = 2;

/// `extracted` is when the newest row was read; `whole` prints the columns too that few sites keep.
pub fn print_mailbox(
    mailbox: &MailboxReadings,
    extracted: Option<Timestamp>,
    whole: bool,
    page: &mut impl Page,
) {
    if let Some(statistics) = &mailbox.statistics {
        for column in COLUMNS.iter().filter(|column| whole || column.kept) {
            bare(page, column.metric, &[], (column.value)(statistics));
        }
        for (name, value) in threads(statistics, mailbox.jvm_threads) {
            bare(page, name, &[], value);
        }
        print_commands(statistics, whole, page);
    }
    let Some(extracted) = extracted else { return };
    let ms = extracted.0 as f64;
    bare(page, "mailboxd_last_extraction_timestamp", &[], ms);
    bare(page, "threads_last_extraction_timestamp", &[], ms);
    for (.., timestamp) in PROTOCOLS.iter().take(if whole { PROTOCOLS.len() } else { PROTOCOLS_KEPT }) {
        bare(page, timestamp, &[], ms);
    }
}

/// Threads by the prefix of their names, as in threads.csv.
pub fn threads(s: &Statistics, jvm_threads: f64) -> [(&'static str, f64); 7] {
    let known = s.lmtp_threads + s.imap_threads + s.imap_ssl_threads + s.pop_threads + s.http_threads;
    [
        ("threads_LmtpServer", s.lmtp_threads),
        ("threads_ImapServer", s.imap_threads),
        ("threads_ImapSSLServer", s.imap_ssl_threads),
        ("threads_Pop3Server", s.pop_threads),
        ("threads_qtp", s.http_threads),
        ("threads_other", (jvm_threads - known).max(0.0)),
        ("threads_total", jvm_threads.max(known)),
    ]
}

fn print_commands(statistics: &Statistics, whole: bool, page: &mut impl Page) {
    for (protocol, count, mean, _) in
        PROTOCOLS.iter().take(if whole { PROTOCOLS.len() } else { PROTOCOLS_KEPT })
    {
        let used = || statistics.commands.iter().filter(|command| command.protocol == *protocol);
        for command in used() {
            bare(page, count, &[("command", command.command)], command.timed.count);
        }
        for command in used() {
            bare(page, mean, &[("command", command.command)], command.timed.mean_ms);
        }
    }
}

/// The MTA's queues. Where Postfix doesn't answer, its queues read as empty.
pub fn print_mta(mta: &MtaReadings, page: &mut impl Page) {
    let queues = [
        ("active", mta.active),
        ("deferred", mta.deferred),
        ("hold", mta.hold),
        ("incoming", mta.incoming),
        ("corrupt", mta.corrupt),
    ];
    for (queue, messages) in queues {
        let messages = if mta.is_up { messages } else { 0.0 };
        bare(page, "postfix_queue_stat", &[("queue", queue)], messages);
    }
    bare(page, "postfix_queue_stat_size", &[], mta.queue_statistics.kilobytes);
    bare(page, "postfix_queue_stat_requests", &[], mta.queue_statistics.requests);
}

fn bare(page: &mut impl Page, name: &str, labels: &[(&str, &str)], value: f64) {
    page.sample(name, labels, Kind::Bare, if value.is_nan() { 0.0 } else { value });
}
