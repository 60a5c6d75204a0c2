//! How far a row of signals is from rest: three energies, the mean squares of standardised differences, levels and residuals.
//!
//! Each signal gives its one-step difference, its level (to which it gets used over a week) and what is left of it
//! after its usual day, each in deviations of its own last month. Squares of them are averaged over the signals, taken
//! as logarithms, added. `now` is that sum; `held` keeps each at its peak for an hour and adds a share of
//! the last hours: what a person would still call the same trouble.
//! Sees: jumps, levels, a missed or a new daily habit, in one signal or a little in many. Blind to: a relation that
//! breaks while every signal stays usual; slow drift; the weekday. State is 640 bytes a signal; 110 flops a signal a
//! row. Time constants are in seconds: a person's day does not depend on the cadence.

mod standard;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::standard::Standard;
use super::Tick;
use super::profile::{Place, Profile};
use crate::sample::CHUNK;

const DAY_SECONDS: f64 = 86_400.0;
/// Memory of a mean and its variance; until `WARM_SECONDS` nothing is winsorised.
const MEMORY_SECONDS: f64 = 30.0 * DAY_SECONDS;
const WARM_SECONDS: f64 = DAY_SECONDS / 4.0;
/// An update counts as at most so many deviations; a level in the day's profile, too.
const WINSOR: f64 = 10.0;
const WINSOR_LEVEL: f64 = 5.0;
const PROFILE_MAX: f64 = 10.0;
/// Values further out count as lying there: the squares of their distances are finite.
const VALUE_MAX: f64 = 1e150;
/// Least deviation, as a share of the range ever met.
const FLOOR: f64 = 0.005;
const FLOOR_RESIDUAL: f64 = 0.01;
/// The day's profile: half hours that remember five visits, and how far one visit pulls a slot.
const SLOTS: usize = 48;
const VISITS: u8 = 5;
const PULL_MAX: f32 = 2.0;
/// A residual is told against its own last 12 hours.
const REFERENCE_SECONDS: f64 = DAY_SECONDS / 2.0;
/// Smoothing of the energy of differences.
const SMOOTH_SECONDS: f64 = 600.0;
/// A level that stays counts less over a week, by the root of what it has been; and a tenth of a jump at first.
const HABIT_SECONDS: f64 = 7.0 * DAY_SECONDS;
const LEVEL_WEIGHT: f64 = 0.1;
/// Peak hold, the memory of the slow part and its weight.
pub const HOLD_SECONDS: f64 = 3_600.0;
const SLOW_SECONDS: f64 = 8.0 * 3_600.0;
const SLOW_WEIGHT: f64 = 0.25;
/// A row so much later than usual follows a gap: its difference says nothing.
pub(super) const GAP_ROWS: f64 = 3.0;

/// How odd a row is, in natural logarithms of mean squares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energy {
    /// Of the row itself.
    pub now: f64,
    /// With peaks of the last hour held.
    pub held: f64,
    /// The signal whose own energy is the largest.
    pub loudest: Option<usize>,
}

/// The energies of one entity's signals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Energies {
    difference: Standard,
    level: Standard,
    residual: Standard,
    /// Of the level, in deviations.
    day: Profile,
    /// The last value of each signal; NaN before there is one.
    last: Vec<f64>,
    /// The first two samples of each, and how many there were.
    opening: Vec<[f64; 2]>,
    met: Vec<u8>,
    /// Mean square of the level of late, and the mean residual of late.
    habituation: Vec<f64>,
    reference: Vec<f64>,
    rows: u64,
    begin_seconds: f64,
    last_seconds: f64,
    interval_seconds: f64,
    smooth: f64,
    held: [f64; 3],
    slow: f64,
}

impl Default for Energies {
    fn default() -> Self {
        Self::new()
    }
}

impl Energies {
    pub fn new() -> Self {
        Energies {
            difference: Standard::new(FLOOR, WINSOR),
            level: Standard::new(FLOOR, WINSOR_LEVEL),
            residual: Standard::new(FLOOR_RESIDUAL, WINSOR),
            day: Profile::new(SLOTS, VISITS),
            last: Vec::new(),
            opening: Vec::new(),
            met: Vec::new(),
            habituation: Vec::new(),
            reference: Vec::new(),
            rows: 0,
            begin_seconds: 0.0,
            last_seconds: 0.0,
            interval_seconds: 0.0,
            smooth: 0.0,
            held: [0.0; 3],
            slow: 0.0,
        }
    }

    /// Makes room for so many signals in all; never shrinks.
    pub fn grow(&mut self, signals: usize) {
        let signals = signals.max(self.last.len());
        for standard in [&mut self.difference, &mut self.level, &mut self.residual] {
            standard.resize(signals);
        }
        self.day.grow(signals.div_ceil(CHUNK));
        self.last.resize(signals, f64::NAN);
        self.opening.resize(signals, [0.0; 2]);
        self.met.resize(signals, 0);
        self.habituation.resize(signals, 0.0);
        self.reference.resize(signals, 0.0);
    }

    /// Forgets a signal: another takes its column.
    pub fn forget(&mut self, signal: usize) {
        self.day.reset(signal);
        self.last[signal] = f64::NAN;
        self.met[signal] = 0;
    }

    /// Scores one row of raw values, a signal each (what is not finite is missing), against the rows before it; then
    /// learns from it where `learn` says so.
    pub fn step(&mut self, tick: &Tick, values: &[f64], learn: bool) -> Energy {
        let now = tick.at.seconds();
        let (since, gap) = self.pass(now);
        let first = 1.0 / self.rows as f64;
        let gains = Gains {
            memory: first.max(since / MEMORY_SECONDS),
            habit: (since / HABIT_SECONDS).min(1.0).max(first),
            reference: (since / REFERENCE_SECONDS).min(1.0),
            settled: now - self.begin_seconds > WARM_SECONDS,
        };
        let place = self.day.place(f64::from(tick.local_second_of_day) / DAY_SECONDS);
        self.day.enter(place.slot, |_| [PULL_MAX; CHUNK]);
        let (mut squares, mut seen) = ([0.0; 3], 0.0);
        let (mut loudest, mut most) = (None, 0.0);
        let gains = if learn { gains } else { gains.none() };
        for (signal, &value) in values.iter().enumerate().take(self.last.len()) {
            if value.is_finite() {
                let value = value.clamp(-VALUE_MAX, VALUE_MAX);
                let [difference, residual, level] = self.signal(signal, value, place, gains, gap, learn);
                for (sum, square) in squares.iter_mut().zip([difference, residual, level]) {
                    *sum += square;
                }
                seen += 1.0;
                let all = difference + residual + LEVEL_WEIGHT * level;
                if all > most {
                    (loudest, most) = (Some(signal), all);
                }
            }
        }
        let energy = self.energy(squares.map(|sum| sum / f64::max(seen, 1.0)), since);
        Energy { loudest, ..energy }
    }

    /// Seconds since the last row, and whether that is a gap.
    fn pass(&mut self, now: f64) -> (f64, bool) {
        let since = now - self.last_seconds;
        self.last_seconds = now;
        self.rows += 1;
        match self.rows {
            1 => {
                self.begin_seconds = now;
                return (0.0, false);
            }
            2 => self.interval_seconds = since,
            _ if since > GAP_ROWS * self.interval_seconds => return (since.min(HOLD_SECONDS), true),
            _ => self.interval_seconds += 0.01 * (since - self.interval_seconds),
        }
        (since.clamp(0.0, HOLD_SECONDS), false)
    }

    /// The squares of a signal's difference, residual and level.
    #[inline]
    fn signal(
        &mut self,
        signal: usize,
        value: f64,
        place: Place,
        gains: Gains,
        gap: bool,
        learn: bool,
    ) -> [f64; 3] {
        if usize::from(self.met[signal]) < self.opening[signal].len() {
            self.opening[signal][usize::from(self.met[signal])] = value;
            self.met[signal] += 1;
            return [0.0; 3];
        }
        let last = std::mem::replace(&mut self.last[signal], value);
        if last.is_nan() {
            // At the median of three samples, as the first answer of an exporter may be anything.
            let [one, other] = self.opening[signal];
            self.level.seed(signal, value.max(one.min(other)).min(one.max(other)));
            self.difference.seed(signal, 0.0);
            self.residual.seed(signal, 0.0);
            (self.habituation[signal], self.reference[signal]) = (0.0, 0.0);
        }
        let mut squares = [0.0; 3];
        if !last.is_nan() && !gap {
            squares[0] =
                self.difference.deviations(signal, value - last, gains.memory, gains.settled).powi(2);
        }
        let level = self.level.deviations(signal, value, gains.memory, gains.settled);
        squares[2] = level * level / (1.0 + self.habituation[signal]).sqrt();
        self.habituation[signal] += gains.habit * (level * level - self.habituation[signal]);

        let level = level.clamp(-PROFILE_MAX, PROFILE_MAX);
        let usual = self.day.usual(signal / CHUNK, signal % CHUNK, place);
        let residual = if usual.visits > 0 { level - f64::from(usual.value) } else { 0.0 };
        if learn {
            self.day.add(signal / CHUNK, signal % CHUNK, level as f32);
        }
        let fast = residual - self.reference[signal];
        self.reference[signal] += gains.reference * fast;
        squares[1] = self.residual.deviations(signal, fast, gains.memory, gains.settled).powi(2);
        squares
    }

    fn energy(&mut self, [difference, residual, level]: [f64; 3], since: f64) -> Energy {
        self.smooth += (since / SMOOTH_SECONDS).min(1.0) * (difference - self.smooth);
        let energies = [self.smooth, residual, LEVEL_WEIGHT * level].map(libm::log1p);
        let fade = libm::exp(-since / HOLD_SECONDS);
        for (held, energy) in self.held.iter_mut().zip(energies) {
            *held = energy.max(*held * fade);
        }
        let held: f64 = self.held.iter().sum();
        self.slow += (since / SLOW_SECONDS).min(1.0) * (held - self.slow);
        Energy { now: energies.iter().sum(), held: held + SLOW_WEIGHT * self.slow, loudest: None }
    }
}

/// Weights of a new row.
#[derive(Clone, Copy)]
struct Gains {
    memory: f64,
    habit: f64,
    reference: f64,
    /// Whether there is past enough to winsorise by.
    settled: bool,
}

impl Gains {
    /// For a row that nothing is learnt from.
    fn none(self) -> Self {
        Gains { memory: 0.0, habit: 0.0, reference: 0.0, ..self }
    }
}
