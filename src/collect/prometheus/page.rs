//! From the bytes of a scraped page to samples that carry the labels of their target.

use std::collections::BTreeMap;

use super::text::{Format, ParseError, Scanner};
use crate::config::ScrapeJob;
use crate::sample::{Batch, Timestamp, ValueKind};

/// Why a page gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("more than {samples_max} samples")]
    TooManySamples { samples_max: usize },
    #[error("not a page of metrics: {0}")]
    NotMetrics(ParseError),
}

/// What is to be said of a page that was read.
#[derive(Debug, Default, PartialEq)]
pub struct PageReport {
    pub samples: usize,
    pub lines_bad: u64,
    pub first_error: Option<ParseError>,
    /// How far the oldest sample lies before the scrape; 0 where the page has no times.
    pub lag_ms: i64,
}

/// The labels that a target puts on every series of its page.
#[derive(Debug)]
pub struct Stamp {
    labels: Vec<Stamped>,
}

#[derive(Debug)]
struct Stamped {
    name: String,
    value: String,
    /// What the page's own label of that name is called from now on.
    exported: String,
}

impl Stamp {
    pub fn new(labels: &BTreeMap<String, String>) -> Self {
        let stamped = |(name, value): (&String, &String)| Stamped {
            name: name.clone(),
            value: value.clone(),
            exported: format!("exported_{name}"),
        };
        Stamp { labels: labels.iter().map(stamped).collect() }
    }

    /// Adds the target's labels; where the page has one of them too, both stay.
    fn put<'l>(&'l self, labels: &mut Vec<(&'l str, &'l str)>) {
        for stamped in &self.labels {
            if let Some(own) = labels.iter_mut().find(|(name, _)| *name == stamped.name) {
                own.0 = &stamped.exported;
            }
        }
        labels.extend(self.labels.iter().map(|stamped| (stamped.name.as_str(), stamped.value.as_str())));
    }

    /// A series that the scrape makes about itself.
    pub fn push(&self, batch: &mut Batch, name: &str, at: Timestamp, value: f64) {
        let mut labels = vec![(crate::sample::METRIC_NAME, name)];
        self.put(&mut labels);
        batch.push(&mut labels, ValueKind::Gauge, at, value);
    }
}

/// Reads `page` into `batch`. A sample without a time of its own, or whose time is not wanted, is `at`.
///
/// After an error the batch holds part of the page and is to be thrown away.
pub fn read(
    page: &mut [u8],
    format: Format,
    job: &ScrapeJob,
    stamp: &Stamp,
    at: Timestamp,
    batch: &mut Batch,
) -> Result<PageReport, PageError> {
    let mut report = PageReport::default();
    let mut scanner = Scanner::new(format);
    let mut lines_good = 0;
    let (mut rest, mut labels) = (page, Vec::new());
    let bad = |report: &mut PageReport, error| {
        report.lines_bad += 1;
        report.first_error.get_or_insert(error);
    };
    while let Some(read) = scanner.next(&mut rest, &mut labels) {
        let line = match read {
            Ok(line) => line,
            Err(error) => {
                bad(&mut report, error);
                continue;
            }
        };
        lines_good += 1;
        if !wanted(job, &labels) {
            continue;
        }
        if report.samples == job.samples_max {
            return Err(PageError::TooManySamples { samples_max: job.samples_max });
        }
        report.samples += 1;
        let own = line.at.filter(|_| job.honor_timestamps).unwrap_or(at);
        report.lag_ms = report.lag_ms.max(at.since(own));
        stamp.put(&mut labels);
        batch.push(&mut labels, line.kind, own, line.value);
    }
    if let Err(error) = scanner.finish() {
        bad(&mut report, error);
    }
    match report.first_error.take() {
        Some(error) if lines_good == 0 => Err(PageError::NotMetrics(error)),
        first_error => Ok(PageReport { first_error, ..report }),
    }
}

fn wanted(job: &ScrapeJob, labels: &[(&str, &str)]) -> bool {
    if job.keep.is_none() && job.drop.is_none() {
        return true;
    }
    let name =
        labels.iter().find(|(label, _)| *label == crate::sample::METRIC_NAME).map_or("", |(_, name)| name);
    let matches = |pattern: &regex::Regex| pattern.is_match(name);
    job.keep.as_ref().is_none_or(matches) && !job.drop.as_ref().is_some_and(matches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::prometheus::test_job;
    use crate::sample::Labels;

    const AT: Timestamp = Timestamp(10_000);

    fn read_page(page: &str, job: &ScrapeJob) -> Result<(PageReport, Vec<String>), PageError> {
        let labels = [("instance", "mta1:9100"), ("job", "mail")].map(|(n, v)| (n.into(), v.into()));
        let mut batch = Batch::new("scrape:test".into());
        let stamp = Stamp::new(&labels.into());
        let report = read(&mut page.as_bytes().to_vec(), Format::Text, job, &stamp, AT, &mut batch)?;
        let row = |(key, _, samples): (&[u8], ValueKind, &[crate::sample::Sample])| {
            format!("{} {} @{}", Labels::from_key(key), samples[0].value, samples[0].at.0)
        };
        Ok((report, batch.iter().map(row).collect()))
    }

    #[test]
    fn the_labels_of_the_target_win_and_the_pages_own_are_kept_aside() {
        let (_, rows) = read_page("up{job=\"x\",a=\"1\"} 1\nn 2\n", &test_job("mail", &[])).unwrap();
        assert_eq!(
            rows,
            [
                r#"up{a="1",exported_job="x",instance="mta1:9100",job="mail"} 1 @10000"#,
                r#"n{instance="mta1:9100",job="mail"} 2 @10000"#,
            ]
        );
    }

    #[test]
    fn times_in_a_page_are_honoured_if_asked_for() {
        let mut job = test_job("mail", &[]);
        let (report, rows) = read_page("m 1 4000\n", &job).unwrap();
        assert!(rows[0].ends_with("1 @4000") && report.lag_ms == 6000, "{rows:?}");
        job.honor_timestamps = false;
        let (report, rows) = read_page("m 1 4000\n", &job).unwrap();
        assert!(rows[0].ends_with("1 @10000") && report.lag_ms == 0, "{rows:?}");
    }

    #[test]
    fn names_are_kept_and_dropped_by_regex() {
        let mut job = test_job("mail", &[]);
        job.keep = Some(regex::Regex::new("^(?:node_.*|up)$").unwrap());
        job.drop = Some(regex::Regex::new("^(?:node_scrape_.*)$").unwrap());
        let (report, rows) = read_page("node_load1 1\nnode_scrape_x 1\ngo_gc 1\nup 1\n", &job).unwrap();
        assert_eq!((report.samples, rows.len()), (2, 2), "{rows:?}");
    }

    #[test]
    fn bad_lines_are_counted_and_the_first_is_told() {
        let (report, rows) = read_page("a 1\nb x\n<c>\n", &test_job("mail", &[])).unwrap();
        assert_eq!((rows.len(), report.lines_bad), (1, 2));
        assert_eq!(report.first_error.unwrap().line, 2);
    }

    #[test]
    fn a_page_of_something_else_is_an_error_and_an_empty_one_is_not() {
        let error = read_page("<html>\n<body>", &test_job("mail", &[])).unwrap_err();
        assert!(error.to_string().starts_with("not a page of metrics: line 1"), "{error}");
        assert_eq!(read_page("", &test_job("mail", &[])).unwrap().0, PageReport::default());
    }

    #[test]
    fn a_page_with_too_many_samples_is_refused() {
        let mut job = test_job("mail", &[]);
        job.samples_max = 2;
        assert!(read_page("a 1\nb 1\n", &job).is_ok());
        assert!(matches!(read_page("a 1\nb 1\nc 1\n", &job), Err(PageError::TooManySamples { .. })));
    }
}
