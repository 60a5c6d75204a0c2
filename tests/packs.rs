//! A pack for something else than mail, as an operator writes it: checked, explained, and used in a replay.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use foreshock::predict::pack::Pack;
use foreshock::predict::signals::SignalTable;
use serde_json::Value;

const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/packs/shop.yaml");
const README: &str = include_str!("../models/README.md");

/// A minute apart from here.
const START_SECONDS: i64 = 1_714_521_600;
const MINUTES: i64 = 2 * 1440;
/// Locks begin to pile up at this minute of the second day.
const FAULT: i64 = 1440 + 700;

fn foreshock(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foreshock")).args(arguments).current_dir(folder).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// What each series of the shop says at `minute`. Each sign of the fault comes three minutes after the one before.
fn samples_at(minute: i64) -> Vec<(&'static str, f64)> {
    let noise = |salt: i64| ((minute * 7919 + salt * 104_729) % 211) as f64 / 211.0 - 0.5;
    let since = |sign: i64| (minute - FAULT - 3 * sign).clamp(0, 40) as f64;
    vec![
        ("pg_locks_count{mode=\"accessexclusivelock\",", 4.0 + noise(1) + 3.0 * since(0)),
        ("pg_stat_activity_count{", 60.0 + 6.0 * noise(2) + 4.0 * since(1)),
        ("pg_settings_max_connections{", 400.0),
        ("shop_page_seconds{", 0.2 + 0.03 * noise(3) + 0.05 * since(2)),
        ("rabbitmq_queue_messages_ready{queue=\"orders\",", 30.0 + 5.0 * noise(4)),
        ("node_load1{", 1.0 + 0.2 * noise(5)),
        ("unknown_to_every_pack{", 7.0 + noise(6)),
    ]
}

fn recording(minutes: std::ops::Range<i64>) -> String {
    let mut text = String::new();
    for i in 0..samples_at(0).len() {
        for minute in minutes.clone() {
            let (name, value) = samples_at(minute)[i];
            writeln!(text, "{name}instance=\"shop1:9100\"}} {value:.4} {}", START_SECONDS + minute * 60)
                .unwrap();
        }
    }
    text + "# EOF\n"
}

#[test]
fn a_pack_of_ones_own_is_valid_and_says_what_depends_on_what() {
    let table = SignalTable::new(&[Pack::from_yaml(&fs::read_to_string(SHOP).unwrap()).unwrap()]);
    assert!(table.depends_on("shop", "postgres") && !table.depends_on("postgres", "shop"));
    let folder = tempfile::tempdir().unwrap();
    let output = foreshock(&["check", "--pack", SHOP], folder.path());
    assert_eq!(stdout(&output), format!("{SHOP} is valid: pack shop, 12 signals, 2 faults\n"));
    assert!(output.status.success());
}

#[test]
fn a_broken_pack_is_told_with_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let broken = fs::read_to_string(SHOP).unwrap().replace("signal: orders_done,", "signal: orders_don,");
    fs::write(folder.path().join("own.yaml"), broken).unwrap();
    let output = foreshock(&["check", "--pack", "own.yaml"], folder.path());
    assert!(
        stdout(&output).starts_with("own.yaml:110:19: there is no signal `orders_don`;"),
        "{}",
        stdout(&output)
    );
    assert_eq!(output.status.code(), Some(2));
    let output = foreshock(&["check", "--pack", "missing.yaml"], folder.path());
    assert!(stdout(&output).starts_with("missing.yaml:1:1: cannot read the pack missing.yaml"));
    assert_eq!(output.status.code(), Some(2));
}

/// A hostile pack says at its end what must be told: a line `#! line:column: what; mend` for each problem.
#[test]
fn every_hostile_pack_is_refused_with_all_its_problems() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile/packs");
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let text = fs::read_to_string(folder.join(&file)).unwrap();
        let want =
            text.lines().filter_map(|line| line.strip_prefix("#! ")).map(|told| format!("{file}:{told}"));
        let want: Vec<String> = want.collect();
        let output = foreshock(&["check", "--pack", &file], &folder);
        assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), want, "{file}");
        assert!(output.status.code() == Some(2) && !want.is_empty(), "{file}");
        files += 1;
    }
    assert!(files > 0, "no hostile pack found");
}

#[test]
fn explain_tells_what_a_recording_lets_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.om"), recording(0..2)).unwrap();
    let arguments = ["check", "--explain", "--pack", SHOP, "--input", "shop.om"];
    let output = foreshock(&arguments, folder.path());
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "6 of 7 series have a meaning",
        "pack shop: 5 of 12 signals found",
        "missing: page_errors, pages, page_failures, orders_done",
        "3 of 5 signs: can be recognised; missing: page_errors, cpu_user",
        "1 of 3 signs: seen by one sign, and may be taken for others; missing: orders_done, orders_stalled",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let output = foreshock(&arguments[..4], folder.path());
    assert!(!output.status.success(), "series must come from somewhere");
}

/// Answers one request with `body`, and gives what was asked: the request line and the headers.
fn answering(body: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        asked.join("\n")
    });
    (url, asked)
}

#[test]
fn explain_asks_an_exporter_and_a_foreshock_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = "site: shop\nauth: {bearer_token_file: token}\nremote_write: {}\n";
    fs::write(folder.path().join("token"), "0123456789abcdef\n").unwrap();
    fs::write(folder.path().join("c.yaml"), config).unwrap();
    let (page, page_asked) = answering("# TYPE clamav_up gauge\nclamav_up 1\nclamav_queue_length 0\n");
    let (api, api_asked) = answering(
        r#"{"series":[{"labels":{"__name__":"nginx_up","instance":"proxy1"},"value":1.0}],"truncated":false}"#,
    );
    let page_url = format!("{page}/metrics");
    let arguments = ["check", "--explain", "--config", "c.yaml", "--url", &page_url, "--api", &api];
    let output = foreshock(&arguments, folder.path());
    let told = stdout(&output);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    for line in ["3 of 3 series have a meaning", "nginx_up{instance=\"proxy1\"}", "pack antivirus: 2 of 7"] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let page_asked = page_asked.join().unwrap();
    assert!(
        page_asked.starts_with("GET /metrics ") && !page_asked.contains("0123456789abcdef"),
        "{page_asked}"
    );
    let api_asked = api_asked.join().unwrap();
    assert!(api_asked.starts_with("GET /api/v1/series?limit=10000 "), "{api_asked}");
    assert!(api_asked.contains("Bearer 0123456789abcdef"), "{api_asked}");
}

#[test]
fn its_fault_is_recognised_in_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("site: shop\nstep_seconds: 60\npacks: [\"{SHOP}\"]\n");
    fs::write(folder.path().join("foreshock.yaml"), config).unwrap();
    fs::write(folder.path().join("shop.om"), recording(0..MINUTES)).unwrap();
    let output = foreshock(&["replay", "--config", "foreshock.yaml", "--input", "shop.om"], folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = events.iter().find(|event| event["incident"]["hypotheses"][0]["fault"] == "lock_pile_up");
    let Some(named) = named else { panic!("{events:#?}") };
    assert_eq!(named["incident"]["entity"], "shop1");
    assert!(events.iter().any(|event| event["incident"]["remedy"] == "end_idle_transaction"), "{events:#?}");
}

/// The example that operators copy from.
#[test]
fn the_example_of_the_readme_is_valid() {
    let block = README.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let pack = Pack::from_yaml(block).unwrap();
    assert_eq!((pack.signals.len(), pack.faults.len()), (2, 1));
}

#[test]
fn the_readme_lists_every_pack() {
    for name in foreshock::predict::pack::BUILTIN_NAMES {
        assert!(README.contains(&format!("| `{name}` |")), "{name}");
    }
}
