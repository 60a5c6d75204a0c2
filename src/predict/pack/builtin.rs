//! The packs that come with Foreshock: the files of `models/`, inside the binary.

use std::sync::OnceLock;

use super::{Pack, PackError};

const FILES: [(&str, &str); 2] = [
    ("zimbra", include_str!("../../../models/zimbra.yaml")),
    ("host", include_str!("../../../models/host.yaml")),
];

/// What a config may name instead of a file.
pub const BUILTIN_NAMES: [&str; FILES.len()] = [FILES[0].0, FILES[1].0];

/// The pack of that name, or `None` where there is none.
pub fn builtin(name: &str) -> Option<Result<Pack, Vec<PackError>>> {
    static READ: [OnceLock<Result<Pack, Vec<PackError>>>; FILES.len()] =
        [const { OnceLock::new() }; FILES.len()];
    let i = FILES.iter().position(|(known, _)| *known == name)?;
    Some(READ[i].get_or_init(|| Pack::from_yaml(FILES[i].1)).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pack_of_ours_is_sound_and_named_as_its_file() {
        for name in BUILTIN_NAMES {
            let pack = builtin(name).unwrap().unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
            assert_eq!(pack.name, name);
        }
        assert_eq!(builtin("nothing"), None);
    }
}
