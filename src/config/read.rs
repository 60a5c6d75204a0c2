//! Reading the tree section by section: a wrong value is told and the reading goes on, so that one
//! run of `check` shows all there is to mend.
//!
//! A section remembers which keys its reader asked for; whatever else stands there is unknown.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use super::problem::{Place, Sink};
use super::yaml::{Entry, Node, Value};

/// What reading a file needs beside its tree.
pub struct Reader<'a> {
    pub sink: Sink,
    /// The folder of the file: relative paths start there.
    pub dir: &'a Path,
    /// Looks an environment variable up.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// Tells that `node` is not of the kind wanted.
    pub fn wrong(&self, node: &Node, needs: &str, mend: impl Into<String>) {
        self.sink.push(node.at, format!("needs {needs}, found {}", node.value.describe()), mend);
    }
}

/// A type that can be read from one node; what is wrong goes to the reader's sink.
pub trait FromNode: Sized {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self>;
}

/// A value together with where it stood, for checks that compare several.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    pub at: Place,
    pub value: T,
}

impl<T: FromNode> FromNode for Placed<T> {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        T::from_node(node, reader).map(|value| Placed { at: node.at, value })
    }
}

/// A list; a wrong item is told and left out.
impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        match &node.value {
            Value::List(items) => Some(items.iter().filter_map(|item| T::from_node(item, reader)).collect()),
            _ => {
                reader.wrong(node, "a list", "write `[one, two]`, or a line `- one` for each");
                None
            }
        }
    }
}

/// A mapping whose keys are the operator's own.
impl<T: FromNode> FromNode for BTreeMap<String, T> {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        Section::of(node, reader).map(|section| section.all())
    }
}

/// A mapping whose keys are ours.
pub struct Section<'a> {
    /// Where the section begins, for what is missing in it.
    pub at: Place,
    pub reader: &'a Reader<'a>,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// `None`, told, where `node` is no mapping; nothing at all is a mapping without keys.
    pub fn of(node: &'a Node, reader: &'a Reader<'a>) -> Option<Self> {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Empty => &[],
            _ => {
                reader.wrong(node, "a mapping", "write `key: value`, a line for each, indented alike");
                return None;
            }
        };
        Some(Section { at: node.at, reader, entries, asked: RefCell::default() })
    }

    pub fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// `None` where the key is missing, or wrong and told.
    pub fn get<T: FromNode>(&self, key: &'static str) -> Option<T> {
        T::from_node(self.node(key)?, self.reader)
    }

    pub fn or<T: FromNode>(&self, key: &'static str, default: T) -> T {
        self.get(key).unwrap_or(default)
    }

    /// Tells of a missing key; `mend` shows one.
    pub fn need<T: FromNode>(&self, key: &'static str, mend: &str) -> Option<T> {
        if self.node(key).is_none() {
            self.reader.sink.push(self.at, format!("`{key}` is missing"), mend);
        }
        self.get(key)
    }

    /// The value of `key` where it lies in `range`; told and the default where it doesn't.
    ///
    /// `show` writes a bound as an operator would.
    pub fn within<T: FromNode + PartialOrd + Copy, D: Display>(
        &self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
        show: impl Fn(T) -> D,
    ) -> T {
        let Some(Placed { at, value }) = self.get::<Placed<T>>(key) else { return default };
        if range.contains(&value) {
            return value;
        }
        let (low, high) = (show(*range.start()), show(*range.end()));
        self.reader.sink.push(
            at,
            format!("`{key}` is out of bounds: {}", show(value)),
            format!("choose {low} to {high}; the default is {}", show(default)),
        );
        default
    }

    /// Every key of a section whose keys are the operator's own; a wrong value is told and left out.
    pub fn all<T: FromNode>(&self) -> BTreeMap<String, T> {
        self.entries
            .iter()
            .filter_map(|e| Some((e.key.clone(), T::from_node(&e.value, self.reader)?)))
            .collect()
    }

    /// The sections of a list, none where the key is missing.
    pub fn list(&self, key: &'static str) -> Vec<Section<'a>> {
        match self.node(key) {
            Some(Node { value: Value::List(items), .. }) => {
                items.iter().filter_map(|item| Section::of(item, self.reader)).collect()
            }
            Some(node) => {
                self.reader.wrong(node, "a list", format!("write `{key}:` and begin each entry with `- `"));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    pub fn section(&self, key: &'static str) -> Option<Section<'a>> {
        Section::of(self.node(key)?, self.reader)
    }

    /// The section of a key that may be left out: then it has no keys.
    pub fn section_or_empty(&self, key: &'static str) -> Section<'a> {
        self.section(key).unwrap_or(Section {
            at: self.at,
            reader: self.reader,
            entries: &[],
            asked: RefCell::default(),
        })
    }

    /// Tells of keys that stand here and mean nothing.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for entry in self.entries.iter().filter(|entry| !asked.contains(&entry.key.as_str())) {
            self.reader.sink.push(
                entry.key_at,
                format!("unknown key `{}`", entry.key),
                did_you_mean(&entry.key, &asked),
            );
        }
    }
}

/// `did you mean …?` where one of `known` is near, else all of them.
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|candidate| (nearness(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min();
    if let Some((_, candidate)) = near {
        return format!("did you mean `{candidate}`?");
    }
    let mut known = known.to_vec();
    known.sort_unstable();
    known.dedup();
    format!("known here: {}", known.join(", "))
}

/// Edits between two words, a swap of neighbours counting once; a word that begins or ends the other is near it.
fn nearness(a: &str, b: &str) -> usize {
    let part =
        |long: &str, short: &str| short.len() >= 4 && (long.starts_with(short) || long.ends_with(short));
    if part(a, b) || part(b, a) {
        return 1;
    }
    let (a, b): (Vec<char>, Vec<char>) =
        (a.to_lowercase().chars().take(64).collect(), b.to_lowercase().chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut edits = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                edits = edits.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = edits;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let known = ["scrape", "sinks", "site", "data_dir", "step_seconds"];
        assert_eq!(did_you_mean("scarpe", &known), "did you mean `scrape`?");
        assert_eq!(did_you_mean("sink", &known), "did you mean `sinks`?");
        assert_eq!(did_you_mean("step", &known), "did you mean `step_seconds`?");
        assert_eq!(did_you_mean("scrape_interval", &["interval", "timeout"]), "did you mean `interval`?");
        assert_eq!(did_you_mean("data-dir", &known), "did you mean `data_dir`?");
        assert_eq!(did_you_mean("zebra", &known), "known here: data_dir, scrape, sinks, site, step_seconds");
    }
}
