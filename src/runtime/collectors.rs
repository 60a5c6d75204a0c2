//! All collectors of a configuration: started together, caught up together, stopped together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::collect::http::HttpError;
use crate::collect::kafka::{self, KafkaError, order};
use crate::collect::prometheus::query::Puller;
use crate::collect::prometheus::scrape::Scraper;
use crate::collect::zmstat;
use crate::config::{Config, KafkaSource};
use crate::runtime::history::{Tail, Tails};
use crate::runtime::snapshots::Positions;
use crate::sample::Batch;
use crate::telemetry::Metrics;

/// Between two looks at how far Kafka has been read.
const LOOK: Duration = Duration::from_millis(100);
/// A backlog that gets no shorter for this long is not waited for.
const STALLED: Duration = Duration::from_secs(60);

/// Why a collector could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaError),
    #[error("{0}")]
    Http(#[from] HttpError),
}

/// What every collector is given.
#[derive(Clone)]
pub struct Outfit {
    pub clock: Clock,
    pub batches: mpsc::Sender<Batch>,
    pub metrics: Arc<Metrics>,
}

/// The consumers of Kafka, which read at their own pace and are told what is durable.
pub struct Consumers {
    consumers: Vec<kafka::Consumer>,
    read: Arc<kafka::Positions>,
    clock: Clock,
}

impl Consumers {
    /// Joins the groups and reads on at `positions`.
    ///
    /// # Errors
    /// A property that librdkafka refuses, a dead-letter file that cannot be opened.
    pub fn start(config: &Config, outfit: &Outfit, positions: Positions) -> Result<Self, CollectError> {
        let read = Arc::new(kafka::Positions::new(positions));
        let mut turns = order::turns(config.kafka.iter().map(|source| source.topics.len()).sum()).into_iter();
        let start = |source: &KafkaSource| {
            let Outfit { clock, batches, metrics } = outfit.clone();
            let turns = turns.by_ref().take(source.topics.len());
            kafka::start(source, clock, Arc::clone(&read), &config.data_dir, batches, metrics, turns)
        };
        let consumers = config.kafka.iter().map(start).collect::<Result<_, _>>()?;
        Ok(Consumers { consumers, read, clock: outfit.clock })
    }

    /// Returns once every partition has been read to its end, or the backlog does not move any more. However long
    /// it is, it is waited for: to go live before its end would make the rest of it late.
    pub async fn catch_up(&self) {
        let began = self.clock.now();
        let (mut moved, mut last) = (Instant::now(), self.read.behind(began));
        while !self.consumers.iter().all(kafka::Consumer::is_caught_up) {
            tokio::time::sleep(LOOK).await;
            let now = self.read.behind(began);
            if now != last {
                (moved, last) = (Instant::now(), now);
            }
            if moved.elapsed() > STALLED {
                tracing::warn!("Kafka has not been read to its end; going on without waiting for it");
                return;
            }
        }
    }

    /// Commits what becomes durable, until the snapshots end; then once more what the last one held.
    pub async fn commit_durable(
        self: Arc<Self>,
        mut durable: watch::Receiver<Positions>,
        metrics: Arc<Metrics>,
    ) {
        while durable.changed().await.is_ok() {
            let positions = durable.borrow_and_update().clone();
            let (consumers, metrics) = (Arc::clone(&self), Arc::clone(&metrics));
            // A panic shows in the log; the next snapshot commits again.
            let _ = tokio::task::spawn_blocking(move || consumers.commit(&positions, &metrics)).await;
        }
    }

    /// An error costs nothing but reading again: the snapshot has its own positions.
    fn commit(&self, positions: &Positions, metrics: &Metrics) {
        for consumer in &self.consumers {
            if let Err(error) = consumer.commit(positions) {
                metrics.error("kafka", "commit");
                tracing::warn!(%error, "offsets could not be committed");
            }
        }
    }
}

/// Scrapes and tails that run until they are stopped.
pub struct Live {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Live {
    /// Starts every scrape job.
    pub fn start(config: &Config, outfit: &Outfit) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for job in &config.scrapes {
            let Outfit { clock, batches, metrics } = outfit.clone();
            let name = job.name.clone();
            let scraper =
                Scraper { job: job.clone(), step_seconds: config.step_seconds, clock, batches, metrics };
            let scraping = scraper.run(stop.clone());
            tasks.spawn(async move {
                if let Err(error) = scraping.await {
                    tracing::error!(job = name, %error, "the job cannot be scraped");
                }
            });
        }
        Live { tasks, stop }
    }

    /// Goes on with each Prometheus and each directory where its history ended.
    ///
    /// # Errors
    /// TLS files that cannot be used.
    pub fn follow(&mut self, tails: Tails, step_seconds: u32, outfit: &Outfit) -> Result<(), CollectError> {
        for directory in tails.directories {
            let Outfit { clock, batches, metrics } = outfit.clone();
            self.tasks.spawn(zmstat::follow(directory, clock, batches, metrics));
        }
        for Tail { pull, from } in tails.pulls {
            let Outfit { clock, batches, metrics } = outfit.clone();
            let puller = Puller::new(pull, step_seconds, batches, metrics)?;
            self.tasks.spawn(puller.tail(from, clock));
        }
        Ok(())
    }

    /// Ends them all; what is in flight is cut off.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.tasks.shutdown().await;
    }
}
