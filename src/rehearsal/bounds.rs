//! What is used beyond each bound of a budget, and how much of that was under way when the bound was reached.

use crate::{
    ids::EffectId,
    machines::{
        budget::{self, spent},
        job::Job,
        spec::BudgetSpec,
        tree::CampaignTree,
    },
    time::Timestamp,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One bound, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overshoot {
    /// `gpu_hours`, `usd`, `wall` (in seconds) or `jobs`.
    pub bound: &'static str,
    /// The bound.
    pub most: f64,
    /// What was used; of `wall` until the last job ended.
    pub used: f64,
    /// What of that is beyond the bound.
    pub beyond: f64,
    /// What the work that was under way when the bound was reached used from then on.
    pub in_flight: f64,
    /// Seconds from the start until the bound was reached; none: it was not.
    pub reached_after: Option<f64>,
}

/// A bound, watched.
pub(super) struct Bound {
    name: &'static str,
    most: f64,
    reached: Option<Reached>,
}

struct Reached {
    at: Timestamp,
    /// The jobs under way, and what they had used.
    under_way: BTreeMap<EffectId, f64>,
}

/// The bounds that a budget sets and that jobs are held to.
pub(super) fn bounds_of(budget: Option<&BudgetSpec>) -> Vec<Bound> {
    let Some(budget) = budget else {
        return Vec::new();
    };
    let all = [
        ("gpu_hours", budget.gpu_hours),
        ("usd", budget.usd.filter(|_| budget.gpu_hour_usd.is_some())),
        ("wall", budget.wall_seconds.map(|most| most as f64)),
        ("jobs", budget.jobs.map(|most| most as f64)),
    ];
    let set = all.into_iter().filter_map(|(name, most)| {
        Some(Bound {
            name,
            most: most?,
            reached: None,
        })
    });
    set.collect()
}

impl Bound {
    fn used(&self, tree: &CampaignTree, at: Timestamp) -> f64 {
        let spent = spent(tree, at);
        match self.name {
            "gpu_hours" => spent.gpu_hours,
            "usd" => spent.gpu_usd,
            "wall" => at.since(tree.campaign.created_at).as_secs() as f64,
            _ => spent.jobs as f64,
        }
    }

    /// What a job counts for.
    fn counts(&self, tree: &CampaignTree, job: &Job, at: Timestamp) -> f64 {
        let budget = tree.campaign.spec.budget.as_ref();
        let price = budget.and_then(|budget| budget.gpu_hour_usd).unwrap_or(0.0);
        match self.name {
            "gpu_hours" => budget::gpu_hours(job, at),
            "usd" => budget::gpu_hours(job, at) * price,
            "wall" => 0.0,
            _ => f64::from(u8::from(job.launched_at.is_some())),
        }
    }

    /// Notices that it is reached between `from`, when the campaign became as it is in `tree`, and `to`, or by what it
    /// became then. `begun` are launches whose performer is at work.
    pub(super) fn look(
        &mut self,
        tree: &CampaignTree,
        after: &CampaignTree,
        begun: &BTreeSet<EffectId>,
        (from, to): (Timestamp, Timestamp),
    ) {
        if self.reached.is_some() || self.used(after, to) < self.most {
            return;
        }
        let (mut low, mut high) = (from.0, to.0);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.used(tree, Timestamp(middle)) < self.most {
                true => low = middle,
                false => high = middle,
            }
        }
        let under_way = |job: &&Job| {
            !job.state.ended() && (job.launched_at.is_some() || begun.contains(&job.id))
        };
        let jobs = tree.jobs.values().filter(under_way);
        let before = Timestamp(low);
        // A job is counted as it is launched; what it uses, as it was until then.
        let counted = if self.name == "jobs" { after } else { tree };
        let counts = |id: &EffectId| {
            let job = counted.jobs.get(id);
            job.map_or(0.0, |job| self.counts(counted, job, before))
        };
        let under_way = jobs.map(|job| (job.id.clone(), counts(&job.id)));
        let under_way = under_way.collect();
        self.reached = Some(Reached {
            at: Timestamp(high),
            under_way,
        });
    }

    /// What became of it.
    pub(super) fn sum(&self, tree: &CampaignTree, now: Timestamp) -> Overshoot {
        let created = tree.campaign.created_at;
        let launched = tree.jobs.values().filter(|job| job.launched_at.is_some());
        let last = launched.filter_map(|job| job.ended_at).max();
        let used = match self.name {
            "wall" => self.used(tree, last.unwrap_or(created)),
            _ => self.used(tree, now),
        };
        let in_flight = self.reached.as_ref().map_or(0.0, |reached| {
            let jobs = || {
                let all = reached.under_way.iter();
                all.filter_map(|(id, had)| Some((tree.jobs.get(id)?, *had)))
            };
            let ends = jobs().filter_map(|(job, _)| job.ended_at).max();
            match self.name {
                "wall" => ends.map_or(0.0, |end| end.since(reached.at).as_secs_f64()),
                _ => jobs()
                    .map(|(job, had)| self.counts(tree, job, now) - had)
                    .sum(),
            }
        });
        Overshoot {
            bound: self.name,
            most: self.most,
            used,
            beyond: (used - self.most).max(0.0),
            in_flight,
            reached_after: self
                .reached
                .as_ref()
                .map(|reached| reached.at.since(created).as_secs_f64()),
        }
    }
}
