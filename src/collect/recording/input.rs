//! A file to read from the front: plain, `.gz`, or `-` for standard input.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

const BUFFER_BYTES: usize = 1 << 17;

/// Opens `path`; `progress` moves by the bytes of the file as it stands on disk.
///
/// A `.gz` of several members (`cat a.gz b.gz`, rotated logs) is read to its end.
pub fn open(path: &Path, progress: &ProgressBar) -> io::Result<Box<dyn BufRead + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    Ok(unpacked(path, BufReader::with_capacity(BUFFER_BYTES, progress.wrap_read(file))))
}

/// Bytes on disk of those of `paths` that are files.
pub fn bytes_on_disk(paths: &[impl AsRef<Path>]) -> u64 {
    paths.iter().filter_map(|p| p.as_ref().metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}

/// Whether `path` names gzip by its ending.
pub fn is_gzip(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|ending| ending.eq_ignore_ascii_case("gz"))
}

fn unpacked(path: &Path, bytes: BufReader<impl Read + Send + 'static>) -> Box<dyn BufRead + Send> {
    if is_gzip(path) {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(bytes)))
    } else {
        Box::new(bytes)
    }
}
