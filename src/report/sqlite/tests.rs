//! Databases that are written and read again: schema, joins, values, and what is left out.

use super::*;
use serde_json::json;

/// Specification 1, sections 2.1 and 2.3, as SQLite keeps them: without IF NOT EXISTS.
const EXPECTED: &[&str] = &[
    "CREATE TABLE trajectories ( trajectory_id TEXT PRIMARY KEY, query TEXT NOT NULL, analysis_type TEXT NOT NULL, organism TEXT, complexity TEXT, outcome TEXT, total_tokens INTEGER DEFAULT 0, total_cost_usd REAL DEFAULT 0, total_latency_ms REAL DEFAULT 0, validation_iterations INTEGER DEFAULT 0, final_validation_passed INTEGER DEFAULT 0, execution_exit_code INTEGER, user_feedback TEXT, created_at TEXT NOT NULL, completed_at TEXT, data_json TEXT )",
    "CREATE TABLE steps ( id INTEGER PRIMARY KEY AUTOINCREMENT, trajectory_id TEXT NOT NULL, step_id INTEGER NOT NULL, agent TEXT NOT NULL, action TEXT NOT NULL, input_tokens INTEGER, output_tokens INTEGER, latency_ms REAL, model_used TEXT, model_tier TEXT, cost_usd REAL, success INTEGER, error TEXT, timestamp TEXT, FOREIGN KEY (trajectory_id) REFERENCES trajectories(trajectory_id) )",
    "CREATE TABLE routing_decisions ( id INTEGER PRIMARY KEY AUTOINCREMENT, trajectory_id TEXT NOT NULL, selected_tier TEXT, selected_model TEXT, reasoning TEXT, cost_estimate REAL, actual_cost REAL, was_optimal INTEGER, FOREIGN KEY (trajectory_id) REFERENCES trajectories(trajectory_id) )",
    "CREATE INDEX idx_traj_outcome ON trajectories(outcome)",
    "CREATE INDEX idx_traj_analysis ON trajectories(analysis_type)",
    "CREATE INDEX idx_steps_traj ON steps(trajectory_id)",
    "CREATE TABLE agent_decisions ( id INTEGER PRIMARY KEY AUTOINCREMENT, trajectory_id TEXT, agent TEXT NOT NULL, decision_type TEXT NOT NULL, -- model_selection, retry, fallback input_context TEXT, decision TEXT, outcome TEXT, -- success, failure, timeout latency_ms REAL, timestamp TEXT )",
    "CREATE TABLE error_resolutions ( id INTEGER PRIMARY KEY AUTOINCREMENT, trajectory_id TEXT, error_type TEXT NOT NULL, error_message TEXT, resolution_attempted TEXT, resolution_success INTEGER, iterations INTEGER, final_state TEXT )",
    "CREATE TABLE model_comparisons ( id INTEGER PRIMARY KEY AUTOINCREMENT, query_hash TEXT NOT NULL, model_a TEXT, model_b TEXT, output_a TEXT, output_b TEXT, quality_a REAL, -- Human or automated rating quality_b REAL, cost_a REAL, cost_b REAL, winner TEXT, -- a, b, tie timestamp TEXT )",
];

fn trajectory(id: &str) -> Value {
    json!({
        "id": id, "trajectory_id": id, "query": "RNA-seq of \u{e9}lan\u{0} 'x'", "analysis_type": "rna_seq",
        "organism": null, "complexity": "simple", "outcome": "success", "total_tokens": 7, "total_cost_usd": 0.25,
        "total_latency_ms": 12.5, "validation_iterations": 2, "final_validation_passed": true,
        "execution_exit_code": null, "user_feedback": "positive", "created_at": "2026-03-02T09:14:02Z",
        "cycles": 1, "extra": [1, {"deep": true}],
        "steps": [
            {"step_id": 1, "agent": "planner", "action": "generate_plan", "input_tokens": 0, "success": true, "latency_ms": null},
            {"step_id": 2, "agent": "codegen", "action": "generate_code", "cost_usd": 0.25, "success": false, "error": "e"},
            {"agent": "codegen", "action": "no number"},
        ],
        "routing_decisions": [
            {"selected_tier": "local_small", "was_optimal": null, "cost_estimate": 1},
            {"selected_tier": "cloud_large", "was_optimal": true},
            {"selected_tier": "cloud_small", "was_optimal": false},
        ],
        "agent_decisions": [{"agent": "supervisor", "decision_type": "retry", "outcome": "success"}],
        "error_resolutions": [
            {"error_type": "MEMORY", "error_message": "m", "resolution_attempted": "a", "resolution_success": true, "iterations": 3, "final_state": "f"},
            {"error_type": "DISK", "error_message": "n", "context": {}, "outcome": "untried",
             "resolution": {"action": "increase_memory", "new_value": "48 GB", "config_change": null}},
        ],
        "model_comparisons": [{"query_hash": "h", "model_a": "a", "quality_a": 0.5, "winner": "tie"}],
    })
}

fn written(rows: &[Value]) -> (Counts, Connection, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let mut database = Database::create(&path).unwrap();
    for row in rows {
        database.add(row).unwrap();
    }
    let counts = database.finish().unwrap();
    (counts, Connection::open(path).unwrap(), dir)
}

fn one<T: rusqlite::types::FromSql>(connection: &Connection, query: &str) -> T {
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn the_schema_is_the_specifications() {
    let (_, connection, _dir) = written(&[]);
    let query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
    let mut asked = connection.prepare(query).unwrap();
    let found = asked.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let words = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let found: Vec<String> = found.map(|sql| words(sql.unwrap())).collect();
    assert_eq!(found, EXPECTED);
}

#[test]
fn rows_and_their_parts_join_and_the_file_is_sound() {
    let rows: Vec<Value> = (0..50).map(|n| trajectory(&format!("t-1-{n}"))).collect();
    let (counts, connection, _dir) = written(&rows);
    assert_eq!(counts.trajectories, 50);
    assert_eq!(counts.parts["steps"], 100);
    assert_eq!(counts.parts_left_out["steps.step_id"], 50);
    assert_eq!(counts.left_out.len() + counts.repeated as usize, 0);
    assert_eq!(one::<String>(&connection, "PRAGMA integrity_check"), "ok");
    let orphans = "SELECT COUNT(*) FROM pragma_foreign_key_check";
    assert_eq!(one::<i64>(&connection, orphans), 0);
    let joined = "SELECT COUNT(*) FROM trajectories t JOIN steps s USING (trajectory_id) WHERE s.success = 0 AND t.user_feedback = 'positive'";
    assert_eq!(one::<i64>(&connection, joined), 50);
    for (table, rows) in [
        ("routing_decisions", 150),
        ("agent_decisions", 50),
        ("error_resolutions", 100),
        ("model_comparisons", 50),
    ] {
        assert_eq!(
            one::<i64>(&connection, &format!("SELECT COUNT(*) FROM {table}")),
            rows
        );
        assert_eq!(counts.parts[table], rows as u64);
    }
}

#[test]
fn values_are_what_the_row_says() {
    let (_, connection, _dir) = written(&[trajectory("t-1-1")]);
    let row: String = one(&connection, "SELECT data_json FROM trajectories");
    assert_eq!(
        serde_json::from_str::<Value>(&row).unwrap(),
        trajectory("t-1-1")
    );
    let query: String = one(&connection, "SELECT query FROM trajectories");
    assert_eq!(query, trajectory("x")["query"]);
    let passed =
        "SELECT typeof(final_validation_passed) || final_validation_passed FROM trajectories";
    assert_eq!(one::<String>(&connection, passed), "integer1");
    let optimal = "SELECT group_concat(COALESCE(was_optimal, '?')) FROM routing_decisions";
    assert_eq!(one::<String>(&connection, optimal), "?,1,0");
    let latency = "SELECT COUNT(*) FROM steps WHERE latency_ms IS NULL AND input_tokens = 0";
    assert_eq!(one::<i64>(&connection, latency), 1);
    let solved = "SELECT group_concat(error_type || '|' || resolution_attempted || '|' || COALESCE(resolution_success, '?') || '|' || iterations || '|' || final_state, ';') FROM error_resolutions";
    assert_eq!(
        one::<String>(&connection, solved),
        "MEMORY|a|1|3|f;DISK|increase_memory: 48 GB|?|1|success"
    );
}

#[test]
fn what_the_schema_refuses_is_counted_by_what_it_lacks() {
    let foreign = json!({"id": 17, "text": "hello"});
    let dated = json!({"id": 18, "query": "q", "analysis_type": "a", "created_at": "2026"});
    let undated = json!({"id": "x", "query": "q", "analysis_type": "a", "created_at": null});
    let rows = [foreign, dated.clone(), undated, dated, json!([1])];
    let (counts, connection, _dir) = written(&rows);
    assert_eq!((counts.trajectories, counts.repeated), (1, 1));
    let expected = [("created_at", 1), ("query", 1), ("trajectory_id", 1)];
    let expected = expected.map(|(column, rows)| (column.to_string(), rows));
    assert_eq!(counts.left_out, BTreeMap::from(expected));
    assert_eq!(
        one::<String>(&connection, "SELECT trajectory_id FROM trajectories"),
        "18"
    );
    assert_eq!(
        one::<i64>(&connection, "SELECT total_tokens FROM trajectories"),
        0
    );
}
