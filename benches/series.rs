//! From a batch to rows: resolve, accept, ingest and row of 100,000 series, in samples a second on one core.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foreshock::kernel::Lanes;
use foreshock::sample::{Batch, CHUNK, Mask, Timestamp, ValueKind};
use foreshock::series::head::{Head, HeadLimits};
use foreshock::series::registry::{Registry, RegistryLimits};
use foreshock::series::tick::{TickLimits, Ticker};

const HOSTS: usize = 100;
const SERIES_PER_HOST: usize = 1000;
const STEP_MS: i64 = 15_000;

/// One page a host, as node_exporter would print it; half of the series are counters.
fn pages(tick: i64) -> Vec<Batch> {
    let page = |host: usize| {
        let instance = format!("mx{host}.example.org:9100");
        let mut batch = Batch::new(format!("scrape:http://{instance}/metrics").into());
        let at = Timestamp(1_700_000_000_000 / STEP_MS * STEP_MS + tick * STEP_MS);
        for series in 0..SERIES_PER_HOST {
            let (kind, name) = match series % 2 {
                0 => (ValueKind::Counter, "node_network_receive_bytes_total"),
                _ => (ValueKind::Gauge, "node_filesystem_avail_bytes"),
            };
            let device = format!("device-{series}");
            let mut labels =
                [("__name__", name), ("device", &device), ("instance", &instance), ("job", "node")];
            batch.push(&mut labels, kind, at, (tick * 1000) as f64 + ((series * 7 + host) % 13) as f64);
        }
        batch
    };
    (0..HOSTS).map(page).collect()
}

struct Core {
    registry: Registry,
    ticker: Ticker,
    head: Head,
    x: Vec<Lanes>,
    seen: Vec<Mask>,
}

impl Core {
    fn new() -> Self {
        let limits = RegistryLimits { series_max: 200_000, labels_max: 64, label_bytes_max: 4096 };
        Core {
            registry: Registry::new(limits, vec!["instance".into()]),
            ticker: Ticker::new(15, TickLimits::default()),
            head: Head::new(HeadLimits { step_seconds: 15, silent_seconds_max: 86_400 }),
            x: vec![[0.0; CHUNK]; 64],
            seen: vec![Mask::NONE; 64],
        }
    }

    /// Returns the lanes seen.
    fn take(&mut self, pages: &[Batch]) -> u32 {
        for page in pages {
            for (key, kind, samples) in page.iter() {
                let Ok(id) = self.registry.resolve(key) else { continue };
                self.registry.declare(id, kind);
                for &sample in samples {
                    let _ = self.ticker.accept(id, sample);
                }
            }
            self.ticker.observe(&page.source, page.latest().unwrap_or_default(), 0);
        }
        let mut lanes = 0;
        while let Some(due) = self.ticker.next_due() {
            self.head.ingest(due.at, &due.arrivals, !due.arrivals.is_empty(), &self.registry);
            for i in 0..self.head.block_count() {
                let block = self.head.block_mut(i);
                let mut changes = Vec::new();
                block.row(due.at, &mut self.x, &mut self.seen, &mut changes);
                lanes += self.seen[..block.chunks()].iter().map(|mask| mask.0.count_ones()).sum::<u32>();
            }
        }
        lanes
    }
}

fn resolve_to_row(c: &mut Criterion) {
    let mut core = Core::new();
    for tick in 0..8 {
        core.take(&pages(tick));
    }
    assert_eq!(core.take(&pages(8)), (HOSTS * SERIES_PER_HOST) as u32, "every series has a lane");
    let mut group = c.benchmark_group("series");
    group.sample_size(20).throughput(Throughput::Elements((HOSTS * SERIES_PER_HOST) as u64));
    let mut tick = 9;
    group.bench_function("resolve_to_row", |bencher| {
        bencher.iter_batched(
            || {
                tick += 1;
                pages(tick)
            },
            |pages| core.take(&pages),
            criterion::BatchSize::PerIteration,
        )
    });
}

criterion_group!(benches, resolve_to_row);
criterion_main!(benches);
