//! Every file of `fixtures/hostile/recordings` says what is wrong with it, and takes no memory to say it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use foreshock::collect::recording::columns::{Columns, RecordingLimits};
use foreshock::collect::recording::read;
use indicatif::ProgressBar;

/// File, and what must be told of it.
const FILES: [(&str, &str); 20] = [
    ("after_the_end.om", "left out 1 lines; the first: line 3: nothing may follow `# EOF`"),
    ("answer_is_an_error.json", "the recorded answer is an error: timeout: query timed out"),
    ("backwards.csv", "line 3: time goes backwards"),
    ("bare_value.json", "a value in quotes"),
    ("binary.om", "no line of it could be used; line 1: "),
    ("cut.csv.gz", "incomplete deflate stream"),
    ("cut.json", "EOF while parsing"),
    ("deep.json", "the recorded answer has no `data`"),
    ("endless_line.csv.gz", "line 2: longer than 4194304 bytes"),
    ("endless_line.om.gz", "a line longer than 1048576 bytes"),
    ("endless_string.json.gz", "67108864 bytes without a sample"),
    ("millisecond_times.om", "OpenMetrics writes seconds, not milliseconds"),
    ("milliseconds.csv", "line 2: `1577836800000` is no time"),
    ("no_header.csv", "line 1: the first line must name the columns"),
    ("no_times.om", "a sample of up has no time"),
    ("not_gzip.csv.gz", "invalid gzip header"),
    ("not_utf8.csv", "line 2: `\u{fffd}\u{fffd}` is no time"),
    ("open_quote.csv", "line 2: a quote that is never closed"),
    ("ragged.csv", "line 3: it has 2 columns, the header 3"),
    ("scalar.json", "a series with `metric`"),
];

#[test]
fn every_hostile_recording_says_what_is_wrong_with_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile/recordings");
    for (name, want) in FILES {
        let mut columns = Columns::new(RecordingLimits { series_max: 100, samples_max: 100_000 });
        let mut told = String::new();
        let mut remark = |what: String| told.push_str(&what);
        let path = folder.join(name);
        let outcome = read(&path, "host", &mut columns, &ProgressBar::hidden(), &mut remark);
        if let Err(error) = outcome {
            told = error.to_string();
        }
        assert!(told.contains(want) && told.contains(name), "{name}: {told}");
    }
}

#[test]
fn the_table_names_every_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile/recordings");
    let there: BTreeSet<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let named: BTreeSet<String> = FILES.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(there, named);
}
