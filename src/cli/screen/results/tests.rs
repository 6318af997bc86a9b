//! Training on screens: how far it is, and what came of it.

use super::{
    super::{block, fit, progress, status, summary},
    *,
};
use crate::{
    control::{
        api::{CampaignView, PhaseView, ProgressView, StatusView},
        training::TrainedView,
    },
    time::Timestamp,
};

const NOW: Timestamp = Timestamp(1_772_442_842_000);

fn training() -> CampaignView {
    let phase = |phase: &str, status: &str, done, total| PhaseView {
        phase: phase.into(),
        status: status.into(),
        done,
        total,
        duration_seconds: Some(22.0),
        quality: None,
        part: (status == "now").then(|| "1/2".into()),
    };
    CampaignView {
        id: "alttp".into(),
        created_at: "2026-03-02T03:32:02Z".into(),
        state: "training".into(),
        phases: vec![
            phase("curate", "done", 0, 0),
            phase("train", "now", 1_180, 3_000),
            phase("evaluate", "then", 0, 0),
            phase("record", "then", 0, 0),
        ],
        progress: Some(ProgressView {
            done: 1_180,
            total: 3_000,
            unit: "steps".into(),
            rate_per_second: Some(0.3),
            left_seconds: Some(6_660.0),
        }),
        ..CampaignView::default()
    }
}

fn run(name: &str) -> RunView {
    let compared = |metric: &str, share, base, adapter, low, high, n| ComparisonView {
        metric: metric.into(),
        base: Some(base),
        adapter: Some(adapter),
        difference: Some(adapter - base),
        low: Some(low),
        high: Some(high),
        n,
        p: 1e-9,
        share,
        verdict: "improved".into(),
    };
    RunView {
        run: format!("run-1-{name}"),
        name: name.into(),
        cycle: 1,
        state: "done".into(),
        stage: 1,
        stages: 1,
        rank: 16,
        trained: Some(TrainedView {
            steps: 300,
            planned_steps: 300,
            best_step: 280,
            eval_loss: Some(1.5),
            ..TrainedView::default()
        }),
        comparisons: vec![
            compared("loss", false, 6.2, 2.1, -4.3, -3.9, 400),
            compared("ranking_accuracy", true, 0.413, 0.685, 0.216, 0.33, 400),
        ],
        verdict: Some("improved".into()),
        ..RunView::default()
    }
}

fn finished(runs: Vec<RunView>) -> CampaignView {
    CampaignView {
        state: "completed".into(),
        directory: "/s/campaigns/alttp".into(),
        runs,
        ..training()
    }
}

#[test]
fn a_step_and_a_state_say_which_part_is_under_way() {
    let view = training();
    let shown = block(&view, Style::PLAIN, NOW);
    let line = shown.lines().find(|line| line.contains("train ")).unwrap();
    assert!(line.starts_with("  train 1/2 now "), "{shown}");
    assert!(line.contains("1,180 / 3,000"), "{shown}");
    assert!(shown.contains("then      evaluate, record"), "{shown}");
    let told = progress(&view, NOW);
    assert!(told.contains("alttp training 1/2  1,180/3,000"), "{told}");
    let two = StatusView {
        campaigns: vec![view.clone(), training()],
        ..StatusView::default()
    };
    let table = status(&two, Style::PLAIN, NOW);
    assert!(table.contains("training 1/2"), "{table}");
}

#[test]
fn a_summary_says_what_was_trained_and_what_it_is_worth() {
    let text = summary(&finished(vec![run("routing")]), Style::PLAIN);
    for line in [
        "       adapter    rank 16, step 280 of 300 kept (best on the holdout)\n",
        "good   adapter    improved: 41.3 % -> 68.5 % right, +27.2 points",
        "(21.6 to 33.0, n = 400 held-out items, p < 0.001)",
        "6.200 -> 2.100 loss, -4.100 (-4.300 to",
        "runs/  evaluation/",
    ] {
        let joined = text.replace("\n                  ", " ");
        assert!(
            text.contains(line) || joined.contains(line),
            "{line}\n{text}"
        );
    }
    let wide = text.lines().find(|line| fit::width(line) > fit::WIDTH);
    assert_eq!(wide, None, "\n{text}");
}

#[test]
fn of_several_runs_each_line_names_its_own() {
    let mut stopped = run("codegen");
    let trained = stopped.trained.as_mut().unwrap();
    (trained.steps, trained.best_step, trained.eval_loss) = (120, 120, None);
    stopped.verdict = None;
    let mut old = run("routing");
    (old.cycle, old.rank) = (0, 99);
    let text = summary(&finished(vec![run("routing"), stopped, old]), Style::PLAIN);
    assert!(text.contains("routing: rank 16"), "{text}");
    assert!(
        text.contains("codegen: rank 16, step 120 of 120 kept, stopped early of 300"),
        "{text}"
    );
    assert!(!text.contains("rank 99"), "an earlier cycle's: {text}");
    assert!(text.contains("routing: improved"), "{text}");
    assert!(
        !text.contains("codegen: underpowered"),
        "what is not measured says nothing"
    );
}

#[test]
fn what_got_worse_is_not_good_and_what_is_not_known_is_open() {
    let with = |name: &str, verdict: &str| RunView {
        verdict: Some(verdict.into()),
        ..run(name)
    };
    let runs = vec![
        with("a", "underpowered"),
        with("b", "regressed"),
        with("c", "improved"),
        with("d", "regressed"),
    ];
    let text = summary(&finished(runs), Style::PLAIN);
    let starts: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("adapter    ") && line.contains(": 41.3"))
        .map(|line| line.split(": 41.3").next().unwrap())
        .collect();
    assert_eq!(
        starts,
        [
            "good   adapter    c: improved",
            "bad    adapter    b: regressed",
            "       adapter    d: regressed",
            "open   adapter    a: underpowered",
        ]
    );
}
