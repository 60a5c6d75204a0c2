//! Lines out of bytes that come in pieces: a line counts once its end is there.

use memchr::memchr;

/// Lines of one file, in order. Memory is bounded by the longest line allowed and the largest piece.
#[derive(Debug)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the line begins that is given next.
    start: usize,
    /// Up to here there is no line end.
    searched: usize,
    /// Within a line that is too long, whose beginning has been let go.
    is_skipping: bool,
    bytes_max: usize,
    number: u64,
}

/// One line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Whole(&'a [u8]),
    TooLong,
}

impl Lines {
    /// `bytes_max` is the longest line that is given whole.
    pub fn new(bytes_max: usize) -> Self {
        Lines { buffer: Vec::new(), start: 0, searched: 0, is_skipping: false, bytes_max, number: 0 }
    }

    /// The next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line that has its end.
    pub fn next(&mut self) -> Option<Line<'_>> {
        let Some(found) = memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            if self.is_skipping || self.buffer.len() - self.start > self.bytes_max {
                self.is_skipping = true;
                self.buffer.clear();
                (self.start, self.searched) = (0, 0);
            }
            return None;
        };
        let (start, end) = (self.start, self.searched + found);
        (self.start, self.searched) = (end + 1, end + 1);
        self.number += 1;
        if std::mem::take(&mut self.is_skipping) || end - start > self.bytes_max {
            return Some(Line::TooLong);
        }
        let line = &self.buffer[start..end];
        Some(Line::Whole(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// The number of the line given last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The file is over. Says whether it ended within a line, which is let go.
    pub fn end(&mut self) -> bool {
        let is_cut = self.is_skipping || self.start < self.buffer.len();
        *self = Lines::new(self.bytes_max);
        is_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of `pieces`, `None` for one that is longer than 8 bytes; and whether the end was missing.
    fn lines(pieces: &[&[u8]]) -> (Vec<Option<String>>, bool) {
        let (mut lines, mut found) = (Lines::new(8), Vec::new());
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next() {
                found.push(match line {
                    Line::Whole(line) => Some(String::from_utf8_lossy(line).into_owned()),
                    Line::TooLong => None,
                });
            }
        }
        (found, lines.end())
    }

    #[test]
    fn a_line_waits_for_its_end() {
        let some = |lines: &[&str]| lines.iter().map(|line| Some(line.to_string())).collect::<Vec<_>>();
        assert_eq!(lines(&[b"a,", b"b\nc\r\n", b"\nd"]), (some(&["a,b", "c", ""]), true));
        assert_eq!(lines(&[b"a\n"]), (some(&["a"]), false));
        assert_eq!(lines(&[]), (Vec::new(), false));
    }

    #[test]
    fn a_line_that_never_ends_takes_no_memory_and_costs_itself_only() {
        assert_eq!(lines(&[b"a\n123456789\nb\n"]).0, [Some("a".into()), None, Some("b".into())]);
        let mut endless = Lines::new(8);
        for _ in 0..1000 {
            endless.push(&[b'x'; 8]);
            assert_eq!(endless.next(), None);
            assert!(endless.buffer.len() <= 16);
        }
        endless.push(b"\nb\n");
        assert_eq!(endless.next(), Some(Line::TooLong));
        assert_eq!(endless.number(), 1);
        assert_eq!(endless.next(), Some(Line::Whole(b"b")));
    }

    proptest! {
        #[test]
        fn chopped_is_as_whole(text in "[ab\n\r]{0,60}", cuts in prop::collection::vec(0usize..60, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let (mut pieces, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.push(&text.as_bytes()[from..cut]);
                from = cut;
            }
            prop_assert_eq!(lines(&pieces), lines(&[text.as_bytes()]));
        }
    }
}
