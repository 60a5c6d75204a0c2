//! One forecast of the time to a limit: by time alone, by the work of a load too, and as a tracker draws it.

use criterion::{Criterion, criterion_group, criterion_main};
use foreshock::predict::course::{course, course_by_work};
use foreshock::predict::limit::{Known, LimitTracker};
use foreshock::predict::pack::Direction;
use foreshock::predict::rhythm::{Rhythm, Work};
use foreshock::sample::Timestamp;

const MINUTE_MS: i64 = 60_000;
const WEEK_MINUTES: i64 = 7 * 1440;

/// A working day from 8 to 18 that has five times the load of the night.
fn working_days() -> Work {
    let mut rhythm = Rhythm::default();
    for minute in 0..WEEK_MINUTES {
        let is_day = (8..18).contains(&(minute / 60 % 24));
        rhythm.take(Timestamp(minute * MINUTE_MS), if is_day { 5.0 } else { 1.0 });
    }
    rhythm.work().expect("a week is known")
}

/// Without a random generator: what is left over of a multiple.
fn noise(i: i64) -> f64 {
    (i * 7919 % 101) as f64 / 101.0 - 0.5
}

fn forecast(c: &mut Criterion) {
    let work = working_days();
    let now = Timestamp(2 * WEEK_MINUTES * MINUTE_MS + 6 * 60 * MINUTE_MS);
    let height = |i: i64| (i - 12).max(0) as f64 + 2.0 * noise(i);
    let points: Vec<(f64, f64)> = (0..40).map(|i| ((i - 39) as f64 * 60.0, height(i))).collect();
    let mut disk = LimitTracker::new(Direction::Up);
    for i in 0..100_000 {
        disk.push(Timestamp(i * 15_000), 40.0 + i as f64 * 5e-4 + noise(i), f64::NAN);
    }
    let known = Known { work: Some(&work), is_odd: false };
    assert!(disk.forecast(100.0, known).is_some());
    let mut group = c.benchmark_group("forecast");
    group.bench_function("by_time", |bencher| bencher.iter(|| course(&points, 100.0)));
    group.bench_function("by_work", |bencher| {
        bencher.iter(|| course_by_work(&points, 100.0, now, Some(&work)).map(|course| course.quantiles()))
    });
    group.bench_function("of_a_disk", |bencher| bencher.iter(|| disk.forecast(100.0, known)));
}

criterion_group!(benches, forecast);
criterion_main!(benches);
