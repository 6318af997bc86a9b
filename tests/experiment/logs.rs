//! Evaluations that inspect-ai left: its logs are read, told apart by run, task and epoch, and compared item by item.

use super::{Place, RANKS, llama};
use campaignd::report::inspect::{
    Sample,
    log::{Header, Metric, Results, Score, Spec, VERSION},
    write,
};
use serde_json::{Map, json};
use std::{collections::BTreeMap, fs::File, path::Path};

const ITEMS: usize = 60;

/// A log of the task after an epoch, in which the first `right` items are answered right.
fn log(path: &Path, run: &str, epoch: u32, right: usize, status: &str) {
    let accuracy = Metric {
        name: "accuracy".into(),
        value: Some(right as f64 / ITEMS as f64),
    };
    let score = Score {
        name: "match".into(),
        scorer: "match".into(),
        metrics: BTreeMap::from([("accuracy".into(), accuracy)]),
        ..Score::default()
    };
    let header = Header {
        version: VERSION,
        status: status.into(),
        eval: Spec {
            task: "adding".into(),
            // As the scaffolded script hands them over: all are texts.
            metadata: Map::from_iter([
                ("run".into(), json!(run)),
                ("task_name".into(), json!("adding")),
                ("epoch".into(), json!(epoch.to_string())),
            ]),
            ..Spec::default()
        },
        results: Some(Results {
            scores: vec![score],
            ..Results::default()
        }),
        ..Header::default()
    };
    let sample = |n: usize| Sample {
        id: format!("item-{n}"),
        scores: BTreeMap::from([("match".into(), f64::from(u8::from(n < right)))]),
        ..Sample::default()
    };
    let samples: Vec<Sample> = (0..ITEMS).map(sample).collect();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    write(File::create(path).unwrap(), &header, &samples).unwrap();
}

#[test]
fn logs_of_inspect_are_compared_with_the_baseline_item_by_item() {
    let place = Place::new();
    place.rows();
    llama(&place);
    let inputs = [
        "torchtune",
        "--model",
        "llama",
        "--data",
        "rows.jsonl",
        "--eval",
        "task.py@adding",
    ];
    let ranks = RANKS.map(|word| if word == "1" { "2" } else { word });
    let design = [&ranks[..], &inputs, &["--eval-epochs", "0,1"]].concat();
    let plan = place.json(&design)["plan"].clone();
    place.done(&design);
    place.done(&["scaffold", "ranks"]);
    let runs = plan["runs"].as_array().unwrap();
    let names: Vec<&str> = runs
        .iter()
        .map(|run| run["name"].as_str().unwrap())
        .collect();
    for (name, right) in names.iter().zip([30, 50, 40]) {
        let logs = place.path(&format!("ranks/{name}/eval/logs"));
        // The epoch before was worse, and is told apart by what the script said.
        log(&logs.join("a.eval"), name, 0, 10, "success");
        log(&logs.join("b.eval"), name, 1, right, "success");
    }
    let broken = place.path(&format!("ranks/{}/eval/logs/c.eval", names[2]));
    log(&broken, names[2], 1, 60, "error");
    place.write(&format!("ranks/{}/eval/logs/d.eval", names[2]), "PK torn");

    let metric = "adding/match/accuracy";
    let found = place.json(&["analyze", "ranks", "--metric", metric])["analysis"].clone();
    let ranked = found["ranked"].as_array().unwrap();
    let order: Vec<&str> = ranked
        .iter()
        .map(|run| run["name"].as_str().unwrap())
        .collect();
    assert_eq!(order, [names[1], names[2], names[0]], "{found}");
    assert!((ranked[0]["metrics"][metric].as_f64().unwrap() - 50.0 / 60.0).abs() < 1e-9);
    assert!(
        (ranked[0]["metrics"]["adding_epoch0/match/accuracy"]
            .as_f64()
            .unwrap()
            - 10.0 / 60.0)
            .abs()
            < 1e-9
    );
    // What ended otherwise counts for nothing, and what cannot be read is said to be so.
    assert!((ranked[1]["metrics"][metric].as_f64().unwrap() - 40.0 / 60.0).abs() < 1e-9);
    let why = ranked[1]["why"].to_string();
    assert!(
        why.contains("d.eval cannot be read") && why.contains("c.eval ended as"),
        "{why}"
    );
    let versus = found["versus"]["comparisons"].as_array().unwrap();
    let one = versus
        .iter()
        .find(|one| one["metric"] == "adding/match")
        .unwrap();
    assert_eq!(
        one["found"]["items"], ITEMS,
        "paired by the items' ids: {one}"
    );
    assert!(place.read("ranks/report.html").contains("adding/match"));
}
