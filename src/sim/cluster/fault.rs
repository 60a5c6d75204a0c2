//! The faults that a mail system has, and how each begins: a cause that grows at a pace of its own.
//!
//! Names, remedies and what users feel are those that the field knows; where, how fast and how hard are drawn from a seed.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

use super::causes::Causes;
use super::heap::HEAP_BYTES;
use super::shape::{Role, Shape};
use crate::sample::Timestamp;
use crate::sim::load::lognormal;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    RemoteOutage,
    SlowLmtp,
    HeapLeak,
    HeapBurst,
    DbPoolExhaustion,
    LdapReplicaLag,
    SlowLdap,
    DiskFill,
    DiskRunaway,
    IndexCorruption,
    ImapStorm,
    ClamdStuck,
    CompromisedAccount,
    ProxyUpstreamLoss,
    MemcachedLoss,
    CertificateExpiry,
    StorageLatency,
    ClockSkew,
    NodeLoss,
    DnsFailure,
    BadDeploy,
}

/// What is known of a fault.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub fault: Fault,
    pub name: &'static str,
    /// What users feel at impact.
    pub users: &'static str,
    /// Whether it shows before users feel it, by its nature.
    pub has_lead: bool,
    /// From the first to the last of what its cause does: the shortest and the longest.
    span_seconds: (f64, f64),
    /// What heals it, and what makes it worse.
    pub right: &'static [&'static str],
    pub wrong: &'static [&'static str],
    role: Role,
}

use Fault::*;

/// Every fault, in the order of the table that operators know.
pub const FAULTS: [About; 21] = [
    About {
        fault: RemoteOutage,
        name: "remote_outage",
        users: "mail to outside over 4 h late",
        has_lead: true,
        span_seconds: (1.0 * MINUTE, 10.0 * MINUTE),
        right: &["flush_queue"],
        wrong: &[],
        role: Role::Mta,
    },
    About {
        fault: SlowLmtp,
        name: "slow_lmtp",
        users: "delivery over 15 min late",
        has_lead: true,
        span_seconds: (5.0 * MINUTE, 30.0 * MINUTE),
        right: &["restart_mailboxd", "rolling_restart_mailboxd"],
        wrong: &["raise_limit"],
        role: Role::Mailbox,
    },
    About {
        fault: HeapLeak,
        name: "heap_leak",
        users: "SOAP and IMAP over 10 s, then refused",
        has_lead: true,
        span_seconds: (6.0 * HOUR, 60.0 * HOUR),
        right: &["rolling_restart_mailboxd", "restart_mailboxd"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: HeapBurst,
        name: "heap_burst",
        users: "SOAP and IMAP over 10 s, then refused",
        has_lead: true,
        span_seconds: (5.0 * MINUTE, 40.0 * MINUTE),
        right: &["restart_mailboxd", "rolling_restart_mailboxd"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: DbPoolExhaustion,
        name: "db_pool_exhaustion",
        users: "requests over 10 s",
        has_lead: true,
        span_seconds: (4.0 * MINUTE, 20.0 * MINUTE),
        right: &["kill_slow_query", "restart_mailboxd"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: LdapReplicaLag,
        name: "ldap_replica_lag",
        users: "logins with a changed password refused on that replica for over 15 min",
        has_lead: true,
        span_seconds: (1.0 * MINUTE, 5.0 * MINUTE),
        right: &["restart_ldap_replica", "switch_ldap"],
        wrong: &[],
        role: Role::Directory,
    },
    About {
        fault: SlowLdap,
        name: "slow_ldap",
        users: "login over 10 s",
        has_lead: true,
        span_seconds: (8.0 * MINUTE, 60.0 * MINUTE),
        right: &["switch_ldap", "restart_ldap_replica"],
        wrong: &[],
        role: Role::Directory,
    },
    About {
        fault: DiskFill,
        name: "disk_fill",
        users: "delivery deferred for lack of space",
        has_lead: true,
        span_seconds: (8.0 * HOUR, 72.0 * HOUR),
        right: &["hsm_move", "purge_logs", "grow_volume"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: DiskRunaway,
        name: "disk_runaway",
        users: "delivery deferred for lack of space",
        has_lead: true,
        span_seconds: (10.0 * MINUTE, 90.0 * MINUTE),
        right: &["purge_logs", "grow_volume"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: IndexCorruption,
        name: "index_corruption",
        users: "search over 10 s or failing",
        has_lead: true,
        span_seconds: (30.0 * MINUTE, 6.0 * HOUR),
        right: &["reindex"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: ImapStorm,
        name: "imap_storm",
        users: "IMAP connections refused",
        has_lead: true,
        span_seconds: (10.0 * MINUTE, 60.0 * MINUTE),
        right: &["block_client", "raise_limit"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: ClamdStuck,
        name: "clamd_stuck",
        users: "delivery over 15 min late",
        has_lead: true,
        span_seconds: (3.0 * MINUTE, 20.0 * MINUTE),
        right: &["restart_clamd_then_amavis"],
        wrong: &[],
        role: Role::Mta,
    },
    About {
        fault: CompromisedAccount,
        name: "compromised_account",
        users: "own mail over 15 min late, or the host on a blocklist",
        has_lead: true,
        span_seconds: (1.0 * MINUTE, 5.0 * MINUTE),
        right: &["hold_and_lock_account"],
        wrong: &["flush_queue"],
        role: Role::Mta,
    },
    About {
        fault: ProxyUpstreamLoss,
        name: "proxy_upstream_loss",
        users: "5xx, or connecting over 10 s",
        has_lead: false,
        span_seconds: (1.0, 1.0),
        right: &["restart_mailboxd", "restart_proxy"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: MemcachedLoss,
        name: "memcached_loss",
        users: "login over 10 s",
        has_lead: false,
        span_seconds: (1.0, 1.0),
        right: &["restart_memcached"],
        wrong: &[],
        role: Role::Proxy,
    },
    About {
        fault: CertificateExpiry,
        name: "certificate_expiry",
        users: "clients refuse the certificate",
        has_lead: true,
        span_seconds: (24.0 * HOUR, 72.0 * HOUR),
        right: &["renew_certificate"],
        wrong: &[],
        role: Role::Proxy,
    },
    About {
        fault: StorageLatency,
        name: "storage_latency",
        users: "delivery and requests late",
        has_lead: true,
        span_seconds: (1.0 * MINUTE, 10.0 * MINUTE),
        right: &["drain_store"],
        wrong: &["restart_mailboxd", "rolling_restart_mailboxd"],
        role: Role::Mailbox,
    },
    About {
        fault: ClockSkew,
        name: "clock_skew",
        users: "Kerberos, one-time codes and replication refused",
        has_lead: true,
        span_seconds: (1.0 * HOUR, 12.0 * HOUR),
        right: &["step_clock"],
        wrong: &[],
        role: Role::Directory,
    },
    About {
        fault: NodeLoss,
        name: "node_loss",
        users: "connections refused on this machine's share",
        has_lead: false,
        span_seconds: (1.0, 1.0),
        right: &["replace_node"],
        wrong: &[],
        role: Role::Mailbox,
    },
    About {
        fault: DnsFailure,
        name: "dns_failure",
        users: "outbound mail deferred, logins and look-ups slow",
        has_lead: true,
        span_seconds: (0.5 * MINUTE, 5.0 * MINUTE),
        right: &[],
        wrong: &["flush_queue"],
        role: Role::Mta,
    },
    About {
        fault: BadDeploy,
        name: "bad_deploy",
        users: "slower or more errors than the version before",
        has_lead: true,
        span_seconds: (20.0 * MINUTE, 120.0 * MINUTE),
        right: &["roll_back"],
        wrong: &[],
        role: Role::Mailbox,
    },
];

impl Fault {
    pub fn about(self) -> &'static About {
        &FAULTS[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// The fault of that name.
    pub fn of_name(name: &str) -> Option<Fault> {
        FAULTS.iter().find(|about| about.name == name).map(|about| about.fault)
    }
}

/// A fault at a place and a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbreak {
    pub fault: Fault,
    /// Place of the host in `Shape::hosts`.
    pub host: usize,
    pub at: Timestamp,
    /// In which its cause grows to its full size.
    pub span_seconds: f64,
    /// 0 the mildest, 1 the hardest of its kind.
    pub severity: f64,
    /// How it grows: 1 evenly, more of it late.
    pub bend: f64,
    pub ended_at: Option<Timestamp>,
}

/// An even draw from 0..1.
pub fn uniform(random: &mut Pcg64) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

impl Outbreak {
    /// Draws where, how fast and how hard.
    pub fn draw(fault: Fault, at: Timestamp, shape: &Shape, random: &mut Pcg64) -> Self {
        let about = fault.about();
        let (shortest, longest) = about.span_seconds;
        let span_seconds = shortest * (longest / shortest).powf(uniform(random));
        let hosts = shape.hosts();
        let role = match fault {
            // Any machine may go.
            NodeLoss => {
                [Role::Mailbox, Role::Mta, Role::Proxy, Role::Directory][(uniform(random) * 4.0) as usize]
            }
            _ => about.role,
        };
        let mut places: Vec<usize> = (0..hosts.len()).filter(|place| hosts[*place].0 == role).collect();
        if matches!(fault, LdapReplicaLag | SlowLdap) && places.len() > 1 {
            // A replica, and the one that is asked.
            places = vec![places[1]];
        }
        let host = places[(uniform(random) * places.len() as f64) as usize];
        let severity = uniform(random);
        let bend = lognormal(1.0, 0.25, random).clamp(0.6, 1.8);
        Outbreak { fault, host, at, span_seconds, severity, bend, ended_at: None }
    }

    /// Moves it to the host of that name.
    ///
    /// # Errors
    /// It cannot break out there; says where it can.
    pub fn move_to(&mut self, host: &str, shape: &Shape) -> Result<(), String> {
        let role = self.fault.about().role;
        let hosts = shape.hosts();
        let fits = |(place, (r, _)): (usize, &(Role, String))| match self.fault {
            NodeLoss => true,
            LdapReplicaLag | SlowLdap => *r == role && (place == 0 || hosts[place - 1].0 == role),
            _ => *r == role,
        };
        let mut places = (0..hosts.len()).filter(|place| fits((*place, &hosts[*place])));
        match places.clone().find(|place| hosts[*place].1 == host) {
            Some(place) => self.host = place,
            None => {
                let names: Vec<&str> = places.by_ref().map(|place| hosts[place].1.as_str()).collect();
                let name = self.fault.name();
                return Err(format!("{name} cannot break out on `{host}`, but on {}", names.join(", ")));
            }
        }
        Ok(())
    }

    /// 0 before it, 1 once its cause has its full size; up to 3 for those that grow on.
    fn progress(&self, now: Timestamp) -> f64 {
        let gone = now.since(self.at) as f64 / 1000.0;
        if gone <= 0.0 { 0.0 } else { (gone / self.span_seconds).min(3.0).powf(self.bend) }
    }

    pub fn is_on(&self, now: Timestamp) -> bool {
        now > self.at && self.ended_at.is_none_or(|ended| now < ended)
    }

    /// Whether it ends the service of its host at this instant for a while: a new version is started.
    pub fn deploys_between(&self, before: Timestamp, now: Timestamp) -> bool {
        self.fault == BadDeploy && self.at >= before && self.at < now
    }

    /// Adds its cause to those of this step. `people` is what they do now, as a share of the weekly peak.
    pub fn write(&self, now: Timestamp, people: f64, causes: &mut Causes) {
        if !self.is_on(now) {
            return;
        }
        let p = self.progress(now);
        let full = p.min(1.0);
        let between = |low: f64, high: f64| low + (high - low) * self.severity;
        if let RemoteOutage = self.fault {
            causes.outside_unreachable = between(0.2, 0.7) * full;
            return;
        }
        if let DnsFailure = self.fault {
            causes.dns_seconds = 0.012 + between(1.5, 6.0) * full;
            causes.dns_failing = between(0.4, 0.95) * full;
            return;
        }
        let own = &mut causes.hosts[self.host];
        match self.fault {
            RemoteOutage | DnsFailure => {}
            SlowLmtp => own.lock_wait_seconds += 0.02 * 4_000.0_f64.powf(p.min(1.05)),
            HeapLeak => own.leak_bytes += 0.7 * HEAP_BYTES / self.span_seconds * (0.4 + 1.6 * people),
            HeapBurst => own.burst_bytes += 0.75 * HEAP_BYTES * p.min(1.05),
            DbPoolExhaustion => {
                own.database_held += (100.0 * p).min(100.0);
                own.database_slowness *= 1.0 + 12.0 * full;
            }
            LdapReplicaLag => own.replication_pace = 1.0 - between(0.7, 1.0) * full,
            SlowLdap => own.directory_slowness *= 6_000.0_f64.powf(p.min(1.1)),
            DiskFill | DiskRunaway => own.disk_fill_bytes += 0.55 * super::STORE_BYTES / self.span_seconds,
            IndexCorruption => {
                // Some indexes break at once.
                let damage = if self.severity > 0.5 { 1.0 } else { full };
                own.index_damage = damage * between(0.75, 1.0);
            }
            ImapStorm => own.imap_extra += 200.0 * full,
            ClamdStuck => own.clamd_stuck += (1.0 + (9.0 * p).floor()).min(10.0),
            CompromisedAccount => own.stolen_per_second += between(14.0, 30.0) * full,
            ProxyUpstreamLoss => own.upstream_lost = true,
            MemcachedLoss => own.memcached_down = true,
            CertificateExpiry => {}
            StorageLatency => own.storage_slowness *= 1.0 + between(10.0, 30.0) * full,
            ClockSkew => {
                own.clock_synchronised = false;
                own.clock_drift += (if self.severity > 0.5 { 300.0 } else { -300.0 }) / self.span_seconds;
            }
            NodeLoss => own.gone = true,
            BadDeploy => {
                own.version_slowness *= 1.4 + between(2.0, 6.0) * p.min(1.5);
                own.version_errors += 0.008 + between(0.05, 0.12) * p.min(1.5);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::rand_core::SeedableRng;

    #[test]
    fn the_table_is_in_the_order_of_the_faults() {
        for about in &FAULTS {
            assert_eq!(about.fault.about().name, about.name);
            assert_eq!(Fault::of_name(about.name), Some(about.fault));
            assert!(about.right.iter().all(|right| !about.wrong.contains(right)));
        }
    }

    #[test]
    fn what_is_drawn_differs_by_seed_and_only_by_seed() {
        let shape = Shape::default();
        let draw = |seed| Outbreak::draw(HeapLeak, Timestamp(0), &shape, &mut Pcg64::seed_from_u64(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1).span_seconds, draw(2).span_seconds);
        let spans: Vec<f64> = (0..50).map(|seed| draw(seed).span_seconds / HOUR).collect();
        assert!(spans.iter().all(|span| (6.0..=60.0).contains(span)), "{spans:?}");
    }
}
