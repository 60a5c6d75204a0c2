//! The sections `scrape`, `remote_write`, `prometheus` and `kafka`: where samples come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use secrecy::SecretString;
use url::Url;

use super::read::{FromNode, Placed, Reader, Section};
use super::scalar::{AnyText, Bytes, one_of, show_duration};
use super::yaml::{Node, Value};
use super::{HttpAuth, KafkaFormat, KafkaSource, PrometheusPull, RemoteWrite, Scheme, ScrapeJob, Tls};
use crate::predict::pack;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Longest that anything remote may take to answer.
const TIMEOUT_MAX: Duration = MINUTE;

pub(super) fn scrapes(root: &Section, step: Duration) -> Vec<ScrapeJob> {
    let mut jobs: Vec<ScrapeJob> = Vec::new();
    for section in root.list("scrape") {
        let at = section.at;
        let Some(job) = scrape(section, step) else { continue };
        if jobs.iter().any(|known| known.name == job.name) {
            root.reader.sink.push(
                at,
                format!("two jobs are named `{}`", job.name),
                "name them apart, or merge their targets",
            );
        }
        jobs.push(job);
    }
    jobs
}

fn scrape(section: Section, step: Duration) -> Option<ScrapeJob> {
    let name = section.need("job", "name it: `job: node`");
    let targets: Vec<Target> = section.or("targets", Vec::new());
    let file_sd: Vec<PathBuf> = section.or("file_sd", Vec::new());
    let listed = section.node("targets").is_some() || section.node("file_sd").is_some();
    if !listed {
        section.reader.sink.push(
            section.at,
            "the job has no targets",
            "add `targets: [127.0.0.1:9100]`, or `file_sd: [targets/*.json]`",
        );
    }
    let interval = section.within("interval", step.clamp(SECOND, HOUR), SECOND..=HOUR, show_duration);
    let timeout = timeout(&section, (10 * SECOND).min(interval));
    if let (true, Some(node)) = (timeout > interval, section.node("timeout")) {
        section.reader.sink.push(
            node.at,
            format!(
                "the time-out {} is longer than the interval {}",
                show_duration(timeout),
                show_duration(interval)
            ),
            "shorten it: one scrape of a target is in flight at a time",
        );
    }
    let scheme = section
        .node("scheme")
        .and_then(|node| one_of(node, section.reader, &[("http", Scheme::Http), ("https", Scheme::Https)]));
    let job = ScrapeJob {
        name: name.unwrap_or_default(),
        targets: targets.into_iter().map(|target| target.0).collect(),
        file_sd,
        scheme: scheme.unwrap_or(Scheme::Http),
        metrics_path: metrics_path(&section),
        interval,
        timeout,
        auth: http_auth(&section),
        tls: tls(&section),
        labels: labels(&section),
        keep: section.get::<Regex>("keep"),
        drop: section.get::<Regex>("drop"),
        honor_timestamps: section.or("honor_timestamps", true),
        body_bytes_max: bytes(&section, "body_bytes_max", Bytes(16 * Bytes::MIB)),
        samples_max: section.within("samples_max", 100_000, 1..=10_000_000, |n| n),
    };
    section.finish();
    (!job.name.is_empty()).then_some(job)
}

/// `host:port`, nothing before and nothing after.
struct Target(String);

impl FromNode for Target {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let mend = if text.contains("://") {
            "write host:port; `scheme` and `metrics_path` have keys of their own"
        } else if text.contains('/') {
            "write host:port; the path goes to `metrics_path`"
        } else {
            "write host:port, such as 127.0.0.1:9100 or [::1]:9100"
        };
        if is_host_port(&text) {
            return Some(Target(text));
        }
        reader.sink.push(node.at, format!("`{text}` is not a target"), mend);
        None
    }
}

/// Whether `text` is a host name or address with a port, as a URL would hold it.
pub fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let clean = !host.is_empty() && !text.contains(['/', '@', '?', '#', '\\', ' ', '$']);
    clean && port.parse::<u16>().is_ok_and(|port| port > 0) && Url::parse(&format!("http://{text}")).is_ok()
}

fn metrics_path(section: &Section) -> String {
    let Some(Placed { at, value }) = section.get::<Placed<String>>("metrics_path") else {
        return "/metrics".into();
    };
    if !value.starts_with('/') {
        section.reader.sink.push(
            at,
            format!("the path `{value}` does not begin with `/`"),
            "write such as /metrics",
        );
    }
    value
}

fn labels(section: &Section) -> BTreeMap<String, String> {
    let labels: BTreeMap<String, Placed<AnyText>> = section.or("labels", BTreeMap::new());
    let mut checked = BTreeMap::new();
    for (name, Placed { at, value: AnyText(value) }) in labels {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.starts_with("__") || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(word)
        {
            section.reader.sink.push(
                at,
                format!("`{name}` cannot be a label name"),
                "use letters, digits and `_`, not beginning with a digit or `__`",
            );
            continue;
        }
        checked.insert(name, value);
    }
    checked
}

fn timeout(section: &Section, default: Duration) -> Duration {
    section.within("timeout", default, Duration::from_millis(100)..=TIMEOUT_MAX, show_duration)
}

pub(super) fn bytes(section: &Section, key: &'static str, default: Bytes) -> usize {
    section.within(key, default, Bytes(Bytes::KIB)..=Bytes(Bytes::GIB), |bytes| bytes).as_usize()
}

/// `basic_auth`, or `bearer_token` with its file, or neither.
pub(super) fn http_auth(section: &Section) -> HttpAuth {
    let bearer = section.secret("bearer_token", "bearer_token_file");
    let Some(basic) = section.section("basic_auth") else {
        return bearer.map_or(HttpAuth::None, HttpAuth::Bearer);
    };
    if bearer.is_some() {
        section.reader.sink.push(
            basic.at,
            "both basic_auth and a bearer token are given",
            "keep one of them",
        );
    }
    let user = basic.need("username", "add `username: …`");
    let password = needed_secret(&basic, "password", "password_file");
    basic.finish();
    match (user, password) {
        (Some(user), Some(password)) => HttpAuth::Basic { user, password },
        _ => HttpAuth::None,
    }
}

/// A secret that must be there.
pub(super) fn needed_secret(
    section: &Section,
    key: &'static str,
    file_key: &'static str,
) -> Option<SecretString> {
    if section.node(key).is_none() && section.node(file_key).is_none() {
        section.reader.sink.push(
            section.at,
            format!("`{key}` is missing"),
            format!("add `{key}: ${{NAME}}` from the environment, or `{file_key}: PATH`"),
        );
    }
    section.secret(key, file_key)
}

pub(super) fn tls(section: &Section) -> Tls {
    let Some(section) = section.section("tls") else { return Tls::default() };
    let (cert_file, key_file) = (file(&section, "cert_file"), file(&section, "key_file"));
    let (cert_given, key_given) = (section.node("cert_file").is_some(), section.node("key_file").is_some());
    if cert_given != key_given {
        section.reader.sink.push(
            section.at,
            "a client certificate needs both `cert_file` and `key_file`",
            "add the one that is missing",
        );
    }
    let tls = Tls {
        ca_file: file(&section, "ca_file"),
        cert_file,
        key_file,
        insecure_skip_verify: section.or("insecure_skip_verify", false),
    };
    section.finish();
    tls
}

/// A file that must be there when the configuration is read.
fn file(section: &Section, key: &'static str) -> Option<PathBuf> {
    let Placed { at, value: path } = section.get::<Placed<PathBuf>>(key)?;
    if let Err(error) = std::fs::File::open(&path) {
        section.reader.sink.push(
            at,
            format!("cannot read {}: {error}", path.display()),
            "correct the path, or the file's owner and mode",
        );
    }
    Some(path)
}

fn lateness(section: &Section) -> Duration {
    section.within("lateness", 30 * SECOND, Duration::ZERO..=HOUR, show_duration)
}

pub(super) fn remote_write(root: &Section) -> Option<RemoteWrite> {
    let section = root.section("remote_write")?;
    let receiver = RemoteWrite {
        lateness: lateness(&section),
        body_bytes_max: bytes(&section, "body_bytes_max", Bytes(16 * Bytes::MIB)),
        decompressed_bytes_max: bytes(&section, "decompressed_bytes_max", Bytes(64 * Bytes::MIB)),
    };
    section.finish();
    Some(receiver)
}

pub(super) fn prometheus(root: &Section) -> Vec<PrometheusPull> {
    root.list("prometheus").into_iter().filter_map(pull).collect()
}

fn pull(section: Section) -> Option<PrometheusPull> {
    let url = section.need("url", "add `url: http://127.0.0.1:9090`");
    let selectors: Vec<Selector> =
        section.need("selectors", "say which series: `selectors: ['{job=\"node\"}']`").unwrap_or_default();
    if let (true, Some(node)) = (selectors.is_empty(), section.node("selectors"))
        && matches!(&node.value, Value::List(items) if items.is_empty())
    {
        section.reader.sink.push(node.at, "`selectors` is empty", "say which series: ['{job=\"node\"}']");
    }
    let pull = PrometheusPull {
        url: url.unwrap_or_else(nowhere),
        auth: http_auth(&section),
        tls: tls(&section),
        selectors: selectors.into_iter().map(|selector| selector.0).collect(),
        backfill: section.within("backfill", 14 * DAY, Duration::ZERO..=400 * DAY, show_duration),
        step: section.within("step", MINUTE, SECOND..=HOUR, show_duration),
        tail_lag: section
            .node("tail_lag")
            .map(|_| section.within("tail_lag", 30 * SECOND, SECOND..=HOUR, show_duration)),
        timeout: timeout(&section, 30 * SECOND),
        body_bytes_max: bytes(&section, "body_bytes_max", Bytes(64 * Bytes::MIB)),
    };
    section.finish();
    Some(pull)
}

/// Stands in for a URL whose absence has been told, so that the reading goes on.
pub(super) fn nowhere() -> Url {
    // cannot fail: a constant.
    Url::parse("http://invalid.").expect("a constant URL")
}

/// An instant-vector selector of PromQL.
struct Selector(String);

impl FromNode for Selector {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let Err(error) = pack::vector(&text) else { return Some(Selector(text)) };
        reader.sink.push(
            node.at,
            error.to_string(),
            "write such as '{job=\"node\"}' or 'node_load1{instance=~\"mail.*\"}'",
        );
        None
    }
}

pub(super) fn kafka(root: &Section) -> Vec<KafkaSource> {
    root.list("kafka").into_iter().map(kafka_source).collect()
}

fn kafka_source(section: Section) -> KafkaSource {
    let brokers: Vec<Target> = section.need("brokers", "add `brokers: [127.0.0.1:9092]`").unwrap_or_default();
    let topics: Vec<String> = section.need("topics", "add `topics: [metrics]`").unwrap_or_default();
    for key in ["brokers", "topics"] {
        if let Some(Node { at, value: Value::List(items) }) = section.node(key)
            && items.is_empty()
        {
            section.reader.sink.push(*at, format!("`{key}` is empty"), "name at least one");
        }
    }
    const FORMATS: [(&str, KafkaFormat); 2] =
        [("telegraf_json", KafkaFormat::TelegrafJson), ("remote_write", KafkaFormat::RemoteWrite)];
    let format = match section.node("format") {
        Some(node) => one_of(node, section.reader, &FORMATS),
        None => section
            .need::<String>("format", "add `format: telegraf_json` or `format: remote_write`")
            .and(None),
    };
    let unit = section.within("timestamp_unit", SECOND, Duration::from_millis(1)..=SECOND, show_duration);
    let source = KafkaSource {
        brokers: brokers.into_iter().map(|broker| broker.0).collect(),
        topics,
        group: section.or("group", "foreshock".into()),
        format: format.unwrap_or(KafkaFormat::TelegrafJson),
        timestamp_unit: unit,
        lateness: lateness(&section),
        properties: properties(&section),
        message_bytes_max: bytes(&section, "message_bytes_max", Bytes(4 * Bytes::MIB)),
        dead_letter_bytes_max: bytes(&section, "dead_letter_bytes_max", Bytes(16 * Bytes::MIB)) as u64,
    };
    section.finish();
    source
}

/// Properties that have a key here, or on which the safety of offsets rests.
const OWN_PROPERTIES: [(&str, &str); 8] = [
    ("bootstrap.servers", "use `brokers`"),
    ("metadata.broker.list", "use `brokers`"),
    ("group.id", "use `group`"),
    ("group.instance.id", "remove it: each data_dir has a name of its own"),
    ("partition.assignment.strategy", "remove it: partitions are taken and given back all at once"),
    ("enable.partition.eof", "remove it: it tells when a backlog has been read"),
    ("enable.auto.commit", "remove it: an offset is committed once what it carried is on disk"),
    ("enable.auto.offset.store", "remove it: an offset is committed once what it carried is on disk"),
];

fn properties(section: &Section) -> BTreeMap<String, SecretString> {
    let properties: BTreeMap<String, Placed<SecretString>> = section.or("properties", BTreeMap::new());
    for (name, mend) in OWN_PROPERTIES {
        if let Some(Placed { at, .. }) = properties.get(name) {
            section.reader.sink.push(*at, format!("the property `{name}` is set by foreshock"), mend);
        }
    }
    properties.into_iter().map(|(name, placed)| (name, placed.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_target_is_a_host_and_a_port() {
        for good in ["localhost:9100", "mail-1.example.org:9093", "[::1]:9100", "10.0.0.1:80"] {
            assert!(is_host_port(good), "{good}");
        }
        for bad in
            ["localhost", "http://a:1", "a:0", "a:99999", ":9100", "a:1/metrics", "::1:x", "a b:1", "u@h:1"]
        {
            assert!(!is_host_port(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_target_check(text in ".{0,30}") {
            let _ = is_host_port(&text);
        }
    }
}
