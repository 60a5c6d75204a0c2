//! Which signal a series is: every selector of every pack, found by metric name once in a series' life.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::law::Law;
use super::pack::{Exported, Fault, Pack, Signal, derived_name, with_needed};
use super::service_levels::ServiceLevels;
use super::stall::Stall;
use crate::sample::Labels;

/// A signal, and the exporter whose form a series has. Holds for the packs it was resolved with, so it
/// is resolved anew after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SignalRef {
    /// Place in the table; equal for series of one signal.
    pub signal: u16,
    exported: u16,
}

/// All packs together, ready for look-ups.
#[derive(Clone, Debug, Default)]
pub struct SignalTable {
    signals: Vec<Signal>,
    faults: Vec<Fault>,
    by_metric: FxHashMap<String, Vec<SignalRef>>,
    /// The metric that is derived of a signal, by the place of that signal.
    derived: BTreeMap<u16, String>,
    /// What signals of one machine tell together.
    laws: Vec<Law>,
    /// What others do while a machine stands still.
    stalls: Vec<Stall>,
    /// By the place of a signal: whether something is derived of it.
    is_source: Vec<bool>,
    /// The roles on which a role depends directly.
    depends: BTreeMap<String, BTreeSet<String>>,
    /// The role of the machines on which a remedy acts.
    acts_on: BTreeMap<String, String>,
    /// Seconds of the levels; `None` of one that is a share.
    levels: BTreeMap<String, Option<f64>>,
}

impl SignalTable {
    /// With `packs` come those that they need, whether named or not. Of equal names in two packs that of the
    /// pack that builds on the other counts, or else that of the first. What packs say of each other's faults
    /// is added in the same order, the pack that is built on first.
    pub fn new(packs: &[Pack]) -> Self {
        let packs = with_needed(packs);
        let mut table = SignalTable::default();
        for pack in &packs {
            for signal in &pack.signals {
                if table.find(&signal.name).is_none() {
                    table.add(signal.clone());
                }
            }
            for fault in &pack.faults {
                if table.faults.iter().all(|known| known.name != fault.name) {
                    table.faults.push(fault.clone());
                }
            }
            for remedy in &pack.remedies {
                if let Some(role) = &remedy.role {
                    table.acts_on.entry(remedy.name.clone()).or_insert_with(|| role.clone());
                }
            }
            for level in &pack.levels {
                table.levels.entry(level.name.clone()).or_insert(level.seconds);
            }
            for role in &pack.roles {
                table.depends.entry(role.name.clone()).or_default().extend(role.depends.iter().cloned());
            }
        }
        let derived = table
            .signals
            .iter()
            .filter_map(|signal| Some((table.find(signal.behind.as_deref()?)?, derived_name(&signal.name))));
        table.derived = derived.collect();
        let laws = (0..).zip(&table.signals);
        table.laws =
            laws.filter_map(|(place, signal)| Law::new(place, signal, |name| table.find(name))).collect();
        let stalls = (0..).zip(&table.signals);
        table.stalls =
            stalls.filter_map(|(place, signal)| Stall::new(place, signal, |name| table.find(name))).collect();
        for extension in packs.iter().rev().flat_map(|pack| &pack.extends) {
            if let Some(fault) = table.faults.iter_mut().find(|fault| fault.name == extension.fault) {
                extension.apply(fault);
            }
        }
        table.find_sources();
        table
    }

    /// Without shares that serve promises alone, where none is made.
    pub fn with_promises(mut self, promises: &ServiceLevels) -> Self {
        let is_wanted = |law: &Law| {
            let mut levels = self.share_levels(law.signal).into_iter().flatten();
            !self.serves_promises(law.signal) || levels.any(|level| promises.is_promised(level))
        };
        let wanted: Vec<Law> = self.laws.iter().filter(|law| is_wanted(law)).cloned().collect();
        self.laws = wanted;
        self.find_sources();
        self
    }

    /// Whether a signal is told only to keep what somebody was promised: all that users feel by it is a share.
    pub fn serves_promises(&self, signal: u16) -> bool {
        let levels = self.share_levels(signal);
        !levels.is_empty() && levels.iter().all(Option::is_some)
    }

    /// Of each way in which users feel a fault by a signal the level, where that is a share.
    fn share_levels(&self, signal: u16) -> Vec<Option<&str>> {
        let name = &self.signals[usize::from(signal)].name;
        let impacts = self.faults.iter().flat_map(|fault| &fault.impact);
        let of_signal = impacts.filter(|impact| impact.signal == *name);
        of_signal.map(|impact| impact.level.as_deref().filter(|level| self.is_share(level))).collect()
    }

    fn find_sources(&mut self) {
        let is_source = |place| {
            self.derived.contains_key(&place)
                || self.laws.iter().any(|law| law.side(place).is_some())
                || self.stalls.iter().any(|stall| stall.shows(place) || stall.is_meanwhile(place))
        };
        self.is_source = (0..).zip(&self.signals).map(|(place, _)| is_source(place)).collect();
    }

    fn add(&mut self, signal: Signal) {
        let Ok(place) = u16::try_from(self.signals.len()) else { return };
        for (exported, from) in (0u16..).zip(&signal.from) {
            let name = from.select.name().to_owned();
            self.by_metric.entry(name).or_default().push(SignalRef { signal: place, exported });
        }
        self.signals.push(signal);
    }

    /// The signal of a series; where several selectors fit, the first of the first pack.
    pub fn resolve(&self, labels: &Labels) -> Option<SignalRef> {
        let candidates = self.by_metric.get(labels.name())?;
        candidates.iter().copied().find(|&signal| self.exported(signal).select.matches(labels))
    }

    pub fn signal(&self, signal: SignalRef) -> &Signal {
        &self.signals[usize::from(signal.signal)]
    }

    pub fn exported(&self, signal: SignalRef) -> &Exported {
        &self.signals[usize::from(signal.signal)].from[usize::from(signal.exported)]
    }

    /// The unit in which a series of this signal is shown.
    pub fn unit(&self, signal: SignalRef) -> &str {
        self.exported(signal).unit.as_deref().unwrap_or(&self.signal(signal).unit)
    }

    /// The place of the signal of that canonical name.
    pub fn find(&self, name: &str) -> Option<u16> {
        self.signals.iter().position(|s| s.name == name).and_then(|place| u16::try_from(place).ok())
    }

    /// The metric that is derived of this signal, where one is.
    pub fn derived_from(&self, signal: u16) -> Option<&str> {
        self.derived.get(&signal).map(String::as_str)
    }

    /// What signals of one machine tell together.
    pub fn laws(&self) -> &[Law] {
        &self.laws
    }

    /// What others do while a machine stands still.
    pub fn stalls(&self) -> &[Stall] {
        &self.stalls
    }

    /// Whether something is derived of this signal.
    pub fn is_source(&self, signal: SignalRef) -> bool {
        self.is_source[usize::from(signal.signal)]
    }

    /// The role of the machines on which a remedy acts; `None` where it acts on any.
    pub fn acts_on(&self, remedy: &str) -> Option<&str> {
        self.acts_on.get(remedy).map(String::as_str)
    }

    /// How long a service may take by the packs, in seconds.
    pub fn level_seconds(&self, level: &str) -> Option<f64> {
        self.levels.get(level).copied().flatten()
    }

    /// Whether a level is a share, in percent, and not a time.
    pub fn is_share(&self, level: &str) -> bool {
        self.levels.get(level) == Some(&None)
    }

    /// The names of all levels, sorted.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.levels.keys().map(String::as_str)
    }

    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// All signals; a signal's place is that of its `SignalRef`.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Whether machines of role `one` need those of role `other`, directly or through others, so that a fault
    /// of the other shows in the one. No role depends on itself, even where roles depend on each other.
    pub fn depends_on(&self, one: &str, other: &str) -> bool {
        let (mut seen, mut next) = (BTreeSet::new(), vec![one]);
        while let Some(role) = next.pop() {
            let direct = self.depends.get(role).into_iter().flatten().map(String::as_str);
            next.extend(direct.filter(|role| seen.insert(*role)));
        }
        one != other && seen.contains(other)
    }

    /// Whether its way to a limit matters: its own, or one at which users feel a fault.
    pub fn is_watched(&self, signal: SignalRef) -> bool {
        let signal = self.signal(signal);
        let hurts_in = |fault: &Fault| fault.impact.iter().any(|impact| impact.signal == signal.name);
        signal.limit.is_some() || self.faults.iter().any(hurts_in)
    }

    /// Whether another signal grows with it.
    pub fn is_load(&self, signal: SignalRef) -> bool {
        let name = &self.signal(signal).name;
        self.signals.iter().any(|other| other.grows_with.as_ref() == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::pack::{builtin, builtins};

    fn table() -> SignalTable {
        SignalTable::new(&builtins())
    }

    /// The canonical signal of a series, if it has one.
    fn check(labels: &[(&str, &str)], want: Option<&str>) {
        let table = table();
        let found = table.resolve(&Labels::new(labels));
        assert_eq!(found.map(|signal| table.signal(signal).name.as_str()), want, "{labels:?}");
    }

    #[test]
    fn the_exporters_of_the_field_meet_in_one_signal() {
        check(&[("__name__", "postfix_queue_stat"), ("queue", "deferred")], Some("mta_queue_deferred"));
        check(&[("__name__", "zimbra_queue"), ("name", "deferred")], Some("mta_queue_deferred"));
        check(&[("__name__", "postfix_queue_length"), ("queue", "deferred")], Some("mta_queue_deferred"));
        check(&[("__name__", "postfix_queue_stat"), ("queue", "hold")], Some("mta_queue_hold"));
        check(&[("__name__", "postfix_queue_stat"), ("queue", "corrupt")], None);
        check(&[("__name__", "clamav_threads_idle")], Some("clamd_threads_idle"));
        check(&[("__name__", "unheard_of")], None);
    }

    #[test]
    fn an_exporter_may_have_its_own_unit() {
        let table = table();
        let seconds = table.resolve(&Labels::new(&[("__name__", "soap_exec_seconds_max")])).unwrap();
        let ms = table.resolve(&Labels::new(&[("__name__", "mailboxd_soap_ms_avg")])).unwrap();
        assert_eq!(seconds.signal, ms.signal);
        assert_eq!((table.unit(seconds), table.unit(ms)), ("s", "ms"));
        assert_eq!(table.exported(seconds).times, 1000.0);
    }

    #[test]
    fn a_fault_of_the_directory_shows_in_the_proxy_and_not_the_other_way() {
        let table = table();
        assert!(table.depends_on("mailbox", "ldap"));
        assert!(table.depends_on("proxy", "ldap"), "through the mailbox");
        assert!(table.depends_on("mta", "storage"));
        for (one, other) in [("ldap", "proxy"), ("mailbox", "mailbox"), ("mailbox", "proxy"), ("mta", "moon")]
        {
            assert!(!table.depends_on(one, other), "{one} {other}");
        }
    }

    #[test]
    fn roles_that_need_each_other_end_the_walk() {
        let text = "name: own\nroles: {a: {about: a, depends: [b]}, b: {about: b, depends: [a]}}\n";
        let table = SignalTable::new(&[Pack::from_yaml(text).unwrap()]);
        assert!(table.depends_on("a", "b") && table.depends_on("b", "a") && !table.depends_on("a", "a"));
    }

    #[test]
    fn one_name_brings_all_that_its_pack_needs() {
        let zimbra = SignalTable::new(&[builtin("zimbra").unwrap().unwrap()]);
        let all = table();
        let missing: Vec<&str> = all
            .faults()
            .iter()
            .map(|f| f.name.as_str())
            .filter(|name| zimbra.faults().iter().all(|f| f.name != *name))
            .collect();
        assert_eq!(missing, ["container_oom", "cpu_throttling"], "what Kubernetes alone knows");
        assert!(zimbra.find("disk_free").is_some() && zimbra.find("mta_queue_active").is_some());
    }

    /// A sign that only a pack on top can name comes to the fault of the pack below.
    #[test]
    fn a_pack_says_more_of_a_fault_of_one_that_it_needs() {
        let signs = |packs: &[Pack]| {
            let table = SignalTable::new(packs);
            let fault = table.faults().iter().find(|f| f.name == "storage_latency").unwrap();
            (fault.evidence.len(), fault.forbidden.clone())
        };
        let (below, forbidden) = signs(&[builtin("storage").unwrap().unwrap()]);
        let (all, forbidden_by_all) = signs(&builtins());
        assert!(all > below && forbidden.is_empty(), "{all} {below} {forbidden:?}");
        assert_eq!(forbidden_by_all, ["restart_mailboxd", "rolling_restart_mailboxd"]);
    }
}
