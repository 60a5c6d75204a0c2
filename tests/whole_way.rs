//! The whole way with real peers: a textfile of Carbonio's form behind a real node_exporter, its past in a real
//! Prometheus, an alert in a real Alertmanager, a webhook that a foreign library verifies. Grafana is simulated.
//!
//! Each test is one kind of noise and one slope. `tests/ramps.rs` goes the engine's part of the way for many more.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use foreshock::act::sign::Signer;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Poisson, StandardNormal};
use rand_pcg::Pcg64;
use serde_json::Value;
use standardwebhooks::Webhook;
use support::peers::{self, Peer};
use support::receiver::{Got, Receiver};
use support::remote_write::{self, Series};
use support::{Foreshock, http, now_ms, wait_until};

const SECRET: &str = "whsec_Zm9yZXNob2NrLXdob2xlLXdheS10ZXN0LXNlY3JldA==";
const HISTORY_SECONDS: i64 = 1_500;
/// Seen live before the ramp begins.
const CALM_VALUES: usize = 8;
/// A value that has left its usual range is an incident within so many ticks.
const TICKS_MAX: i64 = 4;
const SOON: Duration = Duration::from_secs(60);

/// A queue's depth, second after second.
type Noise = Box<dyn FnMut() -> f64>;

#[test]
fn a_resting_queue_that_begins_to_grow() {
    go(Box::new(|| 40.0), 1.0);
}

#[test]
fn a_ramp_of_one_deviation_a_second_under_gaussian_noise() {
    let mut rng = Pcg64::seed_from_u64(1);
    go(Box::new(move || 40.0 + 3.0 * rng.sample::<f64, _>(StandardNormal)), 3.0);
}

#[test]
fn a_ramp_of_two_deviations_a_second_under_poisson_noise() {
    let mut rng = Pcg64::seed_from_u64(2);
    let arrivals = Poisson::new(12.0).unwrap();
    go(Box::new(move || arrivals.sample(&mut rng)), 7.0);
}

#[test]
fn a_steep_ramp_on_a_queue_that_lingers() {
    let mut rng = Pcg64::seed_from_u64(3);
    let mut away = 0.0;
    let lingering = move || {
        away = 0.9 * away + 3.5 * rng.sample::<f64, _>(StandardNormal);
        80.0 + away
    };
    go(Box::new(lingering), 30.0);
}

/// The test vector that the Standard Webhooks libraries share, by our signer and by the foreign one.
#[test]
fn the_published_vector_passes_both_signers() {
    let (secret, id, seconds) =
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
    let body = br#"{"test": 2432232314}"#;
    let published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(Signer::new(&[secret.into()]).unwrap().sign(id, seconds, body), published);
    assert_eq!(Webhook::new(secret).unwrap().sign(id, seconds, body).unwrap(), published);
}

/// A mail host and everything around it.
struct Site {
    dir: tempfile::TempDir,
    alertmanager: Peer,
    remedies: Receiver,
    grafana: Receiver,
    foreshock: Foreshock,
    /// They answer for as long as they are kept: node_exporter and Prometheus.
    _peers: [Peer; 2],
    /// The 0.999 quantile of the recorded baseline.
    usual_max: f64,
    /// What Foreshock has seen of the queue: milliseconds and values.
    seen: BTreeMap<i64, f64>,
    noise: Noise,
}

impl Site {
    fn start(mut noise: Noise) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let textfiles = dir.path().join("textfiles");
        std::fs::create_dir(&textfiles).unwrap();
        write_textfile(&textfiles, 40.0);
        let node_exporter = peers::node_exporter(dir.path(), &textfiles, false);
        let alertmanager = peers::alertmanager(dir.path());
        let prometheus = peers::prometheus(dir.path(), "");
        let remedies = Receiver::start(|_| (200, String::new()));
        // As Grafana answers: a new annotation gets a number, by which it is changed later.
        let grafana = Receiver::start(|got| match got.method.as_str() {
            "GET" => (200, "[]".into()),
            "POST" => (200, r#"{"message":"Annotation added","id":17}"#.into()),
            _ => (200, r#"{"message":"Annotation patched"}"#.into()),
        });
        let usual_max =
            record_baseline(&prometheus, &format!("127.0.0.1:{}", node_exporter.port), &mut noise);
        let config = config(&node_exporter, &prometheus, &alertmanager, &remedies, &grafana);
        let foreshock = Foreshock::serve(dir.path(), &config);
        wait_until("the history is read", SOON, || foreshock.get("/-/ready").status == 200);
        let (_peers, seen) = ([node_exporter, prometheus], BTreeMap::new());
        Site { dir, alertmanager, remedies, grafana, foreshock, _peers, usual_max, seen, noise }
    }

    /// Writes a value a second, `noise` plus what `above` says of the seconds since the beginning, until `done`.
    fn live(&mut self, limit: Duration, above: impl Fn(i64) -> f64, mut done: impl FnMut(&mut Self) -> bool) {
        let began = Instant::now();
        for second in 0.. {
            let value = ((self.noise)() + above(second)).round().max(0.0);
            write_textfile(&self.dir.path().join("textfiles"), value);
            let next = began + Duration::from_secs(1) * (second as u32 + 1);
            while Instant::now() < next {
                self.look();
                std::thread::sleep(Duration::from_millis(150));
            }
            if done(self) {
                return;
            }
            assert!(began.elapsed() < limit, "not within {limit:?}: {}", self.state());
        }
    }

    /// Notes what Foreshock has seen last, and that no second alert is firing.
    fn look(&mut self) {
        let found =
            self.foreshock.json("/api/v1/series?match[]=postfix_queue_stat%7Bqueue%3D%22deferred%22%7D");
        let series = found["series"].as_array().unwrap();
        assert_eq!(series.len(), 1, "history and page give one series: {found}");
        if let (Some(at), Some(value)) = (series[0]["at"].as_str(), series[0]["value"].as_f64()) {
            self.seen.insert(milliseconds(at), value);
        }
        assert!(self.alerts().len() <= 1, "{:#?}", self.alerts());
    }

    fn incidents(&self) -> Vec<Value> {
        let found = self.foreshock.json("/api/v1/incidents?state=all");
        found["incidents"].as_array().unwrap().clone()
    }

    /// The alerts that Alertmanager holds for firing.
    fn alerts(&self) -> Vec<Value> {
        let answer = http::get(&format!("{}/api/v2/alerts", self.alertmanager.url)).unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn annotations(&self, method: &str) -> Vec<Got> {
        self.grafana.got().into_iter().filter(|got| got.method == method).collect()
    }

    fn state(&self) -> String {
        format!(
            "usual_max {}, seen {:?}, incidents {:#?}\n{}",
            self.usual_max,
            self.seen,
            self.incidents(),
            self.foreshock.log_tail()
        )
    }
}

fn go(noise: Noise, slope: f64) {
    let mut site = Site::start(noise);
    site.live(SOON, |_| 0.0, |site| site.seen.len() >= CALM_VALUES);
    assert!(site.incidents().is_empty(), "{}", site.state());

    let ramp_began = now_ms();
    let ramp = |second: i64| slope * (second + 1) as f64;
    let mut opened_after = None;
    site.live(SOON, ramp, |site| {
        if opened_after.is_none() && !site.incidents().is_empty() {
            opened_after = Some(Instant::now());
        }
        // It goes on for a while, as nobody mends anything at once.
        opened_after.is_some_and(|at| at.elapsed() > Duration::from_secs(4))
    });
    let incident = site.incidents()[0].clone();
    let opened_at = milliseconds(incident["opened_at"].as_str().unwrap());
    let beyond = site.seen.iter().find(|(at, value)| **at >= ramp_began && **value > site.usual_max);
    let left_at = tick_of(*beyond.unwrap().0);
    let ticks = (opened_at - left_at) / 1000;
    println!("{ticks} ticks after leaving: {}", incident["summary"]);
    assert!(opened_at >= ramp_began, "before the ramp: {}", site.state());
    assert!(ticks <= TICKS_MAX, "{ticks} ticks: {}", site.state());
    assert_eq!(incident["movers"][0]["series"]["queue"], "deferred", "{incident:#}");

    let is_open = |site: &mut Site| site.incidents()[0]["state"] != "resolved";
    site.live(2 * SOON, |_| 0.0, |site| !is_open(site));
    check_what_was_told(&mut site, &incident);
}

/// One incident, one alert, one region, one signed webhook; all of them closed.
fn check_what_was_told(site: &mut Site, incident: &Value) {
    let id = incident["id"].as_str().unwrap();
    wait_until("the alert ends", SOON, || site.alerts().is_empty());
    let closed = |got: &Got| !got.json()["timeEnd"].is_null();
    wait_until("the region is closed", SOON, || site.annotations("PATCH").iter().any(closed));

    assert_eq!(site.incidents().len(), 1, "{}", site.state());
    let posts = site.annotations("POST");
    assert_eq!(posts.len(), 1, "one region: {posts:#?}");
    assert_eq!(posts[0].json()["time"], milliseconds(incident["opened_at"].as_str().unwrap()));
    let end = site.annotations("PATCH").into_iter().rfind(closed).unwrap();
    assert_eq!(end.path, "/api/annotations/17");
    assert_eq!(end.json()["timeEnd"], milliseconds(site.incidents()[0]["resolved_at"].as_str().unwrap()));

    let told = site.foreshock.json(&format!("/api/v1/incidents/{id}"));
    let remedies = site.remedies.got();
    assert_eq!(remedies.len(), 1, "one webhook: {told:#}\n{remedies:#?}");
    let remedy = &remedies[0];
    assert_eq!(remedy.json()["data"]["incident"]["id"], id);
    let library = Webhook::new(SECRET).unwrap();
    let mut headers = axum::http::HeaderMap::new();
    for (name, value) in &remedy.headers {
        headers.append(axum::http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    library.verify(&remedy.body, &headers).unwrap();
    let forged = remedy.body.to_ascii_uppercase();
    assert!(library.verify(&forged, &headers).is_err(), "the library takes anything");

    let kinds = || {
        let told = site.foreshock.json(&format!("/api/v1/incidents/{id}"));
        let events = told["events"].as_array().unwrap().iter();
        events.map(|event| event["event"].as_str().unwrap().to_owned()).collect::<Vec<String>>()
    };
    wait_until("the remedy is verified", SOON, || kinds().iter().any(|kind| kind == "action.verified"));
    let (first, last) = (kinds()[0].clone(), kinds().into_iter().rfind(|kind| kind.starts_with("incident")));
    assert_eq!(
        (first.as_str(), last.as_deref()),
        ("incident.opened", Some("incident.resolved")),
        "{:?}",
        kinds()
    );
}

/// As Carbonio's cron jobs print it: a space before the labels, no TYPE. The file is there whole or not at all.
fn write_textfile(folder: &Path, deferred: f64) {
    let page = format!(
        "postfix_queue_stat {{queue=\"active\"}} 3\n\
         postfix_queue_stat {{queue=\"corrupt\"}} 0\n\
         postfix_queue_stat {{queue=\"deferred\"}} {deferred}\n\
         postfix_queue_stat {{queue=\"hold\"}} 0\n\
         postfix_queue_stat {{queue=\"incoming\"}} 1\n"
    );
    std::fs::write(folder.join("postfix.prom.new"), page).unwrap();
    std::fs::rename(folder.join("postfix.prom.new"), folder.join("postfix.prom")).unwrap();
}

/// Writes the host's past into Prometheus, up to now, and returns the 0.999 quantile of the deferred queue.
fn record_baseline(prometheus: &Peer, instance: &str, noise: &mut Noise) -> f64 {
    let end = now_ms() / 1000 * 1000;
    let times = || (1 - HISTORY_SECONDS..=0).map(|second| end + second * 1000);
    let deferred: Vec<(i64, f64)> = times().map(|at| (at, noise().round().max(0.0))).collect();
    let labels = |queue| {
        [("__name__", "postfix_queue_stat"), ("queue", queue), ("job", "mail"), ("instance", instance)]
    };
    let still =
        |(queue, value): (&'static str, f64)| Series::new(&labels(queue), times().map(move |at| (at, value)));
    let mut series: Vec<Series> =
        [("active", 3.0), ("corrupt", 0.0), ("hold", 0.0), ("incoming", 1.0)].map(still).into();
    series.push(Series::new(&labels("deferred"), deferred.iter().copied()));
    let answer = remote_write::send(&format!("{}/api/v1/write", prometheus.url), &series);
    assert_eq!(answer.status, 204, "{}", answer.text());
    let mut sorted: Vec<f64> = deferred.iter().map(|(_, value)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * 0.999).ceil() as usize]
}

fn config(
    node_exporter: &Peer,
    prometheus: &Peer,
    alertmanager: &Peer,
    remedies: &Receiver,
    grafana: &Receiver,
) -> String {
    format!(
        r#"
site: mail
step_seconds: 1
scrape:
  - job: mail
    targets: [127.0.0.1:{port}]
prometheus:
  - url: {history}
    selectors: ['{{job="mail"}}']
    backfill: 30m
    step: 1s
acting: {{mode: auto}}
remedies: [{{remedy: '*', sink: runner}}]
sinks:
  - name: runner
    webhook: {{url: "{remedies}/remedy", secret: {SECRET}}}
  - name: grafana
    grafana: {{url: "{grafana}", token: glsa_0123456789abcdef}}
  - name: alertmanager
    alertmanager: {{url: "{alertmanager}", resend: 10s}}
"#,
        port = node_exporter.port,
        history = prometheus.url,
        remedies = remedies.url,
        grafana = grafana.url,
        alertmanager = alertmanager.url,
    )
}

/// RFC 3339 as milliseconds.
fn milliseconds(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// The end of the step that a time lies in.
fn tick_of(ms: i64) -> i64 {
    ms + (-ms).rem_euclid(1000)
}
