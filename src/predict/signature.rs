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
//! within the hour is no leak of days. And a service that started anew as it began is a sign of its own, which no series
//! shows: a deploy has one, and a store that does not answer has none.

use std::collections::{BTreeMap, BTreeSet};

use super::pack::{Lead, Movement};
use super::signals::SignalTable;
use crate::sample::Timestamp;

/// A signal moves under a cause that no pack knows: it may be any signal.
const UNKNOWN_MOVES: f64 = 0.2;
/// Weight of "none of them" beside faults of prior 1.
const UNKNOWN_PRIOR: f64 = 1.0;
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
/// Silent signs that count.
const SILENT_FACTS: usize = 2;
/// A fault that goes ten times too fast or too slow, in nats, and at most.
const WRONG_PACE: f64 = 2.5;
const WRONG_PACE_MOST: f64 = 4.0;
/// A series that strays does so for about so long.
const EPISODE_MS: i64 = 120_000;
/// Series stray together, as on a morning busier than all before it: so many times oftener than their own pasts say. A third
/// and three times as much rank alike.
const TOGETHER: f64 = 1000.0;
/// Signs of a fault of days come over more than this share of the time that the shortest one takes.
const SPREAD_LEAST: f64 = 0.1;
const SPREAD_SECONDS_MIN: f64 = 30.0;
/// So sure a sign tells a fault from others; what any trouble of a machine shows is less sure.
const TELLTALE: f64 = 0.6;
/// The role of machines in general.
const ANY_MACHINE: &str = "host";

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
}

/// A machine of a story.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// The signals that are measured on it, and by how many series.
    pub measured: BTreeMap<u16, usize>,
    /// Whether a service of it started anew as the story began; `None` where that can't be told.
    pub restarted: Option<bool>,
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
}

/// The roles of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roles(BTreeSet<u16>);

/// What has moved, by signal and machine; of two ways the first.
type First = BTreeMap<(u16, usize), Moved>;

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
            lead: fault.lead,
            signs: fault
                .evidence
                .iter()
                .filter_map(|e| {
                    let signal = table.find(&e.signal)?;
                    let role = e.role.as_deref().map_or(roles[usize::from(signal)], &mut place);
                    Some(Sign { signal, moves: e.moves, sure: e.sure, role })
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
    /// foreseen, in seconds.
    pub fn rank(
        &self,
        moved: &[Moved],
        machines: &[Machine],
        now: Timestamp,
        pace: &dyn Fn(usize, usize) -> Option<f64>,
    ) -> Vec<Ranked> {
        let mut first = First::new();
        for m in moved {
            let known = first.entry((m.signal, m.machine)).or_insert(*m);
            let (rarity, by_limit) = (known.rarity.max(m.rarity), known.by_limit || m.by_limit);
            if m.at < known.at {
                *known = *m;
            }
            (known.rarity, known.by_limit) = (rarity, by_limit);
        }
        let began = moved.iter().map(|m| m.at).min().unwrap_or(now);
        let site = Site::new(self, machines, now.since(began));
        let mut ranked = Vec::new();
        for (place, signature) in self.faults.iter().enumerate() {
            let at = |root| Some((root, signature.likelihood(&site, &first, root)?));
            let best = (0..machines.len()).filter_map(at).max_by(|(a, (x, _)), (b, (y, _))| {
                // Of equals the first.
                x.total_cmp(y).then(b.cmp(a))
            });
            let Some((root, (log, shown))) = best else { continue };
            let since = shown.iter().map(|m| m.at).min().unwrap_or(Timestamp::MIN);
            let signs = shown.iter().map(|m| m.signal).collect();
            let telltale = shown.iter().filter(|m| signature.is_telltale(m)).map(|m| m.machine).collect();
            ranked.push(Ranked { fault: place, probability: log, signs, telltale, root, since });
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

/// The machines of a story, their roles, and who depends on whom.
struct Site<'a> {
    signatures: &'a Signatures,
    machines: &'a [Machine],
    roles: Vec<Roles>,
    /// By root and machine: whether what happens on the machine follows from what happens on the root.
    follows: Vec<bool>,
    /// How long the story is.
    lasted_ms: i64,
}

impl<'a> Site<'a> {
    fn new(signatures: &'a Signatures, machines: &'a [Machine], lasted_ms: i64) -> Self {
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
        Site { signatures, machines, roles, follows, lasted_ms }
    }

    /// The machines on which a sign counts for a fault that began on `root`.
    fn places(&self, sign: &Sign, root: usize) -> impl Iterator<Item = usize> {
        let (any, role) = (self.signatures.any, sign.role);
        let has_role = move |machine: usize| Some(role) == any || self.roles[machine].0.contains(&role);
        let is_own = has_role(root);
        let places = if is_own { root..root + 1 } else { 0..self.machines.len() };
        places.filter(move |machine| is_own || has_role(*machine))
    }

    fn follows(&self, machine: usize, root: usize) -> bool {
        self.follows[root * self.machines.len() + machine]
    }

    /// How likely one of the series of a signal on these machines strays so far by chance in so long a story.
    fn chance(&self, m: &Moved, places: impl Iterator<Item = usize>) -> f64 {
        if m.by_limit {
            return 0.0;
        }
        let series = |place: usize| self.machines[place].measured.get(&m.signal).copied().unwrap_or(0);
        let series = places.map(series).sum::<usize>() as f64;
        let episodes = self.lasted_ms.max(EPISODE_MS) as f64 / EPISODE_MS as f64;
        let share = libm::exp(-m.rarity * std::f64::consts::LN_10);
        1.0 - libm::exp(-TOGETHER * series * episodes * share)
    }
}

impl Signature {
    /// How likely what has moved is if this fault began on `root`, against an unknown cause, in nats, and the signs that it
    /// shows; `None` where it shows none.
    fn likelihood(&self, site: &Site, first: &First, root: usize) -> Option<(f64, Vec<Moved>)> {
        let on = |sign: &Sign| {
            let found = site.places(sign, root).filter_map(|machine| first.get(&(sign.signal, machine)));
            found.filter(|m| m.moves == sign.moves).min_by_key(|m| m.at).copied()
        };
        let shown: Vec<(usize, Moved)> =
            self.signs.iter().enumerate().filter_map(|(place, sign)| Some((place, on(sign)?))).collect();
        let last_shown = shown.last()?.0;
        let mut log = libm::log(self.prior);
        let mut silent = 0;
        for (place, m) in &shown {
            let is_silent = m.moves == Movement::Silent;
            silent += usize::from(is_silent);
            // A machine that is not heard is one fact, however many of its series are missed.
            if !is_silent || silent <= SILENT_FACTS {
                let sign = &self.signs[*place];
                let chance = site.chance(m, site.places(sign, root));
                let moves = |probability: f64| probability + (1.0 - probability) * chance;
                log += libm::log(moves(sign.sure) / moves(UNKNOWN_MOVES));
            }
            log += match m.machine {
                machine if machine == root => ON_ROOT,
                machine if site.follows(machine, root) => 0.0,
                _ => -ON_ROOT,
            };
        }
        let began = shown.iter().map(|(_, m)| m.at).min()?;
        log += self.still(site, first, root, last_shown) + self.order(&shown);
        log += self.opposite(site, first, root) + self.restarts(site) + self.spread(&shown);
        log -= STRAY * self.strays(site, first, root, began);
        Some((log, shown.into_iter().map(|(_, m)| m).collect()))
    }

    /// What signs that stay still say against it.
    fn still(&self, site: &Site, first: &First, root: usize, last_shown: usize) -> f64 {
        let mut surest: BTreeMap<u16, (f64, usize)> = BTreeMap::new();
        for (place, sign) in self.signs.iter().enumerate() {
            let is_measured =
                site.places(sign, root).any(|m| site.machines[m].measured.contains_key(&sign.signal));
            let has_moved =
                site.places(sign, root).any(|machine| first.contains_key(&(sign.signal, machine)));
            if is_measured && !has_moved {
                // Of two ways in which one signal may go, the surer.
                let known = surest.entry(sign.signal).or_insert((sign.sure, place));
                known.0 = known.0.max(sign.sure);
            }
        }
        let against = |(sure, place): &(f64, usize)| {
            let weight = if *place > last_shown { NOT_YET } else { 1.0 };
            weight * libm::log((1.0 - sure).max(STILL_LEAST) / (1.0 - UNKNOWN_MOVES))
        };
        surest.values().map(against).sum()
    }

    /// What it says that a service has started anew, or none has.
    fn restarts(&self, site: &Site) -> f64 {
        let mut known = site.machines.iter().filter_map(|machine| machine.restarted).peekable();
        if known.peek().is_none() {
            0.0
        } else if known.any(|restarted| restarted) {
            libm::log(self.restart / UNKNOWN_RESTARTS)
        } else {
            libm::log((1.0 - self.restart) / (1.0 - UNKNOWN_RESTARTS))
        }
    }

    /// What signs say against it that went the other way, and not the fault's.
    fn opposite(&self, site: &Site, first: &First, root: usize) -> f64 {
        let is_other = |a: Movement, b: Movement| {
            matches!((a, b), (Movement::Up, Movement::Down) | (Movement::Down, Movement::Up))
        };
        let mut seen = BTreeSet::new();
        let mut log = 0.0;
        for sign in &self.signs {
            let both_ways =
                self.signs.iter().any(|s| s.signal == sign.signal && is_other(s.moves, sign.moves));
            let moved = site.places(sign, root).filter_map(|machine| first.get(&(sign.signal, machine)));
            let mut moved = moved.peekable();
            let went = moved.peek().is_some() && moved.all(|m| is_other(m.moves, sign.moves));
            if went && !both_ways && seen.insert(sign.signal) {
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

    /// What moved and is no sign of it: ln(1 + how many).
    fn strays(&self, site: &Site, first: &First, root: usize, began: Timestamp) -> f64 {
        let (mut sum, mut heaviest, mut signal) = (0.0, 0.0_f64, None);
        // By signal: it counts once, where it counts most.
        for m in first.values() {
            if self.signs.iter().any(|sign| sign.signal == m.signal && sign.moves == m.moves) {
                continue;
            }
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
            let weight = weight * (1.0 - site.chance(m, std::iter::once(m.machine)));
            // In a long story something else always happens too.
            let is_near = m.at.since(began).abs() <= NEAR_MS;
            heaviest = heaviest.max(if is_near { weight } else { CHANCE * weight });
        }
        libm::log(1.0 + sum + heaviest)
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

    fn is_telltale(&self, m: &Moved) -> bool {
        let is_it = |sign: &Sign| sign.signal == m.signal && sign.moves == m.moves && sign.sure >= TELLTALE;
        self.signs.iter().any(is_it)
    }

    /// What its pace says against it.
    fn pace(&self, seconds: Option<f64>) -> f64 {
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0) else { return 0.0 };
        let Some((shortest, longest)) = self.span_seconds() else { return 0.0 };
        let decades = if seconds < shortest {
            libm::log10(shortest / seconds)
        } else if seconds > longest {
            libm::log10(seconds / longest)
        } else {
            0.0
        };
        -(WRONG_PACE * decades).min(WRONG_PACE_MOST)
    }
}

#[cfg(test)]
mod tests;
