//! How soon a ramp on a queue becomes an incident, over kinds of noise and slopes; and that calm stays calm.
//!
//! The engine alone, told what a scrape each second tells it. `tests/whole_way.rs` goes the whole way, with real
//! peers, for a few of these. `cargo test --test ramps -- --nocapture` prints the table.

use foreshock::engine::{Engine, Input, Settings};
use foreshock::incident::event::{Event, EventKind, Incident};
use foreshock::predict::pack::builtins;
use foreshock::sample::{Batch, Timestamp, ValueKind};
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Poisson, StandardNormal};
use rand_pcg::Pcg64;

/// Half an hour is known when the ramp begins.
const HISTORY: usize = 1_800;
const RAMP: usize = 40;
/// A value that has left its usual range is an incident within so many ticks, and one more where it leaves slowly.
const TICKS_MAX: i64 = 4;
const SEEDS: u64 = 4;
/// Other series of the host, which do nothing.
const OTHERS: usize = 10;
const BEGIN_MS: i64 = 1_790_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Noise {
    Rest,
    Gaussian {
        sd: f64,
    },
    Poisson {
        mean: f64,
    },
    /// A value keeps nine tenths of the last one's distance from the mean.
    Lingering {
        sd: f64,
    },
    /// A queue that fills for a minute and is flushed.
    SawTooth,
    /// A batch of mail that is put off for five seconds, each minute and a half.
    Batches,
}

impl Noise {
    /// One second's size of it: slopes are told in these.
    fn deviation(self) -> f64 {
        match self {
            Noise::Rest | Noise::Batches => 1.0,
            Noise::Gaussian { sd } | Noise::Lingering { sd } => sd,
            Noise::Poisson { mean } => mean.sqrt(),
            Noise::SawTooth => 17.0,
        }
    }

    fn values(self, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut away = 0.0;
        let next = |i: usize| {
            let gauss: f64 = rng.sample(StandardNormal);
            let value: f64 = match self {
                Noise::Rest => 40.0,
                Noise::Gaussian { sd } => 10.0 * sd + sd * gauss,
                Noise::Poisson { mean } => Poisson::new(mean).unwrap().sample(&mut rng),
                Noise::Lingering { sd } => {
                    away = 0.9 * away + sd * 0.19f64.sqrt() * gauss;
                    10.0 * sd + away
                }
                Noise::SawTooth => 20.0 + (i % 60) as f64 + 2.0 * gauss,
                Noise::Batches => {
                    if i % 90 < 5 {
                        70.0 + gauss
                    } else {
                        50.0 + gauss
                    }
                }
            };
            value.round().max(0.0)
        };
        (0..HISTORY + RAMP).map(next).collect()
    }
}

fn settings() -> Settings {
    Settings { site: "ramps".into(), step_seconds: 1, packs: builtins(), ..Settings::default() }
}

/// Tells the engine a page a second, the first at second `from`.
fn tell(engine: &mut Engine, from: usize, values: &[f64]) -> Vec<Event> {
    let mut rng = Pcg64::seed_from_u64(from as u64);
    let mut events = Vec::new();
    for (second, value) in (from..).zip(values) {
        let at = Timestamp(BEGIN_MS + second as i64 * 1000 - 630);
        let mut batch = Batch::new("scrape:mta1".into());
        let labels =
            &mut [("__name__", "postfix_queue_stat"), ("queue", "deferred"), ("instance", "mta1:9100")];
        batch.push(labels, ValueKind::Unknown, at, *value);
        for i in 0..OTHERS {
            let (name, noise): (_, f64) = (format!("other_{i}"), rng.sample(StandardNormal));
            let labels = &mut [("__name__", name.as_str()), ("instance", "mta1:9100")];
            batch.push(labels, ValueKind::Gauge, at, 50.0 + noise);
        }
        engine.step(Input::Samples(batch), &mut events);
    }
    events
}

/// The seconds at which incidents were opened.
fn opened(events: &[Event]) -> Vec<i64> {
    let opened = events.iter().filter(|event| event.event == EventKind::Opened);
    opened.map(|event| event.at.since(Timestamp(BEGIN_MS)) / 1000).collect()
}

fn usual_max(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * 0.999).ceil() as usize]
}

/// Ramps of so many deviations a second on each seed of `noise`; `calm`: no incident before them.
fn check(noise: Noise, slopes: &[f64], calm: bool) {
    let mut late = Vec::new();
    for seed in 0..SEEDS {
        let values = noise.values(seed);
        let (past, rest) = values.split_at(HISTORY);
        let mut engine = Engine::new(settings());
        let before = tell(&mut engine, 0, past);
        assert!(!calm || opened(&before).is_empty(), "{noise:?}, seed {seed}: {:#?}", before[0]);
        let known = engine.save();
        for slope in slopes {
            let step = slope * noise.deviation();
            let ramp: Vec<f64> = (1..).zip(rest).map(|(i, x)| (x + step * f64::from(i)).round()).collect();
            let left = ramp.iter().position(|x| *x > usual_max(past)).unwrap();
            let mut engine = Engine::load(settings(), known.clone()).unwrap();
            let opened = opened(&tell(&mut engine, HISTORY, &ramp));
            let ticks: Vec<i64> = opened.iter().map(|second| second - (HISTORY + left) as i64).collect();
            println!(
                "{noise:?}, {slope} deviations a second, seed {seed}: opened {ticks:?} ticks after leaving"
            );
            if ticks.len() != 1 || ticks[0] > TICKS_MAX + i64::from(*slope < 1.0) {
                late.push((slope, seed, ticks));
            }
        }
    }
    assert!(
        late.is_empty(),
        "{noise:?}: one incident within {TICKS_MAX} ticks, not (slope, seed, ticks) {late:?}"
    );
}

/// Half an hour without history: batches are news once or twice, and then they are usual.
#[test]
fn what_comes_again_and_again_is_soon_no_news() {
    let opened = opened(&tell(&mut Engine::new(settings()), 0, &Noise::Batches.values(0)));
    println!("opened at {opened:?}");
    assert!((1..=3).contains(&opened.len()), "{opened:?}");
}

/// A host that is watched from nothing, whose forty series all double now and then: the first such time is news,
/// and while it is told of it is learnt, or it would never end.
#[test]
fn what_is_odd_while_little_is_known_becomes_usual() {
    let mut rng = Pcg64::seed_from_u64(0);
    let (mut engine, mut events) = (Engine::new(settings()), Vec::new());
    for second in 0..600 {
        let load = if second % 150 < 40 { 2e-4 } else { 1e-4 };
        let mut batch = Batch::new("scrape:mta1".into());
        for i in 0..40 {
            let (name, noise): (_, f64) = (format!("seconds_{i}"), rng.sample(StandardNormal));
            let labels = &mut [("__name__", name.as_str()), ("instance", "mta1:9100")];
            batch.push(
                labels,
                ValueKind::Gauge,
                Timestamp(BEGIN_MS + second * 1000 - 630),
                load * noise.exp(),
            );
        }
        engine.step(Input::Samples(batch), &mut events);
        let open_s = |incident: &Incident| second - incident.opened_at.since(Timestamp(BEGIN_MS)) / 1000;
        assert!(engine.incidents().iter().all(|incident| open_s(incident) < 140), "at {second} s");
    }
    let opened = opened(&events);
    println!("opened at {opened:?}");
    assert!((1..=5).contains(&opened.len()), "{opened:?}");
}

#[test]
fn from_rest() {
    check(Noise::Rest, &[1.0, 5.0, 50.0], true);
}

#[test]
fn under_gaussian_noise() {
    check(Noise::Gaussian { sd: 3.0 }, &[0.5, 1.0, 5.0], true);
    check(Noise::Gaussian { sd: 20.0 }, &[0.5, 2.0, 20.0], true);
}

#[test]
fn under_poisson_noise() {
    check(Noise::Poisson { mean: 40.0 }, &[0.5, 1.0, 5.0], true);
    check(Noise::Poisson { mean: 0.3 }, &[2.0, 5.0, 20.0], false);
}

#[test]
fn where_noise_lingers_or_the_queue_is_flushed_each_minute() {
    check(Noise::Lingering { sd: 5.0 }, &[1.0, 2.0, 20.0], false);
    check(Noise::SawTooth, &[1.0, 2.0, 20.0], false);
}
