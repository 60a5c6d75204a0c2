//! The whole service in one process, between a Prometheus of paper, a mock of Kafka and its own API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::clock::Clock;
use crate::config::Config;
use crate::durable::snapshot::{self, Recovered};
use crate::engine::EngineState;
use crate::incident::event::EventKind;
use crate::runtime::serve::{self, ServeError, Started};
use crate::sample::Timestamp;

const SOON: Duration = Duration::from_secs(60);

/// A service that runs, and how to end it.
struct Service {
    started: Started,
    stop: CancellationToken,
    run: JoinHandle<Result<(), ServeError>>,
    http: reqwest::Client,
}

impl Service {
    async fn start(dir: &Path, text: &str) -> Self {
        let text = format!("site: test\nlisten: 127.0.0.1:0\ndata_dir: {}\n{text}", dir.display());
        let config = Config::parse(&text, &dir.join("foreshock.yaml"), dir, &|_| None).unwrap();
        let (stop, (tell, told)) = (CancellationToken::new(), oneshot::channel());
        let run = tokio::spawn(serve::run(config, Clock::wall(), stop.clone(), tell));
        let Ok(started) = told.await else { panic!("{:?}", run.await) };
        // An error says that another test has set the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Service { started, stop, run, http: reqwest::Client::new() }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("http://{}{path}", self.started.address);
        let answer = self.http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What `/metrics` says.
    async fn page(&self) -> String {
        let url = format!("http://{}/metrics", self.started.address);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    async fn until_live(&self) {
        let live = async {
            while self.get("/-/ready").await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, live).await.expect("live");
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(SOON, self.run).await.expect("an end").unwrap().unwrap();
    }
}

/// Answers every range query with one series, `queue_length` on mx1: about 100, and 400 within `disturbed`.
struct Paper {
    disturbed: std::ops::Range<i64>,
    delay: Duration,
}

impl Respond for Paper {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let form: BTreeMap<String, String> = form_urlencoded::parse(&request.body).into_owned().collect();
        let number = |key: &str| form[key].parse::<f64>().unwrap() as i64;
        let value = |at: i64| {
            // Noise that any two slices agree on.
            let noise = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            let level = if self.disturbed.contains(&at) { 400.0 } else { 100.0 };
            json!([at, (level + (noise % 1000) as f64 / 100.0).to_string()])
        };
        let values: Vec<Value> =
            (number("start")..=number("end")).step_by(number("step") as usize).map(value).collect();
        let series = json!([{"metric": {"__name__": "queue_length", "host": "mx1"}, "values": values}]);
        let answer = json!({"status": "success", "data": {"resultType": "matrix", "result": series}});
        ResponseTemplate::new(200).set_body_json(answer).set_delay(self.delay)
    }
}

async fn prometheus(paper: Paper) -> (MockServer, String) {
    let server = MockServer::start().await;
    Mock::given(path("/api/v1/query_range")).respond_with(paper).mount(&server).await;
    let pull = format!("{{url: '{}', selectors: [queue_length], backfill: 12h, step: 15s}}", server.uri());
    (server, format!("step_seconds: 15\nprometheus: [{pull}]\n"))
}

fn seconds_ago(seconds: i64) -> i64 {
    Clock::wall().now().0 / 1000 - seconds
}

/// Serves once over a history with this disturbance, and returns the incidents that are told of.
async fn incidents_after(disturbed: std::ops::Range<i64>) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let (_server, config) = prometheus(Paper { disturbed, delay: Duration::ZERO }).await;
    let service = Service::start(dir.path(), &config).await;
    service.until_live().await;
    let (_, found) = service.get("/api/v1/series").await;
    assert_eq!(found["series"][0]["state"], "live", "{found}");
    let (_, body) = service.get("/api/v1/incidents").await;
    service.stop().await;
    assert!(dir.path().join("engine.snapshot").exists());
    body["incidents"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_warms_and_what_was_over_in_it_concerns_nobody() {
    let incidents = incidents_after(seconds_ago(4 * 3600)..seconds_ago(3 * 3600)).await;
    assert_eq!(incidents, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_users_accept_is_shown_beside_what_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, config) = prometheus(Paper { disturbed: 0..0, delay: Duration::ZERO }).await;
    let promise = "{name: customers, within: {delivery: 10m}, brown_out_per_week: 30m}";
    let service = Service::start(dir.path(), &format!("{config}service_levels: [{promise}]\n")).await;
    service.until_live().await;
    let page = service.page().await;
    service.stop().await;
    for (shown, seconds) in [("accepted", "1800.0"), ("used", "0.0")] {
        let line = format!(r#"foreshock_brown_out_{shown}_seconds{{users="customers"}} {seconds}"#);
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_still_goes_on_at_the_end_of_history_is_told() {
    let incidents = incidents_after(seconds_ago(900)..i64::MAX).await;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!((&incidents[0]["entity"], &incidents[0]["state"]), (&json!("mx1"), &json!("open")));
    let opened_at = Timestamp::parse_rfc3339(incidents[0]["opened_at"].as_str().unwrap()).unwrap();
    assert!((seconds_ago(960)..seconds_ago(600)).contains(&(opened_at.0 / 1000)), "{opened_at}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_history_and_leaves_no_half_read_state() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, config) = prometheus(Paper { disturbed: 0..0, delay: Duration::from_secs(20) }).await;
    let service = Service::start(dir.path(), &config).await;
    assert_eq!(service.get("/-/ready").await.1["phase"], "warming_up");
    timeout(Duration::from_secs(10), service.stop()).await.expect("a quick end");
    assert!(!dir.path().join("engine.snapshot").exists());
}

/// The positions that the last snapshot holds.
fn positions(dir: &Path) -> Vec<String> {
    match snapshot::recover::<EngineState>(&dir.join("engine.snapshot")).unwrap() {
        Recovered::Snapshot(found) => found.positions.into_keys().collect(),
        _ => panic!("no snapshot"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_that_could_not_be_read_is_read_at_a_later_start() {
    let dir = tempfile::tempdir().unwrap();
    let (server, config) = prometheus(Paper { disturbed: 0..0, delay: Duration::ZERO }).await;
    server.reset().await;
    for _ in 0..2 {
        // Nothing is mounted: 404, which no second try mends.
        let service = Service::start(dir.path(), &config).await;
        service.until_live().await;
        service.stop().await;
        assert!(positions(dir.path()).iter().any(|source| source.starts_with("owed:prometheus:")));
    }
    let paper = Paper { disturbed: 0..0, delay: Duration::ZERO };
    Mock::given(path("/api/v1/query_range")).respond_with(paper).mount(&server).await;
    let service = Service::start(dir.path(), &config).await;
    service.until_live().await;
    let (_, found) = service.get("/api/v1/series").await;
    service.stop().await;
    assert_eq!(found["series"][0]["state"], "live", "{found}");
    let positions = positions(dir.path());
    assert!(positions.iter().all(|source| source.starts_with("prometheus:")), "{positions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_told_once_with_a_mend() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let text =
        format!("site: test\nlisten: {}\ndata_dir: {}\n", taken.local_addr().unwrap(), dir.path().display());
    let config = Config::parse(&text, &dir.path().join("foreshock.yaml"), dir.path(), &|_| None).unwrap();
    let (tell, _) = oneshot::channel();
    let error = serve::run(config, Clock::wall(), CancellationToken::new(), tell).await.unwrap_err();
    let told = format!("{:#}", anyhow::Error::from(error));
    assert_eq!(told.matches("in use").count(), 1, "{told}");
    assert!(told.contains("`listen`"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disturbance_in_the_tail_is_told_and_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let paper = Paper { disturbed: seconds_ago(-8)..i64::MAX, delay: Duration::ZERO };
    let server = MockServer::start().await;
    Mock::given(path("/api/v1/query_range")).respond_with(paper).mount(&server).await;
    Mock::given(path("/hook")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let (url, secret) = (server.uri(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let pull = format!("{{url: '{url}', selectors: [queue_length], backfill: 1h, step: 1s, tail_lag: 1s}}");
    let hook = format!("{{name: hook, webhook: {{url: '{url}/hook', secret: {secret}, incidents: true}}}}");
    let config = format!("step_seconds: 1\nprometheus: [{pull}]\nsinks: [{hook}]\n");

    let mut service = Service::start(dir.path(), &config).await;
    service.until_live().await;
    let told = timeout(SOON, service.started.events.recv()).await.expect("an event").unwrap();
    assert_eq!(told.event, EventKind::Opened);
    let incident = told.incident.unwrap();
    assert_eq!((incident.entity.as_str(), incident.movers[0].series.name()), ("mx1", "queue_length"));

    let attempts = r#"foreshock_delivery_attempts_total{sink="hook",outcome="delivered"} "#;
    let delivered = async {
        while !service.page().await.lines().any(|line| line.starts_with(attempts)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, delivered).await.expect("a delivery");
    let requests = server.received_requests().await.unwrap();
    let hook = requests.iter().find(|request| request.url.path() == "/hook").unwrap();
    assert!(hook.headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    service.stop().await;
}

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn produce(cluster: &Cluster, seconds: std::ops::Range<i64>) {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for second in seconds {
        let payload = format!(
            r#"{{"name":"queue","tags":{{"host":"mx1"}},"fields":{{"length":{}}},"timestamp":{second}}}"#,
            second % 7
        );
        producer.send(BaseRecord::<(), str>::to("mail").partition(0).payload(&payload)).unwrap();
    }
    producer.flush(SOON).unwrap();
}

fn committed(cluster: &Cluster) -> Option<i64> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "foreshock")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition("mail", 0);
    let offsets = client.committed_offsets(partitions, SOON).unwrap();
    offsets.elements()[0].offset().to_raw()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_committed_with_the_snapshot_and_read_on_after_it() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("mail", 1, 1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // The mock gives a partition of a static member back only after its session has timed out; Kafka at once.
    let properties = "{session.timeout.ms: '6000', heartbeat.interval.ms: '1000'}";
    let source = format!("topics: [mail], format: telegraf_json, properties: {properties}");
    let config =
        format!("step_seconds: 1\nkafka: [{{brokers: ['{}'], {source}}}]\n", cluster.bootstrap_servers());
    let now = seconds_ago(0);
    produce(&cluster, now - 300..now);
    let service = Service::start(dir.path(), &config).await;
    service.until_live().await;
    let (_, found) = service.get("/api/v1/series").await;
    assert_eq!(found["series"][0]["labels"]["__name__"], "queue_length", "{found}");
    assert_eq!(found["series"][0]["state"], "live");
    service.stop().await;
    assert_eq!(committed(&cluster), Some(300));

    produce(&cluster, now..now + 20);
    let service = Service::start(dir.path(), &config).await;
    service.until_live().await;
    service.stop().await;
    assert_eq!(committed(&cluster), Some(320));
}
