//! What a proposal is likely to take of each budget that is set, beside what is promised to others already.

use crate::{
    history::{Experiment, Status},
    machines::{
        budget,
        proposal::{Proposal, State},
        tree::CampaignTree,
    },
    planning::approval::Cost,
    time::Timestamp,
};

/// How many proposals are approved, or may be, and not begun: their costs are promised.
pub fn ahead(tree: &CampaignTree) -> usize {
    let open = |one: &&Proposal| {
        one.cycle.is_none() && matches!(one.state, State::Approved | State::Waiting)
    };
    tree.proposals.values().filter(open).count()
}

/// What a run is likely to take, the mean of those that ended, of what is left beside `ahead` others like it.
///
/// Time alone is not divided among them: they run side by side.
pub fn costs(tree: &CampaignTree, now: Timestamp, ahead: usize) -> Vec<Cost> {
    let spec = &tree.campaign.spec;
    let Some(budget) = &spec.budget else {
        return Vec::new();
    };
    // What a person or a budget ended says nothing of what a run takes.
    let ended = tree.experiments.values();
    let ended: Vec<&Experiment> = ended
        .filter(|one| one.status != Status::Cancelled && !one.is_refused())
        .collect();
    let mean = |of: &dyn Fn(&Experiment) -> f64| {
        let n = ended.len() as f64;
        (n > 0.0).then(|| ended.iter().map(|one| of(one)).sum::<f64>() / n)
    };
    let spent = budget::spent(tree, now);
    let mut costs = Vec::new();
    let mut add = |what: &str, left: Option<f64>, estimate: Option<f64>, others: usize| {
        let promised = others as f64 * estimate.unwrap_or_default();
        costs.extend(left.map(|left| Cost {
            what: what.into(),
            estimate,
            left: left - promised,
        }));
    };
    let hours = mean(&|one| one.gpu_hours);
    let left = budget.gpu_hours.map(|most| most - spent.gpu_hours);
    add("GPU hours", left, hours, ahead);
    if let Some(price) = budget.gpu_hour_usd {
        let usd = hours.map(|hours| hours * price);
        let left = budget.usd.map(|most| most - spent.gpu_usd);
        add("USD of GPUs", left, usd, ahead);
    }
    let seconds = mean(&|one| one.duration_seconds);
    let wall = budget.wall_seconds;
    let left = wall.map(|most| most as f64 - spent.wall_seconds as f64);
    add("seconds", left, seconds, 0);
    // One job trains it, and one measures all that the cycle has trained.
    let measures = usize::from(spec.evaluation.is_some());
    let left = budget.jobs.map(|most| most as f64 - spent.jobs as f64);
    add("jobs", left, Some(1.0), ahead + measures);
    costs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machines::campaign::Campaign;
    use crate::machines::spec::{BudgetSpec, CampaignSpec, EvaluationSettings, Parts};

    fn tree(jobs: u64) -> CampaignTree {
        let spec = CampaignSpec::bare("a");
        let mut tree = CampaignTree::new(Campaign::draft(spec, Parts::Whole, Timestamp(0)));
        tree.campaign.spec.evaluation = Some(EvaluationSettings::default());
        tree.campaign.spec.budget = Some(BudgetSpec {
            jobs: Some(jobs),
            ..BudgetSpec::default()
        });
        tree
    }

    #[test]
    fn what_is_promised_to_others_is_not_left() {
        let left = |ahead| costs(&tree(4), Timestamp(0), ahead)[0].left;
        // Four jobs: one measures, so that three can train.
        assert_eq!([left(0), left(1), left(2), left(3)], [3.0, 2.0, 1.0, 0.0]);
        assert_eq!(ahead(&tree(4)), 0);
    }
}
