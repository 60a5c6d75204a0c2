//! Which series a proxy, an MTA, a mailbox store and a directory server export: fifty each.
//!
//! Names are those of node_exporter and of the exporters that the packs know, so that limits and signatures have
//! their say in what fires.

use super::habit::Habit::{self, Constant, Count, Drift, Latency, Level, Queue, Rare, SawTooth};

/// Name, one further label (none where its name is empty), habit, whether it is cumulative.
pub type Export = (&'static str, (&'static str, &'static str), Habit, bool);

pub const ROLES: [(&str, &[Export]); 4] =
    [("mta", &MTA), ("store", &STORE), ("proxy", &PROXY), ("ldap", &LDAP)];

const NONE: (&str, &str) = ("", "");
const ROOT: (&str, &str) = ("mountpoint", "/");
const OPT: (&str, &str) = ("mountpoint", "/opt");
const GIB: f64 = (1u64 << 30) as f64;

const fn level(rest: f64, by_load: f64, by_jobs: f64, noise: f64) -> Habit {
    Level { rest, by_load, by_jobs, noise, lingers: 60.0 }
}

const fn mode(mode: &'static str) -> (&'static str, &'static str) {
    ("mode", mode)
}

/// Of every machine.
pub const MACHINE: [Export; 33] = [
    ("node_cpu_seconds_total", mode("user"), level(0.1, 1.5, 0.5, 0.08), true),
    ("node_cpu_seconds_total", mode("system"), level(0.05, 0.4, 0.3, 0.03), true),
    ("node_cpu_seconds_total", mode("iowait"), level(0.03, 0.1, 0.6, 0.02), true),
    ("node_cpu_seconds_total", mode("idle"), level(7.8, -2.0, -1.4, 0.1), true),
    ("node_load1", NONE, level(0.2, 2.2, 1.5, 0.25), false),
    ("node_context_switches_total", NONE, level(2e3, 2e4, 5e3, 1e3), true),
    ("node_intr_total", NONE, level(1e3, 9e3, 4e3, 500.0), true),
    ("node_procs_running", NONE, Queue { mean: 3.0, spread: 0.2, lingers: 30.0 }, false),
    ("node_procs_blocked", NONE, Rare { an_hour: 20.0, burst: 1.5 }, false),
    (
        "node_memory_MemAvailable_bytes",
        NONE,
        Level { rest: 9.0 * GIB, by_load: -1.5 * GIB, by_jobs: -GIB, noise: 0.2 * GIB, lingers: 3600.0 },
        false,
    ),
    (
        "node_memory_Cached_bytes",
        NONE,
        Level { rest: 3.0 * GIB, by_load: 0.5 * GIB, by_jobs: GIB, noise: 0.2 * GIB, lingers: 7200.0 },
        false,
    ),
    ("node_memory_MemTotal_bytes", NONE, Constant(16.0 * GIB), false),
    ("node_filesystem_avail_bytes", ROOT, SawTooth { low: 20.0 * GIB, high: 24.0 * GIB, hours: 12.0 }, false),
    ("node_filesystem_avail_bytes", OPT, Drift { full: 400.0 * GIB, a_day: 2.0 * GIB, noise: 1e5 }, false),
    ("node_filesystem_size_bytes", ROOT, Constant(40.0 * GIB), false),
    ("node_filesystem_size_bytes", OPT, Constant(1e3 * GIB), false),
    ("node_filesystem_files_free", OPT, Drift { full: 6e7, a_day: 2e5, noise: 20.0 }, false),
    ("node_disk_io_time_weighted_seconds_total", NONE, level(0.02, 0.3, 2.0, 0.03), true),
    ("node_disk_written_bytes_total", NONE, level(1e5, 4e6, 8e6, 3e5), true),
    ("node_disk_read_bytes_total", NONE, level(5e4, 2e6, 4e7, 2e5), true),
    ("node_network_receive_bytes_total", NONE, level(2e4, 3e6, 1e6, 2e5), true),
    ("node_network_transmit_bytes_total", NONE, level(2e4, 4e6, 3e7, 3e5), true),
    ("node_network_receive_drop_total", NONE, Rare { an_hour: 2.0, burst: 3.0 }, true),
    ("node_network_receive_errs_total", NONE, Constant(0.0), true),
    ("node_netstat_Tcp_RetransSegs", NONE, Count { a_minute: 40.0, size: 3.0 }, true),
    ("node_nf_conntrack_entries", NONE, level(300.0, 2e3, 50.0, 60.0), false),
    ("node_nf_conntrack_entries_limit", NONE, Constant(65_536.0), false),
    ("node_sockstat_TCP_inuse", NONE, level(60.0, 300.0, 5.0, 12.0), false),
    ("node_filefd_allocated", NONE, level(2e3, 1e3, 30.0, 40.0), false),
    ("node_timex_offset_seconds", NONE, level(0.0, 0.0, 0.0, 2e-5), false),
    ("node_boot_time_seconds", NONE, Constant(1.79e9), false),
    ("up", NONE, Constant(1.0), false),
    ("scrape_duration_seconds", NONE, Latency { rest: 0.02, spread: 0.2, lingers: 1.0 }, false),
];

const fn queue(queue: &'static str) -> (&'static str, &'static str) {
    ("queue", queue)
}

const MTA: [Export; 17] = [
    ("postfix_queue_stat", queue("active"), Queue { mean: 25.0, spread: 0.25, lingers: 60.0 }, false),
    ("postfix_queue_stat", queue("deferred"), Queue { mean: 60.0, spread: 0.3, lingers: 1200.0 }, false),
    ("postfix_queue_stat", queue("incoming"), Queue { mean: 2.0, spread: 0.4, lingers: 15.0 }, false),
    ("postfix_queue_stat", queue("hold"), Rare { an_hour: 0.2, burst: 1.2 }, false),
    ("postfix_queue_age", queue("active"), Latency { rest: 8.0, spread: 0.5, lingers: 60.0 }, false),
    ("postfix_smtpd_connects_total", NONE, Count { a_minute: 400.0, size: 25.0 }, true),
    ("postfix_smtpd_messages_rejected_total", NONE, Count { a_minute: 60.0, size: 2.0 }, true),
    (
        "postfix_smtpd_messages_processed_total",
        ("sasl_method", "PLAIN"),
        Count { a_minute: 120.0, size: 15.0 },
        true,
    ),
    ("postfix_smtpd_sasl_authentication_failures_total", NONE, Rare { an_hour: 12.0, burst: 3.0 }, true),
    ("postfix_qmgr_messages_removed_total", NONE, Count { a_minute: 300.0, size: 25.0 }, true),
    ("postfix_smtp_deferred_messages_total", NONE, Count { a_minute: 8.0, size: 2.0 }, true),
    ("postfix_smtpd_tls_connections_total", NONE, Count { a_minute: 350.0, size: 25.0 }, true),
    ("postfix_cleanup_messages_rejected_total", NONE, Rare { an_hour: 1.0, burst: 2.0 }, true),
    ("clamav_threads_idle", NONE, level(10.0, -4.0, 0.0, 0.8), false),
    ("clamav_queue_length", NONE, Queue { mean: 1.5, spread: 0.4, lingers: 30.0 }, false),
    ("clamav_up", NONE, Constant(1.0), false),
    ("zimbra_amavis_queue_size", NONE, Queue { mean: 4.0, spread: 0.3, lingers: 30.0 }, false),
];

const STORE: [Export; 17] = [
    ("mailboxd_lmtp_rcvd_msgs", NONE, Count { a_minute: 200.0, size: 20.0 }, false),
    ("mailboxd_lmtp_dlvd_msgs", NONE, Count { a_minute: 220.0, size: 20.0 }, false),
    ("mailboxd_lmtp_conn", NONE, Queue { mean: 3.0, spread: 0.2, lingers: 60.0 }, false),
    ("mailboxd_mbox_add_msg_ms_avg", NONE, Latency { rest: 25.0, spread: 0.25, lingers: 60.0 }, false),
    ("mailboxd_mbox_get_count", NONE, Count { a_minute: 900.0, size: 15.0 }, false),
    ("mailboxd_soap_ms_avg", NONE, Latency { rest: 40.0, spread: 0.3, lingers: 60.0 }, false),
    ("mailboxd_soap_count", NONE, Count { a_minute: 1_500.0, size: 20.0 }, false),
    ("mailboxd_imap_ms_avg", NONE, Latency { rest: 12.0, spread: 0.35, lingers: 60.0 }, false),
    ("mailboxd_imap_conn", NONE, level(10.0, 60.0, 0.0, 3.0), false),
    ("mailboxd_http_idle_threads", NONE, level(40.0, -15.0, 0.0, 2.5), false),
    ("mailboxd_db_conn_ms_avg", NONE, Latency { rest: 0.8, spread: 0.4, lingers: 30.0 }, false),
    ("mailboxd_db_pool_size", NONE, Queue { mean: 12.0, spread: 0.2, lingers: 120.0 }, false),
    ("mailboxd_ldap_dc_ms_avg", NONE, Latency { rest: 3.0, spread: 0.3, lingers: 30.0 }, false),
    ("mailboxd_account_cache_hit_rate", NONE, level(97.0, 0.5, 0.0, 0.4), false),
    ("mailboxd_heap_used", NONE, SawTooth { low: 1.2 * GIB, high: 2.6 * GIB, hours: 0.4 }, false),
    ("jvm_memory_max_bytes", ("area", "heap"), Constant(4.0 * GIB), false),
    ("mailboxd_gc_minor_ms", NONE, Count { a_minute: 120.0, size: 4.0 }, true),
];

const fn code(code: &'static str) -> (&'static str, &'static str) {
    ("code", code)
}

const PROXY: [Export; 17] = [
    ("nginx_connections_active", NONE, level(50.0, 900.0, 0.0, 25.0), false),
    ("nginx_connections_writing", NONE, Queue { mean: 12.0, spread: 0.2, lingers: 30.0 }, false),
    ("nginx_connections_reading", NONE, Queue { mean: 2.0, spread: 0.3, lingers: 15.0 }, false),
    ("nginx_connections_waiting", NONE, level(40.0, 800.0, 0.0, 30.0), false),
    ("nginx_connections_accepted", NONE, Count { a_minute: 900.0, size: 25.0 }, true),
    ("nginx_connections_handled", NONE, Count { a_minute: 900.0, size: 25.0 }, true),
    ("nginx_http_requests_total", code("200"), Count { a_minute: 3_000.0, size: 25.0 }, true),
    ("nginx_http_requests_total", code("401"), Count { a_minute: 20.0, size: 3.0 }, true),
    ("nginx_http_requests_total", code("499"), Count { a_minute: 3.0, size: 1.0 }, true),
    ("nginx_http_requests_total", code("502"), Rare { an_hour: 0.5, burst: 3.0 }, true),
    ("nginx_http_requests_total", code("504"), Rare { an_hour: 0.2, burst: 2.0 }, true),
    ("nginx_upstream_seconds_avg", NONE, Latency { rest: 0.04, spread: 0.3, lingers: 60.0 }, false),
    ("memcached_current_connections", NONE, level(30.0, 20.0, 0.0, 2.0), false),
    ("memcached_commands_total", ("command", "get"), Count { a_minute: 1_000.0, size: 25.0 }, true),
    ("memcached_items_evicted_total", NONE, Constant(0.0), true),
    ("memcached_current_bytes", NONE, SawTooth { low: 1e8, high: 2e8, hours: 6.0 }, false),
    ("nginx_up", NONE, Constant(1.0), false),
];

const fn operation(operation: &'static str) -> (&'static str, &'static str) {
    ("operation", operation)
}

const LDAP: [Export; 17] = [
    ("openldap_monitor_operation", operation("search"), Count { a_minute: 1_200.0, size: 25.0 }, true),
    ("openldap_monitor_operation", operation("bind"), Count { a_minute: 300.0, size: 20.0 }, true),
    ("openldap_monitor_operation", operation("unbind"), Count { a_minute: 300.0, size: 20.0 }, true),
    ("openldap_monitor_operation", operation("modify"), Count { a_minute: 5.0, size: 2.0 }, true),
    ("openldap_monitor_operation", operation("add"), Rare { an_hour: 3.0, burst: 2.0 }, true),
    ("openldap_monitor_operation", operation("delete"), Rare { an_hour: 0.3, burst: 2.0 }, true),
    ("openldap_connections", NONE, level(20.0, 60.0, 0.0, 4.0), false),
    ("openldap_waiters_write", NONE, Rare { an_hour: 6.0, burst: 1.2 }, false),
    ("openldap_waiters_read", NONE, Queue { mean: 8.0, spread: 0.2, lingers: 30.0 }, false),
    ("openldap_threads_open", NONE, Constant(16.0), false),
    ("openldap_threads_active", NONE, Queue { mean: 2.0, spread: 0.2, lingers: 15.0 }, false),
    ("openldap_threads_pending", NONE, Rare { an_hour: 1.0, burst: 2.0 }, false),
    ("openldap_bytes_sent_total", NONE, level(5e3, 4e5, 0.0, 3e4), true),
    ("openldap_entries_sent_total", NONE, Count { a_minute: 4_000.0, size: 15.0 }, true),
    ("openldap_search_ms_avg", NONE, Latency { rest: 1.5, spread: 0.3, lingers: 30.0 }, false),
    ("openldap_database_bytes", NONE, Drift { full: 3e9, a_day: -2e6, noise: 0.0 }, false),
    ("openldap_up", NONE, Constant(1.0), false),
];
