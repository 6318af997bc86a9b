//! Keys reach the server and nothing else; proxies.

use super::{
    Bench, endpoint, options, request,
    server::{Script, Server, delta, finish, usage},
};
use crate::llm::{
    budget::{Budget, Slice},
    client::Client,
    endpoint::Endpoint,
    error::Kind,
    ledger::Ledger,
    request::Request,
    secret::SecretSource,
    transport::Transport,
};
use hyper_util::client::proxy::matcher::Matcher;
use serde_json::json;
use std::fs;

const KEY: &str = "sk-test-0123456789abcdef";

#[tokio::test(start_paused = true)]
async fn a_server_that_echoes_the_key_gives_nothing_away() {
    let echo = |head: &str| {
        head.lines()
            .find(|line| line.to_lowercase().starts_with("authorization"))
            .unwrap_or("none")
            .to_owned()
    };
    let server = Server::start(move |n, sent| {
        let said = echo(&sent.head);
        match n % 6 {
            0 => Script::json(
                400,
                &json!({"error": {"message": format!("you sent {said}"), "code": KEY}}),
            ),
            1 => Script::new(
                403,
                "text/plain",
                format!("headers: {said} and sk-test-01*****cdef"),
            ),
            2 => Script::events(&[
                delta(&format!("You sent {}", &said[..30])),
                delta(&said[30..]),
                finish("stop"),
                usage(12, 9),
            ]),
            3 => Script::events(&[json!({"error": {"message": said, "code": 404}})]),
            4 => Script::new(200, "text/html", format!("<p>{said}</p>")).header("x-echo", said),
            _ => Script::json(401, &json!({"detail": said})),
        }
    })
    .await;
    let bench = Bench::new();
    let path = bench.dir.path().join("key");
    fs::write(&path, format!("{KEY}\n")).unwrap();
    let endpoint = Endpoint {
        api_key: SecretSource::File(path),
        ..endpoint(&server)
    };
    let mut all = String::new();
    for index in 0..4 {
        let request = Request {
            sample_index: index,
            ..request()
        };
        match bench.client.ask(&endpoint, &request).await {
            Ok(answer) => all.push_str(&format!(
                "{answer:?} {}",
                serde_json::to_string(&answer).unwrap()
            )),
            Err(error) => all.push_str(&format!("{error} {error:?}")),
        }
    }
    all.push_str(&format!(
        "{:?} {:?} {}",
        bench.client,
        bench.client.state(&endpoint),
        serde_json::to_string(&endpoint).unwrap()
    ));
    all.push_str(&bench.ledger_text());
    assert!(
        server
            .requests()
            .iter()
            .all(|sent| sent.head.contains(&format!("Bearer {KEY}"))),
        "it is sent"
    );
    assert!(
        all.contains("[redacted]") && !all.contains("0123456789") && !all.contains("sk-test"),
        "{all}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_replaced_is_read_again() {
    let server = Server::start(|_, sent| {
        if sent.head.contains("new-key") {
            Script::says("ready", 12)
        } else {
            Script::json(401, &json!({"error": {"message": "expired"}}))
        }
    })
    .await;
    let bench = Bench::new();
    let path = bench.dir.path().join("key");
    fs::write(&path, "old-key").unwrap();
    let endpoint = Endpoint {
        api_key: SecretSource::File(path.clone()),
        ..endpoint(&server)
    };
    assert_eq!(
        bench
            .client
            .ask(&endpoint, &request())
            .await
            .unwrap_err()
            .kind,
        Kind::Unauthorized
    );
    assert_eq!(server.count(), 1, "the same key is not tried twice");
    fs::write(&path, "new-key").unwrap();
    assert_eq!(
        bench
            .client
            .ask(&endpoint, &request())
            .await
            .unwrap()
            .attempts,
        2
    );
    fs::remove_file(&path).unwrap();
    let missing = Bench::new()
        .client
        .ask(&endpoint, &request())
        .await
        .unwrap_err();
    assert_eq!(
        (missing.kind, missing.attempts),
        (Kind::Secret, 0),
        "{missing}"
    );
}

#[tokio::test(start_paused = true)]
async fn proxies_are_used_but_not_for_the_loopback() {
    let proxy = Server::start(|_, _| Script::says("by proxy", 12)).await;
    let at = proxy
        .url
        .replace("/v1", "")
        .replace("http://", "http://user:hunter2@");
    let bench = Bench::new();
    let ledger = Ledger::open(&bench.dir.path().join("other.jsonl")).unwrap();
    let transport = Transport::new(Matcher::builder().all(at).build());
    let client =
        Client::with_transport(ledger, Budget::new(Slice::default()), options(), transport);
    let far = Endpoint {
        url: "http://models.example/v1".into(),
        ..endpoint(&proxy)
    };
    assert_eq!(client.ask(&far, &request()).await.unwrap().text, "by proxy");
    let head = &proxy.requests()[0].head;
    assert!(
        head.starts_with("POST http://models.example/v1/chat/completions HTTP/1.1"),
        "{head}"
    );
    assert!(
        head.to_lowercase().contains("proxy-authorization: basic "),
        "{head}"
    );
    // The tunnel is asked for; what answers here is no tunnel, so TLS fails.
    let secure = Endpoint {
        url: "https://models.example/v1".into(),
        ..far.clone()
    };
    let failed = client.ask(&secure, &request()).await.unwrap_err();
    assert_eq!(failed.kind, Kind::Unreachable);
    assert!(!failed.to_string().contains("hunter2"), "{failed}");
    assert!(
        proxy.requests()[1]
            .head
            .starts_with("CONNECT models.example:443 HTTP/1.1")
    );
    let near = Server::start(|_, _| Script::says("directly", 12)).await;
    assert_eq!(
        client.ask(&endpoint(&near), &request()).await.unwrap().text,
        "directly"
    );
}
