//! What goes over the control socket about a campaign's success metrics.

use crate::evaluation::scorecard::Line;
use serde::{Deserialize, Serialize};

/// `GET /v1/campaigns/ID/scorecard`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScorecardView {
    /// [`VERSION`](super::api::VERSION).
    pub version: u32,
    /// Whose.
    pub campaign: String,
    /// Evaluations that were read, by their names.
    pub evaluations: Vec<String>,
    /// Every success metric, in the order of the specification.
    pub metrics: Vec<Line>,
}
