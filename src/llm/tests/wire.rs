//! Streams and bodies as servers send them.

use super::{
    Bench, endpoint, json_request, request,
    server::{End, Script, Server, delta, finish, usage, whole},
};
use crate::llm::{
    endpoint::{Api, Endpoint},
    error::Kind,
    reply::Finish,
};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_stream_is_read_however_it_is_cut() {
    let events = [
        delta("naïve "),
        delta("日本"),
        delta(" ok"),
        finish("stop"),
        usage(12, 5),
    ];
    for size in [1, 2, 3, 5, 7, 64, 10_000] {
        let server = Server::scripted(vec![Script::events(&events).chopped(size)]).await;
        let bench = Bench::new();
        let answer = bench
            .client
            .ask(&endpoint(&server), &request())
            .await
            .unwrap();
        assert_eq!(
            (answer.text.as_str(), answer.finish_reason),
            ("naïve 日本 ok", Finish::Stop)
        );
        assert_eq!(
            (
                answer.usage.prompt,
                answer.usage.completion,
                answer.usage.estimated
            ),
            (12, 5, false)
        );
        assert_eq!((answer.model.as_str(), answer.attempts), ("m-1", 1));
        assert!((answer.cost_usd - 22e-6).abs() < 1e-12);
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_says_what_was_asked() {
    let server = Server::scripted(vec![Script::says("{\"step\": \"fastqc\"}", 12)]).await;
    let bench = Bench::new();
    let answer = bench
        .client
        .ask(&endpoint(&server), &json_request())
        .await
        .unwrap();
    assert_eq!(answer.json, Some(json!({"step": "fastqc"})));
    let sent = &server.requests()[0];
    assert!(
        sent.head.starts_with("POST /v1/chat/completions HTTP/1.1"),
        "{}",
        sent.head
    );
    assert!(!sent.head.to_lowercase().contains("authorization"));
    assert_eq!(
        (&sent.body["seed"], &sent.body["max_tokens"]),
        (&json!(11), &json!(100))
    );
    assert_eq!(sent.body["response_format"]["type"], "json_schema");
    assert_eq!(sent.body["stream_options"], json!({"include_usage": true}));
}

#[tokio::test(start_paused = true)]
async fn keep_alives_and_slow_pieces_are_borne() {
    let mut script = Script::says("ready", 12).pausing(1, Duration::from_secs(20));
    script
        .pieces
        .insert(1, super::server::Piece::Bytes(b": ping\n\n".to_vec()));
    let server = Server::scripted(vec![script]).await;
    let answer = Bench::new()
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap();
    assert_eq!((answer.text.as_str(), answer.attempts), ("ready", 1));
    assert!(answer.latency_ms >= 20_000);
}

#[tokio::test(start_paused = true)]
async fn without_usage_our_own_count_is_marked() {
    let server = Server::scripted(vec![Script::events(&[
        delta("one two three"),
        finish("stop"),
    ])])
    .await;
    let answer = Bench::new()
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap();
    assert!(
        answer.usage.estimated && answer.usage.completion == 3 && answer.usage.prompt > 10,
        "{:?}",
        answer.usage
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_asked_again_and_stays_charged() {
    let broken = Script::events(&[delta("half an ans")]);
    let no_end = Script {
        pieces: broken.pieces[..1].to_vec(),
        ..broken.clone()
    };
    let server = Server::scripted(vec![
        no_end.clone().ending(End::Cut),
        no_end,
        Script::says("whole", 12),
    ])
    .await;
    let bench = Bench::new();
    let answer = bench
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap();
    assert_eq!((answer.text.as_str(), answer.attempts), ("whole", 3));
    let spent = bench.client.ledger().spent().tiers[&endpoint(&server).tier];
    assert_eq!(
        (spent.answers, spent.unsettled),
        (1, 2),
        "both may have been billed"
    );
    assert_eq!(
        bench.client.budget().look().0,
        bench.client.ledger().spent().amount()
    );
    assert_eq!(
        bench.again().ledger().spent(),
        bench.client.ledger().spent()
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_the_stream_open_after_its_end_is_left() {
    let server = Server::scripted(vec![Script::says("ready", 12).ending(End::Hang)]).await;
    let answer = Bench::new()
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap();
    assert_eq!((answer.text.as_str(), answer.attempts), ("ready", 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_left_at_the_timeout() {
    let silent = Script::events(&[delta("x")]);
    let silent = Script {
        pieces: silent.pieces[..1].to_vec(),
        ..silent
    }
    .ending(End::Hang);
    let server = Server::scripted(vec![silent, Script::says("ready", 12)]).await;
    let bench = Bench::new();
    let answer = bench
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap();
    assert_eq!(answer.attempts, 2);
    let again = server.requests()[1].at;
    assert!(
        again >= Duration::from_secs(30) && again <= Duration::from_secs(32),
        "{again:?}"
    );
    assert_eq!(
        bench.client.state(&endpoint(&server)).limiter.limit,
        4,
        "halved"
    );
}

#[tokio::test(start_paused = true)]
async fn errors_inside_an_answer_are_errors() {
    let inside = json!({"error": {"message": "upstream overloaded", "code": 429}});
    let server = Server::scripted(vec![
        Script::events(std::slice::from_ref(&inside)),
        Script::events(&[
            delta("half"),
            json!({"error": {"message": "engine died", "type": "internal"}}),
        ]),
        Script::json(200, &inside),
        Script::says("ready", 12),
    ])
    .await;
    let bench = Bench::new();
    let answer = bench
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap();
    assert_eq!((answer.text.as_str(), answer.attempts), ("ready", 4));
    let spent = bench.client.ledger().spent().tiers[&endpoint(&server).tier];
    assert_eq!(
        spent.unsettled, 1,
        "only the one that had begun may have been billed"
    );
    let final_one = Server::scripted(vec![Script::json(
        200,
        &json!({"error": {"message": "no such model", "code": 404}}),
    )])
    .await;
    let error = Bench::new()
        .client
        .ask(&endpoint(&final_one), &request())
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.attempts), (Kind::NotFound, 1));
}

#[tokio::test(start_paused = true)]
async fn whole_bodies_thoughts_and_token_details_are_read() {
    let mut body = whole("ready", "stop", 100, 40);
    body["choices"][0]["message"]["reasoning_content"] = json!("let me see");
    body["usage"]["prompt_tokens_details"] = json!({"cached_tokens": 80});
    body["usage"]["completion_tokens_details"] = json!({"reasoning_tokens": 30});
    let server = Server::scripted(vec![Script::json(200, &body)]).await;
    let endpoint = Endpoint {
        stream: false,
        ..endpoint(&server)
    };
    let answer = Bench::new()
        .client
        .ask(&endpoint, &request())
        .await
        .unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.reasoning.as_deref()),
        ("ready", Some("let me see"))
    );
    assert_eq!((answer.usage.cached, answer.usage.reasoning), (80, 30));
    assert!(
        (answer.cost_usd - (20.0 + 8.0 + 80.0) * 1e-6).abs() < 1e-12,
        "cached tokens have their own price: {}",
        answer.cost_usd
    );
    assert_eq!(server.requests()[0].body["stream"], json!(false));
    assert!(server.requests()[0].body.get("stream_options").is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_streamed_unasked_or_not_streamed_though_asked_is_read() {
    let unsaid = Script::says("ready", 12);
    let unsaid = Script {
        headers: vec![("content-type", "text/plain".into())],
        ..unsaid
    };
    for script in [unsaid, Script::json(200, &whole("ready", "stop", 12, 1))] {
        let server = Server::scripted(vec![script]).await;
        assert_eq!(
            Bench::new()
                .client
                .ask(&endpoint(&server), &request())
                .await
                .unwrap()
                .text,
            "ready"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_instead_of_an_answer_is_malformed() {
    let page = Script::new(
        200,
        "text/html",
        "<html>Sign in to the campus network</html>",
    );
    let server = Server::start(move |_, _| page.clone()).await;
    let error = Bench::new()
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.attempts), (Kind::Malformed, 4));
}

#[tokio::test(start_paused = true)]
async fn ollamas_own_interface_is_spoken() {
    let lines = [
        json!({"model": "q", "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": false}),
        json!({"model": "q", "message": {"role": "assistant", "content": "ready é"}, "done": false}),
        json!({"model": "q", "message": {"content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 14, "eval_count": 3}),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let server = Server::scripted(vec![
        Script::new(200, "application/x-ndjson", text[..60].to_owned()),
        Script::new(200, "application/x-ndjson", text).chopped(7),
        Script::json(
            404,
            &json!({"error": "model 'q' not found, try pulling it first"}),
        ),
    ])
    .await;
    let endpoint = Endpoint {
        api: Api::OllamaNative,
        url: server.url.replace("/v1", ""),
        ..endpoint(&server)
    };
    let bench = Bench::new();
    let answer = bench.client.ask(&endpoint, &request()).await.unwrap();
    assert_eq!(
        (
            answer.text.as_str(),
            answer.reasoning.as_deref(),
            answer.attempts
        ),
        ("ready é", Some("hm"), 2)
    );
    assert_eq!((answer.usage.prompt, answer.usage.completion), (14, 3));
    let sent = &server.requests()[0];
    assert!(sent.head.starts_with("POST /api/chat "), "{}", sent.head);
    assert_eq!(sent.body["options"]["num_ctx"], 32_768);
    let other = crate::llm::request::Request {
        sample_index: 1,
        ..request()
    };
    let error = bench.client.ask(&endpoint, &other).await.unwrap_err();
    assert!(
        error.kind == Kind::NotFound && error.message.contains("try pulling"),
        "{error}"
    );
}
