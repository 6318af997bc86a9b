//! The page, on results made here.

use super::*;
use crate::{
    experiment::analysis::{analyse, items::Versus},
    experiment::plan::{Plan, Run, Variable},
    parameters::Domain,
    training::metrics::{LookRow, Row},
};

fn result(name: &str, r: i64, loss: f64) -> RunResult {
    let mut one = RunResult::of(&Run {
        name: name.into(),
        varied: [("r".to_string(), Value::Whole(r))].into(),
        baseline: r == 8,
    });
    one.measured("eval_loss", Some(loss));
    one.rows = vec![
        Row::Look(LookRow {
            step: 0,
            epoch: 0.0,
            eval_loss: 2.0,
            eval_rewards_accuracies: None,
        }),
        Row::Look(LookRow {
            step: 10,
            epoch: 1.0,
            eval_loss: loss,
            eval_rewards_accuracies: None,
        }),
    ];
    one
}

fn plan(results: &[RunResult]) -> Plan {
    let text = serde_json::json!({
        "version": 1, "name": "ranks", "question": "<b>?", "back_end": "builtin", "variables": [], "controls": {},
        "baseline": "", "model": null, "data": [], "holdout": [], "tasks": [], "eval_epochs": [],
        "resources": { "partition": null, "account": null, "gres": null, "mem": null, "time": null, "cpus_per_task": null },
        "runs": [], "estimates": [], "budget_gpu_hours": null, "seed": 0, "fine_tuning": [], "evaluation": [],
    });
    let mut plan = Plan::read(&text.to_string()).unwrap();
    let run = |one: &RunResult| Run {
        name: one.name.clone(),
        varied: one.varied.clone(),
        baseline: one.baseline,
    };
    plan.runs = results.iter().map(run).collect();
    plan.variables = vec![Variable {
        name: "r".into(),
        domain: Domain::parse("8,16").unwrap(),
    }];
    plan
}

#[test]
fn the_page_shows_runs_curves_and_effects_and_stays_text() {
    let mut all: Vec<RunResult> = vec![
        result("a", 8, 1.0),
        result("b", 8, 1.02),
        result("c", 16, 0.5),
        result("d", 16, 0.52),
    ];
    all.push(result("<i>", 16, f64::NAN));
    let mut found = analyse(&plan(&all), all.clone(), "eval_loss");
    let text = render(&found);
    assert_eq!(text.matches("<polyline").count(), 4);
    assert!(text.contains("r = 16<small>against 8</small>"), "{text}");
    assert!(
        text.contains("<td>−0.5 (−0.5608 to −0.4392)</td>"),
        "{text}"
    );
    assert!(text.contains("<b>better</b>"));
    assert!(text.contains("&lt;i&gt;") && !text.contains("<i>") && !text.contains("<b>?"));
    assert!(text.contains("no number: eval_loss"));
    assert!(!text.contains("NaN") && !text.contains(">inf"));
    found.versus = Versus {
        comparisons: Vec::new(),
        why: Some("nothing <u>".into()),
    };
    assert!(render(&found).contains("nothing &lt;u&gt;"));
}

#[test]
fn an_experiment_without_results_says_so() {
    let all = vec![result("a", 8, f64::NAN)];
    let text = render(&analyse(&plan(&all), all.clone(), "eval_loss"));
    assert!(text.contains("No run has a result.") && !text.contains("NaN"));
}
