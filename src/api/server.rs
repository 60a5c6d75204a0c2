//! The routes, and around them what holds for all: token, bounds, time-outs, errors as JSON.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::api::auth::{self, Gate};
use crate::api::error;
use crate::api::handle::Handle;
use crate::api::listener::{Bounded, Peer};
use crate::api::routes::{actions, health, incidents, metrics, series, write};
use crate::config::{BearerToken, RemoteWrite};

/// Connections open at once.
const CONNECTIONS_MAX: usize = 1024;
/// A connection that says nothing for this long is closed; Prometheus keeps one idle for up to 5 minutes.
const IDLE: Duration = Duration::from_secs(330);
/// From the first byte of a request to the last of its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Bodies of everything but remote write.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Write requests in memory at once; more wait for their turn before their bodies are read.
const WRITES_MAX: usize = 4;
/// After the signal to stop, requests in flight get this long.
const DRAIN: Duration = Duration::from_secs(5);

/// Everything that can be asked. `/-/healthy` and `/-/ready` need no token, for those who only watch the process.
pub fn router(handle: Handle, token: Option<&BearerToken>, remote_write: Option<RemoteWrite>) -> Router {
    let gate = Gate::new(token);
    let mut guarded = Router::new()
        .route("/metrics", get(metrics::page))
        .route("/api/v1/series", get(series::list))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::one))
        .route("/api/v1/incidents/{id}/acknowledge", post(incidents::acknowledge))
        .route("/api/v1/incidents/{id}/resolve", post(incidents::resolve))
        .route("/api/v1/incidents/{id}/feedback", post(incidents::feedback))
        .route("/api/v1/actions", get(actions::waiting))
        .route("/api/v1/actions/{id}/approve", post(actions::approve))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    if let Some(limits) = remote_write {
        let (body_bytes_max, writes) = (limits.body_bytes_max, write::Writes::new(handle.clone(), limits));
        let receiver = Router::new()
            .route("/api/v1/write", post(write::write))
            .layer(DefaultBodyLimit::max(body_bytes_max))
            .layer(GlobalConcurrencyLimitLayer::new(WRITES_MAX))
            .with_state(writes);
        guarded = guarded.merge(receiver);
    }
    Router::new()
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .merge(guarded.layer(from_fn_with_state(gate, auth::check)))
        // 503 and not 408: a remote-write sender throws away what was refused with a 4xx.
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(from_fn(error::as_json))
        .with_state(handle)
}

/// Serves until `stop`, then lets requests in flight end.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    let listener = Bounded::new(listener, CONNECTIONS_MAX, IDLE);
    let service = router.into_make_service_with_connect_info::<Peer>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = serving => served,
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}
