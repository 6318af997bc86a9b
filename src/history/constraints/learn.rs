//! Constraints from experiments, and from nothing else: the same experiments in any order give the same constraints.

use super::{
    ANY, Constraint, Origin, Strength,
    bound::Bound,
    confidence::lower_bound,
    grid::{Grid, Region, inside},
    id_of,
    lessons::lessons,
    takes::said,
    text,
};
use crate::{
    history::{Experiment, FailureCause, Status},
    parameters::{Assignment, Domain, Schema, Value},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

/// How many of the latest failures of one cause and scope are looked at.
const LATEST: usize = 2_000;

/// The rules of learning.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// So many failures that do not depend on each other make a constraint hard.
    pub hard_from: usize,
    /// What has had no new evidence for so long is forgotten.
    pub lifetime: Duration,
    /// The settings that must stay possible, as if they had completed; empty: none.
    pub baseline: Assignment,
    /// The parameters and their domains; a constraint that would forbid a whole domain is none.
    pub schema: Schema,
}

impl Default for Rules {
    /// Two failures, 90 days, no baseline, no schema.
    fn default() -> Self {
        Self {
            hard_from: 2,
            lifetime: Duration::from_secs(90 * 86_400),
            baseline: Assignment::new(),
            schema: Schema::default(),
        }
    }
}

/// What the failures among these experiments teach, hard ones first, of those the surest first.
///
/// A node that was lost teaches nothing, nor does a failure without a cause or an experiment that a person ended. No
/// constraint holds an experiment that completed, nor the baseline. It is hard from [`Rules::hard_from`] failures on that
/// do not depend on each other (attempts at one proposal are one) if something completed outside, else soft.
pub fn learn(experiments: &[&Experiment], now: Timestamp, rules: &Rules) -> Vec<Constraint> {
    let mut by_id: BTreeMap<&str, &Experiment> = BTreeMap::new();
    for one in experiments {
        match by_id.entry(&one.experiment_id) {
            Entry::Vacant(free) => _ = free.insert(one),
            Entry::Occupied(mut there) if rank(there.get()) < rank(one) => _ = there.insert(one),
            Entry::Occupied(_) => {}
        }
    }
    let all: Vec<&Experiment> = by_id.into_values().collect();
    let mut scopes: BTreeMap<String, Vec<&Experiment>> = BTreeMap::new();
    for one in &all {
        let model = one.config.get("model").map_or(ANY.into(), Value::to_string);
        scopes.entry(model).or_default().push(one);
    }
    let mut found = Vec::new();
    for (scope, ours) in &scopes {
        // What is forbidden for any model, no run of any model may have done.
        let tried = if scope == ANY { &all } else { ours };
        for cause in [
            FailureCause::Memory,
            FailureCause::Stability,
            FailureCause::TimeLimit,
        ] {
            found.extend(Lesson::new((scope, cause), ours, tried, rules).constraints(now));
        }
    }
    // A word that a program cannot do, it cannot do for any model.
    let program = (ANY, FailureCause::Program);
    found.extend(Lesson::new(program, &all, &all, rules).constraints(now));
    found.sort_by(|a: &Constraint, b| {
        let sure = b.confidence.total_cmp(&a.confidence);
        a.strength.cmp(&b.strength).then(sure).then(a.id.cmp(&b.id))
    });
    found
}

/// What decides between two reports of one experiment, whatever their order: the later, of equal times the completed one.
fn rank(one: &Experiment) -> (Timestamp, bool, String) {
    (
        one.ended_at,
        one.status == Status::Completed,
        format!("{:?}", one.config),
    )
}

/// What there is to learn of one cause within one scope.
struct Lesson<'a> {
    scope: &'a str,
    cause: FailureCause,
    failed: Vec<&'a Experiment>,
    good: Vec<&'a Assignment>,
    completed: usize,
    rules: &'a Rules,
}

impl<'a> Lesson<'a> {
    /// Of the failures among `of`, beside what completed among `tried`.
    fn new(
        (scope, cause): (&'a str, FailureCause),
        of: &[&'a Experiment],
        tried: &[&'a Experiment],
        rules: &'a Rules,
    ) -> Self {
        let died = |one: &&&Experiment| {
            let failure = one
                .failure
                .as_ref()
                .filter(|_| one.status == Status::Failed);
            failure.is_some_and(|failure| failure.cause == cause)
        };
        let mut failed: Vec<&Experiment> = of.iter().filter(died).copied().collect();
        failed.sort_by_key(|one| (one.ended_at, &one.experiment_id));
        failed.drain(..failed.len().saturating_sub(LATEST));
        let completed = tried.iter().filter(|one| one.status == Status::Completed);
        let mut good: Vec<&Assignment> = completed.map(|one| &one.config).collect();
        let completed = good.len();
        good.extend(Some(&rules.baseline).filter(|baseline| !baseline.is_empty()));
        Self {
            scope,
            cause,
            failed,
            good,
            completed,
            rules,
        }
    }

    fn constraints(&self, now: Timestamp) -> Vec<Constraint> {
        if self.failed.is_empty() {
            return Vec::new();
        }
        let failed: Vec<&Assignment> = self.failed.iter().map(|one| &one.config).collect();
        let grid = Grid::of(self.cause, &failed, &self.good);
        let regions = lessons(&grid);
        let all = regions
            .iter()
            .filter_map(|region| self.constraint(&grid, region));
        all.filter(|one| one.expires_at.is_none_or(|at| at > now))
            .collect()
    }

    fn constraint(&self, grid: &Grid, region: &Region) -> Option<Constraint> {
        let bounds = grid.bounds(region);
        let rows = self.failed.iter().zip(&grid.failed);
        let evidence: Vec<&Experiment> = rows
            .filter(|(_, row)| inside(region, row))
            .map(|(one, _)| *one)
            .collect();
        let (first, last) = (evidence.first()?, evidence.last()?);
        let outside = grid
            .completed(|row| !inside(region, row))
            .min(self.completed);
        let elsewhere = self.failed.len() - evidence.len();
        let blamed = self.cause != FailureCause::Program || outside > elsewhere;
        if !blamed || self.is_everything(&bounds) {
            return None;
        }
        // Attempts at one proposal fail together.
        let proposals: BTreeSet<(&str, &str)> = evidence
            .iter()
            .map(|one| {
                let of = one.proposal.as_deref().unwrap_or(&one.experiment_id);
                (one.campaign.as_str(), of)
            })
            .collect();
        let hard = proposals.len() >= self.rules.hard_from.max(2) && outside > 0;
        Some(Constraint {
            id: id_of(self.scope, Some(self.cause), &bounds),
            scope: self.scope.into(),
            strength: if hard { Strength::Hard } else { Strength::Soft },
            cause: Some(self.cause),
            evidence: evidence
                .iter()
                .map(|one| one.experiment_id.clone())
                .collect(),
            counter_evidence: 0,
            confidence: lower_bound(proposals.len() as u64, 0),
            learned_at: first.ended_at,
            expires_at: Some(last.ended_at.after(self.rules.lifetime)),
            origin: Origin::Learned,
            pinned: false,
            reason: self.reason(&bounds, proposals.len(), outside),
            bounds,
        })
    }

    /// Whether bounds leave nothing of the domains that they are about.
    fn is_everything(&self, bounds: &[Bound]) -> bool {
        let leaves = |bound: &Bound| match self.rules.schema.parameter(&bound.parameter) {
            None => true,
            Some(parameter) => leaves(bound, &parameter.domain),
        };
        !bounds.iter().any(leaves)
    }

    fn reason(&self, bounds: &[Bound], failures: usize, outside: usize) -> String {
        let runs = if failures == 1 { "run" } else { "runs" };
        let said = said(self.cause);
        let whose = if self.scope == ANY {
            String::new()
        } else {
            format!(" of {}", self.scope)
        };
        let other = match outside {
            0 => "none completed outside".into(),
            outside => format!("{outside} completed outside"),
        };
        format!(
            "{failures} {runs}{whose} {said} without {}; {other}",
            text(bounds)
        )
    }
}

/// Whether a bound leaves anything of a domain.
fn leaves(bound: &Bound, domain: &Domain) -> bool {
    match domain {
        Domain::Choice(values) => values.iter().any(|value| !bound.broken_by(value)),
        Domain::Range { low, high, .. } => bound.spans(*low) || bound.spans(*high),
    }
}
