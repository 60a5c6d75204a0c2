//! Time to a hard limit: whether a signal climbs to it at all, and the 80 % interval of when it is there.
//!
//! A signal is kept at five paces, each eight times the one before: 32 points a pace, so that a queue that
//! fills within minutes and a disk that fills within weeks are both seen. A coarse point is the floor of
//! eight finer ones, which makes a saw-tooth (garbage collection, log rotation) a plain line.
//!
//! A climb is a trend if its line stands out of its scatter *and* it has outgrown the climbs that came back before, in
//! the last weeks: the rising tooth of a saw is neither news nor a forecast. The highest of `n` climbs of a random walk is
//! passed by the next `n` now and then; its double, in one of `n` times. It is also one once it stands clear above the
//! crests from which the signal came back, wherever its foot was, and goes as `course` knows climbs to go. On legs of
//! minutes that may be the climb beyond what the hour expects: a morning is no trend, and what wanders comes back.
//! Where the detectors already have the signal out of what is usual, it goes as `course` says if it goes at all.
//! `is_new_ground` tells a rise that the last days have not seen from the morning of a working day.
//! When it arrives, and how sure that is, says `course`.
//! Blind to: a limit reached by one jump; a first tooth, before any has come back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::climb::{Beyond, Climb, Days};
use super::course::{Course, course_by_work};
use super::line::Line;
use super::pack::Direction;
use super::rhythm::Work;
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
/// What is clear of all crests is a trend where its course explains so much of what was seen.
const EXPLAINED_MIN: f64 = 0.5;
/// The paces of minutes.
const SHORT_PACES: usize = 2;
/// A line is drawn no further than this many times the leg it stands on.
const REACH: f64 = 20.0;
/// And one of minutes, or through what is just above the crests, no further than that, unless its climb leaves the
/// usual ones far below.
const SHORT_REACH: f64 = 8.0;
const SURE: f64 = 5.0;
/// With fewer points on the climb, the points of the next finer pace are heard too.
const POINTS_ENOUGH: usize = 12;

/// The pace whose points are compared between days: floors of 64 samples, which no tooth of a saw reaches.
const DAILY_PACE: usize = 2;
/// No ordinary rise of load lasts longer.
const MORNING_MS: i64 = 8 * 3_600_000;

/// What is known beside the signal's own past.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The load with which the signal grows.
    pub work: Option<&'a Work>,
    /// The detectors have it out of what is usual. Then it need not have outgrown the climbs that came back, for that
    /// something is wrong is known.
    pub is_odd: bool,
}

/// When a limit will be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeToLimit {
    pub at: Timestamp,
    /// The 80 % interval.
    pub earliest: Timestamp,
    pub latest: Timestamp,
}

/// The recent past of one signal, towards its limit. 3.8 kB at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitTracker {
    hurts: Direction,
    samples: u32,
    newest: Option<(Timestamp, f64)>,
    paces: Vec<Pace>,
    beyond: Beyond,
    days: Days,
}

/// One value, or the floor of several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    at: Timestamp,
    height: f64,
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

impl Pace {
    /// Takes a point; every eighth time gives the floor of the last eight.
    fn take(&mut self, point: Point, is_settled: bool) -> Option<Point> {
        self.climb.take(point.at, point.height, is_settled);
        self.taken = self.taken.wrapping_add(1);
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((point.at, point.height));
        self.floor = self.floor.filter(|floor| floor.height <= point.height).or(Some(point));
        if self.taken.is_multiple_of(PACE_RATIO) { self.floor.take() } else { None }
    }

    /// The points up to now: behind those that the finer pace has given, floors of eight of the points it holds.
    fn history(&self, finer: Option<&Pace>) -> Vec<(Timestamp, f64)> {
        let Some(finer) = finer else { return self.points.iter().copied().collect() };
        let begin = finer.points.front().map_or(Timestamp(i64::MAX), |(at, _)| *at);
        let mut history: Vec<_> = self.points.iter().copied().filter(|(at, _)| *at < begin).collect();
        let block = PACE_RATIO as usize;
        let fine: Vec<_> = finer.points.iter().copied().collect();
        // Blocks overlap by half, and the last one ends now.
        for first in (fine.len() % (block / 2)..fine.len()).step_by(block / 2) {
            let Some(block) = fine.get(first..first + block) else { break };
            let floor = block.iter().copied().reduce(|low, next| if next.1 < low.1 { next } else { low });
            history.extend(floor.filter(|(at, _)| history.last().is_none_or(|(last, _)| last < at)));
        }
        history
    }
}

/// A pace, what lies beyond the expected at it, and the pace that feeds it.
struct Sight<'a> {
    pace: &'a Pace,
    beyond: Option<&'a Climb>,
    is_beyond: bool,
    finer: Option<&'a Pace>,
    is_short: bool,
    /// Whether a day is known: before that a crest is only the highest so far.
    is_settled: bool,
}

impl Sight<'_> {
    fn forecast(&self, now: Timestamp, limit: f64, known: Known) -> Option<TimeToLimit> {
        if self.pace.taken < POINTS_MIN {
            return None;
        }
        let history = self.pace.history(self.finer);
        let climb = &self.pace.climb;
        let is_clear = match self.finer {
            None => climb.is_clear(),
            Some(_) => history.last().is_some_and(|(_, height)| climb.is_below(*height)),
        };
        let is_clear = self.is_settled && (is_clear || self.is_beyond || known.is_odd);
        let rhythm = self.beyond.unwrap_or(climb);
        let from_now = |points: &mut dyn Iterator<Item = (Timestamp, f64)>| -> Vec<(f64, f64)> {
            points.map(|(at, height)| (at.since(now) as f64 / 1000.0, height)).collect()
        };
        let line = if rhythm.outgrows(OUTGROWN) {
            leg(&from_now(&mut self.pace.points.iter().copied()))
                .filter(|(line, _)| line.slope > 0.0 && line.is_trend())
        } else {
            None
        };
        if line.is_none() && !is_clear {
            return None;
        }
        let points = from_now(&mut history.into_iter());
        let mut course: Course = course_by_work(&points, limit, now, known.work)?;
        let climbing = points.iter().filter(|(at, _)| *at > -course.gone_seconds).count();
        if let Some(finer) = self.finer.filter(|_| climbing < POINTS_ENOUGH)
            && let Some(nearer) =
                course_by_work(&from_now(&mut finer.points.iter().copied()), limit, now, known.work)
        {
            course.join(nearer);
        }
        let reach = if self.is_short && !rhythm.outgrows(SURE) { SHORT_REACH } else { REACH };
        let by_line = line.is_some_and(|(_, length)| course.is_within(reach * length));
        let by_course = is_clear
            && course.explained >= EXPLAINED_MIN
            && course.is_within(SHORT_REACH * course.gone_seconds);
        if !by_line && !by_course {
            return None;
        }
        let [earliest, at, latest] = course.quantiles();
        // A whole second is as exact as this can be.
        let moment = |seconds: f64| now.plus_ms(seconds.round().min(1e12) as i64 * 1000);
        Some(TimeToLimit { at: moment(at), earliest: moment(earliest), latest: moment(latest) })
    }
}

/// The line through the newest points, over as many as lie on one, and its length.
fn leg(points: &[(f64, f64)]) -> Option<(Line, f64)> {
    let tail = |size: usize| points.len().checked_sub(size).map(|first| &points[first..]);
    let mut newest = tail(LEGS[0])?;
    let mut line = Line::through(newest)?;
    for size in &LEGS[1..] {
        let Some(longer) = tail(*size) else { break };
        if !line.continues(&longer[..size - newest.len()]) {
            break;
        }
        newest = longer;
        line = Line::through(newest)?;
    }
    Some((line, newest.last()?.0 - newest.first()?.0))
}

impl LimitTracker {
    pub fn new(hurts: Direction) -> Self {
        LimitTracker {
            hurts,
            samples: 0,
            newest: None,
            paces: vec![Pace::default()],
            beyond: Beyond::default(),
            days: Days::default(),
        }
    }

    /// Takes one sample, and what was expected then, as far as that is known; times grow, and values that are not
    /// finite are passed over.
    pub fn push(&mut self, at: Timestamp, value: f64, expected: f64) {
        if !value.is_finite() || self.newest.is_some_and(|(newest, _)| at <= newest) {
            return;
        }
        self.samples = self.samples.saturating_add(1);
        let height = self.height(value);
        self.newest = Some((at, height));
        let is_settled = !self.days.tops.is_empty();
        if expected.is_finite() {
            self.beyond.take(at, height - self.height(expected), is_settled);
        }
        let mut point = Some(Point { at, height });
        for place in 0..PACES {
            let Some(taken) = point else { return };
            if place == self.paces.len() {
                self.paces.push(Pace::default());
            }
            if place == DAILY_PACE {
                self.days.take(taken.at, taken.height);
            }
            point = self.paces[place].take(taken, is_settled);
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
    pub fn forecast(&self, limit: f64, known: Known) -> Option<TimeToLimit> {
        let (now, height) = self.newest?;
        if height >= self.height(limit) {
            return Some(TimeToLimit { at: now, earliest: now, latest: now });
        }
        if self.samples < SAMPLES_MIN {
            return None;
        }
        let sure = self.first_sight(now, limit, Known { is_odd: false, ..known });
        sure.or_else(|| self.first_sight(now, limit, known).filter(|_| known.is_odd))
    }

    /// What the finest pace that has something to say says.
    fn first_sight(&self, now: Timestamp, limit: f64, known: Known) -> Option<TimeToLimit> {
        let beyond = self.beyond.known(now);
        (0..self.paces.len()).find_map(|place| {
            let sight = Sight {
                pace: &self.paces[place],
                beyond: beyond.and_then(|beyond| beyond.climb(place)),
                is_beyond: beyond.is_some_and(|beyond| beyond.is_clear(place)),
                finer: place.checked_sub(1).map(|place| &self.paces[place]),
                is_short: place < SHORT_PACES,
                is_settled: !self.days.tops.is_empty(),
            };
            sight.forecast(now, self.height(limit), known)
        })
    }

    /// In how many seconds it would be at a limit at the steepest pace between two samples of the last minutes: never, where it
    /// did not climb at all. `None` where little is known.
    pub fn at_steepest_seconds(&self, limit: f64) -> Option<f64> {
        let points = &self.paces[0].points;
        let (_, height) = self.newest.filter(|_| points.len() >= POINTS_MIN as usize)?;
        let slope = |((from, low), (to, high)): (&(Timestamp, f64), &(Timestamp, f64))| {
            (high - low) / (to.since(*from) as f64 / 1000.0)
        };
        let steepest = points.iter().zip(points.iter().skip(1)).map(slope).fold(0.0, f64::max);
        let left = self.height(limit) - height;
        Some(if left > 0.0 { left / steepest } else { 0.0 })
    }

    /// Whether the newest sample is at the limit or beyond.
    pub fn is_reached(&self, limit: f64) -> bool {
        self.newest.is_some_and(|(_, height)| height >= self.height(limit))
    }

    pub fn newest_at(&self) -> Option<Timestamp> {
        self.newest.map(|(at, _)| at)
    }

    fn height(&self, value: f64) -> f64 {
        self.hurts.height(value)
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

    #[test]
    fn the_steepest_of_late_bounds_the_time_to_a_limit() {
        // Ten a step, and once forty.
        let values = |steps: i32| (0..steps).map(|i| f64::from(1_000 - 10 * i - if i > 20 { 30 } else { 0 }));
        let at_least = |tracker: LimitTracker| tracker.at_steepest_seconds(0.0);
        assert_eq!(seen(Direction::Up, values(31)).at_steepest_seconds(2_000.0), Some(f64::INFINITY));
        assert_eq!(at_least(seen(Direction::Down, values(31))), Some(670.0 / 40.0 * 15.0));
        assert_eq!(at_least(seen(Direction::Down, values(80))), Some(180.0 / 10.0 * 15.0), "forgotten");
        assert_eq!(at_least(seen(Direction::Up, values(31))), Some(0.0), "it is there");
        assert_eq!(at_least(seen(Direction::Down, values(5))), None);
    }

    /// Minutes from the newest sample to the limit.
    fn minutes(tracker: &LimitTracker, limit: f64) -> Option<f64> {
        let time = tracker.forecast(limit, Known::default())?;
        Some(time.at.since(tracker.newest_at()?) as f64 / 60_000.0)
    }

    #[test]
    fn what_goes_away_from_nothing_arrives_on_either_side() {
        let drift = |side: f64| seen(Direction::Away, (0..400).map(move |i| side * 0.5 * f64::from(i)));
        for side in [1.0, -1.0] {
            let left = minutes(&drift(side), 300.0).unwrap();
            assert!((45.0..56.0).contains(&left), "{side}: {left}, and in truth 50.25");
        }
    }

    #[test]
    fn a_ramp_after_a_long_calm_is_seen_within_two_minutes() {
        let mut e = noise(1, 2.0);
        let values = (0..1000).map(|i| 30.0 + 10.0 * f64::from((i - 992).max(0)) + e());
        let tracker = seen(Direction::Up, values);
        let time = tracker.forecast(1000.0, Known::default()).unwrap();
        let left = |at: Timestamp| at.since(tracker.newest_at().unwrap()) as f64 / 60_000.0;
        // 900 left at 40 a minute, after two minutes of it: sooner if it goes on faster and faster.
        assert!((14.0..30.0).contains(&left(time.at)), "{time:?}");
        assert!(left(time.earliest) < 22.5 && 22.5 < left(time.latest), "{time:?}");
    }

    #[test]
    fn what_falls_may_hurt_too() {
        let left = minutes(&seen(Direction::Down, (0..200).map(|i| 1e12 - 1e9 * f64::from(i))), 0.0).unwrap();
        assert!((left / (801.0 * 0.25) - 1.0).abs() < 0.03, "{left}");
    }

    #[test]
    fn noise_and_constants_have_no_trend() {
        let mut spoke = 0;
        for seed in 0..50 {
            let mut e = noise(seed, 5.0);
            let mut tracker = LimitTracker::new(Direction::Up);
            for i in 1..2000 {
                tracker.push(Timestamp(i * STEP_MS), 50.0 + e(), f64::NAN);
                spoke += u32::from(tracker.forecast(100.0, Known::default()).is_some());
            }
        }
        // A forecast has to hold three times before it is told of.
        assert!(spoke < 100, "{spoke} of 100,000");
        assert_eq!(seen(Direction::Up, vec![7.0; 3000]).forecast(8.0, Known::default()), None);
    }

    #[test]
    fn the_rising_tooth_of_a_saw_is_no_trend() {
        // A heap collected every 50 values, at 90 % of its limit.
        let mut tracker = LimitTracker::new(Direction::Up);
        for i in 1..6000 {
            tracker.push(Timestamp(i * STEP_MS), 4e9 + 1e8 * (i % 50) as f64, f64::NAN);
            assert!(i < 128 || tracker.forecast(1e10, Known::default()).is_none(), "at {i}");
        }
    }

    #[test]
    fn what_is_clear_of_all_crests_is_a_trend_though_higher_climbs_came_back() {
        // Connections that a restart drops each night: the climb back to the usual 100 is higher than the storm's.
        let mut e = noise(4, 1.0);
        let day = 5760;
        let usual = |i: i64| if i % day < 200 { (i % day) as f64 / 2.0 } else { 100.0 };
        let storm = |i: i64| (i - 3 * day - 3000).max(0) as f64;
        let values = (0..3 * day + 3000 + 40).map(|i| usual(i) + storm(i) + e());
        let left = minutes(&seen(Direction::Up, values), 180.0).unwrap();
        // 40 left at four a minute.
        assert!((8.0..12.0).contains(&left), "{left}");
        let calm = (0..3 * day + 3000).map(|i| usual(i) + e());
        assert_eq!(seen(Direction::Up, calm).forecast(180.0, Known::default()), None);
    }

    #[test]
    fn what_the_detectors_have_is_told_though_as_much_came_back_before() {
        // A newsletter fills the queue once a day to a good part of its limit; then it fills for another reason.
        let mut e = noise(5, 1.0);
        let day = 5760;
        let newsletter = |i: i64| 300.0 - 20.0 * (i % day - 2000).abs().min(15) as f64;
        let fault = |i: i64| 10.0 * (i - 3 * day - 4000).max(0) as f64;
        let values = (0..3 * day + 4020).map(|i| newsletter(i) + fault(i) + e());
        let tracker = seen(Direction::Up, values);
        assert_eq!(tracker.forecast(1000.0, Known::default()), None);
        let told = tracker.forecast(1000.0, Known { is_odd: true, ..Known::default() }).unwrap();
        // 800 left at 40 a minute.
        let left = told.at.since(tracker.newest_at().unwrap()) as f64 / 60_000.0;
        assert!((10.0..25.0).contains(&left), "{left}");
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

    /// A calm, then a climb of `length` values to half of the way in time: faster and faster or slower and slower, at a
    /// speed that wanders, under noise. Gives the course from its beginning to its end and what was seen.
    fn climb(seed: u64) -> (Vec<f64>, LimitTracker) {
        let mut e = noise(seed, 1.0);
        let bend = (0.3 * e()).exp().clamp(0.5, 2.0);
        let length = (40.0 * (0.9 * e()).exp()).clamp(8.0, 400.0) as usize;
        let noise = 0.02 * (0.7 * e()).exp();
        let mut speed = 0.0;
        let mut heights = vec![0.0; 1];
        for i in 1..=2 * length {
            let share = |i: usize| (i as f64 / length as f64 / 2.0).powf(bend);
            // Faster or slower by a quarter, for a third of the way.
            let keeps = (-3.0 / (2.0 * length as f64)).exp();
            speed = speed * keeps + 0.25 * (1.0 - keeps * keeps).sqrt() * e();
            heights.push(heights[i - 1] + (share(i) - share(i - 1)) * speed.exp());
        }
        let calm = std::iter::repeat_n(0.0, 12_000);
        let values: Vec<f64> =
            calm.chain(heights[..=length].iter().copied()).map(|height| height + noise * e()).collect();
        (heights, seen(Direction::Up, values))
    }

    #[test]
    fn the_interval_holds_what_comes_about_four_times_in_five() {
        let (mut held, mut widths) = (0.0, Vec::new());
        for seed in 0..300 {
            let (heights, tracker) = climb(seed);
            let (now, left) = (tracker.newest_at().unwrap(), (heights.len() / 2) as i64 * STEP_MS);
            let Some(time) = tracker.forecast(heights[heights.len() - 1], Known::default()) else {
                widths.push(f64::INFINITY);
                continue;
            };
            held += f64::from((time.earliest..=time.latest).contains(&now.plus_ms(left)));
            widths.push(time.latest.since(time.earliest) as f64 / left as f64);
        }
        widths.sort_by(f64::total_cmp);
        println!("held {held} of 300, median width {} of what is left", widths[150]);
        assert!((0.73..0.87).contains(&(held / 300.0)), "{held} of 300");
        assert!(widths[150] <= 1.0, "{}", widths[150]);
    }

    #[test]
    fn a_limit_that_is_reached_is_reached_now() {
        let tracker = seen(Direction::Up, (0..10).map(f64::from));
        let now = tracker.newest_at().unwrap();
        assert_eq!(
            tracker.forecast(9.0, Known::default()),
            Some(TimeToLimit { at: now, earliest: now, latest: now })
        );
        assert!(tracker.is_reached(9.0) && !tracker.is_reached(9.5));
        assert_eq!(LimitTracker::new(Direction::Up).forecast(0.0, Known::default()), None);
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
        assert_eq!(loaded.forecast(5000.0, Known::default()), tracker.forecast(5000.0, Known::default()));
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
