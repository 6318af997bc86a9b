//! What a job asks of SLURM, by sbatch's own names.

use serde::{Deserialize, Serialize};

/// The resources of a phase's tasks, and where they go. An empty text or none leaves it to the site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlurmSpec {
    /// `--partition`.
    pub partition: String,
    /// `--account`.
    pub account: String,
    /// `--qos`.
    pub qos: String,
    /// `--time`, seconds.
    pub time_seconds: Option<u64>,
    /// `--mem` of a node, MiB.
    pub mem_mib: Option<u64>,
    /// `--cpus-per-task`.
    pub cpus_per_task: Option<u32>,
    /// `--gres`: `gpu:1`.
    pub gres: String,
    /// `--constraint`.
    pub constraint: String,
    /// `--clusters`, of every call about the job.
    pub clusters: String,
    /// Further options of sbatch, one argument each.
    pub extra: Vec<String>,
    /// Where SLURM writes what a batch script prints; empty: the job directory.
    pub log_dir: String,
}
