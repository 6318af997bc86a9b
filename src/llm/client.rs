//! The client: asks endpoints, once for each question, within the budget.

use super::{
    asking::Asking,
    breaker::Rules,
    budget::Budget,
    endpoint::{Endpoint, Money, Usage},
    error::{Kind, LlmError},
    json_repair::Repair,
    lane::{Lane, LaneState},
    ledger::{Kept, Ledger},
    probe::{self, Probe},
    reply::Finish,
    request::{Key, Request},
    transport::Transport,
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How patient a client is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Failures of one question that are borne.
    pub attempts: u32,
    /// How long one question may take, all attempts and waiting included.
    pub deadline: Duration,
    /// The first wait before a repetition; it doubles.
    pub backoff: Duration,
    /// The longest wait before a repetition, but for what a server asks for.
    pub longest_backoff: Duration,
    /// Failures in a row, of all questions to an endpoint, that open its breaker.
    pub breaker_failures: u32,
    /// How long it is open first; doubles up to `longest_backoff`.
    pub breaker_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attempts: 6,
            deadline: Duration::from_secs(3600),
            backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(60),
            breaker_failures: 8,
            breaker_pause: Duration::from_secs(5),
        }
    }
}

/// What a model answered. It is durable in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// What it wrote.
    pub text: String,
    /// What it thought aloud, where the server tells.
    pub reasoning: Option<String>,
    /// The JSON in the text, where some was asked: of the shape that was asked.
    pub json: Option<Value>,
    /// What had to be mended to read it.
    pub repairs: Vec<Repair>,
    /// Why it ended: `length` only where the JSON that was asked for stands whole before what was cut.
    pub finish_reason: Finish,
    /// Tokens of the attempt that succeeded; those of others are in the ledger.
    pub usage: Usage,
    /// What those cost, when they were used.
    pub cost_usd: f64,
    /// From sending the attempt that succeeded to its end.
    pub latency_ms: u64,
    /// Whether it comes from the ledger and cost nothing now.
    pub cached_reply: bool,
    /// How often it was sent.
    pub attempts: u32,
    /// The model, as the server names it.
    pub model: String,
}

impl Answer {
    pub(super) fn new(kept: Kept, usage: Usage, cost: Money, cached_reply: bool) -> Self {
        Self {
            text: kept.text,
            reasoning: kept.reasoning,
            json: kept.json,
            repairs: kept.repairs,
            finish_reason: kept.finish_reason,
            usage,
            cost_usd: cost.usd(),
            latency_ms: kept.latency_ms,
            cached_reply,
            attempts: kept.attempts,
            model: kept.model,
        }
    }
}

/// Asks endpoints. Cheap to clone; all clones share connections, breakers, limiters, ledger and budget. Needs a tokio runtime.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) options: Options,
    pub(super) ledger: Ledger,
    pub(super) budget: Budget,
    pub(super) transport: Transport,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    /// The questions that are being asked: who asks the same waits for the answer.
    turns: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both maps are whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// A client that spends `budget` and notes everything in `ledger`. What the ledger holds already is not charged: where the budget is
    /// meant for all of it, `budget.charge(ledger.spent().amount())` comes first.
    pub fn new(ledger: Ledger, budget: Budget, options: Options) -> Self {
        Self::with_transport(ledger, budget, options, Transport::from_env())
    }

    pub(super) fn with_transport(
        ledger: Ledger,
        budget: Budget,
        options: Options,
        transport: Transport,
    ) -> Self {
        let (lanes, turns) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner {
            options,
            ledger,
            budget,
            transport,
            lanes,
            turns,
        }))
    }

    /// Asks. The same question is answered from the ledger, and two that ask it at once pay once. May be dropped: what was
    /// received whole by then is kept, and what was sent stays charged.
    ///
    /// # Errors
    /// By [`Kind`]; no text holds a key.
    pub async fn ask(&self, endpoint: &Endpoint, request: &Request) -> Result<Answer, LlmError> {
        let key = request.key(endpoint);
        if let Some(answer) = self.kept(endpoint, &key)? {
            return Ok(answer);
        }
        let turn = Arc::clone(lock(&self.0.turns).entry(key).or_default());
        let turn = Turn {
            client: self,
            key,
            turn,
        };
        let _mine = turn.turn.lock().await;
        if let Some(answer) = self.kept(endpoint, &key)? {
            return Ok(answer);
        }
        self.asking(endpoint, request, key, true)?.run().await
    }

    /// Asks a long question with a schema, so that a server that cuts prompts or takes no schema is known before work begins. Costs
    /// some thousand prompt tokens and is not kept.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); [`Kind::PromptTruncated`] when the server's window is shorter than the settings say.
    pub async fn probe(&self, endpoint: &Endpoint) -> Result<Probe, LlmError> {
        let request = probe::request(endpoint);
        let answer = self
            .asking(endpoint, &request, request.key(endpoint), false)?
            .run()
            .await?;
        Ok(Probe::new(answer, self.state(endpoint).capabilities))
    }

    /// What is known of an endpoint: whether its requests wait, and for what.
    pub fn state(&self, endpoint: &Endpoint) -> LaneState {
        self.lane(endpoint).look()
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// The budget.
    pub fn budget(&self) -> &Budget {
        &self.0.budget
    }

    fn kept(&self, endpoint: &Endpoint, key: &Key) -> Result<Option<Answer>, LlmError> {
        let found = self
            .0
            .ledger
            .find(key)
            .map_err(|error| refused(endpoint, Kind::Ledger, error.to_string()))?;
        Ok(found.map(|(kept, usage, cost)| Answer::new(kept, usage, cost, true)))
    }

    fn asking<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        request: &'a Request,
        key: Key,
        keep: bool,
    ) -> Result<Asking<'a>, LlmError> {
        endpoint
            .check()
            .map_err(|why| refused(endpoint, Kind::Settings, why))?;
        Ok(Asking::new(
            &self.0,
            self.lane(endpoint),
            endpoint,
            request,
            key,
            keep,
        ))
    }

    fn lane(&self, endpoint: &Endpoint) -> Arc<Lane> {
        let options = &self.0.options;
        let rules = Rules {
            failures: options.breaker_failures,
            pause: options.breaker_pause,
            longest: options.longest_backoff,
        };
        let name = format!("{} {}", endpoint.target(), endpoint.model);
        let mut lanes = lock(&self.0.lanes);
        Arc::clone(
            lanes
                .entry(name)
                .or_insert_with(|| Arc::new(Lane::new(endpoint, rules))),
        )
    }
}

/// An error of a request that was not sent.
fn refused(endpoint: &Endpoint, kind: Kind, message: String) -> LlmError {
    LlmError {
        kind,
        tier: endpoint.tier,
        model: endpoint.model.clone(),
        status: None,
        message,
        attempts: 0,
    }
}

/// One's turn to ask a question. The last who leaves clears up.
struct Turn<'a> {
    client: &'a Client,
    key: Key,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = lock(&self.client.0.turns);
        // The map's and this one's: nobody else waits, and nobody can come while the map is locked.
        if Arc::strong_count(&self.turn) == 2 {
            turns.remove(&self.key);
        }
    }
}
