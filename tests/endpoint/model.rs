//! A model behind an OpenAI-compatible server on loopback: it reads the prompts of `config/prompts/` and answers as a model
//! that knows its trade would, or as badly as it is told to.

use campaignd::workflow::{
    plan::{Asked, Plan, Step, plan},
    writer::write,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

/// Tokens that every answer is said to have taken.
pub const COMPLETION: u64 = 500;
pub const REASONING: u64 = 50;

/// What happened at the server.
#[derive(Default)]
pub struct Seen {
    /// Answers that were sent whole, by model and prompt.
    pub answered: BTreeMap<(String, String), u64>,
    /// Tokens of their prompts, and those among them that were cached, by model.
    pub read: BTreeMap<String, (u64, u64)>,
    /// Authorization headers.
    pub keys: Vec<String>,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests in flight, and the most there were.
    pub in_flight: usize,
    pub most_in_flight: usize,
    requests: u64,
}

/// How it behaves.
#[derive(Clone, Copy, Default)]
pub struct Manners {
    /// Every so many requests one is refused with 429 or 500; 0 never.
    pub refuses: u64,
    /// Its first workflow of a query has a container without a version, and its JSON a comma too many.
    pub sloppy: bool,
    /// Before each answer.
    pub pause: Duration,
    /// It no longer knows its caller.
    pub locked: bool,
}

pub struct Model {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
    manners: Arc<Mutex<Manners>>,
}

impl Model {
    pub fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let manners = Arc::new(Mutex::new(manners));
        let (seen_by, behaves) = (Arc::clone(&seen), Arc::clone(&manners));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, manners) = (Arc::clone(&seen_by), Arc::clone(&behaves));
                // Whoever hangs up ends its thread.
                thread::spawn(move || serve(stream.ok()?, &seen, &manners));
            }
        });
        Self { url, seen, manners }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub fn behave(&self, manners: Manners) {
        *self.manners.lock().unwrap() = manners;
    }

    /// Answers that were sent whole.
    pub fn answers(&self) -> u64 {
        self.seen().answered.values().sum()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Seen>, manners: &Mutex<Manners>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "authorization" => key = value.trim().into(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        answer(&mut stream, &body, key, seen, *manners.lock().unwrap())?;
    }
}

fn answer(
    stream: &mut TcpStream,
    body: &Value,
    key: String,
    seen: &Mutex<Seen>,
    manners: Manners,
) -> Option<()> {
    let prompt = body["messages"][0]["content"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    let model = body["model"].as_str().unwrap_or("").to_owned();
    let (turn, first) = {
        let mut seen = seen.lock().unwrap();
        seen.keys.push(key);
        seen.requests += 1;
        seen.in_flight += 1;
        seen.most_in_flight = seen.most_in_flight.max(seen.in_flight);
        let first = !seen.answered.contains_key(&(model.clone(), prompt.clone()));
        (seen.requests, first)
    };
    thread::sleep(manners.pause);
    let refuses = manners.refuses > 0 && turn.is_multiple_of(manners.refuses);
    let sent = if manners.locked {
        respond(
            stream,
            "401 Unauthorized",
            &json!({ "error": { "message": "who are you" } }),
        )
    } else if refuses {
        let status = if turn.is_multiple_of(2) {
            "429 Too Many Requests"
        } else {
            "500 Internal Server Error"
        };
        respond(stream, status, &json!({ "error": { "message": "busy" } }))
    } else {
        let text = say(&prompt, manners.sloppy && first);
        stream_out(stream, &model, &prompt, &text)
    };
    let mut seen = seen.lock().unwrap();
    seen.in_flight -= 1;
    sent?;
    if refuses || manners.locked {
        seen.refused += 1;
    } else {
        let (read, cached) = seen.read.entry(model.clone()).or_default();
        *read += tokens(&prompt);
        *cached += tokens(&prompt) / 2;
        *seen.answered.entry((model, prompt)).or_default() += 1;
    }
    Some(())
}

fn respond(stream: &mut TcpStream, status: &str, body: &Value) -> Option<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nretry-after: 0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).ok()
}

/// Tokens of a prompt as a model counts them, roughly.
fn tokens(prompt: &str) -> u64 {
    campaignd::llm::tokens::count(prompt)
}

/// As a stream of two chunks, then the usage.
fn stream_out(stream: &mut TcpStream, model: &str, prompt: &str, text: &str) -> Option<()> {
    let mut half = text.len() / 2;
    while !text.is_char_boundary(half) {
        half += 1;
    }
    let delta = |text: &str| json!({ "model": model, "choices": [{ "index": 0, "delta": { "content": text } }] });
    let end = json!({ "model": model, "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "model": model, "choices": [], "usage": {
        "prompt_tokens": tokens(prompt), "completion_tokens": COMPLETION,
        "prompt_tokens_details": { "cached_tokens": tokens(prompt) / 2 },
        "completion_tokens_details": { "reasoning_tokens": REASONING },
    } });
    let mut body = String::new();
    for event in [delta(&text[..half]), delta(&text[half..]), end, usage] {
        body += &format!("data: {event}\n\n");
    }
    body += "data: [DONE]\n\n";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).ok()
}

/// What stands behind a word on its line.
fn field<'a>(prompt: &'a str, name: &str) -> &'a str {
    let line = prompt.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or("").trim()
}

fn say(prompt: &str, badly: bool) -> String {
    if prompt.starts_with("You plan") {
        let example = prompt
            .lines()
            .find(|line| line.starts_with("[{\"id\""))
            .unwrap_or("[]");
        let comma = if badly { "," } else { "" };
        format!("Here is the plan:\n```json\n{{\"steps\": {example}{comma}}}\n```\n")
    } else if prompt.starts_with("You write Nextflow") {
        let artefact = write(&planned(prompt));
        let code = if badly {
            unpinned(&artefact.main_nf)
        } else {
            artefact.main_nf
        };
        format!(
            "```nextflow\n{code}\n```\nand\n```groovy\n{}\n```\n",
            artefact.config
        )
    } else if prompt.starts_with("A linter found") {
        let code = prompt
            .split("```nextflow\n")
            .nth(1)
            .and_then(|rest| rest.split("\n```").next())
            .unwrap_or("");
        format!("```nextflow\n{}\n```\n", code.replace(":latest", ":1.0"))
    } else if prompt.starts_with("Review") {
        json!({ "issues": [] }).to_string()
    } else if prompt.starts_with("Write the README") {
        let steps: Vec<Step> = steps(prompt);
        let tools: Vec<&str> = steps.iter().map(|step| step.tool.as_str()).collect();
        format!("# A workflow\n\nIt uses {}.\n", tools.join(", "))
    } else if prompt.starts_with("A Nextflow run failed") {
        json!({ "kind": null, "message": null, "process": null }).to_string()
    } else {
        json!({ "root_cause": "a", "prevention": "b", "alternative": "c", "learning": "d" })
            .to_string()
    }
}

fn steps(prompt: &str) -> Vec<Step> {
    let line = prompt
        .lines()
        .find(|line| line.starts_with("[{\"id\""))
        .unwrap_or("[]");
    serde_json::from_str(line).unwrap()
}

fn planned(prompt: &str) -> Plan {
    let asked = Asked {
        analysis_type: field(prompt, "Analysis type:"),
        organism: "human",
        complexity: "medium",
        query: field(prompt, "Query:"),
        slots: &BTreeMap::new(),
    };
    Plan {
        steps: steps(prompt),
        ..plan(&asked).unwrap()
    }
}

/// The first container loses its version.
fn unpinned(code: &str) -> String {
    let Some((before, rest)) = code.split_once("container '") else {
        return code.into();
    };
    let (image, after) = rest.split_once('\'').unwrap_or((rest, ""));
    let name = image.rsplit_once(':').map_or(image, |(name, _)| name);
    format!("{before}container '{name}:latest'{after}")
}
