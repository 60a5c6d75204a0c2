//! OpenMetrics dumps with times (`promtool tsdb dump-openmetrics`), read in blocks of whole lines.
//!
//! A line that cannot be used is counted and the first is told; the lines around it still count. A file
//! of which nothing can be used is an error. Memory is one block, whatever the size of the file.

use std::io::{self, BufRead};

use memchr::memrchr;

use super::columns::{ColumnId, Columns, Full};
use crate::collect::prometheus::text::{Format, Line, Scanner};
use crate::sample::{Labels, Timestamp, write_key};

const BLOCK_BYTES: usize = 1 << 20;
/// The first instant of the year 10000: beyond it a time was in milliseconds.
const END_OF_TIME: Timestamp = Timestamp(253_402_300_800_000);

/// Why a file is no OpenMetrics dump.
#[derive(Debug, thiserror::Error)]
pub enum OpenMetricsError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Full(#[from] Full),
    #[error("after line {after}: a line longer than {BLOCK_BYTES} bytes")]
    LongLine { after: u64 },
    #[error("no line of it could be used; {first}")]
    Nothing { first: String },
}

/// Lines that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    pub lines: u64,
    /// What was wrong with the first.
    pub first: Option<String>,
    /// Whether the `# EOF` at the end was missing: the dump may have been cut.
    pub cut: bool,
}

/// Reads `input` to its end into `columns`.
pub fn read(mut input: impl BufRead, columns: &mut Columns) -> Result<LeftOut, OpenMetricsError> {
    let mut reader =
        Reader { columns, key: Vec::new(), last_key: Vec::new(), last: None, left_out: LeftOut::default() };
    let mut scanner = Scanner::new(Format::OpenMetrics);
    let mut block = vec![0; BLOCK_BYTES];
    let mut filled = 0;
    let mut lines = 0;
    let before = reader.columns.samples();
    loop {
        let n = input.read(&mut block[filled..])?;
        filled += n;
        let whole = if n == 0 { filled } else { memrchr(b'\n', &block[..filled]).map_or(0, |end| end + 1) };
        if whole == 0 && filled == BLOCK_BYTES {
            return Err(OpenMetricsError::LongLine { after: lines });
        }
        lines += memchr::memchr_iter(b'\n', &block[..whole]).count() as u64;
        reader.lines(&mut scanner, &mut block[..whole])?;
        block.copy_within(whole..filled, 0);
        filled -= whole;
        if n == 0 {
            break;
        }
    }
    let mut left_out = reader.left_out;
    left_out.cut = scanner.finish().is_err();
    match left_out.first {
        Some(first) if columns.samples() == before => Err(OpenMetricsError::Nothing { first }),
        _ => Ok(left_out),
    }
}

struct Reader<'c> {
    columns: &'c mut Columns,
    key: Vec<u8>,
    /// Dumps go through a series at a time, so the column of the line before is most often right.
    last_key: Vec<u8>,
    last: Option<ColumnId>,
    left_out: LeftOut,
}

impl Reader<'_> {
    fn lines(&mut self, scanner: &mut Scanner, mut block: &mut [u8]) -> Result<(), Full> {
        let mut labels = Vec::new();
        while let Some(line) = scanner.next(&mut block, &mut labels) {
            match line {
                Ok(line) => {
                    self.key.clear();
                    write_key(&mut labels, &mut self.key);
                    match time_of(line) {
                        Ok(at) => {
                            let id = self.column(line)?;
                            self.columns.push(id, at, line.value)?;
                        }
                        Err(why) => {
                            let series = Labels::from_key(&self.key);
                            self.leave_out(|| format!("a sample of {series} {why}"));
                        }
                    }
                }
                Err(error) => self.leave_out(|| error.to_string()),
            }
        }
        Ok(())
    }

    fn column(&mut self, line: Line) -> Result<ColumnId, Full> {
        match self.last {
            Some(id) if self.key == self.last_key => Ok(id),
            _ => {
                let id = self.columns.column(&self.key, line.kind)?;
                std::mem::swap(&mut self.key, &mut self.last_key);
                self.last = Some(id);
                Ok(id)
            }
        }
    }

    fn leave_out(&mut self, why: impl FnOnce() -> String) {
        self.left_out.lines += 1;
        self.left_out.first.get_or_insert_with(why);
    }
}

fn time_of(line: Line) -> Result<Timestamp, &'static str> {
    match line.at {
        None => Err("has no time; in a recording every line needs one"),
        Some(at) if at >= END_OF_TIME || at.0 < 0 => {
            Err("has a time outside 1970 to 9999; OpenMetrics writes seconds, not milliseconds")
        }
        Some(at) => Ok(at),
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::RecordingLimits;
    use super::*;
    use crate::sample::ValueKind;

    /// Hands out at most `piece` bytes at a time.
    struct Drip<'t>(&'t [u8], usize);

    impl io::Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(into.len()).min(self.0.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    type Found = Vec<(String, i64, f64, ValueKind)>;

    fn read_text(text: &str, piece: usize) -> Result<(Found, LeftOut), OpenMetricsError> {
        let mut columns = Columns::new(RecordingLimits { series_max: 10, samples_max: 100 });
        let left_out = read(io::BufReader::with_capacity(piece, Drip(text.as_bytes(), piece)), &mut columns)?;
        let mut found = Vec::new();
        for batch in columns.into_slices("test".into(), 1, Timestamp::MIN) {
            for (key, kind, samples) in batch.iter() {
                let series = Labels::from_key(key).to_string();
                found.extend(samples.iter().map(|s| (series.clone(), s.at.0, s.value, kind)));
            }
        }
        Ok((found, left_out))
    }

    const DUMP: &str = "# TYPE node_cpu_seconds counter\n\
        node_cpu_seconds_total{cpu=\"0\"} 10 1700000000\n\
        node_cpu_seconds_total{cpu=\"0\"} 11 1700000015.5\n\
        node_cpu_seconds_total{cpu=\"1\"} 20 1700000000\n\
        # TYPE queue gauge\n\
        queue 3 1700000000\n\
        # EOF\n";

    #[test]
    fn families_become_one_order_of_time_whatever_the_blocks() {
        for piece in [1, 7, 64, 4096] {
            let (found, left_out) = read_text(DUMP, piece).unwrap();
            let cpu = |n: u8| format!("node_cpu_seconds_total{{cpu=\"{n}\"}}");
            let want = [
                (cpu(0), 1_700_000_000_000, 10.0, ValueKind::Counter),
                (cpu(1), 1_700_000_000_000, 20.0, ValueKind::Counter),
                ("queue".into(), 1_700_000_000_000, 3.0, ValueKind::Gauge),
                (cpu(0), 1_700_000_015_500, 11.0, ValueKind::Counter),
            ];
            assert_eq!(found, want, "{piece}");
            assert_eq!(left_out, LeftOut::default());
        }
    }

    #[test]
    fn bad_lines_are_counted_and_the_first_is_told() {
        let text = "a 1 1700000000\n}{\nb 2\nc 3 1700000000123\nd 4 1700000001\n";
        let (found, left_out) = read_text(text, 16).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(left_out.lines, 3);
        assert!(left_out.cut);
        assert!(left_out.first.as_ref().unwrap().starts_with("line 2: "), "{left_out:?}");
    }

    #[test]
    fn a_file_of_nothing_usable_is_an_error() {
        let untimed = read_text("up 1\nup 0\n# EOF\n", 64).unwrap_err().to_string();
        assert_eq!(
            untimed,
            "no line of it could be used; a sample of up has no time; in a recording every line needs one"
        );
        let ms = read_text("up 1 1700000000123\n# EOF\n", 64).unwrap_err().to_string();
        assert!(ms.contains("seconds, not milliseconds"), "{ms}");
        assert!(read_text("# EOF\n", 64).unwrap().0.is_empty());
    }

    #[test]
    fn an_endless_line_is_an_error_and_no_memory() {
        let mut columns = Columns::new(RecordingLimits { series_max: 10, samples_max: 100 });
        let endless = io::BufReader::new(io::Read::chain(&b"up 1 1\n"[..], io::repeat(b'x')));
        let error = read(endless, &mut columns).unwrap_err();
        assert!(matches!(error, OpenMetricsError::LongLine { after: 1 }), "{error}");
    }
}
