//! The packs that packs build on: all of them, each after those that build on it.

use std::collections::BTreeSet;

use super::{Pack, builtin};

/// The packs given and all that they need, directly or through others, whether given or not.
///
/// A pack stands before those that it needs, so that what it says of a name counts before theirs; packs that
/// have nothing to do with each other keep their order. A given pack takes the place of ours of its name.
pub fn with_needed(packs: &[Pack]) -> Vec<Pack> {
    let mut walk = Walk { given: packs, seen: BTreeSet::new(), found: Vec::new() };
    for pack in packs.iter().rev() {
        walk.visit(pack.clone());
    }
    walk.found.reverse();
    walk.found
}

/// A depth-first walk along `needs`; `found` gets a pack once all that it needs are in it.
struct Walk<'a> {
    given: &'a [Pack],
    seen: BTreeSet<String>,
    found: Vec<Pack>,
}

impl Walk<'_> {
    fn visit(&mut self, pack: Pack) {
        if !self.seen.insert(pack.name.clone()) {
            return;
        }
        for need in pack.needs.iter().rev() {
            let given = self.given.iter().find(|given| given.name == *need).cloned();
            if let Some(needed) = given.or_else(|| builtin(need)?.ok()) {
                self.visit(needed);
            }
        }
        self.found.push(pack);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(name: &str, needs: &[&str]) -> Pack {
        Pack::from_yaml(&format!("name: {name}\nneeds: [{}]\n", needs.join(", "))).unwrap()
    }

    fn names(packs: &[Pack]) -> Vec<String> {
        with_needed(packs).into_iter().map(|pack| pack.name).collect()
    }

    #[test]
    fn a_pack_stands_before_those_that_it_needs() {
        assert_eq!(names(&[pack("host", &["storage"]), pack("own", &["host"])]), ["own", "host", "storage"]);
        assert_eq!(names(&[pack("b", &[]), pack("a", &[])]), ["b", "a"]);
    }

    #[test]
    fn what_is_needed_through_others_comes_too() {
        assert_eq!(
            names(&[pack("own", &["antivirus"])]),
            ["own", "antivirus", "postfix", "ldap", "host", "storage"]
        );
    }

    #[test]
    fn packs_that_need_each_other_end_the_walk() {
        assert_eq!(names(&[pack("host", &["storage"]), pack("storage", &["host"])]).len(), 2);
    }
}
