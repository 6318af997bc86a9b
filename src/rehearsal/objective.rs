//! What a fine-tune would come to: a smooth bowl over what is varied, or the nearest row of a table.

use super::chance::{About, Chance, number_of};
use crate::{
    history::{FailureCause, History, Status, smaller_is_better},
    machines::spec::PlanningSpec,
    parameters::{Assignment, Domain, Value},
    planning::Space,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Settings that memory grows with.
const TAKES_MEMORY: [&str; 3] = ["r", "per_device_train_batch_size", "max_seq_length"];
/// What halving a batch takes off the share of memory that a setting needs.
const HALVING: f64 = 0.25;

/// What results are made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// A smooth bowl with one optimum, whose place the seed makes.
    Analytic(Bowl),
    /// Results that were measured, or made up: the nearest row answers.
    Table(Vec<Row>),
}

/// A smooth bowl.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bowl {
    /// The metric's value at the optimum.
    pub best: f64,
    /// How much worse it is at most, about.
    pub spread: f64,
    /// Standard deviation of what chance adds.
    pub noise: f64,
    /// Above this share, 0 to 1, of what is varied of rank, batch and length, a GPU has no memory left.
    pub memory: Option<f64>,
    /// Above this learning rate a loss is no number.
    pub diverges_above: Option<f64>,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was set.
    pub values: Assignment,
    /// What was measured.
    pub metrics: BTreeMap<String, f64>,
    /// What it failed of, if it did.
    pub failure: Option<FailureCause>,
}

/// What a fine-tune comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Metrics(BTreeMap<String, f64>),
    Fails(FailureCause),
}

impl Bowl {
    /// A bowl for a metric: a loss of 0.4 at best, or an accuracy of 0.9, and neither noise nor walls.
    pub fn of(metric: &str) -> Self {
        let (best, spread) = match smaller_is_better(metric) {
            true => (0.4, 1.0),
            false => (0.9, 0.5),
        };
        Self {
            best,
            spread,
            noise: 0.0,
            memory: None,
            diverges_above: None,
        }
    }
}

impl Objective {
    /// The table of a history: what completed, and what failed of its settings.
    ///
    /// # Errors
    /// There is no such experiment.
    pub fn of_history(history: &History) -> Result<Self, String> {
        let all = history.experiments().iter();
        let rows = all.filter(|one| one.teaches()).map(|one| {
            let cause = one.failure.as_ref().map(|failure| failure.cause);
            let failed = one.status == Status::Failed;
            Row {
                values: one.config.clone(),
                metrics: one.metrics.clone(),
                failure: failed.then(|| cause.unwrap_or(FailureCause::Program)),
            }
        });
        Self::of_rows(rows.collect())
    }

    /// The table of lines with commas: a first line of names; a column that is varied is a setting, `failure` a cause
    /// of failure (`memory`, `stability`, `time_limit`, `program`), every other number a metric.
    ///
    /// # Errors
    /// A line that has other columns than the first, a setting or a cause that is none, or no row at all.
    pub fn of_csv(text: &str, plan: &PlanningSpec) -> Result<Self, String> {
        let cells = |line: &str| -> Vec<String> {
            let all = line.split(',');
            all.map(|cell| cell.trim().trim_matches('"').into())
                .collect()
        };
        let mut lines = (1..).zip(text.lines());
        let names = lines.next().map(|(_, line)| cells(line));
        let names = names.unwrap_or_default();
        let mut rows = Vec::new();
        for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let cells = cells(line);
            if cells.len() != names.len() {
                let (have, want) = (cells.len(), names.len());
                return Err(format!("line {at} has {have} columns, not {want}"));
            }
            let pairs = names.iter().zip(&cells);
            rows.push(row(pairs, plan).map_err(|why| format!("line {at}: {why}"))?);
        }
        Self::of_rows(rows)
    }

    fn of_rows(rows: Vec<Row>) -> Result<Self, String> {
        match rows.is_empty() {
            true => Err("it has no result to answer from".into()),
            false => Ok(Objective::Table(rows)),
        }
    }

    /// What is wrong with it, as a sentence.
    pub(super) fn problem(&self) -> Option<String> {
        let Objective::Analytic(bowl) = self else {
            return None;
        };
        let numbers = [bowl.best, bowl.spread, bowl.noise];
        let wrong = !numbers.iter().all(|one| one.is_finite()) || bowl.noise < 0.0;
        wrong.then(|| "the objective's best, spread or noise is no such number".into())
    }
}

fn row<'a>(
    cells: impl Iterator<Item = (&'a String, &'a String)>,
    plan: &PlanningSpec,
) -> Result<Row, String> {
    let (mut values, mut metrics, mut failure) = (Assignment::new(), BTreeMap::new(), None);
    for (name, cell) in cells {
        if cell.is_empty() {
            continue;
        }
        if name == "failure" {
            failure = Some(cell.parse::<FailureCause>()?);
        } else if plan.vary.contains_key(name) {
            let value = cell.parse::<Value>().unwrap_or_else(|never| match never {});
            values.insert(name.clone(), value);
        } else if let Some(number) = cell.parse().ok().filter(|one: &f64| one.is_finite()) {
            metrics.insert(name.clone(), number);
        }
    }
    Ok(Row {
        values,
        metrics,
        failure,
    })
}

/// An objective over the space of a campaign.
pub(super) struct Field {
    objective: Objective,
    metric: String,
    domains: Vec<(String, Domain)>,
    space: Option<Space>,
    optimum: Vec<f64>,
    /// Where the rows of a table lie that have every varied setting.
    places: Vec<(usize, Vec<f64>)>,
    chance: Chance,
}

impl Field {
    pub(super) fn new(objective: &Objective, plan: Option<&PlanningSpec>, chance: Chance) -> Self {
        let metric = plan.map_or("eval_loss", |plan| plan.metric.as_str());
        let vary = plan.iter().flat_map(|plan| plan.vary.clone());
        let domains: Vec<(String, Domain)> = vary.collect();
        let space = Space::new(domains.clone()).ok();
        let mut optimum: Vec<f64> = (0..domains.len() as u64)
            .map(|axis| 0.2 + 0.6 * chance.unit(About::Optimum, axis, 0))
            .collect();
        if let Some(space) = &space {
            space.snap(&mut optimum);
        }
        let mut field = Self {
            objective: objective.clone(),
            metric: metric.into(),
            domains,
            space,
            optimum,
            places: Vec::new(),
            chance,
        };
        if let Objective::Table(rows) = objective {
            let places = rows.iter().enumerate();
            field.places = places
                .filter_map(|(at, row)| Some((at, field.place(&row.values)?)))
                .collect();
        }
        field
    }

    /// Whether there is anything to answer with.
    pub(super) fn problem(&self) -> Option<String> {
        let table = matches!(self.objective, Objective::Table(_));
        (table && self.places.is_empty()).then(|| {
            let names: Vec<&str> = self.domains.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(", ");
            format!("no row of the table has every setting that is varied ({names})")
        })
    }

    /// Where settings lie; what lies outside of a domain stands at its border.
    fn place(&self, settings: &Assignment) -> Option<Vec<f64>> {
        let inside = |(name, domain): &(String, Domain)| {
            Some((name.clone(), within(settings.get(name)?, domain)?))
        };
        let values: Option<Assignment> = self.domains.iter().map(inside).collect();
        self.space.as_ref()?.encode(&values?).ok()
    }

    /// What settings come to after so many halvings of the batch; `run` names whose noise it is.
    pub(super) fn answer(&self, settings: &Assignment, halvings: u32, run: &str) -> Answer {
        let place = self.place(settings);
        match &self.objective {
            Objective::Table(rows) => self.of_table(rows, place),
            Objective::Analytic(bowl) => self.of_bowl(bowl, settings, place, halvings, run),
        }
    }

    fn of_table(&self, rows: &[Row], place: Option<Vec<f64>>) -> Answer {
        let nearest = place.zip(self.space.as_ref()).and_then(|(here, space)| {
            let far = |place: &Vec<f64>| space.distance(&here, place);
            let all = self.places.iter();
            all.min_by(|(_, a), (_, b)| far(a).total_cmp(&far(b)))
        });
        // Without a place the first row is as good as any.
        let row = nearest.map_or(rows.first(), |(at, _)| rows.get(*at));
        match row.map(|row| (row.failure, &row.metrics)) {
            Some((None, metrics)) => Answer::Metrics(metrics.clone()),
            Some((Some(cause), _)) => Answer::Fails(cause),
            None => Answer::Metrics(BTreeMap::new()),
        }
    }

    fn of_bowl(
        &self,
        bowl: &Bowl,
        settings: &Assignment,
        place: Option<Vec<f64>>,
        halvings: u32,
        run: &str,
    ) -> Answer {
        let rate = settings.get("learning_rate").and_then(Value::number);
        if bowl
            .diverges_above
            .zip(rate)
            .is_some_and(|(most, rate)| rate > most)
        {
            return Answer::Fails(FailureCause::Stability);
        }
        let place = place.unwrap_or_else(|| vec![0.5; self.optimum.len()]);
        if bowl.memory.is_some_and(|most| {
            self.memory(&place)
                .is_some_and(|takes| takes - HALVING * f64::from(halvings) > most)
        }) {
            return Answer::Fails(FailureCause::Memory);
        }
        let far = self.space.as_ref().map_or(0.5, |space| {
            let words = space.words().iter().zip(place.iter().zip(&self.optimum));
            let squares = words.map(|(word, (a, b))| match word {
                true => f64::from(u8::from((a - b).abs() > 1e-9)) / 4.0,
                false => (a - b).powi(2),
            });
            (squares.sum::<f64>() / space.dims() as f64).sqrt()
        });
        let worse = bowl.spread * (1.0 - (-6.0 * far * far).exp());
        let noise = bowl.noise * self.chance.normal(About::Noise, number_of(run));
        let value = match smaller_is_better(&self.metric) {
            true => bowl.best + worse + noise,
            false => bowl.best - worse + noise,
        };
        Answer::Metrics([(self.metric.clone(), value)].into())
    }

    /// The share of memory that a place takes; none where nothing is varied that takes any.
    fn memory(&self, place: &[f64]) -> Option<f64> {
        let names = self.domains.iter().zip(place);
        let takes = names.filter(|((name, _), _)| TAKES_MEMORY.contains(&name.as_str()));
        let all: Vec<f64> = takes.map(|(_, at)| *at).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }
}

/// The value of a domain that is nearest to a value; none where no order says which.
fn within(value: &Value, domain: &Domain) -> Option<Value> {
    if domain.holds(value) {
        return Some(value.clone());
    }
    let number = value.number()?;
    match domain {
        Domain::Range {
            low, high, whole, ..
        } => {
            let at = number.clamp(*low, *high);
            Some(match whole {
                true => Value::Whole(at.round() as i64),
                false => Value::Number(at),
            })
        }
        Domain::Choice(values) => {
            let far = |one: &Value| {
                one.number()
                    .map_or(f64::INFINITY, |one| (one - number).abs())
            };
            let nearest = values.iter().min_by(|a, b| far(a).total_cmp(&far(b)));
            nearest.filter(|one| one.number().is_some()).cloned()
        }
    }
}
