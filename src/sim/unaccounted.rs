//! In the simulated cluster no mail is lost, and what is derived of its exporters says so.

use std::collections::BTreeMap;

use super::cluster::readings::{MtaReadings, Readings, ServiceReadings};
use super::cluster::{Cluster, FAULTS, Outbreak, STEP_SECONDS, Shape};
use super::exporter::{BatchPage, Exporters, Families};
use crate::engine::{Engine, Input, Settings};
use crate::predict::pack::builtin;
use crate::sample::Timestamp;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

/// Between two scrapes.
const SCRAPE_SECONDS: u32 = 30;

/// A Monday, an hour before its busiest.
fn monday() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-02T08:00:00Z").unwrap()
}

fn mtas(readings: &Readings) -> impl Iterator<Item = (&str, &MtaReadings)> {
    readings.hosts.iter().filter_map(|host| match &host.service {
        ServiceReadings::Mta(mta) => Some((host.name.as_str(), mta.as_ref())),
        _ => None,
    })
}

/// The most that each MTA was said to lose, in messages a minute, and how often something was said of it.
fn told(families: &str, hours: f64) -> BTreeMap<String, (f64, usize)> {
    let mut cluster = Cluster::new(Shape::default(), 7, monday()).with_benign(7);
    let mut exporters = Exporters::new(families.parse::<Families>().unwrap());
    let mut page = BatchPage::new("sim".into(), "host");
    let packs = vec![builtin("postfix").unwrap().unwrap()];
    let settings = Settings { step_seconds: SCRAPE_SECONDS, packs, ..Settings::default() };
    let mut engine = Engine::new(settings);
    let mut told: BTreeMap<String, (f64, usize)> = BTreeMap::new();
    for _ in 0..(hours * 3600.0 / f64::from(SCRAPE_SECONDS)) as usize {
        (0..SCRAPE_SECONDS / STEP_SECONDS as u32).for_each(|_| cluster.step());
        let readings = cluster.readings();
        for host in readings.hosts.iter().filter(|host| matches!(host.service, ServiceReadings::Mta(_))) {
            exporters.print_host(readings.at, host, &mut page);
        }
        engine.step(Input::Samples(page.take()), &mut Vec::new());
        for view in engine.series(&|labels| labels.name() == "foreshock_mta_unaccounted", 10) {
            assert_eq!(view.unit.as_deref(), Some("messages a minute"));
            let (most, count) = told.entry(view.labels.get("host").unwrap().to_owned()).or_default();
            *most = most.max(view.value.unwrap_or(0.0));
            *count += usize::from(view.at == Some(readings.at));
        }
    }
    told
}

#[test]
fn on_a_healthy_weekday_nothing_is_unaccounted_for() {
    let told = told("mta=textfile+postfix_exporter", 24.0);
    let names: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(names, ["mta1.mail.example", "mta2.mail.example"]);
    for (host, (most, count)) in told {
        // Of some hundred a minute.
        assert!(most < 1.0 && count > 2500, "{host}: {most} a minute, told {count} times");
    }
}

#[test]
fn an_exporter_that_does_not_count_both_ends_gives_no_law() {
    for families in ["mta=textfile", "mta=telegraf", "mta=python", "mta=textfile+telegraf+python"] {
        assert_eq!(told(families, 1.0), BTreeMap::new(), "{families}");
    }
}

/// Whatever goes wrong, a message is in one queue and leaves it once: a law that a fault of the model's own making breaks
/// would tell that fault.
#[test]
fn no_fault_loses_a_message_or_has_it_twice() {
    let held = |mta: &MtaReadings| mta.incoming + mta.active + mta.deferred + mta.hold;
    for about in &FAULTS {
        let mut cluster = Cluster::new(Shape::default(), 3, monday());
        (0..720).for_each(|_| cluster.step());
        let mut random = Pcg64::seed_from_u64(3);
        cluster.inject(Outbreak::draw(about.fault, cluster.now(), &Shape::default(), &mut random));
        // By machine: messages taken in so far, and what of them was neither gone nor held at first.
        let mut first: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for step in 0..6 * 720 {
            cluster.step();
            if step == 3 * 720 {
                cluster.end(about.fault);
            }
            for (name, mta) in mtas(&cluster.readings()) {
                let missing = mta.queued_total - mta.removed_total - held(mta);
                let known = first.entry(name.to_owned()).or_insert((mta.queued_total, missing));
                if mta.queued_total < known.0 {
                    known.1 = missing;
                }
                known.0 = mta.queued_total;
                let lost = missing - known.1;
                // What an instant shows of the active queue is off by a few.
                assert!(lost.abs() < 20.0, "{} at step {step}: {name} {lost}", about.name);
            }
        }
    }
}
