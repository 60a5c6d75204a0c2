//! What a Prometheus answers to a range query, read into a batch.
//!
//! `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{…},"values":[[s,"v"],…]},…]}}`,
//! or `{"status":"error","errorType":"…","error":"…"}`. Unknown keys are passed over.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::sample::{Batch, Timestamp, ValueKind};

/// Why an answer holds no matrix.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    #[error("not the answer of a range query: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{kind}: {message}")]
    Refused { kind: String, message: String },
    #[error("the answer is a {0:?} and no matrix")]
    Other(String),
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    data: Data,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(Seconds, Number)>,
}

/// Appends the series of `answer` to `batch`, of the kind that `kind_of` gives for a metric name.
pub fn read(
    answer: &[u8],
    kind_of: impl Fn(&str) -> ValueKind,
    batch: &mut Batch,
) -> Result<(), MatrixError> {
    let answer: Answer = serde_json::from_slice(answer)?;
    let shown = |text: String| text.chars().take(300).collect();
    if answer.status != "success" {
        return Err(MatrixError::Refused { kind: shown(answer.error_type), message: shown(answer.error) });
    }
    if answer.data.result_type != "matrix" {
        return Err(MatrixError::Other(shown(answer.data.result_type)));
    }
    for series in &answer.data.result {
        let name = series.metric.get(crate::sample::METRIC_NAME).map_or("", String::as_str);
        let mut labels: Vec<(&str, &str)> =
            series.metric.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        batch.series(&mut labels, kind_of(name));
        for (at, value) in &series.values {
            batch.sample(at.0, value.0);
        }
    }
    Ok(())
}

struct Seconds(Timestamp);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(|seconds| Seconds(Timestamp::from_seconds(seconds)))
    }
}

/// A value is text, because JSON has no NaN and no infinity.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number in quotes")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                fast_float2::parse(text).map(Number).map_err(|_| E::custom(format!("not a number: {text:?}")))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Labels;

    fn read_text(answer: &str) -> Result<Vec<String>, MatrixError> {
        let mut batch = Batch::new("prometheus:test".into());
        read(answer.as_bytes(), |_| ValueKind::Unknown, &mut batch)?;
        let mut rows = Vec::new();
        for (key, _, samples) in batch.iter() {
            let key = Labels::from_key(key);
            rows.extend(samples.iter().map(|s| format!("{key} {} @{}", s.value, s.at.0)));
        }
        Ok(rows)
    }

    #[test]
    fn a_matrix_is_read_with_its_odd_values() {
        let answer = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"up","instance":"a:1"},"values":[[1700000000,"1"],[1700000000.125,"+Inf"]]},
            {"metric":{},"histograms":[[1,{}]]},
            {"metric":{"__name__":"m"},"values":[[0.001,"NaN"],[1e0,"\u0031"]]}]},"warnings":["slow"]}"#;
        assert_eq!(
            read_text(answer).unwrap(),
            [
                r#"up{instance="a:1"} 1 @1700000000000"#,
                r#"up{instance="a:1"} inf @1700000000125"#,
                "m NaN @1",
                "m 1 @1000",
            ]
        );
    }

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let answer = r#"{"status":"error","errorType":"execution","error":"query timed out"}"#;
        assert_eq!(read_text(answer).unwrap_err().to_string(), "execution: query timed out");
    }

    #[test]
    fn what_is_no_matrix_is_an_error() {
        for answer in [
            "",
            "[]",
            r#"{"status":"success"}"#,
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#,
            r#"{"status":"success","data":{"result":[{"metric":{"a":1},"values":[]}]}}"#,
            r#"{"status":"success","data":{"result":[{"metric":{},"values":[[1,2]]}]}}"#,
            r#"{"status":"success","data":{"result":[{"metric":{},"values":[[1,"x"]]}]}}"#,
            r#"{"status":"success","data":{"result":[{"metric":{},"values":[[1,"1"#,
        ] {
            assert!(read_text(answer).is_err(), "{answer}");
        }
    }
}
