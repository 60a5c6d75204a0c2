//! The score CSV: a time and the signals of one entity in each row, read strictly in one pass.
//!
//! The column named `timestamp` (any case; else the first) is the time: RFC 3339, `YYYY-MM-DD HH:MM:SS`
//! read as UTC, or epoch seconds. A column named `label` is no signal: it is what `eval` measures against.
//! A column without a name is left alone. Every other column
//! is a signal unless its first cell is text; that is settled by the first row, so that what is read from the first
//! half of a file is what is read from the first half of the whole. Empty cells, NaN and infinities are
//! missing. Rows of equal time are rows; a row that goes back in time is an error.

use std::collections::BTreeSet;
use std::io::BufRead;

use super::csv_records::{RecordError, Records};
use crate::sample::Timestamp;

/// Why a file is no score CSV. Lines are 1-based.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("it is empty: the first line must name the columns, as in `timestamp,value`")]
    Empty,
    #[error(
        "line {line}: the first line must name the columns, as in `timestamp,value`, not begin with the data"
    )]
    NoHeader { line: u64 },
    #[error("line {line}: two columns are named `{name}`")]
    Twice { line: u64, name: String },
    #[error("line {line}: it has {found} columns, the header {want}")]
    Columns { line: u64, found: usize, want: usize },
    #[error("line {line}: `{text}` is no time; write RFC 3339, `YYYY-MM-DD HH:MM:SS` (UTC) or epoch seconds")]
    Time { line: u64, text: String },
    #[error("line {line}: time goes backwards, from {before} to {at}; sort the rows by time")]
    Backwards { line: u64, before: Timestamp, at: Timestamp },
}

/// One row: a tick of all signals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub line: u64,
    pub at: Timestamp,
    /// The cell of the time as it stood, quotes and all.
    pub timestamp: Vec<u8>,
    /// One value a signal, in the file's order; NaN is missing.
    pub values: Vec<f64>,
    /// Whether somebody found the row anomalous; `None` where nobody said.
    pub label: Option<bool>,
}

/// A score CSV being read.
pub struct ScoreCsv<R> {
    records: Records<R>,
    columns: usize,
    time_column: usize,
    /// Name and column of each signal.
    signals: Vec<(String, usize)>,
    label_column: Option<usize>,
    /// The first row is read with the header, since it settles which columns are signals.
    first_waits: bool,
    before: Timestamp,
    text_cells: u64,
}

impl<R: BufRead> ScoreCsv<R> {
    /// Reads the header and looks at the first row.
    pub fn new(input: R) -> Result<Self, CsvError> {
        let mut records = Records::new(input);
        if !records.advance()? {
            return Err(CsvError::Empty);
        }
        let line = records.line();
        let names: Vec<String> = (0..records.len()).map(|i| name_of(&records.content(i), i)).collect();
        if time_of(names[0].as_bytes()).is_some() {
            return Err(CsvError::NoHeader { line });
        }
        let mut seen = BTreeSet::new();
        for name in &names {
            if !name.is_empty() && !seen.insert(name) {
                return Err(CsvError::Twice { line, name: name.clone() });
            }
        }
        let time_column = names.iter().position(|n| n.eq_ignore_ascii_case("timestamp")).unwrap_or(0);
        let label_column = names.iter().position(|n| n.eq_ignore_ascii_case("label"));
        let first_waits = records.advance()?;
        let is_text =
            |i: usize| first_waits && i < records.len() && matches!(cell_of(&records.content(i)), Cell::Text);
        let columns = names.len();
        let signals = names
            .into_iter()
            .enumerate()
            .filter(|(i, name)| {
                let other = *i == time_column || name.is_empty() || name.eq_ignore_ascii_case("label");
                !other && !is_text(*i)
            })
            .map(|(i, name)| (name, i))
            .collect();
        Ok(ScoreCsv {
            records,
            columns,
            time_column,
            signals,
            label_column,
            first_waits,
            before: Timestamp::MIN,
            text_cells: 0,
        })
    }

    /// Names of the signals, in the file's order.
    pub fn signals(&self) -> impl ExactSizeIterator<Item = &str> {
        self.signals.iter().map(|(name, _)| name.as_str())
    }

    /// Whether rows may be labelled.
    pub fn has_labels(&self) -> bool {
        self.label_column.is_some()
    }

    /// Cells so far that should hold a number and hold text; they count as missing.
    pub fn text_cells(&self) -> u64 {
        self.text_cells
    }

    /// Fills `row` with the next row; false at the end.
    pub fn next_row(&mut self, row: &mut Row) -> Result<bool, CsvError> {
        if !self.first_waits && !self.records.advance()? {
            return Ok(false);
        }
        self.first_waits = false;
        let line = self.records.line();
        if self.records.len() != self.columns {
            return Err(CsvError::Columns { line, found: self.records.len(), want: self.columns });
        }
        let time = self.records.content(self.time_column);
        let Some(at) = time_of(&time) else {
            let text = String::from_utf8_lossy(&time).chars().take(80).collect();
            return Err(CsvError::Time { line, text });
        };
        if at < self.before {
            return Err(CsvError::Backwards { line, before: self.before, at });
        }
        self.before = at;
        row.line = line;
        row.at = at;
        row.timestamp.clear();
        row.timestamp.extend_from_slice(self.records.raw(self.time_column));
        row.values.clear();
        for &(_, column) in &self.signals {
            let value = match cell_of(&self.records.content(column)) {
                Cell::Number(value) => value,
                Cell::Missing => f64::NAN,
                Cell::Text => {
                    self.text_cells += 1;
                    f64::NAN
                }
            };
            row.values.push(value);
        }
        row.label = self.label_column.and_then(|column| match cell_of(&self.records.content(column)) {
            Cell::Number(value) => Some(value != 0.0),
            Cell::Missing | Cell::Text => None,
        });
        Ok(true)
    }
}

fn name_of(cell: &[u8], column: usize) -> String {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let cell = if column == 0 { cell.strip_prefix(BYTE_ORDER_MARK).unwrap_or(cell) } else { cell };
    String::from_utf8_lossy(cell.trim_ascii()).trim_matches('"').to_string()
}

enum Cell {
    Number(f64),
    Missing,
    Text,
}

fn cell_of(content: &[u8]) -> Cell {
    if let Ok(value) = fast_float2::parse::<f64, _>(content) {
        return if value.is_finite() { Cell::Number(value) } else { Cell::Missing };
    }
    const MISSING: [&[u8]; 6] = [b"", b"null", b"none", b"na", b"n/a", b"-"];
    if MISSING.iter().any(|word| content.eq_ignore_ascii_case(word)) { Cell::Missing } else { Cell::Text }
}

/// The instant that `content` writes, in any of the ways above.
pub fn time_of(content: &[u8]) -> Option<Timestamp> {
    /// The last second of the year 9999: beyond it somebody meant milliseconds.
    const SECONDS_MAX: f64 = 253_402_300_799.0;
    if let Ok(seconds) = fast_float2::parse::<f64, _>(content) {
        return (seconds.abs() <= SECONDS_MAX).then(|| Timestamp::from_seconds(seconds));
    }
    let text = std::str::from_utf8(content).ok()?;
    Timestamp::parse_rfc3339(text).or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        let utc = jiff::tz::TimeZone::UTC.to_timestamp(local).ok()?;
        Some(Timestamp(utc.as_millisecond()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(text: &str) -> Result<(Vec<String>, Vec<Row>), CsvError> {
        let mut csv = ScoreCsv::new(text.as_bytes())?;
        let signals = csv.signals().map(str::to_string).collect();
        let mut rows = Vec::new();
        let mut row = Row::default();
        while csv.next_row(&mut row)? {
            rows.push(row.clone());
        }
        Ok((signals, rows))
    }

    fn fails(text: &str, want: &str) {
        assert_eq!(rows_of(text).unwrap_err().to_string(), want, "{text:?}");
    }

    #[test]
    fn every_column_but_time_label_and_text_is_a_signal() {
        let text = "TimeStamp,cpu,host,LABEL,mem\n1577836800,1,mail1,0,2\n1577836860,3,mail1,1,4\n";
        let (signals, rows) = rows_of(text).unwrap();
        assert_eq!(signals, ["cpu", "mem"]);
        assert_eq!(rows[1].values, [3.0, 4.0]);
        assert_eq!(rows[1].line, 3);
        assert_eq!((rows[0].label, rows[1].label), (Some(false), Some(true)));
        let (_, rows) = rows_of("timestamp,v,label\n0,1,\n1,1,1.0\n2,1,?\n").unwrap();
        assert_eq!(rows.iter().map(|row| row.label).collect::<Vec<_>>(), [None, Some(true), None]);
        assert_eq!(rows_of("value,timestamp\n7,0\n").unwrap().0, ["value"]);
        assert_eq!(rows_of(",timestamp,value,\n0,0,7,\n").unwrap().0, ["value"]);
        assert_eq!(rows_of("time,value\n0,7\n").unwrap().0, ["value"]);
        assert_eq!(rows_of("\u{feff}timestamp,a,b\n").unwrap().0, ["a", "b"]);
    }

    #[test]
    fn every_way_to_write_a_time_is_one_instant() {
        for text in [
            "1577880000",
            "1577880000.0",
            "1.57788e9",
            "2020-01-01T12:00:00Z",
            "2020-01-01T13:00:00.000+01:00",
            "2020-01-01 12:00:00",
            "2020-01-01T12:00:00",
        ] {
            let (_, rows) = rows_of(&format!("timestamp,value\n\"{text}\",1\n")).unwrap();
            assert_eq!(rows[0].at, Timestamp(1_577_880_000_000), "{text}");
            assert_eq!(rows[0].timestamp, format!("\"{text}\"").as_bytes());
        }
    }

    #[test]
    fn what_is_no_number_is_missing_and_never_zero() {
        let mut csv = ScoreCsv::new(&b"timestamp,a,b,c\n0,,NaN,1\n1,inf,N/A,x\n"[..]).unwrap();
        let mut row = Row::default();
        assert!(csv.next_row(&mut row).unwrap());
        assert!(row.values[0].is_nan() && row.values[1].is_nan() && row.values[2] == 1.0);
        assert!(csv.next_row(&mut row).unwrap());
        assert!(row.values.iter().all(|v| v.is_nan()));
        assert_eq!(csv.text_cells(), 1);
    }

    #[test]
    fn rows_of_equal_time_are_rows() {
        assert_eq!(rows_of("timestamp,v\n5,1\n5,2\n5,3\n").unwrap().1.len(), 3);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        fails("", "it is empty: the first line must name the columns, as in `timestamp,value`");
        fails(
            "timestamp,v\n5,1\n\n4,2\n",
            "line 4: time goes backwards, from 1970-01-01T00:00:05.000Z to 1970-01-01T00:00:04.000Z; sort the rows by time",
        );
        fails("timestamp,v\n5\n", "line 2: it has 1 columns, the header 2");
        fails(
            "timestamp,v\nsoon,1\n",
            "line 2: `soon` is no time; write RFC 3339, `YYYY-MM-DD HH:MM:SS` (UTC) or epoch seconds",
        );
        fails(
            "timestamp,v\n1577880000000,1\n",
            "line 2: `1577880000000` is no time; write RFC 3339, `YYYY-MM-DD HH:MM:SS` (UTC) or epoch seconds",
        );
        fails(
            "5,1\n6,2\n",
            "line 1: the first line must name the columns, as in `timestamp,value`, not begin with the data",
        );
        fails("timestamp,v,v\n", "line 1: two columns are named `v`");
    }
}
