//! The snapshot file: the whole state at one input position, so that a restart need not see the past again.
//!
//! Layout, numbers little-endian:
//!
//! ```text
//! magic "FORESHSN" | version u32 | body_bytes u64 | zstd(postcard(Snapshot)) | crc32 u32 of all before
//! ```
//!
//! The file is written beside its place, synced, renamed over it, and the folder synced: a crash at any
//! point leaves the old snapshot or the new one, never half of one. The checksum is compared before
//! anything is unpacked, and nothing beyond `body_bytes` is unpacked, so a damaged file costs no memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sample::{Position, Timestamp};

/// Version of the layout and of what `Snapshot` holds; raised with every change that postcard would misread.
pub const VERSION: u32 = 18;

const MAGIC: &[u8; 8] = b"FORESHSN";
const HEADER_BYTES: u64 = 8 + 4 + 8;
const CRC_BYTES: u64 = 4;
/// Fast, and state of f32 arrays gains little from higher levels.
const ZSTD_LEVEL: i32 = 1;
/// Of the unpacked state: a million series take about 3 GB.
pub const BODY_BYTES_MAX: u64 = 8 << 30;

/// State and input position, which move together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot<T> {
    /// Data time that the state has reached.
    pub at: Timestamp,
    /// Where to read on, for each source that can be read again.
    pub positions: BTreeMap<String, Position>,
    pub state: T,
}

/// What a start finds.
#[derive(Debug)]
pub enum Recovered<T> {
    /// There was none: a first start.
    Nothing,
    Snapshot(Snapshot<T>),
    /// There was one that this program cannot read; it is kept at `moved_to`.
    SetAside {
        moved_to: PathBuf,
        why: SnapshotError,
    },
}

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("snapshot {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("snapshot {path} is not one of Foreshock's: it does not begin with FORESHSN")]
    NotASnapshot { path: PathBuf },
    #[error(
        "snapshot {path} has version {found}, this program reads version {VERSION}: it was written by another release"
    )]
    Version { path: PathBuf, found: u32 },
    #[error("snapshot {path} is damaged: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error("snapshot {path}: its state would take {bytes} bytes, more than the {BODY_BYTES_MAX} allowed")]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("snapshot {path}: its state cannot be written down: {source}")]
    Encode { path: PathBuf, source: postcard::Error },
}

impl SnapshotError {
    /// Whether the same call may succeed later: a full disk may be cleared, a damaged file stays so.
    pub fn is_retryable(&self) -> bool {
        matches!(self, SnapshotError::Io { .. })
    }
}

/// Writes `snapshot` to `path` in place of what was there, and returns the bytes of the file.
///
/// Once this returns, the file and its name are on disk. A failure leaves the old file as it was.
pub fn write<T: Serialize>(path: &Path, snapshot: &Snapshot<T>) -> Result<u64, SnapshotError> {
    let io = |source| SnapshotError::Io { path: path.into(), source };
    let beside = beside(path, "tmp");
    let file = File::create(&beside).map_err(io)?;
    let written = write_body(path, file, snapshot).and_then(|bytes| {
        fs::rename(&beside, path).map_err(io)?;
        sync_folder(path).map_err(io)?;
        Ok(bytes)
    });
    if written.is_err() {
        // The error that matters is the first; a left-over is overwritten by the next attempt.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_body<T: Serialize>(path: &Path, file: File, snapshot: &Snapshot<T>) -> Result<u64, SnapshotError> {
    let io = |source| SnapshotError::Io { path: path.into(), source };
    let encode = |source| SnapshotError::Encode { path: path.into(), source };
    // The length stands in the header, so the state is walked twice; that is cheaper than holding it twice.
    let body_bytes = postcard::experimental::serialized_size(snapshot).map_err(encode)? as u64;
    if body_bytes > BODY_BYTES_MAX {
        return Err(SnapshotError::TooLarge { path: path.into(), bytes: body_bytes });
    }
    let mut out = Checksummed::new(BufWriter::with_capacity(1 << 20, file));
    out.write_all(MAGIC).map_err(io)?;
    out.write_all(&VERSION.to_le_bytes()).map_err(io)?;
    out.write_all(&body_bytes.to_le_bytes()).map_err(io)?;
    let mut packed = zstd::Encoder::new(&mut out, ZSTD_LEVEL).map_err(io)?;
    postcard::to_io(snapshot, &mut packed).map_err(encode)?;
    packed.finish().map_err(io)?;
    let crc = out.crc.clone().finalize();
    out.write_all(&crc.to_le_bytes()).map_err(io)?;
    let file = out.inner.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)?;
    Ok(out.bytes)
}

/// Reads the snapshot at `path`.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Snapshot<T>, SnapshotError> {
    let io = |source| SnapshotError::Io { path: path.into(), source };
    let damaged = |what: String| SnapshotError::Damaged { path: path.into(), what };
    let file = File::open(path).map_err(io)?;
    let file_bytes = file.metadata().map_err(io)?.len();
    let mut file = BufReader::with_capacity(1 << 20, file);

    let mut header = [0; HEADER_BYTES as usize];
    let whole = read_up_to(&mut file, &mut header).map_err(io)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    if whole < MAGIC.len() || magic != MAGIC {
        return Err(SnapshotError::NotASnapshot { path: path.into() });
    }
    if file_bytes < HEADER_BYTES + CRC_BYTES {
        return Err(damaged(format!("it ends after {file_bytes} bytes")));
    }
    let (version, body_bytes) = rest.split_at(4);
    // cannot fail: the header was split into 4 and 8 bytes
    let version = u32::from_le_bytes(version.try_into().unwrap());
    // cannot fail: see above
    let body_bytes = u64::from_le_bytes(body_bytes.try_into().unwrap());
    // A later version that can still read this one matches on it here and migrates what it decodes.
    if version != VERSION {
        return Err(SnapshotError::Version { path: path.into(), found: version });
    }
    if body_bytes > BODY_BYTES_MAX {
        return Err(SnapshotError::TooLarge { path: path.into(), bytes: body_bytes });
    }

    let packed_bytes = file_bytes - HEADER_BYTES - CRC_BYTES;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header);
    let mut packed = (&mut file).take(packed_bytes);
    let mut piece = [0; 1 << 16];
    loop {
        match packed.read(&mut piece).map_err(io)? {
            0 => break,
            n => crc.update(&piece[..n]),
        }
    }
    let mut want = [0; CRC_BYTES as usize];
    file.read_exact(&mut want).map_err(io)?;
    if crc.finalize() != u32::from_le_bytes(want) {
        return Err(damaged("its checksum does not match".into()));
    }

    file.seek(SeekFrom::Start(HEADER_BYTES)).map_err(io)?;
    let packed = zstd::Decoder::with_buffer((&mut file).take(packed_bytes)).map_err(io)?;
    // State packs to a third or so; a header alone shall not claim memory.
    let mut body = Vec::with_capacity(body_bytes.min(packed_bytes.saturating_mul(8)) as usize);
    packed.take(body_bytes + 1).read_to_end(&mut body).map_err(|e| damaged(e.to_string()))?;
    if body.len() as u64 != body_bytes {
        return Err(damaged(format!("it holds {} bytes of state, its header says {body_bytes}", body.len())));
    }
    let (snapshot, rest) =
        postcard::take_from_bytes(&body).map_err(|e| damaged(format!("its state cannot be read: {e}")))?;
    if !rest.is_empty() {
        return Err(damaged(format!("{} bytes follow its state", rest.len())));
    }
    Ok(snapshot)
}

/// Reads the snapshot at `path` at the start of a service, which must come up whatever it finds.
///
/// A file that cannot be understood is renamed to `….unreadable` (in place of an earlier one), so that
/// it neither stops the start nor is overwritten. An error of the disk is returned: that file may be fine.
pub fn recover<T: DeserializeOwned>(path: &Path) -> Result<Recovered<T>, SnapshotError> {
    let why = match read(path) {
        Ok(snapshot) => return Ok(Recovered::Snapshot(snapshot)),
        Err(SnapshotError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(Recovered::Nothing);
        }
        Err(error @ SnapshotError::Io { .. }) => return Err(error),
        Err(error) => error,
    };
    Ok(Recovered::SetAside { moved_to: set_aside(path)?, why })
}

/// Renames a snapshot that is of no use to `….unreadable`, in place of an earlier one, and returns that name.
pub fn set_aside(path: &Path) -> Result<PathBuf, SnapshotError> {
    let moved_to = beside(path, "unreadable");
    let io = |source| SnapshotError::Io { path: path.into(), source };
    fs::rename(path, &moved_to).map_err(io)?;
    sync_folder(path).map_err(io)?;
    Ok(moved_to)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// Passes bytes on and keeps their checksum and number.
struct Checksummed<W> {
    inner: W,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl<W> Checksummed<W> {
    fn new(inner: W) -> Self {
        Checksummed { inner, crc: crc32fast::Hasher::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Checksummed<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(piece)?;
        self.crc.update(&piece[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Snapshot<Vec<f32>> {
        let positions = BTreeMap::from([("kafka:metrics/0".to_string(), Position { next_offset: 42 })]);
        Snapshot { at: Timestamp(1_700_000_000_000), positions, state: vec![0.5; 10_000] }
    }

    fn written() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot");
        let bytes = write(&path, &sample()).unwrap();
        assert_eq!(bytes, fs::metadata(&path).unwrap().len());
        (folder, path)
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else_is_left() {
        let (folder, path) = written();
        assert_eq!(read::<Vec<f32>>(&path).unwrap(), sample());
        write(&path, &sample()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_snapshot() {
        struct Unwritable;
        impl Serialize for Unwritable {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        let (folder, path) = written();
        let bad = Snapshot { at: Timestamp(0), positions: BTreeMap::new(), state: Unwritable };
        assert!(matches!(write(&path, &bad), Err(SnapshotError::Encode { .. })));
        assert_eq!(read::<Vec<f32>>(&path).unwrap(), sample());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let (_folder, path) = written();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let error = read::<Vec<f32>>(&path).unwrap_err();
            assert!(!error.is_retryable(), "byte {at}: {error}");
        }
    }

    #[test]
    fn every_cut_is_noticed() {
        let (_folder, path) = written();
        let good = fs::read(&path).unwrap();
        for len in 0..good.len() {
            fs::write(&path, &good[..len]).unwrap();
            let error = read::<Vec<f32>>(&path).unwrap_err();
            assert!(!error.is_retryable(), "{len} bytes: {error}");
        }
    }

    #[test]
    fn an_unknown_version_is_set_aside_with_its_reason() {
        let (_folder, path) = written();
        let mut newer = fs::read(&path).unwrap();
        newer[8] = 99;
        fs::write(&path, &newer).unwrap();
        match recover::<Vec<f32>>(&path).unwrap() {
            Recovered::SetAside { moved_to, why } => {
                assert_eq!(fs::read(moved_to).unwrap(), newer);
                let said = format!("has version 99, this program reads version {VERSION}");
                assert!(why.to_string().contains(&said), "{why}");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(recover::<Vec<f32>>(&path).unwrap(), Recovered::Nothing));
    }

    #[test]
    fn state_of_another_shape_is_damage() {
        let (_folder, path) = written();
        assert!(matches!(read::<BTreeMap<String, String>>(&path), Err(SnapshotError::Damaged { .. })));
        assert!(matches!(read::<()>(&path), Err(SnapshotError::Damaged { .. })));
    }
}
