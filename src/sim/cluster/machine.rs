//! The machine under a host: CPU time, memory, disks, network and clock, as what runs on it uses them.

use rand_pcg::Pcg64;

use super::causes::HostCauses;
use super::readings::{CpuReadings, DiskReadings, MachineReadings, VolumeReadings};
use super::storage::{Storage, Volume, Work};
use crate::sample::Timestamp;
use crate::sim::load::{lognormal, normal};

/// What a service used of its machine in one step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU seconds.
    pub cpu_seconds: f64,
    pub work: Work,
    pub received_bytes: f64,
    pub sent_bytes: f64,
    pub connections_opened: f64,
    /// At the end of the step.
    pub connections: f64,
    pub memory_bytes: f64,
    pub open_files: f64,
}

/// State of a machine.
#[derive(Clone, Debug)]
pub struct Machine {
    cpus: usize,
    memory_bytes: f64,
    pub storage: Storage,
    pub volumes: Vec<Volume>,
    /// Share of all cores in use, in the last step.
    pub busy: f64,
    pub clock_offset_seconds: f64,
    random: Pcg64,
    readings: MachineReadings,
}

impl Machine {
    pub fn new(
        cpus: usize,
        memory_bytes: f64,
        volumes: Vec<Volume>,
        start: Timestamp,
        random: Pcg64,
    ) -> Self {
        let readings = MachineReadings {
            boot_at_seconds: (start.seconds() - 40.0 * 86_400.0).floor(),
            cpus: vec![CpuReadings::default(); cpus],
            memory_bytes,
            swap_free_bytes: 4e9,
            ..MachineReadings::default()
        };
        let storage = Storage::default();
        Machine {
            cpus,
            memory_bytes,
            storage,
            volumes,
            busy: 0.0,
            clock_offset_seconds: 0.0,
            random,
            readings,
        }
    }

    /// Boots anew: everything that counts begins at 0.
    pub fn reboot(&mut self, now: Timestamp) {
        self.readings = MachineReadings {
            boot_at_seconds: now.seconds().floor(),
            cpus: vec![CpuReadings::default(); self.cpus],
            memory_bytes: self.memory_bytes,
            swap_free_bytes: 4e9,
            ..MachineReadings::default()
        };
        self.storage = Storage::default();
    }

    /// Uses the machine for `seconds`.
    pub fn step(&mut self, usage: &Usage, causes: &HostCauses, seconds: f64) {
        let room = self.cpus as f64 * seconds;
        let idle_work = 0.012 * room;
        let used = (usage.cpu_seconds + idle_work) * lognormal(1.0, 0.04, &mut self.random);
        self.busy = (used / room).min(0.99);
        self.use_disk(usage, causes, seconds);
        self.use_cpus(used.min(0.99 * room), seconds);
        self.use_memory(usage);
        self.use_network(usage, seconds);
        self.move_clock(causes, seconds);
    }

    fn use_disk(&mut self, usage: &Usage, causes: &HostCauses, seconds: f64) {
        let mut work = usage.work;
        work.writes += 15.0 * seconds * lognormal(1.0, 0.3, &mut self.random);
        work.written_bytes += 150e3 * seconds;
        work.job_share += causes.storage_job;
        self.storage.step(&work, causes.storage_slowness, seconds);
        let data = self.volumes.len() - 1;
        self.volumes[data].add(causes.disk_fill_bytes * seconds);
        self.storage.written_bytes_total += causes.disk_fill_bytes * seconds;
        self.storage.writes_total += causes.disk_fill_bytes * seconds / 65_536.0;
    }

    fn use_cpus(&mut self, used: f64, seconds: f64) {
        let waiting =
            (0.25 * (self.storage.in_flight * seconds)).min(0.9 * (self.cpus as f64 * seconds - used));
        let waiting = waiting.max(0.0) * lognormal(1.0, 0.1, &mut self.random);
        let cpus = self.cpus as f64;
        let mut left = used;
        for (place, cpu) in self.readings.cpus.iter_mut().enumerate() {
            // Schedulers spread work, never evenly.
            let even = left / (cpus - place as f64);
            let mine = (even * lognormal(1.0, 0.15, &mut self.random)).min(0.995 * seconds).min(left);
            left -= mine;
            let iowait = (waiting / cpus).min(seconds - mine);
            cpu.user_total += 0.74 * mine;
            cpu.system_total += 0.21 * mine;
            cpu.softirq_total += 0.04 * mine;
            cpu.steal_total += 0.01 * mine;
            cpu.iowait_total += iowait;
            cpu.idle_total += (seconds - mine - iowait).max(0.0);
        }
        let running = used / seconds;
        let r = &mut self.readings;
        let tasks = running + 0.6 * self.storage.in_flight.min(200.0);
        for (load, window) in [(&mut r.load1, 60.0), (&mut r.load5, 300.0), (&mut r.load15, 900.0)] {
            *load += (tasks - *load) * (seconds / window);
        }
        r.procs_running = (1.0 + running + normal(0.5, &mut self.random)).max(1.0).round();
        r.procs_blocked = (self.storage.in_flight * 0.3 + normal(0.2, &mut self.random)).max(0.0).floor();
        r.context_switches_total += (400.0 * seconds + 5_000.0 * used).round();
        r.interrupts_total += (300.0 * seconds + 2_500.0 * used).round();
    }

    fn use_memory(&mut self, usage: &Usage) {
        let r = &mut self.readings;
        let free = (self.memory_bytes - usage.memory_bytes - 1.2e9).max(0.02 * self.memory_bytes);
        let noise = lognormal(1.0, 0.004, &mut self.random);
        r.memory_available_bytes = (free * noise).min(self.memory_bytes);
        r.memory_cached_bytes = 0.8 * r.memory_available_bytes;
        r.memory_dirty_bytes = 20e6 * (1.0 + self.storage.in_flight) * lognormal(1.0, 0.3, &mut self.random);
        r.page_faults_total += (900.0 * lognormal(1.0, 0.2, &mut self.random)).round();
        r.open_files = (1_500.0 + usage.open_files + normal(8.0, &mut self.random)).round();
    }

    fn use_network(&mut self, usage: &Usage, seconds: f64) {
        let r = &mut self.readings;
        let received = usage.received_bytes + 4_000.0 * seconds;
        let sent = usage.sent_bytes + 6_000.0 * seconds;
        r.network_received_bytes_total += received.round();
        r.network_sent_bytes_total += sent.round();
        r.network_received_packets_total += (received / 700.0).round();
        r.network_sent_packets_total += (sent / 800.0).round();
        r.tcp_established = (usage.connections + 12.0 + normal(1.0, &mut self.random)).max(0.0).round();
        r.tcp_time_wait += (usage.connections_opened * 60.0 / seconds - r.tcp_time_wait) * seconds / 60.0;
        r.tcp_opened_passively_total += (usage.connections_opened + 0.2 * seconds).round();
        r.tcp_segments_retransmitted_total +=
            (sent / 800.0 * 0.002 * lognormal(1.0, 0.4, &mut self.random)).round();
        r.connections_tracked = (usage.connections + r.tcp_time_wait + 40.0).round();
    }

    fn move_clock(&mut self, causes: &HostCauses, seconds: f64) {
        self.clock_offset_seconds += causes.clock_drift * seconds;
        if causes.clock_synchronised {
            self.clock_offset_seconds *= (-seconds / 300.0_f64).exp();
        }
        let r = &mut self.readings;
        r.clock_offset_seconds = self.clock_offset_seconds + normal(60e-6, &mut self.random);
        r.clock_is_synchronised = causes.clock_synchronised;
    }

    /// As node_exporter would see it now.
    pub fn readings(&self) -> MachineReadings {
        let storage = &self.storage;
        let disk = DiskReadings {
            device: "sda",
            reads_total: storage.reads_total.round(),
            writes_total: storage.writes_total.round(),
            read_bytes_total: storage.read_bytes_total.round(),
            written_bytes_total: storage.written_bytes_total.round(),
            read_seconds_total: storage.read_seconds_total,
            write_seconds_total: storage.write_seconds_total,
            busy_seconds_total: storage.busy_seconds_total,
            weighted_seconds_total: storage.read_seconds_total + storage.write_seconds_total,
            in_flight: storage.in_flight.round(),
        };
        let volumes = self.volumes.iter().map(|volume| VolumeReadings {
            mount: volume.mount,
            device: "sda",
            size_bytes: volume.size_bytes,
            free_bytes: volume.free_bytes().round(),
            files: volume.files.round(),
            files_free: (volume.files - volume.files_used).round(),
        });
        MachineReadings { disks: vec![disk], volumes: volumes.collect(), ..self.readings.clone() }
    }
}
