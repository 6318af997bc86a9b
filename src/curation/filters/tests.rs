//! Each filter takes what it says, and the best stay.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};

fn lacks(row: Value) -> Option<&'static str> {
    incomplete(row.as_object().unwrap())
}

fn trajectory() -> Value {
    json!({
        "id": "t-1", "trajectory_id": "t-1", "query": "align reads", "outcome": "success",
        "completed_at": "2026-03-02T09:14:02Z", "plan_json": "{}", "generated_code": "process A {}",
        "steps": [], "outcome_reason": "",
    })
}

#[test]
fn a_trajectory_needs_a_query_an_end_and_after_a_success_what_it_made() {
    assert_eq!(lacks(trajectory()), None);
    let with = |key: &str, value: Value| {
        let mut row = trajectory();
        row[key] = value;
        lacks(row)
    };
    assert_eq!(with("query", json!(" \n")), Some("query"));
    assert_eq!(with("outcome", Value::Null), Some("outcome"));
    assert_eq!(with("outcome", json!("running")), Some("outcome"));
    assert_eq!(with("completed_at", Value::Null), Some("completed_at"));
    assert_eq!(with("plan_json", Value::Null), Some("plan_json"));
    assert_eq!(with("generated_code", json!("")), Some("generated_code"));
    let mut failed = trajectory();
    failed["outcome"] = json!("timeout");
    failed["plan_json"] = Value::Null;
    assert_eq!(lacks(failed), None, "a failure may have made nothing");
}

#[test]
fn a_trajectory_id_alone_makes_no_row_ours() {
    let chat = json!([{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }]);
    for row in [
        json!({ "trajectory_id": "t", "messages": chat, "outcome": "resolved" }),
        json!({ "trajectory_id": "t", "text": "x", "steps": [] }),
    ] {
        assert_eq!(lacks(row.clone()), None, "{row}");
    }
    assert_eq!(lacks(json!({ "trajectory_id": "t" })), Some("text"));
}

#[test]
fn other_rows_need_to_say_something_and_to_answer_where_their_shape_promises_it() {
    let whole = [
        json!({ "text": "x" }),
        json!({ "prompt": "a", "completion": "b" }),
        json!({ "prompt": "a", "completion": null }),
        json!({ "query": "a", "template": "t" }),
        json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }] }),
        json!({ "messages": [{ "role": "user", "content": "a" },
            { "role": "assistant", "content": null, "tool_calls": [{ "name": "f" }] }] }),
        json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "a" }] },
            { "role": "assistant", "content": "b" }], "completion": null }),
        json!({ "conversations": [{ "from": "human", "value": "a" }, { "from": "gpt", "value": "b" }] }),
        json!({ "prompt": [{ "role": "user", "content": "a" }], "chosen": [{ "role": "assistant", "content": "b" }],
            "rejected": [{ "role": "assistant", "content": "c" }] }),
        json!({ "instruction": "a", "input": "", "output": "b" }),
        json!({ "prompt": "3 + 4", "answer": 7 }),
    ];
    for row in whole {
        assert_eq!(lacks(row.clone()), None, "{row}");
    }
    let torn = [
        (json!({ "id": 1 }), "text"),
        (json!({ "text": "  " }), "text"),
        (json!({ "text": null, "score": 1 }), "text"),
        (json!({ "prompt": "a", "completion": "" }), "completion"),
        (json!({ "instruction": "a", "output": " " }), "output"),
        (
            json!({ "prompt": "a", "chosen": "b", "rejected": "" }),
            "rejected",
        ),
        (json!({ "messages": [] }), "messages"),
        (
            json!({ "messages": [{ "role": "user", "content": "" }] }),
            "messages",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": "a" }] }),
            "answer",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": " " }] }),
            "answer",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": "a" },
                { "role": "assistant", "content": null, "tool_calls": [] }] }),
            "answer",
        ),
        (
            json!({ "conversations": [{ "from": "gpt", "value": "b" }, { "from": "human", "value": "a" }] }),
            "answer",
        ),
    ];
    for (row, missing) in torn {
        assert_eq!(lacks(row.clone()), Some(missing), "{row}");
    }
}

#[test]
fn words_are_counted_in_scripts_with_and_without_spaces() {
    for (text, count) in [
        ("", 0),
        (" ... --- !!", 0),
        ("RNA-seq  for human", 3),
        ("don't stop", 2),
        ("人类RNA测序分析", 7),
        ("ヒトの全ゲノム解析", 9),
        ("인간 유전체 분석", 3),
        ("анализ генома человека", 3),
        ("การวิเคราะห์จีโนม", 5),
    ] {
        assert_eq!(words(text), count, "{text}");
    }
}

#[test]
fn short_is_trivial_in_every_script() {
    assert!(trivial("", 1, 0) && trivial("align", 3, 10) && trivial("a b c d", 3, 10));
    assert!(!trivial("align reads with STAR", 3, 10));
    assert!(
        !trivial("人类基因组测序分析", 3, 10),
        "nine characters say enough"
    );
    assert!(trivial("测序", 3, 10));
    assert!(!trivial("", 0, 0));
}

#[test]
fn failures_are_capped_at_their_share() {
    // Even rows are successes; best first.
    let order: Vec<u32> = (0..20).collect();
    let class = |row: u32| Some(row.is_multiple_of(2));
    assert_eq!(balance(&order, class, 0.5), Vec::<u32>::new());
    assert_eq!(balance(&order, class, 0.3), [9, 11, 13, 15, 17, 19]);
    assert_eq!(balance(&order, class, 0.0).len(), 10);
    assert_eq!(balance(&order, class, f64::NAN).len(), 10);
    assert!(
        balance(&order, |_| Some(false), 0.1).is_empty(),
        "one class"
    );
    assert!(balance(&order, |_| None, 0.1).is_empty(), "nothing known");
    // 3 of 10 is no more than three tenths, whatever 0.3 is in binary.
    let seven = |row: u32| Some(row < 7);
    assert!(balance(&order[..10], seven, 0.3).is_empty());
}

#[test]
fn a_stratum_is_capped_and_small_data_sets_are_not_emptied() {
    assert_eq!(cap(&[100, 10, 10], 0.5), Some(20));
    assert_eq!(cap(&[100, 100, 10], 0.4), Some(20));
    assert_eq!(cap(&[100, 10, 10], 0.9), None);
    assert_eq!(cap(&[100], 0.1), None, "one stratum");
    assert_eq!(cap(&[], 0.1), None);
    assert_eq!(cap(&[5, 5, 5], 0.1), None, "even already");
    assert_eq!(cap(&[5, 6, 7], 0.1), Some(5), "as even as it gets");
    assert_eq!(cap(&[5, 6, 7], f64::NAN), Some(5));
    let order: Vec<u32> = (0..9).collect();
    let stratum = |row: u32| (row != 8).then_some(u32::from(row >= 6));
    assert_eq!(diversity(&order, stratum, 0.6), [3, 4, 5]);
}

#[test]
fn even_strata_count_in_full() {
    assert_eq!(effective_sample_size(&[5, 5, 5]), 15.0);
    assert_eq!(effective_sample_size(&[]), 0.0);
    assert_eq!(effective_sample_size(&[0, 7]), 7.0);
    assert!(effective_sample_size(&[1000, 1]) < 4.0);
}

/// Rows best first, each with its class: an index into the classes or none.
fn ranked() -> impl Strategy<Value = Vec<Option<u32>>> {
    let skewed = prop_oneof![5 => Just(Some(0)), 2 => Just(Some(1)), 1 => (2..6u32).prop_map(Some), 1 => Just(None)];
    prop::collection::vec(skewed, 0..300)
}

/// What remains, by class.
fn remaining(classes: &[Option<u32>], dropped: &[u32]) -> HashMap<u32, usize> {
    let dropped: BTreeSet<u32> = dropped.iter().copied().collect();
    let mut left = HashMap::new();
    for (row, class) in classes.iter().enumerate() {
        if let (Some(class), false) = (class, dropped.contains(&(row as u32))) {
            *left.entry(*class).or_insert(0) += 1;
        }
    }
    left
}

/// Only the worst go: whoever is dropped is worse than everybody of its class that stays.
fn best_stay(classes: &[Option<u32>], dropped: &[u32]) -> bool {
    dropped.iter().all(|row| {
        let class = classes[*row as usize];
        (row + 1..classes.len() as u32)
            .filter(|worse| classes[*worse as usize] == class)
            .all(|worse| dropped.contains(&worse))
    })
}

proptest! {
    #[test]
    fn the_cap_on_failures_holds_and_the_best_stay(classes in ranked(), share in 0.0..1.0f64) {
        let order: Vec<u32> = (0..classes.len() as u32).collect();
        let two: Vec<Option<u32>> = classes.iter().map(|class| class.map(|class| class.min(1))).collect();
        let dropped = balance(&order, |row| two[row as usize].map(|class| class == 1), share);
        let left = remaining(&two, &dropped);
        let (failures, successes) = (left.get(&0).copied().unwrap_or(0), left.get(&1).copied().unwrap_or(0));
        let all = remaining(&two, &[]);
        if successes == 0 {
            prop_assert!(dropped.is_empty());
        } else {
            prop_assert!(failures as f64 <= share * (failures + successes) as f64 + 1e-4);
            // One more would be too many.
            let more = failures + 1;
            prop_assert!(all.get(&0).copied().unwrap_or(0) < more || more as f64 > share * (more + successes) as f64);
        }
        prop_assert!(dropped.iter().all(|row| two[*row as usize] == Some(0)));
        prop_assert!(best_stay(&two, &dropped));
    }

    #[test]
    fn no_stratum_exceeds_its_share_and_no_larger_cap_would_do(classes in ranked(), asked in 0.0..1.0f64) {
        let order: Vec<u32> = (0..classes.len() as u32).collect();
        let dropped = diversity(&order, |row| classes[row as usize], asked);
        let (left, all) = (remaining(&classes, &dropped), remaining(&classes, &[]));
        let share = asked.max(1.0 / all.len().max(1) as f64);
        let total: usize = left.values().sum();
        prop_assert_eq!(left.len(), all.len(), "no stratum is lost");
        let most = left.values().copied().max().unwrap_or(0);
        if all.len() > 1 {
            let smaller: usize = all.values().map(|size| (*size).min(most.saturating_sub(1))).sum();
            let half = smaller * 2 < all.values().sum::<usize>();
            prop_assert!(half || most as f64 <= share * total as f64 + 1e-4, "{most} of {total} with {share}");
        }
        if !dropped.is_empty() {
            let kept: usize = all.values().map(|size| (*size).min(most + 1)).sum();
            prop_assert!((most + 1) as f64 > share * kept as f64, "{} of {kept} would do", most + 1);
        }
        prop_assert!(best_stay(&classes, &dropped));
    }

    #[test]
    fn half_of_a_corpus_stays_whatever_is_asked(classes in ranked(), asked in 0.0..1.0f64) {
        let order: Vec<u32> = (0..classes.len() as u32).collect();
        let dropped = diversity(&order, |row| classes[row as usize], asked);
        let all = classes.iter().flatten().count();
        prop_assert!(dropped.len() * 2 <= all, "{} of {all}", dropped.len());
    }

    #[test]
    fn what_rows_are_numbered_by_changes_nothing(classes in ranked(), share in 0.0..1.0f64, seed: u64) {
        // The same ranking under other numbers.
        let size = classes.len() as u64;
        let number = |row: u32| crate::generation::permutation::permute(seed, u64::from(row), size) as u32;
        let order: Vec<u32> = (0..size as u32).collect();
        let turned: Vec<u32> = order.iter().map(|row| number(*row)).collect();
        let back: HashMap<u32, u32> = order.iter().map(|row| (number(*row), *row)).collect();
        let class = |row: u32| classes[row as usize];
        let same = |one: Vec<u32>, other: Vec<u32>| one.into_iter().map(number).eq(other);
        prop_assert!(same(diversity(&order, class, share), diversity(&turned, |row| class(back[&row]), share)));
        let won = |row: u32| class(row).map(|class| class == 1);
        prop_assert!(same(balance(&order, won, share), balance(&turned, |row| won(back[&row]), share)));
    }
}
