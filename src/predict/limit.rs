//! Time to a hard limit: a line through the leg that a signal is on, and an 80 % interval.
//!
//! A signal is kept at five paces, each eight times the one before: 32 points a pace, so that a queue that
//! fills within minutes and a disk that fills within weeks are both seen. A coarse point is the floor of
//! eight finer ones, which makes a saw-tooth (garbage collection, log rotation) a plain line.
//!
//! A climb is a trend only if its line stands out of its scatter *and* it has outgrown the climbs that came back before, in
//! the last weeks: the rising tooth of a saw is neither news nor a forecast. The highest of `n` climbs of a random walk is
//! passed by the next `n` now and then; its double, in one of `n` times. On legs of minutes it is the climb beyond what
//! the hour expects that has to: a morning is no trend, and what wanders comes back. `is_new_ground` tells a rise that the
//! last days have not seen from the morning of a working day.
//! Blind to: a limit reached by one jump; a first tooth, before any has come back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::line::Line;
use super::pack::Direction;
use crate::sample::Timestamp;

const PACES: usize = 5;
const PACE_RATIO: u32 = 8;
const POINTS: usize = 32;
/// Sizes of a leg that are tried, from the newest point back.
const LEGS: [usize; 6] = [6, 8, 12, 16, 24, 32];
/// Points of a pace before it may speak.
const POINTS_MIN: u32 = 12;
/// Samples before anything may be said: a tracker that has just begun has seen no climb come back.
const SAMPLES_MIN: u32 = 64;
/// A climb counts once it is this much higher than those that came back.
const OUTGROWN: f64 = 2.0;
/// The height of the usual climb is half forgotten after this.
const HALF_LIFE_SECONDS: f64 = 21.0 * 86_400.0;
/// Once days are known, a climb teaches at most so many times what was usual: a leak that a restart ended is told
/// again when it comes again, and a weekly job is soon usual.
const TEACHES_TIMES: f64 = 2.0;
/// The paces of minutes.
const SHORT_PACES: usize = 2;
/// A line is drawn no further than this many times the leg it stands on.
const REACH: f64 = 20.0;
/// And one of minutes no further than that, unless its climb leaves the usual ones far below.
const SHORT_REACH: f64 = 8.0;
const SURE: f64 = 5.0;

/// The pace whose points are compared between days: floors of 64 samples, which no tooth of a saw reaches.
const DAILY_PACE: usize = 2;
/// Days that are compared with: a week, since Mondays are like Mondays.
const DAYS: usize = 7;
const DAY_MS: i64 = 86_400_000;
/// No ordinary rise of load lasts longer.
const MORNING_MS: i64 = 8 * 3_600_000;

/// When a limit will be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeToLimit {
    pub at: Timestamp,
    /// The 80 % interval.
    pub earliest: Timestamp,
    pub latest: Timestamp,
}

/// The recent past of one signal, towards its limit. 2.6 kB at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitTracker {
    hurts: Direction,
    samples: u32,
    newest: Option<(Timestamp, f64)>,
    paces: Vec<Pace>,
    days: Days,
}

/// How high each of the last days went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Days {
    /// Of whole days that are over, oldest first.
    tops: VecDeque<f64>,
    /// Number and height of the day under way, and whether it was seen from its beginning.
    today: Option<(i64, f64, bool)>,
    began: Option<Timestamp>,
    newest: f64,
}

impl Days {
    fn take(&mut self, at: Timestamp, height: f64) {
        let day = at.0.div_euclid(DAY_MS);
        self.newest = height;
        self.began.get_or_insert(at);
        match &mut self.today {
            Some((today, top, _)) if *today == day => *top = top.max(height),
            over => {
                let (top, whole) = over.map_or((height, false), |(_, top, whole)| (top, whole));
                if whole {
                    self.tops.push_back(top);
                }
                if self.tops.len() > DAYS {
                    self.tops.pop_front();
                }
                *over = Some((day, height, over.is_some()));
            }
        }
    }

    fn is_new_ground(&self) -> bool {
        self.tops.iter().all(|top| self.newest > *top)
    }
}

/// One value, or the floor of several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    at: Timestamp,
    height: f64,
    /// Above what was expected then.
    beyond: f64,
}

/// Heights are kept so that up hurts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pace {
    points: VecDeque<(Timestamp, f64)>,
    /// Points ever taken.
    taken: u32,
    /// Lowest of the points since the last one given to the next pace.
    floor: Option<Point>,
    climb: Climb,
}

/// The climb under way, and how high climbs get that come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Climb {
    foot: f64,
    top: f64,
    usual: f64,
    at: Option<Timestamp>,
}

impl Climb {
    fn take(&mut self, at: Timestamp, height: f64, is_settled: bool) {
        let Some(before) = self.at.replace(at) else {
            (self.foot, self.top) = (height, height);
            return;
        };
        self.usual *= libm::exp2(-(at.since(before) as f64) / 1000.0 / HALF_LIFE_SECONDS);
        self.top = self.top.max(height);
        let climbed = self.top - self.foot;
        if self.top - height > 0.5 * climbed {
            let taught = if is_settled { climbed.min(TEACHES_TIMES * self.usual) } else { climbed };
            self.usual = taught.max(self.usual);
            (self.foot, self.top) = (height, height);
        }
        self.foot = self.foot.min(height);
    }

    /// Whether it is so many times as high as those that came back.
    fn outgrows(&self, times: f64) -> bool {
        self.top - self.foot > times * self.usual
    }
}

impl Pace {
    /// Takes a point; every eighth time gives the floor of the last eight.
    fn take(&mut self, point: Point, is_short: bool, is_settled: bool) -> Option<Point> {
        self.climb.take(point.at, if is_short { point.beyond } else { point.height }, is_settled);
        self.taken = self.taken.wrapping_add(1);
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((point.at, point.height));
        self.floor = self.floor.filter(|floor| floor.height <= point.height).or(Some(point));
        if self.taken.is_multiple_of(PACE_RATIO) { self.floor.take() } else { None }
    }

    fn forecast(&self, now: Timestamp, limit: f64, is_short: bool) -> Option<TimeToLimit> {
        if self.taken < POINTS_MIN || !self.climb.outgrows(OUTGROWN) {
            return None;
        }
        let points: Vec<(f64, f64)> =
            self.points.iter().map(|(at, height)| (at.since(now) as f64 / 1000.0, *height)).collect();
        let (line, shorter, length) = leg(&points)?;
        let (at, [mut earliest, mut latest]) = line.reaches(limit)?;
        // Where a leg began is as uncertain as its slope: the interval holds that of the shorter leg too.
        if let Some((_, [early, late])) = shorter.reaches(limit) {
            earliest = earliest.min(early);
            latest = latest.max(late);
        }
        let reach = if is_short && !self.climb.outgrows(SURE) { SHORT_REACH } else { REACH };
        if line.slope <= 0.0 || !line.is_trend() || at > reach * length {
            return None;
        }
        // A whole second is as exact as this can be; nothing is forecast for the past.
        let moment = |seconds: f64| now.plus_ms(seconds.max(0.0).round().min(1e12) as i64 * 1000);
        Some(TimeToLimit { at: moment(at), earliest: moment(earliest), latest: moment(latest) })
    }
}

/// The lines through the newest points, over as many as lie on one and over the next fewer, and the length
/// of the longer.
fn leg(points: &[(f64, f64)]) -> Option<(Line, Line, f64)> {
    let tail = |size: usize| points.len().checked_sub(size).map(|first| &points[first..]);
    let mut newest = tail(LEGS[0])?;
    let mut line = Line::through(newest)?;
    let mut shorter = line;
    for size in &LEGS[1..] {
        let Some(longer) = tail(*size) else { break };
        if !line.continues(&longer[..size - newest.len()]) {
            break;
        }
        newest = longer;
        shorter = line;
        line = Line::through(newest)?;
    }
    Some((line, shorter, newest.last()?.0 - newest.first()?.0))
}

impl LimitTracker {
    pub fn new(hurts: Direction) -> Self {
        LimitTracker { hurts, samples: 0, newest: None, paces: vec![Pace::default()], days: Days::default() }
    }

    /// Takes one sample, and what was expected then, as far as that is known; times grow, and values that are not
    /// finite are passed over.
    pub fn push(&mut self, at: Timestamp, value: f64, expected: f64) {
        if !value.is_finite() || self.newest.is_some_and(|(newest, _)| at <= newest) {
            return;
        }
        self.samples = self.samples.saturating_add(1);
        let height = self.height(value);
        let beyond = if expected.is_finite() { height - self.height(expected) } else { height };
        self.newest = Some((at, height));
        let is_settled = !self.days.tops.is_empty();
        let mut point = Some(Point { at, height, beyond });
        for place in 0..PACES {
            let Some(taken) = point else { return };
            if place == self.paces.len() {
                self.paces.push(Pace::default());
            }
            if place == DAILY_PACE {
                self.days.take(taken.at, taken.height);
            }
            point = self.paces[place].take(taken, place < SHORT_PACES, is_settled);
        }
    }

    /// Whether the signal lies nearer to its limit than on any of the last days. Before the first whole day
    /// a rise cannot be told from a rhythm, so it must have gone on for longer than a morning, and never
    /// have come back.
    pub fn is_new_ground(&self) -> bool {
        if !self.days.tops.is_empty() {
            return self.days.is_new_ground();
        }
        let never_came_back = self.paces.get(DAILY_PACE).is_some_and(|pace| pace.climb.usual == 0.0);
        let seen_ms = self.days.began.zip(self.newest).map_or(0, |(began, (newest, _))| newest.since(began));
        never_came_back && seen_ms >= MORNING_MS
    }

    /// When the signal reaches `limit` if it goes on as it does; `None` says that there is no trend
    /// towards it. A limit already reached is reached at the newest sample.
    pub fn forecast(&self, limit: f64) -> Option<TimeToLimit> {
        let (now, height) = self.newest?;
        if height >= self.height(limit) {
            return Some(TimeToLimit { at: now, earliest: now, latest: now });
        }
        if self.samples < SAMPLES_MIN {
            return None;
        }
        let mut paces = self.paces.iter().enumerate();
        paces.find_map(|(place, pace)| pace.forecast(now, self.height(limit), place < SHORT_PACES))
    }

    /// Whether the newest sample is at the limit or beyond.
    pub fn is_reached(&self, limit: f64) -> bool {
        self.newest.is_some_and(|(_, height)| height >= self.height(limit))
    }

    pub fn newest_at(&self) -> Option<Timestamp> {
        self.newest.map(|(at, _)| at)
    }

    fn height(&self, value: f64) -> f64 {
        match self.hurts {
            Direction::Up => value,
            Direction::Down => -value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, Normal};
    use rand_pcg::Pcg64;
    use rand_pcg::rand_core::SeedableRng;

    const STEP_MS: i64 = 15_000;

    /// A tracker that has seen `values`, one each 15 s.
    fn seen(hurts: Direction, values: impl IntoIterator<Item = f64>) -> LimitTracker {
        let mut tracker = LimitTracker::new(hurts);
        for (i, value) in (1..).zip(values) {
            tracker.push(Timestamp(i * STEP_MS), value, f64::NAN);
        }
        tracker
    }

    fn noise(seed: u64, sd: f64) -> impl FnMut() -> f64 {
        let mut random = Pcg64::seed_from_u64(seed);
        move || Normal::new(0.0, sd).unwrap().sample(&mut random)
    }

    /// Minutes from the newest sample to the limit.
    fn minutes(tracker: &LimitTracker, limit: f64) -> Option<f64> {
        let time = tracker.forecast(limit)?;
        Some(time.at.since(tracker.newest_at()?) as f64 / 60_000.0)
    }

    #[test]
    fn a_ramp_after_a_long_calm_is_seen_within_two_minutes() {
        let mut e = noise(1, 2.0);
        let values = (0..1000).map(|i| 30.0 + 10.0 * f64::from((i - 992).max(0)) + e());
        let left = minutes(&seen(Direction::Up, values), 1000.0).unwrap();
        // 900 left at 40 a minute.
        assert!((20.0..25.0).contains(&left), "{left}");
    }

    #[test]
    fn what_falls_may_hurt_too() {
        let left = minutes(&seen(Direction::Down, (0..200).map(|i| 1e12 - 1e9 * f64::from(i))), 0.0).unwrap();
        assert!((left - 801.0 * 0.25).abs() < 0.1, "{left}");
    }

    #[test]
    fn noise_and_constants_have_no_trend() {
        let mut spoke = 0;
        for seed in 0..50 {
            let mut e = noise(seed, 5.0);
            let mut tracker = LimitTracker::new(Direction::Up);
            for i in 1..2000 {
                tracker.push(Timestamp(i * STEP_MS), 50.0 + e(), f64::NAN);
                spoke += u32::from(tracker.forecast(100.0).is_some());
            }
        }
        // A forecast has to hold three times before it is told of.
        assert!(spoke < 100, "{spoke} of 100,000");
        assert_eq!(seen(Direction::Up, vec![7.0; 3000]).forecast(8.0), None);
    }

    #[test]
    fn the_rising_tooth_of_a_saw_is_no_trend() {
        // A heap collected every 50 values, at 90 % of its limit.
        let mut tracker = LimitTracker::new(Direction::Up);
        for i in 1..6000 {
            tracker.push(Timestamp(i * STEP_MS), 4e9 + 1e8 * (i % 50) as f64, f64::NAN);
            assert!(i < 128 || tracker.forecast(1e10).is_none(), "at {i}");
        }
    }

    #[test]
    fn the_floor_of_a_saw_that_leaks_is_the_trend() {
        let leak = (0..6000).map(|i| 4e9 + 1e7 * f64::from(i % 50) + 4e5 * f64::from(i));
        let left = minutes(&seen(Direction::Up, leak), 1e10).unwrap();
        // The floor is at 6.4e9 and rises by 1.6e6 a minute.
        assert!((left - 2250.0).abs() < 120.0, "{left}");
    }

    #[test]
    fn a_slow_disk_is_seen_over_weeks() {
        // A fortnight at 15 s, rotation at midnight takes back two thirds of what a day writes.
        let day = 5760.0;
        let free = (0..80_640).map(|i| {
            let days = f64::from(i) / day;
            1e12 - 3e9 * days.fract() - 1e9 * days.floor()
        });
        let days = minutes(&seen(Direction::Down, free), 9e11).unwrap() / 1440.0;
        assert!((70.0..100.0).contains(&days), "{days}");
    }

    #[test]
    fn the_interval_holds_what_comes_about_four_times_in_five() {
        for slope in [2.0, 4.0, 8.0] {
            // A ramp no higher than the noise climbs by itself is none.
            for length in [10, 24, 80].into_iter().filter(|length| slope * *length as f64 >= 40.0) {
                let (mut held, mut told) = (0.0, 0.0);
                for seed in 0..200 {
                    let mut e = noise(seed, 4.0);
                    let course = |i: i64| 50.0 + slope * (i - 300).max(0) as f64;
                    let mut tracker = LimitTracker::new(Direction::Up);
                    for i in 1..=300 + length {
                        tracker.push(Timestamp(i * STEP_MS), course(i) + e(), f64::NAN);
                    }
                    // The limit is three times as far away as the ramp is long.
                    let limit = course(300 + 4 * length);
                    let Some(time) = tracker.forecast(limit) else { continue };
                    let reached = (301 + length..).find(|&i| course(i) + e() >= limit).unwrap();
                    told += 1.0;
                    held += f64::from((time.earliest.0..=time.latest.0).contains(&(reached * STEP_MS)));
                }
                assert!(told > 100.0, "{slope} {length}: {told}");
                assert!((0.70..0.92).contains(&(held / told)), "{slope} {length}: {held} of {told}");
            }
        }
    }

    #[test]
    fn a_limit_that_is_reached_is_reached_now() {
        let tracker = seen(Direction::Up, (0..10).map(f64::from));
        let now = tracker.newest_at().unwrap();
        assert_eq!(tracker.forecast(9.0), Some(TimeToLimit { at: now, earliest: now, latest: now }));
        assert!(tracker.is_reached(9.0) && !tracker.is_reached(9.5));
        assert_eq!(LimitTracker::new(Direction::Up).forecast(0.0), None);
    }

    #[test]
    fn what_is_no_sample_changes_nothing() {
        let mut tracker = seen(Direction::Up, (0..100).map(f64::from));
        let before = tracker.clone();
        let now = tracker.newest_at().unwrap();
        tracker.push(now, 5.0, f64::NAN);
        tracker.push(now.plus_ms(-1), 5.0, f64::NAN);
        tracker.push(now.plus_ms(1), f64::NAN, f64::NAN);
        tracker.push(now.plus_ms(1), f64::INFINITY, f64::NAN);
        assert_eq!(tracker, before);
    }

    #[test]
    fn saved_and_loaded_it_goes_on_as_if_never_stopped() {
        let mut e = noise(3, 1.0);
        let mut tracker = seen(Direction::Up, (0..700).map(|i| f64::from(i) + e()));
        let bytes = postcard::to_stdvec(&tracker).unwrap();
        let mut loaded: LimitTracker = postcard::from_bytes(&bytes).unwrap();
        for i in 701..1000 {
            let value = i as f64 + e();
            tracker.push(Timestamp(i * STEP_MS), value, f64::NAN);
            loaded.push(Timestamp(i * STEP_MS), value, f64::NAN);
        }
        assert_eq!(loaded, tracker);
        assert_eq!(loaded.forecast(5000.0), tracker.forecast(5000.0));
    }

    /// Five days of a rhythm between 40 and 120, then a sixth that also rises by `extra` an hour.
    fn after_days(extra: f64) -> LimitTracker {
        let mut tracker = LimitTracker::new(Direction::Up);
        for minute in 0..(5 * 1440 + 700) {
            let hour = f64::from(minute) / 60.0;
            let rhythm = 80.0 + 40.0 * (hour * std::f64::consts::TAU / 24.0).sin();
            let leak = extra * (hour - 120.0).max(0.0);
            tracker.push(Timestamp(i64::from(minute) * 60_000), rhythm + leak, f64::NAN);
        }
        tracker
    }

    #[test]
    fn the_rise_of_an_ordinary_day_is_no_new_ground_and_a_leak_is() {
        assert!(!after_days(0.0).is_new_ground());
        assert!(after_days(10.0).is_new_ground());
    }

    #[test]
    fn on_the_first_day_only_a_long_climb_that_never_came_back_is_new_ground() {
        let after = |minutes: i32, course: fn(i32) -> i32| {
            let mut tracker = LimitTracker::new(Direction::Up);
            for minute in 0..minutes {
                tracker.push(Timestamp(i64::from(minute) * 60_000), f64::from(course(minute)), f64::NAN);
            }
            tracker.is_new_ground()
        };
        assert!(!after(400, |minute| minute));
        assert!(after(800, |minute| minute));
        assert!(!after(1400, |minute| minute % 600));
    }
}
