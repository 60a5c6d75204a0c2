//! Whom a job scrapes: its static targets, and those of its file_sd lists as they change.
//!
//! A list that cannot be read any more, or holds what is no address, keeps the targets that it gave last; a list
//! that is gone gives none. Whoever writes a list decides where credentials go, so an address there is held to the
//! same rules as one in the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use crate::config::file::{ReadError, read_text};
use crate::config::{Scheme, ScrapeJob, is_host_port};

/// Beyond this a list is a mistake.
const LIST_BYTES_MAX: usize = 16 << 20;
const TARGETS_MAX: usize = 10_000;

/// One page to scrape and the labels that its series get.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub url: Url,
    /// `job`, `instance` and what the configuration adds; sorted by name.
    pub labels: BTreeMap<String, String>,
}

/// Why a list gave nothing new.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("{path}: {error}")]
    Read { path: PathBuf, error: ReadError },
    #[error("{path}: {error}")]
    Json { path: PathBuf, error: serde_json::Error },
    #[error("{path}: {error}")]
    Yaml { path: PathBuf, error: Box<serde_saphyr::Error> },
    #[error("{path}: {address:?} is not an address: write host:port, without scheme, user or path")]
    Address { path: PathBuf, address: String },
    #[error("{url} cannot be scraped: `metrics_path` makes no URL of it")]
    Url { url: String },
    #[error("more than {TARGETS_MAX} targets; the rest is left out")]
    TooMany,
}

/// An entry of a file_sd list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Group {
    pub targets: Vec<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The targets of one job, and the lists that they were read from.
#[derive(Debug, Default)]
pub struct Discovery {
    lists: BTreeMap<PathBuf, Vec<Group>>,
}

impl Discovery {
    /// Reads the job's lists anew and returns all its targets, with what went wrong on the way.
    pub fn targets(&mut self, job: &ScrapeJob) -> (BTreeSet<Target>, Vec<ListError>) {
        let mut problems = Vec::new();
        let mut lists = BTreeMap::new();
        for path in job.file_sd.iter().flat_map(|pattern| expand(pattern)) {
            let last = self.lists.remove(&path);
            let groups = read(&path).unwrap_or_else(|problem| {
                problems.push(problem);
                last.unwrap_or_default()
            });
            lists.insert(path, groups);
        }
        self.lists = lists;

        let none = BTreeMap::new();
        let fixed = job.targets.iter().map(|address| (address, &none));
        let listed = self.lists.values().flatten();
        let listed = listed.flat_map(|group| group.targets.iter().map(|address| (address, &group.labels)));
        let mut targets = BTreeSet::new();
        for (address, labels) in fixed.chain(listed) {
            if targets.len() == TARGETS_MAX {
                problems.push(ListError::TooMany);
                break;
            }
            match target(job, address, labels) {
                Some(target) => drop(targets.insert(target)),
                None => problems.push(ListError::Url { url: short(address) }),
            }
        }
        (targets, problems)
    }
}

/// Labels of a list win over those of the job. Names with `__` in front steer the scrape and are no labels.
fn target(job: &ScrapeJob, address: &str, listed: &BTreeMap<String, String>) -> Option<Target> {
    let scheme = match job.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let path = listed.get("__metrics_path__").unwrap_or(&job.metrics_path);
    let url = Url::parse(&format!("{scheme}://{address}/{}", path.trim_start_matches('/'))).ok()?;
    let mut labels = BTreeMap::from([("job".into(), job.name.clone()), ("instance".into(), address.into())]);
    labels.extend(job.labels.clone());
    labels.extend(listed.clone().into_iter().filter(|(name, _)| !name.starts_with("__")));
    Some(Target { url, labels })
}

/// The files that a path names; `*` in its last component stands for any run of characters.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or("");
    if !name.contains('*') {
        return if pattern.exists() { vec![pattern.into()] } else { Vec::new() };
    }
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let fits = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| matches(name, n));
    let mut paths: Vec<PathBuf> = entries.filter(fits).collect();
    paths.sort();
    paths
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).any(|i| tail.is_char_boundary(i) && matches(rest, &tail[i..]))
        }),
    }
}

fn read(path: &Path) -> Result<Vec<Group>, ListError> {
    let text =
        read_text(path, LIST_BYTES_MAX).map_err(|error| ListError::Read { path: path.into(), error })?;
    let groups = groups(path, &text)?;
    let mut addresses = groups.iter().flat_map(|group| &group.targets);
    match addresses.find(|address| !is_host_port(address)) {
        Some(address) => Err(ListError::Address { path: path.into(), address: short(address) }),
        None => Ok(groups),
    }
}

/// As much of an address as a log line needs, without what may be a password.
fn short(address: &str) -> String {
    let shown = address.rsplit_once('@').map_or(address.to_owned(), |(_, host)| format!("…@{host}"));
    shown.chars().take(80).collect()
}

/// Reads the text of the list at `path`, whose ending says whether it is YAML.
pub fn groups(path: &Path, text: &str) -> Result<Vec<Group>, ListError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yml" | "yaml") => serde_saphyr::from_str(text)
            .map_err(|error| ListError::Yaml { path: path.into(), error: Box::new(error) }),
        _ => serde_json::from_str(text).map_err(|error| ListError::Json { path: path.into(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::prometheus::test_job;

    fn urls(discovery: &mut Discovery, job: &ScrapeJob) -> Vec<String> {
        discovery.targets(job).0.into_iter().map(|target| target.url.into()).collect()
    }

    #[test]
    fn a_target_has_the_labels_of_job_and_list() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("mta.json");
        std::fs::write(
            &list,
            r#"[{"targets": ["mta1:9100"], "labels": {"role": "mta", "__metrics_path__": "/m", "__meta_x": "y"}}]"#,
        )
        .unwrap();
        let mut job = test_job("mail", &["store1:9100"]);
        job.labels.insert("role".into(), "store".into());
        job.file_sd.push(list);
        let (targets, problems) = Discovery::default().targets(&job);
        assert!(problems.is_empty(), "{problems:?}");
        let shown: Vec<String> = targets.iter().map(|t| format!("{} {:?}", t.url, t.labels)).collect();
        assert_eq!(
            shown,
            [
                r#"http://mta1:9100/m {"instance": "mta1:9100", "job": "mail", "role": "mta"}"#,
                r#"http://store1:9100/metrics {"instance": "store1:9100", "job": "mail", "role": "store"}"#,
            ]
        );
    }

    #[test]
    fn a_list_that_breaks_keeps_its_targets_and_one_that_goes_takes_them_along() {
        let folder = tempfile::tempdir().unwrap();
        let (json, yaml) = (folder.path().join("a.json"), folder.path().join("b.yml"));
        std::fs::write(&json, r#"[{"targets": ["a:1"]}]"#).unwrap();
        std::fs::write(&yaml, "- targets: ['b:1']\n").unwrap();
        let mut job = test_job("mail", &[]);
        job.file_sd = vec![folder.path().join("*.json"), folder.path().join("b.y*l")];
        let mut discovery = Discovery::default();
        assert_eq!(urls(&mut discovery, &job), ["http://a:1/metrics", "http://b:1/metrics"]);

        std::fs::write(&json, r#"[{"targets": ["a:1""#).unwrap();
        std::fs::write(&yaml, "- targets: ['b:2']\n").unwrap();
        let (targets, problems) = discovery.targets(&job);
        assert_eq!(targets.len(), 2);
        assert!(matches!(problems[..], [ListError::Json { .. }]), "{problems:?}");
        assert_eq!(urls(&mut discovery, &job), ["http://a:1/metrics", "http://b:2/metrics"]);

        std::fs::remove_file(&json).unwrap();
        assert_eq!(urls(&mut discovery, &job), ["http://b:2/metrics"]);
    }

    #[test]
    fn what_is_no_address_is_refused_and_the_list_before_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("a.json");
        let mut job = test_job("mail", &[]);
        job.file_sd = vec![list.clone()];
        let mut discovery = Discovery::default();
        std::fs::write(&list, r#"[{"targets": ["a:1"]}]"#).unwrap();
        assert_eq!(urls(&mut discovery, &job), ["http://a:1/metrics"]);
        for bad in ["user:sesame@evil:1", "http://a:1", "a:1/x", "a", "a:0", "a:1?x"] {
            std::fs::write(&list, format!(r#"[{{"targets": ["b:1", "{bad}"]}}]"#)).unwrap();
            let (targets, problems) = discovery.targets(&job);
            let urls: Vec<&str> = targets.iter().map(|target| target.url.as_str()).collect();
            assert_eq!(urls, ["http://a:1/metrics"], "{bad}");
            assert!(matches!(problems[..], [ListError::Address { .. }]), "{bad}: {problems:?}");
            assert!(!problems[0].to_string().contains("sesame"), "{}", problems[0]);
        }
    }

    #[test]
    fn too_many_targets_are_cut_and_said() {
        let addresses: Vec<String> = (0..TARGETS_MAX + 5).map(|i| format!("h{i}:1")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let (targets, problems) = Discovery::default().targets(&test_job("mail", &addresses));
        assert_eq!(targets.len(), TARGETS_MAX);
        assert!(matches!(problems[..], [ListError::TooMany]));
    }
}
