//! The client of OpenAI-compatible servers: vLLM, Ollama, llama.cpp, clouds.
//!
//! [`Client::ask`] gives an answer that is whole, fits what was asked, is paid once and is durable, or says by [`Kind`] why there is none.
//! Real servers cut prompts in silence, write white space without end, break streams, echo keys and answer 200 with an
//! error inside; each of these has a test against a scripted server. What is paid stands in one file, the [`Ledger`], which is also
//! the cache; what may be paid is set aside in a [`Budget`] before anything is sent.
//!
//! Read [`client`], then `asking` (the course of one question), then `exchange` (one attempt). The rest are parts, most of them pure.

mod asking;
mod breaker;
pub mod budget;
mod capability;
pub mod client;
pub mod endpoint;
mod error;
mod exchange;
pub mod json_repair;
mod lane;
pub mod ledger;
mod limiter;
mod probe;
mod reply;
pub mod request;
mod retry;
mod runaway;
mod schema;
mod secret;
mod sse;
#[cfg(test)]
mod tests;
pub mod tokens;
mod transport;
mod truncation;

pub use breaker::BreakerState;
pub use budget::{Amount, Budget, BudgetSpent, Reservation, Slice};
pub use capability::{Capabilities, Format};
pub use client::{Answer, Client, Options};
pub use endpoint::{Api, Endpoint, Money, Prices, Tier, Usage};
pub use error::{Kind, LlmError};
pub use lane::LaneState;
pub use ledger::{Ledger, Spent, TierSpent, spent_in};
pub use limiter::LimiterState;
pub use probe::Probe;
pub use reply::Finish;
pub use request::{JsonFormat, Key, Message, Request, Role};
pub use secret::{Secret, SecretSource};
