//! `serve` against a real Apache Kafka broker: both formats from several partitions, poison, and offsets right
//! after a crash and after a stop.

mod support;

use std::path::Path;
use std::time::Duration;

use foreshock::durable::snapshot;
use foreshock::engine::EngineState;
use support::kafka::Broker;
use support::remote_write::{self, Series};
use support::{Foreshock, now_ms, wait_until};

const SOON: Duration = Duration::from_secs(60);
const TELEGRAF: &str = "telegraf";
const PROMETHEUS: &str = "prometheus";
const PARTITIONS: usize = 3;
const HOSTS: usize = 6;

/// What has been produced: messages by topic and partition.
struct Produced<'b> {
    broker: &'b Broker,
    messages: [[i64; PARTITIONS]; 2],
}

impl Produced<'_> {
    /// One message a host and second in each topic; partitions and topics one after the other, far from in step.
    fn seconds(&mut self, seconds: std::ops::Range<i64>) {
        for partition in 0..PARTITIONS {
            let (mut telegraf, mut prometheus) = (Vec::new(), Vec::new());
            for second in seconds.clone() {
                for host in (0..HOSTS).filter(|host| host % PARTITIONS == partition) {
                    telegraf.push(telegraf_json(host, second));
                    let request = remote_write_of(host, second);
                    // Senders differ in whether they compress.
                    let is_plain = partition == 0;
                    prometheus.push(if is_plain { request } else { remote_write::compressed(&request) });
                }
            }
            self.payloads(TELEGRAF, partition, &telegraf);
            self.payloads(PROMETHEUS, partition, &prometheus);
        }
    }

    fn payloads(&mut self, topic: &str, partition: usize, payloads: &[Vec<u8>]) {
        self.broker.produce(topic, partition as i32, payloads);
        self.messages[usize::from(topic == PROMETHEUS)][partition] += payloads.len() as i64;
    }

    fn committed(&self) -> [[i64; PARTITIONS]; 2] {
        [TELEGRAF, PROMETHEUS]
            .map(|topic| self.broker.committed("foreshock", topic, PARTITIONS as i32).try_into().unwrap())
    }

    fn wait_committed(&self) {
        wait_until("all offsets are committed", SOON, || self.committed() == self.messages);
    }
}

fn value(host: usize, second: i64) -> f64 {
    (100 + 10 * host as i64 + second % 7) as f64
}

fn telegraf_json(host: usize, second: i64) -> Vec<u8> {
    let value = value(host, second);
    let text = format!(
        r#"{{"name":"queue","tags":{{"host":"mx{host}"}},"fields":{{"length":{value},"note":"x"}},"timestamp":{second}}}"#
    );
    text.into_bytes()
}

fn remote_write_of(host: usize, second: i64) -> Vec<u8> {
    let host_name = format!("mx{host}");
    let labels = [("__name__", "threads_busy"), ("host", host_name.as_str())];
    remote_write::plain(&[Series::new(&labels, [(second * 1000, value(host, second))])])
}

/// The last values of a metric by host.
fn values(foreshock: &Foreshock, metric: &str) -> Vec<(String, f64)> {
    let found = foreshock.json(&format!("/api/v1/series?match[]={metric}"));
    let series = found["series"].as_array().unwrap().iter();
    let of = |s: &serde_json::Value| {
        (s["labels"]["host"].as_str().unwrap().to_owned(), s["value"].as_f64().unwrap_or(f64::NAN))
    };
    series.map(of).collect()
}

fn wait_values(foreshock: &Foreshock, last_second: i64) {
    let want: Vec<(String, f64)> =
        (0..HOSTS).map(|host| (format!("mx{host}"), value(host, last_second))).collect();
    for metric in ["queue_length", "threads_busy"] {
        wait_until(&format!("{metric} has its last values"), SOON, || values(foreshock, metric) == want);
    }
}

fn snapshot_positions(data: &Path) -> [[i64; PARTITIONS]; 2] {
    let found = snapshot::read::<EngineState>(&data.join("engine.snapshot")).unwrap();
    [TELEGRAF, PROMETHEUS].map(|topic| {
        std::array::from_fn(|partition| {
            found.positions.get(&format!("kafka:{topic}/{partition}")).map_or(-1, |p| p.next_offset)
        })
    })
}

fn count(foreshock: &Foreshock, series: &str) -> f64 {
    foreshock.metric(series).unwrap_or(0.0)
}

fn assert_samples(foreshock: &Foreshock, want: i64) {
    assert_eq!(count(foreshock, "foreshock_samples_total"), want as f64);
    for reason in ["late", "duplicate", "backwards"] {
        let dropped = format!(r#"foreshock_dropped_total{{part="engine",reason="{reason}"}}"#);
        assert_eq!(count(foreshock, &dropped), 0.0, "{reason}");
    }
}

fn dead_letters(data: &Path, topic: &str) -> Vec<(i64, i64)> {
    let text = std::fs::read_to_string(data.join(format!("dead-letter-{topic}.jsonl"))).unwrap();
    let place = |line: &str| {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        (letter["partition"].as_i64().unwrap(), letter["offset"].as_i64().unwrap())
    };
    text.lines().map(place).collect()
}

#[test]
fn both_formats_poison_and_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path());
    for topic in [TELEGRAF, PROMETHEUS] {
        broker.create_topic(topic, PARTITIONS as i32);
    }
    let source = |topic: &str, format: &str| {
        format!(
            "  - {{brokers: ['{}'], topics: [{topic}], format: {format}, lateness: 2s}}\n",
            broker.address
        )
    };
    let kafka = source(TELEGRAF, "telegraf_json") + &source(PROMETHEUS, "remote_write");
    let config = |interval: &str| {
        format!("site: test\nstep_seconds: 1\nlimits: {{snapshot_interval: {interval}}}\nkafka:\n{kafka}")
    };
    let mut produced = Produced { broker: &broker, messages: [[0; PARTITIONS]; 2] };
    let now = now_ms() / 1000;
    produced.seconds(now - 120..now - 60);
    produced.payloads(TELEGRAF, 1, &[b"not json".to_vec(), Vec::new()]);
    produced.payloads(PROMETHEUS, 2, &[vec![0xff; 4]]);
    produced.seconds(now - 60..now);
    let each = (2 * HOSTS) as i64;

    // A first start reads all of it, each topic in order of time with the other.
    let mut foreshock = Foreshock::serve(dir.path(), &config("1h"));
    foreshock.wait_ready();
    assert_samples(&foreshock, 120 * each);
    wait_values(&foreshock, now - 1);
    for (reason, want) in [("json", 1.0), ("empty", 1.0), ("remote_write", 1.0)] {
        let dropped = format!(r#"foreshock_dropped_total{{part="kafka",reason="{reason}"}}"#);
        assert_eq!(count(&foreshock, &dropped), want, "{reason}");
    }
    assert_eq!(dead_letters(&foreshock.data(), TELEGRAF), [(1, 120), (1, 121)]);
    assert_eq!(dead_letters(&foreshock.data(), PROMETHEUS), [(2, 120)]);
    produced.wait_committed();
    let at_snapshot = produced.messages;
    assert_eq!(snapshot_positions(&foreshock.data()), at_snapshot);

    // What is read after the snapshot is not committed, and read again after a crash, once.
    let now = now_ms() / 1000;
    produced.seconds(now..now + 10);
    wait_values(&foreshock, now + 9);
    assert_samples(&foreshock, 130 * each);
    assert_eq!(produced.committed(), at_snapshot);
    foreshock.restart();
    foreshock.wait_ready();
    assert_samples(&foreshock, 10 * each);
    wait_values(&foreshock, now + 9);
    produced.wait_committed();
    assert_eq!(snapshot_positions(&foreshock.data()), produced.messages);

    // A stop leaves nothing to read again.
    let now = now_ms() / 1000;
    produced.seconds(now..now + 10);
    wait_until("ten more seconds have been read", SOON, || {
        count(&foreshock, "foreshock_samples_total") == (20 * each) as f64
    });
    assert_eq!(foreshock.process.terminate(), Some(0), "{}", foreshock.log_tail());
    assert_eq!(produced.committed(), produced.messages);
    assert_eq!(snapshot_positions(&foreshock.data()), produced.messages);

    // With a short interval the offsets follow the snapshot, and never overtake it.
    let mut foreshock = Foreshock::serve(dir.path(), &config("1s"));
    foreshock.wait_ready();
    assert_samples(&foreshock, 0);
    for _ in 0..10 {
        let now = now_ms() / 1000;
        produced.seconds(now..now + 1);
        let committed = produced.committed();
        let durable = snapshot_positions(&foreshock.data());
        for (committed, durable) in committed.iter().flatten().zip(durable.iter().flatten()) {
            assert!(committed <= durable, "{committed} is committed, {durable} on disk");
        }
    }
    produced.wait_committed();
    wait_until("snapshot", SOON, || snapshot_positions(&foreshock.data()) == produced.messages);
    assert_eq!(foreshock.process.terminate(), Some(0), "{}", foreshock.log_tail());
}
