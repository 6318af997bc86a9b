//! A condition as a tree: `or` below `and` below `not`, parentheses, comparisons, lists, parts of texts.
//!
//! `not` is carried down to the comparisons at once, so that a missing value makes neither a comparison nor its opposite
//! true.

use super::{
    Problem,
    lexer::{Placed, Token, tokens},
};
use std::time::Duration;

/// Words of the language, which mean something else when they are bare.
pub(super) const KEYWORDS: &[&str] = &["and", "or", "not", "in", "like", "is"];

/// How deep parentheses and `not` may nest.
const DEEPEST: usize = 64;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// All of them hold.
    All(Vec<Expr>),
    /// One of them holds.
    Any(Vec<Expr>),
    /// A test of one value.
    Test(Test),
}

/// A test of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Whose value: a field, a metric or a parameter.
    pub name: String,
    /// Where the name stands, from 1.
    pub column: usize,
    /// What is asked of it.
    pub rule: Rule,
    /// Whether the opposite is asked: where the value is there, and the rule does not hold.
    pub negated: bool,
}

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// A comparison.
    Compare(Comparison, Literal),
    /// That it is one of these.
    In(Vec<Literal>),
    /// That it has this part, in small or capital letters.
    Like(Literal),
    /// That it is not there.
    Missing,
}

/// A comparison. Its opposite is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Same,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

/// A value as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// The value.
    pub value: Written,
    /// Where it stands, from 1.
    pub column: usize,
}

/// What a written value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// A number, finite.
    Number(f64),
    /// A span of time: `7d`, `90m`; and how it is written.
    Span(Duration, String),
    /// A word, quoted or bare.
    Text(String),
}

impl Expr {
    /// Reads a condition.
    ///
    /// # Errors
    /// Where it goes wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Expr, Problem> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens, at: 0 };
        let expr = parser.any(false, 0)?;
        match parser.peek() {
            Token::End => Ok(expr),
            Token::Close => Err(parser.wrong(
                "this parenthesis closes nothing",
                "one that opens before it",
            )),
            _ => Err(parser.wrong(
                "a condition ends before this",
                "and, or, or the end, before it",
            )),
        }
    }

    /// Every test in it, from left to right.
    pub fn tests(&self) -> Vec<&Test> {
        match self {
            Expr::All(parts) | Expr::Any(parts) => parts.iter().flat_map(Expr::tests).collect(),
            Expr::Test(test) => vec![test],
        }
    }
}

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn column(&self) -> usize {
        self.tokens[self.at].1
    }

    /// Takes a token; the end stays where it is.
    fn next(&mut self) -> Placed {
        let taken = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        taken
    }

    fn wrong(&self, message: impl Into<String>, right: impl Into<String>) -> Problem {
        Problem::new(self.column(), message, right)
    }

    /// Takes a word of the language, if it is the next; in small or capital letters.
    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(next) if next.eq_ignore_ascii_case(word));
        if found {
            self.next();
        }
        found
    }

    fn any(&mut self, negated: bool, depth: usize) -> Result<Expr, Problem> {
        let mut parts = vec![self.all(negated, depth)?];
        while self.word("or") {
            parts.push(self.all(negated, depth)?);
        }
        Ok(joined(parts, if negated { Expr::All } else { Expr::Any }))
    }

    fn all(&mut self, negated: bool, depth: usize) -> Result<Expr, Problem> {
        let mut parts = vec![self.one(negated, depth)?];
        while self.word("and") {
            parts.push(self.one(negated, depth)?);
        }
        Ok(joined(parts, if negated { Expr::Any } else { Expr::All }))
    }

    fn one(&mut self, negated: bool, depth: usize) -> Result<Expr, Problem> {
        if depth > DEEPEST {
            let message = format!("it nests deeper than {DEEPEST}");
            return Err(self.wrong(message, "fewer parentheses"));
        }
        if self.word("not") {
            return self.one(!negated, depth + 1);
        }
        if *self.peek() != Token::Open {
            return self.test(negated).map(Expr::Test);
        }
        let opened = self.next().1;
        let inside = self.any(negated, depth + 1)?;
        match self.peek() {
            Token::Close => {
                self.next();
                Ok(inside)
            }
            Token::End => Err(Problem::new(
                opened,
                "the parenthesis that opens here is not closed",
                "one that closes",
            )),
            _ => Err(self.wrong("a condition ends before this", "and, or, or ) before it")),
        }
    }

    fn test(&mut self, negated: bool) -> Result<Test, Problem> {
        let (name, column) = self.name()?;
        let inverse = self.word("not");
        if inverse && !self.follows(&["in", "like"]) {
            return Err(self.wrong("not stands before in or like here", "not in, not like"));
        }
        let (rule, opposite) = self.rule(&name)?;
        Ok(Test {
            name,
            column,
            rule,
            negated: negated ^ inverse ^ opposite,
        })
    }

    fn follows(&self, words: &[&str]) -> bool {
        matches!(self.peek(), Token::Word(next) if words.iter().any(|word| next.eq_ignore_ascii_case(word)))
    }

    fn name(&mut self) -> Result<(String, usize), Problem> {
        let number = |word: &str| matches!(written(word), Written::Number(_) | Written::Span(..));
        match self.peek().clone() {
            Token::Word(word) if number(&word) => {
                let message = format!("{word} is a value, and a comparison begins with a name");
                Err(self.wrong(message, format!("r >= {word}")))
            }
            Token::Word(_) if self.follows(&["and", "or", "in", "like", "is"]) => {
                Err(self.wrong("a name is missing before this", "r >= 16"))
            }
            Token::Word(name) | Token::Name(name) => Ok((name, self.next().1)),
            Token::End => Err(self.wrong("a condition is missing here", "r >= 16")),
            Token::Quoted(text) => {
                let right = format!("`{text}` with backticks, if it is a name");
                Err(self.wrong("this is a text, and a comparison begins with a name", right))
            }
            _ => Err(self.wrong("a name is missing before this", "r >= 16")),
        }
    }

    /// The rule behind a name, and whether its opposite is meant.
    fn rule(&mut self, name: &str) -> Result<(Rule, bool), Problem> {
        if self.word("in") {
            return Ok((Rule::In(self.list()?), false));
        }
        if self.word("like") {
            return Ok((Rule::Like(self.literal()?), false));
        }
        if self.word("is") {
            let opposite = self.word("not");
            if self.word("missing") || self.word("null") {
                return Ok((Rule::Missing, opposite));
            }
            return Err(self.wrong("is stands before missing", "is missing, is not missing"));
        }
        let Token::Sign(sign) = *self.peek() else {
            let message = format!("a comparison is missing behind {name}");
            return Err(self.wrong(message, "= != < <= > >= ~ in (...) or is missing"));
        };
        self.next();
        let literal = self.literal()?;
        Ok(match sign {
            "~" => (Rule::Like(literal), false),
            "!~" => (Rule::Like(literal), true),
            "!=" => (Rule::Compare(Comparison::Same, literal), true),
            "<" => (Rule::Compare(Comparison::Below, literal), false),
            "<=" => (Rule::Compare(Comparison::AtMost, literal), false),
            ">" => (Rule::Compare(Comparison::Above, literal), false),
            ">=" => (Rule::Compare(Comparison::AtLeast, literal), false),
            _ => (Rule::Compare(Comparison::Same, literal), false),
        })
    }

    fn list(&mut self) -> Result<Vec<Literal>, Problem> {
        if *self.peek() != Token::Open {
            return Err(self.wrong("a list stands in parentheses", "in (8, 16)"));
        }
        self.next();
        let mut all = vec![self.literal()?];
        loop {
            match self.peek() {
                Token::Comma => {
                    self.next();
                    all.push(self.literal()?);
                }
                Token::Close => {
                    self.next();
                    return Ok(all);
                }
                _ => return Err(self.wrong("a list goes on with , or ends with )", "in (8, 16)")),
            }
        }
    }

    fn literal(&mut self) -> Result<Literal, Problem> {
        let column = self.column();
        let value = match self.peek().clone() {
            Token::Quoted(text) => Written::Text(text),
            Token::Word(_) if self.follows(KEYWORDS) => {
                return Err(self.wrong(
                    "a value is missing before this",
                    "the value, in quotes if it is this word",
                ));
            }
            Token::Word(word) => written(&word),
            _ => return Err(self.wrong("a value is missing here", "a number or a word")),
        };
        self.next();
        Ok(Literal { value, column })
    }
}

/// Several parts as one; one part is itself.
fn joined(mut parts: Vec<Expr>, join: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(parts)
        }
        None => join(parts),
    }
}

/// What a bare word is.
pub(super) fn written(word: &str) -> Written {
    let begins = |sign: char| sign.is_ascii_digit() || "+-.".contains(sign);
    if !word.starts_with(begins) {
        return Written::Text(word.into());
    }
    if let Some(number) = word.parse().ok().filter(|number: &f64| number.is_finite()) {
        return Written::Number(number);
    }
    let unit = word.ends_with(['s', 'm', 'h', 'd', 'w']);
    match crate::time::parse_duration(word).ok().filter(|_| unit) {
        Some(span) => Written::Span(span, word.into()),
        None => Written::Text(word.into()),
    }
}
