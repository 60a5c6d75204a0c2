//! A real Apache Kafka broker (KRaft, one node) on loopback, and a producer for it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::{Process, free_port, peers, wait_until};

pub struct Broker {
    pub process: Process,
    pub address: String,
}

impl Broker {
    /// Formats a log folder in `dir` and starts the broker; ready when a client can list its topics.
    pub fn start(dir: &Path) -> Self {
        let jars = peers::root().join("kafka/lib");
        assert!(jars.exists(), "{} is missing: run `make peers` first", jars.display());
        let (port, controller) = (free_port(), free_port());
        let properties = dir.join("server.properties");
        let logs = dir.join("kafka");
        std::fs::write(
            &properties,
            format!(
                "process.roles=broker,controller\nnode.id=1\n\
                 controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
                 listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
                 advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
                 controller.listener.names=CONTROLLER\n\
                 listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
                 log.dirs={}\nnum.partitions=4\ngroup.initial.rebalance.delay.ms=0\n\
                 offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
                 transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
                 share.coordinator.state.topic.replication.factor=1\n\
                 share.coordinator.state.topic.min.isr=1\n",
                logs.display()
            ),
        )
        .unwrap();
        let java = |class: &str| {
            let mut command = Command::new("java");
            command.args(["-Xms128m", "-Xmx512m", "-cp"]).arg(format!("{}/*", jars.display())).arg(class);
            command
        };
        let log = dir.join("kafka.log");
        let mut format = Process::start(
            java("kafka.tools.StorageTool")
                .args(["format", "--standalone", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"])
                .arg(&properties),
            &log,
        );
        assert!(format.child.wait().unwrap().success(), "{}", std::fs::read_to_string(&log).unwrap());
        let process = Process::start(java("kafka.Kafka").arg(&properties), &log);
        let broker = Broker { process, address: format!("127.0.0.1:{port}") };
        let client: AdminClient<DefaultClientContext> = broker.client().create().unwrap();
        wait_until("kafka", Duration::from_secs(60), || {
            client.inner().fetch_metadata(None, Duration::from_secs(1)).is_ok_and(|m| !m.brokers().is_empty())
        });
        broker
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        config
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        let client: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let made = runtime.block_on(client.create_topics([&topic], &AdminOptions::new())).unwrap();
        assert_eq!(made, [Ok(name.to_string())]);
    }

    /// Committed offsets of a group, by partition; -1 where there is none.
    pub fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<i64> {
        use rdkafka::consumer::{BaseConsumer, Consumer};
        let consumer: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let found = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
        let of = |p| found.find_partition(topic, p).and_then(|e| e.offset().to_raw()).filter(|o| *o >= 0);
        (0..partitions).map(|p| of(p).unwrap_or(-1)).collect()
    }

    pub fn producer(&self) -> ThreadedProducer<rdkafka::producer::DefaultProducerContext> {
        self.client().set("linger.ms", "2").create().unwrap()
    }

    /// Sends the payloads to one partition in order and waits until the broker has them.
    pub fn produce(&self, topic: &str, partition: i32, payloads: &[Vec<u8>]) {
        let producer = self.producer();
        for payload in payloads {
            let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(payload.as_slice());
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }
}
