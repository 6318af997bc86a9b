//! Lines that are lost, torn and read again.

use super::*;
use crate::llm::{
    endpoint::Prices,
    reply::Finish,
    request::{Message, Request, Role},
};
use std::fs;

fn endpoint() -> Endpoint {
    let prices = Prices {
        prompt: 1.0,
        cached: Some(0.1),
        completion: 2.0,
    };
    Endpoint {
        prices,
        ..Endpoint::new(Tier::CloudSmall, "http://x/v1", "m", 8192)
    }
}

fn key(index: u64) -> Key {
    let request = Request {
        messages: vec![Message::new(Role::User, "u")],
        max_tokens: 10,
        temperature: None,
        seed: None,
        response_format: None,
        sample_index: index,
        purpose: String::new(),
    };
    request.key(&endpoint())
}

fn kept(text: &str) -> Kept {
    Kept {
        text: text.into(),
        reasoning: None,
        json: None,
        repairs: vec![],
        finish_reason: Finish::Stop,
        model: "m".into(),
        latency_ms: 1,
        attempts: 1,
    }
}

const USAGE: Usage = Usage {
    prompt: 100,
    cached: 40,
    completion: 10,
    reasoning: 3,
    estimated: false,
};
const ESTIMATE: Amount = Amount {
    tokens: 500,
    cost_usd: Money::ZERO,
};

async fn answer(ledger: &Ledger, index: u64) {
    let endpoint = endpoint();
    let paid = Paid {
        endpoint: &endpoint,
        purpose: "planner",
        usage: USAGE,
    };
    let sent = ledger
        .sent(Tier::CloudSmall, "planner", ESTIMATE)
        .await
        .unwrap();
    ledger
        .answer(sent, key(index), &paid, &kept(&format!("answer {index}")))
        .await
        .unwrap();
}

#[tokio::test]
async fn answers_and_sums_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.jsonl");
    let ledger = Ledger::open(&path).unwrap();
    let all = (0..100).map(|index| answer(&ledger, index));
    futures_util::future::join_all(all).await;
    let endpoint = endpoint();
    let paid = Paid {
        endpoint: &endpoint,
        purpose: "codegen",
        usage: USAGE,
    };
    let sent = ledger
        .sent(Tier::CloudSmall, "codegen", ESTIMATE)
        .await
        .unwrap();
    ledger.cost(sent, &paid, "cut").await.unwrap();
    let sent = ledger
        .sent(Tier::CloudSmall, "codegen", ESTIMATE)
        .await
        .unwrap();
    ledger.void(sent, "refused").await.unwrap();
    let _lost = ledger
        .sent(Tier::LocalLarge, "codegen", ESTIMATE)
        .await
        .unwrap();
    let before = ledger.spent();
    let cloud = before.tiers[&Tier::CloudSmall];
    assert_eq!((cloud.answers, cloud.failed, cloud.unsettled), (100, 1, 0));
    assert_eq!(cloud.usage.cached, 101 * 40);
    let each = 60e-6 + 4e-6 + 20e-6;
    assert_eq!(cloud.cost_usd, Money::from_usd(101.0 * each));
    assert_eq!(before.tiers[&Tier::LocalLarge].unsettled_amount, ESTIMATE);
    assert_eq!(before.amount().tokens, 101 * 70 + 500);
    drop(ledger);

    let mut torn = fs::read(&path).unwrap();
    torn.extend_from_slice(b"{\"kind\":\"answer\",\"id\":9");
    fs::write(&path, &torn).unwrap();
    assert_eq!(spent_in(&path).unwrap(), before);
    let again = Ledger::open(&path).unwrap();
    assert_eq!(again.spent(), before);
    for index in 0..100 {
        let (found, usage, _) = again.find(&key(index)).unwrap().unwrap();
        assert_eq!((found.text, usage), (format!("answer {index}"), USAGE));
    }
    assert!(again.find(&key(100)).unwrap().is_none());
    answer(&again, 100).await;
    assert_eq!(again.find(&key(100)).unwrap().unwrap().0.text, "answer 100");
    assert_eq!(
        again.spent().tiers[&Tier::LocalLarge].unsettled,
        1,
        "a new number closes no old one"
    );
}

#[tokio::test]
async fn a_line_is_written_though_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.jsonl");
    let ledger = Ledger::open(&path).unwrap();
    let endpoint = endpoint();
    let paid = Paid {
        endpoint: &endpoint,
        purpose: "planner",
        usage: USAGE,
    };
    let sent = ledger
        .sent(Tier::CloudSmall, "planner", ESTIMATE)
        .await
        .unwrap();
    let kept = kept("x");
    {
        let mut writing = Box::pin(ledger.answer(sent, key(0), &paid, &kept));
        let _ = futures_util::FutureExt::now_or_never(writing.as_mut());
    }
    // Lines are written in order: with this one the other is there.
    let next = ledger
        .sent(Tier::CloudSmall, "planner", ESTIMATE)
        .await
        .unwrap();
    ledger.void(next, "").await.unwrap();
    assert_eq!(spent_in(&path).unwrap().tiers[&Tier::CloudSmall].answers, 1);
}

#[test]
fn a_line_that_is_none_is_told_and_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.jsonl");
    assert_eq!(spent_in(&path).unwrap(), Spent::default());
    fs::write(
        &path,
        "{\"kind\":\"void\",\"id\":1,\"why\":\"\"}\n{\"kind\":\"odd\"}\n",
    )
    .unwrap();
    let why = Ledger::open(&path).unwrap_err().to_string();
    assert!(
        why.contains("ledger.jsonl") && why.contains("byte 32"),
        "{why}"
    );
}

#[tokio::test]
async fn after_a_failed_write_nothing_more_is_promised() {
    // Writing to this device fails as a full disk does not: at once and for good.
    let ledger = Ledger(Arc::new(Inner {
        path: "read-only".into(),
        file: File::open("/dev/null").unwrap(),
        state: Mutex::default(),
    }));
    for _ in 0..2 {
        let why = ledger
            .sent(Tier::CloudSmall, "planner", ESTIMATE)
            .await
            .unwrap_err();
        assert!(why.contains("read-only"), "{why}");
    }
}
