//! A walk over one line of a page: names, quoted texts, bare words.
//!
//! Escapes are undone in place (a text never grows by it), so whatever the cursor hands out
//! borrows from the page and no line allocates.

use super::text::Reason;

/// The part of a line that is still to be read.
pub(super) struct Cursor<'p> {
    rest: &'p mut [u8],
}

impl<'p> Cursor<'p> {
    pub fn new(line: &'p mut [u8]) -> Self {
        Cursor { rest: line }
    }

    /// What has not been read, for error messages.
    pub fn rest(&self) -> &[u8] {
        self.rest
    }

    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Steps over blanks; the `\r` of a page from Windows is one.
    pub fn skip_blanks(&mut self) {
        let blanks = self.rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
        self.take(blanks);
    }

    /// Steps over `byte` if it comes next.
    pub fn skip(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.take(usize::from(next));
        next
    }

    /// A name that needs no quotes; `colon` says whether it may hold `:`, as metric names do.
    pub fn bare_name(&mut self, colon: bool) -> Result<&'p str, Reason> {
        let legal = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || colon && *b == b':';
        let length = self.rest.iter().take_while(|b| legal(b)).count();
        if length == 0 || self.rest[0].is_ascii_digit() {
            return Err(Reason::Name);
        }
        utf8(self.take(length))
    }

    /// The text within double quotes, with its escapes undone.
    pub fn quoted(&mut self) -> Result<&'p str, Reason> {
        if !self.skip(b'"') {
            return Err(Reason::OpenQuote);
        }
        let mut escaped = false;
        let mut end = 0;
        loop {
            let Some(found) = self.rest.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else {
                return Err(Reason::CloseQuote);
            };
            end += found;
            if self.rest[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2;
        }
        let text = self.take(end);
        self.take(1);
        let length = if escaped { unescape(text) } else { text.len() };
        utf8(&text[..length])
    }

    /// What stands before the next blank.
    pub fn peek_word(&self) -> &[u8] {
        let blank = self.rest.iter().position(|b| matches!(b, b' ' | b'\t' | b'\r'));
        &self.rest[..blank.unwrap_or(self.rest.len())]
    }

    pub fn skip_word(&mut self) {
        self.take(self.peek_word().len());
    }

    fn take(&mut self, length: usize) -> &'p mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.rest).split_at_mut(length);
        self.rest = rest;
        taken
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(bytes).map_err(|_| Reason::Utf8)
}

/// Undoes `\\`, `\"` and `\n`; any other pair stays as it is. Returns the new length.
fn unescape(text: &mut [u8]) -> usize {
    let (mut read, mut write) = (0, 0);
    while read < text.len() {
        let (byte, width) = match text[read..] {
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', escaped @ (b'\\' | b'"'), ..] => (escaped, 2),
            [plain, ..] => (plain, 1),
            [] => break,
        };
        text[write] = byte;
        read += width;
        write += 1;
    }
    write
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Result<&str, Reason>) {
        let mut line = text.as_bytes().to_vec();
        assert_eq!(Cursor::new(&mut line).quoted(), want);
    }

    #[test]
    fn a_quoted_text_ends_at_the_first_quote_that_is_not_escaped() {
        check(r#""" rest"#, Ok(""));
        check(r#""a,b=}" rest"#, Ok("a,b=}"));
        check(r#""say \"no\"\\" rest"#, Ok(r#"say "no"\"#));
        check(r#""two\nlines""#, Ok("two\nlines"));
        check(r#""C:\dir\\next""#, Ok(r"C:\dir\next"));
        check(r#""Grüße""#, Ok("Grüße"));
    }

    #[test]
    fn a_quoted_text_that_never_ends_is_an_error() {
        check("\"", Err(Reason::CloseQuote));
        check(r#""abc"#, Err(Reason::CloseQuote));
        check(r#""abc\""#, Err(Reason::CloseQuote));
        check(r#""abc\"#, Err(Reason::CloseQuote));
    }
}
