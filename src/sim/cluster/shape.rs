//! How big a cluster is, where it stands, and what its hosts are called.

use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The role of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Mailbox,
    Mta,
    Proxy,
    Directory,
}

/// Sizes and places. The default is the cluster that most sites of 6,000 users run.
#[derive(Clone, Debug)]
pub struct Shape {
    pub stores: usize,
    pub mtas: usize,
    pub proxies: usize,
    /// The first is the master, the others are replicas.
    pub directories: usize,
    pub users_per_store: f64,
    /// What hosts are called after their role.
    pub domain: String,
    pub timezone: TimeZone,
    /// Local dates on which hardly anybody works.
    pub holidays: Vec<Date>,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            stores: 3,
            mtas: 2,
            proxies: 2,
            directories: 2,
            users_per_store: 2_000.0,
            domain: "mail.example".into(),
            timezone: TimeZone::UTC,
            holidays: Vec::new(),
        }
    }
}

impl Shape {
    /// Role and name of every host, in the order of all readings.
    pub fn hosts(&self) -> Vec<(Role, String)> {
        let groups = [
            (Role::Mailbox, "store", self.stores),
            (Role::Mta, "mta", self.mtas),
            (Role::Proxy, "proxy", self.proxies),
            (Role::Directory, "ldap", self.directories),
        ];
        groups
            .iter()
            .flat_map(|(role, name, count)| {
                (1..=*count).map(move |i| (*role, format!("{name}{i}.{}", self.domain)))
            })
            .collect()
    }

    pub fn users(&self) -> f64 {
        self.users_per_store * self.stores as f64
    }
}
