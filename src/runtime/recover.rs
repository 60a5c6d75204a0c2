//! Where a start begins: at the newest snapshot that can be read, or at nothing.

use std::path::{Path, PathBuf};

use crate::api::handle::Phase;
use crate::durable::snapshot::{self, Recovered, SnapshotError};
use crate::engine::{Engine, EngineState, Settings};
use crate::runtime::snapshots::Positions;
use crate::sample::Timestamp;

/// The snapshot within data_dir.
pub fn snapshot_path(data_dir: &Path) -> PathBuf {
    data_dir.join("engine.snapshot")
}

/// An engine, and where its sources are to be read on.
pub struct Start {
    pub engine: Engine,
    pub positions: Positions,
    /// Data time of the snapshot; `None` where there was none.
    pub since: Option<Timestamp>,
}

impl Start {
    /// What comes first: learning what is usual, or catching up with what was missed.
    pub fn phase(&self) -> Phase {
        if self.since.is_some() { Phase::CatchingUp } else { Phase::WarmingUp }
    }
}

/// Loads the snapshot of `data_dir`. One that cannot be used is set aside with a log line, and the start is a
/// first one: detectors learn anew, outbox and incidents are in the store and stay.
///
/// # Errors
/// The disk.
pub fn start(data_dir: &Path, settings: Settings) -> Result<Start, SnapshotError> {
    let path = snapshot_path(data_dir);
    let found = match snapshot::recover::<EngineState>(&path)? {
        Recovered::Snapshot(found) => found,
        Recovered::Nothing => return Ok(fresh(settings)),
        Recovered::SetAside { moved_to, why } => {
            tracing::error!(%why, kept = %moved_to.display(), "the snapshot cannot be read; learning anew");
            return Ok(fresh(settings));
        }
    };
    match Engine::load(settings.clone(), found.state) {
        Ok(mut engine) => {
            // The clock may jump once the past has been read, not before.
            engine.forget_clock();
            Ok(Start { engine, positions: found.positions, since: Some(found.at) })
        }
        Err(why) => {
            let moved_to = snapshot::set_aside(&path)?;
            tracing::error!(%why, kept = %moved_to.display(), "the snapshot does not fit the configuration; learning anew");
            Ok(fresh(settings))
        }
    }
}

fn fresh(settings: Settings) -> Start {
    Start { engine: Engine::new(settings), positions: Positions::new(), since: None }
}
