//! When a fault can first be seen: the cluster beside its twin without it, which has the same arrivals and the same dice.

use crate::sample::{Timestamp, ValueKind};
use crate::sim::cluster::{Cluster, Outbreak};
use crate::sim::exporter::{Exporters, Families, Kind, Page, Target};

/// A difference of less than this share of what would be there without the fault is none that anyone sees.
const SEEN_SHARE: f64 = 0.1;

/// Seconds since 1970, as long as anyone has mail. Bytes may lie there too, and a smaller difference of these is seen.
const TIMES: std::ops::Range<f64> = 1e9..1e10;

/// The cluster as it would be without one fault.
#[derive(Debug)]
pub struct Twin {
    cluster: Cluster,
    /// Of the twin and of the cluster; each remembers what it printed.
    exporters: [Exporters; 2],
    /// What both print before the fault.
    begin: Sheet,
}

/// All values on all pages, in their order.
#[derive(Clone, Debug, Default)]
struct Sheet(Vec<(bool, f64)>);

impl Page for Sheet {
    fn target(&mut self, _: Timestamp, _: &str, target: Target) {
        self.0.push((false, f64::from(u8::from(target.up))));
    }

    fn sample(&mut self, _: &str, _: &[(&str, &str)], kind: Kind, value: f64) {
        self.0.push((kind.value_kind() == ValueKind::Counter, value));
    }
}

impl Twin {
    /// Of a cluster in which `outbreak` is to begin.
    pub fn new(cluster: &Cluster, outbreak: &Outbreak) -> Self {
        let mut twin = Twin {
            cluster: cluster.without(outbreak),
            exporters: [0, 1].map(|_| Exporters::new(Families::default())),
            begin: Sheet::default(),
        };
        let [begin, _] = twin.sheets(cluster);
        twin.begin = begin;
        twin
    }

    /// What befalls the cluster besides this fault befalls its twin.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Moves on by a step; whether `cluster`, which has, prints anything that it would not without the fault.
    pub fn differs(&mut self, cluster: &Cluster) -> bool {
        self.cluster.step();
        let [without, with] = self.sheets(cluster);
        if without.0.len() != with.0.len() {
            return true;
        }
        let mut pairs = without.0.iter().zip(&with.0).enumerate();
        pairs.any(|(place, (&(is_counter, without), &(_, with)))| {
            // Of a counter only what it has counted since, and of a time only what has passed.
            let grows = is_counter || TIMES.contains(&without);
            let began = self.begin.0.get(place).filter(|_| grows).map_or(0.0, |(_, began)| *began);
            // A reading that is no number any more is seen too.
            let apart = (with - without).abs();
            apart.is_nan() || apart > SEEN_SHARE * (without - began).abs()
        })
    }

    fn sheets(&mut self, cluster: &Cluster) -> [Sheet; 2] {
        let mut sheets = [Sheet::default(), Sheet::default()];
        let clusters = [&self.cluster, cluster];
        for ((cluster, exporters), sheet) in clusters.into_iter().zip(&mut self.exporters).zip(&mut sheets) {
            exporters.print(&cluster.readings(), sheet);
        }
        sheets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cluster::{FAULTS, Shape};
    use rand_pcg::Pcg64;
    use rand_pcg::rand_core::SeedableRng;

    #[test]
    fn without_a_fault_they_are_alike_and_each_fault_is_seen_once_it_is_there() {
        let start = Timestamp::parse_rfc3339("2026-03-03T10:00:00Z").unwrap();
        for about in FAULTS {
            let mut cluster = Cluster::new(Shape::default(), 3, start).with_benign(3);
            // A cluster's first pages hold what has not been measured yet.
            (0..60).for_each(|_| cluster.step());
            let at = cluster.now().plus_ms(60_000);
            let mut random = Pcg64::seed_from_u64(3);
            let outbreak = Outbreak::draw(about.fault, at, cluster.shape(), &mut random);
            cluster.inject(outbreak.clone());
            let mut twin = Twin::new(&cluster, &outbreak);
            let seen = (0..6 * 720).find_map(|_| {
                cluster.step();
                twin.differs(&cluster).then(|| cluster.now())
            });
            assert!(seen.is_some_and(|seen| seen > at), "{}: {seen:?} for {at}", about.name);
        }
    }
}
