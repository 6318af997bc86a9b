//! Why there is no answer, by kind: what is final, and what may be asked again.

use super::endpoint::Tier;
use crate::words::words;
use std::fmt;

words! {
    /// Why a request failed.
    pub enum Kind {
        /// The settings are wrong; nothing was sent.
        Settings = "settings",
        /// The key cannot be read; nothing was sent.
        Secret = "secret",
        /// The server says that the request is wrong.
        BadRequest = "bad_request",
        /// The key is wrong or not allowed to.
        Unauthorized = "unauthorized",
        /// There is no such model or path.
        NotFound = "not_found",
        /// The prompt does not fit.
        TooLong = "too_long",
        /// The server cut the prompt without a word.
        PromptTruncated = "prompt_truncated",
        /// The answer was cut at its bound, also when given more room.
        AnswerCut = "answer_cut",
        /// The server refuses to say it.
        Filtered = "filtered",
        /// The slice does not hold what it may cost; nothing was sent.
        BudgetSpent = "budget_spent",
        /// The ledger cannot be written.
        Ledger = "ledger",
        /// Too many requests.
        RateLimited = "rate_limited",
        /// The server's own fault.
        ServerError = "server_error",
        /// No answer in time.
        Timeout = "timeout",
        /// No connection.
        Unreachable = "unreachable",
        /// The connection or the stream broke.
        Broken = "broken",
        /// What came is no answer, or no JSON where some was asked.
        Malformed = "malformed",
        /// The answer is empty.
        Empty = "empty",
        /// The answer never ended.
        Runaway = "runaway",
    }
}

impl Kind {
    /// Whether asking again, unchanged, is of no use.
    pub fn is_final(self) -> bool {
        self < Kind::RateLimited
    }

    /// Whether it is the server that does not do its part, as opposed to what its model writes.
    pub(super) fn is_outage(self) -> bool {
        matches!(
            self,
            Kind::ServerError | Kind::Timeout | Kind::Unreachable | Kind::Broken
        )
    }

    /// Whether the server has more to do than it can.
    pub(super) fn is_congestion(self) -> bool {
        matches!(self, Kind::RateLimited | Kind::Timeout)
    }
}

/// Why there is no answer. No text in it holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmError {
    /// By kind.
    pub kind: Kind,
    /// The tier that was asked.
    pub tier: Tier,
    /// The model that was asked.
    pub model: String,
    /// The HTTP status of the last attempt, where there was one.
    pub status: Option<u16>,
    /// What happened, in one sentence.
    pub message: String,
    /// How often it was sent.
    pub attempts: u32,
}

impl fmt::Display for LlmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}) gave no answer after {} attempts: {}: {}",
            self.tier, self.model, self.attempts, self.kind, self.message
        )
    }
}

impl std::error::Error for LlmError {}
