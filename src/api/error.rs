//! Every answer that is not what was asked for: `{"error":{"code","message"}}` with a fitting status.

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::act::approve::ApproveError;
use crate::act::outbox::ApprovalError;
use crate::durable::store::StoreError;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("a bearer token is needed: Authorization: Bearer …")]
    Unauthorized,
    #[error("{0}")]
    Invalid(String),
    /// No such thing has this id.
    #[error("no {what} has this id")]
    NotFound { what: &'static str },
    /// The thing exists, but is past what was asked.
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    UnsupportedMedia(String),
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    /// Another try later may do.
    #[error("{what}; try again in {retry_seconds} s")]
    Busy { what: String, retry_seconds: u32 },
    /// Nothing that the caller could mend.
    #[error("internal: {0}")]
    Internal(String),
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'a str,
    message: &'a str,
}

impl ApiError {
    /// HTTP status and a code that programs may compare.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            ApiError::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            ApiError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
            ApiError::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            ApiError::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            ApiError::UnsupportedMedia(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            ApiError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            ApiError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            ApiError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        let mut response = answer(status, code, &self.to_string());
        match self {
            ApiError::Unauthorized => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ApiError::Busy { retry_seconds, .. } => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_seconds));
            }
            _ => {}
        }
        response
    }
}

fn answer(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(Envelope { error: Detail { code, message } })).into_response()
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        ApiError::Internal(error.to_string())
    }
}

impl From<ApprovalError> for ApiError {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::Approve(ApproveError::Unknown) => ApiError::NotFound { what: "action" },
            ApprovalError::Approve(refused) => ApiError::Conflict(refused.to_string()),
            ApprovalError::Store(error) => error.into(),
        }
    }
}

/// Gives the errors of the HTTP layer itself (no such path, wrong method, body too large, too slow) the same form.
pub async fn as_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let code = match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        _ => "invalid",
    };
    let (mut parts, _) = response.into_parts();
    let told = answer(status, code, status.canonical_reason().unwrap_or("failed"));
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, Body::new(told.into_body()))
}
