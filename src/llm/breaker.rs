//! The circuit breaker of one endpoint: after several failures in a row nothing is sent for a while, then one request tries.
//!
//! Pure: the time is a parameter. A server that says when to come back (`Retry-After`) is left alone that long by everybody.

use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Failures in a row.
    pub failures: u32,
    /// The first pause; it doubles with every trial that fails.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// What a person sees of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Requests go.
    Closed,
    /// Requests wait.
    Open,
    /// One request tries, the others wait.
    HalfOpen,
    /// The server asked to be left alone for a while.
    Held,
}

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Go.
    Go,
    /// Go, as the one that tries: it has to be told how that ended.
    Trial,
    /// Ask again after this long, or when something has changed.
    Wait(Duration),
}

/// While one request tries, the others look again this often at the latest.
const TRIAL: Duration = Duration::from_secs(3600);

/// The breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    rules: Rules,
    failures: u32,
    /// Pauses in a row.
    pauses: u32,
    open_until: Option<Instant>,
    trial: bool,
    held_until: Option<Instant>,
}

impl Breaker {
    /// A closed one.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            failures: 0,
            pauses: 0,
            open_until: None,
            trial: false,
            held_until: None,
        }
    }

    /// What a request may do now.
    pub fn allow(&mut self, now: Instant) -> Allowed {
        if let Some(until) = self.held_until.filter(|until| *until > now) {
            return Allowed::Wait(until - now);
        }
        self.held_until = None;
        match self.open_until {
            None => Allowed::Go,
            Some(until) if until > now => Allowed::Wait(until - now),
            Some(_) if self.trial => Allowed::Wait(TRIAL),
            Some(_) => {
                self.trial = true;
                Allowed::Trial
            }
        }
    }

    /// The server answered.
    pub fn succeeded(&mut self) {
        *self = Self {
            held_until: self.held_until,
            ..Self::new(self.rules)
        };
    }

    /// The server did not do its part. A request that was sent before the breaker opened changes nothing any more.
    pub fn failed(&mut self, now: Instant, trial: bool) {
        self.failures = self.failures.saturating_add(1);
        let opens = self.open_until.is_none() && self.failures >= self.rules.failures;
        if opens || trial {
            let pause = self.rules.pause.saturating_mul(1 << self.pauses.min(16));
            self.open_until = Some(now + pause.min(self.rules.longest));
            self.pauses += 1;
            self.trial = false;
        }
    }

    /// The request that tried was given up before its end: another may try.
    pub fn trial_given_up(&mut self) {
        self.trial = false;
    }

    /// The server asked to be left alone until then.
    pub fn hold(&mut self, until: Instant) {
        self.held_until = self.held_until.max(Some(until));
    }

    /// What a person sees.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.open_until {
            Some(_) if self.trial => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
            None if self.held_until.is_some_and(|until| until > now) => BreakerState::Held,
            None => BreakerState::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(Rules {
            failures: 3,
            pause: SECOND,
            longest: 4 * SECOND,
        })
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_try() {
        let (mut breaker, mut now) = (breaker(), Instant::now());
        for _ in 0..2 {
            breaker.failed(now, false);
        }
        breaker.succeeded();
        for _ in 0..2 {
            breaker.failed(now, false);
            assert_eq!(breaker.allow(now), Allowed::Go);
        }
        breaker.failed(now, false);
        assert_eq!(
            (breaker.allow(now), breaker.state(now)),
            (Allowed::Wait(SECOND), BreakerState::Open)
        );
        breaker.failed(now, false);
        assert_eq!(
            breaker.allow(now),
            Allowed::Wait(SECOND),
            "what was in flight prolongs nothing"
        );
        for pause in [2, 4, 4] {
            now += 4 * SECOND;
            assert_eq!(breaker.allow(now), Allowed::Trial);
            assert_eq!(
                (breaker.allow(now), breaker.state(now)),
                (Allowed::Wait(TRIAL), BreakerState::HalfOpen)
            );
            breaker.failed(now, true);
            assert_eq!(breaker.allow(now), Allowed::Wait(pause * SECOND));
        }
        now += 4 * SECOND;
        assert_eq!(breaker.allow(now), Allowed::Trial);
        breaker.trial_given_up();
        assert_eq!(
            breaker.allow(now),
            Allowed::Trial,
            "a trial that was dropped is no lock"
        );
        breaker.succeeded();
        assert_eq!(
            (breaker.allow(now), breaker.state(now)),
            (Allowed::Go, BreakerState::Closed)
        );
        breaker.failed(now, false);
        assert_eq!(breaker.allow(now), Allowed::Go);
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it() {
        let (mut breaker, now) = (breaker(), Instant::now());
        breaker.hold(now + 5 * SECOND);
        breaker.hold(now + 2 * SECOND);
        breaker.succeeded();
        assert_eq!(
            (breaker.allow(now), breaker.state(now)),
            (Allowed::Wait(5 * SECOND), BreakerState::Held)
        );
        assert_eq!(breaker.allow(now + 5 * SECOND), Allowed::Go);
    }
}
