//! The series that are there: named by a page of metrics, a recording, or a Foreshock that runs.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use reqwest::Method;
use serde::Deserialize;
use url::Url;

use crate::collect::http::{Client, Reply, fetch};
use crate::collect::prometheus::text::{Format as TextFormat, Scanner};
use crate::collect::recording::columns::{Columns, RecordingLimits};
use crate::collect::recording::{self, Format, input};
use crate::config::{HttpAuth, Tls};
use crate::sample::Labels;

/// Series, each once.
pub(super) type Listed = BTreeSet<Labels>;

const TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 256 << 20;
/// As many as the API gives at once.
const SERIES_MAX: usize = 10_000;

/// Adds the series of a file: by its ending a range query, a score CSV, or else a page or OpenMetrics.
pub(super) fn read(path: &Path, listed: &mut Listed) -> anyhow::Result<()> {
    let progress = ProgressBar::hidden();
    if Format::of(path) == Format::OpenMetrics {
        let text = input::open(path, &progress).with_context(|| path.display().to_string())?;
        return scan(text, &path.display().to_string(), listed);
    }
    let mut columns = Columns::new(RecordingLimits { series_max: 1_000_000, samples_max: 200_000_000 });
    recording::read(path, "instance", &mut columns, &progress, &mut |_| {})?;
    listed.extend(columns.labels());
    Ok(())
}

/// Adds the series of text, a line at a time: only names and labels matter, so either format will do, with times or
/// without. Text in which no line can be read is no page.
fn scan(mut text: impl BufRead, name: &str, listed: &mut Listed) -> anyhow::Result<()> {
    let mut line = Vec::new();
    let (mut good, mut bad) = (0u64, None);
    while text.read_until(b'\n', &mut line)? > 0 {
        match labels_of(&line) {
            Some(Ok(labels)) => {
                good += 1;
                listed.insert(labels);
            }
            Some(Err(reason)) => bad = bad.or(Some(reason)),
            None => {}
        }
        line.clear();
    }
    match bad {
        Some(reason) if good == 0 => bail!("{name}: not a page of metrics: {reason}"),
        _ => Ok(()),
    }
}

/// `None` where the line is a comment or empty.
fn labels_of(line: &[u8]) -> Option<Result<Labels, String>> {
    let mut reason = String::new();
    for format in [TextFormat::Text, TextFormat::OpenMetrics] {
        // The scanner decodes escapes where they stand.
        let mut line = line.to_vec();
        let (mut rest, mut labels) = (line.as_mut_slice(), Vec::new());
        match Scanner::new(format).next(&mut rest, &mut labels)? {
            Ok(_) => return Some(Ok(Labels::new(&labels))),
            Err(error) => reason = error.reason.to_string(),
        }
    }
    Some(Err(reason))
}

/// Adds the series of the page at `url`.
pub(super) fn fetch_page(url: &str, listed: &mut Listed) -> anyhow::Result<()> {
    let reply = get(url, &HttpAuth::None)?;
    let mut page = Listed::new();
    scan(reply.body.as_slice(), url, &mut page)?;
    // As whoever scrapes a page adds to it where it came from.
    let parsed = Url::parse(url)?;
    let instance = parsed.host_str().unwrap_or_default();
    listed.extend(page.into_iter().map(|labels| match labels.get("instance") {
        Some(_) => labels,
        None => Labels::new(&labels.iter().chain([("instance", instance)]).collect::<Vec<_>>()),
    }));
    Ok(())
}

#[derive(Deserialize)]
struct Found {
    series: Vec<One>,
    truncated: bool,
}

#[derive(Deserialize)]
struct One {
    labels: Labels,
}

/// Adds the series that the Foreshock at `url` knows.
pub(super) fn ask(url: &str, auth: &HttpAuth, listed: &mut Listed) -> anyhow::Result<()> {
    let reply = get(&format!("{}/api/v1/series?limit={SERIES_MAX}", url.trim_end_matches('/')), auth)?;
    let found: Found =
        serde_json::from_slice(&reply.body).with_context(|| format!("{url}: not Foreshock's answer"))?;
    if found.truncated {
        eprintln!("{url} knows more than {SERIES_MAX} series; the first of them are looked at");
    }
    listed.extend(found.series.into_iter().map(|one| one.labels));
    Ok(())
}

fn get(url: &str, auth: &HttpAuth) -> anyhow::Result<Reply> {
    let parsed = Url::parse(url).with_context(|| format!("{url} is no URL; write http://HOST:PORT/PATH"))?;
    let client = Client::new(parsed.scheme() == "https", auth, &Tls::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(fetch(client.request(Method::GET, parsed), TIMEOUT, BODY_BYTES_MAX));
    let reply = answer.with_context(|| url.to_owned())?;
    if reply.status != 200 {
        bail!("{url} answered {}", reply.status);
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &[&str]) {
        let mut listed = Listed::new();
        scan(text.as_bytes(), "page", &mut listed).unwrap();
        let mut got: Vec<String> = listed.iter().map(ToString::to_string).collect();
        got.sort();
        assert_eq!(got, want);
    }

    #[test]
    fn a_page_and_a_recording_name_the_same_series() {
        check("# TYPE up gauge\nup 1\nq {n=\"a\\\"b\"} 3\n", &["q{n=\"a\\\"b\"}", "up"]);
        check("up 1 1714521600.5\nup 1 1714521615\n# EOF\n", &["up"]);
        check("up 1 1714521600000\nnot a line\n", &["up"]);
    }

    #[test]
    fn what_holds_no_series_is_no_page() {
        let error = scan("<html>\n<p>\n".as_bytes(), "page", &mut Listed::new()).unwrap_err();
        assert!(error.to_string().starts_with("page: not a page of metrics"), "{error}");
    }
}
