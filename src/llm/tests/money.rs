//! Paid once, kept for good, never more than the slice.

use super::{
    Bench, endpoint, options, request,
    server::{Script, Server, delta, finish, usage},
};
use crate::llm::{Slice, error::Kind, ledger::spent_in, request::Request};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_resumed_run_pays_nothing_twice() {
    let server = Server::start(|n, _| Script::says(&format!("answer {n}"), 12)).await;
    let (bench, endpoint) = (Bench::new(), endpoint(&server));
    let first = bench.client.ask(&endpoint, &request()).await.unwrap();
    let again = bench.client.ask(&endpoint, &request()).await.unwrap();
    assert!(
        !first.cached_reply
            && again.cached_reply
            && again.text == first.text
            && again.usage == first.usage
    );
    let restarted = bench.again();
    assert_eq!(restarted.ask(&endpoint, &request()).await.unwrap(), again);
    assert_eq!((server.count(), restarted.budget().look().0.tokens), (1, 0));
    let other = Request {
        sample_index: 1,
        ..request()
    };
    assert!(!restarted.ask(&endpoint, &other).await.unwrap().cached_reply);
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_in_the_file_before_anybody_sees_it() {
    let server = Server::start(|_, _| Script::says("ready", 12)).await;
    let bench = Bench::new();
    bench
        .client
        .ask(&endpoint(&server), &request())
        .await
        .unwrap();
    // As a process killed right now would leave it.
    let spent = spent_in(&bench.dir.path().join("ledger.jsonl")).unwrap();
    assert_eq!(spent.tiers[&endpoint(&server).tier].answers, 1);
    assert!(bench.ledger_text().contains("\"purpose\":\"planner\""));
}

#[tokio::test(start_paused = true)]
async fn two_that_ask_the_same_pay_once() {
    let server =
        Server::start(|_, _| Script::says("ready", 12).pausing(0, Duration::from_secs(5))).await;
    let (bench, endpoint, request) = (Bench::new(), endpoint(&server), request());
    let (one, two) = tokio::join!(
        bench.client.ask(&endpoint, &request),
        bench.client.ask(&endpoint, &request)
    );
    assert_eq!(
        (
            one.unwrap().cached_reply,
            two.unwrap().cached_reply,
            server.count()
        ),
        (false, true, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_the_charge_and_no_lock() {
    let server = Server::start(|n, _| {
        Script::says("ready", 12).pausing(0, Duration::from_secs(if n == 0 { 20 } else { 0 }))
    })
    .await;
    let (bench, endpoint, request) = (Bench::new(), endpoint(&server), request());
    let given_up = tokio::time::timeout(
        Duration::from_secs(5),
        bench.client.ask(&endpoint, &request),
    )
    .await;
    assert!(given_up.is_err());
    let (charged, held) = bench.client.budget().look();
    assert!(
        charged.tokens >= 100 && held.tokens == 0,
        "it was sent: {charged:?} {held:?}"
    );
    assert_eq!(
        bench.again().ledger().spent().amount(),
        charged,
        "also after a kill"
    );
    assert_eq!(
        bench.client.ask(&endpoint, &request).await.unwrap().text,
        "ready"
    );
    assert_eq!(bench.client.state(&endpoint).limiter.taken, 0);
}

#[tokio::test(start_paused = true)]
async fn sixty_four_in_flight_do_not_overshoot_the_slice() {
    let server = Server::start(|n, _| {
        let wait = Duration::from_millis(100 + 37 * (n as u64 % 11));
        Script::events(&[
            delta("a step"),
            finish("stop"),
            usage(12, 60 + n as u64 % 40),
        ])
        .pausing(0, wait)
    })
    .await;
    let slice = Slice {
        max_usd: Some(0.004),
        max_tokens: None,
    };
    let (bench, endpoint) = (Bench::with(slice, options()), endpoint(&server));
    let asking = (0..64).map(|index| {
        let request = Request {
            sample_index: index,
            ..request()
        };
        let (client, endpoint) = (bench.client.clone(), endpoint.clone());
        async move { client.ask(&endpoint, &request).await }
    });
    let answers = futures_util::future::join_all(asking).await;
    let refused: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    assert!(
        refused
            .iter()
            .all(|error| error.kind == Kind::BudgetSpent && error.attempts == 0),
        "{refused:?}"
    );
    let spent = bench.client.ledger().spent().amount();
    assert!(spent.cost_usd.usd() <= 0.004, "{spent:?}");
    assert!(
        spent.cost_usd.usd() > 0.004 - 0.00026,
        "what is left would not hold another: {spent:?}"
    );
    assert_eq!(bench.client.budget().look().0, spent);
    assert_eq!(server.count(), 64 - refused.len());
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_attempt_spent_counts() {
    let server = Server::start(|_, _| Script::says("ready", 12)).await;
    let slice = Slice {
        max_usd: None,
        max_tokens: Some(200),
    };
    let bench = Bench::with(slice, options());
    let endpoint = endpoint(&server);
    let mut asked = 0;
    while bench
        .client
        .ask(
            &endpoint,
            &Request {
                sample_index: asked,
                ..request()
            },
        )
        .await
        .is_ok()
    {
        asked += 1;
    }
    assert!((3..10).contains(&asked), "{asked}");
    let again = Bench::client(&bench.dir, slice, options());
    again.budget().charge(again.ledger().spent().amount());
    let failed = again
        .ask(
            &endpoint,
            &Request {
                sample_index: asked,
                ..request()
            },
        )
        .await
        .unwrap_err();
    assert_eq!(failed.kind, Kind::BudgetSpent);
    assert!(
        again.ask(&endpoint, &request()).await.unwrap().cached_reply,
        "replay is free"
    );
}
