//! The records of a CSV stream (RFC 4180), each cell as it stood, quotes and all.
//!
//! A reader that only gives the content of cells cannot echo a cell byte for byte; this one can. Costs
//! one copy of each line; memory is bounded by the longest record.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter};

/// The longest record taken: far above the 10,000 columns of a wide export, far below harm.
const RECORD_BYTES_MAX: usize = 4 << 20;

/// Why a record could not be read. Lines are 1-based.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("line {line}: longer than {RECORD_BYTES_MAX} bytes, or a quote that is never closed")]
    TooLong { line: u64 },
    #[error("line {line}: a quote that is never closed")]
    OpenQuote { line: u64 },
}

/// A stream of records; blank lines are none.
pub struct Records<R> {
    input: R,
    record: Vec<u8>,
    cells: Vec<Range<usize>>,
    lines_read: u64,
    /// Where the current record begins.
    line: u64,
}

impl<R: BufRead> Records<R> {
    pub fn new(input: R) -> Self {
        Records { input, record: Vec::new(), cells: Vec::new(), lines_read: 0, line: 0 }
    }

    /// Goes to the next record; false at the end of the stream.
    pub fn advance(&mut self) -> Result<bool, RecordError> {
        loop {
            self.record.clear();
            self.line = self.lines_read + 1;
            if !self.read_line()? {
                return Ok(false);
            }
            // A quoted cell may hold line ends, so a record is whole once its quotes are even.
            while memchr_iter(b'"', &self.record).count() % 2 == 1 {
                self.record.push(b'\n');
                if !self.read_line()? {
                    return Err(RecordError::OpenQuote { line: self.line });
                }
            }
            if !self.record.trim_ascii().is_empty() {
                self.split();
                return Ok(true);
            }
        }
    }

    /// The line on which the current record begins.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Cells of the current record.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Cell `i` as it stood.
    pub fn raw(&self, i: usize) -> &[u8] {
        &self.record[self.cells[i].clone()]
    }

    /// What cell `i` says: without the spaces around it and its quotes.
    pub fn content(&self, i: usize) -> Cow<'_, [u8]> {
        unquoted(self.raw(i))
    }

    /// Appends a line without its end; false where there is none.
    fn read_line(&mut self) -> Result<bool, RecordError> {
        let room = RECORD_BYTES_MAX.saturating_sub(self.record.len()) + 1;
        let n = (&mut self.input).take(room as u64).read_until(b'\n', &mut self.record)?;
        if n == 0 {
            return Ok(false);
        }
        self.lines_read += 1;
        if self.record.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong { line: self.line });
        }
        if self.record.ends_with(b"\n") {
            self.record.pop();
        }
        if self.record.ends_with(b"\r") {
            self.record.pop();
        }
        Ok(true)
    }

    fn split(&mut self) {
        self.cells.clear();
        let mut start = 0;
        if memchr(b'"', &self.record).is_none() {
            for comma in memchr_iter(b',', &self.record) {
                self.cells.push(start..comma);
                start = comma + 1;
            }
        } else {
            let mut quoted = false;
            for (i, &byte) in self.record.iter().enumerate() {
                match byte {
                    b'"' => quoted = !quoted,
                    b',' if !quoted => {
                        self.cells.push(start..i);
                        start = i + 1;
                    }
                    _ => {}
                }
            }
        }
        self.cells.push(start..self.record.len());
    }
}

fn unquoted(raw: &[u8]) -> Cow<'_, [u8]> {
    let cell = raw.trim_ascii();
    let Some(inner) = cell.strip_prefix(b"\"").and_then(|c| c.strip_suffix(b"\"")) else {
        return Cow::Borrowed(cell);
    };
    if memchr(b'"', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut content = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        content.push(byte);
        if byte == b'"' {
            bytes.next();
        }
    }
    Cow::Owned(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Line and contents of each record.
    fn check(text: &str, want: &[(u64, &[&str])]) {
        let mut records = Records::new(text.as_bytes());
        let mut found = Vec::new();
        while records.advance().unwrap() {
            let cells: Vec<String> = (0..records.len())
                .map(|i| String::from_utf8(records.content(i).into_owned()).unwrap())
                .collect();
            found.push((records.line(), cells));
        }
        let want: Vec<(u64, Vec<String>)> =
            want.iter().map(|(line, cells)| (*line, cells.iter().map(|c| c.to_string()).collect())).collect();
        assert_eq!(found, want, "{text:?}");
    }

    #[test]
    fn records_of_every_dialect() {
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a,b\r\n1,2", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("\n a , b\n\n\n1,,\n", &[(2, &["a", "b"]), (5, &["1", "", ""])]);
        check("\"a,b\",\"say \"\"so\"\"\"\n", &[(1, &["a,b", "say \"so\""])]);
        check("\"two\nlines\",2\n3,4\n", &[(1, &["two\nlines", "2"]), (3, &["3", "4"])]);
    }

    #[test]
    fn a_cell_is_kept_as_it_stood() {
        let mut records = Records::new(&b"\"2020-01-06T00:00:00Z\", 1\n"[..]);
        assert!(records.advance().unwrap());
        assert_eq!(records.raw(0), b"\"2020-01-06T00:00:00Z\"");
        assert_eq!(records.raw(1), b" 1");
    }

    #[test]
    fn endless_records_are_errors() {
        let mut open = Records::new(&b"a,b\n\"1,2\n3,4\n"[..]);
        assert!(open.advance().unwrap());
        assert!(matches!(open.advance(), Err(RecordError::OpenQuote { line: 2 })));
        let mut endless = Records::new(io::BufReader::new(io::repeat(b'x')));
        assert!(matches!(endless.advance(), Err(RecordError::TooLong { line: 1 })));
        assert!(endless.record.len() <= RECORD_BYTES_MAX + 1);
    }

    proptest! {
        /// Against the `csv` crate, on cells that need quoting in every way.
        #[test]
        fn agrees_with_the_csv_crate(rows in prop::collection::vec(prop::collection::vec("[a-z,\"\n]{1,6}", 2..4), 1..8)) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let mut records = Records::new(&text[..]);
            for row in &rows {
                prop_assert!(records.advance().unwrap());
                let cells: Vec<String> =
                    (0..records.len()).map(|i| String::from_utf8(records.content(i).into_owned()).unwrap()).collect();
                prop_assert_eq!(&cells, row);
            }
            prop_assert!(!records.advance().unwrap());
        }
    }
}
