//! What a file is, read from its content: the name says little, as many a `.json` holds lines and many a `.jsonl` an array.

use super::scan::{MARK, Nesting, blank};
use crate::words::words;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
};

words! {
    /// How elements stand in a file.
    pub enum Shape {
        /// One on each line.
        Lines = "lines",
        /// As the elements of one JSON array.
        Array = "array",
        /// One after the other, each over several lines or several on one.
        Objects = "objects",
    }
}

/// First bytes of files that hold something else, with what they are and what to do.
const OTHERS: &[(&[u8], &str)] = &[
    (
        b"\x1F\x8B",
        "it is compressed: decompress it first, as with gunzip --keep",
    ),
    (
        b"\x28\xB5\x2F\xFD",
        "it is compressed: decompress it first, as with zstd --decompress --keep",
    ),
    (
        b"\xFD7zXZ\0",
        "it is compressed: decompress it first, as with xz --decompress --keep",
    ),
    (
        b"BZh",
        "it is compressed: decompress it first, as with bunzip2 --keep",
    ),
    (
        b"PK\x03\x04",
        "it is a zip archive: unpack it first, as with unzip",
    ),
    (
        b"PAR1",
        "it is a Parquet file: write it as JSON lines first",
    ),
    (
        b"\xFF\xFE",
        "it is UTF-16: convert it first, as with iconv --from-code UTF-16 --to-code UTF-8",
    ),
    (
        b"\xFE\xFF",
        "it is UTF-16: convert it first, as with iconv --from-code UTF-16 --to-code UTF-8",
    ),
];

/// Looks as far as the first element reaches, in bounded memory.
///
/// A file that begins with `[` is one array, except where the bracket closes on its line and something follows: then its
/// lines are arrays themselves. A file that begins with `{` is a row of objects where the first one goes on over its
/// line, or another follows on the line; a first line that is merely broken does not make it one.
pub(super) fn shape(file: &File) -> io::Result<Shape> {
    let mut bytes = Bytes(BufReader::with_capacity(256 << 10, file));
    let head = bytes.0.fill_buf()?;
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, *what));
    }
    if head.starts_with(MARK) {
        bytes.0.consume(MARK.len());
    }
    let Some(first) = bytes.next_filled()?.map(|(byte, _)| byte) else {
        return Ok(Shape::Lines);
    };
    let whole = match first {
        b'[' => Shape::Array,
        b'{' => Shape::Objects,
        _ => return Ok(Shape::Lines),
    };
    let mut nesting = Nesting::default();
    nesting.step(first);
    while let Some(byte) = bytes.next()? {
        if byte == b'\n' && !nesting.string {
            let next = bytes.next_filled()?.map(|(byte, _)| byte);
            let on = next.is_none_or(|next| goes_on(&nesting, next));
            return Ok(if on { whole } else { Shape::Lines });
        }
        // A string over a newline is a broken line.
        if byte == b'\n' {
            return Ok(Shape::Lines);
        }
        nesting.step(byte);
        if nesting.balanced() {
            return Ok(behind(whole, bytes.next_filled()?));
        }
    }
    // It breaks off on its first line.
    Ok(match whole {
        Shape::Array => Shape::Array,
        _ => Shape::Lines,
    })
}

/// What a file is whose first bracket closes on its line, by the byte that follows and whether on another line.
fn behind(whole: Shape, next: Option<(u8, bool)>) -> Shape {
    match (whole, next) {
        (Shape::Array, None) => Shape::Array,
        (Shape::Objects, Some((b'{', false))) => Shape::Objects,
        _ => Shape::Lines,
    }
}

/// Whether a value is written over several lines where the last byte of one and the first of the next are these.
fn goes_on(nesting: &Nesting, next: u8) -> bool {
    let in_object = nesting.top() == Some(b'{');
    match nesting.last {
        b'{' | b',' if in_object => matches!(next, b'"' | b'}'),
        b':' => next != b'{',
        b'[' | b'{' | b',' => true,
        _ => matches!(next, b',' | b'}' | b']' | b':'),
    }
}

struct Bytes<R>(BufReader<R>);

impl<R: Read> Bytes<R> {
    fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.0.fill_buf()?.first().copied();
        self.0.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// The next byte that is no blank, and whether a newline came before it.
    fn next_filled(&mut self) -> io::Result<Option<(u8, bool)>> {
        let mut newline = false;
        while let Some(byte) = self.next()? {
            if !blank(byte) {
                return Ok(Some((byte, newline)));
            }
            newline |= byte == b'\n';
        }
        Ok(None)
    }
}
