//! Ids that are the same however often a decision is made anew: after a crash, in a replay, at every attempt.

use sha2::{Digest, Sha256};

/// Id of what one sink is told about one transition of one incident; the `webhook-id` of every attempt.
///
/// Lengths go into the hash, so that ("ab", "c") is not ("a", "bc").
pub fn delivery_id(incident: &str, transition: &str, sink: &str) -> String {
    let mut hash = Sha256::new();
    for part in [incident, transition, sink] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

/// A name for a secret-bearing string, by which a change of it is noticed.
pub fn fingerprint(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_change_between_versions_and_never_meet() {
        assert_eq!(delivery_id("i", "opened", "ops"), "aa31545f1c2bb09e11182332c6a8a917");
        assert_ne!(delivery_id("ab", "c", "s"), delivery_id("a", "bc", "s"));
    }
}
