//! A mail site without faults: hosts that share the day, the week and the weather, and each have their own moods.

use foreshock::sample::{Batch, Labels, Source, Timestamp, ValueKind};

use super::chance::{Chance, Lingering};
use super::habit::{Course, Now};
use super::hosts::{Export, MACHINE, ROLES};
use super::rhythm;

/// A Monday, 00:00 UTC.
const BEGIN_SECONDS: i64 = 1_790_553_600;
const HOUR: f64 = 3_600.0;

/// The load's relative deviations, and the seconds for which they linger: a busy day, a busy hour, a busy host.
const DAY: (f64, f64) = (0.05, 24.0 * HOUR);
const WEATHER: (f64, f64) = (0.06, HOUR);
const MOOD: (f64, f64) = (0.12, 300.0);

/// Six at a time: which series of which hosts are off their course, by how much, and when.
#[derive(Clone, Debug)]
pub struct Disturbance {
    /// Host and place within its series.
    pub series: Vec<(usize, usize)>,
    pub deviations: f64,
    /// Ticks since the beginning of the site.
    pub ticks: std::ops::Range<i64>,
}

impl Disturbance {
    fn on(&self, tick: i64, host: usize, series: usize) -> f64 {
        let is_hit = self.ticks.contains(&tick) && self.series.contains(&(host, series));
        if is_hit { self.deviations } else { 0.0 }
    }
}

#[derive(Clone)]
struct Series {
    labels: Labels,
    kind: ValueKind,
    course: Course,
}

#[derive(Clone)]
struct Host {
    size: f64,
    runs_jobs: f64,
    mood: Lingering,
    chance: Chance,
    series: Vec<Series>,
}

/// The same seed gives the same site; a clone goes on as the site would.
#[derive(Clone)]
pub struct Site {
    hosts: Vec<Host>,
    chance: Chance,
    weather: [Lingering; 2],
    step_seconds: i64,
    tick: i64,
    source: Source,
}

impl Site {
    pub fn new(seed: u64, hosts: usize, step_seconds: u32) -> Self {
        let step = f64::from(step_seconds);
        let mut chance = Chance::new(seed);
        let weather = [DAY, WEATHER].map(|(_, lingers)| Lingering::new(lingers, step, &mut chance));
        let hosts = (0..hosts).map(|place| Host::new(place, seed, step)).collect();
        Site { hosts, chance, weather, step_seconds: step_seconds.into(), tick: 0, source: "site".into() }
    }

    pub fn tick(&self) -> i64 {
        self.tick
    }

    /// When a tick is.
    pub fn at(&self, tick: i64) -> Timestamp {
        Timestamp((BEGIN_SECONDS + tick * self.step_seconds) * 1000)
    }

    pub fn labels(&self, (host, series): (usize, usize)) -> &Labels {
        &self.hosts[host].series[series].labels
    }

    /// `count` different lively series: of one host, or of as many hosts.
    pub fn pick(&self, chance: &mut Chance, count: usize, of_one_host: bool) -> Vec<(usize, usize)> {
        let mut below = |n: usize| (chance.uniform() * n as f64) as usize;
        let first = below(self.hosts.len());
        let mut picked: Vec<(usize, usize)> = Vec::new();
        while picked.len() < count {
            let host = if of_one_host { first } else { (first + picked.len()) % self.hosts.len() };
            let series = below(self.hosts[host].series.len());
            let is_new = !picked.contains(&(host, series));
            if is_new && self.hosts[host].series[series].course.is_lively() {
                picked.push((host, series));
            }
        }
        picked
    }

    /// What all hosts export at the next tick.
    pub fn step(&mut self, disturbance: Option<&Disturbance>) -> Batch {
        let mut weather = 0.0;
        for (lingering, (spread, _)) in self.weather.iter_mut().zip([DAY, WEATHER]) {
            weather += spread * lingering.step(&mut self.chance);
        }
        let second = self.tick * self.step_seconds;
        let (people, jobs) = (rhythm::people(second), rhythm::jobs(second));
        let mut batch = Batch::new(self.source.clone());
        let at = self.at(self.tick);
        for (place, host) in self.hosts.iter_mut().enumerate() {
            let mood = MOOD.0 * host.mood.step(&mut host.chance);
            let now = Now {
                load: host.size * people * (weather + mood).exp(),
                load_spread: DAY.0.hypot(WEATHER.0).hypot(MOOD.0),
                jobs: host.runs_jobs * jobs,
                step_seconds: self.step_seconds as f64,
            };
            for (index, series) in host.series.iter_mut().enumerate() {
                let off = disturbance.map_or(0.0, |d| d.on(self.tick, place, index));
                batch.keyed_series(series.labels.key(), series.kind);
                batch.sample(at, series.course.step(now, &mut host.chance, off));
            }
        }
        self.tick += 1;
        batch
    }
}

impl Host {
    fn new(place: usize, seed: u64, step_seconds: f64) -> Self {
        let mut chance = Chance::new(seed ^ (1 + place as u64) << 32);
        let (role, own) = ROLES[place % ROLES.len()];
        let name = format!("{role}{}", place / ROLES.len() + 1);
        let mut series = |&(metric, (label, value), habit, is_cumulative): &Export| {
            let instance = format!("{name}:9100");
            let labels = Labels::new(&[("__name__", metric), ("instance", &instance), (label, value)]);
            let kind = if is_cumulative { ValueKind::Counter } else { ValueKind::Gauge };
            Series { labels, kind, course: Course::new(habit, is_cumulative, step_seconds, &mut chance) }
        };
        let series = MACHINE.iter().chain(own).map(&mut series).collect();
        Host {
            size: chance.between(0.6, 1.3),
            runs_jobs: if role == "store" { 1.0 } else { 0.2 },
            mood: Lingering::new(MOOD.1, step_seconds, &mut chance),
            chance,
            series,
        }
    }
}
