//! Conditions made ready for one history: each name looked up, each word found once.

use super::{
    Problem, Query,
    columns::{Column, Columns, SHORT},
    names::near,
    parser::{Comparison, Expr, Literal, Rule, Test, Written},
};
use crate::{
    history::{FailureCause, Status},
    time::Timestamp,
};

/// A condition over columns.
pub enum Ready<'a> {
    /// All of them hold.
    All(Vec<Ready<'a>>),
    /// One of them holds.
    Any(Vec<Ready<'a>>),
    /// A test.
    Test(Tested<'a>),
}

/// A test of a column.
pub struct Tested<'a> {
    column: &'a Column,
    numbers: Numbers,
    /// Which words pass, by their number less one.
    words: Vec<bool>,
    /// Whether it asks for rows without a value.
    missing: bool,
}

/// What a number must be.
enum Numbers {
    /// None passes.
    None,
    /// Every one passes.
    Every,
    /// Compared with one; or the opposite.
    Compare(Comparison, f64, bool),
    /// One of these; or the opposite.
    In(Vec<f64>, bool),
}

impl Numbers {
    fn pass(&self, number: f64) -> bool {
        match self {
            Numbers::None => false,
            Numbers::Every => true,
            Numbers::Compare(comparison, bound, negated) => {
                comparison.holds(number, *bound) != *negated
            }
            Numbers::In(all, negated) => all.contains(&number) != *negated,
        }
    }
}

impl Comparison {
    /// Whether it holds between two numbers.
    pub fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Comparison::Same => number == bound,
            Comparison::Below => number < bound,
            Comparison::AtMost => number <= bound,
            Comparison::Above => number > bound,
            Comparison::AtLeast => number >= bound,
        }
    }
}

impl Ready<'_> {
    /// Which rows pass.
    pub fn rows(&self, rows: usize) -> Vec<bool> {
        match self {
            Ready::All(parts) => folded(parts, rows, true, |a, b| a && b),
            Ready::Any(parts) => folded(parts, rows, false, |a, b| a || b),
            Ready::Test(test) => test.rows(rows),
        }
    }
}

fn folded(
    parts: &[Ready<'_>],
    rows: usize,
    none: bool,
    join: impl Fn(bool, bool) -> bool,
) -> Vec<bool> {
    let mut all = vec![none; rows];
    for part in parts {
        for (so_far, now) in all.iter_mut().zip(part.rows(rows)) {
            *so_far = join(*so_far, now);
        }
    }
    all
}

impl Tested<'_> {
    fn rows(&self, rows: usize) -> Vec<bool> {
        let mut pass = vec![self.missing; rows];
        for (pass, number) in pass.iter_mut().zip(&self.column.numbers) {
            if !number.is_nan() {
                *pass = self.numbers.pass(*number);
            }
        }
        for (pass, code) in pass.iter_mut().zip(&self.column.codes) {
            if *code > 0 {
                // A text that reads as a number may pass as either.
                *pass = self.words[*code as usize - 1] || (*pass && !self.missing);
            }
        }
        pass
    }
}

/// A column by its name, and the field that it is.
pub fn column<'a>(
    columns: &'a Columns,
    name: &str,
    fault: impl Fn(String, String) -> Problem,
) -> Result<(Option<&'a Column>, Option<&'static str>), Problem> {
    let short = SHORT.iter().find(|(other, _)| *other == name);
    let field = short.map_or(name, |(_, field)| field);
    if let Some((field, column)) = columns.fields.get_key_value(field) {
        return Ok((Some(column), Some(*field)));
    }
    let of = |prefix: &str| name.strip_prefix(prefix);
    let (metric, setting) = match (of("metrics."), of("config.")) {
        (Some(metric), _) if !columns.config.contains_key(name) => {
            (columns.metrics.get(metric), None)
        }
        (_, Some(setting)) if !columns.metrics.contains_key(name) => {
            (None, columns.config.get(setting))
        }
        _ => (columns.metrics.get(name), columns.config.get(name)),
    };
    match (metric, setting) {
        (Some(_), Some(_)) => Err(fault(
            format!("{name} is a metric and a parameter"),
            format!("metrics.{name} or config.{name}"),
        )),
        (Some(found), None) | (None, Some(found)) => Ok((Some(found), None)),
        // A history without experiments knows no names: there is nothing that could be misspelt.
        (None, None) if columns.rows == 0 => Ok((None, None)),
        (None, None) => Err(fault(
            format!("no run has a metric or a parameter \"{name}\""),
            near(name, columns.names()),
        )),
    }
}

/// A condition ready for these columns.
///
/// # Errors
/// A name that no experiment has, a comparison that can never hold.
pub fn ready<'a>(
    expr: &Expr,
    columns: &'a Columns,
    query: &Query,
    empty: &'a Column,
) -> Result<Ready<'a>, Problem> {
    let all = |parts: &[Expr]| -> Result<Vec<Ready<'a>>, Problem> {
        parts
            .iter()
            .map(|part| ready(part, columns, query, empty))
            .collect()
    };
    Ok(match expr {
        Expr::All(parts) => Ready::All(all(parts)?),
        Expr::Any(parts) => Ready::Any(all(parts)?),
        Expr::Test(test) => Ready::Test(tested(test, columns, query, empty)?),
    })
}

fn tested<'a>(
    test: &Test,
    columns: &'a Columns,
    query: &Query,
    empty: &'a Column,
) -> Result<Tested<'a>, Problem> {
    let fault = |message, right| Problem::new(test.column, message, right);
    let (found, field) = column(columns, &test.name, fault)?;
    let asked = Asked {
        test,
        column: found.unwrap_or(empty),
        known: found.is_some(),
        field,
        now: query.now,
    };
    asked.ready()
}

/// A test and what its name turned out to be.
struct Asked<'a, 't> {
    test: &'t Test,
    column: &'a Column,
    known: bool,
    field: Option<&'static str>,
    now: Timestamp,
}

impl<'a> Asked<'a, '_> {
    fn ready(&self) -> Result<Tested<'a>, Problem> {
        let negated = self.test.negated;
        let words = |pass: &dyn Fn(&str) -> bool| -> Vec<bool> {
            let words = self.column.words.iter();
            words.map(|word| pass(word) != negated).collect()
        };
        let (numbers, words, missing) = match &self.test.rule {
            Rule::Missing if negated => (Numbers::Every, words(&|_| false), false),
            Rule::Missing => (Numbers::None, words(&|_| false), true),
            Rule::Like(part) => {
                let part = self.part(part)?.to_lowercase();
                let pass = |word: &str| word.to_lowercase().contains(&part);
                (Numbers::None, words(&pass), false)
            }
            Rule::In(all) => {
                let all: Result<Vec<Meant>, Problem> = all
                    .iter()
                    .map(|one| self.meant(one, Comparison::Same))
                    .collect();
                let all = all?;
                let numbers = all.iter().filter_map(|one| one.number).collect();
                let pass = |word: &str| all.iter().any(|one| one.is(word));
                (Numbers::In(numbers, negated), words(&pass), false)
            }
            Rule::Compare(comparison, literal) => {
                let meant = self.meant(literal, *comparison)?;
                let numbers = match meant.number {
                    Some(number) => Numbers::Compare(*comparison, number, negated),
                    // A number is never a word.
                    None if negated => Numbers::Every,
                    None => Numbers::None,
                };
                // Words have no order: whatever is asked about one, they do not pass.
                let words = match comparison {
                    Comparison::Same => words(&|word| meant.is(word)),
                    _ => vec![false; self.column.words.len()],
                };
                (numbers, words, false)
            }
        };
        Ok(Tested {
            column: self.column,
            numbers,
            words,
            missing,
        })
    }

    fn name(&self) -> &str {
        &self.test.name
    }

    /// The part of a text that is asked for.
    fn part(&self, literal: &Literal) -> Result<String, Problem> {
        let wrong =
            |message: String, right: &str| Err(Problem::new(literal.column, message, right));
        let part = match &literal.value {
            Written::Text(text) | Written::Span(_, text) => text.clone(),
            Written::Number(number) => number.to_string(),
        };
        if part.contains('%') {
            return wrong(
                "like looks for a part of the text".into(),
                "the part without %",
            );
        }
        if self.known && self.column.words.is_empty() && !self.column.numbers.is_empty() {
            let message = format!("{} is a number, and has no parts", self.name());
            return wrong(message, "= != < <= > or >=");
        }
        Ok(part)
    }

    /// What a literal means for this column.
    fn meant(&self, literal: &Literal, comparison: Comparison) -> Result<Meant, Problem> {
        let wrong = |message: String, right: String| Problem::new(literal.column, message, right);
        let name = self.name();
        let (number, text) = match (&literal.value, self.field) {
            (Written::Number(number), _) => (Some(*number), number.to_string()),
            (Written::Span(span, text), field) => {
                let seconds = span.as_secs_f64();
                let ago = self.now.0 as f64 - seconds * 1e3;
                match field {
                    Some("ended_at") => (Some(ago), text.clone()),
                    Some("gpu_hours") => (Some(seconds / 3_600.0), text.clone()),
                    _ if name.ends_with("seconds") => (Some(seconds), text.clone()),
                    _ => (None, text.clone()),
                }
            }
            (Written::Text(text), Some("ended_at")) => match instant(text) {
                Some(at) => (Some(at.0 as f64), text.clone()),
                None => {
                    let message = format!("\"{text}\" is no instant");
                    let right = "7d for seven days ago, 2026-03-02 or 2026-03-02T09:14:02Z";
                    return Err(wrong(message, right.into()));
                }
            },
            (Written::Text(text), _) => (None, text.clone()),
        };
        let closed: Option<Vec<&str>> = match self.field {
            Some("status") => Some(Status::ALL.iter().map(|word| word.name()).collect()),
            Some("cause") => Some(FailureCause::ALL.iter().map(|word| word.name()).collect()),
            _ => None,
        };
        if let Some(words) = closed.filter(|words| !words.contains(&text.as_str())) {
            let message = format!("{name} is never \"{text}\"");
            return Err(wrong(message, words.join(", ")));
        }
        let (numbers, words) = (&self.column.numbers, &self.column.words);
        if self.known && number.is_none() && words.is_empty() && !numbers.is_empty() {
            let message = format!("{name} is a number, and \"{text}\" is none");
            return Err(wrong(message, format!("{name} >= 1")));
        }
        let ordered = comparison != Comparison::Same;
        if self.known && ordered && (number.is_none() || (numbers.is_empty() && !words.is_empty()))
        {
            let message = format!("{name} is a word, and words have no order");
            return Err(wrong(message, "= != ~ or in (...)".into()));
        }
        Ok(Meant { number, text })
    }
}

/// A literal as a number, where it is one, and as a text.
struct Meant {
    number: Option<f64>,
    text: String,
}

impl Meant {
    fn is(&self, word: &str) -> bool {
        match self.number {
            // Texts that read as numbers are compared as numbers.
            Some(number) => word.parse() == Ok(number),
            None => self.text == word,
        }
    }
}

/// `2026-03-02`, `2026-03-02T09:14:02Z`.
fn instant(text: &str) -> Option<Timestamp> {
    let whole = humantime::parse_rfc3339_weak(text);
    let day = || humantime::parse_rfc3339_weak(&format!("{text} 00:00:00"));
    whole.or_else(|_| day()).ok().map(Timestamp::from)
}
