//! What a Prometheus beside the simulated cluster would have kept, and its answers to `query_range` and `metadata`.
//!
//! One row a scrape, 8 bytes a series; of more rows than are to be kept the oldest go.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use rustc_hash::FxHashMap;
use serde_json::json;

use crate::api::select::Select;
use crate::sample::{Batch, Labels, Timestamp, ValueKind};

/// As in Prometheus: a sample stands for so long after its time.
const LOOK_BACK_MS: i64 = 300_000;
/// As in Prometheus: points of a series, and samples of an answer, that a query may ask for.
const POINTS_MAX: i64 = 11_000;
const SAMPLES_MAX: i64 = 2_000_000;

/// Rows of the past, oldest first.
#[derive(Debug)]
pub struct History {
    rows_max: usize,
    rows_ever: u64,
    times: VecDeque<Timestamp>,
    by_key: FxHashMap<Box<[u8]>, usize>,
    columns: Vec<Column>,
}

/// A series.
#[derive(Debug)]
struct Column {
    key: Box<[u8]>,
    kind: ValueKind,
    /// One a row, the newest last; NaN where the series was not there. It begins where the series does.
    values: VecDeque<f64>,
    /// The newest row in which it was there, of all that ever were.
    seen: u64,
}

/// Why a range is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("{0}")]
    Selector(String),
    #[error("`step` must be positive, and `end` not before `start`")]
    Range,
    #[error("exceeded maximum resolution of {POINTS_MAX} points per timeseries")]
    Points,
    #[error("the answer would have over {SAMPLES_MAX} samples; ask for a shorter range")]
    Samples,
}

impl History {
    /// Keeps `rows_max` rows; none where that is 0.
    pub fn new(rows_max: usize) -> Self {
        History {
            rows_max,
            rows_ever: 0,
            times: VecDeque::new(),
            by_key: FxHashMap::default(),
            columns: Vec::new(),
        }
    }

    /// Keeps one scrape of all targets, taken at `at`, which is after those before.
    pub fn keep(&mut self, at: Timestamp, batch: &Batch) {
        if self.rows_max == 0 {
            return;
        }
        self.rows_ever += 1;
        self.times.push_back(at);
        for (place, (key, kind, samples)) in batch.iter().enumerate() {
            let Some(sample) = samples.last() else { continue };
            let place = self.column(place, key, kind);
            let column = &mut self.columns[place];
            column.seen = self.rows_ever;
            column.values.push_back(sample.value);
        }
        for column in self.columns.iter_mut().filter(|column| column.seen < self.rows_ever) {
            column.values.push_back(f64::NAN);
        }
        if self.times.len() > self.rows_max {
            self.times.pop_front();
            let (rows, oldest) = (self.rows_max, self.rows_ever - self.rows_max as u64);
            for column in self.columns.iter_mut().filter(|column| column.values.len() > rows) {
                column.values.pop_front();
            }
            if self.columns.iter().any(|column| column.seen <= oldest) {
                self.columns.retain(|column| column.seen > oldest);
                let keys = self.columns.iter().enumerate().map(|(place, c)| (c.key.clone(), place));
                self.by_key = keys.collect();
            }
        }
    }

    /// The place of a series; it most often is the one that it has on the page.
    fn column(&mut self, hint: usize, key: &[u8], kind: ValueKind) -> usize {
        if self.columns.get(hint).is_some_and(|column| *column.key == *key) {
            return hint;
        }
        if let Some(place) = self.by_key.get(key) {
            return *place;
        }
        let place = self.columns.len();
        self.by_key.insert(key.into(), place);
        self.columns.push(Column { key: key.into(), kind, values: VecDeque::new(), seen: 0 });
        place
    }

    pub fn series(&self) -> usize {
        self.columns.len()
    }

    /// The JSON of `query_range` for the selector `query` from `start` to `end`, both included, at steps of `step_ms`.
    ///
    /// # Errors
    /// What cannot be read, or is too much.
    pub fn query_range(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step_ms: i64,
    ) -> Result<String, RangeError> {
        let select = Select::parse([query]).map_err(|error| RangeError::Selector(error.to_string()))?;
        if step_ms <= 0 || end < start {
            return Err(RangeError::Range);
        }
        let steps = end.since(start) / step_ms + 1;
        if steps > POINTS_MAX {
            return Err(RangeError::Points);
        }
        let columns: Vec<(&Column, Labels)> =
            self.columns.iter().map(|column| (column, Labels::from_key(&column.key))).collect();
        let found: Vec<_> = columns.into_iter().filter(|(_, labels)| select.has(labels)).collect();
        if steps * found.len() as i64 > SAMPLES_MAX {
            return Err(RangeError::Samples);
        }
        // The newest row not after each step, counted from the end, as columns are.
        let row = |at: Timestamp| {
            let after = self.times.partition_point(|time| *time <= at);
            let time = *self.times.get(after.checked_sub(1)?)?;
            (at.since(time) <= LOOK_BACK_MS).then(|| (at, self.times.len() - after))
        };
        let rows: Vec<(Timestamp, usize)> =
            (0..steps).filter_map(|i| row(start.plus_ms(i * step_ms))).collect();
        let mut json = String::from(r#"{"status":"success","data":{"resultType":"matrix","result":["#);
        for (place, (column, labels)) in found.iter().enumerate() {
            let metric: BTreeMap<&str, &str> = labels.iter().collect();
            let _ = write!(json, r#"{}{{"metric":{},"values":["#, comma(place), json!(metric));
            let values = rows.iter().filter_map(|(at, from_end)| {
                let place = column.values.len().checked_sub(from_end + 1)?;
                Some((at, column.values[place])).filter(|(_, value)| !value.is_nan())
            });
            for (place, (at, value)) in values.enumerate() {
                let _ = write!(json, r#"{}[{},"{value}"]"#, comma(place), at.seconds());
            }
            json.push_str("]}");
        }
        json.push_str("]}}");
        Ok(json)
    }

    /// The JSON of `metadata`: the types that targets declare.
    pub fn metadata(&self) -> String {
        let mut data = BTreeMap::new();
        for column in &self.columns {
            let word = match column.kind {
                ValueKind::Unknown => continue,
                ValueKind::Gauge => "gauge",
                ValueKind::Counter => "counter",
            };
            data.insert(Labels::from_key(&column.key).name().to_owned(), json!([{"type": word, "help": ""}]));
        }
        json!({"status": "success", "data": data}).to_string()
    }
}

fn comma(place: usize) -> &'static str {
    if place == 0 { "" } else { "," }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::prometheus::metadata::Metadata;

    /// Rows of `second: (series, value)`.
    fn history(rows_max: usize, rows: &[(i64, &[(&str, f64)])]) -> History {
        let mut history = History::new(rows_max);
        for (second, samples) in rows {
            let mut batch = Batch::new("test".into());
            for (host, value) in *samples {
                batch.series(&mut [("__name__", "queue"), ("host", host)], ValueKind::Gauge);
                batch.sample(Timestamp(second * 1000), *value);
            }
            history.keep(Timestamp(second * 1000), &batch);
        }
        history
    }

    fn values(history: &History, query: &str, range: (i64, i64, i64)) -> serde_json::Value {
        let (start, end, step) = range;
        let json = history.query_range(query, Timestamp(start * 1000), Timestamp(end * 1000), step * 1000);
        let answer: serde_json::Value = serde_json::from_str(&json.unwrap()).unwrap();
        let series = answer["data"]["result"].as_array().unwrap();
        series.iter().map(|s| json!([s["metric"]["host"], s["values"]])).collect()
    }

    #[test]
    fn a_range_holds_the_newest_sample_of_each_step() {
        let history =
            history(9, &[(0, &[("a", 0.0)]), (15, &[("a", 15.0), ("b", 1.5)]), (30, &[("b", 30.0)])]);
        let a = json!(["a", [[0, "0"], [10, "0"], [20, "15"]]]);
        let b = json!(["b", [[20, "1.5"], [30, "30"]]]);
        assert_eq!(values(&history, "queue", (0, 30, 10)), json!([a, b]));
        assert_eq!(values(&history, r#"{host="b"}"#, (0, 30, 10)), json!([b]));
        // A sample that is old stands for nothing.
        assert_eq!(values(&history, r#"queue{host="b"}"#, (330, 332, 1)), json!([["b", [[330, "30"]]]]));
    }

    #[test]
    fn the_oldest_rows_go_and_with_them_what_was_only_there() {
        let rows: [(i64, &[(&str, f64)]); 4] =
            [(0, &[("old", 1.0), ("a", 1.0)]), (1, &[("a", 2.0)]), (2, &[("a", 3.0)]), (3, &[("a", 4.0)])];
        let history = history(3, &rows);
        assert_eq!(history.series(), 1);
        assert_eq!(values(&history, "queue", (0, 3, 1)), json!([["a", [[1, "2"], [2, "3"], [3, "4"]]]]));
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let history = history(9, &[(0, &[("a", 0.0)])]);
        let ask = |query: &str, end, step| history.query_range(query, Timestamp(0), Timestamp(end), step);
        assert_eq!(ask("queue", 11_000_000, 1_000), Err(RangeError::Points));
        assert_eq!(ask("queue", 1_000, 0), Err(RangeError::Range));
        assert!(matches!(ask("{", 1_000, 1_000), Err(RangeError::Selector(_))));
    }

    #[test]
    fn metadata_reads_back() {
        let metadata = Metadata::read(history(1, &[(0, &[("a", 0.0)])]).metadata().as_bytes()).unwrap();
        assert_eq!(metadata.kind_of("queue"), ValueKind::Gauge);
    }
}
