//! The consumer against librdkafka's mock cluster: order of time, poison, positions, commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::config::{KafkaFormat, KafkaSource};
use crate::sample::{Batch, Position};
use crate::telemetry::Metrics;

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(topic: &str, partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(topic, partitions, 1).unwrap();
    cluster
}

fn produce(cluster: &Cluster, topic: &str, partition: i32, payloads: &[String]) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for payload in payloads {
        producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload(payload)).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

fn payload(second: i64) -> String {
    format!(r#"{{"name":"q","fields":{{"v":1}},"timestamp":{second}}}"#)
}

fn source(cluster: &Cluster, topic: &str, group: &str) -> KafkaSource {
    KafkaSource {
        brokers: vec![cluster.bootstrap_servers()],
        topics: vec![topic.into()],
        group: group.into(),
        format: KafkaFormat::TelegrafJson,
        timestamp_unit: Duration::from_secs(1),
        lateness: Duration::from_secs(2),
        properties: BTreeMap::new(),
        message_bytes_max: 1 << 20,
        dead_letter_bytes_max: 1 << 20,
    }
}

/// Starts a consumer and takes `count` batches from it.
async fn take(
    cluster: &Cluster,
    topic: &str,
    group: &str,
    positions: BTreeMap<String, Position>,
    data_dir: &std::path::Path,
    count: usize,
) -> (Vec<Batch>, Consumer, Arc<Metrics>) {
    let (queue, mut batches) = mpsc::channel(4);
    let metrics = Arc::new(Metrics::new());
    let positions = Arc::new(Positions::new(positions));
    let source = source(cluster, topic, group);
    let turns = order::turns(1);
    let consumer = start(&source, Clock::wall(), positions, data_dir, queue, metrics.clone(), turns).unwrap();
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = tokio::time::timeout(Duration::from_secs(30), batches.recv()).await.unwrap();
        taken.push(batch.unwrap());
    }
    (taken, consumer, metrics)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_come_in_order_of_time_and_poison_blocks_nothing() {
    let cluster = cluster("order", 2);
    let dir = tempfile::tempdir().unwrap();
    produce(&cluster, "order", 0, &[payload(1), payload(3), "not json".into(), payload(5)]);
    produce(&cluster, "order", 1, &[payload(2), payload(4)]);
    let (batches, consumer, metrics) = take(&cluster, "order", "g", BTreeMap::new(), dir.path(), 6).await;

    let seconds: Vec<i64> = batches.iter().filter_map(Batch::latest).map(|at| at.0 / 1000).collect();
    assert_eq!(seconds, [1, 2, 3, 4, 5]);
    let mut reached = BTreeMap::new();
    for batch in &batches {
        reached.insert(batch.source.to_string(), batch.position.unwrap());
    }
    assert_eq!(reached["kafka:order/0"].next_offset, 4);
    assert_eq!(reached["kafka:order/1"].next_offset, 2);
    assert!(metrics.encode(crate::sample::Timestamp(0)).contains(r#"part="kafka",reason="json"} 1"#));
    let letters = std::fs::read_to_string(dir.path().join("dead-letter-order.jsonl")).unwrap();
    assert!(letters.contains(r#""offset":2"#), "{letters}");
    tokio::task::spawn_blocking(move || consumer.commit(&reached)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_reads_on_from_the_positions_of_the_snapshot() {
    let cluster = cluster("restart", 1);
    let dir = tempfile::tempdir().unwrap();
    produce(&cluster, "restart", 0, &[payload(1), payload(2), payload(3)]);
    let (first, _consumer, _) = take(&cluster, "restart", "g", BTreeMap::new(), dir.path(), 3).await;
    assert_eq!(first[2].position, Some(Position { next_offset: 3 }));
    // The snapshot had reached only the first message, whatever had been read since.
    let positions = BTreeMap::from([("kafka:restart/0".into(), Position { next_offset: 1 })]);
    // Another group, since the mock keeps a static member's place until its session has timed out.
    let (again, _consumer, _) = take(&cluster, "restart", "h", positions, dir.path(), 2).await;
    let seconds: Vec<i64> = again.iter().filter_map(Batch::latest).map(|at| at.0 / 1000).collect();
    assert_eq!(seconds, [2, 3]);
}
