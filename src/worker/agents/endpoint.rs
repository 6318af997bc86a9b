//! The brain that asks models: the same agents, each sent to a tier by the routing policy, each with a prompt of
//! `config/prompts/`. The linter stays the judge; what a model says of a workflow is kept beside what is true of it.

mod ask;
mod parse;
mod prompt;

use super::{Agents, Ask, Opinion, Said, Trouble};
use crate::{
    llm::{Client, Endpoint},
    trajectory::{
        experience::{Experience, Tries},
        record::{Agent, Reflection, Tier},
        score::plan_quality,
    },
    workflow::{
        errors::{Diagnosis, Situation},
        lint::{Issue, lint},
        plan::{Plan, plan as by_rules},
        writer::Artefact,
    },
};
use ask::Errand;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Tokens that an answer may have.
const SHORT: u64 = 2_048;
const LONG: u64 = 12_288;

/// The models and what is known of them.
pub struct Models {
    client: Client,
    tiers: Vec<Endpoint>,
    routing: BTreeMap<Agent, Tier>,
    counterfactual: f64,
    experience: Experience,
    /// Answers and milliseconds by tier, for what a decision has in front of it.
    latencies: Mutex<BTreeMap<Tier, (u64, f64)>>,
}

/// Where an agent is sent that the campaign file says nothing of: those who write go to a large model.
fn usual(agent: Agent) -> Tier {
    match agent {
        Agent::Planner | Agent::Codegen | Agent::Reflector => Tier::LocalLarge,
        _ => Tier::LocalSmall,
    }
}

impl Models {
    /// Models that `client` reaches.
    pub fn new(
        client: Client,
        tiers: Vec<Endpoint>,
        routing: &[(Agent, Tier)],
        counterfactual: f64,
        experience: Experience,
    ) -> Self {
        let usual = Agent::ALL.iter().map(|agent| (*agent, usual(*agent)));
        Self {
            client,
            tiers,
            routing: usual.chain(routing.iter().copied()).collect(),
            counterfactual,
            experience,
            latencies: Mutex::default(),
        }
    }

    fn tries(&self, agent: Agent, tier: Tier) -> Tries {
        self.experience.tier(agent, tier)
    }

    fn latency(&self, tier: Tier) -> Option<f64> {
        let latencies = self.latencies.lock();
        let latencies = latencies.unwrap_or_else(PoisonError::into_inner);
        latencies
            .get(&tier)
            .map(|(answers, sum)| sum / *answers as f64)
    }

    /// Whether any model has answered yet.
    pub fn has_answered(&self) -> bool {
        let latencies = self.latencies.lock();
        !latencies.unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn answered(&self, tier: Tier, latency_ms: f64) {
        let latencies = self.latencies.lock();
        let mut latencies = latencies.unwrap_or_else(PoisonError::into_inner);
        let (answers, sum) = latencies.entry(tier).or_default();
        *answers += 1;
        *sum += latency_ms;
    }

    fn lessons(&self, ask: &Ask<'_>) -> String {
        prompt::lessons(&self.experience.lessons(&ask.record.analysis_type))
    }

    /// Asks for a fenced workflow; config and README are those of `before`, where there is one.
    async fn code(
        &self,
        ask: Ask<'_>,
        prompt: String,
        before: Option<&Artefact>,
    ) -> Said<Artefact> {
        let errand = Errand {
            agent: Agent::Codegen,
            prompt,
            schema: None,
            max_tokens: LONG,
            judge: |text: &str| parse::blocks(text).first().map(|code| lint_quality(code)),
        };
        self.ask(ask, errand, |text| {
            let mut blocks = parse::blocks(text).into_iter().map(String::from);
            let main_nf = blocks.next().ok_or("there is no fenced workflow")?;
            let config = blocks.next().or(before.map(|before| before.config.clone()));
            Ok(Artefact {
                main_nf,
                config: config.unwrap_or_default(),
                readme: before.map_or(String::new(), |before| before.readme.clone()),
            })
        })
        .await
    }
}

/// The worth of a workflow by the linter alone, 0 to 1.
fn lint_quality(code: &str) -> f64 {
    crate::trajectory::score::lint_part(&lint(code))
}

impl Agents for Models {
    async fn plan(&self, ask: Ask<'_>, flaws: &[String]) -> Said<Plan> {
        let record = ask.record;
        // Reference, samples and platform are facts of the query, for which nobody needs a model.
        let frame = match by_rules(&ask.asked()) {
            Ok(frame) => frame,
            Err(why) => return Said::failed(why),
        };
        let judged = frame.clone();
        let errand = Errand {
            agent: Agent::Planner,
            prompt: prompt::planner(record, &frame, flaws, &self.lessons(&ask)),
            schema: Some(prompt::plan_schema()),
            max_tokens: SHORT,
            judge: move |text: &str| {
                let plan = parse::plan(text, &judged).ok()?;
                Some(plan_quality(&record.query, &plan))
            },
        };
        self.ask(ask, errand, |text| parse::plan(text, &frame))
            .await
    }

    async fn write(&self, ask: Ask<'_>, plan: &Plan) -> Said<Artefact> {
        let prompt = prompt::codegen(ask.record, plan, &self.lessons(&ask));
        self.code(ask, prompt, None).await
    }

    async fn repair(
        &self,
        ask: Ask<'_>,
        _plan: &Plan,
        artefact: &Artefact,
        issues: &[Issue],
    ) -> Said<Artefact> {
        let prompt = prompt::repair(&artefact.main_nf, issues, &self.lessons(&ask));
        self.code(ask, prompt, Some(artefact)).await
    }

    async fn validate(&self, ask: Ask<'_>, artefact: &Artefact, issues: &[Issue]) -> Said<Opinion> {
        let errand = Errand {
            agent: Agent::Validator,
            prompt: prompt::validator(&artefact.main_nf),
            schema: Some(prompt::validator_schema()),
            max_tokens: SHORT,
            judge: |text: &str| parse::agreement(text, issues),
        };
        self.ask(ask, errand, |text| {
            Ok(Opinion {
                feedback: Some(text.to_owned()),
            })
        })
        .await
    }

    async fn document(&self, ask: Ask<'_>, plan: &Plan, artefact: &Artefact) -> Said<String> {
        let errand = Errand {
            agent: Agent::Documenter,
            prompt: prompt::documenter(ask.record, plan, &artefact.main_nf),
            schema: None,
            max_tokens: SHORT,
            judge: |_: &str| None,
        };
        self.ask(ask, errand, |text| Ok(text.trim().to_owned()))
            .await
    }

    async fn diagnose(
        &self,
        ask: Ask<'_>,
        log: &str,
        _situation: &Situation,
    ) -> Said<Option<Diagnosis>> {
        let errand = Errand {
            agent: Agent::Diagnostician,
            prompt: prompt::diagnostician(ask.record, log),
            schema: Some(prompt::diagnosis_schema()),
            max_tokens: SHORT,
            judge: |_: &str| None,
        };
        self.ask(ask, errand, parse::diagnosis).await
    }

    async fn reflect(&self, ask: Ask<'_>) -> Said<Reflection> {
        let errand = Errand {
            agent: Agent::Reflector,
            prompt: prompt::reflect(ask.record),
            schema: Some(prompt::reflection_schema()),
            max_tokens: SHORT,
            judge: |_: &str| None,
        };
        self.ask(ask, errand, parse::reflection).await
    }
}

/// The state in which an agent is asked, whose deadline bounds its answer.
fn state(agent: Agent) -> crate::machines::trajectory::State {
    use crate::machines::trajectory::State;
    match agent {
        Agent::Planner => State::Planning,
        Agent::Codegen => State::Writing,
        Agent::Validator => State::Validating,
        Agent::Documenter => State::Documenting,
        Agent::QualityChecker => State::Checking,
        Agent::Diagnostician => State::Diagnosing,
        Agent::Reflector => State::Reflecting,
    }
}

/// What a failed answer means for the sample.
fn trouble(error: &crate::llm::LlmError) -> Trouble {
    use super::Stop;
    use crate::llm::Kind;
    let text = error.to_string();
    match error.kind {
        Kind::BudgetSpent => Trouble::Stop(Stop::BudgetSpent(text)),
        Kind::Settings | Kind::Secret | Kind::Unauthorized | Kind::NotFound => {
            Trouble::Stop(Stop::Refused(text))
        }
        Kind::Ledger
        | Kind::RateLimited
        | Kind::ServerError
        | Kind::Timeout
        | Kind::Unreachable
        | Kind::Broken => Trouble::Stop(Stop::Unavailable(text)),
        _ => Trouble::Failed(text),
    }
}
