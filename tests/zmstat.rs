//! `serve` beside a directory of Zimbra's statistics: the past warms it, rows are seen as they are written, over a
//! rotation and a restart.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use support::{Foreshock, now_ms, wait_until};

const SOON: Duration = Duration::from_secs(60);
const HEADER: &str = "timestamp, KBytes, requests\n";

/// The local time of New York, `seconds_ago`.
fn local(seconds_ago: i64) -> jiff::civil::DateTime {
    let at = jiff::Timestamp::from_second(now_ms() / 1000 - seconds_ago).unwrap();
    jiff::tz::TimeZone::get("America/New_York").unwrap().to_datetime(at)
}

/// A row of the queue, `seconds_ago`.
fn row(seconds_ago: i64, requests: i64) -> String {
    format!("{}, {}, {requests}\n", local(seconds_ago).strftime("%m/%d/%Y %H:%M:%S"), 4 * requests)
}

/// The name of the dated folder of that time.
fn day(seconds_ago: i64) -> String {
    local(seconds_ago).strftime("%Y-%m-%d").to_string()
}

fn append(file: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(file).unwrap().write_all(text.as_bytes()).unwrap();
}

fn pack(folder: &Path, text: &str) {
    fs::create_dir_all(folder).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    fs::write(folder.join("mtaqueue.csv.gz"), packed.finish().unwrap()).unwrap();
}

/// State and value of the queue on mta1.
fn queue(foreshock: &Foreshock) -> Option<(String, f64)> {
    let found = foreshock.json("/api/v1/series?match[]=mtaqueue_requests%7Bhost=%22mta1%22%7D");
    let [series] = &found["series"].as_array()?[..] else { return None };
    Some((series["state"].as_str()?.to_string(), series["value"].as_f64()?))
}

#[test]
fn a_directory_is_read_from_its_past_into_the_present() {
    let dir = tempfile::tempdir().unwrap();
    let zmstat = dir.path().join("zmstat");
    let live = zmstat.join("mtaqueue.csv");
    let past: String = (0..400).rev().map(|i| row(3600 + 30 * i, 100 + i % 7)).collect();
    pack(&zmstat.join(day(4 * 3600)), &format!("{HEADER}{past}"));
    let config = format!(
        "site: test\nstep_seconds: 1\nzmstat:\n  - directory: {}\n    host: mta1\n    timezone: America/New_York\n    backfill: 1d\n    lateness: 3s\n",
        zmstat.display()
    );
    let mut foreshock = Foreshock::serve(dir.path(), &config);
    foreshock.wait_ready();
    assert_eq!(foreshock.metric("foreshock_samples_total"), Some(800.0));

    // The live file appears only now.
    append(&live, HEADER);
    let write = |requests: i64| {
        append(&live, &row(0, requests));
        std::thread::sleep(Duration::from_millis(1000));
    };
    for i in 0..8 {
        write(100 + i % 7);
    }
    wait_until("the queue is seen", SOON, || {
        write(105);
        queue(&foreshock).is_some_and(|(state, value)| state == "live" && value == 105.0)
    });

    // The first write after midnight: the file is packed and a new one begun.
    append(&live, &row(0, 106));
    pack(&zmstat.join(day(0)), &fs::read_to_string(&live).unwrap());
    fs::remove_file(&live).unwrap();
    append(&live, HEADER);
    wait_until("the new file is read", SOON, || {
        write(107);
        queue(&foreshock).is_some_and(|(_, value)| value == 107.0)
    });
    assert_eq!(foreshock.metric(r#"foreshock_dropped_total{part="zmstat",reason="width"}"#), None);
    append(&live, "not a row\n");
    wait_until("a bad line is counted", SOON, || {
        foreshock.metric(r#"foreshock_dropped_total{part="zmstat",reason="width"}"#) == Some(1.0)
    });
    let told = fs::read_to_string(&foreshock.log).unwrap();
    assert!(told.contains("mtaqueue.csv") && told.contains("1 cells where the header has 3"), "{told}");

    assert_eq!(foreshock.process.terminate(), Some(0), "{}", foreshock.log_tail());
    write(108);
    foreshock.restart();
    foreshock.wait_ready();
    // Only what is newer than the snapshot is read again.
    let samples = foreshock.metric("foreshock_samples_total").unwrap();
    assert!((2.0..100.0).contains(&samples), "{samples}");
    wait_until("the queue is seen again", SOON, || {
        write(109);
        queue(&foreshock).is_some_and(|(_, value)| value == 109.0)
    });
}
