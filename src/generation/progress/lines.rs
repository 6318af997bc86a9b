//! Cuts a byte stream into lines and passes over the ones that cannot matter.
//!
//! A generator's log is mostly noise and may be gigabytes long, so this is the hot loop. Both scans below run over whole blocks
//! without an early exit, a form that the compiler turns into vector instructions; the exact look happens only in a block that
//! holds a candidate. A line that lies inside one chunk is never copied.

/// Assembles lines from chunks, with a bound on what it keeps.
#[derive(Debug)]
pub(super) struct LineSplitter {
    pending: Vec<u8>,
    limit: usize,
    /// The pending line has passed the limit; the rest of it is thrown away.
    overflowing: bool,
    dropped: u64,
}

impl LineSplitter {
    /// A splitter that drops lines longer than `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            pending: Vec::new(),
            limit,
            overflowing: false,
            dropped: 0,
        }
    }

    /// Lines dropped so far, one that is still being written not included.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Calls `on_line` for each line that ends in `bytes`, empty ones left out.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut on_line: impl FnMut(&[u8])) {
        while let Some(end) = line_end(bytes) {
            self.end(&bytes[..end], &mut on_line);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Treats the end of the stream as the end of a line.
    pub(super) fn finish(&mut self, mut on_line: impl FnMut(&[u8])) {
        self.end(&[], &mut on_line);
    }

    fn end(&mut self, piece: &[u8], on_line: &mut impl FnMut(&[u8])) {
        if self.overflowing || self.pending.len() + piece.len() > self.limit {
            self.dropped += 1;
            self.overflowing = false;
        } else if self.pending.is_empty() {
            if !piece.is_empty() {
                on_line(piece);
            }
        } else {
            self.pending.extend_from_slice(piece);
            on_line(&self.pending);
        }
        self.pending.clear();
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.overflowing || self.pending.len() + piece.len() > self.limit {
            self.overflowing = true;
            self.pending.clear();
        } else {
            self.pending.extend_from_slice(piece);
        }
    }
}

/// The position of the first byte that ends a line: newline, carriage return, or NUL. NUL is one of them because a log that was
/// truncated under its writer starts with a hole of NULs, of any length, directly before the text.
fn line_end(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().enumerate() {
        // All line ends lie below 0x0e, and ordinary text holds little else there.
        let candidate = block.iter().fold(0, |found, &b| found | u8::from(b < 0x0e));
        if candidate != 0
            && let Some(at) = block.iter().position(|&b| ends_line(b))
        {
            return Some(i * BLOCK + at);
        }
    }
    let at = tail.iter().position(|&b| ends_line(b))?;
    Some(blocks.len() * BLOCK + at)
}

fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

/// What a line may contain, found by looking only at pairs of neighbouring bytes. A hint that is absent is certain, one that is
/// present is a reason to look closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hints(u8);

impl Hints {
    /// A slash before a digit or a space: `4/19`, `4 / 19`.
    pub(super) const FRACTION: Self = Self(1);
    /// A slash after an `s`: `samples/s`.
    pub(super) const SPEED: Self = Self(2);
    /// A `q`: quality.
    pub(super) const QUALITY: Self = Self(4);
    /// `cc` or `ss`: acceptance, accepted, pass rate.
    pub(super) const ACCEPTANCE: Self = Self(8);
    /// A `g` before a space: generating from, starting curation.
    pub(super) const STAGE: Self = Self(16);
    /// `t:`: target.
    pub(super) const TARGET: Self = Self(32);
    /// An opening brace near the start: a JSON object, perhaps behind a task label.
    const OBJECT: Self = Self(64);

    /// Looks at a line.
    pub(super) fn of(line: &[u8]) -> Self {
        let pairs = line.iter().zip(line.iter().skip(1));
        let found = pairs.fold(0, |found, (&a, &b)| found | of_pair(a, b));
        let object = line.iter().take(16).any(|&b| b == b'{');
        Self(found | bit(object, Self::OBJECT))
    }

    /// Whether there is anything to look for.
    pub(super) fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether all of `other` may be there.
    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The hints of two neighbouring bytes. Branch-free; an escape sequence hides what it separates and so hints at everything.
#[inline]
fn of_pair(a: u8, b: u8) -> u8 {
    let (low_a, low_b) = (a | 0x20, b | 0x20);
    let doubled = (low_a == low_b) & ((low_a == b'c') | (low_a == b's'));
    bit(
        (a == b'/') & (b.is_ascii_digit() | (b == b' ')),
        Hints::FRACTION,
    ) | bit((low_a == b's') & (b == b'/'), Hints::SPEED)
        | bit(low_a == b'q', Hints::QUALITY)
        | bit(doubled, Hints::ACCEPTANCE)
        | bit((low_a == b'g') & (b == b' '), Hints::STAGE)
        | bit((low_a == b't') & (b == b':'), Hints::TARGET)
        | bit(a == 0x1b, Hints(u8::MAX))
}

#[inline]
fn bit(condition: bool, hint: Hints) -> u8 {
    if condition { hint.0 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(limit: usize, chunks: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let mut splitter = LineSplitter::new(limit);
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, |line| lines.push(line.to_vec()));
        }
        splitter.finish(|line| lines.push(line.to_vec()));
        (lines, splitter.dropped())
    }

    #[test]
    fn newline_carriage_return_and_nul_end_a_line() {
        let (lines, dropped) = split(10, &[b"a\r\nb\0\0c\n", b"d", b"e\nf"]);
        assert_eq!(
            lines,
            [
                b"a".to_vec(),
                b"b".to_vec(),
                b"c".to_vec(),
                b"de".to_vec(),
                b"f".to_vec()
            ]
        );
        assert_eq!(dropped, 0);
    }

    #[test]
    fn an_overlong_line_is_dropped_once_however_it_is_chunked() {
        for chunks in [
            &[&b"0123456789x\nok\n"[..]][..],
            &[b"012345", b"6789x", b"yz", b"\nok\n"],
        ] {
            assert_eq!(split(10, chunks), (vec![b"ok".to_vec()], 1));
        }
        assert_eq!(
            split(10, &[b"0123456789\n"]).1,
            0,
            "a line of exactly the limit is kept"
        );
    }

    #[test]
    fn a_line_end_is_found_at_every_position() {
        for at in 0..200 {
            let mut bytes = vec![b'\t'; 200];
            bytes[at] = b'\n';
            assert_eq!(line_end(&bytes), Some(at));
        }
        assert_eq!(line_end(&[b'\t'; 200]), None);
    }
}
