//! One live file, followed as it grows and over its rotations, from which nothing is lost.
//!
//! The file is held open. Moved, packed or removed it can be read to its end all the same; that end has come once
//! another file stands at its path, and not before. A file that is emptied in place instead is known by its length,
//! or by the bytes before the place where we are: then what was not yet read is looked for by that place in the
//! files of the past.
//!
//! Two rotations between two looks, so more than a day without one, cost the file between them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::folder::{self, Past};

/// Bytes before the place reached by which it is known again: more than one row's time.
const SEAM_BYTES: usize = 256;
/// Dated folders in which the rest of an emptied file is looked for, newest first.
const FOLDERS_MAX: usize = 3;

/// What a look at the file gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes more of it.
    Bytes(usize),
    /// No more for now.
    Waiting,
    /// The file has been read to its end; what comes next is of the one after it.
    Over,
    /// As `Over`, but its end is nowhere to be found.
    Lost,
}

/// A live file and the place in it that has been reached.
pub struct Tail {
    directory: PathBuf,
    name: String,
    bytes_max: u64,
    open: Option<Open>,
    /// What is left of a file that was emptied.
    rest: Option<Past>,
}

struct Open {
    file: File,
    id: (u64, u64),
    offset: u64,
    seam: Vec<u8>,
}

impl Tail {
    /// Follows `NAME.csv` in `directory`, from its beginning; holds it at once if it is there. `bytes_max` bounds what
    /// is unpacked of a file of the past.
    pub fn new(directory: &Path, name: &str, bytes_max: u64) -> Self {
        let (directory, name) = (directory.to_path_buf(), name.to_string());
        let mut tail = Tail { directory, name, bytes_max, open: None, rest: None };
        // An error now comes again at the first look.
        tail.open = Open::new(&tail.path()).ok();
        tail
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.csv", self.name))
    }

    /// Reads on. A file that isn't there is waited for.
    ///
    /// # Errors
    /// The disk; the next look goes on from the same place.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Piece> {
        if let Some(rest) = self.rest.take() {
            return Ok(self.read_rest(rest, buffer));
        }
        let path = self.path();
        match self.read_live(&path, buffer) {
            // What is held is gone for good, as on a file system of the network, and was replaced.
            Err(_) if self.open.as_ref().is_some_and(|open| open.is_replaced(&path)) => {
                Ok(self.find_rest(buffer))
            }
            read => read,
        }
    }

    fn read_live(&mut self, path: &Path, buffer: &mut [u8]) -> io::Result<Piece> {
        let open = match &mut self.open {
            Some(open) => open,
            none => match Open::new(path) {
                Ok(open) => none.insert(open),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Piece::Waiting),
                Err(error) => return Err(error),
            },
        };
        if !open.is_where_it_was()? {
            return Ok(self.find_rest(buffer));
        }
        // Asked first: whoever writes begins a new file after the last row of this one, so its end is then there to read.
        let is_replaced = open.is_replaced(path);
        let n = open.read(buffer)?;
        if n == 0 && is_replaced {
            self.open = None;
            return Ok(Piece::Over);
        }
        Ok(if n == 0 { Piece::Waiting } else { Piece::Bytes(n) })
    }

    /// The file was emptied: goes on with the copy that was made of it before.
    fn find_rest(&mut self, buffer: &mut [u8]) -> Piece {
        let Some(open) = self.open.take() else { return Piece::Lost };
        let folders = folder::dated(&self.directory, Date::MIN).unwrap_or_default();
        let rest = folders.iter().rev().take(FOLDERS_MAX).find_map(|folder| {
            let mut past = folder::open(folder, &self.name, self.bytes_max).ok()?;
            let before = open.offset - open.seam.len() as u64;
            io::copy(&mut past.by_ref().take(before), &mut io::sink()).ok()?;
            let mut seam = vec![0; open.seam.len()];
            past.read_exact(&mut seam).ok()?;
            (seam == open.seam).then_some(past)
        });
        rest.map_or(Piece::Lost, |rest| self.read_rest(rest, buffer))
    }

    fn read_rest(&mut self, mut rest: Past, buffer: &mut [u8]) -> Piece {
        match rest.read(buffer) {
            Ok(0) => Piece::Over,
            Ok(n) => {
                self.rest = Some(rest);
                Piece::Bytes(n)
            }
            Err(_) => Piece::Lost,
        }
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let file = folder::plain(path)?;
        let metadata = file.metadata()?;
        Ok(Open { file, id: (metadata.dev(), metadata.ino()), offset: 0, seam: Vec::new() })
    }

    /// Whether another file stands at `path`.
    fn is_replaced(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) != self.id)
    }

    /// Whether the bytes before the place reached are still those that were read.
    fn is_where_it_was(&self) -> io::Result<bool> {
        let mut seam = [0; SEAM_BYTES];
        let seam = &mut seam[..self.seam.len()];
        match self.file.read_exact_at(seam, self.offset - self.seam.len() as u64) {
            Ok(()) => Ok(*seam == *self.seam),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buffer, self.offset)?;
        self.offset += n as u64;
        let new = &buffer[n.saturating_sub(SEAM_BYTES)..n];
        let surplus = (self.seam.len() + new.len()).saturating_sub(SEAM_BYTES);
        self.seam.drain(..surplus);
        self.seam.extend_from_slice(new);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    struct Site {
        dir: tempfile::TempDir,
        tail: Tail,
    }

    impl Site {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let tail = Tail::new(dir.path(), "fd", 1 << 20);
            Site { dir, tail }
        }

        fn write(&self, text: &str) {
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.dir.path().join("fd.csv"))
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        /// What is there to read, `|` where a file ends and `!` where the end is lost.
        fn read(&mut self) -> String {
            let (mut found, mut buffer) = (String::new(), [0; 7]);
            loop {
                match self.tail.read(&mut buffer).unwrap() {
                    Piece::Bytes(n) => found.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
                    Piece::Over => found.push('|'),
                    Piece::Lost => found.push('!'),
                    Piece::Waiting => return found,
                }
            }
        }

        fn pack(&self, folder: &str) {
            let folder = self.dir.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&fs::read(self.dir.path().join("fd.csv")).unwrap()).unwrap();
            fs::write(folder.join("fd.csv.gz"), packed.finish().unwrap()).unwrap();
        }
    }

    #[test]
    fn what_was_written_before_the_rotation_is_read_after_it() {
        let mut site = Site::new();
        assert_eq!(site.read(), "", "a file that is missing is waited for");
        site.write("one\ntw");
        assert_eq!(site.read(), "one\ntw");
        site.write("o\nthree\n");
        site.pack("2026-11-28");
        fs::remove_file(site.dir.path().join("fd.csv")).unwrap();
        assert_eq!(site.read(), "o\nthree\n");
        site.write("four\n");
        assert_eq!(site.read(), "|four\n");
    }

    #[test]
    fn a_file_that_is_moved_and_still_written_to_is_not_over() {
        let mut site = Site::new();
        site.write("one\n");
        assert_eq!(site.read(), "one\n");
        let (live, moved) = (site.dir.path().join("fd.csv"), site.dir.path().join("fd.csv.1"));
        fs::rename(live, &moved).unwrap();
        let mut writer = fs::OpenOptions::new().append(true).open(&moved).unwrap();
        writer.write_all(b"two\n").unwrap();
        assert_eq!(site.read(), "two\n");
        writer.write_all(b"three\n").unwrap();
        site.write("four\n");
        assert_eq!(site.read(), "three\n|four\n");
    }

    #[test]
    fn of_a_file_emptied_in_place_the_rest_is_found_in_its_copy() {
        let mut site = Site::new();
        let live = site.dir.path().join("fd.csv");
        site.write(&"a header and many rows\n".repeat(50));
        assert_eq!(site.read().lines().count(), 50);
        site.write("the last row\n");
        site.pack("2026-11-27");
        // A copy of another day, in which something else stands at that place.
        let packed = fs::read(site.dir.path().join("2026-11-27/fd.csv.gz")).unwrap();
        fs::write(&live, "x".repeat(5000)).unwrap();
        site.pack("2026-11-28");
        fs::write(&live, "new\n").unwrap();
        assert_eq!(site.read(), "the last row\n|new\n");

        // It may have grown beyond the place again.
        site.write("seen\n");
        assert_eq!(site.read(), "seen\n");
        fs::write(site.dir.path().join("2026-11-28/fd.csv.gz"), packed).unwrap();
        fs::write(&live, "longer than before\n").unwrap();
        assert_eq!(site.read(), "!longer than before\n");
    }
}
