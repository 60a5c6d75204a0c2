//! Whether a case is only recorded, can wait for the day, or wakes somebody.
//!
//! It wakes somebody whose evidence exceeds what the budget asks of a page, once it has lasted: most of what is odd is over
//! before a person could look. Of a known fault a sign has to last; of anything else so much as would be enough alone; and
//! what may be for a restart does not count. That users will feel it soon is evidence too, and no more than that: where it
//! was said again and again and nobody felt anything, the budget asks for more. A hard limit that is surely near wakes at
//! once.

use super::case::{Assessment, joint_evidence};
use super::event::{Prediction, Severity};
use super::mover::Track;
use super::{House, IncidentSettings};
use crate::predict::pack::{Fault, Urgency};
use crate::sample::Timestamp;

/// What is over within this wakes nobody where it looks like a fault; and what looks like none, within that.
pub(super) const PAGE_AFTER_MS: i64 = 180_000;
const UNKNOWN_PAGE_AFTER_MS: i64 = 600_000;
/// Decades that a fault is worth which users will feel soon.
const SOON_DECADES: f64 = 6.0;
/// A limit is known to be near where even the latest time is, within so many times what a person needs.
const SURELY_SOON_TIMES: i64 = 2;

/// What speaks for waking somebody, besides the evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grounds<'a> {
    /// The fault that stands out.
    named: Option<&'a Fault>,
    /// That, with a second sign of it, or a limit that a signal heads for: one signal alone always looks like some fault.
    is_sure: bool,
    /// Signals that moved as that fault has it.
    signs: &'a [u16],
    /// A series heads for its hard limit.
    by_limit: bool,
    /// And that may wake somebody by itself.
    limit_wakes: bool,
    /// All that is told is silence, which may be an exporter's.
    only_silent: bool,
    prediction: Option<&'a Prediction>,
}

impl<'a> Grounds<'a> {
    pub fn new(house: &House<'a>, assessment: &'a Assessment, by_limit: bool, limit_wakes: bool) -> Self {
        let named = assessment.fault(house).map(|(fault, _)| fault);
        let signs = assessment.ranked.first().map_or(&[][..], |top| &top.signs);
        Grounds {
            named,
            is_sure: by_limit || named.is_some() && signs.len() > 1,
            signs,
            by_limit,
            limit_wakes,
            only_silent: assessment.only_silent,
            prediction: assessment.foreseen.prediction.as_ref(),
        }
    }

    /// Decades that the forecast adds to the evidence.
    pub fn decades(&self, settings: &IncidentSettings, at: Timestamp) -> f64 {
        if self.is_soon(settings, at) { SOON_DECADES } else { 0.0 }
    }

    fn can_wait(&self) -> bool {
        self.named.is_some_and(|fault| fault.urgency == Urgency::Ticket)
    }

    fn is_soon(&self, settings: &IncidentSettings, at: Timestamp) -> bool {
        let comes = |p: &Prediction| p.impact_at.since(at) <= needed_ms(settings);
        self.is_sure && !self.can_wait() && self.prediction.is_some_and(comes)
    }

    /// A limit is near, and that alone is enough.
    pub fn is_surely_soon(&self, settings: &IncidentSettings, at: Timestamp) -> bool {
        let comes = |p: &Prediction| p.latest.since(at) <= SURELY_SOON_TIMES * needed_ms(settings);
        self.limit_wakes && self.is_soon(settings, at) && self.prediction.is_some_and(comes)
    }

    /// `standing` are the movers that stray now and may not do so for a restart; `weight` is the evidence, and `page` what
    /// of it a page takes.
    pub fn severity(
        &self,
        settings: &IncidentSettings,
        at: Timestamp,
        standing: &[&Track],
        (weight, page): (f64, f64),
    ) -> Severity {
        let is_looked_for = self.by_limit || self.named.is_some();
        if self.only_silent {
            return if is_looked_for { Severity::Ticket } else { Severity::Info };
        }
        let is_due = self.by_limit || self.sign_lasts(at, standing) || is_enough_lasting(at, standing, page);
        if is_due && (weight >= page && !self.can_wait() || self.is_surely_soon(settings, at)) {
            Severity::Page
        } else {
            Severity::Ticket
        }
    }

    fn sign_lasts(&self, at: Timestamp, standing: &[&Track]) -> bool {
        let is_sign = |track: &Track| track.signal.is_some_and(|s| self.signs.contains(&s.signal));
        let lasts = |track: &Track| track.calm == 0 && at.since(track.strays_since()) >= PAGE_AFTER_MS;
        self.is_sure && self.named.is_some() && standing.iter().any(|track| is_sign(track) && lasts(track))
    }
}

/// Whether what has lasted is enough for a page, whatever else there is.
fn is_enough_lasting(at: Timestamp, standing: &[&Track], page: f64) -> bool {
    let lasts = |track: &&&Track| at.since(track.strays_since()) >= UNKNOWN_PAGE_AFTER_MS;
    joint_evidence(standing.iter().filter(lasts).copied()) >= page
}

/// The time that a person needs to do something about it.
fn needed_ms(settings: &IncidentSettings) -> i64 {
    (settings.page_seconds * 1000.0) as i64
}
