//! The rows of one statistics file as samples: line by line, by the header above them, without a file in sight.
//!
//! - A header is known by its cell `timestamp` and may come again at any line, with other columns. Columns are found
//!   by their names alone.
//! - Cells are parted by `,` with or without spaces around, in one file sometimes both.
//! - Two writers may share a file: on a host with both a store and a directory server, `ldap.csv` holds rows of
//!   commands and rows of the server. Each has its header and its clock; a row is told by its width.
//! - A mean time of no calls is written as 0 and is none: a service that hangs has no calls, and isn't fast.
//! - What is empty, or no number, is missing.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::header::{self, COLUMNS_MAX, Column, Header, content};
use super::lines::{Line, Lines};
use super::local_time::{self, LocalClock, OutOfTime};
use super::names;
use crate::sample::{Batch, METRIC_NAME, Timestamp};

/// Why a line gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("no header stands above it")]
    NoHeader,
    #[error("{found} cells where the header has {wanted}")]
    Width { found: usize, wanted: usize },
    #[error("no time as MM/dd/yyyy HH:mm:ss")]
    Time,
    #[error("its time lies before that of an earlier row: was the clock set back?")]
    Backwards,
    #[error("its time lies ahead of the clock; is `timezone` right?")]
    Ahead,
    #[error("a cell that names its series is empty or no UTF-8")]
    Label,
    #[error("a header of more than {COLUMNS_MAX} columns")]
    Columns,
    #[error("it is longer than `line_bytes_max`")]
    TooLong,
    #[error("the file ends within it")]
    Cut,
}

impl BadLine {
    /// As a metric's label spells it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::NoHeader => "no_header",
            Self::Width { .. } => "width",
            Self::Time => "time",
            Self::Backwards => "backwards",
            Self::Ahead => "ahead_of_clock",
            Self::Label => "label",
            Self::Columns => "columns",
            Self::TooLong => "long_line",
            Self::Cut => "cut_line",
        }
    }
}

/// One that writes into the file: its header, and the time that it has reached.
#[derive(Clone, Debug)]
struct Writer {
    header: Option<Header>,
    clock: LocalClock,
}

/// Reads the lines of one file, over its rotations.
#[derive(Clone, Debug)]
pub struct Reader {
    file: String,
    host: String,
    /// Whose rows are of commands, and whose are of anything else.
    writers: [Writer; 2],
    line: Vec<u8>,
    cells: Vec<Range<usize>>,
    /// Whose the row read last is, and when it was written.
    row: Option<(usize, Timestamp)>,
}

/// Index of the writer of rows with a command.
const COMMANDS: usize = 0;

impl Reader {
    /// For `FILE.csv`, whose times are those of `zone`; every series gets the label `host`.
    pub fn new(file: &str, host: &str, zone: &TimeZone) -> Self {
        let writer = Writer { header: None, clock: LocalClock::new(zone.clone()) };
        Reader {
            file: file.into(),
            host: host.into(),
            writers: [writer.clone(), writer],
            line: Vec::new(),
            cells: Vec::new(),
            row: None,
        }
    }

    /// Takes the next line, without its end, and says when the row on it was written; `None` for a header and a
    /// blank line. `latest` is the last instant that a row can be of, where the present is known.
    ///
    /// # Errors
    /// A line that gives nothing; the ones below it are read as if it weren't there.
    pub fn take(&mut self, line: &[u8], latest: Option<Timestamp>) -> Result<Option<Timestamp>, BadLine> {
        self.row = None;
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        header::split(line, &mut self.cells);
        let first = content(line, &self.cells[0]);
        if local_time::read(first).is_none()
            && self.cells.iter().any(|cell| header::is_timestamp(content(line, cell)))
        {
            return self.take_header(line).map(|()| None);
        }
        self.line.clear();
        self.line.extend_from_slice(line);
        let writer = self.writer_of_row()?;
        let Writer { header: Some(header), clock } = &mut self.writers[writer] else {
            return Err(BadLine::NoHeader);
        };
        let local = local_time::read(content(&self.line, &self.cells[header.time])).ok_or(BadLine::Time)?;
        let is_named = |(cell, _): &(usize, _)| {
            let text = content(&self.line, &self.cells[*cell]);
            !text.is_empty() && std::str::from_utf8(text).is_ok()
        };
        if !header.labels.iter().all(is_named) {
            return Err(BadLine::Label);
        }
        let at = clock.place(local, latest).map_err(|why| match why {
            OutOfTime::Backwards => BadLine::Backwards,
            OutOfTime::Ahead => BadLine::Ahead,
        })?;
        self.row = Some((writer, at));
        Ok(Some(at))
    }

    fn take_header(&mut self, line: &[u8]) -> Result<(), BadLine> {
        let header = Header::read(&self.file, &self.host, line, &self.cells).ok_or(BadLine::Columns)?;
        let has_command = header.labels.iter().any(|(_, label)| *label == "command");
        self.writers[if has_command { COMMANDS } else { 1 - COMMANDS }].header = Some(header);
        Ok(())
    }

    /// Whose row the cells are: the writer's whose header has as many.
    fn writer_of_row(&mut self) -> Result<usize, BadLine> {
        let headers = self.writers.each_ref().map(|writer| writer.header.as_ref());
        let fits = |header: Option<&Header>| header.is_some_and(|header| self.fits(header.width));
        let fitting = match headers.map(fits) {
            // A command is no number.
            [true, true] => headers[COMMANDS].and_then(|header| {
                let (command, _) = header.labels.iter().find(|(_, label)| *label == "command")?;
                let is_number = number(content(&self.line, &self.cells[*command])).is_some();
                Some(if is_number { 1 - COMMANDS } else { COMMANDS })
            }),
            [true, false] => Some(COMMANDS),
            [false, true] => Some(1 - COMMANDS),
            [false, false] => None,
        };
        if let Some(fitting) = fitting {
            return Ok(fitting);
        }
        let found = self.cells.len();
        let wanted = match headers {
            [None, None] => return Err(BadLine::NoHeader),
            [Some(header), None] => {
                let wanted = header.width;
                if self.join_command(found) {
                    return Ok(COMMANDS);
                }
                wanted
            }
            [_, Some(header)] => header.width,
        };
        Err(BadLine::Width { found, wanted })
    }

    /// As many cells as the header has, or more of which the last are empty.
    fn fits(&self, width: usize) -> bool {
        let is_empty = |cell: &Range<usize>| self.line[cell.clone()].trim_ascii().is_empty();
        self.cells.get(width..).is_some_and(|rest| rest.iter().all(is_empty)) && width > 0
    }

    /// What a row of commands has too much belongs to its command, such as the commas of an SQL statement.
    fn join_command(&mut self, found: usize) -> bool {
        let Some(header) = &self.writers[COMMANDS].header else { return false };
        let Some((command, _)) = header.labels.iter().find(|(_, label)| *label == "command") else {
            return false;
        };
        let Some(surplus) = found.checked_sub(header.width).filter(|surplus| *surplus > 0) else {
            return false;
        };
        self.cells[*command].end = self.cells[command + surplus].end;
        self.cells.drain(command + 1..=command + surplus);
        true
    }

    /// Adds the samples of the row taken last to `batch`; says how many cells hold text where a number belongs.
    pub fn put(&self, batch: &mut Batch) -> u64 {
        let Some((writer, at)) = self.row else { return 0 };
        let Some(header) = &self.writers[writer].header else { return 0 };
        let mut text_cells = 0;
        let labels = self.labels(header);
        for column in &header.columns {
            let cell = content(&self.line, &self.cells[column.cell]);
            let Some(value) = number(cell) else {
                text_cells += u64::from(!cell.is_empty() && !names::may_hold_words(&self.file));
                continue;
            };
            if self.is_mean_of_nothing(column, value) {
                continue;
            }
            if labels.is_empty() {
                batch.keyed_series(&column.key, column.kind);
                batch.sample(at, value);
            } else {
                let mut labels = labels.clone();
                labels.push((METRIC_NAME, &column.metric));
                batch.push(&mut labels, column.kind, at, value);
            }
        }
        text_cells
    }

    /// The labels of the row, `host` among them; none where the host is its only one.
    fn labels<'r>(&'r self, header: &Header) -> Vec<(&'static str, &'r str)> {
        let named = header.labels.iter().filter_map(|(cell, label)| {
            let text = std::str::from_utf8(content(&self.line, &self.cells[*cell])).ok()?;
            Some((*label, text))
        });
        let mut labels: Vec<(&'static str, &'r str)> = named.collect();
        if !labels.is_empty() {
            labels.push(("host", &self.host));
        }
        labels
    }

    /// A mean over no calls says nothing; nor does a 0 where the number of calls is not known.
    fn is_mean_of_nothing(&self, column: &Column, mean: f64) -> bool {
        let Some(count) = column.mean_of else { return false };
        let calls = count.and_then(|count| number(content(&self.line, &self.cells[count])));
        calls.map_or(mean == 0.0, |calls| calls <= 0.0)
    }
}

/// A finite number.
fn number(cell: &[u8]) -> Option<f64> {
    fast_float2::parse(cell).ok().filter(|value: &f64| value.is_finite())
}

/// What a whole file gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rows: u64,
    /// Lines that gave nothing, with their numbers from 1.
    pub bad: Vec<(u64, BadLine)>,
    /// Cells that hold text where a number belongs.
    pub text_cells: u64,
}

/// Reads a whole file that is in memory: all its samples into `batch`, in the order of its rows.
pub fn read(text: &[u8], reader: &mut Reader, batch: &mut Batch) -> Tally {
    let (mut lines, mut tally) = (Lines::new(text.len()), Tally::default());
    lines.push(text);
    while let Some(line) = lines.next() {
        let taken = match line {
            Line::Whole(line) => reader.take(line, None),
            Line::TooLong => Err(BadLine::TooLong),
        };
        match taken {
            Ok(Some(_)) => {
                tally.rows += 1;
                tally.text_cells += reader.put(batch);
            }
            Ok(None) => {}
            Err(bad) => tally.bad.push((lines.number(), bad)),
        }
    }
    let number = lines.number() + 1;
    if lines.end() {
        tally.bad.push((number, BadLine::Cut));
    }
    tally
}

#[cfg(test)]
mod tests;
