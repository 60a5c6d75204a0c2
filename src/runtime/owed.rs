//! History that a first start could not read, and the next start owes to the detectors.
//!
//! A mark among the positions of the snapshot says of which Prometheus, and since when its place has been taken
//! by learning live. Time in the engine never goes back, so what is owed can only be read by an engine that
//! begins anew; that is worth it while learning live has been shorter than the history.

use std::time::Duration;

use crate::collect::prometheus::query::Puller;
use crate::config::{Config, PrometheusPull};
use crate::engine::{Engine, Settings};
use crate::runtime::collectors::{CollectError, Outfit};
use crate::runtime::recover::Start;
use crate::runtime::snapshots::Positions;
use crate::sample::{Batch, Position, Source, Timestamp};

const MARK: &str = "owed:";

/// Tells the engine's thread, by a batch without samples, that the history of `source` is owed since `now`.
pub fn mark(source: &Source, now: Timestamp) -> Batch {
    let mut batch = Batch::new(format!("{MARK}{source}").into());
    batch.position = Some(Position { next_offset: now.0 });
    batch
}

/// What to do about a history that is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// Nothing is owed.
    Nothing,
    Reading,
    /// What has been learnt live by now reaches as far back.
    NoMore,
}

fn worth(positions: &Positions, source: &str, backfill: Duration, now: Timestamp) -> Worth {
    let Some(since) = positions.get(&format!("{MARK}{source}")) else { return Worth::Nothing };
    let lived_ms = now.since(Timestamp(since.next_offset));
    if lived_ms < backfill.as_millis() as i64 { Worth::Reading } else { Worth::NoMore }
}

/// Begins anew where history is owed and can be had now, and goes on with `start` otherwise.
///
/// # Errors
/// TLS files that cannot be used.
pub async fn collect(
    mut start: Start,
    config: &Config,
    outfit: &Outfit,
    settings: Settings,
) -> Result<Start, CollectError> {
    let now = outfit.clock.now();
    let mut begins_anew = false;
    for pull in &config.prometheus {
        let puller = puller(pull, config, outfit)?;
        let source = puller.source();
        match worth(&start.positions, source, pull.backfill, now) {
            Worth::Nothing => {}
            Worth::NoMore => {
                tracing::info!(%source, "its history is not needed any more: as much has been learnt live");
                start.positions.remove(&format!("{MARK}{source}"));
            }
            Worth::Reading => match puller.probe(puller.begin(None, now)).await {
                Ok(()) => {
                    tracing::info!(%source, "its history could not be read before and can be now: learning anew from it");
                    begins_anew = true;
                }
                Err(error) => {
                    tracing::warn!(%source, %error, "its history still cannot be read; the next start tries again");
                }
            },
        }
    }
    if begins_anew {
        start.engine = Engine::new(settings);
        start.since = None;
        start.positions.retain(|source, _| !source.starts_with(MARK) && !source.starts_with("prometheus:"));
    }
    Ok(start)
}

fn puller(pull: &PrometheusPull, config: &Config, outfit: &Outfit) -> Result<Puller, CollectError> {
    let (batches, metrics) = (outfit.batches.clone(), outfit.metrics.clone());
    Ok(Puller::new(pull.clone(), config.step_seconds, batches, metrics)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_worth_reading_until_as_much_was_learnt_live() {
        let hour_ms = 3_600_000i64;
        let batch = mark(&"prometheus:http://p".into(), Timestamp(0));
        let positions = Positions::from([(batch.source.to_string(), batch.position.unwrap())]);
        let asked = |source, hours| {
            worth(&positions, source, Duration::from_secs(12 * 3600), Timestamp(hours * hour_ms))
        };
        assert_eq!(asked("prometheus:http://p", 1), Worth::Reading);
        assert_eq!(asked("prometheus:http://p", 12), Worth::NoMore);
        assert_eq!(asked("prometheus:http://other", 1), Worth::Nothing);
    }
}
