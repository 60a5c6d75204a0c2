//! Telegraf with its Prometheus output: `<measurement>_<field>`, its tags as labels, the host's name among them.
//!
//! Percent of CPU is over the time since the page before.

use super::node::{NETWORK_DEVICE, TRACKED_MAX, hundredths};
use super::{DirectoryFamily, Kind, MachineFamily, MtaFamily, Page, View};
use crate::sim::cluster::readings::{
    DirectoryReadings, DiskReadings, MtaReadings, ServiceReadings, VolumeReadings,
};

type DiskFigure = (&'static str, Kind, fn(&DiskReadings) -> f64);
const DISK_FIGURES: [DiskFigure; 9] = [
    ("diskio_io_time", Kind::Counter, |d| d.busy_seconds_total * 1e3),
    ("diskio_iops_in_progress", Kind::Counter, |d| d.in_flight),
    ("diskio_read_bytes", Kind::Counter, |d| d.read_bytes_total),
    ("diskio_read_time", Kind::Counter, |d| d.read_seconds_total * 1e3),
    ("diskio_reads", Kind::Counter, |d| d.reads_total),
    ("diskio_weighted_io_time", Kind::Counter, |d| d.weighted_seconds_total * 1e3),
    ("diskio_write_bytes", Kind::Counter, |d| d.written_bytes_total),
    ("diskio_write_time", Kind::Counter, |d| d.write_seconds_total * 1e3),
    ("diskio_writes", Kind::Counter, |d| d.writes_total),
];

type VolumeFigure = (&'static str, fn(&VolumeReadings) -> f64);
const VOLUME_FIGURES: [VolumeFigure; 6] = [
    ("disk_free", |v| v.free_bytes),
    ("disk_inodes_free", |v| v.files_free),
    ("disk_inodes_total", |v| v.files),
    ("disk_total", |v| v.size_bytes),
    ("disk_used", |v| v.size_bytes - v.free_bytes),
    ("disk_used_percent", used_percent),
];

pub(super) fn used_percent(volume: &VolumeReadings) -> f64 {
    100.0 * (volume.size_bytes - volume.free_bytes) / volume.size_bytes.max(1.0)
}

pub fn print(view: &View, page: &mut impl Page) {
    if view.families.machine == MachineFamily::Telegraf {
        print_machine(view, page);
    }
    match &view.host.service {
        ServiceReadings::Mta(mta) if view.families.mta.contains(&MtaFamily::Telegraf) => {
            print_queues(&view.host.name, mta, page);
        }
        ServiceReadings::Directory(directory) if view.families.directory == DirectoryFamily::Telegraf => {
            print_directory(&view.host.name, directory, page);
        }
        _ => {}
    }
}

fn print_machine(view: &View, page: &mut impl Page) {
    let (machine, cpu) = (&view.host.machine, view.cpu);
    let host = ("host", view.host.name.as_str());
    let gauge = |page: &mut _, name, value| Page::sample(page, name, &[host], Kind::Gauge, value);
    let counter = |page: &mut _, name, value| Page::sample(page, name, &[host], Kind::Counter, value);
    let untyped = |page: &mut _, name, value| Page::sample(page, name, &[host], Kind::Untyped, value);

    untyped(page, "conntrack_nf_conntrack_count", machine.connections_tracked);
    untyped(page, "conntrack_nf_conntrack_max", TRACKED_MAX);
    let shares = [
        ("cpu_usage_idle", cpu.idle),
        ("cpu_usage_iowait", cpu.iowait),
        ("cpu_usage_softirq", cpu.softirq),
        ("cpu_usage_steal", cpu.steal),
        ("cpu_usage_system", cpu.system),
        ("cpu_usage_user", cpu.user),
    ];
    for (name, percent) in shares {
        page.sample(name, &[("cpu", "cpu-total"), host], Kind::Gauge, percent);
    }
    for (name, value) in VOLUME_FIGURES {
        for volume in &machine.volumes {
            let device = volume.device.strip_prefix("/dev/").unwrap_or(volume.device);
            let labels =
                [("device", device), ("fstype", "xfs"), host, ("mode", "rw"), ("path", volume.mount)];
            page.sample(name, &labels, Kind::Gauge, value(volume));
        }
    }
    for (name, kind, value) in DISK_FIGURES {
        for disk in &machine.disks {
            page.sample(name, &[host, ("name", disk.device)], kind, value(disk));
        }
    }
    counter(page, "kernel_boot_time", machine.boot_at_seconds);
    counter(page, "kernel_context_switches", machine.context_switches_total);
    counter(page, "kernel_interrupts", machine.interrupts_total);
    untyped(page, "linux_sysctl_fs_file_nr", machine.open_files);
    gauge(page, "mem_available", machine.memory_available_bytes.floor());
    gauge(page, "mem_cached", machine.memory_cached_bytes.floor());
    gauge(page, "mem_dirty", machine.memory_dirty_bytes.floor());
    gauge(page, "mem_swap_free", machine.swap_free_bytes);
    gauge(page, "mem_total", machine.memory_bytes);
    let used = 1.0 - machine.memory_available_bytes / machine.memory_bytes.max(1.0);
    gauge(page, "mem_used_percent", 100.0 * used);
    let network = [
        ("net_bytes_recv", machine.network_received_bytes_total),
        ("net_bytes_sent", machine.network_sent_bytes_total),
        ("net_packets_recv", machine.network_received_packets_total),
        ("net_packets_sent", machine.network_sent_packets_total),
    ];
    for (name, value) in network {
        page.sample(name, &[host, ("interface", NETWORK_DEVICE)], Kind::Counter, value);
    }
    untyped(page, "netstat_tcp_established", machine.tcp_established);
    untyped(page, "netstat_tcp_time_wait", machine.tcp_time_wait.round());
    gauge(page, "processes_blocked", machine.procs_blocked);
    gauge(page, "processes_running", machine.procs_running);
    gauge(page, "system_load1", hundredths(machine.load1));
    gauge(page, "system_load15", hundredths(machine.load15));
    gauge(page, "system_load5", hundredths(machine.load5));
}

/// The queues as Telegraf finds them on disk: they stand there whether Postfix is up or not.
fn print_queues(host: &str, mta: &MtaReadings, page: &mut impl Page) {
    let messages = (mta.active + mta.deferred + mta.hold + mta.incoming).max(1.0);
    let queues = [
        ("active", mta.active, mta.oldest_active_seconds),
        ("deferred", mta.deferred, mta.oldest_deferred_seconds),
        ("hold", mta.hold, 0.0),
        ("incoming", mta.incoming, 0.0),
    ];
    let mut print = |name, value: fn(f64, f64) -> f64, share: f64| {
        for (queue, length, age) in queues {
            page.sample(name, &[("host", host), ("queue", queue)], Kind::Untyped, value(length * share, age));
        }
    };
    print("postfix_queue_age", |_, age| age, 1.0);
    print("postfix_queue_length", |length, _| length, 1.0);
    print("postfix_queue_size", |bytes, _| bytes.round(), mta.queue_bytes / messages);
}

fn print_directory(host: &str, directory: &DirectoryReadings, page: &mut impl Page) {
    if !directory.is_up {
        return;
    }
    let figures = [
        ("openldap_connections_current", directory.connections),
        ("openldap_operations_bind_completed", directory.binds_total),
        ("openldap_operations_modify_completed", directory.modifies_total),
        ("openldap_operations_search_completed", directory.searches_total),
        ("openldap_statistics_bytes", directory.bytes_total),
        ("openldap_statistics_entries", directory.entries_total),
        ("openldap_waiters_read", directory.read_waiters),
        ("openldap_waiters_write", directory.write_waiters),
    ];
    for (name, value) in figures {
        let labels = [("host", host), ("port", "389"), ("server", "localhost")];
        page.sample(name, &labels, Kind::Untyped, value);
    }
}
