//! Claims about what is on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;
use sha2::{Digest, Sha256};

use super::*;
use crate::durable::record::{RecordState, Stage, Step};
use crate::incident::event::{BrownOut, Incident};

const DAY_MS: i64 = 24 * 3_600_000;

fn event(incident: &str, seq: u32) -> Event {
    let json = serde_json::json!({
        "v": 1, "seq": seq, "at": "2023-11-14T22:00:00Z", "event": "action.planned",
        "incident": {
            "id": incident, "site": "berlin", "entity": "mx1", "entities": ["mx1"],
            "opened_at": "2023-11-14T22:00:00Z", "resolved_at": null, "severity": "page", "state": "open",
            "fault": "clamd_stuck", "probability": 0.9,
            "hypotheses": [{"fault": "clamd_stuck", "probability": 0.9, "evidence": [{"__name__": "up"}]}],
            "movers": [{
                "series": {"__name__": "q"}, "signal": "mta.queue.deferred", "at": "2023-11-14T22:00:00Z",
                "value": 812.0, "unit": "messages", "expected": 40.0, "low": 22.0, "high": 71.5, "surprise": 9.25,
                "detector": "derivative"
            }],
            "prediction": {
                "impact_at": "2023-11-14T22:20:00Z", "earliest": "2023-11-14T22:10:00Z",
                "latest": "2023-11-14T22:30:00Z", "what": "late"
            },
            "remedy": "flush_queue", "summary": "…"
        },
        "action": {
            "id": "x", "remedy": "flush_queue", "target": "mx1", "sink": "healer", "mode": "auto",
            "outcome": "planned", "reason": null
        }
    });
    serde_json::from_value(json).unwrap()
}

fn record(id: &str, at: i64, state: RecordState) -> OutboxRecord {
    OutboxRecord {
        id: id.into(),
        sink: "healer".into(),
        incident: "a".into(),
        event: event("a", 0),
        created_at: Timestamp(at),
        attempts: 1,
        due_at: Timestamp(at),
        state,
    }
}

fn case(incident: &str, resolved_at: Option<i64>) -> Case {
    let event = event(incident, 0);
    let action = event.action.unwrap();
    let mut incident = event.incident.unwrap();
    incident.resolved_at = resolved_at.map(Timestamp);
    Case {
        severity_max: incident.severity,
        incident,
        seq_next: 1,
        accepted: (event.at, 0),
        notes: BTreeMap::from([("grafana".into(), Some("17".into())), ("pager".into(), None)]),
        steps: vec![Step { action, planned_at: event.at, stage: Stage::Queued }],
    }
}

fn cases(of: &[(&str, Option<i64>)]) -> BTreeMap<String, Case> {
    of.iter().map(|(id, at)| (id.to_string(), case(id, *at))).collect()
}

fn charge(at: i64) -> Charge {
    Charge { action: format!("charge {at}"), target: "mx1".into(), at: Timestamp(at) }
}

/// A change of what rows hold must change `VERSION` and bring a migration; then this hash is written anew.
#[test]
fn rows_keep_their_format() {
    let rows = (
        record("r", 1, RecordState::Failed { at: Timestamp(2), reason: "why".into() }),
        case("a", Some(3)),
        charge(4),
        Disabled { at: Timestamp(5), url: "u".into() },
    );
    let hash = Sha256::digest(postcard::to_stdvec(&rows).unwrap());
    let hash: String = hash[..8].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!((VERSION, hash.as_str()), (1, "2166b571e10437ba"));
}

#[test]
fn root_and_brown_out_stand_behind_rows_that_have_no_place_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let used_up_at = Some(Timestamp(7));
    let brown_out =
        BrownOut { name: "customers".into(), accepted_seconds: 1800.0, used_seconds: 720.0, used_up_at };
    let of = |incident: Option<&mut Incident>| {
        let incident = incident.unwrap();
        (incident.root, incident.brown_out) = (Some("mta1".into()), Some(brown_out.clone()));
    };
    let (mut event, mut case) = (event("a", 0), case("a", None));
    let mut record = record("r", 1, RecordState::Pending);
    let before = postcard::to_stdvec(&event).unwrap();
    [event.incident_mut(), case.incident_mut(), record.incident_mut()].into_iter().for_each(of);
    assert_eq!(postcard::to_stdvec(&event).unwrap(), before, "versions that know of none read it as ever");
    let changes = Changes {
        events: vec![event.clone()],
        records: vec![record.clone()],
        cases: BTreeMap::from([("a".into(), case.clone())]),
        ..Changes::default()
    };
    store.commit(&changes).unwrap();
    assert_eq!(store.events("a").unwrap(), [event]);
    assert_eq!(store.record("r").unwrap(), Some(record));
    assert_eq!(store.case("a").unwrap(), Some(case));
}

#[test]
fn what_is_committed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let changes = Changes {
        events: vec![event("a", 0), event("a", 1), event("b", 0)],
        records: vec![record("late", 2, RecordState::Pending), record("early", 1, RecordState::Pending)],
        moved: vec![record("done", 0, RecordState::Delivered { at: Timestamp(3) })],
        cases: cases(&[("a", None)]),
        charges: vec![charge(4)],
        disabled: BTreeMap::from([("x".into(), Disabled { at: Timestamp(5), url: "u".into() })]),
    };
    Store::open(dir.path()).unwrap().commit(&changes).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(
        loaded.pending,
        [changes.records[1].clone(), changes.records[0].clone()],
        "oldest first, ended ones not"
    );
    assert_eq!(loaded.cases, [case("a", None)]);
    assert_eq!(loaded.charges, changes.charges);
    assert_eq!(loaded.disabled, changes.disabled.into_iter().collect::<Vec<_>>());
    assert_eq!(store.events("a").unwrap(), changes.events[..2]);
    assert_eq!(store.case("a").unwrap(), Some(case("a", None)));
    assert_eq!(store.case("b").unwrap(), None);
}

#[test]
fn a_record_made_anew_does_not_replace_its_tombstone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let made = Changes { records: vec![record("r", 1, RecordState::Pending)], ..Changes::default() };
    assert_eq!(store.commit(&made).unwrap(), ["r"]);
    let ended = record("r", 1, RecordState::Delivered { at: Timestamp(2) });
    store.commit(&Changes { moved: vec![ended.clone()], ..Changes::default() }).unwrap();
    assert!(store.commit(&made).unwrap().is_empty());
    assert_eq!(store.record("r").unwrap(), Some(ended));
}

#[test]
fn the_old_is_forgotten_and_the_unfinished_never() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let ended = |at| RecordState::Delivered { at: Timestamp(at) };
    let changes = Changes {
        events: vec![event("old", 0), event("open", 0)],
        records: vec![
            record("old", 0, ended(0)),
            record("new", 0, ended(DAY_MS)),
            record("todo", 0, RecordState::Pending),
        ],
        cases: cases(&[("old", Some(0)), ("new", Some(3 * DAY_MS)), ("open", None)]),
        charges: vec![charge(0), charge(DAY_MS)],
        ..Changes::default()
    };
    store.commit(&changes).unwrap();
    assert_eq!(store.prune(Timestamp(7 * DAY_MS + 1), 6 * DAY_MS).unwrap(), 2);
    let ids: Vec<String> = store.cases(9).unwrap().into_iter().map(|case| case.incident.id).collect();
    assert_eq!(ids, ["open", "new"]);
    assert!(store.events("old").unwrap().is_empty());
    assert_eq!(store.events("open").unwrap().len(), 1);
    assert_eq!(store.record("old").unwrap(), None);
    assert!(store.record("new").unwrap().is_some());
    assert_eq!(store.prune(Timestamp(30 * DAY_MS + 1), 999 * DAY_MS).unwrap(), 2, "a tombstone and a charge");
    assert_eq!(store.load().unwrap().charges, [charge(DAY_MS)]);
    assert_eq!(store.load().unwrap().pending.len(), 1);
    assert_eq!(store.prune(Timestamp(30 * DAY_MS + 1), 999 * DAY_MS).unwrap(), 0);
}

#[test]
fn rows_of_a_newer_version_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let database = Database::create(dir.path().join("store.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(META).unwrap().insert("version", VERSION + 1).unwrap();
    txn.commit().unwrap();
    drop(database);
    let error = Store::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("format 2"), "{error}");
}

#[test]
fn a_row_that_cannot_be_read_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write(|txn| Ok(txn.open_table(OUTBOX)?.insert("r", [0xFF].as_slice()).map(drop)?)).unwrap();
    let error = store.load().unwrap_err();
    assert!(error.to_string().starts_with("store: row r of table outbox"), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn a_file_that_is_no_store_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("store.redb"), "not a database, however long one looks at it").unwrap();
    assert!(Store::open(dir.path()).is_err());
}

#[test]
fn the_store_works_again_once_the_disk_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let (path, flag) = (dir.path().join("store.redb"), full.clone());
    let open = move || {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        let disk = Disk { file: FileBackend::new(file)?, full: flag.clone() };
        Database::builder().create_with_backend(disk)
    };
    let store = Store::with(Box::new(open), None).unwrap();
    let first = Changes { charges: vec![charge(1)], ..Changes::default() };
    let second = Changes { charges: vec![charge(2)], ..Changes::default() };
    store.commit(&first).unwrap();
    full.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert!(store.commit(&second).unwrap_err().is_retryable());
    }
    full.store(false, Ordering::Relaxed);
    assert_eq!(store.load().unwrap().charges, [charge(1)]);
    store.commit(&second).unwrap();
    assert_eq!(store.load().unwrap().charges, [charge(1), charge(2)]);
}

/// A disk that can be full.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        match self.full.load(Ordering::Relaxed) {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room().and_then(|()| self.file.set_len(len))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.room().and_then(|()| self.file.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room().and_then(|()| self.file.write(offset, data))
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}
