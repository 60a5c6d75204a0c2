//! The engine as a whole: one synthetic site, told in different ways, must always give the same events.

use super::*;
use crate::incident::event::EventKind;
use crate::sample::{Source, ValueKind};

const STEP_MS: i64 = 15_000;
const HOSTS: usize = 6;
const ROWS: i64 = 700;

fn settings(shards: usize) -> Settings {
    Settings { site: "test".into(), shards, ..Settings::default() }
}

/// Noise that depends on its place alone.
fn noise(host: usize, signal: usize, row: i64) -> f64 {
    let mut x = (host as u64 + 1) * 1_000_003 + signal as u64 * 7_919 + row as u64 * 104_729;
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^= x >> 33;
    (x >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

/// One page of one host: four signals, one of which runs away on host 3 late in the story.
fn page(host: usize, row: i64) -> Batch {
    let source: Source = format!("scrape:host{host}").into();
    let mut batch = Batch::new(source);
    let name = format!("host{host}:9100");
    for signal in 0..4 {
        let metric = format!("signal_{signal}");
        let runaway =
            if host == 3 && signal < 2 && (600..650).contains(&row) { (row - 599) as f64 } else { 0.0 };
        let value = 100.0 + noise(host, signal, row) + runaway;
        let labels = &mut [("__name__", metric.as_str()), ("instance", name.as_str())];
        batch.push(labels, ValueKind::Gauge, Timestamp(row * STEP_MS), value);
    }
    batch
}

fn story() -> Vec<Input> {
    (0..ROWS).flat_map(|row| (0..HOSTS).map(move |host| Input::Samples(page(host, row)))).collect()
}

fn tell(engine: &mut Engine, inputs: impl IntoIterator<Item = Input>) -> Vec<Event> {
    let mut events = Vec::new();
    for input in inputs {
        engine.step(input, &mut events);
    }
    events
}

#[test]
fn a_runaway_is_an_incident_that_resolves() {
    let events = tell(&mut Engine::new(settings(1)), story());
    let incidents: BTreeSet<&str> =
        events.iter().filter_map(|event| event.incident.as_ref()).map(|i| i.entity.as_str()).collect();
    assert_eq!(incidents, BTreeSet::from(["host3"]), "{events:#?}");
    let kinds: Vec<_> = events.iter().map(|event| event.event).collect();
    assert_eq!(kinds.first(), Some(&crate::incident::event::EventKind::Opened));
    assert_eq!(kinds.last(), Some(&crate::incident::event::EventKind::Resolved));
}

#[test]
fn the_number_of_shards_changes_nothing() {
    let one = tell(&mut Engine::new(settings(1)), story());
    assert!(!one.is_empty());
    for shards in [2, 4, 7] {
        assert_eq!(tell(&mut Engine::new(settings(shards)), story()), one, "{shards} shards");
    }
}

/// A site of two machines at a row a minute: one runs away, is not heard of for more than a day, and comes back healthy.
fn absence() -> Vec<Input> {
    let rows = 0..3400;
    let seen = |host: usize, row: i64| host == 3 || !(400..2800).contains(&row);
    let page = move |host: usize, row: i64| {
        let mut batch = Batch::new(format!("scrape:host{host}").into());
        for signal in 0..4 {
            let runaway =
                if host == 2 && (380..400).contains(&row) { 60.0 * (row - 379) as f64 } else { 0.0 };
            let value = 100.0 + 10.0 * noise(host, signal, row) + runaway;
            let name = format!("host{host}");
            let labels = &mut [
                ("__name__", "signal"),
                ("queue", ["a", "b", "c", "d"][signal]),
                ("host", name.as_str()),
            ];
            batch.push(labels, ValueKind::Gauge, Timestamp(row * 60_000), value);
        }
        Input::Samples(batch)
    };
    rows.flat_map(|row| {
        [2, 3].into_iter().filter(move |host| seen(*host, row)).map(move |host| page(host, row))
    })
    .collect()
}

#[test]
fn a_machine_that_comes_back_after_days_ends_its_incident_however_many_shards_there_are() {
    let settings = |shards| Settings { step_seconds: 60, ..settings(shards) };
    let one = tell(&mut Engine::new(settings(1)), absence());
    let told: Vec<_> = one.iter().filter_map(|event| Some((event.event, event.incident.as_ref()?))).collect();
    let (_, last) = told.last().unwrap();
    assert_eq!(
        (told[0].0, last.state),
        (EventKind::Opened, crate::incident::event::State::Resolved),
        "{told:#?}"
    );
    assert!(last.summary.starts_with("Resolved after 40 h"), "{}", last.summary);
    for shards in [2, 3] {
        assert_eq!(tell(&mut Engine::new(settings(shards)), absence()), one, "{shards} shards");
    }
}

#[test]
fn saved_and_loaded_half_way_is_never_stopped() {
    let whole = tell(&mut Engine::new(settings(2)), story());
    for cut in [100, HOSTS * 610 + 3] {
        let mut before = Engine::new(settings(2));
        let mut events = tell(&mut before, story().into_iter().take(cut));
        let bytes = postcard::to_stdvec(&before.save()).unwrap();
        let state = postcard::from_bytes(&bytes).unwrap();
        let mut after = Engine::load(settings(2), state).unwrap();
        events.extend(tell(&mut after, story().into_iter().skip(cut)));
        assert_eq!(events, whole, "cut at {cut}");
    }
}

#[test]
fn sources_may_interleave_in_any_order() {
    let one = tell(&mut Engine::new(settings(2)), story());
    let turned: Vec<Input> =
        (0..ROWS).flat_map(|row| (0..HOSTS).rev().map(move |host| Input::Samples(page(host, row)))).collect();
    assert_eq!(tell(&mut Engine::new(settings(2)), turned), one);
}

#[test]
fn a_snapshot_of_another_step_is_refused() {
    let state = Engine::new(settings(1)).save();
    let other = Settings { step_seconds: 60, ..settings(1) };
    assert_eq!(Engine::load(other, state).unwrap_err(), LoadError::Step { saved: 15, configured: 60 });
}

/// The engine as a crash leaves it: the snapshot is from before the incident, of which the world knows.
fn after_a_crash() -> (Engine, Incident) {
    let mut engine = Engine::new(settings(2));
    let mut state = None;
    for row in 0..ROWS {
        if row == 598 {
            state = Some(engine.save());
        }
        let told = tell(&mut engine, (0..HOSTS).map(|host| Input::Samples(page(host, row))));
        if let Some(opened) = told.first() {
            let mut engine = Engine::load(settings(2), state.unwrap()).unwrap();
            let incident = opened.incident.clone().unwrap();
            assert!(engine.take_back(&incident, (opened.at, opened.seq)));
            return (engine, incident);
        }
    }
    panic!("no incident");
}

#[test]
fn an_incident_that_a_crash_took_goes_on_under_its_name_and_ends_once() {
    let (mut engine, incident) = after_a_crash();
    let rows = (625..ROWS).flat_map(|row| (0..HOSTS).map(move |host| Input::Samples(page(host, row))));
    let events = tell(&mut engine, rows);
    let told: BTreeSet<(&str, bool)> = events
        .iter()
        .map(|event| (event.incident.as_ref().unwrap().id.as_str(), event.event == EventKind::Opened))
        .collect();
    assert_eq!(told, BTreeSet::from([(incident.id.as_str(), false)]), "{events:#?}");
    let ends: Vec<Timestamp> =
        events.iter().filter(|event| event.event == EventKind::Resolved).map(|event| event.at).collect();
    assert!(matches!(ends[..], [at] if at > Timestamp(650 * STEP_MS)), "{ends:?}");
}

#[test]
fn an_incident_taken_back_is_not_cleared_by_silence() {
    let (mut engine, incident) = after_a_crash();
    let clock = (620..690).map(|row| Input::Clock(Timestamp(row * STEP_MS)));
    let events = tell(&mut engine, clock);
    assert!(events.iter().all(|event| event.event != EventKind::Resolved), "{events:#?}");
    assert_eq!(engine.incidents().iter().filter(|open| open.id == incident.id).count(), 1);
    assert!(!engine.take_back(&incident, (incident.opened_at, 0)), "what is open is open once");
}

/// One host's page: three counters that restart at row 600, or one of them, and two gauges that stray from then on.
fn restarting(row: i64, restart: usize) -> Input {
    let mut batch = Batch::new("scrape:host0".into());
    let at = Timestamp(row * STEP_MS);
    for counter in 0..3 {
        let began = if row >= 600 && counter < restart { 600 } else { -10_000 };
        let labels =
            &mut [("__name__", ["a_total", "b_total", "c_total"][counter]), ("instance", "host0:9100")];
        batch.push(labels, ValueKind::Counter, at, (row - began) as f64 * 30.0);
    }
    for gauge in 0..2 {
        let strays = if row >= 600 { 20.0 } else { 0.0 };
        let labels = &mut [("__name__", ["x", "y"][gauge]), ("instance", "host0:9100")];
        batch.push(labels, ValueKind::Gauge, at, 100.0 + noise(0, gauge, row) + strays);
    }
    Input::Samples(batch)
}

#[test]
fn counters_that_are_reset_at_once_are_a_restart_and_one_alone_is_none() {
    for (counters, is_restart) in [(0, false), (1, false), (2, true), (3, true)] {
        let mut engine = Engine::new(settings(2));
        let events = tell(&mut engine, (0..640).map(|row| restarting(row, counters)));
        let summary = &events[0].incident.as_ref().unwrap().summary;
        assert_eq!(summary.contains("host0 restarted at"), is_restart, "{counters}: {summary}");
    }
}
