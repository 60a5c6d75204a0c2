//! When a climb reaches a height: all courses that it may be on, each weighed by how well it fits.
//!
//! A course is flat, begins somewhere and then grows with a power of the time since: slower and slower, evenly, or
//! faster and faster. No one of them is chosen: each tells when it arrives and how sure it is, and the answer is the
//! mixture of all (Hoeting, Madigan, Raftery, Volinsky: Bayesian model averaging, Statistical Science 14, 1999).
//! So the interval holds what the scatter about one line does not know: that speeds change.
//! Cost: thirty thousand products, eight or nine at a time, and a logarithm or two for each course that is likely; callers
//! ask only where something climbs.

use std::array::from_fn;

use libm::{exp, log};
use multiversion::multiversion;

use super::rhythm::Work;
use crate::sample::Timestamp;

/// Powers of time in eighths, which square roots and products give: `grown_since`.
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
/// As nats, and what the likeliest bend has before the others.
const UNLIKELY: f64 = 16.0;
/// Arrivals are sorted into so many sixteenths of octaves before the last; those that come sooner share the first bin.
const BINS: usize = 256;
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

/// What is seen of a climb.
struct Seen {
    /// Seconds from now, and height above the mean.
    points: Vec<(f64, f64)>,
    mean: f64,
    length: f64,
    /// A miss that says nothing against a course, squared.
    rough: f64,
}

/// The courses from one beginning, least squares for each bend: `foot + times * grown` is the height above the mean.
struct Fits {
    start: f64,
    times: Lanes,
    foot: Lanes,
    grown_mean: Lanes,
    spread: Lanes,
    /// The squares of all misses.
    missed: Lanes,
}

/// What `points` (seconds from now, height), oldest first, say about reaching `height`. `None` where none of them
/// climbs to it.
pub fn course(points: &[(f64, f64)], height: f64) -> Option<Course> {
    let seen = Seen::new(points)?;
    let above = height - seen.mean;
    let mut grown = Vec::with_capacity(points.len());
    let fits: Vec<Fits> = seen.starts().map(|start| fit(&seen, start, &mut grown)).collect();
    let arrives = |fits: &Fits, lane: usize| fits.times[lane] > 0.0 && above > fits.foot[lane];
    let ways = fits.iter().flat_map(|fits| (0..BENDS).map(move |lane| (fits, lane)));
    let ways: Vec<(&Fits, usize)> = ways.filter(|(fits, lane)| arrives(fits, *lane)).collect();
    let missed = |(fits, lane): &(&Fits, usize)| fits.missed[*lane];
    let best = ways.iter().copied().reduce(|a, b| if missed(&b) < missed(&a) { b } else { a })?;
    let n = points.len() as f64;
    let variance = |way: &(&Fits, usize)| missed(way) / n + seen.rough;
    let alike = seen.alike(best);
    let one_in = POINTS_ALIKE.max((1.0 + alike) / (1.0 - alike));
    // A course that misses by so much more than the best is not likely, whatever its bend.
    let most = variance(&best) * exp(2.0 * UNLIKELY * one_in / n);
    let odd = BENDS_EIGHTHS.map(|eighths| log(f64::from(eighths) / 8.0) / BEND_WIDTH);
    let log_weight =
        |way: &(&Fits, usize)| -0.5 * odd[way.1] * odd[way.1] - 0.5 * n * log(variance(way)) / one_in;
    let likely = ways.into_iter().filter(|way| variance(way) <= most);
    let likely: Vec<_> = likely.map(|way| (log_weight(&way), way)).collect();
    let likeliest = likely.iter().map(|(log_weight, _)| *log_weight).reduce(f64::max)?;
    let likely = likely.into_iter().map(|(log_weight, way)| (exp(log_weight - likeliest), way));
    let likely: Vec<_> = likely.filter(|(weight, _)| *weight >= WEIGHT_MIN).collect();
    let total: f64 = likely.iter().map(|(weight, _)| weight).sum();
    // Heights whose squares are beyond f64 say nothing.
    if likely.is_empty() || !total.is_finite() {
        return None;
    }
    let arrive = |(weight, (fits, lane)): &(f64, (&Fits, usize))| {
        let (at, deviation) = seen.arrival(fits, *lane, above);
        let share = weight / total / TENTHS.len() as f64;
        TENTHS.map(|tenth| ((at + tenth * deviation).max(0.0), share))
    };
    Some(Course {
        arrivals: likely.iter().flat_map(arrive).collect(),
        gone_seconds: likely.iter().map(|(weight, (fits, _))| -fits.start * weight / total).sum(),
        explained: 1.0 - missed(&best) / seen.squares(),
        log_likelihood: likeliest + log(total),
    })
}

impl Seen {
    /// `None` where they are too few.
    fn new(points: &[(f64, f64)]) -> Option<Seen> {
        let length = points.last()?.0 - points.first()?.0;
        if points.len() < 4 || length <= 0.0 {
            return None;
        }
        let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64;
        let lowest = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
        let highest = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        let rough = ROUGH * ROUGH * (highest - lowest) * (highest - lowest);
        let points = points.iter().map(|(at, height)| (*at, height - mean)).collect();
        Some(Seen { points, mean, length, rough })
    }

    /// Beginnings that are tried: some before the first point, others between two.
    fn starts(&self) -> impl Iterator<Item = f64> {
        let (points, first) = (&self.points, self.points[0].0);
        let before = STARTS_BEFORE.iter().map(move |lengths| first - lengths * self.length);
        let within = points.windows(2).take(points.len() - 3).step_by((points.len() / STARTS).max(1));
        before.chain(within.map(|pair| 0.5 * (pair[0].0 + pair[1].0)))
    }

    /// When a course is at a height above the mean, and how surely.
    fn arrival(&self, fits: &Fits, lane: usize, above: f64) -> (f64, f64) {
        let (bend, n) = (f64::from(BENDS_EIGHTHS[lane]) / 8.0, self.points.len() as f64);
        let along = (above - fits.foot[lane]) / fits.times[lane];
        let gone = exp(log(along) / bend);
        let at = fits.start + self.length * gone;
        let speed = fits.times[lane] * bend * along / gone / self.length;
        let beyond = along - fits.grown_mean[lane];
        let scatter = fits.missed[lane] / (n - 2.0) + self.rough;
        let variance = scatter * (1.0 + 1.0 / n + beyond * beyond / fits.spread[lane]);
        (at, (variance / (speed * speed) + SPEED_WIDTH * SPEED_WIDTH * at * at).sqrt())
    }

    fn squares(&self) -> f64 {
        self.points.iter().map(|p| p.1 * p.1).sum()
    }

    /// How alike the misses of neighbours are.
    fn alike(&self, (fits, lane): (&Fits, usize)) -> f64 {
        let miss = |&(at, height): &(f64, f64)| {
            let grown = grown_since(fits.start, self.length, at)[lane];
            height - fits.foot[lane] - fits.times[lane] * grown
        };
        let neighbours: f64 = self.points.windows(2).map(|pair| miss(&pair[1]) * miss(&pair[0])).sum();
        let alike = neighbours / (fits.missed[lane] + self.points.len() as f64 * self.rough);
        alike.clamp(0.0, ALIKE_MAX)
    }
}

/// Least squares for each bend, the sums point by point: the same bits with any width of register.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn fit(seen: &Seen, start: f64, grown: &mut Vec<Lanes>) -> Fits {
    let n = seen.points.len() as f64;
    grown.resize(seen.points.len(), [0.0; BENDS]);
    let mut grown_mean = [0.0; BENDS];
    for (grown, (at, _)) in grown.iter_mut().zip(&seen.points) {
        *grown = grown_since(start, seen.length, *at);
        for lane in 0..BENDS {
            grown_mean[lane] += grown[lane];
        }
    }
    for mean in &mut grown_mean {
        *mean /= n;
    }
    let (mut spread, mut both, mut squares) = ([0.0; BENDS], [0.0; BENDS], 0.0);
    for (grown, (_, height)) in grown.iter().zip(&seen.points) {
        squares += height * height;
        for lane in 0..BENDS {
            let away = grown[lane] - grown_mean[lane];
            spread[lane] += away * away;
            both[lane] += away * height;
        }
    }
    let times: Lanes = from_fn(|lane| both[lane] / spread[lane]);
    // The flat part lies at `foot`; and what no course explains is missed.
    let foot = from_fn(|lane| -times[lane] * grown_mean[lane]);
    let missed = from_fn(|lane| (squares - times[lane] * both[lane]).max(0.0));
    Fits { start, times, foot, grown_mean, spread, missed }
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
    let clock = work.at(now);
    let worked: Vec<(f64, f64)> = points.iter().map(|(at, height)| (clock.work(*at), *height)).collect();
    let by_work = course(&worked, height);
    let (mine, its) = match (&by_time, &by_work) {
        (Some(by_time), Some(by_work)) => by_time.shares(by_work),
        (None, Some(_)) => (0.0, 1.0),
        _ => return by_time,
    };
    let by_work = by_work.filter(|_| its >= WEIGHT_MIN).map(|mut course| {
        for (at, _) in &mut course.arrivals {
            // What is there by now comes by work at an instant that rounding may put before it.
            *at = clock.seconds(*at).max(0.0);
        }
        course.gone_seconds = -clock.seconds(-course.gone_seconds);
        course
    });
    match (by_time.filter(|_| mine >= WEIGHT_MIN), by_work) {
        (Some(by_time), Some(by_work)) => Some(by_time.or((mine, its), by_work)),
        (one, other) => one.or(other),
    }
}

/// How far each bend has grown at `at`: 1 one `length` after `start`. By square roots and products, which have the same
/// bits everywhere; `pow` does not promise that.
#[inline(always)]
fn grown_since(start: f64, length: f64, at: f64) -> Lanes {
    let whole = (at - start).max(0.0) / length;
    let half = whole.sqrt();
    let quarter = half.sqrt();
    let eighth = quarter.sqrt();
    let squared = whole * whole;
    [
        eighth * quarter,
        eighth * half,
        quarter * half,
        whole,
        quarter * whole,
        eighth * half * whole,
        squared,
        quarter * half * squared,
        half * whole * squared,
    ]
}

impl Course {
    /// How likely these courses and others through the same points are, if they are as likely before those are seen.
    fn shares(&self, other: &Course) -> (f64, f64) {
        let odds = exp((other.log_likelihood - self.log_likelihood).clamp(-50.0, 50.0));
        (1.0 / (1.0 + odds), odds / (1.0 + odds))
    }

    /// The mixture with others, by these shares.
    fn or(mut self, (mine, its): (f64, f64), mut other: Course) -> Course {
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

    /// Whether it is likelier than not to be there within so many seconds: the second of `quantiles` is no later.
    pub fn is_within(&self, seconds: f64) -> bool {
        let all: f64 = self.arrivals.iter().map(|(_, share)| share).sum();
        let come: f64 =
            self.arrivals.iter().map(|(at, share)| if *at <= seconds { *share } else { 0.0 }).sum();
        come >= 0.5 * all
    }

    /// Seconds from now: one in ten comes before the first, one in two before the second, nine in ten before the third.
    pub fn quantiles(&self) -> [f64; 3] {
        let last = self.arrivals.iter().map(|(at, _)| bin(*at)).max().unwrap_or_default();
        let bin_of = |at: f64| BINS - 1 - ((last - bin(at)) as usize).min(BINS - 1);
        let mut come = [0.0; BINS];
        for (at, share) in &self.arrivals {
            come[bin_of(*at)] += share;
        }
        let total: f64 = come.iter().sum();
        [0.1, 0.5, 0.9].map(|share| {
            let (mut place, mut left) = (0, share * total);
            while place < BINS - 1 && come[place] < left {
                left -= come[place];
                place += 1;
            }
            let mut within: Vec<(f64, f64)> =
                self.arrivals.iter().copied().filter(|(at, _)| bin_of(*at) == place).collect();
            within.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            let mut so_far = 0.0;
            let found = within.iter().find(|(_, share)| {
                so_far += share;
                so_far >= left
            });
            // Where rounding leaves a rest, the last of the bin is meant.
            found.or(within.last()).map_or(f64::INFINITY, |(at, _)| *at)
        })
    }
}

/// Numbers the sixteenths of octaves of times that are not negative, in order: the highest bits of a float.
fn bin(seconds: f64) -> u64 {
    seconds.to_bits() >> 48
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
    fn what_is_all_but_there_by_its_work_is_told_in_order() {
        let mut rhythm = Rhythm::default();
        let start = Timestamp(0);
        // A load that differs by the hour, so that work and time part.
        (0..3 * 1440).for_each(|minute: i64| {
            rhythm.take(start.plus_ms(minute * 60_000), 10.0 + (minute / 60 % 24) as f64);
        });
        let work = rhythm.work().unwrap();
        for minute in (3 * 1440..4 * 1440).step_by(7) {
            let now = start.plus_ms(minute * 60_000);
            let mut points = after_calm(|t| t);
            points.iter_mut().zip(0..).for_each(|(point, i)| point.1 += 9.0 * f64::from(i * 7 % 5 - 2));
            for height in [100.5, 104.0, 112.0] {
                let Some(course) = course_by_work(&points, height, now, Some(&work)) else { continue };
                assert!(course.arrivals.iter().all(|(at, _)| *at >= 0.0), "{minute} {height}");
                let [early, middle, late] = course.quantiles();
                assert!(early <= middle && middle <= late, "{minute} {height}: {early} {middle} {late}");
            }
        }
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
    fn each_bend_grows_with_its_power_of_time() {
        for at in [0.0_f64, 0.3, 1.0, 7.5] {
            let grown = grown_since(10.0, 2.0, 10.0 + 2.0 * at);
            for (grown, eighths) in grown.into_iter().zip(BENDS_EIGHTHS) {
                let want = at.powf(f64::from(eighths) / 8.0);
                assert!((grown - want).abs() <= 1e-12 * want.max(1e-9), "{at}: {eighths}: {grown} {want}");
            }
        }
        assert_eq!(grown_since(10.0, 2.0, 9.0), [0.0; BENDS]);
    }

    #[test]
    fn heights_beyond_all_squares_say_nothing() {
        for unit in [5e-324, 1e-165, 1e153, 1e306] {
            let points: Vec<_> = after_calm(|t| t).iter().map(|(at, height)| (*at, height * unit)).collect();
            if let Some(course) = course(&points, 200.0 * unit) {
                assert!(course.quantiles().iter().all(|at| at.is_finite()), "{unit}");
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_all_arrivals_in_order() {
        for height in [105.0, 200.0, 4000.0] {
            let course = course(&after_calm(|t| t * t), height).unwrap();
            let mut sorted = course.arrivals.clone();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            let total: f64 = sorted.iter().map(|(_, share)| share).sum();
            let come_by = |at: f64| -> f64 { sorted.iter().filter(|(t, _)| *t <= at).map(|(_, s)| s).sum() };
            let come_before =
                |at: f64| -> f64 { sorted.iter().filter(|(t, _)| *t < at).map(|(_, s)| s).sum() };
            for (at, share) in course.quantiles().into_iter().zip([0.1, 0.5, 0.9]) {
                assert!(come_by(at) >= (share - 1e-9) * total, "{height}: {share}");
                assert!(come_before(at) < (share + 1e-9) * total, "{height}: {share}");
            }
            let [_, middle, _] = course.quantiles();
            assert!(course.is_within(1.000001 * middle) && !course.is_within(0.999 * middle), "{height}");
        }
    }

    #[test]
    fn what_falls_or_stands_arrives_never() {
        assert_eq!(course(&after_calm(|t| -t), 200.0), None);
        assert_eq!(course(&after_calm(|_| 0.0), 200.0), None);
        assert_eq!(course(&after_calm(|t| t)[..3], 200.0), None);
        assert_eq!(course(&[], 1.0), None);
    }
}
