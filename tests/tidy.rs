//! The rules of the house that a compiler doesn't hold: who imports whom, how long a file is, what the
//! engine may touch. Each rule is data or one short test; a failure names file and line.

#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use source::{Source, sources_under};

/// The modules in the order of the data. Each may import only those to its left.
const ORDER: [&str; 19] = [
    // what all speak of
    "sample",
    "kernel",
    // the engine: pure, synchronous
    "series",
    "detect",
    "predict",
    "incident",
    "engine",
    // what the edges stand on
    "clock",
    "telemetry",
    "config",
    "durable",
    // the edges
    "act",
    "collect",
    "api",
    "runtime",
    // what a person starts; the engine can never see the simulated host
    "sim",
    // how good the scores are
    "eval",
    "cli",
    "main",
];

/// Those that are a pure state machine: same inputs, same events, bit for bit.
const PURE: [&str; 7] = ["sample", "kernel", "series", "detect", "predict", "incident", "engine"];

/// What a pure module must not name: clocks, files, sockets, randomness, and maps of random order.
const IMPURE: [&str; 17] = [
    "SystemTime",
    "Instant",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::io",
    "tokio",
    "reqwest",
    "rdkafka",
    "redb",
    "rand::",
    "rand_pcg",
    "getrandom",
    "collections::HashMap",
    "collections::HashSet",
    "RandomState",
];

const LINES_MAX: usize = 600;
const LINES_MEDIAN_MAX: usize = 200;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn crate_sources() -> Vec<Source> {
    sources_under(&root().join("src"))
}

/// Fails with one line for each breach.
fn report(breaches: Vec<String>) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// The module of `src` that a file belongs to; `None` for `lib.rs`.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next()?.trim_end_matches(".rs");
    (name != "lib").then_some(name)
}

/// The modules that a line of code names as `crate::x`, `crate::{x, y::z}` or, in main, `foreshock::x`.
fn imports_of(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for prefix in ["crate::", "foreshock::"] {
        for (at, _) in code.match_indices(prefix) {
            let line = code[..at].matches('\n').count() + 1;
            let after = &code[at + prefix.len()..];
            let word = |text: &str| -> String {
                text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
            };
            match after.strip_prefix('{') {
                None => found.push((line, word(after))),
                Some(group) => found.extend(top_level_items(group).map(|item| (line, word(item)))),
            }
        }
    }
    found
}

/// The items of a `use` group up to its closing brace, without looking into inner groups.
fn top_level_items(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let end = group
        .find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth < 0
        })
        .unwrap_or(group.len());
    let mut depth = 0;
    group[..end].split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
}

#[test]
fn a_module_imports_only_what_stands_to_its_left() {
    let rank = |module: &str| ORDER.iter().position(|known| *known == module);
    let mut breaches = Vec::new();
    for source in crate_sources() {
        let Some(module) = module_of(&source.path) else { continue };
        let Some(own) = rank(module) else {
            breaches.push(format!("{}: the module `{module}` has no place in ORDER", source.path));
            continue;
        };
        for (line, imported) in imports_of(&source.code) {
            let allowed = imported == module || rank(&imported).is_none_or(|other| other < own);
            if !allowed {
                breaches
                    .push(format!("{}:{line}: `{module}` imports `{imported}`, to its right", source.path));
            }
        }
    }
    report(breaches);
}

#[test]
fn imports_are_seen_in_every_form() {
    let names = |code: &str| imports_of(code).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(names("use crate::act::sign;"), ["act"]);
    assert_eq!(
        names("use crate::{act::{a, b}, api, config::{Config, Limits}};\nlet x = 1;"),
        ["act", "api", "config"]
    );
    assert_eq!(names("pub(crate) fn f() -> crate::api::X {}"), ["api"]);
}

#[test]
fn the_engine_touches_nothing_outside() {
    let mut breaches = Vec::new();
    for source in crate_sources() {
        let pure = module_of(&source.path).is_some_and(|module| PURE.contains(&module));
        for (line, text) in source.lines().filter(|_| pure) {
            for word in IMPURE.iter().filter(|word| names(text, word)) {
                breaches.push(format!("{}:{line}: `{word}` in a pure module", source.path));
            }
        }
    }
    report(breaches);
}

/// Methods of std whose last bit depends on the C library or the processor; `libm` has the same for all.
const INEXACT: [&str; 11] = [
    ".ln()",
    ".exp()",
    ".exp2()",
    ".log2()",
    ".log10()",
    ".powf(",
    ".sin()",
    ".cos()",
    ".tanh()",
    ".ln_1p()",
    ".exp_m1()",
];

#[test]
fn the_engine_computes_the_same_bits_everywhere() {
    let mut breaches = Vec::new();
    for source in crate_sources() {
        let pure = module_of(&source.path).is_some_and(|module| PURE.contains(&module));
        for (line, text) in source.lines().filter(|_| pure) {
            for method in INEXACT.iter().filter(|method| text.contains(**method)) {
                breaches.push(format!("{}:{line}: `{method}`: take it from libm", source.path));
            }
        }
    }
    report(breaches);
}

/// Whether `text` holds `word` as a whole path segment or more.
fn names(text: &str, word: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(in_word);
        let after = text[at + word.len()..].chars().next().is_some_and(in_word);
        !before && (!after || word.ends_with("::"))
    })
}

#[test]
fn unsafe_is_for_kernels_only() {
    let mut breaches = Vec::new();
    for source in crate_sources() {
        for (line, text) in source.lines().filter(|(_, text)| names(text, "unsafe")) {
            if module_of(&source.path) != Some("kernel") {
                breaches.push(format!("{}:{line}: unsafe outside kernel/: {}", source.path, text.trim()));
            }
        }
    }
    report(breaches);
}

/// What ends the process; each needs `// cannot fail: …` in the comment above its statement.
const PANICS: [&str; 5] = [".unwrap()", ".unwrap_err()", "panic!(", "unreachable!(", ".expect("];

/// The lines (from 0) on which `code` may panic. A method of ours may be named `expect`; the one of
/// `Option` and `Result` is told by its literal.
fn panics_in(code: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for panic in PANICS {
        for (at, _) in code.match_indices(panic) {
            let ours = panic == ".expect(" && !code[at + panic.len()..].trim_start().starts_with('"');
            if !ours {
                found.push((code[..at].matches('\n').count(), panic));
            }
        }
    }
    found
}

#[test]
fn what_may_panic_says_why_it_cannot_fail() {
    let mut breaches = Vec::new();
    for source in crate_sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (line, panic) in panics_in(&source.code).into_iter().filter(|(line, _)| !excused(&lines, *line)) {
            breaches.push(format!("{}:{}: `{panic}` without `cannot fail: …` above", source.path, line + 1));
        }
    }
    report(breaches);
}

/// Whether a comment with "cannot fail" stands above the statement that holds line `at` (from 0).
fn excused(lines: &[&str], at: usize) -> bool {
    let mut in_comment = false;
    for line in lines[..at].iter().rev().map(|line| line.trim()) {
        let comment = line.starts_with("//");
        if comment && line.contains("cannot fail") {
            return true;
        }
        // Upwards through the statement's own lines, then through one block of comment.
        let ends_another = line.is_empty() || line.ends_with([';', '{', '}']);
        if !comment && (in_comment || ends_another) {
            return false;
        }
        in_comment |= comment;
    }
    false
}

#[test]
fn an_excuse_stands_above_the_statement() {
    let told = ["let a = 1;", "// cannot fail: four", "// bytes", "let b = x", "    .unwrap()"];
    assert!(excused(&told, 4));
    let not_told = ["// cannot fail: this one", "let a = 1;", "let b = x.unwrap();"];
    assert!(!excused(&not_told, 2));
    assert_eq!(panics_in("a.expect(\n  \"  \").b()\nself.expect(place)"), [(0, ".expect(")]);
}

#[test]
fn a_file_is_short_enough_to_be_read() {
    let sources = crate_sources();
    let mut sizes: Vec<usize> = sources.iter().map(|source| source.text.lines().count()).collect();
    sizes.sort_unstable();
    let breaches = sources.iter().filter(|source| source.text.lines().count() > LINES_MAX);
    report(breaches.map(|source| format!("{}: more than {LINES_MAX} lines", source.path)).collect());
    let median = sizes[sizes.len() / 2];
    assert!(median <= LINES_MEDIAN_MAX, "the median file has {median} lines, more than {LINES_MEDIAN_MAX}");
}

#[test]
fn a_file_says_first_what_it_is_for() {
    let folders = ["src", "tests", "benches"].map(|folder| root().join(folder));
    let files = folders.iter().filter(|folder| folder.is_dir()).flat_map(|folder| sources_under(folder));
    let silent = files.filter(|source| !source.text.starts_with("//! "));
    report(silent.map(|source| format!("{}:1: the first line is no `//! …`", source.path)).collect());
}

#[test]
fn every_metric_of_ours_carries_our_name() {
    let mut registries = 0;
    let mut breaches = Vec::new();
    for source in crate_sources() {
        // The prefix stands in a literal, which `code` blanks: ask the text for it.
        for (line, text) in
            source.text.lines().enumerate().filter(|(_, text)| text.contains("Registry::with_prefix("))
        {
            registries += 1;
            if !text.contains("with_prefix(\"foreshock\")") {
                breaches.push(format!("{}:{}: a metric registry without our prefix", source.path, line + 1));
            }
        }
        if source.code.contains("prometheus_client") && source.code.contains("Registry::default()") {
            breaches.push(format!("{}: a metric registry without a prefix", source.path));
        }
    }
    report(breaches);
    assert!(registries > 0, "no metric registry found: does this test still look in the right place?");
}

/// The files that git tracks, or is about to.
fn tracked_files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect()
}

#[test]
fn nothing_tracked_knows_this_machine() {
    let machine_paths = ["work", "tmp", "root"].map(|folder| format!("/{folder}/"));
    let mut breaches = Vec::new();
    for path in tracked_files() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (line, text) in text.lines().enumerate() {
            let found = machine_paths.iter().filter(|machine_path| is_absolute_in(text, machine_path));
            breaches.extend(found.map(|found| format!("{}:{}: {found}", path.display(), line + 1)));
        }
    }
    report(breaches);
}

/// Whether `text` holds `path` as the beginning of a path, and not within a longer one.
fn is_absolute_in(text: &str, path: &str) -> bool {
    text.match_indices(path).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}*$".contains(c))
    })
}

#[test]
fn nothing_is_left_for_later() {
    // Written in halves, so that this file may be looked at too.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("to", "do!("), ("un", "implemented!(")];
    let marks = marks.map(|(a, b)| format!("{a}{b}"));
    let mut breaches = Vec::new();
    for path in tracked_files() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (line, text) in text.lines().enumerate() {
            let found = marks.iter().filter(|mark| text.contains(mark.as_str()));
            breaches.extend(found.map(|mark| format!("{}:{}: {mark}", path.display(), line + 1)));
        }
    }
    report(breaches);
}
