//! When users will feel it: measured, where a signal is on its way to where they do; else as long after its first sign as
//! such faults take.
//!
//! How long a fault takes is spread evenly over the logarithm of the time; eight of ten lie between the shortest and the
//! longest that its pack gives. Where no fault stands out, each that it may be counts as it is probable and as it would not
//! have been felt by now: the forecast is their mixture, and comes where together they are as probable as a fault has to be
//! to be named. A fault known by nothing but a sign that others show as well has no part in that.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::brown_out::{Ahead, BrownOuts};
use super::case::{FAULT_PROBABILITY, is_named};
use super::event::{BrownOut, Prediction};
use super::mover::Track;
use super::watch::Watches;
use super::{House, View, explain};
use crate::predict::limit::TimeToLimit;
use crate::predict::pack::{Fault, Limit};
use crate::predict::service_levels::ServiceLevels;
use crate::predict::signals::SignalRef;
use crate::predict::signature::Ranked;
use crate::sample::Timestamp;
use crate::series::registry::EntityId;

/// The 80 % interval and its middle.
const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];
/// Less is no lead.
const SHORTEST_SECONDS: f64 = 60.0;
/// What lies beyond the shortest, and beyond the longest: a tenth, an eighth of what lies between.
const BEYOND: f64 = 0.125;
/// What takes longer than such faults do may go on for half as long again.
const OVERDUE: f64 = 1.5;
/// And is so unlikely to be such a fault at all, at most.
const OVERDUE_LEAST: f64 = 0.05;
/// Faults less probable have no part in a forecast.
const PART_LEAST: f64 = 0.02;
/// Halvings of the time in which a quantile is looked for.
const HALVINGS: usize = 40;

/// What is foreseen of a case.
#[derive(Clone, Debug, Default)]
pub(super) struct Foreseen {
    pub prediction: Option<Prediction>,
    /// It was measured, and is not only how such faults go.
    pub is_measured: bool,
    /// Users feel by now what the named fault does to them.
    pub felt: bool,
    /// Of which faults it is foretold, where none is named: their places, and how probable each is; the weightiest first.
    pub causes: Vec<(usize, f64)>,
    /// What is used of what users accept who will feel it.
    pub brown_out: Option<BrownOut>,
}

type Machines<'t> = BTreeMap<EntityId, &'t Arc<str>>;

/// What is to be told of the time to come.
pub(super) fn foresee(
    house: &House,
    (watches, brown_outs): (&Watches, &BrownOuts),
    view: &impl View,
    now: Timestamp,
    story: &[&Track],
    ranked: &[Ranked],
) -> Foreseen {
    let machines: Machines = story.iter().map(|t| (t.entity, &t.entity_name)).collect();
    let mut foreseen = when_felt(house, watches, view, now, (story, &machines), ranked);
    let named = ranked.first().filter(|_| is_named(ranked)).map(|top| top.fault);
    let fault = named.or(foreseen.causes.first().map(|(fault, _)| *fault));
    if let Some((prediction, fault)) = foreseen.prediction.as_ref().zip(fault) {
        let typical = (!foreseen.is_measured).then_some(prediction.impact_at);
        let ahead = Ahead { fault: &house.table.faults()[fault], machines: &machines, typical };
        foreseen.brown_out = brown_outs.foretold(house, watches, view, now, &ahead);
    }
    foreseen
}

/// When users feel it. Where nothing says that, when a mover reaches its own limit.
fn when_felt(
    house: &House,
    watches: &Watches,
    view: &impl View,
    now: Timestamp,
    (story, entities): (&[&Track], &Machines),
    ranked: &[Ranked],
) -> Foreseen {
    let named = ranked.first().filter(|_| is_named(ranked)).map(|top| &house.table.faults()[top.fault]);
    let promised = &house.settings.service_levels;
    let impact = named.and_then(|fault| {
        let times = fault.impact.iter().flat_map(|impact| {
            let on = move |(entity, name): (&EntityId, &&Arc<str>)| {
                Some((watches.impact(house, promised, view, (*entity, name), impact)?, (*name).clone()))
            };
            entities.iter().filter_map(on)
        });
        let (time, entity) = times.min_by_key(|(time, _)| time.at)?;
        Some((time, promised.felt(house.table, fault, [&*entity])))
    });
    let felt = impact.as_ref().is_some_and(|(time, _)| time.at <= now);
    let limit = || {
        let limits = story.iter().filter(|track| track.heads.is_some()).filter_map(|track| {
            let signal = track.signal?;
            let time = watches.forecast(house, view, track.entity, signal.signal, None)?;
            Some((time, reached(house, signal)?))
        });
        limits.min_by_key(|(time, _)| time.at)
    };
    let told = |(time, what): (TimeToLimit, String)| Prediction {
        impact_at: time.at,
        earliest: time.earliest,
        latest: time.latest,
        what,
    };
    // A limit that is measured says more than how several faults go, and less than how the one does that is named.
    let typical = typical(house.table.faults(), ranked, now);
    let measured = impact.or_else(|| limit().filter(|_| named.is_none() || typical.is_none()));
    if let Some(measured) = measured {
        return Foreseen { prediction: Some(told(measured)), is_measured: true, felt, ..Foreseen::default() };
    }
    let Some(Typical { time, causes }) = typical else { return Foreseen::default() };
    // How long a fault takes is told of the pack's own levels, so these are what it says.
    let what = causes
        .first()
        .map(|(fault, _)| ServiceLevels::default().felt(house.table, &house.table.faults()[*fault], []));
    let causes = if named.is_some() { Vec::new() } else { causes };
    Foreseen { prediction: what.map(|what| told((time, what))), causes, ..Foreseen::default() }
}

/// What is foretold by how such faults go.
#[derive(Clone, Debug)]
struct Typical {
    time: TimeToLimit,
    /// The faults that have part in it and how probable they are, the weightiest first.
    causes: Vec<(usize, f64)>,
}

/// How long one fault takes in all, from now on: `from` to `to` seconds after its first sign.
#[derive(Clone, Copy, Debug)]
struct Course {
    share: f64,
    since: Timestamp,
    from: f64,
    to: f64,
}

impl Course {
    fn new(probability: f64, since: Timestamp, (shortest, longest): (f64, f64), now: Timestamp) -> Self {
        let shortest = shortest.max(SHORTEST_SECONDS);
        let longest = longest.max(shortest);
        let beyond = libm::pow(longest / shortest, BEYOND);
        let (shortest, longest) = (shortest / beyond, longest * beyond);
        let elapsed = now.since(since) as f64 / 1000.0;
        let (from, to) = (shortest.max(elapsed), longest.max(OVERDUE * elapsed));
        // What such faults have mostly hurt by now is hardly one of them.
        let unfelt = match elapsed > shortest && longest > shortest {
            true => (libm::log(longest / from) / libm::log(longest / shortest)).max(OVERDUE_LEAST),
            false => 1.0,
        };
        Course { share: probability * unfelt, since, from, to }
    }

    /// How probably it has been felt by a time.
    fn felt_by(&self, at: Timestamp) -> f64 {
        let seconds = at.since(self.since) as f64 / 1000.0;
        if seconds <= self.from {
            0.0
        } else if seconds >= self.to {
            1.0
        } else {
            libm::log(seconds / self.from) / libm::log(self.to / self.from)
        }
    }

    fn end(&self) -> Timestamp {
        self.since.plus_ms((self.to * 1000.0) as i64)
    }
}

/// When users feel what it may be, if it goes as such faults go and has not been felt by now.
fn typical(faults: &[Fault], ranked: &[Ranked], now: Timestamp) -> Option<Typical> {
    let is_part = |r: &&Ranked| r.is_founded && r.probability >= PART_LEAST;
    let parts: Vec<&Ranked> = match ranked.first().filter(|_| is_named(ranked)) {
        Some(named) => vec![named],
        None => ranked.iter().filter(is_part).collect(),
    };
    let courses = parts.into_iter().filter_map(|r| {
        let course = Course::new(r.probability, r.since, faults[r.fault].lead_seconds?, now);
        Some((course, (r.fault, r.probability)))
    });
    let mut courses: Vec<(Course, (usize, f64))> = courses.collect();
    courses.sort_by(|(a, _), (b, _)| b.share.total_cmp(&a.share));
    let (courses, causes): (Vec<Course>, Vec<(usize, f64)>) = courses.into_iter().unzip();
    if causes.iter().map(|(_, probability)| probability).sum::<f64>() < FAULT_PROBABILITY {
        return None;
    }
    let [earliest, at, latest] = QUANTILES.map(|share| quantile(&courses, share, now));
    Some(Typical { time: TimeToLimit { at, earliest, latest }, causes })
}

/// The time after `now` by which users feel it with this probability.
fn quantile(courses: &[Course], share: f64, now: Timestamp) -> Timestamp {
    let all: f64 = courses.iter().map(|course| course.share).sum();
    let felt_by = |at| courses.iter().map(|course| course.share * course.felt_by(at)).sum::<f64>();
    let (mut low, mut high) = (now, courses.iter().map(Course::end).max().unwrap_or(now));
    for _ in 0..HALVINGS {
        let middle = low.plus_ms(high.since(low) / 2);
        if felt_by(middle) < share * all {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

fn reached(house: &House, signal: SignalRef) -> Option<String> {
    let meaning = house.table.signal(signal);
    Some(match meaning.limit.as_ref()? {
        Limit::Value(value) => {
            format!("{} reaches {}", meaning.reads, explain::quantity(*value, &meaning.unit))
        }
        Limit::Share { of, share } => format!("{} reaches {:.0} % of {of}", meaning.reads, share * 100.0),
        Limit::Due => format!("{} comes", meaning.reads),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::pack::builtins;
    use crate::predict::signals::SignalTable;

    const NOW: Timestamp = Timestamp(0);

    fn minutes(courses: &[Course]) -> [f64; 3] {
        QUANTILES.map(|share| quantile(courses, share, NOW).since(NOW) as f64 / 60_000.0)
    }

    fn course(share: f64, begun_minutes_ago: i64, from: f64, to: f64) -> Course {
        Course::new(share, NOW.plus_ms(-60_000 * begun_minutes_ago), (60.0 * from, 60.0 * to), NOW)
    }

    fn near(got: [f64; 3], want: [f64; 3]) {
        let is_near = got.iter().zip(want).all(|(got, want)| (got - want).abs() < 0.01 * want);
        assert!(is_near, "{got:?} for {want:?}");
    }

    #[test]
    fn a_fault_takes_as_long_as_its_kind_by_the_logarithm() {
        near(minutes(&[course(0.7, 0, 10.0, 1000.0)]), [10.0, 100.0, 1000.0]);
    }

    #[test]
    fn what_has_lasted_has_less_before_it_and_is_never_past() {
        // The longest takes a quarter of a power of ten longer than 1000 minutes, and 100 have gone.
        let way = |share: f64| 100.0 * 10.0_f64.powf(1.25 * share) - 100.0;
        near(minutes(&[course(0.7, 100, 10.0, 1000.0)]), [way(0.1), way(0.5), way(0.9)]);
        // Longer than any: half as long again.
        let overdue = minutes(&[course(0.7, 2000, 10.0, 1000.0)]);
        near(overdue, [2000.0 * (1.5_f64.powf(0.1) - 1.0), 449.49, 2000.0 * (1.5_f64.powf(0.9) - 1.0)]);
    }

    #[test]
    fn two_faults_mix_as_they_are_probable_and_not_yet_felt() {
        let (fast, slow) = (course(0.5, 0, 1.0, 10.0), course(0.5, 0, 100.0, 1000.0));
        let [earliest, middle, latest] = minutes(&[fast, slow]);
        // A fifth of the fast one's way, and four fifths of the slow one's, which begin an eighth before.
        near([earliest, 1.0, latest], [10.0_f64.powf(0.125), 1.0, 100.0 * 10.0_f64.powf(0.875)]);
        // The fast one is over, or the slow one about to begin.
        assert!((13.0..75.1).contains(&middle), "{middle}");
        // After 50 minutes it is no fast one, or nearly so.
        let [earliest, middle, _] = minutes(&[course(0.5, 50, 1.0, 10.0), course(0.5, 50, 100.0, 1000.0)]);
        assert!(earliest > 20.0 && middle > 200.0, "{earliest} {middle}");
    }
    /// The fault whose end is foretold of faults that are so probable, and known by a sign of their own or not.
    fn told(parts: &[(&str, f64, bool)]) -> Option<String> {
        let table = SignalTable::new(&builtins());
        let ranked = |(name, probability, is_founded): &(&str, f64, bool)| Ranked {
            fault: table.faults().iter().position(|fault| fault.name == *name).unwrap(),
            probability: *probability,
            signs: vec![0],
            is_founded: *is_founded,
            reaches_service: true,
            telltale: Vec::new(),
            root: 0,
            since: NOW,
        };
        let ranked: Vec<Ranked> = parts.iter().map(ranked).collect();
        let told = typical(table.faults(), &ranked, NOW)?;
        Some(table.faults()[told.causes[0].0].name.clone())
    }

    #[test]
    fn several_faults_together_foretell_what_the_likeliest_does() {
        assert_eq!(
            told(&[("heap_leak", 0.35, true), ("heap_burst", 0.2, true)]).as_deref(),
            Some("heap_leak")
        );
        assert_eq!(told(&[("heap_leak", 0.3, true), ("heap_burst", 0.15, true)]), None, "too unsure");
        assert_eq!(
            told(&[("heap_leak", 0.35, false), ("heap_burst", 0.2, false)]),
            None,
            "any may show that"
        );
        assert_eq!(told(&[("slow_lmtp", 0.55, false)]).as_deref(), Some("slow_lmtp"), "it is named");
        assert_eq!(told(&[("node_loss", 0.6, true), ("slow_lmtp", 0.3, true)]), None, "it is felt at once");
    }

    #[test]
    fn what_would_have_been_felt_by_now_is_not_foretold() {
        let table = SignalTable::new(&builtins());
        let ranked = |name: &str, probability| Ranked {
            fault: table.faults().iter().position(|fault| fault.name == name).unwrap(),
            probability,
            signs: vec![0],
            is_founded: true,
            reaches_service: true,
            telltale: Vec::new(),
            root: 0,
            since: NOW.plus_ms(-10 * 3_600_000),
        };
        let told = |scanner| {
            typical(table.faults(), &[ranked("clamd_stuck", scanner), ranked("heap_leak", 0.2)], NOW).unwrap()
        };
        // Ten hours after: no scanner takes that long, and a leak has its time before it.
        assert_eq!(table.faults()[told(0.45).causes[0].0].name, "heap_leak");
        let named = told(0.6);
        assert_eq!(named.causes.len(), 1, "what is named is told of nothing else");
        assert!(named.time.at.since(NOW) < 5 * 3_600_000);
    }
}
