//! Where the files lie: live ones as `NAME.csv`, those of the past as `YYYY-MM-DD/NAME.csv.gz`, packed a while after
//! they were moved there as `YYYY-MM-DD/NAME.csv`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use jiff::civil::Date;

/// A file of the past, unpacked as it is read.
pub type Past = Box<dyn Read + Send>;

/// The names, without their endings, of the statistics files in `directory`.
pub fn names(directory: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let Ok(file) = entry?.file_name().into_string() else { continue };
        let name = file.strip_suffix(".gz").unwrap_or(&file).strip_suffix(".csv");
        names.extend(name.filter(|name| !name.is_empty()).map(str::to_string));
    }
    Ok(names)
}

/// The dated folders in `directory` that are not from before `since`, in order of time.
pub fn dated(directory: &Path, since: Date) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let date: Option<Date> = (name.len() == 10).then(|| name.parse().ok()).flatten();
        folders.extend(date.filter(|date| *date >= since).map(|date| (date, entry.path())));
    }
    folders.sort();
    Ok(folders.into_iter().map(|(_, path)| path).collect())
}

/// Opens the file `name` of a dated folder; more than `bytes_max` unpacked bytes are an error on the way.
///
/// # Errors
/// It isn't there, or cannot be read.
pub fn open(folder: &Path, name: &str, bytes_max: u64) -> io::Result<Past> {
    // The plain file is removed only once the packed one is whole.
    match plain(&folder.join(format!("{name}.csv"))) {
        Ok(file) => Ok(Box::new(Bounded { inner: file, left: bytes_max })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = io::BufReader::with_capacity(1 << 15, plain(&folder.join(format!("{name}.csv.gz")))?);
            Ok(Box::new(Bounded { inner: MultiGzDecoder::new(file), left: bytes_max }))
        }
        Err(error) => Err(error),
    }
}

/// Opens `path` if it is a file: to open a pipe would wait for whoever writes into it.
pub fn plain(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    File::open(path)
}

struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than `file_bytes_max`")
        })?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_dated_folders_are_told_from_all_else() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["mailboxd.csv", "io-x.csv", ".csv", "zmstat.out", "pid", "old.csv.gz"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        for folder in ["2026-11-28", "2026-03-01", "2025-12-31", "2026-13-01", "20261128T1", "pid.d"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let found: Vec<String> = names(dir.path()).unwrap().into_iter().collect();
        assert_eq!(found, ["io-x", "mailboxd", "old"]);
        let found = dated(dir.path(), jiff::civil::date(2026, 1, 1)).unwrap();
        let want = ["2026-03-01", "2026-11-28"].map(|folder| dir.path().join(folder));
        assert_eq!(found, want);
        assert!(names(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_packed_file_that_swells_is_an_error_and_not_a_burst() {
        let dir = tempfile::tempdir().unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::copy(&mut io::repeat(b'x').take(1 << 20), &mut packed).unwrap();
        fs::write(dir.path().join("bomb.csv.gz"), packed.finish().unwrap()).unwrap();
        let read = |bytes_max| io::copy(&mut open(dir.path(), "bomb", bytes_max).unwrap(), &mut io::sink());
        assert_eq!(read(1 << 20).unwrap(), 1 << 20);
        assert_eq!(read((1 << 20) - 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
