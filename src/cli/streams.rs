//! Where a command's output goes: a file, a `.gz` by its ending, or `-` for standard output.

use std::fs::File;
use std::io::{self, BufWriter, LineWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::collect::recording::input::is_gzip;

/// An output that must be finished, since gzip ends with a trailer.
pub enum Output {
    /// Line by line, so that who reads along sees every line when it is written.
    Stdout(LineWriter<io::StdoutLock<'static>>),
    File(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

/// Opens `path`; what a file held before is gone.
pub fn output(path: &Path) -> io::Result<Output> {
    if path.as_os_str() == "-" {
        return Ok(Output::Stdout(LineWriter::with_capacity(1 << 16, io::stdout().lock())));
    }
    let file = BufWriter::with_capacity(1 << 16, File::create(path)?);
    Ok(if is_gzip(path) {
        Output::Gzip(Box::new(GzEncoder::new(file, Compression::default())))
    } else {
        Output::File(file)
    })
}

impl Output {
    /// Writes out what is held back; without it the end may be missing.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Output::Stdout(mut out) => out.flush(),
            Output::File(mut out) => out.flush(),
            Output::Gzip(out) => out.finish()?.flush(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stdout(out) => out.write(bytes),
            Output::File(out) => out.write(bytes),
            Output::Gzip(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout(out) => out.flush(),
            Output::File(out) => out.flush(),
            Output::Gzip(out) => out.flush(),
        }
    }
}

/// Whether both name one file, which writing would empty before it is read.
pub fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
