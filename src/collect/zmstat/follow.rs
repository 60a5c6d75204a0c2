//! A directory read up to the present, and followed from there.

use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::directory::Directory;
use crate::clock::Clock;
use crate::sample::Batch;
use crate::telemetry::Metrics;

/// Between two looks, in wall time: little beside the half minute between two rows of a file.
const LOOK: Duration = Duration::from_secs(2);

/// Hands over all that is there, and says how many samples that was. Blocks while nobody takes a batch.
pub fn catch_up(directory: &mut Directory, clock: &Clock, batches: &Sender<Batch>) -> u64 {
    let mut samples = 0;
    while let Some(batch) = directory.next(clock.now()) {
        samples += batch.len() as u64;
        if batches.blocking_send(batch).is_err() {
            break;
        }
    }
    samples
}

/// Hands over what is written from now on, until nobody takes the batches any more. May be dropped at any await.
pub async fn follow(
    mut directory: Directory,
    clock: Clock,
    batches: Sender<Batch>,
    metrics: std::sync::Arc<Metrics>,
) {
    loop {
        let spare = directory.again();
        // A disk that hangs must not hold up the other collectors.
        let read = tokio::task::spawn_blocking(move || {
            let batch = directory.next(clock.now());
            if batch.is_none() {
                directory.look();
            }
            (directory, batch)
        });
        let batch = match read.await {
            Ok((read, batch)) => {
                directory = read;
                batch
            }
            // A defect of ours, which its own message has told: the files are opened anew, and read on.
            Err(_) => {
                metrics.error("zmstat", "panic");
                directory = spare;
                None
            }
        };
        match batch {
            Some(batch) => {
                if batches.send(batch).await.is_err() {
                    return;
                }
            }
            None => tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = batches.closed() => return,
            },
        }
    }
}
