//! A cluster whose faults come and go by a plan, and the truth about them: when each began, when it could first be seen,
//! when users felt it, and that it was healed some time after.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use crate::sample::Timestamp;
use crate::sim::cluster::{Benign, Cluster, Effect, Fault, Felt, Outbreak, STEP_SECONDS};
use crate::sim::truth::{BenignTruth, FaultTruth, Truth};
use crate::sim::twin::Twin;

/// A fault that is to break out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub fault: Fault,
    pub at: Timestamp,
    /// `None` leaves it to the seed.
    pub host: Option<String>,
}

/// The cluster, and what is known of it.
#[derive(Debug)]
pub struct Chronicle {
    pub cluster: Cluster,
    watched: Vec<Watched>,
    benign: Vec<Benign>,
    heal_after_ms: Option<i64>,
}

#[derive(Debug)]
struct Watched {
    outbreak: Outbreak,
    felt: Felt,
    truth: FaultTruth,
    /// From its onset until it is seen.
    twin: Option<Twin>,
    is_healed: bool,
}

impl Chronicle {
    /// Each fault is healed `heal_after_seconds` after users began to feel it, by its first remedy; never, where that is
    /// `None`.
    ///
    /// # Errors
    /// A fault cannot break out on the host that is named.
    pub fn new(
        mut cluster: Cluster,
        planned: &[Planned],
        heal_after_seconds: Option<f64>,
        seed: u64,
    ) -> Result<Self, String> {
        let mut watched = Vec::new();
        for (place, planned) in (0..).zip(planned) {
            let outbreak = draw(planned, &cluster, seed.wrapping_add(place))?;
            let truth = FaultTruth::of(&outbreak, &cluster);
            cluster.inject(outbreak.clone());
            watched.push(Watched { outbreak, felt: Felt::default(), truth, twin: None, is_healed: false });
        }
        let heal_after_ms = heal_after_seconds.map(|seconds| (seconds * 1000.0) as i64);
        Ok(Chronicle { cluster, watched, benign: Vec::new(), heal_after_ms })
    }

    /// Moves on by a step of the cluster.
    pub fn step(&mut self) {
        let before = self.cluster.now();
        let until = before.plus_ms((STEP_SECONDS * 1000.0) as i64);
        for watched in self.watched.iter_mut().filter(|w| (before..until).contains(&w.outbreak.at)) {
            watched.twin = Some(Twin::new(&self.cluster, &watched.outbreak));
        }
        self.cluster.step();
        let now = self.cluster.now();
        for event in self.cluster.benign_near() {
            if !self.benign.contains(event) {
                self.benign.push(event.clone());
            }
        }
        let mut healed = Vec::new();
        for watched in self.watched.iter_mut().filter(|watched| now > watched.outbreak.at) {
            if watched.twin.as_mut().is_some_and(|twin| twin.differs(&self.cluster)) {
                watched.truth.first_change = Some(now);
                watched.twin = None;
            }
            if watched.truth.impact.is_none() && !watched.is_healed {
                watched.truth.impact = watched.felt.look(&self.cluster, &watched.outbreak);
            }
            let due = watched.truth.impact.zip(self.heal_after_ms).map(|(at, ms)| at.plus_ms(ms));
            if !watched.is_healed && due.is_some_and(|due| now >= due) {
                watched.is_healed = true;
                watched.twin = None;
                heal(&mut self.cluster, &watched.outbreak);
                healed.push(watched.outbreak.clone());
            }
        }
        for twin in self.watched.iter_mut().filter_map(|watched| watched.twin.as_mut()) {
            healed.iter().for_each(|outbreak| heal(twin.cluster_mut(), outbreak));
        }
    }

    /// What has happened so far; faults that are yet to come are left out.
    pub fn truth(&self) -> Truth {
        let now = self.cluster.now();
        let faults = self.watched.iter().filter(|watched| watched.outbreak.at < now);
        let benign = self.benign.iter().filter(|event| event.from < now);
        Truth {
            faults: faults.map(|watched| watched.truth.clone()).collect(),
            benign: benign.map(|event| BenignTruth::of(event, &self.cluster)).collect(),
        }
    }
}

/// Where, how fast and how hard it breaks out.
fn draw(planned: &Planned, cluster: &Cluster, seed: u64) -> Result<Outbreak, String> {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut outbreak = Outbreak::draw(planned.fault, planned.at, cluster.shape(), &mut random);
    if let Some(host) = &planned.host {
        outbreak.move_to(host, cluster.shape())?;
    }
    Ok(outbreak)
}

/// The first remedy, or the end by itself of what no remedy ends.
fn heal(cluster: &mut Cluster, outbreak: &Outbreak) {
    let host = cluster.names()[outbreak.host].clone();
    let remedy = outbreak.fault.about().right.first();
    let effect = remedy.map_or(Effect::Vain, |remedy| cluster.remedy(remedy, &host));
    if !matches!(effect, Effect::Cures(fault) if fault == outbreak.fault) {
        cluster.end(outbreak.fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cluster::{STEP_SECONDS, Shape};

    #[test]
    fn a_fault_is_felt_and_healed_and_all_of_it_is_told() {
        let start = Timestamp::parse_rfc3339("2026-03-03T10:00:00Z").unwrap();
        for (fault, host) in
            [(Fault::ClamdStuck, "mta2.mail.example"), (Fault::DnsFailure, "mta1.mail.example")]
        {
            let at = start.plus_ms(600_000);
            let planned = Planned { fault, at, host: Some(host.into()) };
            let later = Planned { at: start.plus_ms(90 * 86_400_000), ..planned.clone() };
            let cluster = Cluster::new(Shape::default(), 3, start).with_benign(3);
            let mut chronicle = Chronicle::new(cluster, &[planned, later], Some(600.0), 3).unwrap();
            for _ in 0..(8.0 * 3_600.0 / STEP_SECONDS) as usize {
                chronicle.step();
            }
            let truth = chronicle.truth();
            let [told] = &truth.faults[..] else { panic!("{truth:?}") };
            assert_eq!((told.fault.as_str(), told.host.as_str(), told.onset), (fault.name(), host, at));
            let (first_change, impact) = (told.first_change.unwrap(), told.impact.unwrap());
            assert!(at < first_change && first_change < impact, "{told:?}");
            let now = chronicle.cluster.now();
            assert!(chronicle.cluster.outbreaks().iter().all(|outbreak| !outbreak.is_on(now)), "{fault:?}");
            assert!(!truth.benign.is_empty());
        }
    }

    #[test]
    fn a_fault_cannot_break_out_on_any_host() {
        let start = Timestamp(0);
        let planned =
            Planned { fault: Fault::ClamdStuck, at: start, host: Some("ldap1.mail.example".into()) };
        let cluster = Cluster::new(Shape::default(), 3, start);
        assert!(Chronicle::new(cluster, &[planned], None, 3).unwrap_err().contains("mta2.mail.example"));
    }
}
