//! Which fault moves what has moved: the posterior of every fault that a pack knows, and of none of them.
//!
//! Signs count as independent given the fault (naive Bayes). A sign that is measured and stays still speaks
//! against a fault, the less the later it stands in the fault's order, for it may yet come. A sign that
//! nobody measures says nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::pack::Movement;
use super::signals::SignalTable;
use crate::sample::Timestamp;

/// A signal moves that the fault doesn't speak of, or the other way.
const STRAY: f64 = 0.05;
/// A signal moves under a cause that no pack knows: it may be any signal.
const UNKNOWN_MOVES: f64 = 0.2;
/// Weight of "none of them" beside faults of prior 1.
const UNKNOWN_PRIOR: f64 = 1.0;
/// What is left of the evidence of a sign that stays still, if later ones haven't come either.
const NOT_YET: f64 = 0.25;
/// Two signs in the fault's order, and against it.
const IN_ORDER: f64 = 1.5;
const OUT_OF_ORDER: f64 = 0.4;

/// A signal that left its usual course, and when it did first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    pub signal: u16,
    pub moves: Movement,
    pub at: Timestamp,
}

/// A fault as a cause of what has moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Place in `SignalTable::faults`.
    pub fault: usize,
    /// Over all ranked and "none of them" the sum is 1.
    pub probability: f64,
    /// The signals that moved as the fault has it, in its order.
    pub signs: Vec<u16>,
}

/// The faults with their signs by place, as `rank` needs them.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    faults: Vec<Signature>,
}

#[derive(Clone, Debug)]
struct Signature {
    prior: f64,
    signs: Vec<Sign>,
}

#[derive(Clone, Copy, Debug)]
struct Sign {
    signal: u16,
    moves: Movement,
    sure: f64,
}

impl Signatures {
    pub fn new(table: &SignalTable) -> Self {
        let faults = table.faults().iter().map(|fault| Signature {
            prior: fault.prior,
            signs: fault
                .evidence
                .iter()
                .filter_map(|e| Some(Sign { signal: table.find(&e.signal)?, moves: e.moves, sure: e.sure }))
                .collect(),
        });
        Signatures { faults: faults.collect() }
    }

    /// The faults that explain at least one of `moved`, likeliest first. `still` are the signals that
    /// were measured on the same entities and did not move.
    pub fn rank(&self, moved: &[Moved], still: &BTreeSet<u16>) -> Vec<Ranked> {
        let mut first: BTreeMap<u16, Moved> = BTreeMap::new();
        for m in moved {
            let known = first.entry(m.signal).or_insert(*m);
            if m.at < known.at {
                *known = *m;
            }
        }
        let unknown = libm::log(UNKNOWN_PRIOR) + first.len() as f64 * libm::log(UNKNOWN_MOVES);
        let mut ranked = Vec::new();
        for (place, signature) in self.faults.iter().enumerate() {
            let signs = signature.shown(&first);
            if !signs.is_empty() {
                let odds = libm::exp(signature.log_likelihood(&first, still) - unknown);
                ranked.push(Ranked { fault: place, probability: odds, signs });
            }
        }
        let total = 1.0 + ranked.iter().map(|r| r.probability).sum::<f64>();
        for r in &mut ranked {
            r.probability /= total;
        }
        ranked.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.fault.cmp(&b.fault)));
        ranked
    }

    /// Whether one fault shows in both signals, so that machines may break together by it.
    pub fn are_linked(&self, one: u16, other: u16) -> bool {
        let has = |s: &Signature, signal| s.signs.iter().any(|sign| sign.signal == signal);
        self.faults.iter().any(|s| has(s, one) && has(s, other))
    }
}

impl Signature {
    fn shown(&self, first: &BTreeMap<u16, Moved>) -> Vec<u16> {
        let shown =
            self.signs.iter().filter(|sign| first.get(&sign.signal).is_some_and(|m| m.moves == sign.moves));
        shown.map(|sign| sign.signal).collect()
    }

    fn log_likelihood(&self, first: &BTreeMap<u16, Moved>, still: &BTreeSet<u16>) -> f64 {
        let moved_as = |sign: &Sign| first.get(&sign.signal).filter(|m| m.moves == sign.moves);
        let mut log = libm::log(self.prior);
        for m in first.values() {
            let sign = self.signs.iter().find(|s| s.signal == m.signal && s.moves == m.moves);
            log += libm::log(sign.map_or(STRAY, |sign| sign.sure));
        }
        let last_shown = self.signs.iter().rposition(|sign| moved_as(sign).is_some()).unwrap_or(0);
        for (place, sign) in self.signs.iter().enumerate() {
            if still.contains(&sign.signal) && !first.contains_key(&sign.signal) {
                let weight = if place > last_shown { NOT_YET } else { 1.0 };
                log += weight * libm::log((1.0 - sign.sure).max(0.001) / (1.0 - UNKNOWN_MOVES));
            }
        }
        let times: Vec<Timestamp> = self.signs.iter().filter_map(|s| moved_as(s).map(|m| m.at)).collect();
        for pair in times.windows(2) {
            match pair[0].cmp(&pair[1]) {
                std::cmp::Ordering::Less => log += libm::log(IN_ORDER),
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => log += libm::log(OUT_OF_ORDER),
            }
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::pack::builtins;

    fn table() -> SignalTable {
        SignalTable::new(&builtins())
    }

    /// Ranks what moved, a minute between two signs, with `still` measured and at rest.
    fn rank(table: &SignalTable, moved: &[(&str, Movement)], still: &[&str]) -> Vec<(String, f64)> {
        let moved: Vec<Moved> = (0..)
            .zip(moved)
            .map(|(i, (name, moves))| Moved {
                signal: table.find(name).unwrap(),
                moves: *moves,
                at: Timestamp(i * 60_000),
            })
            .collect();
        let still = still.iter().map(|name| table.find(name).unwrap()).collect();
        let ranked = Signatures::new(table).rank(&moved, &still);
        ranked.iter().map(|r| (table.faults()[r.fault].name.clone(), r.probability)).collect()
    }

    #[test]
    fn every_fault_is_known_by_its_own_signs() {
        let table = table();
        for fault in table.faults() {
            let mut seen = BTreeSet::new();
            // A signal cannot move both ways at once (clock_skew has either).
            let signs = fault.evidence.iter().filter(|e| seen.insert(&e.signal));
            let moved: Vec<(&str, Movement)> = signs.map(|e| (e.signal.as_str(), e.moves)).collect();
            let ranked = rank(&table, &moved, &[]);
            assert_eq!(ranked[0].0, fault.name, "{ranked:?}");
            assert!(ranked[0].1 > 0.5, "{ranked:?}");
        }
    }

    #[test]
    fn a_deferred_queue_alone_is_an_outage_outside() {
        let table = table();
        let ranked = rank(&table, &[("mta_queue_deferred", Movement::Up)], &["mta_queue_active"]);
        assert_eq!(ranked[0].0, "remote_outage");
        assert!((0.5..0.9).contains(&ranked[0].1), "{ranked:?}");
    }

    #[test]
    fn a_stuck_scanner_is_known_by_three_signs_of_the_ones_it_has() {
        let table = table();
        let moved = [
            ("clamd_threads_idle", Movement::Down),
            ("clamd_queue", Movement::Up),
            ("mta_queue_active", Movement::Up),
        ];
        let ranked =
            rank(&table, &moved, &["lmtp_received", "mta_queue_deferred", "cpu_user", "add_message_time"]);
        assert_eq!(ranked[0].0, "clamd_stuck");
        assert!(ranked[0].1 > 0.9, "{ranked:?}");
    }

    #[test]
    fn what_no_fault_moves_has_no_hypothesis() {
        let table = table();
        assert_eq!(rank(&table, &[("mta_rejected", Movement::Up)], &[]), []);
        assert_eq!(rank(&table, &[("mta_queue_deferred", Movement::Down)], &[]), []);
        assert_eq!(Signatures::new(&table).rank(&[], &BTreeSet::new()), []);
    }

    #[test]
    fn a_sign_at_rest_speaks_against_a_fault() {
        let table = table();
        let probability = |still: &[&str]| rank(&table, &[("index_read", Movement::Up)], still)[0].1;
        let [still, unmeasured] = [probability(&["search_time"]), probability(&[])];
        assert!(still < unmeasured, "{still} {unmeasured}");
    }

    #[test]
    fn order_tells_a_leak_from_a_burst() {
        let table = table();
        let leak = [("heap_used", Movement::Up), ("gc_time", Movement::Up), ("soap_time", Movement::Up)];
        let burst = [("gc_time", Movement::Up), ("heap_used", Movement::Up), ("soap_time", Movement::Up)];
        let [leak, burst] = [leak, burst].map(|moved| {
            let ranked = rank(&table, &moved, &[]);
            ranked.iter().find(|r| r.0 == "heap_leak").map_or(0.0, |r| r.1)
        });
        assert!(leak > burst, "{leak} {burst}");
    }

    #[test]
    fn probabilities_are_a_share_of_one() {
        let table = table();
        let ranked = rank(&table, &[("mta_queue_active", Movement::Up), ("cpu_user", Movement::Up)], &[]);
        let sum: f64 = ranked.iter().map(|r| r.1).sum();
        assert!(sum < 1.0 && ranked.iter().all(|r| r.1 > 0.0), "{ranked:?}");
        assert!(ranked.is_sorted_by(|a, b| a.1 >= b.1));
    }
}
