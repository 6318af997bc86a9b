-- Specification 1, section 2.1, _init_db.
CREATE TABLE IF NOT EXISTS trajectories (
    trajectory_id TEXT PRIMARY KEY,
    query TEXT NOT NULL,
    analysis_type TEXT NOT NULL,
    organism TEXT,
    complexity TEXT,
    outcome TEXT,
    total_tokens INTEGER DEFAULT 0,
    total_cost_usd REAL DEFAULT 0,
    total_latency_ms REAL DEFAULT 0,
    validation_iterations INTEGER DEFAULT 0,
    final_validation_passed INTEGER DEFAULT 0,
    execution_exit_code INTEGER,
    user_feedback TEXT,
    created_at TEXT NOT NULL,
    completed_at TEXT,
    data_json TEXT
);

CREATE TABLE IF NOT EXISTS steps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trajectory_id TEXT NOT NULL,
    step_id INTEGER NOT NULL,
    agent TEXT NOT NULL,
    action TEXT NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    latency_ms REAL,
    model_used TEXT,
    model_tier TEXT,
    cost_usd REAL,
    success INTEGER,
    error TEXT,
    timestamp TEXT,
    FOREIGN KEY (trajectory_id) REFERENCES trajectories(trajectory_id)
);

CREATE TABLE IF NOT EXISTS routing_decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trajectory_id TEXT NOT NULL,
    selected_tier TEXT,
    selected_model TEXT,
    reasoning TEXT,
    cost_estimate REAL,
    actual_cost REAL,
    was_optimal INTEGER,
    FOREIGN KEY (trajectory_id) REFERENCES trajectories(trajectory_id)
);

CREATE INDEX IF NOT EXISTS idx_traj_outcome ON trajectories(outcome);
CREATE INDEX IF NOT EXISTS idx_traj_analysis ON trajectories(analysis_type);
CREATE INDEX IF NOT EXISTS idx_steps_traj ON steps(trajectory_id);

-- Specification 1, section 2.3, TRAINING_TABLES.
CREATE TABLE IF NOT EXISTS agent_decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trajectory_id TEXT,
    agent TEXT NOT NULL,
    decision_type TEXT NOT NULL,  -- model_selection, retry, fallback
    input_context TEXT,
    decision TEXT,
    outcome TEXT,  -- success, failure, timeout
    latency_ms REAL,
    timestamp TEXT
);

CREATE TABLE IF NOT EXISTS error_resolutions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trajectory_id TEXT,
    error_type TEXT NOT NULL,
    error_message TEXT,
    resolution_attempted TEXT,
    resolution_success INTEGER,
    iterations INTEGER,
    final_state TEXT
);

CREATE TABLE IF NOT EXISTS model_comparisons (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    query_hash TEXT NOT NULL,
    model_a TEXT,
    model_b TEXT,
    output_a TEXT,
    output_b TEXT,
    quality_a REAL,  -- Human or automated rating
    quality_b REAL,
    cost_a REAL,
    cost_b REAL,
    winner TEXT,  -- a, b, tie
    timestamp TEXT
);
