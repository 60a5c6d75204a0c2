//! Every instruction set gives the same bits: the binary scores and replays on emulated processors of three generations.
//!
//! Without a vector unit beyond SSE2, with AVX2, and on this machine with whatever it has, which is AVX-512 where the
//! machine has it. The emulator is Debian's qemu-user-static, unpacked by `make peers`; `make test` runs this in the
//! release build, as only an optimised one has vector code.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

const ROWS: usize = 1_500;
const ODD: std::ops::Range<usize> = 1_200..1_212;

/// A name that the emulator knows, and what it has.
const PROCESSORS: [(&str, &str); 2] = [("Nehalem", "SSE4.2"), ("Haswell", "AVX2")];

fn emulator() -> PathBuf {
    let emulator = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/usr/bin/qemu-x86_64-static");
    assert!(emulator.exists(), "{} is not there: run `make peers` once", emulator.display());
    emulator
}

/// Five minutes a row: waves, noise, a gap, and something odd in the first half of the columns.
fn recording(columns: usize) -> String {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(columns as u64);
    let mut text = String::from("timestamp");
    (0..columns).for_each(|column| write!(text, ",c{column}").unwrap());
    for n in 0..ROWS {
        write!(text, "\n{}", 1_700_000_000 + 300 * n).unwrap();
        let load: f64 = rng.sample(StandardNormal);
        for column in 0..columns {
            let noise: f64 = rng.sample(StandardNormal);
            let wave = 5.0 * (n as f64 / 288.0 * std::f64::consts::TAU).sin();
            let odd = if ODD.contains(&n) && 2 * column < columns { 15.0 } else { 0.0 };
            let value = 100.0 * (column + 1) as f64 + wave + load + noise + odd;
            if n == 700 { text.push(',') } else { write!(text, ",{value}").unwrap() }
        }
    }
    text + "\n"
}

/// What the product says of `arguments` here and on each emulated processor.
fn said(arguments: &[&str]) -> Vec<(&'static str, Vec<u8>)> {
    let binary = env!("CARGO_BIN_EXE_foreshock");
    let native = ("this machine", Command::new(binary));
    let emulated = PROCESSORS.map(|(processor, has)| {
        let mut command = Command::new(emulator());
        command.args(["-cpu", processor, binary]);
        (has, command)
    });
    let run = |(has, mut command): (&'static str, Command)| {
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{has}: {}", String::from_utf8_lossy(&output.stderr));
        (has, output.stdout)
    };
    std::iter::once(native).chain(emulated).map(run).collect()
}

fn assert_same(said: &[(&str, Vec<u8>)]) {
    for (has, bytes) in &said[1..] {
        assert!(*bytes == said[0].1, "{has} says otherwise than {}", said[0].0);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "only an optimised build has vector code")]
fn scores_of_one_signal_and_of_many_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for columns in [1, 20] {
        let input = folder.path().join(format!("{columns}.csv"));
        fs::write(&input, recording(columns)).unwrap();
        let said = said(&["score", "--per-signal", "--input", input.to_str().unwrap()]);
        let text = String::from_utf8(said[0].1.clone()).unwrap();
        let odd = text.lines().skip(1 + ODD.start).take(ODD.len());
        let alert_score = |line: &str| line.split(',').nth(2).unwrap().parse::<f64>().unwrap();
        assert!(odd.map(alert_score).any(|score| score >= 0.5), "something odd is told");
        assert_same(&said);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "only an optimised build has vector code")]
fn the_events_of_a_replay_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (input, config) = (folder.path().join("host.csv"), folder.path().join("foreshock.yaml"));
    fs::write(&input, recording(20)).unwrap();
    fs::write(&config, "site: test\nstep_seconds: 300\nremote_write: {}\n").unwrap();
    let said = said(&["replay", "--config", config.to_str().unwrap(), "--input", input.to_str().unwrap()]);
    let text = String::from_utf8(said[0].1.clone()).unwrap();
    assert!(text.contains("opened"), "something odd is an incident: {text}");
    assert_same(&said);
}
