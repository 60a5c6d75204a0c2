//! Which movers are one incident: those of one entity, and those of entities that break together.
//!
//! A series joins the case of its own entity at once, but for an incident that has gathered nothing new for an hour: a
//! volume that fills for days is not what a newsletter does to the same host meanwhile. Such an incident takes only what
//! its fault shows in, and that before any other. Two cases become one only when both hold real movers
//! that began near in time and are linked: the same signal the same way, one role, or one fault that shows
//! in both. So chance movers never tie machines together.

use std::collections::{BTreeMap, BTreeSet};

use super::case::Case;
use super::mover::Track;
use super::watch::Watches;
use super::{Finding, House};
use crate::predict::pack::ANY_MACHINE;
use crate::predict::signature::Roles;
use crate::sample::Timestamp;
use crate::series::registry::EntityId;

/// Movers of one incident begin within this of each other, or within so many steps.
const WINDOW_MS: i64 = 600_000;
const WINDOW_STEPS: i64 = 20;
/// Real cases that are compared with each other at one tick.
const COMPARED_MAX: usize = 64;

/// The case of its entity that a mover joins: an open incident whose fault shows in it, then one whose story it may be, then
/// the oldest that is not open.
pub(super) fn case_of(cases: &BTreeMap<u64, Case>, house: &House, mover: &Finding) -> Option<u64> {
    let own = || cases.iter().filter(|(_, case)| case.has(mover.entity));
    let open = || own().filter(|(_, case)| case.opened.is_some());
    let shows = open().find(|(_, case)| case.shows_in(house, mover));
    let may_be = || open().find(|(_, case)| case.gathers(mover.at));
    let young = || own().find(|(_, case)| case.opened.is_none());
    shows.or_else(may_be).or_else(young).map(|(number, _)| *number)
}

/// Joins linked cases, younger into older; an incident that is open is never joined to another.
/// Gives the pairs joined: (into, from).
pub(super) fn join(cases: &mut BTreeMap<u64, Case>, house: &House, watches: &Watches) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    let mut kept: Vec<u64> = Vec::new();
    let mut real: Vec<u64> =
        cases.iter().filter(|(_, case)| case.is_real()).map(|(number, _)| *number).collect();
    // Open incidents first: what is linked to one joins it, whatever began earlier.
    real.sort_by_key(|number| (cases[number].opened.is_none(), *number));
    for number in real.into_iter().take(COMPARED_MAX) {
        let case = &cases[&number];
        let into =
            kept.iter().find(|kept| case.opened.is_none() && are_linked(&cases[*kept], case, house, watches));
        match into {
            Some(into) => joined.push((*into, number)),
            None => kept.push(number),
        }
        if let Some(&(into, from)) = joined.last().filter(|pair| pair.1 == number)
            && let Some(from) = cases.remove(&from)
            && let Some(into) = cases.get_mut(&into)
        {
            if from.peak > into.peak {
                (into.peak, into.looks_like) = (from.peak, from.looks_like);
            }
            into.tracks.extend(from.tracks);
            into.taken_for.join(from.taken_for);
            for (machine, restart) in from.restarted {
                into.restarted.entry(machine).or_insert(restart);
            }
            into.limits.extend(from.limits);
        }
    }
    joined
}

fn are_linked(a: &Case, b: &Case, house: &House, watches: &Watches) -> bool {
    // Once a machine, not once a pair of movers.
    let machines: BTreeSet<EntityId> = a.tracks.values().chain(b.tracks.values()).map(|t| t.entity).collect();
    let roles_of =
        |machine| (machine, house.signatures.roles(watches.measured(machine).map(|(signal, _)| signal)));
    let roles: BTreeMap<EntityId, Roles> = machines.into_iter().map(roles_of).collect();
    let real =
        |case: &Case| -> Vec<Track> { case.tracks.values().filter(|t| t.is_real()).cloned().collect() };
    let window_ms = WINDOW_MS.max(WINDOW_STEPS * 1000 * i64::from(house.settings.step_seconds));
    let (a, b) = (real(a), real(b));
    a.iter().any(|a| b.iter().any(|b| is_near(a.since, b.since, window_ms) && is_link(a, b, house, &roles)))
}

fn is_near(a: Timestamp, b: Timestamp, window_ms: i64) -> bool {
    a.since(b).abs() <= window_ms
}

fn is_link(a: &Track, b: &Track, house: &House, roles: &BTreeMap<EntityId, Roles>) -> bool {
    match (a.signal, b.signal) {
        (Some(one), Some(other)) => {
            let role = &house.table.signal(one).role;
            (one.signal == other.signal && a.moves() == b.moves())
                || (role != ANY_MACHINE && *role == house.table.signal(other).role)
                || house
                    .signatures
                    .are_linked((one.signal, &roles[&a.entity]), (other.signal, &roles[&b.entity]))
        }
        _ => a.labels.name() == b.labels.name() && a.moves() == b.moves(),
    }
}
