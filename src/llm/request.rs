//! What is asked, its key in the ledger, and the body that a server is sent.

use super::{
    capability::{Capabilities, Format},
    endpoint::{Api, Endpoint},
    tokens,
};
use crate::words::words;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt;

words! {
    /// Who speaks.
    pub enum Role {
        /// Sets the rules.
        System = "system",
        /// Asks.
        User = "user",
        /// The model.
        Assistant = "assistant",
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

/// The JSON that an answer has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonFormat {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// A JSON schema.
    pub schema: Value,
}

/// A chat completion that is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Tokens that the answer may have.
    pub max_tokens: u64,
    /// The server's own where absent.
    pub temperature: Option<f64>,
    /// The seed that the server is given.
    pub seed: Option<u64>,
    /// That the answer has to be JSON.
    pub response_format: Option<JsonFormat>,
    /// Which of several answers to the same question this is: each is asked for and kept on its own.
    pub sample_index: u64,
    /// Which agent asks; noted in the ledger and no part of the question.
    pub purpose: String,
}

/// What a question is known by: SHA-256 of all that decides its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// 64 uniform bits that every attempt of one question shares.
    pub(super) fn bits(&self) -> u64 {
        self.0
            .iter()
            .take(8)
            .fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl std::str::FromStr for Key {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no key of 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut key = [0; 32];
        for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Key(key))
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// How far a JSON answer that failed has been simplified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// As it was asked.
    #[default]
    Asked,
    /// With the wish for JSON without white space.
    Compact,
    /// Without a grammar; the schema is told in words.
    Free,
}

impl Rung {
    /// The next simpler one.
    pub(super) fn down(self) -> Rung {
        if self == Rung::Asked {
            Rung::Compact
        } else {
            Rung::Free
        }
    }
}

impl Request {
    /// The question's key at an endpoint. The order of members in schemas and extras does not matter.
    pub fn key(&self, endpoint: &Endpoint) -> Key {
        let whole = json!({
            "version": 1,
            "url": endpoint.url,
            "api": endpoint.api,
            "model": endpoint.model,
            "messages": self.messages,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "response_format": self.response_format,
            "extra": endpoint.extra,
            "sample_index": self.sample_index,
        });
        let mut hash = Sha256::new();
        canonical(&whole, &mut |piece| hash.update(piece));
        let mut key = [0; 32];
        key.copy_from_slice(&hash.finalize());
        Key(key)
    }

    /// Tokens of the prompt, by our own count.
    pub fn prompt_tokens(&self) -> u64 {
        let messages = self
            .messages
            .iter()
            .map(|message| tokens::count(&message.content) + tokens::PER_MESSAGE);
        messages.sum::<u64>() + tokens::PER_MESSAGE
    }

    /// The body for a server that can do what `can` says.
    pub(super) fn body(
        &self,
        endpoint: &Endpoint,
        can: &Capabilities,
        rung: Rung,
        max_tokens: u64,
    ) -> Value {
        let format = if rung == Rung::Free {
            Format::None
        } else {
            can.format
        };
        let mut body = Map::new();
        body.insert("model".into(), json!(endpoint.model));
        body.insert("messages".into(), json!(self.messages_for(format, rung)));
        body.insert("stream".into(), json!(endpoint.stream));
        match endpoint.api {
            Api::OpenAi => self.openai(&mut body, can, format, max_tokens),
            Api::OllamaNative => self.ollama(&mut body, endpoint, format, max_tokens),
        }
        body.extend(endpoint.extra.clone());
        if rung == Rung::Compact {
            body.extend(endpoint.compact_extra.clone());
        }
        Value::Object(body)
    }

    fn openai(
        &self,
        body: &mut Map<String, Value>,
        can: &Capabilities,
        format: Format,
        max_tokens: u64,
    ) {
        body.insert(can.max_tokens_name().into(), json!(max_tokens));
        if body["stream"] == json!(true) && can.stream_options {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        if let Some(temperature) = self.temperature.filter(|_| can.temperature) {
            body.insert("temperature".into(), json!(temperature));
        }
        if let Some(seed) = self.seed.filter(|_| can.seed) {
            body.insert("seed".into(), json!(seed));
        }
        let response_format = match (&self.response_format, format) {
            (Some(asked), Format::Schema) => json!({
                "type": "json_schema",
                "json_schema": {"name": asked.name, "schema": asked.schema, "strict": true},
            }),
            (Some(_), Format::Object) => json!({"type": "json_object"}),
            _ => return,
        };
        body.insert("response_format".into(), response_format);
    }

    fn ollama(
        &self,
        body: &mut Map<String, Value>,
        endpoint: &Endpoint,
        format: Format,
        max_tokens: u64,
    ) {
        let mut options = Map::new();
        options.insert("num_ctx".into(), json!(endpoint.context_length));
        options.insert("num_predict".into(), json!(max_tokens));
        if let Some(temperature) = self.temperature {
            options.insert("temperature".into(), json!(temperature));
        }
        if let Some(seed) = self.seed {
            options.insert("seed".into(), json!(seed));
        }
        body.insert("options".into(), Value::Object(options));
        let asked = match (&self.response_format, format) {
            (Some(asked), Format::Schema) => asked.schema.clone(),
            (Some(_), Format::Object) => json!("json"),
            _ => return,
        };
        body.insert("format".into(), asked);
    }

    /// The messages; what no grammar enforces is told at the end of the last one, where every chat template keeps it.
    fn messages_for(&self, format: Format, rung: Rung) -> Vec<Message> {
        let mut messages = self.messages.clone();
        let (Some(asked), Some(last)) = (&self.response_format, messages.last_mut()) else {
            return messages;
        };
        if format != Format::Schema {
            last.content.push_str("\n\nAnswer with one JSON value that satisfies this JSON schema, and with nothing else:\n");
            last.content.push_str(&asked.schema.to_string());
        }
        if rung != Rung::Asked {
            last.content.push_str("\n\nWrite the JSON compactly on a single line, without white space between its parts.");
        }
        messages
    }
}

/// Feeds `value` to `sink` as JSON with sorted members: whether a map keeps an order is decided by a feature of its package.
fn canonical(value: &Value, sink: &mut impl FnMut(&[u8])) {
    match value {
        Value::Array(items) => {
            sink(b"[");
            for item in items {
                canonical(item, sink);
                sink(b",");
            }
            sink(b"]");
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            sink(b"{");
            for (name, value) in members {
                sink(Value::from(name.as_str()).to_string().as_bytes());
                sink(b":");
                canonical(value, sink);
                sink(b",");
            }
            sink(b"}");
        }
        plain => sink(plain.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::endpoint::Tier;

    fn endpoint() -> Endpoint {
        Endpoint::new(Tier::LocalSmall, "http://x/v1", "m", 8192)
    }

    fn request() -> Request {
        Request {
            messages: vec![
                Message::new(Role::System, "s"),
                Message::new(Role::User, "u"),
            ],
            max_tokens: 100,
            temperature: Some(0.5),
            seed: Some(7),
            response_format: Some(JsonFormat {
                name: "plan".into(),
                schema: json!({"type": "object", "required": ["a"]}),
            }),
            sample_index: 0,
            purpose: "planner".into(),
        }
    }

    #[test]
    fn all_that_decides_an_answer_is_in_the_key_and_nothing_else() {
        let (endpoint, request) = (endpoint(), request());
        let key = request.key(&endpoint);
        let other_purpose = Request {
            purpose: "reflect".into(),
            ..request.clone()
        };
        assert_eq!(other_purpose.key(&endpoint), key);
        let cheaper = Endpoint {
            timeout_s: 5,
            stream: false,
            max_in_flight: 1,
            tier: Tier::CloudLarge,
            ..endpoint.clone()
        };
        assert_eq!(request.key(&cheaper), key);
        let changed = [
            Request {
                sample_index: 1,
                ..request.clone()
            },
            Request {
                seed: None,
                ..request.clone()
            },
            Request {
                temperature: None,
                ..request.clone()
            },
            Request {
                max_tokens: 101,
                ..request.clone()
            },
            Request {
                response_format: None,
                ..request.clone()
            },
            Request {
                messages: vec![Message::new(Role::User, "su")],
                ..request.clone()
            },
        ];
        let mut keys: Vec<Key> = changed
            .iter()
            .map(|request| request.key(&endpoint))
            .collect();
        keys.push(request.key(&Endpoint {
            model: "n".into(),
            ..endpoint.clone()
        }));
        keys.push(request.key(&Endpoint {
            url: "http://y/v1".into(),
            ..endpoint.clone()
        }));
        keys.push(key);
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 9);
        assert_eq!(key.to_string().parse::<Key>(), Ok(key));
        assert!("xyz".parse::<Key>().is_err());
    }

    #[test]
    fn the_order_of_members_is_no_part_of_the_key() {
        let hash = |text: &str| {
            let mut out = Vec::new();
            canonical(&serde_json::from_str(text).unwrap(), &mut |piece| {
                out.extend_from_slice(piece)
            });
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            hash("{\"b\":[1,{\"d\":2,\"c\":3}],\"a\":\"x\"}"),
            hash("{\"a\":\"x\",\"b\":[1,{\"c\":3,\"d\":2}]}")
        );
        assert_ne!(hash("[1,2]"), hash("[[1],2]"));
    }

    #[test]
    fn bodies_say_what_the_server_can_do() {
        let (endpoint, request) = (endpoint(), request());
        let can = Capabilities::default();
        let body = request.body(&endpoint, &can, Rung::Asked, 100);
        assert_eq!(body["response_format"]["json_schema"]["name"], "plan");
        assert_eq!(body["stream_options"]["include_usage"], true);
        assert_eq!(body["messages"][1]["content"], "u");
        let free = request.body(&endpoint, &can, Rung::Free, 50);
        assert!(free.get("response_format").is_none() && free["max_tokens"] == 50);
        assert!(
            free["messages"][1]["content"]
                .as_str()
                .unwrap()
                .contains("\"required\"")
        );
        let native = Endpoint {
            api: Api::OllamaNative,
            ..endpoint
        };
        let body = request.body(&native, &can, Rung::Asked, 100);
        assert_eq!(
            body["options"],
            json!({"num_ctx": 8192, "num_predict": 100, "temperature": 0.5, "seed": 7})
        );
        assert_eq!(body["format"]["type"], "object");
    }
}
