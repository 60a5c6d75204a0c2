//! Every series ever met, by its labels: a key of bytes in, a dense number out.
//!
//! Meeting a known series costs one hash of its key and one compare. The hash is not keyed: who can
//! choose labels can slow this down, but only as far as `series_max` allows, and only once let in.
//!
//! A retired series gives its place back, and its number to another a day later, when nothing can
//! still hold it. Entities are never forgotten while the process lives.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::sample::{Labels, Timestamp, ValueKind, label_of, pairs_of};

/// How long a retired number rests before another series may get it.
const REST_MS: i64 = 24 * 3600 * 1000;

/// A series, numbered from 0 in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesId(pub u32);

impl SeriesId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What series belong to: a host, as a rule. Numbered from 0 in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityId(pub u32);

impl EntityId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug)]
pub struct RegistryLimits {
    /// Series alive at a time; entities too.
    pub series_max: usize,
    /// Labels of one series, its name included.
    pub labels_max: usize,
    /// Bytes of one label, name and value together.
    pub label_bytes_max: usize,
}

/// Why a new series was not let in. Its samples are dropped; a later try may succeed only for the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("{series_max} series are known already (limits.series_max)")]
    SeriesFull { series_max: usize },
    #[error("{entities_max} entities are known already (limits.series_max)")]
    EntitiesFull { entities_max: usize },
    #[error("the series has no labels")]
    NoLabels,
    #[error("the series has {labels} labels, more than {labels_max} (limits.labels_max)")]
    TooManyLabels { labels: usize, labels_max: usize },
    #[error("a label takes {bytes} bytes, more than {label_bytes_max} (limits.label_bytes_max)")]
    LabelTooLong { bytes: usize, label_bytes_max: usize },
}

impl Rejected {
    /// Whether the same series may be let in later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Rejected::SeriesFull { .. } | Rejected::EntitiesFull { .. })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    labels: Labels,
    entity: EntityId,
    alive: bool,
}

/// All series and entities of the engine.
#[derive(Clone, Debug)]
pub struct Registry {
    limits: RegistryLimits,
    entity_labels: Vec<String>,
    index: FxHashMap<Labels, SeriesId>,
    records: Vec<Record>,
    /// Apart from the records: every sample touches its kind, few touch more.
    kinds: Vec<ValueKind>,
    entities: Vec<Arc<str>>,
    entity_index: FxHashMap<Arc<str>, EntityId>,
    resting: VecDeque<(SeriesId, Timestamp)>,
    free: Vec<SeriesId>,
}

/// What a snapshot keeps of a registry; indices are rebuilt from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegistryState {
    entity_labels: Vec<String>,
    records: Vec<Record>,
    kinds: Vec<ValueKind>,
    entities: Vec<Arc<str>>,
    resting: VecDeque<(SeriesId, Timestamp)>,
    free: Vec<SeriesId>,
}

/// Why saved series cannot be taken up again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    #[error("the snapshot was taken with entity labels {saved:?}, the config now says {configured:?}")]
    EntityLabels { saved: Vec<String>, configured: Vec<String> },
    #[error("the snapshot contradicts itself: {0}")]
    Corrupt(&'static str),
}

impl Registry {
    /// `entity_labels`: the first of them that a series has names its entity.
    pub fn new(limits: RegistryLimits, entity_labels: Vec<String>) -> Self {
        Registry {
            limits,
            entity_labels,
            index: FxHashMap::default(),
            records: Vec::new(),
            kinds: Vec::new(),
            entities: Vec::new(),
            entity_index: FxHashMap::default(),
            resting: VecDeque::new(),
            free: Vec::new(),
        }
    }

    /// The number of the series with this canonical key (`Batch::iter`), which is met now if it is new.
    pub fn resolve(&mut self, key: &[u8]) -> Result<SeriesId, Rejected> {
        match self.index.get(key) {
            Some(&id) => Ok(id),
            None => self.admit(key),
        }
    }

    /// The number of a series that was met before.
    pub fn find(&self, key: &[u8]) -> Option<SeriesId> {
        self.index.get(key).copied()
    }

    /// Takes note of what a source says of a series. Silence takes nothing back.
    pub fn declare(&mut self, id: SeriesId, kind: ValueKind) {
        if kind != ValueKind::Unknown {
            self.kinds[id.index()] = kind;
        }
    }

    #[cold]
    fn admit(&mut self, key: &[u8]) -> Result<SeriesId, Rejected> {
        let RegistryLimits { series_max, labels_max, label_bytes_max } = self.limits;
        let labels = pairs_of(key).count();
        if labels == 0 {
            return Err(Rejected::NoLabels);
        }
        if labels > labels_max {
            return Err(Rejected::TooManyLabels { labels, labels_max });
        }
        let longest = pairs_of(key).map(|(name, value)| name.len() + value.len()).max().unwrap_or(0);
        if longest > label_bytes_max {
            return Err(Rejected::LabelTooLong { bytes: longest, label_bytes_max });
        }
        if self.len() >= series_max {
            return Err(Rejected::SeriesFull { series_max });
        }
        let entity = self.entity_of(key)?;
        let record = Record { labels: Labels::from_key(key), entity, alive: true };
        let labels = record.labels.clone();
        let id = match self.free.pop() {
            Some(id) => {
                self.records[id.index()] = record;
                self.kinds[id.index()] = ValueKind::Unknown;
                id
            }
            None => {
                self.records.push(record);
                self.kinds.push(ValueKind::Unknown);
                SeriesId(self.records.len() as u32 - 1)
            }
        };
        self.index.insert(labels, id);
        Ok(id)
    }

    fn entity_of(&mut self, key: &[u8]) -> Result<EntityId, Rejected> {
        let named = self.entity_labels.iter().find_map(|label| label_of(key, label));
        let name = without_port(named.unwrap_or(""));
        if let Some(&id) = self.entity_index.get(name) {
            return Ok(id);
        }
        if self.entities.len() >= self.limits.series_max {
            return Err(Rejected::EntitiesFull { entities_max: self.limits.series_max });
        }
        let id = EntityId(self.entities.len() as u32);
        let name: Arc<str> = name.into();
        self.entities.push(name.clone());
        self.entity_index.insert(name, id);
        Ok(id)
    }

    /// Forgets a series that has been silent for long. Its number rests for a day of data time,
    /// in which its labels still read as they were, and then goes to another.
    pub fn retire(&mut self, id: SeriesId, at: Timestamp) {
        while let Some((rested, since)) = self.resting.front().copied()
            && at.since(since) > REST_MS
        {
            self.resting.pop_front();
            self.free.push(rested);
        }
        let record = &mut self.records[id.index()];
        if record.alive {
            record.alive = false;
            self.index.remove(&record.labels);
            self.resting.push_back((id, at));
        }
    }

    /// False once it is retired, until its number is another's.
    pub fn is_alive(&self, id: SeriesId) -> bool {
        self.records.get(id.index()).is_some_and(|record| record.alive)
    }

    pub fn labels(&self, id: SeriesId) -> &Labels {
        &self.records[id.index()].labels
    }

    pub fn kind(&self, id: SeriesId) -> ValueKind {
        self.kinds[id.index()]
    }

    pub fn entity(&self, id: SeriesId) -> EntityId {
        self.records[id.index()].entity
    }

    /// Empty for series that carry none of the entity labels.
    pub fn entity_name(&self, id: EntityId) -> &Arc<str> {
        &self.entities[id.index()]
    }

    /// Series alive.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// One more than the largest number ever given: the length of a table by `SeriesId`.
    pub fn id_end(&self) -> usize {
        self.records.len()
    }

    pub fn entity_count(&self) -> usize {
        self.entities.len()
    }

    /// The series alive, by number.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesId, &Labels)> {
        let numbered = self.records.iter().enumerate();
        numbered.filter(|(_, record)| record.alive).map(|(i, record)| (SeriesId(i as u32), &record.labels))
    }

    pub fn save(&self) -> RegistryState {
        RegistryState {
            entity_labels: self.entity_labels.clone(),
            records: self.records.clone(),
            kinds: self.kinds.clone(),
            entities: self.entities.clone(),
            resting: self.resting.clone(),
            free: self.free.clone(),
        }
    }

    /// Takes up a saved registry. Series beyond a lowered `series_max` stay, only new ones are refused.
    pub fn load(
        limits: RegistryLimits,
        entity_labels: Vec<String>,
        state: RegistryState,
    ) -> Result<Self, RegistryError> {
        if state.entity_labels != entity_labels {
            return Err(RegistryError::EntityLabels {
                saved: state.entity_labels,
                configured: entity_labels,
            });
        }
        if state.kinds.len() != state.records.len() {
            return Err(RegistryError::Corrupt("kinds and series differ in number"));
        }
        if state.records.iter().any(|record| record.entity.index() >= state.entities.len()) {
            return Err(RegistryError::Corrupt("a series has an entity that is not there"));
        }
        let unused = state.resting.iter().map(|(id, _)| id).chain(&state.free);
        if unused.copied().any(|id| state.records.get(id.index()).is_none_or(|record| record.alive)) {
            return Err(RegistryError::Corrupt("a number that is free is in use"));
        }
        let alive = state.records.iter().enumerate().filter(|(_, record)| record.alive);
        let index = alive.map(|(i, record)| (record.labels.clone(), SeriesId(i as u32))).collect();
        let named = state.entities.iter().enumerate();
        let entity_index = named.map(|(i, name)| (name.clone(), EntityId(i as u32))).collect();
        Ok(Registry {
            limits,
            entity_labels,
            index,
            records: state.records,
            kinds: state.kinds,
            entities: state.entities,
            entity_index,
            resting: state.resting,
            free: state.free,
        })
    }
}

/// `host:9100` -> `host`, `[::1]:9100` -> `::1`; what has no port stays, a bare IPv6 address too.
pub fn without_port(name: &str) -> &str {
    if let Some((address, _)) = name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match name.split_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RegistryLimits = RegistryLimits { series_max: 3, labels_max: 3, label_bytes_max: 20 };

    fn registry() -> Registry {
        Registry::new(LIMITS, vec!["host".into(), "instance".into()])
    }

    fn key(pairs: &[(&str, &str)]) -> Vec<u8> {
        Labels::new(pairs).key().to_vec()
    }

    #[test]
    fn a_series_is_met_once_whatever_the_order_of_its_labels() {
        let mut registry = registry();
        let up = registry.resolve(&key(&[("__name__", "up"), ("host", "a")])).unwrap();
        let load = registry.resolve(&key(&[("__name__", "load"), ("host", "a")])).unwrap();
        assert_eq!((up, load), (SeriesId(0), SeriesId(1)));
        assert_eq!(registry.resolve(&key(&[("host", "a"), ("__name__", "up")])), Ok(up));
        assert_eq!(registry.labels(load).to_string(), r#"load{host="a"}"#);
        assert_eq!((registry.len(), registry.entity_count()), (2, 1));
    }

    #[test]
    fn exporters_on_one_machine_are_one_entity() {
        for (label, name) in [
            ("mx1:9100", "mx1"),
            ("mx1", "mx1"),
            ("[::1]:9100", "::1"),
            ("fe80::1", "fe80::1"),
            ("mx1:http", "mx1:http"),
            ("10.0.0.1:9093", "10.0.0.1"),
        ] {
            assert_eq!(without_port(label), name);
        }
        let mut registry = registry();
        let node = registry.resolve(&key(&[("__name__", "up"), ("instance", "mx1:9100")])).unwrap();
        let mail = registry.resolve(&key(&[("__name__", "up"), ("instance", "mx1:9093")])).unwrap();
        assert_eq!(registry.entity(node), registry.entity(mail));
        let named =
            registry.resolve(&key(&[("__name__", "up"), ("instance", "b:1"), ("host", "c")])).unwrap();
        assert_eq!(&**registry.entity_name(registry.entity(named)), "c");
    }

    #[test]
    fn every_bound_has_its_own_refusal() {
        let mut registry = registry();
        assert_eq!(registry.resolve(b""), Err(Rejected::NoLabels));
        assert_eq!(
            registry.resolve(&key(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")])),
            Err(Rejected::TooManyLabels { labels: 4, labels_max: 3 })
        );
        assert_eq!(
            registry.resolve(&key(&[("a", "12345678901234567890")])),
            Err(Rejected::LabelTooLong { bytes: 21, label_bytes_max: 20 })
        );
        for name in ["a", "b", "c"] {
            registry.resolve(&key(&[("__name__", name)])).unwrap();
        }
        assert_eq!(registry.resolve(&key(&[("__name__", "d")])), Err(Rejected::SeriesFull { series_max: 3 }));
        assert_eq!(registry.resolve(&key(&[("__name__", "a")])), Ok(SeriesId(0)));
    }

    #[test]
    fn a_retired_number_rests_a_day_before_another_gets_it() {
        let mut registry = registry();
        let ids: Vec<SeriesId> = ["a", "b", "c"]
            .iter()
            .map(|name| registry.resolve(&key(&[("__name__", name)])).unwrap())
            .collect();
        registry.declare(ids[0], ValueKind::Counter);
        registry.retire(ids[0], Timestamp(0));
        registry.retire(ids[0], Timestamp(1));
        assert!(!registry.is_alive(ids[0]));
        assert_eq!(registry.labels(ids[0]).name(), "a");
        // There is room for one, but the number is a new one.
        let again = registry.resolve(&key(&[("__name__", "a")])).unwrap();
        assert_eq!(again, SeriesId(3));
        assert!(registry.resolve(&key(&[("__name__", "d")])).unwrap_err().is_retryable());
        registry.retire(ids[1], Timestamp(REST_MS + 1));
        let reused = registry.resolve(&key(&[("__name__", "d")])).unwrap();
        assert_eq!((reused, registry.kind(reused)), (ids[0], ValueKind::Unknown));
        assert_eq!(registry.len(), 3);
        assert_eq!(registry.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [0, 2, 3]);
    }

    #[test]
    fn a_source_that_says_nothing_takes_no_type_back() {
        let mut registry = registry();
        let id = registry.resolve(&key(&[("__name__", "a")])).unwrap();
        registry.declare(id, ValueKind::Gauge);
        registry.declare(id, ValueKind::Unknown);
        assert_eq!(registry.kind(id), ValueKind::Gauge);
    }

    #[test]
    fn a_loaded_registry_knows_what_the_saved_one_knew() {
        let mut registry = registry();
        for host in ["a", "b"] {
            registry.resolve(&key(&[("__name__", "up"), ("host", host)])).unwrap();
        }
        registry.retire(SeriesId(0), Timestamp(7));
        let bytes = postcard::to_stdvec(&registry.save()).unwrap();
        let state: RegistryState = postcard::from_bytes(&bytes).unwrap();
        let mut loaded = Registry::load(LIMITS, registry.entity_labels.clone(), state.clone()).unwrap();
        for host in ["b", "a", "c"] {
            let key = key(&[("__name__", "up"), ("host", host)]);
            assert_eq!(loaded.resolve(&key), registry.resolve(&key));
        }
        assert_eq!(
            postcard::to_stdvec(&loaded.save()).unwrap(),
            postcard::to_stdvec(&registry.save()).unwrap()
        );
        let other = Registry::load(LIMITS, vec!["node".into()], state).unwrap_err();
        assert!(matches!(other, RegistryError::EntityLabels { .. }));
    }
}
