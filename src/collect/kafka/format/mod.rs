//! What a message's bytes mean: one file a format, one function each.
//!
//! A format reads one payload into one batch, whole or not at all: a message that cannot be read to its
//! end leaves nothing behind. To add one: a file here, a variant in the config's `KafkaFormat`, a line in
//! `read`, a fixture.

pub mod remote_write;
pub mod telegraf_json;

use std::time::Duration;

use crate::collect::prometheus::remote_write::{Decoded, Skipped};
use crate::config::KafkaFormat;
use crate::sample::Source;

/// Why a payload could not be read. None of these is worth another try.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FormatError {
    #[error("not the JSON of Telegraf: {0}")]
    Json(String),
    #[error("not a remote-write request: {0}")]
    RemoteWrite(String),
    #[error("remote write version 2 is not read; set the sender to version 1")]
    RemoteWriteVersion2,
    #[error("{bytes} bytes, over the limit of {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("its labels, repeated for each field, take more than {bytes_max} bytes")]
    Labels { bytes_max: usize },
    #[error("the message is empty")]
    Empty,
}

impl FormatError {
    /// A word for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            FormatError::Json(_) => "json",
            FormatError::RemoteWrite(_) => "remote_write",
            FormatError::RemoteWriteVersion2 => "remote_write_version",
            FormatError::TooLarge { .. } => "too_large",
            FormatError::Labels { .. } => "labels",
            FormatError::Empty => "empty",
        }
    }
}

/// How payloads of one topic are to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub format: KafkaFormat,
    /// What one unit of a number in `timestamp` is.
    pub timestamp_unit: Duration,
    /// Of the payload as it came.
    pub message_bytes_max: usize,
}

/// Reads one payload as a batch of `source`, and counts what of it a batch could not take.
///
/// `version` is the message header `Version`, where there is one.
pub fn read(
    reading: &Reading,
    payload: &[u8],
    version: Option<&[u8]>,
    source: Source,
) -> Result<Decoded, FormatError> {
    if payload.is_empty() {
        return Err(FormatError::Empty);
    }
    if payload.len() > reading.message_bytes_max {
        return Err(FormatError::TooLarge { bytes: payload.len(), bytes_max: reading.message_bytes_max });
    }
    match reading.format {
        KafkaFormat::TelegrafJson => telegraf_json::read(payload, reading.timestamp_unit, source)
            .map(|batch| Decoded { batch, skipped: Skipped::default() }),
        KafkaFormat::RemoteWrite => remote_write::read(payload, version, source),
    }
}
