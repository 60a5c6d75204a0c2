//! A sender of remote write 1.0, by prost and not by the product's own walker.

use prost::Message;

use super::http::{self, Answer};

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

impl Series {
    /// `labels` in any order; `samples` are milliseconds and values, oldest first.
    pub fn new(labels: &[(&str, &str)], samples: impl IntoIterator<Item = (i64, f64)>) -> Self {
        let mut labels: Vec<Label> = labels
            .iter()
            .map(|(name, value)| Label { name: (*name).into(), value: (*value).into() })
            .collect();
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        let samples = samples.into_iter().map(|(timestamp, value)| Sample { value, timestamp }).collect();
        Series { labels, samples }
    }
}

pub fn send(url: &str, series: &[Series]) -> Answer {
    let headers = [
        ("Content-Type", "application/x-protobuf"),
        ("Content-Encoding", "snappy"),
        ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ];
    http::post(url, &headers, &compressed(&plain(series))).unwrap()
}

/// The protobuf of a request.
pub fn plain(series: &[Series]) -> Vec<u8> {
    WriteRequest { timeseries: series.to_vec() }.encode_to_vec()
}

/// As it goes over the wire: a snappy block.
pub fn compressed(request: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(request).unwrap()
}
