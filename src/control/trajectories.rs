//! What goes over the control socket about trajectories and what people say of them. Rows are JSON as their generator wrote
//! them, with `user_feedback` and what running them adds joined: which fields they have is the generator's matter.

use crate::artifacts::feedback::Feedback;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest sample that is drawn.
pub const MOST_SAMPLED: usize = 1000;

/// One trajectory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryView {
    /// [`VERSION`](super::api::VERSION); 0 within a sample, which has one for all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
    /// Whose.
    pub campaign: String,
    /// `pilot`, `generate` or `repair`.
    pub phase: String,
    /// Its id.
    pub id: String,
    /// The row.
    pub trajectory: Value,
    /// The last word on it.
    pub feedback: Option<Feedback>,
    /// How its workflow ran: a line of the execution's files; none where it was not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Value>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `GET /v1/campaigns/ID/trajectories?sample=N&seed=S`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleView {
    /// [`VERSION`](super::api::VERSION).
    pub version: u32,
    /// Whose.
    pub campaign: String,
    /// The order it is the beginning of.
    pub seed: u64,
    /// How many it was drawn from, each id counted once.
    pub population: u64,
    /// The sample.
    pub sample: Vec<TrajectoryView>,
}

/// The last line of `GET /v1/campaigns/ID/trajectories?summary=1`: what the lines before it are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// [`VERSION`](super::api::VERSION).
    pub version: u32,
    /// Lines that were sent.
    pub rows: u64,
    /// Lines of the shard files that are no samples, and were not sent.
    pub unreadable: u64,
}

/// `POST /v1/campaigns/ID/feedback`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackRequest {
    /// The trajectory's id.
    pub trajectory: String,
    /// `positive`, `negative` or `neutral`.
    pub feedback: String,
    /// Why.
    #[serde(default)]
    pub note: Option<String>,
    /// The review in which it is said.
    #[serde(default)]
    pub review: Option<String>,
}

/// Feedback that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackAccepted {
    /// [`VERSION`](super::api::VERSION).
    pub version: u32,
    /// Whose.
    pub campaign: String,
    /// What was recorded.
    pub feedback: Feedback,
}

/// `GET /v1/campaigns/ID/feedback`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackView {
    /// [`VERSION`](super::api::VERSION).
    pub version: u32,
    /// Whose.
    pub campaign: String,
    /// Everything that was said, oldest first.
    pub feedback: Vec<Feedback>,
    /// Lines of the file that are none of these.
    pub unreadable: u64,
}
