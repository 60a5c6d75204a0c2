//! `foreshock serve`: watch, until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::sync::oneshot;

use crate::cli::check::refuse;
use crate::clock::Clock;
use crate::config::Config;
use crate::runtime::{serve, shutdown};
use crate::telemetry;

/// Threads that still wait for a disk or a broker get this long at the end.
const LAST_CALL: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  foreshock serve --config /etc/foreshock/foreshock.yaml\n\n\
    SIGTERM or SIGINT stops in order: what came in is worked off and a snapshot written; a second one ends at once.\n\
    Logs go to stderr, as JSON where that is no terminal; FORESHOCK_LOG=debug shows more.\n\
    Exit status: 0 after a stop, 1 after a failure, 2 where the configuration isn't valid.")]
pub struct Serve {
    /// The configuration, YAML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) => return Ok(refuse(&problems)),
        };
        telemetry::init_logs();
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let runtime = tokio::runtime::Runtime::new().context("threads for the network")?;
        let served = runtime.block_on(async {
            let stop = shutdown::on_signals().context("signal handlers")?;
            let (started, _) = oneshot::channel();
            serve::run(config, Clock::wall(), stop, started).await.context("serve")
        });
        runtime.shutdown_timeout(LAST_CALL);
        served.map(|()| ExitCode::SUCCESS)
    }
}
