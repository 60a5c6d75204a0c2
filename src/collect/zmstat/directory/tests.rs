//! Directories as a real host has them: rotated at midnight, packed, cut, written to while they are read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::sample::Labels;

fn config(directory: &Path) -> Zmstat {
    Zmstat {
        directory: directory.into(),
        host: "store1".into(),
        timezone: TimeZone::get("Europe/Berlin").unwrap(),
        backfill: Duration::ZERO,
        lateness: Duration::from_secs(10),
        line_bytes_max: 1 << 16,
        file_bytes_max: 1 << 20,
    }
}

fn at(rfc3339: &str) -> Timestamp {
    Timestamp::parse_rfc3339(rfc3339).unwrap()
}

const NOW: &str = "2026-12-01T00:00:00Z";

fn reader(directory: &Path, from: &str) -> (Directory, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    (Directory::new(config(directory), at(from), Arc::clone(&metrics)), metrics)
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn pack(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// A file of the past.
fn put_past(directory: &Path, folder: &str, file: &str, bytes: &[u8]) {
    fs::create_dir_all(directory.join(folder)).unwrap();
    fs::write(directory.join(folder).join(file), bytes).unwrap();
}

/// Every sample that is there, as `metric=value@HH:MM:SS` of UTC, in the order in which they come.
fn read_on(directory: &mut Directory) -> Vec<String> {
    directory.look();
    let mut found = Vec::new();
    while let Some(batch) = directory.next(at(NOW)) {
        for (key, _, samples) in batch.iter() {
            let name = Labels::from_key(key).name().to_string();
            found.extend(samples.iter().map(|s| format!("{name}={}@{}", s.value, &s.at.to_string()[11..19])));
        }
    }
    found
}

fn dropped(metrics: &Metrics, reason: &str) -> u64 {
    counted(metrics, "dropped", reason)
}

fn counted(metrics: &Metrics, what: &str, reason: &str) -> u64 {
    let page = metrics.encode(Timestamp(0));
    let series = format!("foreshock_{what}_total{{part=\"zmstat\",reason=\"{reason}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

#[test]
fn the_past_comes_first_in_order_of_time_over_all_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let old = "timestamp, fd_count\n11/26/2026 12:00:00, 0\n";
    put_past(path, "2026-11-26", "fd.csv.gz", &pack(old));
    put_past(path, "2026-11-27", "fd.csv.gz", &pack("timestamp, fd_count\n11/27/2026 12:00:00, 1\n"));
    put_past(
        path,
        "2026-11-27",
        "q.csv.gz",
        &pack("timestamp, n\n11/27/2026 11:59:30, 5\n11/27/2026 12:00:30, 6\n"),
    );
    // Moved there, and not packed yet; what is packed of it so far is no file.
    put_past(path, "2026-11-28", "fd.csv", b"11/28/2026 12:00:00, 2\n");
    put_past(path, "2026-11-28", "fd.csv.gz", &pack("11/28/2026 12:00:00, 2\n")[..12]);
    append(&path.join("fd.csv"), "timestamp, fd_count\n11/29/2026 12:00:00, 3\n11/29/2026 12:00:3");
    let (mut directory, metrics) = reader(path, "2026-11-27T00:00:00Z");
    let want = [
        "q_n=5@10:59:30",
        "fd_fd_count=1@11:00:00",
        "q_n=6@11:00:30",
        "fd_fd_count=2@11:00:00",
        "fd_fd_count=3@11:00:00",
    ];
    assert_eq!(read_on(&mut directory), want);
    // A line counts once it has its end; a file may come later.
    append(&path.join("fd.csv"), "0, 4\n");
    append(&path.join("q.csv"), "timestamp, n\n11/29/2026 12:00:20, 7\n");
    assert_eq!(read_on(&mut directory), ["q_n=7@11:00:20", "fd_fd_count=4@11:00:30"]);
    assert_eq!(read_on(&mut directory), [""; 0]);
    assert_eq!(dropped(&metrics, "cut_line") + dropped(&metrics, "no_header"), 0);
}

#[test]
fn after_a_restart_what_is_known_is_not_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let header = "timestamp, fd_count\n";
    put_past(dir.path(), "2026-11-27", "fd.csv.gz", &pack(&format!("{header}11/27/2026 23:59:30, 1\n")));
    append(&dir.path().join("fd.csv"), "11/28/2026 00:00:00, 2\n11/28/2026 00:00:30, 3\n");
    let (mut directory, metrics) = reader(dir.path(), "2026-11-27T23:00:00Z");
    // The header stands in the file of the day before.
    assert_eq!(read_on(&mut directory), ["fd_fd_count=3@23:00:30"]);
    assert_eq!(dropped(&metrics, "backwards"), 0);
    assert_eq!(read_on(&mut directory.again()), [""; 0]);
}

#[test]
fn a_file_that_is_cut_or_swells_or_is_nonsense_costs_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String =
        (0..2000).map(|i| format!("11/26/2026 00:{:02}:{:02}, {i}\n", i / 60, i % 60)).collect();
    let packed = pack(&format!("timestamp, n\n{rows}"));
    put_past(dir.path(), "2026-11-26", "q.csv.gz", &packed[..packed.len() - 20]);
    put_past(dir.path(), "2026-11-27", "q.csv.gz", &pack(&"\n".repeat(2 << 20)));
    put_past(dir.path(), "2026-11-28", "q.csv.gz", b"no gzip");
    put_past(dir.path(), "2026-11-29", "q.csv.gz", &pack("timestamp, n\n11/29/2026 12:00:00, 7\n11/29"));
    fs::create_dir(dir.path().join("q.csv")).unwrap();
    let (mut directory, metrics) = reader(dir.path(), "2026-11-20T00:00:00Z");
    let found = read_on(&mut directory);
    assert_eq!(found.last().unwrap(), "q_n=7@11:00:00");
    assert!(found.len() > 1000, "{} rows", found.len());
    assert_eq!(dropped(&metrics, "cut_line"), 1);
    assert!(
        counted(&metrics, "errors", "read") >= 4,
        "three of the past, and a folder in the place of the live one"
    );
}

#[test]
fn a_directory_that_is_missing_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zmstat");
    let (mut directory, _) = reader(&path, "2026-11-20T00:00:00Z");
    assert_eq!(read_on(&mut directory), [""; 0]);
    fs::create_dir(&path).unwrap();
    append(&path.join("fd.csv"), "timestamp, fd_count\n11/29/2026 12:00:00, 3\n");
    assert_eq!(read_on(&mut directory), ["fd_fd_count=3@11:00:00"]);
}

#[test]
fn a_silent_file_gives_nothing_and_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    append(&dir.path().join("mailboxd.csv"), "timestamp,soap_count\n11/29/2026 12:00:00,3\n");
    append(&dir.path().join("fd.csv"), "timestamp, fd_count\n11/29/2026 12:00:00, 1\n");
    let (mut directory, _) = reader(dir.path(), "2026-11-20T00:00:00Z");
    assert_eq!(read_on(&mut directory).len(), 2);
    append(&dir.path().join("fd.csv"), "11/29/2026 12:30:00, 2\n");
    assert_eq!(read_on(&mut directory), ["fd_fd_count=2@11:30:00"]);
}

#[test]
fn batches_are_bounded_and_cut_where_time_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let columns = 1000;
    let mut text = format!("timestamp{}\n", (0..columns).map(|i| format!(",c{i}")).collect::<String>());
    for second in 0..250 {
        // Two rows of each instant.
        let row = format!("11/29/2026 12:{:02}:{:02}{}\n", second / 60, second % 60, ",1".repeat(columns));
        text.push_str(&row.repeat(2));
    }
    append(&dir.path().join("wide.csv"), &text);
    append(
        &dir.path().join("fd.csv"),
        "timestamp, fd_count\n11/29/2026 12:00:00, 1\n11/29/2026 15:00:00, 1\n",
    );
    let (mut directory, _) = reader(dir.path(), "2026-11-20T00:00:00Z");
    let (mut before, mut sizes) = (Timestamp::MIN, Vec::new());
    while let Some(batch) = directory.next(at(NOW)) {
        let first = batch.iter().map(|(_, _, samples)| samples[0].at).min().unwrap();
        assert!(first > before);
        before = batch.latest().unwrap();
        sizes.push(batch.len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 500 * columns + 2);
    assert!(sizes.iter().all(|size| *size <= BATCH_SAMPLES + 2 * columns), "{sizes:?}");
}

/// Writes as Zimbra does: the first write after midnight moves the file and begins a new one.
struct Writer {
    path: PathBuf,
    name: &'static str,
    header: &'static str,
    separator: &'static str,
    day: String,
    style: Style,
}

/// How the file of yesterday goes.
#[derive(Clone, Copy)]
enum Style {
    /// Moved, packed there, then removed.
    Move,
    /// Packed from its own place, then removed.
    Pack,
    /// Packed from its own place, then emptied.
    Empty,
}

impl Writer {
    fn row(&mut self, local: DateTime, value: u32) {
        let day = local.strftime("%Y-%m-%d").to_string();
        let live = self.path.join(format!("{}.csv", self.name));
        if day != self.day {
            if live.exists() {
                self.rotate(&live);
            }
            self.day = day;
            append(&live, self.header);
        }
        let row = format!("{}{}{value}\n", local.strftime("%m/%d/%Y %H:%M:%S"), self.separator);
        let (first, rest) = row.split_at(value as usize % row.len());
        append(&live, first);
        append(&live, rest);
    }

    fn rotate(&self, live: &Path) {
        let folder = self.path.join(&self.day);
        fs::create_dir_all(&folder).unwrap();
        let (moved, packed) =
            (folder.join(format!("{}.csv", self.name)), folder.join(format!("{}.csv.gz", self.name)));
        let plain = if let Style::Move = self.style { &moved } else { live };
        if let Style::Move = self.style {
            fs::rename(live, &moved).unwrap();
        }
        let text = fs::read_to_string(plain).unwrap();
        fs::write(packed, pack(&text)).unwrap();
        match self.style {
            Style::Empty => drop(File::create(live).unwrap()),
            Style::Move | Style::Pack => fs::remove_file(plain).unwrap(),
        }
    }
}

/// The number of times that each row's value was read, by metric.
fn counts(directory: &mut Directory, counts: &mut BTreeMap<(String, u32), u32>) {
    directory.look();
    while let Some(batch) = directory.next(at(NOW)) {
        for (key, _, samples) in batch.iter() {
            let name = Labels::from_key(key).name().to_string();
            for sample in samples {
                *counts.entry((name.clone(), sample.value as u32)).or_default() += 1;
            }
        }
    }
}

#[test]
fn over_many_midnights_every_row_is_read_once() {
    const ROWS: u32 = 600;
    let dir = tempfile::tempdir().unwrap();
    let writer = |name, header, separator, style| Writer {
        path: dir.path().into(),
        name,
        header,
        separator,
        day: String::new(),
        style,
    };
    let mut writers = [
        writer("fd", "timestamp, n\n", ", ", Style::Move),
        writer("mailboxd", "timestamp,n\n", ",", Style::Pack),
        writer("mysql", "timestamp, n\n", ",", Style::Empty),
    ];
    let (mut directory, metrics) = reader(dir.path(), "2026-01-01T00:00:00Z");
    let (mut found, is_done) = (BTreeMap::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Twelve rows a day, over both nights in which the clocks change and all between them.
            let start: DateTime = "2026-03-28T01:10:00".parse().unwrap();
            for row in 0..ROWS {
                let local = start.checked_add(jiff::Span::new().hours(2 * i64::from(row))).unwrap();
                for writer in &mut writers {
                    writer.row(local, row);
                }
                std::thread::sleep(Duration::from_micros(u64::from(row % 7) * 300));
            }
            is_done.store(true, Ordering::Release);
        });
        while !is_done.load(Ordering::Acquire) {
            counts(&mut directory, &mut found);
            std::thread::sleep(Duration::from_micros(500));
        }
    });
    counts(&mut directory, &mut found);
    for metric in ["fd_n", "mailboxd_n", "mysql_global_status_n"] {
        let wrong: Vec<_> = (0..ROWS)
            .map(|row| (row, found.get(&(metric.to_string(), row)).copied().unwrap_or(0)))
            .filter(|(_, times)| *times != 1)
            .collect();
        assert_eq!(wrong, [], "{metric}");
    }
    for reason in ["cut_line", "width", "time", "no_header", "backwards"] {
        assert_eq!(dropped(&metrics, reason), 0, "{reason}");
    }

    // Whoever begins now finds the same in the folders.
    let mut again = BTreeMap::new();
    counts(&mut reader(dir.path(), "2026-01-01T00:00:00Z").0, &mut again);
    assert_eq!(again, found);
}

#[test]
fn the_hour_that_comes_twice_is_read_twice_also_by_whoever_begins_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("timestamp, n\n");
    for (hour, n) in [(1, 0), (2, 1), (2, 2), (3, 3)] {
        for minute in [0, 30] {
            text.push_str(&format!("10/25/2026 0{hour}:{minute:02}:00, {n}\n"));
        }
    }
    append(&dir.path().join("q.csv"), &text);
    let (mut directory, _) = reader(dir.path(), "2026-10-25T00:30:00Z");
    let want = ["q_n=2@01:00:00", "q_n=2@01:30:00", "q_n=3@02:00:00", "q_n=3@02:30:00"];
    assert_eq!(read_on(&mut directory), want);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn written_in_pieces_is_as_written_at_once(cuts in prop::collection::vec(0usize..400, 0..12)) {
        let texts = [
            ("fd", "timestamp, fd_count\n11/29/2026 12:00:00, 1\nbad\n11/29/2026 12:00:30, 2\ntimestamp, x, fd_count\n11/29/2026 12:01:00, 9, 3\n"),
            ("soap", "timestamp,command,exec_count,exec_ms_avg\r\n11/29/2026 12:00:00,AuthRequest,2,0.25\r\n11/29/2026 12:01:00,NoOpRequest,0,0\r\n"),
        ];
        let run = |cuts: &[usize]| {
            let dir = tempfile::tempdir().unwrap();
            let (mut directory, _) = reader(dir.path(), "2026-11-20T00:00:00Z");
            let mut found = Vec::new();
            let mut done = 0;
            for cut in cuts.iter().copied().chain([400]) {
                for (file, text) in texts {
                    let piece = &text[done.min(text.len())..cut.min(text.len())];
                    append(&dir.path().join(format!("{file}.csv")), piece);
                }
                done = cut;
                found.extend(read_on(&mut directory));
            }
            found.sort();
            found
        };
        let mut cuts = cuts;
        cuts.sort_unstable();
        prop_assert_eq!(run(&cuts), run(&[]));
    }
}
