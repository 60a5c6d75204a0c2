//! How the load of each machine goes through the week, for the signals that grow with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{House, View};
use crate::predict::rhythm::{Rhythm, Work};
use crate::predict::signals::SignalRef;
use crate::sample::Labels;
use crate::series::registry::SeriesId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Load {
    labels: Labels,
    rhythm: Rhythm,
}

/// The series that a pack names in `grows_with`. As many at most as are watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Loads {
    loads: BTreeMap<SeriesId, Load>,
}

impl Loads {
    pub fn admit(&mut self, house: &House, series: SeriesId, labels: &Labels, signal: SignalRef) {
        let is_known = self.loads.get(&series).is_some_and(|load| load.labels == *labels);
        if house.table.is_load(signal) && !is_known && self.loads.len() < house.settings.watched_max {
            self.loads.insert(series, Load { labels: labels.clone(), rhythm: Rhythm::default() });
        }
    }

    pub fn retire(&mut self, series: SeriesId) {
        self.loads.remove(&series);
    }

    /// Takes what is expected now, which an incident does not teach.
    pub fn step(&mut self, view: &impl View) {
        for (series, load) in &mut self.loads {
            if let Some(now) = view.now(*series).filter(|now| now.has_data) {
                load.rhythm.take(now.at, now.expected);
            }
        }
    }

    /// By the first of these series that has done so for a day.
    pub fn work<'a>(&self, mut of: impl Iterator<Item = &'a SeriesId>) -> Option<Work> {
        of.find_map(|series| self.loads.get(series)?.rhythm.work())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::incident::{Budget, IncidentSettings, Observed};
    use crate::predict::pack::builtins;
    use crate::predict::signals::SignalTable;
    use crate::predict::signature::Signatures;
    use crate::sample::Timestamp;

    /// All series are as expected.
    struct Usual(Observed);

    impl View for Usual {
        fn second_of_week(&self, at: Timestamp) -> u32 {
            (at.0 / 1000).rem_euclid(7 * 86_400) as u32
        }

        fn now(&self, _: SeriesId) -> Option<Observed> {
            Some(self.0)
        }
    }

    fn usual(hour: i64, expected: f64) -> Usual {
        let at = Timestamp(hour * 3_600_000);
        let [value, low, high] = [2.0 * expected, 0.0, f64::INFINITY];
        Usual(Observed { at, value, expected, low, high, surprise: 0.0, own: 1.0, has_data: true })
    }

    #[test]
    fn what_a_pack_names_is_learnt_as_it_is_expected_and_kept_over_a_restart() {
        let table = SignalTable::new(&builtins());
        let settings =
            IncidentSettings::new("home".into(), 15, Budget { pages_per_week: 1.0, tickets_per_week: 7.0 });
        let (signatures, paused) = (Signatures::new(&table), BTreeSet::new());
        let house = House { settings: &settings, table: &table, signatures: &signatures, paused: &paused };
        let mut loads = Loads::default();
        let admit = |loads: &mut Loads, series, name| {
            let labels = Labels::new(&[("__name__", name)]);
            loads.admit(&house, SeriesId(series), &labels, table.resolve(&labels).unwrap());
        };
        admit(&mut loads, 1, "postfix_smtpd_connects_total");
        admit(&mut loads, 2, "postfix_smtp_deferred_messages_total");
        for hour in 0..25 {
            loads.step(&usual(hour, if hour < 12 { 1.0 } else { 3.0 }));
        }
        assert_eq!(loads.work([SeriesId(2)].iter()), None);
        let work = loads.work([SeriesId(2), SeriesId(1)].iter()).unwrap();
        let seconds = |hour: i64| work.at(Timestamp(hour * 3_600_000)).work(3_600.0);
        assert!((seconds(20) / seconds(2) - 3.0).abs() < 1e-9, "{} {}", seconds(20), seconds(2));

        let mut back: Loads = serde_json::from_str(&serde_json::to_string(&loads).unwrap()).unwrap();
        admit(&mut back, 1, "postfix_smtpd_connects_total");
        assert_eq!(back, loads);
        back.retire(SeriesId(1));
        assert_eq!(back, Loads::default());
    }
}
