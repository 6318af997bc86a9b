//! The constraints that a campaign's proposals are held to: learned from every experiment, then ruled by persons.

use crate::{
    history::{
        Experiment, History,
        constraints::{Constraint, Rules, Strength, apply, check, in_force, learn, weigh},
    },
    machines::{spec::PlanningSpec, tree::CampaignTree},
    parameters::{Parameter, Schema, Value},
    time::Timestamp,
};
use std::collections::BTreeMap;

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

/// Of these proposals, those that break a hard constraint, each with a sentence that names it and its evidence.
pub fn broken(
    tree: &CampaignTree,
    history: &History,
    ids: &[String],
    now: Timestamp,
) -> BTreeMap<String, String> {
    let known = constraints(tree, history, now);
    let broken = |id: &String| {
        let run = &tree.proposals.get(id)?.run;
        let all = check(&known, &super::settings(run), &run.model).into_iter();
        let mut hard = all.filter(|one| one.strength == Strength::Hard);
        Some((id.clone(), hard.next()?.text))
    };
    ids.iter().filter_map(broken).collect()
}
