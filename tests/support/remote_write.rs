//! Remote-write requests as a sender makes them, by prost: another encoder than any part of the product.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
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

/// A series: labels sorted by name, and samples as (milliseconds, value).
pub type Series<'a> = (Vec<(&'a str, &'a str)>, Vec<(i64, f64)>);

/// The protobuf of a request, not compressed.
pub fn request(series: &[Series]) -> Vec<u8> {
    let label = |(name, value): &(&str, &str)| Label { name: (*name).into(), value: (*value).into() };
    let sample = |(timestamp, value): &(i64, f64)| Sample { value: *value, timestamp: *timestamp };
    let one = |(labels, samples): &Series| TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: samples.iter().map(sample).collect(),
    };
    WriteRequest { timeseries: series.iter().map(one).collect() }.encode_to_vec()
}

/// As it goes over the wire: a snappy block.
pub fn compressed(request: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(request).unwrap()
}
