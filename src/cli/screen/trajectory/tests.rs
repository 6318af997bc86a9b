//! The screen of one trajectory: of our own rows, and of those of others.

use super::*;
use crate::artifacts::feedback::{Feedback, Opinion};
use serde_json::json;

fn shown(row: Value) -> String {
    let view = TrajectoryView {
        version: 1,
        campaign: "alttp".into(),
        phase: "generate".into(),
        id: "t-2a-17".into(),
        trajectory: row,
        feedback: Some(Feedback {
            trajectory: "t-2a-17".into(),
            feedback: Opinion::Negative,
            note: Some("wrong\naligner \u{1b}[31m".into()),
            review: None,
            given_at: "2026-03-02T09:13:02Z".into(),
            uid: 1000,
        }),
        execution: None,
    };
    trajectory(&view, Style::PLAIN, Timestamp(1_772_442_842_000))
}

#[test]
fn a_trajectory_reads_from_query_to_reflection_in_eighty_columns() {
    let row = json!({
        "query": "RNA-seq of human with STAR, and a query that is so long that it has to go on in a second line",
        "analysis_type": "rna_seq", "outcome": "max_cycles_exceeded", "outcome_reason": "the workflow still has findings",
        "steps": [
            {"step_id": 1, "agent": "planner", "action": "generate_plan", "model_used": null, "latency_ms": null, "success": true},
            {"step_id": 2, "agent": "quality_checker", "action": "check_quality", "model_used": "Qwen/Qwen2.5-Coder-32B-Instruct",
             "model_tier": "local_large", "input_tokens": 12000, "output_tokens": 345, "cost_usd": 0.0123, "latency_ms": 61500.0,
             "success": false, "error": "no JSON"},
        ],
        "total_tokens": 12345, "total_cost_usd": 0.0123, "total_latency_ms": 61500.0,
        "plan_json": "{\"steps\":[{\"id\":\"fastqc\",\"process\":\"FASTQC\",\"purpose\":\"quality of the reads\"}]}",
        "validation_iterations": 2, "cycles": 1, "final_validation_passed": false, "validation_issues": ["line 3: error"],
        "drafts": [{"code": "x", "issues": [
            {"line": 40, "column": 1, "type": "latest_tag", "severity": "warning", "message": "b"},
            {"line": 12, "column": 1, "type": "missing_container", "severity": "error", "message": "a"}]}],
        "error_resolutions": [{"error_type": "MEMORY", "error_message": "GC overhead", "resolution": {"action": "increase_memory", "new_value": "48 GB"}, "outcome": "success"}],
        "reflection": {"root_cause": "too little memory", "learning": "ask for more"},
        "quality_score": 0.5, "quality_parts": {"lint": 0.25}, "accepted": false, "generated_code": "x",
    });
    let shown = shown(row);
    let squeezed = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "t-2a-17 max_cycles_exceeded alttp, generate",
        "STEP AGENT ACTION MODEL TOKENS COST LATENCY",
        "1 planner generate_plan - - - -",
        "2 quality_checker check_quality local_large 12,345 $0.0123 1m 01s failed: no JSON",
        "models local_large Qwen/Qwen2.5-Coder-32B-Instruct",
        "plan 1 FASTQC: quality of the reads",
        "passed no, looks 2, repair cycles 1",
        "line 12: error missing_container: a line 40: warning latest_tag: b",
        "MEMORY: GC overhead increase_memory: 48 GB -> success",
        "root_cause too little memory",
        "0.500: lint 0.25; not accepted",
        "negative (uid 1000, 1m 00s ago): wrong aligner \u{fffd}[31m",
        "campaignctl trajectory alttp/t-2a-17 --code > main.nf",
    ] {
        assert!(
            squeezed.contains(expected),
            "{expected:?} is not in\n{shown}"
        );
    }
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

#[test]
fn a_foreign_row_shows_what_it_has() {
    let shown = shown(json!({"id": 7, "text": "x".repeat(300), "nested": {"a": [1]}}));
    assert!(shown.contains("nested     {\"a\":[1]}"), "{shown}");
    assert!(
        shown.contains("xxx...\n") && shown.contains("(300 signs)"),
        "{shown}"
    );
    assert!(
        !shown.contains("STEP") && !shown.contains("--code"),
        "{shown}"
    );
}

#[test]
fn nothing_acts_on_a_terminal() {
    assert_eq!(
        clean("a\u{1b}[2J\n\u{9b}b\u{7}"),
        "a\u{fffd}[2J \u{fffd}b\u{fffd}"
    );
    assert_eq!(clean_lines("a\tb\r\n\u{1b}c"), "a    b\n\u{fffd}c");
}

#[test]
fn how_a_workflow_ran_is_shown_with_its_error_and_expectations() {
    let view = TrajectoryView {
        campaign: "alttp".into(),
        phase: "generate".into(),
        id: "t-2a-17".into(),
        trajectory: json!({ "query": "q" }),
        execution: Some(json!({
            "id": "t-2a-17", "outcome": "execution_failed", "outcome_reason": "it ended with status 137: out_of_memory in ALIGN",
            "dataset": "small", "started_at": "2026-03-02T09:00:00Z", "ended_at": "2026-03-02T09:02:03Z",
            "logs_path": "executions/t-2a-17", "command": ["nextflow", "run", "a\u{1b}b.nf"],
            "metrics": { "total_processes": 3, "completed_processes": 2, "failed_processes": 1 },
            "diagnosis": { "kind": "out_of_memory", "message": "oom-kill event" },
            "error_resolution": { "resolution_attempted": "increase_memory: 48 GB" },
            "checks": [
                { "metric": "mapping_rate", "wanted": "> 80 %", "observed": 71.5, "passed": false, "why": null },
                { "metric": "genes", "wanted": "> 5", "observed": null, "passed": false, "why": "the run states no genes" },
            ],
            "notes": ["a torn line"],
        })),
        ..TrajectoryView::default()
    };
    let shown = trajectory(&view, Style::PLAIN, Timestamp(1_772_442_842_000));
    let squeezed = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "execution execution_failed: it ended with status 137: out_of_memory in ALIGN",
        "on small, 2m 03s, in executions/t-2a-17",
        "tasks 3, completed 2, failed 1",
        "cause out_of_memory: oom-kill event",
        "what should help: increase_memory: 48 GB",
        "mapping_rate > 80 %: no, it is 71.5",
        "genes > 5: no, the run states no genes",
        "note: a torn line",
    ] {
        assert!(squeezed.contains(expected), "{expected}\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'));
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
}
