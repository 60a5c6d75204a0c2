//! Which remedy is called for: what heals the likeliest fault and harms none that it may be, once there is ground to act.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::House;
use super::case::{Case, FAULT_PROBABILITY, ODD_MS, TOGETHER_MS, is_at_rest, is_silence};
use super::mover::Track;
use super::severity::PAGE_AFTER_MS;
use super::watch::Watches;
use crate::predict::pack::{Fault, Lead};
use crate::predict::signature::Ranked;
use crate::sample::Timestamp;
use crate::series::registry::EntityId;

/// A remedy isn't called while a hypothesis this probable forbids it, now or in the mean over the life of the incident: a
/// story that grows may hide how it began.
pub(super) const FORBIDS_PROBABILITY: f64 = 0.1;
/// What is less probable has no part in what an incident is taken for.
const TAKEN_LEAST: f64 = 0.01;
/// Nor for a fault that is less probable, though others that it heals may be as well.
const REMEDY_PROBABILITY: f64 = 0.3;

/// What a case was taken for since it weighed enough to be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TakenFor {
    ticks: u32,
    /// Of each fault the sum of its probabilities.
    sums: BTreeMap<String, f64>,
}

impl TakenFor {
    /// One more tick of what it is ranked as.
    pub fn take(&mut self, house: &House, ranked: &[Ranked]) {
        self.ticks = self.ticks.saturating_add(1);
        for r in ranked.iter().filter(|r| r.probability >= TAKEN_LEAST) {
            let name = &house.table.faults()[r.fault].name;
            match self.sums.get_mut(name) {
                Some(sum) => *sum += r.probability,
                None => drop(self.sums.insert(name.clone(), r.probability)),
            }
        }
    }

    /// Two stories are one.
    pub fn join(&mut self, other: TakenFor) {
        self.ticks = self.ticks.saturating_add(other.ticks);
        for (fault, sum) in other.sums {
            *self.sums.entry(fault).or_default() += sum;
        }
    }

    /// How probable a fault was in the mean.
    fn mean(&self, fault: &str) -> f64 {
        self.sums.get(fault).map_or(0.0, |sum| sum / f64::from(self.ticks.max(1)))
    }
}

impl Case {
    /// Whether there is ground to act on a fault. What has moved since it began may as well be an exporter that fails, where it
    /// is all silence; or be for a restart. What fills up is seen to be on its way, and a fault of services shows in
    /// one. And what is felt at once is often over before
    /// anything is done for it. A remedy that is called for stays so until the signs have come to rest.
    pub fn is_ground(
        &self,
        house: &House,
        (watches, is_measured): (&Watches, bool),
        standing: &[&Track],
        at: Timestamp,
        fault: &Ranked,
    ) -> bool {
        let story = self.story();
        let since = story.iter().filter(|track| track.course().0.since(fault.since) >= -TOGETHER_MS);
        if is_silence(&since.copied().collect::<Vec<_>>()) {
            return false;
        }
        let Fault { name, lead, impact, .. } = &house.table.faults()[fault.fault];
        let told = self.opened.as_ref().map(|opened| &opened.incident);
        let is_called = told.is_some_and(|told| told.remedy.is_some() && told.fault.as_ref() == Some(name));
        let fills = |track: &&Track| watches.not_before_seconds(house, track.entity, impact).is_some();
        let is_felt_at_once = *lead == Lead::None;
        let may_be_any_job = !is_felt_at_once && !fault.reaches_service;
        if !is_called && (may_be_any_job || !is_measured && story.iter().any(fills)) {
            return false;
        }
        if !is_felt_at_once && self.restarted.is_empty() {
            return true;
        }
        let is_sign = |track: &Track| track.signal.is_some_and(|s| fault.signs.contains(&s.signal));
        if is_called {
            return story.iter().any(|track| is_sign(track) && !is_at_rest(house, track));
        }
        let after_ms = if is_felt_at_once { PAGE_AFTER_MS } else { ODD_MS };
        let is_now = |track: &Track| track.calm == 0 || track.by_limit;
        let lasts = |track: &Track| is_now(track) && at.since(track.strays_since()) >= after_ms;
        standing.iter().any(|track| is_sign(track) && lasts(track))
    }
}

/// The first remedy of the likeliest fault that is as probably right as a fault has to be to be named, whichever of the
/// faults that it heals it is, and that no hypothesis to be reckoned with forbids, nor another open incident. What is to be
/// done to a kind of machine takes a telltale sign on one of that kind: late deliveries that only MTAs show say of no store
/// that it is to be restarted. With it the machine on which it is to act.
pub(super) fn remedy(
    house: &House,
    watches: &Watches,
    machines: &[(EntityId, Arc<str>)],
    (ranked, taken_for): (&[Ranked], &TakenFor),
    worsens: &dyn Fn(&Fault, &str) -> bool,
) -> Option<(String, usize)> {
    let top = ranked.first().filter(|top| top.probability >= REMEDY_PROBABILITY)?;
    let faults = house.table.faults();
    let is_right = |remedy: &String| {
        let healed = ranked.iter().filter(|r| faults[r.fault].remedies.contains(remedy));
        healed.map(|r| r.probability).sum::<f64>() >= FAULT_PROBABILITY
    };
    let forbids = |remedy: &String| is_forbidden(faults, ranked, taken_for, remedy);
    let measured = |place: usize| watches.measured(machines[place].0).map(|(signal, _)| signal);
    let place_of = |remedy: &String| {
        let Some(role) = house.table.acts_on(remedy) else { return Some(top.root) };
        let mut places =
            top.telltale.iter().copied().filter(|m| house.signatures.has_role(measured(*m), role));
        let first = places.clone().next();
        places.find(|place| *place == top.root).or(first)
    };
    let fault = &faults[top.fault];
    let may_be = |remedy: &&String| is_right(remedy) && !forbids(remedy) && !worsens(fault, remedy);
    fault.remedies.iter().filter(may_be).find_map(|remedy| Some((remedy.clone(), place_of(remedy)?)))
}

/// Whether a remedy would worsen what it may be, now or by what it was taken for.
fn is_forbidden(faults: &[Fault], ranked: &[Ranked], taken_for: &TakenFor, remedy: &String) -> bool {
    let now = |fault: usize| ranked.iter().find(|r| r.fault == fault).map_or(0.0, |r| r.probability);
    let mut forbid = faults.iter().enumerate().filter(|(_, fault)| fault.forbidden.contains(remedy));
    forbid.any(|(place, fault)| now(place).max(taken_for.mean(&fault.name)) >= FORBIDS_PROBABILITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Incidents;
    use crate::incident::scenarios::site::{settings, table};

    #[test]
    fn what_it_was_taken_for_forbids_for_as_long_as_it_may_be_that() {
        let table = table();
        let place = |name: &str| table.faults().iter().position(|fault| fault.name == name).unwrap();
        let ranked = |account: f64| {
            [("remote_outage", 0.9 - account), ("compromised_account", account)].map(|(name, probability)| {
                Ranked {
                    fault: place(name),
                    probability,
                    signs: Vec::new(),
                    is_founded: true,
                    reaches_service: true,
                    telltale: Vec::new(),
                    root: 0,
                    since: Timestamp(0),
                }
            })
        };
        let mut incidents = Incidents::new(settings(), table.clone());
        let (house, _) = incidents.parts();
        let mut taken_for = TakenFor::default();
        let mut forbids_after = |ticks: usize, account: f64| {
            (0..ticks).for_each(|_| taken_for.take(&house, &ranked(account)));
            is_forbidden(table.faults(), &ranked(account), &taken_for, &"flush_queue".to_owned())
        };
        assert!(!forbids_after(1, 0.05));
        assert!(forbids_after(1, 0.2), "it may be the account that sends");
        assert!(forbids_after(20, 0.4));
        assert!(forbids_after(20, 0.02), "that other things move too says nothing of it");
        assert!(!forbids_after(100, 0.02));
    }
}
