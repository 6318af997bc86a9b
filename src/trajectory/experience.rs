//! What earlier trajectories teach later ones: which paths and tiers succeed, and what failures say.
//!
//! A shard writes its experience when it is done; the next phase starts from that of the one before. It is frozen for the
//! length of a job, so that what a shard makes does not depend on how far another one is.

use super::record::{Agent, Outcome, Tier, TrajectoryRecord};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lessons kept of each analysis type, the most frequent first.
const LESSONS: usize = 8;

/// How often something was tried and was good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// How often it was tried.
    pub tried: u64,
    /// How often it was good.
    pub good: u64,
}

impl Tries {
    /// Counts one more.
    pub fn add(&mut self, good: bool) {
        self.tried += 1;
        self.good += u64::from(good);
    }

    /// The expected share of good ones, 0 to 1: one good and one bad are taken as seen already (Laplace), so that nothing
    /// is certain after one try.
    pub fn rate(&self) -> f64 {
        (self.good + 1) as f64 / (self.tried + 2) as f64
    }

    fn join(&mut self, other: Tries) {
        self.tried += other.tried;
        self.good += other.good;
    }
}

/// A path with its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// The agents in order, `planner>codegen>validator>...`.
    pub agents: String,
    /// How often it was taken and led to success.
    #[serde(flatten)]
    pub tries: Tries,
    /// Its weight: [`Tries::rate`].
    pub weight: f64,
}

/// What one analysis type taught.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Analysis {
    /// Paths by their agents.
    paths: BTreeMap<String, Tries>,
    /// What failures teach, and how often each was learned.
    lessons: BTreeMap<String, u64>,
}

/// Experience of any number of trajectories.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Experience {
    /// How many.
    pub trajectories: u64,
    analyses: BTreeMap<String, Analysis>,
    /// Agent, then tier.
    tiers: BTreeMap<Agent, BTreeMap<Tier, Tries>>,
}

impl Experience {
    /// Learns from one.
    pub fn learn(&mut self, record: &TrajectoryRecord) {
        self.trajectories += 1;
        let analysis = self
            .analyses
            .entry(record.analysis_type.clone())
            .or_default();
        let succeeded = record.outcome == Outcome::Success;
        analysis
            .paths
            .entry(path(record))
            .or_default()
            .add(succeeded);
        if let Some(reflection) = &record.reflection {
            *analysis
                .lessons
                .entry(reflection.learning.clone())
                .or_default() += 1;
        }
        for (at, step) in record.steps.iter().enumerate() {
            if let (Some(tier), Some(good)) = (step.model_tier, good(record, at)) {
                let tiers = self.tiers.entry(step.agent).or_default();
                tiers.entry(tier).or_default().add(good);
            }
        }
    }

    /// Takes in what others learned.
    pub fn join(&mut self, other: &Experience) {
        self.trajectories += other.trajectories;
        for (name, theirs) in &other.analyses {
            let ours = self.analyses.entry(name.clone()).or_default();
            for (path, tries) in &theirs.paths {
                ours.paths.entry(path.clone()).or_default().join(*tries);
            }
            for (lesson, times) in &theirs.lessons {
                *ours.lessons.entry(lesson.clone()).or_default() += times;
            }
        }
        for (agent, theirs) in &other.tiers {
            let ours = self.tiers.entry(*agent).or_default();
            for (tier, tries) in theirs {
                ours.entry(*tier).or_default().join(*tries);
            }
        }
    }

    /// The paths of an analysis type, the heaviest first.
    pub fn paths(&self, analysis: &str) -> Vec<Path> {
        let known = self.analyses.get(analysis).map(|known| &known.paths);
        let mut paths: Vec<Path> = known
            .into_iter()
            .flatten()
            .map(|(agents, tries)| Path {
                agents: agents.clone(),
                tries: *tries,
                weight: tries.rate(),
            })
            .collect();
        paths.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        paths
    }

    /// What failures of an analysis type teach, the most frequent first.
    pub fn lessons(&self, analysis: &str) -> Vec<&str> {
        let known = self.analyses.get(analysis).map(|known| &known.lessons);
        let mut lessons: Vec<(&String, &u64)> = known.into_iter().flatten().collect();
        lessons.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        let most = lessons.into_iter().take(LESSONS);
        most.map(|(lesson, _)| lesson.as_str()).collect()
    }

    /// How a tier did for an agent.
    pub fn tier(&self, agent: Agent, tier: Tier) -> Tries {
        let tiers = self.tiers.get(&agent);
        tiers
            .and_then(|tiers| tiers.get(&tier))
            .copied()
            .unwrap_or_default()
    }
}

/// Whether an answer was good; none where that was not seen. A workflow is good when the validator finds nothing in it,
/// which says nothing of one that was spoilt on purpose.
fn good(record: &TrajectoryRecord, at: usize) -> Option<bool> {
    let step = &record.steps[at];
    if step.agent != Agent::Codegen || !step.success {
        return Some(step.success);
    }
    let before = &record.steps[..at];
    let first = before.iter().all(|step| step.agent != Agent::Codegen);
    if first && record.planned_defect.is_some() {
        return None;
    }
    let mut after = record.steps[at..].iter();
    let verdict = after.find(|step| step.agent == Agent::Validator)?;
    Some(verdict.output_summary == NOTHING_FOUND)
}

/// What a validator's step says that found nothing.
pub const NOTHING_FOUND: &str = "no findings";

/// The agents that acted, in order.
fn path(record: &TrajectoryRecord) -> String {
    let agents: Vec<&str> = record.steps.iter().map(|step| step.agent.name()).collect();
    agents.join(">")
}
