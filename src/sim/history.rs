//! What a Prometheus beside the simulated host would have kept, and its answer to `query_range`.
//!
//! One page every step; the answer holds all series whatever the query asks for, since the only
//! client is a backfill that asks for everything.

use std::fmt::Write;

use crate::sample::Timestamp;
use crate::sim::page::Reading;

/// Labels that the scrape of the demo adds, and that history must carry too, to be of the same series.
pub const JOB: &str = "mail";
pub const HOST: &str = "mail.example";

/// Pages of the past, oldest first.
#[derive(Debug, Default)]
pub struct History {
    names: Vec<String>,
    times: Vec<Timestamp>,
    values: Vec<f64>,
}

impl History {
    /// Keeps one page; every page has the same series in the same order.
    pub fn keep(&mut self, at: Timestamp, page: &[Reading], instance: &str) {
        if self.names.is_empty() {
            self.names = page.iter().map(|reading| metric(reading, instance)).collect();
        }
        self.times.push(at);
        self.values.extend(page.iter().map(|reading| reading.value));
    }

    /// The JSON of `query_range` from `start` to `end`, both included, at steps of `step_ms`.
    pub fn query_range(&self, start: Timestamp, end: Timestamp, step_ms: i64) -> String {
        let mut json = String::from(r#"{"status":"success","data":{"resultType":"matrix","result":["#);
        let width = self.names.len();
        for (column, name) in self.names.iter().enumerate() {
            let separator = if column == 0 { "" } else { "," };
            let _ = write!(json, r#"{separator}{{"metric":{name},"values":["#);
            let mut first = true;
            let mut at = start;
            while at <= end {
                // As in Prometheus: the newest sample not after the step, at most 5 minutes old.
                let row = self.times.partition_point(|t| *t <= at);
                if row > 0 && at.since(self.times[row - 1]) <= 300_000 {
                    let separator = if first { "" } else { "," };
                    let value = self.values[(row - 1) * width + column];
                    let _ = write!(json, r#"{separator}[{},"{value}"]"#, at.seconds());
                    first = false;
                }
                at = at.plus_ms(step_ms.max(1));
            }
            json.push_str("]}");
        }
        json.push_str("]}}");
        json
    }
}

/// The label set of a reading as the JSON object that Prometheus would give.
fn metric(reading: &Reading, instance: &str) -> String {
    let mut labels = vec![("__name__", reading.name), ("host", HOST), ("instance", instance), ("job", JOB)];
    labels.extend(reading.labels);
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::host::Readings;
    use crate::sim::page::readings;

    #[test]
    fn a_range_holds_the_newest_sample_of_each_step() {
        let mut history = History::default();
        for second in [0, 15, 30] {
            let page = readings(&Readings { active_queue: f64::from(second), ..Readings::default() });
            history.keep(Timestamp(i64::from(second) * 1000), &page, "127.0.0.1:1");
        }
        let json = history.query_range(Timestamp(0), Timestamp(30_000), 10_000);
        let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
        let first = &answer["data"]["result"][0];
        assert_eq!(first["metric"]["queue"], "active");
        assert_eq!(first["values"], serde_json::json!([[0, "0"], [10, "0"], [20, "15"], [30, "30"]]));
    }
}
