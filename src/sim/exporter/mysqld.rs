//! mysqld_exporter: SHOW GLOBAL STATUS, untyped, whether cumulative or not.

use super::{Kind, Page};
use crate::sim::cluster::readings::DatabaseReadings;

pub fn print(database: &DatabaseReadings, page: &mut impl Page) {
    let figures = [
        ("mysql_global_status_bytes_sent", database.bytes_sent_total),
        ("mysql_global_status_innodb_buffer_pool_read_requests", database.buffer_read_requests_total),
        ("mysql_global_status_innodb_buffer_pool_reads", database.buffer_reads_total),
        // Milliseconds.
        ("mysql_global_status_innodb_row_lock_time", (database.row_lock_seconds_total * 1e3).round()),
        ("mysql_global_status_innodb_row_lock_waits", database.row_lock_waits_total),
        ("mysql_global_status_queries", database.queries_total),
        ("mysql_global_status_questions", database.queries_total),
        ("mysql_global_status_slow_queries", database.slow_queries_total),
        ("mysql_global_status_threads_connected", database.threads_connected),
        ("mysql_global_status_threads_running", database.threads_running),
        ("mysql_global_status_uptime", database.uptime_seconds),
    ];
    for (name, value) in figures {
        page.sample(name, &[], Kind::Untyped, value);
    }
    page.sample("mysql_up", &[], Kind::Gauge, 1.0);
}
