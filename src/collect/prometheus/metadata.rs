//! What a Prometheus knows of the types of its metrics: `GET /api/v1/metadata`.
//!
//! `{"status":"success","data":{"name":[{"type":"counter","help":"…"},…]}}`, an entry for each way that
//! targets describe the metric. Where they disagree nothing is known.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::family::Family;
use crate::sample::ValueKind;

#[derive(Deserialize)]
struct Answer {
    data: BTreeMap<String, Vec<Entry>>,
}

#[derive(PartialEq, Deserialize)]
struct Entry {
    r#type: String,
}

/// The family of each metric that has one.
#[derive(Debug, Default)]
pub struct Metadata {
    families: BTreeMap<String, Family>,
}

impl Metadata {
    /// Reads the body of an answer.
    pub fn read(answer: &[u8]) -> Result<Self, serde_json::Error> {
        let answer: Answer = serde_json::from_slice(answer)?;
        let mut families = BTreeMap::new();
        for (name, entries) in answer.data {
            let [first, rest @ ..] = &entries[..] else { continue };
            if rest.iter().all(|entry| entry == first) {
                let mut family = Family::default();
                family.begin(&name, first.r#type.as_bytes());
                families.insert(name, family);
            }
        }
        Ok(Metadata { families })
    }

    /// The kind of a series by its metric name, or by that name without its last part, as in `delay_bucket`.
    pub fn kind_of(&self, name: &str) -> ValueKind {
        let stem = name.rsplit_once('_').map_or(name, |(stem, _)| stem);
        let family = self.families.get(name).or_else(|| self.families.get(stem));
        family.map_or(ValueKind::Unknown, |family| family.kind_of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_tells_kinds_where_its_entries_agree() {
        let answer = br#"{"status":"success","data":{
            "mails_total":[{"type":"counter","help":"Mails."},{"type":"counter","help":"All mails."}],
            "delay":[{"type":"histogram"}], "load":[{"type":"gauge"},{"type":"counter"}], "none":[]}}"#;
        let metadata = Metadata::read(answer).unwrap();
        let check = |name: &str, want| assert_eq!(metadata.kind_of(name), want, "{name}");
        check("mails_total", ValueKind::Counter);
        check("delay_bucket", ValueKind::Counter);
        check("load", ValueKind::Unknown);
        check("none", ValueKind::Unknown);
        check("up", ValueKind::Unknown);
    }
}
