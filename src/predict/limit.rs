//! Time to a hard limit: a line through the leg that a signal is on, and an 80 % interval.
//!
//! A signal is kept at five paces, each eight times the one before: 32 points a pace, so that a queue that
//! fills within minutes and a disk that fills within weeks are both seen. A coarse point is the floor of
//! eight finer ones, which makes a saw-tooth (garbage collection, log rotation) a plain line.
//!
//! A climb is a trend only if its line stands out of its scatter *and* it has outgrown the climbs that came
//! back before: the rising tooth of a saw, and the morning of a working day, are neither news nor a forecast.
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
const OUTGROWN: f64 = 1.5;
/// What is left of the usual climb's height after another has come back.
const FADE: f64 = 0.95;
/// A line is drawn no further than this many times the leg it stands on.
const REACH: f64 = 20.0;

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
}

/// Heights are kept so that up hurts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pace {
    points: VecDeque<(Timestamp, f64)>,
    /// Points ever taken.
    taken: u32,
    /// Lowest of the points since the last one given to the next pace.
    floor: Option<(Timestamp, f64)>,
    climb: Climb,
}

/// The climb under way, and how high climbs get that come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Climb {
    foot: f64,
    top: f64,
    usual: f64,
}

impl Climb {
    fn take(&mut self, height: f64, first: bool) {
        if first {
            *self = Climb { foot: height, top: height, usual: 0.0 };
        }
        self.top = self.top.max(height);
        let climbed = self.top - self.foot;
        if self.top - height > 0.5 * climbed {
            self.usual = climbed.max(self.usual * FADE);
            (self.foot, self.top) = (height, height);
        }
        self.foot = self.foot.min(height);
    }

    fn is_outgrown(&self) -> bool {
        self.top - self.foot > OUTGROWN * self.usual
    }
}

impl Pace {
    /// Takes a point; every eighth time gives the floor of the last eight.
    fn take(&mut self, point: (Timestamp, f64)) -> Option<(Timestamp, f64)> {
        self.climb.take(point.1, self.taken == 0);
        self.taken = self.taken.wrapping_add(1);
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
        self.floor = self.floor.filter(|floor| floor.1 <= point.1).or(Some(point));
        if self.taken.is_multiple_of(PACE_RATIO) { self.floor.take() } else { None }
    }

    fn forecast(&self, now: Timestamp, limit: f64) -> Option<TimeToLimit> {
        if self.taken < POINTS_MIN || !self.climb.is_outgrown() {
            return None;
        }
        let points: Vec<(f64, f64)> =
            self.points.iter().map(|(at, height)| (at.since(now) as f64 / 1000.0, *height)).collect();
        let leg = leg(&points)?;
        let line = Line::through(leg)?;
        let (at, [earliest, latest]) = line.reaches(limit)?;
        let length = leg.last()?.0 - leg.first()?.0;
        if line.slope <= 0.0 || !line.is_trend() || at > REACH * length {
            return None;
        }
        // A whole second is as exact as this can be; nothing is forecast for the past.
        let moment = |seconds: f64| now.plus_ms(seconds.max(0.0).round().min(1e12) as i64 * 1000);
        Some(TimeToLimit { at: moment(at), earliest: moment(earliest), latest: moment(latest) })
    }
}

/// The newest points that lie on one line: as many as do, at least the shortest leg.
fn leg(points: &[(f64, f64)]) -> Option<&[(f64, f64)]> {
    let mut found = None;
    for size in LEGS {
        let tail = &points[points.len().checked_sub(size)?..];
        let line = Line::through(tail)?;
        let height = (line.slope * (tail[size - 1].0 - tail[0].0)).abs();
        let near = 4.0 * line.scatter.max(0.02 * height);
        let astray = tail.iter().filter(|p| (p.1 - line.at(p.0)).abs() > near).count();
        if astray > size / 8 {
            return found;
        }
        found = Some(tail);
        if points.len() == size {
            break;
        }
    }
    found
}

impl LimitTracker {
    pub fn new(hurts: Direction) -> Self {
        LimitTracker { hurts, samples: 0, newest: None, paces: vec![Pace::default()] }
    }

    /// Takes one sample; times grow, and values that are not finite are passed over.
    pub fn push(&mut self, at: Timestamp, value: f64) {
        if !value.is_finite() || self.newest.is_some_and(|(newest, _)| at <= newest) {
            return;
        }
        self.samples = self.samples.saturating_add(1);
        let mut point = Some((at, self.height(value)));
        self.newest = point;
        for place in 0..PACES {
            let Some(taken) = point else { return };
            if place == self.paces.len() {
                self.paces.push(Pace::default());
            }
            point = self.paces[place].take(taken);
        }
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
        self.paces.iter().find_map(|pace| pace.forecast(now, self.height(limit)))
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
