//! What every Prometheus of the configuration can tell of the time before now: for a first start its history,
//! after a stop what was missed.
//!
//! Several are read side by side and handed over in order of time, since the engine's time never goes back.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::collect::http::HttpError;
use crate::collect::prometheus::query::{Progress, Puller};
use crate::config::{Config, PrometheusPull};
use crate::runtime::collectors::Outfit;
use crate::runtime::owed;
use crate::runtime::snapshots::Positions;
use crate::sample::{Batch, Timestamp};

/// Slices that one Prometheus may be ahead of the slowest.
const SLICES_AHEAD: usize = 2;
/// Between two log lines on the way.
const TELL: Duration = Duration::from_secs(5);

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
) -> Result<Vec<Tail>, HttpError> {
    let (mut lanes, mut pulls) = (Vec::new(), JoinSet::new());
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
    let (_, tails) = tokio::join!(merge(lanes, &outfit.batches), pulls.join_all());
    Ok(tails.into_iter().flatten().collect())
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

/// Hands over, of the batches next in each lane, always the one that ends first.
async fn merge(mut lanes: Vec<mpsc::Receiver<Batch>>, out: &mpsc::Sender<Batch>) {
    let mut heads: Vec<Option<Batch>> = Vec::new();
    heads.resize_with(lanes.len(), || None);
    loop {
        for (lane, head) in lanes.iter_mut().zip(&mut heads) {
            if head.is_none() {
                *head = lane.recv().await;
            }
        }
        let ends = |head: &&mut Option<Batch>| head.as_ref().map(|batch| batch.latest());
        let Some(first) =
            heads.iter_mut().filter(|head| head.is_some()).min_by_key(ends).and_then(Option::take)
        else {
            return;
        };
        if out.send(first).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::ValueKind;

    fn slice(source: &str, end_ms: Option<i64>) -> Batch {
        let mut batch = Batch::new(source.into());
        if let Some(at) = end_ms {
            batch.push(&mut [("__name__", "up")], ValueKind::Gauge, Timestamp(at), 1.0);
        }
        batch
    }

    #[tokio::test]
    async fn slices_of_several_leave_in_order_of_time() {
        let (mut lanes, mut expected) = (Vec::new(), vec![(None, "c")]);
        for (source, ends) in [("a", vec![10, 20, 30]), ("b", vec![5, 15, 16, 40]), ("d", vec![])] {
            let (sender, lane) = mpsc::channel(8);
            for end in ends {
                sender.try_send(slice(source, Some(end))).unwrap();
                expected.push((Some(Timestamp(end)), source));
            }
            lanes.push(lane);
        }
        let (sender, lane) = mpsc::channel(8);
        sender.try_send(slice("c", None)).unwrap();
        drop(sender);
        lanes.push(lane);
        expected.sort();

        let (out, mut merged) = mpsc::channel(16);
        merge(lanes, &out).await;
        drop(out);
        let mut found = Vec::new();
        while let Some(batch) = merged.recv().await {
            found.push((batch.latest(), batch.source.to_string()));
        }
        let found: Vec<(Option<Timestamp>, &str)> =
            found.iter().map(|(at, source)| (*at, source.as_str())).collect();
        assert_eq!(found, expected);
    }
}
