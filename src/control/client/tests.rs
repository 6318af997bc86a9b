//! The client against a listener that says whatever a test wants.

use super::*;
use crate::control::api::{ErrorView, EventView, ListView, LogView};
use serde_json::Value;
use std::{os::unix::fs::PermissionsExt, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixSocket},
    task::JoinHandle,
};

/// Someone who answers one request with given bytes; and what was asked.
struct Peer {
    client: Client,
    asked: JoinHandle<String>,
    _dir: TempDir,
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    (dir, socket)
}

/// Reads one request's head, then answers piece by piece and hangs up.
async fn answer(listener: UnixListener, pieces: Vec<Vec<u8>>) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    for piece in pieces {
        // A client that has heard enough hangs up first.
        if stream.write_all(&piece).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    String::from_utf8(head).unwrap()
}

fn peer(pieces: &[&str]) -> Peer {
    let (dir, socket) = place();
    let listener = UnixListener::bind(&socket).unwrap();
    let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec());
    let asked = tokio::spawn(answer(listener, pieces.collect()));
    Peer {
        client: Client::new(socket),
        asked,
        _dir: dir,
    }
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn chunked(chunks: &[&str], end: &str) -> String {
    let body: String = chunks
        .iter()
        .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
        .collect();
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}{end}")
}

/// A client for which little is already too much.
fn strict(peer: &Peer) -> Client {
    let mut client = peer.client.clone();
    client.limits.answer = 1_000;
    client.limits.line = 100;
    client
}

fn campaigns() -> Target {
    Target::new(&["campaigns"])
}

async fn refused(answer: &str) -> ErrorView {
    let peer = peer(&[answer]);
    let got: Result<ListView, _> = peer.client.get(&campaigns()).await;
    *got.unwrap_err().0
}

async fn followed(answer: &str) -> (Vec<u64>, Result<(), ClientError>) {
    let peer = peer(&[answer]);
    let mut seen = Vec::new();
    let each = |event: EventView| {
        seen.push(event.seq);
        true
    };
    let done = peer.client.follow(&Target::new(&["events"]), each).await;
    (seen, done)
}

fn event(seq: u64) -> String {
    let view = EventView {
        seq,
        ..EventView::default()
    };
    serde_json::to_string(&view).unwrap()
}

#[tokio::test]
async fn an_answer_is_read_and_the_request_is_whole() {
    let peer = peer(&[&http("200 OK", r#"{"version":1,"campaigns":[]}"#)]);
    let target = campaigns().query("state", "a b/é?");
    let list: ListView = peer.client.get(&target).await.unwrap();
    assert_eq!((list.version, list.campaigns.len()), (1, 0));
    let asked = peer.asked.await.unwrap();
    let line = "GET /v1/campaigns?state=a%20b%2F%C3%A9%3F HTTP/1.1\r\n";
    assert!(asked.starts_with(line), "{asked}");
}

#[tokio::test]
async fn a_change_is_posted_as_json() {
    let peer = peer(&[&http("202 Accepted", r#"{"version":1,"stopping":true}"#)]);
    let body = serde_json::json!({ "interrupt": true });
    let answer: Value = peer
        .client
        .post(&Target::new(&["stop"]), &body)
        .await
        .unwrap();
    assert_eq!(answer["stopping"], true);
    let asked = peer.asked.await.unwrap();
    assert!(asked.starts_with("POST /v1/stop HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("application/json"), "{asked}");
}

#[tokio::test]
async fn a_refusal_is_the_daemons_own() {
    let body = r#"{"version":1,"error":{"kind":"unknown","message":"there is no campaign \"x\"","right":"alttp","exit_status":2}}"#;
    let error = refused(&http("404 Not Found", body)).await;
    assert_eq!((error.kind.as_str(), error.exit_status), ("unknown", 2));
    assert_eq!(error.message, "there is no campaign \"x\"");
    assert_eq!(error.right.as_deref(), Some("alttp"));
    let polite = body.replace("\"exit_status\":2", "\"exit_status\":0");
    let error = refused(&http("404 Not Found", &polite)).await;
    assert_eq!(error.exit_status, 1, "a refusal is no success");
}

#[tokio::test]
async fn a_refusal_in_other_words_names_its_status() {
    for body in ["<html>", ""] {
        let error = refused(&http("502 Bad Gateway", body)).await;
        assert_eq!((error.kind.as_str(), error.exit_status), ("protocol", 7));
        assert!(error.message.contains("502"), "{}", error.message);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_campaignds_is_said_to_be_so() {
    for body in ["hello", "[1]", r#"{"version":1}"#, r#"{"version":"one"}"#] {
        let error = refused(&http("200 OK", body)).await;
        assert_eq!(
            (error.kind.as_str(), error.exit_status),
            ("protocol", 7),
            "{body}"
        );
        assert!(
            error.message.starts_with("the answer is not campaignd's"),
            "{body}: {}",
            error.message
        );
    }
    let error = refused("220 mail.example ESMTP\r\n").await;
    assert_eq!(error.exit_status, 7, "{}", error.message);
}

#[tokio::test]
async fn another_version_is_named() {
    let list = r#"{"version":2,"campaigns":[]}"#;
    let refusal = r#"{"version":2,"error":{"kind":"x","message":"y","exit_status":2}}"#;
    for answer in [http("200 OK", list), http("409 Conflict", refusal)] {
        let error = refused(&answer).await;
        assert_eq!((error.kind.as_str(), error.exit_status), ("protocol", 7));
        assert_eq!(
            error.message,
            "campaignd answers in version 2 of its language, this reads 1"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let whole = http("200 OK", r#"{"version":1,"campaigns":[]}"#);
    for kept in [0, 10, whole.len() - 1] {
        let error = refused(&whole[..kept]).await;
        assert_eq!(
            (error.kind.as_str(), error.exit_status),
            ("no_daemon", 7),
            "{kept} bytes"
        );
        assert!(error.message.contains("broke off"), "{}", error.message);
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_the_reason() {
    let (dir, socket) = place();
    let asked = |socket: PathBuf| async move {
        let got: Result<ListView, _> = Client::new(socket).get(&campaigns()).await;
        *got.unwrap_err().0
    };
    let absent = asked(socket.clone()).await;
    drop(UnixListener::bind(&socket).unwrap());
    let deaf = asked(socket).await;
    std::fs::write(dir.path().join("file"), "").unwrap();
    let file = asked(dir.path().join("file")).await;
    for (error, why) in [
        (absent, "(no such file)"),
        (deaf, "(nobody listens)"),
        (file, "(nobody listens)"),
    ] {
        assert_eq!((error.kind.as_str(), error.exit_status), ("no_daemon", 7));
        let at = error.at.unwrap();
        assert!(at.ends_with(why), "{at}");
    }
}

#[tokio::test]
async fn a_socket_of_others_is_not_allowed() {
    let client = Client::new("/s");
    let ClientError(error) = client.unreachable(&io::ErrorKind::PermissionDenied.into());
    assert_eq!((error.kind.as_str(), error.exit_status), ("not_allowed", 8));
    let (_dir, socket) = place();
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped the socket of others: root may open everything");
        return;
    }
    let got: Result<ListView, _> = Client::new(socket).get(&campaigns()).await;
    assert_eq!(got.unwrap_err().0.exit_status, 8);
}

#[tokio::test]
async fn a_name_too_long_for_a_request_is_a_usage_error() {
    let client = Client::new("/s");
    let target = campaigns().query("id", "x".repeat(100_000));
    let got: Result<ListView, _> = client.get(&target).await;
    let ClientError(error) = got.unwrap_err();
    assert_eq!((error.kind.as_str(), error.exit_status), ("usage", 2));
}

#[tokio::test]
async fn a_stream_is_followed_line_by_line_over_any_chunks() {
    let (one, two) = (event(1), event(2));
    let (head, tail) = two.split_at(7);
    let chunks = [&one, "\n\n", head, tail, "\n"];
    let (seen, done) = followed(&chunked(&chunks, "0\r\n\r\n")).await;
    assert_eq!((seen, done), (vec![1, 2], Ok(())));
}

#[tokio::test]
async fn a_stream_that_ends_in_a_line_or_without_an_end_is_broken() {
    let (one, half) = (event(1) + "\n", &event(2)[..9]);
    let cases = [
        (chunked(&[&one, half], "0\r\n\r\n"), "middle of a line"),
        (chunked(&[&one], ""), "broke off"),
        (chunked(&[&one, half], ""), "broke off"),
        (
            chunked(&[&one, "gibberish\n"], "0\r\n\r\n"),
            "not campaignd's",
        ),
    ];
    for (answer, expected) in cases {
        let (seen, done) = followed(&answer).await;
        assert_eq!(seen, [1], "{expected}");
        let ClientError(error) = done.unwrap_err();
        assert!(error.message.contains(expected), "{}", error.message);
        assert_eq!(error.exit_status, 7);
    }
}

#[tokio::test]
async fn a_follower_that_has_enough_ends() {
    let lines: String = (1..=3).map(|seq| event(seq) + "\n").collect();
    let peer = peer(&[&chunked(&[&lines], "")]);
    let mut seen = 0;
    let each = |_: EventView| {
        seen += 1;
        seen < 2
    };
    let done = peer.client.follow(&Target::new(&["events"]), each).await;
    assert_eq!((done, seen), (Ok(()), 2));
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    let whole = http("200 OK", r#"{"version":1,"campaigns":[]}"#);
    let bytes: Vec<&str> = whole.split_inclusive(|_| true).collect();
    let peer = peer(&bytes);
    let list: ListView = peer.client.get(&campaigns()).await.unwrap();
    assert_eq!(list.version, 1);
}

/// Bound, and not serving yet: even with a full queue the client waits, and is answered once somebody accepts.
#[tokio::test]
async fn a_daemon_that_is_still_starting_is_waited_for() {
    let (_dir, socket) = place();
    let bound = UnixSocket::new_stream().unwrap();
    bound.bind(&socket).unwrap();
    let listener = bound.listen(1).unwrap();
    let mut queue = Vec::new();
    let full = loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => queue.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock, "the queue is full");
    let client = Client::new(&socket);
    let asking = tokio::spawn(async move { client.get::<ListView>(&campaigns()).await });
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!asking.is_finished(), "it waits");
    }
    for _ in queue {
        listener.accept().await.unwrap();
    }
    let body = http("200 OK", r#"{"version":1,"campaigns":[]}"#).into_bytes();
    answer(listener, vec![body]).await;
    assert!(asking.await.unwrap().is_ok());
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_in_vain_only_so_long() {
    let half = http("200 OK", "{}").replace("{}", "{");
    for begun in [String::new(), "HTTP/1.1 200".into(), half] {
        let (_dir, socket) = place();
        let listener = UnixListener::bind(&socket).unwrap();
        let silent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(begun.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let client = Client::new(&socket).within(Duration::from_millis(50));
        let got: Result<ListView, _> = client.get(&campaigns()).await;
        let ClientError(error) = got.unwrap_err();
        assert_eq!((error.kind.as_str(), error.exit_status), ("timeout", 7));
        assert!(
            error.message.contains("did not answer"),
            "{}",
            error.message
        );
        silent.abort();
    }
}

/// The limit is on the begin of a stream; what comes may take its time.
#[tokio::test]
async fn a_stream_may_last_longer_than_an_answer() {
    let (one, two) = (event(1) + "\n", event(2) + "\n");
    let whole = chunked(&[&one, &two], "0\r\n\r\n");
    let (head, rest) = whole.split_at(whole.find("\r\n\r\n").unwrap() + 4);
    let (_dir, socket) = place();
    let listener = UnixListener::bind(&socket).unwrap();
    let client = Client::new(&socket).within(Duration::from_millis(200));
    let (head, rest) = (head.to_string(), rest.to_string());
    let slow = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        stream.write_all(rest.as_bytes()).await.unwrap();
    });
    let mut seen = Vec::new();
    let each = |event: EventView| {
        seen.push(event.seq);
        true
    };
    let done = client.follow(&Target::new(&["events"]), each).await;
    assert_eq!((done, seen), (Ok(()), vec![1, 2]));
    slow.await.unwrap();
}

#[tokio::test]
async fn a_head_without_an_end_is_refused() {
    let lines = "x-more: and more\r\n".repeat(100_000);
    let line = "x".repeat(2_000_000);
    for head in [
        format!("HTTP/1.1 200 OK\r\n{lines}"),
        format!("HTTP/1.1 200 OK\r\nx: {line}"),
    ] {
        let error = refused(&head).await;
        assert_eq!((error.kind.as_str(), error.exit_status), ("protocol", 7));
        assert!(
            error.message.starts_with("the answer is not campaignd's"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_refused() {
    let much = format!(r#"{{"version":1,"campaigns":[{}]}}"#, " ".repeat(1_000));
    let endless = chunked(&vec!["          "; 200], "");
    for answer in [http("200 OK", &much), http("409 Conflict", &much), endless] {
        let peer = peer(&[&answer]);
        let got: Result<ListView, _> = strict(&peer).get(&campaigns()).await;
        let ClientError(error) = got.unwrap_err();
        assert_eq!((error.kind.as_str(), error.exit_status), ("protocol", 7));
        assert_eq!(error.message, "the answer is longer than 1000 bytes");
    }
    let much = Client::new("/s").limits;
    assert_eq!((much.answer, much.line), (256 << 20, 16 << 20));
}

#[tokio::test]
async fn a_line_without_an_end_is_refused_and_many_short_ones_are_not() {
    let view = LogView {
        text: "x".into(),
        ..LogView::default()
    };
    let short = serde_json::to_string(&view).unwrap() + "\n";
    let (many, long) = (short.repeat(50), "x".repeat(60));
    let peer = peer(&[&chunked(&[&many, &long, &long], "")]);
    let mut seen = 0;
    let each = |_: LogView| {
        seen += 1;
        true
    };
    let done = strict(&peer).follow(&Target::new(&["logs"]), each).await;
    assert_eq!(
        done.unwrap_err().0.message,
        "a line is longer than 100 bytes"
    );
    assert_eq!(seen, 50);
}

#[tokio::test]
async fn a_refusal_is_one_line_whatever_it_holds() {
    let body = r#"{"version":1,"error":{"kind":"x","message":"a\n\u001b[31mb","exit_status":2}}"#;
    let error = refused(&http("409 Conflict", body)).await;
    assert_eq!(error.message, "a  [31mb");
}
