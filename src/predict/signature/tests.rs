//! Which fault is told from what has moved, and which root.

use super::*;
use crate::predict::pack::builtins;

fn table() -> SignalTable {
    SignalTable::new(&builtins())
}

/// Ranks what moved, a minute between two signs, with `still` measured and at rest.
fn rank(table: &SignalTable, moved: &[(&str, Movement)], still: &[&str]) -> Vec<(String, f64)> {
    let moved: Vec<Moved> = (0..)
        .zip(moved)
        .map(|(i, (name, moves))| Moved {
            signal: table.find(name).unwrap(),
            moves: *moves,
            at: Timestamp(i * 60_000),
            machine: 0,
        })
        .collect();
    let still = still.iter().map(|name| table.find(name).unwrap());
    let measured = moved.iter().map(|m| m.signal).chain(still).collect();
    let machine = Machine { measured, restarted: None };
    let ranked = Signatures::new(table).rank(&moved, &[machine], &|_, _| None);
    ranked.iter().map(|r| (table.faults()[r.fault].name.clone(), r.probability)).collect()
}

#[test]
fn every_fault_is_known_by_its_own_signs() {
    let table = table();
    for fault in table.faults() {
        let mut seen = BTreeSet::new();
        // A signal cannot move both ways at once (clock_skew has either).
        let signs = fault.evidence.iter().filter(|e| seen.insert(&e.signal));
        let moved: Vec<(&str, Movement)> = signs.map(|e| (e.signal.as_str(), e.moves)).collect();
        let ranked = rank(&table, &moved, &[]);
        assert_eq!(ranked[0].0, fault.name, "{ranked:?}");
        assert!(ranked[0].1 > 0.5, "{ranked:?}");
    }
}

#[test]
fn a_deferred_queue_alone_is_an_outage_outside() {
    let table = table();
    let ranked = rank(&table, &[("mta_queue_deferred", Movement::Up)], &["mta_queue_active"]);
    assert_eq!(ranked[0].0, "remote_outage");
    assert!((0.5..0.9).contains(&ranked[0].1), "{ranked:?}");
}

#[test]
fn a_stuck_scanner_is_known_by_three_signs_of_the_ones_it_has() {
    let table = table();
    let moved = [
        ("clamd_threads_idle", Movement::Down),
        ("clamd_queue", Movement::Up),
        ("mta_queue_active", Movement::Up),
    ];
    let ranked =
        rank(&table, &moved, &["lmtp_received", "mta_queue_deferred", "cpu_user", "add_message_time"]);
    assert_eq!(ranked[0].0, "clamd_stuck");
    assert!(ranked[0].1 > 0.9, "{ranked:?}");
}

#[test]
fn what_no_fault_moves_has_no_hypothesis() {
    let table = table();
    assert_eq!(rank(&table, &[("mta_rejected", Movement::Up)], &[]), []);
    assert_eq!(rank(&table, &[("mta_queue_deferred", Movement::Down)], &[]), []);
    assert_eq!(Signatures::new(&table).rank(&[], &[Machine::default()], &|_, _| None), []);
}

#[test]
fn a_sign_at_rest_speaks_against_a_fault() {
    let table = table();
    let probability = |still: &[&str]| rank(&table, &[("index_read", Movement::Up)], still)[0].1;
    let [still, unmeasured] = [probability(&["search_time"]), probability(&[])];
    assert!(still < unmeasured, "{still} {unmeasured}");
}

#[test]
fn order_tells_a_leak_from_a_burst() {
    let table = table();
    let leak = [("heap_used", Movement::Up), ("gc_time", Movement::Up), ("soap_time", Movement::Up)];
    let burst = [("gc_time", Movement::Up), ("heap_used", Movement::Up), ("soap_time", Movement::Up)];
    let [leak, burst] = [leak, burst].map(|moved| {
        let ranked = rank(&table, &moved, &[]);
        ranked.iter().find(|r| r.0 == "heap_leak").map_or(0.0, |r| r.1)
    });
    assert!(leak > burst, "{leak} {burst}");
}

/// Ranks what moved on several machines, a minute between two signs; what each machine measures is what it moved and
/// its `still`.
fn rank_site(
    table: &SignalTable,
    moved: &[(&str, Movement, usize)],
    still: &[&[&str]],
) -> (String, f64, usize) {
    let place = |name: &str| table.find(name).unwrap();
    let measures = |names: &&[&str]| names.iter().map(|name| place(name)).collect();
    let mut machines: Vec<Machine> =
        still.iter().map(|names| Machine { measured: measures(names), restarted: None }).collect();
    let mut all = Vec::new();
    for (i, (name, moves, machine)) in (0..).zip(moved) {
        let (signal, at) = (place(name), Timestamp(i * 60_000));
        machines[*machine].measured.insert(signal);
        all.push(Moved { signal, moves: *moves, at, machine: *machine });
    }
    let ranked = Signatures::new(table).rank(&all, &machines, &|_, _| None);
    (table.faults()[ranked[0].fault].name.clone(), ranked[0].probability, ranked[0].root)
}

#[test]
fn the_root_of_a_cascade_is_where_its_own_signs_are() {
    let table = table();
    let moved = [
        ("mta_queue_active", Movement::Up, 1),
        ("add_message_time", Movement::Up, 0),
        ("lmtp_connections", Movement::Up, 0),
        ("mta_lmtp_time", Movement::Up, 1),
    ];
    let (fault, probability, root) =
        rank_site(&table, &moved, &[&["disk_wait", "cpu_iowait"], &["clamd_queue", "mta_deferrals"]]);
    assert_eq!((fault.as_str(), root), ("slow_lmtp", 0), "{probability}");
}

#[test]
fn many_symptoms_do_not_hide_the_fault() {
    let table = table();
    let mut moved = vec![
        ("disk_wait", Movement::Up, 0),
        ("cpu_iowait", Movement::Up, 0),
        ("add_message_time", Movement::Up, 0),
        ("lmtp_threads", Movement::Up, 0),
    ];
    let symptoms = [
        "memory_free",
        "load",
        "cpu_system",
        "file_descriptors",
        "http_threads_idle",
        "mailbox_lookups",
        "heap_used",
        "imap_connections",
        "soap_requests",
        "db_queries",
        "db_pool",
        "login_time",
    ];
    let known = symptoms.iter().filter(|name| table.find(name).is_some());
    moved.extend(known.map(|name| (*name, Movement::Up, 0)));
    let (fault, probability, _) = rank_site(&table, &moved, &[&[]]);
    assert!(fault == "storage_latency" && probability > 0.5, "{fault} {probability}");
}

#[test]
fn a_sign_of_one_kind_of_machine_is_none_on_another() {
    let table = table();
    // A busy directory server is not an account that sends.
    let moved = [("cpu_user", Movement::Up, 0), ("ldap_waiters", Movement::Up, 0)];
    let (fault, ..) = rank_site(&table, &moved, &[&["ldap_searches"]]);
    assert_eq!(fault, "slow_ldap");
}

#[test]
fn a_deploy_is_told_from_a_store_that_does_not_answer_by_the_restart() {
    let table = table();
    let find = |name| table.find(name).unwrap();
    let signs =
        [("proxy_writing", Movement::Up), ("proxy_errors", Movement::Up), ("soap_time", Movement::Up)];
    let moved = signs.map(|(name, moves)| Moved { signal: find(name), moves, at: Timestamp(0), machine: 0 });
    let measured: BTreeSet<u16> = moved.iter().map(|m| m.signal).collect();
    let first = |restarted| {
        let machine = Machine { measured: measured.clone(), restarted };
        let ranked = Signatures::new(&table).rank(&moved, &[machine], &|_, _| None);
        table.faults()[ranked[0].fault].name.clone()
    };
    assert_eq!([Some(true), Some(false)].map(first), ["bad_deploy", "proxy_upstream_loss"]);
}

#[test]
fn pace_tells_a_volume_that_fills_from_one_that_runs_over() {
    let table = table();
    let free = table.find("disk_free").unwrap();
    let moved = [Moved { signal: free, moves: Movement::Down, at: Timestamp(0), machine: 0 }];
    let first = |seconds: f64| {
        let machine = Machine { measured: BTreeSet::from([free]), restarted: None };
        let ranked = Signatures::new(&table).rank(&moved, &[machine], &|_, _| Some(seconds));
        table.faults()[ranked[0].fault].name.clone()
    };
    assert_eq!([first(1_200.0), first(200_000.0)], ["disk_runaway", "disk_fill"]);
}

#[test]
fn probabilities_are_a_share_of_one() {
    let table = table();
    let ranked = rank(&table, &[("mta_queue_active", Movement::Up), ("cpu_user", Movement::Up)], &[]);
    let sum: f64 = ranked.iter().map(|r| r.1).sum();
    assert!(sum < 1.0 && ranked.iter().all(|r| r.1 > 0.0), "{ranked:?}");
    assert!(ranked.is_sorted_by(|a, b| a.1 >= b.1));
}
