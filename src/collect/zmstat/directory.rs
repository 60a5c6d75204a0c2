//! A directory of statistics as one source: the rows of all its files in order of time.
//!
//! One source and not one a file: a look reads all that was written, in all files, so the newest row of any of them
//! says how far all have come, less `lateness`. A silent file holds nobody up, and time doesn't wait half a minute
//! for the file that speaks least.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::folder;
use super::stream::{Shared, Stream};
use crate::config::Zmstat;
use crate::sample::{Batch, Source, Timestamp};
use crate::telemetry::{Metrics, Stage};

/// Files that are followed in one directory: ten times those that Zimbra has.
const FILES_MAX: usize = 256;
/// A batch is cut after so much time, or so many samples where time allows it: half a megabyte, of which hundreds may
/// wait for the engine while history is read.
const BATCH_MS: i64 = 3_600_000;
const BATCH_SAMPLES: usize = 2_000;
/// And at the latest here, though rows of one instant be parted.
const BATCH_SAMPLES_MAX: usize = 100_000;
/// A clock that runs ahead by more than this is not believed.
const AHEAD_MS_MAX: i64 = 600_000;

/// The files of one host, and how far each has been read.
pub struct Directory {
    shared: Shared,
    source: Source,
    streams: BTreeMap<String, Stream>,
    /// The newest row handed over.
    newest: Timestamp,
    is_begun: bool,
    is_failing: bool,
    has_told_of_too_many: bool,
    buffer: Vec<u8>,
}

impl Directory {
    /// Reads what was written after `from`, the past included.
    pub fn new(config: Zmstat, from: Timestamp, metrics: Arc<Metrics>) -> Self {
        Directory {
            source: format!("zmstat:{}", config.directory.display()).into(),
            shared: Shared { config, metrics, from },
            streams: BTreeMap::new(),
            newest: from,
            is_begun: false,
            is_failing: false,
            has_told_of_too_many: false,
            buffer: vec![0; 1 << 16],
        }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The same directory, to be read from the newest row on that was handed over.
    pub fn again(&self) -> Self {
        Directory::new(self.shared.config.clone(), self.newest, Arc::clone(&self.shared.metrics))
    }

    /// Looks for files that are new. A directory that isn't there is waited for; its past belongs to the first look.
    pub fn look(&mut self) {
        match self.list() {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                self.shared.metrics.error("zmstat", "list");
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(directory = %self.shared.config.directory.display(), "cannot be read: {error}");
                }
            }
        }
        self.is_begun = true;
    }

    fn list(&mut self) -> io::Result<()> {
        let directory = self.shared.config.directory.clone();
        // First the live files, which are held from here on, then the past: what is rotated in between is in one of both.
        for name in folder::names(&directory)? {
            self.follow(name);
        }
        if self.is_begun {
            return Ok(());
        }
        let since = jiff::Timestamp::from_millisecond(self.shared.from.0).unwrap_or_default();
        let since = self.shared.config.timezone.to_datetime(since).date();
        // A day more, as a header may stand in the file before.
        let folders = folder::dated(&directory, since.yesterday().unwrap_or(since))?;
        for folder in &folders {
            for name in folder::names(folder)? {
                self.follow(name);
            }
        }
        for stream in self.streams.values_mut() {
            stream.with_past(&folders);
        }
        Ok(())
    }

    fn follow(&mut self, name: String) {
        if self.streams.contains_key(&name) {
            return;
        }
        if self.streams.len() >= FILES_MAX {
            self.shared.metrics.dropped("zmstat", "files", 1);
            if !std::mem::replace(&mut self.has_told_of_too_many, true) {
                tracing::warn!(file = name, "more than {FILES_MAX} files: this one is not followed");
            }
            return;
        }
        let stream = Stream::new(&name, &self.shared);
        self.streams.insert(name, stream);
    }

    /// The next rows of all files, in order of time; `None` where all that is there has been read. Looks for new files
    /// the first time. `now` is the present: what claims to be from long after it is left out.
    pub fn next(&mut self, now: Timestamp) -> Option<Batch> {
        if !self.is_begun {
            self.look();
        }
        let metrics = Arc::clone(&self.shared.metrics);
        metrics.time(Stage::Parse, || self.gather(now.plus_ms(AHEAD_MS_MAX)))
    }

    fn gather(&mut self, latest: Timestamp) -> Option<Batch> {
        let Directory { shared, streams, buffer, .. } = self;
        let mut batch = Batch::new(self.source.clone());
        batch.lateness_ms = shared.config.lateness.as_millis() as i64;
        let mut heads: Vec<(Timestamp, &mut Stream)> = streams
            .values_mut()
            .filter_map(|stream| Some((stream.peek(shared, latest, buffer)?, stream)))
            .collect();
        let (mut began, mut reached) = (None, Timestamp::MIN);
        while let Some(first) = (0..heads.len()).min_by_key(|i| heads[*i].0) {
            let (at, stream) = &mut heads[first];
            let is_full = at.since(*began.get_or_insert(*at)) >= BATCH_MS || batch.len() >= BATCH_SAMPLES;
            if is_full && (*at > reached || batch.len() >= BATCH_SAMPLES_MAX) && !batch.is_empty() {
                break;
            }
            stream.put(shared, &mut batch);
            reached = reached.max(*at);
            match stream.peek(shared, latest, buffer) {
                Some(next) => *at = next,
                None => {
                    heads.swap_remove(first);
                }
            }
        }
        self.newest = self.newest.max(reached);
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests;
