//! History and tail of a Prometheus by `query_range`: detectors are warm in a minute and not in a week.
//!
//! Time is pulled in slices. All selectors of a slice make one batch, so that the engine can put it in
//! order. A slice has as many steps as give about 200,000 samples: it grows while answers are small and
//! is halved when the server says that it is too much. Each batch says in its position where the next
//! slice begins, in milliseconds, so a pull goes on where it was when its state was last saved.
//!
//! A range query looks back up to five minutes for the last sample, so a series slower than `step`
//! comes with repeated values.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::mpsc::Sender;
use url::{Url, form_urlencoded};

use super::matrix::{self, MatrixError};
use super::metadata::Metadata;
use crate::clock::Clock;
use crate::collect::http::{self, Client, HttpError};
use crate::config::PrometheusPull;
use crate::sample::{Batch, Position, STALE_NAN_BITS, Source, Timestamp, ValueKind};
use crate::telemetry::{Metrics, Stage};

/// Prometheus gives at most 11,000 points a series.
const SLICE_STEPS_MAX: i64 = 10_000;
const SLICE_SAMPLES: usize = 200_000;
/// Tries at one slice before history is given up.
const ATTEMPTS_MAX: u32 = 8;
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A source that speaks less often than every so many ticks counts as silent in between.
const SILENT_STEPS: u32 = 3;
/// So long a server may hide what is new (VictoriaMetrics: 30 s) before the tail takes it for gone.
const HIDDEN_MS_MAX: i64 = 60_000;
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("status {status}{}", .refusal.as_ref().map_or(String::new(), |refusal| format!(": {refusal}")))]
    Refused { status: u16, refusal: Option<MatrixError> },
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    #[error("nobody takes the samples any more")]
    Closed,
}

impl QueryError {
    /// Whether the same query may do better later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Http(error) => error.is_retryable(),
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::Matrix(_) | Self::Closed => false,
        }
    }

    /// Whether half of the slice may be answered. Servers say in many words that a query is too large,
    /// so any refusal of it counts; one that has another reason is still there at a single step.
    fn may_be_too_much(&self) -> bool {
        matches!(self, Self::Http(HttpError::TooLarge { .. }) | Self::Refused { status: 400 | 413 | 422, .. })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Http(error) => error.kind(),
            Self::Refused { .. } => "refused",
            Self::Matrix(_) => "not_a_matrix",
            Self::Closed => "closed",
        }
    }
}

/// How far a pull of history has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Everything before is pulled.
    pub next: Timestamp,
    /// Since the pull began.
    pub samples: u64,
}

/// What one slice gave.
struct Slice {
    /// Its end: the first step after it.
    next: Timestamp,
    samples: usize,
    latest: Option<Timestamp>,
}

/// One Prometheus that is asked for its samples.
pub struct Puller {
    pull: PrometheusPull,
    client: Client,
    source: Source,
    step_ms: i64,
    slice_steps: i64,
    metadata: Metadata,
    /// The engine's step, for how late a sample of a slow tail may come.
    step_seconds: u32,
    batches: Sender<Batch>,
    metrics: Arc<Metrics>,
    /// The series of the last slice of history.
    newest: Vec<Box<[u8]>>,
}

impl Puller {
    /// # Errors
    /// The TLS files cannot be used.
    pub fn new(
        pull: PrometheusPull,
        step_seconds: u32,
        batches: Sender<Batch>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, HttpError> {
        Ok(Puller {
            client: Client::new(pull.url.scheme() == "https", &pull.auth, &pull.tls)?,
            source: source_of(&pull.url),
            step_ms: (pull.step.as_millis() as i64).max(1),
            slice_steps: 240,
            metadata: Metadata::default(),
            pull,
            step_seconds,
            batches,
            metrics,
            newest: Vec::new(),
        })
    }

    /// What the batches are from; the key of their position in a snapshot.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Where to begin, given where a snapshot says that the pull was: there, unless that is long ago.
    pub fn begin(&self, position: Option<Position>, now: Timestamp) -> Timestamp {
        let backfill = now.plus_ms(-(self.pull.backfill.as_millis() as i64));
        match position {
            None => backfill,
            Some(position) => {
                let oldest = now.plus_ms(-(self.pull.backfill.max(DAY).as_millis() as i64));
                Timestamp(position.next_offset).max(oldest)
            }
        }
    }

    /// Whether the server answers for the step at `from`, as of one try.
    ///
    /// # Errors
    /// It cannot be had, or refuses.
    pub async fn probe(&self, from: Timestamp) -> Result<(), QueryError> {
        let from = self.grid_up(from);
        self.ask(from, from).await.map(drop)
    }

    /// Pulls all steps in `[from, to]` and returns where to go on. Where `from` lies behind `to` there is nothing to do.
    ///
    /// # Errors
    /// The server cannot be had, or refuses; what was pulled before is with the engine.
    pub async fn history(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        mut progress: impl FnMut(Progress),
    ) -> Result<Timestamp, QueryError> {
        self.ask_for_metadata().await;
        let (from, to) = (self.grid_up(from), self.grid_down(to));
        let mut pulled = Progress { from, to, next: from, samples: 0 };
        let mut seen = from;
        while pulled.next <= to {
            let slice = self.pull_slice(pulled.next, to, 0).await?;
            pulled = Progress { next: slice.next, samples: pulled.samples + slice.samples as u64, ..pulled };
            seen = slice.latest.map_or(seen, |latest| latest.plus_ms(self.step_ms));
            progress(pulled);
        }
        if self.pull.tail_lag.is_none() && from <= to {
            self.part_from(to).await?;
        }
        Ok(self.resume(pulled.next, seen, to))
    }

    /// Ends the series that somebody else will bring from here on. A step of history shows what was scraped up to an
    /// interval before it: a difference from there to a live sample, over a span that is not that between them, would be
    /// a rate that never was.
    async fn part_from(&mut self, to: Timestamp) -> Result<(), QueryError> {
        let mut end = Batch::new(self.source.clone());
        for key in self.newest.drain(..) {
            end.keyed_series(&key, ValueKind::Unknown);
            end.sample(to.plus_ms(1), f64::from_bits(STALE_NAN_BITS));
        }
        if end.is_empty() { Ok(()) } else { self.batches.send(end).await.map_err(|_| QueryError::Closed) }
    }

    /// Goes on from `from`, `tail_lag` behind the clock, until nobody takes the batches any more.
    ///
    /// Failures are told and tried again. May be dropped at any await.
    pub async fn tail(mut self, from: Timestamp, clock: Clock) {
        let lag_ms = self.pull.tail_lag.unwrap_or_default().as_millis() as i64;
        let slow = self.pull.step > Duration::from_secs(1) * self.step_seconds * SILENT_STEPS;
        let lateness_ms = if slow { lag_ms + self.pull.timeout.as_millis() as i64 } else { 0 };
        self.ask_for_metadata().await;
        let mut next = self.grid_up(from);
        let mut asked = next;
        let mut failing = false;
        loop {
            clock.sleep_until(asked.plus_ms(lag_ms)).await;
            let newest = self.grid_down(clock.now().plus_ms(-lag_ms));
            match self.pull_slice(next, newest.max(next), lateness_ms).await {
                Ok(slice) => {
                    let seen = slice.latest.map_or(next, |latest| latest.plus_ms(self.step_ms));
                    next = self.resume(slice.next, seen, newest);
                    asked = slice.next;
                    failing = false;
                }
                Err(QueryError::Closed) => return,
                Err(error) => {
                    if !failing {
                        tracing::warn!(source = %self.source, "the tail stands still: {error}");
                    }
                    failing = true;
                    tokio::time::sleep(PAUSE_MAX).await;
                }
            }
        }
    }

    /// Pulls one slice that begins at `from` and hands it over if it holds anything.
    async fn pull_slice(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        lateness_ms: i64,
    ) -> Result<Slice, QueryError> {
        let mut attempts = 0;
        loop {
            let steps = (to.since(from) / self.step_ms + 1).clamp(1, self.slice_steps);
            let last = from.plus_ms((steps - 1) * self.step_ms);
            let error = match self.ask(from, last).await {
                Ok(mut batch) => {
                    let next = last.plus_ms(self.step_ms);
                    // A server that answers beyond what it was asked does not move where to go on.
                    let latest = batch.latest().map(|latest| latest.min(last));
                    let slice = Slice { next, samples: batch.len(), latest };
                    self.slice_steps = slice_after(steps, self.slice_steps, slice.samples);
                    if next > to {
                        self.newest = batch.iter().map(|(key, ..)| key.into()).collect();
                    }
                    if let Some(latest) = slice.latest {
                        batch.lateness_ms = lateness_ms;
                        batch.position = Some(Position { next_offset: latest.plus_ms(self.step_ms).0 });
                        self.batches.send(batch).await.map_err(|_| QueryError::Closed)?;
                    } else if self.batches.is_closed() {
                        return Err(QueryError::Closed);
                    }
                    return Ok(slice);
                }
                Err(error) => error,
            };
            self.metrics.error("query_range", error.kind());
            attempts += 1;
            if error.may_be_too_much() && steps > 1 {
                self.slice_steps = steps / 2;
            } else if error.is_retryable() && attempts < ATTEMPTS_MAX {
                // Half of it is also what helps a server that is out of breath.
                self.slice_steps = (steps / 2).max(1);
                tracing::debug!(source = %self.source, attempts, "{error}");
                tokio::time::sleep(pause(attempts)).await;
            } else {
                return Err(error);
            }
        }
    }

    /// One query a selector, all into one batch.
    async fn ask(&self, from: Timestamp, last: Timestamp) -> Result<Batch, QueryError> {
        let mut batch = Batch::new(self.source.clone());
        for selector in &self.pull.selectors {
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("query", selector)
                .append_pair("start", &from.seconds().to_string())
                .append_pair("end", &last.seconds().to_string())
                .append_pair("step", &(self.step_ms as f64 / 1000.0).to_string())
                .finish();
            let request = self
                .client
                .request(Method::POST, endpoint(&self.pull.url, "query_range"))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
            let reply = http::fetch(request, self.pull.timeout, self.pull.body_bytes_max).await?;
            let started = Instant::now();
            let read = matrix::read(&reply.body, |name| self.metadata.kind_of(name), &mut batch);
            self.metrics.observe(Stage::Parse, started.elapsed());
            match (reply.status, read) {
                (200, read) => read?,
                (status, read) => return Err(QueryError::Refused { status, refusal: read.err() }),
            }
        }
        Ok(batch)
    }

    /// Types are a help and not a need: without an answer, names and behaviour tell counters.
    async fn ask_for_metadata(&mut self) {
        let request = self.client.request(Method::GET, endpoint(&self.pull.url, "metadata"));
        match http::fetch(request, self.pull.timeout, self.pull.body_bytes_max).await {
            Ok(reply) => match Metadata::read(&reply.body) {
                Ok(metadata) => self.metadata = metadata,
                Err(error) => tracing::debug!(source = %self.source, "no metadata: {error}"),
            },
            Err(error) => tracing::debug!(source = %self.source, "no metadata: {error}"),
        }
    }

    /// Where to go on when all before `next` was asked for and nothing from `seen` on was there.
    fn resume(&self, next: Timestamp, seen: Timestamp, newest: Timestamp) -> Timestamp {
        next.min(seen.max(self.grid_down(newest.plus_ms(-HIDDEN_MS_MAX))))
    }

    fn grid_up(&self, at: Timestamp) -> Timestamp {
        Timestamp(at.0 + (-at.0).rem_euclid(self.step_ms))
    }

    fn grid_down(&self, at: Timestamp) -> Timestamp {
        Timestamp(at.0 - at.0.rem_euclid(self.step_ms))
    }
}

/// The server without user, password and query: a name that may be shown.
fn source_of(url: &Url) -> Source {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("prometheus:{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or(""), url.path()).into()
}

fn endpoint(server: &Url, name: &str) -> Url {
    let mut url = server.clone();
    url.set_path(&format!("{}/api/v1/{name}", server.path().trim_end_matches('/')));
    url
}

/// How long the next slice is, after one of `steps` gave so many samples.
fn slice_after(steps: i64, slice_steps: i64, samples: usize) -> i64 {
    if samples > 2 * SLICE_SAMPLES {
        (steps / 2).max(1)
    } else if steps == slice_steps && samples < SLICE_SAMPLES / 2 {
        (2 * steps).min(SLICE_STEPS_MAX)
    } else {
        slice_steps
    }
}

fn pause(attempts: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(1 << attempts.min(10)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests;
