//! What every Prometheus and every directory of statistics can tell of the time before now: for a first start its
//! history, after a stop what was missed.
//!
//! Several are read side by side and handed over in order of time, since the engine's time never goes back: what
//! they have of one span goes over as one batch, so that none is late beside another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::collect::http::HttpError;
use crate::collect::prometheus::query::{Progress, Puller};
use crate::collect::zmstat::{self, Directory};
use crate::config::{Config, PrometheusPull, Zmstat};
use crate::runtime::collectors::Outfit;
use crate::runtime::owed;
use crate::runtime::snapshots::Positions;
use crate::sample::{Batch, Timestamp};

/// Slices that one Prometheus may be ahead of the slowest.
const SLICES_AHEAD: usize = 2;
/// Between two log lines on the way.
const TELL: Duration = Duration::from_secs(5);

/// What several sources tell together.
const TOGETHER: &str = "history";
/// A directory is asked again at least for this long, as it costs nobody anything.
const DAY: Duration = Duration::from_secs(86_400);

/// What goes on as live sources, from where it has been read.
#[derive(Default)]
pub struct Tails {
    pub pulls: Vec<Tail>,
    pub directories: Vec<Directory>,
}

/// A pull that goes on as a live source, and from where.
#[derive(Clone, Debug)]
pub struct Tail {
    pub pull: PrometheusPull,
    pub from: Timestamp,
}

/// Reads up to now, from the snapshot's `positions`, or from `since`, the tick of the snapshot, if that is later.
/// A Prometheus that cannot be had costs its part of history, with an error in the log; on a first start it is
/// owed from then on.
///
/// # Errors
/// TLS files that cannot be used.
pub async fn read(
    config: &Config,
    outfit: &Outfit,
    positions: &Positions,
    since: Option<Timestamp>,
) -> Result<Tails, HttpError> {
    let (mut lanes, mut pulls, mut directories) = (Vec::new(), JoinSet::new(), JoinSet::new());
    for pull in &config.prometheus {
        let (batches, lane) = mpsc::channel(SLICES_AHEAD);
        let puller = Puller::new(pull.clone(), config.step_seconds, batches, outfit.metrics.clone())?;
        let now = outfit.clock.now();
        let begin = puller.begin(positions.get(puller.source().as_ref()).copied(), now);
        let from = since.map_or(begin, |since| begin.max(since));
        lanes.push(lane);
        let owes = since.is_none().then(|| outfit.batches.clone());
        pulls.spawn(read_one(puller, pull.clone(), from, now, owes));
    }
    for zmstat in &config.zmstat {
        let (batches, lane) = mpsc::channel(SLICES_AHEAD);
        lanes.push(lane);
        directories.spawn(read_directory(zmstat.clone(), outfit.clone(), since, batches));
    }
    let (_, pulls, directories) =
        tokio::join!(merge(lanes, &outfit.batches), pulls.join_all(), directories.join_all());
    Ok(Tails { pulls: pulls.into_iter().flatten().collect(), directories })
}

/// Where to begin with a directory: rows up to the tick of the snapshot are known, those after it are read again.
fn begin(zmstat: &Zmstat, since: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let back = |span: Duration| now.plus_ms(-(span.as_millis() as i64));
    since.map_or(back(zmstat.backfill), |since| since.max(back(zmstat.backfill.max(DAY))))
}

async fn read_directory(
    zmstat: Zmstat,
    outfit: Outfit,
    since: Option<Timestamp>,
    batches: mpsc::Sender<Batch>,
) -> Directory {
    let Outfit { clock, metrics, .. } = outfit;
    let now = clock.now();
    let mut directory = Directory::new(zmstat.clone(), begin(&zmstat, since, now), Arc::clone(&metrics));
    let read = tokio::task::spawn_blocking(move || {
        let samples = zmstat::catch_up(&mut directory, &clock, &batches);
        tracing::info!(source = %directory.source(), samples, "history has been read");
        directory
    });
    read.await.unwrap_or_else(|_| {
        // A defect of ours, which its own message has told.
        metrics.error("zmstat", "panic");
        Directory::new(zmstat, now, metrics)
    })
}

/// `None` where the pull has no tail. `owes` takes the mark of a history that could not be read.
async fn read_one(
    mut puller: Puller,
    pull: PrometheusPull,
    from: Timestamp,
    now: Timestamp,
    owes: Option<mpsc::Sender<Batch>>,
) -> Option<Tail> {
    let source = puller.source().clone();
    let (mut reached, mut samples, mut told) = (from, 0, Instant::now());
    let note = |progress: Progress| {
        (reached, samples) = (progress.next, progress.samples);
        if told.elapsed() > TELL {
            told = Instant::now();
            tracing::info!(%source, samples, percent = percent(&progress), "reading history");
        }
    };
    match puller.history(from, now, note).await {
        Ok(next) => {
            reached = next;
            tracing::info!(%source, samples, "history has been read");
        }
        Err(error) => {
            tracing::error!(%source, %error, from = %reached,
                "history could not be read; what is missing is learnt live, and asked for again at the next start");
            reached = reached.max(now);
            if let Some(owes) = owes.filter(|_| from < now) {
                // An error says that the engine has ended: then there is no state that would owe.
                let _ = owes.send(owed::mark(&source, now)).await;
            }
        }
    }
    pull.tail_lag.is_some().then_some(Tail { pull, from: reached })
}

fn percent(progress: &Progress) -> i64 {
    let whole = progress.to.since(progress.from).max(1);
    (progress.next.since(progress.from).saturating_mul(100) / whole).clamp(0, 100)
}

/// The batch that a lane has come to, and what of it is yet to be handed over.
struct Head {
    batch: Batch,
    end: Option<Timestamp>,
    /// Samples up to here have been.
    after: Timestamp,
}

impl Head {
    fn new(batch: Batch) -> Self {
        Head { end: batch.latest(), batch, after: Timestamp::MIN }
    }

    /// Adds what it has up to `until` to `out`.
    fn give(&mut self, until: Timestamp, out: &mut Batch) {
        for (key, kind, samples) in self.batch.iter() {
            let mut due = samples.iter().filter(|s| s.at > self.after && s.at <= until).peekable();
            if due.peek().is_some() {
                out.keyed_series(key, kind);
            }
            for sample in due {
                out.sample(sample.at, sample.value);
            }
        }
        out.lateness_ms = out.lateness_ms.max(self.batch.lateness_ms);
        self.after = until;
    }

    /// Says, by a batch without samples, how far a source has been read that keeps a position.
    fn mark(&self) -> Option<Batch> {
        let mut mark = Batch::new(self.batch.source.clone());
        mark.position = Some(self.batch.position?);
        Some(mark)
    }
}

/// Hands over, as one batch, what all lanes have up to where the first of their batches ends, and so on.
async fn merge(mut lanes: Vec<mpsc::Receiver<Batch>>, out: &mpsc::Sender<Batch>) {
    if let [lane] = &mut lanes[..] {
        while let Some(batch) = lane.recv().await {
            if out.send(batch).await.is_err() {
                return;
            }
        }
        return;
    }
    let mut heads: Vec<Option<Head>> = Vec::new();
    heads.resize_with(lanes.len(), || None);
    loop {
        for (lane, head) in lanes.iter_mut().zip(&mut heads) {
            if head.is_none() {
                *head = lane.recv().await.map(Head::new);
            }
        }
        let Some(end) = heads.iter().flatten().map(|head| head.end).min() else { return };
        let mut together = Batch::new(TOGETHER.into());
        let mut marks = Vec::new();
        for place in &mut heads {
            let Some(head) = place else { continue };
            if let Some(end) = end {
                head.give(end, &mut together);
            }
            if head.end <= end {
                marks.extend(head.mark());
                *place = None;
            }
        }
        // A position is told once all before it has been handed over.
        for batch in std::iter::once(together).chain(marks) {
            if out.send(batch).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Position, Sample, ValueKind};
    use crate::series::registry::{Registry, RegistryLimits};
    use crate::series::tick::{TickLimits, Ticker};

    /// A batch of one sample at each of `seconds`; its position is the last of them.
    fn slice(source: &str, seconds: &[i64]) -> Batch {
        let mut batch = Batch::new(source.into());
        batch.series(&mut [("__name__", "up"), ("host", source)], ValueKind::Gauge);
        for second in seconds {
            batch.sample(Timestamp(second * 1000), *second as f64);
        }
        batch.position = seconds.last().map(|next_offset| Position { next_offset: *next_offset });
        batch
    }

    async fn merged(lanes: Vec<Vec<Batch>>) -> Vec<Batch> {
        let mut ends = Vec::new();
        for batches in lanes {
            let (sender, lane) = mpsc::channel(8);
            for batch in batches {
                sender.try_send(batch).unwrap();
            }
            ends.push(lane);
        }
        let (sender, mut out) = mpsc::channel(64);
        merge(ends, &sender).await;
        drop(sender);
        let mut found = Vec::new();
        while let Some(batch) = out.recv().await {
            found.push(batch);
        }
        found
    }

    /// Seconds of the samples of each series of a batch.
    fn seconds(batch: &Batch) -> Vec<Vec<i64>> {
        let seconds = |samples: &[Sample]| samples.iter().map(|sample| sample.at.0 / 1000).collect();
        batch.iter().map(|(_, _, samples)| seconds(samples)).collect()
    }

    #[tokio::test]
    async fn slices_of_several_leave_together_in_order_of_time() {
        let lanes = vec![
            vec![slice("a", &[1, 9]), slice("a", &[12, 20])],
            vec![slice("b", &[5]), slice("b", &[15, 30])],
            vec![],
        ];
        let found = merged(lanes).await;
        let told: Vec<_> = found
            .iter()
            .map(|batch| {
                (&*batch.source, seconds(batch), batch.position.map(|position| position.next_offset))
            })
            .collect();
        assert_eq!(
            told,
            [
                ("history", vec![vec![1], vec![5]], None),
                ("b", vec![], Some(5)),
                ("history", vec![vec![9]], None),
                ("a", vec![], Some(9)),
                ("history", vec![vec![12, 20], vec![15]], None),
                ("a", vec![], Some(20)),
                ("history", vec![vec![30]], None),
                ("b", vec![], Some(30)),
            ]
        );
    }

    #[tokio::test]
    async fn one_alone_is_handed_over_as_it_is() {
        let found = merged(vec![vec![slice("a", &[1, 9]), slice("a", &[])]]).await;
        assert_eq!(
            found.iter().map(|batch| (&*batch.source, batch.len())).collect::<Vec<_>>(),
            [("a", 2), ("a", 0)]
        );
    }

    #[tokio::test]
    async fn nothing_of_any_lane_is_late() {
        let lane = |source: &str, slices: i64, span: i64| -> Vec<Batch> {
            let span_of = |i| (i * span..(i + 1) * span).step_by(10).collect::<Vec<_>>();
            (0..slices).map(|i| slice(source, &span_of(i))).collect()
        };
        let lanes = vec![lane("short", 8, 100), lane("long", 2, 400), lane("all", 1, 800)];
        let limits = RegistryLimits { series_max: 10, labels_max: 10, label_bytes_max: 100 };
        let mut registry = Registry::new(limits, vec!["host".into()]);
        let mut ticker = Ticker::new(10, TickLimits::default());
        let mut taken = 0;
        for batch in merged(lanes).await.iter().filter(|batch| !batch.is_empty()) {
            for (key, _, samples) in batch.iter() {
                let series = registry.resolve(key).unwrap();
                taken += samples.iter().filter(|sample| ticker.accept(series, **sample).is_ok()).count();
            }
            ticker.observe(&batch.source, batch.latest().unwrap(), batch.lateness_ms);
            while ticker.next_due().is_some() {}
        }
        assert_eq!(taken, 240);
    }
}
