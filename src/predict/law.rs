//! A law of conservation, or a share, with its signals found: which series of a machine belong to it, and how they are
//! measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pack::{PERCENT, Side, Signal, derived_name, rate};
use super::signals::{SignalRef, SignalTable};

/// Signals of one machine that are read together.
#[derive(Clone, Debug, PartialEq)]
pub struct Law {
    /// The place of the signal that tells what comes of it, and the metric of its series.
    pub signal: u16,
    pub metric: String,
    pub tells: Tells,
    sides: BTreeMap<u16, Side>,
}

/// What is told of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tells {
    /// What comes has gone or stays, and so much is unaccounted for over this time, as the signal's unit has it.
    Unaccounted { over_seconds: f64 },
    /// Of a hundred that pass so many are of the part.
    Percent,
}

/// How a series enters a law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub side: Side,
    /// A value times this is a rate a second of the law's own thing, or how many of it are held.
    pub times: f64,
}

impl Law {
    /// The law of a signal that has one, once all its signals are found.
    pub(super) fn new(place: u16, signal: &Signal, find: impl Fn(&str) -> Option<u16>) -> Option<Law> {
        let tells = match (&signal.balance, &signal.share) {
            (Some(_), _) => Tells::Unaccounted { over_seconds: rate(&signal.unit)?.1 },
            (None, Some(_)) if signal.unit == PERCENT => Tells::Percent,
            _ => return None,
        };
        let parts = signal.parts().into_iter();
        let sides: Option<_> = parts.map(|(side, name)| Some((find(name)?, side))).collect();
        Some(Law { signal: place, metric: derived_name(&signal.name), tells, sides: sides? })
    }

    /// The side of a signal, by its place.
    pub fn side(&self, signal: u16) -> Option<Side> {
        self.sides.get(&signal).copied()
    }

    /// The signals that must all be there, by their places.
    pub fn signals(&self) -> impl Iterator<Item = u16> {
        self.sides.keys().copied()
    }

    /// How a series of this meaning enters; `None` where it doesn't, or where an exporter gives a sum for a rate.
    pub fn part(&self, table: &SignalTable, meaning: SignalRef) -> Option<Part> {
        let side = self.side(meaning.signal)?;
        let times = table.exported(meaning).times;
        match (side, rate(table.unit(meaning)), rate(&table.signal(meaning).unit)) {
            (Side::Stays, None, None) => Some(Part { side, times }),
            (side, Some(_), Some((_, seconds))) if side.is_passing() => {
                Some(Part { side, times: times / seconds })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::pack::Pack;
    use crate::sample::Labels;

    const PACK: &str = r#"
name: shop
signals:
  - { name: came, reads: came, unit: orders a minute, role: shop, hurts: up, from: [{ select: came_total, unit: orders a second, times: 60 }, { select: came_today, unit: orders }] }
  - { name: left, reads: left, unit: orders a second, role: shop, hurts: up, from: [{ select: left_dozens_total, times: 12 }] }
  - { name: held, reads: held, unit: orders, role: shop, hurts: up, from: [held] }
  - { name: lost, reads: lost, unit: orders an hour, role: shop, hurts: up, balance: { comes: [came], goes: [left], stays: [held] } }
"#;

    #[test]
    fn a_series_enters_in_the_measure_of_the_law() {
        let table = SignalTable::new(&[Pack::from_yaml(PACK).unwrap()]);
        let [law] = table.laws() else { panic!("{:?}", table.laws()) };
        assert_eq!(
            (law.metric.as_str(), law.tells),
            ("foreshock_lost", Tells::Unaccounted { over_seconds: 3600.0 })
        );
        assert_eq!(law.signals().count(), 3);
        let meaning = |name: &str| table.resolve(&Labels::new(&[("__name__", name)])).unwrap();
        let part = |name| law.part(&table, meaning(name)).map(|part| (part.side, part.times));
        assert_eq!(part("came_total"), Some((Side::Comes, 1.0)), "a counter is read as a rate a second");
        assert_eq!(part("came_today"), None, "how many there were today is no rate");
        assert_eq!(part("left_dozens_total"), Some((Side::Goes, 12.0)));
        assert_eq!(part("held"), Some((Side::Stays, 1.0)));
        assert_eq!(part("foreshock_lost"), None);
        assert!(table.is_source(meaning("held")) && !table.is_source(meaning("foreshock_lost")));
    }

    #[test]
    fn a_law_without_one_of_its_signals_is_none() {
        let pack = Pack::from_yaml(PACK).unwrap();
        let lost = pack.signals.last().unwrap();
        assert!(Law::new(3, lost, |name| (name != "held").then_some(0)).is_none());
        assert!(Law::new(2, &pack.signals[2], |_| Some(0)).is_none(), "no balance, no law");
    }
}
