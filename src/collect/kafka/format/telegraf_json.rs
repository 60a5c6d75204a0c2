//! Telegraf's `json` serialiser: one metric, or a list of them under `metrics`.
//!
//! `{"name":"postfix_queue","tags":{"queue":"deferred"},"fields":{"length":3},"timestamp":1700000000}`
//! becomes `postfix_queue_length{queue="deferred"}`. Numbers and booleans are values, text is not one.
//! Names are made legal for Prometheus as Telegraf's own Prometheus output does: other characters become `_`.
//! Every field of a metric repeats its tags, so a small message could ask for a huge batch: that is bounded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::FormatError;
use crate::sample::{Batch, METRIC_NAME, Source, Timestamp, ValueKind};

/// Of the keys of one batch: a message of Telegraf's takes a hundredth of it.
const KEY_BYTES_MAX: usize = 16 << 20;

#[derive(Deserialize)]
struct Metric<'p> {
    #[serde(borrow)]
    name: Cow<'p, str>,
    #[serde(borrow, default)]
    tags: BTreeMap<Cow<'p, str>, Value>,
    #[serde(borrow)]
    fields: BTreeMap<Cow<'p, str>, Value>,
    timestamp: f64,
}

#[derive(Deserialize)]
struct Many<'p> {
    #[serde(borrow)]
    metrics: Vec<Metric<'p>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message<'p> {
    Many(#[serde(borrow)] Many<'p>),
    One(#[serde(borrow)] Metric<'p>),
}

/// Reads one message; `unit` is what 1 in `timestamp` means.
pub fn read(payload: &[u8], unit: Duration, source: Source) -> Result<Batch, FormatError> {
    let message: Message = serde_json::from_slice(payload).map_err(|error| why(payload, error))?;
    let metrics = match message {
        Message::Many(many) => many.metrics,
        Message::One(metric) => vec![metric],
    };
    let mut batch = Batch::new(source);
    let mut room = KEY_BYTES_MAX;
    for metric in &metrics {
        push(metric, unit, &mut room, &mut batch)?;
    }
    Ok(batch)
}

/// An untagged enum only says that nothing matched, so the shape that got further is asked why.
fn why(payload: &[u8], error: serde_json::Error) -> FormatError {
    let one = serde_json::from_slice::<Metric>(payload).err();
    let many = serde_json::from_slice::<Many>(payload).err();
    let missing = |error: &serde_json::Error| error.to_string().contains("missing field `metrics`");
    let closer = one.into_iter().chain(many.filter(|error| !missing(error)));
    let furthest = closer.max_by_key(|error| (error.line(), error.column()));
    FormatError::Json(furthest.unwrap_or(error).to_string())
}

/// `room` is the bytes of keys that may still be added.
fn push(metric: &Metric, unit: Duration, room: &mut usize, batch: &mut Batch) -> Result<(), FormatError> {
    let ms = metric.timestamp * unit.as_secs_f64() * 1000.0;
    // Beyond 2^53 ms a float no longer tells milliseconds apart, and no metric is from then.
    if !ms.is_finite() || ms.abs() > 9.0e15 {
        return Err(FormatError::Json(format!("timestamp {:?} is out of range", metric.timestamp)));
    }
    let at = Timestamp(ms.round() as i64);
    let tags: Vec<(Cow<str>, String)> =
        metric.tags.iter().map(|(name, value)| (legal(name), text_of(value))).collect();
    // The metric's name is its own, and a label without a name is none.
    let tags: Vec<(&str, &str)> = tags
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_str()))
        .filter(|(name, _)| !name.is_empty() && *name != METRIC_NAME)
        .collect();
    let tag_bytes: usize = tags.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    for (field, value) in &metric.fields {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::Bool(on) => Some(f64::from(u8::from(*on))),
            _ => None,
        };
        let Some(number) = number else { continue };
        let name = legal(&format!("{}_{field}", metric.name)).into_owned();
        let key_bytes = METRIC_NAME.len() + name.len() + 2 + tag_bytes;
        *room = room.checked_sub(key_bytes).ok_or(FormatError::Labels { bytes_max: KEY_BYTES_MAX })?;
        let mut labels: Vec<(&str, &str)> = vec![(METRIC_NAME, &name)];
        labels.extend(&tags);
        batch.push(&mut labels, ValueKind::Unknown, at, number);
    }
    Ok(())
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The name with every character that Prometheus does not take replaced by `_`.
fn legal(name: &str) -> Cow<'_, str> {
    let fits = |(i, c): (usize, char)| {
        c.is_ascii_alphabetic() || c == '_' || c == ':' || (i > 0 && c.is_ascii_digit())
    };
    if name.char_indices().all(fits) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.char_indices().map(|at| if fits(at) { at.1 } else { '_' }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Labels;

    fn check(payload: &str, want: &[(&str, i64, f64)]) {
        let batch = read(payload.as_bytes(), Duration::from_secs(1), "kafka:t/0".into()).unwrap();
        let got: Vec<(String, i64, f64)> = batch
            .iter()
            .map(|(key, _, samples)| (Labels::from_key(key).to_string(), samples[0].at.0, samples[0].value))
            .collect();
        let want: Vec<(String, i64, f64)> = want.iter().map(|(l, t, v)| (l.to_string(), *t, *v)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn each_number_of_a_metric_is_a_series() {
        check(
            r#"{"name":"postfix_queue","tags":{"host":"mta1","queue":"deferred"},
                "fields":{"age":12.5,"length":3,"note":"x","up":true},"timestamp":1700000000}"#,
            &[
                (r#"postfix_queue_age{host="mta1",queue="deferred"}"#, 1_700_000_000_000, 12.5),
                (r#"postfix_queue_length{host="mta1",queue="deferred"}"#, 1_700_000_000_000, 3.0),
                (r#"postfix_queue_up{host="mta1",queue="deferred"}"#, 1_700_000_000_000, 1.0),
            ],
        );
    }

    #[test]
    fn a_list_of_metrics_is_read_and_names_are_made_legal() {
        check(
            r#"{"metrics":[{"name":"disk.io","tags":{"dev-name":"sda"},"fields":{"read%":1},"timestamp":1},
                           {"name":"2x","fields":{"v":2},"timestamp":2.5}]}"#,
            &[(r#"disk_io_read_{dev_name="sda"}"#, 1_000, 1.0), ("_x_v", 2_500, 2.0)],
        );
    }

    #[test]
    fn a_tag_can_neither_rename_a_metric_nor_go_without_a_name() {
        check(
            r#"{"name":"x","tags":{"":"a","__name__":"up","host":"h"},"fields":{"v":1},"timestamp":1}"#,
            &[(r#"x_v{host="h"}"#, 1_000, 1.0)],
        );
    }

    #[test]
    fn what_cannot_be_read_says_what_is_missing() {
        let why = |payload: &str| {
            read(payload.as_bytes(), Duration::from_secs(1), "kafka:t/0".into()).unwrap_err().to_string()
        };
        assert!(why(r#"{"name":"x","fields":{"v":1}}"#).contains("missing field `timestamp`"));
        assert!(why("{").contains("line 1 column"));
        assert!(why(r#"{"name":"x","fields":{"v":1},"timestamp":1e300}"#).contains("out of range"));
    }
}
