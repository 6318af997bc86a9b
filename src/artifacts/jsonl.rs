//! Reads JSON Lines: one value a line, where the last line may be torn.
//!
//! A line counts when its newline is there, since that is the last thing a writer writes; what follows the last newline is
//! the torn tail of a writer that was interrupted. Bad lines are told, with number and reason, and never skipped in silence.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Read};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest line that is read, in bytes; longer ones are reported as invalid.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// One line of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<T> {
    /// A value.
    Row {
        /// Number of the line, from 1.
        line_no: u64,
        /// What stands on it.
        value: T,
    },
    /// A complete line that is no such value.
    Invalid {
        /// Number of the line, from 1.
        line_no: u64,
        /// The reason, one lower-case sentence.
        why: String,
    },
}

/// Streams the lines of a JSON Lines source. Blank lines are passed over; a torn last line is not yielded, see
/// [`torn_bytes`](Self::torn_bytes).
#[derive(Debug)]
pub struct JsonlReader<R, T = Value> {
    source: R,
    line: Vec<u8>,
    line_no: u64,
    max_line: usize,
    too_long: u64,
    torn_bytes: u64,
    rows: PhantomData<fn() -> T>,
}

/// How a raw line ended.
enum Raw {
    Complete,
    TooLong,
    Torn(u64),
    End,
}

impl<R: BufRead, T: DeserializeOwned> JsonlReader<R, T> {
    /// Reads `source` from where it stands, with lines of up to [`MAX_LINE`] bytes.
    pub fn new(source: R) -> Self {
        Self::with_max_line(source, MAX_LINE)
    }

    /// The same with another bound on the length of a line, in bytes without the newline.
    pub fn with_max_line(source: R, max_line: usize) -> Self {
        Self {
            source,
            line: Vec::new(),
            line_no: 0,
            max_line,
            too_long: 0,
            torn_bytes: 0,
            rows: PhantomData,
        }
    }

    /// Bytes of a last line without newline: 0 when the last line is whole, and as long as the end was not reached.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Complete lines so far that were too long to be read.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    fn next_line(&mut self) -> io::Result<Option<Line<T>>> {
        loop {
            let raw = self.read_raw()?;
            self.line_no += 1;
            match raw {
                Raw::End => return Ok(None),
                Raw::Torn(bytes) => {
                    self.torn_bytes = bytes;
                    return Ok(None);
                }
                Raw::TooLong => {
                    self.too_long += 1;
                    let why = format!("the line is longer than {} bytes", self.max_line);
                    return Ok(Some(self.invalid(why)));
                }
                Raw::Complete if self.line.trim_ascii().is_empty() => {}
                Raw::Complete => return Ok(Some(self.parse())),
            }
        }
    }

    /// Reads one line into `self.line`, without its newline.
    fn read_raw(&mut self) -> io::Result<Raw> {
        self.line.clear();
        let limit = self.max_line as u64 + 1;
        (&mut self.source)
            .take(limit)
            .read_until(b'\n', &mut self.line)?;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Raw::Complete);
        }
        let read = self.line.len() as u64;
        if read < limit {
            return Ok(if read == 0 { Raw::End } else { Raw::Torn(read) });
        }
        let (skipped, ended) = skip_line(&mut self.source)?;
        Ok(if ended {
            Raw::TooLong
        } else {
            Raw::Torn(read + skipped)
        })
    }

    fn parse(&self) -> Line<T> {
        match serde_json::from_slice(&self.line) {
            Ok(value) => Line::Row {
                line_no: self.line_no,
                value,
            },
            Err(error) => self.invalid(self.reason(&error)),
        }
    }

    fn reason(&self, error: &serde_json::Error) -> String {
        match self.line.trim_ascii() {
            [b'[', ..] if self.line_no == 1 => {
                "the line begins an array, perhaps the file is one JSON array and not JSON lines"
                    .to_owned()
            }
            // The error's own line number is always 1 and would contradict ours.
            _ => error
                .to_string()
                .replace(" at line 1 column ", " at column "),
        }
    }

    fn invalid(&self, why: String) -> Line<T> {
        Line::Invalid {
            line_no: self.line_no,
            why,
        }
    }
}

impl<R: BufRead, T: DeserializeOwned> Iterator for JsonlReader<R, T> {
    type Item = io::Result<Line<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

/// Consumes the rest of a line: its length, and whether there was a newline.
fn skip_line(source: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let available = match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available?,
        };
        if available.is_empty() {
            return Ok((skipped, false));
        }
        let newline = available.iter().position(|&b| b == b'\n');
        let used = newline.map_or(available.len(), |at| at + 1);
        source.consume(used);
        skipped += used as u64;
        if newline.is_some() {
            return Ok((skipped, true));
        }
    }
}

/// Removes what follows the last newline of a file, durably, so that a generator that goes on appending does not glue its first line to a
/// torn one. Returns the bytes cut; `None` when there was nothing to cut or no file. Nobody may be writing the file meanwhile.
///
/// # Errors
/// Those of reading and truncating, with the path.
pub fn cut_torn_tail(path: &Path) -> io::Result<Option<u64>> {
    cut(path).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot cut the torn tail of {}: {error}", path.display()),
        )
    })
}

fn cut(path: &Path) -> io::Result<Option<u64>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let whole = whole_lines(&file, length)?;
    if whole == length {
        return Ok(None);
    }
    file.set_len(whole)?;
    file.sync_all()?;
    Ok(Some(length - whole))
}

/// Bytes up to and including the last newline, searched from the end.
fn whole_lines(file: &std::fs::File, length: u64) -> io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        block.resize((end - start) as usize, 0);
        file.read_exact_at(&mut block, start)?;
        if let Some(at) = block.iter().rposition(|&b| b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn read(text: &str, max_line: usize) -> (Vec<Line<Value>>, u64, u64) {
        // A tiny buffer, so that lines span several fills.
        let source = io::BufReader::with_capacity(3, text.as_bytes());
        let mut reader = JsonlReader::with_max_line(source, max_line);
        let lines = reader.by_ref().map(|line| line.unwrap()).collect();
        (lines, reader.torn_bytes(), reader.too_long())
    }

    fn numbers(lines: &[Line<Value>]) -> Vec<(u64, bool)> {
        let number = |line: &Line<Value>| match line {
            Line::Row { line_no, .. } => (*line_no, true),
            Line::Invalid { line_no, .. } => (*line_no, false),
        };
        lines.iter().map(number).collect()
    }

    #[test]
    fn rows_bad_lines_and_a_torn_tail_are_told_apart() {
        let (lines, torn, too_long) = read(
            "{\"a\":1}\n\n{bad\n\"a line that is too long\"\n2\r\n{\"torn\":tr",
            12,
        );
        assert_eq!(
            numbers(&lines),
            [(1, true), (3, false), (4, false), (5, true)]
        );
        assert_eq!((torn, too_long), (10, 1));
        let Line::Invalid { why, .. } = &lines[1] else {
            panic!("line 3 is invalid")
        };
        assert!(why.contains("at column 2"), "{why}");
    }

    #[test]
    fn the_bound_is_exact_and_a_torn_line_may_exceed_it() {
        assert_eq!(
            numbers(&read("1234\n12345\n1\n", 4).0),
            [(1, true), (2, false), (3, true)]
        );
        let (lines, torn, too_long) = read("1\n123456789", 4);
        assert_eq!((lines.len(), torn, too_long), (1, 9, 0));
    }

    #[test]
    fn an_array_instead_of_lines_is_named() {
        let (lines, _, _) = read("[\n{\"a\":1},\n{\"a\":2}\n]\n", 100);
        let Line::Invalid { why, .. } = &lines[0] else {
            panic!("line 1 is invalid")
        };
        assert!(why.contains("one JSON array"), "{why}");
    }

    #[test]
    fn rows_may_be_typed() {
        let mut reader = JsonlReader::<_, (u8, bool)>::new(&b"[1,true]\n[300,true]\n"[..]);
        assert_eq!(
            reader.next().unwrap().unwrap(),
            Line::Row {
                line_no: 1,
                value: (1, true)
            }
        );
        assert!(matches!(
            reader.next().unwrap().unwrap(),
            Line::Invalid { line_no: 2, .. }
        ));
        assert!(reader.next().is_none());
    }

    #[test]
    fn only_a_torn_tail_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        assert_eq!(cut_torn_tail(&path).unwrap(), None);
        let long = "x".repeat(200_000);
        for (before, cut, after) in [
            ("", None, ""),
            ("1\n2\n", None, "1\n2\n"),
            ("1\n2", Some(1), "1\n"),
            ("torn", Some(4), ""),
            (&format!("1\n{long}"), Some(200_000), "1\n"),
            (&format!("{long}\n2"), Some(1), &format!("{long}\n")),
        ] {
            fs::write(&path, before).unwrap();
            assert_eq!(cut_torn_tail(&path).unwrap(), cut);
            assert!(
                fs::read_to_string(&path).unwrap() == after,
                "wrong content after cutting {cut:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_in_a_line_or_in_the_tail(bytes in prop::collection::vec(prop::sample::select(b"{}\"1, \n\xff".to_vec()), 0..200)) {
            let mut reader = JsonlReader::<_, Value>::with_max_line(&bytes[..], 20);
            let lines = reader.by_ref().map(|line| line.unwrap()).collect::<Vec<_>>().len();
            let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            prop_assert_eq!(reader.torn_bytes(), (bytes.len() - whole) as u64);
            let filled = bytes[..whole].split(|&b| b == b'\n').filter(|line| line.len() > 20 || !line.trim_ascii().is_empty()).count();
            prop_assert_eq!(lines, filled);
        }
    }
}
