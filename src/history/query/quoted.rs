//! Names and texts as they are read again.

use super::{
    lexer::{Token, tokens},
    parser::{KEYWORDS, Written, written},
};

/// A text as it is read again as this very text: bare where that is enough, else in these quotes.
pub fn quoted(text: &str, quote: char) -> String {
    let keyword = KEYWORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let alone = tokens(text).is_ok_and(|all| match all.as_slice() {
        [(Token::Word(word), 1), (Token::End, _)] => word == text,
        _ => false,
    });
    if alone && !keyword && matches!(written(text), Written::Text(_)) {
        return text.into();
    }
    format!(
        "{quote}{}{quote}",
        text.replace(quote, &format!("{quote}{quote}"))
    )
}
