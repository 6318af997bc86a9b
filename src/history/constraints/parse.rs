//! Constraints as persons write them: `learning_rate <= 0.01`, `batch_size < 16 or max_seq_length < 4096`,
//! `optimizer not in (lion, sgd)`, `not (r >= 64 and batch_size >= 8)`.

use super::{ANY, Bound, Constraint, Origin, Strength, id_of};
use crate::{
    history::query::{
        Expr, Problem,
        parser::{Comparison, Literal, Rule, Test, Written},
    },
    parameters::Value,
    time::Timestamp,
};

/// Whole numbers up to here are exact as numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads what is allowed; the constraint is a person's, hard, and never expires.
///
/// # Errors
/// Where it goes wrong, and what would be right; two constraints in one; a bound that allows nothing.
pub fn parse(text: &str, scope: &str, now: Timestamp) -> Result<Constraint, Problem> {
    let expr = Expr::parse(text)?;
    let parts = match &expr {
        Expr::Any(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut bounds: Vec<Bound> = parts.iter().map(bound).collect::<Result<_, Problem>>()?;
    bounds.sort_by(|a, b| a.parameter.cmp(&b.parameter));
    let mut names: Vec<&str> = bounds
        .iter()
        .map(|bound| bound.parameter.as_str())
        .collect();
    names.dedup();
    if names.len() < bounds.len() {
        let message = "one parameter stands on both sides of or";
        return Err(Problem::new(1, message, "one bound of each parameter"));
    }
    let whose = if scope == ANY {
        String::new()
    } else {
        format!(" for {scope}")
    };
    Ok(Constraint {
        id: id_of(scope, None, &bounds),
        scope: scope.into(),
        strength: Strength::Hard,
        cause: None,
        evidence: Vec::new(),
        counter_evidence: 0,
        confidence: 0.0,
        learned_at: now,
        expires_at: None,
        origin: Origin::Person,
        pinned: false,
        reason: format!("a person wrote it{whose}"),
        bounds,
    })
}

/// One alternative: tests of one parameter.
fn bound(expr: &Expr) -> Result<Bound, Problem> {
    let tests = match expr {
        Expr::Test(test) => vec![test],
        Expr::All(parts) => {
            let plain = |part: &Expr| matches!(part, Expr::Test(_));
            if !parts.iter().all(plain) {
                return Err(nested(expr));
            }
            expr.tests()
        }
        Expr::Any(_) => return Err(nested(expr)),
    };
    let name = plain(&tests[0].name);
    let mut bound = Bound {
        parameter: name.into(),
        ..Bound::default()
    };
    for test in &tests {
        if plain(&test.name) != name {
            let message = format!("{name} and {} are two constraints", test.name);
            return Err(Problem::new(
                test.column,
                message,
                "each by itself, or \"or\" between them",
            ));
        }
        take(&mut bound, test)?;
    }
    let empty = match (bound.low, bound.high) {
        (Some(low), Some(high)) => low > high || (low == high && bound.open),
        _ => false,
    };
    if empty {
        let message = format!("{bound} allows nothing");
        return Err(Problem::new(
            tests[0].column,
            message,
            "a low end below the high end",
        ));
    }
    Ok(bound)
}

fn nested(expr: &Expr) -> Problem {
    let column = expr.tests().first().map_or(1, |test| test.column);
    Problem::new(
        column,
        "a constraint is bounds with or between them",
        "batch_size < 16 or max_seq_length < 4096",
    )
}

/// The name of a parameter, without the word that tells it from a metric.
fn plain(name: &str) -> &str {
    name.strip_prefix("config.").unwrap_or(name)
}

/// Adds a test to a bound.
fn take(bound: &mut Bound, test: &Test) -> Result<(), Problem> {
    let values = match (&test.rule, test.negated) {
        (Rule::Compare(Comparison::Same, literal), _) => vec![value(literal)],
        (Rule::In(all), _) => all.iter().map(value).collect(),
        (Rule::Compare(comparison, literal), negated) => {
            return end(bound, opposite(*comparison, negated), literal);
        }
        (Rule::Like(_) | Rule::Missing, _) => {
            let message = "a constraint bounds a number or names values";
            return Err(Problem::new(
                test.column,
                message,
                "< <= > >= = != or in (...)",
            ));
        }
    };
    if test.negated {
        bound.not.extend(values);
    } else if bound.only.is_empty() {
        bound.only = values;
    } else {
        let message = "its values are named already";
        return Err(Problem::new(test.column, message, "one list: in (a, b)"));
    }
    Ok(())
}

fn opposite(comparison: Comparison, negated: bool) -> Comparison {
    match (comparison, negated) {
        (Comparison::Below, true) => Comparison::AtLeast,
        (Comparison::AtMost, true) => Comparison::Above,
        (Comparison::Above, true) => Comparison::AtMost,
        (Comparison::AtLeast, true) => Comparison::Below,
        (same, _) => same,
    }
}

fn end(bound: &mut Bound, comparison: Comparison, literal: &Literal) -> Result<(), Problem> {
    let Written::Number(number) = literal.value else {
        let message = "an end is a number";
        return Err(Problem::new(
            literal.column,
            message,
            "a number such as 0.01",
        ));
    };
    let open = matches!(comparison, Comparison::Below | Comparison::Above);
    if (bound.low.is_some() || bound.high.is_some()) && bound.open != open {
        let message = "one end is allowed itself and the other is not";
        return Err(Problem::new(
            literal.column,
            message,
            "< and >, or <= and >=",
        ));
    }
    bound.open = open;
    let low = matches!(comparison, Comparison::Above | Comparison::AtLeast);
    let end = if low { &mut bound.low } else { &mut bound.high };
    if end.is_some() {
        let message = "this end is given already";
        return Err(Problem::new(
            literal.column,
            message,
            "one low and one high end",
        ));
    }
    *end = Some(number);
    Ok(())
}

fn value(literal: &Literal) -> Value {
    match &literal.value {
        Written::Number(number) if number.fract() == 0.0 && number.abs() < EXACT => {
            Value::Whole(*number as i64)
        }
        Written::Number(number) => Value::Number(*number),
        Written::Span(_, text) => Value::Text(text.clone()),
        Written::Text(text) => match text.as_str() {
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            _ => Value::Text(text.clone()),
        },
    }
}
