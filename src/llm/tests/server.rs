//! A scripted server on loopback: what it answers is data, what it was asked is recorded.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time,
};

/// A step of an answer's body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// These bytes, as a chunk of their own.
    Bytes(Vec<u8>),
    /// Nothing for so long.
    Pause(Duration),
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// As it should.
    Clean,
    /// The connection is closed before the body's end.
    Cut,
    /// Nothing more comes, and the connection stays.
    Hang,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Script {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub pieces: Vec<Piece>,
    pub end: End,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Request line and headers.
    pub head: String,
    pub body: Value,
    /// When, from the start of the server.
    pub at: Duration,
}

impl Script {
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", kind.to_owned())];
        Self {
            status,
            headers,
            pieces: vec![Piece::Bytes(body.into())],
            end: End::Clean,
        }
    }

    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// A stream of events, each a chunk.
    pub fn events(events: &[Value]) -> Self {
        let text = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .chain(["data: [DONE]\n\n".to_owned()]);
        let pieces = text.map(|text| Piece::Bytes(text.into_bytes())).collect();
        Self {
            pieces,
            ..Self::new(200, "text/event-stream", "")
        }
    }

    /// A stream that says `text`, with a usage.
    pub fn says(text: &str, prompt: u64) -> Self {
        Self::events(&[delta(text), finish("stop"), usage(prompt, 7)])
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// The same bytes in chunks of `size`.
    pub fn chopped(mut self, size: usize) -> Self {
        let bytes: Vec<u8> = self
            .pieces
            .iter()
            .filter_map(|piece| {
                if let Piece::Bytes(bytes) = piece {
                    Some(bytes.clone())
                } else {
                    None
                }
            })
            .flatten()
            .collect();
        self.pieces = bytes
            .chunks(size)
            .map(|chunk| Piece::Bytes(chunk.to_vec()))
            .collect();
        self
    }

    pub fn pausing(mut self, before: usize, pause: Duration) -> Self {
        self.pieces.insert(before, Piece::Pause(pause));
        self
    }
}

pub fn delta(text: &str) -> Value {
    json!({"model": "m-1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}

pub fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

pub fn usage(prompt: u64, completion: u64) -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})
}

/// A whole answer that is not streamed.
pub fn whole(text: &str, reason: &str, prompt: u64, completion: u64) -> Value {
    json!({"model": "m-1", "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})
}

/// The server.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Answers request number `n` with the `n`th script, and with 418 when there is none.
    pub async fn scripted(scripts: Vec<Script>) -> Self {
        Self::start(move |n, _| {
            scripts
                .get(n)
                .cloned()
                .unwrap_or_else(|| Script::new(418, "text/plain", "no more scripts"))
        })
        .await
    }

    /// Answers each request as `answer` says.
    pub async fn start(
        answer: impl Fn(usize, &Recorded) -> Script + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Recorded>>> = Arc::default();
        let (record, answer, begun) = (
            Arc::clone(&requests),
            Arc::new(answer),
            time::Instant::now(),
        );
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
                tokio::spawn(async move {
                    let respond = |head: String, body: Value| {
                        let recorded = Recorded {
                            head,
                            body,
                            at: begun.elapsed(),
                        };
                        let mut all = record.lock().unwrap();
                        let script = answer(all.len(), &recorded);
                        all.push(recorded);
                        script
                    };
                    serve(stream, respond).await;
                });
            }
        });
        Self {
            url,
            requests,
            accepting,
        }
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, respond: impl Fn(String, Value) -> Script) {
    let _ = stream.set_nodelay(true);
    let mut waiting = Vec::new();
    while let Some((head, body)) = read_request(&mut stream, &mut waiting).await {
        let script = respond(head, body);
        match write_script(&mut stream, &script).await {
            Ok(()) if script.end == End::Clean => {}
            Ok(()) if script.end == End::Hang => std::future::pending().await,
            _ => return,
        }
    }
}

async fn read_request(stream: &mut TcpStream, waiting: &mut Vec<u8>) -> Option<(String, Value)> {
    let head_end = loop {
        if let Some(at) = waiting.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(waiting).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&waiting[..head_end]).into_owned();
    let headers: BTreeMap<String, String> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while waiting.len() < head_end + length {
        if stream.read_buf(waiting).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&waiting[head_end..head_end + length]).unwrap_or(Value::Null);
    waiting.drain(..head_end + length);
    Some((head, body))
}

async fn write_script(stream: &mut TcpStream, script: &Script) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} Scripted\r\ntransfer-encoding: chunked\r\n",
        script.status
    );
    for (name, value) in &script.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    for piece in &script.pieces {
        match piece {
            Piece::Pause(pause) => time::sleep(*pause).await,
            Piece::Bytes(bytes) if bytes.is_empty() => {}
            Piece::Bytes(bytes) => {
                let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
                chunk.extend_from_slice(bytes);
                chunk.extend_from_slice(b"\r\n");
                stream.write_all(&chunk).await?;
            }
        }
    }
    if script.end == End::Clean {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}
