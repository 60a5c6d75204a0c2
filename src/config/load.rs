//! From a path to a `Config`, or to everything that is wrong with it.

use std::net::SocketAddr;
use std::path::Path;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::file::{ReadError, read_text};
use super::problem::{Place, Problem, Problems, Sink};
use super::read::{FromNode, Placed, Reader, Section};
use super::yaml::{self, Node, TEXT_BYTES_MAX};
use super::{
    BearerToken, Budget, Config, collectors, limits, maintenance, packs, service_levels, sinks, zmstat,
};
use crate::detect::Detectors;

/// The port beside those of the exporters that it watches.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9750);
const TOKEN_CHARS_MIN: usize = 16;

impl Config {
    /// Reads and validates `path`; relative paths in it start at its folder.
    pub fn load(path: &Path) -> Result<Config, Problems> {
        let dir = path.parent().unwrap_or(Path::new(""));
        match read_text(path, TEXT_BYTES_MAX) {
            Ok(text) => Config::parse(&text, path, dir, &|name| std::env::var(name).ok()),
            Err(error) => Err(Problems(vec![unreadable(path, &error)])),
        }
    }

    /// The same from text: `file` is what problems name, `env` answers `${NAME}`.
    pub fn parse(
        text: &str,
        file: &Path,
        dir: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Problems> {
        let reader = Reader { sink: Sink::new(file), dir, env };
        let config = yaml::parse(text, &reader.sink)
            .and_then(|root| Section::of(&root, &reader).and_then(|section| root_section(section)));
        match config {
            Some(config) if reader.sink.is_empty() => Ok(config),
            _ => Err(reader.sink.into_problems()),
        }
    }
}

fn unreadable(path: &Path, error: &ReadError) -> Problem {
    let (place, mend) = match error {
        ReadError::NotUtf8 { place } => (*place, "save the file as UTF-8"),
        ReadError::Io(_) => (Place::START, "name a file that this user can read: --config FILE"),
        ReadError::TooLong { .. } => (Place::START, "a configuration is small: is this the right file?"),
    };
    let what = format!("cannot read the configuration: {error}");
    Problem { file: path.into(), place, what, mend: mend.into() }
}

/// Reads every section whatever the others hold; `None` only where the site has no name.
fn root_section(root: Section) -> Option<Config> {
    let site = root.need("site", "name this installation: `site: mail.example.org`");
    let step_seconds = root.within("step_seconds", 15, 1..=3600, |seconds| seconds);
    let timezone = root.or("timezone", Zone(TimeZone::UTC)).0;
    let auth = auth(&root);
    let packs = packs::packs(&root);
    let acting = sinks::acting(&root);
    let sinks = sinks::sinks(&root);
    let remedies = sinks::remedies(&root, &acting, &sinks, &packs);
    let egress_allow = sinks::egress_allow(&root, &sinks);
    let config = Config {
        site: site.unwrap_or_default(),
        zmstat: zmstat::zmstat(&root, &timezone),
        timezone,
        holidays: root.or("holidays", Vec::<Day>::new()).into_iter().map(|day| day.0).collect(),
        maintenance: maintenance::maintenance(&root),
        listen: listen(&root, auth.is_some()),
        auth,
        data_dir: root.get("data_dir").unwrap_or_else(|| root.reader.dir.join("foreshock-data")),
        step_seconds,
        entity_labels: entity_labels(&root),
        scrapes: collectors::scrapes(&root, std::time::Duration::from_secs(step_seconds.into())),
        remote_write: collectors::remote_write(&root),
        prometheus: collectors::prometheus(&root),
        kafka: collectors::kafka(&root),
        service_levels: service_levels::service_levels(&root, &packs),
        packs,
        detectors: detectors(&root),
        budget: budget(&root),
        acting,
        remedies,
        sinks: sinks.into_iter().map(|sink| sink.value).collect(),
        egress_allow,
        limits: limits::limits(&root),
    };
    root.finish();
    (!config.site.is_empty()).then_some(config)
}

fn auth(root: &Section) -> Option<BearerToken> {
    use secrecy::ExposeSecret;
    let section = root.section("auth")?;
    let token = collectors::needed_secret(&section, "bearer_token", "bearer_token_file");
    if token.as_ref().is_some_and(|token| token.expose_secret().chars().count() < TOKEN_CHARS_MIN) {
        section.reader.sink.push(
            section.at,
            format!("the bearer token has fewer than {TOKEN_CHARS_MIN} characters"),
            "make one by `openssl rand -hex 32`",
        );
    }
    section.finish();
    token.map(BearerToken)
}

fn listen(root: &Section, has_auth: bool) -> SocketAddr {
    let Some(Placed { at, value }) = root.get::<Placed<SocketAddr>>("listen") else { return LISTEN_DEFAULT };
    if !value.ip().is_loopback() && !has_auth && root.node("auth").is_none() {
        root.reader.sink.push(
            at,
            format!("{value} can be reached from other machines, and no `auth` is set"),
            "add `auth: {bearer_token_file: PATH}`, or listen on 127.0.0.1",
        );
    }
    value
}

fn entity_labels(root: &Section) -> Vec<String> {
    let default = || ["host", "node", "instance"].map(String::from).to_vec();
    let Some(Placed { at, value }) = root.get::<Placed<Vec<String>>>("entity_labels") else {
        return default();
    };
    if value.is_empty() {
        root.reader.sink.push(at, "`entity_labels` is empty", "name one, such as [host, node, instance]");
    }
    value
}

fn detectors(root: &Section) -> Detectors {
    let section = root.section_or_empty("detectors");
    let all = Detectors::default();
    let detectors = Detectors {
        derivative: section.or("derivative", all.derivative),
        seasonal: section.or("seasonal", all.seasonal),
        novelty: section.or("novelty", all.novelty),
        energy: section.or("energy", all.energy),
        multivariate: section.or("multivariate", all.multivariate),
    };
    section.finish();
    detectors
}

fn budget(root: &Section) -> Budget {
    let section = root.section_or_empty("budget");
    let budget = Budget {
        pages_per_week: section.within("pages_per_week", 1.0, 0.01..=1000.0, |n| n),
        tickets_per_week: section.within("tickets_per_week", 5.0, 0.01..=10_000.0, |n| n),
    };
    if budget.tickets_per_week < budget.pages_per_week {
        section.reader.sink.push(
            section.at,
            format!(
                "{} tickets a week are fewer than {} pages",
                budget.tickets_per_week, budget.pages_per_week
            ),
            "allow at least as many tickets as pages: a page is the rarer thing",
        );
    }
    section.finish();
    budget
}

/// A zone by its name.
pub(super) struct Zone(pub(super) TimeZone);

impl FromNode for Zone {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let name = String::from_node(node, reader)?;
        let zone = TimeZone::get(&name).ok();
        if zone.is_none() {
            let what = format!("`{name}` is no time zone");
            reader.sink.push(node.at, what, "write one of the IANA database, such as Europe/Berlin or UTC");
        }
        zone.map(Zone)
    }
}

struct Day(Date);

impl FromNode for Day {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let day = text.parse().ok();
        if day.is_none() {
            reader.sink.push(
                node.at,
                format!("`{text}` is no date"),
                "write year-month-day, such as 2026-12-25",
            );
        }
        day.map(Day)
    }
}

/// What a configuration watches and calls, in one line.
impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let targets: usize = self.scrapes.iter().map(|job| job.targets.len()).sum();
        let many = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        write!(f, "site {}, {}", self.site, many(self.scrapes.len(), "scrape job"))?;
        write!(f, " ({})", many(targets, "static target"))?;
        write!(f, ", remote write {}", if self.remote_write.is_some() { "on" } else { "off" })?;
        write!(f, ", {} Prometheus, {}", self.prometheus.len(), many(self.kafka.len(), "Kafka source"))?;
        write!(f, ", {}, {}", many(self.sinks.len(), "sink"), many(self.remedies.len(), "remedy route"))?;
        if !self.zmstat.is_empty() {
            let few = if self.zmstat.len() == 1 { "directory" } else { "directories" };
            write!(f, ", {} zmstat {few}", self.zmstat.len())?;
        }
        match self.maintenance.len() {
            0 => Ok(()),
            windows => write!(f, ", {}", many(windows, "maintenance window")),
        }
    }
}
