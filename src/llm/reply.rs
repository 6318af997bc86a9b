//! What a server answers, put together from its pieces: whole bodies, streamed events, Ollama's own lines, errors in any of them.

use super::{
    endpoint::Usage,
    runaway::{Runaway, Watch},
    tokens,
};
use crate::words::words;
use serde_json::Value;

/// The longest answer that is taken, in bytes.
const MAX_TEXT: usize = 4 << 20;

words! {
    /// Why an answer ended.
    pub enum Finish {
        /// It was complete.
        Stop = "stop",
        /// It was cut at its bound.
        Length = "length",
        /// The server's filter cut it.
        Filtered = "content_filter",
        /// Anything else that a server says.
        Other = "other",
    }
}

/// What went wrong inside an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Wrong {
    /// The server put an error where the answer should be.
    Error(ServerError),
    /// It is no answer.
    Malformed(String),
    /// It would never have ended.
    Runaway(Runaway),
}

/// An error as a server words it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// The HTTP status that it stands for, where it says so.
    pub status: Option<u16>,
    /// Its code or type, which is what programs go by.
    pub code: String,
    /// Its message.
    pub message: String,
}

/// A reply as far as it has come.
#[derive(Debug, Default)]
pub struct Reply {
    /// What the model wrote.
    pub text: String,
    /// What it thought aloud.
    pub reasoning: String,
    /// Why it ended, if it did.
    pub finish: Option<Finish>,
    /// The usage that the server told.
    pub usage: Option<Usage>,
    /// The model's name by the server.
    pub model: Option<String>,
    /// Whether the server said that this is all.
    pub done: bool,
    /// What the answer lost itself in: it was left before its end.
    pub runaway: Option<Runaway>,
    watch: Watch,
    thought_watch: Watch,
}

impl Reply {
    /// Takes the data of one event, or one line of Ollama's own stream.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub fn take(&mut self, data: &str) -> Result<(), Wrong> {
        match data.trim() {
            "" => return Ok(()),
            "[DONE]" => {
                self.done = true;
                return Ok(());
            }
            _ => {}
        }
        let value = serde_json::from_str(data).map_err(|error| {
            Wrong::Malformed(format!("a piece of the answer is no JSON: {error}"))
        })?;
        self.take_value(&value)
    }

    /// Takes a whole body, or what an event holds.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub fn take_value(&mut self, value: &Value) -> Result<(), Wrong> {
        let failed =
            value.get("error").is_some_and(|error| !error.is_null()) || value["object"] == "error";
        if failed {
            return Err(Wrong::Error(server_error(value)));
        }
        if !value.is_object() {
            return Err(Wrong::Malformed("the answer is no JSON object".to_owned()));
        }
        if let Some(model) = value["model"].as_str() {
            self.model = Some(model.to_owned());
        }
        self.usage = usage(&value["usage"])
            .or_else(|| native_usage(value))
            .or(self.usage);
        if value.get("message").is_some() {
            // Ollama's own.
            self.done |= value["done"] == true;
            let reason = value["done_reason"]
                .as_str()
                .or(self.done.then_some("stop"));
            return self.take_message(&value["message"], reason);
        }
        let Some(choices) = value["choices"].as_array() else {
            return self.without_choices(value);
        };
        // A last event with the usage has no choice.
        let Some(choice) = choices.first() else {
            return Ok(());
        };
        let message = if choice["message"].is_object() {
            &choice["message"]
        } else {
            &choice["delta"]
        };
        self.take_message(message, choice["finish_reason"].as_str())
    }

    fn without_choices(&self, value: &Value) -> Result<(), Wrong> {
        if value.get("usage").is_some() {
            return Ok(());
        }
        Err(Wrong::Malformed("the answer has no choices".to_owned()))
    }

    fn take_message(&mut self, message: &Value, reason: Option<&str>) -> Result<(), Wrong> {
        for name in ["reasoning_content", "reasoning", "thinking"] {
            if let Some(piece) = message[name].as_str() {
                self.reasoning.push_str(piece);
                let lost = self.thought_watch.feed(piece);
                lost.map_or(Ok(()), |lost| Err(Wrong::Runaway(lost)))?;
                break;
            }
        }
        let lost = match &message["content"] {
            Value::String(piece) => self.write(piece),
            // Some servers answer in parts.
            Value::Array(parts) => parts
                .iter()
                .find_map(|part| self.write(part["text"].as_str()?)),
            _ => None,
        };
        if let Some(refusal) = message["refusal"].as_str().filter(|_| self.text.is_empty()) {
            self.text.push_str(refusal);
            self.finish = Some(Finish::Filtered);
        }
        if let Some(reason) = reason {
            self.finish = Some(finish(reason));
        }
        match lost {
            Some(lost) => Err(Wrong::Runaway(lost)),
            None if self.text.len() + self.reasoning.len() > MAX_TEXT => Err(Wrong::Malformed(
                format!("the answer is longer than {MAX_TEXT} bytes"),
            )),
            None => Ok(()),
        }
    }

    fn write(&mut self, piece: &str) -> Option<Runaway> {
        self.text.push_str(piece);
        self.watch.feed(piece)
    }

    /// The tokens used: the server's numbers, or our own where it told none.
    pub fn usage_or(&self, prompt: u64) -> Usage {
        let written = tokens::count(&self.text) + tokens::count(&self.reasoning);
        let Some(mut told) = self.usage else {
            let reasoning = tokens::count(&self.reasoning);
            return Usage {
                prompt,
                cached: 0,
                completion: written,
                reasoning,
                estimated: true,
            };
        };
        if told.prompt == 0 {
            told = Usage {
                prompt,
                estimated: true,
                ..told
            };
        }
        if told.completion == 0 && written > 0 {
            told = Usage {
                completion: written,
                estimated: true,
                ..told
            };
        }
        told
    }

    /// Moves a thought that stands at the head of the text to where thoughts belong: servers without a parser for it leave it there.
    pub fn part_thoughts(&mut self) {
        let Some(rest) = self.text.trim_start().strip_prefix("<think>") else {
            return;
        };
        if let Some((thought, text)) = rest.split_once("</think>") {
            self.reasoning.push_str(thought.trim());
            self.text = text.trim_start().to_owned();
        }
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "stop" | "eos" | "end_turn" | "stop_sequence" => Finish::Stop,
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "content_filter" | "safety" => Finish::Filtered,
        _ => Finish::Other,
    }
}

fn usage(told: &Value) -> Option<Usage> {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    told.is_object().then(|| {
        let prompt = number(&told["prompt_tokens"]);
        // Two spellings of the same fact.
        let cached = number(&told["prompt_tokens_details"]["cached_tokens"])
            .max(number(&told["prompt_cache_hit_tokens"]));
        let reasoning = number(&told["completion_tokens_details"]["reasoning_tokens"]);
        let completion = number(&told["completion_tokens"]).max(reasoning);
        Usage {
            prompt,
            cached: cached.min(prompt),
            completion,
            reasoning,
            estimated: false,
        }
    })
}

/// Ollama's own counts, on its last line.
fn native_usage(value: &Value) -> Option<Usage> {
    let completion = value["eval_count"].as_u64()?;
    let prompt = value["prompt_eval_count"].as_u64().unwrap_or(0);
    Some(Usage {
        prompt,
        completion,
        ..Usage::default()
    })
}

/// Reads an error however it is wrapped: `{"error": {...}}`, `{"error": "..."}`, `{"object": "error", ...}`, `{"detail": ...}`.
pub fn server_error(body: &Value) -> ServerError {
    let inner = if body["error"].is_object() {
        &body["error"]
    } else {
        body
    };
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let message = [
        &inner["message"],
        &body["error"],
        &inner["detail"],
        &inner["error_msg"],
    ];
    let message = message
        .into_iter()
        .find_map(text)
        .unwrap_or_else(|| body.to_string());
    let status = [&inner["code"], &inner["status"], &inner["status_code"]];
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let status = status
        .into_iter()
        .filter_map(number)
        .find(|code| (400..600).contains(code));
    let code = [&inner["code"], &inner["type"]]
        .into_iter()
        .filter_map(text)
        .collect::<Vec<_>>()
        .join(" ");
    ServerError {
        status: status.map(|code| code as u16),
        code,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_are_read_however_they_are_wrapped() {
        for (body, status, message) in [
            (
                json!({"error": {"message": "m", "type": "t", "code": "c"}}),
                None,
                "m",
            ),
            (
                json!({"error": {"message": "m", "code": 429}}),
                Some(429),
                "m",
            ),
            (
                json!({"object": "error", "message": "m", "code": 400}),
                Some(400),
                "m",
            ),
            (
                json!({"error": "model 'x' not found"}),
                None,
                "model 'x' not found",
            ),
            (json!({"detail": "Not Found"}), None, "Not Found"),
            (
                json!({"detail": [{"loc": ["body"]}]}),
                None,
                "[{\"loc\":[\"body\"]}]",
            ),
        ] {
            let error = server_error(&body);
            assert_eq!(
                (error.status, error.message.as_str()),
                (status, message),
                "{body}"
            );
        }
    }

    #[test]
    fn cached_and_reasoning_tokens_are_told_apart() {
        let told = json!({"prompt_tokens": 100, "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 80}, "completion_tokens_details": {"reasoning_tokens": 30}});
        let expected = Usage {
            prompt: 100,
            cached: 80,
            completion: 50,
            reasoning: 30,
            estimated: false,
        };
        assert_eq!(usage(&told), Some(expected));
        assert_eq!(
            usage(&json!({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4}))
                .unwrap()
                .cached,
            4
        );
        assert_eq!(usage(&Value::Null), None);
    }

    #[test]
    fn thoughts_at_the_head_are_no_answer() {
        let mut reply = Reply {
            text: "\n<think>\nhm {1}\n</think>\n\n{\"a\":1}".into(),
            ..Reply::default()
        };
        reply.part_thoughts();
        assert_eq!(
            (reply.text.as_str(), reply.reasoning.as_str()),
            ("{\"a\":1}", "hm {1}")
        );
    }

    #[test]
    fn parts_and_refusals_are_understood() {
        let mut reply = Reply::default();
        reply.take_value(&json!({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}]}, "finish_reason": "stop"}]})).unwrap();
        assert_eq!(
            (reply.text.as_str(), reply.finish),
            ("ab", Some(Finish::Stop))
        );
        let mut reply = Reply::default();
        reply.take_value(&json!({"choices": [{"message": {"content": null, "refusal": "no"}, "finish_reason": null}]})).unwrap();
        assert_eq!(reply.finish, Some(Finish::Filtered));
        assert!(Reply::default().take("{}").is_err() && Reply::default().take("[]").is_err());
    }
}
