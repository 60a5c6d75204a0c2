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

#[cfg(test)]
mod tests {
    use super::super::fixture::{letter, opened};
    use super::*;

    fn webhook() -> Webhook {
        Webhook {
            url: "https://heal.example/hook".parse().unwrap(),
            signer: Signer::new(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()]).unwrap(),
            headers: BTreeMap::from([
                ("X-Token".into(), "fixed".into()),
                ("Webhook-Id".into(), "forged".into()),
            ]),
            body: None,
            header_templates: BTreeMap::from([(
                "X-Host".into(),
                Template::header("{{ incident.entity }}").unwrap(),
            )]),
            timeout: Duration::from_secs(20),
        }
    }

    #[test]
    fn a_request_is_signed_over_what_it_carries() {
        let event = opened("a", 0);
        let webhook = webhook();
        let request = webhook.request(&letter(&event)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(value["type"], "incident.opened");
        assert_eq!(value["timestamp"], "2023-11-14T22:00:00.000Z");
        assert_eq!(serde_json::from_value::<Event>(value["data"].clone()).unwrap(), event);
        let header = |name: &str| request.headers[name].as_str();
        assert_eq!((header("webhook-id"), header("webhook-timestamp")), ("the-id", "1700000000"));
        assert_eq!(header("webhook-signature"), webhook.signer.sign("the-id", 1_700_000_000, &request.body));
        assert_eq!((header("x-token"), header("x-host")), ("fixed", "mx1"));
    }

    #[test]
    fn a_template_that_gives_no_json_is_not_sent_as_json() {
        let mut webhook = webhook();
        webhook.body = Some(Template::body("host={{ incident.entity }}").unwrap());
        let event = opened("a", 0);
        assert!(webhook.request(&letter(&event)).unwrap_err().0.contains("not JSON"));
        webhook.headers.insert("Content-Type".into(), "text/plain".into());
        assert_eq!(webhook.request(&letter(&event)).unwrap().body, br#"host="mx1""#);
    }

    #[test]
    fn only_2xx_is_success_and_only_410_is_final() {
        let event = opened("a", 0);
        let judge = |status| {
            let answer = Answer { status, retry_after: Some(Duration::from_secs(7)), body: Vec::new() };
            webhook().judge(&letter(&event), &answer)
        };
        assert_eq!(judge(204), Verdict::Delivered { note: None });
        assert_eq!(judge(410), Verdict::Gone);
        for status in [302, 400, 404, 429, 500] {
            let after = Some(Duration::from_secs(7));
            assert_eq!(judge(status), Verdict::Again { after, reason: format!("status {status}") });
        }
    }
}
