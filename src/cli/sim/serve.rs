//! `foreshock sim serve`: the simulated cluster on loopback, and a configuration with which `serve` watches it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::cli::progress::bar;
use crate::clock::Clock;
use crate::incident::event::Mode;
use crate::runtime::shutdown;
use crate::sample::Timestamp;
use crate::sim::cluster::{Cluster, Shape};
use crate::sim::exporter::Families;
use crate::sim::server::Shared;
use crate::sim::site::{Site, random_secret};
use crate::sim::world::World;

const EXAMPLE: &str = "\
Example: a cluster in one terminal, Foreshock beside it in another, and something that breaks

  foreshock sim serve --dir sim
  foreshock serve --config sim/foreshock.yaml
  curl -d '{\"fault\": \"clamd_stuck\"}' http://127.0.0.1:9700/fault
  curl http://127.0.0.1:9700/

Wait until Foreshock says `live`; the incident comes some minutes after the fault. The configuration lets Foreshock act: its remedies reach /remedy here, signed, and heal the cluster. `targets.json` is a \
list for file_sd, for a Prometheus as well. With --speed the cluster lives faster than whoever scrapes it: good for a look, \
while what was learnt of its past no longer fits. Everything is simulated and listens on loopback only.";

/// Serve every exporter of every host on loopback, with a configuration to watch them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Serve {
    /// Decides what the cluster does
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of the cluster that pass in one second here
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Exporters, such as `mailbox=python,mta=telegraf,machine=telegraf` [default: those of a Carbonio site]
    #[arg(long, value_name = "FAMILIES", default_value = "", hide_default_value = true)]
    families: Families,
    /// Leave out newsletters, planned restarts and other harmless events
    #[arg(long)]
    no_benign: bool,
    /// Seconds between two scrapes, and between two samples of history
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = step)]
    step: u32,
    /// Days of its past that `query_range` knows; a day of 15 s takes some 50 MB, and without its Mondays a Monday is news
    #[arg(long, value_name = "DAYS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=28))]
    history_days: u32,
    /// Where `foreshock.yaml` and `targets.json` are written
    #[arg(long, value_name = "DIR", default_value = "foreshock-sim")]
    dir: PathBuf,
    /// The port of state, faults, remedies and history; 0 takes any
    #[arg(long, default_value_t = 9700)]
    port: u16,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    if (0.1..=1_000.0).contains(&speed) { Ok(speed) } else { Err("from 0.1 to 1000".into()) }
}

/// Seconds between two scrapes: a multiple of the cluster's own step.
pub(super) fn step(text: &str) -> Result<u32, String> {
    let step: u32 = text.parse().map_err(|_| "not a number".to_string())?;
    if (5..=300).contains(&step) && step.is_multiple_of(5) {
        Ok(step)
    } else {
        Err("a multiple of 5, from 5 to 300".into())
    }
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Runtime::new().context("threads for the network")?;
        runtime.block_on(self.serve()).map(|()| ExitCode::SUCCESS)
    }

    async fn serve(self) -> anyhow::Result<()> {
        let stop = shutdown::on_signals().context("signal handlers")?;
        let secret = random_secret().context("no randomness for a secret")?;
        let now = Clock::wall().now();
        let step_ms = i64::from(self.step) * 1000;
        let begins = Timestamp(now.0.div_euclid(step_ms) * step_ms);
        let hours = i64::from(self.history_days) * 24;
        // An hour before, so that nothing begins in a cluster that was made a moment ago.
        let mut cluster = Cluster::new(Shape::default(), self.seed, begins.plus_ms(-(hours + 1) * 3_600_000));
        if !self.no_benign {
            cluster = cluster.with_benign(self.seed);
        }
        let days = f64::from(self.history_days);
        let mut world = World::new(cluster, self.families.clone(), self.step, days, self.seed);
        let past = bar(hours.unsigned_abs(), "living its past", "{eta} left");
        for hour in -hours..=0 {
            world.catch_up(begins.plus_ms(hour * 3_600_000));
            past.inc(1);
        }
        past.finish_and_clear();

        let clock =
            if self.speed == 1.0 { Clock::wall() } else { Clock::scaled(Clock::wall().now(), self.speed) };
        let world = Shared::new(world, clock, &secret);
        let cannot = || format!("a port on loopback; --port {} may be taken", self.port);
        let (addresses, mut servers) = world.start(self.port).await.with_context(cannot)?;
        let site = Site {
            name: "simulated",
            listen: "127.0.0.1:9750",
            step_seconds: self.step,
            history_days: days,
            tails: false,
            webhook_secret: &secret,
            mode: Mode::Auto,
        };
        let config = site.write(&self.dir, &addresses).with_context(|| self.dir.display().to_string())?;

        println!("A simulated Zimbra cluster, on loopback.\n");
        for ((host, job, _), address) in &addresses.targets {
            println!("{host:<24} {job:<16} http://{address}/metrics");
        }
        println!("\nState, faults and remedies: http://{}/", addresses.control);
        println!("Watch it: foreshock serve --config {}", config.display());
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = servers.join_next() => match ended {
                Some(Ok(ended)) => ended.context("a server ended"),
                Some(Err(error)) => Err(error).context("a server ended"),
                None => Ok(()),
            },
        }
    }
}
