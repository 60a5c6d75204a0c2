//! Foreshock's own metrics, for the Prometheus that watches the watcher.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::api::handle::Handle;
use crate::telemetry::METRICS_CONTENT_TYPE;

/// `GET /metrics`: OpenMetrics text.
pub async fn page(State(Handle { metrics, outbox, clock, .. }): State<Handle>) -> impl IntoResponse {
    let deliveries = outbox.stats();
    for (sink, counts) in &deliveries.sinks {
        metrics.attempts_in_all(sink, "delivered", counts.delivered);
        metrics.attempts_in_all(sink, "retried", counts.retried);
        metrics.attempts_in_all(sink, "failed", counts.failed);
    }
    metrics.sinks_disabled(deliveries.disabled.len());
    metrics.dropped_in_all("outbox", "full", deliveries.dropped);
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], metrics.encode(clock.now()))
}
