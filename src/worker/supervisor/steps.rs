//! What a step says: agents' answers into steps and sums, and the short texts that they are shown by.

use super::Work;
use crate::{
    trajectory::{
        experience::NOTHING_FOUND,
        record::{Agent, AgentDecision, AgentStep, Recovery},
    },
    worker::agents::{Call, Said, Trouble, action},
    workflow::{
        errors::{Diagnosis, ErrorCase, ErrorContext, Outcome, Resolution, Situation, resolve},
        lint::Issue,
        plan::Plan,
        writer::Artefact,
    },
};
use std::borrow::Cow;

/// Characters that a summary has at most.
const SUMMARY: usize = 240;
/// Findings that a summary lists.
const LISTED: usize = 3;

impl Work<'_> {
    /// Writes an answer down, and hands it on.
    pub(super) fn take<T>(
        &mut self,
        agent: Agent,
        again: bool,
        asked: String,
        shown: String,
        said: Said<T>,
    ) -> Result<T, Trouble> {
        // What is begun again later leaves no step here.
        if let Err(Trouble::Stop(stop)) = said.value {
            return Err(Trouble::Stop(stop));
        }
        let error = match &said.value {
            Ok(_) => None,
            Err(Trouble::Failed(why) | Trouble::TookTooLong(why)) => Some(why.clone()),
            Err(Trouble::Stop(stop)) => Some(stop.to_string()),
        };
        let record = &mut self.record;
        let mut step = AgentStep {
            step_id: record.steps.len() as u32 + 1,
            agent,
            action: Cow::Borrowed(action(agent, again)),
            input_tokens: 0,
            cached_tokens: 0,
            output_tokens: 0,
            reasoning_tokens: 0,
            latency_ms: None,
            model_used: None,
            model_tier: None,
            cost_usd: 0.0,
            success: said.value.is_ok(),
            input_summary: short(&asked),
            output_summary: short(&shown),
            error,
            timestamp: None,
        };
        if let Some(call) = said.call {
            step.charge(&call);
            record.total_tokens += call.input_tokens + call.output_tokens;
            record.total_cost_usd += call.cost_usd;
            record.total_latency_ms += call.latency_ms;
            record.routing_decisions.extend(call.routing);
            record.agent_decisions.extend(call.decisions);
            // The second answer cost money, too.
            record.total_cost_usd += call.comparison.as_ref().map_or(0.0, |second| second.cost_b);
            record.model_comparisons.extend(call.comparison);
        }
        record.steps.push(step);
        said.value
    }
}

impl AgentStep {
    /// What asking the model took.
    fn charge(&mut self, call: &Call) {
        self.input_tokens = call.input_tokens;
        self.cached_tokens = call.cached_tokens;
        self.output_tokens = call.output_tokens;
        self.reasoning_tokens = call.reasoning_tokens;
        self.latency_ms = Some(call.latency_ms);
        self.model_used = Some(call.model.clone());
        self.model_tier = call.tier;
        self.cost_usd = call.cost_usd;
        self.timestamp = Some(call.at.clone());
    }
}

/// The beginning of a text, cut between characters.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(SUMMARY) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

pub(super) fn of_plan(plan: &Plan) -> String {
    let mut text = format!("{} steps: ", plan.steps.len());
    for (at, step) in plan.steps.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { ", " });
        text.push_str(&step.id);
    }
    text
}

pub(super) fn of_code(artefact: &Artefact) -> String {
    of_text("main.nf", &artefact.main_nf)
}

pub(super) fn of_text(name: &str, text: &str) -> String {
    let ends = text.bytes().filter(|byte| *byte == b'\n').count();
    let open = usize::from(!text.is_empty() && !text.ends_with('\n'));
    format!("{name}, {} lines", ends + open)
}

pub(super) fn of_issues(issues: &[Issue]) -> String {
    of_findings(&[], issues)
}

pub(super) fn of_findings(flaws: &[String], issues: &[Issue]) -> String {
    match flaws.len() + issues.len() {
        0 => NOTHING_FOUND.into(),
        all => {
            let listed: Vec<String> = lines(flaws, issues).into_iter().take(LISTED).collect();
            format!("{all} findings: {}", listed.join("; "))
        }
    }
}

/// A line for each finding: flaws of the plan first.
pub(super) fn lines(flaws: &[String], issues: &[Issue]) -> Vec<String> {
    let flaws = flaws.iter().map(|flaw| format!("plan: {flaw}"));
    let issues = issues.iter().map(|issue| {
        format!(
            "main.nf:{}:{}: {}: {}",
            issue.line,
            issue.column,
            issue.rule.name(),
            issue.message
        )
    });
    flaws.chain(issues).collect()
}

/// The task in which a planned error strikes: one of the plan's steps.
pub(super) fn situation(plan: &Plan, chance: u64) -> Situation {
    let mut situation = Situation::default();
    let place = chance.checked_rem(plan.steps.len() as u64);
    if let Some(step) = place.and_then(|place| plan.steps.get(place as usize)) {
        situation.process.clone_from(&step.process);
        situation.tool.clone_from(&step.tool);
    }
    if let Some(runtime) = &plan.container_runtime {
        situation.runtime.clone_from(runtime);
    }
    situation
}

/// Action and new value in one text.
fn attempted(resolution: &Resolution) -> String {
    match &resolution.new_value {
        Some(value) => format!("{}: {value}", resolution.action),
        None => resolution.action.clone(),
    }
}

/// A property of the data that raises no error: what the plan holds against it.
pub(super) fn remedied(scenario: &str, remedy: &Resolution) -> AgentDecision {
    AgentDecision {
        agent: Cow::Borrowed(Agent::Planner.name()),
        decision_type: Cow::Borrowed("data_remedy"),
        input_context: scenario.into(),
        decision: attempted(remedy),
        outcome: Cow::Borrowed("untried"),
        latency_ms: None,
        timestamp: None,
    }
}

/// A planned error with what the diagnostician made of it.
pub(super) fn recovered(
    case: &ErrorCase,
    situation: &Situation,
    diagnosis: Option<&Diagnosis>,
) -> Recovery {
    let resolution = match diagnosis {
        Some(diagnosis) => resolve(diagnosis, situation),
        None => Resolution {
            action: "none".into(),
            new_value: None,
            config_change: None,
        },
    };
    Recovery {
        error_type: diagnosis.map(|diagnosis| diagnosis.category),
        error_message: case.message.clone(),
        context: ErrorContext {
            process: situation.process.clone(),
            current_memory: format!("{} GB", situation.memory_gb),
            input_size_gb: situation.input_size_gb,
        },
        resolution_attempted: attempted(&resolution),
        resolution,
        outcome: Outcome::Untried,
        resolution_success: None,
        iterations: 1,
        final_state: Cow::Borrowed("success"),
        diagnosed_kind: diagnosis.map(|diagnosis| diagnosis.kind.clone()),
        planned_kind: Some(case.kind.clone()),
    }
}
