//! Messages that no format could read, kept for whoever has to find out why.
//!
//! One JSON object a line: `{"at","topic","partition","offset","error","payload"}`, the payload in base64,
//! cut. Two files at most: when the first is full it becomes `.1`, and the older `.1` goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::sample::Timestamp;

const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// One message that could not be read.
#[derive(Debug, Serialize)]
pub struct DeadLetter<'m> {
    pub at: Timestamp,
    pub topic: &'m str,
    pub partition: i32,
    pub offset: i64,
    pub error: String,
    #[serde(serialize_with = "as_base64")]
    pub payload: &'m [u8],
}

fn as_base64<S: serde::Serializer>(payload: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let cut = &payload[..payload.len().min(PAYLOAD_BYTES_MAX)];
    serializer.serialize_str(&BASE64.encode(cut))
}

/// The file, open for appending.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl DeadLetters {
    /// Opens or makes the file; both files together stay within `bytes_max` and one line. A line that a crash
    /// cut off is ended, so that it spoils no other.
    pub fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut bytes = file.metadata()?.len();
        if bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                bytes += 1;
            }
        }
        Ok(DeadLetters { path: path.into(), file, bytes, bytes_max })
    }

    /// Appends one message.
    pub fn keep(&mut self, letter: &DeadLetter) -> io::Result<()> {
        let mut line = serde_json::to_vec(letter)?;
        line.push(b'\n');
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.bytes_max / 2 {
            fs::rename(&self.path, self.path.with_extension("1"))?;
            self.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            self.bytes = 0;
        }
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(offset: i64) -> DeadLetter<'static> {
        DeadLetter {
            at: Timestamp(0),
            topic: "metrics",
            partition: 0,
            offset,
            error: "not JSON".into(),
            payload: b"\xff\x00",
        }
    }

    #[test]
    fn a_line_that_a_crash_cut_off_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead.jsonl");
        fs::write(&path, r#"{"at":"2026-01-01T00:00:00.000Z","topic":"me"#).unwrap();
        for offset in 0..2 {
            DeadLetters::open(&path, 4096).unwrap().keep(&letter(offset)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        let read: Vec<Option<i64>> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["offset"].as_i64())
            .collect();
        assert_eq!(read, [None, Some(0), Some(1)]);
    }

    #[test]
    fn the_newest_messages_are_kept_within_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead.jsonl");
        let mut letters = DeadLetters::open(&path, 4096).unwrap();
        for offset in 0..100 {
            letters.keep(&letter(offset)).unwrap();
        }
        let now = fs::read_to_string(&path).unwrap();
        let before = fs::read_to_string(path.with_extension("1")).unwrap();
        assert!(now.len() + before.len() <= 4096);
        let last: serde_json::Value = serde_json::from_str(now.lines().last().unwrap()).unwrap();
        assert_eq!(last["offset"], 99);
        assert_eq!(last["payload"], "/wA=");
    }
}
