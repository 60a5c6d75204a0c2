//! `foreshock check`: every problem of a configuration, each with its place and a mend.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::{Config, Problems};

/// What a command that refused its configuration exits with.
pub const EXIT_CONFIG: u8 = 2;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  foreshock check --config /etc/foreshock/foreshock.yaml\n\n\
    Prints each problem as `file:line:column: what; how to mend it`.\n\
    What is valid and hardly wanted is a line that begins with `warning:`.\n\
    Exit status: 0 where the configuration is valid, 2 where it isn't.")]
pub struct Check {
    /// The configuration, YAML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        match Config::load(&self.config) {
            Ok(config) => {
                writeln!(out, "{} is valid: {config}", self.config.display())?;
                for warning in config.warnings() {
                    writeln!(out, "warning: {warning}")?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(problems) => {
                writeln!(out, "{problems}")?;
                Ok(ExitCode::from(EXIT_CONFIG))
            }
        }
    }
}

/// How every other command that takes `--config` ends where it isn't valid: told on stderr.
pub fn refuse(problems: &Problems) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(EXIT_CONFIG)
}
