//! Answers that look like answers: cut prompts, runaways, JSON that is none.

use super::{
    Bench, endpoint, json_request, request,
    server::{End, Piece, Script, Server, delta, finish, usage, whole},
};
use crate::llm::{
    capability::Format, endpoint::Endpoint, error::Kind, json_repair::Repair, reply::Finish,
    request::Request,
};
use serde_json::json;
use std::time::Duration;

fn long_request() -> Request {
    let mut long = request();
    long.messages[0].content = "The reads are aligned and counted. ".repeat(1_200);
    long
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_was_cut_in_silence_is_no_good_answer() {
    // Ollama's /v1: the window is 4,096 whatever was asked; the counts end exactly there.
    for (prompt, completion) in [(4_096, 30), (2_048, 30), (4_000, 96), (1_500, 30)] {
        let server = Server::start(move |_, _| {
            Script::events(&[delta("Sure!"), finish("stop"), usage(prompt, completion)])
        })
        .await;
        let bench = Bench::new();
        let failed = bench
            .client
            .ask(&endpoint(&server), &long_request())
            .await
            .unwrap_err();
        assert_eq!(
            (failed.kind, failed.attempts),
            (Kind::PromptTruncated, 1),
            "{failed}"
        );
        assert!(
            failed.message.contains(&format!("read {prompt} of about")),
            "{failed}"
        );
        let spent = bench.client.ledger().spent().tiers[&endpoint(&server).tier];
        assert_eq!(
            (spent.answers, spent.failed, spent.usage.prompt),
            (0, 1, prompt),
            "paid, not kept"
        );
    }
    let server = Server::scripted(vec![Script::says("Sure!", 8_100)]).await;
    assert!(
        Bench::new()
            .client
            .ask(&endpoint(&server), &long_request())
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_room_betrays_a_short_window() {
    let script = Script::events(&[delta("The first st"), finish("length"), usage(4_060, 36)]);
    let server = Server::start(move |_, _| script.clone()).await;
    let mut half = request();
    half.messages[0].content = "The reads are aligned and counted. ".repeat(540);
    let failed = Bench::new()
        .client
        .ask(&endpoint(&server), &half)
        .await
        .unwrap_err();
    assert!(
        failed.kind == Kind::PromptTruncated && failed.message.contains("window of 4096"),
        "{failed}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_probe_finds_a_short_window_and_what_the_server_takes() {
    let short = Server::start(|_, _| Script::says("{\"ready\": true}", 4_096)).await;
    let bench = Bench::new();
    let failed = bench.client.probe(&endpoint(&short)).await.unwrap_err();
    assert!(
        failed.kind == Kind::PromptTruncated && failed.message.contains("ollama_native"),
        "{failed}"
    );
    let server = Server::start(
        |_, sent| match sent.body["response_format"]["type"].as_str() {
            Some("json_schema") => Script::json(
                400,
                &json!({"error": {"message": "json_schema is not supported"}}),
            ),
            _ => Script::says("{\"ready\": true}", 5_600),
        },
    )
    .await;
    for _ in 0..2 {
        let probe = bench.client.probe(&endpoint(&server)).await.unwrap();
        assert!(probe.tells_usage && probe.format == Format::Object && probe.model == "m-1");
    }
    assert_eq!(server.count(), 3, "an old probe answers no new one");
    let spent = bench.client.ledger().spent().tiers[&endpoint(&server).tier];
    assert_eq!((spent.answers, spent.failed), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_runaway_is_left_early_and_asked_more_simply() {
    // The grammar allows white space without end; the stream would never stop.
    let mut endless = Script::events(&[delta("{\"step\":")]);
    endless.pieces.truncate(1);
    for _ in 0..40 {
        endless.pieces.push(Piece::Bytes(
            format!("data: {}\n\n", delta(&" \n".repeat(20))).into_bytes(),
        ));
        endless.pieces.push(Piece::Pause(Duration::from_secs(1)));
    }
    let digits = Script::json(
        200,
        &whole(
            &format!("{{\"step\": 0.{}", "3".repeat(300)),
            "length",
            60,
            100,
        ),
    );
    let server = Server::scripted(vec![
        endless.ending(End::Hang),
        digits,
        Script::says("{step: fastqc,}", 60),
    ])
    .await;
    let bench = Bench::new();
    let endpoint = Endpoint {
        compact_extra: [(
            "structured_outputs".to_owned(),
            json!({"disable_any_whitespace": true}),
        )]
        .into(),
        ..endpoint(&server)
    };
    let answer = bench.client.ask(&endpoint, &json_request()).await.unwrap();
    assert_eq!(
        (answer.json, answer.attempts),
        (Some(json!({"step": "fastqc"})), 3)
    );
    assert_eq!(
        answer.repairs,
        [
            Repair::UnquotedKey,
            Repair::UnquotedValue,
            Repair::TrailingComma
        ]
    );
    let sent = server.requests();
    assert!(
        sent[1].at < Duration::from_secs(10),
        "left as soon as it was plain: {:?}",
        sent[1].at
    );
    assert!(sent[0].body.get("structured_outputs").is_none());
    assert_eq!(
        sent[1].body["structured_outputs"]["disable_any_whitespace"],
        true
    );
    assert!(
        sent[1].body["messages"][0]["content"]
            .as_str()
            .unwrap()
            .contains("compactly")
    );
    assert!(sent[2].body.get("response_format").is_none());
    let seeds: Vec<_> = sent
        .iter()
        .map(|sent| sent.body["seed"].as_u64().unwrap())
        .collect();
    assert_eq!(
        seeds,
        [11, 12, 13],
        "the same seed would run away the same way"
    );
    let spent = bench.client.ledger().spent().tiers[&endpoint.tier];
    assert_eq!((spent.answers, spent.failed, spent.unsettled), (1, 2, 0));
    assert!(spent.usage.estimated, "what was left has no usage");
}

#[tokio::test(start_paused = true)]
async fn what_stands_whole_before_the_white_space_is_an_answer() {
    let script = Script::events(&[
        delta("{\"step\": \"fastqc\"}"),
        delta(&"\n".repeat(400)),
        finish("length"),
        usage(60, 100),
    ]);
    let server = Server::scripted(vec![script]).await;
    let answer = Bench::new()
        .client
        .ask(&endpoint(&server), &json_request())
        .await
        .unwrap();
    assert_eq!(
        (answer.json, answer.attempts, answer.finish_reason),
        (Some(json!({"step": "fastqc"})), 1, Finish::Length)
    );
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_gets_twice_the_room_once() {
    let cut = || {
        Script::events(&[
            delta("Quality control of the raw re"),
            finish("length"),
            usage(20, 100),
        ])
    };
    let server = Server::scripted(vec![cut(), Script::says("whole", 20), cut(), cut()]).await;
    let bench = Bench::new();
    let answer = bench
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap();
    assert_eq!((answer.text.as_str(), answer.attempts), ("whole", 2));
    let second = Request {
        sample_index: 1,
        ..request()
    };
    let failed = bench
        .client
        .ask(&endpoint(&server), &second)
        .await
        .unwrap_err();
    assert_eq!((failed.kind, failed.attempts), (Kind::AnswerCut, 2));
    let rooms: Vec<_> = server
        .requests()
        .iter()
        .map(|sent| sent.body["max_tokens"].as_u64().unwrap())
        .collect();
    assert_eq!(rooms, [100, 200, 100, 200]);
    let spent = bench.client.ledger().spent().tiers[&endpoint(&server).tier];
    assert_eq!(
        (spent.answers, spent.failed, spent.usage.completion),
        (1, 3, 307),
        "what was cut was paid"
    );
}

#[tokio::test(start_paused = true)]
async fn json_is_mended_before_it_is_asked_again() {
    let server = Server::scripted(vec![
        Script::says("I cannot say.", 60),
        Script::says("{\"other\": 1}", 60),
        Script::says("Here:\n```json\n{\"step\": 'fastqc', // first\n", 60),
    ])
    .await;
    let answer = Bench::new()
        .client
        .ask(&endpoint(&server), &json_request())
        .await
        .unwrap();
    assert_eq!(
        (answer.json, answer.attempts),
        (Some(json!({"step": "fastqc"})), 3)
    );
    assert!(
        answer.repairs.contains(&Repair::MissingCloser)
            && answer.repairs.contains(&Repair::ProseAround)
    );
}

#[tokio::test(start_paused = true)]
async fn empty_and_filtered_answers_are_none() {
    let server = Server::scripted(vec![
        Script::says("", 12),
        Script::says(" \n", 12),
        Script::says("ready", 12),
    ])
    .await;
    assert_eq!(
        Bench::new()
            .client
            .ask(&endpoint(&server), &request())
            .await
            .unwrap()
            .attempts,
        3
    );
    let server = Server::scripted(vec![Script::events(&[
        delta("I"),
        finish("content_filter"),
        usage(12, 1),
    ])])
    .await;
    let failed = Bench::new()
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap_err();
    assert_eq!((failed.kind, failed.attempts), (Kind::Filtered, 1));
    let server = Server::start(|_, _| Script::says("", 12)).await;
    let failed = Bench::new()
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap_err();
    assert_eq!((failed.kind, failed.attempts), (Kind::Empty, 4));
}
