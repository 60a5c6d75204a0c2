//! Any bytes as a Kafka message, in each format.
#![no_main]

use std::time::Duration;

use foreshock::collect::kafka::format::{self, Reading};
use foreshock::config::KafkaFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    for format in [KafkaFormat::TelegrafJson, KafkaFormat::RemoteWrite] {
        let reading = Reading { format, timestamp_unit: Duration::from_secs(1), message_bytes_max: 1 << 20 };
        let _ = format::read(&reading, payload, None, "kafka:fuzz/0".into());
    }
});
