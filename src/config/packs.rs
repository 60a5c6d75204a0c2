//! The section `packs`: built-in ones by name, the operator's own by path.

use std::path::Path;

use super::file::{ReadError, read_text};
use super::problem::Place;
use super::read::{Placed, Section, did_you_mean};
use super::yaml::TEXT_BYTES_MAX;
use crate::predict::pack::{self, BUILTIN_NAMES, Pack};

/// Reads the packs named; all that are built in where the key is missing.
pub(super) fn packs(root: &Section) -> Vec<Pack> {
    let Some(named) = root.get::<Vec<Placed<String>>>("packs") else { return builtin() };
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
    let builtin = builtin();
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
    let text = match read_text(path, TEXT_BYTES_MAX) {
        Ok(text) => text,
        Err(error @ ReadError::NotUtf8 { place }) => {
            root.reader.sink.push_in(path.into(), place, error.to_string(), "save the file as UTF-8");
            return None;
        }
        Err(error) => {
            let what = format!("cannot read the pack {}: {error}", path.display());
            root.reader.sink.push(at, what, "correct the path; a relative one starts at this file's folder");
            return None;
        }
    };
    match Pack::from_yaml(&text) {
        Ok(pack) => Some(pack),
        Err(problems) => {
            for problem in problems {
                let place = Place { line: problem.line as usize, column: problem.column as usize };
                root.reader.sink.push_in(path.to_path_buf(), place, problem.what, problem.mend);
            }
            None
        }
    }
}

fn builtin() -> Vec<Pack> {
    BUILTIN_NAMES.iter().filter_map(|name| pack::builtin(name)?.ok()).collect()
}

/// Every remedy that a pack can call for, sorted.
pub(super) fn remedies_of(packs: &[Pack]) -> Vec<&str> {
    let mut names: Vec<&str> =
        packs.iter().flat_map(|pack| &pack.remedies).map(|r| r.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
