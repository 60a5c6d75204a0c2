//! The pages of a whole cluster, read back by the parsers of the collectors.

use std::collections::{BTreeMap, BTreeSet};

use super::fixture::{NOON, cluster, host, mailbox_of, mta_of};
use super::*;
use crate::collect::prometheus::text::{Format, Scanner};
use crate::predict::pack::{BUILTIN_NAMES, builtin};
use crate::predict::signals::SignalTable;
use crate::sample::{Batch, Labels};
use crate::sim::cluster::readings::Timed;
use crate::sim::cluster::{Cluster, Shape};

type Series = BTreeMap<Labels, (ValueKind, f64)>;

fn whole() -> Families {
    Families { whole_pages: true, ..Families::default() }
}

fn batch(exporters: &mut Exporters, readings: &Readings) -> Batch {
    let mut page = BatchPage::new("sim".into(), "host");
    exporters.print(readings, &mut page);
    page.take()
}

fn series_of(batch: &Batch) -> Series {
    let mut series = Series::new();
    for (key, kind, samples) in batch.iter() {
        let labels = Labels::from_key(key);
        let before = series.insert(labels.clone(), (kind, samples[0].value));
        assert_eq!(before, None, "{labels} comes twice on a page");
    }
    series
}

fn series(families: &Families, readings: &Readings) -> Series {
    series_of(&batch(&mut Exporters::new(families.clone()), readings))
}

/// Reads text as a scraper would; fails at the first bad line.
fn read(text: &str, format: Format, added: &[(&str, &str)]) -> Series {
    let mut bytes = text.as_bytes().to_vec();
    let (mut rest, mut scanner) = (&mut bytes[..], Scanner::new(format));
    let (mut labels, mut series) = (Vec::new(), Series::new());
    while let Some(line) = scanner.next(&mut rest, &mut labels) {
        let line = line.unwrap_or_else(|error| panic!("{error}\n{text}"));
        labels.retain(|(name, _)| added.iter().all(|(own, _)| own != name));
        labels.extend(added);
        if format == Format::OpenMetrics {
            assert_eq!(line.at, Some(NOON));
        }
        series.insert(Labels::new(&labels), (line.kind, line.value));
    }
    scanner.finish().unwrap();
    series
}

/// Every page of `families` as text, read back.
fn read_pages(families: &Families, readings: &Readings) -> Series {
    let mut targets = TargetList::default();
    Exporters::new(families.clone()).print(readings, &mut targets);
    let mut all = Series::new();
    for (name, target) in targets.0 {
        let mut page = TextPage::only(&name, target);
        Exporters::new(families.clone()).print(readings, &mut page);
        let instance = format!("{name}:{}", target.port);
        let added = [("host", name.as_str()), ("instance", &instance), ("job", target.job)];
        let text = page.text().unwrap();
        let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let distinct: BTreeSet<&&str> = types.iter().collect();
        assert_eq!(types.len(), distinct.len(), "a family stands in two places:\n{text}");
        all.extend(read(text, Format::Text, &added));
    }
    all
}

fn without_up(mut series: Series) -> Series {
    series.retain(|labels, _| labels.name() != "up");
    series
}

fn many_families() -> Vec<Families> {
    let mut families = vec![Families::default(), whole()];
    families.extend((0..40).map(Families::drawn));
    families
}

#[test]
fn a_page_a_batch_and_a_recording_say_the_same() {
    for families in many_families() {
        let direct = series(&families, &cluster());
        let mut recording = Recording::new(Vec::new(), "host");
        Exporters::new(families.clone()).print(&cluster(), &mut recording);
        let text = String::from_utf8(recording.finish().unwrap()).unwrap();
        assert_eq!(read(&text, Format::OpenMetrics, &[]), direct, "{families}");
        assert_eq!(read_pages(&families, &cluster()), without_up(direct), "{families}");
    }
}

#[test]
fn the_default_cluster_has_about_a_thousand_series() {
    let mut simulated = Cluster::new(Shape::default(), 1, NOON);
    (0..60).for_each(|_| simulated.step());
    let series = series(&Families::default(), &simulated.readings());
    assert!((900..=1_100).contains(&series.len()), "{} series", series.len());
    let on =
        |host: &str| series.keys().filter(|labels| labels.get("host").unwrap().starts_with(host)).count();
    assert!(on("store1") > on("mta1") && on("mta1") > on("ldap1"));
    let of_machines = series.keys().filter(|labels| labels.get("job") == Some("node")).count();
    assert!((500..700).contains(&of_machines), "{of_machines} series of machines");
}

#[test]
fn series_are_the_same_from_page_to_page() {
    let mut simulated = Cluster::new(Shape::default(), 1, NOON);
    // A first minute has no statistics.
    (0..24).for_each(|_| simulated.step());
    let mut exporters = Exporters::new(Families::default());
    let mut page = BatchPage::new("sim".into(), "host");
    let mut counts = BTreeSet::new();
    let mut names = BTreeSet::new();
    for _ in 0..60 {
        (0..12).for_each(|_| simulated.step());
        exporters.print(&simulated.readings(), &mut page);
        let series = series_of(&page.take());
        counts.insert(series.len());
        names.extend(series.into_keys());
    }
    // Only commands come and go.
    assert!(names.len() - counts.first().unwrap() <= 60, "{counts:?} of {}", names.len());
}

/// What the exporters of the field are known to print. `node_` and `probe_` are as everywhere, so are `jvm_` and
/// `process_` of the servlet; `cpu_` to `system_` are Telegraf's.
const KNOWN: &[&str] = &[
    "up",
    "mailboxd_*",
    "threads_*",
    "soap_exec_*",
    "imap_exec_*",
    "pop3_exec_*",
    "ldap_exec_*",
    "sql_exec_*",
    "*_last_extraction_timestamp",
    "imap_conn",
    "imap_ssl_conn",
    "jvm_*",
    "process_*",
    "postfix_queue_stat",
    "postfix_queue_stat_size",
    "postfix_queue_stat_requests",
    "zimbra_stats",
    "zimbra_queue",
    "zimbra_port",
    "zimbra_service_status",
    "zimbra_cpu_usage",
    "zimbra_mem_usage",
    "zimbra_iowait",
    "zimbra_disk_usage",
    "zimbra_account_status_total",
    "zimbra_service_up",
    "zimbra_port_open",
    "zimbra_accounts_total",
    "zimbra_quota_used_bytes",
    "zimbra_amavis_queue_size",
    "zimbra_clamav_up",
    "zimbra_webmail_up",
    "zimbra_webmail_latency_seconds",
    "postfix_up",
    "postfix_showq_message_size_bytes_*",
    "postfix_showq_message_age_seconds_*",
    "postfix_cleanup_messages_processed_total",
    "postfix_smtp_deferred_messages_total",
    "postfix_smtpd_connects_total",
    "postfix_smtpd_messages_processed_total",
    "postfix_smtpd_messages_rejected_total",
    "postfix_smtpd_sasl_authentication_failures_total",
    "postfix_lmtp_delivery_delay_seconds_*",
    "postfix_qmgr_messages_removed_total",
    "openldap_monitor_counter_object",
    "openldap_monitor_operation",
    "openldap_monitor_replication",
    "nginx_up",
    "nginx_connections_*",
    "nginx_http_requests_total",
    "clamav_up",
    "clamav_threads_*",
    "clamav_queue_length",
    "clamav_database_age",
    "mysql_global_status_*",
    "node_*",
    "probe_*",
    "memcached_*",
    "postfix_queue_length",
    "postfix_queue_size",
    "postfix_queue_age",
    "openldap_operations_*",
    "openldap_waiters_*",
    "openldap_statistics_*",
    "openldap_connections_current",
    "conntrack_*",
    "cpu_usage_*",
    "disk_*",
    "diskio_*",
    "kernel_*",
    "linux_sysctl_fs_file_nr",
    "mem_*",
    "net_*",
    "netstat_*",
    "processes_*",
    "system_load*",
    "http_requests_total",
    "nginx_http_response_count_total",
    "postfix_qmgr_messages_inserted_receipients_*",
    "mysql_up",
];

#[test]
fn every_name_is_one_that_an_exporter_of_the_field_prints() {
    let known = |name: &str| {
        KNOWN.iter().any(|pattern| match pattern.split_once('*') {
            Some((begin, end)) => {
                name.len() > pattern.len() - 1 && name.starts_with(begin) && name.ends_with(end)
            }
            None => name == *pattern,
        })
    };
    let mut names = BTreeSet::new();
    for families in many_families() {
        names.extend(series(&families, &cluster()).keys().map(|labels| labels.name().to_owned()));
    }
    let unknown: Vec<&String> = names.iter().filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let unused: Vec<_> = KNOWN
        .iter()
        .filter(|pattern| {
            let (begin, end) = pattern.split_once('*').unwrap_or((pattern, ""));
            !names.iter().any(|name| name.starts_with(begin) && name.ends_with(end))
        })
        .collect();
    assert!(unused.is_empty(), "{unused:?} is printed by nobody");
}

#[test]
fn kinds_are_those_that_exporters_declare_true_or_not() {
    let series = series(&whole(), &cluster());
    let kind = |name: &str| series.iter().find(|(labels, _)| labels.name() == name).unwrap().1.0;
    assert_eq!(kind("openldap_monitor_operation"), ValueKind::Gauge);
    assert_eq!(kind("mysql_global_status_queries"), ValueKind::Unknown);
    assert_eq!(kind("mailboxd_gc_minor_ms"), ValueKind::Unknown);
    assert_eq!(kind("postfix_queue_stat"), ValueKind::Unknown);
    assert_eq!(kind("postfix_showq_message_size_bytes_count"), ValueKind::Counter);
    assert_eq!(kind("jvm_gc_pause_seconds_sum"), ValueKind::Counter);
    assert_eq!(kind("node_vmstat_pgfault"), ValueKind::Unknown);
    assert_eq!(kind("nginx_connections_accepted"), ValueKind::Counter);
}

fn text(families: &Families, readings: &Readings, name: &str, job: &str) -> String {
    let mut targets = TargetList::default();
    Exporters::new(families.clone()).print(readings, &mut targets);
    let (name, target) =
        targets.0.into_iter().find(|(host, target)| host.starts_with(name) && target.job == job).unwrap();
    let mut page = TextPage::only(&name, target);
    Exporters::new(families.clone()).print(readings, &mut page);
    page.text().unwrap_or("").to_owned()
}

#[test]
fn carbonio_prints_as_carbonio_does() {
    let page = text(&whole(), &cluster(), "store1", "carbonio");
    assert!(page.starts_with("mailboxd_lmtp_rcvd_msgs 121\n"), "{page}");
    assert!(page.contains("\nsoap_exec_ms_avg {command=\"SearchRequest\"} 88.25\n"));
    assert!(page.contains("\nmailboxd_innodb_bp_hit_rate 0\n"), "an empty value is 0");
    assert!(page.contains("\n{\"mailboxd_mpool_codeheap_'non-nmethods'_used\"} 1363968\n"));
    assert!(page.contains("\nmailboxd_pop_ms_avg 0\n"), "no call took no time");
    assert!(!page.contains('#'));
    let page = text(&whole(), &cluster(), "mta1", "carbonio");
    assert!(page.starts_with("postfix_queue_stat {queue=\"active\"} 16\n"), "{page}");
    let page = text(&whole(), &cluster(), "ldap1", "openldap");
    assert!(page.contains("# TYPE openldap_monitor_operation gauge\n"));
    let page = text(&whole(), &cluster(), "store1", "mysqld");
    assert!(
        page.contains("# TYPE mysql_global_status_queries untyped\nmysql_global_status_queries 800000000\n")
    );
}

#[test]
fn silent_statistics_are_gone_and_only_their_time_stays() {
    let mut exporters = Exporters::new(whole());
    let mut readings = cluster();
    let before = series_of(&batch(&mut exporters, &readings));
    readings.at = readings.at.plus_ms(600_000);
    mailbox_of(host(&mut readings, "store1")).statistics = None;
    let after = series_of(&batch(&mut exporters, &readings));
    let lost: Vec<&Labels> = before.keys().filter(|labels| !after.contains_key(*labels)).collect();
    assert!(lost.len() > 60);
    for labels in lost {
        assert_eq!(labels.get("instance"), Some("store1.mail.example:9110"), "{labels}");
    }
    let time = after
        .iter()
        .find(|(labels, _)| {
            labels.name() == "mailboxd_last_extraction_timestamp"
                && labels.get("host") == Some("store1.mail.example")
        })
        .unwrap();
    assert_eq!(time.1.1, NOON.plus_ms(-20_000).0 as f64);
    let fresh = series_of(&batch(&mut Exporters::new(whole()), &readings));
    let known = fresh.keys().filter(|labels| labels.name() == "mailboxd_last_extraction_timestamp").count();
    assert_eq!(known, 2, "an exporter that never read a row has no time of one");
}

#[test]
fn a_host_that_is_gone_is_down_and_nothing_else() {
    let mut readings = cluster();
    host(&mut readings, "store2").answers = false;
    mailbox_of(host(&mut readings, "store3")).is_up = false;
    let series = series(&Families::default(), &readings);
    let of = |host: &str| -> Vec<(&str, f64)> {
        let on = series.iter().filter(|(labels, _)| labels.get("host").unwrap().starts_with(host));
        on.filter(|(labels, _)| labels.name() == "up")
            .map(|(l, (_, v))| (l.get("job").unwrap(), *v))
            .collect()
    };
    let samples = series.keys().filter(|labels| labels.get("host").unwrap().starts_with("store2")).count();
    assert_eq!(samples, of("store2").len());
    assert!(of("store2").len() == 5 && of("store2").iter().all(|(_, up)| *up == 0.0));
    let down: Vec<_> = of("store3").into_iter().filter(|(_, up)| *up == 0.0).collect();
    assert_eq!(down, [("mailboxd", 0.0)], "the servlet dies with mailboxd, the other exporters don't");
    assert!(of("store1").iter().all(|(_, up)| *up == 1.0));
    assert_eq!(text(&Families::default(), &readings, "store2", "node"), "");
}

#[test]
fn a_change_of_state_replaces_the_series_of_a_python_exporter() {
    let families: Families = "mailbox=python,mta=python".parse().unwrap();
    let status = |readings: &Readings| {
        let series = series(&families, readings);
        let of = series.iter().filter(|(labels, _)| {
            labels.name() == "zimbra_service_status"
                && labels.get("name") == Some("antivirus")
                && labels.get("host").unwrap().starts_with("mta1")
        });
        of.map(|(labels, (_, value))| (labels.get("status").unwrap().to_owned(), *value)).collect::<Vec<_>>()
    };
    let mut readings = cluster();
    assert_eq!(status(&readings), [("Running".to_owned(), 1.0)]);
    mta_of(host(&mut readings, "mta1")).clamd_is_up = false;
    assert_eq!(status(&readings), [("Stopped".to_owned(), 0.0)]);
}

#[test]
fn a_dead_mta_looks_like_an_empty_queue() {
    let mut readings = cluster();
    mta_of(host(&mut readings, "mta1")).is_up = false;
    let page = text(&Families::default(), &readings, "mta1", "carbonio");
    assert!(page.starts_with("postfix_queue_stat {queue=\"active\"} 0\n"), "{page}");
    let page = text(&Families::default(), &readings, "mta1", "postfix");
    assert!(page.contains("postfix_up{path=\"/var/spool/postfix/public/showq\"} 0\n"));
    assert!(!page.contains("showq_message"));
}

#[test]
fn unused_commands_have_no_series() {
    let mut readings = cluster();
    let mailbox = mailbox_of(host(&mut readings, "store1"));
    let statistics = mailbox.statistics.as_mut().unwrap();
    statistics.commands.retain(|command| command.command != "SearchRequest");
    statistics.soap = Timed::default();
    let page = text(&Families::default(), &readings, "store1", "carbonio");
    assert!(!page.contains("SearchRequest"));
    assert!(page.contains("mailboxd_soap_ms_avg 0\n") && page.contains("mailboxd_soap_count 0\n"));
}

fn signals(table: &SignalTable, series: &Series) -> BTreeSet<String> {
    series.keys().filter_map(|labels| Some(table.signal(table.resolve(labels)?).name.clone())).collect()
}

#[test]
fn the_packs_find_their_signals() {
    let packs: Vec<_> = BUILTIN_NAMES.iter().map(|name| builtin(name).unwrap().unwrap()).collect();
    let table = SignalTable::new(&packs);
    let by_default = signals(&table, &series(&Families::default(), &cluster()));
    assert!(by_default.len() >= 80, "{} signals: {by_default:?}", by_default.len());
    // Other sites see less, yet never nothing.
    for seed in 0..40 {
        let families = Families::drawn(seed);
        let found = signals(&table, &series(&families, &cluster()));
        assert!(found.len() >= 40, "{families}: {} signals: {found:?}", found.len());
    }
}
