//! Recorded data: files of a monitoring system's past, put in order of time and handed over tick by tick.
//!
//! All files of a replay become columns first (`columns`), since none of the formats stands in the order
//! in which the engine wants it. A file's ending says its format: `.json` a range query, `.csv` the score
//! CSV, anything else OpenMetrics; each may be followed by `.gz`.

pub mod columns;
pub mod csv_records;
pub mod input;
pub mod openmetrics;
pub mod query_range;
pub mod score_csv;

use std::ffi::OsStr;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use columns::{Columns, Full};
use openmetrics::OpenMetricsError;
use query_range::QueryRangeError;
use score_csv::{CsvError, Row, ScoreCsv};

use crate::sample::{METRIC_NAME, ValueKind, write_key};

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    OpenMetrics { path: PathBuf, source: OpenMetricsError },
    #[error("{path}: {source}")]
    QueryRange { path: PathBuf, source: QueryRangeError },
    #[error("{path}: {source}")]
    Csv { path: PathBuf, source: CsvError },
    #[error("{path}: {source}")]
    Full { path: PathBuf, source: Full },
}

/// The formats that can be recorded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    QueryRange,
    ScoreCsv,
}

impl Format {
    /// What the ending of `path` says.
    pub fn of(path: &Path) -> Self {
        let plain = if input::is_gzip(path) { path.with_extension("") } else { path.into() };
        match plain.extension().and_then(OsStr::to_str) {
            Some(ending) if ending.eq_ignore_ascii_case("json") => Format::QueryRange,
            Some(ending) if ending.eq_ignore_ascii_case("csv") => Format::ScoreCsv,
            _ => Format::OpenMetrics,
        }
    }
}

/// Reads the file at `path` into `columns`; what is left out of it goes to `remark`, one sentence each.
///
/// The signals of a score CSV get the file's name, without its endings, as their `entity_label`.
/// `progress` moves by bytes on disk.
pub fn read(
    path: &Path,
    entity_label: &str,
    columns: &mut Columns,
    progress: &ProgressBar,
    remark: &mut dyn FnMut(String),
) -> Result<(), RecordingError> {
    let at = || path.to_path_buf();
    let input = input::open(path, progress).map_err(|source| RecordingError::Io { path: at(), source })?;
    match Format::of(path) {
        Format::OpenMetrics => {
            let left_out = openmetrics::read(input, columns)
                .map_err(|source| RecordingError::OpenMetrics { path: at(), source })?;
            if let Some(first) = left_out.first {
                let lines = left_out.lines;
                remark(format!("{}: left out {lines} lines; the first: {first}", path.display()));
            }
            if left_out.cut {
                remark(format!("{}: it does not end with `# EOF`; it may have been cut", path.display()));
            }
        }
        Format::QueryRange => query_range::read(input, columns)
            .map_err(|source| RecordingError::QueryRange { path: at(), source })?,
        Format::ScoreCsv => {
            let csv = ScoreCsv::new(input).map_err(|source| RecordingError::Csv { path: at(), source })?;
            let text_cells = read_csv(csv, path, entity_label, columns)?;
            if text_cells > 0 {
                remark(format!("{}: {text_cells} cells hold no number and count as missing", path.display()));
            }
        }
    }
    Ok(())
}

fn read_csv(
    mut csv: ScoreCsv<impl BufRead>,
    path: &Path,
    entity_label: &str,
    columns: &mut Columns,
) -> Result<u64, RecordingError> {
    let full = |source| RecordingError::Full { path: path.into(), source };
    let entity = entity_of(path);
    let mut ids = Vec::new();
    for signal in csv.signals() {
        let mut key = Vec::new();
        write_key(&mut [(METRIC_NAME, signal), (entity_label, &entity)], &mut key);
        ids.push(columns.column(&key, ValueKind::Unknown).map_err(full)?);
    }
    let mut row = Row::default();
    while csv.next_row(&mut row).map_err(|source| RecordingError::Csv { path: path.into(), source })? {
        for (&id, &value) in ids.iter().zip(&row.values) {
            if !value.is_nan() {
                columns.push(id, row.at, value).map_err(full)?;
            }
        }
    }
    Ok(csv.text_cells())
}

fn entity_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.strip_suffix(".csv").unwrap_or(name).to_string()
}

#[cfg(test)]
mod tests {
    use super::columns::RecordingLimits;
    use super::*;
    use crate::sample::Timestamp;
    use std::fs;

    const LIMITS: RecordingLimits = RecordingLimits { series_max: 10, samples_max: 100 };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn one_recording_of_every_format_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let member = |at: u32| gzip(format!("up{{host=\"a\"}} 1 {at}\n").as_bytes());
        let files: [(&str, Vec<u8>); 3] = [
            // Packed logs that were joined by `cat` are one file of several members.
            ("a.om.gz", [member(10), member(25), gzip(b"# EOF\n")].concat()),
            (
                "b.json",
                br#"{"status":"success","data":{"result":[{"metric":{"__name__":"up","host":"a"},"values":[[40,"0"]]}]}}"#
                    .to_vec(),
            ),
            ("mail.csv.gz", gzip(b"timestamp,load,label\n10,0.5,0\n25,,1\n40,0.7,0\n")),
        ];
        let mut columns = Columns::new(LIMITS);
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let mut remark = |what| panic!("{what}");
            read(&path, "host", &mut columns, &ProgressBar::hidden(), &mut remark).unwrap();
        }
        let mut labels: Vec<String> = columns.labels().map(|l| l.to_string()).collect();
        labels.sort();
        assert_eq!(labels, [r#"load{host="mail"}"#, r#"up{host="a"}"#]);
        assert_eq!(columns.span(), Some((Timestamp(10_000), Timestamp(40_000))));
        let sizes: Vec<usize> =
            columns.into_slices("test".into(), 15, Timestamp::MIN).map(|b| b.len()).collect();
        assert_eq!(sizes, [2, 1, 2]);
    }

    #[test]
    fn the_ending_says_the_format() {
        for (name, want) in [
            ("metrics", Format::OpenMetrics),
            ("x/metrics.prom.gz", Format::OpenMetrics),
            ("range.JSON", Format::QueryRange),
            ("range.json.gz", Format::QueryRange),
            ("machine-1-4.csv.gz", Format::ScoreCsv),
        ] {
            assert_eq!(Format::of(Path::new(name)), want, "{name}");
        }
        assert_eq!(entity_of(Path::new("/data/mail-1.example.csv.gz")), "mail-1.example");
    }

    #[test]
    fn an_error_names_its_file() {
        let mut columns = Columns::new(LIMITS);
        let path = Path::new("no/such.csv");
        let error = read(path, "host", &mut columns, &ProgressBar::hidden(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().starts_with("no/such.csv: "), "{error}");
    }
}
