//! Remote write: a request body becomes one batch in the engine's queue, or nothing of it does.
//!
//! 204 says that the batch is in the queue, not that it is on disk: what came after the newest snapshot is
//! lost in a crash and shows as a gap. A full queue is waited for, then answered with 503, and the sender
//! keeps the data and comes again: that is the back-pressure.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};

use crate::api::error::ApiError;
use crate::api::handle::{Handle, Phase};
use crate::api::listener::Peer;
use crate::collect::prometheus::remote_write::{self, Decoded, RemoteWriteError};
use crate::config::RemoteWrite;
use crate::sample::Source;
use crate::telemetry::Stage;

/// What the route needs beside the handle.
#[derive(Clone)]
pub struct Writes {
    handle: Handle,
    limits: Arc<RemoteWrite>,
}

impl Writes {
    pub fn new(handle: Handle, limits: RemoteWrite) -> Self {
        Writes { handle, limits: Arc::new(limits) }
    }
}

/// `POST /api/v1/write`, remote write 1.0.
pub async fn write(
    State(Writes { handle, limits }): State<Writes>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    if *handle.phase.borrow() != Phase::Live {
        // Today's samples would end yesterday for the engine; a sender keeps them for two hours at least.
        return Err(ApiError::Busy { what: "Foreshock is reading the past".into(), retry_seconds: 5 });
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = |error: RemoteWriteError| {
        handle.metrics.error("remote_write", kind(&error));
        refusal(error, &limits)
    };
    remote_write::check_headers(text(CONTENT_TYPE), text(CONTENT_ENCODING)).map_err(refused)?;
    let place = handle.place().await?;
    // One host is one source: its shards send different series side by side, on connections that come and go.
    let source: Source = format!("remote_write:{}", peer.ip()).into();
    let (metrics, bytes_max) = (Arc::clone(&handle.metrics), limits.decompressed_bytes_max);
    let decode = move || metrics.time(Stage::Parse, || remote_write::decode(&body, bytes_max, source));
    // A body of 100,000 series takes tens of milliseconds, too long for a thread that serves others.
    let decoded = tokio::task::spawn_blocking(decode).await.map_err(|e| ApiError::Internal(e.to_string()))?;
    let Decoded { mut batch, skipped } = decoded.map_err(refused)?;
    handle.metrics.dropped("remote_write", "bad_series", skipped.bad_series);
    handle.metrics.dropped("remote_write", "native_histogram", skipped.histograms);
    if !batch.is_empty() {
        batch.lateness_ms = limits.lateness.as_millis() as i64;
        handle.room_for(&mut batch).await?;
        place.send(batch);
    }
    Ok(StatusCode::NO_CONTENT)
}

fn kind(error: &RemoteWriteError) -> &'static str {
    match error {
        RemoteWriteError::ContentType(_) => "content_type",
        RemoteWriteError::ContentEncoding(_) => "content_encoding",
        RemoteWriteError::Version2 => "version",
        RemoteWriteError::TooLarge { .. } => "too_large",
        RemoteWriteError::Snappy(_) => "snappy",
        RemoteWriteError::Protobuf(_) => "protobuf",
    }
}

fn refusal(error: RemoteWriteError, limits: &RemoteWrite) -> ApiError {
    match error {
        RemoteWriteError::ContentType(_)
        | RemoteWriteError::ContentEncoding(_)
        | RemoteWriteError::Version2 => ApiError::UnsupportedMedia(error.to_string()),
        RemoteWriteError::TooLarge { .. } => ApiError::TooLarge { bytes_max: limits.decompressed_bytes_max },
        RemoteWriteError::Snappy(_) | RemoteWriteError::Protobuf(_) => ApiError::Invalid(error.to_string()),
    }
}
