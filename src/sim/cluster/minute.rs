//! What mailboxd sums up over a minute before it writes a row of its statistics.

use super::readings::{CommandReadings, Protocol, Statistics, Timed};
use super::store::SEARCHES;
use crate::sample::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// Calls that ended, and the time they took in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    count: f64,
    seconds: f64,
}

impl Calls {
    pub fn add(&mut self, count: f64, seconds_each: f64) {
        self.count += count;
        self.seconds += count * seconds_each;
    }

    /// A share of them, as whole calls, each `times` as long.
    fn timed(&self, share: f64, times: f64) -> Timed {
        let count = (self.count * share).round();
        let mean_ms = if count > 0.0 { times * self.seconds / self.count * 1000.0 } else { 0.0 };
        Timed { count, mean_ms: (mean_ms * 100.0).round() / 100.0 }
    }
}

/// Sums since the last row.
#[derive(Clone, Debug, Default)]
pub struct Minute {
    written_at: Option<Timestamp>,
    pub soap: Calls,
    pub imap: Calls,
    pub pop: Calls,
    pub searches: Calls,
    pub logins: Calls,
    pub added: Calls,
    pub lookups: Calls,
    pub directory: Calls,
    pub database: Calls,
    pub delivered_bytes: f64,
    pub index_read_bytes: f64,
    pub blob_reads: f64,
}

/// SOAP commands, their share of the requests that neither search nor log in, and how long each is beside their mean.
const SOAP: [(&str, f64, f64); 6] = [
    ("NoOpRequest", 0.42, 0.5),
    ("GetMsgRequest", 0.26, 1.1),
    ("GetConvRequest", 0.12, 1.3),
    ("SyncRequest", 0.10, 1.8),
    ("SendMsgRequest", 0.03, 3.0),
    ("ModifyPrefsRequest", 0.0004, 1.0),
];
const IMAP: [(&str, f64, f64); 6] = [
    ("FETCH", 0.46, 1.2),
    ("IDLE", 0.22, 0.4),
    ("SELECT", 0.14, 1.5),
    ("NOOP", 0.12, 0.2),
    ("SEARCH", 0.05, 2.5),
    ("LOGIN", 0.01, 2.0),
];
const SQL: [(&str, f64, f64); 3] = [("SELECT", 0.7, 0.8), ("UPDATE", 0.2, 1.4), ("INSERT", 0.1, 1.3)];

impl Minute {
    /// Whether a row is due; the first minute begins with the first call.
    pub fn is_over(&mut self, now: Timestamp) -> bool {
        let written = *self.written_at.get_or_insert(now);
        now.since(written) >= MINUTE_MS
    }

    /// Nothing is written, and nothing is kept.
    pub fn skip(&mut self, now: Timestamp) {
        *self = Minute { written_at: Some(now), ..Minute::default() };
    }

    /// The row of the minute that ends now; a new one begins. Gauges are left to the caller.
    pub fn row(&mut self, now: Timestamp) -> Statistics {
        let delivered = self.added.count.round();
        let row = Statistics {
            at: now,
            lmtp_received_messages: delivered,
            lmtp_received_bytes: self.delivered_bytes.round(),
            lmtp_received_recipients: (delivered * 1.15).round(),
            lmtp_delivered_messages: (delivered * 1.15).round(),
            lmtp_delivered_bytes: (self.delivered_bytes * 1.15).round(),
            database_connections: self.database.timed(1.0, 1.0),
            directory_lookups: self.directory.timed(1.0, 1.0),
            messages_added: self.added.timed(1.15, 1.0),
            mailbox_lookups: self.lookups.timed(1.0, 1.0),
            soap: self.soap.timed(1.0, 1.0),
            imap: self.imap.timed(1.0, 1.0),
            pop: self.pop.timed(1.0, 1.0),
            index_writers_mean: (delivered / 40.0).min(20.0).round(),
            index_opened: (delivered * 0.4).round(),
            index_opened_cached: (delivered * 0.9).round(),
            index_written_bytes: (delivered * 21e3).round(),
            index_read_bytes: self.index_read_bytes.round(),
            blob_reads: self.blob_reads.round(),
            blob_seek_percent: 4.0,
            commands: self.commands(),
            ..Statistics::default()
        };
        self.skip(now);
        row
    }

    fn commands(&self) -> Vec<CommandReadings> {
        let mut commands = Vec::new();
        let mut add = |protocol, command, timed: Timed| {
            if timed.count > 0.0 {
                commands.push(CommandReadings { protocol, command, timed });
            }
        };
        add(Protocol::Soap, "AuthRequest", self.logins.timed(1.0, 1.0));
        add(Protocol::Soap, "SearchRequest", self.searches.timed(1.0, 1.0));
        for (command, share, times) in SOAP {
            add(Protocol::Soap, command, self.soap.timed(share * (1.0 - SEARCHES), times));
        }
        for (command, share, times) in IMAP {
            add(Protocol::Imap, command, self.imap.timed(share, times));
        }
        add(Protocol::Pop3, "RETR", self.pop.timed(0.6, 1.0));
        add(Protocol::Pop3, "PASS", self.pop.timed(0.4, 1.0));
        add(Protocol::Ldap, "SEARCH", self.directory.timed(1.0, 1.0));
        for (command, share, times) in SQL {
            add(Protocol::Sql, command, self.database.timed(share, times));
        }
        commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_of_its_minute_and_no_call_has_no_time() {
        let mut minute = Minute::default();
        assert!(!minute.is_over(Timestamp(0)));
        minute.soap.add(100.0, 0.02);
        minute.soap.add(100.0, 0.04);
        assert!(!minute.is_over(Timestamp(55_000)) && minute.is_over(Timestamp(60_000)));
        let row = minute.row(Timestamp(60_000));
        assert_eq!(row.soap, Timed { count: 200.0, mean_ms: 30.0 });
        assert_eq!(row.imap, Timed { count: 0.0, mean_ms: 0.0 });
        assert!(row.commands.iter().all(|c| c.timed.count > 0.0));
        assert_eq!(minute.row(Timestamp(120_000)).soap.count, 0.0);
    }
}
