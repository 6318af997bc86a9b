//! Runs side by side, on numbers made here.

use super::*;
use crate::{
    experiment::plan::Variable,
    parameters::{Domain, Value},
};

/// A result with some numbers.
pub fn result(name: &str, r: i64, baseline: bool, metrics: &[(&str, f64)]) -> RunResult {
    let mut one = RunResult::of(&Run {
        name: name.into(),
        varied: [("r".to_string(), Value::Whole(r))].into(),
        baseline,
    });
    for (metric, value) in metrics {
        one.measured(*metric, Some(*value));
    }
    one
}

/// A plan of these runs.
pub fn plan(results: &[RunResult]) -> Plan {
    let of = |one: &RunResult| Run {
        name: one.name.clone(),
        varied: one.varied.clone(),
        baseline: one.baseline,
    };
    let text = serde_json::json!({
        "version": 1, "name": "ranks", "question": "q", "back_end": "builtin",
        "variables": [], "controls": {}, "baseline": "", "model": null, "data": [], "holdout": [], "tasks": [],
        "eval_epochs": [], "resources": crate::experiment::plan::Resources::default(), "runs": [], "estimates": [],
        "budget_gpu_hours": null, "seed": 0, "fine_tuning": [], "evaluation": [],
    });
    let mut plan = Plan::read(&text.to_string()).unwrap();
    plan.runs = results.iter().map(of).collect();
    plan.variables = vec![Variable {
        name: "r".into(),
        domain: Domain::parse("8,16,64").unwrap(),
    }];
    plan
}

#[test]
fn the_best_stands_first_by_the_metrics_own_direction() {
    let all = vec![
        result("a", 8, true, &[("eval_loss", 1.0), ("t/accuracy", 0.5)]),
        result("b", 16, false, &[("eval_loss", 0.8), ("t/accuracy", 0.4)]),
        result(
            "c",
            64,
            false,
            &[("eval_loss", f64::NAN), ("t/accuracy", 0.9)],
        ),
        result("d", 64, false, &[]),
    ];
    assert_eq!(choose(&all, None).unwrap(), "eval_loss");
    let plan = plan(&all);
    let found = analyse(&plan, all.clone(), "eval_loss");
    let names: Vec<&str> = found.ranked.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(
        (found.best.as_deref(), found.baseline.as_deref()),
        (Some("b"), Some("a"))
    );
    assert_eq!(found.without[0].why, ["no number: eval_loss"]);
    assert_eq!(found.without[1].why, ["it has no eval_loss"]);
    let other = analyse(&plan, all.clone(), "t/accuracy");
    assert_eq!(
        other.ranked[0].name, "a",
        "a run whose loss was no number is no result, whatever else it says"
    );
    assert!(
        choose(&all, Some("bleu"))
            .unwrap_err()
            .1
            .contains("t/accuracy")
    );
    assert!(choose(&all[3..], None).is_err() && choose(&all[3..], Some("x")).is_err());
}

#[test]
fn of_several_seeds_the_best_mean_counts() {
    let seeded = |name: &str, r, seed, loss| {
        let mut one = result(name, r, r == 8, &[("eval_loss", loss)]);
        one.varied.insert("seed".into(), Value::Whole(seed));
        one
    };
    let all = vec![
        seeded("a1", 8, 1, 1.0),
        seeded("a2", 8, 2, 1.0),
        seeded("b1", 16, 1, 0.9),
        seeded("b2", 16, 2, 0.9),
        seeded("c1", 64, 1, 0.1),
        seeded("c2", 64, 2, 3.0),
    ];
    let found = analyse(&plan(&all), all.clone(), "eval_loss");
    assert_eq!(found.ranked[0].name, "c1");
    assert_eq!(
        (found.best.as_deref(), found.baseline.as_deref()),
        (Some("b1"), Some("a1"))
    );
    assert_eq!(found.effects.freedom, 3);
}
