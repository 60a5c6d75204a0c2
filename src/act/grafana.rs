//! Grafana annotation: a region over the time of an incident, opened by POST and closed by PATCH.
//!
//! Wire: `POST /api/annotations` -> `{"id"}`; the id is the note of the incident. A POST is not idempotent: where an
//! earlier attempt may have arrived, the annotation is first looked for by the tag `id:INCIDENT`.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::http::below;
use super::{Answer, Letter, Method, Request, Sink, Unsendable, Verdict, word_of};
use crate::incident::event::{Event, EventKind, Incident};

/// Holds secrets, so it has no `Debug`.
pub struct Grafana {
    pub url: Url,
    pub token: SecretString,
    pub dashboard_uid: Option<String>,
    pub panel_id: Option<u64>,
    pub timeout: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Annotation<'a> {
    #[serde(rename = "dashboardUID", skip_serializing_if = "Option::is_none")]
    dashboard_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    panel_id: Option<u64>,
    /// A patch leaves the beginning as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_end: Option<i64>,
    tags: Vec<String>,
    text: &'a str,
}

#[derive(Deserialize)]
struct Created {
    id: i64,
}

/// What is to be done next about one incident.
enum Step {
    Create,
    /// Look whether an earlier attempt made it.
    Find,
    Patch(i64),
}

/// The look-up of attempt `n` found nothing; that holds for the very next attempt only.
fn absent(attempt: u32) -> String {
    format!("absent:{attempt}")
}

fn step(letter: &Letter) -> Step {
    match letter.note {
        Some(note) if note == absent(letter.attempt.saturating_sub(1)) => Step::Create,
        Some(note) => note.parse().map_or(Step::Find, Step::Patch),
        None if letter.event.event == EventKind::Opened && letter.attempt == 1 => Step::Create,
        None => Step::Find,
    }
}

impl Sink for Grafana {
    fn request(&self, letter: &Letter) -> Result<Request, Unsendable> {
        let Some(incident) = &letter.event.incident else {
            return Err(Unsendable("no incident to annotate".into()));
        };
        let base = below(&self.url, &["api", "annotations"]);
        let (method, url, body) = match step(letter) {
            Step::Create => (Method::Post, base, self.annotation(letter.event, incident, true)?),
            Step::Patch(id) => {
                let url = below(&base, &[&id.to_string()]);
                (Method::Patch, url, self.annotation(letter.event, incident, false)?)
            }
            Step::Find => {
                let mut url = base;
                url.query_pairs_mut()
                    .append_pair("tags", "foreshock")
                    .append_pair("tags", &id_tag(incident))
                    .append_pair("limit", "1");
                (Method::Get, url, Vec::new())
            }
        };
        let headers = BTreeMap::from([
            ("authorization".into(), format!("Bearer {}", self.token.expose_secret())),
            ("content-type".into(), "application/json".into()),
            ("accept".into(), "application/json".into()),
        ]);
        Ok(Request { method, url, headers, body, timeout: self.timeout })
    }

    fn judge(&self, letter: &Letter, answer: &Answer) -> Verdict {
        let again = |reason: String| Verdict::Again { after: answer.retry_after, reason };
        match (answer.status, step(letter)) {
            (200..=299, Step::Create) => match serde_json::from_slice::<Created>(&answer.body) {
                Ok(created) => Verdict::Delivered { note: Some(created.id.to_string()) },
                Err(_) => again("an answer without an id".into()),
            },
            (200..=299, Step::Find) => {
                match serde_json::from_slice::<Vec<Created>>(&answer.body).as_deref() {
                    // What is found says when the incident began; anything later is patched in.
                    Ok([found, ..]) => Verdict::Next { note: found.id.to_string() },
                    Ok([]) => Verdict::Next { note: absent(letter.attempt) },
                    Err(_) => again("an answer that is no list of annotations".into()),
                }
            }
            (200..=299, Step::Patch(_)) => Verdict::Delivered { note: None },
            // A token that is being changed answers 401 and 403 for a while.
            (status @ (401 | 403 | 408 | 429 | 500..=599), _) => again(format!("status {status}")),
            (status, _) => Verdict::Refused { reason: format!("status {status}") },
        }
    }
}

impl Grafana {
    fn annotation(&self, event: &Event, incident: &Incident, create: bool) -> Result<Vec<u8>, Unsendable> {
        let annotation = Annotation {
            dashboard_uid: self.dashboard_uid.as_deref().filter(|_| create),
            panel_id: self.panel_id.filter(|_| create),
            time: create.then_some(incident.opened_at.0),
            time_end: incident.resolved_at.filter(|_| event.event == EventKind::Resolved).map(|at| at.0),
            tags: tags(incident),
            text: &incident.summary,
        };
        serde_json::to_vec(&annotation).map_err(|e| Unsendable(e.to_string()))
    }
}

fn id_tag(incident: &Incident) -> String {
    format!("id:{}", incident.id)
}

fn tags(incident: &Incident) -> Vec<String> {
    let mut tags =
        vec!["foreshock".into(), "incident".into(), format!("severity:{}", word_of(incident.severity))];
    tags.push(format!("entity:{}", incident.entity));
    tags.extend(incident.fault.as_ref().map(|fault| format!("fault:{fault}")));
    tags.push(id_tag(incident));
    tags
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{letter, minute, opened, resolved};
    use super::*;

    fn grafana() -> Grafana {
        Grafana {
            url: "https://grafana.example/sub/".parse().unwrap(),
            token: "glsa_secret".into(),
            dashboard_uid: Some("dash".into()),
            panel_id: None,
            timeout: Duration::from_secs(9),
        }
    }

    /// Method, path with query, and body of the request for `event` at an attempt with a note.
    fn asked(event: &Event, attempt: u32, note: Option<&str>) -> (Method, String, serde_json::Value) {
        let letter = Letter { attempt, note, ..letter(event) };
        let request = grafana().request(&letter).unwrap();
        assert_eq!(request.headers["authorization"], "Bearer glsa_secret");
        let path = request.url.as_str().trim_start_matches("https://grafana.example").to_owned();
        (request.method, path, serde_json::from_slice(&request.body).unwrap_or_default())
    }

    fn judged(event: &Event, attempt: u32, note: Option<&str>, status: u16, body: &str) -> Verdict {
        let answer = Answer { status, retry_after: None, body: body.into() };
        grafana().judge(&Letter { attempt, note, ..letter(event) }, &answer)
    }

    #[test]
    fn a_region_opens_with_the_incident_and_closes_with_it() {
        let (method, path, body) = asked(&opened("a", 0), 1, None);
        assert_eq!((method, path.as_str()), (Method::Post, "/sub/api/annotations"));
        assert_eq!(body["time"], minute(0).0);
        assert_eq!(body["dashboardUID"], "dash");
        assert!(body.get("timeEnd").is_none());
        let tags = ["foreshock", "incident", "severity:page", "entity:mx1", "fault:clamd_stuck", "id:a"];
        assert_eq!(body["tags"], serde_json::json!(tags));
        let created = judged(&opened("a", 0), 1, None, 200, r#"{"message":"Annotation added","id":17}"#);
        assert_eq!(created, Verdict::Delivered { note: Some("17".into()) });

        let (method, path, body) = asked(&resolved("a", 9, 1), 1, Some("17"));
        assert_eq!((method, path.as_str()), (Method::Patch, "/sub/api/annotations/17"));
        assert_eq!(body["timeEnd"], minute(9).0);
        assert!(body.get("time").is_none());
        assert_eq!(judged(&resolved("a", 9, 1), 1, Some("17"), 200, "{}"), Verdict::Delivered { note: None });
    }

    #[test]
    fn where_an_attempt_may_have_arrived_it_looks_before_it_makes_another() {
        let event = opened("a", 0);
        let (method, path, _) = asked(&event, 2, None);
        assert_eq!(
            (method, path.as_str()),
            (Method::Get, "/sub/api/annotations?tags=foreshock&tags=id%3Aa&limit=1")
        );
        assert_eq!(judged(&event, 2, None, 200, r#"[{"id":17}]"#), Verdict::Next { note: "17".into() });
        assert_eq!(asked(&event, 3, Some("17")).0, Method::Patch);
        assert_eq!(judged(&event, 2, None, 200, "[]"), Verdict::Next { note: "absent:2".into() });
        assert_eq!(asked(&event, 3, Some("absent:2")).0, Method::Post);
        assert_eq!(asked(&event, 4, Some("absent:2")).0, Method::Get, "attempt 3 may have made it");
    }

    #[test]
    fn an_end_without_a_beginning_is_still_a_region() {
        let (method, _, body) = asked(&resolved("a", 9, 1), 2, Some("absent:1"));
        assert_eq!(method, Method::Post);
        assert_eq!((&body["time"], &body["timeEnd"]), (&minute(0).0.into(), &minute(9).0.into()));
    }

    #[test]
    fn a_token_may_be_renewed_and_nonsense_is_final() {
        let event = opened("a", 0);
        for status in [401, 403, 429, 503] {
            assert!(matches!(judged(&event, 1, None, status, ""), Verdict::Again { .. }), "{status}");
        }
        assert!(matches!(judged(&event, 1, None, 200, "<html>"), Verdict::Again { .. }));
        assert!(matches!(judged(&event, 1, None, 302, ""), Verdict::Refused { .. }));
        assert!(matches!(judged(&event, 1, None, 400, ""), Verdict::Refused { .. }));
    }
}
