//! What really happened in a recording: faults with their onset and impact, and events that are none.
//!
//! One JSON file beside a recording, `truth.json`, whoever made it:
//!
//! ```json
//! {"faults": [{"fault": "clamd_stuck", "host": "mta1.mail.example", "hosts": ["mta1.mail.example"],
//!              "onset": "2026-03-02T10:00:00Z", "first_change": "2026-03-02T10:00:05Z",
//!              "impact": "2026-03-02T10:31:00Z", "has_lead": true,
//!              "right": ["restart_clamd_then_amavis"], "wrong": []}],
//!  "benign": [{"event": "newsletter", "host": null, "from": "…", "until": "…"}]}
//! ```

use serde::{Deserialize, Serialize};

use crate::sample::Timestamp;
use crate::sim::cluster::{Benign, BenignKind, Cluster, Fault, Outbreak, Role};

/// Its name.
pub const TRUTH_FILE: &str = "truth.json";

/// All that is known of a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    pub faults: Vec<FaultTruth>,
    #[serde(default)]
    pub benign: Vec<BenignTruth>,
}

/// A fault that was there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultTruth {
    /// Its name in the packs.
    pub fault: String,
    /// Where it began.
    pub host: String,
    /// Where it shows: an incident on any of these may be of it.
    #[serde(default)]
    pub hosts: Vec<String>,
    pub onset: Timestamp,
    /// When what the exporters print was first other than without it; `None` where that is not known.
    #[serde(default)]
    pub first_change: Option<Timestamp>,
    /// When users felt it; `None` where they never did.
    pub impact: Option<Timestamp>,
    /// Whether it shows before users feel it, by its nature.
    #[serde(default = "yes")]
    pub has_lead: bool,
    /// Remedies that heal it, and those that make it worse.
    #[serde(default)]
    pub right: Vec<String>,
    #[serde(default)]
    pub wrong: Vec<String>,
}

fn yes() -> bool {
    true
}

/// Something that looks odd and is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenignTruth {
    pub event: String,
    pub host: Option<String>,
    pub from: Timestamp,
    pub until: Timestamp,
}

impl FaultTruth {
    /// Of an outbreak in a simulated cluster; first change and impact are for who watches to fill
    /// in.
    pub fn of(outbreak: &Outbreak, cluster: &Cluster) -> Self {
        let about = outbreak.fault.about();
        let names = cluster.names();
        let of_role = |role: Role| {
            let hosts = cluster.shape().hosts();
            hosts.into_iter().filter(move |(r, _)| *r == role).map(|(_, name)| name)
        };
        let host = names[outbreak.host].clone();
        let mut hosts = vec![host.clone()];
        match outbreak.fault {
            Fault::RemoteOutage | Fault::DnsFailure => hosts.extend(of_role(Role::Mta)),
            Fault::CertificateExpiry => hosts.extend(of_role(Role::Proxy)),
            Fault::LdapReplicaLag | Fault::ClockSkew => hosts.extend(of_role(Role::Directory)),
            Fault::SlowLdap | Fault::MemcachedLoss => hosts.extend(of_role(Role::Mailbox)),
            Fault::ProxyUpstreamLoss => hosts.extend(of_role(Role::Proxy)),
            Fault::SlowLmtp | Fault::StorageLatency | Fault::DiskFill | Fault::DiskRunaway => {
                hosts.extend(of_role(Role::Mta));
            }
            _ => {}
        }
        hosts.sort();
        hosts.dedup();
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        FaultTruth {
            fault: about.name.to_owned(),
            host,
            hosts,
            onset: outbreak.at,
            first_change: None,
            impact: None,
            has_lead: about.has_lead,
            right: list(about.right),
            wrong: list(about.wrong),
        }
    }
}

impl BenignTruth {
    pub fn of(event: &Benign, cluster: &Cluster) -> Self {
        let host = (event.kind != BenignKind::Newsletter).then(|| cluster.names()[event.host].clone());
        BenignTruth { event: event.kind.name().to_owned(), host, from: event.from, until: event.until }
    }
}
