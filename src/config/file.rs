//! Reading the small files that a configuration is made of: whole, bounded, UTF-8.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::problem::Place;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it has more than {bytes_max} bytes")]
    TooLong { bytes_max: usize },
    #[error("not UTF-8 from here on")]
    NotUtf8 { place: Place },
}

/// Reads `path`, which may be a pipe or a device: never more than `bytes_max`.
pub fn read_text(path: &Path, bytes_max: usize) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(ReadError::TooLong { bytes_max });
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line_start = memchr::memrchr(b'\n', good).map_or(0, |at| at + 1);
        let place = Place {
            line: memchr::memchr_iter(b'\n', good).count() + 1,
            column: String::from_utf8_lossy(&good[line_start..]).chars().count() + 1,
        };
        ReadError::NotUtf8 { place }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_has_a_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"a: 1\n\xc3\xa9\xff\n").unwrap();
        let error = read_text(file.path(), 100).unwrap_err();
        assert!(matches!(error, ReadError::NotUtf8 { place: Place { line: 2, column: 2 } }), "{error:?}");
    }

    #[test]
    fn an_endless_file_is_not_read_to_its_end() {
        let error = read_text(Path::new("/dev/zero"), 1000).unwrap_err();
        assert!(matches!(error, ReadError::TooLong { bytes_max: 1000 }), "{error:?}");
    }
}
