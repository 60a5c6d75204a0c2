//! The demo as it is told on the terminal, and its summary.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::LIMIT;
use super::plan::Plan;
use crate::clock::Clock;
use crate::incident::event::{Event, EventKind, Incident, Mode, Severity};
use crate::runtime::serve::Started;
use crate::sample::Timestamp;
use crate::sim::cluster::About;
use crate::sim::server::Shared;

/// Signals of an incident that are told one by one.
const SIGNALS_MAX: usize = 4;
/// How often the simulated receivers are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// One line of JSON; times are in data time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    fault: Option<String>,
    first_surprise_at: Option<Timestamp>,
    incident_at: Option<Timestamp>,
    /// When users would have been hurt: the same cluster from the same seed, left alone.
    impact_at: Option<Timestamp>,
    webhook_at: Option<Timestamp>,
    signature_valid: Option<bool>,
    cleared_at: Option<Timestamp>,
    annotations: usize,
    alerts: usize,
}

/// What has been told so far.
pub struct Story {
    clock: Clock,
    world: Shared,
    plan: Plan,
    summary: Summary,
    incident: Option<String>,
    /// The action that waits for a person's word.
    waiting: Option<String>,
    fault_told: bool,
    prediction_told: bool,
    webhook_told: bool,
    healed_told: bool,
    annotation_closed: bool,
    alert_ended: bool,
}

impl Story {
    pub fn new(clock: Clock, world: Shared, plan: Plan) -> Self {
        let summary = Summary { impact_at: Some(plan.impact_at), ..Summary::default() };
        Story {
            clock,
            world,
            plan,
            summary,
            incident: None,
            waiting: None,
            fault_told: false,
            prediction_told: false,
            webhook_told: false,
            healed_told: false,
            annotation_closed: false,
            alert_ended: false,
        }
    }

    fn about(&self) -> &'static About {
        self.plan.outbreak.fault.about()
    }

    /// Whether every part of the story happened, and the remedy came before users would have been hurt. Some faults show
    /// only when they hurt, and for some there is no remedy.
    pub fn all_happened(&self) -> bool {
        let Summary { webhook_at, impact_at, .. } = self.summary;
        let about = self.about();
        let seen = self.summary.fault.as_deref() == Some(about.name)
            && self.summary.first_surprise_at.is_some()
            && self.summary.incident_at.is_some()
            && self.summary.annotations > 0
            && self.summary.alerts > 0;
        let in_time = webhook_at.is_some_and(|webhook| !about.has_lead || Some(webhook) < impact_at);
        let healed =
            self.summary.signature_valid == Some(true) && in_time && self.summary.cleared_at.is_some();
        seen && (healed || about.right.is_empty())
    }

    pub fn summary(&self) -> Summary {
        self.summary.clone()
    }

    pub fn begin(&self, days: u32, exporters: usize, config: &Path) {
        let speed = self.clock.scale();
        let hosts = self.world.lock().cluster.names().len();
        println!(
            "A simulated Zimbra cluster, and the real Foreshock beside it. Time runs {speed} times as fast as life."
        );
        println!(
            "Its {hosts} hosts, their {exporters} exporters, a Prometheus, a runner of remedies, Grafana and Alertmanager are \
             simulated, on loopback."
        );
        println!("Configuration: {}\n", config.display());
        self.line("history", &format!("reading {days} days of it, so that detectors know what is usual"));
    }

    /// Tells what happens until all of it has, the limit is reached, or Ctrl-C.
    pub async fn tell(&mut self, mut started: Started, once: bool) -> anyhow::Result<()> {
        let api = started.address;
        let read = tokio::time::Instant::now();
        if !self.is_ready(&mut started).await? {
            return Ok(());
        }
        let seconds = read.elapsed().as_secs_f64();
        self.line("watching", &format!("history was read in {seconds:.1} s; from here on time runs"));
        self.clock.release();
        let end = tokio::time::Instant::now() + LIMIT;
        let mut looks = tokio::time::interval(LOOK);
        while !self.is_told() {
            tokio::select! {
                event = started.events.recv() => match event {
                    Ok(event) => self.event(&event),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = looks.tick() => {
                    self.look();
                    self.approve(api);
                }
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

    /// Waits until history has been read; false where the service ended or the user wants no more.
    async fn is_ready(&mut self, started: &mut Started) -> anyhow::Result<bool> {
        let url = format!("http://{}/-/ready", started.address);
        loop {
            if reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(true);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = tokio::signal::ctrl_c() => return Ok(false),
            }
        }
    }

    fn is_told(&self) -> bool {
        self.summary.cleared_at.is_some() && self.annotation_closed && self.alert_ended
    }

    fn event(&mut self, event: &Event) {
        let Some(incident) = &event.incident else { return };
        if self.incident.is_none() && incident.fault.as_deref() == Some(self.about().name) {
            self.opened(incident);
        }
        if self.incident.as_deref() != Some(incident.id.as_str()) {
            if event.event == EventKind::Opened && incident.severity > Severity::Info {
                self.line("incident", &incident.summary);
            }
            return;
        }
        self.predicted(incident);
        let action = event.action.as_ref();
        match event.event {
            EventKind::Planned => {
                let Some(action) = action else { return };
                // What was approved is planned once more, and on its way.
                if action.mode == Mode::Approve && action.outcome != "waiting" {
                    return;
                }
                let waits = if action.mode == Mode::Approve { ", if a person says yes" } else { "" };
                self.line("remedy", &format!("{} on {}{waits}", action.remedy, action.target));
                self.waiting = (!waits.is_empty()).then(|| action.id.clone());
            }
            EventKind::Refused => {
                let reason = action.and_then(|action| action.reason.clone());
                self.line("refused", &reason.unwrap_or_default());
            }
            EventKind::Resolved => {
                self.summary.cleared_at = incident.resolved_at.or(Some(event.at));
                self.line(
                    "cleared",
                    "every signal is back in its band; learning goes on from before the incident",
                );
            }
            _ => {}
        }
    }

    /// An incident that is of the fault, told once.
    fn opened(&mut self, incident: &Incident) {
        for mover in incident.movers.iter().take(SIGNALS_MAX) {
            let (name, host) = (mover.series.name(), mover.series.get("host").unwrap_or_default());
            self.line(
                "signal",
                &format!(
                    "{name} of {host} is {:.4}, expected {:.4} ({:.4} to {:.4}): surprise {:.1}",
                    mover.value, mover.expected, mover.low, mover.high, mover.surprise
                ),
            );
        }
        if let Some(more) = incident.movers.len().checked_sub(SIGNALS_MAX + 1) {
            self.line("signal", &format!("and {} more", more + 1));
        }
        self.line("incident", &incident.summary);
        self.incident = Some(incident.id.clone());
        self.summary.fault = incident.fault.clone();
        self.summary.first_surprise_at = incident.movers.iter().map(|mover| mover.at).min();
        self.summary.incident_at = Some(incident.opened_at);
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
        if !self.fault_told && self.clock.now() >= self.plan.outbreak.at {
            self.fault_told = true;
            let host = self.world.lock().cluster.names()[self.plan.outbreak.host].clone();
            let about = self.about();
            self.line(
                "fault",
                &format!("(seen by nobody yet) {} begins on {host}; in the end: {}", about.name, about.users),
            );
        }
        self.count();
        if let Some(valid) = self.summary.signature_valid.filter(|_| !self.webhook_told) {
            self.webhook_told = true;
            let signature = if valid { "its signature is right" } else { "its signature is WRONG" };
            self.line("webhook", &format!("delivered; {signature}; the runner sets to work"));
        }
        let cured_at = self.world.lock().cured_at(self.plan.outbreak.fault);
        if cured_at.is_some_and(|at| self.clock.now() >= at) && !self.healed_told {
            self.healed_told = true;
            self.line("healed", "the remedy is through, and the fault is gone");
        }
    }

    /// Plays the operator: says yes once it is told when it will hurt, or else when most of the way to there is gone.
    fn approve(&mut self, api: SocketAddr) {
        let (onset, impact) = (self.plan.outbreak.at, self.plan.impact_at);
        let late = onset.plus_ms(impact.since(onset) * 4 / 5);
        if !self.prediction_told && self.clock.now() < late {
            return;
        }
        let Some(action) = self.waiting.take() else { return };
        self.line("approved", "a person has seen it and says yes (the demo does that here)");
        let url = format!("http://{api}/api/v1/actions/{action}/approve");
        // What came of it shows in the events, or in the story's failing.
        tokio::spawn(async move { reqwest::Client::new().post(url).send().await });
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
                "annotations {}, alerts {}, all closed; without a remedy users would have felt it ({}) at {}, \
                 {minutes} minutes after the webhook",
                self.summary.annotations,
                self.summary.alerts,
                self.about().users,
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
