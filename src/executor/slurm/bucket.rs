//! The budget of calls: so many at once, then so many a minute, for status and submission together.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many calls at once.
    pub burst: u32,
    /// So many come back in a minute.
    pub per_minute: u32,
}

/// What is left. It is kept over restarts, so that a daemon that starts again and again is no burst each time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Calls, in thousandths; below zero when something could not wait.
    left: i64,
    at: Timestamp,
}

/// One call.
const ONE: i64 = 1_000;

impl Bucket {
    /// A full one.
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Self {
            left: i64::from(rate.burst) * ONE,
            at: now,
        }
    }

    /// What came back until now. A clock that went back gives nothing and takes nothing.
    pub fn fill(&mut self, rate: Rate, now: Timestamp) {
        let passed = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        let per_minute = i64::from(rate.per_minute.max(1));
        let back = passed.saturating_mul(per_minute) / 60;
        let most = i64::from(rate.burst) * ONE;
        if now < self.at || self.left.saturating_add(back) >= most {
            self.left = self.left.saturating_add(back).min(most);
            self.at = now;
        } else {
            self.left += back;
            // What is less than a thousandth of a call stays for the next time.
            self.at = Timestamp(self.at.0 + (back * 60).div_euclid(per_minute));
        }
    }

    /// How many whole calls may be made now.
    pub fn calls(&self) -> u32 {
        u32::try_from(self.left / ONE).unwrap_or(0)
    }

    /// Makes one, allowed or not.
    pub fn spend(&mut self) {
        self.left -= ONE;
    }

    /// When there will be so many.
    pub fn when(&self, calls: u32, rate: Rate) -> Timestamp {
        let missing = (i64::from(calls) * ONE - self.left).max(0);
        let per_minute = i64::from(rate.per_minute.max(1));
        Timestamp(
            self.at
                .0
                .saturating_add((missing * 60 + per_minute - 1) / per_minute),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RATE: Rate = Rate {
        burst: 40,
        per_minute: 4,
    };

    #[test]
    fn forty_at_once_then_four_a_minute() {
        let mut now = Timestamp(1_000_000);
        let mut bucket = Bucket::full(RATE, now);
        let mut made = 0;
        while bucket.calls() > 0 {
            bucket.spend();
            made += 1;
        }
        assert_eq!(made, 40);
        assert_eq!(bucket.when(1, RATE), now.after(Duration::from_secs(15)));
        for _ in 0..60_000 {
            now = now.after(Duration::from_millis(10));
            bucket.fill(RATE, now);
            if bucket.calls() > 0 {
                bucket.spend();
                made += 1;
            }
        }
        assert_eq!(made, 80, "ten minutes more");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_does_not_stop_it() {
        let mut bucket = Bucket::full(RATE, Timestamp(1_000_000));
        for _ in 0..40 {
            bucket.spend();
        }
        bucket.fill(RATE, Timestamp(0));
        assert_eq!(bucket.calls(), 0);
        bucket.fill(RATE, Timestamp(15_000));
        assert_eq!(bucket.calls(), 1);
    }
}
