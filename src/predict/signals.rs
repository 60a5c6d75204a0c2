//! Which signal a series is: every selector of every pack, found by metric name once in a series' life.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::pack::{Exported, Fault, Pack, Signal, builtin};
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
}

impl SignalTable {
    /// Of equal names in two packs the first pack's signal or fault counts. Packs that `packs` need come
    /// last, whether named or not.
    pub fn new(packs: &[Pack]) -> Self {
        let needs = packs.iter().flat_map(|pack| &pack.needs);
        let needed: Vec<Pack> = needs.filter_map(|name| builtin(name)?.ok()).collect();
        let mut table = SignalTable::default();
        for pack in packs.iter().chain(&needed) {
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
        }
        table
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

    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether its way to a limit matters: its own, or one at which users feel a fault.
    pub fn is_watched(&self, signal: SignalRef) -> bool {
        let signal = self.signal(signal);
        let hurts_in = |fault: &Fault| fault.impact.iter().any(|impact| impact.signal == signal.name);
        signal.limit.is_some() || self.faults.iter().any(hurts_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SignalTable {
        SignalTable::new(&[builtin("zimbra").unwrap().unwrap()])
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
        check(&[("__name__", "postfix_queue_stat"), ("queue", "hold")], None);
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
}
