//! What is remembered of one endpoint while the process lives: its breaker, its limiter, its abilities, its key.

use super::{
    breaker::{Allowed, Breaker, BreakerState, Rules},
    capability::Capabilities,
    endpoint::Endpoint,
    limiter::{Limiter, LimiterState, Seat},
    secret::Secret,
};
use serde::Serialize;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

/// One endpoint's memory.
#[derive(Debug)]
pub struct Lane {
    limiter: Limiter,
    memory: Mutex<Memory>,
    changed: Notify,
}

#[derive(Debug)]
struct Memory {
    breaker: Breaker,
    can: Capabilities,
    secret: Option<Option<Secret>>,
    last_failure: Option<String>,
}

/// What a person sees of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneState {
    /// Whether requests go.
    pub breaker: BreakerState,
    /// How many go at a time.
    pub limiter: LimiterState,
    /// What the server takes.
    pub capabilities: Capabilities,
    /// What happened last that was no answer; forgotten with the next answer.
    pub last_failure: Option<String>,
}

/// The right to send one request. Dropped without a word it leaves the breaker as it was.
#[derive(Debug)]
pub struct Pass<'a> {
    lane: &'a Lane,
    seat: Seat,
    trial: bool,
}

impl Lane {
    /// A lane of which nothing is known.
    pub fn new(endpoint: &Endpoint, rules: Rules) -> Self {
        let memory = Memory {
            breaker: Breaker::new(rules),
            can: Capabilities::default(),
            secret: None,
            last_failure: None,
        };
        Self {
            limiter: Limiter::new(endpoint.max_in_flight),
            memory: Mutex::new(memory),
            changed: Notify::new(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whole after every statement.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a seat and for the breaker; `None` when the deadline comes first.
    pub async fn pass(&self, deadline: Instant) -> Option<Pass<'_>> {
        let seat = time::timeout_at(deadline, self.limiter.seat()).await.ok()?;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let allowed = self.memory().breaker.allow(now);
            let wait = match allowed {
                Allowed::Go => {
                    return Some(Pass {
                        lane: self,
                        seat,
                        trial: false,
                    });
                }
                Allowed::Trial => {
                    return Some(Pass {
                        lane: self,
                        seat,
                        trial: true,
                    });
                }
                Allowed::Wait(wait) => wait,
            };
            if now >= deadline {
                return None;
            }
            // Over or not, what is allowed now is asked again.
            let _ = time::timeout_at(deadline.min(now + wait), changed).await;
        }
    }

    /// Leaves the server alone for as long as it asked.
    pub fn hold(&self, wait: Duration) {
        self.memory().breaker.hold(Instant::now() + wait);
    }

    /// What the server takes, as far as is known.
    pub fn capabilities(&self) -> Capabilities {
        self.memory().can
    }

    /// Learns from the refusal of a body that was sent; whether it is worth sending another.
    pub fn learn(&self, sent: &serde_json::Value, known: Capabilities, refusal: &str) -> bool {
        let mut memory = self.memory();
        // Another request may have learned the same meanwhile.
        memory.can != known || memory.can.learn(sent, refusal)
    }

    /// The key, read at its first use.
    ///
    /// # Errors
    /// A sentence that names the source.
    pub fn secret(&self, endpoint: &Endpoint) -> Result<Option<Secret>, String> {
        let mut memory = self.memory();
        if let Some(secret) = &memory.secret {
            return Ok(secret.clone());
        }
        let secret = endpoint.api_key.read()?;
        memory.secret = Some(secret.clone());
        Ok(secret)
    }

    /// Reads the key again, for it may have been replaced; whether it is another one.
    pub fn renew_secret(&self, endpoint: &Endpoint, refused: Option<&Secret>) -> bool {
        let Ok(Some(read)) = endpoint.api_key.read() else {
            return false;
        };
        let other = refused.is_none_or(|refused| !refused.same(&read));
        self.memory().secret = Some(Some(read));
        other
    }

    /// What a person sees.
    pub fn look(&self) -> LaneState {
        let memory = self.memory();
        LaneState {
            breaker: memory.breaker.state(Instant::now()),
            limiter: self.limiter.look(),
            capabilities: memory.can,
            last_failure: memory.last_failure.clone(),
        }
    }
}

impl Pass<'_> {
    /// The server did its part, whatever its model wrote.
    pub fn succeeded(mut self) {
        self.seat.succeeded();
        self.ended(|memory| {
            memory.breaker.succeeded();
            memory.last_failure = None;
        });
    }

    /// The server answered, and did not do its part: `congested` when it had too much to do.
    pub fn refused(mut self, why: &str, congested: bool) {
        if congested {
            self.seat.congested();
        }
        self.ended(|memory| {
            memory.breaker.succeeded();
            memory.last_failure = Some(why.to_owned());
        });
    }

    /// The server did not answer as one that is well.
    pub fn failed(mut self, why: &str, congested: bool) {
        if congested {
            self.seat.congested();
        }
        let trial = self.trial;
        self.ended(|memory| {
            memory.breaker.failed(Instant::now(), trial);
            memory.last_failure = Some(why.to_owned());
        });
    }

    fn ended(&mut self, note: impl FnOnce(&mut Memory)) {
        self.trial = false;
        note(&mut self.lane.memory());
        self.lane.changed.notify_waiters();
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.trial {
            self.lane.memory().breaker.trial_given_up();
            self.lane.changed.notify_waiters();
        }
    }
}
