//! What the text is made of: a flat list of tokens in which every opening knows its closing.

#[cfg(test)]
thread_local! {
    /// Looks at tokens: what the work of parser and rules is measured by, in tests that must not depend on a clock.
    pub static LOOKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts looks at tokens in tests, and is nothing otherwise.
#[inline]
pub(super) fn look(_count: u64) {
    #[cfg(test)]
    LOOKS.set(LOOKS.get() + _count);
}

/// How a string is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// `'..'`: no interpolation.
    Single,
    /// `".."`.
    Double,
    /// `'''..'''`: no interpolation, many lines.
    TripleSingle,
    /// `"""..."""`.
    TripleDouble,
    /// `/../` and `$/../$`: read as a whole.
    Slashy,
}

impl Quote {
    /// Bytes of the mark at either end.
    pub fn width(self) -> usize {
        match self {
            Quote::TripleSingle | Quote::TripleDouble => 3,
            Quote::Single | Quote::Double | Quote::Slashy => 1,
        }
    }

    /// The mark itself.
    pub fn byte(self) -> u8 {
        match self {
            Quote::Single | Quote::TripleSingle => b'\'',
            Quote::Double | Quote::TripleDouble => b'"',
            Quote::Slashy => b'/',
        }
    }

    /// Whether a line break ends no string of this kind.
    pub fn many_lines(self) -> bool {
        self.width() == 3
    }
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or keyword.
    Word,
    /// A number, with its unit if one is glued on by a dot (`8.GB` is a number, a dot and a word).
    Number,
    /// A whole string without interpolation, quotes included.
    Text(Quote),
    /// The opening mark of a string with interpolation.
    Quoted(Quote),
    /// Plain characters inside such a string.
    Literal,
    /// `$name.property` inside a string, dollar included.
    Name,
    /// `${` inside a string.
    Interp,
    /// What only a shell reads: a bare `$`, or `${name:-x}` up to its brace.
    Shell,
    /// `{`
    Brace,
    /// `(`
    Paren,
    /// `[`
    Bracket,
    /// Whatever closes one of the openings.
    Close,
    /// `=`
    Assign,
    /// `==`, `!=`, `=~`, `<=` ...
    Compare,
    /// `->`
    Arrow,
    /// `.`, `?.`, `*.`, `.&`, `::`
    Dot,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// `;`
    Semicolon,
    /// `?`
    Question,
    /// `?:`
    Elvis,
    /// `|`
    Pipe,
    /// `&`
    Amp,
    /// `||` and `&&`
    Logic,
    /// Any other sign.
    Sign,
}

impl Kind {
    /// Whether a closing belongs to it.
    pub fn opens(self) -> bool {
        use Kind::{Brace, Bracket, Interp, Paren, Quoted};
        matches!(self, Brace | Bracket | Interp | Paren | Quoted(_))
    }
}

/// One piece of the text.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Whether it is the first on its line.
    pub first: bool,
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
    /// Its closing or opening; itself where there is none.
    pub mate: u32,
}

/// Tokens from one index up to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: usize,
    /// The one after the last.
    pub to: usize,
}

impl Span {
    /// Whether an index is inside.
    pub fn holds(self, at: usize) -> bool {
        self.from <= at && at < self.to
    }

    /// Its indices.
    pub fn indices(self) -> std::ops::Range<usize> {
        self.from..self.to
    }
}
