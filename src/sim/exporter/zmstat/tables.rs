//! What stands in each file of the scripts: columns and rows of one instant.
//!
//! Shares and rates are over the time since the look before.

use super::csv::Format;
use crate::sim::cluster::readings::{
    DatabaseReadings, DirectoryReadings, DiskReadings, HostReadings, MachineReadings, MailboxReadings,
    ServiceReadings, Statistics,
};
use crate::sim::exporter::{CpuShares, all_cores, carbonio};

/// A cell of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Word(String),
    /// NaN where nothing is written.
    Number(f64),
}

/// The cells after the timestamp.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(Vec<Cell>);

impl Row {
    pub fn number(mut self, value: f64) -> Self {
        self.0.push(Cell::Number(value));
        self
    }

    pub fn word(mut self, word: &str) -> Self {
        self.0.push(Cell::Word(word.to_owned()));
        self
    }

    pub fn cells(&self) -> &[Cell] {
        &self.0
    }
}

/// Rows of one file at one instant.
#[derive(Clone, Debug)]
pub struct Table {
    pub file: &'static str,
    pub format: Format,
    columns: Vec<String>,
    pub rows: Vec<Row>,
}

impl Table {
    /// A file of a script with one row of numbers.
    fn of<N: Into<String>>(file: &'static str, columns: impl IntoIterator<Item = (N, f64)>) -> Self {
        let (columns, values): (Vec<String>, Vec<f64>) =
            columns.into_iter().map(|(name, value)| (name.into(), value)).unzip();
        let row = values.into_iter().fold(Row::default(), Row::number);
        Table { file, format: Format::SCRIPT, columns, rows: vec![row] }
    }

    pub fn header(&self) -> String {
        let separator = if self.file == "mysql" { ", " } else { self.format.separator };
        format!("timestamp{separator}{}", self.columns.join(separator))
    }
}

/// A host at two instants.
pub struct Between<'r> {
    pub before: &'r HostReadings,
    pub now: &'r HostReadings,
    pub seconds: f64,
}

impl Between<'_> {
    /// Growth a second; none where the figure began anew.
    fn rate(&self, of: impl Fn(&MachineReadings) -> f64) -> f64 {
        self.growth(of) / self.seconds.max(1e-3)
    }

    fn growth(&self, of: impl Fn(&MachineReadings) -> f64) -> f64 {
        (of(&self.now.machine) - of(&self.before.machine)).max(0.0)
    }

    fn cpu(&self) -> CpuShares {
        CpuShares::between(&all_cores(&self.before.machine.cpus), &all_cores(&self.now.machine.cpus))
    }
}

/// All that the scripts of a host write every 30 s.
pub fn of_scripts(between: &Between) -> Vec<Table> {
    let mut tables = vec![cpu(between), vm(between), io(between), io_extended(between), proc(between)];
    match (&between.before.service, &between.now.service) {
        (_, ServiceReadings::Mailbox(mailbox)) => {
            tables.push(fd(between, mailbox));
            tables.push(mysql(&mailbox.database));
        }
        (ServiceReadings::Directory(before), ServiceReadings::Directory(now)) if now.is_up => {
            tables.push(ldap(before, now));
        }
        (_, ServiceReadings::Proxy(proxy)) if proxy.is_up => tables.push(nginx(between)),
        _ => {}
    }
    tables
}

fn cpu(between: &Between) -> Table {
    let named = |name: &str, shares: CpuShares| {
        [
            (format!("{name}:user"), shares.user),
            (format!("{name}:nice"), 0.0),
            (format!("{name}:sys"), shares.system),
            (format!("{name}:idle"), shares.idle),
            (format!("{name}:iowait"), shares.iowait),
            (format!("{name}:irq"), 0.0),
            (format!("{name}:soft"), shares.softirq),
        ]
    };
    let mut columns = named("cpu", between.cpu()).to_vec();
    let cores = between.before.machine.cpus.iter().zip(&between.now.machine.cpus);
    for (i, (before, now)) in cores.enumerate() {
        columns.extend(named(&format!("cpu{i}"), CpuShares::between(before, now)));
    }
    Table::of("cpu", columns)
}

/// vmstat and meminfo, in kilobytes.
fn vm(between: &Between) -> Table {
    let (machine, cpu) = (&between.now.machine, between.cpu());
    let kb = |bytes: f64| (bytes / 1024.0).floor();
    let disks =
        |of: fn(&DiskReadings) -> f64| between.rate(|machine| machine.disks.iter().map(of).sum()) / 1024.0;
    let free =
        (machine.memory_available_bytes - machine.memory_cached_bytes).max(0.01 * machine.memory_bytes);
    Table::of(
        "vm",
        [
            ("r", machine.procs_running),
            ("b", machine.procs_blocked),
            ("swpd", kb(4e9 - machine.swap_free_bytes).max(0.0)),
            ("free", kb(free)),
            ("cache", kb(machine.memory_cached_bytes)),
            ("bi", disks(|disk| disk.read_bytes_total)),
            ("bo", disks(|disk| disk.written_bytes_total)),
            ("in", between.rate(|machine| machine.interrupts_total)),
            ("cs", between.rate(|machine| machine.context_switches_total)),
            ("us", cpu.user),
            ("sy", cpu.system + cpu.softirq),
            ("id", cpu.idle),
            ("wa", cpu.iowait),
            ("MemTotal", kb(machine.memory_bytes)),
            ("MemFree", kb(free)),
            ("Cached", kb(machine.memory_cached_bytes)),
            ("Dirty", kb(machine.memory_dirty_bytes)),
            ("SwapTotal", kb(4e9)),
            ("SwapFree", kb(machine.swap_free_bytes)),
            ("loadavg", machine.load1),
        ],
    )
}

fn io(between: &Between) -> Table {
    let mut columns = Vec::new();
    for (i, disk) in between.now.machine.disks.iter().enumerate() {
        let rate =
            |of: fn(&DiskReadings) -> f64| between.rate(|machine| machine.disks.get(i).map_or(0.0, of));
        columns.push((format!("{}:tps", disk.device), rate(|disk| disk.reads_total + disk.writes_total)));
        columns.push((format!("{}:kB_read/s", disk.device), rate(|disk| disk.read_bytes_total) / 1024.0));
        columns.push((format!("{}:kB_wrtn/s", disk.device), rate(|disk| disk.written_bytes_total) / 1024.0));
    }
    Table::of("io", columns)
}

fn io_extended(between: &Between) -> Table {
    let mut columns = Vec::new();
    for (i, disk) in between.now.machine.disks.iter().enumerate() {
        let rate =
            |of: fn(&DiskReadings) -> f64| between.rate(|machine| machine.disks.get(i).map_or(0.0, of));
        let requests = rate(|disk| disk.reads_total + disk.writes_total);
        let waited = rate(|disk| disk.read_seconds_total + disk.write_seconds_total);
        let figures = [
            ("r/s", rate(|disk| disk.reads_total)),
            ("w/s", rate(|disk| disk.writes_total)),
            ("rkB/s", rate(|disk| disk.read_bytes_total) / 1024.0),
            ("wkB/s", rate(|disk| disk.written_bytes_total) / 1024.0),
            ("avgqu-sz", rate(|disk| disk.weighted_seconds_total)),
            ("await", if requests > 0.0 { 1e3 * waited / requests } else { 0.0 }),
            ("%util", (100.0 * rate(|disk| disk.busy_seconds_total)).min(100.0)),
        ];
        columns.extend(figures.map(|(name, value)| (format!("{}:{name}", disk.device), value)));
    }
    Table::of("io-x", columns)
}

/// Processes by their service, with their part of the machine's CPU time and memory.
fn proc(between: &Between) -> Table {
    let (machine, cpu) = (&between.now.machine, between.cpu());
    let used_mb = (machine.memory_bytes - machine.memory_available_bytes).max(0.0) / 1_048_576.0;
    let services: &[(&str, f64, f64)] = match &between.now.service {
        ServiceReadings::Mailbox(_) => &[("mailbox", 0.75, 0.7), ("mysql", 0.2, 0.25)],
        ServiceReadings::Mta(_) => &[("postfix", 0.1, 0.05), ("amavis", 0.3, 0.3), ("clam", 0.55, 0.6)],
        ServiceReadings::Directory(_) => &[("ldap", 0.9, 0.8)],
        ServiceReadings::Proxy(_) => &[],
    };
    let busy = 100.0 - cpu.idle;
    let mut columns: Vec<(String, f64)> = [
        ("system", busy),
        ("user", cpu.user),
        ("sys", cpu.system),
        ("idle", cpu.idle),
        ("iowait", cpu.iowait),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (name, of_cpu, of_memory) in services {
        let figures = [
            ("total-cpu", (cpu.user + cpu.system) * of_cpu),
            ("utime", cpu.user * of_cpu),
            ("stime", cpu.system * of_cpu),
            ("totalMB", 1.5 * used_mb * of_memory),
            ("rssMB", used_mb * of_memory),
            ("sharedMB", 0.02 * used_mb * of_memory),
            ("process-count", 1.0),
        ];
        columns.extend(figures.map(|(figure, value)| (format!("{name}-{figure}"), value)));
    }
    Table::of("proc", columns)
}

fn fd(between: &Between, mailbox: &MailboxReadings) -> Table {
    let columns = [("fd_count", between.now.machine.open_files), ("mailboxd_fd_count", mailbox.open_files)];
    Table::of("fd", columns)
}

/// SHOW GLOBAL STATUS as it is: cumulative since the server's start.
fn mysql(database: &DatabaseReadings) -> Table {
    let columns = [
        ("Bytes_sent", database.bytes_sent_total),
        ("Innodb_buffer_pool_read_requests", database.buffer_read_requests_total),
        ("Innodb_buffer_pool_reads", database.buffer_reads_total),
        ("Innodb_row_lock_time", (database.row_lock_seconds_total * 1e3).round()),
        ("Innodb_row_lock_waits", database.row_lock_waits_total),
        ("Queries", database.queries_total),
        ("Slow_queries", database.slow_queries_total),
        ("Threads_connected", database.threads_connected),
        ("Threads_running", database.threads_running),
        ("Uptime", database.uptime_seconds.floor()),
    ];
    Table { format: Format::MYSQL, ..Table::of("mysql", columns) }
}

/// `zmstat-ldap`: what was done since the row before, and who waits.
fn ldap(before: &DirectoryReadings, now: &DirectoryReadings) -> Table {
    let grown = |of: fn(&DirectoryReadings) -> f64| (of(now) - of(before)).max(0.0);
    let binds = grown(|directory| directory.binds_total);
    Table::of(
        "ldap",
        [
            ("abandon_ops", 0.0),
            ("add_ops", 0.0),
            ("bind_ops", binds),
            ("compare_ops", 0.0),
            ("delete_ops", 0.0),
            ("extended_ops", 0.0),
            ("modify_ops", grown(|directory| directory.modifies_total)),
            ("modrdn_ops", 0.0),
            ("search_ops", grown(|directory| directory.searches_total)),
            ("unbind_ops", binds),
            ("read_waiters", now.read_waiters),
            ("write_waiters", now.write_waiters),
            ("connections", now.connections),
            ("bytes_sent", grown(|directory| directory.bytes_total)),
            ("entries_sent", grown(|directory| directory.entries_total)),
        ],
    )
}

/// nginx's processes: nearly all that a proxy does.
fn nginx(between: &Between) -> Table {
    let core_seconds = between.seconds * between.now.machine.cpus.len() as f64 / 100.0;
    let (user, system) = (between.cpu().user * core_seconds, between.cpu().system * core_seconds);
    Table::of(
        "nginx",
        [
            ("utime", user),
            ("stime", system),
            ("cputime", user + system),
            ("rchar", between.growth(|machine| machine.network_received_bytes_total)),
            ("wchar", between.growth(|machine| machine.network_sent_bytes_total)),
            ("read_bytes", 0.0),
            ("write_bytes", 0.01 * between.growth(|machine| machine.network_sent_bytes_total)),
            ("rss", 48_000.0),
            ("processes", 5.0),
            ("threads", 5.0),
        ],
    )
}

/// One row a mount, in kilobytes.
pub fn df(host: &HostReadings) -> Table {
    let columns = ["path", "disk", "disk_use", "disk_space", "disk_pct_used"].map(str::to_owned).into();
    let rows = host.machine.volumes.iter().map(|volume| {
        let used = volume.size_bytes - volume.free_bytes;
        Row::default()
            .word(volume.mount)
            .word(volume.device)
            .number((used / 1024.0).floor())
            .number((volume.size_bytes / 1024.0).floor())
            .number((100.0 * used / volume.size_bytes.max(1.0)).ceil())
    });
    Table { file: "df", format: Format::SCRIPT, columns, rows: rows.collect() }
}

/// Written by mailboxd: threads by the prefix of their names.
pub fn threads(statistics: &Statistics, jvm_threads: f64) -> Table {
    let threads = carbonio::threads(statistics, jvm_threads);
    let columns = threads.map(|(name, count)| (name.strip_prefix("threads_").unwrap_or(name), count));
    Table { format: Format::MAILBOXD, ..Table::of("threads", columns) }
}
