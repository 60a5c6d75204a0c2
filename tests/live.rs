//! What is scraped of a living cluster comes to the same as what was recorded of it: the same fault, the same remedy.
//!
//! The cluster is scraped over HTTP by the real service, under a clock that runs faster. A recording of the same seed with
//! the same fault goes straight through the engine: its targets are read at the moments at which the service came by, for a
//! second earlier or later is another sample, and near a threshold another answer.

use std::collections::BTreeMap;
use std::time::Duration;

use foreshock::clock::Clock;
use foreshock::config::Config;
use foreshock::engine::{Engine, Input};
use foreshock::incident::event::{Event, EventKind, Mode, Severity};
use foreshock::runtime::serve;
use foreshock::runtime::settings::settings_of;
use foreshock::sample::{Batch, STALE_NAN_BITS, Timestamp, ValueKind};
use foreshock::sim::cluster::{Cluster, FAULTS, Fault, Outbreak, STEP_SECONDS, Shape};
use foreshock::sim::exporter::{BatchPage, Exporters, Families, Kind, Page, Target};
use foreshock::sim::pages::{Place, Scrape};
use foreshock::sim::server::Shared;
use foreshock::sim::site::{Site, random_secret};
use foreshock::sim::world::{HOST_LABEL, World};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

const SEED: u64 = 5;
const INTERVAL_SECONDS: u32 = 60;
const SPEED: f64 = 120.0;
const DAY_MS: i64 = 86_400_000;
/// Enough to know every day of the week.
const KNOWN_DAYS_LONG: i64 = 9;
const MINUTE_MS: i64 = 60_000;
/// Both go on for a little after the fault, so that what was told of its last minute has arrived.
const AFTER_MINUTES: i64 = 3;
/// More than there are in any of these runs.
const SCRAPES_MAX: usize = 1_000_000;

fn begins() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-03T10:00:00Z").unwrap()
}

/// The time in which a fault is there.
struct Span {
    from: Timestamp,
    until: Timestamp,
}

/// A small cluster that is `known_days` old when it begins, with its fault to come, which ends a little after users feel it.
fn cluster(fault: Fault, known_days: i64) -> (Cluster, Span) {
    let shape = Shape { stores: 1, mtas: 1, proxies: 1, ..Shape::default() };
    let mut cluster = Cluster::new(shape, SEED, begins().plus_ms(-known_days * DAY_MS));
    let from = begins().plus_ms(5 * MINUTE_MS);
    let mut outbreak = Outbreak::draw(fault, from, cluster.shape(), &mut Pcg64::seed_from_u64(SEED));
    let impact = cluster.impact_alone(&outbreak, 3.0 * 3_600.0);
    let until = impact.map_or(from.plus_ms(60 * MINUTE_MS), |impact| impact.plus_ms(5 * MINUTE_MS));
    outbreak.ended_at = Some(until);
    cluster.inject(outbreak);
    (cluster, Span { from, until })
}

/// What is thought of a fault, and what would be done.
#[derive(Debug, PartialEq)]
struct Answer {
    fault: Option<String>,
    remedy: Option<String>,
}

/// What people were told while the fault was there, for who wants to know why two answers differ.
fn told(events: &[Event], span: &Span) -> Vec<String> {
    let told = events.iter().filter(|event| (span.from..span.until).contains(&event.at));
    told.filter_map(|event| event.incident.as_ref())
        .map(|i| format!("{:?} {}", i.severity, i.summary))
        .collect()
}

/// The gravest of what people were told while the fault was there; of equals, what was told last.
fn answer(events: &[Event], span: &Span) -> Answer {
    let told = events.iter().filter(|event| {
        matches!(event.event, EventKind::Opened | EventKind::Updated)
            && (span.from..span.until).contains(&event.at)
    });
    let incidents = told.filter_map(|event| event.incident.as_ref().filter(|i| i.severity > Severity::Info));
    match incidents.max_by_key(|incident| (incident.fault.is_some(), incident.severity)) {
        Some(incident) => Answer { fault: incident.fault.clone(), remedy: incident.remedy.clone() },
        None => Answer { fault: None, remedy: None },
    }
}

fn config(folder: &std::path::Path, site: &Site, addresses: &foreshock::sim::server::Addresses) -> Config {
    Config::load(&site.write(folder, addresses).unwrap()).unwrap()
}

const STEP_MS: i64 = (STEP_SECONDS * 1000.0) as i64;
const INTERVAL_MS: i64 = INTERVAL_SECONDS as i64 * 1000;

/// What was scraped of each step: targets, and the times that their samples bear.
type Scraped = BTreeMap<Timestamp, BTreeMap<Place, Timestamp>>;

/// The service gives a scrape that is late by a hair the time at which it was due, and so does this: the earliest of a
/// target's scrapes within the minute is taken for that.
fn stamped(scrapes: &[Scrape]) -> Scraped {
    let mut due: BTreeMap<&Place, Timestamp> = BTreeMap::new();
    let late_ms = |due: Timestamp, at: Timestamp| {
        (at.since(due) + INTERVAL_MS / 2).rem_euclid(INTERVAL_MS) - INTERVAL_MS / 2
    };
    for scrape in scrapes {
        let due = due.entry(&scrape.place).or_insert(scrape.at);
        *due = due.plus_ms(late_ms(*due, scrape.at).min(0));
    }
    let mut scraped = Scraped::new();
    for Scrape { place, at, step } in scrapes {
        let late_ms = late_ms(due[place], *at);
        let stamp = if late_ms <= INTERVAL_MS / 100 { at.plus_ms(-late_ms) } else { *at };
        scraped.entry(*step).or_default().insert(place.clone(), stamp);
    }
    scraped
}

/// Of the pages of a step, those that were scraped.
struct OfThose<'p> {
    page: &'p mut BatchPage,
    scraped: Option<&'p BTreeMap<Place, Timestamp>>,
    is_one: bool,
}

impl Page for OfThose<'_> {
    fn target(&mut self, _: Timestamp, host: &str, target: Target) {
        let place = (host.to_owned(), target.job, target.port);
        let stamp = self.scraped.and_then(|scraped| scraped.get(&place));
        self.is_one = stamp.is_some();
        if let Some(stamp) = stamp {
            self.page.target(*stamp, host, target);
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], kind: Kind, value: f64) {
        if self.is_one {
            self.page.sample(name, labels, kind, value);
        }
    }
}

/// As the service parts from a history: what is scraped next is no difference to its last row.
fn parted(batch: &Batch) -> Batch {
    let mut end = Batch::new("recording".into());
    for (key, _, _) in batch.iter() {
        end.keyed_series(key, ValueKind::Unknown);
        end.sample(begins().plus_ms(1), f64::from_bits(STALE_NAN_BITS));
    }
    end
}

/// The events of the recording, up to `end`: rows of whole minutes until the service began, then what it scraped.
fn recorded(mut cluster: Cluster, config: &Config, scraped: &Scraped, end: Timestamp) -> Vec<Event> {
    let mut page = BatchPage::new("recording".into(), HOST_LABEL);
    let mut engine = Engine::new(settings_of(config));
    let mut events = Vec::new();
    let mut history = Exporters::new(Families::default());
    // What an exporter tells of the time since its last page is of a minute.
    let turns = usize::try_from(INTERVAL_MS / STEP_MS).unwrap();
    let mut exporters = vec![history.clone(); turns];
    for turn in (0..turns).cycle() {
        if cluster.now() >= end {
            break;
        }
        cluster.step();
        let at = cluster.now();
        let is_scraped = at > begins().plus_ms(-INTERVAL_MS);
        let is_kept = at <= begins() && at.0 % INTERVAL_MS == 0;
        if is_scraped {
            let mut page = OfThose { page: &mut page, scraped: scraped.get(&at), is_one: false };
            exporters[turn].print(&cluster.readings(), &mut page);
        }
        if at <= begins() {
            // The service was not there yet.
            page.take();
        }
        if is_kept {
            history.print(&cluster.readings(), &mut page);
        }
        if is_scraped || is_kept {
            let batch = page.take();
            let end = (at == begins()).then(|| parted(&batch));
            engine.step(Input::Samples(batch), &mut events);
            if let Some(end) = end {
                engine.step(Input::Samples(end), &mut events);
            }
        }
    }
    events
}

/// The events of the service that scrapes the cluster, up to `end`; its configuration, and what it scraped.
async fn live(cluster: Cluster, known_days: i64, end: Timestamp) -> (Vec<Event>, Config, Scraped) {
    let folder = tempfile::tempdir().unwrap();
    let days = known_days as f64;
    let mut world = World::new(cluster, Families::default(), INTERVAL_SECONDS, days + 0.1, SEED);
    world.catch_up(begins());
    world.keep_scrapes(SCRAPES_MAX);
    let clock = Clock::held(begins(), SPEED);
    let secret = random_secret().unwrap();
    let world = Shared::new(world, clock, &secret);
    let (addresses, _servers) = world.start(0).await.unwrap();
    let site = Site {
        name: "live",
        listen: "127.0.0.1:0",
        step_seconds: INTERVAL_SECONDS,
        history_days: days,
        tails: false,
        webhook_secret: &secret,
        mode: Mode::Observe,
    };
    let config = config(folder.path(), &site, &addresses);
    let stop = CancellationToken::new();
    let (started, has_started) = oneshot::channel();
    let service = tokio::spawn(serve::run(config.clone(), clock, stop.clone(), started));
    let mut started = has_started.await.unwrap();
    let ready = format!("http://{}/-/ready", started.address);
    while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    clock.release();
    let mut events = Vec::new();
    while clock.now() < end {
        if let Ok(Ok(event)) = tokio::time::timeout(Duration::from_millis(100), started.events.recv()).await {
            events.push(event);
        }
    }
    stop.cancel();
    service.await.unwrap().unwrap();
    let scraped = stamped(world.lock().scrapes());
    (events, config, scraped)
}

/// Lets a fault come and go on a cluster known for so many days; says what came of it, live and recorded.
fn answers(fault: Fault, known_days: i64) -> (Answer, Answer) {
    let (cluster, span) = cluster(fault, known_days);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let end = span.until.plus_ms(AFTER_MINUTES * MINUTE_MS);
    let (live, config, scraped) = runtime.block_on(live(cluster.clone(), known_days, end));
    let recorded = recorded(cluster, &config, &scraped, end);
    let answers = (answer(&live, &span), answer(&recorded, &span));
    if answers.0 != answers.1 {
        println!("{} live: {:#?}\nrecorded: {:#?}", fault.name(), told(&live, &span), told(&recorded, &span));
    }
    answers
}

#[test]
fn what_is_scraped_comes_to_what_was_recorded() {
    for fault in [Fault::ClamdStuck, Fault::SlowLmtp] {
        let (live, recorded) = answers(fault, 2);
        assert_eq!(live, recorded, "{}", fault.name());
        assert_eq!(live.fault.as_deref(), Some(fault.name()));
        assert!(live.remedy.is_some(), "{}", fault.name());
    }
}

#[test]
#[ignore = "takes a quarter of an hour: cargo test --release --test live -- --ignored --nocapture"]
fn what_is_scraped_comes_to_what_was_recorded_whatever_breaks() {
    // Some of them, by name and with commas between; all where it is not set.
    let some = std::env::var("FORESHOCK_FAULTS").ok();
    let is_asked = |name: &str| some.as_ref().is_none_or(|some| some.split(',').any(|asked| asked == name));
    let mut apart = Vec::new();
    for about in FAULTS.iter().filter(|about| is_asked(about.name)) {
        let (live, recorded) = answers(about.fault, KNOWN_DAYS_LONG);
        println!("{}: {live:?}, recorded {recorded:?}", about.name);
        if live != recorded {
            apart.push(about.name);
        }
    }
    assert!(apart.is_empty(), "{apart:?}");
}
