//! From the readings of a cluster to what the exporters of its hosts would print: names, labels, kinds and quirks.
//!
//! `Exporters::print` walks the exporters that `Families` names, host after host, and tells a `Page` each
//! sample. A page is text as `/metrics` gives it (`TextPage`), a recording with times (`Recording`) or a batch
//! for the engine (`BatchPage`). The latter two stand where Prometheus stands: they add `instance`, `job`, the
//! entity's label and `up`. `zmstat` writes the files that Zimbra itself leaves on a host.

pub mod batch;
mod blackbox;
mod carbonio;
mod clamav;
mod columns;
mod families;
mod mysqld;
mod node;
mod openldap;
mod postfix;
mod proxy;
mod python;
mod recording;
mod servlet;
mod telegraf;
mod text;
pub mod zmstat;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use batch::BatchPage;
pub use families::{DirectoryFamily, Exporter, Families, MachineFamily, MailboxFamily, MtaFamily};
pub use recording::Recording;
pub use text::TextPage;

use crate::sample::{Timestamp, ValueKind};
use crate::sim::cluster::readings::{CpuReadings, HostReadings, Readings, ServiceReadings};

/// Type of a metric as its exporter declares it, true or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line of a Carbonio text file: no TYPE, and a space before `{`.
    Bare,
    Untyped,
    Gauge,
    Counter,
    /// Of a sample that ends in `_bucket`, `_sum` or `_count`.
    Histogram,
    /// Of a sample that ends in `_sum` or `_count`.
    Summary,
}

impl Kind {
    /// What a scraper makes of it.
    pub fn value_kind(self) -> ValueKind {
        match self {
            Kind::Bare | Kind::Untyped => ValueKind::Unknown,
            Kind::Gauge => ValueKind::Gauge,
            Kind::Counter | Kind::Histogram | Kind::Summary => ValueKind::Counter,
        }
    }

    /// The word of a TYPE line of the text format; `None` where there is no such line.
    fn word(self) -> Option<&'static str> {
        match self {
            Kind::Bare => None,
            Kind::Untyped => Some("untyped"),
            Kind::Gauge => Some("gauge"),
            Kind::Counter => Some("counter"),
            Kind::Histogram => Some("histogram"),
            Kind::Summary => Some("summary"),
        }
    }

    /// The family that a sample of this kind belongs to.
    fn family(self, name: &str) -> &str {
        let suffixes: &[&str] = match self {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Summary => &["_sum", "_count"],
            _ => &[],
        };
        suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
    }
}

/// What Prometheus would scrape: one exporter on one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub job: &'static str,
    pub port: u16,
    /// Whether it answers; if not, no sample follows.
    pub up: bool,
}

/// What takes in the samples of exporters. The samples of a family come one after the other.
pub trait Page {
    /// What follows is printed by this exporter of `host`.
    fn target(&mut self, at: Timestamp, host: &str, target: Target);

    /// `labels` as the exporter prints them, without those that a scraper adds.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], kind: Kind, value: f64);
}

/// A page that only lists what there is to scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetList(pub Vec<(String, Target)>);

impl Page for TargetList {
    fn target(&mut self, _: Timestamp, host: &str, target: Target) {
        self.0.push((host.to_owned(), target));
    }

    fn sample(&mut self, _: &str, _: &[(&str, &str)], _: Kind, _: f64) {}
}

/// All exporters of a cluster, and what they remember between two pages.
#[derive(Clone, Debug)]
pub struct Exporters {
    families: Families,
    memory: BTreeMap<String, Memory>,
}

/// What is remembered of a host.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// When the newest row of statistics was read; `None` before the first.
    extracted: Option<Timestamp>,
    cpu: CpuReadings,
    at: Option<Timestamp>,
    mailboxd_cpu_seconds: f64,
}

/// What an exporter looks at.
struct View<'r> {
    at: Timestamp,
    host: &'r HostReadings,
    families: &'r Families,
    extracted: Option<Timestamp>,
    /// Since the page before; in the first, since boot.
    cpu: CpuShares,
    /// Of 1, of all cores; 0 in the first page.
    mailboxd_cpu: f64,
}

/// Percent of the time of all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct CpuShares {
    pub user: f64,
    pub system: f64,
    pub iowait: f64,
    pub idle: f64,
    pub softirq: f64,
    pub steal: f64,
}

impl CpuShares {
    pub fn between(before: &CpuReadings, now: &CpuReadings) -> Self {
        let part = |of: fn(&CpuReadings) -> f64| (of(now) - of(before)).max(0.0);
        let parts = [
            part(|c| c.user_total),
            part(|c| c.system_total),
            part(|c| c.iowait_total),
            part(|c| c.idle_total),
            part(|c| c.softirq_total),
            part(|c| c.steal_total),
        ];
        let whole: f64 = parts.iter().sum();
        let [user, system, iowait, idle, softirq, steal] =
            parts.map(|part| if whole > 0.0 { 100.0 * part / whole } else { 0.0 });
        CpuShares { user, system, iowait, idle, softirq, steal }
    }
}

/// The sum over all cores.
pub(super) fn all_cores(cpus: &[CpuReadings]) -> CpuReadings {
    let sum = |of: fn(&CpuReadings) -> f64| cpus.iter().map(of).sum();
    CpuReadings {
        user_total: sum(|c| c.user_total),
        system_total: sum(|c| c.system_total),
        iowait_total: sum(|c| c.iowait_total),
        idle_total: sum(|c| c.idle_total),
        softirq_total: sum(|c| c.softirq_total),
        steal_total: sum(|c| c.steal_total),
    }
}

impl Exporters {
    pub fn new(families: Families) -> Self {
        Exporters { families, memory: BTreeMap::new() }
    }

    pub fn families(&self) -> &Families {
        &self.families
    }

    /// One page of every exporter of every host.
    pub fn print(&mut self, readings: &Readings, page: &mut impl Page) {
        for host in &readings.hosts {
            self.print_host(readings.at, host, page);
        }
    }

    /// One page of every exporter of one host. A host that doesn't answer has its targets, all down.
    pub fn print_host(&mut self, at: Timestamp, host: &HostReadings, page: &mut impl Page) {
        if !self.memory.contains_key(&host.name) {
            self.memory.insert(host.name.clone(), Memory::default());
        }
        let Some(memory) = self.memory.get_mut(&host.name) else { return };
        if let ServiceReadings::Mailbox(mailbox) = &host.service
            && let Some(statistics) = mailbox.statistics.as_ref().filter(|_| host.answers)
        {
            memory.extracted = Some(statistics.at);
        }
        let cores = all_cores(&host.machine.cpus);
        let mailboxd_cpu = memory.mailboxd_cpu(at, host);
        let view = View {
            at,
            host,
            families: &self.families,
            extracted: memory.extracted,
            cpu: CpuShares::between(&memory.cpu, &cores),
            mailboxd_cpu,
        };
        memory.cpu = cores;
        for exporter in self.families.exporters(&host.service) {
            let target = exporter.target(host);
            page.target(at, &host.name, target);
            if target.up {
                exporter.print(&view, page);
            }
        }
    }
}

impl Memory {
    /// The share of all cores' time that mailboxd had since the page before.
    fn mailboxd_cpu(&mut self, at: Timestamp, host: &HostReadings) -> f64 {
        let ServiceReadings::Mailbox(mailbox) = &host.service else { return 0.0 };
        let used = mailbox.process_cpu_seconds_total - self.mailboxd_cpu_seconds;
        self.mailboxd_cpu_seconds = mailbox.process_cpu_seconds_total;
        let Some(before) = self.at.replace(at) else { return 0.0 };
        let room = at.since(before) as f64 / 1e3 * host.machine.cpus.len() as f64;
        if room > 0.0 { (used / room).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl Exporter {
    /// Where Prometheus finds it, and whether it answers.
    fn target(self, host: &HostReadings) -> Target {
        let (job, port) = self.job_and_port();
        // The servlet is part of mailboxd and dies with it; any other exporter outlives what it looks at.
        let serves = match &host.service {
            ServiceReadings::Mailbox(mailbox) if self == Exporter::Servlet => mailbox.is_up,
            _ => true,
        };
        Target { job, port, up: host.answers && serves }
    }

    fn print(self, view: &View, page: &mut impl Page) {
        let host = view.host;
        match (self, &host.service) {
            (Exporter::Node, _) => node::print(view, page),
            (Exporter::Telegraf, _) => telegraf::print(view, page),
            (Exporter::PythonStats, _) => python::print_stats(view, page),
            (Exporter::PythonNew, _) => python::print_new(view, page),
            (Exporter::Textfile, ServiceReadings::Mailbox(mailbox)) => {
                carbonio::print_mailbox(mailbox, view.extracted, view.families.whole_pages, page);
            }
            (Exporter::Textfile, ServiceReadings::Mta(mta)) => carbonio::print_mta(mta, page),
            (Exporter::Servlet, ServiceReadings::Mailbox(mailbox)) => servlet::print(mailbox, view, page),
            (Exporter::Mysqld, ServiceReadings::Mailbox(mailbox)) => mysqld::print(&mailbox.database, page),
            (Exporter::MailboxLog, ServiceReadings::Mailbox(mailbox)) => {
                proxy::print_mailbox_log(mailbox, page);
            }
            (Exporter::NginxLog, ServiceReadings::Proxy(proxy)) => proxy::print_nginx_log(proxy, page),
            (Exporter::Postfix, ServiceReadings::Mta(mta)) => {
                postfix::print(mta, view.families.whole_pages, page);
            }
            (Exporter::Clamav, ServiceReadings::Mta(mta)) => clamav::print(mta, page),
            (Exporter::DnsProbe, ServiceReadings::Mta(mta)) => blackbox::print_dns(mta, page),
            (Exporter::Nginx, ServiceReadings::Proxy(proxy)) => proxy::print_nginx(proxy, page),
            (Exporter::Memcached, ServiceReadings::Proxy(proxy)) => proxy::print_memcached(proxy, page),
            (Exporter::HttpProbe, ServiceReadings::Proxy(proxy)) => blackbox::print_http(proxy, page),
            (Exporter::Openldap, ServiceReadings::Directory(directory)) => openldap::print(directory, page),
            // `Families::exporters` names no other.
            _ => {}
        }
    }
}

/// 1 for true.
fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}
