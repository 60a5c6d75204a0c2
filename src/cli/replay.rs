//! `foreshock replay`: recorded data through the engine that `serve` runs, its events on standard output.
//!
//! Nothing is sent: a replay observes, whatever mode the configuration names, and plans what it would
//! have done. It reads no clock, so the same recording gives the same bytes, with any number of shards,
//! and in parts: what a replay says up to its snapshot and what one resumed there says after is, without
//! the `end` between them, what one replay of the whole says.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::check::refuse;
use super::progress::bar;
use super::streams::{Output, output};
use crate::act::acting::{Acting, ActingState};
use crate::act::guard::Policy;
use crate::collect::recording::columns::{Columns, RecordingLimits, tick_of};
use crate::collect::recording::{self, input};
use crate::config::Config;
use crate::durable::snapshot::{self, Snapshot};
use crate::engine::{Engine, EngineState, Input};
use crate::incident::event::{Event, Mode};
use crate::runtime::settings::settings_of;
use crate::sample::Timestamp;

/// The one source that the engine hears: all files, merged by time.
const SOURCE: &str = "recording";

const EXAMPLE: &str = "\
Example: what would have been said about last week, and what would have been done

  promtool tsdb dump-openmetrics /var/lib/prometheus | gzip > week.om.gz
  foreshock replay --config foreshock.yaml --input week.om.gz > events.jsonl

Example: the same in two parts

  foreshock replay --config foreshock.yaml --input week.om.gz --snapshot-out half \\
    --until 2024-05-01T00:00:00Z
  foreshock replay --config foreshock.yaml --input week.om.gz --resume half

A file's ending names its format: .json is the answer of Prometheus' query_range, .csv the CSV of \
`foreshock score`, anything else OpenMetrics with a time on each line; each may be followed by .gz.";

/// Run recorded data through the engine and print the events; no action is sent
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct Replay {
    /// The configuration, as for `serve`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Recordings; several are put in one order of time
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub input: Vec<PathBuf>,
    /// Worker threads, in place of the configuration's; changes the speed and nothing else
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub shards: Option<u16>,
    /// Go no further than this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    pub until: Option<Timestamp>,
    /// Keep the state at the end, for `--resume`; the last tick is then left to who resumes
    #[arg(long, value_name = "FILE")]
    pub snapshot_out: Option<PathBuf>,
    /// Go on from a snapshot; samples that it has seen are passed over
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Refuse recordings of more samples; each takes 16 bytes of memory
    #[arg(long, value_name = "N", default_value_t = 200_000_000)]
    pub samples_max: u64,
}

fn time_of(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "write RFC 3339, as in 2024-05-01T00:00:00Z".into())
}

/// What goes on where a replay stopped.
#[derive(Serialize, Deserialize)]
struct ReplayState {
    engine: EngineState,
    acting: ActingState,
}

impl Replay {
    /// Replays all inputs; exits with 2 where the configuration is not valid.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) => return Ok(refuse(&problems)),
        };
        // What can be wrong with the snapshot is told before the long read of the inputs.
        let (mut player, after) = Player::begin(&config, &self, output(Path::new("-"))?)?;
        let columns = read_inputs(&config, &self)?;
        let Some((first, last)) = columns.span() else { bail!("the inputs hold no sample") };
        let step_ms = i64::from(config.step_seconds) * 1000;
        let progress = bar(columns.samples(), "replaying", "{human_pos} samples, {eta} left");
        let (series, started) = (columns.series(), Instant::now());

        let mut reached = after;
        let mut samples = 0;
        // What stands at or before the last whole tick of the snapshot is in it.
        let known = Timestamp(after.0.saturating_sub(after.0.rem_euclid(step_ms)));
        for batch in columns.into_slices(SOURCE.into(), config.step_seconds, known) {
            let latest = batch.latest().unwrap_or(reached);
            if self.until.is_some_and(|until| tick_of(latest, step_ms) > until) {
                break;
            }
            reached = reached.max(latest);
            samples += batch.len() as u64;
            progress.inc(batch.len() as u64);
            player.take(Input::Samples(batch))?;
        }
        progress.finish_and_clear();
        if reached == Timestamp::MIN {
            bail!("no tick of the recording ends by --until; its first sample is of {first}");
        }
        match &self.snapshot_out {
            Some(path) => {
                let bytes = snapshot::write(path, &player.snapshot(reached))?;
                eprintln!("{}: snapshot of {bytes} bytes, state at {reached}", path.display());
            }
            None => player.take(Input::End)?,
        }
        let events = player.end(tick_of(reached, step_ms))?;
        eprintln!(
            "{samples} samples of {series} series, recorded {first} to {last}, replayed in {:.1} s: {events} events",
            started.elapsed().as_secs_f64()
        );
        Ok(ExitCode::SUCCESS)
    }
}

fn read_inputs(config: &Config, args: &Replay) -> anyhow::Result<Columns> {
    let limits = RecordingLimits { series_max: config.limits.series_max, samples_max: args.samples_max };
    let mut columns = Columns::new(limits);
    let progress = bar(input::bytes_on_disk(&args.input), "reading", "{bytes} of {total_bytes}, {eta} left");
    let entity_label = config.entity_labels.first().map_or("instance", String::as_str);
    for path in &args.input {
        let mut remark = |what: String| progress.suspend(|| eprintln!("{what}"));
        recording::read(path, entity_label, &mut columns, &progress, &mut remark)?;
    }
    progress.finish_and_clear();
    Ok(columns)
}

struct Player {
    engine: Engine,
    acting: Acting,
    out: Output,
    line: Vec<u8>,
    events: u64,
}

impl Player {
    /// A fresh engine, or the one of `--resume` with the time of the newest sample that it has seen.
    fn begin(config: &Config, args: &Replay, out: Output) -> anyhow::Result<(Self, Timestamp)> {
        let mut settings = settings_of(config);
        if let Some(shards) = args.shards {
            settings.shards = usize::from(shards);
        }
        let policy = Policy { mode: Mode::Observe, ..Policy::of(config) };
        let (engine, acting, after) = match &args.resume {
            None => (Engine::new(settings), Acting::new(policy), Timestamp::MIN),
            Some(path) => {
                let Snapshot { at, state, .. } = snapshot::read::<ReplayState>(path)?;
                let engine =
                    Engine::load(settings, state.engine).with_context(|| path.display().to_string())?;
                (engine, Acting::resume(policy, state.acting), at)
            }
        };
        Ok((Player { engine, acting, out, line: Vec::new(), events: 0 }, after))
    }

    /// Steps the engine and prints what it says, in the order of the schema.
    fn take(&mut self, input: Input) -> io::Result<()> {
        let mut found = Vec::new();
        self.engine.step(input, &mut found);
        if found.is_empty() {
            return Ok(());
        }
        let mut events = self.acting.accept(&found).events;
        events.sort_by(|a, b| order(a).cmp(&order(b)));
        self.events += events.len() as u64;
        events.iter().try_for_each(|event| self.print(event))
    }

    fn print(&mut self, event: &Event) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, event)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    fn snapshot(&self, at: Timestamp) -> Snapshot<ReplayState> {
        let state = ReplayState { engine: self.engine.save(), acting: self.acting.state().clone() };
        Snapshot { at, positions: BTreeMap::new(), state }
    }

    fn end(mut self, at: Timestamp) -> io::Result<u64> {
        self.print(&Event::end(at))?;
        self.out.finish()?;
        Ok(self.events)
    }
}

fn order(event: &Event) -> (Timestamp, Option<&str>, u32) {
    (event.at, event.incident.as_ref().map(|incident| incident.id.as_str()), event.seq)
}
