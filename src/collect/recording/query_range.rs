//! Answers of Prometheus' `query_range`, as saved by curl: read as a stream, never held as a tree.
//!
//! `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[s,"v"]]}]}}`. A file
//! may hold several answers one after the other, as a pull in time slices leaves them. Keys may stand in
//! any order and unknown ones are passed over. One series is held at a time, and no more than
//! `BARREN_BYTES_MAX` of anything else: a file that unpacks to one endless string is an error.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::columns::Columns;
use crate::sample::{Sample, Timestamp, ValueKind, write_key};

/// Bytes without a sample, above what a series of native histograms takes.
const BARREN_BYTES_MAX: u64 = 64 << 20;

/// Why a file is no recorded range query.
#[derive(Debug, thiserror::Error)]
pub enum QueryRangeError {
    #[error("not the answer of a range query: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the recorded answer has no `data`")]
    NoData,
    #[error("the recorded answer is an error: {kind}: {message}")]
    Answer { kind: String, message: String },
}

/// Reads all answers of `input` into `columns`.
pub fn read(input: impl BufRead, columns: &mut Columns) -> Result<(), QueryRangeError> {
    let barren = Cell::new(0);
    // Buffered again, since serde_json takes its input byte by byte.
    let input = BufReader::with_capacity(1 << 16, Fertile { input, barren: &barren });
    let mut stream = serde_json::Deserializer::from_reader(input);
    loop {
        let filled = Filled { columns, barren: &barren };
        let mut answer =
            Answer { filled, begun: false, data: false, status: String::new(), kind: None, message: None };
        match (&mut answer).deserialize(&mut stream) {
            Ok(()) => {}
            // White space up to the end of the file; an answer that is cut short has begun.
            Err(error) if error.is_eof() && !answer.begun => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if answer.status != "success" {
            let kind = answer.kind.take().unwrap_or_else(|| format!("status {:?}", answer.status));
            let message = answer.message.take().unwrap_or_default();
            return Err(QueryRangeError::Answer { kind, message });
        }
        if !answer.data {
            return Err(QueryRangeError::NoData);
        }
    }
}

/// Fails once too much has been read since a sample was found.
struct Fertile<'b, R> {
    input: R,
    barren: &'b Cell<u64>,
}

impl<R: Read> Read for Fertile<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(into)?;
        self.barren.set(self.barren.get() + n as u64);
        if self.barren.get() > BARREN_BYTES_MAX {
            return Err(io::Error::other(format!("{BARREN_BYTES_MAX} bytes without a sample")));
        }
        Ok(n)
    }
}

struct Filled<'c> {
    columns: &'c mut Columns,
    barren: &'c Cell<u64>,
}

struct Answer<'c> {
    filled: Filled<'c>,
    begun: bool,
    data: bool,
    status: String,
    kind: Option<String>,
    message: Option<String>,
}

impl<'de> DeserializeSeed<'de> for &mut Answer<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Answer<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an answer with `status` and `data`")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        self.begun = true;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "status" => self.status = map.next_value()?,
                "errorType" => self.kind = map.next_value()?,
                "error" => self.message = map.next_value()?,
                "data" => {
                    self.data = true;
                    map.next_value_seed(Data(&mut self.filled))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Data<'f, 'c>(&'f mut Filled<'c>);

impl<'de> DeserializeSeed<'de> for Data<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Data<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("`data` with a `result`")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "result" {
                map.next_value_seed(Matrix(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Matrix<'f, 'c>(&'f mut Filled<'c>);

impl<'de> DeserializeSeed<'de> for Matrix<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Matrix<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a matrix: an array of series")
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        let mut series = Series { filled: self.0, samples: Vec::new() };
        while seq.next_element_seed(&mut series)?.is_some() {}
        Ok(())
    }
}

struct Series<'f, 'c> {
    filled: &'f mut Filled<'c>,
    samples: Vec<Sample>,
}

impl<'de> DeserializeSeed<'de> for &mut Series<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Series<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a series with `metric` and `values`")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        // `values` may stand before `metric`, so the samples wait for the end of the series.
        let mut key = Vec::new();
        self.samples.clear();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "metric" => {
                    let labels: std::collections::BTreeMap<String, String> = map.next_value()?;
                    let mut pairs: Vec<(&str, &str)> =
                        labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                    write_key(&mut pairs, &mut key);
                }
                "values" => map.next_value_seed(Points(self))?,
                // An instant query's answer is a range of one.
                "value" => self.samples.push(map.next_value::<Point>()?.0),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let columns = &mut *self.filled.columns;
        let id = columns.column(&key, ValueKind::Unknown).map_err(M::Error::custom)?;
        for sample in &self.samples {
            columns.push(id, sample.at, sample.value).map_err(M::Error::custom)?;
        }
        Ok(())
    }
}

struct Points<'s, 'f, 'c>(&'s mut Series<'f, 'c>);

impl<'de> DeserializeSeed<'de> for Points<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Points<'_, '_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of samples")
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        while let Some(Point(sample)) = seq.next_element()? {
            self.0.samples.push(sample);
            self.0.filled.barren.set(0);
            self.0.filled.columns.room_for(self.0.samples.len()).map_err(S::Error::custom)?;
        }
        Ok(())
    }
}

/// `[seconds, "value"]`.
struct Point(Sample);

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (seconds, Value(value)): (f64, Value) = Deserialize::deserialize(deserializer)?;
        Ok(Point(Sample { at: Timestamp::from_seconds(seconds), value }))
    }
}

/// A number as Prometheus writes it: in quotes, so that it can be `NaN` or `+Inf`.
struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ValueText)
    }
}

struct ValueText;

impl Visitor<'_> for ValueText {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value in quotes, as in \"0.5\" or \"NaN\"")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        text.parse().map(Value).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::RecordingLimits;
    use super::*;

    fn read_text(text: &str) -> Result<Vec<(String, i64, f64)>, QueryRangeError> {
        let mut columns = Columns::new(RecordingLimits { series_max: 10, samples_max: 10 });
        read(text.as_bytes(), &mut columns)?;
        let mut samples = Vec::new();
        for batch in columns.into_slices("test".into(), 1, Timestamp::MIN) {
            for (key, _, values) in batch.iter() {
                let series = crate::sample::Labels::from_key(key).to_string();
                samples.extend(values.iter().map(|s| (series.clone(), s.at.0, s.value)));
            }
        }
        Ok(samples)
    }

    fn fails(text: &str, want: &str) {
        let error = read_text(text).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn a_matrix_becomes_columns() {
        let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"up","job":"node"},"values":[[1700000000,"1"],[1700000015.5,"0"]]},
            {"values":[[1700000000.25,"+Inf"]],"histograms":[[1700000000,{"count":"1"}]],"metric":{"__name__":"x"}}]},
            "warnings":["slow"]}"#;
        let samples = read_text(text).unwrap();
        assert_eq!(
            samples,
            [
                (r#"up{job="node"}"#.into(), 1_700_000_000_000, 1.0),
                ("x".into(), 1_700_000_000_250, f64::INFINITY),
                (r#"up{job="node"}"#.into(), 1_700_000_015_500, 0.0),
            ]
        );
    }

    #[test]
    fn several_answers_make_one_recording() {
        let slice = |at: i64| {
            format!(
                r#"{{"status":"success","data":{{"result":[{{"metric":{{"a":"b"}},"values":[[{at},"1"]]}}]}}}}"#
            )
        };
        let samples = read_text(&format!("{}\n{}\n\n", slice(2), slice(1))).unwrap();
        assert_eq!(samples, [(r#"{a="b"}"#.into(), 1000, 1.0), (r#"{a="b"}"#.into(), 2000, 1.0)]);
        assert!(read_text(" \n").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said() {
        fails(
            r#"{"status":"error","errorType":"bad_data","error":"no such"}"#,
            "is an error: bad_data: no such",
        );
        fails(r#"{"data":{"result":[]}}"#, "is an error: status \"\"");
        fails(r#"{"status":"success","data":{"result":[{"metric":{"a":"b"},"values":[[1,"#, "EOF");
        fails(r#"{"status":"success","data":{"result":[{"values":[[1,2]]}]}}"#, "a value in quotes");
        fails(r#"{"status":"success","data":{"result":[{"values":[[1,"x"]]}]}}"#, "at line 1 column");
        fails(
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#,
            "a series with `metric`",
        );
        fails("[]", "an answer with `status`");
        fails("up 1", "not the answer of a range query");
        let endless = BufReader::new(
            br#"{"status":"success","data":{"result":[{"metric":{"a":""#.chain(io::repeat(b'x')),
        );
        let mut columns = Columns::new(RecordingLimits { series_max: 10, samples_max: 10 });
        let error = read(endless, &mut columns).unwrap_err();
        assert!(error.to_string().contains("67108864 bytes without a sample"), "{error}");
        let many: Vec<String> = (0..11).map(|t| format!("[{t},\"1\"]")).collect();
        let text =
            format!(r#"{{"status":"success","data":{{"result":[{{"values":[{}]}}]}}}}"#, many.join(","));
        fails(&text, "more than 10 samples");
    }
}
