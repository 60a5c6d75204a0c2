//! Alertmanager v2: an alert for each open incident, repeated while it fires, ended when it resolves.
//!
//! Wire: `POST /api/v2/alerts`, a list. Alertmanager knows an alert by its labels, so where they change (a fault is
//! named, a severity rises) the old one is ended in the same request; the note holds the labels last sent.
//! A firing alert ends by itself four repeats from now, should we be gone by then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::http::below;
use super::{Answer, Letter, Method, Request, Sink, Unsendable, Verdict, word_of};
use crate::incident::event::Incident;
use crate::sample::Timestamp;

/// Repeats that may be missed before the alert ends by itself.
const REPEATS_MISSED_MAX: i64 = 4;

/// Holds secrets, so it has no `Debug`.
pub struct Alertmanager {
    pub url: Url,
    /// Value of `Authorization`.
    pub authorization: Option<secrecy::SecretString>,
    pub resend: Duration,
    pub runbook_url: Option<String>,
    /// Where people find this Foreshock.
    pub external_url: Option<Url>,
    pub timeout: Duration,
}

type Labels = BTreeMap<String, String>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Labels,
    annotations: Labels,
    starts_at: Timestamp,
    ends_at: Timestamp,
    /// The link back, to the incident.
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl Sink for Alertmanager {
    fn request(&self, letter: &Letter) -> Result<Request, Unsendable> {
        let Some(incident) = &letter.event.incident else {
            return Err(Unsendable("no incident to alert on".into()));
        };
        let alerts = self.alerts(incident, letter);
        let mut headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        if let Some(value) = &self.authorization {
            headers.insert("authorization".into(), secrecy::ExposeSecret::expose_secret(value).to_owned());
        }
        Ok(Request {
            method: Method::Post,
            url: below(&self.url, &["api", "v2", "alerts"]),
            headers,
            body: serde_json::to_vec(&alerts).map_err(|e| Unsendable(e.to_string()))?,
            timeout: self.timeout,
        })
    }

    fn judge(&self, letter: &Letter, answer: &Answer) -> Verdict {
        match answer.status {
            200..=299 => {
                let labels = letter.event.incident.as_ref().map(labels);
                Verdict::Delivered { note: labels.and_then(|labels| serde_json::to_string(&labels).ok()) }
            }
            status @ (401 | 403 | 408 | 429 | 500..=599) => {
                Verdict::Again { after: answer.retry_after, reason: format!("status {status}") }
            }
            status => Verdict::Refused { reason: format!("status {status}") },
        }
    }

    fn resend(&self) -> Option<Duration> {
        Some(self.resend)
    }
}

impl Alertmanager {
    fn alerts(&self, incident: &Incident, letter: &Letter) -> Vec<Alert> {
        let now = letter.now;
        let lifetime_ms = self.resend.as_millis() as i64 * REPEATS_MISSED_MAX;
        // An end that lies ahead of its clock would leave the alert firing until then.
        let ends_at = incident.resolved_at.map_or(now.plus_ms(lifetime_ms), |at| at.min(now));
        let link = |base| below(base, &["api", "v1", "incidents", &incident.id]).to_string();
        let generator_url = self.external_url.as_ref().map(link);
        let alert = |labels, annotations, ends_at: Timestamp| Alert {
            labels,
            annotations,
            starts_at: incident.opened_at,
            ends_at: ends_at.max(incident.opened_at),
            generator_url: generator_url.clone(),
        };
        let labels = labels(incident);
        let before: Option<Labels> = letter.note.and_then(|note| serde_json::from_str(note).ok());
        let renamed = before.filter(|before| *before != labels);
        let mut alerts: Vec<Alert> =
            renamed.map(|before| alert(before, Labels::new(), now)).into_iter().collect();
        alerts.push(alert(labels, self.annotations(incident), ends_at));
        alerts
    }

    fn annotations(&self, incident: &Incident) -> Labels {
        let what = incident.prediction.as_ref().map(|prediction| prediction.what.as_str());
        let mut annotations = Labels::from([
            ("summary".into(), incident.summary.clone()),
            ("description".into(), description(incident, what)),
        ]);
        if let Some(prediction) = &incident.prediction {
            annotations.insert("impact_at".into(), prediction.impact_at.to_string());
        }
        if let Some(url) = &self.runbook_url {
            annotations.insert("runbook_url".into(), url.clone());
        }
        annotations
    }
}

/// The movers, a line each, then what is to come.
fn description(incident: &Incident, what: Option<&str>) -> String {
    let movers = incident.movers.iter().take(10).map(|mover| {
        let unit = mover.unit.as_deref().unwrap_or("");
        let (low, high) = (mover.low, mover.high);
        format!("{}: {} {unit} (usual {low} to {high})", mover.series, mover.value)
    });
    movers.chain(what.map(str::to_owned)).collect::<Vec<_>>().join("\n")
}

fn labels(incident: &Incident) -> Labels {
    let mut labels = Labels::from([
        ("alertname".into(), "ForeshockIncident".into()),
        ("site".into(), incident.site.clone()),
        ("entity".into(), incident.entity.clone()),
        ("severity".into(), word_of(incident.severity).into()),
        ("incident".into(), incident.id.clone()),
    ]);
    labels.extend(incident.fault.clone().map(|fault| ("fault".into(), fault)));
    // Alertmanager refuses a label without a value.
    labels.retain(|_, value: &mut String| !value.is_empty());
    labels
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{letter, minute, opened, resolved};
    use super::*;
    use crate::incident::event::Event;

    fn alertmanager() -> Alertmanager {
        Alertmanager {
            url: "http://am:9093".parse().unwrap(),
            authorization: None,
            resend: Duration::from_secs(60),
            runbook_url: Some("https://runbooks.example/mail".into()),
            external_url: Some("https://mail.example/foreshock/".parse().unwrap()),
            timeout: Duration::from_secs(9),
        }
    }

    fn sent(event: &Event, at: i64, note: Option<&str>) -> serde_json::Value {
        let request = alertmanager().request(&Letter { now: minute(at), note, ..letter(event) }).unwrap();
        assert_eq!(request.url.as_str(), "http://am:9093/api/v2/alerts");
        serde_json::from_slice(&request.body).unwrap()
    }

    fn note(event: &Event) -> Option<String> {
        let answer = Answer { status: 200, retry_after: None, body: Vec::new() };
        match alertmanager().judge(&letter(event), &answer) {
            Verdict::Delivered { note } => note,
            verdict => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn an_alert_fires_for_four_repeats_and_is_renewed_by_each() {
        let alerts = sent(&opened("a", 0), 7, None);
        assert_eq!(alerts.as_array().unwrap().len(), 1);
        assert_eq!(alerts[0]["startsAt"], "2023-11-14T22:00:00.000Z");
        assert_eq!(alerts[0]["endsAt"], "2023-11-14T22:11:00.000Z");
        let labels = serde_json::json!({
            "alertname": "ForeshockIncident", "site": "berlin", "entity": "mx1", "severity": "page",
            "incident": "a", "fault": "clamd_stuck",
        });
        assert_eq!(alerts[0]["labels"], labels);
        assert_eq!(alerts[0]["generatorURL"], "https://mail.example/foreshock/api/v1/incidents/a");
        let annotations = &alerts[0]["annotations"];
        assert_eq!(annotations["impact_at"], "2023-11-14T22:20:00.000Z");
        assert_eq!(annotations["runbook_url"], "https://runbooks.example/mail");
        let text = annotations["description"].as_str().unwrap();
        assert!(
            text.starts_with("postfix_queue_stat{queue=\"deferred\"}: 812 messages (usual 22 to 71.5)"),
            "{text}"
        );
    }

    #[test]
    fn it_ends_when_the_incident_did_and_never_in_the_future() {
        assert_eq!(sent(&resolved("a", 9, 1), 10, None)[0]["endsAt"], "2023-11-14T22:09:00.000Z");
        assert_eq!(sent(&resolved("a", 9, 1), 8, None)[0]["endsAt"], "2023-11-14T22:08:00.000Z");
    }

    #[test]
    fn where_labels_change_the_old_alert_is_ended() {
        let before = note(&opened("a", 0));
        assert_eq!(sent(&opened("a", 0), 1, before.as_deref()).as_array().unwrap().len(), 1);
        let mut later = opened("a", 0);
        later.incident.as_mut().unwrap().fault = None;
        let alerts = sent(&later, 5, before.as_deref());
        assert_eq!(alerts[0]["labels"]["fault"], "clamd_stuck");
        assert_eq!(alerts[0]["endsAt"], "2023-11-14T22:05:00.000Z");
        assert!(alerts[1]["labels"].get("fault").is_none());
        assert_eq!(alerts[1]["endsAt"], "2023-11-14T22:09:00.000Z");
    }

    #[test]
    fn without_a_known_address_there_is_no_link_back() {
        let sink = Alertmanager { external_url: None, ..alertmanager() };
        let request = sink.request(&letter(&opened("a", 0))).unwrap();
        let alerts: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert!(alerts[0].get("generatorURL").is_none(), "{alerts}");
    }

    #[test]
    fn labels_without_a_value_are_left_out() {
        let mut event = opened("a", 0);
        event.incident.as_mut().unwrap().entity = String::new();
        assert!(sent(&event, 0, None)[0]["labels"].get("entity").is_none());
    }
}
