//! What questions mean, and what is wrong with those that mean nothing.

use super::{super::tests::one, super::*, *};
use crate::{parameters::Value, time::Timestamp};
use serde_json::json;

const DAY: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(100 * DAY);

/// Five runs: a, b and c completed, d failed of memory, e was cancelled and measured nothing.
fn history() -> History {
    let made = |id: &str, status, r: Value, loss: Option<f64>, optimizer: &str, days: i64| {
        let mut made = one(id, 1, status, 0.5, (100 - days) * DAY);
        made.config = [
            ("r".into(), r),
            ("optimizer".into(), Value::Text(optimizer.into())),
            ("bf16".into(), Value::Flag(true)),
            ("auc".into(), Value::Text("roc".into())),
        ]
        .into();
        made.metrics
            .extend(loss.map(|loss| ("eval_loss".to_string(), loss)));
        made
    };
    let mut all = vec![
        made(
            "a",
            Status::Completed,
            Value::Whole(8),
            Some(1.5),
            "adamw",
            9,
        ),
        made(
            "b",
            Status::Completed,
            Value::Number(16.0),
            Some(0.5),
            "sgd",
            8,
        ),
        made(
            "c",
            Status::Completed,
            Value::Text("16".into()),
            None,
            "AdamW_8bit",
            3,
        ),
        made("d", Status::Failed, Value::Whole(64), Some(3.0), "adamw", 2),
        made(
            "e",
            Status::Cancelled,
            Value::Text("auto".into()),
            None,
            "lion",
            1,
        ),
    ];
    all[3].failure = Some(Failure {
        cause: FailureCause::Memory,
        text: "out of memory".into(),
    });
    all[4].metrics.clear();
    all[4].campaign = "other".into();
    all[4].duration_seconds = 7_200.0;
    all[0]
        .config
        .insert("model".into(), Value::Text("Qwen/Qwen3-8B".into()));
    History::new(all)
}

fn asked(filter: &str) -> Result<Query, Problem> {
    Asked::of([("where", filter), ("sort", "id")]).read(NOW)
}

fn ids(filter: &str) -> String {
    let history = history();
    let query = asked(filter).unwrap_or_else(|problem| panic!("{filter}: {problem}"));
    let found = find(&history, &query).unwrap_or_else(|problem| panic!("{filter}: {problem}"));
    assert_eq!((found.total, found.matched), (5, found.experiments.len()));
    found
        .experiments
        .iter()
        .map(|one| one.experiment_id.as_str())
        .collect()
}

fn refused(filter: &str) -> Problem {
    match asked(filter) {
        Err(problem) => problem,
        Ok(query) => find(&history(), &query).expect_err(filter),
    }
}

#[test]
fn conditions_mean_what_they_say() {
    for (filter, expected) in [
        ("r >= 16", "bcd"),
        ("r > 16", "d"),
        ("r<16", "a"),
        ("r <= 16", "abc"),
        ("r = 16", "bc"),
        ("r == 16.0", "bc"),
        ("r != 16", "ade"),
        ("r <> 16", "ade"),
        ("r = auto", "e"),
        ("r in (8, auto)", "ae"),
        ("r not in (8, auto)", "bcd"),
        ("r >= 16 and eval_loss < 1", "b"),
        ("r >= 16 AND NOT eval_loss < 1", "d"),
        ("eval_loss < 1 or status = failed", "bd"),
        ("status = failed or r = 8 and eval_loss < 1", "d"),
        ("(status = failed or r = 8) and eval_loss > 1", "ad"),
        ("not (status = failed or r = 8)", "bce"),
        ("status = completed && !(r = 8) || id = 'a'", "abc"),
        ("optimizer ~ adamw", "acd"),
        ("optimizer like ADAM", "acd"),
        ("optimizer !~ adamw", "be"),
        ("optimizer not like adamw", "be"),
        ("optimizer in (sgd, 'lion')", "be"),
        ("cause = memory", "d"),
        ("failure is missing", "abce"),
        ("cause is not missing", "d"),
        ("not cause is missing", "d"),
        ("bf16 = true", "abcde"),
        ("bf16 = false", ""),
        ("model = Qwen/Qwen3-8B", "a"),
        ("campaign != a", "e"),
        ("ended_at > 7d", "cde"),
        ("ended_at < 1970-04-02T12:00:00Z", "a"),
        ("ended_at >= 1970-04-08", "cde"),
        ("duration_seconds >= 2h", "e"),
        ("gpu_hours < 30m", "abcde"),
        ("metrics.auc = 0.5", "abcd"),
        ("config.auc = roc", "abcde"),
        ("`eval_loss` < +1e0", "b"),
        ("cycle_id = 1 and experiment_id ~ B", "b"),
        ("risk_level = low and id = \"a\"", "a"),
    ] {
        assert_eq!(ids(filter), expected, "{filter}");
    }
}

#[test]
fn what_is_missing_makes_nothing_true() {
    for filter in [
        "eval_loss < 1",
        "not eval_loss < 1",
        "eval_loss != 1",
        "not eval_loss in (1)",
    ] {
        assert!(!ids(filter).contains(['c', 'e']), "{filter}");
    }
    assert_eq!(ids("eval_loss < 1 or not eval_loss < 1"), "abd");
    assert_eq!(ids("model ~ qwen or not model ~ qwen"), "a");
    assert_eq!(ids("eval_loss is missing"), "ce");
}

#[test]
fn errors_point_at_the_place_and_say_what_would_be_right() {
    for (filter, column, message, right) in [
        ("", 0, "", ""),
        (
            "r >= 16 and eval_los < 1",
            13,
            "no run has a metric or a parameter \"eval_los\"",
            "eval_loss",
        ),
        ("r >=", 5, "a value is missing here", "a number or a word"),
        ("r", 2, "a comparison is missing behind r", "= != <"),
        ("r 16", 3, "a comparison is missing", "is missing"),
        ("r = 8 and", 10, "a condition is missing here", "r >= 16"),
        ("r = 8 r = 9", 7, "a condition ends before this", "and, or"),
        ("(r = 8", 1, "is not closed", "one that closes"),
        ("r = 8)", 6, "closes nothing", "opens before"),
        ("16 <= r", 1, "16 is a value", "r >= 16"),
        ("and r = 8", 1, "a name is missing", "r >= 16"),
        ("r = and", 5, "a value is missing before this", "in quotes"),
        ("'r' = 8", 1, "this is a text", "`r`"),
        ("id = 'a", 6, "has no end", "another '"),
        ("r in 8", 6, "a list stands in parentheses", "in (8, 16)"),
        ("r in (8 9)", 9, "a list goes on with ,", "in (8, 16)"),
        ("r not = 8", 7, "not stands before in or like", "not in"),
        ("r is 8", 6, "is stands before missing", "is not missing"),
        (
            "status = complete",
            10,
            "status is never \"complete\"",
            "completed, failed, cancelled",
        ),
        (
            "cause in (memory, oom)",
            19,
            "cause is never \"oom\"",
            "memory, stability",
        ),
        ("status > 3", 10, "status is never", "completed"),
        ("optimizer > 3", 13, "words have no order", "in (...)"),
        ("r > auto", 5, "words have no order", "="),
        (
            "eval_loss = high",
            13,
            "eval_loss is a number",
            "eval_loss >= 1",
        ),
        ("eval_loss ~ 1", 13, "has no parts", "="),
        (
            "optimizer ~ 'adam%'",
            13,
            "like looks for a part",
            "without %",
        ),
        (
            "auc > 0.5",
            1,
            "auc is a metric and a parameter",
            "metrics.auc or config.auc",
        ),
        ("ended_at > soon", 12, "\"soon\" is no instant", "7d"),
        (
            "eval_loss < 7d",
            13,
            "is a number, and \"7d\" is none",
            ">=",
        ),
        ("r = 8 ; r", 7, "\";\" means nothing here", "in quotes"),
        (
            "ünïts = 8 and é",
            16,
            "a comparison is missing behind é",
            "=",
        ),
    ] {
        if filter.is_empty() {
            continue;
        }
        let said = refused(filter);
        assert_eq!(said.column, Some(column), "{filter}: {said}");
        assert!(said.message.contains(message), "{filter}: {said}");
        assert!(said.right.contains(right), "{filter}: {}", said.right);
    }
}

#[test]
fn what_nests_or_lasts_without_end_is_refused() {
    for deep in [
        "(".repeat(100_000),
        "(".repeat(10_000),
        "not ".repeat(4_000),
        "!".repeat(9_000),
    ] {
        let message = refused(&deep).message;
        assert!(
            message.contains("deeper") || message.contains("longer"),
            "{message}"
        );
    }
    let wide = vec!["r = 8"; 1_000].join(" or ");
    assert_eq!(ids(&wide), "a");
}

#[test]
fn sorted_limited_and_missing_last() {
    let history = history();
    let order = |sort: &str, limit: &str| {
        let query = Asked::of([("sort", sort), ("limit", limit)])
            .read(NOW)
            .unwrap();
        let found = find(&history, &query).unwrap();
        assert_eq!(found.matched, 5);
        found
            .experiments
            .iter()
            .map(|one| one.experiment_id.as_str())
            .collect::<String>()
    };
    assert_eq!(order("", ""), "edcba", "the latest first");
    assert_eq!(order("", "2"), "ed");
    assert_eq!(order("eval_loss", ""), "badec");
    assert_eq!(order("-eval_loss", ""), "dabec");
    assert_eq!(order("-eval_loss", "2"), "da");
    assert_eq!(order("r,-eval_loss", ""), "abcde", "words behind numbers");
    assert_eq!(order("optimizer,id", "3"), "cad");
    assert_eq!(
        order("-model", ""),
        "aedcb",
        "one that is missing stands last"
    );
    assert_eq!(order("-cause", "1"), "d");
    assert_eq!(order("id", "0"), "");
    for limit in 0..7 {
        let limited = order("-r", &limit.to_string());
        assert!(order("-r", "").starts_with(&limited) && limited.len() == limit.min(5));
    }
    let part = |pairs: [(&'static str, &'static str); 1]| {
        let query = Asked::of(pairs).read(NOW);
        let problem = query
            .and_then(|query| find(&history, &query).map(|_| ()))
            .unwrap_err();
        (problem.place(), problem.right)
    };
    assert_eq!(
        part([("sort", "-eval_los")]),
        ("sort".into(), "eval_loss".into())
    );
    assert_eq!(
        part([("metric", "evalloss")]),
        ("metric".into(), "eval_loss".into())
    );
    assert_eq!(part([("limit", "-3")]).0, "limit");
}

#[test]
fn the_answer_has_the_metrics_that_were_asked_for() {
    let query = Asked::of([
        ("where", "r = 8"),
        ("metric", "eval_loss"),
        ("campaign", "a"),
        ("odd", "x"),
    ]);
    let said = answer(&history(), &query.read(NOW).unwrap()).unwrap();
    assert_eq!(
        (&said["version"], &said["total"], &said["matched"]),
        (&json!(1), &json!(5), &json!(1))
    );
    assert_eq!(
        said["experiments"][0]["metrics"],
        json!({ "eval_loss": 1.5 })
    );
    assert_eq!(
        said["best"],
        json!({ "eval_loss": { "value": 0.5, "experiment_id": "b", "direction": "smaller" } })
    );
    let none = Asked::of([("where", "r = 8"), ("campaign", "other")])
        .read(NOW)
        .unwrap();
    assert_eq!(answer(&history(), &none).unwrap()["matched"], 0);
    let all = answer(&history(), &Query::default()).unwrap();
    assert_eq!(all["experiments"].as_array().unwrap().len(), 5);
    assert!(read::experiment(&all["experiments"][0]).is_ok());
}

#[test]
fn an_empty_history_has_no_wrong_names() {
    let query = Asked::of([
        ("where", "r > 8 and not loss in (1, x)"),
        ("sort", "-z"),
        ("metric", "q"),
    ]);
    let said = answer(&History::default(), &query.read(NOW).unwrap()).unwrap();
    assert_eq!(
        (&said["total"], &said["experiments"]),
        (&json!(0), &json!([]))
    );
    let wrong = Asked::of([("where", "status = done")]).read(NOW).unwrap();
    assert!(answer(&History::default(), &wrong).is_err());
}
