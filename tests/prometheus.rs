//! Real Prometheus, vmagent, VictoriaMetrics and node_exporter as sources: by remote write, as history, as a
//! lagged tail, and scraped.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::peers::{self, Peer};
use support::remote_write::{self, Series};
use support::{Foreshock, http, now_ms, wait_until};

const SOON: Duration = Duration::from_secs(60);
const DEFERRED: &str = r#"postfix_queue_stat{queue="deferred"}"#;

#[test]
fn a_prometheus_writes_what_it_scrapes() {
    check_sender(|dir, target, url| {
        let config = format!("{}remote_write: [{{url: \"{url}\"}}]\n", scrape_config(target));
        peers::prometheus(dir, &config)
    });
}

#[test]
fn a_vmagent_writes_what_it_scrapes() {
    check_sender(|dir, target, url| peers::vmagent(dir, &scrape_config(target), url));
}

#[test]
fn a_prometheus_gives_its_history() {
    let dir = tempfile::tempdir().unwrap();
    check_history(dir.path(), &peers::prometheus(dir.path(), ""));
}

#[test]
fn a_victoria_metrics_gives_its_history() {
    let dir = tempfile::tempdir().unwrap();
    check_history(dir.path(), &peers::victoria_metrics(dir.path()));
}

#[test]
fn the_tail_of_a_prometheus_is_a_live_source() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path(), false);
    let prometheus = peers::prometheus(dir.path(), &scrape_config(&host.target()));
    let config = format!(
        "site: test\nstep_seconds: 1\nprometheus:\n  - url: {}\n    selectors: ['{{job=\"node\"}}']\n    \
         backfill: 0s\n    step: 1s\n    tail_lag: 2s\n",
        prometheus.url
    );
    let foreshock = Foreshock::serve(dir.path(), &config);
    wait_until("the queue is watched", SOON, || is(&foreshock, DEFERRED, "live", 40.0));
    let lag_ms = now_ms() - milliseconds(&one(&foreshock, DEFERRED)["at"]);
    assert!((2_000..10_000).contains(&lag_ms), "{lag_ms} ms behind");
    host.set_deferred(77.0);
    wait_until("a change is followed", SOON, || is(&foreshock, DEFERRED, "live", 77.0));
    check_death(&foreshock, &mut host);
    assert_eq!(errors(&foreshock), Vec::<String>::new());
}

#[test]
fn a_whole_node_exporter_is_scraped() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path(), true);
    let target = host.target();
    let config = format!("site: test\nstep_seconds: 1\nscrape: [{{job: node, targets: [\"{target}\"]}}]\n");
    let foreshock = Foreshock::serve(dir.path(), &config);
    wait_until("the queue is watched", SOON, || is(&foreshock, DEFERRED, "live", 40.0));
    let known = foreshock.metric("foreshock_known_series").unwrap();
    assert!(known > 300.0, "{known} series");
    wait_until("most are watched", SOON, || foreshock.metric("foreshock_live_lanes").unwrap() > 0.5 * known);

    // What the exporter prints is what there is: no line was misread, none left out.
    let page = http::get(&format!("{}/metrics", host.node_exporter.url)).unwrap().text();
    let lines = page.lines().filter(|line| !line.starts_with('#')).count() as f64;
    let scraped = one(&foreshock, "scrape_samples_scraped")["value"].as_f64().unwrap();
    assert!((scraped - lines).abs() <= 0.02 * lines, "{scraped} samples of {lines} lines");
    assert_eq!(errors(&foreshock), Vec::<String>::new());
    check_death(&foreshock, &mut host);
}

/// A node_exporter with a mail queue, and where its textfiles are.
struct Host {
    node_exporter: Peer,
    textfiles: PathBuf,
}

impl Host {
    fn start(dir: &Path, all: bool) -> Self {
        let textfiles = dir.join("textfiles");
        std::fs::create_dir(&textfiles).unwrap();
        let node_exporter = peers::node_exporter(dir, &textfiles, all);
        let host = Host { node_exporter, textfiles };
        host.set_deferred(40.0);
        host
    }

    fn set_deferred(&self, value: f64) {
        let text = format!("postfix_queue_stat {{queue=\"deferred\"}} {value}\n");
        std::fs::write(self.textfiles.join("queue.prom.new"), text).unwrap();
        std::fs::rename(self.textfiles.join("queue.prom.new"), self.textfiles.join("queue.prom")).unwrap();
    }

    fn target(&self) -> String {
        format!("127.0.0.1:{}", self.node_exporter.port)
    }
}

fn scrape_config(target: &str) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: node, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
    )
}

/// `sender` scrapes a node_exporter and writes to Foreshock; it gets a folder, a target and a URL.
fn check_sender(sender: impl FnOnce(&Path, &str, &str) -> Peer) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path(), false);
    let config = "site: test\nstep_seconds: 1\nremote_write: {lateness: 7s}\n";
    let foreshock = Foreshock::serve(dir.path(), config);
    let _sender = sender(dir.path(), &host.target(), &format!("{}/api/v1/write", foreshock.url));

    wait_until("the queue is watched", SOON, || is(&foreshock, DEFERRED, "live", 40.0));
    let labels = one(&foreshock, DEFERRED)["labels"].clone();
    assert_eq!((&labels["job"], &labels["instance"]), (&"node".into(), &host.target().into()), "{labels}");
    assert!(is(&foreshock, "up", "live", 1.0));
    host.set_deferred(77.0);
    wait_until("a change is followed", SOON, || is(&foreshock, DEFERRED, "live", 77.0));
    check_death(&foreshock, &mut host);
    assert_eq!(errors(&foreshock), Vec::<String>::new());
}

/// When a host dies, what it said last is not what it says now.
fn check_death(foreshock: &Foreshock, host: &mut Host) {
    host.node_exporter.process.kill();
    wait_until("the queue has no data", SOON, || one(foreshock, DEFERRED)["state"] == "no_data");
    wait_until("the host is down", SOON, || is(foreshock, "up", "live", 0.0));
}

/// A minute apart.
const HISTORY_ROWS: i64 = 20 * 60;
const GAUGES: usize = 60;
const COUNTERS: usize = 40;

/// A level that is another at each time and for each series, and falls as well as rises: it is no counter.
fn level(series: usize, at_ms: i64) -> f64 {
    1000.0 * series as f64 + (at_ms / 60_000 * 37 % 97) as f64 + 0.125
}

/// Writes 20 hours into `server` and lets Foreshock read them.
fn check_history(dir: &Path, server: &Peer) {
    write_history(server);
    let config = format!(
        "site: test\nstep_seconds: 60\nprometheus:\n  - url: {}\n    \
         selectors: ['queue_level', 'mails_total']\n    backfill: 20h\n    step: 60s\n",
        server.url
    );
    let foreshock = Foreshock::serve(dir, &config);
    wait_until("the history is read", SOON, || foreshock.get("/-/ready").status == 200);

    let told = log_entry(&foreshock, "history has been read");
    let rows = told["fields"]["samples"].as_i64().unwrap() / (GAUGES + COUNTERS) as i64;
    assert!((HISTORY_ROWS..=HISTORY_ROWS + 1).contains(&rows), "{rows} rows: {told}");
    let ticks = foreshock.metric("foreshock_ticks_total").unwrap() as i64;
    assert!((HISTORY_ROWS - 2..=HISTORY_ROWS + 1).contains(&ticks), "{ticks} ticks");
    for i in 0..GAUGES {
        let found = one(&foreshock, &format!("queue_level{{i=\"{i}\"}}"));
        let value = found["value"].as_f64().unwrap();
        assert_eq!(value, level(i, milliseconds(&found["at"])), "{found}");
        let [low, expected, high] = ["low", "expected", "high"].map(|key| found[key].as_f64().unwrap());
        let middle = 1000.0 * i as f64 + 48.0;
        assert!(low < expected && expected < high && (expected - middle).abs() < 30.0, "{found}");
    }
    for i in 0..COUNTERS {
        let found = one(&foreshock, &format!("mails_total{{i=\"{i}\"}}"));
        assert_eq!(found["value"].as_f64().unwrap(), i as f64, "a rate a second: {found}");
    }
    assert_eq!(errors(&foreshock), Vec::<String>::new());
}

/// Up to a minute ahead of now, so that there is an end to read up to and nothing to be repeated.
fn write_history(server: &Peer) {
    let end = now_ms() / 60_000 * 60_000 + 120_000;
    let times = || (0..HISTORY_ROWS + 10).rev().map(move |row| end - row * 60_000);
    let gauges = (0..GAUGES).map(|i| {
        let labels = [("__name__", "queue_level"), ("i", &i.to_string()), ("host", "mx1")];
        Series::new(&labels, times().map(|at| (at, level(i, at))))
    });
    let counters = (0..COUNTERS).map(|i| {
        let labels = [("__name__", "mails_total"), ("i", &i.to_string()), ("host", "mx1")];
        let count = |at: i64| i as f64 * ((at - end) / 1000 + 200_000) as f64;
        Series::new(&labels, times().map(|at| (at, count(at))))
    });
    let series: Vec<Series> = gauges.chain(counters).collect();
    let answer = remote_write::send(&format!("{}/api/v1/write", server.url), &series);
    assert_eq!(answer.status, 204, "{}", answer.text());
    // Prometheus has it at once; VictoriaMetrics shows what was flushed.
    let _ = http::get(&format!("{}/internal/force_flush", server.url));
}

/// The one series that fits.
fn one(foreshock: &Foreshock, selector: &str) -> Value {
    let query: String = url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
    let mut found = foreshock.json(&format!("/api/v1/series?match[]={query}"));
    let series = found["series"].as_array_mut().unwrap();
    assert!(series.len() <= 1, "{selector}: {series:#?}");
    series.pop().unwrap_or_default()
}

fn is(foreshock: &Foreshock, selector: &str, state: &str, value: f64) -> bool {
    let found = one(foreshock, selector);
    found["state"] == state && found["value"] == value
}

/// The lines of `/metrics` that tell of an error, of a line that could not be read, or of a late sample.
fn errors(foreshock: &Foreshock) -> Vec<String> {
    let page = foreshock.get("/metrics").text();
    let is_error = |line: &&str| {
        line.starts_with("foreshock_errors_total{")
            || ["bad_line", "bad_series", "late", "ahead", "full"]
                .iter()
                .any(|reason| line.starts_with("foreshock_dropped_total{") && line.contains(reason))
    };
    page.lines().filter(is_error).filter(|line| !line.ends_with(" 0")).map(String::from).collect()
}

/// The first line of the log with this message.
fn log_entry(foreshock: &Foreshock, message: &str) -> Value {
    let log = std::fs::read_to_string(&foreshock.log).unwrap();
    let mut entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.find(|entry| entry["fields"]["message"] == message).unwrap_or_else(|| panic!("{message}:\n{log}"))
}

fn milliseconds(text: &Value) -> i64 {
    text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}
