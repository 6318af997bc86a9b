//! Every course that a sample can take, with agents that do well and badly.

use super::*;
use crate::trajectory::record::Reflection;
use crate::{
    generation::Plan as Queries,
    trajectory::record::{DefectKind, PlanDefect},
    worker::agents::{Opinion, rules::Rules},
    workflow::{defect::Defect, errors::Diagnosis},
};
use futures_util::FutureExt;
use std::{cell::Cell, collections::BTreeSet};

const NOW: Timestamp = Timestamp(1_772_442_842_000);

fn settings(defects: f64, max_cycles: u32) -> Settings {
    Settings {
        seed: 11,
        defects,
        max_cycles,
        session: "alttp/pilot".into(),
    }
}

fn sample(index: u64, faults: f64) -> QuerySample {
    Queries { seed: 11, faults }.sample(index).unwrap()
}

fn run<A: Agents>(
    agents: &A,
    settings: &Settings,
    sample: QuerySample,
) -> Result<TrajectoryRecord, Stop> {
    make(agents, settings, sample, || NOW)
        .now_or_never()
        .expect("nobody waits")
}

fn by_rules(settings: &Settings, index: u64) -> TrajectoryRecord {
    run(&Rules, settings, sample(index, 0.0)).unwrap()
}

#[test]
fn a_clean_sample_goes_straight_through() {
    let record = by_rules(&settings(0.0, 3), 3);
    assert_eq!(
        record.outcome,
        Outcome::Success,
        "{}",
        record.outcome_reason
    );
    let actions: Vec<&str> = record.steps.iter().map(|step| &*step.action).collect();
    assert_eq!(
        actions[..5],
        [
            "generate_plan",
            "generate_code",
            "validate",
            "document",
            "check_quality"
        ]
    );
    assert!(record.drafts.is_empty() && record.final_validation_passed && record.accepted);
    assert_eq!((record.cycles, record.validation_iterations), (0, 1));
    assert!(record.generated_code.unwrap().contains("workflow {"));
    assert!(record.steps.iter().all(|step| step.model_used.is_none()
        && step.model_tier.is_none()
        && step.latency_ms.is_none()
        && step.input_tokens + step.output_tokens == 0));
    assert!(
        record.routing_decisions.is_empty(),
        "no model was asked, so nothing was routed"
    );
}

#[test]
fn every_planned_defect_is_found_at_its_line_and_mended() {
    let settings = settings(1.0, 3);
    let mut kinds = BTreeSet::new();
    for index in 0..600 {
        let record = by_rules(&settings, index);
        let planned = record
            .planned_defect
            .as_ref()
            .unwrap_or_else(|| panic!("{index} has no defect"));
        kinds.insert(planned.kind);
        assert_eq!(
            record.outcome,
            Outcome::Success,
            "{index}: {}",
            record.outcome_reason
        );
        assert!(record.cycles >= 1, "{index}");
        let draft = &record.drafts[0];
        match planned.kind {
            DefectKind::Code(_) => {
                let at = (planned.rule, planned.line);
                let found = draft
                    .issues
                    .iter()
                    .any(|issue| (Some(issue.rule), issue.line) == at);
                assert!(found, "{index}: {planned:?} in {:?}", draft.issues);
            }
            DefectKind::Plan(PlanDefect::MissingStep) => {
                assert!(
                    record
                        .steps
                        .iter()
                        .any(|step| step.action == "redesign_plan"),
                    "{index}"
                );
            }
        }
    }
    let all = Defect::ALL.len() + 1;
    assert!(
        kinds.len() >= all - 2,
        "{} of {all} kinds were planted: {kinds:?}",
        kinds.len()
    );
}

#[test]
fn without_repair_a_defect_ends_the_sample_and_costs_its_quality() {
    let record = (0..20).map(|index| by_rules(&settings(1.0, 0), index));
    for record in record {
        assert_eq!(record.outcome, Outcome::ValidationFailed);
        assert!(
            record.quality_score <= 0.5 && !record.accepted,
            "{}",
            record.quality_score
        );
        assert!(record.reflection.is_some() && !record.outcome_reason.is_empty());
    }
}

#[test]
fn the_score_reads_what_was_made_and_no_label() {
    for index in 0..60 {
        let (defects, cycles) = if index % 2 == 0 { (0.5, 3) } else { (0.5, 0) };
        let record = run(&Rules, &settings(defects, cycles), sample(index, 0.3)).unwrap();
        let mut blind = record.clone();
        (blind.planned_defect, blind.planted_fault, blind.drafts) = (None, None, Vec::new());
        assert_eq!(
            score::score_again(&blind),
            (record.quality_score, record.quality_parts),
            "{index}"
        );
    }
}

#[test]
fn scenarios_that_raise_an_error_are_diagnosed_as_what_they_are() {
    let (mut raised, mut quiet) = (0, 0);
    for index in 0..400 {
        let record = by_rules(&settings(0.0, 3), index);
        let Some(scenario) = &record.scenario else {
            assert!(record.error_resolutions.is_empty());
            continue;
        };
        assert_eq!(record.outcome, Outcome::Success);
        for recovery in &record.error_resolutions {
            raised += 1;
            assert_eq!(recovery.resolution_success, None, "nothing was run");
            assert_eq!(
                recovery.diagnosed_kind, recovery.planned_kind,
                "{index} {scenario}"
            );
        }
        let remedies = record.agent_decisions.iter();
        quiet += remedies
            .filter(|one| one.decision_type == "data_remedy")
            .count();
    }
    assert!(
        raised > 20 && quiet > 20,
        "{raised} raised, {quiet} did not"
    );
}

/// Agents that never mend anything, or fail where they are told to.
struct Stubborn {
    asked: Cell<u32>,
    trouble: Option<Trouble>,
}

impl Agents for Stubborn {
    async fn plan(&self, ask: Ask<'_>, flaws: &[String]) -> Said<Plan> {
        Rules.plan(ask, flaws).await
    }
    async fn write(&self, ask: Ask<'_>, plan: &Plan) -> Said<Artefact> {
        if let Some(trouble) = self.trouble.clone() {
            return Said {
                value: Err(trouble),
                call: None,
            };
        }
        let mut said = Rules.write(ask, plan).await;
        if let Ok(artefact) = &mut said.value {
            artefact
                .main_nf
                .push_str("\nworkflow LATE {\n    NOBODY()\n}\n");
        }
        said
    }
    async fn repair(
        &self,
        _: Ask<'_>,
        _: &Plan,
        artefact: &Artefact,
        _: &[Issue],
    ) -> Said<Artefact> {
        self.asked.set(self.asked.get() + 1);
        Said::plain(artefact.clone())
    }
    async fn validate(&self, ask: Ask<'_>, artefact: &Artefact, issues: &[Issue]) -> Said<Opinion> {
        Rules.validate(ask, artefact, issues).await
    }
    async fn document(&self, ask: Ask<'_>, plan: &Plan, artefact: &Artefact) -> Said<String> {
        Rules.document(ask, plan, artefact).await
    }
    async fn diagnose(&self, ask: Ask<'_>, log: &str, at: &Situation) -> Said<Option<Diagnosis>> {
        Rules.diagnose(ask, log, at).await
    }
    async fn reflect(&self, ask: Ask<'_>) -> Said<Reflection> {
        Rules.reflect(ask).await
    }
}

fn stubborn(trouble: Option<Trouble>) -> (Stubborn, Result<TrajectoryRecord, Stop>) {
    let agents = Stubborn {
        asked: Cell::new(0),
        trouble,
    };
    let made = run(&agents, &settings(0.0, 3), sample(5, 0.0));
    (agents, made)
}

#[test]
fn what_cannot_be_mended_ends_after_the_last_cycle() {
    let (agents, made) = stubborn(None);
    let record = made.unwrap();
    assert_eq!(record.outcome, Outcome::MaxCyclesExceeded);
    assert_eq!(
        (
            agents.asked.get(),
            record.cycles,
            record.validation_iterations
        ),
        (3, 3, 4)
    );
    assert_eq!(record.drafts.len(), 4, "each look is kept");
    assert!(
        record
            .reflection
            .unwrap()
            .learning
            .contains("undefined_process")
    );
}

#[test]
fn an_agent_that_cannot_answer_ends_the_sample_and_a_stop_leaves_none() {
    let ends = [
        (Trouble::Failed("no words".into()), Outcome::Error),
        (Trouble::TookTooLong("no end".into()), Outcome::Timeout),
    ];
    for (trouble, outcome) in ends {
        let record = stubborn(Some(trouble)).1.unwrap();
        assert_eq!(record.outcome, outcome);
        assert!(
            record.outcome_reason.starts_with("no "),
            "{}",
            record.outcome_reason
        );
        assert_eq!((record.quality_score, record.accepted), (0.0, false));
    }
    let stop = Stop::BudgetSpent("all gone".into());
    assert_eq!(stubborn(Some(Trouble::Stop(stop.clone()))).1, Err(stop));
}
