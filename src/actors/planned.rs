//! Where the cycles of a campaign are, for a screen: what is tried, and what came of it.

use crate::{
    control::proposals::{PlanView, PredictionView, ResultView, TriedView},
    history::{Experiment, Status},
    machines::{
        plan,
        proposal::{Proposal, State},
        tree::CampaignTree,
    },
};

/// Where the cycles are; none where nothing is planned.
pub(super) fn planned(tree: &CampaignTree) -> Option<PlanView> {
    let campaign = &tree.campaign;
    let asked = campaign.spec.planning.as_ref()?;
    let metric = asked.metric.as_str();
    let best = plan::best(tree, metric);
    let waiting = tree.proposals.values();
    let waiting = waiting.filter(|one| one.state == State::Waiting);
    let mut tried: Vec<&Proposal> = tree
        .proposals
        .values()
        .filter(|one| one.cycle == Some(campaign.cycle))
        .collect();
    tried.sort_by_key(|one| (one.id.len(), &one.id));
    let tried = tried.into_iter().map(|one| TriedView {
        id: one.id.clone(),
        values: one.values.clone(),
        prediction: prediction(one),
        result: result(tree, one, Some(metric)),
    });
    Some(PlanView {
        cycle: campaign.cycle,
        cycles: asked.cycles,
        metric: metric.into(),
        best: best.map(|(_, value)| value),
        best_experiment: best.map(|(one, _)| one.experiment_id.clone()),
        tried: tried.collect(),
        baseline: baseline(tree, metric),
        waiting: waiting.map(|one| one.id.clone()).collect(),
        stopped: campaign
            .stopped
            .as_ref()
            .map(|stopped| stopped.text.clone()),
    })
}

/// What the campaign file's own fine-tune came to: the first of them that completed.
fn baseline(tree: &CampaignTree, metric: &str) -> Option<f64> {
    let own = tree.experiments.values();
    let own = own.filter(|one| one.proposal.is_none() && one.status == Status::Completed);
    let first = own.min_by_key(|one| (one.cycle_id, one.experiment_id.len(), &one.experiment_id));
    first?.metrics.get(metric).copied()
}

/// What was expected of a proposal.
pub(super) fn prediction(one: &Proposal) -> Option<PredictionView> {
    one.prediction.as_ref().map(|expected| PredictionView {
        metric: expected.metric.clone(),
        mean: expected.mean,
        sd: expected.sd,
    })
}

/// What came of a proposal; none while nothing has.
pub(super) fn result(
    tree: &CampaignTree,
    one: &Proposal,
    metric: Option<&str>,
) -> Option<ResultView> {
    let of_this = |other: &&Experiment| other.proposal.as_deref() == Some(&one.id);
    let result = tree.experiments.values().find(of_this)?;
    Some(ResultView {
        experiment: result.experiment_id.clone(),
        status: result.status.name().into(),
        value: metric.and_then(|metric| result.metrics.get(metric).copied()),
        failure: result.failure.as_ref().map(|failure| failure.text.clone()),
    })
}
