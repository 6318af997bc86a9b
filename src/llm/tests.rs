//! The client against servers that misbehave as real ones do. The clock is paused: no test waits.

mod course;
mod misbehaviour;
mod money;
mod secrets;
mod server;
pub mod texts;
mod wire;

use super::{
    budget::{Budget, Slice},
    client::{Client, Options},
    endpoint::{Endpoint, Prices, Tier},
    ledger::Ledger,
    request::{JsonFormat, Message, Request, Role},
    transport::Transport,
};
use hyper_util::client::proxy::matcher::Matcher;
use serde_json::json;
use server::Server;
use std::time::Duration;
use tempfile::TempDir;

/// A client with a ledger of its own.
struct Bench {
    dir: TempDir,
    client: Client,
}

impl Bench {
    fn new() -> Self {
        Self::with(Slice::default(), options())
    }

    fn with(slice: Slice, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let client = Self::client(&dir, slice, options);
        Self { dir, client }
    }

    fn client(dir: &TempDir, slice: Slice, options: Options) -> Client {
        let ledger = Ledger::open(&dir.path().join("ledger.jsonl")).unwrap();
        let direct = Transport::new(Matcher::builder().build());
        Client::with_transport(ledger, Budget::new(slice), options, direct)
    }

    /// The same as after a restart.
    fn again(&self) -> Client {
        Self::client(&self.dir, Slice::default(), options())
    }

    fn ledger_text(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("ledger.jsonl")).unwrap()
    }
}

fn options() -> Options {
    Options {
        deadline: Duration::from_secs(600),
        attempts: 4,
        ..Options::default()
    }
}

fn endpoint(server: &Server) -> Endpoint {
    let prices = Prices {
        prompt: 1.0,
        cached: Some(0.1),
        completion: 2.0,
    };
    Endpoint {
        prices,
        timeout_s: 30,
        ..Endpoint::new(Tier::CloudSmall, &server.url, "m", 32_768)
    }
}

fn request() -> Request {
    Request {
        messages: vec![Message::new(
            Role::User,
            "Name the first step of an RNA-seq analysis.",
        )],
        max_tokens: 100,
        temperature: Some(0.2),
        seed: Some(11),
        response_format: None,
        sample_index: 0,
        purpose: "planner".into(),
    }
}

fn json_request() -> Request {
    let schema =
        json!({"type": "object", "required": ["step"], "properties": {"step": {"type": "string"}}});
    Request {
        response_format: Some(JsonFormat {
            name: "step".into(),
            schema,
        }),
        ..request()
    }
}
