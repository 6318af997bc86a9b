//! What each variable does to a metric: an additive model of all variables at once, by least squares, so that the effect of one
//! is not that of another that happened to go with it.
//!
//! A choice has a number for each of its values, against the baseline's; a range has a slope, by factors of ten where it is
//! spaced by factors. Intervals are Student's t with the residual error; what varies beside the model, interactions among it,
//! widens them. With no run more than there are numbers there is no interval, and nothing is shown.

use crate::{
    evaluation::student_t,
    experiment::plan::Variable,
    parameters::{Assignment, Domain, Value},
};
use serde::Serialize;

/// How sure intervals are.
pub const CONFIDENCE: f64 = 0.95;
/// A column that others make up to this share of itself says nothing of its own.
const ALIASED: f64 = 1e-9;

/// All effects.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Effects {
    /// Runs behind them.
    pub runs: usize,
    /// Degrees of freedom that are left for the error.
    pub freedom: usize,
    /// Standard deviation of what the model does not say.
    pub residual: Option<f64>,
    /// One for each value against the baseline's, or for each slope.
    pub effects: Vec<Effect>,
    /// Why there is nothing, or no interval.
    pub why: Vec<String>,
}

/// One effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// The variable.
    pub variable: String,
    /// Of which value; none: a slope.
    pub value: Option<Value>,
    /// Against which; of a slope by what: `factor 10`, `1`.
    pub against: String,
    /// Runs with that value; of a slope all.
    pub runs: usize,
    /// Their mean as it was measured.
    pub mean: Option<f64>,
    /// By how much the metric changes, other variables being the same; none where it cannot be told apart.
    pub estimate: Option<f64>,
    /// Its interval.
    pub interval: Option<(f64, f64)>,
}

impl Effect {
    /// Whether its interval leaves out 0.
    pub fn shown(&self) -> bool {
        self.interval
            .is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }
}

/// A column of the model, with the effect that it is.
struct Column {
    effect: Effect,
    cells: Vec<f64>,
    /// What its number is to be divided by.
    scale: f64,
}

/// The effects on what was measured of some runs; `reference` has the values that others are against.
pub fn effects(
    variables: &[Variable],
    seen: &[(&Assignment, f64)],
    reference: Option<&Assignment>,
) -> Effects {
    let mut found = Effects {
        runs: seen.len(),
        ..Effects::default()
    };
    let mut columns = Vec::new();
    for variable in variables {
        match variable.domain {
            Domain::Choice(_) => columns.extend(levels(variable, seen, reference, &mut found.why)),
            Domain::Range { log, .. } => columns.extend(slope(variable, seen, log, &mut found.why)),
        }
    }
    if columns.is_empty() {
        return found;
    }
    let kept = independent(&mut columns, seen.len(), &mut found.why);
    fit(&mut found, &mut columns, &kept, seen);
    found.effects = columns.into_iter().map(|column| column.effect).collect();
    found
}

fn levels(
    variable: &Variable,
    seen: &[(&Assignment, f64)],
    reference: Option<&Assignment>,
    why: &mut Vec<String>,
) -> Vec<Column> {
    let name = &variable.name;
    let mut values: Vec<&Value> = Vec::new();
    for value in seen.iter().filter_map(|(run, _)| run.get(name)) {
        if !values.iter().any(|other| other.same(value)) {
            values.push(value);
        }
    }
    values.sort_by(|a, b| {
        let (x, y) = (
            a.number().unwrap_or(f64::INFINITY),
            b.number().unwrap_or(f64::INFINITY),
        );
        x.total_cmp(&y)
            .then_with(|| a.to_string().cmp(&b.to_string()))
    });
    let own = reference.and_then(|run| run.get(name));
    let against = values
        .iter()
        .find(|value| own.is_some_and(|own| own.same(value)))
        .or(values.first());
    let Some(against) = against.copied() else {
        return Vec::new();
    };
    if values.len() < 2 {
        why.push(format!("{name}: only {against} has results"));
        return Vec::new();
    }
    let of = |value: &&Value| {
        let is = |run: &Assignment| run.get(name).is_some_and(|own| own.same(value));
        let scores: Vec<f64> = seen
            .iter()
            .filter(|(run, _)| is(run))
            .map(|(_, score)| *score)
            .collect();
        let cells: Vec<f64> = seen
            .iter()
            .map(|(run, _)| f64::from(u8::from(is(run))))
            .collect();
        Column {
            effect: Effect {
                variable: name.clone(),
                value: Some((*value).clone()),
                against: against.to_string(),
                runs: scores.len(),
                mean: Some(scores.iter().sum::<f64>() / scores.len() as f64),
                estimate: None,
                interval: None,
            },
            cells,
            scale: 1.0,
        }
    };
    // The value that others are against stands first, for its mean; it is no column.
    let mut all = vec![Column {
        cells: Vec::new(),
        ..of(&against)
    }];
    all.extend(values.iter().filter(|value| !value.same(against)).map(of));
    all
}

fn slope(
    variable: &Variable,
    seen: &[(&Assignment, f64)],
    log: bool,
    why: &mut Vec<String>,
) -> Option<Column> {
    let name = &variable.name;
    let place = |run: &Assignment| {
        let value = run.get(name)?.number()?;
        let value = if log { value.log10() } else { value };
        value.is_finite().then_some(value)
    };
    let places: Option<Vec<f64>> = seen.iter().map(|(run, _)| place(run)).collect();
    let Some(places) = places else {
        why.push(format!(
            "{name}: a run has a value that is no point of its range"
        ));
        return None;
    };
    let mean = places.iter().sum::<f64>() / places.len() as f64;
    let spread = places
        .iter()
        .map(|at| (at - mean).powi(2))
        .sum::<f64>()
        .sqrt();
    // Written so that a spread that is no number is none.
    let some = spread > 1e-12 * mean.abs().max(1e-300);
    if !some {
        why.push(format!("{name}: only one value has results"));
        return None;
    }
    Some(Column {
        effect: Effect {
            variable: name.clone(),
            value: None,
            against: if log { "factor 10" } else { "1" }.into(),
            runs: seen.len(),
            mean: None,
            estimate: None,
            interval: None,
        },
        cells: places.iter().map(|at| (at - mean) / spread).collect(),
        scale: spread,
    })
}

/// Columns that say something which those before them, and the mean, do not: their places, each with its part that is its own
/// (Gram and Schmidt's, which least squares is done with).
fn independent(columns: &mut [Column], runs: usize, why: &mut Vec<String>) -> Vec<usize> {
    let mut basis: Vec<Vec<f64>> = vec![unit(vec![1.0; runs])];
    let mut kept = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        if column.cells.is_empty() {
            continue;
        }
        let mut rest = column.cells.clone();
        let size = norm(&rest);
        // Twice: once leaves rounding in it.
        for _ in 0..2 {
            for one in &basis {
                let part = dot(&rest, one);
                rest.iter_mut()
                    .zip(one)
                    .for_each(|(cell, other)| *cell -= part * other);
            }
        }
        if norm(&rest) > ALIASED.sqrt() * size {
            basis.push(unit(rest));
            kept.push(at);
        } else {
            let effect = &column.effect;
            let value = effect
                .value
                .as_ref()
                .map_or(String::new(), |value| format!(" = {value}"));
            why.push(format!(
                "{}{value} cannot be told apart from other variables by these runs",
                effect.variable
            ));
        }
    }
    kept
}

/// Least squares with the columns that are kept.
fn fit(found: &mut Effects, columns: &mut [Column], kept: &[usize], seen: &[(&Assignment, f64)]) {
    let numbers = kept.len() + 1;
    found.freedom = seen.len().saturating_sub(numbers);
    if seen.len() < numbers || kept.is_empty() {
        found.why.push(format!(
            "not enough runs: {} for {numbers} numbers",
            seen.len()
        ));
        return;
    }
    let mut design: Vec<Vec<f64>> = vec![vec![1.0; seen.len()]];
    design.extend(kept.iter().map(|at| columns[*at].cells.clone()));
    let scores: Vec<f64> = seen.iter().map(|(_, score)| *score).collect();
    let Some(inverse) = inverse(&design) else {
        found
            .why
            .push("the variables cannot be told apart by these runs".into());
        return;
    };
    let moments: Vec<f64> = design.iter().map(|column| dot(column, &scores)).collect();
    let numbers: Vec<f64> = inverse.iter().map(|row| dot(row, &moments)).collect();
    let left = scores.iter().enumerate().map(|(run, score)| {
        let said: f64 = design
            .iter()
            .zip(&numbers)
            .map(|(column, number)| column[run] * number)
            .sum();
        (score - said).powi(2)
    });
    let squares: f64 = left.sum();
    let t = student_t::quantile(0.5 + CONFIDENCE / 2.0, found.freedom as f64);
    let variance = (found.freedom > 0).then(|| squares / found.freedom as f64);
    found.residual = variance.map(f64::sqrt);
    if found.freedom == 0 {
        let n = seen.len();
        found.why.push(format!(
            "not enough runs: {n} for {n} numbers leave nothing to tell the error by"
        ));
    }
    for (at, place) in kept.iter().zip(1..) {
        let column = &mut columns[*at];
        let estimate = numbers[place] / column.scale;
        column.effect.estimate = Some(estimate);
        column.effect.interval = variance.map(|variance| {
            let reach = t * (variance * inverse[place][place]).max(0.0).sqrt() / column.scale;
            (estimate - reach, estimate + reach)
        });
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn unit(mut a: Vec<f64>) -> Vec<f64> {
    let size = norm(&a);
    a.iter_mut().for_each(|cell| *cell /= size);
    a
}

/// The inverse of the columns' products with each other, by Gauss and Jordan's elimination with the largest pivot.
fn inverse(design: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let n = design.len();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut row: Vec<f64> = design
                .iter()
                .map(|column| dot(&design[i], column))
                .collect();
            row.extend((0..n).map(|j| f64::from(u8::from(i == j))));
            row
        })
        .collect();
    for at in 0..n {
        let pivot = (at..n).max_by(|a, b| rows[*a][at].abs().total_cmp(&rows[*b][at].abs()))?;
        rows.swap(at, pivot);
        let size = rows[at][at];
        // Written so that a pivot that is no number is none.
        let some = size.abs() > f64::MIN_POSITIVE;
        if !some {
            return None;
        }
        rows[at].iter_mut().for_each(|cell| *cell /= size);
        let own = rows[at].clone();
        for (_, row) in rows
            .iter_mut()
            .enumerate()
            .filter(|(other, _)| *other != at)
        {
            let factor = row[at];
            row.iter_mut()
                .zip(&own)
                .for_each(|(cell, pivot)| *cell -= factor * pivot);
        }
    }
    Some(rows.into_iter().map(|row| row[n..].to_vec()).collect())
}

#[cfg(test)]
mod tests;
