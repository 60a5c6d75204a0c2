//! Secrets: written as `${NAME}` (the environment), read from `KEY_file`, or, least well, spelt out.
//!
//! They live in `SecretString` from here on, whose `Debug` shows nothing; no problem ever quotes one.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::file::read_text;
use super::problem::Place;
use super::read::{FromNode, Reader, Section};
use super::scalar::AnyText;
use super::yaml::{Node, Value};

const SECRET_BYTES_MAX: usize = 64 << 10;

impl FromNode for SecretString {
    fn from_node(node: &Node, reader: &Reader) -> Option<Self> {
        let AnyText(text) = AnyText::from_node(node, reader)?;
        match expand(&text, reader.env) {
            Ok(value) if value.is_empty() => {
                reader.sink.push(node.at, "the secret is empty", "fill it in, or remove the key");
                None
            }
            Ok(value) => Some(value.into()),
            Err(Unset(name)) => {
                reader.sink.push(
                    node.at,
                    format!("the environment has no variable `{name}`"),
                    "set it for this process, or name a file by the key that ends in `_file`",
                );
                None
            }
        }
    }
}

/// The variable that a text names and the environment lacks.
#[derive(Debug, PartialEq)]
struct Unset(String);

/// Puts variables in place of `${NAME}`; `$${` stands for `${` itself.
fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Unset> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else { break };
        let name = &rest[at + 2..at + end];
        out.push_str(&env(name).ok_or_else(|| Unset(name.into()))?);
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

impl Section<'_> {
    /// The secret of `key`, from the key itself or from the file that `file_key` names.
    pub fn secret(&self, key: &'static str, file_key: &'static str) -> Option<SecretString> {
        self.secrets(key, file_key).into_iter().next()
    }

    /// Like `secret`, for several: a list, or a file with one on each line.
    pub fn secrets(&self, key: &'static str, file_key: &'static str) -> Vec<SecretString> {
        let (inline, file) = (self.node(key), self.node(file_key));
        if let (Some(_), Some(file)) = (inline, file) {
            self.reader.sink.push(
                file.at,
                format!("both `{key}` and `{file_key}` are given"),
                "keep one of them",
            );
            return Vec::new();
        }
        if inline.is_some_and(|node| matches!(node.value, Value::List(_))) {
            return self.get(key).unwrap_or_default();
        }
        if inline.is_some() {
            return self.get(key).into_iter().collect();
        }
        let Some(node) = file else { return Vec::new() };
        let Some(path) = PathBuf::from_node(node, self.reader) else { return Vec::new() };
        self.secrets_in(&path, node.at)
    }

    fn secrets_in(&self, path: &Path, at: Place) -> Vec<SecretString> {
        match read_text(path, SECRET_BYTES_MAX) {
            Ok(text) => {
                let lines: Vec<SecretString> =
                    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
                if lines.is_empty() {
                    self.reader.sink.push(
                        at,
                        format!("{} is empty", path.display()),
                        "write the secret into it",
                    );
                }
                lines
            }
            Err(error) => {
                self.reader.sink.push(
                    at,
                    format!("cannot read {}: {error}", path.display()),
                    "create it, readable by the user that runs foreshock only",
                );
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_place() {
        let env = |name: &str| (name == "TOKEN").then(|| "s3cret".to_string());
        assert_eq!(expand("${TOKEN}", &env), Ok("s3cret".into()));
        assert_eq!(expand("a${TOKEN}b${TOKEN}", &env), Ok("as3cretbs3cret".into()));
        assert_eq!(expand("pa$$w0rd $${TOKEN}", &env), Ok("pa$$w0rd ${TOKEN}".into()));
        assert_eq!(expand("${TOKEN", &env), Ok("${TOKEN".into()));
        assert_eq!(expand("${OTHER}", &env), Err(Unset("OTHER".into())));
    }
}
