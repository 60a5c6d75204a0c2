//! How likely what has moved is under one fault, against a cause that no pack knows, in nats.

use super::site::{Mover, Site};
use super::{Moved, Pace, Restart, Sign, Signature};
use crate::predict::pack::{Lead, Movement};
use crate::sample::Timestamp;

/// A signal moves under a cause that no pack knows: it may be any signal.
const UNKNOWN_MOVES: f64 = 0.2;
/// What is left of the evidence of a sign that stays still, if later ones haven't come either.
const NOT_YET: f64 = 0.25;
/// A sign is taken to be still surely only to this.
const STILL_LEAST: f64 = 0.05;
/// All signs in the fault's order, in nats; as much is lost where all stand against it.
const ORDER: f64 = 0.8;
/// Two signs so near in time have no order: series are read once a minute.
const SAME_TIME_MS: i64 = 60_000;
/// What `n` signals cost that are no sign of the fault: this many nats times ln(1 + n).
const STRAY: f64 = 0.9;
/// What `n` signals cost that still hurt when it should have passed: this many nats times ln(1 + n).
const LASTS: f64 = 2.0;
/// A stray on the machine of the root, or on one that depends on it, counts as so much of one.
const SYMPTOM: f64 = 0.4;
/// One that moved before the fault began, as so many.
const BEFORE: f64 = 4.0;
/// One that moved so long before or after the fault began counts as so much of it.
const NEAR_MS: i64 = 3_600_000;
const CHANCE: f64 = 0.15;
/// A sign on the machine of the root makes it likelier the root, in nats; one on a machine that does not depend on it,
/// less likely.
const ON_ROOT: f64 = 0.15;
/// A service starts anew under a cause that no pack knows.
const UNKNOWN_RESTARTS: f64 = 0.2;
/// A fault begins with it that shows first so long before to so long after; one that shows later may have begun then.
const RESTART_MS: [i64; 2] = [-300_000, 900_000];
const RESTART_LATE_MS: [i64; 2] = [0, 2 * 3_600_000];
/// A story is of a restart if nothing moved so long before.
const STORY_MS: i64 = 900_000;
/// A fault that begins with it at least so surely is not told by what it leaves for a while from the start that is harmless.
const IS_RESTART: f64 = 0.5;
/// Silent signs that count.
const SILENT_FACTS: usize = 2;
/// A fault that goes ten times too fast or too slow, in nats, and at most.
const WRONG_PACE: f64 = 2.5;
pub(super) const WRONG_PACE_MOST: f64 = 4.0;
/// A fault by which something fills up, where no trend is seen in that, in nats.
const NO_TREND: f64 = -1.5;
/// Signs of a fault of days come over more than this share of the time that the shortest one takes.
const SPREAD_LEAST: f64 = 0.1;
const SPREAD_SECONDS_MIN: f64 = 30.0;
/// So sure a sign tells a fault from others; what any trouble of a machine shows is less sure.
const TELLTALE: f64 = 0.6;
/// And a sign alone tells a fault whose share is as large of all that it may be a sign of.
const OWN_SHARE: f64 = 0.5;

impl Signature {
    /// Whether it may be the cause at all: one of its signs has moved. What has moved besides, if so.
    pub fn others<'s>(&self, site: &'s Site) -> Option<Vec<&'s Mover>> {
        let is_sign = |m: &&Mover| self.signs_of(&m.moved).next().is_some();
        self.signs
            .iter()
            .any(|sign| site.has_moved(sign))
            .then(|| site.movers.iter().filter(|m| !is_sign(m)).collect())
    }

    /// How likely what has moved is if this fault began on `root`, against an unknown cause, in nats, and the signs that it
    /// shows; `None` where it shows none.
    pub fn likelihood(&self, site: &Site, others: &[&Mover], root: usize) -> Option<(f64, Vec<Moved>)> {
        let on = |sign: &Sign| {
            let found = site.moved_where(sign, root).filter(|m| m.moved.moves == sign.moves);
            found.min_by_key(|m| m.moved.at)
        };
        let shown: Vec<(usize, &Mover)> =
            self.signs.iter().enumerate().filter_map(|(place, sign)| Some((place, on(sign)?))).collect();
        let last_shown = shown.last()?.0;
        let is_its_restart = self.is_its_restart(site, root);
        let mut log = libm::log(self.prior);
        let mut silent = 0;
        for (place, mover) in &shown {
            silent += usize::from(mover.is_silent());
            // A machine that is not heard is one fact, however many of its series are missed.
            if !mover.is_silent() || silent <= SILENT_FACTS {
                let sign = &self.signs[*place];
                let chance = mover.chance_of(site.series(sign, root), is_its_restart);
                let moves = |probability: f64| probability + (1.0 - probability) * chance;
                log += libm::log(moves(sign.sure) / moves(UNKNOWN_MOVES));
            }
            log += match mover.moved.machine {
                machine if machine == root => ON_ROOT,
                machine if site.follows(machine, root) => 0.0,
                _ => -ON_ROOT,
            };
        }
        let shown: Vec<(usize, Moved)> = shown.into_iter().map(|(place, m)| (place, m.moved)).collect();
        let began = shown.iter().map(|(_, m)| m.at).min()?;
        log += self.still(site, root, last_shown) + self.order(&shown);
        log += self.opposite(site, root) + self.restarts(site, root, &shown) + self.spread(&shown);
        log -= STRAY * strays(site, others, root, (began, is_its_restart)) + LASTS * self.lasts(site, root);
        Some((log, shown.into_iter().map(|(_, m)| m).collect()))
    }

    /// What signs that stay still say against it.
    fn still(&self, site: &Site, root: usize, last_shown: usize) -> f64 {
        let mut log = 0.0;
        for (place, sign) in self.signs.iter().enumerate() {
            // Of two ways in which one signal may go, the surer, at the place of the first.
            let of_it = |other: &&Sign| other.signal == sign.signal;
            if self.signs[..place].iter().any(|other| of_it(&other))
                || site.moved_where(sign, root).next().is_some()
                || site.series(sign, root) == 0
            {
                continue;
            }
            let sure = self.signs.iter().filter(of_it).map(|other| other.sure).fold(0.0, f64::max);
            let weight = if place > last_shown { NOT_YET } else { 1.0 };
            log += weight * libm::log((1.0 - sure).max(STILL_LEAST) / (1.0 - UNKNOWN_MOVES));
        }
        log
    }

    /// What it says that a service of its machine, or of one like it, has started anew as it began, or none has.
    fn restarts(&self, site: &Site, root: usize, shown: &[(usize, Moved)]) -> f64 {
        if site.machines[root].restart == Restart::Unknown {
            return 0.0;
        }
        // Most of its signs: one may have strayed a little before.
        let most_within = |[from, to]: [i64; 2]| {
            let within =
                |at| shown.iter().filter(move |(_, m)| (from..=to).contains(&m.at.since(at))).count();
            site.restarts(root).any(|at| 2 * within(at) >= shown.len())
        };
        if most_within(RESTART_MS) {
            libm::log(self.restart / UNKNOWN_RESTARTS)
        } else if most_within(RESTART_LATE_MS) {
            0.0
        } else {
            libm::log((1.0 - self.restart) / (1.0 - UNKNOWN_RESTARTS))
        }
    }

    /// Whether the story is one of a service that started anew, and this fault begins so: then what that leaves for a while is
    /// its own.
    fn is_its_restart(&self, site: &Site, root: usize) -> bool {
        let mut restarts = site.restarts(root);
        self.restart >= IS_RESTART && restarts.any(|at| site.began.since(at) >= -STORY_MS)
    }

    /// What signs say against it that went the other way, and not the fault's.
    fn opposite(&self, site: &Site, root: usize) -> f64 {
        let is_other = |a: Movement, b: Movement| {
            matches!((a, b), (Movement::Up, Movement::Down) | (Movement::Down, Movement::Up))
        };
        let mut log = 0.0;
        for (place, sign) in self.signs.iter().enumerate() {
            let is_known =
                self.signs[..place].iter().any(|s| s.signal == sign.signal && s.moves == sign.moves);
            let both_ways =
                self.signs.iter().any(|s| s.signal == sign.signal && is_other(s.moves, sign.moves));
            let mut moved = site.moved_where(sign, root).peekable();
            let went = moved.peek().is_some() && moved.all(|m| is_other(m.moved.moves, sign.moves));
            if went && !both_ways && !is_known {
                log += libm::log((1.0 - sign.sure).max(STILL_LEAST));
            }
        }
        log
    }

    /// How far the signs came in the fault's order (Kendall 1938): from all against it to all in it.
    fn order(&self, shown: &[(usize, Moved)]) -> f64 {
        let (mut pairs, mut in_order) = (0.0, 0.0);
        for (i, (_, a)) in shown.iter().enumerate() {
            for (_, b) in &shown[i + 1..] {
                let later_ms = b.at.since(a.at);
                pairs += 1.0;
                if later_ms.abs() >= SAME_TIME_MS {
                    in_order += if later_ms > 0 { 1.0 } else { -1.0 };
                }
            }
        }
        if pairs > 0.0 { ORDER * in_order / pairs } else { 0.0 }
    }

    /// What hurts for longer than it could, though it passes: ln(1 + how many).
    fn lasts(&self, site: &Site, root: usize) -> f64 {
        let Some(passes_ms) = self.passes_ms else { return 0.0 };
        let lasts = |m: &&Mover| {
            let is_long = m.moved.hurts_since.is_some_and(|since| site.now.since(since) > passes_ms);
            is_long && site.follows(m.moved.machine, root)
        };
        libm::log(1.0 + site.movers.iter().filter(lasts).map(|m| 1.0 - m.chance(true)).sum::<f64>())
    }

    /// The shortest and the longest time from its first sign until users feel it; `None` where they do at once.
    fn span_seconds(&self) -> Option<(f64, f64)> {
        const MINUTE: f64 = 60.0;
        const HOUR: f64 = 3_600.0;
        match self.lead {
            Lead::None => None,
            Lead::Minutes => Some((0.0, 2.0 * HOUR)),
            Lead::Hours => Some((20.0 * MINUTE, 36.0 * HOUR)),
            Lead::Days => Some((4.0 * HOUR, f64::MAX)),
        }
    }

    /// What it says against a slow fault that its first sign and others came within minutes. Forecasts come when there is
    /// something to see, and silence after a while: they say nothing of that.
    fn spread(&self, shown: &[(usize, Moved)]) -> f64 {
        let Some((shortest, _)) = self.span_seconds() else { return 0.0 };
        let times =
            || shown.iter().filter(|(_, m)| !m.by_limit && m.moves != Movement::Silent).map(|(_, m)| m.at);
        let (Some((0, _)), Some(first), Some(last)) = (shown.first(), times().min(), times().max()) else {
            return 0.0;
        };
        if times().count() < 2 {
            return 0.0;
        }
        let seconds = (last.since(first) as f64 / 1000.0).max(SPREAD_SECONDS_MIN);
        let decades = libm::log10((SPREAD_LEAST * shortest / seconds).max(1.0));
        -(WRONG_PACE * decades).min(WRONG_PACE_MOST)
    }

    /// The signs of which this is the movement.
    fn signs_of(&self, m: &Moved) -> impl Iterator<Item = &Sign> {
        let (signal, moves) = (m.signal, m.moves);
        self.signs.iter().filter(move |sign| sign.signal == signal && sign.moves == moves)
    }

    /// Whether it is a sign that tells this fault from others.
    pub fn is_telltale(&self, m: &Moved) -> bool {
        self.signs_of(m).any(|sign| sign.sure >= TELLTALE)
    }

    /// Whether it is a sign that few other faults show.
    pub fn is_its_own(&self, m: &Moved) -> bool {
        self.signs_of(m).any(|sign| sign.own >= OWN_SHARE)
    }

    /// What its pace says against it.
    pub fn pace(&self, pace: Option<Pace>) -> f64 {
        let Some((mut shortest, longest)) = self.span_seconds() else { return 0.0 };
        let (seconds, log) = match pace {
            Some(Pace::Takes(seconds)) if seconds > 0.0 => (seconds, 0.0),
            Some(Pace::AtLeast(seconds)) => {
                shortest = 0.0;
                (seconds, NO_TREND)
            }
            _ => return 0.0,
        };
        let decades = if seconds < shortest {
            libm::log10(shortest / seconds)
        } else if seconds > longest {
            libm::log10(seconds / longest)
        } else {
            0.0
        };
        log - (WRONG_PACE * decades).min(WRONG_PACE_MOST)
    }
}

/// What `others`, that are no signs, say against a fault that began on `root` at a time: ln(1 + how many).
fn strays(site: &Site, others: &[&Mover], root: usize, (began, is_its_restart): (Timestamp, bool)) -> f64 {
    let (mut sum, mut heaviest, mut signal) = (0.0, 0.0_f64, None);
    // By signal: it counts once, where it counts most.
    for mover in others {
        let m = &mover.moved;
        if signal != Some(m.signal) {
            (sum, heaviest, signal) = (sum + heaviest, 0.0, Some(m.signal));
        }
        // What comes before is no effect, and is more likely of the cause.
        let is_before = began.since(m.at) >= SAME_TIME_MS / 2;
        let weight = if is_before {
            BEFORE
        } else if site.follows(m.machine, root) {
            SYMPTOM
        } else {
            1.0
        };
        let weight = weight * (1.0 - mover.chance(is_its_restart));
        // In a long story something else always happens too.
        let is_near = m.at.since(began).abs() <= NEAR_MS;
        heaviest = heaviest.max(if is_near { weight } else { CHANCE * weight });
    }
    libm::log(1.0 + sum + heaviest)
}
