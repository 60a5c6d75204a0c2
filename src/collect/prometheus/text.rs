//! Text exposition and OpenMetrics, a line at a time.
//!
//! Both formats are read as their exporters write them and not only as their owners define them:
//! a blank before `{`, `\r\n`, missing TYPE, trailing commas, quoted UTF-8 names, exemplars (skipped).
//! A bad line is an error of its own; the lines around it still count.
//!
//! Invariant: a line borrows from the page only, so one scanner can go through a file in pieces,
//! as long as each piece ends at the end of a line.

use std::fmt;

use super::cursor::Cursor;
use super::family::Family;
use crate::sample::{METRIC_NAME, Timestamp, ValueKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Version 0.0.4: times are whole milliseconds.
    Text,
    /// Times are seconds; the page ends with `# EOF`.
    OpenMetrics,
}

impl Format {
    /// What a `Content-Type` announces; whatever is not OpenMetrics is taken for classic text.
    pub fn of(content_type: &str) -> Self {
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    }
}

/// A label of a line: name and value, both borrowed from the page.
pub type Label<'p> = (&'p str, &'p str);

/// The numbers of one sample line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    pub kind: ValueKind,
    pub value: f64,
    /// `None` where the line leaves the time to its reader.
    pub at: Option<Timestamp>,
}

/// Why a line could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("a name must begin with a letter or `_`, or stand in quotes")]
    Name,
    #[error("the series has no metric name")]
    NoMetricName,
    #[error("the series has two metric names")]
    TwoMetricNames,
    #[error("a label stands twice")]
    LabelTwice,
    #[error("a label name must be followed by `=`")]
    Equals,
    #[error("a label value must begin with a quote")]
    OpenQuote,
    #[error("a quote is never closed")]
    CloseQuote,
    #[error("after a label comes `,` or `}}`")]
    CloseBrace,
    #[error("not UTF-8")]
    Utf8,
    #[error("the value is not a number")]
    Value,
    #[error("the time is not a number of this format")]
    Time,
    #[error("nothing may follow value and time")]
    Trailing,
    #[error("the line was cut off")]
    Cut,
    #[error("nothing may follow `# EOF`")]
    AfterEnd,
    #[error("the page does not end with `# EOF`")]
    NoEnd,
}

/// A line that could not be read; the number counts from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub line: u64,
    pub reason: Reason,
    /// What stood where reading stopped, at most 80 bytes.
    pub near: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)?;
        if self.near.is_empty() { Ok(()) } else { write!(f, ": {:?}", self.near) }
    }
}

impl std::error::Error for ParseError {}

/// Where a reader stands in a page, apart from the bytes.
#[derive(Clone, Debug)]
pub struct Scanner {
    format: Format,
    family: Family,
    line: u64,
    ended: bool,
}

impl Scanner {
    pub fn new(format: Format) -> Self {
        Scanner { format, family: Family::default(), line: 0, ended: false }
    }

    /// Reads on to the next sample and takes what it read off `page`; `None` at the end of `page`.
    ///
    /// `labels` becomes the labels of that sample, `__name__` among them, sorted by name, no name
    /// twice. After an error it holds nothing of use, and the next call goes on with the next line.
    pub fn next<'p>(
        &mut self,
        page: &mut &'p mut [u8],
        labels: &mut Vec<Label<'p>>,
    ) -> Option<Result<Line, ParseError>> {
        while !page.is_empty() {
            let whole = memchr::memchr(b'\n', page);
            let end = whole.unwrap_or(page.len());
            let (line, rest) = std::mem::take(page).split_at_mut(end);
            *page = if whole.is_some() { &mut rest[1..] } else { rest };
            self.line += 1;

            let mut cursor = Cursor::new(line);
            cursor.skip_blanks();
            let read = match cursor.peek() {
                None => continue,
                Some(_) if self.ended => Err(Reason::AfterEnd),
                Some(b'#') => match self.comment(&mut cursor) {
                    Ok(()) => continue,
                    Err(reason) => Err(reason),
                },
                Some(_) if whole.is_none() && self.format == Format::OpenMetrics => Err(Reason::Cut),
                Some(_) => self.sample(&mut cursor, labels),
            };
            return Some(read.map_err(|reason| self.error(reason, cursor.rest())));
        }
        None
    }

    /// To be asked after the last piece of a page: whether it was whole.
    pub fn finish(&self) -> Result<(), ParseError> {
        match self.format {
            Format::OpenMetrics if !self.ended => Err(self.error(Reason::NoEnd, b"")),
            _ => Ok(()),
        }
    }

    fn error(&self, reason: Reason, rest: &[u8]) -> ParseError {
        let near = String::from_utf8_lossy(&rest[..rest.len().min(80)]).into_owned();
        ParseError { line: self.line, reason, near }
    }

    fn comment(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Reason> {
        cursor.skip(b'#');
        cursor.skip_blanks();
        match cursor.peek_word() {
            b"TYPE" => {
                cursor.skip_word();
                cursor.skip_blanks();
                let name = match cursor.peek() {
                    Some(b'"') => cursor.quoted()?,
                    _ => cursor.bare_name(true)?,
                };
                cursor.skip_blanks();
                self.family.begin(name, cursor.peek_word());
            }
            b"EOF" if self.format == Format::OpenMetrics => self.ended = true,
            _ => {}
        }
        Ok(())
    }

    fn sample<'p>(&self, cursor: &mut Cursor<'p>, labels: &mut Vec<Label<'p>>) -> Result<Line, Reason> {
        labels.clear();
        let mut name = None;
        if cursor.peek() != Some(b'{') {
            name = Some(cursor.bare_name(true)?);
            cursor.skip_blanks();
        }
        if cursor.skip(b'{') {
            braces(cursor, &mut name, labels)?;
        }
        let name = name.filter(|name| !name.is_empty()).ok_or(Reason::NoMetricName)?;
        labels.push((METRIC_NAME, name));
        labels.sort_unstable_by_key(|(label, _)| *label);
        if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Reason::LabelTwice);
        }

        cursor.skip_blanks();
        let value = fast_float2::parse(cursor.peek_word()).map_err(|_| Reason::Value)?;
        cursor.skip_word();
        cursor.skip_blanks();
        let at = match cursor.peek() {
            None | Some(b'#') => None,
            Some(_) => Some(self.time(cursor.peek_word())?),
        };
        if at.is_some() {
            cursor.skip_word();
            cursor.skip_blanks();
        }
        match cursor.peek() {
            // An exemplar is about a single request; nothing here looks at one.
            None | Some(b'#') => Ok(Line { kind: self.family.kind_of(name), value, at }),
            Some(_) => Err(Reason::Trailing),
        }
    }

    fn time(&self, word: &[u8]) -> Result<Timestamp, Reason> {
        match self.format {
            Format::Text => {
                let ms = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
                ms.map(Timestamp).ok_or(Reason::Time)
            }
            Format::OpenMetrics => {
                let seconds: f64 = fast_float2::parse(word).map_err(|_| Reason::Time)?;
                if seconds.is_finite() { Ok(Timestamp::from_seconds(seconds)) } else { Err(Reason::Time) }
            }
        }
    }
}

/// What stands between `{` and `}`; a quoted text without `=` is the metric name.
fn braces<'p>(
    cursor: &mut Cursor<'p>,
    name: &mut Option<&'p str>,
    labels: &mut Vec<Label<'p>>,
) -> Result<(), Reason> {
    loop {
        cursor.skip_blanks();
        if cursor.skip(b'}') {
            return Ok(());
        }
        let quoted = cursor.peek() == Some(b'"');
        let label = if quoted { cursor.quoted()? } else { cursor.bare_name(false)? };
        cursor.skip_blanks();
        if cursor.skip(b'=') {
            cursor.skip_blanks();
            labels.push((label, cursor.quoted()?));
        } else if !quoted {
            return Err(Reason::Equals);
        } else if name.replace(label).is_some() {
            return Err(Reason::TwoMetricNames);
        }
        cursor.skip_blanks();
        if !cursor.skip(b',') && cursor.peek() != Some(b'}') {
            return Err(Reason::CloseBrace);
        }
    }
}

#[cfg(test)]
mod tests;
