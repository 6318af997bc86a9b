//! What a campaign's samples say of the success metrics, a row at a time.

use super::Standing;
use super::{Line, Success};
use crate::{
    evaluation::paired::{Resampling, Share, level},
    generation::vocabulary::words,
};
use serde::Deserialize;
use std::collections::{BTreeSet, HashSet};

/// Resamples of the interval of the cost: tens of thousands of trajectories are drawn each time.
const RESAMPLES: u32 = 1_000;

/// Counts over the samples, each id once.
#[derive(Debug, Default)]
pub struct Rows {
    ids: HashSet<String>,
    queries: HashSet<String>,
    /// Analysis types of the catalogue.
    types: BTreeSet<String>,
    /// What samples call their type, and the catalogue does not have.
    strangers: BTreeSet<String>,
    /// Samples that are trajectories.
    trajectories: u64,
    validated: [u64; 2],
    logged: u64,
    executed: [u64; 2],
    logs: u64,
    refined: [u64; 2],
    routed: Vec<Share>,
    decisions: u64,
    /// Of these, those that had nothing to choose from.
    without_choice: u64,
    unreadable: u64,
}

/// The fields of a sample that are asked for; those of a foreign generator may lack any.
#[derive(Deserialize)]
struct Row {
    id: Option<serde_json::Value>,
    trajectory_id: Option<String>,
    query: Option<String>,
    analysis_type: Option<String>,
    generated_code: Option<String>,
    final_validation_passed: Option<bool>,
    steps: Option<Vec<Step>>,
    created_at: Option<String>,
    completed_at: Option<String>,
    outcome: Option<String>,
    #[serde(default)]
    drafts: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    execution_submitted: bool,
    #[serde(default)]
    execution_completed: bool,
    execution_exit_code: Option<i32>,
    execution_logs_path: Option<String>,
    #[serde(default)]
    routing_decisions: Vec<Decision>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    action: String,
    #[serde(default)]
    input_summary: String,
    #[serde(default)]
    output_summary: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Decision {
    #[serde(default)]
    cost_estimate: f64,
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Deserialize)]
struct Alternative {
    #[serde(default)]
    cost_estimate: f64,
}

impl Decision {
    /// What was chosen, and the dearest that could have been: without a choice the same. None where a cost is none.
    fn costs(&self) -> Option<(f64, f64)> {
        let others = self.alternatives.iter().map(|other| other.cost_estimate);
        let mut all = others.chain([self.cost_estimate]);
        let sound = all.clone().all(|cost| cost.is_finite() && cost >= 0.0);
        sound.then_some(())?;
        Some((
            self.cost_estimate,
            all.try_fold(0.0, |most, cost| Some(f64::max(most, cost)))?,
        ))
    }
}

impl Rows {
    /// Counts a line of a shard. One that has the id of an earlier one is none; one that cannot be read is counted as that.
    pub fn add(&mut self, line: &[u8]) {
        let Ok(row) = serde_json::from_slice::<Row>(line) else {
            self.unreadable += 1;
            return;
        };
        let id = match (&row.id, &row.trajectory_id) {
            (Some(serde_json::Value::String(id)), _) | (None, Some(id)) => id.clone(),
            (Some(id), _) => id.to_string(),
            (None, None) => {
                self.unreadable += 1;
                return;
            }
        };
        if !self.ids.insert(id) {
            return;
        }
        self.trajectories += u64::from(row.steps.is_some());
        if let Some(kind) = &row.analysis_type {
            let known = words().analysis(kind).is_some();
            let of = if known {
                &mut self.types
            } else {
                &mut self.strangers
            };
            of.insert(kind.clone());
        }
        if row.final_validation_passed.is_some() {
            let wrote = row
                .generated_code
                .as_deref()
                .is_some_and(|code| !code.trim().is_empty());
            let passed = row.final_validation_passed == Some(true);
            tally(&mut self.validated, wrote && passed);
            if !row.drafts.is_empty() {
                tally(&mut self.refined, passed);
            }
        }
        self.logged += u64::from(logged(&row));
        if row.execution_submitted {
            tally(
                &mut self.executed,
                row.execution_completed && row.execution_exit_code == Some(0),
            );
            let logs = row.execution_logs_path.as_deref();
            self.logs += u64::from(logs.is_some_and(|path| !path.is_empty()));
        }
        self.route(&row);
        if let Some(query) = row.query {
            let words: Vec<&str> = query.split_whitespace().collect();
            self.queries.insert(words.join(" "));
        }
    }

    fn route(&mut self, row: &Row) {
        let (mut sum, before) = (Share::default(), self.decisions);
        for decision in &row.routing_decisions {
            let Some((chosen, dearest)) = decision.costs() else {
                continue;
            };
            sum.sum += dearest - chosen;
            sum.count += dearest;
            self.decisions += 1;
            self.without_choice += u64::from(decision.alternatives.is_empty());
        }
        if self.decisions > before {
            self.routed.push(sum);
        }
    }

    /// Types that are none of the catalogue's, some of them by name.
    fn unknown(&self) -> String {
        let some: Vec<&str> = self.strangers.iter().map(String::as_str).take(3).collect();
        match self.strangers.len() {
            0 => String::new(),
            n if n > some.len() => format!("; {n} others are not of it: {}, ...", some.join(", ")),
            n => format!("; {n} others are not of it: {}", some.join(", ")),
        }
    }

    /// A success metric that samples alone speak of.
    pub(super) fn line(&self, metric: Success) -> Line {
        let n = self.ids.len() as u64;
        let unreadable = match self.unreadable {
            0 => String::new(),
            lines => format!("; {lines} lines cannot be read"),
        };
        match metric {
            Success::Queries => {
                let note = format!(
                    "texts that differ by more than white space, of {n} samples{unreadable}"
                );
                Line::count(metric, n, self.queries.len() as u64, note)
            }
            Success::Types => {
                let note = format!("types of the catalogue, of {n} samples{}", self.unknown());
                Line::count(metric, n, self.types.len() as u64, note)
            }
            Success::Trajectories => {
                let note = format!("samples with steps, each id once{unreadable}");
                Line::count(metric, n, self.trajectories, note)
            }
            Success::Generations => Line::share(
                metric,
                self.validated[1],
                self.validated[0],
                "samples whose last workflow passed validation",
                "no sample says whether its workflow passed validation",
            ),
            Success::Logging => Line::share(
                metric,
                self.logged,
                self.trajectories,
                "trajectories with beginning, end, outcome, and of every step what it was given and what it gave or why not",
                "no sample has steps",
            ),
            Success::Executed => Line::share(
                metric,
                self.executed[1],
                self.executed[0],
                "workflows that were submitted and ended with status 0",
                "no workflow was executed",
            ),
            Success::Logs => Line::share(
                metric,
                self.logs,
                self.executed[0],
                "submitted workflows whose logs are kept",
                "no workflow was executed",
            ),
            Success::Refinement => Line::share(
                metric,
                self.refined[1],
                self.refined[0],
                "workflows that validation turned down at least once and passed in the end",
                "no workflow was turned down",
            ),
            _ => self.routing_cost(),
        }
    }

    /// Against always asking the dearest model considered, by the estimates that decisions were made on. That is the most that
    /// routing can have saved, of a cost that nobody paid: it can show that the target is missed, never that it is met.
    fn routing_cost(&self) -> Line {
        let metric = Success::RoutingCost;
        let (saved, all) = self.routed.iter().fold((0.0, 0.0), |(saved, all), share| {
            (saved + share.sum, all + share.count)
        });
        if self.decisions == 0 || all == 0.0 {
            let why = "not measured: no routing decision with an estimated cost";
            return Line::new(metric, why);
        }
        let alone: Vec<u32> = (0..self.routed.len() as u32).collect();
        let how = Resampling {
            resamples: RESAMPLES,
            seed: 0,
            confidence: 0.95,
        };
        let interval = level(&self.routed, &alone, how).map(|found| (found.low, found.high));
        let note = format!(
            "estimated cost of {} decisions in {} trajectories, against the dearest model considered for each ({} had no other and saved nothing): the most that can have been saved; no run without routing was measured, so the target is never met by it",
            self.decisions,
            self.routed.len(),
            self.without_choice
        );
        let line = Line::seen(metric, saved / all, self.decisions, interval, note);
        Line {
            standing: match line.standing {
                Standing::Met => Standing::Undecided,
                other => other,
            },
            ..line
        }
    }
}

/// All, and those that did.
fn tally(counts: &mut [u64; 2], did: bool) {
    counts[0] += 1;
    counts[1] += u64::from(did);
}

fn logged(row: &Row) -> bool {
    let said = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let whole = |step: &Step| {
        let gave = !step.output_summary.is_empty() || said(&step.error);
        !step.action.is_empty() && !step.input_summary.is_empty() && gave
    };
    let steps = row.steps.as_deref().unwrap_or(&[]);
    let ends = said(&row.created_at) && said(&row.completed_at) && said(&row.outcome);
    ends && !steps.is_empty() && steps.iter().all(whole)
}
