//! Which series: a metric name and label matchers, written as in PromQL.

use std::fmt;

use promql_parser::label::Matcher;
use promql_parser::parser::{self, Expr};

use crate::sample::Labels;

/// `postfix_queue_stat{queue="active"}`; the name is always given, so that a look-up is by name.
#[derive(Clone, PartialEq)]
pub struct Selector {
    text: String,
    name: String,
    matchers: Vec<Matcher>,
}

/// Why a text selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("`{text}` is no selector: {reason}")]
    Syntax { text: String, reason: String },
    #[error("`{text}` is more than a selector")]
    NotASelector { text: String },
    #[error("`{text}` has no metric name")]
    NoName { text: String },
}

impl Selector {
    /// Reads a PromQL instant-vector selector without offset or `or`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let parsed =
            parser::parse(text).map_err(|reason| SelectorError::Syntax { text: text.to_owned(), reason })?;
        let selector = match parsed {
            Expr::VectorSelector(s)
                if s.offset.is_none() && s.at.is_none() && s.matchers.or_matchers.is_empty() =>
            {
                s
            }
            _ => return Err(SelectorError::NotASelector { text: text.to_owned() }),
        };
        let name = selector.name.ok_or_else(|| SelectorError::NoName { text: text.to_owned() })?;
        Ok(Selector { text: text.to_owned(), name, matchers: selector.matchers.matchers })
    }

    /// The metric name that it asks for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the labels fit; an absent label counts as empty, as in PromQL.
    pub fn matches(&self, labels: &Labels) -> bool {
        labels.name() == self.name
            && self.matchers.iter().all(|m| m.is_match(labels.get(&m.name).unwrap_or("")))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        Selector::parse(selector).unwrap().matches(&Labels::new(labels))
    }

    #[test]
    fn a_selector_fits_as_in_promql() {
        let active = [("__name__", "postfix_queue_stat"), ("queue", "active"), ("instance", "mta1")];
        assert!(matches("postfix_queue_stat", &active));
        assert!(matches(r#"postfix_queue_stat{queue="active"}"#, &active));
        assert!(matches(r#"postfix_queue_stat{queue=~"act.*|hold",site=""}"#, &active));
        assert!(!matches(r#"postfix_queue_stat{queue=~"act"}"#, &active));
        assert!(!matches(r#"postfix_queue_stat{queue!="active"}"#, &active));
        assert!(!matches(r#"postfix_queue_stat{site!=""}"#, &active));
        assert!(!matches(r#"postfix_queue{queue="active"}"#, &active));
    }

    #[test]
    fn what_selects_no_series_is_refused() {
        let check = |text: &str| Selector::parse(text).unwrap_err();
        assert!(matches!(check(r#"{queue="active"}"#), SelectorError::NoName { .. }));
        assert!(matches!(check("rate(up[5m])"), SelectorError::NotASelector { .. }));
        assert!(matches!(check("up offset 5m"), SelectorError::NotASelector { .. }));
        assert!(matches!(check("up{"), SelectorError::Syntax { .. }));
    }
}
