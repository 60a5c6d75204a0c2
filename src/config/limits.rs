//! Every bound and its default: what a mail platform of a dozen hosts needs, times ten.

use std::time::Duration;

use super::Limits;
use super::read::Section;
use super::scalar::{Bytes, show_duration};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// More shards than this cost more in hand-over than they win.
const SHARDS_MAX: usize = 64;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            series_max: 200_000,
            label_bytes_max: 4096,
            labels_max: 64,
            queue_batches_max: 256,
            queue_bytes_max: 256 << 20,
            open_incidents_max: 200,
            outbox_records_max: 10_000,
            snapshot_interval: 60 * SECOND,
            retention: 90 * DAY,
            // Results do not depend on it, so it may follow the machine.
            shards: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(SHARDS_MAX)),
        }
    }
}

pub(super) fn limits(root: &Section) -> Limits {
    let section = root.section_or_empty("limits");
    let default = Limits::default();
    let count = |key, default, low, high| section.within(key, default, low..=high, |n| n);
    let span = |key, default, low, high| section.within(key, default, low..=high, show_duration);
    let limits = Limits {
        series_max: count("series_max", default.series_max, 1, 10_000_000),
        label_bytes_max: count("label_bytes_max", default.label_bytes_max, 64, 65_536),
        labels_max: count("labels_max", default.labels_max, 1, 1024),
        queue_batches_max: count("queue_batches_max", default.queue_batches_max, 1, 65_536),
        queue_bytes_max: section
            .within(
                "queue_bytes_max",
                Bytes(default.queue_bytes_max as u64),
                Bytes(Bytes::MIB)..=Bytes(64 * Bytes::GIB),
                |bytes| bytes,
            )
            .as_usize(),
        open_incidents_max: count("open_incidents_max", default.open_incidents_max, 1, 10_000),
        outbox_records_max: count("outbox_records_max", default.outbox_records_max, 10, 1_000_000),
        snapshot_interval: span("snapshot_interval", default.snapshot_interval, SECOND, 3600 * SECOND),
        retention: span("retention", default.retention, DAY, 3650 * DAY),
        shards: count("shards", default.shards, 1, SHARDS_MAX),
    };
    section.finish();
    limits
}
