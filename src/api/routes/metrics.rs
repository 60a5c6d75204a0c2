//! Foreshock's own metrics, for the Prometheus that watches the watcher.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::api::handle::Handle;
use crate::telemetry::METRICS_CONTENT_TYPE;

/// `GET /metrics`: OpenMetrics text.
pub async fn page(State(handle): State<Handle>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], handle.metrics.encode(handle.clock.now()))
}
