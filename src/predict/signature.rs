//! Which fault moves what has moved, and on which machine it began: the posterior of every fault that a pack knows, and of
//! none of them.
//!
//! Signs count as independent given the fault (naive Bayes; what one fault shows twice is left to the packs). A sign that
//! is measured and stays still speaks against a fault, the less the later it stands in the fault's order, for it may yet
//! come. A sign that nobody measures says nothing. What moves and is no sign of the fault speaks against it, each further
//! one less than the one before: a cascade moves many signals that no pack can list, and those on machines that depend on
//! the one where it began are what is to be expected. And what moves may move by chance, the likelier the longer the story
//! is, the less rare it is, and the more series could have done so: it says little then, for a fault and against one.
//!
//! A fault has one root. Signs that its machine has count on that machine, those of other kinds of machines wherever they
//! are: a store's slow deliveries show in its own times and in any MTA's queue. How fast it goes counts too: what fills
//! within the hour is no leak of days. And a service of that machine, or of one like it, that started anew as it began is a
//! sign of its own, which no series shows: a deploy has one, and a store that does not answer has none. Of any other fault
//! what such a start leaves for a while says little, and so it does of a deploy where the story had begun before.

mod likelihood;
mod site;

use std::collections::{BTreeMap, BTreeSet};

use likelihood::WRONG_PACE_MOST;
use site::Site;

use super::pack::{ANY_MACHINE, Fault, Lead, Movement};
use super::signals::SignalTable;
use crate::sample::Timestamp;

/// Weight of "none of them" beside faults of prior 1.
const UNKNOWN_PRIOR: f64 = 1.0;

/// A signal that left its usual course, and when it did first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    pub signal: u16,
    pub moves: Movement,
    pub at: Timestamp,
    /// Place among the machines that `rank` is given.
    pub machine: usize,
    /// For which share of the time its series strays so far, in decades.
    pub rarity: f64,
    /// It is known by a forecast, and not by how far it strays.
    pub by_limit: bool,
    /// Since when it is off its course in the way that hurts, if it still is.
    pub hurts_since: Option<Timestamp>,
    /// It may be no more than what a service that started anew leaves for a while.
    pub may_be_restart: bool,
}

/// Whether a service of a machine started anew in a story, and when it did first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    #[default]
    Unknown,
    None,
    At(Timestamp),
}

/// How long a fault takes from its first sign until users feel it, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    Takes(f64),
    /// Nothing is seen to fill up by which users would feel it, and at the pace of now that takes so long at least.
    AtLeast(f64),
}

/// A machine of a story.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// The signals that are measured on it, and by how many series; by none where it can't be told whether it stays still.
    pub measured: BTreeMap<u16, usize>,
    pub restart: Restart,
}

/// A fault as a cause of what has moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Place in `SignalTable::faults`.
    pub fault: usize,
    /// Over all ranked and "none of them" the sum is 1.
    pub probability: f64,
    /// The signals that moved as the fault has it, in its order.
    pub signs: Vec<u16>,
    /// More than one sign of it has moved, or one that few other faults show: one signal alone always looks like some fault.
    pub is_founded: bool,
    /// A sign of a service has moved, if any of the fault's is measured: what only a machine's own figures show may be any job.
    pub reaches_service: bool,
    /// The machines on which a sign moved that tells this fault from others.
    pub telltale: Vec<usize>,
    /// The machine where it is most likely to have begun, and since when a sign of it has moved.
    pub root: usize,
    pub since: Timestamp,
}

/// The faults with their signs by place, as `rank` needs them.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    faults: Vec<Signature>,
    /// The names of the roles, and the role of each signal.
    names: Vec<String>,
    roles: Vec<u16>,
    /// Pairs of roles of which the first needs the second.
    depends: BTreeSet<(u16, u16)>,
    /// The role of machines in general, where a pack has it.
    any: Option<u16>,
}

#[derive(Clone, Debug)]
struct Signature {
    prior: f64,
    restart: f64,
    passes_ms: Option<i64>,
    lead: Lead,
    signs: Vec<Sign>,
}

#[derive(Clone, Copy, Debug)]
struct Sign {
    signal: u16,
    moves: Movement,
    sure: f64,
    /// On machines of this role.
    role: u16,
    /// Of all faults that it may be a sign of, the share of this one, by how usual they are and how surely they show it.
    own: f64,
}

/// The roles of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roles(BTreeSet<u16>);

impl Signatures {
    pub fn new(table: &SignalTable) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut place = |name| {
            let known = names.iter().position(|known| *known == name);
            known.unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            }) as u16
        };
        let roles: Vec<u16> = table.signals().iter().map(|signal| place(&signal.role)).collect();
        let faults = table.faults().iter().map(|fault| Signature {
            prior: fault.prior,
            restart: fault.restart,
            passes_ms: fault.passes_seconds.map(|seconds| (seconds * 1000.0) as i64),
            lead: fault.lead,
            signs: fault
                .evidence
                .iter()
                .filter_map(|e| {
                    let signal = table.find(&e.signal)?;
                    let role = e.role.as_deref().map_or(roles[usize::from(signal)], &mut place);
                    let shows = |fault: &Fault| {
                        let signs = fault.evidence.iter().filter(|other| other.signal == e.signal);
                        signs.filter(|s| s.moves == e.moves).map(|s| s.sure).fold(0.0, f64::max) * fault.prior
                    };
                    let own = shows(fault) / table.faults().iter().map(shows).sum::<f64>();
                    Some(Sign { signal, moves: e.moves, sure: e.sure, role, own })
                })
                .collect(),
        });
        let faults = faults.collect();
        let any = names.iter().position(|name| *name == ANY_MACHINE).map(|place| place as u16);
        let pairs = (0..names.len()).flat_map(|one| (0..names.len()).map(move |other| (one, other)));
        let depends = pairs.filter(|(one, other)| table.depends_on(names[*one], names[*other]));
        let depends = depends.map(|(one, other)| (one as u16, other as u16)).collect();
        let names = names.into_iter().map(str::to_owned).collect();
        Signatures { faults, names, roles, depends, any }
    }

    /// The faults that explain at least one of `moved` by `now`, likeliest first. `machines` are those of the story, by
    /// the place that `moved` has. `pace` is how long a fault of that place takes in all on a machine, as far as it can be
    /// foreseen.
    pub fn rank(
        &self,
        moved: &[Moved],
        machines: &[Machine],
        now: Timestamp,
        pace: &dyn Fn(usize, usize) -> Option<Pace>,
    ) -> Vec<Ranked> {
        let site = Site::new(self, machines, moved, now);
        let mut ranked = Vec::new();
        for (place, signature) in self.faults.iter().enumerate() {
            let Some(others) = signature.others(&site) else { continue };
            let at = |root| Some((root, signature.likelihood(&site, &others, root)?));
            let best = (0..machines.len()).filter_map(at).max_by(|(a, (x, _)), (b, (y, _))| {
                // Of equals the first.
                x.total_cmp(y).then(b.cmp(a))
            });
            let Some((root, (log, shown))) = best else { continue };
            let since = shown.iter().map(|m| m.at).min().unwrap_or(Timestamp::MIN);
            let signs: Vec<u16> = shown.iter().map(|m| m.signal).collect();
            let is_founded = signs.len() > 1 || shown.iter().any(|m| signature.is_its_own(m));
            let is_of_service = |signal: u16| Some(self.roles[usize::from(signal)]) != self.any;
            let is_measured = |sign: &&Sign| site.series(sign, root) > 0;
            let measured = signature.signs.iter().filter(|sign| is_of_service(sign.signal)).find(is_measured);
            let reaches_service = measured.is_none() || signs.iter().any(|signal| is_of_service(*signal));
            let telltale = shown.iter().filter(|m| signature.is_telltale(m)).map(|m| m.machine).collect();
            ranked.push(Ranked {
                fault: place,
                probability: log,
                signs,
                is_founded,
                reaches_service,
                telltale,
                root,
                since,
            });
        }
        // A forecast is dear, and only speaks against a fault: those that are far behind are spared it.
        let best = ranked.iter().map(|r| r.probability).fold(f64::NEG_INFINITY, f64::max);
        for r in ranked.iter_mut().filter(|r| r.probability >= best - WRONG_PACE_MOST) {
            r.probability += self.faults[r.fault].pace(pace(r.fault, r.root));
        }
        // Logs that differ by hundreds must not overflow.
        let most = ranked.iter().map(|r| r.probability).fold(libm::log(UNKNOWN_PRIOR), f64::max);
        let unknown = UNKNOWN_PRIOR * libm::exp(-most);
        for r in &mut ranked {
            r.probability = libm::exp(r.probability - most);
        }
        let total = unknown + ranked.iter().map(|r| r.probability).sum::<f64>();
        for r in &mut ranked {
            r.probability /= total;
        }
        ranked.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.fault.cmp(&b.fault)));
        ranked
    }

    /// Whether a machine on which these signals are measured has a role.
    pub fn has_role(&self, measured: impl IntoIterator<Item = u16>, role: &str) -> bool {
        let role = self.names.iter().position(|name| name == role).map(|place| place as u16);
        role.is_some_and(|role| Some(role) == self.any || self.roles(measured).0.contains(&role))
    }

    /// Whether the silence of a signal is a sign of some fault.
    pub fn is_sign_by_silence(&self, signal: u16) -> bool {
        let is = |sign: &Sign| sign.signal == signal && sign.moves == Movement::Silent;
        self.faults.iter().any(|fault| fault.signs.iter().any(is))
    }

    /// Whether the fault of this place shows in a signal that moves so.
    pub fn is_sign_of(&self, fault: usize, signal: u16, moves: Movement) -> bool {
        self.faults[fault].signs.iter().any(|sign| sign.signal == signal && sign.moves == moves)
    }

    /// Whether one fault shows in both signals on machines of these roles, so that they may break together by it.
    pub fn are_linked(&self, one: (u16, &Roles), other: (u16, &Roles)) -> bool {
        let is_it = |sign: &Sign, (signal, roles): (u16, &Roles)| {
            sign.signal == signal && (Some(sign.role) == self.any || roles.0.contains(&sign.role))
        };
        let has = |s: &Signature, moved| s.signs.iter().any(|sign| is_it(sign, moved));
        self.faults.iter().any(|s| has(s, one) && has(s, other))
    }

    /// The roles of a machine on which these signals are measured.
    pub fn roles(&self, measured: impl IntoIterator<Item = u16>) -> Roles {
        let roles = measured.into_iter().filter_map(|signal| self.roles.get(usize::from(signal)));
        Roles(roles.copied().collect())
    }
}

#[cfg(test)]
mod tests;
