//! A statistics folder as it grows: separators, local times, rotation, silence.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use tempfile::TempDir;

use super::*;
use crate::collect::zmstat::Directory;
use crate::sample::Labels;
use crate::sim::cluster::{Cluster, Shape};
use crate::sim::exporter::fixture;
use crate::telemetry::Metrics;

/// A folder that is written in steps of 15 s.
struct Folder {
    dir: TempDir,
    zmstat: Zmstat,
    host: HostReadings,
    at: Timestamp,
}

impl Folder {
    fn new(host: &str, zone: &str, start: &str, version: Version) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let zmstat = Zmstat::new(dir.path(), TimeZone::get(zone).unwrap(), version);
        let host = fixture::host(&mut fixture::cluster(), host).clone();
        Folder { dir, zmstat, host, at: Timestamp::parse_rfc3339(start).unwrap() }
    }

    /// Runs for `minutes`; statistics are of each full minute.
    fn run(&mut self, minutes: i64) {
        for _ in 0..4 * minutes {
            self.at = self.at.plus_ms(15_000);
            let minute = Timestamp(self.at.0 - self.at.0.rem_euclid(60_000));
            match &mut self.host.service {
                ServiceReadings::Mailbox(mailbox) => {
                    if let Some(statistics) = &mut mailbox.statistics {
                        statistics.at = minute;
                    }
                }
                ServiceReadings::Mta(mta) => mta.queue_statistics.at = minute,
                _ => {}
            }
            for cpu in &mut self.host.machine.cpus {
                cpu.user_total += 3.0;
                cpu.idle_total += 12.0;
            }
            self.zmstat.write(self.at, &self.host).unwrap();
        }
    }

    fn live(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn packed(&self, name: &str) -> String {
        let mut text = String::new();
        MultiGzDecoder::new(fs::File::open(self.dir.path().join(name)).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    fn mailbox(&mut self) -> &mut MailboxReadings {
        fixture::mailbox_of(&mut self.host)
    }
}

/// The cell of `column` in each row.
fn column<'t>(text: &'t str, separator: &str, column: &str) -> Vec<&'t str> {
    let header: Vec<&str> = text.lines().next().unwrap().split(separator).collect();
    let place =
        header.iter().position(|name| *name == column).unwrap_or_else(|| panic!("{column}: {header:?}"));
    let rows = text.lines().filter(|line| !line.starts_with("timestamp"));
    rows.map(|line| line.split(separator).nth(place).unwrap()).collect()
}

#[test]
fn each_writer_has_its_cadence_and_its_separator() {
    let mut store = Folder::new("store1", "UTC", "2026-02-03T10:00:00Z", Version::Newer);
    store.run(20);
    let mailboxd = store.live("mailboxd.csv");
    assert_eq!(mailboxd.lines().count(), 1 + 20 + 1, "a row a minute, and that of the minute before");
    assert!(mailboxd.starts_with("timestamp,lmtp_rcvd_msgs,"), "{mailboxd}");
    assert_eq!(column(&mailboxd, ",", "timestamp")[1], "02/03/2026 10:01:00");
    assert_eq!(column(&mailboxd, ",", "mbox_add_msg_ms_avg")[0], "18.5");
    assert_eq!(column(&mailboxd, ",", "innodb_bp_hit_rate")[0], "", "an empty value");
    assert_eq!(column(&mailboxd, ",", "mpool_codeheap_'non-nmethods'_used")[0], "1363968");
    let soap = store.live("soap.csv");
    assert!(soap.starts_with("timestamp,command,exec_count,exec_ms_avg\n"), "{soap}");
    assert!(soap.contains("\n02/03/2026 10:01:00,SearchRequest,321,88.25\n"));
    let cpu = store.live("cpu.csv");
    assert_eq!(column(&cpu, ", ", "cpu:user")[0], "20");
    assert_eq!(cpu.lines().count(), 1 + 40, "twice a minute, once there is something to compare with");
    let df = store.live("df.csv");
    assert_eq!(column(&df, ", ", "path"), ["/", "/opt/zimbra", "/", "/opt/zimbra", "/", "/opt/zimbra"]);
    assert_eq!(column(&df, ", ", "disk_pct_used")[1], "60");
    let mysql = store.live("mysql.csv");
    assert!(mysql.starts_with("timestamp, Bytes_sent, "), "{mysql}");
    assert!(mysql.lines().nth(1).unwrap().contains(",400000000000,9000000000,"), "{mysql}");

    let mut mta = Folder::new("mta1", "UTC", "2026-02-03T10:00:00Z", Version::Newer);
    mta.run(3);
    let queue = mta.live("mtaqueue.csv");
    assert_eq!(
        queue.lines().take(2).collect::<Vec<_>>(),
        ["timestamp, KBytes, requests", "02/03/2026 10:00:00, 5664, 79"]
    );
    assert_eq!(queue.lines().count(), 5);
}

#[test]
fn the_first_write_after_local_midnight_moves_the_day_away() {
    let mut store = Folder::new("store1", "Europe/Berlin", "2026-02-03T22:30:00Z", Version::Newer);
    store.run(60);
    let (day, live) = (store.packed("2026-02-03/mailboxd.csv.gz"), store.live("mailboxd.csv"));
    assert_eq!(column(&day, ",", "timestamp").last().unwrap(), &"02/03/2026 23:59:00");
    assert_eq!(column(&live, ",", "timestamp")[0], "02/04/2026 00:00:00");
    assert_eq!(day.lines().next(), live.lines().next(), "each has a header");
    assert_eq!(day.lines().count() + live.lines().count(), 2 + 61);
    for name in ["cpu", "vm", "io", "io-x", "proc", "fd", "mysql", "df", "threads", "soap", "imap", "sql"] {
        assert!(store.packed(&format!("2026-02-03/{name}.csv.gz")).lines().count() > 1, "{name}");
        assert!(store.live(&format!("{name}.csv")).starts_with("timestamp"), "{name}");
    }
}

#[test]
fn an_hour_comes_twice_in_autumn_and_never_in_spring() {
    let half_past_two = |start: &str, date: &str| {
        let mut store = Folder::new("store1", "Europe/Berlin", start, Version::Newer);
        store.run(240);
        let text = store.live("mailboxd.csv");
        let wanted = format!("{date} 02:30:00");
        column(&text, ",", "timestamp").into_iter().filter(|at| *at == wanted).count()
    };
    assert_eq!(half_past_two("2026-10-24T22:30:00Z", "10/25/2026"), 2);
    assert_eq!(half_past_two("2026-03-28T23:30:00Z", "03/29/2026"), 0);
    assert_eq!(half_past_two("2026-03-27T23:30:00Z", "03/28/2026"), 1);
}

#[test]
fn mailboxd_falls_silent_while_the_scripts_write_on() {
    let mut store = Folder::new("store1", "UTC", "2026-02-03T10:00:00Z", Version::Newer);
    store.run(5);
    let rows = store.live("mailboxd.csv").lines().count();
    let statistics = store.mailbox().statistics.take();
    store.run(10);
    assert_eq!(store.live("mailboxd.csv").lines().count(), rows);
    assert_eq!(store.live("fd.csv").lines().count(), 1 + 30);
    store.mailbox().is_up = false;
    store.run(1);
    store.mailbox().is_up = true;
    store.mailbox().statistics = statistics;
    store.run(2);
    let text = store.live("mailboxd.csv");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("timestamp")).count(),
        2,
        "a header at each start"
    );
    assert_eq!(store.live("cpu.csv").matches("timestamp").count(), 1);
}

#[test]
fn a_host_that_is_gone_writes_nothing_and_begins_anew_after_its_boot() {
    let mut proxy = Folder::new("proxy1", "UTC", "2026-02-03T10:00:00Z", Version::Newer);
    proxy.run(5);
    let rows = proxy.live("nginx.csv").lines().count();
    proxy.host.answers = false;
    proxy.run(5);
    assert_eq!(proxy.live("nginx.csv").lines().count(), rows);
    proxy.host.answers = true;
    proxy.host.machine.boot_at_seconds += 4e6;
    proxy.run(5);
    assert_eq!(proxy.live("nginx.csv").matches("timestamp").count(), 2);
    assert_eq!(proxy.live("cpu.csv").matches("timestamp").count(), 2);
}

#[test]
fn another_version_has_other_columns_of_the_same_values() {
    let both = [Version::Newer, Version::Older].map(|version| {
        let mut store = Folder::new("store1", "UTC", "2026-02-03T10:00:00Z", version);
        store.run(2);
        store.live("mailboxd.csv")
    });
    let [newer, older] = &both;
    assert_ne!(
        newer.lines().next().unwrap().split(',').nth(1),
        older.lines().next().unwrap().split(',').nth(1)
    );
    assert!(!older.contains("mpool_") && newer.contains("mpool_g1_old_gen_used"));
    for name in ["soap_ms_avg", "heap_used", "db_pool_size"] {
        assert_eq!(column(newer, ",", name), column(older, ",", name));
    }
    assert_eq!(column(newer, ",", "gc_g1_young_generation_ms"), column(older, ",", "gc_parnew_ms"));
}

/// What the collector makes of a folder: metric and label of a row, and its samples in the order in which they came.
fn read_back(directory: &Path, host: &str) -> BTreeMap<String, Vec<(Timestamp, f64)>> {
    let config = crate::config::Zmstat {
        directory: directory.into(),
        host: host.into(),
        timezone: TimeZone::get("Europe/Berlin").unwrap(),
        backfill: Duration::ZERO,
        lateness: Duration::ZERO,
        line_bytes_max: 1 << 16,
        file_bytes_max: 1 << 26,
    };
    let metrics = Arc::new(Metrics::new());
    let mut reader = Directory::new(config, Timestamp(0), Arc::clone(&metrics));
    reader.look();
    let mut found: BTreeMap<String, Vec<(Timestamp, f64)>> = BTreeMap::new();
    while let Some(batch) = reader.next(Timestamp::parse_rfc3339("2027-01-01T00:00:00Z").unwrap()) {
        for (key, _, samples) in batch.iter() {
            let labels = Labels::from_key(key);
            let word = labels.get("command").or(labels.get("path")).unwrap_or_default();
            let name = format!("{} {word}", labels.name()).trim_end().to_owned();
            found.entry(name).or_default().extend(samples.iter().map(|sample| (sample.at, sample.value)));
        }
    }
    let page = metrics.encode(Timestamp(0));
    let complaints = |line: &&str| line.contains("part=\"zmstat\"") && !line.ends_with(" 0");
    assert_eq!(page.lines().filter(complaints).collect::<Vec<_>>(), Vec::<&str>::new());
    found
}

/// Runs a cluster over a night, and holds what the collector reads of a store and an MTA against what they were.
fn check_night(start: &str, version: Version, young: &str) {
    let start = Timestamp::parse_rfc3339(start).unwrap();
    let mut cluster = Cluster::new(Shape::default(), 3, start);
    let dir = tempfile::tempdir().unwrap();
    let hosts = [0, 3].map(|place| (place, dir.path().join(&cluster.names()[place])));
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut folders = hosts.clone().map(|(_, path)| Zmstat::new(&path, zone.clone(), version));
    let mut statistics: BTreeMap<Timestamp, Statistics> = BTreeMap::new();
    let mut queue = BTreeMap::new();
    let mut full = BTreeMap::new();
    for _ in 0..5 * 720 {
        cluster.step();
        let readings = cluster.readings();
        for ((place, _), folder) in hosts.iter().zip(&mut folders) {
            folder.write(readings.at, &readings.hosts[*place]).unwrap();
        }
        if readings.at.0 % 600_000 == 0 {
            let volume = &readings.hosts[0].machine.volumes[1];
            full.insert(readings.at, ((volume.size_bytes - volume.free_bytes) / 1024.0).floor());
        }
        match (&readings.hosts[0].service, &readings.hosts[3].service) {
            (ServiceReadings::Mailbox(mailbox), ServiceReadings::Mta(mta)) => {
                statistics.extend(mailbox.statistics.clone().map(|row| (row.at, row)));
                queue.insert(mta.queue_statistics.at, mta.queue_statistics.requests);
            }
            other => panic!("{other:?}"),
        }
    }
    let found = read_back(&hosts[0].1, "store1");
    let of = |value: fn(&Statistics) -> f64| {
        statistics.iter().map(|(at, row)| (*at, value(row))).collect::<Vec<_>>()
    };
    assert!(statistics.len() >= 298, "{}", statistics.len());
    assert_eq!(found["mailboxd_heap_used"], of(|s| s.heap_used_bytes));
    assert_eq!(found["mailboxd_soap_count"], of(|s| s.soap.count));
    assert_eq!(found[young], of(|s| s.gc_young_ms_total));
    let mut called = of(|s| if s.messages_added.count > 0.0 { s.messages_added.mean_ms } else { f64::NAN });
    called.retain(|(_, mean)| !mean.is_nan());
    assert_eq!(found["mailboxd_mbox_add_msg_ms_avg"], called);
    let searches = statistics.values().flat_map(|row| {
        let is = |command: &&CommandReadings| {
            command.protocol == Protocol::Soap && command.command == "SearchRequest"
        };
        row.commands.iter().filter(is).map(|command| (row.at, command.timed.count))
    });
    assert_eq!(found["soap_exec_count SearchRequest"], searches.collect::<Vec<_>>());
    let last_full = full.into_iter().collect::<Vec<_>>();
    let df = &found["df_disk_use /opt/zimbra"];
    assert_eq!(df[df.len() - last_full.len()..], last_full);
    assert_eq!(found["cpu_cpu_user"].len(), 2 * 300);
    let found = read_back(&hosts[1].1, "mta1");
    assert_eq!(found["mtaqueue_requests"], queue.into_iter().collect::<Vec<_>>());
}

#[test]
fn what_is_written_is_read_without_loss_over_both_nights_when_clocks_change() {
    let young = ["mailboxd_gc_g1_young_generation_ms", "mailboxd_gc_parnew_ms"];
    check_night("2026-10-24T21:00:00Z", Version::Newer, young[0]);
    check_night("2026-03-28T21:00:00Z", Version::Older, young[1]);
}
