//! Jobs as clients see them, and what the site says of SLURM.

use super::api::NewsView;
use crate::machines::{resolution::JobResolution, spec::SlurmSpec};
use serde::{Deserialize, Serialize};

/// One task of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// The job's id.
    pub job: String,
    /// Whose.
    pub campaign: String,
    /// `pilot`, `generate 3/8`.
    pub phase: String,
    /// `PID 41235`.
    pub place: String,
    /// `waiting`, `running`, `ending`, `done`, `failed`, `lost` or `cancelled`.
    pub state: String,
    /// One of the six words PENDING QUEUED RUNNING COMPLETED FAILED CANCELLED.
    pub status: String,
    /// Which attempt of the same work.
    pub attempt: u32,
    /// The task's number, from 0.
    pub task: u32,
    /// When it was launched.
    pub launched_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How it ended, or why it waits.
    pub note: String,
    /// Its directory.
    pub directory: String,
    /// What SLURM says of it; none where it runs on campaignd's machine.
    #[serde(default)]
    pub scheduler: Option<TaskOnSlurm>,
    /// What it was given.
    #[serde(default)]
    pub asked: Asked,
    /// What it used, once it has ended.
    #[serde(default)]
    pub used: Option<Used>,
    /// The retries of this task up to this attempt, the first one first.
    #[serde(default)]
    pub retries: Vec<JobResolution>,
}

/// A task by SLURM's word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOnSlurm {
    /// `918280_3`; empty before it is submitted.
    pub id: String,
    /// Its state by name; empty before it was seen.
    pub state: String,
    /// Why it waits, or ended.
    pub reason: String,
    /// Its nodes.
    pub nodes: String,
    /// Its partition.
    pub partition: String,
}

/// What a task may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its limit in seconds.
    pub time_seconds: Option<u64>,
    /// What was asked of SLURM.
    pub slurm: Option<SlurmSpec>,
}

/// What an ended task used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// From start to end, milliseconds.
    pub wall_ms: i64,
    /// Of processors, milliseconds; none where that was not measured.
    pub cpu_ms: Option<u64>,
    /// The largest of its processes, KiB; none where that was not measured.
    pub max_rss_kib: Option<u64>,
}

/// `GET /v1/slurm`: what this site's jobs ask of SLURM where a campaign leaves it open, and how they are submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlurmSite {
    /// [`super::api::VERSION`].
    pub version: u32,
    /// Where job directories are.
    pub state_dir: String,
    /// The site's own values.
    pub site: SlurmSpec,
    /// Tasks at once.
    pub at_once: u32,
    /// Tasks of one array at most.
    pub max_array_size: u32,
    /// Whether the controllers answer.
    pub news: Vec<NewsView>,
}

/// `GET /v1/jobs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsView {
    /// [`super::api::VERSION`].
    pub version: u32,
    /// A row a task.
    pub jobs: Vec<JobView>,
}
