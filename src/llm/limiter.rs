//! How many requests an endpoint is given at a time: found out by asking, as TCP does.
//!
//! The bound doubles with each full window of successes until the first refusal, then grows by one a window, and is halved when the
//! server refuses or is too slow. Requests that were sent together and are refused together halve it once. First come, first
//! served.

use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where it begins.
const START: usize = 8;

/// The limiter of one endpoint.
#[derive(Clone, Debug)]
pub struct Limiter {
    state: Arc<Mutex<State>>,
    seats: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    ceiling: usize,
    /// What is aimed at.
    limit: usize,
    /// Seats that exist: more than `limit` until those above it come back.
    seats: usize,
    taken: usize,
    waiting: usize,
    /// Successes since the limit last changed.
    successes: usize,
    /// Whether nothing was refused yet.
    doubling: bool,
    /// How often it was halved.
    epoch: u64,
}

/// A seat. Given back when dropped.
#[derive(Debug)]
pub struct Seat {
    limiter: Limiter,
    permit: Option<OwnedSemaphorePermit>,
    epoch: u64,
}

/// What a person sees of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LimiterState {
    /// Requests that it lets go at a time.
    pub limit: usize,
    /// Requests that have a seat.
    pub taken: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

impl Limiter {
    /// A limiter that never lets more than `ceiling` go, and always one.
    pub fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.clamp(1, Semaphore::MAX_PERMITS);
        let limit = START.min(ceiling);
        let state = State {
            ceiling,
            limit,
            seats: limit,
            taken: 0,
            waiting: 0,
            successes: 0,
            doubling: true,
            epoch: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            seats: Arc::new(Semaphore::new(limit)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for a seat.
    pub async fn seat(&self) -> Seat {
        let waiting = Waiting::new(self);
        let permit = Arc::clone(&self.seats)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        drop(waiting);
        let mut state = self.state();
        state.taken += 1;
        Seat {
            limiter: self.clone(),
            permit: Some(permit),
            epoch: state.epoch,
        }
    }

    /// What a person sees.
    pub fn look(&self) -> LimiterState {
        let state = self.state();
        LimiterState {
            limit: state.limit,
            taken: state.taken,
            waiting: state.waiting,
        }
    }
}

/// Counts one that waits, also when it gives up.
struct Waiting<'a>(&'a Limiter);

impl<'a> Waiting<'a> {
    fn new(limiter: &'a Limiter) -> Self {
        limiter.state().waiting += 1;
        Self(limiter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl Seat {
    /// The server did its part in time.
    pub fn succeeded(&self) {
        let mut state = self.limiter.state();
        state.successes += 1;
        let due = state.doubling || state.successes >= state.limit;
        if due && state.limit < state.ceiling {
            state.successes = 0;
            state.limit += 1;
            if state.seats < state.limit {
                state.seats += 1;
                self.limiter.seats.add_permits(1);
            }
        }
    }

    /// The server refused, or took too long.
    pub fn congested(&self) {
        let mut state = self.limiter.state();
        if self.epoch != state.epoch {
            return;
        }
        state.epoch += 1;
        state.doubling = false;
        state.successes = 0;
        state.limit = (state.limit / 2).max(1);
        let surplus = state.seats - state.limit;
        // Those that are free go now, the others when they come back.
        state.seats -= self.limiter.seats.forget_permits(surplus);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        state.taken -= 1;
        if state.seats > state.limit
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.seats -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn all(limiter: &Limiter) -> Vec<Seat> {
        std::iter::from_fn(|| limiter.seat().now_or_never()).collect()
    }

    #[test]
    fn it_doubles_then_halves_once_a_burst_then_grows_by_one_a_window() {
        let limiter = Limiter::new(64);
        let mut sizes = Vec::new();
        for _ in 0..5 {
            let seats = all(&limiter);
            sizes.push(seats.len());
            seats.iter().for_each(Seat::succeeded);
        }
        assert_eq!(sizes, [8, 16, 32, 64, 64]);
        let seats = all(&limiter);
        seats.iter().for_each(Seat::congested);
        assert_eq!(limiter.look().limit, 32, "one burst is one refusal");
        assert!(
            limiter.seat().now_or_never().is_none(),
            "those above the limit are not reused"
        );
        drop(seats);
        for size in 32..40 {
            let seats = all(&limiter);
            assert_eq!(seats.len(), size);
            seats.iter().for_each(Seat::succeeded);
        }
        for _ in 0..10 {
            all(&limiter)[0].congested();
        }
        assert_eq!(all(&limiter).len(), 1, "one always goes");
        assert_eq!(
            limiter.look(),
            LimiterState {
                limit: 1,
                taken: 0,
                waiting: 0
            }
        );
    }

    #[test]
    fn whoever_stops_waiting_is_not_counted() {
        let limiter = Limiter::new(1);
        let seat = limiter.seat().now_or_never().unwrap();
        let mut second = Box::pin(limiter.seat());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(
            limiter.look(),
            LimiterState {
                limit: 1,
                taken: 1,
                waiting: 1
            }
        );
        drop(second);
        assert_eq!(limiter.look().waiting, 0);
        drop(seat);
        assert!(limiter.seat().now_or_never().is_some());
    }
}
