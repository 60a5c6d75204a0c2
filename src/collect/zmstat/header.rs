//! The columns that a header names, as the series that they are.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::names;
use crate::sample::{METRIC_NAME, ValueKind, write_key};

/// Columns of one header: ten times those of the widest file there is.
pub const COLUMNS_MAX: usize = 4096;

/// A column of numbers.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its place in a row.
    pub cell: usize,
    pub metric: String,
    pub kind: ValueKind,
    /// The canonical key of its series, where no cell of the row is a label.
    pub key: Vec<u8>,
    /// For a mean time: where the row says how many calls it is the mean of, if it does.
    pub mean_of: Option<Option<usize>>,
}

/// What one header says of the rows below it.
#[derive(Clone, Debug)]
pub struct Header {
    /// Cells of a row.
    pub width: usize,
    pub time: usize,
    pub columns: Vec<Column>,
    /// Cells that are labels.
    pub labels: Vec<(usize, &'static str)>,
}

impl Header {
    /// Reads the header of `FILE.csv` from `line`, which `split` has cut; of equal names the first counts. `None`
    /// where there are too many columns.
    pub fn read(file: &str, host: &str, line: &[u8], cells: &[Range<usize>]) -> Option<Self> {
        let names: Vec<_> = cells.iter().map(|cell| String::from_utf8_lossy(content(line, cell))).collect();
        // A comma at the end names nothing.
        let width = names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        if width > COLUMNS_MAX {
            return None;
        }
        let mut header = Header { width, time: 0, columns: Vec::new(), labels: Vec::new() };
        let mut seen = std::collections::BTreeSet::new();
        for (cell, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if is_timestamp(name.as_bytes()) {
                header.time = cell;
                continue;
            }
            if let Some(label) = names::label(file, name) {
                header.labels.push((cell, label));
                continue;
            }
            let metric = names::metric(file, name);
            if !seen.insert(metric.clone()) {
                continue;
            }
            let counts = name.strip_suffix("_ms_avg").map(|stem| {
                let count = format!("{stem}_count");
                names.iter().position(|name| *name == count)
            });
            let mut key = Vec::new();
            write_key(&mut [(METRIC_NAME, metric.as_str()), ("host", host)], &mut key);
            let kind = names::kind(file, name);
            header.columns.push(Column { cell, metric, kind, key, mean_of: counts });
        }
        Some(header)
    }
}

/// The name by which a header is known.
pub fn is_timestamp(cell: &[u8]) -> bool {
    cell.eq_ignore_ascii_case(b"timestamp")
}

/// Cuts a line at its commas, but not at those within double quotes, if these are closed.
pub fn split(line: &[u8], cells: &mut Vec<Range<usize>>) {
    cells.clear();
    let mut start = 0;
    let has_quotes = memchr(b'"', line).is_some() && memchr_iter(b'"', line).count().is_multiple_of(2);
    let mut is_quoted = false;
    for (i, byte) in line.iter().enumerate() {
        match byte {
            b'"' if has_quotes => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                cells.push(start..i);
                start = i + 1;
            }
            _ => {}
        }
    }
    cells.push(start..line.len());
}

/// What a cell says: without the spaces around it and its double quotes.
pub fn content<'l>(line: &'l [u8], cell: &Range<usize>) -> &'l [u8] {
    let text = line[cell.clone()].trim_ascii();
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}
