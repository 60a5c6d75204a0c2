//! Carbonio's `/metrics` within mailboxd: Micrometer's timers by command, connections, and its view of the JVM.

use super::{Kind, MailboxFamily, Page, View};
use crate::sim::cluster::readings::MailboxReadings;

/// Commands and their share of all calls and of all time.
type Share = (&'static str, f64, f64);
const SOAP: [Share; 5] = [
    ("AuthRequest", 0.05, 0.06),
    ("GetMsgRequest", 0.25, 0.20),
    ("NoOpRequest", 0.30, 0.05),
    ("SearchRequest", 0.25, 0.54),
    ("SyncRequest", 0.15, 0.15),
];
const IMAP: [Share; 4] =
    [("FETCH", 0.40, 0.55), ("LOGIN", 0.05, 0.10), ("NOOP", 0.40, 0.05), ("SELECT", 0.15, 0.30)];

struct Timer {
    count: &'static str,
    sum: &'static str,
    max: &'static str,
}

/// Where the text files bring the timers already, a site keeps only the rest, unless it keeps whole pages.
pub fn print(mailbox: &MailboxReadings, view: &View, page: &mut impl Page) {
    let gauge =
        |page: &mut _, name, labels: &[_], value| Page::sample(page, name, labels, Kind::Gauge, value);
    let twice = view.families.mailbox.contains(&MailboxFamily::Textfile);
    if view.families.whole_pages || !twice {
        let imap = Timer {
            count: "imap_exec_seconds_count",
            sum: "imap_exec_seconds_sum",
            max: "imap_exec_seconds_max",
        };
        let whole = [mailbox.imap_commands_total, mailbox.imap_seconds_total, mailbox.imap_seconds_max];
        timer(&imap, &IMAP, whole, page);
        gauge(page, "imap_conn", &[], mailbox.imap_connections);
        gauge(page, "imap_ssl_conn", &[], mailbox.imap_ssl_connections);
        let soap = Timer {
            count: "soap_exec_seconds_count",
            sum: "soap_exec_seconds_sum",
            max: "soap_exec_seconds_max",
        };
        let whole = [mailbox.soap_requests_total, mailbox.soap_seconds_total, mailbox.soap_seconds_max];
        timer(&soap, &SOAP, whole, page);
    }
    let young = [("action", "end of minor GC"), ("cause", "G1 Evacuation Pause")];
    let old = [("action", "end of major GC"), ("cause", "G1 Compaction Pause")];
    let pauses = "jvm_gc_pause_seconds_count";
    page.sample(pauses, &young, Kind::Summary, mailbox.gc_young_count_total);
    page.sample(pauses, &old, Kind::Summary, mailbox.gc_old_count_total);
    let seconds = "jvm_gc_pause_seconds_sum";
    page.sample(seconds, &young, Kind::Summary, mailbox.gc_young_seconds_total);
    page.sample(seconds, &old, Kind::Summary, mailbox.gc_old_seconds_total);
    let eden = [("area", "heap"), ("id", "G1 Eden Space")];
    let old = [("area", "heap"), ("id", "G1 Old Gen")];
    gauge(page, "jvm_memory_max_bytes", &old, mailbox.heap_max_bytes);
    // Only the old generation has a bound of its own.
    gauge(page, "jvm_memory_max_bytes", &eden, -1.0);
    gauge(page, "jvm_gc_live_data_size_bytes", &[], mailbox.old_left_bytes);
    gauge(page, "jvm_memory_used_bytes", &old, mailbox.old_used_bytes);
    gauge(page, "jvm_memory_used_bytes", &eden, mailbox.young_used_bytes);
    gauge(page, "jvm_threads_live_threads", &[], mailbox.jvm_threads);
    gauge(page, "process_cpu_usage", &[], view.mailboxd_cpu);
    gauge(page, "process_files_open_files", &[], mailbox.open_files);
}

/// `whole` is calls and seconds over all commands, and the seconds of the slowest.
fn timer(timer: &Timer, shares: &[Share], [calls, seconds, max]: [f64; 3], page: &mut impl Page) {
    for (command, of_calls, _) in shares {
        page.sample(timer.count, &[("command", command)], Kind::Summary, (calls * of_calls).floor());
    }
    for (command, _, of_time) in shares {
        page.sample(timer.sum, &[("command", command)], Kind::Summary, seconds * of_time);
    }
    let slowest = shares.iter().map(|(_, calls, time)| time / calls).fold(0.0, f64::max);
    for (command, of_calls, of_time) in shares {
        let max = max * of_time / of_calls / slowest;
        page.sample(timer.max, &[("command", command)], Kind::Gauge, max);
    }
}
