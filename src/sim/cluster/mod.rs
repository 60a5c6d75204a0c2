//! The simulated Zimbra cluster: mailbox stores, MTAs, proxies and directory servers that depend on each other.
//!
//! Simulated, and named so wherever its output shows. A causal model: people and spam bring load (`calendar`), stores,
//! MTAs, proxies and directories answer as queues and servers do, and machines are used by them. A fault (`fault`), a
//! harmless event (`benign`) or a remedy (`remedy`) changes causes (`causes`) and never a curve; what follows, and what
//! of it users feel (`felt`), is the model's. `readings` is what instruments would show.
//!
//! Seeded and deterministic: equal shapes, seeds and calls give equal clusters.

mod benign;
mod calendar;
mod causes;
mod database;
mod directory;
mod fault;
mod felt;
mod fifo;
mod heap;
mod machine;
mod minute;
mod mta;
mod proxy;
pub mod readings;
mod remedy;
mod scanner;
mod shape;
mod storage;
mod store;
#[cfg(test)]
mod tests;

pub use benign::{Benign, Benigns, Kind as BenignKind};
pub use fault::{About, FAULTS, Fault, Outbreak, uniform};
pub use felt::Felt;
pub use heap::HEAP_BYTES;
pub use remedy::Effect;
pub use shape::{Role, Shape};

use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

use crate::sample::Timestamp;
use crate::sim::load::normal;
use causes::Causes;
use directory::{Asked, Directory};
use machine::Machine;
use mta::{MESSAGE_BYTES, Mail, Mta};
use proxy::{Proxy, Upstream};
use readings::{HostReadings, Readings, ServiceReadings};
use remedy::Undertaking;
use storage::Volume;
use store::{Reach, Store};

/// Time that one call of `step` moves the cluster on.
pub const STEP_SECONDS: f64 = 5.0;
/// The volume of a store.
const STORE_BYTES: f64 = 2e12;

/// At the weekly peak, a second and user: mail from outside, and mail that is sent; spam does not sleep.
const INBOUND_PER_USER: f64 = 0.00055;
const SUBMITTED_PER_USER: f64 = 0.0002;
const SPAM_PER_USER: f64 = 0.0009;
const ROUTES_PER_USER: f64 = 0.0006;

/// The load's deviation from its usual course: its size in logs, and the time in which it is forgotten.
const WEATHER: [(f64, f64); 2] = [(0.05, 86_400.0), (0.05, 3_600.0)];

#[derive(Clone, Debug)]
enum Service {
    Mailbox(Box<Store>),
    Mta(Box<Mta>),
    Proxy(Box<Proxy>),
    Directory(Box<Directory>),
}

/// All hosts, what is wrong with them, and what is being done about it.
#[derive(Clone, Debug)]
pub struct Cluster {
    shape: Shape,
    names: Vec<String>,
    services: Vec<Service>,
    now: Timestamp,
    random: Pcg64,
    weather: [f64; 2],
    causes: Causes,
    benigns: Option<Benigns>,
    outbreaks: Vec<Outbreak>,
    undertakings: Vec<Undertaking>,
    certificate_end_seconds: f64,
    replicas_avoided: bool,
    /// Of each host: share of its load, limits that were raised, and the version's cost.
    load: Vec<f64>,
    imap_limit: Vec<f64>,
    lmtp_threads: Vec<f64>,
    version_cost: Vec<f64>,
    stolen_messages: f64,
}

impl Cluster {
    /// A cluster in good order, in the middle of its life.
    pub fn new(shape: Shape, seed: u64, start: Timestamp) -> Self {
        let hosts = shape.hosts();
        let services = hosts.iter().enumerate().map(|(place, (role, _))| {
            let stream = |n: u64| Pcg64::seed_from_u64(seed ^ ((place as u64 + 1) << 32) ^ (n << 16));
            let machine = |cpus, memory: f64, data: Volume| {
                let root = Volume::new("/", 40e9, 0.35);
                Machine::new(cpus, memory, vec![root, data], start, stream(1))
            };
            match role {
                Role::Mailbox => {
                    let data = Volume::new("/opt/zimbra", STORE_BYTES, 0.42 + 0.01 * place as f64);
                    Service::Mailbox(Box::new(Store::new(
                        shape.users_per_store,
                        machine(8, 32e9, data),
                        stream(2),
                    )))
                }
                Role::Mta => {
                    let data = Volume::new("/opt/zimbra", 200e9, 0.2);
                    Service::Mta(Box::new(Mta::new(shape.stores, machine(4, 16e9, data), start, stream(2))))
                }
                Role::Proxy => {
                    let data = Volume::new("/opt/zimbra", 60e9, 0.2);
                    Service::Proxy(Box::new(Proxy::new(machine(4, 8e9, data), stream(2))))
                }
                Role::Directory => {
                    let data = Volume::new("/opt/zimbra", 60e9, 0.25);
                    let is_master =
                        place == hosts.iter().position(|(r, _)| *r == Role::Directory).unwrap_or(place);
                    Service::Directory(Box::new(Directory::new(is_master, machine(4, 8e9, data), stream(2))))
                }
            }
        });
        let services = services.collect();
        let count = hosts.len();
        Cluster {
            names: hosts.into_iter().map(|(_, name)| name).collect(),
            services,
            now: start,
            random: Pcg64::seed_from_u64(seed),
            weather: [0.0; 2],
            causes: Causes::none(count),
            benigns: None,
            outbreaks: Vec::new(),
            undertakings: Vec::new(),
            certificate_end_seconds: (start.seconds() + 80.0 * 86_400.0).floor(),
            replicas_avoided: false,
            load: vec![1.0; count],
            imap_limit: vec![1.0; count],
            lmtp_threads: vec![1.0; count],
            version_cost: vec![1.0; count],
            stolen_messages: 0.0,
            shape,
        }
    }

    /// With harmless events drawn from a seed.
    pub fn with_benign(mut self, seed: u64) -> Self {
        self.benigns = Some(Benigns::new(seed));
        self
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The hosts' names, in the order of all readings.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Harmless events of today and yesterday.
    pub fn benign_near(&self) -> &[Benign] {
        self.benigns.as_ref().map_or(&[], |benigns| &benigns.near)
    }

    pub fn outbreaks(&self) -> &[Outbreak] {
        &self.outbreaks
    }

    /// Lets a fault begin at its time.
    pub fn inject(&mut self, outbreak: Outbreak) {
        self.outbreaks.push(outbreak);
    }

    /// Ends what of this fault goes on, as what comes from outside does by itself.
    pub fn end(&mut self, fault: Fault) {
        let now = self.now;
        for outbreak in self.outbreaks.iter_mut().filter(|o| o.fault == fault && o.is_on(now)) {
            outbreak.ended_at = Some(now);
        }
    }

    /// A copy to which one fault does not come.
    pub fn without(&self, outbreak: &Outbreak) -> Cluster {
        let mut without = self.clone();
        let key = |outbreak: &Outbreak| (outbreak.fault, outbreak.host, outbreak.at);
        without.outbreaks.retain(|other| key(other) != key(outbreak));
        without
    }

    /// Moves the cluster on by `STEP_SECONDS`.
    pub fn step(&mut self) {
        let before = self.now;
        self.now = before.plus_ms((STEP_SECONDS * 1000.0) as i64);
        let people = self.people();
        self.gather_causes(before, people);
        let jobs = calendar::jobs(self.now, STEP_SECONDS, &self.shape);
        self.step_directories(people);
        self.step_stores(people, &jobs);
        self.step_mtas(people, &jobs);
        self.step_proxies(people);
    }

    fn people(&mut self) -> f64 {
        let mut log = 0.0;
        for (drift, (size, memory)) in self.weather.iter_mut().zip(WEATHER) {
            let keep = (-STEP_SECONDS / memory).exp();
            *drift = *drift * keep + normal(size * (1.0 - keep * keep).sqrt(), &mut self.random);
            log += *drift;
        }
        calendar::people(self.now, &self.shape) * log.exp()
    }

    /// What is wrong in this step, and what begins or ends in it.
    fn gather_causes(&mut self, before: Timestamp, people: f64) {
        let mut causes = Causes::none(self.services.len());
        causes.replicas_avoided = self.replicas_avoided;
        for (place, own) in causes.hosts.iter_mut().enumerate() {
            own.imap_limit = self.imap_limit[place];
            own.lmtp_threads = self.lmtp_threads[place];
            own.version_slowness = self.version_cost[place];
        }
        let mut restarts = Vec::new();
        if let Some(benigns) = &mut self.benigns {
            benigns.write(self.now, &self.shape, &mut causes);
            for event in benigns.restarts_between(before, self.now) {
                if event.kind == BenignKind::GoodDeploy {
                    self.version_cost[event.host] *= 0.9;
                }
                restarts.push(event.host);
            }
        }
        for outbreak in &self.outbreaks {
            outbreak.write(self.now, people, &mut causes);
            let begins = outbreak.at >= before && outbreak.at < self.now;
            if outbreak.fault == Fault::CertificateExpiry && begins {
                // An old certificate was put back.
                self.certificate_end_seconds = (outbreak.at.seconds() + outbreak.span_seconds).floor();
            }
            if outbreak.deploys_between(before, self.now) {
                restarts.push(outbreak.host);
            }
            if outbreak.fault == Fault::CompromisedAccount {
                self.stolen_messages += causes.hosts[outbreak.host].stolen_per_second * STEP_SECONDS;
            }
        }
        self.undertake(before, &mut causes, &mut restarts);
        for host in restarts {
            self.restart(host);
        }
        self.causes = causes;
    }

    /// Starts a host's service anew.
    fn restart(&mut self, host: usize) {
        match &mut self.services[host] {
            Service::Mailbox(store) => store.restart(),
            Service::Mta(mta) => mta.restart(),
            Service::Proxy(proxy) => proxy.restart(),
            Service::Directory(directory) => directory.restart(),
        }
    }

    /// The directory that is asked: the first replica that serves, else the master.
    fn asked(&self) -> Option<usize> {
        let places = || {
            self.services.iter().enumerate().filter_map(|(place, service)| match service {
                Service::Directory(directory) => Some((place, directory)),
                _ => None,
            })
        };
        let serves = |place: usize| self.causes.hosts[place].serves();
        let replica =
            places().find(|(place, d)| !d.readings.is_master && serves(*place)).map(|(place, _)| place);
        let master =
            places().find(|(place, d)| d.readings.is_master && serves(*place)).map(|(place, _)| place);
        if self.causes.replicas_avoided { master.or(replica) } else { replica.or(master) }
    }

    fn directory_seconds(&self) -> f64 {
        let asked = self.asked().and_then(|place| match &self.services[place] {
            Service::Directory(directory) => Some(directory.seconds),
            _ => None,
        });
        // Most connections stand already; where nobody answers clients wait in vain.
        asked.unwrap_or(60.0) + 0.1 * (self.causes.dns_seconds - 0.012).max(0.0)
    }

    fn step_directories(&mut self, people: f64) {
        let asked = self.asked();
        let of_stores: f64 = self.stores().map(|store| store.service.directory_lookups).sum();
        let of_mtas = self.shape.users() * (INBOUND_PER_USER * people + SPAM_PER_USER) * 1.5;
        let master_change_seconds = self
            .services
            .iter()
            .find_map(|service| match service {
                Service::Directory(d) if d.readings.is_master => Some(d.readings.change_seconds),
                _ => None,
            })
            .unwrap_or(0.0);
        for (place, service) in self.services.iter_mut().enumerate() {
            let Service::Directory(directory) = service else { continue };
            let share = if Some(place) == asked { 0.95 } else { 0.05 };
            let asked = Asked {
                searches_per_second: share * (of_stores + of_mtas) + 0.3,
                people,
                master_change_seconds,
                connections: 8.0 + 40.0 * share,
            };
            directory.step(self.now, &asked, &self.causes.hosts[place], STEP_SECONDS);
        }
    }

    fn step_stores(&mut self, people: f64, jobs: &calendar::Jobs) {
        let delivered: Vec<f64> = (0..self.shape.stores)
            .map(|store| self.mtas().map(|mta| mta.delivered[store]).sum::<f64>())
            .collect();
        let offered: f64 = self.shape.users() * INBOUND_PER_USER * people / self.shape.stores as f64;
        let routes = self.shape.users() * ROUTES_PER_USER * (0.05 + people);
        let missed: f64 = self
            .services
            .iter()
            .zip(&self.causes.hosts)
            .filter_map(|(service, own)| match service {
                Service::Proxy(proxy) => Some(proxy.missed_lookups(routes, own) / self.shape.proxies as f64),
                _ => None,
            })
            .sum();
        let directory_seconds = self.directory_seconds();
        let mut store_number = 0;
        for (place, service) in self.services.iter_mut().enumerate() {
            let Service::Mailbox(store) = service else { continue };
            let own = &self.causes.hosts[place];
            let done = delivered[store_number];
            let reach = Reach {
                people: people * self.load[place],
                delivered: done,
                delivered_bytes: done * MESSAGE_BYTES,
                offered_per_second: offered.max(done / STEP_SECONDS),
                route_lookups: missed / self.shape.stores as f64,
                directory_seconds,
                dns_seconds: self.causes.dns_seconds,
                quota_lookups: jobs.quota_lookups,
                database_job: jobs.database,
                backup: jobs.backup,
                rotates: jobs.rotates,
            };
            store.step(self.now, &reach, own, STEP_SECONDS);
            store_number += 1;
        }
    }

    fn step_mtas(&mut self, people: f64, jobs: &calendar::Jobs) {
        let users = self.shape.users();
        let serving = (self.services.iter().zip(&self.causes.hosts))
            .filter(|(service, own)| matches!(service, Service::Mta(_)) && own.serves())
            .count()
            .max(1) as f64;
        let total: f64 = self.store_places().map(|place| self.load[place]).sum::<f64>().max(1e-6);
        let stores: Vec<(f64, f64, f64)> = self
            .stores()
            .zip(self.store_places())
            .map(|(store, place)| {
                let share = self.load[place] / total;
                (share, store.service.deliveries_per_second_max / serving, store.service.delivery_seconds)
            })
            .collect();
        let directory_seconds = self.directory_seconds();
        for (place, service) in self.services.iter_mut().enumerate() {
            let Service::Mta(mta) = service else { continue };
            let own = self.causes.hosts[place].clone();
            let mail = Mail {
                spam: users * SPAM_PER_USER / serving,
                inbound: users * (INBOUND_PER_USER * people + 0.00003) * self.causes.mail_in / serving,
                submitted: (users * SUBMITTED_PER_USER * (people + 0.02) * self.causes.mail_out
                    + jobs.report)
                    / serving,
                stores: &stores,
                training: jobs.training,
                directory_seconds,
            };
            mta.step(self.now, &mail, &self.causes, &own, STEP_SECONDS);
        }
    }

    fn step_proxies(&mut self, people: f64) {
        let stores: Vec<_> = self
            .stores()
            .zip(self.store_places())
            .map(|(store, place)| {
                let own = &self.causes.hosts[place];
                (store.service, !own.upstream_lost && own.serves() && store.readings.is_up)
            })
            .collect();
        let serving = (self.services.iter().zip(&self.causes.hosts))
            .filter(|(service, own)| matches!(service, Service::Proxy(_)) && own.serves())
            .count()
            .max(1) as f64;
        let upstream = Upstream {
            stores: &stores,
            share: 1.0 / serving,
            routes: self.shape.users() * ROUTES_PER_USER * (0.05 + people),
            certificate_end_seconds: self.certificate_end_seconds,
        };
        for (service, own) in self.services.iter_mut().zip(&self.causes.hosts) {
            if let Service::Proxy(proxy) = service {
                proxy.step(&upstream, own, STEP_SECONDS);
            }
        }
    }

    /// What instruments show now.
    pub fn readings(&self) -> Readings {
        let hosts = self.services.iter().zip(&self.names).zip(&self.causes.hosts);
        let hosts = hosts.map(|((service, name), own)| {
            let (machine, service) = match service {
                Service::Mailbox(store) => {
                    (store.machine.readings(), ServiceReadings::Mailbox(Box::new(store.readings.clone())))
                }
                Service::Mta(mta) => {
                    (mta.machine.readings(), ServiceReadings::Mta(Box::new(mta.readings.clone())))
                }
                Service::Proxy(proxy) => {
                    (proxy.machine.readings(), ServiceReadings::Proxy(Box::new(proxy.readings.clone())))
                }
                Service::Directory(directory) => (
                    directory.machine.readings(),
                    ServiceReadings::Directory(Box::new(directory.readings.clone())),
                ),
            };
            HostReadings { name: name.clone(), answers: !own.gone && !own.unseen, machine, service }
        });
        Readings { at: self.now, hosts: hosts.collect() }
    }

    fn stores(&self) -> impl Iterator<Item = &Store> {
        self.services.iter().filter_map(|service| match service {
            Service::Mailbox(store) => Some(store.as_ref()),
            _ => None,
        })
    }

    fn store_places(&self) -> impl Iterator<Item = usize> {
        let is_store =
            |(place, service): (usize, &Service)| matches!(service, Service::Mailbox(_)).then_some(place);
        self.services.iter().enumerate().filter_map(is_store)
    }

    fn store(&self, place: usize) -> Option<&Store> {
        match &self.services[place] {
            Service::Mailbox(store) => Some(store),
            _ => None,
        }
    }

    fn mtas(&self) -> impl Iterator<Item = &Mta> {
        self.services.iter().filter_map(|service| match service {
            Service::Mta(mta) => Some(mta.as_ref()),
            _ => None,
        })
    }

    fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.services.iter().filter_map(|service| match service {
            Service::Proxy(proxy) => Some(proxy.as_ref()),
            _ => None,
        })
    }

    /// The slowest login, by store and proxy.
    fn login_seconds(&self) -> f64 {
        let at_stores = self.stores().map(|store| store.service.login_seconds).fold(0.0, f64::max);
        let at_proxies = self.proxies().map(|proxy| proxy.login_seconds).fold(0.0, f64::max);
        at_stores + at_proxies
    }

    fn proxy_error_share(&self) -> f64 {
        self.proxies().map(|proxy| proxy.error_share).fold(0.0, f64::max)
    }

    fn is_asked(&self, place: usize) -> bool {
        self.asked() == Some(place)
    }

    fn behind_seconds(&self, place: usize) -> f64 {
        match &self.services[place] {
            Service::Directory(directory) => directory.behind_seconds,
            _ => 0.0,
        }
    }

    fn clock_offset_seconds(&self, place: usize) -> f64 {
        self.machine(place).clock_offset_seconds
    }

    fn machine(&self, place: usize) -> &Machine {
        match &self.services[place] {
            Service::Mailbox(store) => &store.machine,
            Service::Mta(mta) => &mta.machine,
            Service::Proxy(proxy) => &proxy.machine,
            Service::Directory(directory) => &directory.machine,
        }
    }

    fn machine_mut(&mut self, place: usize) -> &mut Machine {
        match &mut self.services[place] {
            Service::Mailbox(store) => &mut store.machine,
            Service::Mta(mta) => &mut mta.machine,
            Service::Proxy(proxy) => &mut proxy.machine,
            Service::Directory(directory) => &mut directory.machine,
        }
    }

    fn certificate_end_seconds(&self) -> f64 {
        self.certificate_end_seconds
    }

    fn stolen_messages(&self) -> f64 {
        self.stolen_messages
    }
}
