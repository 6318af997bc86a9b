//! The brain that needs no model: every agent is a rule of `workflow`. It invents no tiers, no prices and no latencies.

use super::{Agents, Ask, Opinion, Said};
use crate::{
    trajectory::record::{PlanDefect, Reflection},
    workflow::{
        errors::{Diagnosis, Situation, diagnose},
        lint::Issue,
        plan::{Plan, plan},
        repair::repair,
        writer::{Artefact, write},
    },
};

/// The rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules;

impl Agents for Rules {
    async fn plan(&self, ask: Ask<'_>, _flaws: &[String]) -> Said<Plan> {
        // The planner's only source of flaws is what was planned against it, so it simply plans again.
        plan(&ask.asked()).map_or_else(Said::failed, Said::plain)
    }

    async fn write(&self, _ask: Ask<'_>, plan: &Plan) -> Said<Artefact> {
        Said::plain(write(plan))
    }

    async fn repair(
        &self,
        _ask: Ask<'_>,
        plan: &Plan,
        artefact: &Artefact,
        issues: &[Issue],
    ) -> Said<Artefact> {
        let main_nf = repair(plan, &artefact.main_nf, issues);
        Said::plain(Artefact {
            main_nf,
            ..artefact.clone()
        })
    }

    async fn validate(
        &self,
        _ask: Ask<'_>,
        _artefact: &Artefact,
        _issues: &[Issue],
    ) -> Said<Opinion> {
        Said::plain(Opinion::default())
    }

    async fn document(&self, _ask: Ask<'_>, _plan: &Plan, artefact: &Artefact) -> Said<String> {
        Said::plain(artefact.readme.clone())
    }

    async fn diagnose(
        &self,
        _ask: Ask<'_>,
        log: &str,
        _situation: &Situation,
    ) -> Said<Option<Diagnosis>> {
        Said::plain(diagnose(log))
    }

    async fn reflect(&self, ask: Ask<'_>) -> Said<Reflection> {
        let record = ask.record;
        let Some(issue) = record.drafts.last().and_then(|draft| draft.issues.first()) else {
            let flaws = record.validation_issues.join("; ");
            return Said::plain(Reflection {
                root_cause: format!("the plan does not hold together: {flaws}"),
                prevention: "check that every step's input is made by a step before it".into(),
                alternative: "plan again from the analysis type's default steps".into(),
                learning: format!(
                    "{}: {} in a plan is a matter for the planner, not for the writer",
                    record.analysis_type,
                    PlanDefect::MissingStep
                ),
            });
        };
        let rule = issue.rule.name();
        let after = match record.cycles {
            0 => "and repair is off".to_owned(),
            cycles => format!("and {cycles} cycles did not mend it"),
        };
        Said::plain(Reflection {
            root_cause: format!("{rule} in line {}: {}, {after}", issue.line, issue.message),
            prevention: format!("lint each process for {rule} before the workflow is put together"),
            alternative: "write the process again from the plan instead of mending its text".into(),
            learning: format!("{}: look for {rule} first", record.analysis_type),
        })
    }
}
