//! A condition as tokens, each with its column.

use super::Problem;

/// The longest text of a condition, in bytes.
const LONGEST: usize = 16 << 10;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A bare word or a number.
    Word(String),
    /// A text in quotes.
    Quoted(String),
    /// A name in backticks.
    Name(String),
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `~` or `!~`.
    Sign(&'static str),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// The end.
    End,
}

/// A token and its column, from 1, in characters.
pub type Placed = (Token, usize);

/// Signs, the longer first, and what they mean.
const SIGNS: &[(&str, Token)] = &[
    ("==", Token::Sign("=")),
    ("!=", Token::Sign("!=")),
    ("<>", Token::Sign("!=")),
    ("<=", Token::Sign("<=")),
    (">=", Token::Sign(">=")),
    ("!~", Token::Sign("!~")),
    ("=", Token::Sign("=")),
    ("<", Token::Sign("<")),
    (">", Token::Sign(">")),
    ("~", Token::Sign("~")),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
];

/// Signs that stand for words.
const WORDS: &[(&str, &str)] = &[("&&", "and"), ("||", "or"), ("!", "not")];

/// The tokens of a condition; the last is its end.
pub fn tokens(text: &str) -> Result<Vec<Placed>, Problem> {
    if text.len() > LONGEST {
        let message = format!("it is longer than {LONGEST} bytes");
        return Err(Problem::new(1, message, "a shorter one"));
    }
    let (mut all, mut rest, mut column) = (Vec::new(), text, 1);
    loop {
        let bare = rest.trim_start();
        column += rest[..rest.len() - bare.len()].chars().count();
        rest = bare;
        if rest.is_empty() {
            all.push((Token::End, column));
            return Ok(all);
        }
        let (token, length) = token(rest, column)?;
        all.push((token, column));
        column += rest[..length].chars().count();
        rest = &rest[length..];
    }
}

/// The token that a text begins with, and its bytes.
fn token(text: &str, column: usize) -> Result<(Token, usize), Problem> {
    if let Some((sign, token)) = SIGNS.iter().find(|(sign, _)| text.starts_with(sign)) {
        return Ok((token.clone(), sign.len()));
    }
    if let Some((sign, word)) = WORDS.iter().find(|(sign, _)| text.starts_with(sign)) {
        return Ok((Token::Word((*word).into()), sign.len()));
    }
    let quote = text
        .chars()
        .next()
        .filter(|sign| matches!(sign, '"' | '\'' | '`'));
    if let Some(quote) = quote {
        return quoted(text, quote, column);
    }
    let length = text.find(|sign: char| !is_word(sign)).unwrap_or(text.len());
    if length == 0 {
        let sign = text.chars().next().unwrap_or(' ');
        let message = format!("\"{sign}\" means nothing here");
        return Err(Problem::new(column, message, "a text with it in quotes"));
    }
    Ok((Token::Word(text[..length].into()), length))
}

/// What names, numbers, ids, models, dates and instants are made of.
fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || "_.-+/@:%#".contains(sign)
}

/// A text in quotes; a quote within is doubled.
fn quoted(text: &str, quote: char, column: usize) -> Result<(Token, usize), Problem> {
    let (mut inside, mut at) = (String::new(), 1);
    while let Some(end) = text[at..].find(quote) {
        inside += &text[at..at + end];
        at += end + 1;
        if !text[at..].starts_with(quote) {
            let token = match quote {
                '`' => Token::Name(inside),
                _ => Token::Quoted(inside),
            };
            return Ok((token, at));
        }
        inside.push(quote);
        at += 1;
    }
    let message = "the quote that begins here has no end";
    Err(Problem::new(column, message, format!("another {quote}")))
}
