//! The section `packs`: built-in ones by name, the operator's own by path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file::{ReadError, read_text};
use super::problem::{Place, Problem, Problems};
use super::read::{Placed, Section, did_you_mean};
use super::yaml::TEXT_BYTES_MAX;
use crate::predict::pack::{Approval, Pack, PackError, Remedy, builtins, with_needed};

/// Reads the packs named; all that are built in where the key is missing.
pub(super) fn packs(root: &Section) -> Vec<Pack> {
    let Some(named) = root.get::<Vec<Placed<String>>>("packs") else { return builtins() };
    let mut packs: Vec<Pack> = Vec::new();
    for Placed { at, value: name } in named {
        let Some(pack) = pack(root, &name, at) else { continue };
        if packs.iter().any(|known| known.name == pack.name) {
            root.reader.sink.push(at, format!("the pack `{}` is named twice", pack.name), "keep one of them");
            continue;
        }
        packs.push(pack);
    }
    packs
}

fn pack(root: &Section, name: &str, at: Place) -> Option<Pack> {
    let is_path = name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml");
    if is_path {
        return from_file(root, &root.reader.dir.join(name), at);
    }
    let builtin = builtins();
    let found = builtin.iter().find(|pack| pack.name == name).cloned();
    if found.is_none() {
        let names: Vec<&str> = builtin.iter().map(|pack| pack.name.as_str()).collect();
        root.reader.sink.push(
            at,
            format!("no pack `{name}` is built in"),
            format!(
                "{} A pack of your own is named by its path, such as ./{name}.yaml",
                did_you_mean(name, &names)
            ),
        );
    }
    found
}

/// The problems of a pack are placed in the pack's own file.
fn from_file(root: &Section, path: &Path, at: Place) -> Option<Pack> {
    match read_pack(path) {
        Ok(pack) => Some(pack),
        Err(Unread::Pack(problems)) => {
            for Problem { file, place, what, mend } in problems.0 {
                root.reader.sink.push_in(file, place, what, mend);
            }
            None
        }
        Err(Unread::File(_, what)) => {
            root.reader.sink.push(at, what, "correct the path; a relative one starts at this file's folder");
            None
        }
    }
}

/// Why a file gave no pack.
#[derive(Debug)]
pub enum Unread {
    /// The file cannot be read: which, and what to say of it.
    File(PathBuf, String),
    /// What is to mend in it.
    Pack(Problems),
}

impl From<Unread> for Problems {
    fn from(unread: Unread) -> Problems {
        match unread {
            Unread::Pack(problems) => problems,
            Unread::File(file, what) => {
                let mend = "name a file that this user can read: --pack FILE".to_owned();
                Problems(vec![Problem { file, place: Place::START, what, mend }])
            }
        }
    }
}

/// Reads a pack of the operator's own.
pub fn read_pack(path: &Path) -> Result<Pack, Unread> {
    let text = match read_text(path, TEXT_BYTES_MAX) {
        Ok(text) => text,
        Err(error @ ReadError::NotUtf8 { place }) => {
            let mend = "save the file as UTF-8".to_owned();
            return Err(Unread::Pack(Problems(vec![Problem {
                file: path.into(),
                place,
                what: error.to_string(),
                mend,
            }])));
        }
        Err(error) => {
            let what = format!("cannot read the pack {}: {error}", path.display());
            return Err(Unread::File(path.into(), what));
        }
    };
    Pack::from_yaml(&text).map_err(|errors| {
        let problem = |error: PackError| Problem {
            file: path.into(),
            place: Place { line: error.line as usize, column: error.column as usize },
            what: error.what,
            mend: error.mend,
        };
        Unread::Pack(Problems(errors.into_iter().map(problem).collect()))
    })
}

/// Every remedy that a pack, or one that it needs, can call for, sorted.
pub(super) fn remedies_of(packs: &[Pack]) -> Vec<String> {
    named(packs, |_| true)
}

/// Those of them that are never done before a person has said yes.
pub(super) fn approved_only(packs: &[Pack]) -> Vec<String> {
    named(packs, |remedy| remedy.approval == Approval::Required)
}

/// A pack counts before those that it needs, as it does for signals and faults.
fn named(packs: &[Pack], wanted: impl Fn(&Remedy) -> bool) -> Vec<String> {
    let mut first = BTreeMap::new();
    for remedy in with_needed(packs).into_iter().flat_map(|pack| pack.remedies) {
        first.entry(remedy.name.clone()).or_insert(remedy);
    }
    first.into_values().filter(wanted).map(|remedy| remedy.name).collect()
}
