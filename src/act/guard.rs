//! The guard: which planned actions may go out by themselves, and why the others may not.
//!
//! Cool-down a target and a limit of actions an hour, both counted from charges that the store keeps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Config, RemedyRoute, SinkKind};
use crate::durable::record::Charge;
use crate::incident::event::{Mode, Severity};
use crate::sample::Timestamp;

const HOUR_MS: i64 = 3_600_000;
/// Charges kept in memory: more than any sane limit an hour lets through in a day.
const CHARGES_MAX: usize = 10_000;

/// Why an action did not go out. `slug` is what metrics count by, `Display` what people read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("no sink performs {remedy}: add a route under `remedies`")]
    NoRoute { remedy: String },
    #[error("{target} was acted on less than a cool-down ago; free at {until}")]
    Cooldown { target: String, until: Timestamp },
    #[error("{allowed} actions an hour are allowed and used; free at {until}")]
    Hourly { allowed: u32, until: Timestamp },
    #[error("the receiver behind {sink} answered 410, it wants nothing more; give the sink another URL")]
    SinkDisabled { sink: String },
    #[error("the outbox is full: its records wait for receivers that do not answer")]
    OutboxFull,
}

impl Refused {
    pub fn slug(&self) -> &'static str {
        match self {
            Refused::NoRoute { .. } => "no_route",
            Refused::Cooldown { .. } => "cooldown",
            Refused::Hourly { .. } => "hourly_limit",
            Refused::SinkDisabled { .. } => "sink_disabled",
            Refused::OutboxFull => "outbox_full",
        }
    }
}

/// What the operator allows, as far as deciding needs it.
#[derive(Clone, Debug)]
pub struct Policy {
    pub mode: Mode,
    pub actions_per_hour_max: u32,
    pub cooldown: Duration,
    pub routes: Vec<RemedyRoute>,
    pub sinks: BTreeMap<String, SinkPolicy>,
    /// Remedies that wait for a person in every mode that would perform them: their pack says so.
    pub approve: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkPolicy {
    pub severity_min: Severity,
    /// Whether it is told of incidents, and not only of the remedies routed to it.
    pub incidents: bool,
}

/// How one remedy is to be performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'p> {
    pub sink: &'p str,
    pub mode: Mode,
    pub cooldown: Duration,
    pub severity_min: Severity,
}

impl Policy {
    pub fn of(config: &Config) -> Self {
        let sink = |kind: &SinkKind, severity_min| SinkPolicy {
            severity_min,
            incidents: match kind {
                SinkKind::Webhook { incidents, .. } => *incidents,
                SinkKind::Grafana { .. } | SinkKind::Alertmanager { .. } => true,
            },
        };
        let sinks = config.sinks.iter().map(|s| (s.name.clone(), sink(&s.kind, s.severity_min)));
        Policy {
            mode: config.acting.mode,
            actions_per_hour_max: config.acting.actions_per_hour_max,
            cooldown: config.acting.cooldown,
            routes: config.remedies.clone(),
            sinks: sinks.collect(),
            approve: config.approved_only(),
        }
    }

    /// The route of `remedy`: its own before `*`. A route, and what a pack says of the remedy, can only be more
    /// careful than the whole.
    pub fn route(&self, remedy: &str) -> Result<Route<'_>, Refused> {
        let named = |name: &str| self.routes.iter().find(|route| route.remedy == name);
        let found = named(remedy).or_else(|| named("*"));
        let with_sink = found.and_then(|route| Some((route, self.sinks.get(&route.sink)?)));
        let (route, sink) = with_sink.ok_or_else(|| Refused::NoRoute { remedy: remedy.into() })?;
        let mode = route.mode.map_or(self.mode, |mode| more_careful(mode, self.mode));
        Ok(Route {
            sink: &route.sink,
            mode: if self.approve.contains(remedy) { more_careful(mode, Mode::Approve) } else { mode },
            cooldown: route.cooldown.unwrap_or(self.cooldown),
            // An incident that is only recorded calls no remedy.
            severity_min: sink.severity_min.max(Severity::Ticket),
        })
    }
}

fn more_careful(a: Mode, b: Mode) -> Mode {
    match (a, b) {
        (Mode::Observe, _) | (_, Mode::Observe) => Mode::Observe,
        (Mode::Approve, _) | (_, Mode::Approve) => Mode::Approve,
        (Mode::Auto, Mode::Auto) => Mode::Auto,
    }
}

/// The actions let through of late, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    charges: Vec<Charge>,
}

impl History {
    pub fn new(mut charges: Vec<Charge>) -> Self {
        charges.sort_by(|a, b| (a.at, &a.action).cmp(&(b.at, &b.action)));
        let over = charges.len().saturating_sub(CHARGES_MAX);
        charges.drain(..over);
        History { charges }
    }

    /// Whether `target` may be acted on at `at`.
    pub fn check(
        &self,
        at: Timestamp,
        target: &str,
        cooldown: Duration,
        allowed: u32,
    ) -> Result<(), Refused> {
        let cooldown_ms = cooldown.as_millis() as i64;
        if let Some(last) = self.charges.iter().rev().find(|charge| charge.target == target) {
            let until = last.at.plus_ms(cooldown_ms);
            if at < until {
                return Err(Refused::Cooldown { target: target.into(), until });
            }
        }
        let mut within: Vec<Timestamp> =
            self.charges.iter().map(|charge| charge.at).filter(|then| at.since(*then) < HOUR_MS).collect();
        within.sort_by_key(|at| Reverse(*at));
        // With `allowed` used, the oldest of those must leave the hour first.
        match allowed.checked_sub(1).and_then(|last| within.get(last as usize)) {
            Some(oldest) => Err(Refused::Hourly { allowed, until: oldest.plus_ms(HOUR_MS) }),
            None if allowed == 0 => Err(Refused::Hourly { allowed, until: Timestamp(i64::MAX) }),
            None => Ok(()),
        }
    }

    pub fn charge(&mut self, charge: Charge) {
        if self.charges.len() >= CHARGES_MAX {
            self.charges.remove(0);
        }
        self.charges.push(charge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(1800);

    fn minute(n: i64) -> Timestamp {
        Timestamp(n * 60_000)
    }

    /// Acts on `targets` at their minutes and gives what the guard says to each.
    fn check(allowed: u32, asked: &[(i64, &str)], want: &[Result<(), Refused>]) {
        let mut history = History::default();
        let got: Vec<_> = asked
            .iter()
            .map(|&(at, target)| {
                let answer = history.check(minute(at), target, COOLDOWN, allowed);
                if answer.is_ok() {
                    history.charge(Charge { action: format!("{at}"), target: target.into(), at: minute(at) });
                }
                answer
            })
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_target_cools_down_while_others_may_be_acted_on() {
        let hot = Refused::Cooldown { target: "a".into(), until: minute(30) };
        check(9, &[(0, "a"), (29, "a"), (29, "b"), (30, "a")], &[Ok(()), Err(hot), Ok(()), Ok(())]);
    }

    #[test]
    fn an_hour_holds_so_many_actions_and_slides() {
        let full = Refused::Hourly { allowed: 2, until: minute(60) };
        check(
            2,
            &[(0, "a"), (10, "b"), (59, "c"), (60, "c"), (61, "d")],
            &[Ok(()), Ok(()), Err(full), Ok(()), Err(Refused::Hourly { allowed: 2, until: minute(70) })],
        );
    }

    #[test]
    fn a_limit_of_none_lets_nothing_through() {
        check(0, &[(0, "a")], &[Err(Refused::Hourly { allowed: 0, until: Timestamp(i64::MAX) })]);
    }

    #[test]
    fn a_route_of_its_own_comes_before_the_star_and_is_never_bolder_than_the_whole() {
        let route = |remedy: &str, sink: &str, mode| RemedyRoute {
            remedy: remedy.into(),
            sink: sink.into(),
            cooldown: None,
            mode,
        };
        let sink = SinkPolicy { severity_min: Severity::Info, incidents: false };
        let mut policy = Policy {
            mode: Mode::Approve,
            actions_per_hour_max: 4,
            cooldown: COOLDOWN,
            routes: vec![route("*", "any", Some(Mode::Auto)), route("flush", "own", Some(Mode::Observe))],
            sinks: BTreeMap::from([("any".into(), sink), ("own".into(), sink)]),
            approve: BTreeSet::new(),
        };
        let got = |policy: &Policy, remedy: &str| {
            policy.route(remedy).map(|r| (r.sink.to_owned(), r.mode, r.severity_min))
        };
        assert_eq!(got(&policy, "flush"), Ok(("own".into(), Mode::Observe, Severity::Ticket)));
        assert_eq!(got(&policy, "restart"), Ok(("any".into(), Mode::Approve, Severity::Ticket)));
        policy.routes.remove(0);
        assert_eq!(got(&policy, "restart"), Err(Refused::NoRoute { remedy: "restart".into() }));
    }

    #[test]
    fn what_a_pack_wants_approved_waits_even_where_the_rest_goes_by_itself() {
        let sink = SinkPolicy { severity_min: Severity::Info, incidents: false };
        let route = RemedyRoute { remedy: "*".into(), sink: "any".into(), cooldown: None, mode: None };
        let mut policy = Policy {
            mode: Mode::Auto,
            actions_per_hour_max: 4,
            cooldown: COOLDOWN,
            routes: vec![route],
            sinks: BTreeMap::from([("any".into(), sink)]),
            approve: BTreeSet::from(["lock".into()]),
        };
        let mode = |policy: &Policy, remedy: &str| policy.route(remedy).unwrap().mode;
        assert_eq!((mode(&policy, "lock"), mode(&policy, "restart")), (Mode::Approve, Mode::Auto));
        policy.mode = Mode::Observe;
        assert_eq!(mode(&policy, "lock"), Mode::Observe);
    }
}
