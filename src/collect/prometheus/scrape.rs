//! Scraping: one task a target, at most one request in flight a target, a page an interval.
//!
//! Each target has its own place within the interval, so that a thousand targets don't ask at once,
//! and keeps it over restarts. A page becomes one batch; a failure becomes one too, with `up` 0,
//! because a target that does not answer is news.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::ACCEPT;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::discovery::{Discovery, Target};
use super::page::{self, PageError, PageReport, Stamp};
use super::text::Format;
use crate::clock::Clock;
use crate::collect::http::{self, Client, HttpError};
use crate::config::{Scheme, ScrapeJob};
use crate::sample::{Batch, Timestamp};
use crate::telemetry::{Metrics, Stage};

/// Between two looks at file_sd lists, in wall time.
const REFRESH: Duration = Duration::from_secs(5);

/// OpenMetrics first, as it tells counters apart best; quoted UTF-8 names are welcome.
const ACCEPTED: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.1";

/// What an idle machine's timers are late by, in wall time.
const TIMER_MS: f64 = 10.0;

/// A source that asks less often than every so many ticks counts as silent in between.
const SILENT_STEPS: u32 = 3;

/// Why a target is not up.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("status {0}")]
    Status(u16),
    #[error(transparent)]
    Page(#[from] PageError),
}

impl ScrapeError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Http(error) => error.kind(),
            Self::Status(_) => "status",
            Self::Page(PageError::TooManySamples { .. }) => "too_many_samples",
            Self::Page(PageError::NotMetrics(_)) => "not_metrics",
        }
    }
}

/// One job of the configuration, and what its targets share.
pub struct Scraper {
    pub job: ScrapeJob,
    /// The engine's, for how late a sample of a slow job may come.
    pub step_seconds: u32,
    pub clock: Clock,
    pub batches: Sender<Batch>,
    pub metrics: Arc<Metrics>,
}

impl Scraper {
    /// Scrapes until `stop`, or until nobody takes the batches any more.
    ///
    /// # Errors
    /// The job's TLS files cannot be used.
    pub async fn run(self, stop: CancellationToken) -> Result<(), HttpError> {
        let client = Client::new(self.job.scheme == Scheme::Https, &self.job.auth, &self.job.tls)?;
        let scraper = Arc::new(self);
        let mut discovery = Discovery::default();
        let mut running = BTreeMap::new();
        let mut tasks = JoinSet::new();
        loop {
            let (targets, problems) = discovery.targets(&scraper.job);
            for problem in &problems {
                tracing::warn!(job = scraper.job.name, "{problem}");
                scraper.metrics.error("discovery", "list");
            }
            running.retain(|target, task: &mut tokio::task::AbortHandle| {
                let stays = targets.contains(target);
                if !stays {
                    task.abort();
                }
                stays
            });
            for target in targets {
                running.entry(target).or_insert_with_key(|target| {
                    tasks.spawn(scraper.clone().keep_following(client.clone(), target.clone()))
                });
            }
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = scraper.batches.closed() => return Ok(()),
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    /// Scrapes one target until its task is aborted. A panic on the way, which is a defect of ours, costs a page or two:
    /// the target is told as down and followed anew.
    async fn keep_following(self: Arc<Self>, client: Client, target: Target) {
        let follow = || self.clone().follow(client.clone(), target.clone());
        self.outlive_panics(&target, follow).await;
    }

    async fn outlive_panics<F>(&self, target: &Target, follow: impl Fn() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut lives = JoinSet::new();
        loop {
            lives.spawn(follow());
            match lives.join_next().await {
                Some(Err(error)) if error.is_panic() => {}
                _ => return,
            }
            self.metrics.error("scrape", "panic");
            let (job, url) = (&self.job.name, &target.url);
            tracing::error!(job, %url, "a scrape panicked; the target counts as down until the next");
            let mut batch = Batch::new(format!("scrape:{url}").into());
            Stamp::new(&target.labels).push(&mut batch, "up", self.clock.now(), 0.0);
            batch.lateness_ms = self.lateness_ms();
            if self.batches.send(batch).await.is_err() {
                return;
            }
            self.clock.sleep_until(self.clock.now().plus_ms(self.job.interval.as_millis() as i64)).await;
        }
    }

    /// Scrapes one target for as long as its task lives.
    async fn follow(self: Arc<Self>, client: Client, target: Target) {
        let mut scrape = TargetScrape {
            source: format!("scrape:{}", target.url).into(),
            stamp: Stamp::new(&target.labels),
            target,
            client,
            was_up: true,
            lag_ms: 0,
        };
        let interval_ms = self.job.interval.as_millis().max(1) as i64;
        let offset_ms = offset_ms(&scrape.target, interval_ms);
        loop {
            let slot = next_slot(self.clock.now(), interval_ms, offset_ms);
            self.clock.sleep_until(slot).await;
            let now = self.clock.now();
            let hair_ms = hair_ms(interval_ms, self.clock.scale());
            let at = if now.since(slot).abs() <= hair_ms { slot } else { now };
            let batch = scrape.once(&self, at).await;
            if self.batches.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// A fast job needs none; a slow one is silent in between, and time would not wait for its answer.
    fn lateness_ms(&self) -> i64 {
        let silent = self.job.interval > Duration::from_secs(1) * self.step_seconds * SILENT_STEPS;
        if silent { self.job.timeout.as_millis() as i64 } else { 0 }
    }
}

/// The target's own place within an interval.
fn offset_ms(target: &Target, interval_ms: i64) -> i64 {
    let mut hasher = rustc_hash::FxHasher::default();
    target.hash(&mut hasher);
    (hasher.finish() % interval_ms.unsigned_abs()) as i64
}

/// How late a timer may be, in data time, for its slot to be the time of the scrape all the same: that keeps the even spacing
/// that cadences are learnt from. Beyond it counters of a whole machine would seem to have run faster for once.
fn hair_ms(interval_ms: i64, scale: f64) -> i64 {
    ((TIMER_MS * scale) as i64).min(interval_ms / 100)
}

/// The first slot after `now`.
fn next_slot(now: Timestamp, interval_ms: i64, offset_ms: i64) -> Timestamp {
    let slots = (now.0 - offset_ms).div_euclid(interval_ms) + 1;
    Timestamp(slots * interval_ms + offset_ms)
}

/// What a target's task remembers between scrapes.
struct TargetScrape {
    source: crate::sample::Source,
    target: Target,
    stamp: Stamp,
    client: Client,
    was_up: bool,
    /// How far times in its pages were seen to lie behind, at most two intervals.
    lag_ms: i64,
}

impl TargetScrape {
    async fn once(&mut self, scraper: &Scraper, at: Timestamp) -> Batch {
        let started = Instant::now();
        let scraped = self.scrape(scraper, at).await;
        let duration_seconds = started.elapsed().as_secs_f64();
        let up = scraped.is_ok();
        let (mut batch, samples) = match scraped {
            Ok((batch, report)) => {
                self.note_page(scraper, &report);
                (batch, report.samples)
            }
            Err(error) => {
                self.note_failure(scraper, &error);
                (Batch::new(self.source.clone()), 0)
            }
        };
        self.stamp.push(&mut batch, "up", at, f64::from(u8::from(up)));
        self.stamp.push(&mut batch, "scrape_duration_seconds", at, duration_seconds);
        self.stamp.push(&mut batch, "scrape_samples_scraped", at, samples as f64);
        batch.lateness_ms = scraper.lateness_ms().max(self.lag_ms);
        batch
    }

    async fn scrape(&self, scraper: &Scraper, at: Timestamp) -> Result<(Batch, PageReport), ScrapeError> {
        let job = &scraper.job;
        let request = self
            .client
            .request(Method::GET, self.target.url.clone())
            .header(ACCEPT, ACCEPTED)
            .header("X-Prometheus-Scrape-Timeout-Seconds", job.timeout.as_secs_f64().to_string());
        let mut reply = http::fetch(request, job.timeout, job.body_bytes_max).await?;
        if reply.status != 200 {
            return Err(ScrapeError::Status(reply.status));
        }
        let format = Format::of(&reply.content_type);
        let mut batch = Batch::new(self.source.clone());
        let report = scraper
            .metrics
            .time(Stage::Parse, || page::read(&mut reply.body, format, job, &self.stamp, at, &mut batch))?;
        Ok((batch, report))
    }

    fn note_page(&mut self, scraper: &Scraper, report: &PageReport) {
        let job = &scraper.job;
        self.lag_ms = self.lag_ms.max(report.lag_ms).min(2 * job.interval.as_millis() as i64);
        scraper.metrics.dropped("scrape", "bad_line", report.lines_bad);
        if let Some(error) = &report.first_error {
            tracing::debug!(job = job.name, url = %self.target.url, lines_bad = report.lines_bad, "{error}");
        }
        if !self.was_up {
            tracing::info!(job = job.name, url = %self.target.url, "target is up again");
        }
        self.was_up = true;
    }

    /// Says so once, not at each scrape.
    fn note_failure(&mut self, scraper: &Scraper, error: &ScrapeError) {
        scraper.metrics.error("scrape", error.kind());
        if self.was_up {
            tracing::warn!(job = scraper.job.name, url = %self.target.url, "target is down: {error}");
        }
        self.was_up = false;
    }
}

#[cfg(test)]
mod tests;
