//! YAML text as a tree whose every key and value knows where it stands.
//!
//! Nothing is guessed here: a plain scalar stays text until the reader that wants a number or a truth
//! value asks for one. So `y`, `0755` and `1e3` never turn into something that nobody wrote.
//! Bounds: 64 levels, 100,000 nodes after aliases are followed; readers bound the text itself.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};

use super::problem::{Place, Sink};

/// Longest file that is read as a configuration or a pack.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 100_000;

#[derive(Clone, Debug)]
pub struct Node {
    pub at: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing after the colon, `~` or `null`.
    Empty,
    /// Written without quotes: text, number or truth value, as its reader sees fit.
    Plain(String),
    /// Within quotes or as a block: always text.
    Quoted(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub key_at: Place,
    pub value: Node,
}

impl Value {
    /// What was found, for "needs a list, found …".
    pub fn describe(&self) -> String {
        match self {
            Value::Empty => "nothing".into(),
            Value::Plain(text) | Value::Quoted(text) => format!("`{text}`"),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }
}

/// Reads the one document of `text`; problems of form go to `sink`, and then there may be no tree.
pub fn parse(text: &str, sink: &Sink) -> Option<Node> {
    let mut builder =
        Builder { events: Parser::new_from_str(text), anchors: BTreeMap::new(), nodes: 0, sink };
    match builder.document() {
        Ok(node) => Some(node),
        Err(Stop::Form(error)) => {
            let (what, mend) = explain(&error);
            sink.push(place(error.marker().line(), error.marker().col()), what, mend);
            None
        }
        Err(Stop::Bound(at, what)) => {
            sink.push(at, what, "write it flatter and shorter");
            None
        }
    }
}

/// The parser counts lines from 1 and columns from 0.
fn place(line: usize, column: usize) -> Place {
    Place { line: line.max(1), column: column + 1 }
}

fn explain(error: &ScanError) -> (String, &'static str) {
    let info = error.info();
    let mend = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => "YAML is indented with spaces: replace the tab",
        ErrorKind::RecursionLimitExceeded => "write it flatter",
        _ if info.contains("anchor") => "define the `&anchor` above its first `*alias`",
        _ => "look for a missing colon, quote, bracket or indentation here or in the line above",
    };
    (format!("not YAML: {info}"), mend)
}

enum Stop {
    Form(ScanError),
    Bound(Place, String),
}

struct Builder<'t, I: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> {
    events: I,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    sink: &'t Sink,
}

impl<'t, I: Iterator<Item = Result<(Event<'t>, Span), ScanError>>> Builder<'t, I> {
    /// The next event that is not a comment; `None` at the end.
    fn next(&mut self) -> Result<Option<(Event<'t>, Place)>, Stop> {
        for event in self.events.by_ref() {
            let (event, span) = event.map_err(Stop::Form)?;
            if !matches!(event, Event::Comment(..)) {
                return Ok(Some((event, place(span.start.line(), span.start.col()))));
            }
        }
        Ok(None)
    }

    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        while let Some((event, at)) = self.next()? {
            match event {
                Event::DocumentStart(..) if root.is_some() => {
                    self.sink.push(at, "a second document", "keep one: remove the `---` and what follows");
                    break;
                }
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, at, 0)?),
            }
        }
        Ok(root.unwrap_or(Node { at: Place::START, value: Value::Empty }))
    }

    fn node(&mut self, event: Event<'t>, at: Place, depth: usize) -> Result<Node, Stop> {
        self.nodes += 1;
        if depth > DEPTH_MAX {
            return Err(Stop::Bound(at, format!("nested more than {DEPTH_MAX} levels deep")));
        }
        if event.tag().is_some() {
            self.sink.push(at, "a tag, which says nothing here", "remove the word that begins with `!`");
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style), anchor),
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(known) = self.anchors.get(&anchor) else {
                    return Err(Stop::Bound(at, "an alias within its own anchor".into()));
                };
                self.nodes += size(&known.value);
                (known.value.clone(), 0)
            }
            _ => (Value::Empty, 0),
        };
        if self.nodes > NODES_MAX {
            return Err(Stop::Bound(at, format!("more than {NODES_MAX} values")));
        }
        let node = Node { at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        while let Some((event, at)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            items.push(self.node(event, at, depth + 1)?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        while let Some((event, key_at)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, key_at, depth + 1)?;
            let Some((event, at)) = self.next()? else { break };
            let value = self.node(event, at, depth + 1)?;
            let (Value::Plain(key) | Value::Quoted(key)) = key.value else {
                let what = format!("a key must be a word, found {}", key.value.describe());
                self.sink.push(key_at, what, "write `key: value`");
                continue;
            };
            if let Some(first) = lines.get(&key) {
                self.sink.push(
                    key_at,
                    format!("`{key}` stands twice, first in line {first}"),
                    "keep one of them",
                );
                continue;
            }
            lines.insert(key.clone(), key_at.line);
            entries.push(Entry { key, key_at, value });
        }
        Ok(Value::Map(entries))
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Empty,
        (ScalarStyle::Plain, text) => Value::Plain(text.into()),
        (_, text) => Value::Quoted(text.into()),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::List(items) => items.iter().map(|item| 1 + size(&item.value)).sum(),
        Value::Map(entries) => entries.iter().map(|entry| 1 + size(&entry.value.value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn problems_of(text: &str) -> Vec<String> {
        let sink = Sink::new(Path::new("c.yaml"));
        parse(text, &sink);
        sink.into_problems().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_and_values_know_their_place() {
        let sink = Sink::new(Path::new("c.yaml"));
        let node = parse("# head\nscrape:\n  - job: node\n    targets: [a:1, 'b:2']\n", &sink).unwrap();
        let Value::Map(entries) = &node.value else { panic!("{node:?}") };
        let Value::List(jobs) = &entries[0].value.value else { panic!("{node:?}") };
        let Value::Map(job) = &jobs[0].value else { panic!("{node:?}") };
        assert_eq!((job[1].key.as_str(), job[1].key_at), ("targets", Place { line: 4, column: 5 }));
        let Value::List(targets) = &job[1].value.value else { panic!("{node:?}") };
        assert_eq!(targets[1].at, Place { line: 4, column: 20 });
        assert!(sink.is_empty());
    }

    #[test]
    fn every_repeated_key_is_told() {
        let told = problems_of("a: 1\nb: 2\na: 3\nb: 4\n");
        assert_eq!(
            told,
            [
                "c.yaml:3:1: `a` stands twice, first in line 1; keep one of them",
                "c.yaml:4:1: `b` stands twice, first in line 2; keep one of them",
            ]
        );
    }

    #[test]
    fn a_tab_is_named_where_it_stands() {
        let told = problems_of("site: x\nscrape:\n\t- job: node\n");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("c.yaml:3:") && told[0].contains("replace the tab"), "{told:?}");
    }

    #[test]
    fn a_bomb_of_aliases_is_stopped() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let previous = format!("*a{}", i - 1);
            text += &format!("a{i}: &a{i} [{}]\n", [previous.as_str(); 10].join(", "));
        }
        let told = problems_of(&text);
        assert!(told[0].contains("more than 100000 values"), "{told:?}");
    }

    #[test]
    fn depth_is_bounded() {
        let told = problems_of(&format!("a: {}{}", "[".repeat(200), "]".repeat(200)));
        assert!(told[0].contains("nested more than 64 levels"), "{told:?}");
    }
}
