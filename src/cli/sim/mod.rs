//! `foreshock sim`: the simulated Zimbra cluster on its own, live or as a recording.

mod record;
mod serve;
mod time;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Run the simulated cluster by itself, live or as a recording
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Sim {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Record what the exporters of the simulated cluster show, and the truth about it
    Record(record::Record),
    /// Serve every exporter of every host on loopback, with a configuration to watch them
    Serve(serve::Serve),
}

impl Sim {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Record(record) => record.run(),
            What::Serve(serve) => serve.run(),
        }
    }
}
