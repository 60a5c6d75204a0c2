//! A JVM's heap: a young generation that fills and is emptied, an old one that holds what lives on.
//!
//! The fuller the heap is of what lives, the smaller the young generation gets; objects have less time to die in it,
//! more are promoted, and full collections follow each other faster: the time that collection takes rises slowly for
//! long and steeply at the end, as in life.

use rand_pcg::Pcg64;

use crate::sim::load::lognormal;

pub const HEAP_BYTES: f64 = 8e9;
const YOUNG_BYTES_MAX: f64 = 2.4e9;
const YOUNG_BYTES_MIN: f64 = 0.06e9;
/// What lives on in a store at rest.
const LIVE_BYTES: f64 = 2.1e9;
/// Share of a full young generation that is promoted.
const PROMOTED: f64 = 0.02;
/// A mixed collection begins when the old generation holds this share of the heap.
const OLD_SHARE: f64 = 0.45;
const YOUNG_PAUSE_SECONDS: f64 = 0.028;
const OLD_PAUSE_SECONDS: f64 = 0.35;
/// A longer share of its time no collector takes; requests then wait behind it.
const GC_SHARE_MAX: f64 = 0.997;

/// The heap of one mailboxd.
#[derive(Clone, Debug)]
pub struct Heap {
    pub young_bytes: f64,
    pub old_bytes: f64,
    /// Beyond what the load holds: what leaked, or what a client makes it hold.
    pub held_bytes: f64,
    /// What the last collection of the old generation left.
    pub left_bytes: f64,
    pub young_count_total: f64,
    pub young_seconds_total: f64,
    pub old_count_total: f64,
    pub old_seconds_total: f64,
    /// Of the last step, the share of time that collection took.
    pub gc_share: f64,
}

impl Heap {
    /// As after a start.
    pub fn new() -> Self {
        Heap {
            young_bytes: 0.0,
            old_bytes: 0.5 * LIVE_BYTES,
            held_bytes: 0.0,
            left_bytes: LIVE_BYTES,
            young_count_total: 0.0,
            young_seconds_total: 0.0,
            old_count_total: 0.0,
            old_seconds_total: 0.0,
            gc_share: 0.0,
        }
    }

    pub fn used_bytes(&self) -> f64 {
        (self.young_bytes + self.old_bytes).min(HEAP_BYTES)
    }

    /// Lets `allocated` bytes come in `seconds`, while the load holds `in_use` bytes.
    pub fn step(&mut self, allocated: f64, in_use: f64, seconds: f64, random: &mut Pcg64) {
        let live = (LIVE_BYTES + in_use + self.held_bytes).min(0.995 * HEAP_BYTES);
        // What begins to live is promoted at once where it outgrows what is there.
        self.old_bytes = self.old_bytes.max(live.min(self.old_bytes + 0.1 * HEAP_BYTES));
        let free = HEAP_BYTES - self.old_bytes;
        let young_max = (0.8 * free).clamp(YOUNG_BYTES_MIN, YOUNG_BYTES_MAX);
        self.young_bytes += allocated;
        let mut paused = 0.0;
        let collections = (self.young_bytes / young_max).floor();
        if collections >= 1.0 {
            let pause = lognormal(YOUNG_PAUSE_SECONDS, 0.2, random) * (0.5 + 0.5 * live / LIVE_BYTES);
            self.young_count_total += collections;
            self.young_seconds_total += collections * pause;
            paused += collections * pause;
            let promoted = (PROMOTED * YOUNG_BYTES_MAX / young_max).min(0.6);
            self.old_bytes += promoted * collections * young_max;
            self.young_bytes -= collections * young_max;
        }
        let ceiling = (OLD_SHARE * HEAP_BYTES).max(live + 0.3 * (HEAP_BYTES - live)).min(HEAP_BYTES);
        let room = (ceiling - live).max(0.002 * HEAP_BYTES);
        if self.old_bytes > ceiling {
            let times = ((self.old_bytes - live) / room).max(1.0).floor();
            let pause = lognormal(OLD_PAUSE_SECONDS, 0.2, random) * live / LIVE_BYTES;
            self.old_count_total += times;
            self.old_seconds_total += times * pause;
            paused += times * pause;
            self.old_bytes = live;
            self.left_bytes = live;
        }
        // Pauses come in lumps; requests feel them over the next seconds.
        let share = (paused / seconds).min(GC_SHARE_MAX);
        self.gc_share += (share - self.gc_share) * if share > self.gc_share { 0.5 } else { 0.15 };
        if live > 0.985 * HEAP_BYTES {
            self.gc_share = GC_SHARE_MAX;
        }
    }
}

impl Default for Heap {
    fn default() -> Self {
        Heap::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::rand_core::SeedableRng;

    /// The share of time that collection takes after an hour with so much held.
    fn gc_share(held_bytes: f64) -> f64 {
        let mut random = Pcg64::seed_from_u64(1);
        let mut heap = Heap { held_bytes, ..Heap::new() };
        let mut shares = Vec::new();
        for _ in 0..720 {
            heap.step(60e6 * 5.0, 0.2e9, 5.0, &mut random);
            shares.push(heap.gc_share);
        }
        shares[360..].iter().sum::<f64>() / 360.0
    }

    #[test]
    fn collection_takes_more_the_fuller_the_heap_and_all_at_the_end() {
        let shares = [0.0, 3e9, 4.5e9, 5.2e9, 5.7e9].map(gc_share);
        assert!(shares.is_sorted(), "{shares:?}");
        assert!(shares[0] < 0.01 && shares[2] < 0.25 && shares[4] > 0.8, "{shares:?}");
    }

    #[test]
    fn the_floor_after_collections_is_what_lives() {
        let mut random = Pcg64::seed_from_u64(1);
        let mut heap = Heap::new();
        let mut lowest = f64::MAX;
        for step in 0..7200 {
            heap.held_bytes += 1e5 * 5.0;
            heap.step(60e6 * 5.0, 0.2e9, 5.0, &mut random);
            if step > 3600 {
                lowest = lowest.min(heap.used_bytes());
            }
        }
        let live = LIVE_BYTES + 0.2e9;
        assert!(lowest > live + 1.5e9, "{lowest}");
    }
}
