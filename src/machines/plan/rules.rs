//! The constraints that a campaign's proposals are held to: learned from every experiment, then ruled by persons.

use crate::{
    history::{
        Experiment, History,
        constraints::{Constraint, Rules, apply, in_force, learn, weigh},
    },
    machines::{spec::PlanningSpec, tree::CampaignTree},
    parameters::{Parameter, Schema, Value},
    time::Timestamp,
};

/// What is varied, as a schema: a constraint that would forbid all of a domain is none.
pub fn schema(plan: &PlanningSpec) -> Schema {
    let parameter = |(name, domain): (&String, &crate::parameters::Domain)| Parameter {
        name: name.clone(),
        domain: domain.clone(),
        about: String::new(),
    };
    Schema {
        parameters: plan.vary.iter().map(parameter).collect(),
        sums: Vec::new(),
    }
}

/// The constraints in force, as a campaign's persons ruled them.
pub fn constraints(tree: &CampaignTree, history: &History, now: Timestamp) -> Vec<Constraint> {
    let spec = &tree.campaign.spec;
    let experiments: Vec<&Experiment> = history.experiments().iter().collect();
    let base = spec.training.iter().flat_map(|training| &training.runs);
    let baseline = base.into_iter().next().map(|base| {
        let mut all = super::settings(base);
        all.insert("model".into(), Value::Text(base.model.clone()));
        all
    });
    let rules = Rules {
        baseline: baseline.unwrap_or_default(),
        schema: spec.planning.as_ref().map(schema).unwrap_or_default(),
        ..Rules::default()
    };
    let learned = learn(&experiments, now, &rules);
    let mut all = apply(learned, &tree.campaign.rulings);
    weigh(&mut all, &experiments);
    in_force(&all, now)
}
