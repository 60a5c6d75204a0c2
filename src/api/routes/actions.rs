//! Actions that wait for a person (mode `approve`): which they are, and "let it go".

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::api::error::ApiError;
use crate::api::handle::Handle;
use crate::api::routes::incidents::who;

/// `GET /api/v1/actions`: what waits for approval.
pub async fn waiting(State(handle): State<Handle>) -> Result<Json<Value>, ApiError> {
    let actions = handle.stored(|outbox| outbox.waiting()).await?;
    Ok(Json(json!({ "actions": actions })))
}

/// `POST /api/v1/actions/{id}/approve`, body `{"by":"NAME"}` or none.
pub async fn approve(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (by, now, action) = (who(&body)?, handle.clock.now(), id.clone());
    let events = handle.stored(move |outbox| outbox.approve(now, &action, &by)).await?;
    let action = events.into_iter().find_map(|event| event.action.filter(|action| action.id == id));
    Ok(Json(json!({ "action": action })))
}
