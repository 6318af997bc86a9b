//! The experiments of a campaign as the planner sees them: settings in a space, and what they came to.

use crate::{
    history::{Experiment, FailureCause, Status},
    machines::{
        proposal::State as ProposalState,
        spec::{PlanningSpec, RunSpec},
        tree::CampaignTree,
    },
    parameters::{Assignment, Value},
    planning::propose::Trial,
};

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

/// The part of these settings that is varied; none where one of them is missing.
pub fn varied(plan: &PlanningSpec, of: &Assignment) -> Option<Assignment> {
    plan.vary
        .keys()
        .map(|name| Some((name.clone(), of.get(name)?.clone())))
        .collect()
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
        let inside = plan
            .vary
            .iter()
            .all(|(name, domain)| values.get(name).is_some_and(|value| domain.holds(value)));
        let cause = one.failure.as_ref().map(|failure| failure.cause);
        let value = one.metrics.get(&plan.metric).copied();
        let teaches = match one.status {
            Status::Completed => value.is_some(),
            Status::Failed => !matches!(cause, Some(FailureCause::Node | FailureCause::Refused)),
            Status::Cancelled => false,
        };
        let value = value.filter(|_| one.status == Status::Completed);
        (inside && teaches).then_some((one, Trial { values, value }))
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

/// What is approved or waits, and what was tried under other settings than were asked for, a smaller batch for instance: none
/// of it is to be proposed again.
pub fn pending<'a>(
    tree: &CampaignTree,
    plan: &PlanningSpec,
    known: impl Iterator<Item = &'a Trial>,
) -> Vec<Assignment> {
    let known: Vec<&Assignment> = known.map(|trial| &trial.values).collect();
    let all = tree.proposals.values();
    all.filter(|one| one.state != ProposalState::Refused)
        .filter_map(|one| Some((one.state, varied(plan, &settings(&one.run))?)))
        .filter(|(state, values)| *state != ProposalState::Tried || !known.contains(&values))
        .map(|(_, values)| values)
        .collect()
}
