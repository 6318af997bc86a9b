//! Strings, blocks and names as the lexer and the parser see them.

use super::{
    lex, parse,
    token::{Kind, Quote},
};
