//! The course of one question: which attempt comes after which failure, until there is an answer or no use.

use super::{
    budget::Amount,
    capability::Capabilities,
    client::{Answer, Inner},
    endpoint::{Endpoint, Usage},
    error::{Kind, LlmError},
    exchange::{Attempt, Cost, Failure},
    json_repair::{self, Repair, Repaired},
    lane::{Lane, Pass},
    ledger::{Kept, Paid, Sent},
    reply::{Finish, Reply},
    request::{Key, Request, Rung},
    retry, runaway, schema,
    secret::Secret,
    tokens, truncation,
};
use serde_json::Value;
use std::sync::Arc;
use tokio::time::{self, Instant};

/// Refusals that taught something, or brought another key: more there are not to learn.
const MOST_LESSONS: u32 = 8;

/// A question that is being asked.
pub struct Asking<'a> {
    client: &'a Inner,
    lane: Arc<Lane>,
    endpoint: &'a Endpoint,
    request: &'a Request,
    key: Key,
    /// Whether the answer is kept for who asks again.
    keep: bool,
    /// Tokens of the prompt, by our own count.
    prompt: u64,
    deadline: Instant,
}

/// How it goes.
struct Course {
    rung: Rung,
    max_tokens: u64,
    sent: u32,
    failures: u32,
    lessons: u32,
    /// Answers that were no good: the seed is varied by it, since the same would come again.
    spoiled: u64,
    last: Option<Failure>,
}

/// One attempt that was sent: what has to be known to learn from its refusal.
struct Tried {
    body: Value,
    can: Capabilities,
    secret: Option<Secret>,
}

/// An answer that may be kept.
struct Good {
    reply: Reply,
    usage: Usage,
    repaired: Option<Repaired>,
}

impl<'a> Asking<'a> {
    /// A question that was not asked yet.
    pub fn new(
        client: &'a Inner,
        lane: Arc<Lane>,
        endpoint: &'a Endpoint,
        request: &'a Request,
        key: Key,
        keep: bool,
    ) -> Self {
        let deadline = Instant::now() + client.options.deadline;
        Self {
            client,
            lane,
            endpoint,
            request,
            key,
            keep,
            prompt: request.prompt_tokens(),
            deadline,
        }
    }

    /// Asks until there is an answer, or no use in asking.
    ///
    /// # Errors
    /// The last failure.
    pub async fn run(&self) -> Result<Answer, LlmError> {
        let mut course = Course {
            rung: Rung::Asked,
            max_tokens: self.request.max_tokens,
            sent: 0,
            failures: 0,
            lessons: 0,
            spoiled: 0,
            last: None,
        };
        if tokens::at_least(self.prompt) > self.endpoint.context_length {
            let message = format!(
                "the prompt has about {} tokens, context_length is {}",
                self.prompt, self.endpoint.context_length
            );
            return Err(self.error(&course, Failure::new(Kind::TooLong, message, Cost::Nothing)));
        }
        loop {
            let Some(pass) = self.lane.pass(self.deadline).await else {
                let waited = Failure::new(
                    Kind::Timeout,
                    "the endpoint was not free before the deadline",
                    Cost::Nothing,
                );
                let last = course.last.take().unwrap_or(waited);
                return Err(self.error(&course, last));
            };
            let (failure, tried) = match self.attempt(pass, &mut course).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            course.last = Some(failure.clone());
            if let Err(failure) = self.prepare(&mut course, failure, tried.as_ref()).await {
                return Err(self.error(&course, failure));
            }
        }
    }

    fn error(&self, course: &Course, failure: Failure) -> LlmError {
        LlmError {
            kind: failure.kind,
            tier: self.endpoint.tier,
            model: self.endpoint.model.clone(),
            status: failure.status,
            message: failure.message,
            attempts: course.sent,
        }
    }

    /// One attempt: set aside, note, send, read, judge, note, settle.
    async fn attempt(
        &self,
        pass: Pass<'_>,
        course: &mut Course,
    ) -> Result<Answer, (Failure, Option<Tried>)> {
        let unsent = |kind, message: String| (Failure::new(kind, message, Cost::Nothing), None);
        let secret = self
            .lane
            .secret(self.endpoint)
            .map_err(|why| unsent(Kind::Secret, why))?;
        let can = self.lane.capabilities();
        let body = self
            .varied(course)
            .body(self.endpoint, &can, course.rung, course.max_tokens);
        let estimate = self.estimate(course.max_tokens);
        let reserving = self.client.budget.reserve_or_wait(estimate);
        let mut reservation = time::timeout_at(self.deadline, reserving)
            .await
            .map_err(|_| {
                unsent(
                    Kind::BudgetSpent,
                    "the budget was not free before the deadline".to_owned(),
                )
            })?
            .map_err(|spent| unsent(Kind::BudgetSpent, spent.to_string()))?;
        let noted = self
            .client
            .ledger
            .sent(self.endpoint.tier, &self.request.purpose, estimate)
            .await;
        let sent = noted.map_err(|why| unsent(Kind::Ledger, why))?;
        reservation.sent();
        course.sent += 1;
        let started = Instant::now();
        let outcome = self.exchange(&body, secret.as_ref()).await;
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let judged = outcome.and_then(|reply| self.judge(reply, course.max_tokens));
        tell(pass, &judged);
        match judged {
            Ok(good) => {
                let usage = good.usage;
                let answered = self.keep(sent, good, latency_ms, course.sent).await;
                reservation.settle(Amount::of(&usage, self.endpoint.prices.cost(&usage)));
                answered.map_err(|why| (Failure::new(Kind::Ledger, why, Cost::Known(usage)), None))
            }
            Err(failure) => {
                let noted = self.note(sent, &failure).await;
                match failure.cost {
                    Cost::Nothing => reservation.settle(Amount::default()),
                    Cost::Known(usage) => {
                        reservation.settle(Amount::of(&usage, self.endpoint.prices.cost(&usage)))
                    }
                    Cost::Unknown => drop(reservation),
                }
                noted.map_err(|why| unsent(Kind::Ledger, why))?;
                Err((failure, Some(Tried { body, can, secret })))
            }
        }
    }

    fn estimate(&self, max_tokens: u64) -> Amount {
        let usage = Usage {
            prompt: tokens::at_most(self.prompt),
            completion: max_tokens,
            ..Usage::default()
        };
        Amount::of(&usage, self.endpoint.prices.cost(&usage))
    }

    /// The request, with another seed after answers that were no good.
    fn varied(&self, course: &Course) -> std::borrow::Cow<'a, Request> {
        match self.request.seed {
            Some(seed) if course.spoiled > 0 => {
                let seed = Some(seed.wrapping_add(course.spoiled));
                std::borrow::Cow::Owned(Request {
                    seed,
                    ..self.request.clone()
                })
            }
            _ => std::borrow::Cow::Borrowed(self.request),
        }
    }

    async fn exchange(&self, body: &Value, secret: Option<&Secret>) -> Result<Reply, Failure> {
        let attempt = Attempt {
            transport: &self.client.transport,
            endpoint: self.endpoint,
            secret,
        };
        let until = self.deadline.min(Instant::now() + self.endpoint.timeout());
        let timely = time::timeout_at(until, attempt.run(body)).await;
        timely.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", self.endpoint.timeout_s);
            Err(Failure::new(Kind::Timeout, message, Cost::Unknown))
        })
    }

    /// Whether a reply is what was asked.
    fn judge(&self, reply: Reply, max_tokens: u64) -> Result<Good, Failure> {
        let usage = reply.usage_or(self.prompt);
        let bad = |kind, message: String| Err(Failure::new(kind, message, Cost::Known(usage)));
        let cut = reply.finish == Some(Finish::Length);
        let starved = cut && usage.completion < max_tokens;
        if let Some(truncated) =
            truncation::judge(self.prompt, &usage, self.endpoint.context_length, starved)
        {
            return bad(Kind::PromptTruncated, truncated.to_string());
        }
        if reply.finish == Some(Finish::Filtered) {
            return bad(
                Kind::Filtered,
                "the server's filter stopped the answer".to_owned(),
            );
        }
        let repaired = self.read_json(&reply.text);
        if cut || reply.runaway.is_some() {
            let whole = |repaired: &Repaired| !repaired.repairs.contains(&Repair::MissingCloser);
            if let Some(Ok(repaired)) = repaired
                && whole(&repaired)
            {
                return Ok(Good {
                    reply,
                    usage,
                    repaired: Some(repaired),
                });
            }
            return match reply.runaway.or_else(|| runaway::of(&reply.text)) {
                Some(lost) => bad(Kind::Runaway, format!("the answer ran away: {lost}")),
                None => bad(
                    Kind::AnswerCut,
                    format!("the answer was cut at {} tokens", usage.completion),
                ),
            };
        }
        if reply.text.trim().is_empty() {
            return bad(Kind::Empty, "the answer is empty".to_owned());
        }
        match repaired.transpose() {
            Ok(repaired) => Ok(Good {
                reply,
                usage,
                repaired,
            }),
            Err(why) => bad(
                Kind::Malformed,
                format!("the answer is not the JSON that was asked: {why}"),
            ),
        }
    }

    /// The JSON in an answer, where some was asked.
    fn read_json(&self, text: &str) -> Option<Result<Repaired, String>> {
        let asked = self.request.response_format.as_ref()?;
        let read = json_repair::repair(text);
        Some(
            read.and_then(|repaired| {
                schema::check(&asked.schema, &repaired.value).map(|()| repaired)
            }),
        )
    }

    fn paid(&self, usage: Usage) -> Paid<'_> {
        Paid {
            endpoint: self.endpoint,
            purpose: &self.request.purpose,
            usage,
        }
    }

    async fn keep(
        &self,
        sent: Sent,
        good: Good,
        latency_ms: u64,
        attempts: u32,
    ) -> Result<Answer, String> {
        let paid = self.paid(good.usage);
        let (json, repairs) = good.repaired.map_or((None, Vec::new()), |repaired| {
            (Some(repaired.value), repaired.repairs)
        });
        let cut = if good.reply.runaway.is_some() {
            Finish::Length
        } else {
            Finish::Stop
        };
        let kept = Kept {
            text: good.reply.text,
            reasoning: Some(good.reply.reasoning).filter(|text| !text.is_empty()),
            json,
            repairs,
            finish_reason: good.reply.finish.unwrap_or(cut),
            model: good
                .reply
                .model
                .unwrap_or_else(|| self.endpoint.model.clone()),
            latency_ms,
            attempts,
        };
        if self.keep {
            self.client
                .ledger
                .answer(sent, self.key, &paid, &kept)
                .await?;
        } else {
            self.client
                .ledger
                .cost(sent, &paid, &self.request.purpose)
                .await?;
        }
        let cost = paid.cost();
        Ok(Answer::new(kept, good.usage, cost, false))
    }

    async fn note(&self, sent: Sent, failure: &Failure) -> Result<(), String> {
        let why = format!("{}: {}", failure.kind, failure.message);
        match failure.cost {
            Cost::Nothing => self.client.ledger.void(sent, &why).await,
            Cost::Known(usage) => self.client.ledger.cost(sent, &self.paid(usage), &why).await,
            // The line stays open.
            Cost::Unknown => Ok(()),
        }
    }

    /// Prepares the next attempt and waits for its time; gives the failure back where there is no use.
    async fn prepare(
        &self,
        course: &mut Course,
        failure: Failure,
        tried: Option<&Tried>,
    ) -> Result<(), Failure> {
        if tried.is_some_and(|tried| self.learned(course, &failure, tried)) {
            course.lessons += 1;
            return Ok(());
        }
        if failure.kind == Kind::AnswerCut && self.more_room(course) {
            return Ok(());
        }
        course.failures += 1;
        if failure.kind.is_final() || course.failures >= self.client.options.attempts {
            return Err(failure);
        }
        let spoiled = matches!(failure.kind, Kind::Runaway | Kind::Empty | Kind::Malformed)
            && matches!(failure.cost, Cost::Known(_));
        if spoiled {
            course.spoiled += 1;
            course.rung = course.rung.down();
            return Ok(());
        }
        self.wait(course, failure).await
    }

    /// Whether a refusal taught something that makes another attempt worth it.
    fn learned(&self, course: &Course, failure: &Failure, tried: &Tried) -> bool {
        if course.lessons >= MOST_LESSONS {
            return false;
        }
        match failure.kind {
            Kind::BadRequest => self.lane.learn(&tried.body, tried.can, &failure.message),
            Kind::Unauthorized if failure.status == Some(401) => {
                self.lane.renew_secret(self.endpoint, tried.secret.as_ref())
            }
            _ => false,
        }
    }

    /// Twice the room for an answer that was cut, once.
    fn more_room(&self, course: &mut Course) -> bool {
        let window = self
            .endpoint
            .context_length
            .saturating_sub(tokens::at_most(self.prompt));
        let room = (self.request.max_tokens * 2).min(window);
        let more = room > course.max_tokens;
        if more {
            course.max_tokens = room;
            course.rung = course.rung.max(Rung::Compact);
        }
        more
    }

    async fn wait(&self, course: &Course, failure: Failure) -> Result<(), Failure> {
        let options = &self.client.options;
        let mut wait = retry::backoff(
            options.backoff,
            options.longest_backoff,
            self.key.bits(),
            course.failures,
        );
        if let Some(wanted) = failure.retry_after {
            self.lane.hold(wanted);
            wait = wait.max(wanted);
        }
        let at = Instant::now() + wait;
        if at >= self.deadline {
            return Err(failure);
        }
        time::sleep_until(at).await;
        Ok(())
    }
}

/// Tells breaker and limiter how an attempt went.
fn tell(pass: Pass<'_>, judged: &Result<Good, Failure>) {
    match judged {
        Err(failure) if failure.kind.is_outage() => {
            pass.failed(&failure.message, failure.kind.is_congestion())
        }
        Err(failure) if failure.kind == Kind::RateLimited => pass.refused(&failure.message, true),
        Err(failure) if matches!(failure.cost, Cost::Nothing) => {
            pass.refused(&failure.message, false)
        }
        _ => pass.succeeded(),
    }
}
