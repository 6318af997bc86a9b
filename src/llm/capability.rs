//! What a server turned out not to take, remembered per endpoint: a 400 that names it is asked about once and not again.

use crate::words::words;
use serde::Serialize;
use serde_json::Value;

words! {
    /// How a server is made to write JSON.
    pub enum Format {
        /// By a grammar made of the schema.
        Schema = "json_schema",
        /// By a grammar of any JSON object.
        Object = "json_object",
        /// By words alone.
        None = "none",
    }
}

/// What a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// The strongest `response_format`.
    pub format: Format,
    /// Whether the answer's length is bounded by `max_completion_tokens` and not by `max_tokens`.
    pub completion_name: bool,
    /// Whether a stream tells its usage when asked.
    pub stream_options: bool,
    /// Whether a seed is taken.
    pub seed: bool,
    /// Whether a temperature is taken.
    pub temperature: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            format: Format::Schema,
            completion_name: false,
            stream_options: true,
            seed: true,
            temperature: true,
        }
    }
}

impl Capabilities {
    /// The name of the answer's bound.
    pub(super) fn max_tokens_name(&self) -> &'static str {
        if self.completion_name {
            "max_completion_tokens"
        } else {
            "max_tokens"
        }
    }

    /// Learns from the refusal of a body; whether there is something to leave out that was in it. Ends, since each step
    /// takes something away for good.
    pub(super) fn learn(&mut self, sent: &Value, refusal: &str) -> bool {
        let refusal = refusal.to_lowercase();
        let named = |words: &[&str]| words.iter().any(|word| refusal.contains(word));
        let has = |name: &str| sent.get(name).is_some();
        let formatted = has("response_format") || has("format");
        const FORMAT: &[&str] = &[
            "response_format",
            "json_schema",
            "json_object",
            "guided",
            "structured",
            "schema",
            "grammar",
            "format",
        ];
        if has("max_tokens") && named(&["max_completion_tokens"]) {
            self.completion_name = true;
        } else if has("max_completion_tokens") && named(&["max_completion_tokens"]) {
            self.completion_name = false;
            // The other name was refused before: there is none left to try.
            return false;
        } else if has("stream_options") && named(&["stream_options", "include_usage"]) {
            self.stream_options = false;
        } else if formatted && named(FORMAT) {
            self.format = match self.format {
                Format::Schema => Format::Object,
                _ => Format::None,
            };
        } else if has("seed") && named(&["seed"]) {
            self.seed = false;
        } else if has("temperature") && named(&["temperature"]) {
            self.temperature = false;
        } else {
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_refusal_takes_something_away_until_nothing_is_left() {
        let mut can = Capabilities::default();
        let with_format = json!({"response_format": {}, "seed": 1, "max_tokens": 1});
        assert!(can.learn(&with_format, "guided_json was removed"));
        assert_eq!(can.format, Format::Object);
        assert!(can.learn(&with_format, "'response_format' is not supported"));
        assert_eq!(can.format, Format::None);
        let without = json!({"seed": 1, "max_tokens": 1, "stream_options": {}, "temperature": 0});
        assert!(
            !can.learn(&without, "response_format is not supported"),
            "it was not sent"
        );
        assert!(
            can.learn(&without, "Unrecognized argument: stream_options") && !can.stream_options
        );
        assert!(can.learn(&without, "use 'max_completion_tokens' instead") && can.completion_name);
        assert!(can.learn(&without, "seed: extra inputs are not permitted") && !can.seed);
        assert!(can.learn(&without, "Unsupported value: 'temperature'") && !can.temperature);
        assert!(!can.learn(&without, "the model does not like you"));
    }
}
