//! Rust source as the rules see it: code alone, without comments, the insides of literals, and tests.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the crate.
pub struct Source {
    /// Relative to the crate, with `/`.
    pub path: String,
    pub text: String,
    /// Line for line as `text`, where what is not code is blank.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Source { path: path.into(), text: text.into(), code: without_tests(&only_code(text)) }
    }

    /// The lines of code with their numbers.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(i, line)| (i + 1, line))
    }
}

/// Every `.rs` file under `folder`, by path; files that only tests use are left out.
pub fn sources_under(folder: &Path) -> Vec<Source> {
    let mut paths = Vec::new();
    walk(folder, &mut paths);
    paths.sort();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut only_tests: Vec<PathBuf> = Vec::new();
    let mut sources = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        for name in test_modules(&only_code(&text)) {
            let folder = match path.file_stem().unwrap().to_str().unwrap() {
                "mod" | "lib" | "main" => path.parent().unwrap().to_path_buf(),
                stem => path.parent().unwrap().join(stem),
            };
            only_tests.extend([folder.join(format!("{name}.rs")), folder.join(&name)]);
        }
        let relative = path.strip_prefix(root).unwrap().to_str().unwrap();
        sources.push(Source::new(relative, &text));
    }
    sources.retain(|source| !only_tests.iter().any(|test| root.join(&source.path).starts_with(test)));
    sources
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Blanks comments and the insides of string and character literals.
pub fn only_code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = text.as_bytes().to_vec();
    let mut blank = |range: std::ops::Range<usize>| {
        for b in &mut out[range] {
            if *b != b'\n' {
                *b = b' ';
            }
        }
    };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let end = if rest.starts_with("//") {
            let end = at + rest.find('\n').unwrap_or(rest.len());
            blank(at..end);
            end
        } else if rest.starts_with("/*") {
            let end = at + block_comment(rest);
            blank(at..end);
            end
        } else if let Some(len) = raw_string(rest).filter(|_| !word_before) {
            blank(at + 1..at + len - 1);
            at + len
        } else if rest.starts_with('"') {
            let len = quoted(rest, b'"');
            blank(at + 1..at + len - 1);
            at + len
        } else if let Some(len) = character(rest) {
            blank(at + 1..at + len - 1);
            at + len
        } else {
            at + rest.chars().next().map_or(1, char::len_utf8)
        };
        at = end;
    }
    String::from_utf8(out).unwrap()
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of `r"…"`, `r#"…"#`, `br"…"`, …, where one begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = rest[prefix.len()..].find('"')?;
    let open = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(open + rest[open..].find(&close)? + close.len())
}

fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The length of a character literal; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    if first == '\\' {
        return Some(quoted(rest, b'\''));
    }
    inner[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

const TEST_MARK: &str = "#[cfg(test)]";

/// Blanks what `#[cfg(test)]` stands before.
fn without_tests(code: &str) -> String {
    let mut out = code.to_string();
    while let Some(start) = out.find(TEST_MARK) {
        let end = item_end(&out, start + TEST_MARK.len());
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// Where the item that begins after `at` ends: at its `;`, or at the brace that closes its body.
fn item_end(code: &str, at: usize) -> usize {
    let is_use = code[at..].trim_start().starts_with("use ");
    let mut depth = 0;
    for (i, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 && !is_use => return at + i + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + i + 1,
            _ => {}
        }
    }
    code.len()
}

/// Names of the modules in files of their own that only tests use.
fn test_modules(code: &str) -> Vec<String> {
    code.match_indices(TEST_MARK)
        .filter_map(|(at, _)| {
            let item = code[at + TEST_MARK.len()..].trim_start();
            let name = item.strip_prefix("pub ").unwrap_or(item).strip_prefix("mod ")?;
            let (name, _) = name.split_once([';', '{'])?;
            item.find(['{', ';']).filter(|at| item[*at..].starts_with(';')).map(|_| name.trim().into())
        })
        .collect()
}

#[test]
fn only_code_is_left() {
    let text = r####"
use a; // crate::x
/* crate::y /* nested */ */ let s = "crate::z \" {"; let r = r#"{"crate::q"}"#;
let c = '"'; let d: &'static str = "{"; fn f<'a>(x: &'a str) { '\''; }
#[cfg(test)]
mod tests {
    fn g() { x.unwrap() }
}
fn kept() {}
#[cfg(test)]
use crate::w::{A, B};
#[cfg(test)]
mod properties;
fn kept_too() {}
"####;
    let source = Source::new("x.rs", text);
    for gone in ["crate::", "unwrap", "nested", "properties"] {
        assert!(!source.code.contains(gone), "{gone} in {}", source.code);
    }
    for kept in ["use a;", "let s = \"", "&'static str", "fn f<'a>(x: &'a str)", "fn kept()", "fn kept_too()"]
    {
        assert!(source.code.contains(kept), "{kept} not in {}", source.code);
    }
    assert_eq!(source.code.lines().count(), text.lines().count());
    assert_eq!(test_modules(&only_code(text)), ["properties"]);
}
