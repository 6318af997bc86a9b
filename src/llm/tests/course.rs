//! Failures by kind: which are final, how others are waited for, what is remembered of an endpoint.

use super::{
    Bench, endpoint, json_request, options, request,
    server::{Script, Server},
};
use crate::llm::{
    BreakerState, Slice, capability::Format, client::Options, endpoint::Endpoint, error::Kind,
    request::Request,
};
use serde_json::json;
use std::time::Duration;

fn error(status: u16, message: &str) -> Script {
    Script::json(status, &json!({"error": {"message": message}}))
}

#[tokio::test(start_paused = true)]
async fn what_is_final_is_asked_once_and_costs_nothing() {
    for (status, message, kind) in [
        (400, "messages: field required", Kind::BadRequest),
        (401, "bad key", Kind::Unauthorized),
        (403, "not yours", Kind::Unauthorized),
        (404, "no such model", Kind::NotFound),
        (422, "unprocessable", Kind::BadRequest),
        (
            400,
            "This model's maximum context length is 4096 tokens",
            Kind::TooLong,
        ),
        (
            500,
            "the request exceeds the available context size",
            Kind::TooLong,
        ),
        (413, "", Kind::TooLong),
        (429, "insufficient_quota: see billing", Kind::Unauthorized),
        (302, "", Kind::Settings),
    ] {
        let server =
            Server::scripted(vec![error(status, message), Script::says("ready", 12)]).await;
        let bench = Bench::new();
        let failed = bench
            .client
            .ask(&endpoint(&server), &request())
            .await
            .unwrap_err();
        assert_eq!(
            (failed.kind, failed.status, failed.attempts),
            (kind, Some(status), 1),
            "{failed}"
        );
        assert!(
            failed.kind.is_final() && failed.to_string().contains(message),
            "{failed}"
        );
        assert_eq!(bench.client.budget().look(), Default::default());
        assert_eq!(bench.client.ledger().spent().amount(), Default::default());
        let answered = bench
            .client
            .ask(&endpoint(&server), &request())
            .await
            .unwrap();
        assert!(
            !answered.cached_reply,
            "a failure is never kept as an answer"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_asked_again_with_growing_waits() {
    for status in [429, 500, 502, 503, 408, 425] {
        let server = Server::scripted(vec![
            error(status, "x"),
            error(status, "x"),
            error(status, "x"),
            Script::says("ready", 12),
        ])
        .await;
        let answer = Bench::new()
            .client
            .ask(&endpoint(&server), &request())
            .await
            .unwrap();
        assert_eq!(answer.attempts, 4);
        let at: Vec<Duration> = server.requests().iter().map(|request| request.at).collect();
        for (step, full) in [(1, 1000), (2, 2000), (3, 4000)] {
            let waited = (at[step] - at[step - 1]).as_millis();
            assert!(
                (full / 2..=full + 50).contains(&waited),
                "{waited} ms before attempt {step}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_and_the_deadline_are_bounds() {
    let server = Server::start(|_, _| error(500, "x")).await;
    let failed = Bench::new()
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap_err();
    assert_eq!(
        (failed.kind, failed.attempts, server.count()),
        (Kind::ServerError, 4, 4)
    );
    let server = Server::start(|_, _| error(429, "x").header("retry-after", "500")).await;
    let bench = Bench::with(
        Slice::default(),
        Options {
            deadline: Duration::from_secs(100),
            ..options()
        },
    );
    let failed = bench
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap_err();
    assert_eq!((failed.kind, failed.attempts), (Kind::RateLimited, 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_is_left_alone_as_long_as_it_asks() {
    let date = |value: &str| {
        error(503, "x")
            .header("retry-after", value)
            .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
    };
    for refusal in [
        error(429, "x").header("retry-after", "40"),
        date("Sun, 06 Nov 1994 08:50:17 GMT"),
    ] {
        let server = Server::start(move |n, _| {
            if n == 0 {
                refusal.clone()
            } else {
                Script::says("ready", 12)
            }
        })
        .await;
        let (bench, endpoint) = (Bench::new(), endpoint(&server));
        let second = Request {
            sample_index: 1,
            ..request()
        };
        let other = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(bench.client.state(&endpoint).breaker, BreakerState::Held);
            bench.client.ask(&endpoint, &second).await
        };
        let first = request();
        let (one, two) = tokio::join!(bench.client.ask(&endpoint, &first), other);
        assert_eq!((one.unwrap().attempts, two.unwrap().attempts), (2, 1));
        for request in &server.requests()[1..] {
            let seconds = request.at.as_secs_f64();
            assert!(
                (39.9..41.0).contains(&seconds),
                "everybody waits: {seconds}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_there_opens_the_breaker_and_one_request_tries() {
    let server = Server::scripted(vec![]).await;
    let address = server.url.clone();
    drop(server);
    tokio::task::yield_now().await;
    let gone = Endpoint {
        url: address,
        ..endpoint(&Server::scripted(vec![]).await)
    };
    let bench = Bench::with(
        Slice::default(),
        Options {
            attempts: 2,
            breaker_failures: 3,
            ..options()
        },
    );
    let failed = bench.client.ask(&gone, &request()).await.unwrap_err();
    assert_eq!(
        (failed.kind, failed.attempts),
        (Kind::Unreachable, 2),
        "{failed}"
    );
    assert_eq!(
        bench.client.budget().look(),
        Default::default(),
        "nothing was sent"
    );
    assert_eq!(bench.client.state(&gone).breaker, BreakerState::Closed);
    let begun = tokio::time::Instant::now();
    let failed = bench.client.ask(&gone, &request()).await.unwrap_err();
    assert_eq!(failed.attempts, 2);
    let state = bench.client.state(&gone);
    assert_eq!(state.breaker, BreakerState::Open);
    assert!(state.last_failure.unwrap().contains("refused"));
    assert!(
        begun.elapsed() >= Duration::from_secs(5),
        "the second attempt waited for the breaker"
    );
}

#[tokio::test(start_paused = true)]
async fn sixty_four_that_are_refused_together_halve_the_limit_once_and_all_get_through() {
    let server = Server::start(|n, _| {
        if n < 8 {
            error(429, "slow down")
        } else {
            Script::says("ready", 12)
        }
    })
    .await;
    let (bench, endpoint) = (Bench::new(), endpoint(&server));
    let asking = (0..64).map(|index| {
        let request = Request {
            sample_index: index,
            ..request()
        };
        let (client, endpoint) = (bench.client.clone(), endpoint.clone());
        async move { client.ask(&endpoint, &request).await }
    });
    let answers = futures_util::future::join_all(asking).await;
    assert!(answers.iter().all(Result::is_ok));
    let state = bench.client.state(&endpoint);
    assert!(
        (5..64).contains(&state.limiter.limit) && state.limiter.taken == 0,
        "{state:?}"
    );
    assert_eq!(server.count(), 72);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_does_not_take_is_left_out_and_remembered() {
    // vLLM 0.12 removed its own name for grammars; others know only objects, some nothing at all.
    let server = Server::start(|_, sent| {
        let format = sent.body["response_format"]["type"]
            .as_str()
            .unwrap_or("none");
        match format {
            "json_schema" => error(
                400,
                "response_format.type json_schema is not supported, guided_json was removed",
            ),
            "json_object" => error(400, "unknown field: response_format"),
            _ if sent.body.get("max_tokens").is_some() => {
                error(400, "Unsupported parameter: use 'max_completion_tokens'")
            }
            _ if sent.body.get("stream_options").is_some() => {
                error(400, "extra inputs are not permitted: stream_options")
            }
            _ => Script::says("```json\n{'step': 'fastqc'}\n```", 60),
        }
    })
    .await;
    let (bench, endpoint) = (Bench::new(), endpoint(&server));
    let answer = bench.client.ask(&endpoint, &json_request()).await.unwrap();
    assert_eq!(
        (answer.json, answer.attempts),
        (Some(json!({"step": "fastqc"})), 5)
    );
    let last = server.requests().pop().unwrap().body;
    assert!(
        last["messages"][0]["content"]
            .as_str()
            .unwrap()
            .contains("\"required\":[\"step\"]"),
        "the schema is told in words"
    );
    let can = bench.client.state(&endpoint).capabilities;
    assert!(can.format == Format::None && can.completion_name && !can.stream_options);
    let next = Request {
        sample_index: 1,
        ..json_request()
    };
    assert_eq!(
        bench.client.ask(&endpoint, &next).await.unwrap().attempts,
        1
    );
    assert_eq!(
        bench.client.ledger().spent().tiers[&endpoint.tier].failed,
        0,
        "refusals cost nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_that_cannot_fit_is_not_sent() {
    let server = Server::scripted(vec![]).await;
    let mut long = request();
    long.messages[0].content = "word ".repeat(60_000);
    let failed = Bench::new()
        .client
        .ask(&endpoint(&server), &long)
        .await
        .unwrap_err();
    assert_eq!((failed.kind, server.count()), (Kind::TooLong, 0));
}
