//! The words that all modules share: a sample, the labels that name its series, the batch that brings it.
//!
//! Nothing here reads a clock or a socket. Labels are kept as one canonical run of bytes, so that
//! looking a series up is one hash and one compare, whatever the number of its labels.

use std::any::Any;
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Lanes that a kernel steps together: one AVX-512 register of f32, two of AVX2.
pub const CHUNK: usize = 16;

/// The bit pattern by which Prometheus says that a series has ended.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is the stale marker and not merely a NaN.
pub fn is_stale_marker(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// Milliseconds since 1970-01-01T00:00:00Z, in data time.
///
/// Text formats show it as RFC 3339 with milliseconds, snapshots as the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const MIN: Timestamp = Timestamp(i64::MIN);

    pub fn from_seconds(seconds: f64) -> Self {
        Timestamp((seconds * 1000.0).round() as i64)
    }

    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// `ms` may be negative; the sum saturates.
    pub fn plus_ms(self, ms: i64) -> Self {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; saturates.
    pub fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads RFC 3339 with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Timestamp(instant.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Timestamp);
        }
        let text = Cow::<str>::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text)
            .ok_or_else(|| D::Error::custom(format!("not an RFC 3339 time: {text}")))
    }
}

/// What kind of number a series carries, as far as its source says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueKind {
    /// The source doesn't say; the name and the behaviour will.
    #[default]
    Unknown,
    Gauge,
    /// Cumulative; falls only when its process restarts.
    Counter,
}

/// One value of one series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub at: Timestamp,
    pub value: f64,
}

const NAME_END: u8 = 0xFE;
const VALUE_END: u8 = 0xFF;
pub const METRIC_NAME: &str = "__name__";

/// The labels of a series, `__name__` among them, sorted by name; empty values are left out.
///
/// Layout: `name 0xFE value 0xFF` for each label. UTF-8 holds neither byte, so equal labels are
/// equal bytes and the other way about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[u8]>);

impl Labels {
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> Self {
        let mut sorted: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        let mut key = Vec::new();
        write_key(&mut sorted, &mut key);
        Labels(key.into())
    }

    /// Takes bytes in the canonical layout, as `Batch::iter` yields them.
    pub fn from_key(key: &[u8]) -> Self {
        Labels(key.into())
    }

    pub fn key(&self) -> &[u8] {
        &self.0
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs_of(&self.0)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        label_of(&self.0, name)
    }

    /// The metric name, empty where there is none.
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }
}

/// Looked up by key, without an allocation; `Hash` and `Eq` are those of the bytes.
impl Borrow<[u8]> for Labels {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// The labels within a canonical key, in order.
pub fn pairs_of(key: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    key.split(|&b| b == VALUE_END).filter(|pair| !pair.is_empty()).filter_map(|pair| {
        let split = memchr::memchr(NAME_END, pair)?;
        Some((std::str::from_utf8(&pair[..split]).ok()?, std::str::from_utf8(&pair[split + 1..]).ok()?))
    })
}

/// The value of one label within a canonical key.
pub fn label_of<'k>(key: &'k [u8], name: &str) -> Option<&'k str> {
    key.split(|&b| b == VALUE_END).find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(&[NAME_END])?;
        std::str::from_utf8(value).ok()
    })
}

/// Sorts `pairs` by name and appends them to `key`; of equal names the last wins, as in Prometheus relabelling.
pub fn write_key(pairs: &mut [(&str, &str)], key: &mut Vec<u8>) {
    let in_order = pairs.is_sorted_by(|(before, _), (name, _)| before < name);
    if !in_order {
        pairs.sort_by_key(|(name, _)| *name);
    }
    for (i, (name, value)) in pairs.iter().enumerate() {
        let repeated = !in_order && pairs.get(i + 1).is_some_and(|(next, _)| next == name);
        if value.is_empty() || repeated {
            continue;
        }
        key.extend_from_slice(name.as_bytes());
        key.push(NAME_END);
        key.extend_from_slice(value.as_bytes());
        key.push(VALUE_END);
    }
}

/// `name{label="value",…}`, with the escapes of the text exposition format.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut separator = "{";
        for (name, value) in self.iter().filter(|(name, _)| *name != METRIC_NAME) {
            write!(f, "{separator}{name}=\"")?;
            for c in value.chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    c => write!(f, "{c}")?,
                }
            }
            f.write_str("\"")?;
            separator = ",";
        }
        if separator == "," { f.write_str("}") } else { Ok(()) }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.iter().count()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of label names to values")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Labels, M::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Labels::new(&pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Where samples came from, by a name that outlives a restart: `scrape:http://…`, `kafka:topic/3`.
pub type Source = Arc<str>;

/// How far into a source that can be read again a batch reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The offset to read next.
    pub next_offset: i64,
}

/// Something that is given back when its last holder is dropped.
#[derive(Clone, Debug)]
pub struct Held(#[expect(dead_code, reason = "held to be dropped")] Arc<dyn Any + Send + Sync>);

impl Held {
    pub fn new(share: impl Any + Send + Sync) -> Self {
        Held(Arc::new(share))
    }
}

#[derive(Clone, Debug)]
struct Entry {
    key: Range<usize>,
    kind: ValueKind,
    samples: Range<usize>,
}

/// Samples of many series from one source, taken in as a whole: a page, a write request, a message.
///
/// Within a batch samples may stand in any order of time.
#[derive(Clone, Debug)]
pub struct Batch {
    pub source: Source,
    /// How late a sample of this source may come and still count, in milliseconds.
    pub lateness_ms: i64,
    /// Set where the source can be read again from an offset.
    pub position: Option<Position>,
    /// What the batch keeps for itself while it is on its way, such as its share of a bounded memory.
    pub held: Option<Held>,
    keys: Vec<u8>,
    entries: Vec<Entry>,
    samples: Vec<Sample>,
}

impl Batch {
    pub fn new(source: Source) -> Self {
        Batch {
            source,
            lateness_ms: 0,
            position: None,
            held: None,
            keys: Vec::new(),
            entries: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Begins a series; the samples pushed next are its own. Sorts `labels` by name.
    pub fn series(&mut self, labels: &mut [(&str, &str)], kind: ValueKind) {
        let start = self.keys.len();
        write_key(labels, &mut self.keys);
        let at = self.samples.len();
        self.entries.push(Entry { key: start..self.keys.len(), kind, samples: at..at });
    }

    /// Begins a series whose canonical key is at hand, as from `iter` or `Labels::key`.
    pub fn keyed_series(&mut self, key: &[u8], kind: ValueKind) {
        let start = self.keys.len();
        self.keys.extend_from_slice(key);
        let at = self.samples.len();
        self.entries.push(Entry { key: start..self.keys.len(), kind, samples: at..at });
    }

    /// Adds a sample to the series begun last; without one it is dropped.
    pub fn sample(&mut self, at: Timestamp, value: f64) {
        if let Some(entry) = self.entries.last_mut() {
            self.samples.push(Sample { at, value });
            entry.samples.end = self.samples.len();
        }
    }

    /// A series of one sample.
    pub fn push(&mut self, labels: &mut [(&str, &str)], kind: ValueKind, at: Timestamp, value: f64) {
        self.series(labels, kind);
        self.sample(at, value);
    }

    /// The canonical key, kind and samples of each series, in the order they were begun.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], ValueKind, &[Sample])> {
        self.entries.iter().map(|e| (&self.keys[e.key.clone()], e.kind, &self.samples[e.samples.clone()]))
    }

    /// Samples, over all series.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>();
        self.keys.capacity() + entries + self.samples.capacity() * size_of::<Sample>()
    }

    /// The newest time in the batch.
    pub fn latest(&self) -> Option<Timestamp> {
        self.samples.iter().map(|s| s.at).max()
    }
}

/// Which of 16 lanes; bit i is lane i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask(pub u16);

impl Mask {
    pub const ALL: Mask = Mask(u16::MAX);
    pub const NONE: Mask = Mask(0);

    pub fn has(self, lane: usize) -> bool {
        self.0 >> lane & 1 == 1
    }

    pub fn and(self, other: Mask) -> Mask {
        Mask(self.0 & other.0)
    }

    #[must_use]
    pub fn with(self, lane: usize, on: bool) -> Mask {
        Mask(self.0 & !(1 << lane) | u16::from(on) << lane)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_read_as_an_operator_writes_them() {
        let labels = Labels::new(&[("queue", "deferred"), ("__name__", "postfix_queue_stat"), ("empty", "")]);
        assert_eq!(labels.to_string(), r#"postfix_queue_stat{queue="deferred"}"#);
        assert_eq!(labels.get("queue"), Some("deferred"));
        assert_eq!(labels.get("que"), None);
        assert_eq!(Labels::new(&[("__name__", "up")]).to_string(), "up");
    }

    #[test]
    fn a_time_is_text_for_people_and_a_number_for_snapshots() {
        let at = Timestamp(1_700_000_000_123);
        assert_eq!(serde_json::to_string(&at).unwrap(), r#""2023-11-14T22:13:20.123Z""#);
        let bytes = postcard::to_stdvec(&at).unwrap();
        assert_eq!(postcard::from_bytes::<Timestamp>(&bytes).unwrap(), at);
        assert_eq!(serde_json::from_str::<Timestamp>(r#""2023-11-14T23:13:20.123+01:00""#).unwrap(), at);
    }

    #[test]
    fn of_equal_names_the_last_wins() {
        assert_eq!(Labels::new(&[("a", "1"), ("a", "2")]), Labels::new(&[("a", "2")]));
    }

    proptest! {
        #[test]
        fn labels_survive_a_round_trip(pairs in prop::collection::btree_map("[a-z_]{1,8}", ".{1,12}", 0..6)) {
            let pairs: Vec<(String, String)> = pairs.into_iter().collect();
            let labels = Labels::new(&pairs);
            let back: Vec<(String, String)> = labels.iter().map(|(n, v)| (n.into(), v.into())).collect();
            prop_assert_eq!(&back, &pairs);
            let json = serde_json::to_string(&labels).unwrap();
            prop_assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), labels.clone());
            let bytes = postcard::to_stdvec(&labels).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Labels>(&bytes).unwrap(), labels);
        }
    }
}
