//! Crashes: `kill -9` at any point loses no action, sends none twice under two ids, and leaves no trace in the state.
//!
//! Two services read one topic, each with a group and a store of its own. One runs through; the other is killed
//! again and again (`FORESHOCK_KILLS`, 100) while it starts, catches up, decides and delivers
//! (`FORESHOCK_SEED` repeats a run). In the end they must agree on every value, incident and action.

#[path = "crash/fleet.rs"]
mod fleet;
#[path = "crash/healer.rs"]
mod healer;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use fleet::{Fleet, PARTITIONS, TOPIC};
use foreshock::durable::record::RecordState;
use foreshock::durable::store::Store;
use healer::Healer;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, ThreadedProducer};
use serde_json::Value;
use support::kafka::Broker;
use support::receiver::Receiver;
use support::remote_write::{self, Series};
use support::{Foreshock, now_ms, wait_until};

const SOON: Duration = Duration::from_secs(60);
/// Samples of the fleet's past, from which detectors learn.
const PAST_SECONDS: i64 = 420;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn config(dir: &Path, broker: &str, group: &str, runner: &str, rest: &str) -> String {
    fleet::write_pack(&dir.join("fleet.yaml"));
    format!(
        "site: test\nstep_seconds: 1\npacks: [./fleet.yaml]\n\
         acting: {{mode: auto, cooldown: 1s, actions_per_hour_max: 1000}}\n\
         remedies: [{{remedy: '*', sink: runner}}]\n\
         sinks: [{{name: runner, webhook: {{url: '{runner}', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}}}]\n\
         kafka:\n  - {{brokers: ['{broker}'], topics: [{TOPIC}], format: telegraf_json, group: {group}, {rest}}}\n"
    )
}

/// A service and the receiver of its remedies.
struct Side {
    foreshock: Foreshock,
    healer: Healer,
}

impl Side {
    fn start(dir: &Path, broker: &str, moody: bool) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let healer = Healer::start(moody);
        let group = dir.file_name().unwrap().to_str().unwrap();
        let config =
            config(dir, broker, group, healer.url(), "lateness: 12s") + "limits: {snapshot_interval: 1s}\n";
        Side { foreshock: Foreshock::serve(dir, &config), healer }
    }

    fn text(&self, path: &str) -> String {
        self.foreshock.get(path).text()
    }

    fn incidents(&self) -> Vec<Value> {
        let found = self.foreshock.json("/api/v1/incidents?limit=10000");
        found["incidents"].as_array().unwrap().clone()
    }

    /// Every event that the engine decides, with the actions planned; how deliveries went is left out.
    fn told(&self) -> BTreeMap<String, Vec<Value>> {
        let events = |id: &str| {
            let one = self.foreshock.json(&format!("/api/v1/incidents/{id}"));
            let decided = |event: &&Value| {
                let kind = event["event"].as_str().unwrap();
                kind.starts_with("incident.") || kind == "action.planned"
            };
            let mut events: Vec<Value> =
                one["events"].as_array().unwrap().iter().filter(decided).cloned().collect();
            // Numbered as published, between how deliveries went.
            events.iter_mut().for_each(|event| event["seq"] = Value::Null);
            events
        };
        let ids = self.incidents().into_iter().map(|incident| incident["id"].as_str().unwrap().to_owned());
        ids.map(|id| (id.clone(), events(&id))).collect()
    }
}

/// Ids of the actions that the store of a dead process holds.
fn recorded(data: &Path) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    // A copy, so that the next start still finds what the crash left.
    std::fs::copy(data.join("store.redb"), dir.path().join("store.redb")).unwrap();
    let loaded = Store::open(dir.path()).unwrap().load().unwrap();
    loaded.charges.into_iter().map(|charge| charge.action).collect()
}

/// Kills `tried` at a point that `random` picks, and returns the actions on its disk then.
fn crash(tried: &mut Side, random: &mut Pcg64) -> BTreeSet<String> {
    let kind = random.random_range(0..10);
    let mut sleep = |range| std::thread::sleep(Duration::from_millis(random.random_range(range)));
    match kind {
        // Anywhere, most of all while it starts.
        0..=5 => sleep(50..1500),
        // Between sample and outbox: live, while samples come.
        6..=8 => {
            tried.foreshock.wait_ready();
            sleep(0..1200);
        }
        // Between outbox and delivery: an answer is on its way.
        _ => {
            tried.healer.hold(true);
            let until = Instant::now() + Duration::from_secs(8);
            while !tried.healer.is_busy() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            sleep(0..300);
        }
    }
    tried.foreshock.assert_running();
    tried.foreshock.process.kill();
    tried.healer.hold(false);
    let recorded = recorded(&tried.foreshock.data());
    tried.foreshock.spawn_again();
    recorded
}

#[test]
fn killed_at_any_point_it_is_as_if_it_had_run_through() {
    let kills = from_environment("FORESHOCK_KILLS").unwrap_or(100);
    let seed = from_environment("FORESHOCK_SEED").unwrap_or(now_ms() as u64);
    println!("FORESHOCK_KILLS={kills} FORESHOCK_SEED={seed}");
    let mut random = Pcg64::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path());
    broker.create_topic(TOPIC, PARTITIONS);
    let now = now_ms() / 1000;
    fleet::produce(&broker.producer(), now - PAST_SECONDS..now, &(0..0));
    let fleet = Fleet::start(broker.producer(), now);

    let mut through = Side::start(&dir.path().join("through"), &broker.address, false);
    let mut tried = Side::start(&dir.path().join("tried"), &broker.address, true);
    through.foreshock.wait_ready();
    tried.foreshock.wait_ready();
    let snapshot = tried.foreshock.data().join("engine.snapshot");
    wait_until("a first snapshot", SOON, || snapshot.exists());
    wait_until("a first incident", SOON, || !tried.incidents().is_empty());

    let began = Instant::now();
    let mut lived = BTreeSet::new();
    for _ in 0..kills {
        lived.extend(crash(&mut tried, &mut random));
    }
    println!("{kills} kills in {:?}", began.elapsed());
    let started = Instant::now();
    tried.foreshock.wait_ready();
    println!("ready after {:?}", started.elapsed());

    // Every value, expectation and surprise, while samples go on.
    let mut equal = BTreeSet::new();
    wait_until("the states are equal at three ticks", SOON, || {
        let [one, other] = [&through, &tried].map(|side| side.text("/api/v1/series?limit=10000"));
        if one == other {
            equal.insert(one);
        }
        equal.len() >= 3
    });
    assert!(equal.iter().all(|text| text.contains(r#""state":"live""#) && text.contains("mail15_wait")));

    // Every incident, and what was told of it.
    fleet.calm_down();
    let all_over = |side: &Side| side.incidents().iter().all(|incident| !incident["resolved_at"].is_null());
    wait_until("all incidents are over", Duration::from_secs(90), || all_over(&through) && all_over(&tried));
    assert_eq!(through.incidents(), tried.incidents());
    let told = through.told();
    assert_eq!(told, tried.told());
    assert_eq!(
        tried.foreshock.metric(r#"foreshock_dropped_total{part="engine",reason="late"}"#).unwrap_or(0.0),
        0.0
    );
    let planned: BTreeSet<String> = told
        .values()
        .flatten()
        .filter(|event| event["event"] == "action.planned")
        .map(|event| event["action"]["id"].as_str().unwrap().to_owned())
        .collect();
    println!("{} incidents, {} actions", told.len(), planned.len());
    assert!(planned.len() as u64 >= kills / 10, "too few actions for so many kills");
    assert!(lived.is_subset(&planned), "an action was on disk and is gone");

    // Every action arrived, or its record says why not.
    assert_eq!(through.foreshock.process.terminate(), Some(0));
    assert_eq!(tried.foreshock.process.terminate(), Some(0));
    let arrived = through.healer.answers();
    assert_eq!(arrived.keys().cloned().collect::<BTreeSet<_>>(), planned);
    assert_delivered(&tried, &planned);
    for side in [&through, &tried] {
        for ((incident, remedy), ids) in side.healer.ids() {
            assert_eq!(ids.len(), 1, "{remedy} of {incident} came under {ids:?}");
        }
    }
    let repeated =
        tried.healer.answers().values().filter(|a| a.iter().filter(|s| **s == 204).count() > 1).count();
    println!("{repeated} actions arrived more than once, under one id each");
    assert!(kills < 50 || repeated > 0, "no kill fell between outbox and delivery");
}

fn assert_delivered(tried: &Side, planned: &BTreeSet<String>) {
    let store = Store::open(&tried.foreshock.data()).unwrap();
    let answers = tried.healer.answers();
    let mut taken = 0;
    for id in planned {
        let record = store.record(id).unwrap().unwrap_or_else(|| panic!("{id} is not in the outbox"));
        let answered = answers.get(id).cloned().unwrap_or_default();
        let is_taken = answered.contains(&204);
        taken += usize::from(is_taken);
        match &record.state {
            RecordState::Delivered { .. } => assert!(is_taken, "{id} did not arrive: {answered:?}"),
            // A receiver that was broken, or a process that was down, for longer than the incident lasted.
            RecordState::Failed { reason, .. } => {
                assert!(reason.contains("the incident ended before the receiver took it"), "{id}: {reason}");
            }
            // After a 500 that followed a crash the schedule waits for minutes; so it does where the kill came between
            // the answer to the next attempt and the record of it.
            other => assert!(answered.first() == Some(&500), "{id} is {other:?} after {answered:?}"),
        }
    }
    println!("{taken} of {} actions were taken", planned.len());
    assert!(taken * 10 >= planned.len() * 8, "only {taken} of {} actions arrived", planned.len());
}

#[test]
fn what_the_clock_had_found_is_found_again_before_it_is_called_lost() {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    let now = now_ms() / 1000;
    fleet::produce(&producer, now - PAST_SECONDS..now, &(0..0));
    let (dir, healer) = (tempfile::tempdir().unwrap(), Healer::start(false));
    // The mock gives a partition of a static member back only after its session has timed out; Kafka at once.
    let rest = "lateness: 8s, properties: {session.timeout.ms: '6000', heartbeat.interval.ms: '1000'}";
    let config = config(dir.path(), &cluster.bootstrap_servers(), "test", healer.url(), rest)
        + "limits: {snapshot_interval: 1h}\n";
    let mut foreshock = Foreshock::serve(dir.path(), &config);
    foreshock.wait_ready();

    // A disturbance at the very end: only the clock brings its ticks on, after all sources have gone silent.
    let now = now_ms() / 1000;
    fleet::produce(&producer, now..now + 8, &(now + 4..now + 8));
    let incidents = |foreshock: &Foreshock| foreshock.json("/api/v1/incidents")["incidents"].clone();
    wait_until("incidents", SOON, || !incidents(&foreshock).as_array().unwrap().is_empty());
    // Movers may still join them while the clock brings the last ticks, which lateness holds back for eight seconds.
    let mut before = incidents(&foreshock);
    wait_until("nothing more is told", SOON, || {
        std::thread::sleep(Duration::from_secs(6));
        std::mem::replace(&mut before, incidents(&foreshock)) == before
    });
    let open = before.as_array().unwrap().len() as f64;

    foreshock.restart();
    foreshock.wait_ready();
    wait_until("they are found again", SOON, || foreshock.metric("foreshock_open_incidents") == Some(open));
    // As told last, once the clock is as far as it was.
    wait_until("they are as they were", SOON, || incidents(&foreshock) == before);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(incidents(&foreshock), before);
    assert!(before.as_array().unwrap().iter().all(|incident| incident["state"] == "open"), "{before}");
}

#[test]
fn the_gap_that_a_crash_leaves_in_scrapes_is_no_data_and_pages_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let page =
        Receiver::start(|_| (200, format!("# TYPE queue gauge\nqueue {}\n", 100 + now_ms() / 1000 % 7)));
    let target = page.url.strip_prefix("http://").unwrap();
    let list = dir.path().join("targets.json");
    let scrape = |on: bool| {
        let targets = if on { format!(r#"[{{"targets": ["{target}"]}}]"#) } else { "[]".into() };
        std::fs::write(&list, targets).unwrap();
    };
    scrape(false);
    let config = "site: test\nstep_seconds: 1\nremote_write: {lateness: 1s}\nlimits: {snapshot_interval: 1s}\n\
                  scrape: [{job: page, file_sd: [targets.json], interval: 1s, timeout: 900ms}]\n";
    let mut foreshock = Foreshock::serve(dir.path(), config);
    foreshock.wait_ready();
    // Its past comes by remote write, so that it is well known when the page takes over.
    let now = now_ms() / 1000;
    let past = (now - PAST_SECONDS..now).map(|second| (second * 1000, (100 + second % 7) as f64));
    let series = Series::new(&[("__name__", "queue"), ("instance", target), ("job", "page")], past);
    assert_eq!(remote_write::send(&format!("{}/api/v1/write", foreshock.url), &[series]).status, 204);
    scrape(true);
    let state = |foreshock: &Foreshock, metric: &str| {
        foreshock.json(&format!("/api/v1/series?match[]={metric}"))["series"][0]["state"].clone()
    };
    wait_until("the page is scraped", SOON, || state(&foreshock, "up") == "live");
    wait_until("its series is live", SOON, || state(&foreshock, "queue") == "live");
    std::thread::sleep(Duration::from_secs(3));

    foreshock.process.kill();
    scrape(false);
    std::thread::sleep(Duration::from_secs(4));
    foreshock.restart();
    foreshock.wait_ready();
    for metric in ["queue", "up"] {
        wait_until("no data", SOON, || state(&foreshock, metric) == "no_data");
    }
    scrape(true);
    for metric in ["queue", "up"] {
        wait_until("live again", SOON, || state(&foreshock, metric) == "live");
    }
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(foreshock.json("/api/v1/incidents")["incidents"].as_array().unwrap().len(), 0);
}
