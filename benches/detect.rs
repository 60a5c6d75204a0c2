//! What a row costs each detector, on one core: 1,024 lanes or 64 hosts of 40 signals, warm, daily waves with noise;
//! and one row of one entity by all detectors, as `foreshock score` calls them.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foreshock::detect::energy::Energies;
use foreshock::detect::entity::EntityScore;
use foreshock::detect::{Multivariate, Row, Tick, Univariate};
use foreshock::kernel::Lanes;
use foreshock::sample::{CHUNK, Mask, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

const CHUNKS: usize = 64;
const HOSTS: usize = 64;
const SIGNALS: usize = 40;
const CADENCE_SECONDS: u32 = 60;
/// A day and a half, so that slots, maps and exemplars are filled.
const WARM_ROWS: usize = 2_160;

fn tick(n: usize) -> Tick {
    Tick::utc(Timestamp(n as i64 * i64::from(CADENCE_SECONDS) * 1_000), CADENCE_SECONDS)
}

/// Rows of noise on a daily wave; the detectors go round them.
fn rows<T>(columns: usize, mut pack: impl FnMut(Vec<f32>) -> T) -> Vec<T> {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
    let wave = |n: usize| 5.0 * (n as f32 / 1_440.0 * std::f32::consts::TAU).sin();
    (0..1_440)
        .map(|n| pack((0..columns).map(|_| wave(n) + rng.sample::<f32, _>(StandardNormal)).collect()))
        .collect()
}

fn chunked(row: Vec<f32>) -> Vec<Lanes> {
    row.chunks(CHUNK).map(|chunk| std::array::from_fn(|lane| chunk[lane])).collect()
}

fn lanes(c: &mut Criterion) {
    let rows = rows(CHUNKS * CHUNK, chunked);
    let all = vec![Mask::ALL; CHUNKS];
    let mut group = c.benchmark_group("lanes");
    group.throughput(Throughput::Elements((CHUNKS * CHUNK) as u64));

    let (mut univariate, mut row) = (Univariate::new(CADENCE_SECONDS, CHUNKS), Row::default());
    let mut n = 0;
    let mut step = || {
        univariate.step(&tick(n), &rows[n % rows.len()], &all, &all, &mut row);
        n += 1;
    };
    (0..WARM_ROWS).for_each(|_| step());
    group.bench_function("derivative, seasonal and novelty", |b| b.iter(&mut step));
    group.finish();
}

fn groups(c: &mut Criterion) {
    let rows = rows(SIGNALS, |row| row);
    let wide: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    let mut group = c.benchmark_group("groups");
    group.throughput(Throughput::Elements((HOSTS * SIGNALS) as u64));

    let mut energies = vec![Energies::new(); HOSTS];
    energies.iter_mut().for_each(|host| host.grow(SIGNALS));
    let mut n = 0;
    let mut step = || {
        for host in &mut energies {
            host.step(&tick(n), &wide[n % wide.len()], true);
        }
        n += 1;
    };
    (0..WARM_ROWS).for_each(|_| step());
    group.bench_function("energies", |b| b.iter(&mut step));

    let mut hosts: Vec<Multivariate> = (0..HOSTS as u64).map(Multivariate::with_phase).collect();
    for host in &mut hosts {
        (0..SIGNALS).for_each(|_| {
            host.join();
        });
    }
    let mut n = 0;
    let mut step = || {
        for host in &mut hosts {
            host.step(&tick(n), &rows[n % rows.len()], true);
        }
        n += 1;
    };
    (0..WARM_ROWS).for_each(|_| step());
    group.bench_function("subspace", |b| b.iter(&mut step));
    group.finish();
}

fn entities(c: &mut Criterion) {
    let mut group = c.benchmark_group("rows");
    for (name, signals) in [("1 signal", 1), ("38 signals", 38)] {
        let rows = rows(signals, |row| row.into_iter().map(f64::from).collect::<Vec<f64>>());
        let mut entity = EntityScore::new(CADENCE_SECONDS, signals);
        let mut n = 0;
        let mut step = || {
            n += 1;
            entity.step(&tick(n), &rows[n % rows.len()])
        };
        (0..WARM_ROWS).for_each(|_| drop(step()));
        group.throughput(Throughput::Elements(signals as u64));
        group.bench_function(name, |b| b.iter(&mut step));
    }
    group.finish();
}

criterion_group!(benches, lanes, groups, entities);
criterion_main!(benches);
