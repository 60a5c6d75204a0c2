//! What the rows of each file say, and what they don't.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::sample::{Labels, ValueKind};

fn reader(file: &str) -> Reader {
    Reader::new(file, "store1", &TimeZone::UTC)
}

/// Each sample as `series=value@seconds of the day`, without the host.
fn samples(batch: &Batch) -> Vec<String> {
    let mut found = Vec::new();
    for (key, _, samples) in batch.iter() {
        let labels = Labels::from_key(key);
        assert_eq!(labels.get("host"), Some("store1"), "{labels}");
        let rest: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| *name != "host").collect();
        for sample in samples {
            let second = sample.at.0.rem_euclid(86_400_000) / 1000;
            found.push(format!("{}={}@{second}", Labels::new(&rest), sample.value));
        }
    }
    found
}

fn read_all(file: &str, text: &str) -> (Vec<String>, Tally) {
    let mut batch = Batch::new("test".into());
    let tally = read(text.as_bytes(), &mut reader(file), &mut batch);
    (samples(&batch), tally)
}

fn check(file: &str, text: &str, want: &[&str]) {
    let (found, tally) = read_all(file, text);
    assert_eq!(found, want, "{text}");
    assert_eq!((tally.bad, tally.text_cells), (Vec::new(), 0), "{text}");
}

/// The lines that give nothing, and why.
fn check_bad(file: &str, text: &str, want: &[&str], bad: &[(u64, BadLine)]) {
    let (found, tally) = read_all(file, text);
    assert_eq!((found, tally.bad), (want.iter().map(|s| s.to_string()).collect(), bad.to_vec()), "{text}");
}

#[test]
fn a_mean_time_of_no_calls_is_missing_and_not_fast() {
    check(
        "mailboxd",
        "timestamp,soap_count,soap_ms_avg,imap_count,imap_ms_avg,ldap_dc_ms_avg\n\
         11/28/2026 00:00:01,3,12.5,0,0.0,0\n\
         11/28/2026 00:01:01,,0,0,7,4\n",
        &[
            "mailboxd_soap_count=3@1",
            "mailboxd_soap_ms_avg=12.5@1",
            "mailboxd_imap_count=0@1",
            "mailboxd_imap_count=0@61",
            "mailboxd_ldap_dc_ms_avg=4@61",
        ],
    );
    check(
        "soap",
        "timestamp,command,exec_count,exec_ms_avg\n\
         11/28/2026 00:00:01,NoOpRequest,0,0\n\
         11/28/2026 00:00:01,AuthRequest,2,31\n",
        &[
            r#"soap_exec_count{command="NoOpRequest"}=0@1"#,
            r#"soap_exec_count{command="AuthRequest"}=2@1"#,
            r#"soap_exec_ms_avg{command="AuthRequest"}=31@1"#,
        ],
    );
}

#[test]
fn what_is_empty_or_no_number_is_missing_and_never_zero() {
    let (found, tally) = read_all(
        "mailboxd",
        "timestamp,heap_used,innodb_bp_hit_rate,db_pool_size,lmtp_conn\n11/28/2026 00:00:01,1e9,,n/a,nan\n",
    );
    assert_eq!((found, tally.text_cells), (vec!["mailboxd_heap_used=1000000000@1".to_string()], 2));
    check(
        "mysql",
        "timestamp, Compression, Uptime\n11/28/2026 00:00:01,OFF,7\n",
        &["mysql_global_status_uptime=7@1"],
    );
}

#[test]
fn a_dead_mta_looks_like_an_empty_queue_and_is_handed_on_as_it_stands() {
    let text = "timestamp, KBytes, requests\n11/28/2026 00:00:30, 0, 0\n";
    check("mtaqueue", text, &["mtaqueue_KBytes=0@30", "mtaqueue_requests=0@30"]);
}

#[test]
fn columns_are_found_by_name_and_a_header_may_change_them() {
    check(
        "fd",
        "timestamp, fd_count, mailboxd_fd_count\n\
         11/28/2026 00:00:30, 10, 20\n\
         timestamp, fd_count, mailboxd_fd_count\n\
         11/28/2026 00:01:00, 11, 21\n\
         timestamp, mailboxd_fd_count, other, fd_count\n\
         11/28/2026 00:01:30, 22, 1, 12\n\
         fd_count, timestamp\n\
         13, 11/28/2026 00:02:00\n",
        &[
            "fd_fd_count=10@30",
            "fd_mailboxd_fd_count=20@30",
            "fd_fd_count=11@60",
            "fd_mailboxd_fd_count=21@60",
            "fd_mailboxd_fd_count=22@90",
            "fd_other=1@90",
            "fd_fd_count=12@90",
            "fd_fd_count=13@120",
        ],
    );
}

#[test]
fn separators_mix_with_spaces_or_without_and_line_ends_of_any_kind() {
    check(
        "mysql",
        "timestamp, Threads_connected, Com_select \r\n\r\n11/28/2026 00:00:30,5,7\n\n  11/28/2026 00:01:00 ,6 , 8,\n",
        &[
            "mysql_global_status_threads_connected=5@30",
            "mysql_global_status_com_select=7@30",
            "mysql_global_status_threads_connected=6@60",
            "mysql_global_status_com_select=8@60",
        ],
    );
}

#[test]
fn pools_with_quotes_in_their_names_have_series() {
    check(
        "mailboxd",
        "timestamp,mpool_codeheap_'non-nmethods'_used,mpool_codeheap_'non-nmethods'_free\n11/28/2026 00:00:01,5,6\n",
        &[
            "mailboxd_mpool_codeheap__non_nmethods__used=5@1",
            "mailboxd_mpool_codeheap__non_nmethods__free=6@1",
        ],
    );
}

#[test]
fn two_writers_share_a_file_each_with_its_header_and_its_clock() {
    check(
        "ldap",
        "timestamp,command,exec_count,exec_ms_avg\n\
         11/28/2026 00:01:00,SEARCH,9,3\n\
         timestamp, read_waiters, write_waiters, connections, bytes_sent, entries_sent\n\
         11/28/2026 00:00:30, 1, 2, 3, 4, 5\n\
         11/28/2026 00:02:00,GET_ENTRY,1,2\n\
         11/28/2026 00:01:00, 6, 7, 8, 9, 10\n",
        &[
            r#"ldap_exec_count{command="SEARCH"}=9@60"#,
            r#"ldap_exec_ms_avg{command="SEARCH"}=3@60"#,
            "ldap_read_waiters=1@30",
            "ldap_write_waiters=2@30",
            "ldap_connections=3@30",
            "ldap_bytes_sent=4@30",
            "ldap_entries_sent=5@30",
            r#"ldap_exec_count{command="GET_ENTRY"}=1@120"#,
            r#"ldap_exec_ms_avg{command="GET_ENTRY"}=2@120"#,
            "ldap_read_waiters=6@60",
            "ldap_write_waiters=7@60",
            "ldap_connections=8@60",
            "ldap_bytes_sent=9@60",
            "ldap_entries_sent=10@60",
        ],
    );
    let as_wide = "timestamp,command,exec_count\ntimestamp, read_waiters, write_waiters\n\
                   11/28/2026 00:00:30, 1, 2\n11/28/2026 00:01:00,SEARCH,9\n";
    let want =
        ["ldap_read_waiters=1@30", "ldap_write_waiters=2@30", r#"ldap_exec_count{command="SEARCH"}=9@60"#];
    check("ldap", as_wide, &want);
}

#[test]
fn each_mount_is_a_series_and_an_sql_statement_may_hold_commas() {
    check(
        "df",
        "timestamp, path, disk, disk_use, disk_space, disk_pct_used\n\
         11/28/2026 00:10:00, /opt/zimbra, /dev/sda2, 50, 100, 50\n\
         11/28/2026 00:10:00, /, /dev/sda1, 10, 100, 10\n",
        &[
            r#"df_disk_use{disk="/dev/sda2",path="/opt/zimbra"}=50@600"#,
            r#"df_disk_space{disk="/dev/sda2",path="/opt/zimbra"}=100@600"#,
            r#"df_disk_pct_used{disk="/dev/sda2",path="/opt/zimbra"}=50@600"#,
            r#"df_disk_use{disk="/dev/sda1",path="/"}=10@600"#,
            r#"df_disk_space{disk="/dev/sda1",path="/"}=100@600"#,
            r#"df_disk_pct_used{disk="/dev/sda1",path="/"}=10@600"#,
        ],
    );
    check(
        "sql",
        "timestamp,command,exec_count,exec_ms_avg\n\
         11/28/2026 00:01:00,SELECT a, b FROM c,4,1\n11/28/2026 00:01:00,\"SELECT d, e\",5,0.5\n",
        &[
            r#"sql_exec_count{command="SELECT a, b FROM c"}=4@60"#,
            r#"sql_exec_ms_avg{command="SELECT a, b FROM c"}=1@60"#,
            r#"sql_exec_count{command="SELECT d, e"}=5@60"#,
            r#"sql_exec_ms_avg{command="SELECT d, e"}=0.5@60"#,
        ],
    );
}

#[test]
fn what_is_cumulative_is_declared_and_nothing_else_is() {
    let text = "timestamp,gc_minor_count,gc_minor_ms,soap_count\n11/28/2026 00:01:00,4,1,9\n";
    let mut batch = Batch::new("test".into());
    read(text.as_bytes(), &mut reader("mailboxd"), &mut batch);
    let kinds: Vec<ValueKind> = batch.iter().map(|(_, kind, _)| kind).collect();
    assert_eq!(kinds, [ValueKind::Counter, ValueKind::Counter, ValueKind::Gauge]);
}

#[test]
fn a_bad_line_costs_itself_only() {
    let width = |found| BadLine::Width { found, wanted: 3 };
    check_bad(
        "mtaqueue",
        "11/28/2026 00:00:00, 1, 1\n\
         timestamp, KBytes, requests\n\
         11/28/2026 00:00:30, 1, 2\n\
         11/28/2026 00:01:00, 1\n\
         11/28/2026 00:01:30, 1, 2, 3\n\
         yesterday, 1, 2\n\
         11/28/2026 00:00:10, 1, 2\n\
         \u{fffd}\u{0}\n\
         11/28/2026 00:02:00, 3, 4\n\
         11/28/2026 00:02:30, 5, 6",
        &[
            "mtaqueue_KBytes=1@30",
            "mtaqueue_requests=2@30",
            "mtaqueue_KBytes=3@120",
            "mtaqueue_requests=4@120",
        ],
        &[
            (1, BadLine::NoHeader),
            (4, width(2)),
            (5, width(4)),
            (6, BadLine::Time),
            (7, BadLine::Backwards),
            (8, width(1)),
            (10, BadLine::Cut),
        ],
    );
    check_bad("soap", "timestamp,command,exec_count\n11/28/2026 00:00:30,,4\n", &[], &[(2, BadLine::Label)]);
    let wide = format!("timestamp{}\n", ",a".repeat(COLUMNS_MAX));
    check_bad("threads", &wide, &[], &[(1, BadLine::Columns)]);
}

#[test]
fn a_row_ahead_of_the_clock_is_dropped_and_the_next_is_not() {
    let mut reader = reader("fd");
    let mut take = |line: &str, now: &str| reader.take(line.as_bytes(), Timestamp::parse_rfc3339(now));
    assert_eq!(take("timestamp, fd_count", "2026-11-28T00:00:00Z"), Ok(None));
    assert_eq!(take("11/28/2030 00:00:30, 1", "2026-11-28T00:01:00Z"), Err(BadLine::Ahead));
    assert!(matches!(take("11/28/2026 00:00:30, 1", "2026-11-28T00:01:00Z"), Ok(Some(_))));
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("timestamp".to_string()),
        Just("command".to_string()),
        Just("11/28/2026 00:00:30".to_string()),
        Just("10/25/2026 02:30:00".to_string()),
        "[a-z_]{1,6}(_count|_ms_avg)?",
        "[-0-9.e]{0,6}",
        "[ ,\"\n\r]{1,3}",
        Just(",".to_string()),
        Just("\n".to_string()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_harm(file in prop::sample::select(vec!["mailboxd", "ldap", "df", "mysql", "io-x", ""]),
                     text in prop::collection::vec(any::<u8>(), 0..200),
                     pieces in prop::collection::vec(piece(), 0..60)) {
        let mut reader = Reader::new(file, "h", &TimeZone::get("Europe/Berlin").unwrap());
        let mut batch = Batch::new("test".into());
        read(&text, &mut reader, &mut batch);
        read(pieces.concat().as_bytes(), &mut reader, &mut batch);
        for (key, _, samples) in batch.iter() {
            prop_assert!(!Labels::from_key(key).name().is_empty());
            prop_assert!(samples.iter().all(|sample| sample.value.is_finite()));
        }
    }
}
