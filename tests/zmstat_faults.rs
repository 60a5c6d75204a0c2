//! What Zimbra itself leaves behind on a host names the same fault as the exporters do.
//!
//! One simulated cluster is read twice: its exporters' pages, and the statistics folders that its stores and MTAs write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use foreshock::collect::zmstat::Directory;
use foreshock::config::Zmstat;
use foreshock::engine::{Engine, Input, Settings};
use foreshock::incident::event::{Event, EventKind, Severity};
use foreshock::predict::pack;
use foreshock::sample::Timestamp;
use foreshock::sim::cluster::readings::ServiceReadings;
use foreshock::sim::cluster::{Cluster, Fault, Outbreak, STEP_SECONDS, Shape};
use foreshock::sim::exporter::zmstat::{Version, Zmstat as Folder};
use foreshock::sim::exporter::{BatchPage, Exporters, Families};
use foreshock::sim::world::HOST_LABEL;
use foreshock::telemetry::Metrics;
use jiff::tz::TimeZone;
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

const SEED: u64 = 5;
const STEP: u32 = 60;
const MINUTE_MS: i64 = 60_000;
/// How long the cluster is known before its fault.
const KNOWN_MS: i64 = 2 * 86_400_000;

fn begins() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-03T10:00:00Z").unwrap()
}

fn settings() -> Settings {
    Settings {
        site: "statistics".into(),
        packs: pack::builtins(),
        step_seconds: STEP,
        entity_labels: vec![HOST_LABEL.into()],
        ..Settings::default()
    }
}

/// A store and an MTA with the fault to come, and until when it is there.
fn cluster(fault: Fault) -> (Cluster, Timestamp) {
    let shape = Shape { stores: 1, mtas: 1, proxies: 1, ..Shape::default() };
    let mut cluster = Cluster::new(shape, SEED, begins().plus_ms(-KNOWN_MS));
    let from = begins().plus_ms(5 * MINUTE_MS);
    let outbreak = Outbreak::draw(fault, from, cluster.shape(), &mut Pcg64::seed_from_u64(SEED));
    let impact = cluster.impact_alone(&outbreak, 6.0 * 3_600.0);
    cluster.inject(outbreak);
    (cluster, impact.unwrap_or(from).plus_ms(15 * MINUTE_MS))
}

/// The faults that people were told of since it began.
fn named(events: &[Event]) -> Vec<String> {
    let told = events.iter().filter(|event| {
        matches!(event.event, EventKind::Opened | EventKind::Updated) && event.at >= begins()
    });
    let incidents = told.filter_map(|event| event.incident.as_ref());
    let mut named: Vec<String> =
        incidents.filter(|i| i.severity > Severity::Info).filter_map(|i| i.fault.clone()).collect();
    named.sort();
    named.dedup();
    named
}

/// The faults named by the exporters' pages; writes the statistics beside.
fn by_exporters(mut cluster: Cluster, end: Timestamp, folders: &Path) -> Vec<String> {
    let mut written: Vec<(usize, Folder)> = statistics(&cluster)
        .map(|(place, host)| (place, Folder::new(&folders.join(host), TimeZone::UTC, Version::default())))
        .collect();
    let mut exporters = Exporters::new(Families::default());
    let mut page = BatchPage::new("exporters".into(), HOST_LABEL);
    let mut engine = Engine::new(settings());
    let mut events = Vec::new();
    while cluster.now() < end {
        for _ in 0..(f64::from(STEP) / STEP_SECONDS) as usize {
            cluster.step();
            let readings = cluster.readings();
            for (place, folder) in &mut written {
                folder.write(readings.at, &readings.hosts[*place]).unwrap();
            }
        }
        exporters.print(&cluster.readings(), &mut page);
        engine.step(Input::Samples(page.take()), &mut events);
    }
    named(&events)
}

/// The hosts that leave statistics behind.
fn statistics(cluster: &Cluster) -> impl Iterator<Item = (usize, String)> {
    let hosts = cluster.readings().hosts.into_iter().enumerate();
    let hosts = hosts
        .filter(|(_, host)| matches!(host.service, ServiceReadings::Mailbox(_) | ServiceReadings::Mta(_)));
    hosts.map(|(place, host)| (place, host.name))
}

/// The faults named by the statistics in the folders.
fn by_statistics(hosts: impl Iterator<Item = String>, end: Timestamp, folders: &Path) -> Vec<String> {
    let open = |host: String| {
        let config = Zmstat {
            directory: folders.join(&host),
            host,
            timezone: TimeZone::UTC,
            backfill: Duration::ZERO,
            lateness: Duration::from_secs(10),
            line_bytes_max: 1 << 16,
            file_bytes_max: 1 << 28,
        };
        Directory::new(config, Timestamp(0), Arc::new(Metrics::new()))
    };
    let mut sources: Vec<_> = hosts
        .map(|host| {
            let mut directory = open(host);
            (directory.next(end), directory)
        })
        .collect();
    let mut engine = Engine::new(settings());
    let mut events = Vec::new();
    // Side by side, as a host's rows come beside another's.
    while let Some((batch, directory)) = sources
        .iter_mut()
        .filter(|(batch, _)| batch.is_some())
        .min_by_key(|(batch, _)| batch.as_ref().and_then(|batch| batch.latest()))
    {
        let Some(samples) = std::mem::replace(batch, directory.next(end)) else { break };
        engine.step(Input::Samples(samples), &mut events);
    }
    engine.step(Input::End, &mut events);
    named(&events)
}

#[test]
fn statistics_name_the_fault_that_exporters_name() {
    for fault in [Fault::SlowLmtp, Fault::RemoteOutage, Fault::ImapStorm, Fault::HeapBurst] {
        let folders = tempfile::tempdir().unwrap();
        let (cluster, end) = cluster(fault);
        let hosts: Vec<String> = statistics(&cluster).map(|(_, host)| host).collect();
        let exporters = by_exporters(cluster, end, folders.path());
        let read = by_statistics(hosts.into_iter(), end, folders.path());
        let is_named = |named: &[String]| named.iter().any(|name| name == fault.name());
        assert!(is_named(&exporters), "{}: exporters show {exporters:?}", fault.name());
        assert!(is_named(&read), "{}: statistics show {read:?}", fault.name());
    }
}
