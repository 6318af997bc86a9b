//! A question as it comes over the socket, and its answer as JSON.

use super::{
    Problem, Query,
    columns::SHORT,
    parser::Expr,
    run::{bare_metric, find},
};
use crate::{
    history::{History, Row},
    time::Timestamp,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The version of the answer: that of the control protocol.
pub const VERSION: u32 = 1;

/// A question in words: the keys of `GET /v1/history`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `where`: a condition.
    pub filter: Option<String>,
    /// `sort`: names with commas between them, `-` before one whose largest values stand first.
    pub sort: Vec<String>,
    /// `metric`: names with commas between them.
    pub metrics: Vec<String>,
    /// `limit`: a whole number.
    pub limit: Option<String>,
    /// `campaign`: only its experiments.
    pub campaign: Option<String>,
}

impl Asked {
    /// From the keys and values of a request; other keys are not looked at.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Asked {
        let mut asked = Asked::default();
        let given = |value: &str| Some(value.to_string()).filter(|value| !value.trim().is_empty());
        let list = |value: &str| {
            value
                .split(',')
                .filter_map(|one| given(one.trim()))
                .collect::<Vec<_>>()
        };
        for (key, value) in pairs {
            match key {
                "where" => asked.filter = given(value),
                "sort" => asked.sort.extend(list(value)),
                "metric" => asked.metrics.extend(list(value)),
                "limit" => asked.limit = given(value),
                "campaign" => asked.campaign = given(value),
                _ => {}
            }
        }
        asked
    }

    /// The question, read.
    ///
    /// # Errors
    /// What of it cannot be read, where, and what would be right.
    pub fn read(&self, now: Timestamp) -> Result<Query, Problem> {
        let limit = self.limit.as_ref().map(|limit| {
            limit.trim().parse().map_err(|_| Problem {
                message: format!("\"{limit}\" is no number of experiments"),
                part: "limit",
                column: None,
                right: "a whole number such as 20".into(),
            })
        });
        let filter = self.filter.as_deref().map(Expr::parse).transpose()?;
        let campaign = self.campaign.as_deref().map(Expr::campaign);
        let filter = match (campaign, filter) {
            (Some(campaign), Some(filter)) => Some(Expr::All(vec![campaign, filter])),
            (campaign, filter) => campaign.or(filter),
        };
        let sort = self.sort.iter().map(|one| match one.strip_prefix('-') {
            Some(name) => (name.to_string(), true),
            None => (one.strip_prefix('+').unwrap_or(one).to_string(), false),
        });
        Ok(Query {
            filter,
            sort: sort.collect(),
            metrics: self.metrics.clone(),
            limit: limit.transpose()?,
            now,
        })
    }
}

/// The answer of `GET /v1/history`: how many experiments there are, how many fit, those asked for with the metrics asked
/// for, and the best of each metric over all experiments.
///
/// # Errors
/// A name that no experiment has, a comparison that can never hold.
pub fn answer(history: &History, query: &Query) -> Result<Value, Problem> {
    let found = find(history, query)?;
    let metrics: Vec<&str> = query.metrics.iter().map(|name| bare_metric(name)).collect();
    let told = found.experiments.iter().map(|one| Row::of(one, &metrics));
    let best = history.best().iter();
    let best: BTreeMap<_, _> = best
        .filter(|(name, _)| metrics.is_empty() || metrics.contains(&name.as_str()))
        .collect();
    Ok(json!({
        "version": VERSION,
        "total": found.total,
        "matched": found.matched,
        "best": best,
        "experiments": told.collect::<Vec<Row<'_>>>(),
    }))
}

impl Expr {
    /// That an experiment is of a campaign.
    fn campaign(name: &str) -> Expr {
        use super::parser::{Comparison, Literal, Rule, Test, Written};
        let literal = Literal {
            value: Written::Text(name.into()),
            column: 1,
        };
        Expr::Test(Test {
            name: "campaign".into(),
            column: 1,
            rule: Rule::Compare(Comparison::Same, literal),
            negated: false,
        })
    }
}

/// The names by which every experiment can be asked for, whatever it measured and was set to.
pub fn fields() -> Vec<&'static str> {
    let columns = super::columns::Columns::of(&[]);
    let short = SHORT.iter().map(|(short, _)| *short);
    columns.fields.into_keys().chain(short).collect()
}
