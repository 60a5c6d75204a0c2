//! Which series: a metric name and label matchers, written as in PromQL.

use std::fmt;

use promql_parser::label::Matcher;
use promql_parser::parser::{self, Expr, VectorSelector};

use crate::sample::Labels;

/// Longest text that is parsed.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Patterns in one selector: the compiled form of each may take megabytes.
const PATTERNS_MAX: usize = 16;

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
    #[error("`{text}` is not a selector: {reason}")]
    Syntax { text: String, reason: String },
    #[error("`{text}` is an expression, not a selector")]
    NotASelector { text: String },
    #[error("`{text}` has no metric name")]
    NoName { text: String },
    #[error("a selector of {bytes} bytes; {TEXT_BYTES_MAX} are allowed")]
    TooLong { bytes: usize },
    #[error("`{text}` has more than {PATTERNS_MAX} patterns")]
    Patterns { text: String },
}

/// Whether `text` is at most a name and one pair of braces.
///
/// The parser takes whole expressions, panics at durations that no `Duration` holds (`up[1e99:]`), and nests as
/// deep as it is asked to; so nothing but what a selector is made of may reach it.
fn is_bare(text: &str) -> bool {
    let text = text.trim();
    let braces =
        text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    let (name, braces) = text.split_at(braces);
    let braces = braces.trim_start().as_bytes();
    if name.starts_with(|c: char| c.is_ascii_digit()) || braces.first().is_some_and(|&b| b != b'{') {
        return false;
    }
    let mut quote = None;
    let mut i = 0;
    while i < braces.len() {
        match (quote, braces[i]) {
            // The parser's lexer takes a backslash so in backticks as well.
            (Some(_), b'\\') => i += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'' | b'`')) => quote = Some(byte),
            (None, b'}') => return i + 1 == braces.len(),
            // A comment could hide a quote from this walk.
            (None, b'#') => return false,
            (None, _) => {}
        }
        i += 1;
    }
    // Open to the end: the parser says what is missing.
    true
}

/// Reads an instant-vector selector of PromQL without offset or `@`; bounded in stack, memory and time.
pub fn vector(text: &str) -> Result<VectorSelector, SelectorError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SelectorError::TooLong { bytes: text.len() });
    }
    if !is_bare(text) {
        return Err(SelectorError::NotASelector { text: text.to_owned() });
    }
    // Counts those within quotes too: more than a few are not asked for in earnest.
    if text.matches('~').count() > PATTERNS_MAX {
        return Err(SelectorError::Patterns { text: text.to_owned() });
    }
    match parser::parse(text) {
        Ok(Expr::VectorSelector(s)) if s.offset.is_none() && s.at.is_none() => Ok(s),
        Ok(_) => Err(SelectorError::NotASelector { text: text.to_owned() }),
        Err(reason) => Err(SelectorError::Syntax { text: text.to_owned(), reason }),
    }
}

impl Selector {
    /// Reads a PromQL instant-vector selector without offset or `or`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let selector = vector(text)?;
        if !selector.matchers.or_matchers.is_empty() {
            return Err(SelectorError::NotASelector { text: text.to_owned() });
        }
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

    #[test]
    fn nothing_but_a_selector_reaches_the_parser() {
        let many = "3".repeat(60);
        for text in [
            format!("(u[{many}0:]_)"),
            format!("up[{many}m]"),
            format!("up offset {many}y"),
            "up @ 1e300".into(),
            format!("up{{a=\"b\" # \"\n}}[{many}:] # \"\n}}"),
            format!("up{{a=`\\``}}[{many}:]"),
            many,
        ] {
            assert!(matches!(vector(&text), Err(SelectorError::NotASelector { .. })), "{text}");
        }
        for text in ["up", " up ", "up {}", r#"{a='}"',b="\"}",c=`}`}"#, r##"a:b{c!~"#[x]"}"##, r#"{a="b",}"#]
        {
            assert!(vector(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn no_text_takes_a_threads_stack_or_much_memory() {
        let hostile = |open: &str, middle: &str, close: &str| {
            let depth = (TEXT_BYTES_MAX - middle.len()) / (open.len() + close.len());
            let text = open.repeat(depth) + middle + &close.repeat(depth);
            // The smallest stack that a thread of ours has.
            let thread =
                std::thread::Builder::new().stack_size(2 << 20).spawn(move || vector(&text).is_err());
            assert!(thread.unwrap().join().unwrap(), "{open}");
        };
        hostile("(", "up", ")");
        hostile("-", "up", "");
        hostile("abs(", "up", ")");
        hostile("up+", "up", "");
        hostile("", "up", " or up");
        hostile("up{a=\"", "up", "");
        assert!(matches!(vector(&"-".repeat(100_000)), Err(SelectorError::TooLong { bytes: 100_000 })));
        hostile("up{", "a=\"b\"", "}");
        let patterns = format!("up{{{}}}", r#"a=~"\w{90}","#.repeat(17));
        assert!(matches!(vector(&patterns), Err(SelectorError::Patterns { .. })));
    }
}
