//! A fortnight of a site in memory: 1,300 series a minute apart, replayed in under 1 GiB.
//!
//! Takes minutes and writes some 200 MB, so it runs when asked for:
//! `cargo test --release --test replay_memory -- --ignored --nocapture`. `FORESHOCK_SAMPLES` sets another
//! number of samples.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

const SERIES: u64 = 1_300;
const START_SECONDS: u64 = 1_714_521_600;
const RSS_KIB_MAX: u64 = 1 << 20;

/// A dump as promtool writes it: family after family, series after series.
fn write_dump(path: &Path, samples: u64) {
    let file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut out = BufWriter::with_capacity(1 << 16, GzEncoder::new(file, Compression::fast()));
    let mut random = 1u64;
    for series in 0..SERIES {
        let (family, instance) = (series / 10, series % 10);
        if instance == 0 {
            writeln!(out, "# TYPE host_metric_{family} gauge").unwrap();
        }
        let labels = format!("{{instance=\"mail{instance}.example.org:9100\",job=\"node\"}}");
        let mut level = 0.0;
        for minute in 0..samples / SERIES {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (random >> 40) as f64 / (1u64 << 24) as f64 - 0.5;
            level = 0.9 * level + noise;
            let day = (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
            let value = 100.0 + 20.0 * day + 3.0 * level;
            writeln!(out, "host_metric_{family}{labels} {value:.3} {}", START_SECONDS + minute * 60).unwrap();
        }
    }
    writeln!(out, "# EOF").unwrap();
    let gzip = out.into_inner().unwrap_or_else(|e| panic!("{}", e.error()));
    gzip.finish().unwrap().flush().unwrap();
}

/// The high-water mark of a process that still runs.
fn peak_rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[test]
#[ignore = "takes minutes; see the head of this file"]
fn a_fortnight_fits_into_a_gibibyte() {
    let samples = std::env::var("FORESHOCK_SAMPLES").map_or(23_400_000, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("foreshock.yaml");
    fs::write(&config, "site: test\nstep_seconds: 60\n").unwrap();
    let dump = folder.path().join("fortnight.om.gz");
    write_dump(&dump, samples);
    println!("{} bytes of .gz", fs::metadata(&dump).unwrap().len());

    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_foreshock"))
        .arg("replay")
        .args([Path::new("--config"), &config, Path::new("--input"), &dump])
        .stdout(Stdio::from(File::create(folder.path().join("events.jsonl")).unwrap()))
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak_rss_kib(child.id()).unwrap_or(0).max(peak);
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    println!("{samples} samples in {:.1} s, {} MiB at the peak", started.elapsed().as_secs_f64(), peak >> 10);
    assert!(status.success());
    assert!(peak > 0 && peak < RSS_KIB_MAX, "{peak} KiB");
}
