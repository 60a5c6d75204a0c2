//! `foreshock demo`: a simulated mail host breaks, and the real service sees it coming and has it healed.
//!
//! Everything is on loopback and in a temporary folder. The host, its Prometheus, the remedy's runner,
//! Grafana and Alertmanager are simulated and say so; the rest is what `serve` runs, configured by a file.
//! One clock, scaled, drives the host and every timer of the service that stands in data time.

mod story;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::runtime::serve;
use crate::sample::Timestamp;
use crate::sim::history::{HOST, JOB};
use crate::sim::host::{ClamdStuck, MailHost, impact_without_remedy};
use crate::sim::server::{REMEDY, Shared, World};
use story::Story;

/// A Tuesday, when mail is busy.
const BEGINS: &str = "2026-03-03T10:00:00Z";
const HISTORY_DAYS: i64 = 8;
const STEP_SECONDS: u32 = 15;
/// The first thread hangs this long after the beginning, the others one by one.
const FAULT_AFTER_SECONDS: i64 = 420;
const THREAD_EVERY_SECONDS: f64 = 120.0;
/// How far the host is run without a remedy to find out when users would be hurt.
const HORIZON_SECONDS: f64 = 4.0 * 3600.0;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foreshock demo            watch it, then look around with curl until Ctrl-C
  foreshock demo --once     end by itself; the last line is a JSON summary, the exit code its verdict")]
pub struct Demo {
    /// End once the story is told, with one JSON line; exit 1 if a part of it did not happen
    #[arg(long)]
    once: bool,
    /// Seconds of the host that pass in one second here
    #[arg(long, default_value_t = 60.0, value_parser = speed)]
    speed: f64,
    /// Decides what the simulated host does
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    // Faster, and scrapes of a 15 s step come closer together than a loaded machine can answer them.
    if (1.0..=120.0).contains(&speed) { Ok(speed) } else { Err("from 1 to 120".into()) }
}

impl Demo {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        tokio::runtime::Runtime::new()?.block_on(self.play())
    }

    async fn play(self) -> anyhow::Result<ExitCode> {
        let begins = Timestamp::parse_rfc3339(BEGINS).context("the demo's own date")?;
        let folder = tempfile_dir()?;
        let secret = random_secret()?;

        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let host = MailHost::new(self.seed, begins.plus_ms(-HISTORY_DAYS * 86_400_000));
        let mut world = World::new(host, STEP_SECONDS, address.to_string(), secret.clone());
        world.catch_up(begins);

        let fault = ClamdStuck {
            from: begins.plus_ms(FAULT_AFTER_SECONDS * 1000),
            every_seconds: THREAD_EVERY_SECONDS,
        };
        let Some(impact_at) = impact_without_remedy(&world.host, fault, HORIZON_SECONDS) else {
            bail!("with --seed {} nobody would be hurt; try another", self.seed);
        };
        world.host.break_with(fault);

        let config_file = folder.path().join("foreshock.yaml");
        std::fs::write(&config_file, config(address, &secret))?;
        let config = Config::load(&config_file).map_err(|problems| anyhow::anyhow!("{problems}"))?;

        let clock = Clock::scaled(begins, self.speed);
        let world = Shared::new(world, clock);
        tokio::spawn(world.clone().serve(listener));
        tokio::spawn(world.clone().live());

        let mut story = Story::new(clock, world, fault.from, impact_at);
        story.begin(self.speed, HISTORY_DAYS, &config_file);
        let stop = CancellationToken::new();
        let (started, has_started) = oneshot::channel();
        let service = tokio::spawn(serve::run(config, clock, stop.clone(), started));
        let outcome = match has_started.await {
            Ok(started) => story.tell(started, self.once).await,
            Err(_) => Ok(()),
        };
        stop.cancel();
        service.await.context("the service")??;
        outcome?;
        if !self.once {
            return Ok(ExitCode::SUCCESS);
        }
        let summary = story.summary();
        println!("{}", serde_json::to_string(&summary)?);
        Ok(if summary.all_happened() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What an operator would write to watch this host and have it healed.
fn config(host: std::net::SocketAddr, secret: &str) -> String {
    format!(
        "site: demo
listen: 127.0.0.1:0
step_seconds: {STEP_SECONDS}
scrape:
  - job: {JOB}
    targets: ['{host}']
    labels: {{host: {HOST}}}
prometheus:
  - url: http://{host}
    selectors: ['{{job=\"{JOB}\"}}']
    backfill: {HISTORY_DAYS}d
    step: {STEP_SECONDS}s
acting: {{mode: auto}}
remedies:
  - {{remedy: {REMEDY}, sink: runner}}
sinks:
  - name: runner
    webhook: {{url: 'http://{host}/remedy', secret: {secret}}}
  - name: grafana
    grafana: {{url: 'http://{host}', token: a-simulated-grafana-asks-for-none}}
  - name: alertmanager
    alertmanager: {{url: 'http://{host}'}}
"
    )
}

/// A folder that goes with the demo.
struct Folder(std::path::PathBuf);

impl Folder {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempfile_dir() -> anyhow::Result<Folder> {
    let path = std::env::temp_dir().join(format!("foreshock-demo-{}", std::process::id()));
    std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(Folder(path))
}

fn random_secret() -> anyhow::Result<String> {
    use base64::Engine as _;
    let mut key = [0u8; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no randomness for a secret: {error}"))?;
    Ok(format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key)))
}

/// How long a telling may take: what has not happened by then will not.
const LIMIT: Duration = Duration::from_secs(85);
