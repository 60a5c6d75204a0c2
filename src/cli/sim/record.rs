//! `foreshock sim record`: what the exporters of the simulated cluster showed over days, and the truth about it.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::serve::step;
use super::time::{FaultAt, fault_at, instant, seconds};
use crate::cli::progress::bar;
use crate::runtime::shutdown;
use crate::sample::Timestamp;
use crate::sim::chronicle::{Chronicle, Planned};
use crate::sim::cluster::readings::{Readings, ServiceReadings};
use crate::sim::cluster::{Cluster, STEP_SECONDS, Shape};
use crate::sim::exporter::zmstat::{Version, Zmstat};
use crate::sim::exporter::{Exporters, Families, Recording};
use crate::sim::truth::TRUTH_FILE;
use crate::sim::world::HOST_LABEL;

const EXAMPLE: &str = "\
Example: a week with a fault on its fourth day, what Foreshock would have said, and how good that was

  foreshock sim record --seed 3 --days 7 --fault clamd_stuck@+3d10h --out week
  foreshock replay --config week/foreshock.yaml --input week/recording.om.gz > events.jsonl
  foreshock eval recording week

Example: another site's exporters, two faults, and the statistics that Zimbra itself leaves behind

  foreshock sim record --families mailbox=python,mta=telegraf,machine=telegraf --days 3 --zmstat \\
    --fault heap_burst@+2d9h@store2.mail.example --fault slow_ldap@+2d15h --out other

`truth.json` names each fault with its onset, the moment from which users felt it, and the remedies that are right and \
wrong for it, and the harmless events. A fault is healed some time after users felt it. Equal arguments give equal files. \
Ctrl-C ends the recording early, and what is there is whole. Everything is simulated.";

/// Record what the exporters of the simulated cluster show, and the truth about it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Record {
    /// Decides what the cluster does
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long, as 7 or 0.5
    #[arg(long, value_name = "DAYS", value_parser = days)]
    days: f64,
    /// Its beginning (RFC 3339)
    #[arg(long, value_name = "TIME", default_value = "2026-03-02T00:00:00Z", value_parser = instant)]
    start: Timestamp,
    /// What breaks and when, as `clamd_stuck@+3d4h`, or with an RFC 3339 time, or `…@HOST`; may be given several times
    #[arg(long, value_name = "NAME@TIME[@HOST]", value_parser = fault_at)]
    fault: Vec<FaultAt>,
    /// How long after users felt it a fault is healed
    #[arg(long, value_name = "SPAN", default_value = "30m", value_parser = seconds, conflicts_with = "no_heal")]
    heal_after: f64,
    /// Heal nothing
    #[arg(long)]
    no_heal: bool,
    /// Exporters, such as `mailbox=python,mta=telegraf,machine=telegraf` [default: those of a Carbonio site]
    #[arg(long, value_name = "FAMILIES", default_value = "", hide_default_value = true)]
    families: Families,
    /// Leave out newsletters, planned restarts and other harmless events
    #[arg(long)]
    no_benign: bool,
    /// Write the statistics folders of stores and MTAs, too, under DIR/zmstat/HOST; their times are UTC
    #[arg(long)]
    zmstat: bool,
    /// Seconds between two scrapes
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = step)]
    step: u32,
    /// Where the files are written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// A day, a part of one, or many.
fn days(text: &str) -> Result<f64, String> {
    let days = text.parse::<f64>().ok().filter(|days| (0.01..=366.0).contains(days));
    days.ok_or_else(|| "write days, 0.01 to 366, such as 7 or 0.5".into())
}

impl Record {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        // Signals are heard by a thread of their own.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stop = runtime.block_on(async { shutdown::on_signals() }).context("signal handlers")?;
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;

        let mut cluster = Cluster::new(Shape::default(), self.seed, self.start);
        if !self.no_benign {
            cluster = cluster.with_benign(self.seed);
        }
        let planned: Vec<Planned> = self.fault.iter().map(|fault| fault.planned(self.start)).collect();
        let heal_after = (!self.no_heal).then_some(self.heal_after);
        let mut chronicle =
            Chronicle::new(cluster, &planned, heal_after, self.seed).map_err(anyhow::Error::msg)?;

        let path = self.out.join("recording.om.gz");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        let packer = GzEncoder::new(BufWriter::with_capacity(1 << 16, file), Compression::fast());
        let mut recording = Recording::new(BufWriter::with_capacity(1 << 16, packer), HOST_LABEL);
        let mut exporters = Exporters::new(self.families.clone());
        let mut folders = Folders::new(&self.out.join("zmstat"), &chronicle.cluster);

        let steps = (self.days * 86_400.0 / STEP_SECONDS).round() as u64;
        let steps_a_scrape = u64::from(self.step) / STEP_SECONDS as u64;
        let progress = bar(steps, "recording", "{eta} left");
        for step in 1..=steps {
            chronicle.step();
            let scrapes = step % steps_a_scrape == 0;
            if scrapes || self.zmstat {
                let readings = chronicle.cluster.readings();
                if scrapes {
                    exporters.print(&readings, &mut recording);
                }
                if self.zmstat {
                    folders.write(&readings).context("zmstat")?;
                }
            }
            progress.inc(1);
            if stop.is_cancelled() {
                break;
            }
        }
        progress.finish_and_clear();
        let end = || path.display().to_string();
        let packer = recording.finish().with_context(end)?.into_inner().map_err(|error| error.into_error());
        packer.with_context(end)?.finish().with_context(end)?;

        let truth = chronicle.truth();
        let json = serde_json::to_string_pretty(&truth)?;
        fs::write(self.out.join(TRUTH_FILE), json + "\n").context(TRUTH_FILE)?;
        let config = format!("site: simulated\nstep_seconds: {}\nentity_labels: [{HOST_LABEL}]\n", self.step);
        fs::write(self.out.join("foreshock.yaml"), config).context("foreshock.yaml")?;
        println!("{}: {} to {}", path.display(), self.start, chronicle.cluster.now());
        for fault in &truth.faults {
            let felt = fault.impact.map_or("never felt".into(), |impact| format!("felt from {impact}"));
            let seen = fault.first_change.map(|at| format!(", to be seen from {at}")).unwrap_or_default();
            println!("{} on {} from {}{seen}, {felt}", fault.fault, fault.host, fault.onset);
        }
        for planned in planned.iter().filter(|planned| planned.at >= chronicle.cluster.now()) {
            println!("{} at {}: not within the recording", planned.fault.name(), planned.at);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The statistics folders of those hosts that have one.
struct Folders(Vec<(usize, Zmstat)>);

impl Folders {
    fn new(folder: &Path, cluster: &Cluster) -> Self {
        let zone = &cluster.shape().timezone;
        let readings = cluster.readings();
        let hosts = readings.hosts.iter().enumerate().filter(|(_, host)| {
            matches!(host.service, ServiceReadings::Mailbox(_) | ServiceReadings::Mta(_))
        });
        let open = |name: &str| Zmstat::new(&folder.join(name), zone.clone(), Version::default());
        Folders(hosts.map(|(place, host)| (place, open(&host.name))).collect())
    }

    fn write(&mut self, readings: &Readings) -> std::io::Result<()> {
        self.0.iter_mut().try_for_each(|(place, zmstat)| zmstat.write(readings.at, &readings.hosts[*place]))
    }
}
