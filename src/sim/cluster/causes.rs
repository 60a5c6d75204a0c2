//! What is wrong at one step, as causes and never as curves: a device is slow, a thread hangs, a name is not found.
//!
//! Faults, benign events and remedies write here; the model reads it and does what it must.

/// What is different on one host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostCauses {
    /// The machine is gone, or on its way up.
    pub gone: bool,
    /// Its service does not run: it restarts, or was stopped.
    pub stopped: bool,
    /// It runs, and its exporters do not answer.
    pub unseen: bool,
    /// Times that the storage device takes for a request.
    pub storage_slowness: f64,
    /// Share of the device that something takes beside the mail.
    pub storage_job: f64,
    /// Bytes a second that fill the volume beside the mail.
    pub disk_fill_bytes: f64,
    /// Bytes a second that the heap holds for ever.
    pub leak_bytes: f64,
    /// Bytes that one client makes the heap hold.
    pub burst_bytes: f64,
    /// Database connections that a long query holds, and how many times slower it makes the others.
    pub database_held: f64,
    pub database_slowness: f64,
    /// Seconds that a delivery waits for the lock of a mailbox.
    pub lock_wait_seconds: f64,
    /// Times that a request of a new version costs, and the share that fails.
    pub version_slowness: f64,
    pub version_errors: f64,
    /// 0 a sound index, 1 one of which everything must be read again.
    pub index_damage: f64,
    /// Connections that one client holds.
    pub imap_extra: f64,
    /// The limit of IMAP connections, times its default.
    pub imap_limit: f64,
    /// Threads of LMTP, times their default.
    pub lmtp_threads: f64,
    /// Threads of clamd that never come back.
    pub clamd_stuck: f64,
    /// clamd loads its signatures, or amavis restarts.
    pub scanner_down: bool,
    /// Messages a second that a stolen account sends.
    pub stolen_per_second: f64,
    /// Service time of a directory server, times the usual.
    pub directory_slowness: f64,
    /// Pace of replication: 1 keeps up, 0 stands still.
    pub replication_pace: f64,
    /// Nothing reaches this store through the proxies.
    pub upstream_lost: bool,
    pub memcached_down: bool,
    /// Seconds that the clock gains in a second.
    pub clock_drift: f64,
    pub clock_synchronised: bool,
}

impl Default for HostCauses {
    fn default() -> Self {
        HostCauses {
            gone: false,
            stopped: false,
            unseen: false,
            storage_slowness: 1.0,
            storage_job: 0.0,
            disk_fill_bytes: 0.0,
            leak_bytes: 0.0,
            burst_bytes: 0.0,
            database_held: 0.0,
            database_slowness: 1.0,
            lock_wait_seconds: 0.0,
            version_slowness: 1.0,
            version_errors: 0.0,
            index_damage: 0.0,
            imap_extra: 0.0,
            imap_limit: 1.0,
            lmtp_threads: 1.0,
            clamd_stuck: 0.0,
            scanner_down: false,
            stolen_per_second: 0.0,
            directory_slowness: 1.0,
            replication_pace: 1.0,
            upstream_lost: false,
            memcached_down: false,
            clock_drift: 0.0,
            clock_synchronised: true,
        }
    }
}

impl HostCauses {
    /// Whether the service of the host answers.
    pub fn serves(&self) -> bool {
        !self.gone && !self.stopped
    }
}

/// What is different for all hosts, and on each.
#[derive(Clone, Debug, PartialEq)]
pub struct Causes {
    /// Share of the outside that takes no mail.
    pub outside_unreachable: f64,
    /// Time of a look-up of a name, and the share of look-ups that fail.
    pub dns_seconds: f64,
    pub dns_failing: f64,
    /// Mail that comes in, and that people send, times the usual.
    pub mail_in: f64,
    pub mail_out: f64,
    /// The stores ask no replica.
    pub replicas_avoided: bool,
    /// All deferred mail is tried again now.
    pub flush: bool,
    pub hosts: Vec<HostCauses>,
}

impl Causes {
    /// Nothing is wrong.
    pub fn none(hosts: usize) -> Self {
        Causes {
            outside_unreachable: 0.0,
            dns_seconds: 0.012,
            dns_failing: 0.0,
            mail_in: 1.0,
            mail_out: 1.0,
            replicas_avoided: false,
            flush: false,
            hosts: vec![HostCauses::default(); hosts],
        }
    }
}
