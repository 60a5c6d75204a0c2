//! `foreshock demo`: a simulated Zimbra cluster breaks, and the real service sees it coming and has it healed.
//!
//! Everything is on loopback and in a temporary folder. The cluster, its exporters, its Prometheus, the remedies' runner,
//! Grafana and Alertmanager are simulated and say so; the rest is what `serve` runs, configured by a file. One clock,
//! scaled, drives the cluster and every timer of the service that stands in data time; it stands until history is read.

mod plan;
mod story;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::progress::bar;
use crate::clock::Clock;
use crate::config::Config;
use crate::incident::event::Mode;
use crate::runtime::serve;
use crate::sample::Timestamp;
use crate::sim::cluster::{Cluster, FAULTS, Fault, Shape};
use crate::sim::exporter::Families;
use crate::sim::server::Shared;
use crate::sim::site::{Site, random_secret};
use crate::sim::world::World;
use plan::Plan;
use story::Story;

/// A Tuesday, when mail is busy.
const BEGINS: &str = "2026-03-03T10:00:00Z";
/// Coarser than a site's usual 15 s, so that days of it are read within seconds.
const STEP_SECONDS: u32 = 60;
/// How long a telling may take: what has not happened by then will not.
const LIMIT: Duration = Duration::from_secs(85);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foreshock demo                       watch it, then look around with curl until Ctrl-C
  foreshock demo --once                end by itself; the last line is a JSON summary, the exit code its verdict
  foreshock demo --fault heap_burst    another fault; --list names them all")]
pub struct Demo {
    /// End once the story is told, with one JSON line; exit 1 if a part of it did not happen
    #[arg(long)]
    once: bool,
    /// What breaks
    #[arg(long, value_name = "FAULT", default_value = "clamd_stuck", value_parser = fault)]
    fault: Fault,
    /// List what can break, and end
    #[arg(long)]
    list: bool,
    /// Seconds of the cluster that pass in one second here [default: 90, or what the fault needs to fit in]
    #[arg(long, value_parser = speed)]
    speed: Option<f64>,
    /// Decides what the simulated cluster does
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Days of its past that Foreshock reads before it begins
    #[arg(long, value_name = "DAYS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=28))]
    history_days: u32,
}

fn fault(name: &str) -> Result<Fault, String> {
    Fault::of_name(name).ok_or_else(|| "no such fault; --list names them".into())
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    // Faster, and scrapes come closer together than a loaded machine can answer them.
    if (1.0..=240.0).contains(&speed) { Ok(speed) } else { Err("from 1 to 240".into()) }
}

impl Demo {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if self.list {
            for about in &FAULTS {
                println!("{:<20} {}", about.name, about.users);
            }
            return Ok(ExitCode::SUCCESS);
        }
        tokio::runtime::Runtime::new()?.block_on(self.play())
    }

    async fn play(self) -> anyhow::Result<ExitCode> {
        let begins = Timestamp::parse_rfc3339(BEGINS).context("the demo's own date")?;
        let folder = Folder::new()?;
        let secret = random_secret().context("no randomness for a secret")?;

        let days = self.history_days;
        let cluster =
            Cluster::new(Shape::default(), self.seed, begins.plus_ms(-i64::from(days) * 86_400_000));
        let mut world =
            World::new(cluster, Families::default(), STEP_SECONDS, f64::from(days) + 0.5, self.seed);
        let past = bar(u64::from(days) * 24, "living its past", "{eta} left");
        for hour in 1..=i64::from(days) * 24 {
            world.catch_up(begins.plus_ms((hour - i64::from(days) * 24) * 3_600_000));
            past.inc(1);
        }
        past.finish_and_clear();

        let Some(plan) = Plan::draw(self.fault, &world.cluster, self.seed) else {
            bail!("with --seed {} nobody would be hurt; try another", self.seed);
        };
        world.cluster.inject(plan.outbreak.clone());

        let clock = Clock::held(begins, self.speed.unwrap_or(plan.speed));
        let world = Shared::new(world, clock, &secret);
        let (addresses, servers) = world.start(0).await?;
        let site = Site {
            name: "demo",
            listen: "127.0.0.1:0",
            step_seconds: STEP_SECONDS,
            history_days: f64::from(days),
            tails: true,
            webhook_secret: &secret,
            mode: Mode::Approve,
        };
        let config_file = site.write(folder.path(), &addresses)?;
        let config = Config::load(&config_file).map_err(|problems| anyhow::anyhow!("{problems}"))?;

        let mut story = Story::new(clock, world, plan);
        story.begin(days, addresses.targets.len(), &config_file);
        let stop = CancellationToken::new();
        let (started, has_started) = oneshot::channel();
        let service = tokio::spawn(serve::run(config, clock, stop.clone(), started));
        let outcome = match has_started.await {
            Ok(started) => story.tell(started, self.once).await,
            Err(_) => Ok(()),
        };
        // Whoever sleeps by the clock is to hear of the end.
        clock.release();
        stop.cancel();
        service.await.context("the service")??;
        drop(servers);
        outcome?;
        if !self.once {
            return Ok(ExitCode::SUCCESS);
        }
        let summary = story.summary();
        println!("{}", serde_json::to_string(&summary)?);
        Ok(if story.all_happened() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A folder that goes with the demo.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("foreshock-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Folder(path))
    }

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
