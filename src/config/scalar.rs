//! The single values of a configuration: text, numbers, durations, sizes, addresses, patterns.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use regex::Regex;
use url::Url;

use super::read::{FromNode, Reader, did_you_mean};
use super::yaml::{Node, Value};

/// What other YAML readers take for a truth value.
const TRUTH_WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];

/// The text of a scalar, whatever it looks like: for label values and properties passed on.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyText(pub String);

impl FromNode for AnyText {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        match &node.value {
            Value::Plain(text) | Value::Quoted(text) => {
                if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
                    reader.sink.push(node.at, "the text holds a control character", "remove it");
                    return None;
                }
                Some(AnyText(text.clone()))
            }
            _ => {
                reader.wrong(node, "text", "write one word, or text in quotes");
                None
            }
        }
    }
}

impl FromNode for String {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let AnyText(text) = AnyText::from_node(node, reader)?;
        let bare_truth = matches!(&node.value, Value::Plain(word)
            if TRUTH_WORDS.contains(&word.to_ascii_lowercase().as_str()));
        if bare_truth {
            reader.sink.push(
                node.at,
                format!("a bare `{text}` is a truth value in YAML, and here text is wanted"),
                format!("put it in quotes: '{text}'"),
            );
            return None;
        }
        if text.is_empty() {
            reader.sink.push(node.at, "the text is empty", "fill it in, or remove the key");
            return None;
        }
        Some(text)
    }
}

impl FromNode for bool {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        match &node.value {
            Value::Plain(word) if word == "true" => Some(true),
            Value::Plain(word) if word == "false" => Some(false),
            _ => {
                reader.wrong(node, "a truth value", "write true or false");
                None
            }
        }
    }
}

fn number<T: FromStr>(node: &Node, reader: &Reader, needs: &str, example: &str) -> Option<T> {
    if let Value::Plain(text) = &node.value
        && let Ok(value) = text.parse()
    {
        return Some(value);
    }
    reader.wrong(node, needs, format!("write it without quotes and unit, such as {example}"));
    None
}

impl FromNode for u32 {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        number(node, reader, "a whole number", "15")
    }
}

impl FromNode for u64 {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        number(node, reader, "a whole number", "1000")
    }
}

impl FromNode for usize {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        number(node, reader, "a whole number", "1000")
    }
}

impl FromNode for f64 {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let value: f64 = number(node, reader, "a number", "0.5")?;
        if !value.is_finite() {
            reader.wrong(node, "a finite number", "write such as 0.5");
            return None;
        }
        Some(value)
    }
}

/// Reads `90s`, `500ms`, `4h`, `14d`, and sums such as `1h30m`; units only from large to small.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 6] =
        [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = text;
    let mut total_ms: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = UNITS.iter().position(|(name, _)| *name == &rest[..letters])?;
        if unit < next_unit {
            return None;
        }
        next_unit = unit + 1;
        total_ms = total_ms.checked_add(count.checked_mul(UNITS[unit].1)?)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then_some(Duration::from_millis(total_ms))
}

impl FromNode for Duration {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        if let Value::Plain(text) | Value::Quoted(text) = &node.value
            && let Some(span) = parse_duration(text)
        {
            return Some(span);
        }
        reader.wrong(node, "a duration", "write such as 500ms, 15s, 5m, 4h or 14d");
        None
    }
}

/// A span as one would write it in the file.
pub fn show_duration(span: Duration) -> String {
    let ms = span.as_millis();
    match ms {
        0 => "0s".into(),
        ms if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

/// An amount of memory or file.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Bytes(pub u64);

impl Bytes {
    pub const KIB: u64 = 1 << 10;
    pub const MIB: u64 = 1 << 20;
    pub const GIB: u64 = 1 << 30;

    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(Bytes::GIB, "GiB"), (Bytes::MIB, "MiB"), (Bytes::KIB, "KiB")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}B", self.0)
    }
}

fn parse_bytes(text: &str) -> Option<Bytes> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim_start() {
        "B" => 1,
        "KiB" => Bytes::KIB,
        "MiB" => Bytes::MIB,
        "GiB" => Bytes::GIB,
        _ => return None,
    };
    count.checked_mul(unit).map(Bytes)
}

impl FromNode for Bytes {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        if let Value::Plain(text) | Value::Quoted(text) = &node.value
            && let Some(bytes) = parse_bytes(text)
        {
            return Some(bytes);
        }
        reader.wrong(node, "a size", "write such as 64KiB, 16MiB or 1GiB");
        None
    }
}

impl FromNode for PathBuf {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        Some(reader.dir.join(String::from_node(node, reader)?))
    }
}

impl FromNode for SocketAddr {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let parsed = text.replacen("localhost:", "127.0.0.1:", 1).parse().ok();
        if parsed.is_none() {
            reader.wrong(node, "an IP address and a port", "write such as 127.0.0.1:9750 or [::1]:9750");
        }
        parsed
    }
}

/// A pattern that must match the whole of a name, as in Prometheus.
impl FromNode for Regex {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        // Checked alone first, so that the fault is told in the operator's own text.
        let checked = Regex::new(&text).and_then(|_| Regex::new(&format!("^(?:{text})$")));
        match checked {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let told = error.to_string();
                let reason = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
                reader.sink.push(
                    node.at,
                    format!("`{text}` is not a regular expression: {reason}"),
                    "write such as 'node_.*|up'; mind that \\ needs single quotes",
                );
                None
            }
        }
    }
}

/// An address to which requests go: `http` or `https`, credentials only in keys of their own.
impl FromNode for Url {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let text = String::from_node(node, reader)?;
        let refuse = |what: String, mend: &str| {
            reader.sink.push(node.at, what, mend);
            None
        };
        // What stands before an @ may be a password.
        let shown = text.rsplit('@').next().unwrap_or_default();
        let url = match Url::parse(&text) {
            Ok(url) => url,
            Err(error) => {
                return refuse(
                    format!("`{shown}` is not a URL: {error}"),
                    "write such as http://127.0.0.1:9090",
                );
            }
        };
        if matches!(url.scheme(), "mailto" | "smtp" | "smtps") {
            return refuse(
                "an alert that travels by mail is lost with the mail that is watched".into(),
                "send it by a webhook or Alertmanager whose receiver does not mail",
            );
        }
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return refuse(
                format!("`{shown}` is not an http or https URL"),
                "write such as http://127.0.0.1:9090",
            );
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(
                "the URL holds credentials".into(),
                "give them in their own keys, so that no log shows them",
            );
        }
        if url.fragment().is_some() {
            return refuse(format!("`{shown}` has a `#` part, which is never sent"), "remove it");
        }
        Some(url)
    }
}

/// One of a closed set of words.
pub fn one_of<T: Copy>(node: &Node, reader: &Reader, words: &[(&str, T)]) -> Option<T> {
    let AnyText(text) = AnyText::from_node(node, reader)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    reader.wrong(node, &format!("one of {}", known.join(", ")), did_you_mean(&text, &known));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let seconds = |text| parse_duration(text).map(|span| span.as_secs_f64());
        assert_eq!(seconds("15s"), Some(15.0));
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("500ms"), Some(0.5));
        assert_eq!(seconds("14d"), Some(1_209_600.0));
        for wrong in [
            "",
            "15",
            "s",
            "1.5h",
            "-1s",
            "30m1h",
            "1s1s",
            "15 s",
            "99999999999999999999s",
            "9999999999999999w",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_shown_is_a_duration_read(ms in 0u64..u64::MAX / 2) {
            let span = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&show_duration(span)), Some(span));
        }

        #[test]
        fn a_size_shown_is_a_size_read(count in 0u64..1 << 30, unit in prop::sample::select(vec![1, Bytes::KIB, Bytes::MIB])) {
            let bytes = Bytes(count * unit);
            prop_assert_eq!(parse_bytes(&bytes.to_string()), Some(bytes));
        }

        #[test]
        fn no_text_breaks_the_readers(text in ".{0,24}") {
            let _ = (parse_duration(&text), parse_bytes(&text));
        }
    }
}
