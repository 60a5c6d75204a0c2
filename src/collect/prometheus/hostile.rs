//! Every file under `fixtures/hostile` that is meant for these parsers, each with what must become of it.
//!
//! Beside `NAME.ext` stands `NAME.want`: the samples that are read and the errors that are told.

use std::fmt::Write;
use std::path::Path;

use super::text::{Format, Scanner};
use super::{matrix, remote_write};
use crate::sample::{Batch, Labels, ValueKind};

const BYTES_MAX: usize = 1 << 20;

/// Holds each file of `folder` against its `.want`.
fn check(folder: &str, files_min: usize, outcome: impl Fn(&str, Vec<u8>) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile").join(folder);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().unwrap().to_str().unwrap();
        if extension == "want" {
            continue;
        }
        files += 1;
        let outcome = outcome(extension, std::fs::read(&path).unwrap());
        let want = std::fs::read_to_string(path.with_extension("want")).unwrap_or_default();
        assert_eq!(outcome, want, "{}", path.display());
    }
    assert!(files >= files_min, "only {files} files in {}", folder.display());
}

fn rows(batch: &Batch) -> String {
    let mut text = String::new();
    for (key, _, samples) in batch.iter() {
        let series = Labels::from_key(key);
        for sample in samples {
            writeln!(text, "{series} {} @{}", sample.value, sample.at.0).unwrap();
        }
    }
    text
}

#[test]
fn hostile_pages() {
    check("pages", 10, |extension, mut page| {
        let format = if extension == "om" { Format::OpenMetrics } else { Format::Text };
        let mut scanner = Scanner::new(format);
        let (mut rest, mut labels, mut text) = (page.as_mut_slice(), Vec::new(), String::new());
        while let Some(read) = scanner.next(&mut rest, &mut labels) {
            match read {
                Ok(line) => {
                    let at = line.at.map_or(String::new(), |at| format!(" @{}", at.0));
                    writeln!(text, "{:?} {}{at}", Labels::new(&labels), line.value).unwrap();
                }
                Err(error) => writeln!(text, "{error}").unwrap(),
            }
        }
        if let Err(error) = scanner.finish() {
            writeln!(text, "{error}").unwrap();
        }
        text
    });
}

#[test]
fn hostile_remote_writes() {
    check("remote_write", 15, |_, body| {
        match remote_write::decode(&body, BYTES_MAX, "remote_write".into()) {
            Ok(decoded) => format!("{}{:?}\n", rows(&decoded.batch), decoded.skipped),
            Err(error) => format!("{} {error}\n", error.status()),
        }
    });
}

#[test]
fn hostile_query_ranges() {
    check("query_range", 10, |_, answer| {
        let mut batch = Batch::new("prometheus:test".into());
        match matrix::read(&answer, |_| ValueKind::Unknown, &mut batch) {
            Ok(()) => format!("{}{} samples\n", rows(&batch), batch.len()),
            Err(error) => format!("{error}\n"),
        }
    });
}

#[test]
fn a_line_of_a_million_labels_is_read_in_reasonable_time() {
    let labels: Vec<String> = (0..1_000_000).map(|i| format!("l{i}=\"x\"")).collect();
    let mut page = format!("m{{{}}} 1\n", labels.join(",")).into_bytes();
    let mut labels = Vec::new();
    let started = std::time::Instant::now();
    let line = Scanner::new(Format::Text).next(&mut page.as_mut_slice(), &mut labels);
    assert!(line.unwrap().is_ok() && labels.len() == 1_000_001);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
