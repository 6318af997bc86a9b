//! The table of experiments, the answers over both ways, and files that are none.

use super::{super::style::Style, *};
use crate::history::Status;
use serde_json::json;

fn view(runs: usize) -> HistoryView {
    let all: Vec<serde_json::Value> = (1..=runs)
        .map(|n| {
            let failed = n == 3;
            json!({
                "experiment_id": format!("alttp-run-{n}"), "campaign": "alttp", "cycle_id": 1,
                "status": if failed { "failed" } else { "completed" },
                "config": { "r": 8 * n, "learning_rate": 1e-4 / n as f64, "model": "Qwen/Qwen3-8B", "optimizer_with_a_long_name": format!("a-long-value-{n}") },
                "metrics": { "eval_loss": 1.0 / n as f64, "quality": 0.75, "other": n, "more": n },
                "duration_seconds": 60.0, "proposal_type": "exploit", "risk_level": "low", "ended_at_ms": n,
                "failure": if failed { json!({ "cause": "memory", "text": "CUDA out of memory" }) } else { json!(null) },
            })
        })
        .collect();
    let history = History::read(json!({ "experiments": all }).to_string().as_bytes()).unwrap();
    let query = Asked::default().read(crate::time::Timestamp(0)).unwrap();
    serde_json::from_value(answer(&history, &query).unwrap()).unwrap()
}

fn drawn(view: &HistoryView, metrics: &[&str], style: Style) -> String {
    let metrics: Vec<String> = metrics.iter().map(ToString::to_string).collect();
    screen::table(view, &experiments(view).unwrap(), &metrics, style)
}

#[test]
fn the_table_has_what_differs_and_marks_the_best() {
    let view = view(4);
    let text = drawn(&view, &[], Style::PLAIN);
    let head = text.lines().next().unwrap();
    for word in [
        "EXPERIMENT",
        "STATUS",
        "R",
        "LEARNING_RATE",
        "EVAL_LOSS",
        "QUALITY",
    ] {
        assert!(
            head.split_whitespace().any(|found| found == word),
            "{word}: {text}"
        );
    }
    assert!(
        !head.contains("MODEL"),
        "what never differs is not shown: {text}"
    );
    let row = |id: &str| text.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(
        row("alttp-run-4").contains("0.25*") && row("alttp-run-4").contains("2.5e-5"),
        "{text}"
    );
    assert!(
        row("alttp-run-3").contains("failed: memory") && !row("alttp-run-3").contains("0.3333*"),
        "{text}"
    );
    assert!(
        text.contains("4 experiments; * the best of all\n"),
        "{text}"
    );
    assert!(
        text.contains("they differ in optimizer_with_a_long_name, too"),
        "{text}"
    );
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(
        drawn(&view, &["metrics.more"], Style::PLAIN)
            .lines()
            .next()
            .unwrap()
            .ends_with("MORE")
    );
    assert!(drawn(&view, &[], Style::COLOR).contains("\x1b[32m0.25\x1b[0m*"));
}

#[test]
fn how_many_of_how_many_is_said() {
    let mut view = view(4);
    (view.total, view.matched) = (1_000, 40);
    assert!(
        drawn(&view, &[], Style::PLAIN)
            .contains("4 of 40 that fit shown, of 1,000 experiments: --limit N")
    );
    (view.total, view.matched) = (40, 40);
    assert!(drawn(&view, &[], Style::PLAIN).contains("4 of 40 experiments shown: --limit N"));
    view.experiments.clear();
    assert_eq!(
        drawn(&view, &[], Style::PLAIN),
        "none of 40 experiments fits\n"
    );
    view.total = 0;
    assert!(drawn(&view, &[], Style::PLAIN).starts_with("no experiment yet"));
}

#[test]
fn a_file_that_is_no_history_is_named_with_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("training_history.json");
    let args = HistoryArgs {
        file: Some(file.clone()),
        filter: Some("r >= 16".into()),
        csv: true,
        ..HistoryArgs::default()
    };
    let said = |bytes: Option<&[u8]>| {
        if let Some(bytes) = bytes {
            fs::write(&file, bytes).unwrap();
        }
        let fail = of_file(Shape::default(), &args).unwrap_err();
        assert_eq!(
            (fail.status(), fail.0[0].at.as_deref()),
            (2, Some(file.to_str().unwrap()))
        );
        fail.0[0].message.clone()
    };
    assert!(said(None).contains("cannot be read"));
    assert!(said(Some(b"{\"experiments\": [{\"exp")).contains("it is torn"));
    assert!(said(Some(b"\xff\xfe\x00")).contains("it is no JSON"));
    assert!(said(Some(b"{\"runs\": []}")).contains("not a training history"));
    fs::write(
        &file,
        json!({ "experiments": view(3).experiments }).to_string(),
    )
    .unwrap();
    let wrong = HistoryArgs {
        filter: Some("r >= 16 and los < 1".into()),
        ..args
    };
    let fail = of_file(Shape::default(), &wrong).unwrap_err();
    assert_eq!(fail.0[0].at.as_deref(), Some("--where, column 13"));
    assert_eq!(fail.0[0].exit_status, 2);
}

#[test]
fn files_of_other_programs_are_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let all = experiments(&view(3)).unwrap();
    let path = |name: &str| Some(dir.path().join(name));
    let quiet = Shape {
        quiet: true,
        ..Shape::default()
    };
    for args in [
        HistoryArgs {
            parquet: path("a.parquet"),
            ..HistoryArgs::default()
        },
        HistoryArgs {
            sqlite: path("a.db"),
            ..HistoryArgs::default()
        },
    ] {
        assert_eq!(taken::take(quiet, &args, &all), Ok(0));
        let again = taken::take(quiet, &args, &all).unwrap_err();
        assert!(again.0[0].message.contains("there already"));
        assert_eq!(
            taken::take(
                quiet,
                &HistoryArgs {
                    force: true,
                    ..args
                },
                &all
            ),
            Ok(0)
        );
    }
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "nothing else is left: {names:?}");
    assert_eq!(
        all.iter()
            .filter(|one| one.status == Status::Failed)
            .count(),
        1
    );
}
