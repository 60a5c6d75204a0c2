//! All series of one shard: each is cleaned, its cadence learnt, and then it has a lane in a block.
//!
//! Series promoted within one tick take their lanes in order of their labels, so that lanes never depend
//! on which source spoke first.

use serde::{Deserialize, Serialize};

use crate::sample::{Sample, Timestamp};
use crate::series::block::Block;
use crate::series::cadence::Cadence;
use crate::series::clean::{Cleaned, Cleaner, Why};
use crate::series::registry::{Registry, SeriesId};
use crate::series::tick::Arrival;

/// Rows missed in a row after which a series has no data.
pub const NO_DATA_ROWS: i64 = 3;

const NOWHERE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadLimits {
    pub step_seconds: u32,
    /// A series silent for this long is retired and frees its lane. Only time in which other series of
    /// the shard spoke is counted: an outage of everything retires nothing.
    pub silent_seconds_max: u32,
}

/// Where a series lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LaneRef {
    pub block: usize,
    pub lane: usize,
}

/// What can be said of a series at the present tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeriesState {
    /// Its cadence or its nature is not yet known, or its first row is still to come.
    Learning,
    Live,
    /// It ended, or missed three rows. Neither healthy nor zero.
    NoData,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Series {
    id: SeriesId,
    cleaner: Cleaner,
    cadence: Cadence,
    home: Option<LaneRef>,
    /// Seconds in `Head::active_seconds` when it last spoke.
    heard_seconds: u64,
}

/// The series of one shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    limits: HeadLimits,
    /// Place in `series` by `SeriesId`, or `NOWHERE`.
    places: Vec<u32>,
    series: Vec<Series>,
    blocks: Vec<Block>,
    now: Timestamp,
    active_seconds: u64,
    swept_seconds: u64,
    /// By `Why`.
    nothing: [u64; Why::ALL.len()],
    /// Counters that were reset in this tick.
    #[serde(skip)]
    counters_reset: Vec<SeriesId>,
}

impl Head {
    pub fn new(limits: HeadLimits) -> Self {
        Head {
            limits,
            places: Vec::new(),
            series: Vec::new(),
            blocks: Vec::new(),
            now: Timestamp::MIN,
            active_seconds: 0,
            swept_seconds: 0,
            nothing: [0; Why::ALL.len()],
            counters_reset: Vec::new(),
        }
    }

    /// Takes in what arrived for this shard at the tick `at`: sorted by series and time, as `Due` has it. `is_active` is
    /// whether anything arrived, be it for another shard: silence counts only while others speak.
    pub fn ingest(&mut self, at: Timestamp, arrivals: &[Arrival], is_active: bool, registry: &Registry) {
        self.now = at;
        self.counters_reset.clear();
        if is_active {
            self.active_seconds += u64::from(self.limits.step_seconds);
        }
        let mut promoted: Vec<(usize, Sample)> = Vec::new();
        for arrival in arrivals {
            if !registry.is_alive(arrival.series) {
                continue;
            }
            let place = self.place(arrival.series, registry);
            self.take(place, arrival, registry, &mut promoted);
        }
        promoted.sort_by(|(a, _), (b, _)| {
            let labels = |place: &usize| registry.labels(self.series[*place].id);
            labels(a).cmp(labels(b))
        });
        for (place, sample) in promoted {
            self.promote(place, sample);
        }
    }

    fn place(&mut self, id: SeriesId, registry: &Registry) -> usize {
        if self.places.len() <= id.index() {
            self.places.resize(registry.id_end(), NOWHERE);
        }
        if self.places[id.index()] == NOWHERE {
            self.places[id.index()] = self.series.len() as u32;
            self.series.push(Series {
                id,
                cleaner: Cleaner::new(registry.labels(id).name()),
                cadence: Cadence::default(),
                home: None,
                heard_seconds: self.active_seconds,
            });
        }
        self.places[id.index()] as usize
    }

    fn take(
        &mut self,
        place: usize,
        arrival: &Arrival,
        registry: &Registry,
        promoted: &mut Vec<(usize, Sample)>,
    ) {
        let series = &mut self.series[place];
        series.heard_seconds = self.active_seconds;
        let sample = Sample { at: arrival.at, value: arrival.value };
        let cleaned = series.cleaner.push(registry.kind(series.id), sample, series.cadence.soonest_ms());
        if cleaned != Cleaned::Gone {
            series.cadence.push(arrival.at);
        }
        match (cleaned, series.home) {
            (Cleaned::Value(value), home) => {
                let sample = Sample { at: arrival.at, value };
                let cadence = series.cadence.seconds(self.limits.step_seconds);
                match (home, cadence) {
                    (Some(home), Some(cadence)) if self.blocks[home.block].cadence_seconds() == cadence => {
                        self.blocks[home.block].put(home.lane, sample);
                    }
                    (home, Some(_)) => {
                        self.leave(home);
                        self.series[place].home = None;
                        match promoted.last_mut() {
                            Some((last, first)) if *last == place => *first = sample,
                            _ => promoted.push((place, sample)),
                        }
                    }
                    (_, None) => {}
                }
            }
            (Cleaned::Gone, Some(home)) => self.blocks[home.block].silence(home.lane),
            (Cleaned::Gone, None) => drop(promoted.pop_if(|(last, _)| *last == place)),
            (Cleaned::Nothing(why), home) => {
                self.nothing[why as usize] += 1;
                if why == Why::Reset {
                    self.counters_reset.push(arrival.series);
                }
                if why == Why::Turned {
                    self.leave(home);
                    self.series[place].home = None;
                }
            }
        }
    }

    fn leave(&mut self, home: Option<LaneRef>) {
        if let Some(LaneRef { block, lane }) = home {
            self.blocks[block].leave(lane);
        }
    }

    fn promote(&mut self, place: usize, sample: Sample) {
        let series = &mut self.series[place];
        let Some(cadence) = series.cadence.seconds(self.limits.step_seconds) else { return };
        let fits = |block: &Block| block.cadence_seconds() == cadence && !block.is_full();
        let block = self.blocks.iter().position(fits).unwrap_or_else(|| {
            self.blocks.push(Block::new(cadence));
            self.blocks.len() - 1
        });
        series.home = self.blocks[block].join(series.id, sample).map(|lane| LaneRef { block, lane });
    }

    /// Retires series that have been silent too long, by number; to be told to the `Registry` next.
    /// Looks every ten minutes of time, so it may be called each tick.
    pub fn retire(&mut self) -> Vec<SeriesId> {
        if self.active_seconds - self.swept_seconds < 600 {
            return Vec::new();
        }
        self.swept_seconds = self.active_seconds;
        let silent_since = self.active_seconds.saturating_sub(u64::from(self.limits.silent_seconds_max));
        let mut retired = Vec::new();
        let mut place = 0;
        while place < self.series.len() {
            if self.series[place].heard_seconds >= silent_since {
                place += 1;
                continue;
            }
            let series = self.series.swap_remove(place);
            self.leave(series.home);
            self.places[series.id.index()] = NOWHERE;
            if let Some(moved) = self.series.get(place) {
                self.places[moved.id.index()] = place as u32;
            }
            retired.push(series.id);
        }
        retired.sort_unstable();
        retired
    }

    /// The blocks that have a row at `at`, by index.
    pub fn due_blocks(&self, at: Timestamp) -> impl Iterator<Item = usize> + '_ {
        self.blocks.iter().enumerate().filter(move |(_, block)| block.is_due(at)).map(|(i, _)| i)
    }

    pub fn block(&self, i: usize) -> &Block {
        &self.blocks[i]
    }

    pub fn block_mut(&mut self, i: usize) -> &mut Block {
        &mut self.blocks[i]
    }

    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// `None` while learning and for series of other shards.
    pub fn lane_of(&self, id: SeriesId) -> Option<LaneRef> {
        self.find(id)?.home
    }

    /// `None` for a series that is not of this shard.
    pub fn state(&self, id: SeriesId) -> Option<SeriesState> {
        let Some(LaneRef { block, lane }) = self.find(id)?.home else { return Some(SeriesState::Learning) };
        let block = &self.blocks[block];
        Some(match () {
            _ if block.has_missed(self.now, lane, NO_DATA_ROWS) => SeriesState::NoData,
            _ if block.is_new(lane) => SeriesState::Learning,
            _ => SeriesState::Live,
        })
    }

    /// The last value and its time, where there is one and the series has not ended.
    pub fn last(&self, id: SeriesId) -> Option<Sample> {
        let LaneRef { block, lane } = self.lane_of(id)?;
        self.blocks[block].last(lane)
    }

    /// Whether the values of a series are rates a second.
    pub fn is_rate(&self, id: SeriesId) -> bool {
        self.find(id).is_some_and(|series| series.cleaner.is_rate())
    }

    /// Series known here, those learning too.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Counters that were reset in the last tick.
    pub fn counters_reset(&self) -> &[SeriesId] {
        &self.counters_reset
    }

    /// Samples that yielded no value, by reason.
    pub fn nothing(&self) -> impl Iterator<Item = (Why, u64)> + '_ {
        Why::ALL.into_iter().map(|why| (why, self.nothing[why as usize]))
    }

    fn find(&self, id: SeriesId) -> Option<&Series> {
        let place = *self.places.get(id.index())?;
        self.series.get(place as usize)
    }
}
