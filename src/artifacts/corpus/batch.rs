//! Blocks of whole elements, the unit of work: one allocation holds many rows, and a row is never copied to be parsed.

use super::{
    Fault, Item, Limits, Place, Source, Tally, What, named,
    row::{self, excerpt},
    scan::{MARK, Scan, Span},
};
use std::{
    fs::File,
    io::{self, Read},
};

/// How much of an element is shown, in bytes.
pub(super) const EXCERPT: usize = 200;

/// Whole elements of one file with their bytes.
#[derive(Debug)]
pub(super) struct Batch {
    pub file: u32,
    pub blank: u64,
    bytes: Vec<u8>,
    /// Where `bytes` begin in the file.
    base: u64,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    span: Span,
    /// The first bytes of one that is too long.
    long: Option<Vec<u8>>,
}

impl Batch {
    /// The elements, each parsed when it is asked for.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        self.pieces.iter().map(|piece| self.item(piece))
    }

    /// The same, with the block.
    pub fn into_items(self) -> impl Iterator<Item = Item> {
        (0..self.pieces.len()).map(move |at| self.item(&self.pieces[at]))
    }

    fn item(&self, Piece { span, long }: &Piece) -> Item {
        let length = span.end - span.start;
        let at = Place {
            file: self.file,
            offset: span.start,
            len: u32::try_from(length).unwrap_or(u32::MAX),
            line: span.line,
        };
        let what = match long {
            Some(head) => What::Invalid {
                reason: Fault::LineTooLong,
                why: format!("it is {length} bytes long, more than a row may be"),
                excerpt: excerpt(head),
            },
            None => row::read(within(&self.bytes, self.base, span), span),
        };
        Item { at, what }
    }
}

impl Tally {
    /// Counts an element.
    pub(super) fn count(&mut self, what: &What) {
        match what {
            What::Row(_) => self.rows += 1,
            What::Invalid { reason, why, .. } => {
                self.torn += u64::from(why.starts_with("torn"));
                *match reason {
                    Fault::InvalidJson => &mut self.invalid_json,
                    Fault::InvalidUtf8 => &mut self.invalid_utf8,
                    Fault::LineTooLong => &mut self.too_long,
                } += 1;
            }
        }
    }
}

/// The bytes of a span in `bytes`, which begin at `base`.
fn within<'a>(bytes: &'a [u8], base: u64, span: &Span) -> &'a [u8] {
    &bytes[(span.start - base) as usize..(span.end - base) as usize]
}

/// The blocks of a file.
#[derive(Debug)]
pub(super) struct Batches<'a> {
    source: &'a Source,
    index: u32,
    limits: Limits,
    file: File,
    scan: Scan,
    /// How far the file was read.
    at: u64,
    /// Bytes before `at` that are still needed.
    kept: Vec<u8>,
    /// First bytes of the current element, once it is too long to be kept.
    long: Option<Vec<u8>>,
    over: bool,
}

impl<'a> Batches<'a> {
    pub fn open(source: &'a Source, index: u32, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            source,
            index,
            limits,
            file: source.open()?,
            scan: Scan::new(source.shape),
            at: 0,
            kept: Vec::new(),
            long: None,
            over: false,
        })
    }

    /// Reads on until an element ends.
    fn read(&mut self) -> io::Result<Option<Batch>> {
        let mut spans = Vec::new();
        while spans.is_empty() && !self.over {
            let before = self.kept.len();
            let wanted = u64::from(self.limits.block.max(1)).min(self.source.length - self.at);
            let read = (&mut self.file)
                .take(wanted)
                .read_to_end(&mut self.kept)
                .map_err(|error| named(&error, &self.source.path))?;
            self.scan.scan(&self.kept[before..], self.at, &mut spans);
            self.at += read as u64;
            if read == 0 {
                self.source.unchanged(&self.file.metadata()?)?;
                self.scan.end(self.at, &mut spans);
                self.over = true;
            }
            if spans.is_empty() {
                self.let_go();
            }
        }
        if spans.is_empty() {
            return Ok(None);
        }
        let batch = self.cut(spans);
        self.let_go();
        Ok(Some(batch))
    }

    /// Where `kept` begins in the file.
    fn base(&self) -> u64 {
        self.at - self.kept.len() as u64
    }

    /// Gives up the bytes of an element that is too long already, and those that belong to none.
    fn let_go(&mut self) {
        let Some(start) = self.scan.open().filter(|_| !self.over) else {
            return self.kept.clear();
        };
        if self.long.is_some() {
            self.kept.clear();
        } else if self.at - start > u64::from(self.limits.longest) + MARK.len() as u64 {
            let from = (start - self.base()) as usize;
            self.long = Some(head(&self.kept[from..]));
            self.kept = Vec::new();
        }
    }

    /// Makes a block of the elements that ended, and keeps what began since.
    fn cut(&mut self, spans: Vec<Span>) -> Batch {
        let base = self.base();
        let rest = self.scan.open().filter(|_| !self.over).unwrap_or(self.at);
        let tail = self.kept.split_off((rest.max(base) - base) as usize);
        let bytes = std::mem::replace(&mut self.kept, tail);
        let (mut pieces, mut blank) = (Vec::with_capacity(spans.len()), 0);
        for span in spans {
            // Only the first of them can have been given up.
            if let Some(head) = self.long.take() {
                let long = Some(head);
                pieces.push(Piece { span, long });
                continue;
            }
            match trimmed(&bytes, base, span) {
                None => blank += 1,
                Some(span) => pieces.push(Piece {
                    span,
                    long: (span.end - span.start > u64::from(self.limits.longest))
                        .then(|| head(within(&bytes, base, &span))),
                }),
            }
        }
        Batch {
            file: self.index,
            blank,
            bytes,
            base,
            pieces,
        }
    }
}

fn head(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(EXCERPT)].to_vec()
}

/// A span without blanks around it and without a mark before it; none where nothing is left of a line.
fn trimmed(bytes: &[u8], base: u64, mut span: Span) -> Option<Span> {
    let mut text = within(bytes, base, &span);
    if text.is_empty() && span.torn {
        // The end of an array that is missing has no bytes.
        return Some(span);
    }
    text = text.trim_ascii_end();
    span.end = span.start + text.len() as u64;
    text = text.strip_prefix(MARK).unwrap_or(text).trim_ascii_start();
    span.start = span.end - text.len() as u64;
    (!text.is_empty()).then_some(span)
}

impl Iterator for Batches<'_> {
    type Item = io::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
