//! What running a workflow adds to its trajectory (specification 1, 2.1 "Execution" and 6.1).
//!
//! A trajectory never changes: this is joined to it by id when it is read. A repair is a sample of its own, with the id of
//! the one that it repairs as `parent`.

use super::record::{Outcome, Recovery};
use crate::workflow::{
    errors::{Diagnosis, Outcome as Recovered},
    expectation::Check,
    trace::ExecutionMetrics,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One run of one workflow: a line of `data/execute/shard-K.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The trajectory's id, which every generator's samples have.
    pub id: String,
    /// The same by the specification's name.
    pub trajectory_id: String,
    /// Of a repair: the id of the trajectory that it repairs.
    pub parent: Option<String>,
    /// The test data set that it was run on; none where the command needs none.
    pub dataset: Option<String>,
    /// The argument vector as it was run.
    pub command: Vec<String>,
    /// The command's exit status; none where a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it reached its time limit.
    pub timed_out: bool,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339.
    pub ended_at: String,
    /// Its directory, from the campaign's own.
    pub logs_path: String,
    /// What it did and used; none where nothing tells of it.
    pub metrics: Option<ExecutionMetrics>,
    /// What was left out of the account or is doubtful, a sentence each.
    pub notes: Vec<String>,
    /// Why it failed; none after a success, and where nothing says why.
    pub diagnosis: Option<Diagnosis>,
    /// What its test data set expects, held against it.
    pub checks: Vec<Check>,
    /// `success`, `execution_failed`, `timeout` or `user_cancelled`.
    pub outcome: Outcome,
    /// Why, one sentence.
    pub outcome_reason: String,
    /// The error and what should help; none after a success, and where no cause is known.
    pub error_resolution: Option<Recovery>,
}

impl Execution {
    /// Whether it ran to its end by itself, well or not.
    pub fn completed(&self) -> bool {
        !self.timed_out && self.outcome != Outcome::UserCancelled
    }

    /// What a trajectory gains by it. `repaired` says how the run of a repair ended, where there was one: then it is known
    /// whether the remedy helped.
    pub fn join(&self, row: &mut Map<String, Value>, repaired: Option<Outcome>) {
        row.insert("execution_submitted".into(), true.into());
        row.insert("execution_completed".into(), self.completed().into());
        row.insert("execution_exit_code".into(), self.exit_code.into());
        row.insert("execution_logs_path".into(), self.logs_path.clone().into());
        if self.outcome == Outcome::Success {
            return;
        }
        row.insert("outcome".into(), self.outcome.name().into());
        // Rows of other generators have columns of their own.
        if row.contains_key("outcome_reason") {
            let reason = self.outcome_reason.clone();
            row.insert("outcome_reason".into(), reason.into());
        }
        if let Some(Value::Array(met)) = row.get_mut("error_resolutions")
            && let Some(own) = &self.error_resolution
        {
            met.push(json!(own.clone().tried(repaired)));
        }
    }
}

impl Recovery {
    /// The same, when it is known how the workflow ran with the remedy.
    fn tried(mut self, outcome: Option<Outcome>) -> Self {
        if let Some(outcome) = outcome {
            let helped = outcome == Outcome::Success;
            self.resolution_success = Some(helped);
            self.outcome = if helped {
                Recovered::Success
            } else {
                Recovered::Failure
            };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::errors::{Category, ErrorContext, Resolution};

    fn failed() -> Execution {
        Execution {
            id: "t-1-5".into(),
            trajectory_id: "t-1-5".into(),
            parent: None,
            dataset: None,
            command: vec!["run".into()],
            exit_code: Some(137),
            signal: None,
            timed_out: false,
            started_at: String::new(),
            ended_at: String::new(),
            logs_path: "executions/t-1-5".into(),
            metrics: None,
            notes: Vec::new(),
            diagnosis: None,
            checks: Vec::new(),
            outcome: Outcome::ExecutionFailed,
            outcome_reason: "ended with status 137".into(),
            error_resolution: Some(Recovery {
                error_type: Some(Category::Memory),
                error_message: "oom".into(),
                context: ErrorContext {
                    process: "ALIGN".into(),
                    current_memory: "8 GB".into(),
                    input_size_gb: None,
                },
                resolution: Resolution {
                    action: "increase_memory".into(),
                    new_value: Some("16 GB".into()),
                    config_change: None,
                },
                outcome: Recovered::Untried,
                resolution_attempted: "increase_memory: 16 GB".into(),
                resolution_success: None,
                iterations: 1,
                final_state: "execution_failed".into(),
                diagnosed_kind: Some("out_of_memory".into()),
                planned_kind: None,
            }),
        }
    }

    fn row() -> Map<String, Value> {
        let Value::Object(row) = json!({
            "outcome": "success", "outcome_reason": "no findings", "error_resolutions": [],
            "execution_submitted": false,
        }) else {
            unreachable!("it is an object");
        };
        row
    }

    #[test]
    fn a_failure_changes_how_the_trajectory_ended() {
        let mut joined = row();
        failed().join(&mut joined, None);
        assert_eq!(joined["outcome"], "execution_failed");
        assert_eq!(joined["outcome_reason"], "ended with status 137");
        assert_eq!(joined["execution_exit_code"], 137);
        assert_eq!(joined["execution_completed"], true);
        assert_eq!(joined["error_resolutions"][0]["outcome"], "untried");
        let mut foreign = Map::new();
        failed().join(&mut foreign, None);
        assert!(!foreign.contains_key("error_resolutions"));
    }

    #[test]
    fn whether_a_remedy_helped_is_known_from_the_repair() {
        for (repaired, word, helped) in [
            (Outcome::Success, "success", true),
            (Outcome::ExecutionFailed, "failure", false),
            (Outcome::Timeout, "failure", false),
        ] {
            let mut joined = row();
            failed().join(&mut joined, Some(repaired));
            let met = &joined["error_resolutions"][0];
            assert_eq!(met["outcome"], word);
            assert_eq!(met["resolution_success"], helped);
        }
    }

    #[test]
    fn a_success_leaves_the_outcome_as_it_is() {
        let mut joined = row();
        let run = Execution {
            exit_code: Some(0),
            outcome: Outcome::Success,
            ..failed()
        };
        run.join(&mut joined, None);
        assert_eq!(joined["outcome"], "success");
        assert_eq!(joined["execution_submitted"], true);
        assert_eq!(joined["error_resolutions"], json!([]));
    }
}
