//! Whether a controller answers, and for how long it has not: no news is counted and shown, and decides nothing.

use crate::time::Timestamp;
use std::time::Duration;

/// A controller that answered this recently is not asked whether it would.
const FRESH: Duration = Duration::from_secs(30);
/// The first pause after no answer; doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(5);
/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(300);
/// An answer that took longer than this is that of a controller with too much to do.
const SLOW: Duration = Duration::from_secs(5);
/// The most by which polls are stretched for a slow controller.
const MOST_STRETCH: u32 = 8;

/// What is known of the controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// When it answered a question last.
    pub answered_at: Option<Timestamp>,
    /// When it last said that it is there. That is no answer: who only says so may be too busy for any other.
    pub there_at: Option<Timestamp>,
    /// Since when it has not, how often it was tried, and what it said.
    pub silence: Option<Silence>,
    /// Polls are so many times rarer than asked for, because it is slow.
    pub stretch: u32,
}

/// No news.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Since when.
    pub since: Timestamp,
    /// Tries without an answer.
    pub tries: u32,
    /// What the last one said.
    pub text: String,
    /// When it is tried again.
    pub next: Timestamp,
}

impl Default for Contact {
    fn default() -> Self {
        Self {
            answered_at: None,
            there_at: None,
            silence: None,
            stretch: 1,
        }
    }
}

impl Contact {
    /// Whether to ask first if anybody is there: a call into the void blocks for seconds, a ping does not.
    pub fn stale(&self, now: Timestamp) -> bool {
        let last = self.answered_at.max(self.there_at);
        last.is_none_or(|at| now.since(at) >= FRESH)
    }

    /// It is there.
    pub fn is_there(&mut self, now: Timestamp) {
        self.there_at = Some(now);
    }

    /// It answered, after so long.
    pub fn heard(&mut self, now: Timestamp, took: Duration) {
        self.answered_at = Some(now);
        self.silence = None;
        self.stretch = if took > SLOW {
            (self.stretch * 2).min(MOST_STRETCH)
        } else {
            (self.stretch / 2).max(1)
        };
    }

    /// It did not.
    pub fn missed(&mut self, now: Timestamp, text: &str) {
        let (since, tries) = match &self.silence {
            Some(silence) => (silence.since, silence.tries),
            None => (now, 0),
        };
        self.there_at = None;
        let pause = FIRST.saturating_mul(1 << tries.min(10)).min(LONGEST);
        self.silence = Some(Silence {
            since,
            tries: tries.saturating_add(1),
            text: text.into(),
            next: now.after(pause),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_end_with_an_answer() {
        let (mut contact, mut now) = (Contact::default(), Timestamp(0));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            contact.missed(now, "Unable to contact slurm controller");
            let next = contact.silence.as_ref().unwrap().next;
            pauses.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        let silence = contact.silence.clone().unwrap();
        assert_eq!((silence.tries, silence.since), (9, Timestamp(0)));
        contact.heard(now, Duration::from_millis(6));
        assert_eq!(contact.silence, None);
        assert!(!contact.stale(now));
        assert!(contact.stale(now.after(FRESH)));
    }

    #[test]
    fn a_slow_controller_is_asked_more_rarely_until_it_is_not() {
        let mut contact = Contact::default();
        let slow = SLOW + Duration::from_secs(1);
        let mut seen: Vec<u32> = Vec::new();
        for took in [slow, slow, slow, slow, FIRST / 10, FIRST / 10, FIRST / 10] {
            contact.heard(Timestamp(0), took);
            seen.push(contact.stretch);
        }
        assert_eq!(seen, [2, 4, 8, 8, 4, 2, 1]);
    }
}
