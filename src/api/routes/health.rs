//! Is it alive, and does it watch yet? For load balancers, service managers and Kubernetes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::api::handle::{Handle, Phase};

/// `GET /-/healthy`: 200 while the engine thread takes inputs.
pub async fn healthy(State(handle): State<Handle>) -> (StatusCode, Json<Value>) {
    let alive = !handle.batches.is_closed();
    let status = if alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "healthy": alive })))
}

/// `GET /-/ready`: 200 once live; before that and while stopping 503 with the phase.
pub async fn ready(State(handle): State<Handle>) -> (StatusCode, Json<Value>) {
    let phase = *handle.phase.borrow();
    let ready = phase == Phase::Live && !handle.batches.is_closed();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "phase": phase })))
}
