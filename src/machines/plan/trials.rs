//! The experiments of a campaign as the planner sees them: settings in a space, and what they came to.

use crate::{
    history::{Experiment, Status},
    machines::{
        proposal::State as ProposalState,
        spec::{PlanningSpec, RunSpec},
        tree::CampaignTree,
    },
    parameters::{Assignment, Value},
    planning::propose::Trial,
};
use std::collections::BTreeSet;

/// The settings of a fine-tune as values; lists are texts with commas between their words.
pub fn settings(run: &RunSpec) -> Assignment {
    let all = serde_json::to_value(&run.settings).unwrap_or_default();
    let all = all.as_object().cloned().unwrap_or_default();
    all.into_iter()
        .map(|(name, value)| (name, plain(value)))
        .collect()
}

fn plain(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Array(words) if words.iter().all(serde_json::Value::is_string) => {
            let words: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
            Value::Text(words.join(","))
        }
        // Tables stand as their text.
        other => {
            let text = Value::Text(other.to_string());
            serde_json::from_value(other).unwrap_or(text)
        }
    }
}

/// What of a fine-tune is varied; none where one of it is missing. All of its settings as values take longer.
fn asked(plan: &PlanningSpec, run: &RunSpec) -> Option<Assignment> {
    let all = serde_json::to_value(&run.settings).ok()?;
    let names = plan.vary.keys();
    let each = names.map(|name| Some((name.clone(), plain(all.get(name)?.clone()))));
    each.collect()
}

/// The part of these settings that is varied; none where one of them is missing.
pub fn varied(plan: &PlanningSpec, of: &Assignment) -> Option<Assignment> {
    plan.vary
        .keys()
        .map(|name| Some((name.clone(), of.get(name)?.clone())))
        .collect()
}

/// Whether values lie in what is varied.
fn inside(plan: &PlanningSpec, values: &Assignment) -> bool {
    let mut all = plan.vary.iter();
    all.all(|(name, domain)| values.get(name).is_some_and(|value| domain.holds(value)))
}

/// Whether an experiment says something of what was set, and of what is planned by.
fn teaches(one: &Experiment, plan: &PlanningSpec) -> bool {
    one.teaches() && (one.status != Status::Completed || one.metrics.contains_key(&plan.metric))
}

/// The trials of a campaign, oldest first, and the experiments that they are.
///
/// A failure that teaches nothing about settings is left out: a node's, a person's. So is what lies outside of what is
/// varied, the campaign file's own fine-tune for instance.
pub fn trials<'a>(tree: &'a CampaignTree, plan: &PlanningSpec) -> Vec<(&'a Experiment, Trial)> {
    let mut all: Vec<&Experiment> = tree.experiments.values().collect();
    all.sort_by_key(|one| (one.ended_at, &one.experiment_id));
    let trial = |one: &'a Experiment| {
        let values = varied(plan, &one.config)?;
        let value = one.metrics.get(&plan.metric).copied();
        let value = value.filter(|_| one.status == Status::Completed);
        let counts = inside(plan, &values) && teaches(one, plan);
        counts.then_some((one, Trial { values, value }))
    };
    all.into_iter().filter_map(trial).collect()
}

/// The best value of a metric, and the experiment that has it.
pub fn best<'a>(tree: &'a CampaignTree, metric: &str) -> Option<(&'a Experiment, f64)> {
    let smaller = crate::history::smaller_is_better(metric);
    let completed = tree.experiments.values();
    let completed = completed.filter(|one| one.status == Status::Completed);
    let values = completed.filter_map(|one| Some((one, *one.metrics.get(metric)?)));
    values.min_by(|(_, a), (_, b)| match smaller {
        true => a.total_cmp(b),
        false => b.total_cmp(a),
    })
}

/// What is approved or waits, and what was tried and came to something under other settings than were asked for, a smaller
/// batch for instance: none of it is to be proposed again. What came to nothing may be, and what lies outside of what is
/// varied, as a person may propose it, is no matter of the planner's.
pub fn pending<'a>(
    tree: &CampaignTree,
    plan: &PlanningSpec,
    known: impl Iterator<Item = &'a Trial>,
) -> Vec<Assignment> {
    let known: Vec<&Assignment> = known.map(|trial| &trial.values).collect();
    let taught = tree.experiments.values().filter(|one| teaches(one, plan));
    let taught: BTreeSet<&str> = taught.filter_map(|one| one.proposal.as_deref()).collect();
    let all = tree.proposals.values();
    all.filter(|one| match one.state {
        ProposalState::Refused => false,
        ProposalState::Tried => taught.contains(one.id.as_str()),
        ProposalState::Waiting | ProposalState::Approved => true,
    })
    .filter_map(|one| Some((one.state, asked(plan, &one.run)?)))
    .filter(|(state, values)| *state != ProposalState::Tried || !known.contains(&values))
    .map(|(_, values)| values)
    .filter(|values| inside(plan, values))
    .collect()
}
