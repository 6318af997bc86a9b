//! The cyclic supervisor: asks one agent after the other as `state-machines/trajectory.toml` says, and keeps the record.
//!
//! It decides nothing that the table does not say, and judges nothing itself: the linter finds, the plan's own check finds
//! flaws of the design, and the score reads what was made.

mod defects;
mod steps;

use super::agents::{Agents, Ask, Said, Stop, Trouble};
use crate::{
    generation::{QuerySample, permutation::draw},
    machines::{
        table::{Entry, EventName},
        trajectory::{Course, State},
    },
    time::Timestamp,
    trajectory::{
        record::{Agent, Draft, Outcome, QualityParts, Recovery, TrajectoryRecord},
        score,
    },
    workflow::{
        errors::{self, ErrorCase, Situation},
        lint::{Issue, lint},
        plan::{Plan, missing},
        writer::Artefact,
    },
};

/// Stream of draws for the words of a planned error.
const ERROR: u64 = 203;

/// How samples are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Root of all chance.
    pub seed: u64,
    /// Share of samples with a planned defect, 0 to 1.
    pub defects: f64,
    /// The most cycles; 0 where repair is off.
    pub max_cycles: u32,
    /// Who makes them: `CAMPAIGN/PHASE`.
    pub session: String,
}

/// Makes one sample. Clocks are given, so that two runs differ in nothing else.
///
/// # Errors
/// [`Stop`] when no sample can be made now; this one is then begun again later.
pub async fn make<A: Agents>(
    agents: &A,
    settings: &Settings,
    sample: QuerySample,
    clock: impl Fn() -> Timestamp,
) -> Result<TrajectoryRecord, Stop> {
    let mut work = Work::begin(settings, sample, clock());
    let mut next = work.fire(EventName::Started);
    while let Some(entry) = next {
        let event = match work.perform(agents, entry).await {
            Ok(event) => event,
            Err(Trouble::Stop(stop)) => return Err(stop),
            Err(Trouble::TookTooLong(why)) => {
                work.record.outcome_reason = why;
                EventName::DeadlinePassed
            }
            Err(Trouble::Failed(why)) => {
                work.record.outcome_reason = why;
                EventName::AgentFailed
            }
        };
        next = work.fire(event);
    }
    Ok(work.finish(clock()))
}

/// A sample under way.
struct Work<'a> {
    settings: &'a Settings,
    course: Course,
    record: TrajectoryRecord,
    plan: Option<Plan>,
    artefact: Option<Artefact>,
    /// What the linter says of the artefact as it is.
    issues: Vec<Issue>,
    /// What is wrong with the plan as it is.
    flaws: Vec<String>,
    /// The error to recover from.
    planned_error: Option<(ErrorCase, Situation)>,
}

impl<'a> Work<'a> {
    fn begin(settings: &'a Settings, sample: QuerySample, now: Timestamp) -> Self {
        Self {
            settings,
            course: Course::new(settings.max_cycles),
            record: blank(settings, sample, now),
            plan: None,
            artefact: None,
            issues: Vec::new(),
            flaws: Vec::new(),
            planned_error: None,
        }
    }

    fn fire(&mut self, event: EventName) -> Option<Entry> {
        self.course.design_issue = !self.flaws.is_empty();
        let next = self.course.fire(event);
        self.record.cycles = self.course.cycles;
        next.expect("the table takes what its own entries lead to: a test drives every route")
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            record: &self.record,
            seed: self.settings.seed,
            cycle: self.course.cycles,
        }
    }

    async fn perform<A: Agents>(&mut self, agents: &A, entry: Entry) -> Result<EventName, Trouble> {
        match entry {
            Entry::Plan => self.plan(agents).await,
            Entry::Write => self.write(agents).await,
            Entry::Validate => self.validate(agents).await,
            Entry::Document => self.document(agents).await,
            Entry::CheckQuality => self.check(),
            Entry::Diagnose => self.diagnose(agents).await,
            Entry::Reflect => self.reflect(agents).await,
            other => Err(Trouble::Failed(format!("nobody here can {other}"))),
        }
    }

    async fn plan<A: Agents>(&mut self, agents: &A) -> Result<EventName, Trouble> {
        let again = self.plan.is_some();
        let said = agents.plan(self.ask(), &self.flaws).await;
        let shown = said.value.as_ref().map_or(String::new(), steps::of_plan);
        let mut plan = self.take(
            Agent::Planner,
            again,
            self.record.query.clone(),
            shown,
            said,
        )?;
        if !again {
            self.spoil_plan(&mut plan);
        }
        self.record.plan_json = serde_json::to_string(&plan).ok();
        self.plan = Some(plan);
        // What was written is of another plan.
        self.artefact = None;
        Ok(EventName::PlanMade)
    }

    async fn write<A: Agents>(&mut self, agents: &A) -> Result<EventName, Trouble> {
        let plan = self.plan.take().ok_or_else(lost)?;
        let first = self.record.validation_iterations == 0;
        let (again, said) = match &self.artefact {
            Some(artefact) => {
                let issues = &self.issues;
                let said = agents.repair(self.ask(), &plan, artefact, issues).await;
                (true, said)
            }
            None => (false, agents.write(self.ask(), &plan).await),
        };
        let asked = if again {
            steps::of_issues(&self.issues)
        } else {
            steps::of_plan(&plan)
        };
        self.plan = Some(plan);
        let shown = said.value.as_ref().map_or(String::new(), steps::of_code);
        let mut artefact = self.take(Agent::Codegen, again, asked, shown, said)?;
        if first {
            self.spoil_code(&mut artefact);
        }
        self.artefact = Some(artefact);
        Ok(EventName::CodeWritten)
    }

    async fn validate<A: Agents>(&mut self, agents: &A) -> Result<EventName, Trouble> {
        let (Some(plan), Some(artefact)) = (self.plan.take(), self.artefact.take()) else {
            return Err(lost());
        };
        self.flaws = missing(&plan);
        self.issues = lint(&artefact.main_nf);
        let said = agents.validate(self.ask(), &artefact, &self.issues).await;
        let passed = self.flaws.is_empty() && self.issues.is_empty();
        let shown = steps::of_findings(&self.flaws, &self.issues);
        let code = steps::of_code(&artefact);
        self.plan = Some(plan);
        let opinion = self.take(Agent::Validator, false, code, shown, said);
        if !passed && let Ok(opinion) = &opinion {
            self.record.drafts.push(Draft {
                code: artefact.main_nf.clone(),
                issues: self.issues.clone(),
                feedback: opinion.feedback.clone(),
            });
        }
        self.artefact = Some(artefact);
        opinion?;
        self.record.validation_iterations += 1;
        self.record.validation_issues = steps::lines(&self.flaws, &self.issues);
        self.record.final_validation_passed = passed;
        Ok(if passed {
            EventName::ValidationPassed
        } else {
            EventName::IssuesFound
        })
    }

    async fn document<A: Agents>(&mut self, agents: &A) -> Result<EventName, Trouble> {
        let (Some(plan), Some(mut artefact)) = (self.plan.take(), self.artefact.take()) else {
            return Err(lost());
        };
        let said = agents.document(self.ask(), &plan, &artefact).await;
        let shown = said
            .value
            .as_ref()
            .map_or(String::new(), |readme| steps::of_text("README.md", readme));
        let readme = self.take(Agent::Documenter, false, steps::of_plan(&plan), shown, said);
        self.plan = Some(plan);
        if let Ok(readme) = &readme {
            artefact.readme.clone_from(readme);
        }
        self.artefact = Some(artefact);
        readme.map(|_| EventName::Documented)
    }

    /// Judged by what was made, whoever made it: no brain is asked for an opinion of itself.
    fn check(&mut self) -> Result<EventName, Trouble> {
        let (score, parts) = self.score();
        let shown = format!(
            "quality {score}: lint {}, plan {}, structure {}",
            parts.lint, parts.plan_completeness, parts.code_structure
        );
        let said = Said::plain(());
        self.take(Agent::QualityChecker, false, String::new(), shown, said)?;
        self.plan_error();
        Ok(EventName::Checked)
    }

    /// The error that the query's scenario raises, if it raises one, is put to the diagnostician.
    fn plan_error(&mut self) {
        let scenario = self.record.scenario.as_deref().and_then(errors::scenario);
        let (Some(scenario), Some(plan)) = (scenario, &self.plan) else {
            return;
        };
        let chance = draw(self.settings.seed, ERROR, self.record.index);
        let situation = steps::situation(plan, chance);
        match errors::render(scenario, &situation, chance) {
            Some(case) => self.planned_error = Some((case, situation)),
            // No run would print a word of it: what helps is a matter of the plan, and no error was recovered from.
            None => {
                let remedy = errors::remedy(scenario, &situation);
                let decision = remedy.map(|remedy| steps::remedied(&scenario.name, &remedy));
                self.record.agent_decisions.extend(decision);
            }
        }
        self.course.error_planned = self.planned_error.is_some();
    }

    async fn diagnose<A: Agents>(&mut self, agents: &A) -> Result<EventName, Trouble> {
        let (case, situation) = self.planned_error.take().ok_or_else(lost)?;
        let said = agents.diagnose(self.ask(), &case.log, &situation).await;
        let shown = match &said.value {
            Ok(Some(diagnosis)) => format!("{}: {}", diagnosis.kind, diagnosis.message),
            Ok(None) => "no error seen".into(),
            Err(_) => String::new(),
        };
        let asked = steps::short(&case.message);
        let diagnosis = self.take(Agent::Diagnostician, false, asked, shown, said)?;
        let recovery: Recovery = steps::recovered(&case, &situation, diagnosis.as_ref());
        self.record.error_resolutions.push(recovery);
        Ok(EventName::Diagnosed)
    }

    async fn reflect<A: Agents>(&mut self, agents: &A) -> Result<EventName, Trouble> {
        let said = agents.reflect(self.ask()).await;
        let shown = said
            .value
            .as_ref()
            .map_or(String::new(), |reflection| reflection.learning.clone());
        let asked = self.record.validation_issues.join("; ");
        let reflection = self.take(Agent::Reflector, false, asked, shown, said)?;
        self.record.reflection = Some(reflection);
        Ok(EventName::Reflected)
    }

    fn score(&self) -> (f64, QualityParts) {
        match (&self.plan, &self.artefact) {
            (Some(plan), Some(artefact)) => score::score(&score::Made {
                query: &self.record.query,
                query_parts: &self.record.query_parts,
                plan,
                code: &artefact.main_nf,
                config: &artefact.config,
                readme: &artefact.readme,
                issues: &self.issues,
                cycles: self.record.cycles,
            }),
            _ => (0.0, QualityParts::default()),
        }
    }

    fn finish(mut self, now: Timestamp) -> TrajectoryRecord {
        let (score, parts) = self.score();
        let record = &mut self.record;
        (record.quality_score, record.quality_parts) = (score, parts);
        record.outcome = outcome(self.course.state);
        record.accepted = record.outcome == Outcome::Success && score >= score::ACCEPTANCE;
        if record.outcome_reason.is_empty() {
            record.outcome_reason = reason(record);
        }
        if let Some(artefact) = self.artefact {
            record.generated_code = Some(artefact.main_nf);
            record.config_code = Some(artefact.config);
            record.readme = Some(artefact.readme);
        }
        record.completed_at = Some(now.to_string());
        self.record
    }
}

/// A wiring that the table does not allow.
fn lost() -> Trouble {
    Trouble::Failed("the supervisor has nothing to go on with".into())
}

fn outcome(state: State) -> Outcome {
    match state {
        State::Success => Outcome::Success,
        State::ValidationFailed => Outcome::ValidationFailed,
        State::MaxCyclesExceeded => Outcome::MaxCyclesExceeded,
        State::ExecutionFailed => Outcome::ExecutionFailed,
        State::Timeout => Outcome::Timeout,
        State::UserCancelled => Outcome::UserCancelled,
        _ => Outcome::Error,
    }
}

fn reason(record: &TrajectoryRecord) -> String {
    let issues = || record.validation_issues.join("; ");
    match (record.outcome, record.cycles) {
        (Outcome::Success, 0) => "the first workflow has no findings".into(),
        (Outcome::Success, 1) => "no findings after one cycle".into(),
        (Outcome::Success, cycles) => format!("no findings after {cycles} cycles"),
        (Outcome::ValidationFailed, _) => format!("repair is off: {}", issues()),
        (_, cycles) => format!("after {cycles} cycles: {}", issues()),
    }
}

fn blank(settings: &Settings, sample: QuerySample, now: Timestamp) -> TrajectoryRecord {
    TrajectoryRecord {
        trajectory_id: format!("t-{:x}-{}", settings.seed, sample.index),
        index: sample.index,
        query: sample.query,
        analysis_type: sample.analysis_type,
        organism: Some(sample.organism),
        complexity: sample.complexity,
        template: sample.template,
        slots: sample.slots,
        scenario: sample.scenario,
        steps: Vec::with_capacity(8),
        routing_decisions: Vec::new(),
        agent_decisions: Vec::new(),
        model_comparisons: Vec::new(),
        plan_json: None,
        generated_code: None,
        config_code: None,
        readme: None,
        validation_iterations: 0,
        validation_issues: Vec::new(),
        final_validation_passed: false,
        drafts: Vec::new(),
        cycles: 0,
        execution_submitted: false,
        execution_completed: false,
        execution_exit_code: None,
        execution_logs_path: None,
        error_resolutions: Vec::new(),
        reflection: None,
        outcome: Outcome::Error,
        outcome_reason: String::new(),
        total_tokens: 0,
        total_cost_usd: 0.0,
        total_latency_ms: 0.0,
        session_id: Some(settings.session.clone()),
        user_feedback: None,
        created_at: now.to_string(),
        completed_at: None,
        quality_score: 0.0,
        quality_parts: QualityParts::default(),
        query_parts: sample.quality_parts,
        accepted: false,
        planned_defect: None,
        planted_fault: sample.planted_fault,
    }
}

#[cfg(test)]
mod tests;
