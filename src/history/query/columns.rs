//! The experiments by column: each field, metric and parameter as one piece of numbers, or of numbered words.

use super::super::Experiment;
use crate::parameters::Value;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

/// One column. A row has a number, a word, or nothing; a text that reads as a number has both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// A number a row, NaN where there is none; empty where no row has one.
    pub numbers: Vec<f64>,
    /// The number of a row's word, from 1, 0 where there is none; empty where no row has one.
    pub codes: Vec<u32>,
    /// The words, in their order: `words[code - 1]`.
    pub words: Vec<String>,
}

/// All columns.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// How many rows.
    pub rows: usize,
    /// What every experiment has.
    pub fields: BTreeMap<&'static str, Column>,
    /// What was measured.
    pub metrics: BTreeMap<String, Column>,
    /// What was set.
    pub config: BTreeMap<String, Column>,
}

/// A second name of a field, as people shorten it, and the field.
pub const SHORT: &[(&str, &str)] = &[
    ("experiment_id", "id"),
    ("cycle_id", "cycle"),
    ("failure", "cause"),
];

impl Columns {
    /// Of experiments.
    pub fn of(experiments: &[Experiment]) -> Columns {
        let rows = experiments.len();
        let mut metrics: Named<'_, Vec<f64>> = Named::default();
        let mut config: Named<'_, Making<'_>> = Named::default();
        for (at, one) in experiments.iter().enumerate() {
            let mut place = 0;
            for (name, value) in &one.metrics {
                let column = metrics.find(&mut place, name, || vec![f64::NAN; rows]);
                column[at] = *value;
            }
            let mut place = 0;
            for (name, value) in &one.config {
                let column = config.find(&mut place, name, || Making::new(rows));
                column.take(at, value);
            }
        }
        let numbers = |numbers| Column {
            numbers,
            ..Column::default()
        };
        let metrics = metrics.0.into_iter();
        let config = config.0.into_iter();
        Columns {
            rows,
            fields: fields(experiments),
            metrics: metrics
                .map(|(name, column)| (name.into(), numbers(column)))
                .collect(),
            config: config
                .map(|(name, column)| (name.into(), column.made()))
                .collect(),
        }
    }

    /// Every name, a field's first.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let fields = self.fields.keys().copied();
        let metrics = self.metrics.keys().map(String::as_str);
        fields
            .chain(metrics)
            .chain(self.config.keys().map(String::as_str))
    }
}

/// Columns in the order of their names. An experiment has its names in the same order, so each is found beside the last.
struct Named<'a, C>(Vec<(&'a str, C)>);

impl<C> Default for Named<'_, C> {
    fn default() -> Self {
        Named(Vec::new())
    }
}

impl<'a, C> Named<'a, C> {
    /// The column of a name that stands behind all names before `place`.
    fn find(&mut self, place: &mut usize, name: &'a str, new: impl Fn() -> C) -> &mut C {
        while self.0.get(*place).is_some_and(|(other, _)| *other < name) {
            *place += 1;
        }
        if self.0.get(*place).is_none_or(|(other, _)| *other != name) {
            self.0.insert(*place, (name, new()));
        }
        &mut self.0[*place].1
    }
}

fn fields(experiments: &[Experiment]) -> BTreeMap<&'static str, Column> {
    let words = |of: fn(&Experiment) -> Option<&str>| {
        let mut making = Making::new(experiments.len());
        for (at, one) in experiments.iter().enumerate() {
            if let Some(word) = of(one).filter(|word| !word.is_empty()) {
                making.word(at, Cow::Borrowed(word));
            }
        }
        making.made()
    };
    let numbers = |of: fn(&Experiment) -> f64| Column {
        numbers: experiments.iter().map(of).collect(),
        ..Column::default()
    };
    BTreeMap::from([
        ("id", words(|one| Some(&one.experiment_id))),
        ("campaign", words(|one| Some(&one.campaign))),
        ("cycle", numbers(|one| one.cycle_id.into())),
        ("status", words(|one| Some(one.status.name()))),
        (
            "cause",
            words(|one| one.failure.as_ref().map(|failure| failure.cause.name())),
        ),
        ("proposal", words(|one| one.proposal.as_deref())),
        ("proposal_type", words(|one| Some(&one.proposal_type))),
        ("risk_level", words(|one| Some(&one.risk_level))),
        ("adapter", words(|one| one.adapter.as_deref())),
        ("verdict", words(|one| one.verdict.as_deref())),
        ("duration_seconds", numbers(|one| one.duration_seconds)),
        ("gpu_hours", numbers(|one| one.gpu_hours)),
        ("ended_at", numbers(|one| one.ended_at.0 as f64)),
    ])
}

/// A column in the making: the words have the numbers of their first appearance.
struct Making<'a> {
    rows: usize,
    numbers: Vec<f64>,
    codes: Vec<u32>,
    words: HashMap<Cow<'a, str>, u32>,
}

impl<'a> Making<'a> {
    fn new(rows: usize) -> Self {
        Making {
            rows,
            numbers: Vec::new(),
            codes: Vec::new(),
            words: HashMap::new(),
        }
    }

    fn take(&mut self, at: usize, value: &'a Value) {
        match value {
            Value::Flag(flag) => self.word(at, Cow::Borrowed(if *flag { "true" } else { "false" })),
            Value::Text(text) => {
                if let Some(number) = text.parse().ok().filter(|number: &f64| number.is_finite()) {
                    self.number(at, number);
                }
                self.word(at, Cow::Borrowed(text));
            }
            Value::Whole(_) | Value::Number(_) => {
                self.number(at, value.number().unwrap_or(f64::NAN));
            }
        }
    }

    fn number(&mut self, at: usize, number: f64) {
        self.numbers.resize(self.rows, f64::NAN);
        self.numbers[at] = number;
    }

    fn word(&mut self, at: usize, word: Cow<'a, str>) {
        self.codes.resize(self.rows, 0);
        let next = self.words.len() as u32 + 1;
        self.codes[at] = *self.words.entry(word).or_insert(next);
    }

    /// With the words in their order, so that their numbers sort as they do.
    fn made(self) -> Column {
        let mut words: Vec<(Cow<'_, str>, u32)> = self.words.into_iter().collect();
        words.sort_unstable();
        let mut place = vec![0; words.len() + 1];
        for ((_, first), now) in words.iter().zip(1..) {
            place[*first as usize] = now;
        }
        Column {
            numbers: self.numbers,
            codes: self
                .codes
                .iter()
                .map(|code| place[*code as usize])
                .collect(),
            words: words.into_iter().map(|(word, _)| word.into()).collect(),
        }
    }
}
