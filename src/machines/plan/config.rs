//! The config of a fine-tune that is about to begin (specification 4, "Experiment Config Generator").

use crate::{
    experiment::config::{Config, held},
    history::constraints::Constraint,
    machines::{plan, training_run::TrainingRun, tree::CampaignTree},
    parameters::Value,
};

/// How the sentence of a refusal begins: what it tells of never ran.
pub const REFUSED_BY: &str = "the constraint ";

/// What a fine-tune of a campaign is set to, held to every hard constraint; none of a run that the campaign does not ask for.
///
/// # Errors
/// A sentence: the constraint that refuses it, what it breaks, the evidence, and the way round.
pub fn config(
    tree: &CampaignTree,
    known: &[Constraint],
    record: &TrainingRun,
) -> Result<Option<Config>, String> {
    let Some(asked) = tree.run_spec(&record.name) else {
        return Ok(None);
    };
    let mut values = plan::settings(asked);
    if let Some(broken) = held(known, &values, &asked.model).first() {
        let id = &broken.constraint;
        return Err(format!(
            "{REFUSED_BY}{id} refuses it: {} ({}); campaignctl constraints delete {id} lets it be tried all the same",
            broken.says, broken.evidence
        ));
    }
    let base = tree.campaign.spec.training.as_ref();
    let base = base.and_then(|training| training.runs.first());
    let base = base.map(plan::settings).unwrap_or_default();
    let differs = |(name, value): &(&String, &Value)| base.get(*name) != Some(*value);
    let changed = values.iter().filter(differs);
    let changed = changed.map(|(name, _)| name.clone()).collect();
    values.insert("model".into(), Value::Text(asked.model.clone()));
    Ok(Some(Config {
        experiment_id: record.experiment_id(&tree.campaign.id),
        values,
        changed,
    }))
}
