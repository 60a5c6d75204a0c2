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
    let waiting = deliveries.waiting.iter().map(|(part, n)| (part.sink.as_str(), part.what(), *n));
    metrics.outbox(deliveries.capacity, waiting);
    for (part, count) in &deliveries.dropped {
        metrics.outbox_dropped_in_all(&part.sink, part.what(), *count);
    }
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], metrics.encode(clock.now()))
}
