//! Memory of batches between decoding and the engine: so many batches may wait, and so many bytes.
//!
//! A count alone bounds little: one request may unpack to a hundred times what another does. A batch holds its
//! share until it is dropped, wherever that happens.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::sample::{Batch, Held};

const KIB: usize = 1024;

/// So many bytes for batches, handed out in KiB and in the order of asking.
#[derive(Clone, Debug)]
pub struct Room {
    free: Arc<Semaphore>,
    kib_max: u32,
}

impl Room {
    /// Rounds up to a KiB.
    pub fn new(bytes_max: usize) -> Self {
        let kib_max = u32::try_from(bytes_max.div_ceil(KIB)).unwrap_or(u32::MAX);
        Room { free: Arc::new(Semaphore::new(kib_max as usize)), kib_max }
    }

    /// Waits until there is room for `batch`, which holds it from then on. One that is larger than all
    /// there is gets it all, and goes alone.
    pub async fn hold(&self, batch: &mut Batch) {
        let kib =
            u32::try_from(batch.bytes().div_ceil(KIB)).map_or(self.kib_max, |kib| kib.min(self.kib_max));
        // Nobody closes the semaphore; were it closed, there would be no bound and no harm.
        if let Ok(share) = Arc::clone(&self.free).acquire_many_owned(kib).await {
            batch.held = Some(Held::new(share));
        }
    }

    pub fn kib_max(&self) -> usize {
        self.kib_max as usize
    }

    pub fn kib_used(&self) -> usize {
        self.kib_max().saturating_sub(self.free.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::sample::{Timestamp, ValueKind};

    fn batch(samples: i64) -> Batch {
        let mut batch = Batch::new("remote_write:test".into());
        batch.series(&mut [("__name__", "up")], ValueKind::Gauge);
        for at in 0..samples {
            batch.sample(Timestamp(at), 1.0);
        }
        batch
    }

    #[tokio::test]
    async fn a_batch_waits_for_room_until_another_is_dropped() {
        let room = Room::new(64 * KIB);
        let (mut first, mut second) = (batch(2_000), batch(2_000));
        room.hold(&mut first).await;
        assert!(room.kib_used() >= 32);
        let waiting = timeout(Duration::from_millis(20), room.hold(&mut second)).await;
        assert!(waiting.is_err() && second.held.is_none());
        drop(first);
        room.hold(&mut second).await;
        drop(second);
        assert_eq!(room.kib_used(), 0);
    }

    #[tokio::test]
    async fn one_larger_than_all_goes_alone() {
        let room = Room::new(KIB);
        let (mut large, mut small) = (batch(100_000), batch(1));
        room.hold(&mut large).await;
        assert!(timeout(Duration::from_millis(20), room.hold(&mut small)).await.is_err());
    }
}
