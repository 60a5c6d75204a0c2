//! What is valid and yet hardly what anybody wants: told, and nothing is refused for it.

use std::collections::BTreeSet;

use super::{Config, packs};
use crate::incident::event::Mode;

impl Config {
    /// The remedies that are never done before a person has said yes, as the packs have it.
    pub fn approved_only(&self) -> BTreeSet<String> {
        packs::approved_only(&self.packs).into_iter().collect()
    }

    /// One line each, with a mend.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let is_blind = self.scrapes.iter().all(|job| job.targets.is_empty() && job.file_sd.is_empty())
            && self.remote_write.is_none()
            && self.prometheus.is_empty()
            && self.kafka.is_empty()
            && self.zmstat.is_empty();
        if is_blind {
            warnings.push(
                "nothing is watched; add a section `scrape`, `remote_write`, `prometheus`, `kafka` or `zmstat`".into(),
            );
        }
        if self.acting.mode == Mode::Auto {
            warnings.extend(self.unrouted());
        }
        warnings
    }

    /// The remedies of the packs that would be sent by themselves, if anything carried them.
    fn unrouted(&self) -> Option<String> {
        let has_route =
            |remedy: &str| self.remedies.iter().any(|route| route.remedy == "*" || route.remedy == remedy);
        let mut unrouted = packs::remedies_of(&self.packs);
        let approved_only = self.approved_only();
        unrouted.retain(|remedy| !approved_only.contains(remedy));
        unrouted.retain(|remedy| !has_route(remedy));
        (!unrouted.is_empty()).then(|| {
            let names = unrouted.join(", ");
            format!("`acting.mode` is auto and no sink carries {names}; add a route under `remedies`, such as {{remedy: '*', sink: NAME}}")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn check(text: &str, want: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::parse(text, Path::new("foreshock.yaml"), folder.path(), &|_| None).unwrap();
        let got = config.warnings();
        assert_eq!(got.len(), want.len(), "{got:?}");
        for (got, want) in got.iter().zip(want) {
            assert!(got.contains(want), "{got} does not say {want}");
        }
    }

    #[test]
    fn a_configuration_that_watches_nothing_is_told_so() {
        check("site: home\n", &["nothing is watched"]);
        check("site: home\nscrape: [{job: node, targets: ['a:1']}]\n", &[]);
        check("site: home\nremote_write: {}\n", &[]);
        check("site: home\nzmstat: [{}]\n", &[]);
    }

    #[test]
    fn a_remedy_that_nothing_carries_is_named() {
        let auto = "site: home\nremote_write: {}\nacting: {mode: auto}\n";
        check(auto, &["restart_clamd_then_amavis"]);
        let sink = "sinks: [{name: runner, webhook: {url: 'http://127.0.0.1:9/h', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}]\n";
        check(&format!("{auto}{sink}remedies: [{{remedy: '*', sink: runner}}]\n"), &[]);
        check(&auto.replace("auto", "observe"), &[]);
    }
}
