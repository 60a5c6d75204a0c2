//! Claims about delivery, against receivers that misbehave. Time runs a thousandfold, so that retries come soon.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::super::fixture::{minute, opened, policy, resolved};
use super::super::guard::SinkPolicy;
use super::super::outbox::Settings;
use super::super::sign::Signer;
use super::*;
use crate::config::{HttpAuth, SinkConfig, SinkKind};
use crate::durable::record::RecordState;
use crate::durable::store::Store;
use crate::incident::event::{Event, Mode, Severity};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook(url: &str) -> SinkKind {
    SinkKind::Webhook {
        url: url.parse().unwrap(),
        secrets: vec![SECRET.into()],
        headers: BTreeMap::from([("x-api-key".into(), "hunter2".into())]),
        body_template: None,
        header_templates: BTreeMap::new(),
        timeout: Duration::from_millis(500),
        incidents: true,
    }
}

/// A running dispatcher with one sink, `hook`, that hears of incidents.
struct Running {
    outbox: Arc<Outbox>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Running {
    fn start(kind: SinkKind, egress_allow: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut policy = policy(Mode::Observe);
        policy.sinks =
            BTreeMap::from([("hook".into(), SinkPolicy { severity_min: Severity::Info, incidents: true })]);
        let settings = Settings {
            policy,
            records_max: 100,
            retention: Duration::from_secs(3600),
            endpoints: BTreeMap::new(),
        };
        let outbox = Arc::new(Outbox::open(Store::open(dir.path()).unwrap(), settings).unwrap());
        let sink = SinkConfig { name: "hook".into(), kind, severity_min: Severity::Info };
        let allow: Vec<String> = egress_allow.iter().map(|rule| rule.to_string()).collect();
        let sinks = Sinks::build(&[sink], &allow).unwrap_or_else(|errors| panic!("{errors:?}"));
        let stop = CancellationToken::new();
        let dispatcher =
            Dispatcher::new(outbox.clone(), sinks, Clock::scaled(minute(0), 1000.0), Arc::default());
        let task = tokio::spawn(dispatcher.run(stop.clone()));
        Running { outbox, stop, task, _dir: dir }
    }

    fn tell(&self, event: Event) -> String {
        self.outbox.accept(&[event]).unwrap();
        self.outbox.store().load().unwrap().pending.last().unwrap().id.clone()
    }

    /// Waits until the record is as `done` wants it.
    async fn until(&self, id: &str, done: impl Fn(&RecordState, u32) -> bool) -> (RecordState, u32) {
        let begun = Instant::now();
        loop {
            let record = self.outbox.store().record(id).unwrap().unwrap();
            if done(&record.state, record.attempts) {
                return (record.state, record.attempts);
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "still {:?} after {} attempts",
                record.state,
                record.attempts
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn is_delivered(state: &RecordState, _: u32) -> bool {
    matches!(state, RecordState::Delivered { .. })
}

fn has_ended(state: &RecordState, _: u32) -> bool {
    state.ended_at().is_some()
}

/// A receiver that answers the first request with `first` and all others with 200.
async fn receiver(first: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(first).up_to_n_times(1).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    server
}

fn header(request: &Request, name: &str) -> String {
    request.headers[name].to_str().unwrap().to_owned()
}

/// Delivers one notice through `first` and gives the requests that the receiver saw.
async fn check(first: ResponseTemplate, want_attempts: u32) -> Vec<Request> {
    let server = receiver(first).await;
    let running = Running::start(webhook(&server.uri()), &[]);
    let id = running.tell(opened("a", 0));
    let (_, attempts) = running.until(&id, is_delivered).await;
    assert_eq!(attempts, want_attempts);
    running.stop().await;
    let requests = server.received_requests().await.unwrap();
    let signer = Signer::new(&[SECRET.into()]).unwrap();
    for request in &requests {
        assert_eq!(header(request, "webhook-id"), id, "every attempt carries the same id");
        let seconds: i64 = header(request, "webhook-timestamp").parse().unwrap();
        assert!(
            (Clock::wall().now().0 / 1000 - seconds).abs() < 60,
            "receivers compare it with their own clock"
        );
        assert_eq!(header(request, "webhook-signature"), signer.sign(&id, seconds, &request.body));
    }
    requests
}

#[tokio::test]
async fn a_notice_arrives_signed() {
    assert_eq!(check(ResponseTemplate::new(204), 1).await.len(), 1);
}

#[tokio::test]
async fn a_500_is_tried_again_under_the_same_id() {
    let requests = check(ResponseTemplate::new(500), 2).await;
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let begun = Instant::now();
    check(ResponseTemplate::new(429).insert_header("retry-after", "900"), 2).await;
    assert!(begun.elapsed() >= Duration::from_millis(900), "900 s of data time");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(0).mount(&elsewhere).await;
    check(ResponseTemplate::new(307).insert_header("location", elsewhere.uri()), 2).await;
}

#[tokio::test]
async fn a_huge_answer_is_cut_and_counts() {
    check(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 32 << 20]), 1).await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_tried_again() {
    check(ResponseTemplate::new(200).set_delay(Duration::from_secs(3)), 2).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_undo_its_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(0));
    let seen = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *seen.lock().unwrap() += 1;
            let mut buffer = [0; 65_536];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nslow").await;
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
    });
    let running = Running::start(webhook(&url), &[]);
    let id = running.tell(opened("a", 0));
    let (_, attempts) = running.until(&id, is_delivered).await;
    running.stop().await;
    assert_eq!((attempts, *requests.lock().unwrap()), (1, 1));
}

#[tokio::test]
async fn a_refused_connection_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let running = Running::start(webhook(&format!("http://{address}/")), &[]);
    let id = running.tell(opened("a", 0));
    running.until(&id, |_, attempts| attempts >= 2).await;
    assert!(running.outbox.stats().sinks["hook"].retried >= 1);
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_hears_nothing_more() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(410)).expect(1).mount(&server).await;
    let running = Running::start(webhook(&server.uri()), &[]);
    let id = running.tell(opened("a", 0));
    let (state, _) = running.until(&id, has_ended).await;
    assert!(matches!(state, RecordState::Failed { reason, .. } if reason.contains("410")));
    running.outbox.accept(&[opened("b", 1), resolved("a", 2, 1)]).unwrap();
    assert_eq!(running.outbox.stats().pending, 0);
    running.stop().await;
}

#[tokio::test]
async fn a_name_outside_the_allowed_blocks_is_not_connected_to() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(0).mount(&server).await;
    let url = server.uri().replace("127.0.0.1", "localhost");
    let running = Running::start(webhook(&url), &["10.0.0.0/8"]);
    let id = running.tell(opened("a", 0));
    let (state, _) = running.until(&id, has_ended).await;
    assert!(matches!(state, RecordState::Failed { reason, .. } if reason.contains("not allowed")));
    running.stop().await;
}

#[tokio::test]
async fn an_alert_is_repeated_while_it_fires_and_ended_once() {
    let server = MockServer::start().await;
    Mock::given(path("/api/v2/alerts")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let running = Running::start(
        SinkKind::Alertmanager {
            url: server.uri().parse().unwrap(),
            auth: HttpAuth::None,
            resend: Duration::from_secs(60),
            runbook_url: None,
            external_url: None,
            timeout: Duration::from_secs(5),
        },
        &[],
    );
    let id = running.tell(opened("a", 0));
    running.until(&id, |state, _| *state == RecordState::Standing).await;
    while server.received_requests().await.unwrap().len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ending = running.tell(resolved("a", 1, 1));
    running.until(&ending, is_delivered).await;
    let requests = server.received_requests().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.received_requests().await.unwrap().len(), requests.len(), "nothing follows the end");
    let last: serde_json::Value = requests.last().unwrap().body_json().unwrap();
    assert_eq!(last[0]["endsAt"], "2023-11-14T22:01:00.000Z");
    assert_eq!(running.outbox.stats().pending, 0);
    running.stop().await;
}

#[tokio::test]
async fn an_annotation_whose_answer_was_lost_is_found_and_not_made_twice() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string("lost on the way"))
        .expect(1)
        .mount(&server)
        .await;
    let found = ResponseTemplate::new(200).set_body_string(r#"[{"id":17}]"#);
    Mock::given(method("GET")).respond_with(found).expect(1).mount(&server).await;
    let patched = ResponseTemplate::new(200).set_body_string("{}");
    Mock::given(method("PATCH"))
        .and(path("/api/annotations/17"))
        .respond_with(patched)
        .expect(2)
        .mount(&server)
        .await;
    let running = Running::start(
        SinkKind::Grafana {
            url: server.uri().parse().unwrap(),
            token: "glsa_x".into(),
            dashboard_uid: None,
            panel_id: None,
            timeout: Duration::from_secs(5),
        },
        &[],
    );
    let id = running.tell(opened("a", 0));
    assert_eq!(running.until(&id, is_delivered).await.1, 3);
    let ending = running.tell(resolved("a", 9, 1));
    assert_eq!(running.until(&ending, is_delivered).await.1, 1);
    running.stop().await;
}

/// Keeps all that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, so that the log of that thread is the whole log.
#[tokio::test(flavor = "current_thread")]
async fn no_secret_is_ever_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _on = tracing::subscriber::set_default(subscriber);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = format!("http://user:sesame@{address}/path-token?query-token");
    let server = receiver(ResponseTemplate::new(500)).await;
    let failing = format!("{}/path-token?query-token", server.uri());
    for url in [refused, failing] {
        let running = Running::start(webhook(&url), &[]);
        let id = running.tell(opened("a", 0));
        running.until(&id, |_, attempts| attempts >= 2).await;
        let stats = format!("{:?} {:?}", running.outbox.stats(), running.outbox.store().record(&id).unwrap());
        log.0.lock().unwrap().extend_from_slice(stats.as_bytes());
        running.stop().await;
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains("not delivered") && text.contains("status 500"),
        "the log says what happened: {text}"
    );
    for secret in ["hunter2", "sesame", "path-token", "query-token", &SECRET[6..]] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
