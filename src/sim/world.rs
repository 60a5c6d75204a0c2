//! A simulated cluster that lives on a clock: its pages, what a Prometheus kept of it, and what was done to it.

use std::collections::{BTreeMap, VecDeque};

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;
use serde_json::{Value, json};

use crate::sample::Timestamp;
use crate::sim::cluster::{Cluster, Effect, FAULTS, Fault, Outbreak, STEP_SECONDS};
use crate::sim::exporter::{BatchPage, Exporters, Families, TargetList};
use crate::sim::history::History;
use crate::sim::pages::{Pages, Place, Scrape};
use crate::sim::receiver::{Asked, Received};

/// The label that names the host of a series.
pub const HOST_LABEL: &str = "host";
/// Deeds that are remembered.
const DEEDS_MAX: usize = 100;

/// A remedy that was asked for, and what came of it.
#[derive(Clone, Debug)]
pub struct Deed {
    /// The webhook's id: the same again is the same deed.
    pub id: String,
    pub at: Timestamp,
    pub asked: Asked,
    pub effect: Effect,
}

impl Deed {
    /// As JSON, for who asked and for who looks.
    pub fn to_json(&self) -> Value {
        let (effect, fault) = match self.effect {
            Effect::Cures(fault) => ("cures", Some(fault.name())),
            Effect::Vain => ("vain", None),
            Effect::Worsens(fault) => ("worsens", Some(fault.name())),
            Effect::Unknown => ("unknown", None),
        };
        let Asked { remedy, target } = &self.asked;
        json!({"remedy": remedy, "target": target, "at": self.at, "effect": effect, "fault": fault})
    }
}

/// The cluster with all that looks at it.
#[derive(Debug)]
pub struct World {
    pub cluster: Cluster,
    pub received: Received,
    deeds: VecDeque<Deed>,
    pages: Pages,
    scrape: Exporters,
    batch: BatchPage,
    history: History,
    interval_ms: i64,
    /// Decides where faults that are injected by name alone break out.
    random: Pcg64,
}

impl World {
    /// Takes a cluster, nothing of whose past is kept yet. A Prometheus scrapes it every `interval_seconds`, a multiple
    /// of the cluster's step, and keeps `history_days` of it.
    pub fn new(
        cluster: Cluster,
        families: Families,
        interval_seconds: u32,
        history_days: f64,
        seed: u64,
    ) -> Self {
        let rows = (history_days * 86_400.0 / f64::from(interval_seconds)).ceil() as usize;
        World {
            cluster,
            received: Received::default(),
            deeds: VecDeque::new(),
            pages: Pages::new(families.clone(), interval_seconds),
            scrape: Exporters::new(families),
            batch: BatchPage::new("sim".into(), HOST_LABEL),
            history: History::new(rows),
            interval_ms: i64::from(interval_seconds) * 1000,
            random: Pcg64::seed_from_u64(!seed),
        }
    }

    /// Steps the cluster up to `now`; history gets a row at each interval.
    pub fn catch_up(&mut self, now: Timestamp) {
        let step_ms = (STEP_SECONDS * 1000.0) as i64;
        while self.cluster.now().plus_ms(step_ms) <= now {
            self.cluster.step();
            let at = self.cluster.now();
            let keeps = at.0 % self.interval_ms == 0;
            // Nobody asks for the pages of long ago.
            let shows = now.since(at) <= self.interval_ms + step_ms;
            if !keeps && !shows {
                continue;
            }
            let readings = self.cluster.readings();
            if shows {
                self.pages.print(&readings);
            }
            if keeps {
                self.scrape.print(&readings, &mut self.batch);
                self.history.keep(at, &self.batch.take());
            }
        }
    }

    /// Every exporter of every host.
    pub fn targets(&self) -> Vec<Place> {
        let mut list = TargetList::default();
        Exporters::new(self.scrape.families().clone()).print(&self.cluster.readings(), &mut list);
        list.0.into_iter().map(|(host, target)| (host, target.job, target.port)).collect()
    }

    /// The page of a target; `None` where it does not answer.
    pub fn page(&mut self, place: &Place, now: Timestamp) -> Option<String> {
        self.catch_up(now);
        self.pages.scrape(place, now).map(str::to_owned)
    }

    /// Keeps the next `scrapes_max` scrapes.
    pub fn keep_scrapes(&mut self, scrapes_max: usize) {
        self.pages.keep_scrapes(scrapes_max);
    }

    /// The scrapes that were to be kept.
    pub fn scrapes(&self) -> &[Scrape] {
        self.pages.scrapes()
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Lets a fault break out now, where the seed will have it or on `host`.
    ///
    /// # Errors
    /// What is wrong with the names.
    pub fn inject(&mut self, fault: &str, host: Option<&str>) -> Result<&Outbreak, String> {
        let fault = Fault::of_name(fault).ok_or_else(|| {
            let names: Vec<&str> = FAULTS.iter().map(|about| about.name).collect();
            format!("there is no fault `{fault}`; there are {}", names.join(", "))
        })?;
        let mut outbreak = Outbreak::draw(fault, self.cluster.now(), self.cluster.shape(), &mut self.random);
        if let Some(host) = host {
            outbreak.move_to(host, self.cluster.shape())?;
        }
        self.cluster.inject(outbreak);
        // Cannot fail, since it was put there; the names of hosts are another matter.
        self.cluster.outbreaks().last().ok_or_else(|| "it did not break out".to_owned())
    }

    /// Does what a webhook with this id asks for, once.
    pub fn perform(&mut self, id: &str, asked: Asked) -> Deed {
        if let Some(deed) = self.deeds.iter().find(|deed| deed.id == id) {
            return deed.clone();
        }
        let effect = self.cluster.remedy(&asked.remedy, &asked.target);
        let deed = Deed { id: id.to_owned(), at: self.cluster.now(), asked, effect };
        if self.deeds.len() == DEEDS_MAX {
            self.deeds.pop_front();
        }
        self.deeds.push_back(deed.clone());
        deed
    }

    /// When a fault ended, or will end, where a remedy cured it.
    pub fn cured_at(&self, fault: Fault) -> Option<Timestamp> {
        self.cluster.outbreaks().iter().filter(|outbreak| outbreak.fault == fault).find_map(|o| o.ended_at)
    }

    /// Time, faults, what users feel of them, and what was done.
    pub fn state(&self) -> Value {
        let now = self.cluster.now();
        let names = self.cluster.names();
        let on = |o: &&Outbreak| o.at <= now && o.ended_at.is_none_or(|ended_at| now < ended_at);
        let fault = |outbreak: &Outbreak| {
            json!({
                "fault": outbreak.fault.name(),
                "host": names[outbreak.host],
                "since": outbreak.at,
                "ends_at": outbreak.ended_at,
                "felt": self.cluster.hurts(outbreak),
                "users": outbreak.fault.about().users,
                "right_remedies": outbreak.fault.about().right,
            })
        };
        let faults: Vec<Value> = self.cluster.outbreaks().iter().filter(on).map(fault).collect();
        let benign =
            self.cluster.benign_near().iter().filter(|event| (event.from..event.until).contains(&now));
        let benign: Vec<&str> = benign.map(|event| event.kind.name()).collect();
        let hosts: BTreeMap<&str, bool> = self
            .cluster
            .readings()
            .hosts
            .iter()
            .zip(names)
            .map(|(h, name)| (name.as_str(), h.answers))
            .collect();
        json!({
            "simulated": true,
            "now": now,
            "faults": faults,
            "harmless": benign,
            "remedies": self.deeds.iter().map(Deed::to_json).collect::<Vec<_>>(),
            "hosts_answer": hosts,
            "annotations": self.received.annotations.len(),
            "alerts_firing": self.received.alerts.difference(&self.received.alerts_ended).count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cluster::Shape;

    fn world() -> World {
        let start = Timestamp::parse_rfc3339("2026-03-03T10:00:00Z").unwrap();
        let mut world = World::new(Cluster::new(Shape::default(), 7, start), Families::default(), 15, 0.1, 7);
        world.catch_up(start.plus_ms(600_000));
        world
    }

    #[test]
    fn every_target_has_a_page_and_history_has_its_series() {
        let mut world = world();
        let now = world.cluster.now();
        let targets = world.targets();
        assert!(targets.len() > 30, "{}", targets.len());
        for place in targets {
            assert!(world.page(&place, now).is_some_and(|page| page.len() > 10), "{place:?}");
        }
        let from = now.plus_ms(-60_000);
        let json = world.history().query_range("clamav_threads_idle", from, now, 15_000).unwrap();
        assert!(json.contains(r#""instance":"mta1.mail.example:9810""#), "{json}");
    }

    #[test]
    fn a_fault_is_injected_by_name_and_cured_once() {
        let mut world = world();
        assert!(world.inject("no_such", None).unwrap_err().contains("clamd_stuck"));
        assert!(world.inject("clamd_stuck", Some("store1.mail.example")).unwrap_err().contains("mta1"));
        world.inject("clamd_stuck", Some("mta2.mail.example")).unwrap();
        world.catch_up(world.cluster.now().plus_ms(300_000));
        assert_eq!(world.state()["faults"][0]["host"], "mta2.mail.example");
        let ask = |target: &str| Asked { remedy: "restart_clamd_then_amavis".into(), target: target.into() };
        assert_eq!(world.perform("1", ask("mta1.mail.example")).effect, Effect::Vain);
        let deed = world.perform("2", ask("mta2.mail.example"));
        assert_eq!(deed.effect, Effect::Cures(Fault::ClamdStuck));
        world.catch_up(world.cluster.now().plus_ms(120_000));
        assert_eq!(world.state()["faults"], json!([]));
        // A webhook that comes again does nothing again.
        assert_eq!(world.perform("2", ask("mta2.mail.example")).at, deed.at);
    }
}
