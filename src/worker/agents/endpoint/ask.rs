//! One question: routed, asked, asked of another tier where the first one cannot, and compared on a sampled share.

use super::{Models, state, trouble};
use crate::{
    llm::{Answer, Endpoint, JsonFormat, Kind, LlmError, Message, Request, Role, Usage},
    machines::table::tables,
    time::Timestamp,
    trajectory::{
        record::{Agent, AgentDecision, ModelComparison},
        routing::{self, Candidate},
    },
    worker::agents::{Ask, Call, Said, Trouble},
};
use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

/// What is asked of whom.
pub(super) struct Errand<J> {
    /// The agent.
    pub agent: Agent,
    /// The prompt.
    pub prompt: String,
    /// The JSON that the answer has to be.
    pub schema: Option<JsonFormat>,
    /// Tokens that it may have.
    pub max_tokens: u64,
    /// The worth of an answer, 0 to 1; none where nothing measures it.
    pub judge: J,
}

/// How long an agent may take where its state has no deadline.
const LIMIT: Duration = Duration::from_secs(600);

impl Models {
    /// Asks, and reads the answer.
    pub(super) async fn ask<T, J>(
        &self,
        ask: Ask<'_>,
        errand: Errand<J>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Said<T>
    where
        J: Fn(&str) -> Option<f64>,
    {
        let state = state(errand.agent);
        let limit = tables().trajectory.row(state.name()).deadline();
        let limit = limit.unwrap_or(LIMIT);
        let mut call = Call::default();
        let value = match tokio::time::timeout(limit, self.answer(ask, &errand, &mut call)).await {
            Ok(Ok(text)) => read(&text).map_err(Trouble::Failed),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => Err(Trouble::TookTooLong(format!(
                "{} gave no answer within {} s",
                errand.agent,
                limit.as_secs()
            ))),
        };
        Said {
            value,
            call: call.routing.is_some().then(|| Box::new(call)),
        }
    }

    async fn answer<J>(
        &self,
        ask: Ask<'_>,
        errand: &Errand<J>,
        call: &mut Call,
    ) -> Result<String, Trouble>
    where
        J: Fn(&str) -> Option<f64>,
    {
        let request = request(ask, errand);
        let candidates = self.candidates(errand.agent, &request);
        let routed = routing::choose(
            &routing::Errand {
                agent: errand.agent,
                summary: &ask.record.query,
                asked_for: self.routing[&errand.agent],
            },
            &candidates,
        );
        let Some((mut place, decision)) = routed else {
            return Err(Trouble::Failed("no tier is configured".into()));
        };
        call.routing = Some(decision);
        let other = routing::counterfactual(
            self.counterfactual,
            ask.seed,
            ask.record.index,
            errand.agent,
            place,
            self.tiers.len(),
        );
        let second = async {
            let endpoint = &self.tiers[other?];
            Some((endpoint, self.client.ask(endpoint, &request).await.ok()?))
        };
        let (first, second) = tokio::join!(self.client.ask(&self.tiers[place], &request), second);
        let answer = match first {
            Ok(answer) => answer,
            Err(error) => {
                let next = fallback(&error, place, &self.tiers);
                let Some(next) = next else {
                    return Err(trouble(&error));
                };
                call.decisions.push(fell_back(&error, &self.tiers[next]));
                place = next;
                let again = self.client.ask(&self.tiers[next], &request).await;
                again.map_err(|error| trouble(&error))?
            }
        };
        let endpoint = &self.tiers[place];
        self.answered(endpoint.tier, answer.latency_ms as f64);
        charge(call, endpoint, &answer);
        if let Some((endpoint, other)) = second {
            self.answered(endpoint.tier, other.latency_ms as f64);
            compare(
                call,
                &request,
                &self.tiers[place],
                &answer,
                endpoint,
                &other,
                &errand.judge,
            );
        }
        Ok(answer.text)
    }

    /// The tiers as they stand before this request.
    fn candidates(&self, agent: Agent, request: &Request) -> Vec<Candidate> {
        let prompt = request.prompt_tokens();
        let candidate = |endpoint: &Endpoint| Candidate {
            tier: endpoint.tier,
            model: endpoint.model.clone(),
            cost_estimate: estimate(endpoint, prompt, request.max_tokens / 2),
            latency_ms: self.latency(endpoint.tier),
            tries: self.tries(agent, endpoint.tier),
        };
        self.tiers.iter().map(candidate).collect()
    }
}

/// What a request of so many tokens costs, USD.
fn estimate(endpoint: &Endpoint, prompt: u64, completion: u64) -> f64 {
    let usage = Usage {
        prompt,
        completion,
        ..Usage::default()
    };
    endpoint.prices.cost(&usage).usd()
}

fn request<J>(ask: Ask<'_>, errand: &Errand<J>) -> Request {
    Request {
        messages: vec![Message::new(Role::User, errand.prompt.clone())],
        max_tokens: errand.max_tokens,
        temperature: Some(0.2),
        // Servers take 32-bit seeds; the sample's own, so that a resumed campaign asks the same.
        seed: Some((ask.seed ^ ask.record.index) & 0x7FFF_FFFF),
        response_format: errand.schema.clone(),
        sample_index: ask.record.index,
        purpose: errand.agent.to_string(),
    }
}

/// The tier to ask instead: where the server failed any other, where the model failed a larger one.
fn fallback(error: &LlmError, place: usize, tiers: &[Endpoint]) -> Option<usize> {
    let asked = &tiers[place];
    let larger = |at: &usize| tiers[*at].tier > asked.tier;
    let others = || (0..tiers.len()).filter(|at| *at != place);
    match error.kind {
        Kind::BudgetSpent | Kind::Settings | Kind::Secret | Kind::Unauthorized | Kind::Ledger => {
            None
        }
        Kind::TooLong | Kind::PromptTruncated => {
            others().find(|at| tiers[*at].context_length > asked.context_length)
        }
        Kind::ServerError
        | Kind::Timeout
        | Kind::Unreachable
        | Kind::Broken
        | Kind::RateLimited => others().find(larger).or_else(|| others().next()),
        _ => others().find(larger),
    }
}

fn now() -> String {
    Timestamp::from(SystemTime::now()).to_string()
}

fn fell_back(error: &LlmError, to: &Endpoint) -> AgentDecision {
    AgentDecision {
        agent: Cow::Borrowed("supervisor"),
        decision_type: Cow::Borrowed("fallback"),
        input_context: error.to_string(),
        decision: format!("{} ({})", to.tier, to.model),
        outcome: Cow::Borrowed(if error.kind == Kind::Timeout {
            "timeout"
        } else {
            "failure"
        }),
        latency_ms: None,
        timestamp: Some(now()),
    }
}

fn charge(call: &mut Call, endpoint: &Endpoint, answer: &Answer) {
    call.input_tokens = answer.usage.prompt;
    call.cached_tokens = answer.usage.cached;
    call.output_tokens = answer.usage.completion;
    call.reasoning_tokens = answer.usage.reasoning;
    call.latency_ms = answer.latency_ms as f64;
    call.model.clone_from(&answer.model);
    call.tier = Some(endpoint.tier);
    call.cost_usd = answer.cost_usd;
    call.at = now();
    if answer.attempts > 1 {
        call.decisions.push(AgentDecision {
            agent: Cow::Borrowed("supervisor"),
            decision_type: Cow::Borrowed("retry"),
            input_context: format!("{} ({})", endpoint.tier, endpoint.model),
            decision: format!("asked {} times", answer.attempts),
            outcome: Cow::Borrowed("success"),
            latency_ms: Some(answer.latency_ms as f64),
            timestamp: Some(call.at.clone()),
        });
    }
    if let Some(decision) = &mut call.routing {
        decision.actual_cost = answer.cost_usd;
        call.decisions.push(AgentDecision {
            agent: Cow::Borrowed("router"),
            decision_type: Cow::Borrowed("model_selection"),
            input_context: decision.alternatives_considered.join(", "),
            decision: format!("{} ({})", decision.selected_tier, decision.selected_model),
            outcome: Cow::Borrowed("success"),
            latency_ms: Some(answer.latency_ms as f64),
            timestamp: Some(call.at.clone()),
        });
    }
}

/// Both answers judged by the same measure; where nothing measures them, nothing is said.
fn compare(
    call: &mut Call,
    request: &Request,
    first: &Endpoint,
    a: &Answer,
    second: &Endpoint,
    b: &Answer,
    judge: impl Fn(&str) -> Option<f64>,
) {
    // An answer that cannot be read is worth nothing; one that nothing can measure is not compared.
    let (quality_a, quality_b) = match (judge(&a.text), judge(&b.text)) {
        (None, None) => return,
        (a, b) => (a.unwrap_or(0.0), b.unwrap_or(0.0)),
    };
    let mut comparison = ModelComparison {
        query_hash: request.key(first).to_string(),
        model_a: first.model.clone(),
        model_b: second.model.clone(),
        output_a: a.text.clone(),
        output_b: b.text.clone(),
        quality_a,
        quality_b,
        cost_a: a.cost_usd,
        cost_b: b.cost_usd,
        winner: String::new(),
        timestamp: now(),
    };
    comparison.winner = routing::winner(&comparison).into();
    if let Some(decision) = &mut call.routing {
        decision.was_optimal = Some(comparison.winner != "b");
    }
    call.comparison = Some(comparison);
}
