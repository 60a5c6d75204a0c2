//! openldap_exporter: the entries of `cn=Monitor`, and the newest change that each server holds.
//!
//! Operations are declared as gauges, though they only grow.

use super::{Kind, Page};
use crate::sim::cluster::readings::DirectoryReadings;

pub fn print(directory: &DirectoryReadings, page: &mut impl Page) {
    if !directory.is_up {
        return;
    }
    let objects = [
        ("cn=Bytes,cn=Statistics,cn=Monitor", directory.bytes_total),
        ("cn=Current,cn=Connections,cn=Monitor", directory.connections),
        ("cn=Entries,cn=Statistics,cn=Monitor", directory.entries_total),
        ("cn=Read,cn=Waiters,cn=Monitor", directory.read_waiters),
        ("cn=Write,cn=Waiters,cn=Monitor", directory.write_waiters),
    ];
    for (dn, value) in objects {
        page.sample("openldap_monitor_counter_object", &[("dn", dn)], Kind::Gauge, value);
    }
    let operations = [
        ("cn=Bind,cn=Operations,cn=Monitor", directory.binds_total),
        ("cn=Modify,cn=Operations,cn=Monitor", directory.modifies_total),
        ("cn=Search,cn=Operations,cn=Monitor", directory.searches_total),
    ];
    for (dn, value) in operations {
        page.sample("openldap_monitor_operation", &[("dn", dn)], Kind::Gauge, value);
    }
    // The time within the newest contextCSN.
    let labels = [("id", "0"), ("type", "gt")];
    page.sample("openldap_monitor_replication", &labels, Kind::Gauge, directory.change_seconds);
}
