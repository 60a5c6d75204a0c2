//! One file with its past: row after row, first from the dated folders, then live.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::file::{BadLine, Reader};
use super::folder::{self, Past};
use super::lines::{Line, Lines};
use super::tail::{Piece, Tail};
use crate::config::Zmstat;
use crate::sample::{Batch, Timestamp};
use crate::telemetry::Metrics;

/// What the streams of a directory share.
pub struct Shared {
    pub config: Zmstat,
    pub metrics: Arc<Metrics>,
    /// Rows from here and before are known.
    pub from: Timestamp,
}

/// The rows of one file in order of time.
pub struct Stream {
    name: String,
    /// Dated folders that are yet to be read.
    past: VecDeque<PathBuf>,
    reading: Option<(PathBuf, Past)>,
    tail: Tail,
    lines: Lines,
    reader: Reader,
    /// When the row was written that is handed over next.
    next: Option<Timestamp>,
    is_told_of_lines: bool,
    is_failing: bool,
}

impl Stream {
    /// Holds the live file from now on, if it is there.
    pub fn new(name: &str, Shared { config, .. }: &Shared) -> Self {
        Stream {
            name: name.into(),
            past: VecDeque::new(),
            reading: None,
            tail: Tail::new(&config.directory, name, config.file_bytes_max),
            lines: Lines::new(config.line_bytes_max),
            reader: Reader::new(name, &config.host, &config.timezone),
            next: None,
            is_told_of_lines: false,
            is_failing: false,
        }
    }

    /// Reads the file of these folders first; where one has none it is passed over.
    pub fn with_past(&mut self, folders: &[PathBuf]) {
        self.past.extend(folders.iter().cloned());
    }

    /// When the next row was written; `None` where all that is there has been read. `latest` is the last instant that
    /// a row can be of; `buffer` is room to work in.
    pub fn peek(&mut self, shared: &Shared, latest: Timestamp, buffer: &mut [u8]) -> Option<Timestamp> {
        while self.next.is_none() {
            while let Some(line) = self.lines.next() {
                let taken = match line {
                    Line::Whole(line) => self.reader.take(line, Some(latest)),
                    Line::TooLong => Err(BadLine::TooLong),
                };
                match taken {
                    Ok(Some(at)) if at > shared.from => {
                        self.next = Some(at);
                        return self.next;
                    }
                    Ok(_) => {}
                    Err(bad) => self.tell_of_line(shared, bad, self.lines.number()),
                }
            }
            match self.feed(shared, buffer) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.tell_of_failure(shared, &error);
                    // A file of the past is given up, the live one looked at again later.
                    self.reading.take()?;
                    self.lines.end();
                }
            }
        }
        self.next
    }

    /// Hands the row over that `peek` told of.
    pub fn put(&mut self, shared: &Shared, batch: &mut Batch) {
        if self.next.take().is_some() {
            let text_cells = self.reader.put(batch);
            if text_cells > 0 {
                shared.metrics.dropped("zmstat", "text_cell", text_cells);
            }
        }
    }

    /// Brings more lines, or the end of a file; false where there is nothing for now.
    fn feed(&mut self, shared: &Shared, buffer: &mut [u8]) -> io::Result<bool> {
        if self.reading.is_none() {
            while let Some(folder) = self.past.pop_front() {
                match folder::open(&folder, &self.name, shared.config.file_bytes_max) {
                    Ok(past) => {
                        self.reading = Some((folder, past));
                        break;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => self.tell_of_failure(shared, &error),
                }
            }
        }
        let piece = match &mut self.reading {
            Some((_, past)) => match past.read(buffer)? {
                0 => Piece::Over,
                n => Piece::Bytes(n),
            },
            None => self.tail.read(buffer)?,
        };
        match piece {
            Piece::Bytes(n) => self.lines.push(&buffer[..n]),
            Piece::Waiting => {
                self.is_failing = false;
                return Ok(false);
            }
            Piece::Over | Piece::Lost => {
                if piece == Piece::Lost {
                    let lost =
                        "it was emptied and its end is in no dated folder: what was not yet read is lost";
                    self.tell_of_failure(shared, &io::Error::other(lost));
                }
                let number = self.lines.number() + 1;
                if self.lines.end() {
                    self.tell_of_line(shared, BadLine::Cut, number);
                }
                let was_live = self.reading.take().is_none();
                self.is_told_of_lines &= !was_live;
            }
        }
        Ok(true)
    }

    /// Counts a line that gives nothing, and names the first of a file.
    fn tell_of_line(&mut self, shared: &Shared, bad: BadLine, number: u64) {
        shared.metrics.dropped("zmstat", bad.kind(), 1);
        if !std::mem::replace(&mut self.is_told_of_lines, true) {
            let file = self.path().display().to_string();
            tracing::warn!(
                file,
                line = number,
                "a line is left out: {bad}; further ones of the file are counted"
            );
        }
    }

    /// Says so once, until the live file can be read.
    fn tell_of_failure(&mut self, shared: &Shared, error: &io::Error) {
        shared.metrics.error("zmstat", "read");
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(file = %self.path().display(), "cannot be read: {error}");
        }
    }

    fn path(&self) -> PathBuf {
        match &self.reading {
            Some((folder, _)) => folder.join(format!("{}.csv.gz", self.name)),
            None => self.tail.path(),
        }
    }
}
