//! What a run did and used: the specification's `ExecutionMetrics` (section 2.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::{Account, failed, succeeded};
use super::sums::Wall;

/// Metrics of one run of a workflow.
///
/// A sum over rows that do not say the value is 0; [`Observations`] says how many rows stand behind it, and a sum of none
/// is no evidence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutionMetrics {
    /// Name of the run, or of its directory.
    pub workflow_id: String,
    /// Tasks in the trace, each attempt counted: its rows.
    pub total_processes: u64,
    /// Rows that are COMPLETED or CACHED.
    pub completed_processes: u64,
    /// Rows that are FAILED or ABORTED, also those that were tried again with success.
    pub failed_processes: u64,
    /// Sum of `realtime` times `%cpu`, hours, without cached rows.
    pub total_cpu_hours: f64,
    /// Sum of peak memory times `realtime`, GiB hours, without cached rows.
    pub total_memory_gb_hours: f64,
    /// From the first submission to the last end, minutes, without cached rows.
    pub wall_time_minutes: f64,
    /// Per process, by the name of its tasks without the tag.
    pub process_metrics: BTreeMap<String, ProcessMetrics>,
    /// Tasks that failed and were not made good by another attempt, by their full name.
    pub error_processes: Vec<String>,
    /// What the failures of the run said, each once.
    pub error_messages: Vec<String>,
    /// Files that the tasks were given, each once.
    pub input_files: u64,
    /// Files that the tasks made or the run published.
    pub output_files: u64,
    /// Size of the input files, GiB.
    pub total_input_size_gb: f64,
    /// Size of the output files, GiB.
    pub total_output_size_gb: f64,
    /// Rows by the word of their status.
    pub by_status: BTreeMap<String, u64>,
    /// MultiQC's general statistics: metric by name, by sample.
    pub qc: BTreeMap<String, BTreeMap<String, f64>>,
    /// How many rows stand behind each sum.
    pub observations: Observations,
}

/// One process of a run: all its tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessMetrics {
    /// Rows of its tasks, each attempt counted.
    pub rows: u64,
    /// Rows by the word of their status.
    pub by_status: BTreeMap<String, u64>,
    /// Sum of `realtime`, hours, cached rows too.
    pub realtime_hours: f64,
    /// Sum of `realtime` times `%cpu`, hours, without cached rows.
    pub cpu_hours: f64,
    /// Sum of peak memory times `realtime`, GiB hours, without cached rows.
    pub memory_gb_hours: f64,
    /// Most memory that a task of it held, bytes; none where no row says.
    pub max_peak_bytes: Option<f64>,
}

/// How many rows a sum rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observations {
    /// Rows with `realtime` and `%cpu`.
    pub cpu: u64,
    /// Rows with `realtime` and a peak of memory.
    pub memory: u64,
    /// Rows with a beginning and an end.
    pub wall: u64,
}

impl From<&Account> for ExecutionMetrics {
    /// The part of the metrics that the traces tell.
    fn from(account: &Account) -> ExecutionMetrics {
        let count = |which: fn(&str) -> bool| -> u64 {
            let statuses = account.by_status.iter();
            statuses
                .filter(|(word, _)| which(word))
                .map(|(_, rows)| rows)
                .sum()
        };
        let (cpu, memory) = (account.fresh.cpu_hours(), account.fresh.memory_gib_hours());
        ExecutionMetrics {
            total_processes: account.rows,
            completed_processes: count(succeeded),
            failed_processes: count(failed),
            total_cpu_hours: cpu.0,
            total_memory_gb_hours: memory.0,
            wall_time_minutes: account.wall_fresh.map_or(0.0, Wall::minutes),
            process_metrics: account.processes.clone(),
            error_processes: account.lost(),
            by_status: account.by_status.clone(),
            observations: Observations {
                cpu: cpu.1,
                memory: memory.1,
                wall: account.wall_fresh.map_or(0, |wall| wall.rows),
            },
            ..ExecutionMetrics::default()
        }
    }
}
