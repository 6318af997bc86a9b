//! A question at the start that tells what a server does with long prompts and schemas.

use super::{
    capability::{Capabilities, Format},
    client::Answer,
    endpoint::Endpoint,
    request::{JsonFormat, Message, Request, Role},
};
use serde::Serialize;
use serde_json::json;

/// Longer than the windows that servers fall back to in silence, with some to spare.
const PROMPT_TOKENS: u64 = 5_500;
/// Tokens of one line of the filling.
const LINE_TOKENS: u64 = 10;
/// Bound of the answer: models that think do so first.
const MAX_TOKENS: u64 = 1_024;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// The model, as the server names it.
    pub model: String,
    /// From the question to the end of the answer.
    pub latency_ms: u64,
    /// Whether the server tells the tokens; if not, all counts are estimates, and cut prompts go unnoticed.
    pub tells_usage: bool,
    /// How it is made to write JSON.
    pub format: Format,
    /// What else it takes.
    pub capabilities: Capabilities,
}

impl Probe {
    pub(super) fn new(answer: Answer, capabilities: Capabilities) -> Self {
        Self {
            model: answer.model,
            latency_ms: answer.latency_ms,
            tells_usage: !answer.usage.estimated,
            format: capabilities.format,
            capabilities,
        }
    }
}

/// The question: a prompt that fills what the settings say the window holds, up to a bound.
pub(super) fn request(endpoint: &Endpoint) -> Request {
    let most = endpoint.context_length.saturating_sub(MAX_TOKENS) * 7 / 10;
    let lines = PROMPT_TOKENS.min(most) / LINE_TOKENS;
    let filling: String = (0..lines)
        .map(|line| format!("Line {line} of this text has no meaning.\n"))
        .collect();
    let schema = json!({"type": "object", "properties": {"ready": {"type": "boolean"}}, "required": ["ready"], "additionalProperties": false});
    Request {
        messages: vec![Message::new(
            Role::User,
            format!("{filling}\nAre you ready? Answer with the JSON object {{\"ready\": true}}."),
        )],
        max_tokens: MAX_TOKENS.min(endpoint.context_length / 4).max(16),
        temperature: Some(0.0),
        seed: None,
        response_format: Some(JsonFormat {
            name: "ready".to_owned(),
            schema,
        }),
        sample_index: 0,
        purpose: "probe".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::endpoint::Tier;

    #[test]
    fn the_probe_is_longer_than_silent_windows_and_fits_the_told_one() {
        let long = Endpoint::new(Tier::LocalSmall, "http://x", "m", 32_768);
        let tokens = request(&long).prompt_tokens();
        assert!((4_900..6_300).contains(&tokens), "{tokens}");
        for context_length in [512, 2_048, 4_096] {
            let short = Endpoint {
                context_length,
                ..long.clone()
            };
            let request = request(&short);
            assert!(request.prompt_tokens() + request.max_tokens < context_length);
        }
    }
}
