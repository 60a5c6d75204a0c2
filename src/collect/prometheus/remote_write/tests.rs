//! Requests as senders make them, agreement with prost's own decoder, and hostile bodies.

use super::*;
use proptest::prelude::*;
use prost::Message;

/// The schema as prost would have it, an oracle for the walk.
mod oracle {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        pub timeseries: Vec<TimeSeries>,
        #[prost(message, repeated, tag = "3")]
        pub metadata: Vec<Metadata>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub histograms: Vec<Sample>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Label {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Sample {
        #[prost(double, tag = "1")]
        pub value: f64,
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metadata {
        #[prost(int32, tag = "1")]
        pub kind: i32,
        #[prost(string, tag = "2")]
        pub metric_family_name: String,
    }
}

const BYTES_MAX: usize = 1 << 20;

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> oracle::TimeSeries {
    let label = |&(name, value): &(&str, &str)| oracle::Label { name: name.into(), value: value.into() };
    let sample = |&(timestamp, value): &(i64, f64)| oracle::Sample { value, timestamp };
    oracle::TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: samples.iter().map(sample).collect(),
        histograms: Vec::new(),
    }
}

fn snappy(request: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(request).unwrap()
}

fn decode_series(timeseries: Vec<oracle::TimeSeries>) -> Decoded {
    let request = oracle::WriteRequest { timeseries, metadata: Vec::new() };
    decode(&snappy(&request.encode_to_vec()), BYTES_MAX, "remote_write".into()).unwrap()
}

/// Series as text, each with its samples.
fn rows(batch: &Batch) -> Vec<(String, Vec<(i64, u64)>)> {
    let row = |samples: &[Sample]| samples.iter().map(|s| (s.at.0, s.value.to_bits())).collect();
    batch
        .iter()
        .map(|(key, _, samples)| (crate::sample::Labels::from_key(key).to_string(), row(samples)))
        .collect()
}

#[test]
fn a_request_is_one_batch() {
    let stale = f64::from_bits(crate::sample::STALE_NAN_BITS);
    let decoded = decode_series(vec![
        series(&[("__name__", "up"), ("instance", "mta1:9100")], &[(1000, 1.0), (2000, stale)]),
        series(&[("job", "mta"), ("__name__", "load")], &[(-1, 0.5)]),
    ]);
    let want = vec![
        (r#"up{instance="mta1:9100"}"#.into(), vec![(1000, 1f64.to_bits()), (2000, stale.to_bits())]),
        (r#"load{job="mta"}"#.into(), vec![(-1, 0.5f64.to_bits())]),
    ];
    assert_eq!(rows(&decoded.batch), want);
    assert_eq!(decoded.skipped, Skipped::default());
}

#[test]
fn a_series_that_cannot_be_named_is_counted_and_costs_only_itself() {
    let many: Vec<(String, String)> = (0..300).map(|i| (format!("l{i}"), "x".into())).collect();
    let mut many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    many.push(("__name__", "many"));
    let mut histogram = series(&[("__name__", "h")], &[]);
    histogram.histograms.push(oracle::Sample::default());
    let decoded = decode_series(vec![
        series(&[("job", "a")], &[(1, 1.0)]),
        series(&[("__name__", "")], &[(1, 1.0)]),
        series(&[("__name__", "m"), ("a", "1"), ("a", "2")], &[(1, 1.0)]),
        series(&[("__name__", "m"), ("", "1")], &[(1, 1.0)]),
        series(&many, &[(1, 1.0)]),
        histogram,
        series(&[("__name__", "good")], &[(1, 1.0)]),
    ]);
    assert_eq!(rows(&decoded.batch), vec![("good".into(), vec![(1, 1f64.to_bits())])]);
    assert_eq!(decoded.skipped, Skipped { bad_series: 5, histograms: 1 });
}

#[test]
fn a_label_that_is_not_utf8_costs_only_its_series() {
    let bad = b"\x0a\x0e\x0a\x0c\x0a\x08__name__\x12\x00".to_vec();
    let mut request = b"\x0a\x0f\x0a\x0d\x0a\x08__name__\x12\x01\xff".to_vec();
    request.extend(bad);
    let decoded = decode_plain(&request, "kafka:m/0".into()).unwrap();
    assert_eq!(decoded.skipped.bad_series, 2);
}

#[test]
fn a_bomb_is_refused_by_the_length_that_it_announces() {
    let bomb = snappy(&vec![0; BYTES_MAX + 1]);
    assert!(bomb.len() < 60_000);
    let error = decode(&bomb, BYTES_MAX, "remote_write".into()).unwrap_err();
    assert!(matches!(error, RemoteWriteError::TooLarge { .. }));
    assert_eq!(error.status(), 413);
    // Announces 4 GiB within five bytes.
    let error = decode(b"\xff\xff\xff\xff\x0f", BYTES_MAX, "remote_write".into()).unwrap_err();
    assert!(matches!(error, RemoteWriteError::TooLarge { .. }));
}

#[test]
fn what_is_not_remote_write_1_is_refused_by_its_headers() {
    let check = |content_type, encoding, want: Option<u16>| {
        let status = check_headers(content_type, encoding).err().map(|error| error.status());
        assert_eq!(status, want, "{content_type:?} {encoding:?}");
    };
    check(None, None, None);
    check(Some("application/x-protobuf"), Some("snappy"), None);
    check(Some("application/x-protobuf;proto=prometheus.WriteRequest"), Some("snappy"), None);
    check(Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"), Some("snappy"), Some(415));
    check(Some("application/json"), Some("snappy"), Some(415));
    check(Some("application/x-protobuf"), Some("gzip"), Some(415));
}

fn any_series() -> impl Strategy<Value = oracle::TimeSeries> {
    let labels = prop::collection::btree_map("[a-z]{1,6}", ".{1,10}", 0..5);
    // prost takes -0.0 for the default and leaves it out.
    let value = any::<f64>().prop_map(|value| value + 0.0);
    let samples = prop::collection::vec((any::<i64>(), value), 1..5);
    ("[a-z_:]{1,8}", labels, samples).prop_map(|(name, labels, samples)| {
        let mut pairs: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        pairs.push(("__name__", &name));
        series(&pairs, &samples)
    })
}

proptest! {
    #[test]
    fn the_walk_reads_what_prost_reads(timeseries in prop::collection::vec(any_series(), 0..8)) {
        let want: Vec<_> = timeseries.iter().map(|series| {
            let labels: Vec<_> = series.labels.iter().map(|l| (l.name.as_str(), l.value.as_str())).collect();
            let samples = series.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
            (crate::sample::Labels::new(&labels).to_string(), samples)
        }).collect();
        prop_assert_eq!(rows(&decode_series(timeseries).batch), want);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_batch(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&body, BYTES_MAX, "remote_write".into());
        let ours = decode_plain(&body, "remote_write".into());
        if oracle::WriteRequest::decode(&body[..]).is_ok() {
            prop_assert!(matches!(ours, Ok(_) | Err(RemoteWriteError::Version2)));
        }
    }
}
