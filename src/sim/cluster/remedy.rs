//! What a remedy does to the cluster: it takes its time, ends the cause that it is for, and costs what it costs.
//!
//! A wrong one does what it does in life: a store restarted on slow storage comes back cold and later, mail that is
//! flushed towards nobody blocks what could be delivered, more threads at a lock wait for the same lock.

use super::causes::Causes;
use super::fault::Fault;
use super::{Cluster, Service};
use crate::sample::Timestamp;

/// What came of asking for a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It ends a fault, once it is through.
    Cures(Fault),
    /// It does no good and no lasting harm.
    Vain,
    /// It makes a fault worse.
    Worsens(Fault),
    /// There is no such remedy, or no such host.
    Unknown,
}

/// A remedy under way.
#[derive(Clone, Debug)]
pub(super) struct Undertaking {
    host: usize,
    from: Timestamp,
    until: Timestamp,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// The service is down meanwhile, and starts anew at the end.
    Restart,
    ScannerDown,
    Flush,
    /// Takes CPU and disk meanwhile.
    Reindex,
}

/// Every remedy that the cluster knows.
pub const REMEDIES: [&str; 22] = [
    "restart_mailboxd",
    "rolling_restart_mailboxd",
    "kill_slow_query",
    "restart_ldap_replica",
    "switch_ldap",
    "purge_logs",
    "hsm_move",
    "grow_volume",
    "reindex",
    "block_client",
    "raise_limit",
    "restart_clamd_then_amavis",
    "flush_queue",
    "hold_and_lock_account",
    "restart_mta",
    "restart_memcached",
    "restart_proxy",
    "renew_certificate",
    "drain_store",
    "step_clock",
    "replace_node",
    "roll_back",
];

impl Cluster {
    /// Asks for a remedy on a host, by its name.
    pub fn remedy(&mut self, remedy: &str, host: &str) -> Effect {
        let Some(place) = self.names.iter().position(|name| name == host) else { return Effect::Unknown };
        if !REMEDIES.contains(&remedy) {
            return Effect::Unknown;
        }
        let delay_seconds = self.perform(remedy, place);
        self.judge(remedy, place, delay_seconds)
    }

    /// Does what the remedy does whatever is wrong; gives how long it takes.
    fn perform(&mut self, remedy: &str, place: usize) -> f64 {
        match remedy {
            "restart_mailboxd" | "rolling_restart_mailboxd" | "roll_back" => {
                // Recovery reads and writes the disk: on a slow one it takes longer.
                let slow = self.causes.hosts[place].storage_slowness.sqrt();
                self.begin(place, 75.0 * slow, What::Restart)
            }
            "restart_ldap_replica" => self.begin(place, 30.0, What::Restart),
            "restart_mta" => self.begin(place, 20.0, What::Restart),
            "restart_proxy" => self.begin(place, 10.0, What::Restart),
            "restart_clamd_then_amavis" => self.begin(place, 40.0, What::ScannerDown),
            "flush_queue" => self.begin(place, 5.0, What::Flush),
            "reindex" => self.begin(place, 1_200.0, What::Reindex),
            "purge_logs" => self.free(place, 0.06),
            "hsm_move" => self.free(place, 0.25),
            "grow_volume" => {
                if let Some(volume) = self.machine_mut(place).volumes.last_mut() {
                    volume.size_bytes *= 1.5;
                    volume.files *= 1.5;
                }
                60.0
            }
            "switch_ldap" => {
                self.replicas_avoided = true;
                30.0
            }
            "raise_limit" => {
                self.imap_limit[place] *= 2.0;
                self.lmtp_threads[place] *= 2.0;
                5.0
            }
            "renew_certificate" => {
                self.certificate_end_seconds = (self.now.seconds() + 90.0 * 86_400.0).floor();
                30.0
            }
            "drain_store" => {
                self.load[place] = 0.02;
                60.0
            }
            "step_clock" => {
                self.machine_mut(place).clock_offset_seconds = 0.0;
                5.0
            }
            "hold_and_lock_account" => {
                if let Service::Mta(mta) = &mut self.services[place] {
                    mta.drop_stolen();
                }
                15.0
            }
            "replace_node" => 600.0,
            _ => 10.0,
        }
    }

    /// Ends the faults that the remedy is right for, here; says the worst that it does.
    fn judge(&mut self, remedy: &str, place: usize, delay_seconds: f64) -> Effect {
        let ends_at = self.now.plus_ms((delay_seconds * 1000.0) as i64);
        let now = self.now;
        let mut effect = Effect::Vain;
        for outbreak in self.outbreaks.iter_mut().filter(|o| o.is_on(now)) {
            let about = outbreak.fault.about();
            // What comes from outside ends by itself; the site as a whole has one directory.
            let is_here = outbreak.host == place
                || matches!(outbreak.fault, Fault::RemoteOutage | Fault::DnsFailure | Fault::MemcachedLoss)
                || remedy == "switch_ldap"
                || remedy == "renew_certificate"
                || remedy == "restart_proxy";
            if about.wrong.contains(&remedy) && is_here {
                effect = Effect::Worsens(outbreak.fault);
            } else if about.right.contains(&remedy) && is_here && outbreak.fault != Fault::RemoteOutage {
                outbreak.ended_at = Some(outbreak.ended_at.unwrap_or(ends_at));
                effect = Effect::Cures(outbreak.fault);
            }
        }
        effect
    }

    fn begin(&mut self, host: usize, seconds: f64, what: What) -> f64 {
        let until = self.now.plus_ms((seconds * 1000.0) as i64);
        self.undertakings.push(Undertaking { host, from: self.now, until, what });
        seconds
    }

    fn free(&mut self, place: usize, share: f64) -> f64 {
        if let Some(volume) = self.machine_mut(place).volumes.last_mut() {
            volume.add(-share * volume.size_bytes);
        }
        120.0
    }

    /// Writes what remedies under way do to this step, and gives the hosts whose service starts anew.
    pub(super) fn undertake(&mut self, before: Timestamp, causes: &mut Causes, restarts: &mut Vec<usize>) {
        for undertaking in &self.undertakings {
            let own = &mut causes.hosts[undertaking.host];
            match undertaking.what {
                What::Restart => {
                    own.stopped = true;
                    if undertaking.from >= before {
                        restarts.push(undertaking.host);
                    }
                }
                What::ScannerDown => own.scanner_down = true,
                What::Flush => causes.flush = true,
                What::Reindex => own.storage_job += 0.2,
            }
        }
        let now = self.now;
        self.undertakings.retain(|undertaking| undertaking.until > now);
        // A machine that comes back has booted.
        let back: Vec<usize> = (self.outbreaks.iter())
            .filter(|o| o.fault == Fault::NodeLoss && o.ended_at.is_some_and(|at| at > before && at <= now))
            .map(|o| o.host)
            .collect();
        for host in back {
            self.machine_mut(host).reboot(now);
            restarts.push(host);
        }
    }
}
