//! A request to a model: what the client costs beside a plain one, with 64 in flight, against a server on loopback that
//! answers at once.

use crate::table::Table;
use campaignd::llm::{
    Budget, Client, Endpoint, Ledger, Message, Options, Request, Role, Slice, Tier,
};
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const IN_FLIGHT: u64 = 64;
/// Pieces in which the answer is streamed.
const PIECES: u32 = 40;

/// One streamed answer, head and body.
fn answer() -> Arc<[u8]> {
    let mut body = String::new();
    for piece in 0..PIECES {
        let delta = serde_json::json!({ "choices": [{ "index": 0, "delta": { "content": format!("word{piece} ") } }] });
        body += &format!("data: {delta}\n\n");
    }
    body += "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    body += "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":80}}\n\n";
    body += "data: [DONE]\n\n";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes().into()
}

/// The server, in a thread of its own; its URL.
fn server() -> String {
    let (told, url) = mpsc::channel();
    let serve = async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        told.send(format!("http://{address}/v1")).unwrap();
        let answer = answer();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&answer)));
        }
    };
    thread::spawn(move || runtime().block_on(serve));
    url.recv().unwrap()
}

async fn converse(mut stream: TcpStream, answer: Arc<[u8]>) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let head = loop {
            let end = read.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        };
        let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
        let length = text.split("content-length: ").nth(1)?.split('\r').next()?;
        let length: usize = length.parse().ok()?;
        while read.len() < head + length {
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
        read.drain(..head + length);
        stream.write_all(&answer).await.ok()?;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Processor time of this thread.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn request(index: u64) -> Request {
    let sentence = "The reads are aligned to the reference and counted. ";
    Request {
        messages: vec![Message::new(Role::User, sentence.repeat(60))],
        max_tokens: 200,
        temperature: Some(0.2),
        seed: Some(1),
        response_format: None,
        sample_index: index,
        purpose: "bench".into(),
    }
}

/// Requests a second, and processor time of the client's thread for one.
fn timed(count: u64, run: impl FnOnce()) -> (f64, Duration) {
    let (begun, used) = (Instant::now(), processor());
    run();
    let used = processor() - used;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    (rate, used / u32::try_from(count).unwrap())
}

fn plain(url: &str, count: u64) -> (f64, Duration) {
    let runtime = runtime();
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<Full<Bytes>>();
    let body = serde_json::json!({ "model": "m", "messages": request(0).messages, "stream": true });
    let body = Bytes::from(body.to_string());
    let target = format!("{url}/chat/completions");
    let one = || async {
        for _ in 0..count / IN_FLIGHT {
            let request = hyper::Request::post(&target).body(Full::new(body.clone()));
            let answer = client.request(request.unwrap()).await.unwrap();
            answer.into_body().collect().await.unwrap();
        }
    };
    timed(count, || {
        drop(runtime.block_on(join_all((0..IN_FLIGHT).map(|_| one()))))
    })
}

fn ours(
    client: &Client,
    endpoint: &Endpoint,
    runtime: &tokio::runtime::Runtime,
    count: u64,
) -> (f64, Duration) {
    let each = count / IN_FLIGHT;
    let some = |from: u64| async move {
        for index in from * each..(from + 1) * each {
            client.ask(endpoint, &request(index)).await.unwrap();
        }
    };
    timed(count, || {
        drop(runtime.block_on(join_all((0..IN_FLIGHT).map(some))))
    })
}

pub fn overhead(dir: &Path, count: u64, table: &mut Table) {
    let url = server();
    let (plain_rate, plain_cost) = plain(&url, count);
    let runtime = runtime();
    let ledger = runtime.block_on(async { Ledger::open(&dir.join("ledger.jsonl")) });
    let client = runtime.block_on(async {
        Client::new(
            ledger.unwrap(),
            Budget::new(Slice::default()),
            Options::default(),
        )
    });
    let endpoint = Endpoint::new(Tier::LocalSmall, &url, "m", 32_768);
    let (rate, cost) = ours(&client, &endpoint, &runtime, count);
    table.note(
        "a request to a model, 64 in flight",
        format!("{rate:.0} a second, {:.0} µs of processor each", cost.as_secs_f64() * 1e6),
        format!(
            "plain hyper, body unread: {plain_rate:.0} a second, {:.0} µs each; both with a server on the same cores that answers at once in {PIECES} pieces",
            plain_cost.as_secs_f64() * 1e6
        ),
    );
    let (rate, cost) = ours(&client, &endpoint, &runtime, count);
    table.note(
        "the same requests again, from the ledger",
        format!(
            "{rate:.0} a second, {:.0} µs of processor each",
            cost.as_secs_f64() * 1e6
        ),
        String::new(),
    );
}
