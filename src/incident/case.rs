//! A case: movers that belong together, what they weigh, and what is thought of them. A heavy one is an incident.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::brown_out::BrownOuts;
use super::budget::{Counts, Ended, THRESHOLD_MIN, Thresholds};
use super::event::{Incident, Severity, whole};
use super::foresee::{Foreseen, foresee};
use super::mover::{Evidence, STALE_MS, Track};
use super::remedy::{TakenFor, remedy};
use super::restart::Restarts;
use super::severity::Grounds;
use super::watch::Watches;
use super::{Finding, House, IncidentSettings, View};
use crate::predict::pack::{Fault, Movement, Urgency};
use crate::predict::service_levels::ServiceLevels;
use crate::predict::signature::{Machine, Moved, Pace, Ranked, Restart};
use crate::sample::Timestamp;
use crate::series::registry::{EntityId, SeriesId};

/// Of the series of a host one or another is always as rare as this.
pub(super) const USUAL_RARITY: f64 = 2.5;
/// A hypothesis this probable is named as the fault.
pub(super) const FAULT_PROBABILITY: f64 = 0.5;
/// What moved so much sooner may be of the same: it takes a while to be sure that nothing is heard.
pub(super) const TOGETHER_MS: i64 = 300_000;
/// An odd value alone is forgotten after this.
pub(super) const ODD_MS: i64 = 60_000;
/// A machine with so many silent series says nothing more.
const SILENT_SERIES: usize = 3;
/// What has looked like one fault for so long is known as that.
const KNOWN_SECONDS: u32 = 1800;
/// An incident that has gathered no mover for so long is a story that goes on by itself.
const GATHERS_MS: i64 = 3_600_000;
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    pub tracks: BTreeMap<SeriesId, Track>,
    /// Movers of an open incident whose series are gone for good.
    pub gone: Vec<Track>,
    /// The most it has weighed.
    pub peak: f64,
    /// The fault that it looked like then.
    pub looks_like: Option<String>,
    pub opened: Option<Opened>,
    /// Signals whose limit was near enough to wake somebody for that alone.
    pub limits: BTreeSet<String>,
    /// What it was taken for, tick by tick.
    pub taken_for: TakenFor,
    /// Machines on which a service started anew as their part of the story began, and when it did first.
    pub restarted: BTreeMap<EntityId, Timestamp>,
}

/// What has been told of an open incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Opened {
    /// As told last.
    #[serde(with = "whole")]
    pub incident: Incident,
    pub seq: u32,
    pub told_at: Timestamp,
    pub acknowledged: bool,
    /// A signal by which users feel the fault that was named has been where they feel it.
    pub felt: bool,
    /// What was told last of when it will hurt was measured, and is not only how such faults go.
    pub is_measured: bool,
    /// For how many ticks it has borne the name of a fault.
    names: BTreeMap<String, u32>,
}

impl Opened {
    /// An incident as it was told in the event before `seq`.
    pub fn new(incident: Incident, seq: u32, told_at: Timestamp) -> Self {
        let is_measured = incident.prediction.is_some();
        let names = BTreeMap::new();
        Opened { incident, seq, told_at, acknowledged: false, felt: false, is_measured, names }
    }

    /// It looks like this fault at a tick.
    pub fn bears(&mut self, fault: &str) {
        match self.names.get_mut(fault) {
            Some(ticks) => *ticks += 1,
            None => drop(self.names.insert(fault.to_owned(), 1)),
        }
    }

    /// The fault that it has looked like for the longest time, once that is long.
    pub fn known_as(&self, settings: &IncidentSettings) -> Option<&str> {
        let (name, ticks) = self.names.iter().max_by_key(|(_, ticks)| **ticks)?;
        (ticks * settings.step_seconds >= KNOWN_SECONDS).then_some(name)
    }

    /// As what the budget counts it, if nobody says what it was. A person who takes it on, or that users felt it, say that
    /// it was no false alarm; what nobody was told of cannot have been one. A limit ahead, or several signals that a known
    /// fault moves, say only that it looked like none: one signal alone always looks like some fault.
    pub fn counts(&self) -> Counts {
        let told = &self.incident;
        if self.acknowledged || self.felt || told.severity == Severity::Info {
            return Counts::Not;
        }
        let named = told.hypotheses.iter().find(|h| told.fault.as_ref() == Some(&h.fault));
        let signs: BTreeSet<&str> = told
            .movers
            .iter()
            .filter(|mover| named.is_some_and(|named| named.evidence.contains(&mover.series)))
            .filter_map(|mover| mover.signal.as_deref())
            .collect();
        if self.is_measured || signs.len() > 1 { Counts::AsUnfelt } else { Counts::AsFalse }
    }
}

/// What it takes to tell people.
pub(super) struct Takes<'a> {
    pub thresholds: Thresholds,
    /// What a ticket takes that looks like a fault of this name.
    pub ticket_of: &'a dyn Fn(&str) -> f64,
    /// Whether the limit of a signal may wake somebody by itself.
    pub wakes_for: &'a dyn Fn(&str) -> bool,
    /// Whether the remedy of a fault would worsen what another open incident is about.
    pub worsens: &'a dyn Fn(&Fault, &str) -> bool,
    /// Whether another incident, that can wait, moves a signal of a machine.
    pub moves_elsewhere: &'a dyn Fn(EntityId, u16) -> bool,
}

impl Takes<'_> {
    fn is_ticket(&self, weight: f64, named: Option<&Fault>) -> bool {
        weight >= self.thresholds.ticket
            || weight >= THRESHOLD_MIN && named.is_some_and(|fault| weight >= (self.ticket_of)(&fault.name))
    }
}

/// What is thought of a case at one tick.
#[derive(Clone, Debug)]
pub(super) struct Assessment {
    pub severity: Severity,
    pub ranked: Vec<Ranked>,
    /// The machines of the story: what `Ranked::root` counts.
    machines: Vec<(EntityId, Arc<str>)>,
    pub foreseen: Foreseen,
    pub remedy: Option<String>,
    /// Where the likeliest fault has begun; where its remedy is to act, if one is told. What `machines` counts.
    place: Option<usize>,
    /// A machine of the story whose services restarted, and when, while what moves on it may be for that.
    pub restarted: Option<(Arc<str>, Timestamp)>,
    /// All that is told is silence.
    pub only_silent: bool,
}

impl Assessment {
    /// The likeliest fault, where it stands out.
    pub fn fault<'a>(&self, house: &House<'a>) -> Option<(&'a Fault, f64)> {
        let top = self.ranked.first().filter(|top| top.probability >= FAULT_PROBABILITY)?;
        Some((&house.table.faults()[top.fault], top.probability))
    }

    /// Where that fault has begun, or its remedy is to act.
    pub fn root(&self, house: &House) -> Option<&str> {
        self.fault(house)?;
        let (_, name) = self.machines.get(self.place?)?;
        Some(name)
    }
}

impl Case {
    /// All movers that are part of the story, in the order in which they moved.
    pub fn story(&self) -> Vec<&Track> {
        let mut story: Vec<&Track> = self.tracks.values().chain(&self.gone).filter(|t| t.is_real()).collect();
        let key = |track: &Track| track.course().0;
        story.sort_by(|a, b| (key(a), &a.entity_name, &a.labels).cmp(&(key(b), &b.entity_name, &b.labels)));
        story
    }

    /// When the first of its movers began.
    pub fn began(&self) -> Option<Timestamp> {
        self.tracks.values().chain(&self.gone).map(|track| track.since).min()
    }

    /// What the budget is to know of it.
    pub fn ended(&self, at: Timestamp) -> Ended {
        Ended {
            weight: self.peak,
            began: self.began().unwrap_or(at),
            told: self.opened.as_ref().map_or(Severity::Info, |opened| opened.incident.severity),
            fault: self.looks_like.clone(),
            limits: self.limits.clone(),
        }
    }

    pub fn is_real(&self) -> bool {
        self.tracks.values().any(Track::is_real)
    }

    pub fn has(&self, entity: EntityId) -> bool {
        self.tracks.values().any(|track| track.entity == entity)
    }

    /// Whether what begins to move now may be of this story by its time: it gathers movers still.
    pub fn gathers(&self, at: Timestamp) -> bool {
        let real = self.tracks.values().chain(&self.gone).filter(|track| track.is_real());
        real.map(|track| track.since).max().is_none_or(|newest| at.since(newest) <= GATHERS_MS)
    }

    /// Whether a mover is a sign of what an open incident was said to be.
    pub fn shows_in(&self, house: &House, mover: &Finding) -> bool {
        let sign = self.told(house).zip(mover.signal);
        sign.is_some_and(|(fault, s)| {
            house.signatures.is_sign_of(fault, s.signal, Track::begin(mover).moves())
        })
    }

    /// Whether it was told as what nobody need hurry for.
    pub fn can_wait(&self, house: &House) -> bool {
        self.told(house).is_some_and(|fault| house.table.faults()[fault].urgency == Urgency::Ticket)
    }

    /// The fault that an open incident was said to be, by its place.
    fn told(&self, house: &House) -> Option<usize> {
        let told = self.opened.as_ref()?.incident.fault.as_deref()?;
        house.table.faults().iter().position(|fault| fault.name == told)
    }

    /// Whether all of it is on entities in maintenance.
    pub fn is_paused(&self, house: &House) -> bool {
        !self.tracks.is_empty() && self.tracks.values().all(|track| house.paused.contains(&track.entity))
    }

    /// The joint evidence, in decades: how rare it is that so many series stray so far at the same time.
    ///
    /// Each adds by how many decades what is its own is rarer than what some series of a host does at any time. Series
    /// of one name on one entity (the cores of a processor) count as the strongest of them. Where most of it is
    /// explained by the others, as in a busy hour, the strongest still counts whole.
    pub fn evidence(&self) -> f64 {
        joint_evidence(self.tracks.values())
    }

    /// The movers of the story that have not come to rest, and do not stray because a machine of the story restarted, as far as
    /// that may be.
    fn standing(&self, house: &House, restarts: &Restarts, at: Timestamp) -> Vec<&Track> {
        let real = || self.tracks.values().filter(|track| track.is_real());
        let machines: BTreeSet<EntityId> = real().map(|track| track.entity).collect();
        let is_restart = |track: &&Track| machines.iter().any(|m| restarts.may_be_all(at, *m, track));
        let strays = real().filter(|track| !is_at_rest(house, track));
        strays.filter(|track| !is_restart(track)).collect()
    }

    /// Whether all that a mover did may be for a restart of this story: it came back, or is on its way.
    fn may_be_restart(&self, house: &House, restarts: &Restarts, at: Timestamp, track: &Track) -> bool {
        self.restarted.iter().any(|(machine, restart)| {
            let came_back = is_at_rest(house, track) && Restarts::settles(*restart, track.stands_since());
            came_back || restarts.may_be_all(at, *machine, track)
        })
    }

    /// Weighs the evidence and what the packs know of it. Raises `peak`, and says what it looked like then.
    pub fn assess(
        &mut self,
        house: &House,
        (watches, restarts, brown_outs): (&Watches, &Restarts, &BrownOuts),
        view: &impl View,
        at: Timestamp,
        takes: &Takes,
    ) -> Option<Assessment> {
        let mut weight = self.evidence();
        let begun = |track: &Track| {
            let restart = restarts.explains(at, track.entity, track.stands_since())?;
            track.is_real().then_some((track.entity, restart))
        };
        for (machine, restart) in self.tracks.values().chain(&self.gone).filter_map(begun) {
            self.restarted.entry(machine).or_insert(restart);
        }
        let story = self.story();
        let may_be_restart = |track: &Track| self.may_be_restart(house, restarts, at, track);
        let known = Known {
            watches,
            restarted: &self.restarted,
            may_be_restart: &may_be_restart,
            moves_elsewhere: takes.moves_elsewhere,
        };
        let ranked = rank(house, &known, view, at, &story);
        // Each further sign of a known fault is worth a decade, as far as the fault is believed.
        if let Some(top) = ranked.first() {
            weight += top.probability * (top.signs.len() - 1) as f64;
        }
        let by_limit = self.tracks.values().any(|track| track.by_limit);
        let named = ranked.first().filter(|_| is_named(&ranked)).map(|top| &house.table.faults()[top.fault]);
        if self.opened.is_none() && !by_limit && !takes.is_ticket(weight, named) {
            self.weigh(weight, named);
            return None;
        }
        let only_silent = is_silence(&story);
        let foreseen = foresee(house, (watches, brown_outs), view, at, &story, &ranked);
        let machines = machines_of(&story);
        let standing = self.standing(house, restarts, at);
        let seen = (watches, foreseen.is_measured);
        let is_ground = ranked.first().is_some_and(|top| self.is_ground(house, seen, &standing, at, top));
        let thought = (ranked.as_slice(), &self.taken_for);
        let remedy = remedy(house, watches, &machines, thought, takes.worsens).filter(|_| is_ground);
        let root = ranked.first().map(|top| top.root);
        let mut assessment = Assessment {
            severity: Severity::Info,
            foreseen,
            place: remedy.as_ref().map(|(_, place)| *place).or(root),
            remedy: remedy.map(|(remedy, _)| remedy),
            restarted: restarted(restarts, at, &story),
            only_silent,
            machines,
            ranked,
        };
        let heading = self.tracks.values().filter(|track| track.by_limit).filter_map(|track| track.signal);
        let mut limits: BTreeSet<String> = heading.map(|s| house.table.signal(s).name.clone()).collect();
        limits.retain(|signal| (takes.wakes_for)(signal));
        let grounds = Grounds::new(house, &assessment, by_limit, !limits.is_empty());
        weight += grounds.decades(house.settings, at);
        let wakes_at_once = grounds.is_surely_soon(house.settings, at);
        assessment.severity =
            grounds.severity(house.settings, at, &standing, (weight, takes.thresholds.page));
        if wakes_at_once && assessment.severity == Severity::Page {
            self.limits.append(&mut limits);
        }
        self.weigh(weight, named);
        self.taken_for.take(house, &assessment.ranked);
        Some(assessment)
    }

    fn weigh(&mut self, weight: f64, named: Option<&Fault>) {
        if weight >= self.peak {
            self.peak = weight;
            self.looks_like = named.map(|fault| fault.name.clone());
        }
    }
}

/// The joint evidence of these: see `Case::evidence`.
pub(super) fn joint_evidence<'t>(tracks: impl Iterator<Item = &'t Track>) -> f64 {
    let mut distinct: BTreeMap<(EntityId, &str), Evidence> = BTreeMap::new();
    for track in tracks {
        let rarity = track.rarity;
        let strongest = distinct.entry((track.entity, track.labels.name())).or_default();
        strongest.whole = strongest.whole.max(rarity.whole - USUAL_RARITY);
        strongest.own = strongest.own.max(rarity.own - USUAL_RARITY);
    }
    let own: f64 = distinct.values().map(|e| e.own).sum();
    let strongest = |part: fn(&Evidence) -> f64| distinct.values().map(part).fold(0.0, f64::max);
    own + (strongest(|e| e.whole) - strongest(|e| e.own)).max(0.0)
}

pub(super) fn is_named(ranked: &[Ranked]) -> bool {
    ranked.first().is_some_and(|top| top.probability >= FAULT_PROBABILITY)
}

/// Whether a mover does as usual again, and heads for no limit.
pub(super) fn is_at_rest(house: &House, track: &Track) -> bool {
    track.calm >= house.settings.calm_values && !track.by_limit
}

/// Whether all that is told is silence: on each machine several series are silent, and what else is odd there says the
/// same, as `up` does.
pub(super) fn is_silence(story: &[&Track]) -> bool {
    let silent = |entity: EntityId| {
        story.iter().filter(|t| t.entity == entity && t.moves() == Movement::Silent).count()
    };
    story.iter().all(|t| t.moves() == Movement::Silent || silent(t.entity) >= SILENT_SERIES)
}

/// A machine whose services restarted, for which what moves on it may be.
fn restarted(restarts: &Restarts, at: Timestamp, story: &[&Track]) -> Option<(Arc<str>, Timestamp)> {
    story.iter().find_map(|t| {
        let restarted = restarts.explains(at, t.entity, t.stands_since())?;
        Some((t.entity_name.clone(), restarted))
    })
}

/// The machines of a story, in the order in which they moved.
fn machines_of(story: &[&Track]) -> Vec<(EntityId, Arc<str>)> {
    let mut machines: Vec<(EntityId, Arc<str>)> = Vec::new();
    for track in story {
        if machines.iter().all(|(entity, _)| *entity != track.entity) {
            machines.push((track.entity, track.entity_name.clone()));
        }
    }
    machines
}

/// What is known of a story besides how it moves.
struct Known<'a> {
    watches: &'a Watches,
    /// See `Case::restarted`.
    restarted: &'a BTreeMap<EntityId, Timestamp>,
    /// Whether all that a mover did may be for that.
    may_be_restart: &'a dyn Fn(&Track) -> bool,
    /// See `Takes::moves_elsewhere`.
    moves_elsewhere: &'a dyn Fn(EntityId, u16) -> bool,
}

fn rank(house: &House, known: &Known, view: &impl View, at: Timestamp, story: &[&Track]) -> Vec<Ranked> {
    let Known { watches, restarted, may_be_restart, moves_elsewhere } = known;
    let machines = machines_of(story);
    let place = |track: &Track| machines.iter().position(|(entity, _)| *entity == track.entity);
    let moved = story.iter().filter_map(|t| {
        let (signal, machine) = (t.signal?.signal, place(t)?);
        let (moves, rarity, by_limit) = (t.moves(), t.rarity_peak, t.heads.is_some());
        let (since, worst) = t.course();
        let value = worst.value * house.table.exported(t.signal?).times;
        if moves != Movement::Silent && value.abs() < house.table.signal(t.signal?).least {
            return None;
        }
        // What gives no data any more is not known to hurt.
        let is_hurting = t.calm == 0
            && t.silent_ms(at) <= STALE_MS
            && moves == house.table.signal(t.signal?).hurts.movement(worst.value);
        let hurts_since = is_hurting.then_some(since);
        let may_be_restart = may_be_restart(t);
        Some(Moved { signal, moves, at: since, machine, rarity, by_limit, hurts_since, may_be_restart })
    });
    let moved: Vec<Moved> = moved.collect();
    if moved.is_empty() {
        return Vec::new();
    }
    let began = moved.iter().map(|m| m.at).min().unwrap_or(Timestamp::MIN);
    let has_moved = |machine: usize, signal| moved.iter().any(|m| (m.machine, m.signal) == (machine, signal));
    let places = machines.iter().enumerate().map(|(place, (entity, _))| {
        // What a busy morning moves is no sign that stays still.
        let says_nothing = |signal| moves_elsewhere(*entity, signal) && !has_moved(place, signal);
        let measured = watches.measured(*entity);
        let measured =
            measured.map(|(signal, series)| (signal, if says_nothing(signal) { 0 } else { series }));
        let restart = restarted.get(entity).map_or(Restart::None, |at| Restart::At(*at));
        Machine { measured: measured.collect(), restart }
    });
    let places: Vec<Machine> = places.collect();
    let faults = house.table.faults();
    // How long faults take is said of the packs' own levels.
    let packs_own = ServiceLevels::default();
    let pace = |fault: usize, machine: usize| {
        let impacts = faults[fault].impact.iter();
        let (entity, name) = &machines[machine];
        let times =
            impacts.filter_map(|impact| watches.impact(house, &packs_own, view, (*entity, name), impact));
        let passed = |until: Timestamp| until.since(began) as f64 / 1000.0;
        let foreseen = times.min_by_key(|t| t.at).map(|time| Pace::Takes(passed(time.at)));
        foreseen.or_else(|| {
            let seconds = watches.not_before_seconds(house, *entity, &faults[fault].impact)?;
            Some(Pace::AtLeast(passed(at) + seconds))
        })
    };
    house.signatures.rank(&moved, &places, at, &pace)
}

#[cfg(test)]
mod tests {
    use super::super::event::{Hypothesis, Mover, State};
    use super::*;
    use crate::detect::Kind;
    use crate::sample::Labels;

    fn mover(signal: &str, host: &str) -> Mover {
        Mover {
            series: Labels::new(&[("__name__", signal), ("host", host)]),
            signal: Some(signal.into()),
            at: Timestamp(0),
            value: 9.0,
            unit: None,
            expected: 1.0,
            low: 0.0,
            high: 2.0,
            surprise: 6.0,
            detector: Kind::Derivative,
        }
    }

    /// A page that blames `fault` on all its movers.
    fn opened(fault: Option<&str>, movers: Vec<Mover>) -> Opened {
        let evidence = movers.iter().map(|mover| mover.series.clone()).collect();
        let hypothesis = fault.map(|fault| Hypothesis { fault: fault.into(), probability: 0.8, evidence });
        let incident = Incident {
            id: "a".into(),
            site: "home".into(),
            entity: "mx1".into(),
            entities: vec!["mx1".into()],
            opened_at: Timestamp(0),
            resolved_at: None,
            root: None,
            severity: Severity::Page,
            state: State::Open,
            fault: fault.map(String::from),
            probability: fault.map(|_| 0.8),
            hypotheses: hypothesis.into_iter().collect(),
            movers,
            prediction: None,
            brown_out: None,
            remedy: None,
            summary: String::new(),
        };
        Opened::new(incident, 1, Timestamp(0))
    }

    #[test]
    fn several_signs_of_a_fault_are_no_false_alarm_by_themselves_and_no_proof() {
        let one = vec![mover("mta_queue_deferred", "mx1"), mover("mta_queue_deferred", "mx2")];
        assert_eq!(opened(Some("remote_outage"), one.clone()).counts(), Counts::AsFalse);
        let two = vec![mover("mta_queue_deferred", "mx1"), mover("mta_deferrals", "mx1")];
        let named = opened(Some("remote_outage"), two.clone());
        assert_eq!(named.counts(), Counts::AsUnfelt);
        assert_eq!(opened(None, two).counts(), Counts::AsFalse, "two movers without a fault are only weight");
        assert_eq!(Opened { felt: true, ..named }.counts(), Counts::Not);
        assert_eq!(Opened { acknowledged: true, ..opened(None, one) }.counts(), Counts::Not);
    }
}
