//! Every metric is there; nothing counts that was not seen.

use super::*;
use crate::evaluation::{
    job::{EvaluationSettings, Inputs, Items, VERSION},
    paired::{Pair, Resampling, Rules, Share, compare, settle},
};
use crate::generation::vocabulary::words;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn line(lines: &[Line], metric: Success) -> &Line {
    lines.iter().find(|line| line.metric == metric).unwrap()
}

fn row(n: u32) -> Value {
    json!({
        "id": format!("t-{n}"), "trajectory_id": format!("t-{n}"), "query": format!("query {n}"), "analysis_type": words().analyses[n as usize % 15].name,
        "generated_code": "process X {}", "final_validation_passed": !n.is_multiple_of(10), "outcome": "success",
        "created_at": "2026-03-02T09:14:02Z", "completed_at": "2026-03-02T09:14:03Z",
        "steps": [{ "action": "generate_plan", "input_summary": "a", "output_summary": "b", "error": null }],
        "drafts": if n.is_multiple_of(4) { json!([{ "code": "x", "issues": [] }]) } else { json!([]) },
        "execution_submitted": false, "execution_completed": false, "execution_exit_code": null, "execution_logs_path": null,
        "routing_decisions": [
            { "selected_tier": "local_small", "cost_estimate": 0.1, "alternatives": [{ "tier": "cloud_large", "cost_estimate": 1.0 + f64::from(n % 3) }] },
            { "selected_tier": "cloud_large", "cost_estimate": 0.5, "alternatives": [{ "tier": "local_small", "cost_estimate": 0.0 }] },
            { "selected_tier": "local_small", "cost_estimate": 0.0, "alternatives": [] },
        ],
    })
}

fn card(rows: impl IntoIterator<Item = Value>) -> Vec<Line> {
    let mut all = Rows::default();
    for row in rows {
        all.add(row.to_string().as_bytes());
    }
    scorecard(&all, &[])
}

#[test]
fn nothing_is_known_of_nothing() {
    let lines = card([]);
    assert_eq!(lines.len(), 13);
    for line in &lines {
        assert_eq!(
            (line.standing, line.observed, line.n),
            (Standing::NotMeasured, None, 0),
            "{line:?}"
        );
        assert!(line.target > 0.0);
    }
    assert!(
        line(&lines, Success::RoutingAccuracy)
            .note
            .contains("no adapter was evaluated")
    );
    assert!(
        line(&lines, Success::Executed)
            .note
            .contains("no workflow was executed")
    );
}

#[test]
fn targets_are_those_of_the_specification() {
    let targets: BTreeMap<&str, f64> = Success::ALL
        .iter()
        .map(|m| (m.name(), m.target()))
        .collect();
    let right = json!({
        "unique_queries": 1000.0, "successful_generations": 0.8, "full_logging": 0.95, "analysis_types": 15.0, "trajectories": 10000.0,
        "routing_accuracy_gain": 0.2, "codegen_pass_rate_gain": 0.15, "validator_precision_gain": 0.25, "error_recovery_gain": 0.3,
        "workflows_executed": 0.7, "execution_logs_collected": 0.95, "cyclic_refinement_success": 0.85, "routing_cost_reduction": 0.5,
    });
    assert_eq!(serde_json::to_value(targets).unwrap(), right);
}

#[test]
fn samples_are_counted_once_and_shares_have_intervals() {
    let lines = card((0..400).chain(0..400).map(row));
    let of = |metric| line(&lines, metric);
    assert_eq!(
        (of(Success::Queries).observed, of(Success::Queries).standing),
        (Some(400.0), Standing::Missed)
    );
    assert_eq!(
        (of(Success::Types).observed, of(Success::Types).standing),
        (Some(15.0), Standing::Met)
    );
    let generations = of(Success::Generations);
    assert_eq!(
        (generations.observed, generations.n, generations.standing),
        (Some(0.9), 400, Standing::Met)
    );
    let (low, high) = generations.interval.unwrap();
    assert!(low > 0.86 && high < 0.93, "{low} {high}");
    assert_eq!(of(Success::Logging).standing, Standing::Met);
    // Drafts in every fourth row; of those every fifth ended badly.
    assert_eq!(
        (of(Success::Refinement).observed, of(Success::Refinement).n),
        (Some(0.8), 100)
    );
    assert_eq!(of(Success::Refinement).standing, Standing::Undecided);
    let cost = of(Success::RoutingCost);
    // Chosen 0.6 of 2.5 on average; the rows differ by their remainder by 3. However much it is, nobody paid the other.
    assert!((cost.observed.unwrap() - 0.76).abs() < 0.01, "{cost:?}");
    assert_eq!((cost.n, cost.standing), (1200, Standing::Undecided));
    assert!(
        cost.note.contains("400 had no other") && cost.note.contains("never met"),
        "{}",
        cost.note
    );
    assert_eq!(of(Success::Executed).standing, Standing::NotMeasured);
}

#[test]
fn only_types_of_the_catalogue_count_and_what_had_no_choice_saved_nothing() {
    let odd = |n: u32| {
        let mut row = row(n);
        row["analysis_type"] = json!(format!("type_{}", n % 15));
        row["routing_decisions"] = match n.is_multiple_of(2) {
            true => json!([{ "cost_estimate": 1.0, "alternatives": [] }]),
            false => json!([{ "cost_estimate": 0.8, "alternatives": [{ "cost_estimate": 1.0 }] }]),
        };
        row
    };
    let lines = card((0..400).map(odd));
    let types = line(&lines, Success::Types);
    assert_eq!(
        (types.observed, types.standing),
        (Some(0.0), Standing::Missed)
    );
    assert!(
        types.note.contains("15 others are not of it: type_0"),
        "{}",
        types.note
    );
    let cost = line(&lines, Success::RoutingCost);
    assert!((cost.observed.unwrap() - 0.1).abs() < 1e-9, "{cost:?}");
    assert_eq!((cost.n, cost.standing), (400, Standing::Missed));
    let free =
        json!({ "id": 1, "routing_decisions": [{ "cost_estimate": 0.0, "alternatives": [] }] });
    let lines = card([free]);
    assert_eq!(
        line(&lines, Success::RoutingCost).standing,
        Standing::NotMeasured
    );
}

#[test]
fn executions_count_where_there_are_any() {
    let run = |n: u32| {
        let mut row = row(n);
        row["execution_submitted"] = json!(n < 40);
        row["execution_completed"] = json!(true);
        row["execution_exit_code"] = json!(i32::from(n.is_multiple_of(4)));
        row["execution_logs_path"] = if n == 1 { json!("") } else { json!("logs/x") };
        row
    };
    let lines = card((0..50).map(run));
    let executed = line(&lines, Success::Executed);
    assert_eq!((executed.observed, executed.n), (Some(0.75), 40));
    assert_eq!(line(&lines, Success::Logs).observed, Some(0.975));
}

#[test]
fn what_a_step_does_not_say_is_not_fully_logged() {
    let mut silent = row(1);
    silent["steps"][0]["output_summary"] = json!("");
    let mut failed = silent.clone();
    failed["id"] = json!("t-x");
    failed["steps"][0]["error"] = json!("no answer");
    let mut foreign = json!({ "id": 7, "text": "a foreign row" });
    let lines = card([silent, failed, foreign.take(), json!({ "no": "id" })]);
    let logging = line(&lines, Success::Logging);
    assert_eq!((logging.observed, logging.n), (Some(0.5), 2));
    assert_eq!(line(&lines, Success::Trajectories).observed, Some(2.0));
    assert!(
        line(&lines, Success::Queries)
            .note
            .contains("1 lines cannot be read")
    );
}

fn evaluation(name: &str, counts: [u32; 3]) -> Measured {
    let rules = Rules {
        resampling: Resampling {
            resamples: 500,
            seed: 1,
            confidence: 0.95,
        },
        least_items: 20,
    };
    let kinds = [(1.0, 1.0), (0.0, 1.0), (0.0, 0.0)];
    let all = counts
        .into_iter()
        .zip(kinds)
        .flat_map(|(n, kind)| std::iter::repeat_n(kind, n as usize));
    let one = |sum| Share { sum, count: 1.0 };
    let pairs: Vec<Pair> = (0..)
        .zip(all)
        .map(|(cluster, (base, other))| Pair {
            base: one(base),
            other: one(other),
            cluster,
        })
        .collect();
    let mut found = [compare(name, Metric::Routing, &pairs, &rules)];
    settle(&mut found, &rules);
    Measured {
        version: VERSION,
        name: "routing".into(),
        model: "m".into(),
        data: Vec::new(),
        datasets: vec!["routing".into()],
        inputs: Inputs::default(),
        settings: EvaluationSettings::default(),
        items: Items::default(),
        arms: Vec::new(),
        bigram: None,
        comparisons: found.into(),
        verdicts: BTreeMap::new(),
    }
}

#[test]
fn gains_come_from_evaluations() {
    let rows = Rows::default();
    let lines = scorecard(
        &rows,
        &[
            evaluation("weak", [50, 4, 46]),
            evaluation("strong", [40, 40, 20]),
        ],
    );
    let gain = line(&lines, Success::RoutingAccuracy);
    assert_eq!(
        (gain.observed, gain.n, gain.standing),
        (Some(0.4), 100, Standing::Met),
        "{gain:?}"
    );
    assert!(
        gain.note.contains("strong") && gain.note.contains("best of 2"),
        "{}",
        gain.note
    );
    let other = line(&lines, Success::CodegenPass);
    assert_eq!(other.standing, Standing::NotMeasured);
    assert!(
        other.note.contains("evaluated on routing"),
        "{}",
        other.note
    );
    let undecided = scorecard(&rows, &[evaluation("some", [40, 22, 38])]);
    assert_eq!(
        line(&undecided, Success::RoutingAccuracy).standing,
        Standing::Undecided
    );
}

#[test]
fn a_gain_that_the_evaluation_does_not_show_is_never_met() {
    let gain = |measured: Measured| {
        let lines = scorecard(&Rows::default(), &[measured]);
        line(&lines, Success::RoutingAccuracy).clone()
    };
    // Ten items: a gain of 90 points, whose interval is above 20 points, and too few to say so.
    let few = gain(evaluation("few", [1, 9, 0]));
    assert!(few.interval.unwrap().0 > 0.2, "{few:?}");
    assert_eq!(few.standing, Standing::Undecided);
    assert!(few.note.contains("10 items, at least 20"), "{}", few.note);
    let none = gain(evaluation("none", [10, 0, 0]));
    assert_eq!(
        none.standing,
        Standing::Undecided,
        "nothing is missed on ten items either"
    );
    let many = gain(evaluation("none", [100, 0, 0]));
    assert_eq!(many.standing, Standing::Missed, "{many:?}");
}

#[test]
fn the_best_of_several_has_a_wider_interval() {
    let alone = evaluation("a", [50, 33, 17]);
    let of = |evaluations: &[Measured]| {
        let lines = scorecard(&Rows::default(), evaluations);
        line(&lines, Success::RoutingAccuracy).clone()
    };
    let one = of(std::slice::from_ref(&alone));
    let many: Vec<Measured> = std::iter::once(alone)
        .chain((0..19).map(|n| evaluation(&format!("b{n}"), [50, 10, 40])))
        .collect();
    let best = of(&many);
    assert_eq!(best.observed, one.observed);
    let (narrow, wide) = (one.interval.unwrap(), best.interval.unwrap());
    assert!(
        wide.0 < narrow.0 && wide.1 > narrow.1,
        "{narrow:?} {wide:?}"
    );
    assert_eq!(
        (one.standing, best.standing),
        (Standing::Met, Standing::Undecided)
    );
}
