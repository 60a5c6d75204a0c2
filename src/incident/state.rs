//! The tick of all incidents, and the state that a snapshot keeps of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::brown_out::{BrownOutUse, BrownOuts};
use super::budget::{Counts, Past, Thresholds};
use super::case::{Case, Opened, Takes};
use super::elsewhere::Elsewhere;
use super::event::{Event, Incident, Severity};
use super::feedback::{Feedback, Heard, Verdict};
use super::flap::Flaps;
use super::forbidden::Forbidden;
use super::habit::Habits;
use super::mover::Track;
use super::quiet::Quiet;
use super::restart::Restarts;
use super::routine::Hour;
use super::watch::Watches;
use super::{
    FINDING_SURPRISE_MIN, Finding, House, IncidentDrops, IncidentSettings, View, correlate, lifecycle,
};
use crate::predict::pack::Fault;
use crate::predict::service_levels::ServiceLevels;
use crate::predict::signals::SignalTable;
use crate::sample::{Labels, Timestamp};
use crate::series::registry::SeriesId;

const WEEK_SECONDS: f64 = 7.0 * 86_400.0;
/// A run that isn't told of and has had no new value for this long is over.
const FORGOTTEN_MS: i64 = 3_600_000;

/// All state of `Incidents`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IncidentState {
    pub(super) watches: Watches,
    pub(super) habits: Habits,
    pub(super) drops: IncidentDrops,
    past: Past,
    feedback: Feedback,
    flaps: Flaps,
    pub(super) restarts: Restarts,
    #[serde(skip)]
    pub(super) quiet: Quiet,
    /// By the order in which they began.
    cases: BTreeMap<u64, Case>,
    /// Which case a series is in.
    in_case: BTreeMap<SeriesId, u64>,
    next_case: u64,
    now: Hour,
    brown_outs: BrownOuts,
}

impl IncidentState {
    /// After a restart: packs and promises may be others.
    pub(super) fn fit(&mut self, table: &SignalTable, levels: &ServiceLevels) {
        self.brown_outs.fit(levels);
        for case in self.cases.values_mut() {
            for track in case.tracks.values_mut().chain(&mut case.gone) {
                track.signal = table.resolve(&track.labels);
            }
        }
    }

    pub(super) fn step(
        &mut self,
        house: &House,
        at: Timestamp,
        findings: &[Finding],
        view: &impl View,
        out: &mut Vec<Event>,
    ) {
        self.now = Hour::new(at, view.second_of_week(at));
        self.past.advance(at, house.settings.budget);
        self.habits.step(at);
        self.feedback.excuses.advance(at);
        let mut alarms = self.watches.step(house, at, view);
        self.brown_outs.step(house, at, &self.watches, view);
        alarms.retain(|alarm| {
            !house.paused.contains(&alarm.entity) && !self.feedback.excuses.holds_limit(at, &alarm.labels)
        });
        let silent = self.quiet.findings(house, at, view);
        for findings in [findings, &silent] {
            for finding in self.unexcused(house, findings) {
                self.take(house, finding);
            }
        }
        for alarm in &alarms {
            self.take(house, alarm);
            let way = alarm.signal.map(|signal| house.table.signal(signal).hurts.movement(alarm.value));
            if let Some((track, way)) = self.track_mut(alarm.series).zip(way) {
                track.head(way, alarm);
            }
        }
        self.follow(house, at, view);
        self.feedback.excuses.follow(house, view);
        for (into, from) in correlate::join(&mut self.cases, house, &self.watches) {
            self.in_case.values_mut().filter(|case| **case == from).for_each(|case| *case = into);
        }
        self.judge(house, at, view, out);
    }

    /// What counts of what is odd.
    fn unexcused<'f>(&mut self, house: &House, findings: &'f [Finding]) -> Vec<&'f Finding> {
        let excuses = &mut self.feedback.excuses;
        let counts = |finding: &&Finding| {
            finding.surprise >= FINDING_SURPRISE_MIN && !house.paused.contains(&finding.entity)
        };
        let mut left: Vec<&Finding> = findings.iter().filter(counts).collect();
        left.retain(|finding| !excuses.excuse(house, finding));
        left.retain(|finding| !excuses.is_company(finding));
        left
    }

    fn take(&mut self, house: &House, finding: &Finding) {
        if let Some(track) = self.track_mut(finding.series) {
            track.take_finding(finding);
            return;
        }
        if self.in_case.len() >= house.settings.movers_max {
            self.drops.movers += 1;
            return;
        }
        let number = correlate::case_of(&self.cases, house, finding).unwrap_or_else(|| {
            self.next_case += 1;
            self.next_case
        });
        self.cases.entry(number).or_default().tracks.insert(finding.series, Track::begin(finding));
        self.in_case.insert(finding.series, number);
    }

    fn track_mut(&mut self, series: SeriesId) -> Option<&mut Track> {
        self.cases.get_mut(self.in_case.get(&series)?)?.tracks.get_mut(&series)
    }

    /// Looks at movers that no finding was about, and lets go of those that were nothing.
    fn follow(&mut self, house: &House, at: Timestamp, view: &impl View) {
        let IncidentState { cases, in_case, watches, habits, feedback, now, .. } = self;
        let prior = habits.prior();
        for case in cases.values_mut() {
            let is_open = case.opened.is_some();
            case.tracks.retain(|series, track| {
                let is_paused = house.paused.contains(&track.entity);
                if let Some(seen) = view.now(*series).filter(|_| !is_paused) {
                    let seen = feedback.excuses.heard(house, at, (*series, track), seen);
                    track.take(seen);
                }
                track.weigh(habits.rarity(*series, *now, track, prior));
                if track.by_limit && !is_paused {
                    track.by_limit = watches.is_pressed(house, at, view, *series);
                }
                let is_over = track.evidence.whole <= 0.0 || track.silent_ms(at) > FORGOTTEN_MS;
                let keep = track.by_limit || !is_over || (is_open && track.is_real());
                if !keep {
                    habits.learn(*series, *now, track);
                    in_case.remove(series);
                }
                keep
            });
        }
    }

    fn judge(&mut self, house: &House, at: Timestamp, view: &impl View, out: &mut Vec<Event>) {
        let thresholds = self.thresholds(house.settings);
        let looks = self.looks(house.settings);
        let ticket_of = |fault: &str| self.past.ticket_of(fault, house.settings.budget, looks);
        let wakes_for = |signal: &str| self.past.wakes_for(signal, at, house.settings.budget);
        let forbidden = Forbidden::new(house, &self.cases);
        let elsewhere = Elsewhere::new(house, &self.cases);
        let mut open = self.open().count();
        let mut over = Vec::new();
        for (number, case) in &mut self.cases {
            if case.tracks.is_empty() && case.gone.is_empty() {
                over.push(*number);
                continue;
            }
            // In maintenance nothing is told: neither that something began nor that it is over.
            if case.is_paused(house) {
                continue;
            }
            let worsens = |fault: &Fault, remedy: &str| forbidden.holds(*number, &fault.name, remedy);
            let moves_elsewhere = |entity, signal| elsewhere.moves(*number, entity, signal);
            let takes = Takes {
                thresholds,
                ticket_of: &ticket_of,
                wakes_for: &wakes_for,
                worsens: &worsens,
                moves_elsewhere: &moves_elsewhere,
            };
            let known = (&self.watches, &self.restarts, &self.brown_outs);
            let Some(assessment) = case.assess(house, known, view, at, &takes) else { continue };
            if case.opened.is_some() {
                if is_calm(house, at, view, (&self.watches, &self.flaps), case) {
                    out.extend(lifecycle::resolve(house, at, case, ""));
                    over.push(*number);
                } else {
                    out.extend(lifecycle::update(house, at, case, &assessment));
                }
            } else if open < house.settings.open_max {
                out.extend(lifecycle::open(house, at, case, &assessment));
                open += usize::from(case.opened.is_some());
            } else {
                self.drops.incidents += 1;
            }
        }
        for number in over {
            self.close(house, number, None);
        }
    }

    /// Forgets a case; one that meant nothing teaches the budget.
    fn close(&mut self, house: &House, number: u64, verdict: Option<Verdict>) {
        let Some(case) = self.cases.remove(&number) else { return };
        self.in_case.retain(|_, in_case| *in_case != number);
        let is_told = |opened: &Opened| opened.incident.severity > Severity::Info;
        if case.opened.as_ref().is_some_and(is_told) {
            let real = case.tracks.iter().filter(|(_, track)| track.is_real());
            self.flaps.end(self.now.at, real.map(|(series, _)| *series));
        }
        let counts = self.feedback.close(house, self.now.at, &case, verdict);
        self.past.record(&case.ended(self.now.at), counts);
        if counts == Counts::AsFalse {
            for (series, track) in &case.tracks {
                self.habits.learn(*series, self.now, track);
            }
        }
    }

    pub(super) fn retire(&mut self, series: SeriesId, name: &str) {
        self.quiet.retire(series);
        self.watches.retire(series);
        self.habits.retire(series, name);
        let Some(number) = self.in_case.remove(&series) else { return };
        if let Some(case) = self.cases.get_mut(&number)
            && let Some(track) = case.tracks.remove(&series)
            && case.opened.is_some()
            && track.is_real()
        {
            case.gone.push(track);
        }
    }

    /// A series that was gone for good is back: its mover may yet come to rest.
    pub(super) fn revive(&mut self, series: SeriesId, labels: &Labels) {
        for (number, case) in &mut self.cases {
            if let Some(place) = case.gone.iter().position(|track| track.labels == *labels) {
                let track = case.gone.remove(place);
                case.tracks.insert(series, track);
                self.in_case.insert(series, *number);
                return;
            }
        }
    }

    pub(super) fn acknowledge(&mut self, at: Timestamp, id: &str, by: &str, out: &mut Vec<Event>) -> bool {
        let Some((_, case)) = self.opened_mut(id) else { return false };
        out.extend(
            case.opened
                .as_mut()
                .map(|opened| lifecycle::acknowledge(at, opened, &format!("taken on by {by}"))),
        );
        true
    }

    pub(super) fn resolve(
        &mut self,
        house: &House,
        at: Timestamp,
        id: &str,
        by: &str,
        out: &mut Vec<Event>,
    ) -> bool {
        let Some((number, case)) = self.opened_mut(id) else { return false };
        out.extend(lifecycle::resolve(house, at, case, &format!(" by {by}")));
        self.close(house, number, None);
        true
    }

    /// What a person says of an incident that is open, or was not long ago.
    pub(super) fn feedback(
        &mut self,
        house: &House,
        at: Timestamp,
        id: &str,
        (verdict, by): (Verdict, &str),
        out: &mut Vec<Event>,
    ) -> Heard {
        let Some((number, case)) = self.opened_mut(id) else {
            return self.feedback.hear(at, id, verdict, &mut self.past);
        };
        let said = match verdict {
            Verdict::TrueAlarm => return self.confirm(house, at, number, by, out),
            Verdict::FalseAlarm => format!(" as a false alarm by {by}"),
            Verdict::NormalNow => format!(" as normal from now on by {by}"),
        };
        out.extend(lifecycle::resolve(house, at, case, &said));
        let settles = verdict == Verdict::NormalNow;
        let movers = case.story().into_iter().filter(|_| settles).map(|track| track.labels.clone());
        let settle = movers.collect();
        self.close(house, number, Some(verdict));
        Heard::Taken { settle }
    }

    fn confirm(
        &mut self,
        house: &House,
        at: Timestamp,
        number: u64,
        by: &str,
        out: &mut Vec<Event>,
    ) -> Heard {
        let Some(case) = self.cases.get_mut(&number) else { return Heard::Unknown };
        if !self.feedback.confirm(house, at, case) {
            return Heard::Again;
        }
        out.extend(
            case.opened
                .as_mut()
                .map(|opened| lifecycle::acknowledge(at, opened, &format!("a true alarm, says {by}"))),
        );
        Heard::Taken { settle: Vec::new() }
    }

    /// Whether a verdict on an incident would be heard.
    pub(super) fn remembers(&self, id: &str) -> bool {
        self.open().any(|incident| incident.id == id) || self.feedback.remembers(id)
    }

    /// The most that an incident has weighed that is open, or was not long ago.
    pub(super) fn weight(&self, id: &str) -> Option<f64> {
        let is_it = |case: &&Case| case.opened.as_ref().is_some_and(|opened| opened.incident.id == id);
        self.cases.values().find(is_it).map(|case| case.peak).or_else(|| self.feedback.weight(id))
    }

    /// Opens again what was told and then forgotten; see `Incidents::take_back`.
    pub(super) fn take_back(
        &mut self,
        settings: &IncidentSettings,
        opened: Opened,
        movers: &[Finding],
    ) -> bool {
        let is_told = |case: &u64| self.cases.get(case).is_some_and(|case| case.opened.is_some());
        let free = |finding: &&Finding| !self.in_case.get(&finding.series).is_some_and(is_told);
        let movers: Vec<&Finding> = movers.iter().filter(free).collect();
        if movers.is_empty() || self.open().count() >= settings.open_max {
            return false;
        }
        self.next_case += 1;
        let mut case = Case { opened: Some(opened), ..Case::default() };
        for finding in movers {
            let before = self.in_case.insert(finding.series, self.next_case);
            let before =
                before.and_then(|number| self.cases.get_mut(&number)?.tracks.remove(&finding.series));
            let mut track = before.unwrap_or_else(|| Track::begin(finding));
            track.confirm();
            case.tracks.insert(finding.series, track);
        }
        self.cases.retain(|_, case| !(case.tracks.is_empty() && case.gone.is_empty()));
        self.cases.insert(self.next_case, case);
        true
    }

    fn opened_mut(&mut self, id: &str) -> Option<(u64, &mut Case)> {
        let is_it = |case: &Case| case.opened.as_ref().is_some_and(|opened| opened.incident.id == id);
        self.cases.iter_mut().find(|(_, case)| is_it(case)).map(|(number, case)| (*number, case))
    }

    pub(super) fn learning(&self, settings: &IncidentSettings, series: SeriesId) -> bool {
        let case = self.in_case.get(&series).and_then(|number| self.cases.get(number));
        let Some(opened) = case.and_then(|case| case.opened.as_ref()) else { return true };
        self.now.at.since(opened.incident.opened_at) as f64 > settings.learning_stops_seconds * 1000.0
    }

    /// The series on which learning has stopped.
    pub(super) fn not_learning(&self, settings: &IncidentSettings) -> BTreeSet<SeriesId> {
        let in_case = self.in_case.keys().copied().filter(|series| !self.learning(settings, *series));
        in_case.chain(self.feedback.excuses.not_learning(settings, self.now.at)).collect()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Incident> {
        self.cases.values().filter_map(|case| Some(&case.opened.as_ref()?.incident))
    }

    /// What is used of what users accept of brown-out.
    pub(super) fn brown_outs(&self) -> impl Iterator<Item = BrownOutUse> {
        self.brown_outs.used(self.now.at)
    }

    pub(super) fn thresholds(&self, settings: &IncidentSettings) -> Thresholds {
        self.past.thresholds(settings.budget, self.looks(settings))
    }

    /// How many values are judged a week.
    fn looks(&self, settings: &IncidentSettings) -> f64 {
        self.watches.series() as f64 * WEEK_SECONDS / f64::from(settings.step_seconds.max(1))
    }
}

/// Every mover that still has a series has been calm for a while, and none is at its limit or near it.
fn is_calm(
    house: &House,
    at: Timestamp,
    view: &impl View,
    (watches, flaps): (&Watches, &Flaps),
    case: &Case,
) -> bool {
    let rests = |series: &SeriesId, track: &Track| {
        track.calm >= house.settings.calm_values.saturating_mul(flaps.times(at, *series))
    };
    let mut real = case.tracks.iter().filter(|(_, track)| track.is_real()).peekable();
    real.peek().is_some()
        && real.all(|(series, track)| rests(series, track) && !watches.is_pressed(house, at, view, *series))
}
