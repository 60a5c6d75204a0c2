//! Any bytes as a Kafka message of remote write, compressed or not, under every version header.
#![no_main]

use std::time::Duration;

use foreshock::collect::kafka::format::{Reading, read};
use foreshock::config::KafkaFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let reading = Reading {
        format: KafkaFormat::RemoteWrite,
        timestamp_unit: Duration::from_secs(1),
        message_bytes_max: 1 << 20,
    };
    for version in [None, Some(&[0, 0, 0, 1][..]), Some(&[0, 0, 0, 2][..]), Some(&payload[..payload.len() % 5])] {
        if let Ok(decoded) = read(&reading, payload, version, "fuzz".into()) {
            assert!(decoded.batch.iter().all(|(key, _, _)| !key.is_empty()));
        }
    }
});
