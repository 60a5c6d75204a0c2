//! Remote write 1.0: one snappy block around a protobuf `WriteRequest`, taken in as one batch.
//!
//! ```text
//! WriteRequest { 1 timeseries: TimeSeries*, 3 metadata }
//! TimeSeries   { 1 labels: Label*, 2 samples: Sample*, 3 exemplars, 4 histograms }
//! Label        { 1 name: string, 2 value: string }
//! Sample       { 1 value: double, 2 timestamp: int64, milliseconds }
//! ```
//!
//! The walk borrows from the decompressed body: nothing is allocated for a label. Metadata comes in
//! requests of its own and long after the series it describes, so it is left to the series core to
//! know a counter by name and behaviour. Exemplars and native histograms are not taken in; the
//! latter carry values, so they are counted.

use super::protobuf::{Field, Fields, Malformed};
use crate::sample::{Batch, METRIC_NAME, Sample, Source, Timestamp, ValueKind};

/// A series of more labels is no series: 30 is much, and each costs memory before the registry sees it.
const LABELS_MAX: usize = 256;

/// Why a request was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    #[error("content type {0:?} is not remote write 1.0; set `protobuf_message: prometheus.WriteRequest`")]
    ContentType(String),
    #[error("the body is a remote write 2.0 request; set `protobuf_message: prometheus.WriteRequest`")]
    Version2,
    #[error("content encoding {0:?} is not snappy")]
    ContentEncoding(String),
    #[error("the body would be {bytes} bytes when decompressed; the limit is {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("the body is not a snappy block: {0}")]
    Snappy(#[from] snap::Error),
    #[error("the body is not a WriteRequest: {0}")]
    Protobuf(#[from] Malformed),
}

impl RemoteWriteError {
    /// The HTTP status that tells a sender what to do; none of these makes it try again.
    pub fn status(&self) -> u16 {
        match self {
            Self::ContentType(_) | Self::ContentEncoding(_) | Self::Version2 => 415,
            Self::TooLarge { .. } => 413,
            Self::Snappy(_) | Self::Protobuf(_) => 400,
        }
    }

    /// The same bytes fail in the same way.
    pub fn is_retryable(&self) -> bool {
        false
    }
}

/// A request as a batch, and what of it was left out.
#[derive(Debug)]
pub struct Decoded {
    pub batch: Batch,
    pub skipped: Skipped,
}

/// Counts of what a batch could not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Series without a name, with a repeated label, more than 256 labels, or a label that is not UTF-8.
    pub bad_series: u64,
    /// Native histograms.
    pub histograms: u64,
}

/// Refuses, before its body is read, what is not remote write 1.0. A missing header is taken as right.
pub fn check_headers(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
) -> Result<(), RemoteWriteError> {
    let content_type = content_type.unwrap_or("application/x-protobuf");
    let mut parts = content_type.split(';').map(str::trim);
    let protobuf = parts.next().is_some_and(|t| t.eq_ignore_ascii_case("application/x-protobuf"));
    let first_version = parts.all(|part| match part.split_once('=') {
        Some((name, message)) if name.trim().eq_ignore_ascii_case("proto") => {
            message.trim().trim_matches('"') == "prometheus.WriteRequest"
        }
        _ => true,
    });
    if !(protobuf && first_version) {
        return Err(RemoteWriteError::ContentType(content_type.chars().take(120).collect()));
    }
    match content_encoding {
        Some(coding) if !coding.eq_ignore_ascii_case("snappy") => {
            Err(RemoteWriteError::ContentEncoding(coding.chars().take(40).collect()))
        }
        _ => Ok(()),
    }
}

/// Reads a request body as it comes over HTTP. `lateness_ms` of the batch is the caller's to set.
///
/// Memory: `bytes_max` decompressed, and at most eight times as much in the batch.
pub fn decode(body: &[u8], bytes_max: usize, source: Source) -> Result<Decoded, RemoteWriteError> {
    // The length stands in front of a block, so a bomb is seen before it goes off.
    let bytes = snap::raw::decompress_len(body)?;
    if bytes > bytes_max {
        return Err(RemoteWriteError::TooLarge { bytes, bytes_max });
    }
    let request = snap::raw::Decoder::new().decompress_vec(body)?;
    decode_plain(&request, source)
}

/// Reads a `WriteRequest` that is not compressed.
pub fn decode_plain(request: &[u8], source: Source) -> Result<Decoded, RemoteWriteError> {
    let mut batch = Batch::new(source);
    let mut skipped = Skipped::default();
    let mut series = Series::default();
    for field in Fields::new(request) {
        match field? {
            (1, Field::Bytes(message)) => {
                if series.read(message, &mut skipped)? {
                    series.put(&mut batch);
                } else {
                    skipped.bad_series += 1;
                }
            }
            // Symbols and series of 2.0, which a careless sender may post under 1.0's content type.
            (4 | 5, Field::Bytes(_)) => return Err(RemoteWriteError::Version2),
            _ => {}
        }
    }
    Ok(Decoded { batch, skipped })
}

/// Room for one series, used again for each.
#[derive(Default)]
struct Series<'r> {
    labels: Vec<(&'r str, &'r str)>,
    samples: Vec<Sample>,
}

impl<'r> Series<'r> {
    /// Returns whether the series has labels that can name it.
    fn read(&mut self, message: &'r [u8], skipped: &mut Skipped) -> Result<bool, Malformed> {
        self.labels.clear();
        self.samples.clear();
        let mut readable = true;
        for field in Fields::new(message) {
            match field? {
                (1, Field::Bytes(message)) => match label(message)? {
                    Some(label) if self.labels.len() < LABELS_MAX => self.labels.push(label),
                    _ => readable = false,
                },
                (2, Field::Bytes(message)) => self.samples.push(sample(message)?),
                (4, Field::Bytes(_)) => skipped.histograms += 1,
                _ => {}
            }
        }
        // Senders must send labels in order, and do; who doesn't costs a sort.
        if !self.is_strictly_sorted() {
            self.labels.sort_unstable_by_key(|(name, _)| *name);
            readable &= self.is_strictly_sorted();
        }
        let named = self.labels.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty());
        Ok(readable && named)
    }

    /// In order, and none named twice.
    fn is_strictly_sorted(&self) -> bool {
        self.labels.is_sorted_by(|(before, _), (name, _)| before < name)
    }

    fn put(&mut self, batch: &mut Batch) {
        if self.samples.is_empty() {
            return;
        }
        batch.series(&mut self.labels, ValueKind::Unknown);
        for sample in &self.samples {
            batch.sample(sample.at, sample.value);
        }
    }
}

/// `None` where name or value is not UTF-8, or the name is empty.
fn label(message: &[u8]) -> Result<Option<(&str, &str)>, Malformed> {
    let (mut name, mut value) = (&b""[..], &b""[..]);
    for field in Fields::new(message) {
        match field? {
            (1, Field::Bytes(bytes)) => name = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    let pair = std::str::from_utf8(name).ok().zip(std::str::from_utf8(value).ok());
    Ok(pair.filter(|(name, _)| !name.is_empty()))
}

fn sample(message: &[u8]) -> Result<Sample, Malformed> {
    let mut sample = Sample { at: Timestamp(0), value: 0.0 };
    for field in Fields::new(message) {
        match field? {
            (1, Field::Fixed64(bits)) => sample.value = f64::from_bits(bits),
            (2, Field::Varint(ms)) => sample.at = Timestamp(ms as i64),
            _ => {}
        }
    }
    Ok(sample)
}

#[cfg(test)]
mod tests;
