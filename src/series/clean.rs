//! What a sample means: a level, a rate, an end, or nothing. Counter resets are handled here.
//!
//! A counter becomes its rate a second. After a reset one interval has no rate: the process began
//! somewhere within it, so any number for it would be an invention. Nor has an interval far shorter than usual, as between
//! the last sample of a backfill and the first of a scrape: what happens to fall into a second is no rate of a minute. The
//! rate is then taken over it and the next.
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

/// From here on a number stands for "none" or "no limit": i64::MAX and its like lie at 9.22e18. Of nanoseconds since 1970
/// it is the year 2261.
const ENDLESS: f64 = 9.2e18;

/// Gauges by declaration, counters in truth: openldap_exporter prints cn=monitor so.
const LYING_GAUGES: [&str; 2] = ["openldap_monitor_counter_object", "openldap_monitor_operation"];

/// Why a sample yields no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// NaN: the source has no value.
    Missing,
    /// Plus or minus infinity, or a number that stands for it: the largest of 64 bits, as of a cgroup without a limit, or
    /// of f64. No detector could forget it.
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
    /// So soon after the sample before that a counter's rate would be chance.
    Early,
    /// It may be a counter or not.
    Undecided,
    /// It was just found to be a counter, or to be none: what was learnt of it is void.
    Turned,
}

impl Why {
    pub const ALL: [Why; 10] = [
        Why::Missing,
        Why::Infinite,
        Why::Duplicate,
        Why::Backwards,
        Why::First,
        Why::Reset,
        Why::Fall,
        Why::Early,
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
            Why::Early => "early",
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
        if is_cumulative_name(name) { NameHint::Cumulative } else { NameHint::None }
    }
}

/// Whether a name by itself says that a series is a counter.
pub fn is_cumulative_name(name: &str) -> bool {
    ["_total", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end))
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

    /// The next sample of the series, with what its source says of its kind. Of a counter, one that comes sooner than
    /// `soonest_ms` after the last has no rate of its own.
    pub fn push(&mut self, kind: ValueKind, sample: Sample, soonest_ms: i64) -> Cleaned {
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
        if value.abs() >= ENDLESS {
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
            (Nature::Rate, Some(before)) if value >= before.value && at.since(before.at) < soonest_ms => {
                self.last = Some(before);
                Cleaned::Nothing(Why::Early)
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::cadence::Cadence;
    use Cleaned::{Gone, Nothing, Value};

    const STEP_MS: i64 = 10_000;
    const STALE: f64 = f64::from_bits(crate::sample::STALE_NAN_BITS);

    /// What samples ten seconds apart come to.
    fn clean(name: &str, kind: ValueKind, values: impl IntoIterator<Item = f64>) -> Vec<Cleaned> {
        let mut cleaner = Cleaner::new(name);
        let sample = |(i, value)| Sample { at: Timestamp(i as i64 * STEP_MS), value };
        values.into_iter().enumerate().map(|numbered| cleaner.push(kind, sample(numbered), 0)).collect()
    }

    #[track_caller]
    fn check<const N: usize>(name: &str, kind: ValueKind, values: [f64; N], want: [Cleaned; N]) {
        assert_eq!(clean(name, kind, values), want);
    }

    #[test]
    fn a_gauge_stands_as_it_is() {
        check("load1", ValueKind::Gauge, [1.0, 0.5, -3.0], [Value(1.0), Value(0.5), Value(-3.0)]);
    }

    #[test]
    fn a_counter_becomes_its_rate_a_second_and_a_reset_has_none() {
        check(
            "requests",
            ValueKind::Counter,
            [100.0, 150.0, 150.0, 20.0, 30.0, 0.0, 10.0],
            [
                Nothing(Why::First),
                Value(5.0),
                Value(0.0),
                Nothing(Why::Reset),
                Value(1.0),
                Nothing(Why::Reset),
                Value(1.0),
            ],
        );
    }

    #[test]
    fn not_a_number_is_no_zero_and_the_rate_spans_it() {
        check(
            "requests",
            ValueKind::Counter,
            [100.0, f64::NAN, f64::INFINITY, 400.0],
            [Nothing(Why::First), Nothing(Why::Missing), Nothing(Why::Infinite), Value(10.0)],
        );
        check(
            "load1",
            ValueKind::Gauge,
            [f64::NAN, f64::NEG_INFINITY, 1e18],
            [Nothing(Why::Missing), Nothing(Why::Infinite), Value(1e18)],
        );
        // Memory without a limit, as three kernels and a Java print it.
        check(
            "limit_bytes",
            ValueKind::Gauge,
            [9_223_372_036_854_771_712.0, i64::MAX as f64, u64::MAX as f64, f64::MAX],
            [Nothing(Why::Infinite); 4],
        );
    }

    /// What a counter that rises by 2 a second comes to, with samples so many seconds after each other.
    fn rates(intervals: &[i64]) -> Vec<Option<f64>> {
        let (mut cleaner, mut cadence) = (Cleaner::new("requests_total"), Cadence::default());
        let mut at = 0;
        let mut next = |seconds: &i64| {
            at += seconds;
            let sample = Sample { at: Timestamp(at * 1000), value: (2 * at) as f64 };
            let cleaned = cleaner.push(ValueKind::Counter, sample, cadence.soonest_ms());
            cadence.push(sample.at);
            match cleaned {
                Value(rate) => Some(rate),
                why => {
                    assert!(matches!(why, Nothing(Why::Early | Why::First)), "{why:?}");
                    None
                }
            }
        };
        [0].iter().chain(intervals).map(&mut next).skip(1).collect()
    }

    #[test]
    fn what_falls_into_a_second_is_no_rate_of_a_minute() {
        // From a backfill to a scrape, and on.
        let seam = rates(&[60, 60, 60, 60, 1, 60, 60]);
        assert_eq!(seam, [[Some(2.0); 4].as_slice(), &[None], &[Some(2.0); 2]].concat());
        // Through an outage.
        assert_eq!(rates(&[60, 60, 60, 60, 3600, 60]), [Some(2.0); 6]);
        // A sender that becomes four times as fast is heard at each sample once that is its cadence.
        let faster = rates(&[[60; 8], [15; 8], [15; 8]].concat());
        assert_eq!(faster[8..12], [None, Some(2.0), None, Some(2.0)]);
        assert_eq!(faster[16..], [Some(2.0); 8]);
        // Two scrapers that follow each other.
        assert_eq!(rates(&[45, 15].repeat(10)), [Some(2.0); 20]);
    }

    #[test]
    fn a_counter_that_begins_anew_does_so_however_early() {
        let mut cleaner = Cleaner::new("requests_total");
        let mut push = |second: i64, value| {
            cleaner.push(ValueKind::Counter, Sample { at: Timestamp(second * 1000), value }, 30_000)
        };
        push(0, 1000.0);
        assert_eq!(push(60, 1060.0), Value(1.0));
        assert_eq!(push(65, 2.0), Nothing(Why::Reset));
    }

    #[test]
    fn after_a_stale_marker_a_counter_begins_anew() {
        check(
            "requests",
            ValueKind::Counter,
            [100.0, 200.0, STALE, 900.0, 910.0],
            [Nothing(Why::First), Value(10.0), Gone, Nothing(Why::First), Value(1.0)],
        );
    }

    #[test]
    fn time_only_goes_forward() {
        let mut cleaner = Cleaner::new("load1");
        let mut push = |ms, value| cleaner.push(ValueKind::Gauge, Sample { at: Timestamp(ms), value }, 0);
        assert_eq!(push(10, 1.0), Value(1.0));
        assert_eq!(push(10, 2.0), Nothing(Why::Duplicate));
        assert_eq!(push(9, STALE), Nothing(Why::Backwards));
        assert_eq!(push(11, 3.0), Value(3.0));
    }

    #[test]
    fn a_name_speaks_where_the_type_is_silent_and_not_against_it() {
        let values = [10.0, 20.0];
        check("mails_total", ValueKind::Unknown, values, [Nothing(Why::First), Value(1.0)]);
        check("zimbra_accounts_total", ValueKind::Gauge, values, [Value(10.0), Value(20.0)]);
    }

    #[test]
    fn an_unknown_series_that_only_rises_is_a_counter_and_shows_nothing_before() {
        let cleaned = clean("ops", ValueKind::Unknown, (0..70).map(|i| f64::from(i) * 50.0));
        assert!(cleaned[..64].iter().all(|c| *c == Nothing(Why::Undecided)));
        assert_eq!(cleaned[64], Nothing(Why::Turned));
        assert!(cleaned[65..].iter().all(|c| *c == Value(5.0)));
    }

    #[test]
    fn so_is_a_gauge_known_to_lie_and_no_other() {
        let rising = || (0..70).map(f64::from);
        let monitor = clean("openldap_monitor_operation", ValueKind::Gauge, rising());
        assert_eq!(monitor[69], Value(0.1));
        assert_eq!(clean("disk_used_bytes", ValueKind::Gauge, rising())[69], Value(69.0));
    }

    #[test]
    fn a_queue_that_fills_stays_a_queue() {
        let ramp = (0..200).map(f64::from);
        let noisy = [3.0, 4.0, 2.0].into_iter().chain(ramp.clone());
        assert_eq!(clean("queue", ValueKind::Unknown, noisy).last(), Some(&Value(199.0)));
        let empty = [0.0; 9].into_iter().chain(ramp);
        assert_eq!(clean("queue", ValueKind::Unknown, empty).last(), Some(&Value(199.0)));
    }

    #[test]
    fn a_small_fall_refutes_a_judgement_by_behaviour() {
        let values = (0..70).map(f64::from).chain([68.0, 69.0, 100.0]);
        let cleaned = clean("disk_used", ValueKind::Unknown, values);
        assert_eq!(cleaned[70..], [Nothing(Why::Turned), Value(69.0), Value(100.0)]);
    }

    #[test]
    fn a_declared_counter_may_fall_a_little_now_and_then_but_not_forever() {
        let iowait = (1..1000).map(|i| f64::from(i) - if i % 50 == 0 { 1.5 } else { 0.0 });
        let cleaned = clean("node_cpu_seconds_total", ValueKind::Counter, iowait);
        assert_eq!(cleaned.iter().filter(|c| **c == Nothing(Why::Fall)).count(), 19);
        assert!(!cleaned.contains(&Nothing(Why::Turned)));

        let depth = (0..100).map(|i| if i % 2 == 0 { 30.0 } else { 20.0 });
        let cleaned = clean("postfix_showq_message_size_bytes_count", ValueKind::Counter, depth);
        assert_eq!(cleaned[99], Value(20.0));
        assert_eq!(cleaned.iter().filter(|c| **c == Nothing(Why::Turned)).count(), 1);
    }

    #[test]
    fn a_type_that_is_learnt_late_is_heeded() {
        let mut cleaner = Cleaner::new("ops");
        let mut push = |kind, i: i64| {
            cleaner.push(kind, Sample { at: Timestamp(i * STEP_MS), value: i as f64 * 10.0 }, 0)
        };
        assert_eq!(push(ValueKind::Unknown, 0), Nothing(Why::Undecided));
        assert_eq!(push(ValueKind::Counter, 1), Nothing(Why::Turned));
        assert_eq!(push(ValueKind::Counter, 2), Value(1.0));
        assert_eq!(push(ValueKind::Unknown, 3), Value(1.0));
    }
}
