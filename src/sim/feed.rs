//! A cluster scraped in step with its own time: one batch of all its exporters every so many seconds.

use crate::sample::{Batch, Timestamp};
use crate::sim::cluster::{Cluster, STEP_SECONDS};
use crate::sim::exporter::{BatchPage, Exporters, Families, Kind, Page, Target};

/// The label that names the host of a series.
pub const ENTITY_LABEL: &str = "host";

/// A cluster, its exporters, and what of them a site keeps.
#[derive(Debug)]
pub struct Feed {
    pub cluster: Cluster,
    exporters: Exporters,
    page: BatchPage,
    steps: u32,
    missing: Option<Missing>,
}

/// Which series a site does not have: the same ones always, drawn by their names.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    pub seed: u64,
    /// Of all signals, 0 to 1.
    pub share: f64,
}

impl Missing {
    /// A signal is missing on all hosts: nobody leaves an exporter out on one of two machines.
    fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        // FNV-1a, and a mixer since its high bits know little of the end.
        let bytes = labels.iter().flat_map(|(name, value)| name.bytes().chain(value.bytes()));
        let start = 0xCBF2_9CE4_8422_2325 ^ self.seed;
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        let hash = name.bytes().chain(bytes).fold(start, mix);
        let hash = (hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((hash >> 11) as f64 / (1u64 << 53) as f64) < self.share
    }
}

/// A page without what is missing.
struct Without<'p> {
    page: &'p mut BatchPage,
    missing: Missing,
}

impl Page for Without<'_> {
    fn target(&mut self, at: Timestamp, host: &str, target: Target) {
        self.page.target(at, host, target);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], kind: Kind, value: f64) {
        if !self.missing.has(name, labels) {
            self.page.sample(name, labels, kind, value);
        }
    }
}

impl Feed {
    /// Scrapes every `step_seconds`, a multiple of the cluster's own step.
    pub fn new(cluster: Cluster, families: Families, step_seconds: u32, missing: Option<Missing>) -> Self {
        Feed {
            cluster,
            exporters: Exporters::new(families),
            page: BatchPage::new("sim".into(), ENTITY_LABEL),
            steps: (f64::from(step_seconds) / STEP_SECONDS).round().max(1.0) as u32,
            missing,
        }
    }

    /// What the hosts run.
    pub fn families(&self) -> &Families {
        self.exporters.families()
    }

    /// The same cluster in a world of its own.
    pub fn fork(&self) -> Self {
        Feed {
            cluster: self.cluster.clone(),
            exporters: self.exporters.clone(),
            page: BatchPage::new("sim".into(), ENTITY_LABEL),
            steps: self.steps,
            missing: self.missing,
        }
    }

    /// Moves on to the next scrape, and gives it.
    pub fn next_batch(&mut self) -> Batch {
        for _ in 0..self.steps {
            self.cluster.step();
        }
        let readings = self.cluster.readings();
        match self.missing {
            None => self.exporters.print(&readings, &mut self.page),
            Some(missing) => {
                let mut page = Without { page: &mut self.page, missing };
                self.exporters.print(&readings, &mut page);
            }
        }
        self.page.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cluster::Shape;

    fn samples(missing: Option<Missing>) -> usize {
        let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
        let cluster = Cluster::new(Shape::default(), 1, start);
        let mut feed = Feed::new(cluster, Families::default(), 15, missing);
        (0..8).map(|_| feed.next_batch().len()).last().unwrap_or(0)
    }

    #[test]
    fn a_share_of_the_signals_is_missing_and_always_the_same() {
        let [all, some, again] = [None, Some(1), Some(1)]
            .map(|seed| samples(seed.map(|seed| Missing { seed, share: 0.3 })) as f64);
        assert!((900.0..1100.0).contains(&all), "{all}");
        assert!((0.55..0.85).contains(&(some / all)), "{some} of {all}");
        assert_eq!(some, again);
    }
}
