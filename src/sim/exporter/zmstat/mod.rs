//! Zimbra's statistics folder of one host: the CSV files that mailboxd and the zmstat scripts write.
//!
//! `tables` says what stands in each file, `csv` how a file grows and is moved away after midnight. Times are local,
//! without a zone. mailboxd writes when its minute is over, `zmstat-mtaqueue` when it gets round to it, the other
//! scripts every 30 s, `zmstat-df` every 600 s.

mod csv;
mod tables;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use self::csv::{Csv, Format};
use self::tables::{Between, Row, Table};
use super::columns::{COLUMNS, Column};
use crate::sample::Timestamp;
use crate::sim::cluster::readings::{
    CommandReadings, HostReadings, MailboxReadings, Protocol, ServiceReadings, Statistics,
};

const SCRIPTS_MS: i64 = 30_000;
const DF_MS: i64 = 600_000;

/// Whose columns are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    #[default]
    Newer,
    /// Other columns of mailboxd.csv, in another order: no pools of the JVM, and collectors of before G1.
    Older,
}

/// A statistics folder that grows.
#[derive(Debug)]
pub struct Zmstat {
    directory: PathBuf,
    zone: TimeZone,
    columns: Vec<(&'static str, &'static Column)>,
    files: Vec<Csv>,
    /// What the scripts saw last, and when.
    before: Option<(Timestamp, HostReadings)>,
    scripts_due: Timestamp,
    df_due: Timestamp,
    statistics_at: Timestamp,
    queue_at: Timestamp,
    mailboxd_was_up: bool,
}

/// The files that mailboxd writes itself.
const MAILBOXD_FILES: [&str; 7] = ["mailboxd", "threads", "soap", "imap", "pop3", "ldap", "sql"];
const COMMAND_FILES: [(&str, Protocol); 5] = [
    ("soap", Protocol::Soap),
    ("imap", Protocol::Imap),
    ("pop3", Protocol::Pop3),
    ("ldap", Protocol::Ldap),
    ("sql", Protocol::Sql),
];

impl Zmstat {
    /// Writes into `directory`, which is made where it isn't there; its times are those of `zone`.
    pub fn new(directory: &Path, zone: TimeZone, version: Version) -> Self {
        Zmstat {
            directory: directory.to_owned(),
            zone,
            columns: columns(version),
            files: Vec::new(),
            before: None,
            scripts_due: Timestamp::MIN,
            df_due: Timestamp::MIN,
            statistics_at: Timestamp::MIN,
            queue_at: Timestamp::MIN,
            mailboxd_was_up: true,
        }
    }

    /// Writes what is due at `at`; `host` is always the same one. A host that doesn't answer writes nothing, and one
    /// that was booted starts all its scripts anew.
    pub fn write(&mut self, at: Timestamp, host: &HostReadings) -> io::Result<()> {
        if !host.answers {
            return Ok(());
        }
        let boot = host.machine.boot_at_seconds;
        if self.before.as_ref().is_some_and(|(_, before)| before.machine.boot_at_seconds != boot) {
            self.files.iter_mut().for_each(Csv::start_anew);
            self.before = None;
        }
        match &host.service {
            ServiceReadings::Mailbox(mailbox) => self.write_mailboxd(mailbox)?,
            ServiceReadings::Mta(mta) => {
                let queue = mta.queue_statistics;
                if queue.at > self.queue_at && queue.at > Timestamp(0) {
                    self.queue_at = queue.at;
                    let header = "timestamp, KBytes, requests";
                    let row = Row::default().number(queue.kilobytes).number(queue.requests);
                    self.append("mtaqueue", queue.at, Format::SCRIPT, header, &[row])?;
                }
            }
            ServiceReadings::Proxy(_) | ServiceReadings::Directory(_) => {}
        }
        if at >= self.scripts_due {
            self.scripts_due = next(at, SCRIPTS_MS);
            // A first look has nothing to compare with.
            if let Some((then, before)) = self.before.take() {
                let between = Between { before: &before, now: host, seconds: at.since(then) as f64 / 1e3 };
                for table in tables::of_scripts(&between) {
                    self.append_table(at, &table)?;
                }
            }
            self.before = Some((at, host.clone()));
        }
        if at >= self.df_due {
            self.df_due = next(at, DF_MS);
            self.append_table(at, &tables::df(host))?;
        }
        Ok(())
    }

    fn write_mailboxd(&mut self, mailbox: &MailboxReadings) -> io::Result<()> {
        if mailbox.is_up && !self.mailboxd_was_up {
            let own = |file: &&mut Csv| MAILBOXD_FILES.contains(&file.name());
            self.files.iter_mut().filter(own).for_each(Csv::start_anew);
        }
        self.mailboxd_was_up = mailbox.is_up;
        let Some(statistics) = mailbox.statistics.as_ref().filter(|row| row.at > self.statistics_at) else {
            return Ok(());
        };
        self.statistics_at = statistics.at;
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let header = format!("timestamp,{}", names.join(","));
        let values = self.columns.iter().map(|(_, column)| (column.value)(statistics));
        let row = values.fold(Row::default(), Row::number);
        self.append("mailboxd", statistics.at, Format::MAILBOXD, &header, &[row])?;
        self.append_table(statistics.at, &tables::threads(statistics, mailbox.jvm_threads))?;
        self.write_commands(statistics)
    }

    /// Files of commands are sparse: a minute in which none was used has no row.
    fn write_commands(&mut self, statistics: &Statistics) -> io::Result<()> {
        for (name, protocol) in COMMAND_FILES {
            let used = statistics.commands.iter().filter(|command| command.protocol == protocol);
            let row = |command: &CommandReadings| {
                Row::default().word(command.command).number(command.timed.count).number(command.timed.mean_ms)
            };
            let rows: Vec<Row> = used.map(row).collect();
            let header = "timestamp,command,exec_count,exec_ms_avg";
            self.append(name, statistics.at, Format::MAILBOXD, header, &rows)?;
        }
        Ok(())
    }

    fn append_table(&mut self, at: Timestamp, table: &Table) -> io::Result<()> {
        self.append(table.file, at, table.format, &table.header(), &table.rows)
    }

    fn append(
        &mut self,
        name: &'static str,
        at: Timestamp,
        format: Format,
        header: &str,
        rows: &[Row],
    ) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let instant = jiff::Timestamp::from_millisecond(at.0).map_err(io::Error::other)?;
        let local = self.zone.to_datetime(instant);
        let place = self.files.iter().position(|file| file.name() == name).unwrap_or(self.files.len());
        if place == self.files.len() {
            self.files.push(Csv::new(&self.directory, name));
        }
        self.files[place].append(local, format, header, rows)
    }
}

/// The next multiple of `cadence_ms`.
fn next(at: Timestamp, cadence_ms: i64) -> Timestamp {
    Timestamp((at.0.div_euclid(cadence_ms) + 1) * cadence_ms)
}

/// The columns of mailboxd.csv under the names of that version.
fn columns(version: Version) -> Vec<(&'static str, &'static Column)> {
    let mut columns: Vec<_> = COLUMNS.iter().map(|column| (column.name(), column)).collect();
    if version == Version::Older {
        columns.retain(|(name, _)| !name.starts_with("mpool_") && !name.starts_with("mbox_item"));
        for (name, _) in &mut columns {
            *name = match *name {
                "gc_g1_young_generation_count" => "gc_parnew_count",
                "gc_g1_young_generation_ms" => "gc_parnew_ms",
                "gc_g1_old_generation_count" => "gc_concurrentmarksweep_count",
                "gc_g1_old_generation_ms" => "gc_concurrentmarksweep_ms",
                same => same,
            };
        }
        columns.rotate_left(30);
    }
    columns
}
