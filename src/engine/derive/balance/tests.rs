//! What is told to be unaccounted for of orders that come, go and wait, as exporters show them.

mod missing;
mod share;

use super::super::Derived;
use super::*;
use crate::predict::pack::Pack;
use crate::sample::ValueKind;
use crate::series::registry::{Registry, RegistryLimits};

const PACK: &str = r#"
name: shop
signals:
  - { name: came, reads: came, unit: orders a second, role: shop, hurts: up, from: [came_total, { select: came_a_minute, unit: orders a minute, times: 0.0166666666666666667 }] }
  - { name: gone, reads: gone, unit: orders a second, role: shop, hurts: up, from: [gone_total] }
  - { name: held, reads: held, unit: orders, role: shop, hurts: up, from: [held, { select: held_too, kind: gauge }] }
  - { name: lost, reads: lost, unit: orders a minute, role: shop, hurts: up, balance: { comes: [came], goes: [gone], stays: [held] } }
"#;
const STEP_SECONDS: i64 = 15;
const WINDOW_STEPS: i64 = WINDOW_MS / 1000 / STEP_SECONDS;
const HOUR: i64 = 3600 / STEP_SECONDS;

/// A series on a machine, and how exporters call it.
type Told<'n> = (&'n str, &'n str, ValueKind, f64);

/// The law, fed by hand.
struct Shop {
    table: SignalTable,
    registry: Registry,
    derived: Derived,
    /// What was told of machine `a`: the step, and orders a minute.
    told: Vec<(i64, f64)>,
}

impl Shop {
    fn new() -> Self {
        Shop::of(PACK)
    }

    fn of(pack: &str) -> Self {
        let limits = RegistryLimits { series_max: 100, labels_max: 9, label_bytes_max: 99 };
        Shop {
            table: SignalTable::new(&[Pack::from_yaml(pack).unwrap()]),
            registry: Registry::new(limits, vec!["host".into(), "instance".into()]),
            derived: Derived::default(),
            told: Vec::new(),
        }
    }

    fn id(&mut self, name: &str, shelf: &str, host: &str) -> SeriesId {
        let labels = Labels::new(&[("__name__", name), ("shelf", shelf), ("host", host), ("job", "shop")]);
        self.registry.resolve(labels.key()).unwrap()
    }

    /// One tick, with what machine `a` shows at it.
    fn step(&mut self, step: i64, series: &[Told]) -> Vec<New> {
        self.step_on("a", step, series);
        self.end(step)
    }

    fn step_on(&mut self, host: &str, step: i64, series: &[Told]) {
        let at = Timestamp(step * STEP_SECONDS * 1000);
        for (name, shelf, kind, value) in series {
            let id = self.id(name, shelf, host);
            self.registry.declare(id, *kind);
            let meaning = self.table.resolve(self.registry.labels(id)).unwrap();
            let known =
                Known { table: &self.table, registry: &self.registry, entity_labels: &["host".into()] };
            self.derived.take(&known, meaning, &Arrival { series: id, at, value: *value });
        }
    }

    fn end(&mut self, step: i64) -> Vec<New> {
        let at = Timestamp(step * STEP_SECONDS * 1000);
        let known = Known { table: &self.table, registry: &self.registry, entity_labels: &["host".into()] };
        let new = self.derived.new_values(&known, at);
        self.told
            .extend(new.iter().filter(|n| n.labels.get("host") == Some("a")).map(|new| (step, new.value)));
        new
    }

    fn most(&self) -> f64 {
        self.told.iter().map(|(_, lost)| *lost).fold(0.0, f64::max)
    }
}

/// Orders of a day that is busier every other hour: 7 or 40 a step, half a minute's worth of them on the shelf.
fn came(step: i64) -> f64 {
    (0..step.max(0)).map(|step| if step / HOUR % 2 == 0 { 7.0 } else { 40.0 }).sum()
}

fn held(step: i64) -> f64 {
    came(step) - came(step - 2)
}

/// All that a healthy shop shows.
fn healthy(step: i64) -> [Told<'static>; 3] {
    shop(step, 0.0, 0.0)
}

/// The same where that many have been lost, and that many are seen twice on their way.
fn shop(step: i64, lost: f64, twice: f64) -> [Told<'static>; 3] {
    let gone = came(step) - held(step);
    [
        ("came_total", "", ValueKind::Counter, 1000.0 + came(step)),
        ("gone_total", "", ValueKind::Counter, 5000.0 + gone - lost),
        ("held", "", ValueKind::Gauge, held(step) + twice),
    ]
}

#[test]
fn what_comes_has_gone_or_waits_however_busy_the_hour() {
    let mut shop = Shop::new();
    (0..6 * HOUR).for_each(|step| drop(shop.step(step, &healthy(step))));
    assert_eq!(shop.told.first().map(|(step, _)| *step), Some(WINDOW_STEPS), "once a window is full");
    assert_eq!(shop.told.len() as i64, 6 * HOUR - WINDOW_STEPS, "and from then on");
    assert!(shop.most() < 1e-6, "{}", shop.most());
}

#[test]
fn what_vanishes_is_told_as_so_many_a_minute() {
    let mut shop_ = Shop::new();
    let lost = |step: i64| (step - 2 * HOUR).clamp(0, HOUR) as f64;
    (0..5 * HOUR).for_each(|step| drop(shop_.step(step, &shop(step, lost(step), 0.0))));
    let at = |step| shop_.told.iter().find(|(at, _)| *at == step).unwrap().1;
    assert!(at(2 * HOUR) < 1e-6);
    let half = at(2 * HOUR + WINDOW_STEPS / 2);
    assert!((half - 2.0).abs() < 1e-6, "half a window of one each step: {half}");
    assert!((at(3 * HOUR) - 4.0).abs() < 1e-6, "one each step");
    assert!(at(4 * HOUR) < 1e-6, "it is over");
}

#[test]
fn orders_out_of_nowhere_are_unaccounted_for_too() {
    let mut shop_ = Shop::new();
    (0..HOUR).for_each(|step| drop(shop_.step(step, &shop(step, -2.0 * step as f64, 0.0))));
    assert!((shop_.most() - 8.0).abs() < 1e-6, "{}", shop_.most());
}

#[test]
fn what_is_under_way_at_a_scrape_is_little() {
    let mut shop_ = Shop::new();
    (0..6 * HOUR).for_each(|step| drop(shop_.step(step, &shop(step, 0.0, (step * 5 % 7) as f64))));
    assert!(shop_.most() > 0.0 && shop_.most() <= 6.0 / 15.0 + 1e-6, "{}", shop_.most());
}

#[test]
fn several_series_of_a_signal_add_up_and_another_form_of_it_does_not() {
    let mut shop = Shop::new();
    for step in 0..2 * HOUR {
        let [came, gone, held] = healthy(step);
        let half = |(name, _, kind, value): Told<'static>, shelf| (name, shelf, kind, value / 2.0);
        let other = ("held_too", "", ValueKind::Counter, 3.0 * held.3);
        let odd = ("came_a_minute", "", ValueKind::Gauge, 1e6);
        shop.step(
            step,
            &[half(came, "one"), half(came, "two"), gone, half(held, "one"), half(held, "two"), other, odd],
        );
    }
    assert_eq!(shop.told.len() as i64, 2 * HOUR - WINDOW_STEPS);
    assert!(shop.most() < 1e-6, "{}", shop.most());
}

#[test]
fn parts_may_be_read_as_often_as_they_like() {
    let mut shop = Shop::new();
    for step in 0..6 * HOUR {
        let [came, gone, held] = healthy(step);
        let due = [(came, 1, 0), (gone, 4, 1), (held, 6, 5)];
        let due = due.iter().filter(|(_, every, from)| step % every == *from);
        shop.step(step, &due.map(|(told, _, _)| *told).collect::<Vec<_>>());
    }
    assert!(shop.told.len() as i64 > 5 * HOUR / 6, "{}", shop.told.len());
    // Between two readings all is taken to change evenly, which costs something where the pace does.
    assert!(shop.most() < 100.0 / 15.0, "{}", shop.most());
    let calm = |step: i64| step % HOUR > WINDOW_STEPS + 20;
    let most = shop.told.iter().filter(|(step, _)| calm(*step)).map(|(_, lost)| *lost).fold(0.0, f64::max);
    assert!(most < 1e-6, "{most}");
}

#[test]
fn a_rate_that_an_exporter_makes_itself_is_one() {
    let (mut lossless, mut lossy) = (Shop::new(), Shop::new());
    for step in 0..6 * HOUR {
        let [_, gone, held] = healthy(step);
        let a_minute = 4.0 * (came(step) - came(step - 1));
        lossless.step(step, &[("came_a_minute", "", ValueKind::Gauge, a_minute), gone, held]);
        lossy.step(step, &[("came_a_minute", "", ValueKind::Gauge, a_minute + 9.0), gone, held]);
    }
    assert!(!lossless.told.is_empty() && lossless.most() < 1e-6, "{}", lossless.most());
    assert!((lossy.most() - 9.0).abs() < 1e-6, "{}", lossy.most());
}

#[test]
fn saved_and_loaded_goes_on_as_if_never_stopped_and_other_packs_begin_anew() {
    let mut shop = Shop::new();
    (0..HOUR).for_each(|step| drop(shop.step(step, &healthy(step))));
    let saved = postcard::to_stdvec(&shop.derived).unwrap();
    let whole: Vec<Vec<New>> = (HOUR..HOUR + 9).map(|step| shop.step(step, &healthy(step))).collect();
    let mut load = |text: &str| -> Vec<Vec<New>> {
        shop.table = SignalTable::new(&[Pack::from_yaml(text).unwrap()]);
        shop.derived = postcard::from_bytes(&saved).unwrap();
        shop.derived.keep_known(&shop.table, |_| None);
        (HOUR..HOUR + 9).map(|step| shop.step(step, &healthy(step))).collect()
    };
    assert_eq!(load(PACK), whole);
    assert!(whole.iter().all(|new| new.len() == 1));
    let extra = "\nsignals:\n  - { name: own, reads: own, unit: s, role: shop, hurts: up, from: [own] }";
    let signals_moved = PACK.replacen("\nsignals:", extra, 1);
    let sides_turned = PACK.replacen("comes: [came], goes: [gone]", "comes: [gone], goes: [came]", 1);
    for other in [signals_moved, sides_turned] {
        assert!(load(&other).iter().all(Vec::is_empty), "{other}");
    }
}

#[test]
fn machines_are_told_in_order_of_their_names_whoever_spoke_first() {
    let tell = |hosts: [&str; 3]| {
        let mut shop = Shop::new();
        let mut last = Vec::new();
        for step in 0..HOUR {
            hosts.iter().for_each(|host| shop.step_on(host, step, &healthy(step)));
            last = shop.end(step);
        }
        last
    };
    let told = tell(["b", "c", "a"]);
    let names: Vec<&str> = told.iter().map(|new| new.labels.get("host").unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(told, tell(["a", "b", "c"]));
    assert_eq!(told[0].labels, Labels::new(&[("__name__", "foreshock_lost"), ("host", "a")]));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut shop = Shop::new();
    let mut bytes = Vec::new();
    for step in 0..48 * HOUR {
        // What is held is read for an hour, and then never again.
        let told = healthy(step % HOUR + 1000);
        shop.step(step, if step < HOUR { &told } else { &told[..2] });
        bytes.push(postcard::to_stdvec(&shop.derived).unwrap().len());
    }
    let most = bytes.iter().max().unwrap();
    assert!(*most < 8_000, "{most}");
}
