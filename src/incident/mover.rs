//! One series that may be leaving its course: the evidence so far, and whether it has come to rest.
//!
//! Evidence is a sum over values with a drift (Page's CUSUM, 1954): each adds its surprise less 1.2, what is
//! there fades by a twentieth, and it never falls below nothing. Ordinary values (mean surprise 0.43) pull it
//! down, so a lone spike is soon forgotten, while 3.5, 4, 4.5, 5 in a row are decisive.
//! It is kept twice: of the surprises whole, and of their part that no other signal of the entity explains. A host
//! with much to do is odd in twenty series and is one piece of news.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FINDING_SURPRISE_MIN, Finding, Observed};
use crate::detect::Kind;
use crate::predict::pack::Movement;
use crate::predict::signals::SignalRef;
use crate::sample::{Labels, Timestamp};
use crate::series::registry::EntityId;

const DRIFT: f64 = 1.2;
const KEEP: f64 = 0.95;
const SURPRISE_MAX: f32 = 12.0;
/// A value below this is calm.
const CALM_SURPRISE: f32 = 3.0;
/// Between two values at most so much time counts as strayed.
const STRAYED_SECONDS_MAX: f64 = 600.0;
/// A run with less evidence may be a lone odd value.
const RUN_EVIDENCE: f64 = 3.0;
/// From here on a series is part of the story, and stays in it: it strays so far for a minute of two days.
const REAL_RARITY: f64 = 3.5;
/// What is inside of its band and so much nearer to what is expected than before is on its way back, however odd.
const WAY_BACK: f64 = 0.5;
/// Of where a series is lately, the part of the last value.
const LATELY: f64 = 0.25;
/// A value so old says nothing of now.
pub(super) const STALE_MS: i64 = 180_000;

/// Something about all of what is odd about a series, and about the part that is its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    pub whole: f64,
    /// At most as much as the whole.
    pub own: f64,
}

impl Evidence {
    pub fn add(&mut self, other: Evidence) {
        self.whole += other.whole;
        self.own += other.own;
    }

    /// One more value.
    fn take(&mut self, surprise: f64, own: f64) {
        self.whole = (KEEP * self.whole + surprise - DRIFT).max(0.0);
        if self.own > 0.0 || own >= f64::from(FINDING_SURPRISE_MIN) {
            self.own = (KEEP * self.own + own - DRIFT).max(0.0).min(self.whole);
        }
    }
}

/// On the way to a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Heading {
    way: Movement,
    since: Timestamp,
    now: Observed,
}

/// The run of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Track {
    pub labels: Labels,
    pub entity: EntityId,
    pub entity_name: Arc<str>,
    #[serde(skip)]
    pub signal: Option<SignalRef>,
    /// When the run began.
    pub since: Timestamp,
    /// When it became part of the story.
    real_since: Option<Timestamp>,
    /// Nothing speaks for it any more, since it was a run.
    is_at_rest: bool,
    /// Which way it had gone when it last came to rest.
    went: Option<Movement>,
    /// When it strayed anew after that, and the furthest that it has been since.
    anew: Option<(Timestamp, Observed)>,
    /// The value furthest off its course: see `is_worse`.
    pub worst: Observed,
    pub detector: Kind,
    pub evidence: Evidence,
    /// Of the whole.
    pub peak: f64,
    /// How rare the evidence is: see `habit`.
    pub rarity: Evidence,
    /// The most that of the whole has been.
    pub rarity_peak: f64,
    /// For how long there has been evidence, and its integral over that time.
    pub strayed_seconds: Evidence,
    pub evidence_seconds: Evidence,
    /// Values in a row that were calm.
    pub calm: u32,
    /// It has headed for a hard limit.
    pub heads: Option<Heading>,
    /// It does so still.
    pub by_limit: bool,
    /// How far off it has been lately, a mean that forgets: one value says more of noise than of where it is.
    off_lately: f64,
    seen_at: Timestamp,
}

impl Track {
    pub fn begin(finding: &Finding) -> Self {
        let mut track = Track {
            labels: finding.labels.clone(),
            entity: finding.entity,
            entity_name: finding.entity_name.clone(),
            signal: finding.signal,
            since: finding.at,
            real_since: None,
            is_at_rest: false,
            went: None,
            anew: None,
            worst: observed(finding),
            detector: finding.detector,
            evidence: Evidence::default(),
            peak: 0.0,
            rarity: Evidence::default(),
            rarity_peak: 0.0,
            strayed_seconds: Evidence::default(),
            evidence_seconds: Evidence::default(),
            calm: 0,
            heads: None,
            by_limit: false,
            off_lately: off(&observed(finding)),
            seen_at: Timestamp::MIN,
        };
        track.take_finding(finding);
        track
    }

    /// It is known to be part of a story that was told.
    pub fn confirm(&mut self) {
        self.evidence.whole = self.evidence.whole.max(RUN_EVIDENCE);
        self.evidence.own = self.evidence.own.max(RUN_EVIDENCE);
        self.peak = self.peak.max(self.evidence.whole);
        self.rarity_peak = self.rarity_peak.max(REAL_RARITY);
        self.real_since.get_or_insert(self.since);
    }

    pub fn take_finding(&mut self, finding: &Finding) {
        if finding.surprise.is_finite() && self.take(observed(finding)) {
            self.detector = finding.detector;
        }
    }

    /// It heads for a hard limit, this way.
    pub fn head(&mut self, way: Movement, alarm: &Finding) {
        let known = self.heads.filter(|heads| self.by_limit && heads.way == way);
        let since = known.map_or(alarm.at, |heads| heads.since);
        self.heads = Some(Heading { way, since, now: observed(alarm) });
        self.by_limit = true;
    }

    /// Takes a value that is new, and nothing else. True where it is the worst so far.
    pub fn take(&mut self, now: Observed) -> bool {
        if now.at <= self.seen_at || !now.surprise.is_finite() {
            return false;
        }
        self.count_time(now.at);
        self.seen_at = now.at;
        self.off_lately += LATELY * (off(&now) - self.off_lately);
        let surprise = now.surprise.min(SURPRISE_MAX);
        self.evidence.take(f64::from(surprise), f64::from(surprise * now.own));
        self.peak = self.peak.max(self.evidence.whole);
        if !self.is_at_rest && self.is_run() && self.evidence.whole <= 0.0 {
            self.is_at_rest = true;
            self.went = Some(way(self.course().1));
        }
        // A lone odd value ends no calm, or of many movers one would always keep the incident open. No data is no calm.
        if surprise >= CALM_SURPRISE {
            if self.evidence.whole >= RUN_EVIDENCE {
                if std::mem::take(&mut self.is_at_rest) {
                    self.anew = Some((now.at, now));
                }
                self.calm = 0;
            }
        } else if now.has_data {
            self.calm = self.calm.saturating_add(1);
        }
        let is_worst = is_worse(&now, &self.worst);
        if is_worst {
            self.worst = now;
        }
        if let Some((_, worst)) = self.anew.as_mut().filter(|(_, worst)| is_worse(&now, worst)) {
            *worst = now;
        }
        is_worst
    }

    /// Until a new value the evidence was what it is now.
    fn count_time(&mut self, at: Timestamp) {
        if self.seen_at == Timestamp::MIN {
            return;
        }
        let seconds = (at.since(self.seen_at) as f64 / 1000.0).min(STRAYED_SECONDS_MAX);
        let Evidence { whole, own } = self.evidence;
        let strayed = |evidence: f64| if evidence > 0.0 { seconds } else { 0.0 };
        self.strayed_seconds.add(Evidence { whole: strayed(whole), own: strayed(own) });
        self.evidence_seconds.add(Evidence { whole: whole * seconds, own: own * seconds });
    }

    /// What its evidence is worth, given what the series usually does.
    pub fn weigh(&mut self, rarity: Evidence) {
        self.rarity = rarity;
        self.rarity_peak = self.rarity_peak.max(rarity.whole);
        if self.is_real() {
            self.real_since.get_or_insert(self.seen_at);
        }
    }

    /// Since when it has strayed without coming to rest.
    pub fn strays_since(&self) -> Timestamp {
        self.anew.map_or(self.since, |(since, _)| since)
    }

    /// That, or since when it is part of the story: a run may have begun with a lone odd value, long before.
    pub fn stands_since(&self) -> Timestamp {
        self.strays_since().max(self.real_since.unwrap_or(self.since))
    }

    /// Whether it is more than a lone odd value.
    pub fn is_run(&self) -> bool {
        self.peak >= RUN_EVIDENCE || self.heads.is_some()
    }

    /// Whether it is part of the story, and not what the series does every day.
    pub fn is_real(&self) -> bool {
        self.rarity_peak >= REAL_RARITY || self.heads.is_some()
    }

    /// Whether it is no further off its course now than this share of the furthest that it has been, and heads for no limit.
    pub fn is_back_to(&self, share: f64, at: Timestamp) -> bool {
        let worst = self.anew.as_ref().map_or(&self.worst, |(_, worst)| worst);
        let is_heard = self.silent_ms(at) <= STALE_MS;
        is_heard && !self.by_limit && self.off_lately.abs() <= share * off(worst).abs()
    }

    pub fn moves(&self) -> Movement {
        if self.detector == Kind::Silence {
            return Movement::Silent;
        }
        // On its way to a limit a series may do just what was expected of it.
        let heads = self.heads.filter(|_| self.peak < RUN_EVIDENCE);
        heads.or(self.turned_to_limit()).map_or(way(self.course().1), |heads| heads.way)
    }

    /// Since when it does what it does, and the furthest that it went so: what came to rest and then went the other way has
    /// begun anew.
    pub fn course(&self) -> (Timestamp, &Observed) {
        if let Some(Heading { since, now, .. }) =
            self.heads.as_ref().filter(|_| self.turned_to_limit().is_some())
        {
            return (*since, now);
        }
        match &self.anew {
            Some((since, worst)) if self.went.is_some_and(|went| way(worst) != went) => (*since, worst),
            _ => (self.since, &self.worst),
        }
    }

    /// It has come to rest, and heads for a limit the other way.
    fn turned_to_limit(&self) -> Option<Heading> {
        self.heads.filter(|heads| {
            self.by_limit && self.is_at_rest && self.went.is_some_and(|went| heads.way != went)
        })
    }

    /// How long ago the last value was taken, in milliseconds.
    pub fn silent_ms(&self, at: Timestamp) -> i64 {
        at.since(self.seen_at)
    }
}

fn off(o: &Observed) -> f64 {
    o.value - o.expected
}

fn way(o: &Observed) -> Movement {
    if o.value < o.expected { Movement::Down } else { Movement::Up }
}

/// Outside of its band before inside, since the way back to normal is odd too, and as far inside as it was; then the odder,
/// then the further out; of equals the later.
fn is_worse(now: &Observed, before: &Observed) -> bool {
    let is_outside = |o: &Observed| o.value < o.low || o.value > o.high;
    let odd = |o: &Observed| o.surprise.min(SURPRISE_MAX);
    let bands = |o: &Observed| (o.value - o.expected).abs() / (o.high - o.low);
    let is_way_back = !is_outside(now) && bands(now) < WAY_BACK * bands(before);
    if is_way_back {
        return false;
    }
    let by_oddness = is_outside(now).cmp(&is_outside(before)).then(odd(now).total_cmp(&odd(before)));
    by_oddness.then(bands(now).total_cmp(&bands(before))).is_ge()
}

/// What is said of all signals together can't be explained by the others.
fn is_of_group(detector: Kind) -> bool {
    matches!(detector, Kind::Multivariate | Kind::Energy)
}

pub(super) fn observed(finding: &Finding) -> Observed {
    Observed {
        at: finding.at,
        value: finding.value,
        expected: finding.expected,
        low: finding.low,
        high: finding.high,
        surprise: finding.surprise,
        own: if is_of_group(finding.detector) { 1.0 } else { finding.own },
        has_data: finding.detector != Kind::Silence,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::incident::FINDING_SURPRISE_MIN;
    use crate::series::registry::SeriesId;

    fn finding(second: i64, surprise: f32) -> Finding {
        Finding {
            series: SeriesId(0),
            labels: Labels::new(&[("__name__", "queue")]),
            entity: EntityId(0),
            entity_name: "mta1".into(),
            signal: None,
            at: Timestamp(second * 1000),
            value: 100.0,
            expected: 10.0,
            low: 5.0,
            high: 20.0,
            surprise,
            own: 1.0,
            detector: Kind::Derivative,
        }
    }

    /// A run of so long with this mean evidence, none of it its own.
    pub fn strayed(seconds: f64, evidence: f64) -> Track {
        let mut track = Track::begin(&finding(0, 4.0));
        track.strayed_seconds = Evidence { whole: seconds, own: 0.0 };
        track.evidence_seconds = Evidence { whole: evidence * seconds, own: 0.0 };
        track
    }

    /// The evidence after surprises at one value a second.
    fn evidence(surprises: &[f32]) -> f64 {
        let mut track = Track::begin(&finding(0, surprises[0]));
        for (second, surprise) in (1..).zip(&surprises[1..]) {
            track.take(Observed { surprise: *surprise, ..observed(&finding(second, 0.0)) });
        }
        track.evidence.whole
    }

    #[test]
    fn four_rising_surprises_are_decisive_and_a_spike_is_forgotten() {
        assert!(evidence(&[3.5, 4.0, 4.5, 5.0]) > 10.0);
        assert!(evidence(&[4.0]) < 3.0);
        assert_eq!(evidence(&[4.0, 0.4, 0.4, 0.4, 0.4]), 0.0);
        assert!(evidence(&[f32::MAX]) < 11.0);
    }

    #[test]
    fn a_value_seen_twice_counts_once() {
        let mut track = Track::begin(&finding(0, 4.0));
        let before = track.clone();
        track.take(observed(&finding(0, 12.0)));
        assert_eq!(track, before);
    }

    #[test]
    fn a_lone_odd_value_ends_no_calm_and_two_do() {
        let mut track = Track::begin(&finding(0, 6.0));
        let mut after = |second, surprise| {
            track.take(Observed { surprise, ..observed(&finding(second, 0.0)) });
            track.calm
        };
        let calm = (1..=9).map(|second| after(second, 0.4)).last();
        assert_eq!((calm, after(10, 4.0), after(11, 4.0)), (Some(9), 9, 0));
    }

    #[test]
    fn the_way_back_to_normal_is_odd_and_not_the_worst() {
        let mut track = Track::begin(&finding(0, 5.5));
        for (second, value, surprise) in [(1, 150.0, 5.5), (2, 9.0, 5.5), (3, 9.0, 12.0)] {
            track.take(Observed { value, surprise, ..observed(&finding(second, 0.0)) });
        }
        assert_eq!((track.worst.value, track.moves()), (150.0, Movement::Up));
    }

    #[test]
    fn the_way_back_within_a_wide_band_is_no_fall() {
        let wide = |second, value, surprise| Observed {
            value,
            surprise,
            expected: 45.0,
            low: -95.0,
            high: 185.0,
            ..observed(&finding(second, 0.0))
        };
        let mut track = Track::begin(&finding(0, 4.0));
        track.worst = wide(0, 125.0, 4.0);
        // A newsletter is through: the jump back is odder than the rise was.
        (1..4).for_each(|second| _ = track.take(wide(second, 33.0, 7.0)));
        assert_eq!((track.worst.value, track.moves()), (125.0, Movement::Up));
        track.take(wide(4, -20.0, 7.0));
        assert_eq!(track.moves(), Movement::Down, "nearly as far to the other side");
    }

    /// A track that has gone down for a minute and come to rest.
    fn fallen() -> Track {
        let down = |second| Observed { value: 1.0, surprise: 6.0, ..observed(&finding(second, 0.0)) };
        let calm = |second| Observed { value: 10.0, surprise: 0.4, ..observed(&finding(second, 0.0)) };
        let mut track = Track::begin(&Finding { value: 1.0, ..finding(0, 6.0) });
        (1..60).for_each(|second| _ = track.take(down(second)));
        (60..200).for_each(|second| _ = track.take(calm(second)));
        assert_eq!((track.moves(), track.course().0), (Movement::Down, Timestamp(0)));
        track
    }

    #[test]
    fn what_came_to_rest_and_goes_the_other_way_is_known_by_that() {
        let mut track = fallen();
        (200..210).for_each(|second| _ = track.take(observed(&finding(second, 6.0))));
        let (since, worst) = track.course();
        assert_eq!((track.moves(), worst.value), (Movement::Up, 100.0));
        assert!((200_000..205_000).contains(&since.0), "{since}");
        let mut same = fallen();
        let down = |second| Observed { value: 0.5, surprise: 6.0, ..observed(&finding(second, 0.0)) };
        (200..210).for_each(|second| _ = same.take(down(second)));
        assert_eq!(same.course().0, Timestamp(0), "more of the same");
    }

    #[test]
    fn what_came_to_rest_and_heads_for_a_limit_goes_there() {
        let mut track = fallen();
        let near = |second| Finding { value: 18.0, ..finding(second, 0.5) };
        for second in 200..203 {
            track.take_finding(&near(second));
            track.head(Movement::Up, &near(second));
        }
        let (since, now) = track.course();
        assert_eq!((track.moves(), since, now.at), (Movement::Up, Timestamp(200_000), Timestamp(202_000)));
        track.by_limit = false;
        assert_eq!(track.moves(), Movement::Down);
    }

    #[test]
    fn no_data_is_no_calm() {
        let mut track = Track::begin(&finding(0, FINDING_SURPRISE_MIN));
        track.take(Observed { has_data: false, surprise: 0.0, ..observed(&finding(1, 0.0)) });
        let before = track.calm;
        track.take(Observed { surprise: 0.0, ..observed(&finding(2, 0.0)) });
        assert_eq!(track.calm, before + 1);
    }
}
