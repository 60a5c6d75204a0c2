//! The simulated host on loopback: its exporter's page, its Prometheus' history, and the receivers of the demo.
//!
//! `/metrics` and `/api/v1/query_range` are what Foreshock reads; `/remedy` verifies a webhook and performs
//! it on the host; `/api/annotations` and `/api/v2/alerts` count as a Grafana and an Alertmanager would.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, patch, post};
use axum::{Form, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::sample::Timestamp;
use crate::sim::history::History;
use crate::sim::host::{MailHost, STEP_SECONDS};
use crate::sim::page;
use crate::sim::receiver::{Received, signature_is_valid};

/// The remedy that the host knows how to perform.
pub const REMEDY: &str = "restart_clamd_then_amavis";
/// What the runner needs for it: it lets scans under way end, restarts clamd, then amavis.
pub const REMEDY_SECONDS: f64 = 240.0;

/// Everything behind the simulated server.
#[derive(Debug)]
pub struct World {
    pub host: MailHost,
    pub received: Received,
    /// When the remedy that was asked for takes hold, and when the last one did.
    remedy_due: Option<Timestamp>,
    pub healed_at: Option<Timestamp>,
    history: History,
    history_step_ms: i64,
    instance: String,
    webhook_secret: String,
}

/// A world that the server, the demo and the passing of time share.
#[derive(Clone)]
pub struct Shared {
    world: Arc<Mutex<World>>,
    clock: Clock,
}

impl Shared {
    /// Puts a world under a clock.
    pub fn new(world: World, clock: Clock) -> Self {
        Shared { world: Arc::new(Mutex::new(world)), clock }
    }

    /// The world, locked. A panic elsewhere leaves a world that is still whole: every change is one call.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the world's time pass with the clock, for ever.
    pub async fn live(self) {
        loop {
            self.lock().catch_up(self.clock.now());
            self.clock.sleep(Duration::from_secs_f64(STEP_SECONDS)).await;
        }
    }

    /// Serves until its task is dropped.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/api/v1/query_range", get(range_by_url).post(range_by_form))
            .route("/remedy", post(remedy))
            .route("/api/annotations", post(annotate))
            .route("/api/annotations/{id}", patch(change_annotation))
            .route("/api/v2/alerts", post(alerts))
            .with_state(self);
        axum::serve(listener, routes).await
    }
}

impl World {
    /// Takes a host, nothing of whose past is kept yet. `instance` is the label that history carries.
    pub fn new(host: MailHost, history_step_seconds: u32, instance: String, webhook_secret: String) -> Self {
        World {
            host,
            received: Received::default(),
            remedy_due: None,
            healed_at: None,
            history: History::default(),
            history_step_ms: i64::from(history_step_seconds) * 1000,
            instance,
            webhook_secret,
        }
    }

    /// Steps the host up to `now` and keeps a page of history at each history step.
    pub fn catch_up(&mut self, now: Timestamp) {
        let step_ms = (STEP_SECONDS * 1000.0) as i64;
        while self.host.now().plus_ms(step_ms) <= now {
            self.host.step();
            if self.remedy_due.is_some_and(|due| self.host.now() >= due) {
                self.remedy_due = None;
                self.healed_at = Some(self.host.now());
                self.host.restart_clamd();
            }
            if self.host.now().0 % self.history_step_ms == 0 {
                let readings = page::readings(self.host.readings());
                self.history.keep(self.host.now(), &readings, &self.instance);
            }
        }
    }
}

async fn metrics(State(shared): State<Shared>) -> String {
    page::print(shared.lock().host.readings())
}

#[derive(Deserialize)]
struct Range {
    start: String,
    end: String,
    step: String,
}

async fn range_by_url(state: State<Shared>, Query(range): Query<Range>) -> (StatusCode, String) {
    query_range(state, &range)
}

async fn range_by_form(state: State<Shared>, Form(range): Form<Range>) -> (StatusCode, String) {
    query_range(state, &range)
}

fn query_range(State(shared): State<Shared>, range: &Range) -> (StatusCode, String) {
    let time = |text: &str| match text.parse::<f64>() {
        Ok(seconds) => Some(Timestamp::from_seconds(seconds)),
        Err(_) => Timestamp::parse_rfc3339(text),
    };
    let step: Option<f64> = range.step.trim_end_matches('s').parse().ok();
    match (time(&range.start), time(&range.end), step) {
        (Some(start), Some(end), Some(step)) => {
            (StatusCode::OK, shared.lock().history.query_range(start, end, (step * 1000.0) as i64))
        }
        _ => {
            let error =
                json!({"status": "error", "errorType": "bad_data", "error": "start, end or step unreadable"});
            (StatusCode::BAD_REQUEST, error.to_string())
        }
    }
}

async fn remedy(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let now = shared.clock.now();
    let mut world = shared.lock();
    let valid = signature_is_valid(&world.webhook_secret, &headers, &body);
    match world.received.webhook(now, valid, &body) {
        Some(remedy) if remedy == REMEDY => {
            world.remedy_due.get_or_insert(now.plus_ms((REMEDY_SECONDS * 1000.0) as i64));
            StatusCode::NO_CONTENT
        }
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::BAD_REQUEST,
    }
}

async fn annotate(State(shared): State<Shared>) -> Json<Value> {
    let id = shared.lock().received.annotate();
    Json(json!({"message": "Annotation added", "id": id}))
}

async fn change_annotation(State(shared): State<Shared>, Path(id): Path<u64>, body: Bytes) -> Json<Value> {
    shared.lock().received.change_annotation(id, &body);
    Json(json!({"message": "Annotation patched"}))
}

async fn alerts(State(shared): State<Shared>, body: Bytes) -> StatusCode {
    let now = shared.clock.now();
    shared.lock().received.alert(now, &body);
    StatusCode::OK
}
