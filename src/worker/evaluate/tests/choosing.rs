//! Which rows are looked at, what stands beside their answers, and who knows of whom; without a model.

use super::made::{Letters, lines};
use crate::{
    curation::{
        row::id_key,
        split::{Component, Manifest},
        words::Split,
    },
    evaluation::job::EvaluationSettings,
    lora::tokens::Example,
    worker::evaluate::items::{Held, distractors, last_learned, read},
};
use serde_json::{Value, json};
use std::path::Path;

fn settings(items: u64, options: u32) -> EvaluationSettings {
    EvaluationSettings {
        items,
        options,
        generate: 3,
        ..EvaluationSettings::default()
    }
}

fn plain(n: u32) -> Value {
    json!({ "id": format!("r{n}"), "prompt": format!("what is {n}? "), "completion": format!("it is {}", n % 7) })
}

fn held(path: &Path, settings: &EvaluationSettings) -> Held {
    let files = [path.to_string_lossy().into_owned()];
    read(&files, settings, 100, &Letters).unwrap()
}

fn ids(held: &Held) -> Vec<&str> {
    held.items.iter().map(|item| item.id.as_str()).collect()
}

#[test]
fn the_same_rows_are_looked_at_whatever_their_order_and_fewer_are_among_more() {
    let dir = tempfile::tempdir().unwrap();
    let (path, turned) = (dir.path().join("a.jsonl"), dir.path().join("b.jsonl"));
    let mut rows: Vec<Value> = (0..50).map(plain).collect();
    lines(&path, &rows);
    rows.reverse();
    lines(&turned, &rows);
    let (some, more) = (held(&path, &settings(10, 4)), held(&path, &settings(20, 4)));
    let mut other: Vec<String> = ids(&held(&turned, &settings(10, 4)))
        .iter()
        .map(|id| id.to_string())
        .collect();
    other.reverse();
    assert_eq!(ids(&some), other);
    assert!(ids(&some).iter().all(|id| ids(&more).contains(id)));
    assert_eq!(
        (some.counts.read, some.counts.measured, some.counts.left_out),
        (50, 10, 40)
    );
    assert_eq!(held(&path, &settings(0, 4)).counts.measured, 50);
    assert_eq!(some.items.iter().filter(|item| item.generated).count(), 3);
}

#[test]
fn other_answers_differ_from_the_right_one_and_from_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    lines(&path, &(0..50).map(plain).collect::<Vec<_>>());
    let (held, how) = (held(&path, &settings(0, 4)), settings(0, 4));
    let chosen = distractors(&held.items, &how, 100);
    for (item, others) in held.items.iter().zip(&chosen) {
        let mut texts: Vec<&str> = others
            .iter()
            .map(|at| held.items[*at].right.as_str())
            .collect();
        texts.push(&item.right);
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 4, "{}: {texts:?}", item.id);
    }
    assert_eq!(chosen, distractors(&held.items, &how, 100));
    let mut another = how.clone();
    another.seed += 1;
    assert_ne!(chosen, distractors(&held.items, &another, 100));
    // What does not fit behind the prompt is no option.
    let longest = held
        .items
        .iter()
        .map(|item| item.example.ids.len())
        .max()
        .unwrap();
    assert!(
        distractors(&held.items, &how, longest - 3)
            .iter()
            .all(|others| others.len() <= 3)
    );
    assert!(
        distractors(&held.items, &settings(0, 0), 100)
            .iter()
            .all(Vec::is_empty)
    );
}

#[test]
fn where_all_answers_are_one_nothing_is_ranked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let row = |n: u32| json!({ "id": n, "prompt": format!("{n} "), "completion": "yes" });
    lines(&path, &(0..9).map(row).collect::<Vec<_>>());
    let held = held(&path, &settings(0, 4));
    assert!(
        distractors(&held.items, &settings(0, 4), 100)
            .iter()
            .all(Vec::is_empty)
    );
}

#[test]
fn a_pair_has_its_own_other_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let row = |n: u32| json!({ "id": n, "prompt": "p ", "completion": format!("good {n}"), "rejected": "bad" });
    lines(&path, &(0..5).map(row).collect::<Vec<_>>());
    let held = held(&path, &settings(0, 4));
    assert!(
        held.items
            .iter()
            .all(|item| item.rejected.is_some() && item.right.starts_with("good"))
    );
    assert!(
        distractors(&held.items, &settings(0, 4), 100)
            .iter()
            .all(Vec::is_empty)
    );
}

#[test]
fn components_are_those_of_the_data_set_then_trajectories_then_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set/routing/test.jsonl");
    let mut rows: Vec<Value> = (0..8).map(plain).collect();
    for (n, row) in rows.iter_mut().enumerate().take(6) {
        row["trajectory_id"] = json!(format!("t{}", n / 2));
    }
    lines(&path, &rows);
    let alone = held(&path, &settings(0, 4));
    let clusters: Vec<u32> = alone.items.iter().map(|item| item.cluster).collect();
    assert_eq!(clusters, [0, 0, 1, 1, 2, 2, 3, 4]);
    assert_eq!(alone.counts.clusters, 5);
    assert!(alone.items.iter().all(|item| item.dataset == "routing"));
    let key = |id: &str| format!("{:032x}", id_key(id));
    let manifest = Manifest {
        version: 1,
        seed: 0,
        shares: [0.8, 0.1, 0.1],
        keep_out: [].into(),
        test_components: vec![Component {
            key: key("t0"),
            split: Split::Test,
            members: vec![key("t0"), key("t2")],
        }],
    };
    let text = serde_json::to_string(&manifest).unwrap();
    std::fs::write(dir.path().join("set/manifest.json"), text).unwrap();
    let joined = held(&path, &settings(0, 4));
    let clusters: Vec<u32> = joined.items.iter().map(|item| item.cluster).collect();
    assert_eq!(clusters, [0, 0, 1, 1, 0, 0, 2, 3]);
    let unread = |path: &Path| {
        let files = [path.to_string_lossy().into_owned()];
        read(&files, &settings(0, 4), 100, &Letters).map(|held| held.counts.clusters)
    };
    std::fs::write(dir.path().join("set/manifest.json"), "{\"version\": 1").unwrap();
    let why = unread(&path).unwrap_err();
    assert!(
        why.contains("manifest.json") && why.contains("cannot be read"),
        "{why}"
    );
    // Beside a foreign file another program's manifest may lie.
    let foreign = dir.path().join("other/mine/test.jsonl");
    lines(&foreign, &rows);
    std::fs::write(dir.path().join("other/manifest.json"), "{\"name\": \"x\"}").unwrap();
    assert_eq!(unread(&foreign), Ok(5));
    std::fs::write(dir.path().join("other/manifest.json"), "{").unwrap();
    assert!(unread(&foreign).is_err());
}

#[test]
fn rows_are_counted_by_what_became_of_them_and_ids_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own.jsonl");
    let mut rows = vec![
        plain(1),
        plain(1),
        json!({ "prompt": "x", "completion": "y" }),
    ];
    rows.push(json!({ "id": "mute", "prompt": "x" }));
    rows.push(json!({ "id": "long", "prompt": "x".repeat(200), "completion": "y" }));
    lines(&path, &rows);
    let held = held(&path, &settings(0, 4));
    let counts = held.counts;
    assert_eq!(
        (
            counts.read,
            counts.measured,
            counts.unanswered,
            counts.too_long
        ),
        (5, 3, 1, 1)
    );
    assert_eq!(ids(&held), ["r1", "r1#1", "own:3"]);
    assert_eq!(held.items[0].right, "it is 1");
    assert_eq!(held.files[0].rows, 5);
}

#[test]
fn an_answer_is_the_last_run_of_what_is_learned() {
    let of = |learned: &[u8]| {
        let learned: Vec<bool> = learned.iter().map(|bit| *bit == 1).collect();
        last_learned(&Example {
            ids: vec![0; learned.len()],
            learned,
        })
    };
    assert_eq!(of(&[0, 1, 1, 0, 1, 1, 0]), Some(4..6));
    assert_eq!(of(&[1, 1, 1]), Some(1..3));
    assert_eq!(of(&[0, 0]), None);
    assert_eq!(of(&[1]), None);
    assert_eq!(of(&[]), None);
}
