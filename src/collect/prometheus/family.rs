//! The metric family that a page is in, and what its TYPE says of each of its series.

use crate::sample::ValueKind;

/// The types of both text formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Type {
    #[default]
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    /// `info` and `stateset`: ones and zeros.
    State,
}

/// Name and type of the TYPE line read last.
///
/// Both formats keep a family's lines together, so one is enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Family {
    name: String,
    kind: Type,
}

impl Family {
    pub fn begin(&mut self, name: &str, kind: &[u8]) {
        self.name.clear();
        self.name.push_str(name);
        self.kind = match kind {
            b"counter" => Type::Counter,
            b"gauge" => Type::Gauge,
            b"histogram" => Type::Histogram,
            b"gaugehistogram" => Type::GaugeHistogram,
            b"summary" => Type::Summary,
            b"info" | b"stateset" => Type::State,
            _ => Type::Unknown,
        };
    }

    /// The kind of the series `name`; unknown where it is not of this family.
    pub fn kind_of(&self, name: &str) -> ValueKind {
        let Some(suffix) = name.strip_prefix(self.name.as_str()) else {
            return ValueKind::Unknown;
        };
        match (self.kind, suffix) {
            (Type::Counter, "" | "_total") => ValueKind::Counter,
            (Type::Histogram, "_bucket" | "_count" | "_sum") => ValueKind::Counter,
            (Type::Summary, "_count" | "_sum") => ValueKind::Counter,
            (Type::Summary, "") => ValueKind::Gauge,
            (Type::Gauge, "") | (Type::State, "" | "_info") => ValueKind::Gauge,
            (Type::GaugeHistogram, "_bucket" | "_gcount" | "_gsum") => ValueKind::Gauge,
            // The time at which a series began; it stands still.
            (Type::Counter | Type::Histogram | Type::Summary, "_created") => ValueKind::Gauge,
            _ => ValueKind::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, kind: &str, series: &str, want: ValueKind) {
        let mut family = Family::default();
        family.begin(name, kind.as_bytes());
        assert_eq!(family.kind_of(series), want, "{name} {kind} {series}");
    }

    #[test]
    fn the_type_of_a_family_decides_by_suffix() {
        use ValueKind::{Counter, Gauge, Unknown};
        check("mails_total", "counter", "mails_total", Counter);
        check("mails", "counter", "mails_total", Counter);
        check("mails", "counter", "mails_created", Gauge);
        check("heap", "gauge", "heap", Gauge);
        check("heap", "gauge", "heap_max", Unknown);
        check("delay", "histogram", "delay_bucket", Counter);
        check("delay", "summary", "delay", Gauge);
        check("delay", "summary", "delay_sum", Counter);
        check("age", "gaugehistogram", "age_bucket", Gauge);
        check("build", "info", "build_info", Gauge);
        check("x", "untyped", "x", Unknown);
    }
}
