//! How one series of a healthy mail host behaves, and how far it strays from what its rhythm says.

use super::chance::{Chance, Lingering};

/// What a host is doing at a tick.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Work that people give, 1 in a busy hour: rhythm, weather of the site, moods of the host.
    pub load: f64,
    /// Relative deviation of the load from its rhythm.
    pub load_spread: f64,
    /// As `rhythm::jobs`.
    pub jobs: f64,
    pub step_seconds: f64,
}

/// Noise is told as a deviation, `lingers` as seconds until a third of it is left.
#[derive(Clone, Copy, Debug)]
pub enum Habit {
    /// A size, a limit, a flag.
    Constant(f64),
    /// Things that happened in the step: negative binomial around `a_minute` at load 1.
    Count { a_minute: f64, size: f64 },
    /// A count that is nearly always zero, and comes in bursts when not.
    Rare { an_hour: f64, burst: f64 },
    /// Somewhere above `rest`; `by_load` at load 1, `by_jobs` while the nightly job runs.
    Level { rest: f64, by_load: f64, by_jobs: f64, noise: f64, lingers: f64 },
    /// Log-normal, longer under load.
    Latency { rest: f64, spread: f64, lingers: f64 },
    /// Things that wait: a count whose mean lingers.
    Queue { mean: f64, spread: f64, lingers: f64 },
    /// Fills with the load from `low` to about `high`, in `hours` at load 1, and is then collected.
    SawTooth { low: f64, high: f64, hours: f64 },
    /// Lessens by `a_day` at load 1 in 8 hours of it; the Saturday job gives back what can be deleted.
    Drift { full: f64, a_day: f64, noise: f64 },
}

use Habit::{Constant, Count, Drift, Latency, Level, Queue, Rare, SawTooth};

/// A series: its habit, and where it is.
#[derive(Clone)]
pub struct Course {
    habit: Habit,
    /// The values are summed, as a counter does.
    is_cumulative: bool,
    total: f64,
    own: Lingering,
    /// How full a saw-tooth is, or what a drift has lost.
    place: f64,
    /// Where this tooth ends.
    end: f64,
}

impl Course {
    pub fn new(habit: Habit, is_cumulative: bool, step_seconds: f64, chance: &mut Chance) -> Self {
        let lingers = match habit {
            Level { lingers, .. } | Latency { lingers, .. } | Queue { lingers, .. } => lingers,
            _ => 1.0,
        };
        let own = Lingering::new(lingers, step_seconds, chance);
        let (total, place) = (chance.between(0.0, 1e6).round(), chance.uniform());
        Course { habit, is_cumulative, total, own, place, end: 1.0 }
    }

    /// Whether a disturbance of so many deviations means something on this series: not where it is nearly always
    /// at zero, at rest, or on a course that its noise has no part in.
    pub fn is_lively(&self) -> bool {
        matches!(self.habit, Count { .. } | Level { .. } | Latency { .. } | Queue { .. })
    }

    /// The next value as a scrape shows it; `off` is how many deviations a disturbance adds.
    pub fn step(&mut self, now: Now, chance: &mut Chance, off: f64) -> f64 {
        let mut value = self.value(now, chance);
        if off != 0.0 {
            value += off * self.deviation(now);
            if matches!(self.habit, Count { .. } | Queue { .. }) {
                value = value.round();
            }
        }
        if !self.is_cumulative {
            return value;
        }
        let is_per_second = matches!(self.habit, Level { .. });
        self.total += value.max(0.0) * if is_per_second { now.step_seconds } else { 1.0 };
        self.total
    }

    fn value(&mut self, now: Now, chance: &mut Chance) -> f64 {
        match self.habit {
            Constant(value) => value,
            Count { a_minute, size } => chance.count(a_minute * now.load * now.step_seconds / 60.0, size),
            Rare { an_hour, burst } => {
                let is_burst = chance.uniform() < an_hour * now.load * now.step_seconds / 3600.0;
                if is_burst { 1.0 + chance.count(burst - 1.0, 1.0) } else { 0.0 }
            }
            Level { rest, by_load, by_jobs, noise, .. } => {
                rest + by_load * now.load + by_jobs * now.jobs + noise * self.own.step(chance)
            }
            Latency { rest, spread, .. } => latency(rest, now) * (spread * self.own.step(chance)).exp(),
            Queue { mean, spread, .. } => {
                let mean = mean * now.load * (spread * self.own.step(chance)).exp();
                chance.count(mean, 20.0)
            }
            SawTooth { low, high, hours } => {
                let fills = (0.1 + now.load) * now.step_seconds / (hours * 3600.0);
                self.place += fills * (1.0 + 0.3 * chance.normal()).max(0.0);
                if self.place >= self.end {
                    self.place = chance.between(0.0, 0.05);
                    self.end = chance.between(0.95, 1.05);
                }
                low + (high - low) * self.place
            }
            Drift { full, a_day, noise } => {
                self.place += a_day * now.load * now.step_seconds / (8.0 * 3600.0);
                if now.jobs > 1.0 {
                    self.place *= (-now.step_seconds / 1800.0).exp();
                }
                full - self.place + noise * chance.normal()
            }
        }
    }

    /// The deviation of a value from what the rhythm says, in its own unit; 0 where there is none to speak of.
    fn deviation(&self, now: Now) -> f64 {
        match self.habit {
            Count { a_minute, size } => {
                let mean = a_minute * now.load * now.step_seconds / 60.0;
                (mean + mean * mean * (1.0 / size + now.load_spread * now.load_spread)).sqrt()
            }
            Level { by_load, noise, .. } => noise.hypot(by_load * now.load * now.load_spread),
            Latency { rest, spread, .. } => latency(rest, now) * ((spread * spread).exp() - 1.0).sqrt(),
            Queue { mean, spread, .. } => {
                let mean = mean * now.load;
                let relative = (spread * spread).exp() - 1.0 + now.load_spread * now.load_spread + 0.05;
                (mean + mean * mean * relative).sqrt()
            }
            Constant(_) | Rare { .. } | SawTooth { .. } | Drift { .. } => 0.0,
        }
    }
}

fn latency(rest: f64, now: Now) -> f64 {
    rest * (0.6 + 0.4 * now.load + 0.3 * now.jobs)
}
