//! Pages as a recording: OpenMetrics text with times, page after page, as `replay` and `eval` read it.

use std::io::{self, Write};

use super::text::write_series;
use super::{Kind, Page, Target};
use crate::sample::Timestamp;

/// Writes each page with the labels and the `up` of a scraper. The first error ends the writing and is told
/// by `finish`.
///
/// Lines stand in the order of time, so a family comes once a page and its TYPE with it.
#[derive(Debug)]
pub struct Recording<W: Write> {
    out: W,
    entity_label: String,
    error: Option<io::Error>,
    host: String,
    instance: String,
    job: &'static str,
    /// Seconds, as they stand at the end of each line.
    time: String,
    family: String,
    line: String,
}

impl<W: Write> Recording<W> {
    /// `entity_label` is the label that gets the host's name, such as `host`.
    pub fn new(out: W, entity_label: &str) -> Self {
        Recording {
            out,
            entity_label: entity_label.to_owned(),
            error: None,
            host: String::new(),
            instance: String::new(),
            job: "",
            time: String::new(),
            family: String::new(),
            line: String::new(),
        }
    }

    /// Ends the recording and gives back what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.out.write_all(b"# EOF\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// The family and type as OpenMetrics names them, where they change.
    fn begin_family(&mut self, name: &str, kind: Kind) {
        let family = kind.family(name);
        let family =
            if kind == Kind::Counter { family.strip_suffix("_total").unwrap_or(family) } else { family };
        if self.family == family {
            return;
        }
        self.family.clear();
        self.family.push_str(family);
        let word = match kind {
            Kind::Bare | Kind::Untyped => "unknown",
            kind => kind.word().unwrap_or("unknown"),
        };
        self.line.push_str("# TYPE ");
        if family.contains('\'') {
            self.line.push('"');
            self.line.push_str(family);
            self.line.push('"');
        } else {
            self.line.push_str(family);
        }
        self.line.push(' ');
        self.line.push_str(word);
        self.line.push('\n');
    }
}

impl<W: Write> Page for Recording<W> {
    fn target(&mut self, at: Timestamp, host: &str, target: Target) {
        host.clone_into(&mut self.host);
        self.instance = format!("{host}:{}", target.port);
        self.job = target.job;
        self.time = format!("{}.{:03}", at.0.div_euclid(1000), at.0.rem_euclid(1000));
        self.sample("up", &[], Kind::Gauge, super::flag(target.up));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], kind: Kind, value: f64) {
        if self.error.is_some() {
            return;
        }
        self.line.clear();
        self.begin_family(name, kind);
        let added = [
            (self.entity_label.as_str(), self.host.as_str()),
            ("instance", &self.instance),
            ("job", self.job),
        ];
        // The scraper's labels win over the page's own.
        let own = labels.iter().filter(|(label, _)| added.iter().all(|(name, _)| name != label));
        let all: Vec<(&str, &str)> = own.copied().chain(added).collect();
        write_series(&mut self.line, name, &all, false);
        self.error = writeln!(self.out, "{} {value} {}", self.line, self.time).err();
    }
}
