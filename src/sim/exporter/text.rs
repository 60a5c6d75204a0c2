//! Pages as text: what `/metrics` of an exporter answers.

use std::fmt::Write;

use super::{Kind, Page, Target};
use crate::sample::Timestamp;

/// The text of one exporter, or of all that are printed one after the other.
///
/// The labels are the exporter's own: `instance` and `job` come from whoever scrapes it.
#[derive(Clone, Debug, Default)]
pub struct TextPage {
    text: String,
    family: String,
    only: Option<(String, Target)>,
    skips: bool,
    up: Option<bool>,
}

impl TextPage {
    /// A page that takes only what this exporter of `host` prints.
    pub fn only(host: &str, target: Target) -> Self {
        TextPage { only: Some((host.to_owned(), target)), ..TextPage::default() }
    }

    /// The text; `None` where the exporter doesn't answer, or isn't there.
    pub fn text(&self) -> Option<&str> {
        self.up.filter(|up| *up).map(|_| self.text.as_str())
    }
}

impl Page for TextPage {
    fn target(&mut self, _: Timestamp, host: &str, target: Target) {
        self.skips = self
            .only
            .as_ref()
            .is_some_and(|(name, only)| name != host || (only.job, only.port) != (target.job, target.port));
        if !self.skips {
            self.up = Some(self.up.unwrap_or(false) || target.up);
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], kind: Kind, value: f64) {
        if self.skips {
            return;
        }
        let family = kind.family(name);
        if let Some(word) = kind.word().filter(|_| self.family != family) {
            let _ = writeln!(self.text, "# TYPE {family} {word}");
            self.family.clear();
            self.family.push_str(family);
        }
        write_series(&mut self.text, name, labels, kind == Kind::Bare);
        let _ = writeln!(self.text, " {value}");
    }
}

/// `name{label="value",…}`. A name that is none in the older format stands in quotes within the braces.
pub(super) fn write_series(text: &mut String, name: &str, labels: &[(&str, &str)], space: bool) {
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
    if legal {
        text.push_str(name);
    }
    if legal && labels.is_empty() {
        return;
    }
    text.push_str(if legal && space { " {" } else { "{" });
    let mut separator = "";
    if !legal {
        let _ = write!(text, "\"{name}\"");
        separator = ",";
    }
    for (label, value) in labels {
        let _ = write!(text, "{separator}{label}=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
        separator = ",";
    }
    text.push('}');
}
