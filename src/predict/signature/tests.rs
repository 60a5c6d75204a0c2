//! Which fault is told from what has moved, and which root.

use super::*;
use crate::predict::pack::builtins;

fn table() -> SignalTable {
    SignalTable::new(&builtins())
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What strays as never before.
fn moved(signal: u16, moves: Movement, at: i64, machine: usize) -> Moved {
    Moved {
        signal,
        moves,
        at: Timestamp(at),
        machine,
        rarity: 12.0,
        by_limit: false,
        hurts_since: None,
        may_be_restart: false,
    }
}

/// Ranks what moved, a minute between two signs, with `still` measured and at rest.
fn rank(table: &SignalTable, moves: &[(&str, Movement)], still: &[&str]) -> Vec<(String, f64)> {
    rank_every(MINUTE_MS, table, moves, still)
}

/// The same with so long between two signs.
fn rank_every(
    step_ms: i64,
    table: &SignalTable,
    moves: &[(&str, Movement)],
    still: &[&str],
) -> Vec<(String, f64)> {
    let find = |name: &str| table.find(name).unwrap();
    let moved: Vec<Moved> =
        (0..).zip(moves).map(|(i, (name, moves))| moved(find(name), *moves, i * step_ms, 0)).collect();
    let still = still.iter().map(|name| find(name));
    let measured = moved.iter().map(|m| m.signal).chain(still).map(|signal| (signal, 1)).collect();
    let machine = Machine { measured, restart: Restart::Unknown };
    let now = Timestamp(moves.len() as i64 * step_ms);
    let ranked = Signatures::new(table).rank(&moved, &[machine], now, &|_, _| None);
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
        let step_ms = if fault.lead == Lead::Days { HOUR_MS } else { MINUTE_MS };
        let ranked = rank_every(step_ms, &table, &moved, &[]);
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
    assert_eq!(Signatures::new(&table).rank(&[], &[Machine::default()], Timestamp(0), &|_, _| None), []);
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
    let measures = |names: &&[&str]| names.iter().map(|name| (place(name), 1)).collect();
    let mut machines: Vec<Machine> =
        still.iter().map(|names| Machine { measured: measures(names), restart: Restart::Unknown }).collect();
    let mut all = Vec::new();
    for (i, (name, moves, machine)) in (0..).zip(moved) {
        let signal = place(name);
        machines[*machine].measured.insert(signal, 1);
        all.push(self::moved(signal, *moves, i * MINUTE_MS, *machine));
    }
    let now = Timestamp(moved.len() as i64 * MINUTE_MS);
    let ranked = Signatures::new(table).rank(&all, &machines, now, &|_, _| None);
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
    let moved = signs.map(|(name, moves)| moved(find(name), moves, 0, 0));
    let measured: BTreeMap<u16, usize> = moved.iter().map(|m| (m.signal, 1)).collect();
    let first = |restart| {
        let machine = Machine { measured: measured.clone(), restart };
        let ranked = Signatures::new(&table).rank(&moved, &[machine], Timestamp(0), &|_, _| None);
        table.faults()[ranked[0].fault].name.clone()
    };
    assert_eq!([Restart::At(Timestamp(0)), Restart::None].map(first), ["bad_deploy", "proxy_upstream_loss"]);
}

#[test]
fn what_goes_on_after_a_restart_is_the_deploy() {
    let table = table();
    let find = |name: &str| table.find(name).unwrap();
    let names = ["memory_free", "db_threads", "proxy_errors", "soap_time"];
    let moves = [Movement::Up, Movement::Down, Movement::Up, Movement::Up];
    let machine =
        Machine { measured: names.map(|name| (find(name), 1)).into(), restart: Restart::At(Timestamp(0)) };
    let probability = |fault: &str, minutes: i64| {
        let moved: Vec<Moved> = (0..names.len())
            .map(|i| Moved {
                hurts_since: (i > 1).then_some(Timestamp(0)),
                ..moved(find(names[i]), moves[i], 0, 0)
            })
            .collect();
        let now = Timestamp(minutes * MINUTE_MS);
        let ranked = Signatures::new(&table).rank(&moved, std::slice::from_ref(&machine), now, &|_, _| None);
        ranked.iter().find(|r| table.faults()[r.fault].name == fault).map_or(0.0, |r| r.probability)
    };
    assert!(probability("mailboxd_restart", 5) > 2.0 * probability("bad_deploy", 5));
    assert!(probability("mailboxd_restart", 20) < 0.5 * probability("bad_deploy", 20));
}

#[test]
fn pace_tells_a_volume_that_fills_from_one_that_runs_over() {
    let table = table();
    let free = table.find("disk_free").unwrap();
    let moved = [moved(free, Movement::Down, 0, 0)];
    let first = |seconds: f64| {
        let machine = Machine { measured: BTreeMap::from([(free, 1)]), restart: Restart::Unknown };
        let ranked = Signatures::new(&table)
            .rank(&moved, &[machine], Timestamp(0), &|_, _| Some(Pace::Takes(seconds)));
        table.faults()[ranked[0].fault].name.clone()
    };
    assert_eq!([first(1_200.0), first(200_000.0)], ["disk_runaway", "disk_fill"]);
}

#[test]
fn what_could_not_fill_up_in_time_hardly_runs_over() {
    let table = table();
    let [free, written] = ["disk_free", "disk_written"].map(|name| table.find(name).unwrap());
    let moved = [moved(written, Movement::Up, 0, 0), moved(free, Movement::Down, MINUTE_MS, 0)];
    let probability = |pace: Option<Pace>| {
        let machine = Machine { measured: BTreeMap::from([(free, 1), (written, 1)]), ..Machine::default() };
        let ranked = Signatures::new(&table).rank(&moved, &[machine], Timestamp(0), &|_, _| pace);
        ranked.iter().find(|r| table.faults()[r.fault].name == "disk_runaway").unwrap().probability
    };
    // No trend may be seen yet; what needs a day at the pace of now is another thing.
    let [unknown, soon, late] =
        [None, Some(Pace::AtLeast(600.0)), Some(Pace::AtLeast(86_400.0))].map(probability);
    assert!(unknown > 0.5 && soon < unknown && late < 0.5, "{unknown} {soon} {late}");
}

/// How probable a deploy is in a story in which an MTA puts off more and more, and an hour later a store restarts and answers
/// slowly, by whether that may be all that moved there.
fn deploy_amid_an_outage(may_be_restart: bool) -> f64 {
    let table = table();
    let find = |name: &str| table.find(name).unwrap();
    let on_mta = ["mta_queue_deferred", "mta_deferrals", "mta_queue_total"].map(find);
    let on_store = ["soap_time", "imap_time", "account_cache_hits"].map(find);
    let ways = [Movement::Up, Movement::Up, Movement::Down];
    let early = on_mta.iter().zip(0..).map(|(signal, i)| moved(*signal, Movement::Up, i * MINUTE_MS, 0));
    let late = on_store
        .iter()
        .zip(ways)
        .zip(60..)
        .map(|((signal, way), i)| Moved { may_be_restart, ..moved(*signal, way, i * MINUTE_MS, 1) });
    let moved: Vec<Moved> = early.chain(late).collect();
    let measured = |signals: [u16; 3]| signals.map(|signal| (signal, 1)).into();
    let machines = [
        Machine { measured: measured(on_mta), restart: Restart::None },
        Machine { measured: measured(on_store), restart: Restart::At(Timestamp(60 * MINUTE_MS)) },
    ];
    let ranked = Signatures::new(&table).rank(&moved, &machines, Timestamp(65 * MINUTE_MS), &|_, _| None);
    ranked.iter().find(|r| table.faults()[r.fault].name == "bad_deploy").map_or(0.0, |r| r.probability)
}

#[test]
fn a_restart_amid_a_story_is_no_deploy_that_began_it() {
    let [counts, may_be_all] = [false, true].map(deploy_amid_an_outage);
    assert!(may_be_all < 0.5 * counts && may_be_all < 0.1, "{counts} {may_be_all}");
}

#[test]
fn one_sign_may_stray_a_little_before_a_deploy() {
    let table = table();
    let signals = ["soap_time", "imap_time", "http_errors"].map(|name| table.find(name).unwrap());
    let measured: BTreeMap<u16, usize> = signals.map(|signal| (signal, 1)).into();
    let probability = |early: usize| {
        let moved = signals.iter().enumerate().map(|(place, signal)| {
            let minutes = if place < early { -8 } else { 1 };
            moved(*signal, Movement::Up, minutes * MINUTE_MS, 0)
        });
        let moved: Vec<Moved> = moved.collect();
        let machine = Machine { measured: measured.clone(), restart: Restart::At(Timestamp(0)) };
        let ranked = Signatures::new(&table).rank(&moved, &[machine], Timestamp(HOUR_MS), &|_, _| None);
        ranked.iter().find(|r| table.faults()[r.fault].name == "bad_deploy").unwrap().probability
    };
    let [none, one, most] = [0, 1, 2].map(probability);
    assert!(one > 0.5 && one > 0.8 * none && most < 0.5, "{none} {one} {most}");
}

#[test]
fn a_deploy_shows_first_on_a_store_that_takes_over() {
    let table = table();
    let find = |name: &str| table.find(name).unwrap();
    let signals = ["soap_time", "imap_time", "http_errors"].map(find);
    let moved = signals.map(|signal| moved(signal, Movement::Up, 0, 0));
    let first = |other: [u16; 3], at: Restart| {
        let machine = |signals: [u16; 3], restart| Machine {
            measured: signals.map(|signal| (signal, 1)).into(),
            restart,
        };
        let machines = [machine(signals, Restart::None), machine(other, at)];
        let ranked = Signatures::new(&table).rank(&moved, &machines, Timestamp(MINUTE_MS), &|_, _| None);
        ranked.iter().find(|r| table.faults()[r.fault].name == "bad_deploy").unwrap().probability
    };
    let mta = ["mta_queue_deferred", "mta_deferrals", "mta_queue_active"].map(find);
    let restart = Restart::At(Timestamp(-MINUTE_MS));
    let [alike, other, none] = [first(signals, restart), first(mta, restart), first(signals, Restart::None)];
    assert!(alike > 2.0 * other && alike > 2.0 * none, "{alike} {other} {none}");
}

#[test]
fn signs_within_minutes_are_of_no_leak() {
    let table = table();
    // In the leak's own order.
    let moved = [("heap_floor", Movement::Up), ("heap_used", Movement::Up), ("gc_time", Movement::Up)];
    let first = |step_ms| rank_every(step_ms, &table, &moved, &[]).remove(0).0;
    assert_eq!([first(MINUTE_MS), first(HOUR_MS)], ["heap_burst", "heap_leak"]);
}

#[test]
fn what_may_be_chance_hides_no_fault() {
    let table = table();
    let find = |name| table.find(name).unwrap();
    // A robbed account's signs are there, as far as a busy morning goes; the outage strays as never before.
    let signs = |rarity: f64| {
        let outage = [("mta_queue_deferred", 12.0), ("mta_deferrals", 12.0)];
        let morning = [("mta_sasl_sent", rarity), ("mta_queue_active", rarity), ("cpu_user", rarity)];
        let signs = (0..).zip(outage.into_iter().chain(morning));
        let moved = signs
            .map(|(i, (name, rarity))| Moved { rarity, ..moved(find(name), Movement::Up, i * HOUR_MS, 0) });
        let moved: Vec<Moved> = moved.collect();
        let measured = moved.iter().map(|m| (m.signal, 8)).collect();
        let machine = Machine { measured, restart: Restart::Unknown };
        let ranked = Signatures::new(&table).rank(&moved, &[machine], Timestamp(5 * HOUR_MS), &|_, _| None);
        table.faults()[ranked[0].fault].name.clone()
    };
    assert_eq!([signs(4.0), signs(12.0)], ["remote_outage", "compromised_account"]);
}

#[test]
fn what_tells_a_fault_from_others_has_a_place() {
    let table = table();
    let moves = [("mta_lmtp_time", Movement::Up, 1), ("cpu_user", Movement::Up, 0)];
    let find = |name: &str| table.find(name).unwrap();
    let moved = moves.map(|(name, moves, machine)| moved(find(name), moves, 0, machine));
    let machine = |names: &[&str]| Machine {
        measured: names.iter().map(|name| (find(name), 1)).collect(),
        restart: Restart::Unknown,
    };
    let machines = [machine(&["cpu_user", "add_message_time"]), machine(&["mta_lmtp_time"])];
    let signatures = Signatures::new(&table);
    let ranked = signatures.rank(&moved, &machines, Timestamp(0), &|_, _| None);
    let late = ranked.iter().find(|r| table.faults()[r.fault].name == "slow_lmtp").unwrap();
    assert_eq!(late.telltale, [1]);
    let has = |place: usize| signatures.has_role(machines[place].measured.keys().copied(), "mailbox");
    assert_eq!([has(0), has(1)], [true, false]);
}

#[test]
fn one_sign_is_ground_enough_where_it_is_the_faults_own() {
    let table = table();
    let signatures = Signatures::new(&table);
    let founded = |names: &[(&str, Movement)], fault: &str| {
        let find = |name: &str| table.find(name).unwrap();
        let moved: Vec<Moved> = names.iter().map(|(name, moves)| moved(find(name), *moves, 0, 0)).collect();
        let measured = moved.iter().map(|m| (m.signal, 1)).collect();
        let machine = Machine { measured, restart: Restart::Unknown };
        let ranked = signatures.rank(&moved, &[machine], Timestamp(0), &|_, _| None);
        ranked.iter().find(|r| table.faults()[r.fault].name == fault).unwrap().is_founded
    };
    assert!(founded(&[("certificate_end", Movement::Down)], "certificate_expiry"));
    assert!(!founded(&[("soap_time", Movement::Up)], "heap_leak"));
    assert!(founded(&[("soap_time", Movement::Up), ("gc_time", Movement::Up)], "heap_leak"));
}

#[test]
fn probabilities_are_a_share_of_one() {
    let table = table();
    let ranked = rank(&table, &[("mta_queue_active", Movement::Up), ("cpu_user", Movement::Up)], &[]);
    let sum: f64 = ranked.iter().map(|r| r.1).sum();
    assert!(sum < 1.0 && ranked.iter().all(|r| r.1 > 0.0), "{ranked:?}");
    assert!(ranked.is_sorted_by(|a, b| a.1 >= b.1));
}
