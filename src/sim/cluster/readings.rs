//! What a cluster's instruments would show at one instant, whatever exporter reads them.
//!
//! Plain numbers in plain units: seconds, bytes, messages. Fields that end in `_total` only grow, until their
//! process restarts. What `mailboxd` writes once a minute is in `Statistics`, which is `None` where it wrote nothing.

use crate::sample::Timestamp;

/// All hosts, in an order that never changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    pub at: Timestamp,
    pub hosts: Vec<HostReadings>,
}

/// One host: its machine, and what runs on it.
#[derive(Clone, Debug, PartialEq)]
pub struct HostReadings {
    pub name: String,
    /// False once the host is gone or its exporters give no answer: nothing of it can be read.
    pub answers: bool,
    pub machine: MachineReadings,
    pub service: ServiceReadings,
}

/// What runs on a host, by its role.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceReadings {
    Mailbox(Box<MailboxReadings>),
    Mta(Box<MtaReadings>),
    Proxy(Box<ProxyReadings>),
    Directory(Box<DirectoryReadings>),
}

/// A machine, as node_exporter sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineReadings {
    pub boot_at_seconds: f64,
    /// One a core.
    pub cpus: Vec<CpuReadings>,
    pub load1: f64,
    pub load5: f64,
    pub load15: f64,
    pub procs_running: f64,
    pub procs_blocked: f64,
    pub context_switches_total: f64,
    pub interrupts_total: f64,
    pub memory_bytes: f64,
    pub memory_available_bytes: f64,
    pub memory_cached_bytes: f64,
    pub memory_dirty_bytes: f64,
    pub swap_free_bytes: f64,
    pub page_faults_total: f64,
    pub open_files: f64,
    pub disks: Vec<DiskReadings>,
    pub volumes: Vec<VolumeReadings>,
    pub network_received_bytes_total: f64,
    pub network_sent_bytes_total: f64,
    pub network_received_packets_total: f64,
    pub network_sent_packets_total: f64,
    pub tcp_established: f64,
    pub tcp_time_wait: f64,
    pub tcp_segments_retransmitted_total: f64,
    pub tcp_opened_passively_total: f64,
    pub connections_tracked: f64,
    /// Of the clock against its time servers; may be negative.
    pub clock_offset_seconds: f64,
    pub clock_is_synchronised: bool,
}

/// Seconds spent in each mode since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuReadings {
    pub user_total: f64,
    pub system_total: f64,
    pub iowait_total: f64,
    pub idle_total: f64,
    pub softirq_total: f64,
    pub steal_total: f64,
}

/// One block device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskReadings {
    pub device: &'static str,
    pub reads_total: f64,
    pub writes_total: f64,
    pub read_bytes_total: f64,
    pub written_bytes_total: f64,
    pub read_seconds_total: f64,
    pub write_seconds_total: f64,
    pub busy_seconds_total: f64,
    /// Sum over requests of their time in the queue and the device.
    pub weighted_seconds_total: f64,
    pub in_flight: f64,
}

/// One mounted file system.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeReadings {
    pub mount: &'static str,
    pub device: &'static str,
    pub size_bytes: f64,
    pub free_bytes: f64,
    pub files: f64,
    pub files_free: f64,
}

/// A mailbox store: mailboxd, its database, its index.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MailboxReadings {
    pub is_up: bool,
    /// The newest row of mailboxd's statistics; `None` if none was written when one was due.
    pub statistics: Option<Statistics>,
    /// What is read from the JVM at the instant.
    pub heap_used_bytes: f64,
    pub heap_committed_bytes: f64,
    pub heap_max_bytes: f64,
    pub young_used_bytes: f64,
    pub old_used_bytes: f64,
    /// What the last collection of the old generation left in it.
    pub old_left_bytes: f64,
    pub gc_young_count_total: f64,
    pub gc_young_seconds_total: f64,
    pub gc_old_count_total: f64,
    pub gc_old_seconds_total: f64,
    pub jvm_threads: f64,
    pub soap_requests_total: f64,
    pub soap_seconds_total: f64,
    /// The slowest request of the last minutes.
    pub soap_seconds_max: f64,
    pub imap_commands_total: f64,
    pub imap_seconds_total: f64,
    pub imap_seconds_max: f64,
    pub http_errors_total: f64,
    pub imap_connections: f64,
    pub imap_ssl_connections: f64,
    pub database: DatabaseReadings,
    /// Of the process, in seconds and bytes.
    pub process_cpu_seconds_total: f64,
    pub process_resident_bytes: f64,
    pub open_files: f64,
    /// Days in which the version changed count from 0.
    pub version: u32,
}

/// What mailboxd writes once a minute: totals and means over the minute, gauges at its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    pub at: Timestamp,
    pub lmtp_received_messages: f64,
    pub lmtp_received_bytes: f64,
    pub lmtp_received_recipients: f64,
    pub lmtp_delivered_messages: f64,
    pub lmtp_delivered_bytes: f64,
    pub database_connections: Timed,
    pub directory_lookups: Timed,
    pub messages_added: Timed,
    pub mailbox_lookups: Timed,
    pub soap: Timed,
    pub imap: Timed,
    pub pop: Timed,
    pub mailbox_cache_hit_percent: f64,
    pub message_cache_hit_percent: f64,
    pub item_cache_hit_percent: f64,
    pub index_writers_mean: f64,
    pub index_opened: f64,
    pub index_opened_cached: f64,
    pub index_written_bytes: f64,
    pub index_read_bytes: f64,
    pub blob_reads: f64,
    pub blob_seek_percent: f64,
    pub database_pool_active: f64,
    pub buffer_pool_hits_permille: f64,
    pub lmtp_connections: f64,
    pub lmtp_threads: f64,
    pub pop_connections: f64,
    pub pop_threads: f64,
    pub pop_ssl_connections: f64,
    pub imap_connections: f64,
    pub imap_threads: f64,
    pub imap_ssl_connections: f64,
    pub imap_ssl_threads: f64,
    pub http_threads: f64,
    pub http_threads_idle: f64,
    pub soap_sessions: f64,
    pub mailbox_cache_size: f64,
    pub message_cache_size: f64,
    pub file_cache_size: f64,
    pub account_cache_size: f64,
    pub account_cache_hit_percent: f64,
    pub gc_young_count_total: f64,
    pub gc_young_ms_total: f64,
    pub gc_old_count_total: f64,
    pub gc_old_ms_total: f64,
    pub heap_used_bytes: f64,
    pub heap_committed_bytes: f64,
    pub young_used_bytes: f64,
    pub old_used_bytes: f64,
    pub open_files: f64,
    /// Only commands that were used in this minute.
    pub commands: Vec<CommandReadings>,
}

/// Calls that ended within the minute, and their mean time; the time of no call is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timed {
    pub count: f64,
    pub mean_ms: f64,
}

/// One command of one protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CommandReadings {
    pub protocol: Protocol,
    pub command: &'static str,
    pub timed: Timed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Soap,
    Imap,
    Pop3,
    Ldap,
    Sql,
}

/// MySQL or MariaDB on a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatabaseReadings {
    pub uptime_seconds: f64,
    pub threads_connected: f64,
    pub threads_running: f64,
    pub queries_total: f64,
    pub slow_queries_total: f64,
    pub row_lock_waits_total: f64,
    pub row_lock_seconds_total: f64,
    pub buffer_reads_total: f64,
    pub buffer_read_requests_total: f64,
    pub bytes_sent_total: f64,
}

/// A mail transfer agent: Postfix, amavis and clamd.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MtaReadings {
    pub is_up: bool,
    /// Messages in each queue.
    pub incoming: f64,
    pub active: f64,
    pub deferred: f64,
    pub hold: f64,
    pub corrupt: f64,
    pub queue_bytes: f64,
    /// Age of the oldest message; 0 for an empty queue.
    pub oldest_active_seconds: f64,
    pub oldest_deferred_seconds: f64,
    /// Mean age of what is deferred; 0 for an empty queue.
    pub mean_deferred_seconds: f64,
    /// What `zmstat-mtaqueue` wrote last; it slows down above 1,000 messages, and writes 0 when Postfix doesn't answer.
    pub queue_statistics: QueueStatistics,
    pub connects_total: f64,
    pub received_total: f64,
    /// Messages that cleanup has put into the queue.
    pub queued_total: f64,
    pub submitted_total: f64,
    pub recipients_total: f64,
    pub rejected_total: f64,
    pub delivered_total: f64,
    pub deferred_total: f64,
    pub bounced_total: f64,
    pub removed_total: f64,
    pub login_failures_total: f64,
    /// Sum and count of the time that deliveries by LMTP took.
    pub lmtp_delay_seconds_total: f64,
    pub lmtp_deliveries_total: f64,
    pub clamd_is_up: bool,
    pub clamd_threads_live: f64,
    pub clamd_threads_idle: f64,
    pub clamd_threads_max: f64,
    pub clamd_queue: f64,
    pub clamd_database_age_seconds: f64,
    pub amavis_busy: f64,
    pub amavis_queue: f64,
    /// Of a name asked of the resolver, by a prober on this host.
    pub dns_lookup_seconds: f64,
}

/// One row of mtaqueue.csv.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueStatistics {
    pub at: Timestamp,
    pub kilobytes: f64,
    pub requests: f64,
}

/// A proxy: nginx and memcached, and a prober that looks through it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProxyReadings {
    pub is_up: bool,
    pub accepted_total: f64,
    pub handled_total: f64,
    pub requests_total: f64,
    pub active: f64,
    pub reading: f64,
    pub writing: f64,
    pub waiting: f64,
    pub memcached_is_up: bool,
    pub memcached_hits_total: f64,
    pub memcached_misses_total: f64,
    pub memcached_items: f64,
    pub probe_seconds: f64,
    pub probe_succeeds: bool,
    /// 5xx answers.
    pub errors_total: f64,
    /// When the certificate that clients are shown ends, in seconds since 1970.
    pub certificate_end_seconds: f64,
}

/// A directory server: OpenLDAP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectoryReadings {
    pub is_up: bool,
    pub is_master: bool,
    pub connections: f64,
    pub read_waiters: f64,
    pub write_waiters: f64,
    pub searches_total: f64,
    pub binds_total: f64,
    pub modifies_total: f64,
    pub entries_total: f64,
    pub bytes_total: f64,
    /// The newest change that this server holds, in seconds since 1970.
    pub change_seconds: f64,
    pub search_seconds: f64,
}
