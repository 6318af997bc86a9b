//! What goes over the control socket: JSON, names only ever added.
//!
//! Timestamps are RFC 3339 in UTC and end in `_at`; durations are numbers and end in `_seconds`; what is unknown is null.

pub use super::jobs::{Asked, JobView, JobsView, SlurmSite, TaskOnSlurm, Used};
use super::{dataset::DatasetView, training::RunView};
use crate::machines::spec::{CampaignSpec, Parts};
use serde::{Deserialize, Serialize};

/// The version of every answer.
pub const VERSION: u32 = 1;

/// How many of something there are, of how many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProgressView {
    /// Made so far.
    pub done: u64,
    /// Asked for.
    pub total: u64,
    /// `samples`, `rows` or `steps`.
    pub unit: String,
    /// Over the last minute.
    pub rate_per_second: Option<f64>,
    /// At that rate.
    pub left_seconds: Option<f64>,
}

/// A quality and how sure it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityView {
    /// The mean.
    pub mean: Option<f64>,
    /// Lower bound.
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
    /// Samples it rests on.
    pub n: u64,
}

/// One step of a campaign.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseView {
    /// `pilot`, `gate`, `generate`, `curate` ...
    pub phase: String,
    /// `done`, `now`, `then` or `failed`.
    pub status: String,
    /// Made so far.
    pub done: u64,
    /// Asked for; 0 where nothing is counted.
    pub total: u64,
    /// How long it took or takes.
    pub duration_seconds: Option<f64>,
    /// Quality of its samples.
    pub quality: Option<f64>,
    /// `1/2`: the part of the step that is under way, where it has several.
    #[serde(default)]
    pub part: Option<String>,
}

/// Tasks by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// Not launched yet.
    pub waiting: u64,
    /// Under way.
    pub running: u64,
    /// Done.
    pub done: u64,
    /// Failed.
    pub failed: u64,
    /// Vanished.
    pub lost: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Found running by a restarted daemon.
    pub adopted: u64,
}

/// One check of a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// `completion`, `min_samples` or `quality`.
    pub check: String,
    /// What was required.
    pub required: f64,
    /// What was observed.
    pub observed: Option<f64>,
    /// Lower bound.
    pub low: Option<f64>,
    /// Upper bound.
    pub high: Option<f64>,
    /// On how many samples.
    pub n: u64,
    /// Null while it is open.
    pub passed: Option<bool>,
}

/// What the gate said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictView {
    /// Whose.
    pub campaign: String,
    /// `APPROVE`, `REJECT` or `EXTEND`.
    pub decision: String,
    /// Whether it approves.
    pub approved: bool,
    /// `confidence` or `point`.
    pub gate: String,
    /// Which look.
    pub look: u32,
    /// Of at most how many.
    pub max_looks: u32,
    /// On how many samples.
    pub n: u64,
    /// Why.
    pub reason: String,
    /// What to do next.
    pub recommendation: String,
    /// When.
    pub judged_at: Option<String>,
    /// The checks.
    pub checks: Vec<CheckView>,
}

/// A campaign.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CampaignView {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub state: String,
    /// Since when.
    pub state_since_at: String,
    /// Whether nothing new starts.
    pub paused: bool,
    /// The step it is in.
    pub phase: Option<String>,
    /// When it was handed in.
    pub created_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// When the state has lasted too long.
    pub deadline_at: Option<String>,
    /// The exit status of `run` and `wait`; null while it goes on by itself.
    pub exit_status: Option<u8>,
    /// Why it failed, was rejected or cancelled.
    pub cause: Option<String>,
    /// What a person may do, in verbs.
    pub needs: Vec<String>,
    /// Where everything of it lies.
    pub directory: String,
    /// The last verdict.
    pub verdict: Option<VerdictView>,
    /// The quality of the present phase's samples, else of the pilot's.
    pub quality: Option<QualityView>,
    /// The present phase's progress.
    pub progress: Option<ProgressView>,
    /// Its steps.
    pub phases: Vec<PhaseView>,
    /// Its tasks.
    pub jobs: JobCounts,
    /// Things worth a look.
    pub warnings: Vec<String>,
    /// The data set, once it is complete.
    pub dataset: Option<DatasetView>,
    /// Its training runs.
    #[serde(default)]
    pub runs: Vec<RunView>,
    /// Where its cycles are, if it plans.
    #[serde(default)]
    pub plan: Option<super::proposals::PlanView>,
    /// Samples of the full generation asked for.
    pub campaign_target: u64,
    /// The bar of the gate.
    pub quality_threshold: f64,
}

/// Whether a source of news answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewsView {
    /// `slurm`, ...
    pub source: String,
    /// Whether it answers.
    pub ok: bool,
    /// When it last did.
    pub last_answer_at: Option<String>,
    /// Tries since.
    pub tries: u64,
    /// What it said instead.
    pub message: Option<String>,
    /// When it is asked again.
    pub next_try_at: Option<String>,
    /// Since when it has not answered.
    #[serde(default)]
    pub silent_since_at: Option<String>,
    /// How often it may be asked at once now; null where that is not bounded.
    #[serde(default)]
    pub calls_left: Option<u32>,
}

/// The daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DaemonView {
    /// Its version.
    pub daemon_version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: String,
    /// Tasks under way.
    pub jobs_running: u64,
    /// What a restart found, for a while after it; null otherwise.
    pub restart: Option<RestartView>,
    /// What it hears from.
    pub news: Vec<NewsView>,
}

/// What a restarted daemon found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RestartView {
    /// Campaigns that go on.
    pub campaigns: u64,
    /// Effects that were owed.
    pub owed: u64,
    /// Opening the store took this long.
    pub opened_seconds: f64,
}

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// [`VERSION`].
    pub version: u32,
    /// The daemon.
    pub daemon: DaemonView,
    /// Campaigns, oldest first; ended ones only when asked for by id or when there is no other.
    pub campaigns: Vec<CampaignView>,
}

/// `GET /v1/campaigns`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListView {
    /// [`VERSION`].
    pub version: u32,
    /// All campaigns, oldest first.
    pub campaigns: Vec<CampaignView>,
}

/// `GET /v1/campaigns/ID/verdict`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictAnswer {
    /// [`VERSION`].
    pub version: u32,
    /// The verdict.
    pub verdict: VerdictView,
}

/// One reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyView {
    /// When.
    pub at: String,
    /// The event.
    pub event: String,
    /// In words.
    pub text: String,
    /// Where the deciding setting came from.
    pub source: Option<String>,
}

/// One observation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeenView {
    /// What was looked at.
    pub what: String,
    /// What was seen.
    pub observed: String,
    /// How many.
    pub n: u64,
    /// When.
    pub at: Option<String>,
}

/// What it waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitsView {
    /// In words.
    pub what: String,
    /// How long at the present rate.
    pub left_seconds: Option<f64>,
    /// When it has taken too long.
    pub deadline_at: Option<String>,
}

/// A way on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextView {
    /// On which event.
    pub when: String,
    /// To which state.
    pub go: String,
}

/// `GET /v1/campaigns/ID/explain`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExplainView {
    /// [`VERSION`].
    pub version: u32,
    /// Whose.
    pub id: String,
    /// Where it is.
    pub state: String,
    /// One sentence.
    pub headline: String,
    /// How it came there, latest last.
    pub why: Vec<WhyView>,
    /// What is observed.
    pub seen: Vec<SeenView>,
    /// What it waits for.
    pub waits: WaitsView,
    /// Where it can go.
    pub next: Vec<NextView>,
    /// What a person can do.
    pub you: Vec<String>,
    /// What a scheduler says of its jobs.
    pub scheduler: Vec<String>,
}

/// One journal entry; a line of `GET /v1/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: String,
    /// Whose.
    pub campaign: String,
    /// The event.
    pub event: String,
    /// What came of it.
    pub what: String,
    /// Who asked.
    pub uid: Option<u32>,
    /// Where the campaign was afterwards, for those who follow.
    pub state: Option<String>,
}

/// A line of a log; of `GET /v1/campaigns/ID/logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// The job; empty for the campaign's own log.
    pub job: String,
    /// The task's name, `3/8`; empty when there is one.
    pub task: String,
    /// The line.
    pub text: String,
}

/// `POST /v1/campaigns`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubmitRequest {
    /// The campaign, resolved.
    pub spec: CampaignSpec,
    /// Which part of it.
    pub parts: Parts,
    /// Whether `run` asks, which amends a rejected campaign's gate by itself.
    #[serde(default)]
    pub amend: bool,
}

/// A verb that needs words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActRequest {
    /// `reject --why`, `cancel --why`.
    #[serde(default)]
    pub why: String,
    /// `approve ID PROPOSAL ...`, `reject ID PROPOSAL ...`: which proposals; none: all that wait, where they are waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<String>,
    /// `amend --quality-threshold`.
    #[serde(default)]
    pub quality_threshold: Option<f64>,
    /// `amend --budget-usd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// `amend --budget-tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// `amend --budget-gpu-hours`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_gpu_hours: Option<f64>,
    /// `amend --budget-wall`, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_wall_seconds: Option<u64>,
    /// `amend --budget-jobs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_jobs: Option<u64>,
}

/// `POST /v1/stop`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Whether local jobs end, to be started again by the next daemon.
    #[serde(default)]
    pub interrupt: bool,
}

/// The answer to [`StopRequest`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// [`VERSION`].
    pub version: u32,
    /// Whether the daemon ends.
    pub stopping: bool,
}

/// An acknowledged change: it is durable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// [`VERSION`].
    pub version: u32,
    /// Whose.
    pub id: String,
    /// The journal entry; null when nothing had to change.
    pub seq: Option<u64>,
    /// Where the campaign is now.
    pub state: String,
    /// What came of it.
    pub what: String,
    /// The user who asked.
    pub uid: Option<u32>,
    /// The campaign as it is now.
    pub campaign: Option<CampaignView>,
}

/// An error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    /// `usage`, `settings`, `unknown`, `state`, `store`, `no_daemon`, `not_allowed`, `protocol`, `timeout`,
    /// `stdout`.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Where: file and line, flag or variable with key and value.
    pub at: Option<String>,
    /// What would be right.
    pub right: Option<String>,
    /// The file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// The key.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// What would be accepted.
    pub expected: Option<String>,
    /// The nearest thing to paste.
    pub suggestion: Option<String>,
    /// The exit status it leads to.
    pub exit_status: u8,
}

/// The body of a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// [`VERSION`].
    pub version: u32,
    /// The error.
    pub error: ErrorView,
}
