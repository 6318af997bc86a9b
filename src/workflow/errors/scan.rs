//! Finds the lines of a log that may matter, at the speed of one look at each byte.
//!
//! A line matters where it holds the longest fragment of some pattern, words about a task or the run, or control
//! characters, which may stand in the middle of such words. Every other line says nothing, whatever it says.

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input};
use memchr::{memchr, memchr_iter, memrchr};

use super::catalogue::Entry;

/// What the reader of a log looks for beside the patterns: each is part of a mark in `diagnosis`.
const MARKS: [&str; 9] = [
    "Command executed:",
    "Source block:",
    "Command exit status:",
    "Session aborted",
    "WorkflowStats[",
    "Error executing process > '",
    "rocess `",
    "terminated with an error exit status (",
    "status : ",
];

/// Finds lines that may matter.
pub(super) struct Scanner {
    triggers: AhoCorasick,
}

impl Scanner {
    /// Refuses what is no set of patterns.
    pub fn new(entries: &[Entry]) -> Result<Scanner, String> {
        let patterns = entries.iter().flat_map(|entry| &entry.patterns);
        let longest = patterns.filter_map(|fragments| fragments.iter().max_by_key(|f| f.len()));
        let mut triggers: Vec<Vec<u8>> = longest.map(|f| f.clone().into_bytes()).collect();
        triggers.extend(MARKS.map(|mark| mark.as_bytes().to_vec()));
        let controls = (0..0x20_u8).chain([0x7f]);
        let controls = controls.filter(|byte| !matches!(byte, b'\t' | b'\n'));
        triggers.extend(controls.map(|byte| vec![byte]));
        // The control characters from U+0080 to U+009F.
        triggers.extend((0x80..0xa0_u8).map(|byte| vec![0xc2, byte]));
        let built = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .build(triggers);
        let triggers = built.map_err(|error| error.to_string())?;
        Ok(Scanner { triggers })
    }

    /// Byte in `text`, at or after `from`, of the next trigger.
    fn next(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let found = self.triggers.find(Input::new(text).range(at..))?;
            // A carriage return at the end of a line is the end of the line.
            let ends = text[found.start()] == b'\r' && text.get(found.end()) == Some(&b'\n');
            if !ends {
                return Some(found.start());
            }
            at = found.end();
        }
    }
}

/// A walk over the lines of a log.
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Walk<'a> {
    pub fn new(text: &'a str) -> Walk<'a> {
        Walk {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The next line and its number, from 1; with a scanner the next that may matter.
    pub fn next(&mut self, scanner: Option<&Scanner>) -> Option<(u32, &'a str)> {
        let bytes = self.text.as_bytes();
        if self.at >= bytes.len() {
            return None;
        }
        if let Some(scanner) = scanner {
            let found = scanner.next(bytes, self.at)?;
            let skipped = &bytes[self.at..found];
            let lines = memchr_iter(b'\n', skipped).count();
            self.line = self
                .line
                .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            self.at += memrchr(b'\n', skipped).map_or(0, |end| end + 1);
        }
        let rest = &self.text[self.at..];
        let end = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let line = self.line;
        self.at += end + 1;
        self.line = self.line.saturating_add(1);
        Some((line, &rest[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::errors::entries;

    fn visited(text: &str, scanner: &Scanner) -> Vec<u32> {
        let mut walk = Walk::new(text);
        let next = || walk.next(Some(scanner)).map(|(line, _)| line);
        std::iter::from_fn(next).collect()
    }

    /// Each pattern, mark and control character stops the walk at its own line, and no ordinary line does.
    #[test]
    fn no_line_that_matters_is_passed_over() {
        let scanner = Scanner::new(entries()).unwrap();
        let patterns = entries().iter().flat_map(|entry| &entry.patterns);
        let mut lines: Vec<String> = patterns.map(|parts| parts.join(" 17 ")).collect();
        lines.extend(MARKS.map(str::to_owned));
        lines.extend(["a\u{1b}[0mb", "a\0", "\u{85}", "10%\r20%", "\u{7f}x"].map(str::to_owned));
        for line in lines {
            let quiet = "INFO  submitted process > A (é)\r\n\n";
            let text = format!("{}{line}\n{quiet}", quiet.repeat(5));
            assert_eq!(visited(&text, &scanner), [11], "{line:?}");
        }
        assert_eq!(visited("", &scanner), [0_u32; 0]);
    }

    #[test]
    fn without_a_scanner_every_line_comes() {
        let mut walk = Walk::new("a\n\nb");
        let next = || walk.next(None);
        let lines: Vec<_> = std::iter::from_fn(next).collect();
        assert_eq!(lines, [(1, "a"), (2, ""), (3, "b")]);
    }
}
