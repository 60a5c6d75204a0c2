//! The operator's one file, as validated types: what reaches the rest of the program can be used as it is.
//!
//! `yaml` keeps where each key stood, `read` walks the sections and `scalar` their values; `collectors`,
//! `zmstat`,
//! `sinks`, `packs`, `service_levels` and `limits` hold a section each; `secret` resolves `${NAME}` and `*_file`. Every
//! problem is collected, with its place and a mend, before anything is refused.

mod collectors;
pub mod file;
pub mod limits;
mod load;
mod maintenance;
mod packs;
pub mod problem;
mod read;
mod scalar;
mod secret;
mod service_levels;
mod sinks;
mod warn;
mod yaml;
mod zmstat;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::detect::Detectors;
use crate::engine::Maintenance;
use crate::incident::event::{Mode, Severity};
use crate::predict::pack::Pack;
use crate::predict::service_levels::ServiceLevels;

pub use collectors::is_host_port;
pub use packs::read_pack;
pub use problem::{Problem, Problems};

#[derive(Clone, Debug)]
pub struct Config {
    /// Names this installation in incidents and alerts.
    pub site: String,
    pub timezone: jiff::tz::TimeZone,
    /// Days without the usual load, local dates.
    pub holidays: Vec<jiff::civil::Date>,
    /// When nothing is learnt of some entities, or of all, and nobody told.
    pub maintenance: Vec<Maintenance>,
    /// Loopback unless told otherwise; a public one needs `auth`.
    pub listen: SocketAddr,
    pub auth: Option<BearerToken>,
    pub data_dir: PathBuf,
    /// The grid of ticks, 1 to 3600; default 15.
    pub step_seconds: u32,
    /// The first of these labels that a series has names its entity; the port is cut off.
    pub entity_labels: Vec<String>,
    pub scrapes: Vec<ScrapeJob>,
    pub remote_write: Option<RemoteWrite>,
    pub prometheus: Vec<PrometheusPull>,
    pub kafka: Vec<KafkaSource>,
    pub zmstat: Vec<Zmstat>,
    pub packs: Vec<Pack>,
    /// What users were promised, where it is not what the packs say.
    pub service_levels: ServiceLevels,
    /// Which detectors speak; all unless told otherwise.
    pub detectors: Detectors,
    pub budget: Budget,
    pub acting: Acting,
    pub remedies: Vec<RemedyRoute>,
    pub sinks: Vec<SinkConfig>,
    /// Hosts (name, `*.suffix`, or CIDR, each with an optional port) that sinks may reach; empty allows just the sinks' own URLs.
    pub egress_allow: Vec<String>,
    pub limits: Limits,
}

#[derive(Clone, Debug)]
pub struct BearerToken(pub SecretString);

/// False alarms that the operator can live with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    pub pages_per_week: f64,
    pub tickets_per_week: f64,
}

/// Credentials towards a server.
#[derive(Clone, Debug)]
pub enum HttpAuth {
    None,
    Basic { user: String, password: SecretString },
    Bearer(SecretString),
}

#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM; adds to the system's roots.
    pub ca_file: Option<PathBuf>,
    /// PEM certificate chain and key, for mutual TLS.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub insecure_skip_verify: bool,
}

/// Static targets and file_sd lists scraped in one way.
#[derive(Clone, Debug)]
pub struct ScrapeJob {
    /// Value of the label `job`.
    pub name: String,
    /// `host:port`.
    pub targets: Vec<String>,
    /// Paths of file_sd lists, JSON or YAML; `*` in the last component.
    pub file_sd: Vec<PathBuf>,
    pub scheme: Scheme,
    pub metrics_path: String,
    pub interval: Duration,
    pub timeout: Duration,
    pub auth: HttpAuth,
    pub tls: Tls,
    /// Added to every series of the job.
    pub labels: BTreeMap<String, String>,
    /// A series is kept where its metric name matches `keep` (if set) and not `drop`; both are anchored.
    pub keep: Option<regex::Regex>,
    pub drop: Option<regex::Regex>,
    pub honor_timestamps: bool,
    pub body_bytes_max: usize,
    pub samples_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// The receiver at `/api/v1/write`.
#[derive(Clone, Debug)]
pub struct RemoteWrite {
    pub lateness: Duration,
    pub body_bytes_max: usize,
    pub decompressed_bytes_max: usize,
}

/// A Prometheus whose history warms the detectors, and whose tail may be a live source.
#[derive(Clone, Debug)]
pub struct PrometheusPull {
    pub url: Url,
    pub auth: HttpAuth,
    pub tls: Tls,
    /// Instant-vector selectors; the series of all together are pulled.
    pub selectors: Vec<String>,
    /// History read on first start; zero reads none.
    pub backfill: Duration,
    /// Resolution of both history and tail.
    pub step: Duration,
    /// `Some(lag)`: go on pulling, this far behind the clock.
    pub tail_lag: Option<Duration>,
    pub timeout: Duration,
    pub body_bytes_max: usize,
}

#[derive(Clone, Debug)]
pub struct KafkaSource {
    pub brokers: Vec<String>,
    pub topics: Vec<String>,
    pub group: String,
    pub format: KafkaFormat,
    /// What one unit of telegraf_json's `timestamp` is.
    pub timestamp_unit: Duration,
    pub lateness: Duration,
    /// librdkafka properties passed through: SASL, TLS, tuning.
    pub properties: BTreeMap<String, SecretString>,
    pub message_bytes_max: usize,
    /// Poison messages kept, in bytes of file.
    pub dead_letter_bytes_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaFormat {
    TelegrafJson,
    RemoteWrite,
}

/// A directory of Zimbra's own statistics, and whose they are.
#[derive(Clone, Debug)]
pub struct Zmstat {
    pub directory: PathBuf,
    /// Value of the label `host`.
    pub host: String,
    /// In which the rows tell their times.
    pub timezone: jiff::tz::TimeZone,
    /// History read on first start; zero reads none.
    pub backfill: Duration,
    /// From the time of a row until it can be read.
    pub lateness: Duration,
    pub line_bytes_max: usize,
    /// Of one file of the past, after unpacking.
    pub file_bytes_max: u64,
}

/// How far Foreshock may go by itself.
#[derive(Clone, Debug)]
pub struct Acting {
    pub mode: Mode,
    /// Actions an hour, over all targets.
    pub actions_per_hour_max: u32,
    /// Between two actions on one target.
    pub cooldown: Duration,
}

/// Which sink performs a remedy.
#[derive(Clone, Debug)]
pub struct RemedyRoute {
    /// Slug of the remedy, or `*`.
    pub remedy: String,
    /// Name of a webhook sink.
    pub sink: String,
    /// In place of `acting.cooldown`.
    pub cooldown: Option<Duration>,
    /// In place of `acting.mode`; can only be more careful.
    pub mode: Option<Mode>,
}

#[derive(Clone, Debug)]
pub struct SinkConfig {
    pub name: String,
    pub kind: SinkKind,
    /// Events below this severity do not go to the sink.
    pub severity_min: Severity,
}

#[derive(Clone, Debug)]
pub enum SinkKind {
    Webhook {
        url: Url,
        /// `whsec_…`, newest first; all sign while a secret rotates.
        secrets: Vec<SecretString>,
        headers: BTreeMap<String, SecretString>,
        /// minijinja source of the body; without it the event as JSON.
        body_template: Option<String>,
        /// minijinja sources of headers.
        header_templates: BTreeMap<String, String>,
        timeout: Duration,
        /// Whether incident events go there too, and not only the remedies routed to it.
        incidents: bool,
    },
    Grafana {
        url: Url,
        token: SecretString,
        dashboard_uid: Option<String>,
        panel_id: Option<u64>,
        timeout: Duration,
    },
    Alertmanager {
        url: Url,
        auth: HttpAuth,
        resend: Duration,
        runbook_url: Option<String>,
        /// Where people find this Foreshock, for the alert's link back.
        external_url: Option<Url>,
        timeout: Duration,
    },
}

/// Every bound, with a finite default.
#[derive(Clone, Debug)]
pub struct Limits {
    pub series_max: usize,
    pub label_bytes_max: usize,
    pub labels_max: usize,
    /// Batches waiting for the engine.
    pub queue_batches_max: usize,
    /// Memory of remote-write batches waiting for the engine.
    pub queue_bytes_max: usize,
    pub open_incidents_max: usize,
    /// Notices, and apart from them remedies, that may wait for one sink.
    pub outbox_records_max: usize,
    pub snapshot_interval: Duration,
    /// Days that closed incidents are kept.
    pub retention: Duration,
    pub shards: usize,
}
