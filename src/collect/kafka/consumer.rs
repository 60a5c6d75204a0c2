//! The consumer group: one consumer a topic, messages to batches, batches in order of time to the engine.
//!
//! Back-pressure: while the engine's queue is full the consumer goes on polling (so that it keeps its place
//! in the group) and pauses the partitions whose batches pile up. Offsets are committed by `commit`, which
//! the snapshot calls once what they carried is on disk; a restart seeks to the snapshot's own positions,
//! which may be older or newer than what the broker remembers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Message, Offset, TopicPartitionList};
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::dead_letter::{DeadLetter, DeadLetters};
use super::format::{self, FormatError, Reading};
use super::merge::{Flow, Merge};
use super::order::{Head, Turn};
use super::positions::{Positions, partition_of, source_name};
use crate::clock::Clock;
use crate::collect::prometheus::remote_write::Decoded;
use crate::config::KafkaSource;
use crate::sample::{Batch, Position, Source, Timestamp};
use crate::telemetry::{Metrics, Stage};

/// The part that these metrics and logs are of.
const PART: &str = "kafka";
/// Between two tries when the broker gives errors.
const ERROR_PAUSE: Duration = Duration::from_millis(250);
/// How long what has been read waits for a partition or topic of which nothing is heard.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why Kafka could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    #[error("consumer of topic {topic}: {source}")]
    Client { topic: String, source: rdkafka::error::KafkaError },
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
}

/// The consumers of one configured source.
#[derive(Clone)]
pub struct Consumer {
    topics: Vec<Topic>,
}

#[derive(Clone)]
struct Topic {
    name: String,
    client: Arc<StreamConsumer<Context>>,
    /// The partitions that this consumer has now.
    held: watch::Receiver<Vec<i32>>,
    caught_up: Arc<AtomicBool>,
}

/// Joins the group and starts a task for each topic; batches go to `queue`, whose end ends the tasks.
/// `turns` has one for each topic.
///
/// Connecting happens in the background: a broker that is away is an error in the log, and tried again.
pub fn start(
    source: &KafkaSource,
    clock: Clock,
    positions: Arc<Positions>,
    data_dir: &Path,
    queue: mpsc::Sender<Batch>,
    metrics: Arc<Metrics>,
    turns: impl IntoIterator<Item = Turn>,
) -> Result<Consumer, KafkaError> {
    let member = member_id(data_dir)?;
    let mut topics = Vec::new();
    for (name, turn) in source.topics.iter().zip(turns) {
        let failed = |source| KafkaError::Client { topic: name.clone(), source };
        let (assigned, assignments) = watch::channel(Vec::new());
        let context = Context { positions: positions.clone(), assigned, metrics: metrics.clone() };
        let client: StreamConsumer<Context> = client_config(source, &format!("{member}-{name}"))
            .create_with_context(context)
            .map_err(failed)?;
        client.subscribe(&[name]).map_err(failed)?;

        let path = data_dir.join(format!("dead-letter-{}.jsonl", file_name(name)));
        let dead_letters = DeadLetters::open(&path, source.dead_letter_bytes_max)
            .map_err(|source| KafkaError::File { path: path.display().to_string(), source })?;
        let topic = Topic {
            name: name.clone(),
            client: Arc::new(client),
            held: assignments.clone(),
            caught_up: Arc::new(AtomicBool::new(false)),
        };
        let reader = Reader {
            topic: topic.clone(),
            reading: Reading {
                format: source.format,
                timestamp_unit: source.timestamp_unit,
                message_bytes_max: source.message_bytes_max,
            },
            lateness_ms: source.lateness.as_millis() as i64,
            clock,
            positions: positions.clone(),
            dead_letters,
            buried_to: BTreeMap::new(),
            metrics: metrics.clone(),
            turn,
        };
        tokio::spawn(reader.run(assignments, queue.clone()));
        topics.push(topic);
    }
    Ok(Consumer { topics })
}

impl Consumer {
    /// Tells the broker how far what was read is durable, of the partitions that are held: what another member has
    /// read since would be set back. Blocks until the broker has answered.
    pub fn commit(&self, positions: &BTreeMap<String, Position>) -> Result<(), KafkaError> {
        for topic in &self.topics {
            let failed = |source| KafkaError::Client { topic: topic.name.clone(), source };
            let mut offsets = TopicPartitionList::new();
            for (partition, offset) in durable_of(&topic.name, &topic.held.borrow(), positions) {
                offsets.add_partition_offset(&topic.name, partition, offset).map_err(failed)?;
            }
            if offsets.count() > 0 {
                topic.client.commit(&offsets, CommitMode::Sync).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Whether every partition has been read to its end, as of the last look.
    pub fn is_caught_up(&self) -> bool {
        self.topics.iter().all(|topic| topic.caught_up.load(Ordering::Relaxed))
    }
}

/// Where to read on in each partition of `topic` that is held.
fn durable_of(topic: &str, held: &[i32], positions: &BTreeMap<String, Position>) -> Vec<(i32, Offset)> {
    let durable = positions.iter().filter_map(|(source, position)| {
        let (name, partition) = partition_of(source)?;
        let is_ours = name == topic && held.contains(&partition);
        is_ours.then_some((partition, Offset::Offset(position.next_offset)))
    });
    durable.collect()
}

/// A name for this installation that outlives a restart: the group then gives its partitions back at once,
/// in place of waiting until the one that crashed has timed out.
fn member_id(data_dir: &Path) -> Result<String, KafkaError> {
    let path = data_dir.join("kafka-member-id");
    let failed = |source| KafkaError::File { path: path.display().to_string(), source };
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_string()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error.to_string())))?;
    let id = format!("foreshock-{:016x}", u64::from_ne_bytes(random));
    std::fs::write(&path, &id).map_err(failed)?;
    Ok(id)
}

fn client_config(source: &KafkaSource, member: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("auto.offset.reset", "earliest");
    config.set("client.id", "foreshock");
    // A partition is known to be read to its end only once an empty answer has come, and the merge waits for that.
    config.set("fetch.wait.max.ms", "100");
    for (name, value) in &source.properties {
        config.set(name, value.expose_secret());
    }
    // What the consumer's promises rest on comes last, so that no property can undo it.
    config
        .set("bootstrap.servers", source.brokers.join(","))
        .set("group.id", &source.group)
        .set("group.instance.id", member)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true");
    config.set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Topic names are letters, digits, `.`, `_` and `-`, which are safe in a file's name.
fn file_name(topic: &str) -> String {
    topic.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect()
}

/// What librdkafka calls back with.
struct Context {
    positions: Arc<Positions>,
    assigned: watch::Sender<Vec<i32>>,
    metrics: Arc<Metrics>,
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::warn!(target: "foreshock::kafka", facility, "{message}");
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        self.metrics.error(PART, "client");
        tracing::warn!(target: "foreshock::kafka", %error, "{reason}");
    }
}

impl ConsumerContext for Context {
    /// Assigns by hand, to start each partition where the state in memory ends. The protocol is the eager one
    /// (`config` refuses another), so a list is all that is held from here on, or all that is given back. What is
    /// held is taken from it: asking the client would wait for a group that no longer answers while it closes.
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let is_given = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done = if is_given {
            seek(list, &self.positions).and_then(|()| client.assign(list))
        } else {
            client.unassign()
        };
        if let Err(error) = &done {
            self.metrics.error(PART, "rebalance");
            tracing::error!(target: "foreshock::kafka", %error, "partitions could not be assigned");
        }
        let held = if is_given && done.is_ok() { partitions_in(list) } else { Vec::new() };
        tracing::info!(target: "foreshock::kafka", partitions = ?held, "partitions assigned");
        self.assigned.send_replace(held);
    }
}

fn seek(list: &mut TopicPartitionList, positions: &Positions) -> Result<(), rdkafka::error::KafkaError> {
    for (topic, partition) in list.to_topic_map().into_keys() {
        if let Some(position) = positions.get(&topic, partition) {
            list.set_partition_offset(&topic, partition, Offset::Offset(position.next_offset))?;
        }
    }
    Ok(())
}

fn partitions_in(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(|element| element.partition()).collect()
}

/// Reads one topic until the engine's queue ends.
struct Reader {
    topic: Topic,
    reading: Reading,
    lateness_ms: i64,
    clock: Clock,
    positions: Arc<Positions>,
    dead_letters: DeadLetters,
    /// Offset of the newest dead letter, by partition.
    buried_to: BTreeMap<i32, i64>,
    metrics: Arc<Metrics>,
    turn: Turn,
}

impl Reader {
    async fn run(mut self, mut assignments: watch::Receiver<Vec<i32>>, queue: mpsc::Sender<Batch>) {
        let client = self.topic.client.clone();
        let mut merge = Merge::default();
        let mut next: Option<Batch> = None;
        let mut held_since: Option<Instant> = None;
        loop {
            if next.is_none() {
                next = merge.pop().map(|(batch, flow)| {
                    self.apply(flow);
                    batch
                });
            }
            let has_partitions = !assignments.borrow().is_empty();
            let caught_up = has_partitions && next.is_none() && merge.is_caught_up();
            self.topic.caught_up.store(caught_up, Ordering::Relaxed);
            self.turn.tell(match &next {
                Some(batch) => Head::At(batch.latest().unwrap_or(Timestamp::MIN)),
                None if caught_up => Head::Idle,
                None => Head::Reading,
            });
            let is_mine = self.turn.is_mine();
            let is_held = !is_mine && (next.is_some() || merge.is_waiting());
            held_since = is_held.then(|| held_since.unwrap_or_else(Instant::now));
            let patience_ends = held_since.map_or_else(Instant::now, |since| since + PATIENCE);
            tokio::select! {
                biased;
                changed = assignments.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // What was read and not handed over is read again from `positions`.
                    next = None;
                    merge.assign(&assignments.borrow_and_update());
                }
                permit = queue.reserve(), if is_mine => {
                    let Ok(permit) = permit else { return };
                    if let Some(batch) = next.take() {
                        if let Some(position) = batch.position {
                            self.positions.set(&batch.source, position, batch.latest());
                        }
                        permit.send(batch);
                    }
                }
                message = client.recv() => match message {
                    Ok(message) => {
                        let batch = self.read(&message);
                        self.apply(merge.push(message.partition(), batch));
                    }
                    Err(rdkafka::error::KafkaError::PartitionEOF(partition)) => merge.end_of(partition),
                    Err(error) => {
                        self.metrics.error(PART, "receive");
                        tracing::warn!(target: "foreshock::kafka", topic = self.topic.name, %error, "no message");
                        tokio::time::sleep(ERROR_PAUSE).await;
                    }
                },
                () = self.turn.changed(), if is_held => {}
                () = sleep_until(patience_ends), if is_held => {
                    tracing::warn!(target: "foreshock::kafka", topic = self.topic.name,
                        "going on without partitions or topics of which nothing is heard");
                    merge.give_up();
                    self.turn.give_up();
                    held_since = None;
                }
                () = queue.closed() => return,
            }
        }
    }

    /// The message as a batch; an unreadable one as a batch without samples, which still moves the offset on.
    fn read(&mut self, message: &BorrowedMessage) -> Batch {
        let payload = message.payload().unwrap_or_default();
        let version = message.headers().and_then(|headers| {
            headers.iter().find(|header| header.key == "Version").and_then(|header| header.value)
        });
        let source: Source = source_name(message.topic(), message.partition()).into();
        let read =
            self.metrics.time(Stage::Parse, || format::read(&self.reading, payload, version, source.clone()));
        let mut batch = match read {
            Ok(Decoded { batch, skipped }) => {
                self.metrics.dropped(PART, "bad_series", skipped.bad_series);
                self.metrics.dropped(PART, "native_histogram", skipped.histograms);
                batch
            }
            Err(error) => {
                self.bury(message, payload, error);
                Batch::new(source)
            }
        };
        batch.lateness_ms = self.lateness_ms;
        batch.position = Some(Position { next_offset: message.offset() + 1 });
        batch
    }

    /// Counts and keeps what cannot be read, once: after a rebalance the same message may be read again.
    fn bury(&mut self, message: &BorrowedMessage, payload: &[u8], error: FormatError) {
        let buried_to = self.buried_to.entry(message.partition()).or_insert(-1);
        if message.offset() <= *buried_to {
            return;
        }
        *buried_to = message.offset();
        self.metrics.dropped(PART, error.kind(), 1);
        let letter = DeadLetter {
            at: self.clock.now(),
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            error: error.to_string(),
            payload,
        };
        if let Err(error) = self.dead_letters.keep(&letter) {
            self.metrics.error(PART, "dead_letter");
            tracing::error!(target: "foreshock::kafka", %error, "a message that cannot be read could not be kept");
        }
    }

    fn apply(&self, flow: Option<Flow>) {
        let Some(flow) = flow else { return };
        let mut list = TopicPartitionList::new();
        let (Flow::Pause(partition) | Flow::Resume(partition)) = flow;
        list.add_partition(&self.topic.name, partition);
        let done = match flow {
            Flow::Pause(_) => self.topic.client.pause(&list),
            Flow::Resume(_) => self.topic.client.resume(&list),
        };
        if let Err(error) = done {
            self.metrics.error(PART, "flow");
            tracing::warn!(target: "foreshock::kafka", %error, ?flow, "the partition could not be paused or resumed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_partitions_that_are_held_are_committed() {
        let positions = ["kafka:mail/0", "kafka:mail/1", "kafka:other/1", "prometheus:http://p/1"]
            .map(|source| (source.to_string(), Position { next_offset: 7 }));
        let positions = BTreeMap::from(positions);
        assert_eq!(durable_of("mail", &[1, 2], &positions), [(1, Offset::Offset(7))]);
        assert_eq!(durable_of("mail", &[], &positions), []);
    }
}
