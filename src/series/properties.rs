//! Claims about the whole of `series/`, from a key to a row, over generated input.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::block::Change;
use super::head::{Head, HeadLimits, LaneRef, SeriesState};
use super::registry::{Registry, RegistryLimits, RegistryState, SeriesId};
use super::tick::{TickLimits, Ticker};
use crate::kernel::Lanes;
use crate::sample::{Batch, CHUNK, Mask, STALE_NAN_BITS, Timestamp, ValueKind};

const STEP_SECONDS: u32 = 10;
const STEP_MS: i64 = 10_000;
const LIMITS: RegistryLimits = RegistryLimits { series_max: 10_000, labels_max: 30, label_bytes_max: 1000 };

/// What a detector would see, by time and labels: the value's bits and what was told of the lane.
type Rows = BTreeMap<(Timestamp, String), (u32, String)>;

/// Registry, ticker and heads, put together as the engine does.
struct World {
    registry: Registry,
    ticker: Ticker,
    heads: Vec<Head>,
    rows: Rows,
}

impl World {
    fn new(shards: usize) -> Self {
        let limits = HeadLimits { step_seconds: STEP_SECONDS, silent_seconds_max: 7200 };
        World {
            registry: Registry::new(LIMITS, vec!["host".into()]),
            ticker: Ticker::new(STEP_SECONDS, TickLimits::default()),
            heads: vec![Head::new(limits); shards],
            rows: Rows::new(),
        }
    }

    fn feed(&mut self, batch: &Batch) {
        for (key, kind, samples) in batch.iter() {
            let id = self.registry.resolve(key).unwrap();
            self.registry.declare(id, kind);
            for &sample in samples {
                let _ = self.ticker.accept(id, sample);
            }
        }
        self.ticker.observe(&batch.source, batch.latest().unwrap(), batch.lateness_ms);
        self.run();
    }

    fn run(&mut self) {
        while let Some(due) = self.ticker.next_due() {
            for shard in 0..self.heads.len() {
                let entity = |id: SeriesId| self.registry.entity(id).index() % self.heads.len();
                let arrivals: Vec<_> =
                    due.arrivals.iter().copied().filter(|a| entity(a.series) == shard).collect();
                self.heads[shard].ingest(due.at, &arrivals, !due.arrivals.is_empty(), &self.registry);
                self.read_rows(shard, due.at);
                for id in self.heads[shard].retire() {
                    self.registry.retire(id, due.at);
                }
            }
        }
    }

    fn read_rows(&mut self, shard: usize, at: Timestamp) {
        let due: Vec<usize> = self.heads[shard].due_blocks(at).collect();
        for i in due {
            let block = self.heads[shard].block_mut(i);
            let mut x: Vec<Lanes> = vec![[0.0; CHUNK]; block.chunks()];
            let mut seen = vec![Mask::NONE; block.chunks()];
            let mut changes = Vec::new();
            block.row(at, &mut x, &mut seen, &mut changes);
            for lane in 0..block.chunks() * CHUNK {
                let Some(id) = block.series(lane).filter(|_| seen[lane / CHUNK].has(lane % CHUNK)) else {
                    continue;
                };
                let told: Vec<String> = changes.iter().filter_map(|change| told(change, lane)).collect();
                let x = x[lane / CHUNK][lane % CHUNK].to_bits();
                self.rows.insert((at, self.registry.labels(id).to_string()), (x, told.concat()));
            }
        }
    }

    /// Through bytes and back.
    fn reload(&mut self) {
        fn copy<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
            postcard::from_bytes(&postcard::to_stdvec(value).unwrap()).unwrap()
        }
        let state: RegistryState = copy(&self.registry.save());
        self.registry = Registry::load(LIMITS, vec!["host".into()], state).unwrap();
        self.ticker = copy(&self.ticker);
        self.heads = copy(&self.heads);
    }

    /// Where each series lives, by its labels.
    fn homes(&self) -> BTreeMap<String, Option<LaneRef>> {
        let home = |id| self.heads.iter().find_map(|head| head.lane_of(id));
        self.registry.iter().map(|(id, labels)| (labels.to_string(), home(id))).collect()
    }

    fn state(&self, name: &str) -> Option<SeriesState> {
        let (id, _) = self.registry.iter().find(|(_, labels)| labels.name() == name)?;
        self.heads.iter().find_map(|head| head.state(id))
    }
}

fn told(change: &Change, of: usize) -> Option<String> {
    match change {
        Change::Joined { lane, .. } if *lane == of => Some("joined".into()),
        Change::Moved { lane, shift, factor } if *lane == of => Some(format!("moved {shift} {factor}")),
        _ => None,
    }
}

/// Two sources: what each sends a step, series by series. `None` is a scrape that missed it.
#[derive(Clone, Debug)]
struct Story {
    /// By source, step and series.
    values: [Vec<Vec<Option<f64>>>; 2],
}

impl Story {
    fn batch(&self, source: usize, step: usize) -> Batch {
        let mut batch = Batch::new(["a", "b"][source].into());
        let at = Timestamp(STEP_MS * step as i64);
        // So that a source speaks every step, as `up` does.
        let host = ["mx1", "mx2"][source];
        batch.push(&mut [("__name__", "up"), ("host", host)], ValueKind::Gauge, at, 1.0);
        for (i, value) in self.values[source][step].iter().enumerate() {
            // Series of one and of two steps, gauges and counters, on two hosts.
            if let Some(value) = value.filter(|_| i % 2 == 0 || step.is_multiple_of(2)) {
                let kind = if i % 3 == 0 { ValueKind::Counter } else { ValueKind::Gauge };
                let (name, host) = (format!("s{source}{i}"), ["mx1", "mx2"][i % 2]);
                batch.push(&mut [("__name__", &name), ("host", host)], kind, at, value);
            }
        }
        batch
    }

    fn steps(&self) -> usize {
        self.values[0].len()
    }
}

fn stories() -> impl Strategy<Value = Story> {
    let value = prop_oneof![
        8 => (0.0f64..1e6).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(f64::NAN), Just(f64::from_bits(STALE_NAN_BITS)), Just(f64::INFINITY), Just(1e12)]
            .prop_map(Some),
    ];
    let source = prop::collection::vec(prop::collection::vec(value, 6), 60);
    [source.clone(), source].prop_map(|values| Story { values })
}

/// Steps in lockstep, the sources in turn.
fn in_turn(story: &Story, shards: usize) -> World {
    let mut world = World::new(shards);
    for step in 0..story.steps() {
        world.feed(&story.batch(0, step));
        world.feed(&story.batch(1, step));
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_do_not_depend_on_how_two_sources_interleave(story in stories(), second: [bool; 32]) {
        let want = in_turn(&story, 1);
        prop_assert!(want.rows.len() > 100);
        let mut world = World::new(1);
        // Both are heard before time passes; then either may run two steps ahead.
        world.feed(&story.batch(1, 0));
        world.feed(&story.batch(0, 0));
        let mut next = [1, 1];
        for &second in second.iter().cycle() {
            let mut source = usize::from(second);
            if next[source] >= story.steps() || next[source] >= next[1 - source] + 2 {
                source = 1 - source;
            }
            if next[source] >= story.steps() {
                break;
            }
            world.feed(&story.batch(source, next[source]));
            next[source] += 1;
        }
        prop_assert_eq!(world.homes(), want.homes());
        prop_assert_eq!(world.rows, want.rows);
    }

    #[test]
    fn rows_do_not_depend_on_the_order_within_a_batch(story in stories(), seed: u64) {
        let mut batch = Batch::new("a".into());
        let mut shuffled = Batch::new("a".into());
        let mut pushes = Vec::new();
        for step in 0..story.steps() {
            for (key, kind, samples) in story.batch(0, step).iter() {
                pushes.push((crate::sample::Labels::from_key(key), kind, samples[0]));
            }
        }
        let put = |batch: &mut Batch, (labels, kind, sample): &(crate::sample::Labels, ValueKind, crate::sample::Sample)| {
            let mut pairs: Vec<(&str, &str)> = labels.iter().collect();
            batch.push(&mut pairs, *kind, sample.at, sample.value);
        };
        pushes.iter().for_each(|push| put(&mut batch, push));
        let mut order: Vec<usize> = (0..pushes.len()).collect();
        order.sort_by_key(|&i| (i as u64 + 1).wrapping_mul(seed | 1));
        order.iter().for_each(|&i| put(&mut shuffled, &pushes[i]));
        let (mut world, mut other) = (World::new(1), World::new(1));
        world.feed(&batch);
        other.feed(&shuffled);
        prop_assert!(world.rows.len() > 50);
        prop_assert_eq!(world.rows, other.rows);
    }

    #[test]
    fn rows_do_not_depend_on_the_number_of_shards(story in stories()) {
        prop_assert_eq!(in_turn(&story, 1).rows, in_turn(&story, 2).rows);
    }

    #[test]
    fn saved_and_loaded_equals_never_stopped(story in stories(), cut in 1usize..59) {
        let want = in_turn(&story, 2);
        let mut world = World::new(2);
        for step in 0..story.steps() {
            world.feed(&story.batch(0, step));
            if step == cut {
                world.reload();
            }
            world.feed(&story.batch(1, step));
        }
        prop_assert_eq!(world.rows, want.rows);
        prop_assert_eq!(postcard::to_stdvec(&world.heads).unwrap(), postcard::to_stdvec(&want.heads).unwrap());
    }
}

/// One gauge `load` beside a series that keeps time going, a value or nothing a step.
fn live(values: impl IntoIterator<Item = Option<f64>>) -> (World, Vec<Option<SeriesState>>) {
    let mut world = World::new(1);
    let states = values.into_iter().enumerate().map(|(step, value)| {
        let at = Timestamp(STEP_MS * step as i64);
        let mut batch = Batch::new("a".into());
        batch.push(&mut [("__name__", "up")], ValueKind::Gauge, at, 1.0);
        if let Some(value) = value {
            batch.push(&mut [("__name__", "load")], ValueKind::Gauge, at, value);
        }
        world.feed(&batch);
        world.state("load")
    });
    let states = states.collect();
    (world, states)
}

#[test]
fn no_data_is_a_state_of_its_own() {
    use SeriesState::{Learning, Live, NoData};
    let stale = f64::from_bits(STALE_NAN_BITS);
    let speaking = [Some(1.0); 6];
    let (_, states) = live(speaking.into_iter().chain([None, None, None, Some(2.0), Some(stale), Some(3.0)]));
    assert_eq!(states[0], None, "the first tick is still to come");
    assert_eq!(states[1..6], [Learning, Learning, Learning, Live, Live].map(Some));
    assert_eq!(states[6..], [Live, Live, NoData, Live, NoData, Live].map(Some));
}

#[test]
fn a_series_that_ends_as_it_is_about_to_live_does_not_live() {
    let (mut world, _) = live([Some(1.0); 4]);
    let mut batch = Batch::new("a".into());
    batch.series(&mut [("__name__", "load")], ValueKind::Gauge);
    batch.sample(Timestamp(40_000 - 1), 1.0);
    batch.sample(Timestamp(40_000), f64::from_bits(STALE_NAN_BITS));
    world.feed(&batch);
    assert_eq!(world.state("load"), Some(SeriesState::Learning));
}

#[test]
fn not_a_number_is_no_data_too() {
    let (_, states) = live([Some(1.0); 6].into_iter().chain([Some(f64::NAN); 3]));
    assert_eq!(states[8], Some(SeriesState::NoData));
}

#[test]
fn a_slower_sender_moves_to_a_block_of_its_cadence() {
    let slower = (0..200).map(|step| (step < 50 || step % 6 == 0).then_some(f64::from(step)));
    let (world, _) = live(slower);
    let (id, _) = world.registry.iter().find(|(_, labels)| labels.name() == "load").unwrap();
    let home = world.heads[0].lane_of(id).unwrap();
    assert_eq!(world.heads[0].block(home.block).cadence_seconds(), 60);
    assert_eq!(world.heads[0].block(home.block).last(home.lane).unwrap().value, 198.0);
    assert_eq!(world.heads[0].block_count(), 2);
    assert_eq!(world.heads[0].block(0).len(), 1);
}

#[test]
fn a_silent_series_is_retired_and_an_outage_of_all_retires_none() {
    let (mut world, states) = live((0..900).map(|step| (step < 10).then_some(1.0)));
    assert_eq!((states[710], states[899]), (Some(SeriesState::NoData), None));
    assert_eq!(world.registry.len(), 1);
    world.ticker.clock(Timestamp(9_000_000));
    world.ticker.clock(Timestamp(900_000_000));
    world.run();
    assert_eq!(world.registry.len(), 1);
}

#[test]
fn a_known_series_keeps_its_state_over_a_long_gap() {
    let (mut world, _) = live([Some(1.0); 20]);
    let mut batch = Batch::new("a".into());
    batch.push(&mut [("__name__", "load")], ValueKind::Gauge, Timestamp(500_000_000), 2.0);
    world.feed(&batch);
    assert_eq!(world.state("load"), Some(SeriesState::Live));
    assert_eq!(world.state("up"), Some(SeriesState::NoData));
    assert_eq!(world.registry.len(), 2);
}
