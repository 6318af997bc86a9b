//! Trajectories as rows of data sets: the golden ones word by word, and those that a model had a hand in.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use campaignd::{
    curation::{
        schema::Schema,
        sets::{SETS, SetRow, rows, schema},
        value::{Frequencies, Judged, training_value},
        words::DataSet,
    },
    trajectory::{
        Outcome, TrajectoryRecord,
        record::{Agent, Alternative, ModelComparison, OrchestratorDecision, Tier},
    },
    workflow::{errors, lint::lint},
};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

fn trajectories() -> BTreeMap<String, TrajectoryRecord> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/trajectories");
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        (name, serde_json::from_str(&text).unwrap())
    };
    let found: BTreeMap<_, _> = fs::read_dir(root)
        .unwrap()
        .map(|entry| read(entry.unwrap().path()))
        .collect();
    assert_eq!(found.len(), 15);
    found
}

fn golden(name: &str) -> TrajectoryRecord {
    trajectories().remove(name).unwrap()
}

fn of(set: DataSet, rows: &[SetRow]) -> Vec<&Map<String, Value>> {
    let of = rows.iter().filter(|row| row.set == set);
    of.map(|row| &row.row).collect()
}

/// A decision for a large local model, beside a small one of a provider, as it was measured.
fn decision(agent: Agent, was_optimal: Option<bool>) -> OrchestratorDecision {
    let other = Alternative {
        tier: Tier::LocalSmall,
        model: "a-small-model".into(),
        cost_estimate: 0.0,
        latency_ms: Some(812.5),
        success_rate: Some(0.4),
    };
    OrchestratorDecision {
        agent,
        query_summary: "a query".into(),
        selected_tier: Tier::LocalLarge,
        selected_model: "a-large-model".into(),
        reasoning: format!("{agent} is sent to local_large"),
        alternatives_considered: vec!["local_small".into()],
        alternatives: vec![other],
        cost_estimate: 0.0,
        actual_cost: 0.0,
        was_optimal,
    }
}

fn comparison(model_a: &str) -> ModelComparison {
    ModelComparison {
        query_hash: "00".into(),
        model_a: model_a.into(),
        model_b: "a-small-model".into(),
        output_a: "a".into(),
        output_b: "b".into(),
        quality_a: 1.0,
        quality_b: 0.5,
        cost_a: 0.0,
        cost_b: 0.0,
        winner: "a".into(),
        timestamp: "2026-03-02T09:14:02Z".into(),
    }
}

/// A trajectory that models made: routed, reviewed wrongly, an error misread.
fn by_models() -> TrajectoryRecord {
    let mut record = golden("rna_seq");
    record.trajectory_id = "t-models-1".into();
    record.routing_decisions = vec![
        decision(Agent::Planner, Some(true)),
        decision(Agent::Codegen, Some(false)),
        decision(Agent::Codegen, None),
        decision(Agent::Validator, Some(true)),
        decision(Agent::Validator, Some(true)),
    ];
    record.model_comparisons = vec![
        comparison("a-large-model"),
        comparison("a-large-model"),
        comparison("a-large-model"),
        comparison("a-large-model"),
    ];
    record.drafts[0].feedback = Some(
        "```json\n{\"issues\": [{\"line\": 3, \"type\": \"latest_tag\", \"message\": \"the image has no version\"}]}\n```"
            .into(),
    );
    let met = &mut record.error_resolutions[0];
    met.diagnosed_kind = Some("out_of_memory".into());
    met.error_type = Some(errors::Category::Memory);
    met.resolution.action = "increase_memory".into();
    record
}

fn all() -> BTreeMap<String, TrajectoryRecord> {
    let mut all = trajectories();
    all.insert("models".into(), by_models());
    all
}

#[test]
fn rows_of_the_golden_trajectories_are_the_golden_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sets");
    let bless = env::var_os("CAMPAIGND_BLESS").is_some();
    let all = all();
    let mut corpus = Frequencies::default();
    all.values().for_each(|record| corpus.add(record));
    let value = |record: &TrajectoryRecord| training_value(&Judged::of(record, &corpus, 0.0)).0;
    let made: Vec<SetRow> = all
        .values()
        .flat_map(|record| rows(record, value(record)))
        .collect();
    let mut different = Vec::new();
    for set in SETS {
        let rows = of(set, &made);
        assert!(!rows.is_empty(), "{set} has no rows");
        let shown = Value::Array(shortened(set, &rows));
        let text = serde_json::to_string_pretty(&shown).unwrap() + "\n";
        let path = root.join(format!("{set}.json"));
        let golden = || serde_json::from_str(&fs::read_to_string(&path).ok()?).ok();
        if bless {
            fs::create_dir_all(&root).unwrap();
            fs::write(&path, &text).unwrap();
        } else if golden().as_ref() != Some(&shown) {
            different.push(path.display().to_string());
        }
    }
    assert!(
        different.is_empty(),
        "other than golden (CAMPAIGND_BLESS=1 renews them):\n{}",
        different.join("\n")
    );
}

/// The first row whole, of the others what is no code: that lies in the golden trajectories already.
fn shortened(set: DataSet, rows: &[&Map<String, Value>]) -> Vec<Value> {
    let long = [
        "messages",
        "prompt",
        "code",
        "generated_code",
        "config",
        "plan_json",
    ];
    let short = |(n, row): (usize, &&Map<String, Value>)| {
        let mut row = (*row).clone();
        let keep = n == 0 || set == DataSet::Routing || set == DataSet::ErrorRecovery;
        if !keep {
            long.iter().for_each(|key| drop(row.remove(*key)));
        }
        Value::Object(row)
    };
    rows.iter().enumerate().map(short).collect()
}

#[test]
fn every_row_has_the_columns_of_its_schema_and_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for record in all().values() {
        for SetRow { set, row } in rows(record, 0.5) {
            let Schema(fields) = schema(set);
            let names: BTreeSet<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            assert_eq!(names.len(), fields.len(), "{set} has a column twice");
            let keys: BTreeSet<&str> = row.keys().map(String::as_str).collect();
            assert_eq!(keys, names, "{set}");
            schema(set).fits(&row).unwrap();
            assert_eq!(schema(set).conform(row.clone()), row, "{set}");
            let id = row["id"].as_str().unwrap().to_owned();
            assert!(
                id.starts_with(&format!("{}/", record.trajectory_id)),
                "{id}"
            );
            assert!(ids.insert(id.clone()), "{id} twice");
        }
    }
}

#[test]
fn the_shapes_of_the_specification_are_there_by_name() {
    let record = by_models();
    let rows = rows(&record, 0.5);
    let keys = |value: &Value| {
        let keys = value.as_object().unwrap().keys();
        keys.cloned().collect::<BTreeSet<String>>()
    };
    let of_words = |words: &str| words.split(' ').map(str::to_owned).collect();
    let first = |set| of(set, &rows)[0];
    for (set, names) in [
        (
            DataSet::Routing,
            "query context optimal_tier optimal_model reasoning target_tier target_model",
        ),
        (
            DataSet::Codegen,
            "plan plan_json generated_code config validation_passed execution_success",
        ),
        (DataSet::Validation, "code issues severity auto_fixable"),
        (
            DataSet::ErrorRecovery,
            "error_type error_message context resolution outcome",
        ),
        (
            DataSet::ValidationPreferences,
            "query code chosen_feedback rejected_feedback rejected_by",
        ),
    ] {
        for name in names.split(' ') {
            assert!(first(set).contains_key(name), "{set} has no {name}");
        }
    }
    let nested: [(&Value, BTreeSet<String>); 3] = [
        (
            &first(DataSet::Routing)["context"],
            of_words(
                "available_models user_preference budget_remaining analysis_type complexity agent",
            ),
        ),
        (
            &first(DataSet::Codegen)["plan"],
            of_words("analysis_type steps organism reference"),
        ),
        (
            &first(DataSet::ErrorRecovery)["resolution"],
            of_words("action new_value config_change"),
        ),
    ];
    for (value, names) in nested {
        assert_eq!(keys(value), names);
    }
}

fn turn<'a>(row: &'a Map<String, Value>, column: &str, role: &str) -> &'a str {
    let turns = row[column].as_array().unwrap();
    let turn = turns.iter().find(|turn| turn["role"] == role).unwrap();
    turn["content"].as_str().unwrap()
}

#[test]
fn answers_are_the_rows_own_fields_in_the_specifications_order() {
    for record in all().values() {
        for SetRow { set, row } in rows(record, 0.5) {
            let same = |text: &str, keys: &[&str]| {
                let said: Value = serde_json::from_str(text).unwrap();
                assert_eq!(said.as_object().unwrap().len(), keys.len(), "{text}");
                let places = keys
                    .iter()
                    .map(|key| text.find(&format!("\"{key}\":")).unwrap());
                assert!(places.is_sorted(), "{text}");
                for key in keys {
                    assert_eq!(said[*key], row[*key], "{set}: {key}");
                }
            };
            match set {
                DataSet::Routing => same(
                    turn(&row, "messages", "assistant"),
                    &["optimal_tier", "optimal_model", "reasoning"],
                ),
                DataSet::Codegen => {
                    assert_eq!(turn(&row, "messages", "assistant"), row["generated_code"]);
                    assert_eq!(turn(&row, "messages", "user"), row["plan_json"]);
                }
                DataSet::Validation => same(
                    turn(&row, "messages", "assistant"),
                    &["issues", "severity", "auto_fixable"],
                ),
                DataSet::ErrorRecovery => same(
                    turn(&row, "messages", "assistant"),
                    &["error_type", "resolution"],
                ),
                _ => {
                    assert_eq!(turn(&row, "chosen", "assistant"), row["chosen_feedback"]);
                    assert_eq!(
                        turn(&row, "rejected", "assistant"),
                        row["rejected_feedback"]
                    );
                    assert_ne!(row["chosen_feedback"], row["rejected_feedback"]);
                }
            }
        }
    }
}

#[test]
fn nothing_that_differs_between_runs_is_in_a_row() {
    let record = by_models();
    let mut again = record.clone();
    again.session_id = Some("another/job".into());
    again.created_at = "2027-01-01T00:00:00Z".into();
    again.completed_at = Some("2027-01-01T00:00:09Z".into());
    again.total_latency_ms = 1e6;
    for step in &mut again.steps {
        step.latency_ms = Some(5.0);
        step.timestamp = Some("2027-01-01T00:00:00Z".into());
    }
    for decision in &mut again.routing_decisions {
        decision.alternatives[0].latency_ms = None;
    }
    assert_eq!(rows(&again, 0.5), rows(&record, 0.5));
}

#[test]
fn routing_is_learned_from_decisions_that_were_measured_and_held() {
    let record = by_models();
    let made = rows(&record, 0.5);
    let routing = of(DataSet::Routing, &made);
    // The planner's and, of two in the same words, the validator's first.
    let ids: Vec<&Value> = routing.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["t-models-1/routing/0", "t-models-1/routing/3"]);
    let row = routing[0];
    assert_eq!(row["optimal_tier"], "LOCAL_LARGE");
    assert_eq!(row["target_tier"], "local_large");
    assert_eq!(row["context"]["user_preference"], Value::Null);
    // In an order that does not tell.
    assert_eq!(
        row["context"]["available_models"],
        json!(["a-small-model", "a-large-model"])
    );
    // Where another model had to answer, the choice was not shown to be good.
    let mut fell_back = record.clone();
    fell_back.model_comparisons[0].model_a = "a-third-model".into();
    let made = rows(&fell_back, 0.5);
    assert_eq!(of(DataSet::Routing, &made)[0]["id"], "t-models-1/routing/3");
    assert!(of(DataSet::Routing, &rows(&golden("rna_seq"), 0.5)).is_empty());
}

#[test]
fn code_is_learned_from_what_ended_well() {
    let sound = golden("rna_seq");
    let codegen = |record: &TrajectoryRecord| -> Vec<Value> {
        let made = rows(record, 0.5);
        let rows = of(DataSet::Codegen, &made);
        rows.iter()
            .map(|row| row["execution_success"].clone())
            .collect()
    };
    assert_eq!(codegen(&sound), [Value::Null], "nothing was run");
    let mut ran = sound.clone();
    (ran.execution_submitted, ran.execution_completed) = (true, true);
    ran.execution_exit_code = Some(0);
    assert_eq!(codegen(&ran), [json!(true)]);
    ran.execution_exit_code = Some(1);
    assert!(codegen(&ran).is_empty(), "seen to fail");
    for outcome in Outcome::ALL.iter().filter(|one| **one != Outcome::Success) {
        let mut failed = sound.clone();
        failed.outcome = *outcome;
        assert!(codegen(&failed).is_empty(), "{outcome}");
    }
}

#[test]
fn faulty_drafts_and_mended_code_balance() {
    for (name, record) in trajectories() {
        let made = rows(&record, 0.5);
        let rows = of(DataSet::Validation, &made);
        assert_eq!(rows.len(), 2, "{name}");
        let (faulty, clean) = (rows[0], rows[1]);
        assert_eq!(
            faulty["issues"].as_array().unwrap().len(),
            lint(faulty["code"].as_str().unwrap()).len()
        );
        let planned = record.planned_defect.unwrap();
        assert_eq!(faulty["planned_line"], planned.line);
        assert_eq!(clean["planned_defect"], Value::Null);
        assert_eq!(clean["issues"], json!([]));
        assert_eq!(
            (&clean["severity"], &clean["auto_fixable"]),
            (&Value::Null, &Value::Null)
        );
        assert!(lint(clean["code"].as_str().unwrap()).is_empty());
    }
    let mut unmended = golden("wes");
    unmended.final_validation_passed = false;
    assert_eq!(of(DataSet::Validation, &rows(&unmended, 0.5)).len(), 1);
    let mut stuck = unmended.clone();
    stuck.drafts.push(stuck.drafts[0].clone());
    let made = rows(&stuck, 0.5);
    assert_eq!(of(DataSet::Validation, &made).len(), 1, "said once");
    let mut by_plan = golden("wes");
    by_plan.drafts[0].issues.clear();
    assert!(of(DataSet::Validation, &rows(&by_plan, 0.5)).is_empty());
}

#[test]
fn a_rejected_review_is_false() {
    let mut by = BTreeMap::new();
    for record in all().values() {
        for row in of(DataSet::ValidationPreferences, &rows(record, 0.5)) {
            let truth = lint(row["code"].as_str().unwrap());
            let said = |column: &str| -> Vec<(i64, String)> {
                let said: Value = serde_json::from_str(row[column].as_str().unwrap()).unwrap();
                let issues = said["issues"].as_array().unwrap().clone();
                let keys = |issue: &Value| {
                    (
                        issue["line"].as_i64().unwrap(),
                        issue["type"].as_str().unwrap().to_owned(),
                    )
                };
                issues.iter().map(keys).collect()
            };
            let truth: Vec<(i64, String)> = truth
                .iter()
                .map(|issue| (issue.line.into(), issue.rule.name().into()))
                .collect();
            assert_eq!(said("chosen_feedback"), truth);
            let rejected = said("rejected_feedback");
            let missed = truth.iter().any(|issue| !rejected.contains(issue));
            let false_one = rejected.iter().any(|issue| !truth.contains(issue));
            assert!(missed || false_one, "{}", row["id"]);
            let kind = (
                row["rejected_by"].as_str().unwrap().to_owned(),
                missed,
                false_one,
            );
            *by.entry(kind).or_insert(0) += 1;
        }
    }
    let met = |by_whom: &str, missed, false_one| {
        by.contains_key(&(by_whom.to_owned(), missed, false_one))
    };
    assert!(
        met("model", true, true)
            && met("constructed", true, false)
            && met("constructed", false, true),
        "{by:?}"
    );
}

#[test]
fn a_models_right_review_is_no_rejected_one() {
    let mut record = by_models();
    let preferred = |record: &TrajectoryRecord| {
        let made = rows(record, 0.5);
        of(DataSet::ValidationPreferences, &made)[0]["rejected_by"].clone()
    };
    assert_eq!(preferred(&record), "model");
    let issue = record.drafts[0].issues[0].clone();
    let right = json!({ "issues": [{ "line": issue.line + 1, "type": issue.rule, "message": "so it is" }] });
    record.drafts[0].feedback = Some(right.to_string());
    assert_eq!(preferred(&record), "constructed");
    record.drafts[0].feedback = Some("I cannot say {".into());
    assert_eq!(preferred(&record), "constructed");
    let far = json!({ "issues": [{ "line": i64::MIN, "type": issue.rule }] });
    record.drafts[0].feedback = Some(far.to_string());
    assert_eq!(preferred(&record), "model", "no line of this file");
    record.drafts[0].feedback = Some("{\"issues\": []}".into());
    assert_eq!(preferred(&record), "model", "it missed what is there");
}

#[test]
fn a_misread_error_teaches_its_true_cause() {
    let honest = golden("rna_seq");
    let made = rows(&honest, 0.5);
    let right = of(DataSet::ErrorRecovery, &made)[0];
    let misread = by_models();
    let made = rows(&misread, 0.5);
    let row = of(DataSet::ErrorRecovery, &made)[0];
    assert_eq!(row["planned_kind"], "annotation_mismatch");
    assert_eq!(row["diagnosed_kind"], "out_of_memory");
    for key in ["error_type", "resolution", "messages"] {
        assert_eq!(row[key], right[key], "{key}");
    }
    let mut helpless = honest.clone();
    helpless.error_resolutions[0].outcome = errors::Outcome::Failure;
    assert!(of(DataSet::ErrorRecovery, &rows(&helpless, 0.5)).is_empty());
}

/// Every golden error, as if nobody had found its cause: the catalogue's answer is the one that the rules gave.
#[test]
fn the_true_cause_has_the_remedy_that_the_rules_gave() {
    for (name, record) in trajectories() {
        let mut unseen = record.clone();
        unseen.error_resolutions[0].diagnosed_kind = None;
        unseen.error_resolutions[0].error_type = None;
        let (right, truth) = (rows(&record, 0.5), rows(&unseen, 0.5));
        let (right, truth) = (
            of(DataSet::ErrorRecovery, &right)[0],
            of(DataSet::ErrorRecovery, &truth)[0],
        );
        assert_eq!(right["resolution"], truth["resolution"], "{name}");
    }
}
