//! What an operator would write to watch the simulated cluster and have it healed: a configuration and a list of targets.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::incident::event::Mode;
use crate::sim::server::Addresses;
use crate::sim::world::HOST_LABEL;

/// The job of `scrape`, whose targets bring the names of their own.
const JOB: &str = "sim";
const TARGETS: &str = "targets.json";
/// The simulated Prometheus knows a scrape as soon as it was made.
const TAIL_LAG_SECONDS: u32 = 5;

/// What differs from site to site.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    pub name: &'s str,
    /// Where Foreshock is to listen.
    pub listen: &'s str,
    /// The engine's step, the interval of scrapes and the resolution of history.
    pub step_seconds: u32,
    pub history_days: f64,
    /// Whether what is new comes from the Prometheus, too, and no exporter is scraped: what is seen then doesn't depend on
    /// how busy this machine is.
    pub tails: bool,
    /// `whsec_…`
    pub webhook_secret: &'s str,
    pub mode: Mode,
}

impl Site<'_> {
    /// Writes `foreshock.yaml` and the list that it names into `folder`; returns the path of the former.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, folder: &Path, addresses: &Addresses) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(TARGETS), format!("{:#}\n", file_sd(addresses)))?;
        let path = folder.join("foreshock.yaml");
        fs::write(&path, self.config(addresses))?;
        Ok(path)
    }

    fn config(&self, addresses: &Addresses) -> String {
        let Site { name, listen, step_seconds, webhook_secret, .. } = self;
        let mode = match self.mode {
            Mode::Observe => "observe",
            Mode::Approve => "approve",
            Mode::Auto => "auto",
        };
        let control = addresses.control;
        let scrape = format!("scrape:\n  - job: {JOB}\n    file_sd: [{TARGETS}]\n");
        let history = format!(
            "prometheus:
  - url: http://{control}
    selectors: ['{{job!=\"\"}}']
    backfill: {:.0}s
    step: {step_seconds}s
",
            self.history_days * 86_400.0
        );
        let sources = match (self.tails, self.history_days > 0.0) {
            (true, _) => format!("{history}    tail_lag: {TAIL_LAG_SECONDS}s\n"),
            (false, true) => format!("{scrape}{history}"),
            (false, false) => scrape,
        };
        format!(
            "# Of a simulated cluster: everything that is named here is gone when it ends.
site: {name}
listen: {listen}
step_seconds: {step_seconds}
entity_labels: [{HOST_LABEL}]
{sources}acting: {{mode: {mode}}}
remedies:
  - {{remedy: '*', sink: runner}}
sinks:
  - name: runner
    webhook: {{url: 'http://{control}/remedy', secret: {webhook_secret}}}
  - name: grafana
    grafana: {{url: 'http://{control}', token: a-simulated-grafana-asks-for-none}}
  - name: alertmanager
    alertmanager: {{url: 'http://{control}'}}
"
        )
    }
}

/// The targets as a list that Prometheus and Foreshock read alike.
pub fn file_sd(addresses: &Addresses) -> Value {
    let group = |((host, job, port), address): &((String, &str, u16), std::net::SocketAddr)| {
        json!({
            "targets": [address.to_string()],
            "labels": {HOST_LABEL: host, "job": job, "instance": format!("{host}:{port}")},
        })
    };
    addresses.targets.iter().map(group).collect()
}

/// A new secret for webhooks.
///
/// # Errors
/// The system has no randomness.
pub fn random_secret() -> Result<String, getrandom::Error> {
    use base64::Engine as _;
    let mut key = [0u8; 32];
    getrandom::fill(&mut key)?;
    Ok(format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_written_is_a_valid_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let place = ("store1.mail.example".to_owned(), "node", 9100);
        let addresses = Addresses { control: address(1), targets: vec![(place, address(2))] };
        let secret = random_secret().unwrap();
        for tails in [false, true] {
            let site = Site {
                name: "demo",
                listen: "127.0.0.1:0",
                step_seconds: 15,
                history_days: 0.5,
                tails,
                webhook_secret: &secret,
                mode: Mode::Approve,
            };
            let config = Config::load(&site.write(folder.path(), &addresses).unwrap()).unwrap();
            assert_eq!(config.prometheus[0].backfill.as_secs(), 43_200);
            assert_eq!((config.prometheus[0].tail_lag.is_some(), config.scrapes.is_empty()), (tails, tails));
            assert_eq!(config.entity_labels, ["host"]);
            assert_eq!((config.sinks.len(), config.acting.mode), (3, Mode::Approve));
        }
        let list = fs::read_to_string(folder.path().join(TARGETS)).unwrap();
        assert!(list.contains(r#""instance": "store1.mail.example:9100""#), "{list}");
    }
}
