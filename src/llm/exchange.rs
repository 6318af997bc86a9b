//! One attempt: a body out, a reply or a failure back, whatever the server makes of HTTP.

use super::{
    endpoint::{Api, Endpoint, Usage},
    error::Kind,
    reply::{Reply, ServerError, Wrong, server_error},
    retry::retry_after,
    secret::{Secret, redact},
    sse::Events,
    transport::{Transport, chain},
};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Response,
    body::Incoming,
    header::{CONTENT_TYPE, DATE, RETRY_AFTER},
};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use tokio::time;

/// Bytes of a body that is not streamed.
const MAX_BODY: usize = 32 << 20;
/// Bytes of an error that are read.
const MAX_ERROR: usize = 64 << 10;
/// Characters of a server's message that are told.
const MAX_MESSAGE: usize = 300;
/// After its last event a stream ends; if not by itself, it is left.
const LINGER: Duration = Duration::from_millis(100);

/// What a failed attempt cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cost {
    /// Nothing: it was refused, or never sent.
    Nothing,
    /// This.
    Known(Usage),
    /// It may have been billed.
    Unknown,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// By kind.
    pub kind: Kind,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// What happened, without a key.
    pub message: String,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
    /// What it cost.
    pub cost: Cost,
}

impl Failure {
    /// A failure without a status.
    pub fn new(kind: Kind, message: impl Into<String>, cost: Cost) -> Self {
        Self {
            kind,
            status: None,
            message: message.into(),
            retry_after: None,
            cost,
        }
    }
}

/// An attempt.
pub struct Attempt<'a> {
    /// The wire.
    pub transport: &'a Transport,
    /// Where to.
    pub endpoint: &'a Endpoint,
    /// The key.
    pub secret: Option<&'a Secret>,
}

impl Attempt<'_> {
    /// Sends `body` and reads what comes back.
    ///
    /// # Errors
    /// A failure in which no text holds the key.
    pub async fn run(&self, body: &Value) -> Result<Reply, Failure> {
        let hide = |text: String| redact(self.secret, text);
        match self.exchange(body).await {
            Ok(mut reply) => {
                reply.text = hide(reply.text);
                reply.reasoning = hide(reply.reasoning);
                reply.model = reply.model.map(hide);
                reply.part_thoughts();
                Ok(reply)
            }
            Err(failure) => Err(Failure {
                message: shortened(&hide(failure.message)),
                ..failure
            }),
        }
    }

    async fn exchange(&self, body: &Value) -> Result<Reply, Failure> {
        let bytes = body.to_string().into_bytes();
        let bearer = self.secret.map(Secret::bearer);
        let sent = self
            .transport
            .post(&self.endpoint.target(), bearer, bytes)
            .await;
        let response = sent.map_err(|unsent| match unsent.unreachable {
            true => Failure::new(Kind::Unreachable, unsent.message, Cost::Nothing),
            false => Failure::new(Kind::Broken, unsent.message, Cost::Unknown),
        })?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("");
        let mut reply = Reply::default();
        let read = if kind.contains("event-stream") {
            read_events(response.into_body(), &mut reply).await
        } else if self.endpoint.api == Api::OllamaNative && self.endpoint.stream {
            read_lines(response.into_body(), &mut reply).await
        } else {
            read_whole(response.into_body(), &mut reply).await
        };
        match read {
            Ok(()) => Ok(reply),
            Err(Stopped::Wrong(Wrong::Runaway(lost))) => {
                // Left, not failed: what was asked may stand before what ran away.
                reply.runaway = Some(lost);
                Ok(reply)
            }
            Err(Stopped::Broken(message)) => {
                Err(Failure::new(Kind::Broken, message, Cost::Unknown))
            }
            Err(Stopped::Wrong(Wrong::Malformed(message))) => {
                Err(Failure::new(Kind::Malformed, message, Cost::Unknown))
            }
            Err(Stopped::Wrong(Wrong::Error(error))) => {
                let begun = !reply.text.is_empty() || !reply.reasoning.is_empty();
                let cost = if begun { Cost::Unknown } else { Cost::Nothing };
                Err(Failure {
                    cost,
                    ..classify(error.status.unwrap_or(500), &error, None)
                })
            }
        }
    }
}

/// Why the reading of an answer stopped.
enum Stopped {
    Broken(String),
    Wrong(Wrong),
}

impl From<Wrong> for Stopped {
    fn from(wrong: Wrong) -> Self {
        Stopped::Wrong(wrong)
    }
}

async fn read_events(mut body: Incoming, reply: &mut Reply) -> Result<(), Stopped> {
    let (mut events, mut whole) = (Events::default(), Vec::new());
    while let Some(bytes) = next(&mut body, reply).await? {
        events.feed(&bytes, &mut whole).map_err(Wrong::Malformed)?;
        for data in whole.drain(..) {
            reply.take(&data)?;
        }
    }
    events.end(&mut whole);
    for data in whole {
        reply.take(&data)?;
    }
    ended(reply)
}

async fn read_lines(mut body: Incoming, reply: &mut Reply) -> Result<(), Stopped> {
    let mut waiting = Vec::new();
    while let Some(bytes) = next(&mut body, reply).await? {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            waiting.extend_from_slice(piece);
            if waiting.len() > MAX_BODY {
                return Err(Wrong::Malformed("a line of the answer has no end".to_owned()).into());
            }
            if piece.ends_with(b"\n") {
                reply.take(&String::from_utf8_lossy(&waiting))?;
                waiting.clear();
            }
        }
    }
    // Half a line is the sign of a broken stream, and no malformed one.
    let _ = reply.take(&String::from_utf8_lossy(&waiting));
    ended(reply)
}

fn ended(reply: &Reply) -> Result<(), Stopped> {
    if reply.done || reply.finish.is_some() {
        return Ok(());
    }
    Err(Stopped::Broken(
        "the stream ended before the answer did".to_owned(),
    ))
}

/// The next bytes; `None` at the end, or when all has been said and the server does not close.
async fn next(body: &mut Incoming, reply: &Reply) -> Result<Option<hyper::body::Bytes>, Stopped> {
    loop {
        let frame = if reply.done {
            time::timeout(LINGER, body.frame()).await.unwrap_or(None)
        } else {
            body.frame().await
        };
        match frame {
            None => return Ok(None),
            // What breaks after the end breaks nothing.
            Some(Err(_)) if reply.done => return Ok(None),
            Some(Err(error)) => {
                return Err(Stopped::Broken(format!(
                    "the answer broke off: {}",
                    chain(&error)
                )));
            }
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

async fn read_whole(body: Incoming, reply: &mut Reply) -> Result<(), Stopped> {
    let bytes = collect(body, MAX_BODY).await.map_err(Stopped::Broken)?;
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) => {
            reply.take_value(&value)?;
            reply.done = true;
            Ok(())
        }
        // Some servers stream without saying so.
        Err(_) if bytes.trim_ascii_start().starts_with(b"data:") => {
            let (mut events, mut whole) = (Events::default(), Vec::new());
            events.feed(&bytes, &mut whole).map_err(Wrong::Malformed)?;
            events.end(&mut whole);
            whole.iter().try_for_each(|data| reply.take(data))?;
            ended(reply)
        }
        Err(error) => Err(Wrong::Malformed(format!("the answer is no JSON: {error}")).into()),
    }
}

/// A body of bounded length.
async fn collect(mut body: Incoming, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {}", chain(&error)))?;
        if let Ok(data) = frame.into_data() {
            let room = most - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if bytes.len() == most {
                break;
            }
        }
    }
    Ok(bytes)
}

async fn refusal(response: Response<Incoming>) -> Failure {
    let status = response.status().as_u16();
    let wait = wanted_wait(response.headers());
    let bytes = collect(response.into_body(), MAX_ERROR)
        .await
        .unwrap_or_default();
    let error = serde_json::from_slice::<Value>(&bytes).map_or_else(
        |_| ServerError {
            message: String::from_utf8_lossy(&bytes).into_owned(),
            ..ServerError::default()
        },
        |body| server_error(&body),
    );
    classify(status, &error, wait)
}

fn wanted_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    retry_after(
        text(RETRY_AFTER)?,
        text(DATE),
        i64::try_from(now).unwrap_or(i64::MAX),
    )
}

/// A refusal by kind: its status, and where servers use one status for several things, its words.
fn classify(status: u16, error: &ServerError, retry_after: Option<Duration>) -> Failure {
    let words = format!("{} {}", error.code, error.message).to_lowercase();
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let too_long = || {
        says(&[
            "context length",
            "context_length",
            "maximum context",
            "context window",
            "context size",
            "context_size",
            "too many tokens",
            "prompt is too long",
            "max_model_len",
        ])
    };
    let kind = match status {
        429 if says(&["insufficient_quota", "billing"]) => Kind::Unauthorized,
        429 => Kind::RateLimited,
        413 => Kind::TooLong,
        400..=599 if too_long() => Kind::TooLong,
        401..=403 | 407 => Kind::Unauthorized,
        404 => Kind::NotFound,
        408 => Kind::Timeout,
        409 | 425 => Kind::ServerError,
        503 | 529
            if retry_after.is_some()
                || says(&["busy", "overloaded", "capacity", "pending requests"]) =>
        {
            Kind::RateLimited
        }
        500..=599 => Kind::ServerError,
        300..=399 => Kind::Settings,
        _ => Kind::BadRequest,
    };
    let message = if kind == Kind::Settings {
        format!("the server answers {status}, redirects are not followed: name the final url")
    } else {
        format!("the server answers {status}: {}", shortened(&error.message))
    };
    Failure {
        kind,
        status: Some(status),
        message,
        retry_after,
        cost: Cost::Nothing,
    }
}

/// A text on one line, of bounded length.
fn shortened(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = words.char_indices().nth(MAX_MESSAGE) {
        words.truncate(at);
        words.push_str(" ...");
    }
    words
}
