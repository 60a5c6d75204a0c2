//! Are surprises what they say? How often they pass 3 and 4 on noise and on recorded series, and whether
//! labelled disturbances still stand out.
//!
//! Recorded series are read in place from `FORESHOCK_DATA` (default `../shared/data`) and skipped when missing.
//! `cargo test --test calibration -- --nocapture` prints the tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foreshock::detect::{EntityScore, Tick};
use foreshock::sample::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, Poisson, StandardNormal};

const DAY_SECONDS: i64 = 86_400;

/// How many surprises passed 3 and 4, of how many. Below 3 a surprise holds what the last hour left of trouble.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    samples: u64,
    above: [u64; 2],
}

impl Shares {
    fn add(&mut self, surprise: f32) {
        self.samples += 1;
        for (above, limit) in self.above.iter_mut().zip([3.0, 4.0]) {
            *above += u64::from(surprise > limit);
        }
    }

    fn merge(&mut self, other: Shares) {
        self.samples += other.samples;
        for (mine, theirs) in self.above.iter_mut().zip(other.above) {
            *mine += theirs;
        }
    }

    /// Each share as a multiple of what it ought to be: 1e-3, 1e-4.
    fn factors(&self) -> [f64; 2] {
        let mut due = 0.01;
        self.above.map(|above| {
            due *= 0.1;
            above as f64 / (self.samples as f64 * due)
        })
    }
}

/// The surprises of one series, a row each.
fn surprises(rows: &[(i64, f64)]) -> Vec<f32> {
    let mut steps: Vec<i64> = rows.windows(2).take(100).map(|w| w[1].0 - w[0].0).collect();
    steps.sort_unstable();
    let cadence = steps.get(steps.len() / 2).map_or(60, |&s| s.max(1)) as u32;
    let mut score = EntityScore::new(cadence, 1);
    rows.iter()
        .map(|&(at, value)| score.step(&Tick::utc(Timestamp(at * 1000), cadence), &[value]).surprise)
        .collect()
}

fn noise(name: &str, seed: u64, n: usize) -> Vec<(i64, f64)> {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(seed);
    let mut state = 0.0;
    (0..n)
        .map(|i| {
            let normal: f64 = rng.sample(StandardNormal);
            let value = match name {
                "gaussian" => normal,
                "lognormal" => LogNormal::new(0.0, 1.0).unwrap().sample(&mut rng),
                "ar1" => {
                    state = 0.9 * state + normal;
                    state
                }
                "poisson_4" => Poisson::new(4.0).unwrap().sample(&mut rng),
                "poisson_rare" => Poisson::new(0.02).unwrap().sample(&mut rng),
                _ => unreachable!(),
            };
            (1_700_000_000 + 60 * i as i64, value)
        })
        .collect()
}

#[test]
fn surprises_on_noise_are_as_rare_as_they_say() {
    for name in ["gaussian", "lognormal", "ar1", "poisson_4", "poisson_rare"] {
        let mut shares = Shares::default();
        for seed in 0..8 {
            for surprise in surprises(&noise(name, seed, 50_000)).into_iter().skip(10_080) {
                shares.add(surprise);
            }
        }
        let factors = shares.factors();
        println!("{name:14} {factors:.2?}");
        // Rare events have no probability near these: they may surprise less often, never more.
        let fewest = if name == "poisson_rare" { [0.0; 2] } else { [0.5, 0.3] };
        let bounds = fewest.into_iter().zip([2.0, 2.6]);
        assert!(
            factors.iter().zip(bounds).all(|(f, (fewest, most))| (fewest..most).contains(f)),
            "{name}: {factors:.2?}"
        );
    }
}

struct Recording {
    name: String,
    rows: Vec<(i64, f64)>,
    /// First and last second of each labelled disturbance.
    windows: Vec<(i64, i64)>,
}

fn seconds(text: &str) -> i64 {
    let text = text.trim_matches('"').trim_end_matches('Z').replace('T', " ");
    let civil: jiff::civil::DateTime = text.parse().unwrap();
    jiff::tz::TimeZone::UTC.to_timestamp(civil).unwrap().as_second()
}

fn data() -> Option<PathBuf> {
    let path = std::env::var("FORESHOCK_DATA").unwrap_or_else(|_| "../shared/data".into());
    Path::new(&path).is_dir().then(|| path.into())
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}

fn nab(data: &Path) -> Vec<Recording> {
    let labels = std::fs::read_to_string(data.join("nab/labels/combined_windows.json")).unwrap();
    let labels: BTreeMap<String, Vec<[String; 2]>> = serde_json::from_str(&labels).unwrap();
    let mut recordings = Vec::new();
    for path in sorted(&data.join("nab/data")).iter().flat_map(|folder| sorted(folder)) {
        let name = path.strip_prefix(data.join("nab/data")).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let rows = text.lines().skip(1).filter_map(|line| {
            let (at, value) = line.split_once(',')?;
            Some((seconds(at), value.parse().ok()?))
        });
        let windows = labels.get(&name).into_iter().flatten().map(|[a, b]| (seconds(a), seconds(b)));
        recordings.push(Recording { rows: rows.collect(), windows: windows.collect(), name });
    }
    recordings
}

fn cloudmon(data: &Path) -> Vec<Recording> {
    let csv = |path: &PathBuf| path.extension().is_some_and(|e| e == "csv");
    sorted(&data.join("cloudmon"))
        .iter()
        .filter(|path| csv(path))
        .map(|path| {
            let mut rows: Vec<(i64, f64)> = Vec::new();
            let mut windows: Vec<(i64, i64)> = Vec::new();
            let mut open = false;
            for line in std::fs::read_to_string(path).unwrap().lines().skip(1) {
                let mut cells = line.split(',');
                let at = seconds(cells.next().unwrap());
                rows.push((at, cells.next().unwrap().parse().unwrap_or(f64::NAN)));
                let labelled = cells.next().is_some_and(|cell| cell.starts_with('1'));
                match windows.last_mut() {
                    Some(window) if labelled && open => window.1 = at,
                    _ if labelled => windows.push((at, at)),
                    _ => {}
                }
                open = labelled;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            Recording { name, rows, windows }
        })
        .collect()
}

#[test]
fn surprises_on_recordings_are_as_rare_as_they_say_and_find_what_is_labelled() {
    let Some(data) = data() else {
        eprintln!("skipped: no recordings (set FORESHOCK_DATA)");
        return;
    };
    for (set, recordings) in [("nab", nab(&data)), ("cloudmon", cloudmon(&data))] {
        let (mut all, mut quiet) = (Shares::default(), Shares::default());
        let (mut windows, mut found) = (0, [0; 3]);
        for recording in &recordings {
            let surprises = surprises(&recording.rows);
            let first = recording.rows[0].0;
            let mut mine = Shares::default();
            for (&(at, _), &surprise) in recording.rows.iter().zip(&surprises) {
                if at < first + 7 * DAY_SECONDS {
                    continue;
                }
                all.add(surprise);
                if !recording.windows.iter().any(|&(from, to)| (from..=to).contains(&at)) {
                    mine.add(surprise);
                }
            }
            quiet.merge(mine);
            for &(from, to) in &recording.windows {
                let inside = recording.rows.iter().zip(&surprises);
                let peak = inside
                    .filter(|((at, _), _)| (from..=to).contains(at))
                    .fold(0.0f32, |peak, (_, &s)| peak.max(s));
                windows += 1;
                for (found, limit) in found.iter_mut().zip([3.0, 4.0, 5.0]) {
                    *found += u64::from(peak > limit);
                }
            }
            println!("  {:70} {:6} {:.2?}", recording.name, mine.samples, mine.factors());
        }
        println!(
            "{set:10} all {:.2?} outside labels {:.2?} of {}; found at 3, 4, 5: {found:?} of {windows}",
            all.factors(),
            quiet.factors(),
            quiet.samples
        );
        assert!(quiet.factors().iter().zip([2.0, 4.0]).all(|(&factor, most)| factor < most));
        assert!(found[0] as f64 > windows as f64 * if set == "nab" { 0.7 } else { 0.35 }, "{found:?}");
    }
}
