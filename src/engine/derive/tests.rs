//! Derived series in a whole engine: the same for any order of sources, any number of shards and after any stop.

use crate::engine::{Engine, Input, Settings};
use crate::predict::pack::Pack;
use crate::sample::{Batch, Timestamp, ValueKind};

const PACK: &str = r#"
name: shop
signals:
  - { name: came, reads: came, unit: orders a second, role: shop, hurts: up, from: [came_total] }
  - { name: gone, reads: gone, unit: orders a second, role: shop, hurts: up, from: [gone_total] }
  - { name: held, reads: held, unit: orders, role: shop, hurts: up, from: [held] }
  - { name: lost, reads: lost, unit: orders a minute, role: shop, hurts: up, balance: { comes: [came], goes: [gone], stays: [held] } }
  - { name: change, reads: newest change, unit: s since 1970, role: shop, hurts: down, from: [change] }
  - { name: late, reads: behind, unit: s, role: shop, hurts: up, behind: change }
"#;
const HOSTS: [&str; 5] = ["a", "b", "c", "d", "e"];
const ROWS: i64 = 100;
const STEP_MS: i64 = 15_000;

fn engine(shards: usize) -> Engine {
    Engine::new(settings(shards))
}

fn settings(shards: usize) -> Settings {
    let packs = vec![Pack::from_yaml(PACK).unwrap()];
    Settings { site: "test".into(), shards, packs, ..Settings::default() }
}

/// One page: the host at `place` loses so many thirds of an order each row, and lags by as many minutes.
fn page(place: usize, row: i64) -> Input {
    let mut batch = Batch::new(format!("scrape:{}", HOSTS[place]).into());
    let (at, n) = (Timestamp(row * STEP_MS), row as f64);
    let lost = place as f64 / 3.0;
    let series = [
        ("came_total", ValueKind::Counter, 10.1 * n),
        ("gone_total", ValueKind::Counter, (9.9 - lost) * n),
        ("held", ValueKind::Gauge, 0.2 * n),
        ("change", ValueKind::Gauge, 15.0 * n - 60.0 * place as f64),
    ];
    for (name, kind, value) in series {
        for shelf in ["one", "two", "three"] {
            batch.push(&mut [("__name__", name), ("host", HOSTS[place]), ("shelf", shelf)], kind, at, value);
        }
    }
    Input::Samples(batch)
}

/// Name, machine and value of all derived series.
fn derived(engine: &Engine) -> Vec<(String, String, f64)> {
    let views = engine.series(&|labels| labels.name().starts_with("foreshock_"), 100);
    let told = views.iter().map(|view| {
        let label = |name| view.labels.get(name).unwrap().to_owned();
        (label("__name__"), label("host"), view.value.unwrap())
    });
    told.collect()
}

fn run(engine: &mut Engine, rows: std::ops::Range<i64>, order: [usize; 5]) {
    for row in rows {
        for place in order {
            engine.step(page(place, row), &mut Vec::new());
        }
    }
}

#[test]
fn neither_sources_nor_shards_nor_a_stop_change_what_is_derived() {
    let mut one = engine(1);
    run(&mut one, 0..ROWS, [0, 1, 2, 3, 4]);
    let told = derived(&one);
    assert_eq!(told.len(), 2 * HOSTS.len(), "{told:?}");
    for (place, host) in HOSTS.iter().enumerate() {
        let of = |name: &str| told.iter().find(|(n, h, _)| n == name && h == host).unwrap().2;
        let (lost, late) = (of("foreshock_lost"), of("foreshock_late"));
        // Three shelves, four rows a minute; what another got within a minute may be on its way.
        assert!((lost - 4.0 * place as f64).abs() < 1e-6, "{host} {lost}");
        assert_eq!(late, (60.0 * place as f64 - 60.0).max(0.0), "{host}");
    }
    for shards in [2, 7] {
        let mut other = engine(shards);
        run(&mut other, 0..ROWS, [4, 2, 0, 3, 1]);
        assert_eq!(derived(&other), told, "{shards} shards");
    }
    let mut before = engine(3);
    run(&mut before, 0..80, [0, 1, 2, 3, 4]);
    let state = postcard::from_bytes(&postcard::to_stdvec(&before.save()).unwrap()).unwrap();
    let mut after = Engine::load(settings(3), state).unwrap();
    run(&mut after, 80..ROWS, [0, 1, 2, 3, 4]);
    assert_eq!(derived(&after), told, "after a stop");
}
