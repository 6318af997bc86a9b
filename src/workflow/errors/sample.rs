//! Error recovery as training data: the specification's example (section 3.1) and its table (section 2.3).

use serde::{Deserialize, Serialize};

use super::catalogue::Category;
use super::diagnosis::Diagnosis;
use super::resolution::{Resolution, resolve};
use super::slots::Situation;

/// How a resolution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The error was gone afterwards.
    Success,
    /// The error was still there, or another had come.
    Failure,
    /// Nobody tried.
    Untried,
}

/// What a model sees beside the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorContext {
    /// The process that failed.
    pub process: String,
    /// Memory it had, such as `16 GB`.
    pub current_memory: String,
    /// Size of its input, GB, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_size_gb: Option<u32>,
}

/// One example of the error-recovery data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResolution {
    /// Category in capitals.
    pub error_type: Category,
    /// What the run printed.
    pub error_message: String,
    /// What was known about the task.
    pub context: ErrorContext,
    /// What was done.
    pub resolution: Resolution,
    /// How it ended.
    pub outcome: Outcome,
}

/// One row of the table `error_resolutions`, without its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResolutionRow {
    /// Category in capitals.
    pub error_type: Category,
    /// What the run printed.
    pub error_message: String,
    /// Action and new value in one text.
    pub resolution_attempted: String,
    /// Whether it helped; none where nobody tried.
    pub resolution_success: Option<bool>,
    /// Cycles it took.
    pub iterations: u32,
    /// State in which the trajectory ended.
    pub final_state: String,
}

impl ErrorResolution {
    /// The example of a diagnosed error and what was done in its situation.
    pub fn of(diagnosis: &Diagnosis, situation: &Situation, outcome: Outcome) -> ErrorResolution {
        let process = diagnosis.process.clone();
        ErrorResolution {
            error_type: diagnosis.category,
            error_message: diagnosis.message.clone(),
            context: ErrorContext {
                process: process.unwrap_or_else(|| situation.process.clone()),
                current_memory: format!("{} GB", situation.memory_gb),
                input_size_gb: situation.input_size_gb,
            },
            resolution: resolve(diagnosis, situation),
            outcome,
        }
    }

    /// The same as a row of the table.
    pub fn row(&self, iterations: u32, final_state: &str) -> ErrorResolutionRow {
        let value = self.resolution.new_value.as_deref();
        let attempted = match value {
            Some(value) => format!("{}: {value}", self.resolution.action),
            None => self.resolution.action.clone(),
        };
        ErrorResolutionRow {
            error_type: self.error_type,
            error_message: self.error_message.clone(),
            resolution_attempted: attempted,
            resolution_success: match self.outcome {
                Outcome::Success => Some(true),
                Outcome::Failure => Some(false),
                Outcome::Untried => None,
            },
            iterations,
            final_state: final_state.to_owned(),
        }
    }
}
