//! What happens in every mail system and is no fault: newsletters, planned restarts, good deploys, exporters that fail.
//!
//! The calendar's jobs are in `calendar`; these come on days and at hours drawn from the seed.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use super::calendar::local;
use super::causes::Causes;
use super::fault::uniform;
use super::shape::{Role, Shape};
use crate::sample::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// One kind of harmless event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Many messages come in a short time.
    Newsletter,
    /// A host's service is restarted at night: counters begin at 0, caches are cold.
    PlannedRestart,
    /// A new version, a little faster than the old one.
    GoodDeploy,
    /// A host's exporters do not answer.
    ExporterOutage,
    /// One scrape of one host is missed.
    MissedScrape,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Newsletter => "newsletter",
            Kind::PlannedRestart => "planned_restart",
            Kind::GoodDeploy => "good_deploy",
            Kind::ExporterOutage => "exporter_outage",
            Kind::MissedScrape => "missed_scrape",
        }
    }
}

/// A harmless event at a place and a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Benign {
    pub kind: Kind,
    /// Place of the host in `Shape::hosts`; of no meaning for a newsletter.
    pub host: usize,
    pub from: Timestamp,
    pub until: Timestamp,
    size: f64,
}

/// All that will happen, a day at a time.
#[derive(Clone, Debug)]
pub struct Benigns {
    seed: u64,
    day: Option<i64>,
    /// Those of the day under way and of the day before.
    pub near: Vec<Benign>,
}

impl Benigns {
    pub fn new(seed: u64) -> Self {
        Benigns { seed, day: None, near: Vec::new() }
    }

    /// Draws the day of `now` once it begins, and writes what goes on.
    pub fn write(&mut self, now: Timestamp, shape: &Shape, causes: &mut Causes) {
        let day = now.0.div_euclid(DAY_MS);
        if self.day != Some(day) {
            self.day = Some(day);
            self.near.retain(|event| event.until >= now.plus_ms(-DAY_MS));
            self.near.extend(self.of_day(day, shape));
        }
        for event in self.near.iter().filter(|event| now > event.from && now <= event.until) {
            match event.kind {
                Kind::Newsletter => causes.mail_in *= event.size,
                Kind::PlannedRestart | Kind::GoodDeploy => causes.hosts[event.host].stopped = true,
                Kind::ExporterOutage | Kind::MissedScrape => causes.hosts[event.host].unseen = true,
            }
        }
    }

    /// The events whose service stop begins in this step.
    pub fn restarts_between(&self, before: Timestamp, now: Timestamp) -> impl Iterator<Item = &Benign> {
        self.near.iter().filter(move |event| {
            matches!(event.kind, Kind::PlannedRestart | Kind::GoodDeploy)
                && event.from >= before
                && event.from < now
        })
    }

    /// What a day brings; the same whenever it is asked.
    pub fn of_day(&self, day: i64, shape: &Shape) -> Vec<Benign> {
        let mut random = Pcg64::seed_from_u64(self.seed ^ (day as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let hosts = shape.hosts();
        let begin = Timestamp(day * DAY_MS);
        // Local hours, near enough: the offset of noon holds for the day.
        let noon = local(begin.plus_ms(DAY_MS / 2), shape);
        let offset_ms = (i64::from(noon.hour()) - 12) * 3_600_000;
        let mut events = Vec::new();
        let mut add = |kind, host, hour: f64, seconds: f64, size| {
            // Restarts and outages begin on the grid of scrapes no more than faults do.
            let from = begin.plus_ms((hour * 3_600_000.0) as i64 - offset_ms);
            events.push(Benign { kind, host, from, until: from.plus_ms((seconds * 1000.0) as i64), size });
        };
        let mut draw = || uniform(&mut random);
        let is_weekend = matches!(noon.date().weekday().to_monday_zero_offset(), 5 | 6);
        if !is_weekend && draw() < 0.35 {
            add(Kind::Newsletter, 0, 9.0 + 8.0 * draw(), 300.0 + 600.0 * draw(), 2.0 + 1.5 * draw());
        }
        let any = |draws: f64, role: Option<Role>| {
            let places: Vec<usize> =
                (0..hosts.len()).filter(|i| role.is_none_or(|role| hosts[*i].0 == role)).collect();
            places[(draws * places.len() as f64) as usize]
        };
        if draw() < 0.15 {
            let host = any(draw(), None);
            add(Kind::PlannedRestart, host, 3.0 + 2.0 * draw(), 60.0 + 90.0 * draw(), 1.0);
        }
        if draw() < 0.07 {
            let host = any(draw(), Some(Role::Mailbox));
            add(Kind::GoodDeploy, host, 5.0 + draw(), 90.0, 0.85);
        }
        if draw() < 0.2 {
            let host = any(draw(), None);
            add(Kind::ExporterOutage, host, 24.0 * draw(), 120.0 + 900.0 * draw(), 1.0);
        }
        for _ in 0..(6.0 * draw()) as usize {
            let host = any(draw(), None);
            add(Kind::MissedScrape, host, 24.0 * draw(), 15.0, 1.0);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_every_kind_and_the_same_one_again() {
        let shape = Shape::default();
        let month = |seed| -> Vec<Benign> {
            let benigns = Benigns::new(seed);
            (20_500..20_530).flat_map(|day| benigns.of_day(day, &shape)).collect()
        };
        let events = month(3);
        assert_eq!(events, month(3));
        assert_ne!(events, month(4));
        for kind in [
            Kind::Newsletter,
            Kind::PlannedRestart,
            Kind::GoodDeploy,
            Kind::ExporterOutage,
            Kind::MissedScrape,
        ] {
            assert!(events.iter().any(|event| event.kind == kind), "{kind:?}");
        }
        let restarts = events.iter().filter(|event| event.kind == Kind::PlannedRestart);
        assert!(restarts.clone().all(|event| (3..5).contains(&(event.from.0 / 3_600_000 % 24))));
    }
}
