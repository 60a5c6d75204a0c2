//! When a climb reaches a height: all courses that it may be on, each weighed by how well it fits.
//!
//! A course is flat, begins somewhere and then grows with a power of the time since: slower and slower, evenly, or
//! faster and faster. No one of them is chosen: each tells when it arrives and how sure it is, and the answer is the
//! mixture of all (Hoeting, Madigan, Raftery, Volinsky: Bayesian model averaging, Statistical Science 14, 1999).
//! So the interval holds what the scatter about one line does not know: that speeds change.
//! Cost: thirty thousand products, nine at a time, and a few hundred logarithms; callers ask only where something climbs.

use std::array::from_fn;

use libm::{exp, log};

use super::rhythm::Work;
use crate::sample::Timestamp;

/// Powers of time in eighths, which square roots and products give.
const BENDS_EIGHTHS: [u32; BENDS] = [3, 5, 6, 8, 10, 13, 16, 22, 28];
const BENDS: usize = 9;
/// The width in logs about 1 of how likely they are before any point is seen.
const BEND_WIDTH: f64 = 0.38;
/// Beginnings before the first point, in lengths of what is seen.
const STARTS_BEFORE: [f64; 3] = [2.0, 0.6, 0.2];
/// Beginnings that are tried within.
const STARTS: usize = 20;
/// No course is exact: a miss of this share of the climb says nothing against it.
const ROUGH: f64 = 0.03;
/// Neighbours miss to the same side: only one point in so many counts against a course, and fewer where those of the
/// best course are alike by more, up to so much.
const POINTS_ALIKE: f64 = 2.5;
const ALIKE_MAX: f64 = 0.8;
/// What is ahead may go faster or slower than any course says, in shares of the time left.
const SPEED_WIDTH: f64 = 0.1;
/// Courses less likely than the best by more are left out.
const WEIGHT_MIN: f64 = 1e-4;
/// Middles of the tenths of a normal distribution.
const TENTHS: [f64; 10] =
    [-1.6449, -1.0364, -0.6745, -0.3853, -0.1257, 0.1257, 0.3853, 0.6745, 1.0364, 1.6449];

/// The mixture of all courses.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// Seconds from now to the height, and how likely.
    arrivals: Vec<(f64, f64)>,
    /// For how long the climb has gone on, in the mean over the courses.
    pub gone_seconds: f64,
    /// The share of the points' variance that the best course explains.
    pub explained: f64,
    /// How likely the points are, over all courses, in nats and but for what is the same for all courses.
    log_likelihood: f64,
}

/// A number for each bend.
type Lanes = [f64; BENDS];

/// One course, when and how surely it arrives.
struct Way {
    misfit: f64,
    log_prior: f64,
    log_weight: f64,
    start: f64,
    at: f64,
    deviation: f64,
}

/// What `points` (seconds from now, height), oldest first, say about reaching `height`. `None` where none of them
/// climbs to it.
pub fn course(points: &[(f64, f64)], height: f64) -> Option<Course> {
    let (first, last) = (points.first()?.0, points.last()?.0);
    let length = last - first;
    if points.len() < 4 || length <= 0.0 {
        return None;
    }
    let n = points.len() as f64;
    let mean = points.iter().map(|p| p.1).sum::<f64>() / n;
    let squares: f64 = points.iter().map(|p| (p.1 - mean) * (p.1 - mean)).sum();
    let lowest = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let highest = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let rough = ROUGH * ROUGH * (highest - lowest) * (highest - lowest);
    let (mut least, mut alike) = (f64::INFINITY, 0.0);
    let (mut ways, mut grown) = (Vec::new(), Vec::with_capacity(points.len()));
    let within = points.windows(2).take(points.len() - 3).step_by((points.len() / STARTS).max(1));
    let within = within.map(|pair| 0.5 * (pair[0].0 + pair[1].0));
    for start in STARTS_BEFORE.iter().map(|lengths| first - lengths * length).chain(within) {
        grown.clear();
        grown.extend(points.iter().map(|p| grown_since(start, length, p.0)));
        let grown_mean = sums(&grown, |lane, i| grown[i][lane]).map(|sum| sum / n);
        let spread =
            sums(&grown, |lane, i| (grown[i][lane] - grown_mean[lane]) * (grown[i][lane] - grown_mean[lane]));
        let both = sums(&grown, |lane, i| (grown[i][lane] - grown_mean[lane]) * (points[i].1 - mean));
        let times: Lanes = from_fn(|lane| both[lane] / spread[lane]);
        // The flat part lies at `foot`.
        let foot: Lanes = from_fn(|lane| mean - times[lane] * grown_mean[lane]);
        let miss = |lane: usize, i: usize| points[i].1 - foot[lane] - times[lane] * grown[i][lane];
        let missed = sums(&grown, |lane, i| miss(lane, i) * miss(lane, i));
        for (lane, eighths) in BENDS_EIGHTHS.into_iter().enumerate() {
            let (bend, times, missed) = (f64::from(eighths) / 8.0, times[lane], missed[lane]);
            // There the course has the height.
            let along = (height - foot[lane]) / times;
            if !(times > 0.0 && along > 0.0) {
                continue;
            }
            if missed < least {
                let neighbours: f64 = (1..points.len()).map(|i| miss(lane, i) * miss(lane, i - 1)).sum();
                (least, alike) = (missed, neighbours / (missed + n * rough));
            }
            let gone = exp(log(along) / bend);
            let at = start + length * gone;
            let speed = times * bend * along / gone / length;
            let beyond = along - grown_mean[lane];
            let variance = (missed / (n - 2.0) + rough) * (1.0 + 1.0 / n + beyond * beyond / spread[lane]);
            let deviation = (variance / (speed * speed) + SPEED_WIDTH * SPEED_WIDTH * at * at).sqrt();
            let odd = log(bend) / BEND_WIDTH;
            let (misfit, log_prior) = (0.5 * n * log(missed / n + rough), -0.5 * odd * odd);
            ways.push(Way { misfit, log_prior, log_weight: 0.0, start, at, deviation });
        }
    }
    let alike = alike.clamp(0.0, ALIKE_MAX);
    let one_in = POINTS_ALIKE.max((1.0 + alike) / (1.0 - alike));
    for way in &mut ways {
        way.log_weight = way.log_prior - way.misfit / one_in;
    }
    let log_weights = ways.iter().map(|way| way.log_weight);
    let best = log_weights.clone().reduce(f64::max)?;
    let log_likelihood = best + log(log_weights.map(|weight| exp(weight - best)).sum());
    mix(&ways).map(|(arrivals, gone_seconds)| Course {
        arrivals,
        gone_seconds,
        explained: 1.0 - least / squares,
        log_likelihood,
    })
}

/// As `course`, where the climb may go with time, or with the work that `work` says is done in a time: the mixture of both,
/// by how likely each makes what was seen.
pub fn course_by_work(
    points: &[(f64, f64)],
    height: f64,
    now: Timestamp,
    work: Option<&Work>,
) -> Option<Course> {
    let by_time = course(points, height);
    let Some(work) = work else { return by_time };
    let worked: Vec<(f64, f64)> = points.iter().map(|(at, height)| (work.of(now, *at), *height)).collect();
    let by_work = course(&worked, height).map(|mut course| {
        for (at, _) in &mut course.arrivals {
            *at = work.seconds(now, *at);
        }
        course.gone_seconds = -work.seconds(now, -course.gone_seconds);
        course
    });
    match (by_time, by_work) {
        (Some(by_time), Some(by_work)) => Some(by_time.or(by_work)),
        (one, other) => one.or(other),
    }
}

/// How far each bend has grown at `at`: 1 one `length` after `start`.
fn grown_since(start: f64, length: f64, at: f64) -> Lanes {
    let whole = (at - start).max(0.0) / length;
    let half = whole.sqrt();
    let quarter = half.sqrt();
    // The same bits everywhere, which `pow` does not promise.
    let powers = [quarter.sqrt(), quarter, half, whole, whole * whole];
    BENDS_EIGHTHS.map(|eighths| {
        let digits = powers.iter().enumerate().filter(|(digit, _)| eighths >> digit & 1 == 1);
        digits.fold(1.0, |grown, (_, power)| grown * power)
    })
}

/// The sum of `term` over all points, bend by bend.
#[inline(always)]
fn sums(grown: &[Lanes], term: impl Fn(usize, usize) -> f64) -> Lanes {
    let mut sums = [0.0; BENDS];
    for i in 0..grown.len() {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(lane, i);
        }
    }
    sums
}

/// When the ways arrive, the weights adding up to 1, and how long ago they began.
fn mix(ways: &[Way]) -> Option<(Vec<(f64, f64)>, f64)> {
    let best = ways.iter().map(|way| way.log_weight).reduce(f64::max)?;
    let likely = ways.iter().map(|way| (exp(way.log_weight - best), way)).filter(|way| way.0 >= WEIGHT_MIN);
    let likely: Vec<(f64, &Way)> = likely.collect();
    let total: f64 = likely.iter().map(|(weight, _)| weight).sum();
    let gone = likely.iter().map(|(weight, way)| -way.start * weight / total).sum();
    let arrive = |(weight, way): &(f64, &Way)| {
        let (share, at, deviation) = (weight / total / TENTHS.len() as f64, way.at, way.deviation);
        TENTHS.map(|tenth| ((at + tenth * deviation).max(0.0), share))
    };
    Some((likely.iter().flat_map(arrive).collect(), gone))
}

impl Course {
    /// The mixture with courses through the same points that are as likely before they are seen.
    fn or(mut self, mut other: Course) -> Course {
        let odds = exp((other.log_likelihood - self.log_likelihood).clamp(-50.0, 50.0));
        let (mine, its) = (1.0 / (1.0 + odds), odds / (1.0 + odds));
        self.arrivals.iter_mut().for_each(|(_, share)| *share *= mine);
        other.arrivals.iter_mut().for_each(|(_, share)| *share *= its);
        self.arrivals.extend(other.arrivals);
        self.gone_seconds = mine * self.gone_seconds + its * other.gone_seconds;
        self.explained = self.explained.max(other.explained);
        self
    }

    /// Takes another view of the same climb for as likely as this one.
    pub fn join(&mut self, other: Course) {
        self.arrivals.extend(other.arrivals);
    }

    /// Seconds from now: one in ten comes before the first, one in two before the second, nine in ten before the third.
    pub fn quantiles(&self) -> [f64; 3] {
        let mut arrivals = self.arrivals.clone();
        let total: f64 = arrivals.iter().map(|(_, share)| share).sum();
        [0.1, 0.5, 0.9].map(|quantile| arrival_at(&mut arrivals, quantile * total))
    }
}

/// The arrival by which `share` of all have come; reorders them. Halves what may hold it until one is left.
fn arrival_at(arrivals: &mut [(f64, f64)], mut share: f64) -> f64 {
    let mut left = arrivals;
    while left.len() > 1 {
        let half = left.len() / 2;
        left.select_nth_unstable_by(half, |a, b| a.0.total_cmp(&b.0));
        let (sooner, later) = left.split_at_mut(half);
        let come: f64 = sooner.iter().map(|(_, share)| share).sum();
        left = if come >= share {
            sooner
        } else {
            share -= come;
            later
        };
    }
    left.first().map_or(f64::INFINITY, |(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::rhythm::Rhythm;

    /// Thirty points up to now, flat for the first ten, then so by the share of the twenty.
    fn after_calm(rise: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let at = |i: i32| f64::from(i - 29) * 15.0;
        (0..30).map(|i| (at(i), 100.0 * rise(f64::from((i - 9).max(0)) / 20.0))).collect()
    }

    #[test]
    fn an_even_climb_arrives_when_it_will() {
        // 300 s gone, as much left.
        let course = course(&after_calm(|t| t), 200.0).unwrap();
        let [early, at, late] = course.quantiles();
        assert!((250.0..350.0).contains(&at), "{at}");
        assert!(early > 200.0 && late < 450.0, "{early} {late}");
        assert!((250.0..350.0).contains(&course.gone_seconds) && course.explained > 0.99, "{course:?}");
    }

    #[test]
    fn what_goes_faster_and_faster_is_here_sooner_than_its_line_says() {
        let at = |rise: fn(f64) -> f64| course(&after_calm(rise), 400.0).unwrap().quantiles();
        // t² reaches four times the height in twice the time; its tangent in 450 s, a line in 900 s.
        let [early, middle, late] = at(|t| t * t);
        assert!(early < 300.0 && 300.0 < late && middle < 400.0, "{early} {middle} {late}");
        let [_, middle, late] = at(|t| t.sqrt());
        assert!(middle > 1200.0 && late > 2000.0, "{middle} {late}");
    }

    #[test]
    fn what_fills_slowly_by_night_is_full_in_the_morning() {
        // From midnight to six by a mail a minute; from eight it will be by ten.
        let hour_ms = 3_600_000;
        let mut rhythm = Rhythm::default();
        for minute in 0..3 * 1440 {
            let load = if (8..20).contains(&(minute / 60 % 24)) { 10.0 } else { 1.0 };
            rhythm.take(Timestamp(minute * 60_000), load);
        }
        let work = rhythm.work().unwrap();
        let now = Timestamp(4 * 24 * hour_ms + 6 * hour_ms);
        let points: Vec<(f64, f64)> =
            (0..32).map(|i| (f64::from(i - 31) * 675.0, f64::from((i - 4).max(0)) * 11.25)).collect();
        // 685 left: 120 by eight, the rest in an hour; at the pace of the night in eleven hours and a half.
        let height = 1000.0;
        let hours = |work| course_by_work(&points, height, now, work).unwrap().quantiles()[1] / 3600.0;
        assert!((10.0..13.0).contains(&hours(None)), "{}", hours(None));
        let [early, _, late] = course_by_work(&points, height, now, Some(&work)).unwrap().quantiles();
        assert!(early < 2.95 * 3600.0 && 2.95 * 3600.0 < late, "{early} {late}");
    }

    #[test]
    fn what_falls_or_stands_arrives_never() {
        assert_eq!(course(&after_calm(|t| -t), 200.0), None);
        assert_eq!(course(&after_calm(|_| 0.0), 200.0), None);
        assert_eq!(course(&after_calm(|t| t)[..3], 200.0), None);
        assert_eq!(course(&[], 1.0), None);
    }
}
