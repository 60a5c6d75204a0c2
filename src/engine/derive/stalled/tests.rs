//! What is told of a shop whose counter stands still while others are at work.

use super::*;
use crate::predict::pack::Pack;
use crate::sample::ValueKind;
use crate::series::registry::{Registry, RegistryLimits};

const PACK: &str = r#"
name: shop
signals:
  - { name: served, reads: served, unit: customers a second, role: shop, hurts: up, from: [served_total] }
  - { name: waiting, reads: waiting, unit: customers, role: shop, hurts: up, from: [waiting] }
  - { name: seen, reads: seen, unit: people a minute, role: street, hurts: up, from: [seen_a_minute] }
  - { name: stalled, reads: stalled, unit: people, role: shop, hurts: up, stalled: { shows: [served, waiting], while: [served, seen] } }
"#;

/// Host, metric, value.
type Shown = (&'static str, &'static str, f64);

struct Town {
    table: SignalTable,
    registry: Registry,
    stalls: Stalls,
}

impl Town {
    fn new() -> Self {
        let limits = RegistryLimits { series_max: 100, labels_max: 9, label_bytes_max: 99 };
        Town {
            table: SignalTable::new(&[Pack::from_yaml(PACK).unwrap()]),
            registry: Registry::new(limits, vec!["host".into()]),
            stalls: Stalls::default(),
        }
    }

    /// One minute, with what is shown in it: by machine, what is told.
    fn minute(&mut self, minute: i64, shown: &[Shown]) -> Vec<(String, f64)> {
        let at = Timestamp(minute * 60_000);
        for (host, metric, value) in shown {
            let labels = Labels::new(&[("__name__", *metric), ("host", host)]);
            let id = self.registry.resolve(labels.key()).unwrap();
            let kind = if metric.ends_with("_total") { ValueKind::Counter } else { ValueKind::Gauge };
            self.registry.declare(id, kind);
            let meaning = self.table.resolve(&labels).unwrap();
            let known =
                Known { table: &self.table, registry: &self.registry, entity_labels: &["host".into()] };
            self.stalls.take(&known, meaning, &Arrival { series: id, at, value: *value });
        }
        let known = Known { table: &self.table, registry: &self.registry, entity_labels: &["host".into()] };
        let new = self.stalls.new_values(&known, at);
        new.iter().map(|new| (new.labels.get("host").unwrap().to_owned(), new.value)).collect()
    }
}

/// Shop `a` serves three a minute but from `stop` to `end`; `b` serves seven always, and the street sees twenty.
fn shown(minute: i64, stop: i64, end: i64) -> Vec<Shown> {
    let open = |minute: i64| minute.min(stop) + (minute - end).max(0);
    vec![
        ("a", "served_total", 100.0 + 3.0 * open(minute) as f64),
        ("a", "waiting", 0.0),
        ("b", "served_total", 7.0 * minute as f64),
        ("street", "seen_a_minute", 20.0),
    ]
}

fn of(told: &[(String, f64)], host: &str) -> Option<f64> {
    told.iter().find(|(name, _)| name == host).map(|(_, value)| *value)
}

fn is_about(told: Option<f64>, want: f64) -> bool {
    told.is_some_and(|told| (told - want).abs() < 1e-6)
}

#[test]
fn a_pause_is_as_long_as_what_others_do_in_it() {
    let mut town = Town::new();
    for minute in 0..100 {
        let told = town.minute(minute, &shown(minute, 50, 80));
        assert!(is_about(of(&told, "b"), 0.0), "it never stands still: {told:?}");
        let want = if (51..=80).contains(&minute) { 27.0 * (minute - 50) as f64 } else { 0.0 };
        assert!(is_about(of(&told, "a"), want), "{minute}: {told:?}, not {want}");
        assert_eq!(of(&told, "street"), None);
    }
}

#[test]
fn whatever_moves_ends_it() {
    let mut town = Town::new();
    for minute in 0..100 {
        let mut shown = shown(minute, 50, 1000);
        if minute >= 70 {
            shown[1].2 = 4.0;
        }
        let told = town.minute(minute, &shown);
        let since = if minute < 70 { 50 } else { 70 };
        assert!(is_about(of(&told, "a"), 27.0 * (minute - since).max(0) as f64), "{minute}: {told:?}");
    }
}

#[test]
fn where_nobody_else_is_at_work_nothing_is_told_and_where_nobody_does_anything_nothing_grows() {
    let mut alone = Town::new();
    let mut asleep = Town::new();
    for minute in 0..50 {
        assert!(alone.minute(minute, &shown(minute, 10, 1000)[..2]).is_empty());
        let told = asleep.minute(minute, &[("a", "served_total", 5.0), ("b", "served_total", 5.0)]);
        assert!(told.iter().all(|(_, value)| *value == 0.0), "{told:?}");
    }
}

#[test]
fn a_machine_that_says_nothing_stands_still_for_nobody() {
    let mut town = Town::new();
    for minute in 0..200 {
        let shown = shown(minute, 50, 1000);
        let shown = if (60..120).contains(&minute) { &shown[2..] } else { &shown[..] };
        let told = town.minute(minute, shown);
        let want = match minute {
            60..120 => None,
            120.. => Some(27.0 * (minute - 119) as f64),
            _ => Some(27.0 * (minute - 50).max(0) as f64),
        };
        match want {
            None => assert_eq!(of(&told, "a"), None),
            Some(want) => assert!(is_about(of(&told, "a"), want), "{minute}: {told:?}, not {want}"),
        }
    }
}

#[test]
fn neither_the_order_of_sources_nor_a_stop_changes_it() {
    let (mut one, mut other) = (Town::new(), Town::new());
    for minute in 0..100 {
        let forward = shown(minute, 50, 80);
        let backward: Vec<Shown> = forward.iter().rev().copied().collect();
        let mut told = [one.minute(minute, &forward), other.minute(minute, &backward)];
        told.iter_mut().for_each(|told| told.sort_by(|x, y| x.0.cmp(&y.0)));
        assert_eq!(told[0], told[1]);
        if minute == 60 {
            one.stalls = postcard::from_bytes(&postcard::to_stdvec(&one.stalls).unwrap()).unwrap();
        }
    }
}

#[test]
fn other_packs_begin_anew() {
    let mut town = Town::new();
    (0..60).for_each(|minute| drop(town.minute(minute, &shown(minute, 50, 1000))));
    let meanings = |table: &SignalTable, registry: &Registry| {
        let of: BTreeMap<SeriesId, SignalRef> =
            registry.iter().filter_map(|(series, labels)| Some((series, table.resolve(labels)?))).collect();
        move |series: SeriesId| of.get(&series).copied()
    };
    let mut same = town.stalls.clone();
    same.keep_known(&town.table, meanings(&town.table, &town.registry));
    assert_eq!((same.machines.len(), same.workers.len()), (2, 3));
    let renamed = SignalTable::new(&[Pack::from_yaml(&PACK.replace("name: stalled", "name: idle")).unwrap()]);
    let mut other = town.stalls.clone();
    other.keep_known(&renamed, meanings(&renamed, &town.registry));
    assert_eq!((other.machines.len(), other.workers.len()), (0, 3));
    let fewer =
        SignalTable::new(
            &[Pack::from_yaml(&PACK.replace("while: [served, seen]", "while: [seen]")).unwrap()],
        );
    let mut other = town.stalls.clone();
    other.keep_known(&fewer, meanings(&fewer, &town.registry));
    assert_eq!((other.machines.len(), other.workers.len()), (2, 1));
}
