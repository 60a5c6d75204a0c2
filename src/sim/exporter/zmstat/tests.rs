//! A statistics folder as it grows: separators, local times, rotation, silence.

use std::fs;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use tempfile::TempDir;

use super::*;
use crate::sim::exporter::fixture;

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
