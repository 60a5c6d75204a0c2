//! The YAML of a pack, and everything that can be wrong with it, each with its place.
//!
//! ```yaml
//! name: zimbra
//! needs: [host]                  # packs of ours, with all that they need; their names may be used here
//! roles:                         # kinds of machines: what they are, whose faults show in them
//!   mta: { about: takes mail in and sends it on, depends: [dns] }
//! remedies:
//!   flush_queue: ask the MTA to try everything again now
//!   hold_and_lock_account:       # the same with more to say; only `about` must be there
//!     about: hold the sender's mail and lock the account
//!     approval: required         # required | none; default none. `required`: never before a person's yes
//!     role: mta                  # what it is done to; default: where the fault shows
//!     verify: [mta_sasl_sent]    # signals that must be back before it counts as having worked
//!     worsens: []                # signals that it drives the wrong way while it works
//! signals:
//!   - name: mta_queue_active      # unique over all packs
//!     reads: active queue         # its words in a sentence
//!     unit: messages
//!     role: mta                   # a machine that has the signal has the role; `host` is any machine
//!     hurts: up                   # up | down | away (from nothing, to either side)
//!     limit: 1000                 # a value | { signal, share } | due
//!     unless: mta_queue_age       # where that is measured it tells it better, and this limit alone tells nothing
//!     fills: true                 # what flows in brings it to its limit, and no jump does; default false
//!     least: 5                    # nearer to nothing than this it is no sign of a fault; default 0
//!     notice_hours: 24            # how early a person wants to know; default 4
//!     from:                       # one line an exporter
//!       - postfix_queue_stat{queue="active"}
//!       - { select: x_seconds, unit: s, times: 1000, kind: gauge }
//!   - name: ldap_behind
//!     behind: ldap_change         # in place of `from`: how far a machine is behind the newest of that signal
//!   - name: mta_unaccounted
//!     balance:                    # in place of `from`: what of that which comes has not gone and is not held either
//!       comes: [mta_received]     # rates of what comes in and of what leaves the same machine
//!       goes: [mta_delivered]
//!       stays: [mta_queue_active] # how much is held; may be left out where nothing is
//!   - name: mta_put_off_share     # in %; where all that users feel by it is a level in %, only where one is promised
//!     share:                      # in place of `from`: what share of that which passes is of one kind
//!       part: [mta_put_off]       # rates of the same machine
//!       rest: [mta_received]
//! service_levels:                # what is good enough for users, where the operator promised nothing else
//!   outside: { about: mail to others has left, seconds: 14400 }
//!   put_off: { about: mail is put off, unit: "%" }          # a share, of which the operator says what is good enough
//! faults:
//!   - name: remote_outage
//!     users: mail to outside over {outside} late   # with the value of that level
//!     urgency: ticket             # page | ticket: how bad its end is; default page
//!     lead: hours                 # none | minutes | hours | days before users feel it; default minutes
//!     lead_minutes: [200, 300]    # from the first sign until then, where no signal tells it
//!     prior: 2                    # against other faults; default 1
//!     passes_minutes: 15          # by then it is over by itself; without it, it stays till it is mended
//!     restart: 0.8                # how surely a service starts anew as it begins; default 0.1
//!     evidence:                   # in the order in which it shows
//!       - { signal: mta_queue_deferred, moves: up, sure: 0.9 }   # up | down | silent
//!       - { signal: cpu_user, moves: down, role: mta }           # only on an mta; default: on any machine
//!     impact:
//!       - { signal: mta_queue_age, level: outside }              # as the level has it
//!       - { signal: mta_threads, reaches: 100 }                  # without `reaches` the signal's limit
//!       # 900 times what is usual of another signal at the hour; nothing where `unless` is measured, which says it better
//!       - { signal: mta_queue, reaches: 900, times_usual: mta_delivered, unless: mta_queue_age }
//!     remedies: [flush_queue]     # best first
//!     forbidden: []
//! extends:                       # faults of needed packs, as they show here too
//!   - fault: disk_fill
//!     early: []                   # signs before all that the fault has
//!     evidence: []                # signs after them
//!     impact: []
//!     remedies: []                # in place of the fault's own, where there are any
//!     forbidden: []
//! ```

mod balance;
mod names;
mod raw;

use std::collections::BTreeSet;

use serde_saphyr::{Location, Spanned};

use super::{BUILTIN_NAMES, Pack, PackError, builtin, with_needed};
use names::Names;
use raw::RawPack;

/// What is wrong, gathered until the end of the file.
#[derive(Default)]
struct Problems(Vec<PackError>);

impl Problems {
    fn at(&mut self, place: Location, what: String, mend: impl Into<String>) {
        self.0.push(error_at(place, what, mend));
    }
}

/// The reader knows no place for a few faults, such as those of a tag; they are told at the file's start.
fn error_at(place: Location, what: String, mend: impl Into<String>) -> PackError {
    PackError { line: place.line().max(1), column: place.column().max(1), what, mend: mend.into() }
}

/// Reads and checks; all problems at once, in the order of the file.
pub(super) fn pack(text: &str) -> Result<Pack, Vec<PackError>> {
    let raw: RawPack = serde_saphyr::from_str(text).map_err(|error| vec![syntax(&error)])?;
    let mut problems = Problems::default();
    let needed = needed(&raw.needs, &mut problems);
    let names = Names::new(&raw, &needed);
    unique("signal", raw.signals.iter().map(|s| &s.name), &mut problems);
    unique("fault", raw.faults.iter().map(|f| &f.name), &mut problems);
    unique("extension of", raw.extends.iter().map(|e| &e.fault), &mut problems);
    let roles = raw.roles.iter().map(|(name, role)| names.role(name, role, &mut problems)).collect();
    let remedies = raw.remedies.iter().map(|(name, raw)| names.remedy(name, raw, &mut problems)).collect();
    let signals = raw.signals.iter().map(|s| names.signal(s, &mut problems)).collect();
    let faults = raw.faults.iter().map(|f| names.fault(f, &mut problems)).collect();
    let extends = raw.extends.iter().map(|e| names.extension(e, &mut problems)).collect();
    let levels = raw.service_levels.iter().map(|(name, raw)| names.level(name, raw, &mut problems)).collect();
    if !problems.0.is_empty() {
        problems.0.sort_by_key(|p| (p.line, p.column));
        return Err(problems.0);
    }
    let needs = raw.needs.into_iter().map(|need| need.value).collect();
    Ok(Pack { name: raw.name, needs, roles, remedies, signals, faults, extends, levels })
}

/// The packs of ours that a pack builds on, directly or through others.
fn needed(needs: &[Spanned<String>], problems: &mut Problems) -> Vec<Pack> {
    let mut packs = Vec::new();
    for need in needs {
        match builtin(&need.value) {
            Some(Ok(pack)) => packs.push(pack),
            _ => {
                let known = BUILTIN_NAMES.join(", ");
                problems.at(
                    need.referenced,
                    format!("there is no pack `{}` of ours", need.value),
                    format!("there are {known}"),
                );
            }
        }
    }
    with_needed(&packs)
}

fn syntax(error: &serde_saphyr::Error) -> PackError {
    let place = error.location().unwrap_or(Location::UNKNOWN);
    let text = error.without_snippet().to_string();
    // The location has its own fields; what the parser adds in words would say it twice.
    let what = text.split(" at line ").next().unwrap_or(&text).trim();
    error_at(place, what.to_owned(), "models/README.md explains every key")
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a Spanned<String>>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.value.as_str()) {
            problems.at(
                name.referenced,
                format!("{what} `{}` stands here twice", name.value),
                "rename or remove one",
            );
        }
    }
}

#[cfg(test)]
mod tests;
