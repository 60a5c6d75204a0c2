//! The API as its callers meet it, with a queue and no engine behind it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use crate::act::guard::SinkPolicy;
use crate::act::outbox::Settings;
use crate::act::{Outbox, Policy};
use crate::api::handle::{Ask, Handle, Phase};
use crate::api::listener::Peer;
use crate::api::room::Room;
use crate::api::server::router;
use crate::clock::Clock;
use crate::config::{BearerToken, RemedyRoute, RemoteWrite};
use crate::durable::store::Store;
use crate::engine::Command;
use crate::incident::event::{Event, EventKind, Incident, Mode, SCHEMA_VERSION, Severity, State};
use crate::sample::{Batch, Timestamp};
use crate::telemetry::Metrics;

struct World {
    router: Router,
    batches: mpsc::Receiver<Batch>,
    asks: mpsc::Receiver<Ask>,
    phase: watch::Sender<Phase>,
    outbox: Arc<Outbox>,
    _data_dir: tempfile::TempDir,
}

/// Remedies wait for a person, and one webhook performs them all.
fn settings() -> Settings {
    let route = RemedyRoute { remedy: "*".into(), sink: "ops".into(), cooldown: None, mode: None };
    let policy = Policy {
        mode: Mode::Approve,
        actions_per_hour_max: 10,
        cooldown: Duration::from_secs(60),
        routes: vec![route],
        sinks: [("ops".into(), SinkPolicy { severity_min: Severity::Ticket, incidents: false })].into(),
        approve: [].into(),
    };
    let retention = Duration::from_secs(86_400);
    Settings { policy, records_max: 10, retention, endpoints: [("ops".into(), "url".into())].into() }
}

fn world(phase: Phase, token: Option<&str>) -> World {
    let (batches_tx, batches) = mpsc::channel(1);
    let (asks_tx, asks) = mpsc::channel(1);
    let (phase_tx, phase) = watch::channel(phase);
    let data_dir = tempfile::tempdir().unwrap();
    let outbox = Arc::new(Outbox::open(Store::open(data_dir.path()).unwrap(), settings()).unwrap());
    let handle = Handle {
        batches: batches_tx,
        asks: asks_tx,
        room: Room::new(1 << 20),
        outbox: Arc::clone(&outbox),
        phase,
        metrics: Arc::new(Metrics::new()),
        clock: Clock::wall(),
        queue_patience: Duration::from_millis(50),
    };
    let remote_write = RemoteWrite {
        lateness: Duration::from_secs(30),
        body_bytes_max: 1 << 16,
        decompressed_bytes_max: 1 << 16,
    };
    let token = token.map(|text| BearerToken(text.into()));
    let router = router(handle, token.as_ref(), Some(remote_write));
    World { router, batches, asks, phase: phase_tx, outbox, _data_dir: data_dir }
}

impl World {
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ConnectInfo(Peer(([127, 0, 0, 1], 4000).into())));
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Body> {
        self.send(Method::GET, path, &[], vec![]).await
    }

    async fn write(&self, body: Vec<u8>) -> Response<Body> {
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
        self.send(Method::POST, "/api/v1/write", &headers, body).await
    }
}

async fn json(response: Response<Body>) -> Value {
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

async fn check_error(response: Response<Body>, status: StatusCode, code: &str) {
    assert_eq!(response.status(), status);
    let body = json(response).await;
    assert_eq!(body["error"]["code"], code);
    assert!(body["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{body}");
}

/// One sample of the series `up`, at 1 s, as a sender would write it.
fn one_sample() -> Vec<u8> {
    let label = b"\x0a\x0e\x0a\x08__name__\x12\x02up";
    let sample = b"\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xe8\x07";
    let series = [label.as_slice(), sample].concat();
    let request = [&[0x0a, series.len() as u8], series.as_slice()].concat();
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

#[tokio::test]
async fn ready_only_while_live() {
    let world = world(Phase::CatchingUp, None);
    assert_eq!(world.get("/-/ready").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.get("/-/healthy").await.status(), StatusCode::OK);
    world.phase.send_replace(Phase::Live);
    let response = world.get("/-/ready").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(json(response).await["phase"], "live");
}

#[tokio::test]
async fn unhealthy_once_the_engine_is_gone() {
    let mut world = world(Phase::Live, None);
    world.batches.close();
    assert_eq!(world.get("/-/healthy").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.get("/-/ready").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    check_error(world.write(one_sample()).await, StatusCode::SERVICE_UNAVAILABLE, "busy").await;
}

#[tokio::test]
async fn all_but_health_asks_for_the_token() {
    let world = world(Phase::Live, Some("t0ken"));
    for path in ["/metrics", "/api/v1/incidents", "/api/v1/incidents/0", "/api/v1/actions"] {
        check_error(world.get(path).await, StatusCode::UNAUTHORIZED, "unauthorized").await;
    }
    check_error(world.write(one_sample()).await, StatusCode::UNAUTHORIZED, "unauthorized").await;
    assert_eq!(world.get("/-/healthy").await.status(), StatusCode::OK);
    let with_token = world.send(Method::GET, "/metrics", &[("authorization", "Bearer t0ken")], vec![]).await;
    assert_eq!(with_token.status(), StatusCode::OK);
    assert!(
        with_token.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text")
    );
}

#[tokio::test]
async fn errors_of_the_http_layer_are_json_too() {
    let world = world(Phase::Live, None);
    check_error(world.get("/api/v2/nothing").await, StatusCode::NOT_FOUND, "not_found").await;
    check_error(world.get("/api/v1/write").await, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed").await;
    check_error(world.write(vec![0; (1 << 16) + 1]).await, StatusCode::PAYLOAD_TOO_LARGE, "too_large").await;
}

#[tokio::test]
async fn a_write_request_becomes_one_batch() {
    let mut world = world(Phase::Live, None);
    assert_eq!(world.write(one_sample()).await.status(), StatusCode::NO_CONTENT);
    let batch = world.batches.try_recv().unwrap();
    assert_eq!((&*batch.source, batch.len(), batch.lateness_ms), ("remote_write:127.0.0.1", 1, 30_000));
    let (_, _, samples) = batch.iter().next().unwrap();
    assert_eq!((samples[0].at.0, samples[0].value), (1_000, 1.0));
}

#[tokio::test]
async fn a_bad_write_request_is_refused_whole() {
    let mut world = world(Phase::Live, None);
    check_error(world.write(b"not snappy".to_vec()).await, StatusCode::BAD_REQUEST, "invalid").await;
    let second_version = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let headers = [("content-type", second_version), ("content-encoding", "snappy")];
    let response = world.send(Method::POST, "/api/v1/write", &headers, one_sample()).await;
    check_error(response, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type").await;
    let bomb = [0xff, 0xff, 0xff, 0x7f, 0x00];
    check_error(world.write(bomb.to_vec()).await, StatusCode::PAYLOAD_TOO_LARGE, "too_large").await;
    assert!(world.batches.try_recv().is_err());
}

#[tokio::test]
async fn a_full_queue_sends_the_sender_away_for_a_while() {
    let mut world = world(Phase::Live, None);
    assert_eq!(world.write(one_sample()).await.status(), StatusCode::NO_CONTENT);
    let refused = world.write(one_sample()).await;
    assert_eq!(refused.headers()["retry-after"], "5");
    check_error(refused, StatusCode::SERVICE_UNAVAILABLE, "busy").await;
    world.batches.try_recv().unwrap();
    assert_eq!(world.write(one_sample()).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn nothing_is_taken_in_while_history_is_read() {
    let world = world(Phase::WarmingUp, None);
    check_error(world.write(one_sample()).await, StatusCode::SERVICE_UNAVAILABLE, "busy").await;
}

fn incident(id: &str, opened_at: i64, resolved_at: Option<i64>) -> Event {
    let incident = Incident {
        id: id.into(),
        site: "test".into(),
        entity: "mx1".into(),
        entities: vec!["mx1".into()],
        opened_at: Timestamp(opened_at),
        resolved_at: resolved_at.map(Timestamp),
        root: None,
        severity: Severity::Page,
        state: if resolved_at.is_some() { State::Resolved } else { State::Open },
        fault: Some("clamd_stuck".into()),
        probability: Some(0.9),
        hypotheses: vec![],
        movers: vec![],
        prediction: None,
        brown_out: None,
        remedy: Some("restart_clamd_then_amavis".into()),
        summary: "the queue grows".into(),
    };
    let event = if resolved_at.is_some() { EventKind::Resolved } else { EventKind::Opened };
    let at = Timestamp(resolved_at.unwrap_or(opened_at));
    Event { v: SCHEMA_VERSION, seq: 0, at, event, incident: Some(incident), action: None }
}

/// One closed incident and one open, opened just now so that its action can still be approved.
fn two_incidents(world: &World) {
    let now = Clock::wall().now().0;
    let events = [incident("old", now - 60_000, None), incident("old", now - 60_000, Some(now - 30_000))];
    world.outbox.accept(&events).unwrap();
    world.outbox.accept(&[incident("new", now, None)]).unwrap();
}

async fn ids(response: Response<Body>) -> Vec<String> {
    let body = json(response).await;
    let incidents = body["incidents"].as_array().unwrap();
    incidents.iter().map(|incident| incident["id"].as_str().unwrap().to_string()).collect()
}

#[tokio::test]
async fn incidents_are_listed_newest_first() {
    let world = world(Phase::Live, None);
    two_incidents(&world);
    assert_eq!(ids(world.get("/api/v1/incidents").await).await, ["new", "old"]);
    assert_eq!(ids(world.get("/api/v1/incidents?limit=1").await).await, ["new"]);
    assert_eq!(ids(world.get("/api/v1/incidents?state=open").await).await, ["new"]);
    check_error(world.get("/api/v1/incidents?state=shut").await, StatusCode::BAD_REQUEST, "invalid").await;
}

#[tokio::test]
async fn one_incident_comes_with_what_was_told_of_it() {
    let world = world(Phase::Live, None);
    two_incidents(&world);
    let body = json(world.get("/api/v1/incidents/old").await).await;
    assert_eq!(body["incident"]["state"], "resolved");
    let told: Vec<&str> =
        body["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(told, ["incident.opened", "action.planned", "incident.resolved", "action.refused"]);
    check_error(world.get("/api/v1/incidents/none").await, StatusCode::NOT_FOUND, "not_found").await;
}

#[tokio::test]
async fn an_acknowledgement_reaches_the_engine_as_a_command() {
    let mut world = world(Phase::Live, None);
    two_incidents(&world);
    let mut asks = std::mem::replace(&mut world.asks, mpsc::channel(1).1);
    let engine = tokio::spawn(async move {
        let Some(Ask::Command { command, reply }) = asks.recv().await else { panic!("no command") };
        reply.send(true).unwrap();
        command
    });
    let path = "/api/v1/incidents/new/acknowledge";
    let response = world.send(Method::POST, path, &[], br#"{"by":"anna"}"#.to_vec()).await;
    assert_eq!(json(response).await["id"], "new");
    assert_eq!(engine.await.unwrap(), Command::Acknowledge { incident: "new".into(), by: "anna".into() });

    let over = world.send(Method::POST, "/api/v1/incidents/old/acknowledge", &[], vec![]).await;
    check_error(over, StatusCode::CONFLICT, "conflict").await;
}

#[tokio::test]
async fn a_verdict_is_heard_of_what_is_over_too_unless_it_is_forgotten() {
    let mut world = world(Phase::Live, None);
    two_incidents(&world);
    let mut asks = std::mem::replace(&mut world.asks, mpsc::channel(1).1);
    let engine = tokio::spawn(async move {
        let mut heard = Vec::new();
        for known in [true, false] {
            let Some(Ask::Command { command, reply }) = asks.recv().await else { panic!("no command") };
            reply.send(known).unwrap();
            heard.push(command);
        }
        heard
    });
    let path = "/api/v1/incidents/old/feedback";
    let body = || br#"{"verdict":"false_alarm","by":"anna"}"#.to_vec();
    assert_eq!(json(world.send(Method::POST, path, &[], body()).await).await["id"], "old");
    let forgotten = world.send(Method::POST, path, &[], body()).await;
    check_error(forgotten, StatusCode::CONFLICT, "conflict").await;
    let said = Command::Feedback {
        incident: "old".into(),
        verdict: crate::incident::Verdict::FalseAlarm,
        by: "anna".into(),
    };
    assert_eq!(engine.await.unwrap(), [said.clone(), said]);

    let unknown = world.send(Method::POST, "/api/v1/incidents/none/feedback", &[], body()).await;
    check_error(unknown, StatusCode::NOT_FOUND, "not_found").await;
    let wrong = world.send(Method::POST, path, &[], br#"{"verdict":"maybe"}"#.to_vec()).await;
    check_error(wrong, StatusCode::BAD_REQUEST, "invalid").await;
}

#[tokio::test]
async fn an_action_goes_once_somebody_approves_it() {
    let world = world(Phase::Live, None);
    two_incidents(&world);
    let waiting = json(world.get("/api/v1/actions").await).await;
    let id = waiting["actions"][0]["id"].as_str().unwrap().to_string();
    let path = format!("/api/v1/actions/{id}/approve");
    let approved = json(world.send(Method::POST, &path, &[], br#"{"by":"anna"}"#.to_vec()).await).await;
    assert_eq!(approved["action"]["reason"], "approved by anna");
    assert_eq!(world.outbox.stats().pending, 1);
    check_error(world.send(Method::POST, &path, &[], vec![]).await, StatusCode::CONFLICT, "conflict").await;
    let unknown = world.send(Method::POST, "/api/v1/actions/none/approve", &[], vec![]).await;
    check_error(unknown, StatusCode::NOT_FOUND, "not_found").await;
}
