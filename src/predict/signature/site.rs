//! What has moved, on which machines, and who depends on whom: what is the same for every fault that may be the cause.

use super::{Machine, Moved, Restart, Roles, Sign, Signatures};
use crate::predict::pack::Movement;
use crate::sample::Timestamp;

/// A series that strays does so for about so long.
const EPISODE_MS: i64 = 120_000;
/// Series stray together, as on a morning busier than all before it: so many times oftener than their own pasts say. A third
/// and three times as much rank alike.
const TOGETHER: f64 = 1000.0;
/// How likely what may be for a restart is no more than that.
const RESTART: f64 = 0.7;
/// What is less likely chance has to do with how a story began.
const CHANCE: f64 = 0.5;

/// A signal that has moved on a machine, once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mover {
    pub moved: Moved,
    /// How often one series strays so far by chance in so long a story.
    strays: f64,
    /// How likely it is chance, of all series of its machine.
    chance: f64,
}

/// The machines of a story and what moved on them.
pub(super) struct Site<'a> {
    signatures: &'a Signatures,
    pub machines: &'a [Machine],
    /// By signal, and those of a signal by machine.
    pub movers: Vec<Mover>,
    /// By signal, where in `movers` it begins; one more for the end.
    starts: Vec<usize>,
    /// By machine and role.
    has: Vec<bool>,
    /// By root and machine: whether what happens on the machine follows from what happens on the root.
    follows: Vec<bool>,
    pub now: Timestamp,
    /// When the first of what is hardly chance moved.
    pub began: Timestamp,
}

impl<'a> Site<'a> {
    pub fn new(signatures: &'a Signatures, machines: &'a [Machine], moved: &[Moved], now: Timestamp) -> Self {
        let roles_of = |machine: &Machine| signatures.roles(machine.measured.keys().copied());
        let roles: Vec<Roles> = machines.iter().map(roles_of).collect();
        let needs = |one: u16, root: usize| {
            roles[root].0.iter().any(|other| signatures.depends.contains(&(one, *other)))
        };
        let follows = |(root, machine): (usize, usize)| {
            machine == root || roles[machine].0.iter().any(|one| needs(*one, root))
        };
        let pairs = (0..machines.len()).flat_map(|root| (0..machines.len()).map(move |other| (root, other)));
        let follows = pairs.map(follows).collect();
        let is_any = |role: u16| Some(role) == signatures.any;
        let names = 0..signatures.names.len() as u16;
        let has_role = |roles: &Roles, role: u16| is_any(role) || roles.0.contains(&role);
        let has = roles.iter().flat_map(|roles| names.clone().map(|role| has_role(roles, role))).collect();
        let began = moved.iter().map(|m| m.at).min().unwrap_or(now);
        let episodes = now.since(began).max(EPISODE_MS) as f64 / EPISODE_MS as f64;
        let movers: Vec<Mover> =
            once_each(moved).into_iter().map(|m| Mover::new(m, machines, episodes)).collect();
        let start = |signal: usize| movers.partition_point(|m| usize::from(m.moved.signal) < signal);
        let starts = (0..=signatures.roles.len()).map(start).collect();
        let counts = movers.iter().filter(|m| m.chance < CHANCE).map(|m| m.moved.at);
        let began = counts.min().unwrap_or(now);
        Site { signatures, machines, movers, starts, has, follows, now, began }
    }

    fn has_role(&self, machine: usize, role: u16) -> bool {
        self.has[machine * self.signatures.names.len() + usize::from(role)]
    }

    /// Whether a sign counts on a machine for a fault that began on `root`: on that one, if it can have the sign at all.
    fn counts(&self, sign: &Sign, root: usize, machine: usize) -> bool {
        if self.has_role(root, sign.role) { machine == root } else { self.has_role(machine, sign.role) }
    }

    /// What the signal of a sign did where it counts.
    pub fn moved_where(&self, sign: &Sign, root: usize) -> impl Iterator<Item = &Mover> {
        let signal = usize::from(sign.signal);
        let movers = &self.movers[self.starts[signal]..self.starts[signal + 1]];
        movers.iter().filter(move |m| self.counts(sign, root, m.moved.machine))
    }

    /// Whether a signal moved so anywhere.
    pub fn has_moved(&self, sign: &Sign) -> bool {
        let signal = usize::from(sign.signal);
        self.movers[self.starts[signal]..self.starts[signal + 1]].iter().any(|m| m.moved.moves == sign.moves)
    }

    /// By how many series the signal of a sign is measured where it counts.
    pub fn series(&self, sign: &Sign, root: usize) -> usize {
        let on = |machine: usize| self.machines[machine].measured.get(&sign.signal).copied().unwrap_or(0);
        (0..self.machines.len()).filter(|m| self.counts(sign, root, *m)).map(on).sum()
    }

    /// When services of a machine started anew, or of its like: what is done to them is done to one after the other.
    pub fn restarts(&self, root: usize) -> impl Iterator<Item = Timestamp> {
        let names = 0..self.signatures.names.len() as u16;
        let kinds = names.filter(|role| Some(*role) != self.signatures.any);
        let kinds: Vec<u16> = kinds.filter(|role| self.has_role(root, *role)).collect();
        let is_like =
            move |machine: usize| machine == root || kinds.iter().any(|role| self.has_role(machine, *role));
        self.machines.iter().enumerate().filter_map(move |(place, machine)| match machine.restart {
            Restart::At(at) if is_like(place) => Some(at),
            _ => None,
        })
    }

    pub fn follows(&self, machine: usize, root: usize) -> bool {
        self.follows[root * self.machines.len() + machine]
    }
}

impl Mover {
    fn new(moved: Moved, machines: &[Machine], episodes: f64) -> Self {
        let share = libm::exp(-moved.rarity * std::f64::consts::LN_10);
        let strays = if moved.by_limit { 0.0 } else { TOGETHER * episodes * share };
        let series = machines[moved.machine].measured.get(&moved.signal).copied().unwrap_or(0);
        let mover = Mover { moved, strays, chance: 0.0 };
        Mover { chance: mover.chance_of(series, true), ..mover }
    }

    /// How likely it is chance, of all series of its machine, or for a restart that is not the cause's own.
    pub fn chance(&self, is_its_restart: bool) -> f64 {
        self.or_restart(self.chance, is_its_restart)
    }

    /// The same where so many series could have strayed: as often as they do, against once for a cause.
    pub fn chance_of(&self, series: usize, is_its_restart: bool) -> f64 {
        let strays = self.strays * series as f64;
        self.or_restart(strays / (1.0 + strays), is_its_restart)
    }

    fn or_restart(&self, chance: f64, is_its_restart: bool) -> f64 {
        if self.moved.may_be_restart && !is_its_restart { chance.max(RESTART) } else { chance }
    }

    pub fn is_silent(&self) -> bool {
        self.moved.moves == Movement::Silent
    }
}

/// Of what moved on one machine twice the first, as rare as either, by signal and machine.
fn once_each(moved: &[Moved]) -> Vec<Moved> {
    let mut sorted = moved.to_vec();
    sorted.sort_by_key(|m| (m.signal, m.machine, m.at));
    sorted.dedup_by(|next, first| {
        let is_same = (next.signal, next.machine) == (first.signal, first.machine);
        if is_same {
            first.rarity = first.rarity.max(next.rarity);
            first.by_limit |= next.by_limit;
            first.may_be_restart &= next.may_be_restart;
            first.hurts_since = first.hurts_since.into_iter().chain(next.hurts_since).min();
        }
        is_same
    });
    sorted
}
