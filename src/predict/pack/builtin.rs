//! The packs that come with Foreshock: the files of `models/`, inside the binary.

use std::sync::OnceLock;

use super::{Pack, PackError};

const FILES: [(&str, &str); 9] = [
    ("zimbra", include_str!("../../../models/zimbra.yaml")),
    ("antivirus", include_str!("../../../models/antivirus.yaml")),
    ("postfix", include_str!("../../../models/postfix.yaml")),
    ("proxy", include_str!("../../../models/proxy.yaml")),
    ("ldap", include_str!("../../../models/ldap.yaml")),
    ("database", include_str!("../../../models/database.yaml")),
    ("kubernetes", include_str!("../../../models/kubernetes.yaml")),
    ("host", include_str!("../../../models/host.yaml")),
    ("storage", include_str!("../../../models/storage.yaml")),
];

/// What a config may name instead of a file; a pack stands before those that it needs.
pub const BUILTIN_NAMES: [&str; FILES.len()] = {
    let mut names = [""; FILES.len()];
    let mut i = 0;
    while i < FILES.len() {
        names[i] = FILES[i].0;
        i += 1;
    }
    names
};

/// The pack of that name, or `None` where there is none.
///
/// A pack is read once, and with it those that it needs; a test holds that none needs itself through others.
pub fn builtin(name: &str) -> Option<Result<Pack, Vec<PackError>>> {
    static READ: [OnceLock<Result<Pack, Vec<PackError>>>; FILES.len()] =
        [const { OnceLock::new() }; FILES.len()];
    let i = FILES.iter().position(|(known, _)| *known == name)?;
    Some(READ[i].get_or_init(|| Pack::from_yaml(FILES[i].1)).clone())
}

/// All packs that come with Foreshock, in the order of `BUILTIN_NAMES`.
pub fn builtins() -> Vec<Pack> {
    BUILTIN_NAMES.iter().filter_map(|name| builtin(name)?.ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read off the text: a circle would leave `builtin` waiting for itself.
    #[test]
    fn a_pack_of_ours_needs_only_those_after_it() {
        for (i, (name, text)) in FILES.iter().enumerate() {
            let needs = text.lines().find_map(|line| line.strip_prefix("needs: [")).unwrap_or("]");
            let needs: Vec<&str> =
                needs.trim_end_matches(']').split(", ").filter(|n| !n.is_empty()).collect();
            for need in needs {
                assert!(FILES[i + 1..].iter().any(|(later, _)| *later == need), "{name} needs {need}");
            }
        }
    }

    #[test]
    fn every_pack_of_ours_is_sound_and_named_as_its_file() {
        for name in BUILTIN_NAMES {
            let pack = builtin(name).unwrap().unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
            assert_eq!(pack.name, name);
        }
        assert_eq!(builtins().len(), BUILTIN_NAMES.len());
        assert_eq!(builtin("nothing"), None);
    }
}
