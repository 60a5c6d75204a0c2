//! The simulated cluster on loopback: a port for each exporter of each host, and one for all the rest.
//!
//! There `/api/v1/query_range` is its Prometheus; `/remedy` verifies a webhook and performs it on the cluster;
//! `/api/annotations` and `/api/v2/alerts` count as a Grafana and an Alertmanager would; `/fault` breaks something, and
//! `/` says how things stand.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Form, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::sample::Timestamp;
use crate::sim::cluster::STEP_SECONDS;
use crate::sim::history::RangeError;
use crate::sim::pages::Place;
use crate::sim::receiver::{Unheard, signature_is_valid};
use crate::sim::world::World;

/// A world that its servers, whoever looks at it and the passing of time share.
#[derive(Clone)]
pub struct Shared {
    world: Arc<Mutex<World>>,
    clock: Clock,
    webhook_secret: Arc<str>,
}

/// Where everything is served.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub control: SocketAddr,
    pub targets: Vec<(Place, SocketAddr)>,
}

impl Shared {
    /// Puts a world under a clock. `webhook_secret` is `whsec_…`.
    pub fn new(world: World, clock: Clock, webhook_secret: &str) -> Self {
        Shared { world: Arc::new(Mutex::new(world)), clock, webhook_secret: webhook_secret.into() }
    }

    /// The world, locked. A panic elsewhere leaves a world that is still whole: every change is one call.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens all ports on loopback and serves them, and lets the world's time pass with the clock, in tasks that end
    /// with the set. The control port is `port`, or any where that is 0.
    ///
    /// # Errors
    /// A port that cannot be had.
    pub async fn start(&self, port: u16) -> io::Result<(Addresses, JoinSet<io::Result<()>>)> {
        let mut tasks = JoinSet::new();
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let control = listener.local_addr()?;
        tasks.spawn(serve(listener, self.clone().control()));
        let mut targets = Vec::new();
        let places = self.lock().targets();
        for place in places {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            targets.push((place.clone(), listener.local_addr()?));
            let routes = Router::new().route("/metrics", get(metrics)).with_state((self.clone(), place));
            tasks.spawn(serve(listener, routes));
        }
        tasks.spawn(self.clone().live());
        Ok((Addresses { control, targets }, tasks))
    }

    /// Lets the world's time pass with the clock, for ever.
    async fn live(self) -> io::Result<()> {
        loop {
            self.lock().catch_up(self.clock.now());
            self.clock.sleep(Duration::from_secs_f64(STEP_SECONDS)).await;
        }
    }

    fn control(self) -> Router {
        Router::new()
            .route("/", get(state))
            .route("/fault", post(fault))
            .route("/remedy", post(remedy))
            .route("/api/v1/query_range", get(range_by_url).post(range_by_form))
            .route("/api/v1/metadata", get(metadata))
            .route("/api/annotations", post(annotate))
            .route("/api/annotations/{id}", patch(change_annotation))
            .route("/api/v2/alerts", post(alerts))
            .with_state(self)
    }
}

async fn serve(listener: TcpListener, routes: Router) -> io::Result<()> {
    axum::serve(listener, routes).await
}

/// Why a request is not followed.
fn refuse(status: StatusCode, why: impl ToString) -> Response {
    let answer = json!({"status": "error", "errorType": "bad_data", "error": why.to_string()});
    (status, Json(answer)).into_response()
}

async fn metrics(State((shared, place)): State<(Shared, Place)>) -> Response {
    let now = shared.clock.now();
    match shared.lock().page(&place, now) {
        Some(page) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "it does not answer"),
    }
}

async fn state(State(shared): State<Shared>) -> Json<Value> {
    let mut world = shared.lock();
    world.catch_up(shared.clock.now());
    Json(world.state())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Injection {
    fault: String,
    host: Option<String>,
}

async fn fault(State(shared): State<Shared>, body: Bytes) -> Response {
    let injection: Injection = match serde_json::from_slice(&body) {
        Ok(injection) => injection,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error),
    };
    let mut world = shared.lock();
    world.catch_up(shared.clock.now());
    match world.inject(&injection.fault, injection.host.as_deref()) {
        Ok(_) => Json(world.state()).into_response(),
        Err(error) => refuse(StatusCode::UNPROCESSABLE_ENTITY, error),
    }
}

async fn remedy(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let now = shared.clock.now();
    let valid = signature_is_valid(&shared.webhook_secret, &headers, &body);
    let mut world = shared.lock();
    world.catch_up(now);
    match world.received.webhook(now, valid, &body) {
        Ok(asked) => {
            let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
            Json(world.perform(id, asked).to_json()).into_response()
        }
        Err(why @ Unheard::Signature) => refuse(StatusCode::UNAUTHORIZED, why),
        Err(why @ Unheard::NoRemedy) => refuse(StatusCode::BAD_REQUEST, why),
    }
}

#[derive(Deserialize)]
struct Range {
    query: String,
    start: String,
    end: String,
    step: String,
}

async fn range_by_url(state: State<Shared>, Query(range): Query<Range>) -> Response {
    query_range(state, &range)
}

async fn range_by_form(state: State<Shared>, Form(range): Form<Range>) -> Response {
    query_range(state, &range)
}

fn query_range(State(shared): State<Shared>, range: &Range) -> Response {
    let time = |text: &str| match text.parse::<f64>() {
        Ok(seconds) => Some(Timestamp::from_seconds(seconds)),
        Err(_) => Timestamp::parse_rfc3339(text),
    };
    let step: Option<f64> = range.step.trim_end_matches('s').parse().ok();
    let (Some(start), Some(end), Some(step)) = (time(&range.start), time(&range.end), step) else {
        return refuse(StatusCode::BAD_REQUEST, "start, end or step cannot be read");
    };
    let mut world = shared.lock();
    world.catch_up(shared.clock.now());
    let found = world.history().query_range(&range.query, start, end, (step * 1000.0) as i64);
    match found {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Err(why @ RangeError::Samples) => refuse(StatusCode::UNPROCESSABLE_ENTITY, why),
        Err(why) => refuse(StatusCode::BAD_REQUEST, why),
    }
}

async fn metadata(State(shared): State<Shared>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], shared.lock().history().metadata())
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
