//! `foreshock check`: every problem of a configuration or a pack, each with its place and a mend; and with
//! `--explain` what the packs make of the series that are there.

mod explain;
mod listed;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::config::{Config, HttpAuth, Problems, read_pack};
use crate::engine::Settings;
use crate::predict::pack::{Pack, builtins};

/// What a command that refused its configuration exits with.
pub const EXIT_CONFIG: u8 = 2;

const EXAMPLE: &str = "\
Example:
  foreshock check --config /etc/foreshock/foreshock.yaml

Example: a pack of your own
  foreshock check --pack shop.yaml

Example: which signals and faults are seen, by an exporter's page, by a recording, by a Foreshock that runs
  foreshock check --explain --url http://mta1:9154/metrics --url http://mta1:9100/metrics
  foreshock check --explain --pack shop.yaml --input week.om.gz
  foreshock check --explain --config foreshock.yaml --api http://127.0.0.1:9750

Prints each problem as `file:line:column: what; how to mend it`.
What is valid and hardly wanted is a line that begins with `warning:`.
Exit status: 0 where all is valid, 2 where it isn't.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Check {
    /// The configuration, YAML
    #[arg(long, value_name = "FILE", required_unless_present_any = ["packs", "explain"])]
    config: Option<PathBuf>,
    /// A pack of your own; more than one may be given
    #[arg(long = "pack", value_name = "FILE")]
    packs: Vec<PathBuf>,
    /// Tell for each pack which series its signals find, and which faults can be recognised by them: of the packs of
    /// `--config`, or else of all that are built in, and those of `--pack`
    #[arg(long, requires = "series")]
    explain: bool,
    #[command(flatten)]
    series: Series,
}

/// Where `--explain` takes its series from.
#[derive(Debug, Args)]
#[group(id = "series", multiple = true)]
struct Series {
    /// A page of metrics or a recording, as `replay` reads it
    #[arg(long, value_name = "FILE", requires = "explain")]
    input: Vec<PathBuf>,
    /// A page of metrics to be fetched
    #[arg(long, value_name = "URL", requires = "explain")]
    url: Vec<String>,
    /// A Foreshock that runs; the token of `--config` is shown to it
    #[arg(long, value_name = "URL", requires = "explain")]
    api: Option<String>,
}

impl Check {
    /// Exits with 2 where a file is not valid; fails where series cannot be had.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        let mut valid = true;
        let config = match self.config.as_deref().map(|path| (path, Config::load(path))) {
            None => None,
            Some((path, Ok(config))) => {
                writeln!(out, "{} is valid: {config}", path.display())?;
                for warning in config.warnings() {
                    writeln!(out, "warning: {warning}")?;
                }
                Some(config)
            }
            Some((_, Err(problems))) => {
                writeln!(out, "{problems}")?;
                valid = false;
                None
            }
        };
        let mut own = Vec::new();
        for path in &self.packs {
            match read_pack(path) {
                Ok(pack) => {
                    writeln!(out, "{} is valid: {}", path.display(), summary(&pack))?;
                    own.push(pack);
                }
                Err(unread) => {
                    writeln!(out, "{}", Problems::from(unread))?;
                    valid = false;
                }
            }
        }
        if !valid {
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
        if self.explain {
            let labels = config
                .as_ref()
                .map_or_else(|| Settings::default().entity_labels, |c| c.entity_labels.clone());
            let auth = config.as_ref().and_then(|config| config.auth.clone());
            let auth = auth.map_or(HttpAuth::None, |token| HttpAuth::Bearer(token.0));
            own.extend(config.map_or_else(builtins, |config| config.packs));
            let series = self.series.list(&auth)?;
            if series.is_empty() {
                bail!("there is no series in what was given");
            }
            explain::write(&mut out, &own, &series, &labels)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Series {
    /// All series of all sources, each once.
    fn list(&self, auth: &HttpAuth) -> anyhow::Result<listed::Listed> {
        let mut listed = listed::Listed::new();
        for path in &self.input {
            listed::read(path, &mut listed)?;
        }
        for url in &self.url {
            listed::fetch_page(url, &mut listed)?;
        }
        if let Some(url) = &self.api {
            listed::ask(url, auth, &mut listed)?;
        }
        Ok(listed)
    }
}

fn summary(pack: &Pack) -> String {
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (signals, faults) = (many(pack.signals.len(), "signal"), many(pack.faults.len(), "fault"));
    format!("pack {}, {signals}, {faults}", pack.name)
}

/// How every other command that takes `--config` ends where it isn't valid: told on stderr.
pub fn refuse(problems: &Problems) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(EXIT_CONFIG)
}
