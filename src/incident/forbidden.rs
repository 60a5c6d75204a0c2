//! What open incidents say against remedies: what heals one may not worsen another.

use std::collections::{BTreeMap, BTreeSet};

use super::House;
use super::case::Case;
use super::remedy::FORBIDS_PROBABILITY;
use crate::predict::pack::Fault;

/// The remedies that the open incidents of a tick speak against.
#[derive(Debug, Default)]
pub(super) struct Forbidden<'a>(BTreeSet<Forbids<'a>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Forbids<'a> {
    remedy: &'a str,
    /// Only where it is called for this fault.
    for_fault: Option<&'a str>,
    /// The case that knows better: its own ranking decides.
    but_in: Option<u64>,
}

impl<'a> Forbidden<'a> {
    /// Each incident forbids what its fault forbids. Where it may be another fault than the one that it is named after, so
    /// may any other incident of that name. And what it was called for most of its life it may still be: a name that
    /// comes late in a long story is of what the story did since, such as a disk's, on which deliveries wait.
    pub fn new(house: &House<'a>, cases: &BTreeMap<u64, Case>) -> Self {
        let find = |name: &str| house.table.faults().iter().find(|fault| fault.name == name);
        let mut forbidden = Forbidden::default();
        for (number, case) in cases {
            let Some(opened) = &case.opened else { continue };
            if let Some(fault) = opened.known_as(house.settings).and_then(find) {
                forbidden.add(fault, None, None);
            }
            let Some(named) = opened.incident.fault.as_deref().and_then(find) else { continue };
            forbidden.add(named, None, Some(*number));
            let doubts = opened.incident.hypotheses.iter().filter(|h| h.probability >= FORBIDS_PROBABILITY);
            for fault in doubts.filter_map(|h| find(&h.fault)) {
                forbidden.add(fault, Some(&named.name), Some(*number));
            }
        }
        forbidden
    }

    fn add(&mut self, fault: &'a Fault, for_fault: Option<&'a str>, but_in: Option<u64>) {
        let forbids = |remedy: &'a String| Forbids { remedy, for_fault, but_in };
        self.0.extend(fault.forbidden.iter().map(forbids));
    }

    /// Whether a remedy that is called for `fault` in the case of this number would worsen what an open incident is about.
    pub fn holds(&self, number: u64, fault: &str, remedy: &str) -> bool {
        let of_it = self.0.iter().filter(|f| f.remedy == remedy && f.but_in != Some(number));
        of_it.map(|f| f.for_fault).any(|only| only.is_none_or(|only| only == fault))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::incident::case::Opened;
    use crate::incident::event::{Hypothesis, Incident, Severity, State};
    use crate::incident::{Budget, IncidentSettings, Incidents};
    use crate::predict::pack::builtins;
    use crate::predict::signals::SignalTable;
    use crate::sample::Timestamp;

    /// An open case that is named after the first of these faults, by their probabilities.
    fn case_of(faults: &[(&str, f64)]) -> Case {
        let hypothesis = |&(fault, probability): &(&str, f64)| Hypothesis {
            fault: fault.into(),
            probability,
            evidence: Vec::new(),
        };
        let at = Timestamp(0);
        let incident = Incident {
            id: "7".into(),
            site: "home".into(),
            entity: "store1".into(),
            entities: vec!["store1".into()],
            root: None,
            opened_at: at,
            resolved_at: None,
            severity: Severity::Ticket,
            state: State::Open,
            fault: Some(faults[0].0.into()),
            probability: Some(faults[0].1),
            hypotheses: faults.iter().map(hypothesis).collect(),
            movers: Vec::new(),
            prediction: None,
            brown_out: None,
            remedy: None,
            summary: String::new(),
        };
        Case { opened: Some(Opened::new(incident, 0, at)), ..Case::default() }
    }

    /// Whether an incident of this case forbids the restart of a store for late deliveries in itself and in another.
    fn forbids_restart(case: Case) -> (bool, bool) {
        let budget = Budget { pages_per_week: 1.0, tickets_per_week: 7.0 };
        let table = Arc::new(SignalTable::new(&builtins()));
        let mut incidents = Incidents::new(IncidentSettings::new("home".into(), 15, budget), table);
        let (house, _) = incidents.parts();
        let cases = BTreeMap::from([(7, case)]);
        let forbidden = Forbidden::new(&house, &cases);
        let holds = |number| forbidden.holds(number, "slow_lmtp", "restart_mailboxd");
        (holds(7), holds(8))
    }

    #[test]
    fn the_doubts_of_one_incident_hold_for_others_of_its_name() {
        assert_eq!(forbids_restart(case_of(&[("slow_lmtp", 0.9), ("heap_leak", 0.1)])), (false, false));
        let doubts = [("slow_lmtp", 0.6), ("storage_latency", 0.3), ("heap_leak", 0.01)];
        assert_eq!(forbids_restart(case_of(&doubts)), (false, true));
        assert_eq!(
            forbids_restart(case_of(&[("clamd_stuck", 0.6), ("storage_latency", 0.3)])),
            (false, false)
        );
        assert_eq!(forbids_restart(case_of(&[("storage_latency", 0.6), ("slow_lmtp", 0.3)])), (false, true));
    }

    #[test]
    fn what_it_was_called_for_most_of_its_life_it_may_still_be() {
        let mut case = case_of(&[("slow_lmtp", 0.9)]);
        let opened = case.opened.as_mut().unwrap();
        // Half an hour and more of one name, and as much of the other but a tick.
        (0..130).for_each(|_| opened.bears("storage_latency"));
        (0..129).for_each(|_| opened.bears("slow_lmtp"));
        assert_eq!(forbids_restart(case.clone()), (true, true));
        let opened = case.opened.as_mut().unwrap();
        (0..2).for_each(|_| opened.bears("slow_lmtp"));
        assert_eq!(forbids_restart(case), (false, false));
        let mut young = case_of(&[("slow_lmtp", 0.9)]);
        (0..100).for_each(|_| young.opened.as_mut().unwrap().bears("storage_latency"));
        assert_eq!(forbids_restart(young), (false, false), "a name of minutes is none yet");
    }
}
