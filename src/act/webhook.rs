//! Standard Webhooks: the signed request that calls a remedy, or tells of an incident.
//!
//! Wire: `{"type","timestamp","data"}`, `data` an event of ours, or the operator's template. Any answer but 2xx and
//! 410 is worth another try, as the standard says: a receiver that is being mended answers anything.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;

use super::sign::Signer;
use super::template::Template;
use super::{Answer, Letter, Method, Request, Sink, Unsendable, Verdict};
use crate::incident::event::{Event, EventKind};
use crate::sample::Timestamp;

const JSON: &str = "application/json";

/// Holds secrets, so it has no `Debug`.
pub struct Webhook {
    pub url: Url,
    pub signer: Signer,
    pub headers: BTreeMap<String, SecretString>,
    pub body: Option<Template>,
    pub header_templates: BTreeMap<String, Template>,
    pub timeout: Duration,
}

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: EventKind,
    timestamp: Timestamp,
    data: &'a Event,
}

impl Sink for Webhook {
    fn request(&self, letter: &Letter) -> Result<Request, Unsendable> {
        let mut headers = BTreeMap::from([("content-type".to_owned(), JSON.to_owned())]);
        let fixed = self.headers.iter().map(|(name, value)| (name, value.expose_secret().to_owned()));
        headers.extend(fixed.map(|(name, value)| (name.to_ascii_lowercase(), value)));
        for (name, template) in &self.header_templates {
            headers.insert(name.to_ascii_lowercase(), template.render(letter)?);
        }
        let body = self.body(letter)?;
        if headers["content-type"].starts_with(JSON) {
            serde_json::from_slice::<serde::de::IgnoredAny>(&body)
                .map_err(|e| Unsendable(format!("the template's output is not JSON: {e}")))?;
        }
        headers.insert("webhook-id".into(), letter.id.into());
        headers.insert("webhook-timestamp".into(), letter.wall_seconds.to_string());
        headers.insert("webhook-signature".into(), self.signer.sign(letter.id, letter.wall_seconds, &body));
        Ok(Request { method: Method::Post, url: self.url.clone(), headers, body, timeout: self.timeout })
    }

    fn judge(&self, _: &Letter, answer: &Answer) -> Verdict {
        match answer.status {
            200..=299 => Verdict::Delivered { note: None },
            410 => Verdict::Gone,
            status => Verdict::Again { after: answer.retry_after, reason: format!("status {status}") },
        }
    }
}

impl Webhook {
    fn body(&self, letter: &Letter) -> Result<Vec<u8>, Unsendable> {
        let event = letter.event;
        match &self.body {
            Some(template) => template.render(letter).map(String::into_bytes),
            None => serde_json::to_vec(&Envelope { r#type: event.event, timestamp: event.at, data: event })
                .map_err(|e| Unsendable(e.to_string())),
        }
    }
}
