//! `foreshock score` as a user runs it: files, pipes, and the labelled recordings beside this folder.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

fn foreshock() -> Command {
    Command::new(env!("CARGO_BIN_EXE_foreshock"))
}

fn score(input: &Path, output: &Path) -> Output {
    foreshock().arg("score").arg("--input").arg(input).arg("--output").arg(output).output().unwrap()
}

/// Scores `text` from standard input to standard output.
fn piped(text: &str) -> String {
    let mut child = foreshock().arg("score").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_string();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn recording(rows: usize) -> String {
    let row = |i: usize| format!("{},{}\n", i * 60, (i * 7919 % 101) as f64 / 10.0);
    format!("timestamp,value\n{}", (0..rows).map(row).collect::<String>())
}

#[test]
fn files_and_pipes_packed_and_plain_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let text = recording(300);
    let plain = folder.path().join("in.csv");
    fs::write(&plain, &text).unwrap();
    let packed = folder.path().join("in.csv.gz");
    let mut gzip = GzEncoder::new(fs::File::create(&packed).unwrap(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap();

    let want = piped(&text);
    assert_eq!(want.lines().count(), 301);
    for input in [&plain, &packed] {
        for name in ["out.csv", "out.csv.gz"] {
            let path = folder.path().join(name);
            let output = score(input, &path);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let bytes = fs::read(&path).unwrap();
            let found = if name.ends_with(".gz") {
                let mut text = String::new();
                GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
                text
            } else {
                String::from_utf8(bytes).unwrap()
            };
            assert_eq!(found, want);
        }
    }
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.csv");
    fs::write(&input, recording(20_000)).unwrap();
    let mut child = foreshock()
        .arg("score")
        .arg("--input")
        .arg(&input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn errors_name_the_file_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.csv");
    let output = folder.path().join("out.csv");
    let fails = |want: &str| {
        let result = score(&input, &output);
        assert!(!result.status.success());
        let stderr = String::from_utf8(result.stderr).unwrap();
        assert!(stderr.contains(want) && stderr.contains("in.csv"), "{stderr}");
    };
    fails("No such file");
    fs::write(&input, "timestamp,value\n60,1\n0,2\n").unwrap();
    fails("line 3: time goes backwards");
    fs::write(&input, "timestamp,value\n60,1\nlater,2\n").unwrap();
    fails("line 3: `later` is no time");

    let onto_itself = score(&input, &input);
    assert!(String::from_utf8(onto_itself.stderr).unwrap().contains("are the same file"));
    assert!(fs::read_to_string(&input).unwrap().starts_with("timestamp"));
}

/// CSV files with labels, kept beside this folder on machines where detectors are measured.
fn labelled_recordings() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            // petshop's tables are wide exports of another shape.
            if path.is_dir() && !path.ends_with("petshop") {
                folders.push(path);
            } else if path.to_string_lossy().trim_end_matches(".gz").ends_with(".csv") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn text_of(path: &Path) -> String {
    let mut bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|ending| ending == "gz") {
        let packed = std::mem::take(&mut bytes);
        GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn every_labelled_recording_is_scored_row_by_row_and_halves_agree() {
    let files = labelled_recordings();
    if files.is_empty() {
        // Straight to the stream: what a passing test prints is otherwise swallowed.
        writeln!(io::stderr(), "SKIPPED: no recordings in ../shared/data; nothing was scored").unwrap();
        return;
    }
    // An unoptimised build would take minutes over the longest; `make test` takes them whole in an optimised one.
    let rows_max = if cfg!(debug_assertions) { 3_000 } else { usize::MAX };
    for path in &files {
        let text = text_of(path);
        let lines: Vec<&str> = text.split_inclusive('\n').take(rows_max).collect();
        let text = lines.concat();
        let whole = piped(&text);
        assert_eq!(whole.lines().count(), lines.len(), "{}", path.display());
        for (row, scored) in lines.iter().zip(whole.lines()).skip(1) {
            assert_eq!(row.split(',').next(), scored.split(',').next(), "{}", path.display());
        }
        let half = piped(&lines[..lines.len() / 2].concat());
        assert!(whole.starts_with(&half), "{}", path.display());
    }
}

/// CPU that children which have ended took, in seconds; Linux counts it in hundredths.
#[cfg(not(debug_assertions))]
fn cpu_seconds_of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The command's name, in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let [user, system] = [fields[13], fields[14]].map(|ticks| ticks.parse::<f64>().unwrap());
    (user + system) / 100.0
}

/// All of the Numenta Anomaly Benchmark in a fraction of what a coffee takes. Meaningless in an unoptimised build.
#[test]
#[cfg(not(debug_assertions))]
fn the_public_benchmark_takes_less_than_20_seconds_of_cpu() {
    let files: Vec<PathBuf> = labelled_recordings()
        .into_iter()
        .filter(|path| path.components().any(|c| c.as_os_str() == "nab"))
        .collect();
    if files.is_empty() {
        writeln!(io::stderr(), "SKIPPED: no recordings in ../shared/data; nothing was timed").unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.csv");
    let before = cpu_seconds_of_children();
    for path in &files {
        let result = score(path, &output);
        assert!(result.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&result.stderr));
    }
    let cpu_seconds = cpu_seconds_of_children() - before;
    writeln!(io::stderr(), "{} files, {cpu_seconds:.2} s of CPU", files.len()).unwrap();
    assert!(cpu_seconds < 20.0, "{cpu_seconds}");
}
