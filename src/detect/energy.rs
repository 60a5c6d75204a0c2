//! How much a row of signals stirs: three energies, the mean squares of standardised differences, levels and residuals.
//!
//! Each signal gives its one-step difference, its level (to which it gets used over a week) and what is left of it
//! after its usual day, each in deviations of its own last month. Squares of them are averaged over the signals, taken
//! as logarithms, added. `unrest` is that sum now; `afterglow` holds each at its peak for an hour and adds a share of
//! the last hours: what a person would still call the same trouble.
//! Sees: jumps, levels, a missed or a new daily habit, in one signal or a little in many. Blind to: a relation that
//! breaks while every signal stays usual; slow drift; the weekday. State is 640 bytes a signal; 110 flops a signal a
//! row. Time constants are in seconds: a person's day does not depend on the cadence.

use serde::{Deserialize, Serialize};

use super::Tick;

const DAY_SECONDS: f64 = 86_400.0;
/// Memory of a mean and its variance; until `WARM_SECONDS` nothing is winsorised.
const MEMORY_SECONDS: f64 = 30.0 * DAY_SECONDS;
const WARM_SECONDS: f64 = DAY_SECONDS / 4.0;
/// An update counts as at most so many deviations; evidence, and a level in the day's profile, too.
const WINSOR: f64 = 10.0;
const WINSOR_LEVEL: f64 = 5.0;
const EVIDENCE_MAX: f64 = 20.0;
const PROFILE_MAX: f64 = 10.0;
/// Least deviation, as a share of the range ever met.
const FLOOR: f64 = 0.005;
/// A glitch widens that range to so many deviations at most, or it would blind the signal for good.
const RANGE_REACH: f64 = 1_000.0;
const FLOOR_RESIDUAL: f64 = 0.01;
/// The day's profile: half hours that remember five visits, and how much one may change a slot that has three.
const SLOTS: usize = 48;
const VISITS: f64 = 5.0;
const VISIT_STEP_MAX: f64 = 2.0;
const VISITS_SURE: f64 = 3.0;
/// A residual is told against its own last 12 hours.
const REFERENCE_SECONDS: f64 = DAY_SECONDS / 2.0;
/// Smoothing of the energy of differences.
const SMOOTH_SECONDS: f64 = 600.0;
/// A level that stays counts less over a week, by the root of what it has been; and a tenth of a jump at first.
const HABIT_SECONDS: f64 = 7.0 * DAY_SECONDS;
const LEVEL_WEIGHT: f64 = 0.1;
/// Peak hold, the memory of the slow part and its weight.
const HOLD_SECONDS: f64 = 3_600.0;
const SLOW_SECONDS: f64 = 8.0 * 3_600.0;
const SLOW_WEIGHT: f64 = 0.25;
/// A row so much later than usual follows a gap: its difference says nothing.
const GAP_ROWS: f64 = 3.0;

/// A quantity of every signal, standardised by its own past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Standard {
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// The range ever met.
    low: Vec<f64>,
    high: Vec<f64>,
    floor: f64,
    winsor: f64,
}

impl Standard {
    fn new(floor: f64, winsor: f64) -> Self {
        let none = Vec::new;
        Standard { mean: none(), variance: none(), low: none(), high: none(), floor, winsor }
    }

    fn resize(&mut self, signals: usize) {
        for zero in [&mut self.mean, &mut self.variance, &mut self.low, &mut self.high] {
            zero.resize(signals, 0.0);
        }
    }

    fn seed(&mut self, signal: usize, value: f64) {
        self.variance[signal] = 0.0;
        for place in [&mut self.mean, &mut self.low, &mut self.high] {
            place[signal] = value;
        }
    }

    #[inline]
    fn deviation(&self, signal: usize) -> f64 {
        let floor = self.floor * (self.high[signal] - self.low[signal]);
        (self.variance[signal] + floor * floor).sqrt()
    }

    /// Deviations of `value` from the mean of the past, at most `EVIDENCE_MAX`; learns with `gain`.
    #[inline]
    fn deviations(&mut self, signal: usize, value: f64, gain: f64, settled: bool) -> f64 {
        let mut apart = value - self.mean[signal];
        let reach = if settled { RANGE_REACH * self.deviation(signal) } else { f64::INFINITY };
        let met = if reach > 0.0 { self.mean[signal] + apart.clamp(-reach, reach) } else { value };
        self.low[signal] = self.low[signal].min(met);
        self.high[signal] = self.high[signal].max(met);
        let deviation = self.deviation(signal);
        // A signal that never moved has no deviation; its first move is as odd as can be.
        let deviations =
            if apart == 0.0 { 0.0 } else { (apart / deviation).clamp(-EVIDENCE_MAX, EVIDENCE_MAX) };
        if settled {
            apart = apart.clamp(-self.winsor * deviation, self.winsor * deviation);
        }
        self.mean[signal] += gain * apart;
        self.variance[signal] = (1.0 - gain) * (self.variance[signal] + gain * apart * apart);
        deviations
    }
}

/// How each signal usually is over the day, in deviations of its level.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Day {
    /// `SLOTS` means and visits a signal, signal after signal.
    mean: Vec<f32>,
    visits: Vec<u8>,
    /// Of the visit that goes on.
    sum: Vec<f64>,
    samples: Vec<u32>,
    slot: usize,
}

/// Where in the day a row is.
#[derive(Clone, Copy)]
struct Place {
    slot: usize,
    before: usize,
    after: usize,
    /// Weight of `after`.
    share: f64,
}

impl Place {
    fn of(second_of_day: u32) -> Self {
        let slots = f64::from(second_of_day) / DAY_SECONDS * SLOTS as f64;
        let from_middle = slots - 0.5;
        let before = libm::floor(from_middle);
        let wrap = |slot: f64| (slot as i64).rem_euclid(SLOTS as i64) as usize;
        Place {
            slot: (slots as usize).min(SLOTS - 1),
            before: wrap(before),
            after: wrap(before + 1.0),
            share: from_middle - before,
        }
    }
}

impl Day {
    fn resize(&mut self, signals: usize) {
        self.mean.resize(signals * SLOTS, 0.0);
        self.visits.resize(signals * SLOTS, 0);
        self.sum.resize(signals, 0.0);
        self.samples.resize(signals, 0);
    }

    fn forget(&mut self, signal: usize) {
        self.visits[signal * SLOTS..(signal + 1) * SLOTS].fill(0);
        (self.sum[signal], self.samples[signal]) = (0.0, 0);
    }

    /// Ends the visit to the slot before, once another begins.
    fn enter(&mut self, place: Place) {
        if place.slot == self.slot {
            return;
        }
        for signal in 0..self.sum.len() {
            if self.samples[signal] > 0 {
                let (index, mean) =
                    (signal * SLOTS + self.slot, self.sum[signal] / f64::from(self.samples[signal]));
                let visits = f64::from(self.visits[index]);
                let mut apart = mean - f64::from(self.mean[index]);
                if visits >= VISITS_SURE {
                    apart = apart.clamp(-VISIT_STEP_MAX, VISIT_STEP_MAX);
                }
                self.mean[index] += ((1.0 / (visits + 1.0)).max(1.0 / VISITS) * apart) as f32;
                self.visits[index] = self.visits[index].saturating_add(1);
            }
            (self.sum[signal], self.samples[signal]) = (0.0, 0);
        }
        self.slot = place.slot;
    }

    /// What `level` adds to what is usual now; 0 where nothing is known.
    fn residual(&mut self, signal: usize, place: Place, level: f64, learn: bool) -> f64 {
        if learn {
            self.sum[signal] += level;
            self.samples[signal] += 1;
        }
        let at = |slot: usize| {
            (f64::from(self.mean[signal * SLOTS + slot]), self.visits[signal * SLOTS + slot] > 0)
        };
        let (here, known) = at(place.slot);
        let ((before, one), (after, other)) = (at(place.before), at(place.after));
        match (known, one && other) {
            (false, _) => 0.0,
            (true, true) => level - ((1.0 - place.share) * before + place.share * after),
            (true, false) => level - here,
        }
    }
}

/// How odd a row is, in natural logarithms of mean squares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stir {
    pub unrest: f64,
    pub afterglow: f64,
}

/// The energies of one entity's signals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Energies {
    difference: Standard,
    level: Standard,
    residual: Standard,
    day: Day,
    /// The last value of each signal; NaN before there is one.
    last: Vec<f64>,
    /// The first two samples of each, and how many there were.
    opening: Vec<[f64; 2]>,
    met: Vec<u8>,
    /// Mean square of the level of late, and the mean residual of late.
    used_to: Vec<f64>,
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
            day: Day::default(),
            last: Vec::new(),
            opening: Vec::new(),
            met: Vec::new(),
            used_to: Vec::new(),
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
        self.day.resize(signals);
        self.last.resize(signals, f64::NAN);
        self.opening.resize(signals, [0.0; 2]);
        self.met.resize(signals, 0);
        self.used_to.resize(signals, 0.0);
        self.reference.resize(signals, 0.0);
    }

    /// Forgets a signal: another takes its column.
    pub fn forget(&mut self, signal: usize) {
        self.day.forget(signal);
        self.last[signal] = f64::NAN;
        self.met[signal] = 0;
    }

    /// Scores one row of raw values, a signal each (what is not finite is missing), against the rows before it; then
    /// learns from it where `learn` says so.
    pub fn step(&mut self, tick: &Tick, values: &[f64], learn: impl Fn(usize) -> bool) -> Stir {
        let now = tick.at.seconds();
        let (since, gap) = self.pass(now);
        let first = 1.0 / self.rows as f64;
        let gains = Gains {
            memory: first.max(since / MEMORY_SECONDS),
            habit: (since / HABIT_SECONDS).min(1.0).max(first),
            reference: (since / REFERENCE_SECONDS).min(1.0),
            settled: now - self.begin_seconds > WARM_SECONDS,
        };
        let place = Place::of(tick.local_second_of_day);
        self.day.enter(place);
        let (mut squares, mut seen) = ([0.0; 3], 0.0);
        for (signal, &value) in values.iter().enumerate().take(self.last.len()) {
            if value.is_finite() {
                let learn = learn(signal);
                let signal_squares =
                    self.signal(signal, value, place, if learn { gains } else { gains.none() }, gap, learn);
                for (sum, square) in squares.iter_mut().zip(signal_squares) {
                    *sum += square;
                }
                seen += 1.0;
            }
        }
        self.stir(squares.map(|sum| sum / f64::max(seen, 1.0)), since)
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
            (self.used_to[signal], self.reference[signal]) = (0.0, 0.0);
        }
        let mut squares = [0.0; 3];
        if !last.is_nan() && !gap {
            squares[0] =
                self.difference.deviations(signal, value - last, gains.memory, gains.settled).powi(2);
        }
        let level = self.level.deviations(signal, value, gains.memory, gains.settled);
        squares[2] = level * level / (1.0 + self.used_to[signal]).sqrt();
        self.used_to[signal] += gains.habit * (level * level - self.used_to[signal]);

        let residual = self.day.residual(signal, place, level.clamp(-PROFILE_MAX, PROFILE_MAX), learn);
        let fast = residual - self.reference[signal];
        self.reference[signal] += gains.reference * fast;
        squares[1] = self.residual.deviations(signal, fast, gains.memory, gains.settled).powi(2);
        squares
    }

    fn stir(&mut self, [difference, residual, level]: [f64; 3], since: f64) -> Stir {
        self.smooth += (since / SMOOTH_SECONDS).min(1.0) * (difference - self.smooth);
        let energies = [self.smooth, residual, LEVEL_WEIGHT * level].map(libm::log1p);
        let fade = libm::exp(-since / HOLD_SECONDS);
        for (held, energy) in self.held.iter_mut().zip(energies) {
            *held = energy.max(*held * fade);
        }
        let held: f64 = self.held.iter().sum();
        self.slow += (since / SLOW_SECONDS).min(1.0) * (held - self.slow);
        Stir { unrest: energies.iter().sum(), afterglow: held + SLOW_WEIGHT * self.slow }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Timestamp;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    const CADENCE_SECONDS: i64 = 300;
    const DAY_ROWS: usize = 288;

    fn tick(n: usize) -> Tick {
        let second = n as i64 * CADENCE_SECONDS;
        Tick {
            at: Timestamp(second * 1_000),
            cadence_seconds: CADENCE_SECONDS as u32,
            local_second_of_day: (second % 86_400) as u32,
            local_weekday: (second / 86_400 % 7) as u8,
        }
    }

    /// The unrest of each row of `signals` signals, whose value comes of row, signal and noise.
    fn unrest(signals: usize, rows: usize, value: impl Fn(usize, usize, f64) -> f64) -> Vec<Stir> {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(5);
        let mut energies = Energies::new();
        energies.grow(signals);
        let mut row = |n| (0..signals).map(|s| value(n, s, rng.sample(StandardNormal))).collect::<Vec<f64>>();
        (0..rows).map(|n| energies.step(&tick(n), &row(n), |_| true)).collect()
    }

    /// A busy day, a quiet night.
    fn day(n: usize) -> f64 {
        10.0 * (n as f64 / DAY_ROWS as f64 * std::f64::consts::TAU).sin()
    }

    fn most(stirs: &[Stir]) -> f64 {
        stirs.iter().map(|stir| stir.unrest).fold(0.0, f64::max)
    }

    #[test]
    fn sees_a_jump_a_missed_day_and_a_little_in_many_signals() {
        let quiet = |n: usize, s: usize, z: f64| day(n) + s as f64 + z;
        let at = 8 * DAY_ROWS + 72;
        let calm = most(&unrest(8, 2_600, quiet)[4 * DAY_ROWS..]);
        let jump = unrest(8, 2_600, |n, s, z| quiet(n, s, z) + if s == 3 && n >= at { 60.0 } else { 0.0 });
        assert!(most(&jump[at..]) > 1.3 * calm, "{} {calm}", most(&jump[at..]));
        let missed = unrest(8, 2_600, |n, s, z| {
            if (at..at + 36).contains(&n) { quiet(n, s, z) - 1.8 * day(n) } else { quiet(n, s, z) }
        });
        assert!(most(&missed[at..]) > 1.3 * calm, "{} {calm}", most(&missed[at..]));
        let many = unrest(8, 2_600, |n, s, z| quiet(n, s, z) + if n == at { 7.0 } else { 0.0 });
        assert!(most(&many[at..]) > 1.3 * calm, "{} {calm}", most(&many[at..]));
    }

    #[test]
    fn afterglow_holds_for_an_hour_what_unrest_forgets_at_once() {
        let stirs = unrest(1, 1_500, |n, _, z| z + if n == 1_200 { 40.0 } else { 0.0 });
        assert!(stirs[1_210].unrest < 0.5 * stirs[1_200].unrest);
        assert!(stirs[1_203].afterglow > 0.7 * stirs[1_200].afterglow);
        assert!(stirs[1_290].afterglow < 0.5 * stirs[1_200].afterglow);
    }

    #[test]
    fn the_unit_does_not_matter_and_a_constant_is_no_unrest() {
        let small = unrest(2, 900, |_, s, z| z + s as f64);
        let large = unrest(2, 900, |_, s, z| 1e12 + 1e6 * (z + s as f64));
        for (a, b) in small.iter().zip(&large) {
            assert!((a.unrest - b.unrest).abs() < 1e-3, "{a:?} {b:?}");
        }
        assert!(unrest(3, 900, |_, _, _| 7.0).iter().all(|stir| stir.unrest == 0.0));
    }

    #[test]
    fn a_missing_signal_is_no_evidence_and_what_is_not_learnt_changes_nothing_usual() {
        let stirs = unrest(2, 900, |n, s, z| if s == 1 && n > 500 { f64::NAN } else { z });
        assert!(most(&stirs[501..]) < 6.0);
        let mut energies = Energies::new();
        energies.grow(1);
        for n in 0..600 {
            energies.step(&tick(n), &[(n % 7) as f64], |_| true);
        }
        let usual = energies.level.clone();
        for n in 600..700 {
            energies.step(&tick(n), &[90.0], |_| false);
        }
        assert_eq!((energies.level.mean, energies.level.variance), (usual.mean, usual.variance));
    }

    #[test]
    fn a_forgotten_signal_starts_anew() {
        let mut energies = Energies::new();
        energies.grow(1);
        (0..600).for_each(|n| {
            energies.step(&tick(n), &[(n % 7) as f64], |_| true);
        });
        energies.forget(0);
        let first = energies.step(&tick(600), &[1e9], |_| true);
        let then = energies.step(&tick(601), &[1e9], |_| true);
        assert!(first.unrest < 2.0 && then.unrest < 2.0, "{first:?} {then:?}");
    }
}
