//! One CSV file of a statistics folder: rows at its end, a header at each start, a fresh file after midnight.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::{Date, DateTime};

use super::tables::{Cell, Row};

/// How cells are parted and numbers are written.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    pub separator: &'static str,
    /// Whether numbers are cut to two places.
    pub rounds: bool,
}

impl Format {
    pub const MAILBOXD: Format = Format { separator: ",", rounds: false };
    pub const SCRIPT: Format = Format { separator: ", ", rounds: true };
    /// `zmstat-mysql` parts its header as scripts do and its rows as mailboxd does.
    pub const MYSQL: Format = Format { separator: ",", rounds: true };
}

/// A file that grows.
#[derive(Debug)]
pub struct Csv {
    directory: PathBuf,
    name: &'static str,
    open: Option<File>,
    /// Local day of the newest row; `None` before the first.
    day: Option<Date>,
    /// The header that stands above the rows to come; empty if it is to be written again.
    header: String,
}

impl Csv {
    pub fn new(directory: &Path, name: &'static str) -> Self {
        Csv { directory: directory.to_owned(), name, open: None, day: None, header: String::new() }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its writer was started anew: the header comes again.
    pub fn start_anew(&mut self) {
        self.header.clear();
    }

    /// Adds rows of the local time `at`. The first of a day move the rows of the days before away.
    pub fn append(&mut self, at: DateTime, format: Format, header: &str, rows: &[Row]) -> io::Result<()> {
        if let Some(day) = self.day.filter(|day| *day < at.date()) {
            self.open = None;
            self.rotate(day)?;
            self.header.clear();
        }
        self.day = self.day.max(Some(at.date()));
        let mut lines = String::new();
        if self.header != header {
            header.clone_into(&mut self.header);
            lines.push_str(header);
            lines.push('\n');
        }
        for row in rows {
            let _ = write!(lines, "{}", at.strftime("%m/%d/%Y %H:%M:%S"));
            for cell in row.cells() {
                lines.push_str(format.separator);
                // A cell without a value is empty.
                let _ = match cell {
                    Cell::Word(word) => write!(lines, "{word}"),
                    Cell::Number(value) if value.is_nan() => Ok(()),
                    Cell::Number(value) if format.rounds => {
                        write!(lines, "{}", (value * 100.0).round() / 100.0)
                    }
                    Cell::Number(value) => write!(lines, "{value}"),
                };
            }
            lines.push('\n');
        }
        if self.open.is_none() {
            fs::create_dir_all(&self.directory)?;
            self.open = Some(OpenOptions::new().create(true).append(true).open(self.path())?);
        }
        match &mut self.open {
            Some(file) => file.write_all(lines.as_bytes()),
            None => Ok(()),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.csv", self.name))
    }

    /// Packs the file into the folder of `day`.
    fn rotate(&self, day: Date) -> io::Result<()> {
        let folder = self.directory.join(day.to_string());
        fs::create_dir_all(&folder)?;
        // Where one is there already, another member after it makes them one.
        let packed = folder.join(format!("{}.csv.gz", self.name));
        let packed = OpenOptions::new().create(true).append(true).open(packed)?;
        let mut packer = GzEncoder::new(packed, Compression::default());
        io::copy(&mut File::open(self.path())?, &mut packer)?;
        packer.finish()?;
        fs::remove_file(self.path())
    }
}
