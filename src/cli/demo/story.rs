//! The demo as it is told on the terminal, and its summary.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::LIMIT;
use crate::clock::Clock;
use crate::incident::event::{Event, EventKind, Incident};
use crate::runtime::serve::Started;
use crate::sample::Timestamp;
use crate::sim::server::Shared;

const FAULT: &str = "clamd_stuck";
/// How often the simulated receivers are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// One line of JSON; times are in data time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    fault: Option<String>,
    first_surprise_at: Option<Timestamp>,
    incident_at: Option<Timestamp>,
    /// When users would have been hurt: the same host from the same seed, left alone.
    impact_at: Option<Timestamp>,
    webhook_at: Option<Timestamp>,
    signature_valid: Option<bool>,
    cleared_at: Option<Timestamp>,
    annotations: usize,
    alerts: usize,
}

impl Summary {
    /// Whether every part of the story happened, and the remedy came before users would have been hurt.
    pub fn all_happened(&self) -> bool {
        self.fault.as_deref() == Some(FAULT)
            && self.first_surprise_at.is_some()
            && self.incident_at.is_some()
            && self.signature_valid == Some(true)
            && self.webhook_at.is_some_and(|webhook| Some(webhook) < self.impact_at)
            && self.cleared_at.is_some()
            && self.annotations > 0
            && self.alerts > 0
    }
}

/// What has been told so far.
pub struct Story {
    clock: Clock,
    world: Shared,
    fault_at: Timestamp,
    summary: Summary,
    fault_told: bool,
    prediction_told: bool,
    webhook_told: bool,
    healed_told: bool,
    annotation_closed: bool,
    alert_ended: bool,
}

impl Story {
    pub fn new(clock: Clock, world: Shared, fault_at: Timestamp, impact_at: Timestamp) -> Self {
        Story {
            clock,
            world,
            fault_at,
            summary: Summary { impact_at: Some(impact_at), ..Summary::default() },
            fault_told: false,
            prediction_told: false,
            webhook_told: false,
            healed_told: false,
            annotation_closed: false,
            alert_ended: false,
        }
    }

    pub fn summary(&self) -> Summary {
        self.summary.clone()
    }

    pub fn begin(&self, speed: f64, days: i64, config: &Path) {
        println!(
            "A simulated mail host, and the real Foreshock beside it. Time runs {speed} times as fast as life."
        );
        println!(
            "The host, its Prometheus, its runner of remedies, Grafana and Alertmanager are simulated, on loopback."
        );
        println!("Configuration: {}\n", config.display());
        self.line("history", &format!("reading {days} days of it, so that detectors know what is usual"));
    }

    /// Tells what happens until all of it has, the limit is reached, or Ctrl-C.
    pub async fn tell(&mut self, mut started: Started, once: bool) -> anyhow::Result<()> {
        let api = started.address;
        let end = tokio::time::Instant::now() + LIMIT;
        let mut looks = tokio::time::interval(LOOK);
        while !self.is_told() {
            tokio::select! {
                event = started.events.recv() => match event {
                    Ok(event) => self.event(&event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = looks.tick() => self.look(),
                () = tokio::time::sleep_until(end) => {
                    println!("\nThe rest did not happen in time.");
                    break;
                }
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
        self.count();
        if self.is_told() {
            self.conclude();
        }
        if !once {
            println!("\nIt goes on. Look around, and end it with Ctrl-C:");
            println!("  curl http://{api}/api/v1/incidents");
            println!(
                "  curl -G http://{api}/api/v1/series --data-urlencode 'match[]={{__name__=~\"clamav.*\"}}'"
            );
            println!("  curl http://{api}/metrics");
            tokio::signal::ctrl_c().await?;
        }
        Ok(())
    }

    fn is_told(&self) -> bool {
        self.summary.cleared_at.is_some() && self.annotation_closed && self.alert_ended
    }

    fn event(&mut self, event: &Event) {
        let Some(incident) = &event.incident else { return };
        let is_ours = incident.fault.as_deref() == Some(FAULT);
        match event.event {
            EventKind::Opened => self.opened(incident),
            EventKind::Updated if is_ours && self.summary.incident_at.is_none() => self.opened(incident),
            EventKind::Planned if is_ours => {
                if let Some(action) = &event.action {
                    self.line(
                        "remedy",
                        &format!("{} on {}, mode {:?}", action.remedy, action.target, action.mode),
                    );
                }
            }
            EventKind::Refused if is_ours => {
                let reason = event.action.as_ref().and_then(|action| action.reason.clone());
                self.line("refused", &reason.unwrap_or_default());
            }
            EventKind::Resolved if is_ours || self.is_followed(incident) => {
                self.summary.cleared_at = incident.resolved_at.or(Some(event.at));
                self.line(
                    "cleared",
                    "every signal is back in its band; learning goes on from before the incident",
                );
            }
            _ => {}
        }
        if is_ours {
            self.predicted(incident);
        }
    }

    fn is_followed(&self, incident: &Incident) -> bool {
        self.summary.incident_at == Some(incident.opened_at)
    }

    fn opened(&mut self, incident: &Incident) {
        if self.summary.incident_at.is_some() {
            return;
        }
        for mover in &incident.movers {
            let name = mover.series.name();
            self.line(
                "signal",
                &format!(
                    "{name} is {:.4}, expected {:.4} ({:.4} to {:.4}): surprise {:.1}",
                    mover.value, mover.expected, mover.low, mover.high, mover.surprise
                ),
            );
        }
        self.line("incident", &incident.summary);
        if incident.fault.as_deref() == Some(FAULT) {
            self.summary.fault = incident.fault.clone();
            self.summary.first_surprise_at = incident.movers.iter().map(|mover| mover.at).min();
            self.summary.incident_at = Some(incident.opened_at);
        }
    }

    fn predicted(&mut self, incident: &Incident) {
        let Some(prediction) = incident.prediction.as_ref().filter(|_| !self.prediction_told) else { return };
        self.prediction_told = true;
        let (early, at, late) =
            (time(prediction.earliest), time(prediction.impact_at), time(prediction.latest));
        self.line("predicted", &format!("{} at {at} (80 %: {early} to {late})", prediction.what));
    }

    /// What the simulated receivers have seen since the last look.
    fn look(&mut self) {
        if !self.fault_told && self.clock.now() >= self.fault_at {
            self.fault_told = true;
            self.line(
                "fault",
                "(on the host, seen by nobody yet) a thread of clamd hangs; others will follow",
            );
        }
        self.count();
        if let Some(valid) = self.summary.signature_valid.filter(|_| !self.webhook_told) {
            self.webhook_told = true;
            let signature = if valid { "its signature is right" } else { "its signature is WRONG" };
            self.line("webhook", &format!("delivered; {signature}; the runner sets to work"));
        }
        let healed_at = self.world.lock().healed_at;
        if healed_at.is_some() && !self.healed_told {
            self.healed_told = true;
            self.line("healed", "the runner has restarted clamd, then amavis");
        }
    }

    fn count(&mut self) {
        let received = self.world.lock().received.clone();
        self.summary.webhook_at = received.webhook_at;
        self.summary.signature_valid = received.signature_valid;
        self.summary.annotations = received.annotations.len();
        self.summary.alerts = received.alerts.len();
        self.annotation_closed =
            !received.annotations.is_empty() && received.annotations.values().all(|closed| *closed);
        self.alert_ended = !received.alerts.is_empty() && received.alerts == received.alerts_ended;
    }

    fn conclude(&self) {
        let Summary { impact_at: Some(impact), webhook_at: Some(webhook), .. } = self.summary else { return };
        let minutes = impact.since(webhook) / 60_000;
        self.line(
            "told",
            &format!(
                "annotations {}, alerts {}, all closed; without a remedy mail would have been over 15 minutes \
                 late at {}, {minutes} minutes after the webhook",
                self.summary.annotations,
                self.summary.alerts,
                time(impact)
            ),
        );
    }

    fn line(&self, what: &str, text: &str) {
        println!("{}  {what:<10} {text}", time(self.clock.now()));
    }
}

/// The time of day, of a day that the whole demo lies in.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..19).unwrap_or(&text).to_string()
}
