//! Pages straight into a batch for the engine, as a scraper would bring them, without the text between.
//!
//! The label set of a series is put together once and then found by its place on the page, checked by name and
//! labels. Series may come and go: one that is passed over stays known, a new one takes the place where it came.

use crate::sample::{Batch, METRIC_NAME, Source, Timestamp, ValueKind, write_key};

use super::{Kind, Page, Target};

/// A batch that exporters print into.
#[derive(Debug)]
pub struct BatchPage {
    batch: Batch,
    entity_label: String,
    targets: Vec<Known>,
    /// The target whose samples come now; beyond the end before the first.
    now: usize,
    at: Timestamp,
}

/// A target, and its series in the order of its page.
#[derive(Debug)]
struct Known {
    host: String,
    target: Target,
    instance: String,
    up_key: Vec<u8>,
    series: Vec<Series>,
    next: usize,
}

#[derive(Debug)]
struct Series {
    name: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    key: Box<[u8]>,
    kind: ValueKind,
}

impl Series {
    fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        *self.name == *name
            && self.labels.len() == labels.len()
            && self.labels.iter().zip(labels).all(|((n, v), (name, value))| **v == **value && **n == **name)
    }
}

impl BatchPage {
    /// `entity_label` is the label that gets the host's name, such as `host`.
    pub fn new(source: Source, entity_label: &str) -> Self {
        BatchPage {
            batch: Batch::new(source),
            entity_label: entity_label.to_owned(),
            targets: Vec::new(),
            now: usize::MAX,
            at: Timestamp::default(),
        }
    }

    /// What was printed since the last call.
    pub fn take(&mut self) -> Batch {
        let next = Batch::new(self.batch.source.clone());
        std::mem::replace(&mut self.batch, next)
    }
}

impl Page for BatchPage {
    fn target(&mut self, at: Timestamp, host: &str, target: Target) {
        let is = |known: &Known| {
            known.host == host && known.target.job == target.job && known.target.port == target.port
        };
        let next = self.now.wrapping_add(1);
        self.now = match self.targets.get(next) {
            Some(known) if is(known) => next,
            _ => self.targets.iter().position(is).unwrap_or(self.targets.len()),
        };
        if self.now == self.targets.len() {
            self.targets.push(Known::new(&self.entity_label, host, target));
        }
        let known = &mut self.targets[self.now];
        known.next = 0;
        self.at = at;
        self.batch.keyed_series(&known.up_key, ValueKind::Gauge);
        self.batch.sample(at, super::flag(target.up));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], kind: Kind, value: f64) {
        let Some(known) = self.targets.get_mut(self.now) else { return };
        let place = match known.series.get(known.next) {
            Some(series) if series.is(name, labels) => known.next,
            _ => known.find(name, labels).unwrap_or_else(|| {
                known.series.insert(known.next, series(&self.entity_label, known, name, labels, kind));
                known.next
            }),
        };
        let series = &known.series[place];
        known.next = place + 1;
        self.batch.keyed_series(&series.key, series.kind);
        self.batch.sample(self.at, value);
    }
}

impl Known {
    fn new(entity_label: &str, host: &str, target: Target) -> Self {
        let instance = format!("{host}:{}", target.port);
        let mut known = Known {
            host: host.to_owned(),
            target,
            instance,
            up_key: Vec::new(),
            series: Vec::new(),
            next: 0,
        };
        known.up_key = series(entity_label, &known, "up", &[], Kind::Gauge).key.into();
        known
    }

    /// The place of a series that isn't where it was expected: most often a little further on.
    fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<usize> {
        let from = self.next.min(self.series.len());
        let is = |series: &Series| series.is(name, labels);
        let further = self.series[from..].iter().position(is).map(|place| from + place);
        further.or_else(|| self.series[..from].iter().position(is))
    }
}

/// Puts a series together; the scraper's labels win over the page's own.
fn series(entity_label: &str, known: &Known, name: &str, labels: &[(&str, &str)], kind: Kind) -> Series {
    let mut all = vec![(METRIC_NAME, name)];
    all.extend(labels);
    all.extend([
        (entity_label, known.host.as_str()),
        ("instance", &known.instance),
        ("job", known.target.job),
    ]);
    let mut key = Vec::new();
    write_key(&mut all, &mut key);
    Series {
        name: name.into(),
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        key: key.into(),
        kind: kind.value_kind(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Labels;

    const TARGET: Target = Target { job: "carbonio", port: 9110, up: true };

    fn shown(batch: &Batch) -> Vec<String> {
        batch
            .iter()
            .map(|(key, _, samples)| format!("{} {}", Labels::from_key(key), samples[0].value))
            .collect()
    }

    fn print(page: &mut BatchPage, commands: &[&str]) -> Vec<String> {
        page.target(Timestamp(1_000), "mbox1", TARGET);
        for command in commands {
            page.sample("soap_exec_count", &[("command", command)], Kind::Bare, 1.0);
        }
        page.sample("threads_total", &[], Kind::Bare, 9.0);
        shown(&page.take())
    }

    #[test]
    fn a_series_that_comes_and_goes_is_the_same_series() {
        let mut page = BatchPage::new("sim".into(), "host");
        let line = |command: &str| {
            format!(
                "soap_exec_count{{command=\"{command}\",host=\"mbox1\",instance=\"mbox1:9110\",job=\"carbonio\"}} 1"
            )
        };
        let up = "up{host=\"mbox1\",instance=\"mbox1:9110\",job=\"carbonio\"} 1";
        let total = "threads_total{host=\"mbox1\",instance=\"mbox1:9110\",job=\"carbonio\"} 9";
        for commands in [&["A", "C"][..], &["C"], &["A", "B", "C"], &[], &["C", "A"], &["B"]] {
            let mut want = vec![up.to_owned()];
            want.extend(commands.iter().map(|command| line(command)));
            want.push(total.to_owned());
            assert_eq!(print(&mut page, commands), want);
        }
        assert_eq!(page.targets[0].series.len(), 4, "each is remembered once");
    }

    #[test]
    fn a_target_that_is_down_has_up_and_nothing_else() {
        let mut page = BatchPage::new("sim".into(), "node");
        page.target(Timestamp(0), "mta1", Target { up: false, ..TARGET });
        let batch = page.take();
        assert_eq!(shown(&batch), ["up{instance=\"mta1:9110\",job=\"carbonio\",node=\"mta1\"} 0"]);
    }
}
