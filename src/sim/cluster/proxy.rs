//! A proxy: nginx before the stores, memcached beside it, and a prober that looks through both.

use rand_pcg::Pcg64;

use super::causes::HostCauses;
use super::machine::{Machine, Usage};
use super::readings::ProxyReadings;
use super::store::Service;
use crate::sim::load::{lognormal, normal};

/// A client, and the prober, gives up after this.
const TIMEOUT_SECONDS: f64 = 15.0;
/// Of a look-up at a memcached that is not there.
const MEMCACHED_TIMEOUT_SECONDS: f64 = 3.5;
/// Look-ups that a login needs.
const LOOKUPS: f64 = 3.0;
/// Share of routes that memcached does not know.
const MISSES: f64 = 0.03;

/// What stands behind the proxies.
#[derive(Clone, Debug)]
pub struct Upstream<'a> {
    /// Each store, and whether proxies reach it.
    pub stores: &'a [(Service, bool)],
    /// The share of all connections that this proxy has.
    pub share: f64,
    /// Routes that are looked up a second, at all proxies.
    pub routes: f64,
    pub certificate_end_seconds: f64,
}

/// The state of a proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub machine: Machine,
    pub readings: ProxyReadings,
    /// Time that a login waits here, and the share of requests that end in an error.
    pub login_seconds: f64,
    pub error_share: f64,
    hanging: f64,
    random: Pcg64,
}

impl Proxy {
    pub fn new(machine: Machine, random: Pcg64) -> Self {
        let readings = ProxyReadings { is_up: true, memcached_is_up: true, ..ProxyReadings::default() };
        Proxy { machine, readings, login_seconds: 0.0, error_share: 0.0, hanging: 0.0, random }
    }

    /// Starts nginx anew.
    pub fn restart(&mut self) {
        self.hanging = 0.0;
        self.readings = ProxyReadings::default();
    }

    /// Look-ups a second that memcached leaves to the stores.
    pub fn missed_lookups(&self, routes: f64, causes: &HostCauses) -> f64 {
        if causes.memcached_down || causes.gone { LOOKUPS * routes } else { MISSES * routes }
    }

    pub fn step(&mut self, upstream: &Upstream, causes: &HostCauses, seconds: f64) {
        self.readings.is_up = causes.serves();
        if causes.gone {
            return;
        }
        if !causes.serves() {
            self.machine.step(&Usage::default(), causes, seconds);
            return;
        }
        let mut requests = 0.0;
        let mut writing = 0.0;
        let mut connections = 0.0;
        let mut failed = 0.0;
        let mut slowest = 0.0_f64;
        for (store, reached) in upstream.stores {
            let rate = upstream.share * store.requests_per_second.max(if *reached { 0.0 } else { 3.0 });
            let hangs = !reached || store.refused >= 1.0;
            let each = if hangs { TIMEOUT_SECONDS } else { (store.soap_seconds + 0.01).min(60.0) };
            requests += rate;
            writing += rate * each;
            connections += upstream.share * store.connections;
            failed += rate * if hangs { 1.0 } else { store.error_share + store.refused };
            slowest = slowest.max(each);
        }
        // Those that hang give way only when they time out.
        self.hanging += (writing - self.hanging) * (seconds / 20.0).min(1.0);
        let noise = lognormal(1.0, 0.08, &mut self.random);
        let writing = self.hanging * noise + 0.4;
        let waiting = (connections + 1.5 * requests - 0.8 * self.hanging).max(0.0)
            * lognormal(1.0, 0.02, &mut self.random);
        let lookups = upstream.routes * upstream.share * seconds;
        self.login_seconds = if causes.memcached_down { LOOKUPS * MEMCACHED_TIMEOUT_SECONDS } else { 0.002 };
        self.error_share = failed / requests.max(1e-6);
        let probe = slowest + if causes.memcached_down { MEMCACHED_TIMEOUT_SECONDS } else { 0.0 } + 0.03;
        let r = &mut self.readings;
        let opened = 0.4 * requests * seconds;
        r.accepted_total += opened.round();
        r.handled_total = r.accepted_total;
        r.requests_total += (requests * seconds).round();
        r.reading = normal(0.4, &mut self.random).abs().round();
        r.writing = writing.round().max(1.0);
        r.waiting = waiting.round();
        r.active = r.reading + r.writing + r.waiting;
        r.memcached_is_up = !causes.memcached_down;
        if r.memcached_is_up {
            r.memcached_hits_total += ((1.0 - MISSES) * lookups * LOOKUPS).round();
            r.memcached_misses_total += (MISSES * lookups * LOOKUPS).round();
            r.memcached_items = 5_800.0 + normal(20.0, &mut self.random).round();
        }
        r.probe_seconds = (probe * lognormal(1.0, 0.15, &mut self.random)).min(TIMEOUT_SECONDS);
        r.probe_succeeds = probe < TIMEOUT_SECONDS;
        r.errors_total += (failed * seconds).round();
        r.certificate_end_seconds = upstream.certificate_end_seconds.floor();
        let usage = Usage {
            cpu_seconds: 0.003 * requests * seconds + 0.0004 * connections,
            received_bytes: 1_500.0 * requests * seconds,
            sent_bytes: 9_000.0 * requests * seconds,
            connections_opened: opened,
            connections: 2.0 * r.active,
            memory_bytes: 1.5e9,
            open_files: 2.0 * r.active,
            ..Usage::default()
        };
        self.machine.step(&usage, causes, seconds);
    }
}
