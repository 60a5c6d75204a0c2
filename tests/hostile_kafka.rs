//! Every file of `fixtures/hostile/kafka` is read to the samples or the words that stand beside it in `.want`.
//!
//! `.json` is a message of Telegraf's, `.bin` one of remote write, `.v2` the same under the header of version 2.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use foreshock::collect::kafka::format::{Reading, read};
use foreshock::collect::prometheus::remote_write::Decoded;
use foreshock::config::KafkaFormat;
use foreshock::sample::Labels;

fn outcome(ending: &str, payload: &[u8]) -> String {
    let format = if ending == "json" { KafkaFormat::TelegrafJson } else { KafkaFormat::RemoteWrite };
    let reading = Reading { format, timestamp_unit: Duration::from_secs(1), message_bytes_max: 1 << 16 };
    let version = (ending == "v2").then_some(&[0, 0, 0, 2][..]);
    let Decoded { batch, skipped } = match read(&reading, payload, version, "kafka:t/0".into()) {
        Ok(decoded) => decoded,
        Err(error) => return format!("{}: {error}\n", error.kind()),
    };
    let mut text = format!("{} samples, {} bad series\n", batch.len(), skipped.bad_series);
    for (key, _, samples) in batch.iter() {
        for sample in samples {
            writeln!(text, "{} {} @{}", Labels::from_key(key), sample.value, sample.at.0).unwrap();
        }
    }
    text
}

#[test]
fn every_hostile_message_is_read_or_refused_in_clear_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile/kafka");
    let (mut telegraf, mut remote_write) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().unwrap().to_str().unwrap();
        match ending {
            "want" => continue,
            "json" => telegraf += 1,
            _ => remote_write += 1,
        }
        let got = outcome(ending, &fs::read(&path).unwrap());
        let beside = format!("{}.want", path.display());
        assert_eq!(got, fs::read_to_string(&beside).unwrap_or_default(), "{}", path.display());
    }
    assert!(telegraf >= 15 && remote_write >= 10, "only {telegraf} and {remote_write} files");
}
