//! The columns of mailboxd.csv, in the order in which mailboxd writes them, with the names under which Carbonio
//! hands them on.

use crate::sim::cluster::readings::Statistics;

/// A column, and its place in the statistics.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// `mailboxd_` and the column's name.
    pub metric: &'static str,
    /// Whether a site that keeps only what it draws keeps it.
    pub kept: bool,
    /// NaN where mailboxd writes nothing between the commas.
    pub value: fn(&Statistics) -> f64,
}

impl Column {
    pub fn name(&self) -> &'static str {
        self.metric.strip_prefix("mailboxd_").unwrap_or(self.metric)
    }
}

macro_rules! columns {
    ($($name:literal $kept:ident $value:expr),* $(,)?) => {
        &[$(Column { metric: concat!("mailboxd_", $name), kept: kept::$kept, value: $value }),*]
    };
}

#[allow(non_upper_case_globals)]
mod kept {
    pub const keep: bool = true;
    pub const drop: bool = false;
}

/// Code that the JVM compiled for itself; it hardly moves.
const CODE_USED_BYTES: f64 = 1_363_968.0;
const CODE_FREE_BYTES: f64 = 1_192_448.0;

#[rustfmt::skip]
pub const COLUMNS: &[Column] = columns![
    "lmtp_rcvd_msgs" keep |s| s.lmtp_received_messages,
    "lmtp_rcvd_bytes" drop |s| s.lmtp_received_bytes,
    "lmtp_rcvd_rcpt" drop |s| s.lmtp_received_recipients,
    "lmtp_dlvd_msgs" keep |s| s.lmtp_delivered_messages,
    "lmtp_dlvd_bytes" drop |s| s.lmtp_delivered_bytes,
    "db_conn_count" keep |s| s.database_connections.count,
    "db_conn_ms_avg" keep |s| s.database_connections.mean_ms,
    "ldap_dc_count" keep |s| s.directory_lookups.count,
    "ldap_dc_ms_avg" keep |s| s.directory_lookups.mean_ms,
    "mbox_add_msg_count" keep |s| s.messages_added.count,
    "mbox_add_msg_ms_avg" keep |s| s.messages_added.mean_ms,
    "mbox_get_count" keep |s| s.mailbox_lookups.count,
    "mbox_get_ms_avg" drop |s| s.mailbox_lookups.mean_ms,
    "mbox_cache" keep |s| s.mailbox_cache_hit_percent,
    "mbox_msg_cache" drop |s| s.message_cache_hit_percent,
    "mbox_item_cache" drop |s| s.item_cache_hit_percent,
    "soap_count" keep |s| s.soap.count,
    "soap_ms_avg" keep |s| s.soap.mean_ms,
    "imap_count" keep |s| s.imap.count,
    "imap_ms_avg" keep |s| s.imap.mean_ms,
    "pop_count" drop |s| s.pop.count,
    "pop_ms_avg" drop |s| s.pop.mean_ms,
    "idx_wrt_avg" drop |s| s.index_writers_mean,
    "idx_wrt_opened" drop |s| s.index_opened,
    "idx_wrt_opened_cache_hit" drop |s| s.index_opened_cached,
    "idx_bytes_written" drop |s| s.index_written_bytes,
    "idx_bytes_read" keep |s| s.index_read_bytes,
    "bis_read" keep |s| s.blob_reads,
    "bis_seek_rate" drop |s| s.blob_seek_percent,
    "db_pool_size" keep |s| s.database_pool_active,
    "innodb_bp_hit_rate" drop |s| s.buffer_pool_hits_permille,
    "lmtp_conn" keep |s| s.lmtp_connections,
    "lmtp_threads" keep |s| s.lmtp_threads,
    "pop_conn" keep |s| s.pop_connections,
    "pop_threads" drop |s| s.pop_threads,
    "pop_ssl_conn" drop |s| s.pop_ssl_connections,
    "imap_conn" keep |s| s.imap_connections,
    "imap_threads" keep |s| s.imap_threads,
    "imap_ssl_conn" keep |s| s.imap_ssl_connections,
    "imap_ssl_threads" drop |s| s.imap_ssl_threads,
    "http_idle_threads" keep |s| s.http_threads_idle,
    "http_threads" keep |s| s.http_threads,
    "soap_sessions" drop |s| s.soap_sessions,
    "mbox_cache_size" drop |s| s.mailbox_cache_size,
    "msg_cache_size" drop |s| s.message_cache_size,
    "fd_cache_size" drop |s| s.file_cache_size,
    "account_cache_size" drop |s| s.account_cache_size,
    "account_cache_hit_rate" keep |s| s.account_cache_hit_percent,
    "gc_g1_young_generation_count" drop |s| s.gc_young_count_total,
    "gc_g1_young_generation_ms" keep |s| s.gc_young_ms_total,
    "gc_g1_old_generation_count" drop |s| s.gc_old_count_total,
    "gc_g1_old_generation_ms" keep |s| s.gc_old_ms_total,
    "gc_minor_count" drop |s| s.gc_young_count_total,
    "gc_minor_ms" drop |s| s.gc_young_ms_total,
    // mailboxd doesn't know G1's old generation as its major collector: these two never move.
    "gc_major_count" drop |_| 0.0,
    "gc_major_ms" drop |_| 0.0,
    "mpool_codeheap_'non-nmethods'_used" drop |_| CODE_USED_BYTES,
    "mpool_codeheap_'non-nmethods'_free" drop |_| CODE_FREE_BYTES,
    "mpool_g1_eden_space_used" drop |s| s.young_used_bytes,
    "mpool_g1_old_gen_used" keep |s| s.old_used_bytes,
    "heap_used" keep |s| s.heap_used_bytes,
    // Of what is committed, not of what there may be.
    "heap_free" drop |s| s.heap_committed_bytes - s.heap_used_bytes,
];
