//! The sections `sinks`, `remedies`, `acting` and `egress_allow`: what may leave, and how far Foreshock may go.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::collectors::{http_auth, needed_secret, nowhere};
use super::problem::Place;
use super::read::{FromNode, Placed, Reader, Section, did_you_mean};
use super::scalar::{one_of, show_duration};
use super::yaml::{Node, Value};
use super::{Acting, RemedyRoute, SinkConfig, SinkKind};
use crate::incident::event::{Mode, Severity};
use crate::predict::pack::Pack;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

const MODES: [(&str, Mode); 3] =
    [("observe", Mode::Observe), ("approve", Mode::Approve), ("auto", Mode::Auto)];
const SEVERITIES: [(&str, Severity); 3] =
    [("info", Severity::Info), ("ticket", Severity::Ticket), ("page", Severity::Page)];

/// How much a mode leaves to the machine.
fn freedom(mode: Mode) -> u8 {
    match mode {
        Mode::Observe => 0,
        Mode::Approve => 1,
        Mode::Auto => 2,
    }
}

pub(super) fn acting(root: &Section) -> Acting {
    let section = root.section_or_empty("acting");
    let mode = section.node("mode").and_then(|node| one_of(node, section.reader, &MODES));
    let acting = Acting {
        mode: mode.unwrap_or_default(),
        actions_per_hour_max: section.within("actions_per_hour_max", 4, 0..=1000, |n| n),
        cooldown: section.within("cooldown", 30 * MINUTE, Duration::ZERO..=7 * DAY, show_duration),
    };
    section.finish();
    acting
}

/// The sinks, each with the place where it is written.
pub(super) fn sinks(root: &Section) -> Vec<Placed<SinkConfig>> {
    let mut sinks: Vec<Placed<SinkConfig>> = Vec::new();
    let external_url: Option<Url> = root.get("external_url");
    for section in root.list("sinks") {
        let at = section.at;
        let Some(sink) = sink(section, external_url.as_ref()) else { continue };
        if sinks.iter().any(|known| known.value.name == sink.name) {
            root.reader.sink.push(at, format!("two sinks are named `{}`", sink.name), "name them apart");
        }
        sinks.push(Placed { at, value: sink });
    }
    sinks
}

fn sink(section: Section, external_url: Option<&Url>) -> Option<SinkConfig> {
    let name = section.need("name", "name it: `name: runner`");
    let severity = section.node("severity_min").and_then(|node| one_of(node, section.reader, &SEVERITIES));
    let kinds: Vec<SinkKind> = [
        section.section("webhook").map(webhook),
        section.section("grafana").map(grafana),
        section.section("alertmanager").map(|section| alertmanager(section, external_url)),
    ]
    .into_iter()
    .flatten()
    .collect();
    for key in ["email", "mail", "smtp"] {
        if let Some(node) = section.node(key) {
            section.reader.sink.push(
                node.at,
                "an alert that travels by mail is lost with the mail that is watched",
                "use `alertmanager` or `webhook`, and a receiver behind it that does not mail",
            );
            return None;
        }
    }
    if kinds.len() != 1 {
        section.reader.sink.push(
            section.at,
            format!("a sink is of one kind, here are {}", kinds.len()),
            "give it one of `webhook:`, `grafana:`, `alertmanager:`",
        );
    }
    section.finish();
    let kind = kinds.into_iter().next()?;
    Some(SinkConfig { name: name?, kind, severity_min: severity.unwrap_or(Severity::Ticket) })
}

fn url(section: &Section, example: &str) -> Url {
    section.need("url", &format!("add `url: {example}`")).unwrap_or_else(nowhere)
}

fn timeout(section: &Section, default: Duration) -> Duration {
    section.within("timeout", default, SECOND..=MINUTE, show_duration)
}

fn webhook(section: Section) -> SinkKind {
    if section.node("secret").is_none() && section.node("secret_file").is_none() {
        section.reader.sink.push(
            section.at,
            "`secret` is missing: every webhook is signed",
            "make one by `echo whsec_$(openssl rand -base64 32)`, and name its file as `secret_file`",
        );
    }
    let secrets = section.secrets("secret", "secret_file");
    for secret in &secrets {
        if let Err(what) = check_signing_secret(secret) {
            let at =
                section.node("secret").or(section.node("secret_file")).map_or(section.at, |node| node.at);
            section.reader.sink.push(at, what, "make one by `echo whsec_$(openssl rand -base64 32)`");
        }
    }
    let kind = SinkKind::Webhook {
        url: url(&section, "http://127.0.0.1:9800/hook"),
        secrets,
        headers: headers(&section, "headers"),
        body_template: template(&section, "body_template"),
        header_templates: header_templates(&section),
        timeout: timeout(&section, 20 * SECOND),
        incidents: section.or("incidents", false),
    };
    section.finish();
    kind
}

/// Standard Webhooks: `whsec_` and the base64 of 24 to 64 bytes.
fn check_signing_secret(secret: &SecretString) -> Result<(), &'static str> {
    let Some(encoded) = secret.expose_secret().strip_prefix("whsec_") else {
        return Err("a signing secret begins with `whsec_`");
    };
    match STANDARD.decode(encoded) {
        Ok(key) if (24..=64).contains(&key.len()) => Ok(()),
        Ok(_) => Err("a signing secret holds 24 to 64 bytes"),
        Err(_) => Err("what follows `whsec_` in a signing secret is base64"),
    }
}

/// Headers that the sender sets itself.
const OWN_HEADERS: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "webhook-id", "webhook-timestamp", "webhook-signature"];

fn check_header(section: &Section, name: &str, at: Place) {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        section.reader.sink.push(at, format!("`{name}` cannot be a header name"), "write such as X-Team");
    } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        section.reader.sink.push(at, format!("the header `{name}` is set by foreshock"), "remove it");
    }
}

fn headers(section: &Section, key: &'static str) -> BTreeMap<String, SecretString> {
    let headers: BTreeMap<String, Placed<SecretString>> = section.or(key, BTreeMap::new());
    for (name, Placed { at, value }) in &headers {
        check_header(section, name, *at);
        if value.expose_secret().chars().any(|c| c.is_control()) {
            section.reader.sink.push(
                *at,
                format!("the header `{name}` has a control character"),
                "remove it",
            );
        }
    }
    headers.into_iter().map(|(name, placed)| (name, placed.value)).collect()
}

fn header_templates(section: &Section) -> BTreeMap<String, String> {
    let templates: BTreeMap<String, Placed<String>> = section.or("header_templates", BTreeMap::new());
    for (name, Placed { at, value }) in &templates {
        check_header(section, name, *at);
        check_template(section, value, *at);
    }
    templates.into_iter().map(|(name, placed)| (name, placed.value)).collect()
}

fn template(section: &Section, key: &'static str) -> Option<String> {
    let Placed { at, value } = section.get::<Placed<String>>(key)?;
    check_template(section, &value, at);
    Some(value)
}

fn check_template(section: &Section, source: &str, at: Place) {
    let environment = minijinja::Environment::new();
    if let Err(error) = environment.template_from_str(source) {
        let line = error.line().unwrap_or(1);
        let reason = error.detail().map_or_else(|| error.kind().to_string(), ToString::to_string);
        section.reader.sink.push(
            at,
            format!("line {line} of the template: {reason}"),
            "see the minijinja syntax: {{ event.incident.summary }}",
        );
    }
}

fn grafana(section: Section) -> SinkKind {
    let token = needed_secret(&section, "token", "token_file");
    let panel = section.get::<Placed<u64>>("panel_id");
    let dashboard_uid: Option<String> = section.get("dashboard_uid");
    if let (Some(Placed { at, .. }), None) = (&panel, &dashboard_uid) {
        section.reader.sink.push(
            *at,
            "`panel_id` without `dashboard_uid`",
            "add the dashboard, or remove the panel",
        );
    }
    let kind = SinkKind::Grafana {
        url: url(&section, "http://127.0.0.1:3000"),
        token: token.unwrap_or_default(),
        dashboard_uid,
        panel_id: panel.map(|placed| placed.value),
        timeout: timeout(&section, 20 * SECOND),
    };
    section.finish();
    kind
}

fn alertmanager(section: Section, external_url: Option<&Url>) -> SinkKind {
    let runbook: Option<Url> = section.get("runbook_url");
    let kind = SinkKind::Alertmanager {
        url: url(&section, "http://127.0.0.1:9093"),
        auth: http_auth(&section),
        resend: section.within("resend", MINUTE, 10 * SECOND..=10 * MINUTE, show_duration),
        runbook_url: runbook.map(String::from),
        external_url: external_url.cloned(),
        timeout: timeout(&section, 20 * SECOND),
    };
    section.finish();
    kind
}

pub(super) fn remedies(
    root: &Section,
    acting: &Acting,
    sinks: &[Placed<SinkConfig>],
    packs: &[Pack],
) -> Vec<RemedyRoute> {
    let mut routes: Vec<RemedyRoute> = Vec::new();
    for section in root.list("remedies") {
        let at = section.at;
        let Some(route) = remedy(section, acting, sinks, packs) else { continue };
        if routes.iter().any(|known| known.remedy == route.remedy && known.sink == route.sink) {
            root.reader.sink.push(
                at,
                format!("`{}` goes to `{}` twice", route.remedy, route.sink),
                "keep one of them",
            );
        }
        routes.push(route);
    }
    routes
}

fn remedy(
    section: Section,
    acting: &Acting,
    sinks: &[Placed<SinkConfig>],
    packs: &[Pack],
) -> Option<RemedyRoute> {
    let remedy = section.need::<Placed<String>>("remedy", "name one: `remedy: restart_clamd_then_amavis`");
    if let Some(Placed { at, value: slug }) = &remedy {
        check_remedy(&section, slug, *at, packs);
    }
    let sink = section.need::<Placed<String>>("sink", "name the webhook that performs it: `sink: runner`");
    if let Some(Placed { at, value: name }) = &sink {
        check_sink(&section, name, *at, sinks);
    }
    let mode = section.node("mode").and_then(|node| {
        let mode = one_of(node, section.reader, &MODES)?;
        if freedom(mode) > freedom(acting.mode) {
            section.reader.sink.push(
                node.at,
                "a remedy can only be more careful than `acting.mode`",
                "raise `acting.mode`, or choose a more careful one here",
            );
        }
        Some(mode)
    });
    let cooldown = section
        .node("cooldown")
        .map(|_| section.within("cooldown", acting.cooldown, Duration::ZERO..=7 * DAY, show_duration));
    section.finish();
    Some(RemedyRoute { remedy: remedy?.value, sink: sink?.value, cooldown, mode })
}

fn check_remedy(section: &Section, slug: &str, at: Place, packs: &[Pack]) {
    let known = super::packs::remedies_of(packs);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if slug != "*" && !known.is_empty() && !known.contains(&slug) {
        section.reader.sink.push(
            at,
            format!("no pack knows the remedy `{slug}`"),
            did_you_mean(slug, &known),
        );
    }
}

fn check_sink(section: &Section, name: &str, at: Place, sinks: &[Placed<SinkConfig>]) {
    match sinks.iter().find(|sink| sink.value.name == name) {
        Some(Placed { value: SinkConfig { kind: SinkKind::Webhook { .. }, .. }, .. }) => {}
        Some(_) => section.reader.sink.push(
            at,
            format!("`{name}` is no webhook, and only a webhook can perform a remedy"),
            "name a sink that has `webhook:`",
        ),
        None => {
            let names: Vec<&str> = sinks.iter().map(|sink| sink.value.name.as_str()).collect();
            let mend = if names.is_empty() {
                "add `sinks:` with a webhook of this name".into()
            } else {
                did_you_mean(name, &names)
            };
            section.reader.sink.push(at, format!("there is no sink `{name}`"), mend);
        }
    }
}

/// A host, `*.suffix`, or a CIDR block, each with an optional port.
#[derive(Clone, Debug)]
struct Egress {
    text: String,
}

impl FromNode for Egress {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let (host, _) = split_port(&text);
        let name = host.strip_prefix("*.").unwrap_or(host);
        let block = host.parse::<ipnet::IpNet>().is_ok();
        if block || (!name.contains(['*', '/', '@']) && Host::parse(name).is_ok()) {
            return Some(Egress { text });
        }
        reader.sink.push(
            node.at,
            format!("`{text}` names no hosts"),
            "write a host, `*.example.org` or 10.0.0.0/8, each with an optional :port",
        );
        None
    }
}

/// Cuts `:port` off, but no part of an IPv6 address.
fn split_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

impl Egress {
    /// `None` where only a look-up of the name could tell.
    fn allows(&self, url: &Url) -> Option<bool> {
        let (pattern, port) = split_port(&self.text);
        if port.is_some() && port != url.port_or_known_default() {
            return Some(false);
        }
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let pattern = pattern.to_ascii_lowercase();
        if let Ok(block) = pattern.parse::<ipnet::IpNet>() {
            let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok()?;
            return Some(block.contains(&address));
        }
        Some(match pattern.strip_prefix("*.") {
            Some(suffix) => host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')),
            None => host == pattern,
        })
    }
}

/// The allow list; a sink whose URL lies surely outside it is told.
pub(super) fn egress_allow(root: &Section, sinks: &[Placed<SinkConfig>]) -> Vec<String> {
    let allowed: Vec<Egress> = root.or("egress_allow", Vec::new());
    let listed =
        root.node("egress_allow").is_some_and(|node| matches!(&node.value, Value::List(l) if !l.is_empty()));
    for Placed { at, value: sink } in sinks.iter().filter(|_| listed) {
        let (SinkKind::Webhook { url, .. }
        | SinkKind::Grafana { url, .. }
        | SinkKind::Alertmanager { url, .. }) = &sink.kind;
        if *url != nowhere() && allowed.iter().all(|egress| egress.allows(url) == Some(false)) {
            root.reader.sink.push(
                *at,
                format!(
                    "`egress_allow` keeps the sink `{}` from {}",
                    sink.name,
                    url.host_str().unwrap_or_default()
                ),
                "add the host to `egress_allow`",
            );
        }
    }
    allowed.into_iter().map(|egress| egress.text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signing_secret_is_checked_before_it_signs() {
        let check = |text: &str| check_signing_secret(&text.into());
        assert_eq!(check("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Ok(()));
        assert!(check("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err());
        assert!(check("whsec_c2hvcnQ=").is_err());
        assert!(check("whsec_!!!").is_err());
    }

    #[test]
    fn egress_is_by_host_suffix_or_block() {
        let allows =
            |pattern: &str, url: &str| Egress { text: pattern.into() }.allows(&Url::parse(url).unwrap());
        assert_eq!(allows("hooks.example.org", "https://hooks.example.org/x"), Some(true));
        assert_eq!(allows("hooks.example.org:8443", "https://hooks.example.org/x"), Some(false));
        assert_eq!(allows("*.example.org", "https://a.b.example.org"), Some(true));
        assert_eq!(allows("*.example.org", "https://badexample.org"), Some(false));
        assert_eq!(allows("*.example.org", "https://example.org"), Some(false));
        assert_eq!(allows("10.0.0.0/8", "http://10.1.2.3:9093"), Some(true));
        assert_eq!(allows("10.0.0.0/8", "http://11.1.2.3"), Some(false));
        assert_eq!(allows("[::1]:9093", "http://[::1]:9093"), Some(true));
        assert_eq!(allows("10.0.0.0/8", "http://alertmanager"), None);
    }
}
