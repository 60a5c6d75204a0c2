//! An incident's name: a hash of the site, the first mover and the moment, so that a replay gives the same.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::sample::{Labels, Timestamp};

/// 16 hex digits: among a million incidents two share one with a chance of 1 in 40 million.
pub(super) fn incident_id(site: &str, first_mover: &Labels, opened_at: Timestamp) -> String {
    let mut hash = Sha256::new();
    // The site's length keeps (`ab`, `c`) and (`a`, `bc`) apart.
    hash.update((site.len() as u64).to_le_bytes());
    hash.update(site.as_bytes());
    hash.update(first_mover.key());
    hash.update(opened_at.0.to_le_bytes());
    hash.finalize().iter().take(8).fold(String::with_capacity(16), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_incidents_have_equal_names_and_others_have_others() {
        let queue = Labels::new(&[("__name__", "queue")]);
        let id = incident_id("home", &queue, Timestamp(1000));
        assert_eq!(id, incident_id("home", &queue, Timestamp(1000)));
        assert_eq!(id.len(), 16);
        assert_ne!(id, incident_id("home", &queue, Timestamp(1001)));
        assert_ne!(id, incident_id("hom", &queue, Timestamp(1000)));
        assert_ne!(id, incident_id("home", &Labels::new(&[("__name__", "other")]), Timestamp(1000)));
    }
}
