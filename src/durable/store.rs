//! The store of what has been decided: outbox, incidents, events, charges of the guard, endpoints turned off.
//!
//! One redb file, `store.redb`. A transaction is on disk when `commit` returns, and holds all of a decision:
//! its events, its case, its outbox records. Tables and their keys:
//!
//! | table | key | value |
//! |---|---|---|
//! | `outbox` | record id | `OutboxRecord`, after its end a tombstone |
//! | `incidents` | incident id | `Case` |
//! | `events` | (incident id, seq) | `Event` as published |
//! | `charges` | action id | `Charge` |
//! | `endpoints` | sink | `Disabled` |
//! | `meta` | `version` | format of the rows |
//!
//! Recovery: redb repairs itself after a crash. After an I/O error (a full disk) it refuses all further work,
//! so the next call opens the file anew.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};

use super::lock::{DirLock, LockError};
use super::record::{Case, Changes, Charge, Disabled, OutboxRecord, Row};
use crate::incident::event::{Behind, Event};
use crate::sample::Timestamp;

/// Format of the rows.
pub const VERSION: u64 = 1;

/// Tombstones outlive any source that could make their record anew.
const TOMBSTONE_MS_MAX: i64 = 7 * 24 * 3_600_000;
const TOMBSTONES_MAX: usize = 10_000;
/// Longer than any cool-down.
const CHARGE_MS_MAX: i64 = 30 * 24 * 3_600_000;
const CACHE_BYTES: usize = 8 << 20;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;
const OUTBOX: Table = TableDefinition::new("outbox");
const INCIDENTS: Table = TableDefinition::new("incidents");
const EVENTS: TableDefinition<(&str, u32), &[u8]> = TableDefinition::new("events");
const CHARGES: Table = TableDefinition::new("charges");
const ENDPOINTS: Table = TableDefinition::new("endpoints");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("store: {0}")]
    Database(Box<redb::Error>),
    #[error("store: row {id} of table {table} cannot be read: {source}")]
    Row { table: String, id: String, source: postcard::Error },
    #[error(
        "store: rows have format {found}, this version reads up to {VERSION}; run the newer version, or move store.redb away and lose what it holds"
    )]
    Version { found: u64 },
}

impl StoreError {
    /// Whether the same call may succeed later, once the disk has room or answers again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, StoreError::Database(e) if matches!(**e, redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen))
    }
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        StoreError::Database(Box::new(error.into()))
    }
}

type Open = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// All that a start needs to go on.
#[derive(Debug, Default, PartialEq)]
pub struct Loaded {
    pub cases: Vec<Case>,
    pub charges: Vec<Charge>,
    pub disabled: Vec<(String, Disabled)>,
    /// Records with something left to do, oldest first.
    pub pending: Vec<OutboxRecord>,
}

pub struct Store {
    open: Open,
    /// `None` after an I/O error, until the next call.
    database: Mutex<Option<Database>>,
    _lock: Option<DirLock>,
}

impl Store {
    /// Takes data_dir for this process and opens the store in it, making both where they are missing.
    ///
    /// # Errors
    /// Another instance holds the directory, the disk fails, or the rows are of a newer format.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let lock = DirLock::take(data_dir)?;
        let path = data_dir.join("store.redb");
        Self::with(
            Box::new(move || Database::builder().set_cache_size(CACHE_BYTES).create(&path)),
            Some(lock),
        )
    }

    fn with(open: Open, lock: Option<DirLock>) -> Result<Self, StoreError> {
        let store = Store { open, database: Mutex::new(None), _lock: lock };
        store.write(|txn| {
            let mut meta = txn.open_table(META)?;
            let found = meta.get("version")?.map_or(VERSION, |row| row.value());
            if found > VERSION {
                return Err(StoreError::Version { found });
            }
            meta.insert("version", VERSION)?;
            txn.open_table(EVENTS)?;
            [OUTBOX, INCIDENTS, CHARGES, ENDPOINTS]
                .into_iter()
                .try_for_each(|t| Ok(txn.open_table(t).map(drop)?))
        })?;
        Ok(store)
    }

    /// Puts all of `changes` on disk, or none of it. Returns the ids of the records that are new.
    ///
    /// # Errors
    /// The disk; nothing has changed then.
    pub fn commit(&self, changes: &Changes) -> Result<Vec<String>, StoreError> {
        self.write(|txn| {
            let mut fresh = Vec::new();
            let mut outbox = txn.open_table(OUTBOX)?;
            for record in &changes.records {
                if outbox.get(record.id.as_str())?.is_none() {
                    outbox.insert(record.id.as_str(), encode(OUTBOX, &record.id, record)?.as_slice())?;
                    fresh.push(record.id.clone());
                }
            }
            for record in &changes.moved {
                outbox.insert(record.id.as_str(), encode(OUTBOX, &record.id, record)?.as_slice())?;
            }
            put(txn, INCIDENTS, &changes.cases)?;
            put(txn, CHARGES, changes.charges.iter().map(|charge| (&charge.action, charge)))?;
            put(txn, ENDPOINTS, &changes.disabled)?;
            let mut events = txn.open_table(EVENTS)?;
            for event in &changes.events {
                if let Some(incident) = &event.incident {
                    let row = encode(INCIDENTS, &incident.id, event)?;
                    events.insert((incident.id.as_str(), event.seq), row.as_slice())?;
                }
            }
            Ok(fresh)
        })
    }

    /// Everything that is not finished, and what the guard counts from.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read: starting without it would lose an action.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let txn = self.read()?;
        let mut pending: Vec<OutboxRecord> =
            rows(&txn, OUTBOX)?.into_iter().map(|(_, record)| record).collect();
        pending.retain(|record: &OutboxRecord| record.state.ended_at().is_none());
        pending.sort_by(|a, b| (a.created_at, a.event.seq, &a.id).cmp(&(b.created_at, b.event.seq, &b.id)));
        Ok(Loaded {
            cases: rows(&txn, INCIDENTS)?.into_iter().map(|(_, case)| case).collect(),
            charges: rows(&txn, CHARGES)?.into_iter().map(|(_, charge)| charge).collect(),
            disabled: rows(&txn, ENDPOINTS)?,
            pending,
        })
    }

    pub fn record(&self, id: &str) -> Result<Option<OutboxRecord>, StoreError> {
        get(&self.read()?, OUTBOX, id)
    }

    pub fn case(&self, incident: &str) -> Result<Option<Case>, StoreError> {
        get(&self.read()?, INCIDENTS, incident)
    }

    /// The newest `limit` incidents, open and closed, newest first.
    pub fn cases(&self, limit: usize) -> Result<Vec<Case>, StoreError> {
        let mut cases: Vec<Case> =
            rows(&self.read()?, INCIDENTS)?.into_iter().map(|(_, case)| case).collect();
        cases.sort_by(|a, b| {
            (b.incident.opened_at, &b.incident.id).cmp(&(a.incident.opened_at, &a.incident.id))
        });
        cases.truncate(limit);
        Ok(cases)
    }

    /// What was published about one incident, in order.
    pub fn events(&self, incident: &str) -> Result<Vec<Event>, StoreError> {
        let table = self.read()?.open_table(EVENTS)?;
        let mut events = Vec::new();
        for row in table.range((incident, 0)..=(incident, u32::MAX))? {
            events.push(decode(INCIDENTS, incident, row?.1.value())?);
        }
        Ok(events)
    }

    /// Turns an endpoint on again.
    pub fn enable(&self, sink: &str) -> Result<(), StoreError> {
        self.write(|txn| Ok(txn.open_table(ENDPOINTS)?.remove(sink).map(drop)?))
    }

    /// Forgets closed incidents older than `retention_ms`, old tombstones and old charges; returns how many rows.
    pub fn prune(&self, now: Timestamp, retention_ms: i64) -> Result<usize, StoreError> {
        let txn = self.read()?;
        let cases: Vec<(String, Case)> = rows(&txn, INCIDENTS)?;
        let closed = cases
            .iter()
            .filter(|(_, case)| case.incident.resolved_at.is_some_and(|at| now.since(at) > retention_ms));
        let closed: Vec<&str> = closed.map(|(id, _)| id.as_str()).collect();
        let records: Vec<(String, OutboxRecord)> = rows(&txn, OUTBOX)?;
        let mut ended: Vec<(Timestamp, &str)> =
            records.iter().filter_map(|(id, record)| Some((record.state.ended_at()?, id.as_str()))).collect();
        ended.sort_unstable();
        let over = ended.len().saturating_sub(TOMBSTONES_MAX);
        let expired = ended.partition_point(|(at, _)| now.since(*at) > TOMBSTONE_MS_MAX);
        let tombstones = &ended[..over.max(expired)];
        let charges: Vec<(String, Charge)> = rows(&txn, CHARGES)?;
        let charges: Vec<&str> = charges
            .iter()
            .filter(|(_, c)| now.since(c.at) > CHARGE_MS_MAX)
            .map(|(id, _)| id.as_str())
            .collect();
        if closed.is_empty() && tombstones.is_empty() && charges.is_empty() {
            return Ok(0);
        }
        self.write(|txn| {
            let (mut incidents, mut events) = (txn.open_table(INCIDENTS)?, txn.open_table(EVENTS)?);
            for id in &closed {
                incidents.remove(id)?;
                events.retain_in((*id, 0)..=(*id, u32::MAX), |_, _| false)?;
            }
            let mut outbox = txn.open_table(OUTBOX)?;
            for (_, id) in tombstones {
                outbox.remove(id)?;
            }
            let mut table = txn.open_table(CHARGES)?;
            for id in &charges {
                table.remove(id)?;
            }
            Ok(closed.len() + tombstones.len() + charges.len())
        })
    }

    fn read(&self) -> Result<ReadTransaction, StoreError> {
        self.with_database(|database| Ok(database.begin_read()?))
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with_database(|database| {
            let txn = database.begin_write()?;
            let done = work(&txn)?;
            txn.commit()?;
            Ok(done)
        })
    }

    fn with_database<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match slot.take() {
            Some(database) => database,
            None => (self.open)()?,
        };
        let done = work(&database);
        if !done.as_ref().is_err_and(StoreError::is_retryable) {
            *slot = Some(database);
        }
        done
    }
}

fn put<'c, K, V, I>(txn: &WriteTransaction, table: Table, values: I) -> Result<(), StoreError>
where
    K: AsRef<str> + 'c + ?Sized,
    V: Row + 'c,
    I: IntoIterator<Item = (&'c K, &'c V)>,
{
    let mut rows = txn.open_table(table)?;
    for (id, value) in values {
        rows.insert(id.as_ref(), encode(table, id.as_ref(), value)?.as_slice())?;
    }
    Ok(())
}

fn get<V: Row>(txn: &ReadTransaction, table: Table, id: &str) -> Result<Option<V>, StoreError> {
    let row = txn.open_table(table)?.get(id)?;
    row.map(|row| decode(table, id, row.value())).transpose()
}

fn rows<V: Row>(txn: &ReadTransaction, table: Table) -> Result<Vec<(String, V)>, StoreError> {
    let mut values = Vec::new();
    for row in txn.open_table(table)?.iter()? {
        let (id, row) = row?;
        values.push((id.value().to_owned(), decode(table, id.value(), row.value())?));
    }
    Ok(values)
}

fn encode<V: Row>(table: Table, id: &str, value: &V) -> Result<Vec<u8>, StoreError> {
    let behind = value.incident().map(Behind::of).filter(|behind| *behind != Behind::default());
    let row = postcard::to_stdvec(value).and_then(|row| match &behind {
        Some(behind) => postcard::to_extend(behind, row),
        None => Ok(row),
    });
    row.map_err(|source| unreadable(table, id, source))
}

fn decode<V: Row>(table: Table, id: &str, bytes: &[u8]) -> Result<V, StoreError> {
    let row = postcard::take_from_bytes(bytes).and_then(|(mut value, behind): (V, &[u8])| {
        if let Some(incident) = value.incident_mut().filter(|_| !behind.is_empty()) {
            postcard::from_bytes::<Behind>(behind)?.put(incident);
        }
        Ok(value)
    });
    row.map_err(|source| unreadable(table, id, source))
}

fn unreadable(table: Table, id: &str, source: postcard::Error) -> StoreError {
    StoreError::Row { table: redb::TableHandle::name(&table).into(), id: id.into(), source }
}

#[cfg(test)]
mod tests;
