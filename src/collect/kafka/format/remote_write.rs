//! A Prometheus `WriteRequest` a message, as a snappy block or plain.
//!
//! Senders differ in whether they compress, and say so nowhere. A plain request begins with the tag of a field
//! that holds messages; read as a snappy length it leads to a tiny block that does not fit, so snappy is tried first.

use super::FormatError;
use crate::collect::prometheus::remote_write::{Decoded, RemoteWriteError, decode, decode_plain};
use crate::sample::Source;

/// Of a decompressed message: Kafka's own limit is 1 MB as sent, and labels compress well.
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;
/// Series and metadata of version 1, symbols and series of version 2.
const PLAIN_TAGS: [u8; 4] = [0x0a, 0x1a, 0x22, 0x2a];

/// Reads one message; `version` is the header `Version`, big-endian, absent in version 1.
pub fn read(payload: &[u8], version: Option<&[u8]>, source: Source) -> Result<Decoded, FormatError> {
    match version {
        None | Some([0, 0, 0, 1]) => {}
        Some([0, 0, 0, 2]) => return Err(FormatError::RemoteWriteVersion2),
        Some(other) => return Err(FormatError::RemoteWrite(format!("unknown Version header {other:?}"))),
    }
    let decoded = match decode(payload, DECOMPRESSED_BYTES_MAX, source.clone()) {
        Err(RemoteWriteError::Snappy(_)) if payload.first().is_some_and(|tag| PLAIN_TAGS.contains(tag)) => {
            decode_plain(payload, source)
        }
        decoded => decoded,
    };
    decoded.map_err(|error| match error {
        RemoteWriteError::Version2 => FormatError::RemoteWriteVersion2,
        error => FormatError::RemoteWrite(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `up{job="x"} 1 @5`, by hand: series 1, labels 1, samples 2.
    const PLAIN: &[u8] = &[
        0x0a, 0x29, 0x0a, 0x0e, 0x0a, 8, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_', 0x12, 2, b'u', b'p',
        0x0a, 0x08, 0x0a, 3, b'j', b'o', b'b', 0x12, 1, b'x', 0x12, 0x0b, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f,
        0x10, 5, 0x1a, 0x00,
    ];

    fn check(payload: &[u8]) {
        let batch = read(payload, None, "kafka:t/0".into()).unwrap().batch;
        assert_eq!(batch.len(), 1);
        assert_eq!(batch.latest().unwrap().0, 5);
    }

    #[test]
    fn compressed_or_plain_it_is_the_same() {
        check(PLAIN);
        check(&snap::raw::Encoder::new().compress_vec(PLAIN).unwrap());
    }

    #[test]
    fn version_2_and_garbage_are_refused_clearly() {
        let why = |payload: &[u8], version| read(payload, version, "kafka:t/0".into()).unwrap_err();
        assert_eq!(why(PLAIN, Some(&[0, 0, 0, 2][..])), FormatError::RemoteWriteVersion2);
        assert!(matches!(why(PLAIN, Some(&b"2"[..])), FormatError::RemoteWrite(_)));
        assert!(matches!(why(b"\xff\xff\xff\xff", None), FormatError::RemoteWrite(_)));
    }
}
