//! Series selectors as Prometheus writes them: `postfix_queue_stat{queue=~"deferred|hold"}`.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::VectorSelector;

use crate::predict::pack::{SelectorError, vector};
use crate::sample::Labels;

/// Series that fit any of several selectors; none selects every series.
#[derive(Clone, Debug, Default)]
pub struct Select(Vec<VectorSelector>);

impl Select {
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, SelectorError> {
        texts.into_iter().map(vector).collect::<Result<_, _>>().map(Select)
    }

    pub fn has(&self, labels: &Labels) -> bool {
        self.0.is_empty() || self.0.iter().any(|selector| fits(selector, labels))
    }
}

fn fits(selector: &VectorSelector, labels: &Labels) -> bool {
    let all = |matchers: &[Matcher]| matchers.iter().all(|m| matches(m, labels));
    let any_of = &selector.matchers.or_matchers;
    selector.name.as_deref().is_none_or(|name| name == labels.name())
        && all(&selector.matchers.matchers)
        && (any_of.is_empty() || any_of.iter().any(|matchers| all(matchers)))
}

/// A label that a series lacks is the empty string.
fn matches(matcher: &Matcher, labels: &Labels) -> bool {
    let value = labels.get(&matcher.name).unwrap_or("");
    match &matcher.op {
        MatchOp::Equal => value == matcher.value,
        MatchOp::NotEqual => value != matcher.value,
        MatchOp::Re(pattern) => pattern.is_match(value),
        MatchOp::NotRe(pattern) => !pattern.is_match(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selectors: &[&str], want: bool) {
        let labels =
            Labels::new(&[("__name__", "postfix_queue_stat"), ("queue", "deferred"), ("host", "mx1")]);
        let select = Select::parse(selectors.iter().copied()).unwrap();
        assert_eq!(select.has(&labels), want, "{selectors:?}");
    }

    #[test]
    fn selects_as_prometheus_does() {
        check(&[], true);
        check(&["postfix_queue_stat"], true);
        check(&["postfix_queue"], false);
        check(&[r#"{__name__=~"postfix_.*"}"#], true);
        check(&[r#"postfix_queue_stat{queue=~"def|hold"}"#], false);
        check(&[r#"postfix_queue_stat{queue=~"deferred|hold",host!="mx2"}"#], true);
        check(&[r#"postfix_queue_stat{zone=""}"#], true);
        check(&[r#"postfix_queue_stat{zone!=""}"#], false);
        check(&["up", r#"{host="mx1"}"#], true);
        check(&[r#"{host="mx2" or queue="deferred"}"#], true);
        check(&[r#"{host="mx2" or queue="hold"}"#], false);
    }

    #[test]
    fn what_is_not_a_selector_is_refused_with_its_text() {
        for text in ["rate(up[5m])", "up offset 5m", "up{", "1", "{}", r#"up{a=~"("}"#] {
            let error = Select::parse([text]).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
