//! The keys of a pack as they stand in the file: every one known, none checked yet.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::super::{Approval, Direction, Lead, Movement, Urgency};
use crate::sample::ValueKind;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPack {
    pub name: String,
    #[serde(default)]
    pub needs: Vec<Spanned<String>>,
    #[serde(default)]
    pub roles: BTreeMap<String, RawRole>,
    #[serde(default)]
    pub remedies: BTreeMap<String, Spanned<RawRemedy>>,
    #[serde(default)]
    pub signals: Vec<RawSignal>,
    #[serde(default)]
    pub faults: Vec<RawFault>,
    #[serde(default)]
    pub extends: Vec<RawExtension>,
    #[serde(default)]
    pub service_levels: BTreeMap<String, Spanned<RawLevel>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLevel {
    pub about: String,
    pub seconds: Option<Spanned<f64>>,
    pub unit: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRole {
    pub about: String,
    #[serde(default)]
    pub depends: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a remedy is what it does in words, or { about: …, approval: required|none, role: …, verify: [signal, …], worsens: [signal, …] }"
)]
pub(super) enum RawRemedy {
    About(String),
    Full(RawFullRemedy),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFullRemedy {
    pub about: String,
    #[serde(default)]
    pub approval: Approval,
    pub role: Option<String>,
    #[serde(default)]
    pub verify: Vec<String>,
    #[serde(default)]
    pub worsens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSignal {
    pub name: Spanned<String>,
    pub reads: String,
    pub unit: String,
    pub role: String,
    pub hurts: Direction,
    pub limit: Option<Spanned<RawLimit>>,
    pub unless: Option<Spanned<String>>,
    pub grows_with: Option<Spanned<String>>,
    #[serde(default)]
    pub fills: bool,
    pub least: Option<Spanned<f64>>,
    pub notice_hours: Option<Spanned<f64>>,
    #[serde(default)]
    pub from: Vec<Spanned<RawExported>>,
    pub behind: Option<Spanned<String>>,
    pub balance: Option<Spanned<RawBalance>>,
    pub share: Option<Spanned<RawShareOf>>,
    pub stalled: Option<Spanned<RawStalled>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBalance {
    #[serde(default)]
    pub comes: Vec<Spanned<String>>,
    #[serde(default)]
    pub goes: Vec<Spanned<String>>,
    #[serde(default)]
    pub stays: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShareOf {
    #[serde(default)]
    pub part: Vec<Spanned<String>>,
    #[serde(default)]
    pub rest: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStalled {
    #[serde(default)]
    pub shows: Vec<Spanned<String>>,
    #[serde(default, rename = "while")]
    pub meanwhile: Vec<Spanned<String>>,
}

impl RawSignal {
    /// Whether its series are made here.
    pub fn is_derived(&self) -> bool {
        self.behind.is_some()
            || self.balance.is_some()
            || self.share.is_some()
            || self.stalled.is_some()
            || self.stalled.is_some()
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a limit is a number, `due`, or { signal: …, share: … }")]
pub(super) enum RawLimit {
    Value(f64),
    Word(String),
    Share(RawShare),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShare {
    pub signal: String,
    #[serde(default = "whole")]
    pub share: f64,
}

fn whole() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a selector, or { select: …, unit: …, times: …, kind: gauge|counter }")]
pub(super) enum RawExported {
    Select(String),
    Full(RawFull),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFull {
    pub select: String,
    pub unit: Option<String>,
    #[serde(default = "whole")]
    pub times: f64,
    pub kind: Option<RawKind>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawKind {
    Gauge,
    Counter,
}

impl From<RawKind> for ValueKind {
    fn from(kind: RawKind) -> Self {
        match kind {
            RawKind::Gauge => ValueKind::Gauge,
            RawKind::Counter => ValueKind::Counter,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFault {
    pub name: Spanned<String>,
    pub users: Spanned<String>,
    #[serde(default)]
    pub urgency: Urgency,
    #[serde(default)]
    pub lead: Lead,
    pub lead_minutes: Option<Spanned<[f64; 2]>>,
    pub prior: Option<Spanned<f64>>,
    pub restart: Option<Spanned<f64>>,
    pub passes_minutes: Option<Spanned<f64>>,
    pub evidence: Vec<RawEvidence>,
    #[serde(default)]
    pub impact: Vec<RawImpact>,
    #[serde(default)]
    pub remedies: Vec<Spanned<String>>,
    #[serde(default)]
    pub forbidden: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExtension {
    pub fault: Spanned<String>,
    #[serde(default)]
    pub early: Vec<RawEvidence>,
    #[serde(default)]
    pub evidence: Vec<RawEvidence>,
    #[serde(default)]
    pub impact: Vec<RawImpact>,
    #[serde(default)]
    pub remedies: Vec<Spanned<String>>,
    #[serde(default)]
    pub forbidden: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEvidence {
    pub signal: Spanned<String>,
    pub role: Option<Spanned<String>>,
    pub moves: Movement,
    pub sure: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawImpact {
    pub signal: Spanned<String>,
    pub reaches: Option<f64>,
    pub level: Option<Spanned<String>>,
    pub times_usual: Option<Spanned<String>>,
    pub unless: Option<Spanned<String>>,
}
