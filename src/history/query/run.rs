//! Runs a question over a history.

use super::{
    Problem, Query,
    columns::{Column, Columns},
    conditions::{column, ready},
};
use crate::history::{Experiment, History};
use std::cmp::Ordering;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<'a> {
    /// How many experiments there are.
    pub total: usize,
    /// How many fit.
    pub matched: usize,
    /// Those that fit, in their order, at most as many as asked for.
    pub experiments: Vec<&'a Experiment>,
}

/// The experiments that a question asks for.
///
/// # Errors
/// A name that no experiment has, a comparison that can never hold: which, and where.
pub fn find<'a>(history: &'a History, query: &Query) -> Result<Found<'a>, Problem> {
    let columns = history.columns();
    for metric in &query.metrics {
        known_metric(columns, metric)?;
    }
    let orders: Vec<Order<'_>> = query
        .sort
        .iter()
        .map(|(name, descending)| order(columns, name, *descending))
        .collect::<Result<Vec<_>, Problem>>()?
        .into_iter()
        .flatten()
        .collect();
    // The latest first: so they are found where nothing else is asked.
    let all = (0..columns.rows as u32).rev();
    let empty = Column::default();
    let mut rows: Vec<u32> = match &query.filter {
        None => all.collect(),
        Some(filter) => {
            let pass = ready(filter, columns, query, &empty)?.rows(columns.rows);
            all.filter(|row| pass[*row as usize]).collect()
        }
    };
    let matched = rows.len();
    let wanted = query.limit.unwrap_or(matched).min(matched);
    if !orders.is_empty() && wanted > 0 {
        let compared = |a: &u32, b: &u32| {
            let told = orders
                .iter()
                .map(|order| order.of(*a as usize, *b as usize));
            let told = told.fold(Ordering::Equal, Ordering::then);
            told.then(b.cmp(a))
        };
        if wanted < matched {
            rows.select_nth_unstable_by(wanted - 1, compared);
            rows.truncate(wanted);
        }
        rows.sort_unstable_by(compared);
    }
    rows.truncate(wanted);
    let experiments = history.experiments();
    Ok(Found {
        total: columns.rows,
        matched,
        experiments: rows
            .into_iter()
            .map(|row| &experiments[row as usize])
            .collect(),
    })
}

/// The name of a metric, without the word that tells it from a parameter.
pub fn bare_metric(name: &str) -> &str {
    name.strip_prefix("metrics.").unwrap_or(name)
}

fn known_metric(columns: &Columns, name: &str) -> Result<(), Problem> {
    let metrics = &columns.metrics;
    if columns.rows == 0 || metrics.contains_key(bare_metric(name)) || metrics.contains_key(name) {
        return Ok(());
    }
    Err(Problem {
        message: format!("no run has a metric \"{name}\""),
        part: "metric",
        column: None,
        right: super::names::near(name, metrics.keys().map(String::as_str)),
    })
}

/// An order by one column.
struct Order<'a> {
    column: &'a Column,
    descending: bool,
}

fn order<'a>(
    columns: &'a Columns,
    name: &str,
    descending: bool,
) -> Result<Option<Order<'a>>, Problem> {
    let fault = |message, right| Problem {
        message,
        part: "sort",
        column: None,
        right,
    };
    let (column, _) = column(columns, name, fault)?;
    Ok(column.map(|column| Order { column, descending }))
}

impl Order<'_> {
    /// Numbers stand before words, and what is missing stands last.
    fn of(&self, a: usize, b: usize) -> Ordering {
        let turned = |ordering: Ordering| match self.descending {
            true => ordering.reverse(),
            false => ordering,
        };
        let number = |row: usize| {
            self.column
                .numbers
                .get(row)
                .filter(|number| !number.is_nan())
        };
        let word = |row: usize| self.column.codes.get(row).filter(|code| **code > 0);
        match (number(a), number(b)) {
            (Some(a), Some(b)) => turned(a.total_cmp(b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => match (word(a), word(b)) {
                (Some(a), Some(b)) => turned(a.cmp(b)),
                (a, b) => a.is_none().cmp(&b.is_none()),
            },
        }
    }
}
