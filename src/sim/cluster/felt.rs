//! What users feel: the moment from which a fault hurts, in their terms and not in those of a graph.

use super::Cluster;
use super::fault::{Fault, Outbreak};
use crate::sample::Timestamp;

const DELIVERY_LATE_SECONDS: f64 = 900.0;
const OUTSIDE_LATE_SECONDS: f64 = 4.0 * 3_600.0;
/// Fewer are an accident of their own.
const LATE_MESSAGES: f64 = 20.0;
const REQUEST_SECONDS: f64 = 10.0;
const REFUSED_SHARE: f64 = 0.01;
const ERROR_SHARE: f64 = 0.05;
const REPLICA_BEHIND_SECONDS: f64 = 900.0;
const CLOCK_SECONDS: f64 = 300.0;

/// Watches for the moment from which users feel an outbreak.
#[derive(Clone, Copy, Debug, Default)]
pub struct Felt {
    /// When it was felt in the step before.
    before: Option<Timestamp>,
}

impl Felt {
    /// Looks once a step; gives the moment once it is sure. Felt once is an accident, felt twice is not.
    pub fn look(&mut self, cluster: &Cluster, outbreak: &Outbreak) -> Option<Timestamp> {
        let now = cluster.now();
        let since = self.before.take();
        self.before = cluster.hurts(outbreak).then_some(now);
        since.filter(|_| self.before.is_some())
    }
}

impl Cluster {
    /// Whether users feel this fault now.
    pub fn hurts(&self, outbreak: &Outbreak) -> bool {
        let now = self.now();
        let own = outbreak.host;
        let store = || self.store(own).map(|store| store.service).unwrap_or_default();
        let requests_late = || {
            let s = store();
            s.soap_seconds > REQUEST_SECONDS || s.imap_seconds > REQUEST_SECONDS || s.refused > REFUSED_SHARE
        };
        let delivery_late =
            || self.mtas().any(|mta| mta.inside_late(now, DELIVERY_LATE_SECONDS) > LATE_MESSAGES);
        let outside_late =
            || self.mtas().any(|mta| mta.outside_late(now, OUTSIDE_LATE_SECONDS) > LATE_MESSAGES);
        let login_late = || self.login_seconds() > REQUEST_SECONDS;
        match outbreak.fault {
            Fault::RemoteOutage => outside_late(),
            Fault::SlowLmtp | Fault::ClamdStuck => delivery_late(),
            Fault::HeapLeak | Fault::HeapBurst | Fault::DbPoolExhaustion => requests_late(),
            Fault::LdapReplicaLag => self.is_asked(own) && self.behind_seconds(own) > REPLICA_BEHIND_SECONDS,
            Fault::SlowLdap | Fault::MemcachedLoss => login_late(),
            Fault::DiskFill | Fault::DiskRunaway => {
                self.store(own).is_some_and(|store| store.machine.volumes.last().is_some_and(|v| v.is_full()))
            }
            Fault::IndexCorruption => store().search_seconds > REQUEST_SECONDS,
            Fault::ImapStorm => store().imap_refused > REFUSED_SHARE,
            Fault::CompromisedAccount => delivery_late() || self.is_blocklisted(outbreak),
            Fault::ProxyUpstreamLoss => self.proxy_error_share() > REFUSED_SHARE,
            Fault::CertificateExpiry => self.certificate_end_seconds() <= now.seconds(),
            Fault::StorageLatency => delivery_late() || requests_late(),
            Fault::ClockSkew => self.clock_offset_seconds(own).abs() > CLOCK_SECONDS,
            Fault::NodeLoss => outbreak.is_on(now),
            Fault::DnsFailure => outside_late() || login_late(),
            // The start of the new version refuses for a minute, as every start does.
            Fault::BadDeploy => {
                let is_up = self.store(own).is_some_and(|store| store.readings.is_up);
                is_up && (store().error_share > ERROR_SHARE || requests_late())
            }
        }
    }

    /// When users would begin to feel this outbreak if nobody did anything, within `horizon_seconds` of its onset: the
    /// same cluster, left alone with it.
    pub fn impact_alone(&self, outbreak: &Outbreak, horizon_seconds: f64) -> Option<Timestamp> {
        let mut alone = self.clone();
        alone.inject(outbreak.clone());
        let end = outbreak.at.plus_ms((horizon_seconds * 1000.0) as i64);
        let mut felt = Felt::default();
        while alone.now() < end {
            alone.step();
            if let Some(at) = felt.look(&alone, outbreak) {
                return Some(at);
            }
        }
        None
    }

    /// A stolen account has sent so much that others refuse mail of this host.
    fn is_blocklisted(&self, outbreak: &Outbreak) -> bool {
        let sent = self.stolen_messages();
        sent > 12_000.0 + 18_000.0 * outbreak.severity
    }
}
