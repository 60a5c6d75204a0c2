//! What is wrong with a configuration: each problem says where, what, and how to mend it.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where in a file something stands; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub const START: Place = Place { line: 1, column: 1 };
}

/// One thing to mend. Its text is one line, `file:line:column: what; how to mend it`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub file: PathBuf,
    pub place: Place,
    pub what: String,
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{}:{line}:{column}: {}; {}", self.file.display(), self.what, self.mend)
    }
}

/// Everything that is wrong, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let line_break = if i == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

/// A file of many mistakes is told the first of them only: nobody reads more.
const PROBLEMS_MAX: usize = 200;

/// Takes in the problems of one file while its sections are read.
pub struct Sink {
    file: PathBuf,
    found: RefCell<Vec<Problem>>,
}

impl Sink {
    pub fn new(file: &Path) -> Self {
        Sink { file: file.to_path_buf(), found: RefCell::new(Vec::new()) }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn push(&self, place: Place, what: impl Into<String>, mend: impl Into<String>) {
        self.push_in(self.file.clone(), place, what, mend);
    }

    /// A problem in another file that this one leads to.
    pub fn push_in(&self, file: PathBuf, place: Place, what: impl Into<String>, mend: impl Into<String>) {
        let mut found = self.found.borrow_mut();
        if found.len() < PROBLEMS_MAX {
            found.push(Problem { file, place, what: one_line(what.into()), mend: one_line(mend.into()) });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// The problems of this file first, by place; then those of other files.
    pub fn into_problems(self) -> Problems {
        let mut found = self.found.into_inner();
        found.sort_by(|a, b| {
            (a.file != self.file, &a.file, a.place).cmp(&(b.file != self.file, &b.file, b.place))
        });
        found.dedup();
        Problems(found)
    }
}

/// Keeps a problem on one line whatever the value that it quotes, and short enough for a terminal.
fn one_line(text: String) -> String {
    const CHARS_MAX: usize = 400;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().count() <= CHARS_MAX {
        return text.chars().map(clean).collect();
    }
    text.chars().take(CHARS_MAX).map(clean).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_that_an_editor_can_follow() {
        let sink = Sink::new(Path::new("foreshock.yaml"));
        sink.push(Place { line: 9, column: 3 }, "unknown key `a\nb`", "remove it");
        sink.push(Place { line: 2, column: 1 }, "no site", "add one");
        sink.push_in("pack.yaml".into(), Place::START, "no name", "add one");
        let told = sink.into_problems().to_string();
        assert_eq!(
            told,
            "foreshock.yaml:2:1: no site; add one\n\
             foreshock.yaml:9:3: unknown key `a b`; remove it\n\
             pack.yaml:1:1: no name; add one"
        );
    }
}
