//! node_exporter: the machine.

use super::{Kind, Page, View, flag};
use crate::sim::cluster::readings::{CpuReadings, DiskReadings, MachineReadings, VolumeReadings};

/// Names of cores; what a machine has beyond them isn't printed.
pub(super) const CORES: [&str; 32] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31",
];

/// Connections that the kernel tracks at most.
pub(super) const TRACKED_MAX: f64 = 262_144.0;
pub(super) const NETWORK_DEVICE: &str = "eth0";
const OPEN_FILES_MAX: f64 = 3_248_000.0;
const SWAP_BYTES: f64 = 4e9;

type Mode = (&'static str, bool, fn(&CpuReadings) -> f64);
/// Modes, and whether a site that keeps only what it draws keeps them.
const MODES: [Mode; 8] = [
    ("idle", true, |c| c.idle_total),
    ("iowait", true, |c| c.iowait_total),
    ("irq", false, |_| 0.0),
    ("nice", false, |_| 0.0),
    ("softirq", false, |c| c.softirq_total),
    ("steal", false, |c| c.steal_total),
    ("system", true, |c| c.system_total),
    ("user", true, |c| c.user_total),
];

type DiskFigure = (&'static str, Kind, fn(&DiskReadings) -> f64);
const DISK_FIGURES: [DiskFigure; 9] = [
    ("node_disk_io_now", Kind::Gauge, |d| d.in_flight),
    ("node_disk_io_time_seconds_total", Kind::Counter, |d| d.busy_seconds_total),
    ("node_disk_io_time_weighted_seconds_total", Kind::Counter, |d| d.weighted_seconds_total),
    ("node_disk_read_bytes_total", Kind::Counter, |d| d.read_bytes_total),
    ("node_disk_read_time_seconds_total", Kind::Counter, |d| d.read_seconds_total),
    ("node_disk_reads_completed_total", Kind::Counter, |d| d.reads_total),
    ("node_disk_write_time_seconds_total", Kind::Counter, |d| d.write_seconds_total),
    ("node_disk_writes_completed_total", Kind::Counter, |d| d.writes_total),
    ("node_disk_written_bytes_total", Kind::Counter, |d| d.written_bytes_total),
];

type VolumeFigure = (&'static str, bool, fn(&VolumeReadings) -> f64);
const VOLUME_FIGURES: [VolumeFigure; 5] = [
    ("node_filesystem_avail_bytes", true, |v| v.free_bytes),
    ("node_filesystem_files", true, |v| v.files),
    ("node_filesystem_files_free", true, |v| v.files_free),
    ("node_filesystem_free_bytes", false, |v| v.free_bytes),
    ("node_filesystem_size_bytes", true, |v| v.size_bytes),
];

pub fn print(view: &View, page: &mut impl Page) {
    let (machine, whole) = (&view.host.machine, view.families.whole_pages);
    let gauge = |page: &mut _, name, value| Page::sample(page, name, &[], Kind::Gauge, value);
    let counter = |page: &mut _, name, value| Page::sample(page, name, &[], Kind::Counter, value);
    // The collectors of netstat and vmstat don't say what is a counter.
    let untyped = |page: &mut _, name, value| Page::sample(page, name, &[], Kind::Untyped, value);

    gauge(page, "node_boot_time_seconds", machine.boot_at_seconds);
    counter(page, "node_context_switches_total", machine.context_switches_total);
    for (name, cpu) in CORES.iter().zip(&machine.cpus) {
        for (mode, _, value) in MODES.iter().filter(|(_, kept, _)| whole || *kept) {
            let labels = [("cpu", *name), ("mode", mode)];
            page.sample("node_cpu_seconds_total", &labels, Kind::Counter, value(cpu));
        }
    }
    print_disks(machine, page);
    gauge(page, "node_filefd_allocated", machine.open_files);
    gauge(page, "node_filefd_maximum", OPEN_FILES_MAX);
    print_volumes(machine, whole, page);
    counter(page, "node_intr_total", machine.interrupts_total);
    gauge(page, "node_load1", hundredths(machine.load1));
    gauge(page, "node_load15", hundredths(machine.load15));
    gauge(page, "node_load5", hundredths(machine.load5));
    gauge(page, "node_memory_Cached_bytes", machine.memory_cached_bytes.floor());
    gauge(page, "node_memory_Dirty_bytes", machine.memory_dirty_bytes.floor());
    gauge(page, "node_memory_MemAvailable_bytes", machine.memory_available_bytes.floor());
    // What is free at all is free of caches too.
    let free =
        (machine.memory_available_bytes - machine.memory_cached_bytes).max(0.01 * machine.memory_bytes);
    gauge(page, "node_memory_MemFree_bytes", free.floor());
    gauge(page, "node_memory_MemTotal_bytes", machine.memory_bytes);
    gauge(page, "node_memory_SwapFree_bytes", machine.swap_free_bytes);
    gauge(page, "node_memory_SwapTotal_bytes", SWAP_BYTES.max(machine.swap_free_bytes));
    untyped(page, "node_netstat_Tcp_CurrEstab", machine.tcp_established);
    untyped(page, "node_netstat_Tcp_PassiveOpens", machine.tcp_opened_passively_total);
    untyped(page, "node_netstat_Tcp_RetransSegs", machine.tcp_segments_retransmitted_total);
    print_network(machine, page);
    gauge(page, "node_nf_conntrack_entries", machine.connections_tracked);
    gauge(page, "node_nf_conntrack_entries_limit", TRACKED_MAX);
    gauge(page, "node_procs_blocked", machine.procs_blocked);
    gauge(page, "node_procs_running", machine.procs_running);
    gauge(page, "node_sockstat_TCP_tw", machine.tcp_time_wait.round());
    // The machine's own clock, wrong as it may be.
    gauge(page, "node_time_seconds", view.at.seconds() + machine.clock_offset_seconds);
    gauge(page, "node_timex_offset_seconds", machine.clock_offset_seconds);
    gauge(page, "node_timex_sync_status", flag(machine.clock_is_synchronised));
    let labels = [
        ("machine", "x86_64"),
        ("nodename", view.host.name.as_str()),
        ("release", "5.14.0-427.el9.x86_64"),
        ("sysname", "Linux"),
    ];
    page.sample("node_uname_info", &labels, Kind::Gauge, 1.0);
    untyped(page, "node_vmstat_pgfault", machine.page_faults_total);
}

/// As /proc writes loads.
pub(super) fn hundredths(load: f64) -> f64 {
    (load * 100.0).round() / 100.0
}

fn print_disks(machine: &MachineReadings, page: &mut impl Page) {
    for (name, kind, value) in DISK_FIGURES {
        for disk in &machine.disks {
            page.sample(name, &[("device", disk.device)], kind, value(disk));
        }
    }
}

fn print_volumes(machine: &MachineReadings, whole: bool, page: &mut impl Page) {
    for (name, _, value) in VOLUME_FIGURES.iter().filter(|(_, kept, _)| whole || *kept) {
        for volume in &machine.volumes {
            let labels = [("device", volume.device), ("fstype", "xfs"), ("mountpoint", volume.mount)];
            page.sample(name, &labels, Kind::Gauge, value(volume));
        }
    }
}

fn print_network(machine: &MachineReadings, page: &mut impl Page) {
    let figures = [
        ("node_network_receive_bytes_total", machine.network_received_bytes_total),
        ("node_network_receive_packets_total", machine.network_received_packets_total),
        ("node_network_transmit_bytes_total", machine.network_sent_bytes_total),
        ("node_network_transmit_packets_total", machine.network_sent_packets_total),
    ];
    for (name, value) in figures {
        page.sample(name, &[("device", NETWORK_DEVICE)], Kind::Counter, value);
    }
}
