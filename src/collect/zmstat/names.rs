//! What a column of a file is as a series: its metric, its kind, or the label that it is.
//!
//! A metric is `FILE_COLUMN`, as Carbonio's own exporters name the same numbers, with `_` for what no metric name
//! may hold; so JVM pools lose their quotes. `mysql.csv` is the server's own status and named as mysqld_exporter
//! names that, in lower case.

use crate::sample::ValueKind;

/// The metric of column `column` in `FILE.csv`.
pub fn metric(file: &str, column: &str) -> String {
    let name = match file {
        "mysql" => format!("mysql_global_status_{}", column.to_ascii_lowercase()),
        _ => format!("{file}_{column}"),
    };
    let mut name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The label that `column` of `FILE.csv` is, where it holds words and no numbers.
pub fn label(file: &str, column: &str) -> Option<&'static str> {
    match (file, column) {
        (_, "command") => Some("command"),
        ("df", "path") => Some("path"),
        ("df", "disk") => Some("disk"),
        ("io" | "io-x", "device") => Some("device"),
        _ => None,
    }
}

/// Whether `FILE.csv` has words among its numbers by its nature: then one is nothing to count.
pub fn may_hold_words(file: &str) -> bool {
    file == "mysql"
}

/// Whether a value of `column` only ever grows. All the others are levels, or totals of one interval, whatever
/// their names end in.
pub fn kind(file: &str, column: &str) -> ValueKind {
    let is_cumulative = match file {
        "mailboxd" => column.starts_with("gc_") && (column.ends_with("_count") || column.ends_with("_ms")),
        "mysql" => !is_mysql_level(&column.to_ascii_lowercase()),
        _ => false,
    };
    if is_cumulative { ValueKind::Counter } else { ValueKind::Gauge }
}

/// What stands in SHOW GLOBAL STATUS and is no count of events since the server's start.
fn is_mysql_level(column: &str) -> bool {
    const BEGINS: [&str; 10] = [
        "open_",
        "max_",
        "key_blocks_",
        "qcache_free_",
        "innodb_buffer_pool_bytes_",
        "innodb_mem_",
        "innodb_history_list_",
        "innodb_checkpoint_age",
        "memory_used",
        "ssl_default_timeout",
    ];
    const NAMES: [&str; 11] = [
        "threads_connected",
        "threads_running",
        "threads_cached",
        "prepared_stmt_count",
        "last_query_cost",
        "slave_open_temp_tables",
        "not_flushed_delayed_rows",
        "innodb_page_size",
        "innodb_num_open_files",
        "qcache_total_blocks",
        "qcache_queries_in_cache",
    ];
    NAMES.contains(&column)
        || BEGINS.iter().any(|begin| column.starts_with(begin))
        || ["_pending_", "_current_"].iter().any(|within| column.contains(within))
        || ["_avg", "_max"].iter().any(|end| column.ends_with(end))
        || (column.starts_with("innodb_buffer_pool_pages_") && !column.contains("flushed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::pack::{self, BUILTIN_NAMES};

    #[test]
    fn columns_are_named_as_the_packs_know_them() {
        let packs: Vec<_> = BUILTIN_NAMES.iter().map(|name| pack::builtin(name).unwrap().unwrap()).collect();
        let known: Vec<&str> =
            packs.iter().flat_map(|p| &p.signals).flat_map(|s| &s.from).map(|f| f.select.name()).collect();
        for (file, column) in [
            ("mailboxd", "lmtp_rcvd_msgs"),
            ("mailboxd", "gc_g1_old_generation_ms"),
            ("mailboxd", "mbox_add_msg_ms_avg"),
            ("mtaqueue", "requests"),
            ("threads", "LmtpServer"),
            ("soap", "exec_ms_avg"),
            ("df", "disk_pct_used"),
            ("fd", "mailboxd_fd_count"),
            ("mysql", "Threads_connected"),
        ] {
            let metric = metric(file, column);
            assert!(known.contains(&metric.as_str()), "no pack reads {metric}");
        }
    }

    #[test]
    fn what_no_metric_name_may_hold_becomes_an_underscore() {
        let pool = "mpool_codeheap_'non-nmethods'_used";
        assert_eq!(metric("mailboxd", pool), "mailboxd_mpool_codeheap__non_nmethods__used");
        assert_eq!(metric("proc", "mailbox-total-cpu"), "proc_mailbox_total_cpu");
        assert_eq!(metric("io-x", "sda:%util"), "io_x_sda__util");
        assert_eq!(metric("3com", "ü"), "_3com__");
    }

    #[test]
    fn only_what_grows_for_ever_is_a_counter() {
        let counters = |file, columns: &[&str]| {
            columns.iter().map(|column| kind(file, column) == ValueKind::Counter).collect::<Vec<_>>()
        };
        let mailboxd = ["gc_minor_count", "gc_zgc_pauses_ms", "soap_count", "soap_ms_avg", "heap_used"];
        assert_eq!(counters("mailboxd", &mailboxd), [true, true, false, false, false]);
        let mysql = ["Com_select", "Threads_created", "Innodb_buffer_pool_pages_flushed", "Uptime"];
        assert_eq!(counters("mysql", &mysql), [true; 4]);
        let levels =
            ["Threads_connected", "Open_tables", "Innodb_buffer_pool_pages_total", "Max_used_connections"];
        assert_eq!(counters("mysql", &levels), [false; 4]);
        assert_eq!(counters("soap", &["exec_count"]), [false]);
        assert_eq!(counters("nginx", &["read_bytes"]), [false]);
    }
}
