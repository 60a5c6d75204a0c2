//! The pages of all exporters as they stand now, for whoever scrapes them.
//!
//! The cluster moves in steps, and a scrape at an even pace that comes a hair earlier or later than the one before must
//! not see one step more or less. So each target has a place within the step, found at its first scrape, that lies far
//! from the moments of change.

use std::collections::BTreeMap;

use crate::sample::Timestamp;
use crate::sim::cluster::STEP_SECONDS;
use crate::sim::cluster::readings::Readings;
use crate::sim::exporter::{Exporters, Families, Kind, Page, Target, TextPage};

const STEP_MS: i64 = (STEP_SECONDS * 1000.0) as i64;

/// One exporter on one host: host, job and port.
pub type Place = (String, &'static str, u16);

/// The texts of one step; `None` where an exporter does not answer.
#[derive(Clone, Debug, Default)]
struct Texts {
    at: Timestamp,
    texts: BTreeMap<Place, Option<String>>,
}

/// One scrape: when a target was asked, and the step of the cluster that it showed.
#[derive(Clone, Debug)]
pub struct Scrape {
    pub place: Place,
    pub at: Timestamp,
    pub step: Timestamp,
}

/// The pages of this step and of the one before.
#[derive(Debug)]
pub struct Pages {
    /// They take turns, so that what an exporter tells of the time since its page before is of a site's usual time.
    exporters: Vec<Exporters>,
    turn: usize,
    now: Texts,
    before: Texts,
    phases_ms: BTreeMap<Place, i64>,
    /// The first scrapes, as many as are to be kept.
    scrapes: Vec<Scrape>,
    scrapes_max: usize,
}

impl Pages {
    /// `interval_seconds` is the time between two scrapes of a target at the site.
    pub fn new(families: Families, interval_seconds: u32) -> Self {
        let turns = (f64::from(interval_seconds) / STEP_SECONDS).round().max(1.0) as usize;
        Pages {
            exporters: vec![Exporters::new(families); turns],
            turn: 0,
            now: Texts::default(),
            before: Texts::default(),
            phases_ms: BTreeMap::new(),
            scrapes: Vec::new(),
            scrapes_max: 0,
        }
    }

    /// Prints the pages of a step; call it at every one.
    pub fn print(&mut self, readings: &Readings) {
        self.turn = (self.turn + 1) % self.exporters.len();
        let mut sheaf = Sheaf { texts: BTreeMap::new(), open: None };
        self.exporters[self.turn].print(readings, &mut sheaf);
        let texts = Texts { at: readings.at, texts: sheaf.end() };
        self.before = std::mem::replace(&mut self.now, texts);
    }

    /// Keeps the next `scrapes_max` scrapes, for who wants to compare them with a recording.
    pub fn keep_scrapes(&mut self, scrapes_max: usize) {
        self.scrapes_max = scrapes_max;
    }

    /// Those that were to be kept, as they came.
    pub fn scrapes(&self) -> &[Scrape] {
        &self.scrapes
    }

    /// The page of a target scraped at `now`, at most two steps old.
    pub fn scrape(&mut self, place: &Place, now: Timestamp) -> Option<&str> {
        let phase_ms = match self.phases_ms.get(place) {
            Some(phase_ms) => *phase_ms,
            None => {
                // From here to the next change is half a step, and as much to the one before.
                let phase_ms = (now.0 - STEP_MS / 2).rem_euclid(STEP_MS);
                self.phases_ms.insert(place.clone(), phase_ms);
                phase_ms
            }
        };
        let texts = if now.plus_ms(-phase_ms) >= self.now.at { &self.now } else { &self.before };
        if self.scrapes.len() < self.scrapes_max {
            self.scrapes.push(Scrape { place: place.clone(), at: now, step: texts.at });
        }
        texts.texts.get(place)?.as_deref()
    }
}

/// Takes what all targets print, each for itself.
struct Sheaf {
    texts: BTreeMap<Place, Option<String>>,
    open: Option<(Place, TextPage)>,
}

impl Sheaf {
    fn end(mut self) -> BTreeMap<Place, Option<String>> {
        self.close();
        self.texts
    }

    fn close(&mut self) {
        if let Some((place, page)) = self.open.take() {
            self.texts.insert(place, page.text().map(str::to_owned));
        }
    }
}

impl Page for Sheaf {
    fn target(&mut self, at: Timestamp, host: &str, target: Target) {
        self.close();
        let mut page = TextPage::default();
        page.target(at, host, target);
        self.open = Some(((host.to_owned(), target.job, target.port), page));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], kind: Kind, value: f64) {
        if let Some((_, page)) = &mut self.open {
            page.sample(name, labels, kind, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cluster::{Cluster, Shape};

    /// Scrapes node_exporter of a store every 15 s, each a little off, and gives the boot-to-now CPU seconds.
    fn scraped(first_ms: i64, off_ms: &[i64]) -> Vec<f64> {
        let start = Timestamp::parse_rfc3339("2026-03-03T10:00:00Z").unwrap();
        let mut cluster = Cluster::new(Shape::default(), 1, start);
        let mut pages = Pages::new(Families::default(), 15);
        let place = (cluster.names()[0].clone(), "node", 9100);
        let mut seen = Vec::new();
        for (n, off) in (0..).zip(off_ms) {
            let now = start.plus_ms(30_000 + first_ms + n * 15_000 + off);
            while cluster.now().plus_ms(STEP_MS) <= now {
                cluster.step();
                pages.print(&cluster.readings());
            }
            let page = pages.scrape(&place, now).unwrap();
            let seconds = page.lines().filter_map(|line| {
                let value = line.strip_prefix("node_cpu_seconds_total{")?.rsplit_once(' ')?.1;
                value.parse::<f64>().ok()
            });
            seen.push(seconds.sum());
        }
        seen
    }

    #[test]
    fn an_even_pace_sees_even_progress_wherever_it_falls_within_a_step() {
        for first_ms in [0, 20, 2_500, 4_990] {
            let seen = scraped(first_ms, &[0, 40, 5, 60, 0, 35]);
            let progress: Vec<f64> = seen.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean = progress.iter().sum::<f64>() / progress.len() as f64;
            assert!(progress.iter().all(|p| (p / mean - 1.0).abs() < 0.05), "{first_ms}: {progress:?}");
        }
    }
}
