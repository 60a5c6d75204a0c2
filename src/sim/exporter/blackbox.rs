//! blackbox_exporter: a request through a proxy, and a name asked of the resolver of an MTA.

use super::{Kind, Page, flag};
use crate::sim::cluster::readings::{MtaReadings, ProxyReadings};

pub fn print_http(proxy: &ProxyReadings, page: &mut impl Page) {
    page.sample("probe_duration_seconds", &[], Kind::Gauge, proxy.probe_seconds);
    // The certificate comes with the handshake, before any answer.
    if proxy.is_up {
        page.sample("probe_ssl_earliest_cert_expiry", &[], Kind::Gauge, proxy.certificate_end_seconds);
    }
    page.sample("probe_success", &[], Kind::Gauge, flag(proxy.probe_succeeds));
}

/// The prober gives up after 10 s.
pub fn print_dns(mta: &MtaReadings, page: &mut impl Page) {
    let seconds = mta.dns_lookup_seconds.min(10.0);
    page.sample("probe_dns_lookup_time_seconds", &[], Kind::Gauge, seconds);
    page.sample("probe_duration_seconds", &[], Kind::Gauge, seconds);
    page.sample("probe_success", &[], Kind::Gauge, flag(seconds < 10.0));
}
