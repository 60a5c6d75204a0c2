//! What a sample means: a level, a rate, an end, or nothing. Counter resets are handled here.
//!
//! A counter becomes its rate a second. After a reset one interval has no rate: the process began
//! somewhere within it, so any number for it would be an invention.
//!
//! What is a counter? Whoever declares one is believed, and so is a name (`_total`, `_count`, `_sum`,
//! `_bucket`) of an undeclared type. Some exporters declare gauges that only ever rise; those known, and
//! series about which nothing is known, are judged once, by their first 64 changes of sample: one that
//! never fell and mostly rose is a counter. While that may yet be so the series has no values, so that no
//! detector learns a slope that turns into a rate. Judged once only: a queue that fills must stay a queue.
//! Belief ends where a "counter" keeps falling a little, as no restart does.

use serde::{Deserialize, Serialize};

use crate::sample::{Sample, Timestamp, ValueKind, is_stale_marker};

/// Intervals by which an unknown series is judged.
const EVIDENCE: u8 = 64;

/// So many intervals must be seen before "it mostly doesn't rise" counts.
const EVIDENCE_MIN: u8 = 8;

/// Doubt that one small fall adds; a rise takes 1 away. So a counter may fall at one rise in eight.
/// (Linux's iowait does fall now and then.)
const FALL_DOUBT: u8 = 8;

/// Doubt at which a counter is one no more.
const DOUBT_MAX: u8 = 64;

/// Gauges by declaration, counters in truth: openldap_exporter prints cn=monitor so.
const LYING_GAUGES: [&str; 2] = ["openldap_monitor_counter_object", "openldap_monitor_operation"];

/// Why a sample yields no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// NaN: the source has no value.
    Missing,
    /// Plus or minus infinity, which no detector could forget.
    Infinite,
    /// The time of a sample that came before.
    Duplicate,
    /// A time before it.
    Backwards,
    /// A counter's first sample: no interval yet.
    First,
    /// A counter began anew.
    Reset,
    /// A counter fell a little: a rounding, not a restart.
    Fall,
    /// It may be a counter or not.
    Undecided,
    /// It was just found to be a counter, or to be none: what was learnt of it is void.
    Turned,
}

impl Why {
    pub const ALL: [Why; 9] = [
        Why::Missing,
        Why::Infinite,
        Why::Duplicate,
        Why::Backwards,
        Why::First,
        Why::Reset,
        Why::Fall,
        Why::Undecided,
        Why::Turned,
    ];

    /// As a metric's label spells it.
    pub fn name(self) -> &'static str {
        match self {
            Why::Missing => "missing",
            Why::Infinite => "infinite",
            Why::Duplicate => "duplicate",
            Why::Backwards => "backwards",
            Why::First => "first",
            Why::Reset => "reset",
            Why::Fall => "fall",
            Why::Undecided => "undecided",
            Why::Turned => "turned",
        }
    }
}

/// What a sample came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cleaned {
    /// The level of a gauge, or a counter's rate a second. Finite.
    Value(f64),
    /// The series has ended, until it speaks again.
    Gone,
    Nothing(Why),
}

/// Whether a series is read as it stands or by its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Nature {
    Level,
    Rate,
    Undecided,
}

/// What a name tells of a series whose type says nothing, or lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum NameHint {
    None,
    Cumulative,
    LyingGauge,
}

impl NameHint {
    fn of(name: &str) -> Self {
        if LYING_GAUGES.contains(&name) {
            return NameHint::LyingGauge;
        }
        let cumulative = ["_total", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end));
        if cumulative { NameHint::Cumulative } else { NameHint::None }
    }
}

/// The memory by which one series is cleaned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cleaner {
    hint: NameHint,
    kind: ValueKind,
    nature: Nature,
    /// Set where only behaviour speaks for a counter, so that one small fall refutes it.
    judged: bool,
    intervals: u8,
    rises: u8,
    doubt: u8,
    newest: Timestamp,
    /// The last number as it stood, to take a difference to.
    last: Option<Sample>,
}

impl Cleaner {
    /// `name` is the metric's.
    pub fn new(name: &str) -> Self {
        let hint = NameHint::of(name);
        Cleaner {
            hint,
            kind: ValueKind::Unknown,
            nature: first_nature(hint, ValueKind::Unknown),
            judged: false,
            intervals: 0,
            rises: 0,
            doubt: 0,
            newest: Timestamp::MIN,
            last: None,
        }
    }

    /// Whether values are rates a second.
    pub fn is_rate(&self) -> bool {
        self.nature == Nature::Rate
    }

    /// The next sample of the series, with what its source says of its kind.
    pub fn push(&mut self, kind: ValueKind, sample: Sample) -> Cleaned {
        let Sample { at, value } = sample;
        if at <= self.newest {
            return Cleaned::Nothing(if at == self.newest { Why::Duplicate } else { Why::Backwards });
        }
        self.newest = at;
        if is_stale_marker(value) {
            self.last = None;
            return Cleaned::Gone;
        }
        if value.is_nan() {
            return Cleaned::Nothing(Why::Missing);
        }
        if value.is_infinite() {
            return Cleaned::Nothing(Why::Infinite);
        }
        let before = self.last.replace(sample);
        if kind != self.kind && kind != ValueKind::Unknown {
            self.kind = kind;
            let nature = first_nature(self.hint, kind);
            // The first sample settles nothing yet, so there is nothing to take back.
            if before.is_some() && nature != self.nature {
                return self.turn(nature);
            }
            self.nature = nature;
        }
        match (self.nature, before) {
            (Nature::Level, _) => Cleaned::Value(value),
            (Nature::Rate, None) => Cleaned::Nothing(Why::First),
            (Nature::Rate, Some(before)) => self.rate(before, sample),
            (Nature::Undecided, None) => Cleaned::Nothing(Why::Undecided),
            (Nature::Undecided, Some(before)) => self.judge(before.value, value),
        }
    }

    fn turn(&mut self, nature: Nature) -> Cleaned {
        self.nature = nature;
        self.doubt = 0;
        Cleaned::Nothing(Why::Turned)
    }

    fn rate(&mut self, before: Sample, sample: Sample) -> Cleaned {
        let rise = sample.value - before.value;
        if rise < 0.0 {
            if sample.value <= before.value / 2.0 {
                return Cleaned::Nothing(Why::Reset);
            }
            self.doubt += FALL_DOUBT;
            if self.judged || self.doubt >= DOUBT_MAX {
                return self.turn(Nature::Level);
            }
            return Cleaned::Nothing(Why::Fall);
        }
        if rise > 0.0 {
            self.doubt = self.doubt.saturating_sub(1);
        }
        let rate = rise * 1000.0 / sample.at.since(before.at) as f64;
        if rate.is_finite() { Cleaned::Value(rate) } else { Cleaned::Nothing(Why::Infinite) }
    }

    fn judge(&mut self, before: f64, value: f64) -> Cleaned {
        self.intervals += 1;
        self.rises += u8::from(value > before);
        let mostly_rises = self.rises > self.intervals / 2;
        if value < before || (!mostly_rises && self.intervals >= EVIDENCE_MIN) {
            self.nature = Nature::Level;
            return Cleaned::Value(value);
        }
        if mostly_rises && self.intervals >= EVIDENCE {
            self.judged = true;
            return self.turn(Nature::Rate);
        }
        Cleaned::Nothing(Why::Undecided)
    }
}

fn first_nature(hint: NameHint, kind: ValueKind) -> Nature {
    match (kind, hint) {
        (ValueKind::Counter, _) | (ValueKind::Unknown, NameHint::Cumulative) => Nature::Rate,
        (ValueKind::Gauge, NameHint::LyingGauge) | (ValueKind::Unknown, _) => Nature::Undecided,
        (ValueKind::Gauge, _) => Nature::Level,
    }
}
