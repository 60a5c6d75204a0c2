//! What the simulated receivers have seen: the remedy's webhook, annotations and alerts.
//!
//! The webhook's signature is checked from its bytes alone, as a receiver in another house would do it
//! (Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, base64).

use std::collections::{BTreeMap, BTreeSet};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::sample::Timestamp;

/// What arrived, for the story that the demo tells.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub webhook_at: Option<Timestamp>,
    /// Whether every webhook so far carried a right signature.
    pub signature_valid: Option<bool>,
    /// Annotations by id: whether the region has been closed.
    pub annotations: BTreeMap<u64, bool>,
    /// Incidents that alerts told of, and those that ended.
    pub alerts: BTreeSet<String>,
    pub alerts_ended: BTreeSet<String>,
}

/// What a webhook asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub remedy: String,
    pub target: String,
}

/// Why a webhook is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    #[error("it names no remedy and target")]
    NoRemedy,
    #[error("its signature is wrong")]
    Signature,
}

/// Whether `v1` of the `webhook-signature` header is right for this body and secret (`whsec_…`).
pub fn signature_is_valid(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let Ok(key) = BASE64.decode(secret.trim_start_matches("whsec_")) else { return false };
    text("webhook-signature").split(' ').filter_map(|signature| signature.strip_prefix("v1,")).any(
        |signature| {
            let Ok(tag) = BASE64.decode(signature) else { return false };
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
            mac.update(format!("{}.{}.", text("webhook-id"), text("webhook-timestamp")).as_bytes());
            mac.update(body);
            mac.verify_slice(&tag).is_ok()
        },
    )
}

impl Received {
    /// A webhook; returns what it asks for.
    ///
    /// # Errors
    /// It asks for nothing, or nobody who knows the secret sent it.
    pub fn webhook(&mut self, at: Timestamp, valid: bool, body: &[u8]) -> Result<Asked, Unheard> {
        self.signature_valid = Some(self.signature_valid.unwrap_or(true) && valid);
        if !valid {
            return Err(Unheard::Signature);
        }
        let event: Value = serde_json::from_slice(body).map_err(|_| Unheard::NoRemedy)?;
        let action = event.pointer("/data/action").or_else(|| event.get("action")).unwrap_or(&event);
        let text = |name: &str| action.get(name).and_then(Value::as_str).map(str::to_owned);
        let remedy = text("remedy").ok_or(Unheard::NoRemedy)?;
        let target = text("target").ok_or(Unheard::NoRemedy)?;
        self.webhook_at.get_or_insert(at);
        Ok(Asked { remedy, target })
    }

    /// A new annotation; returns its id.
    pub fn annotate(&mut self) -> u64 {
        let id = self.annotations.len() as u64 + 1;
        self.annotations.insert(id, false);
        id
    }

    /// A change of an annotation; one that brings `timeEnd` closes the region.
    pub fn change_annotation(&mut self, id: u64, body: &[u8]) {
        let change: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if change.get("timeEnd").is_some() {
            self.annotations.insert(id, true);
        }
    }

    /// A list of alerts, as Alertmanager's v2 API takes it; an `endsAt` that is past ends the alert.
    pub fn alert(&mut self, now: Timestamp, body: &[u8]) {
        let alerts: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
        for alert in alerts {
            let Some(incident) = alert.pointer("/labels/incident").and_then(Value::as_str) else { continue };
            self.alerts.insert(incident.to_string());
            let ends = alert.get("endsAt").and_then(Value::as_str).and_then(Timestamp::parse_rfc3339);
            if ends.is_some_and(|ends| ends <= now) {
                self.alerts_ended.insert(incident.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_published_vector_passes_and_a_changed_body_does_not() {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().unwrap());
        headers.insert("webhook-timestamp", "1614265330".parse().unwrap());
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        headers.insert("webhook-signature", format!("v1,AAAA {signature}").parse().unwrap());
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert!(signature_is_valid(secret, &headers, br#"{"test": 2432232314}"#));
        assert!(!signature_is_valid(secret, &headers, br#"{"test": 2432232315}"#));
    }

    #[test]
    fn an_alert_ends_when_its_end_is_past() {
        let mut received = Received::default();
        let alert = br#"[{"labels":{"incident":"a"},"endsAt":"2026-01-01T00:00:00Z"}]"#;
        received.alert(Timestamp::parse_rfc3339("2025-12-31T23:00:00Z").unwrap(), alert);
        assert!(received.alerts.contains("a") && received.alerts_ended.is_empty());
        received.alert(Timestamp::parse_rfc3339("2026-01-01T00:00:01Z").unwrap(), alert);
        assert!(received.alerts_ended.contains("a"));
    }
}
