//! What is noted during a rehearsal, and what it came to.

use super::bounds::Overshoot;
use crate::{
    history::{
        History, Status,
        constraints::{Constraint, Strength, check},
    },
    machines::{
        budget::{self, spent},
        campaign::{Stage, State, Stopped},
        event::Event,
        job::{Job, Task},
        plan,
        proposal::State as ProposalState,
        tree::CampaignTree,
    },
    time::Timestamp,
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// What a rehearsed campaign came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rehearsed {
    /// The state it stopped in: an end, or one that waits for a person.
    pub state: State,
    /// Why there was no further cycle.
    pub stopped: Option<Stopped>,
    /// Why it failed, was rejected or cancelled.
    pub cause: Option<String>,
    /// What a person was asked, in order.
    pub asked: Vec<String>,
    /// Virtual seconds from start to end.
    pub wall_seconds: f64,
    /// Virtual seconds of each step, all its rounds together, in the order they began.
    pub phases: Vec<PhaseTime>,
    /// Looks at the pilot.
    pub looks: u32,
    /// Jobs launched, further attempts among them, by phase.
    pub jobs: BTreeMap<String, u64>,
    /// Further attempts, by what the earlier one ended of.
    pub retried: BTreeMap<String, u64>,
    /// GPUs times hours.
    pub gpu_hours: f64,
    /// What they cost at `budget.gpu_hour_usd`, in USD; 0 where no price is set.
    pub gpu_usd: f64,
    /// Which metric is made better.
    pub metric: Option<String>,
    /// The best value of that metric.
    pub best: Option<f64>,
    /// What came of each cycle.
    pub cycles: Vec<CycleResult>,
    /// Proposals that a check refused, with the reason.
    pub refused: Vec<String>,
    /// Each bound of the budget.
    pub bounds: Vec<Overshoot>,
    /// Events and looks at the clock.
    pub events: u64,
    /// Launches of proposals that were held to the hard constraints known at their approval.
    pub launches_checked: u64,
    /// Of these, those that were held to at least one.
    pub launches_constrained: u64,
    /// Launches that broke one: there must be none.
    pub violations: Vec<String>,
    /// The campaign as it was left.
    #[serde(skip)]
    pub tree: CampaignTree,
}

/// How long a step took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PhaseTime {
    /// Which.
    pub stage: Stage,
    /// Virtual seconds.
    pub seconds: f64,
}

/// What came of a cycle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CycleResult {
    /// Which, from 1.
    pub cycle: u32,
    /// Its experiments.
    pub runs: u64,
    /// Those that failed.
    pub failed: u64,
    /// The best value of the metric until then.
    pub best: Option<f64>,
    /// GPU hours of its training and evaluation.
    pub gpu_hours: f64,
}

/// What is noted while it goes on.
#[derive(Default)]
pub(super) struct Notes {
    /// When the campaign changed last.
    pub(super) looked_at: Option<Timestamp>,
    phases: Vec<PhaseTime>,
    asked: Vec<String>,
    asked_at: Option<Timestamp>,
    /// The constraints known when a proposal was approved, by its id.
    known: BTreeMap<String, Vec<Constraint>>,
    checked: u64,
    constrained: u64,
    violations: Vec<String>,
}

impl Notes {
    /// Looks at what an event changed.
    pub(super) fn look(
        &mut self,
        before: &CampaignTree,
        after: &CampaignTree,
        event: &Event,
        now: Timestamp,
    ) {
        let since = self.looked_at.replace(now);
        let took = now.since(since.unwrap_or(before.campaign.created_at));
        if let Some(stage) = before.campaign.state.stage() {
            let seconds = took.as_secs_f64();
            match self.phases.iter_mut().find(|one| one.stage == stage) {
                Some(one) => one.seconds += seconds,
                None => self.phases.push(PhaseTime { stage, seconds }),
            }
        }
        let approved = after.proposals.values();
        let approved = approved.filter(|one| one.state == ProposalState::Approved);
        let fresh: Vec<&String> = approved
            .map(|one| &one.id)
            .filter(|id| !self.known.contains_key(*id))
            .collect();
        if !fresh.is_empty() {
            let history = History::new(after.experiments.values().cloned().collect());
            let known = plan::constraints(after, &history, now);
            let fresh = fresh.into_iter().map(|id| (id.clone(), known.clone()));
            self.known.extend(fresh);
        }
        if let Event::JobLaunched { effect, .. } = event {
            let job = after.jobs.get(effect);
            job.into_iter().for_each(|job| self.hold(after, job));
        }
    }

    /// Holds a launched fine-tune to what was known when it was approved.
    fn hold(&mut self, tree: &CampaignTree, job: &Job) {
        let run = job.run.as_ref().and_then(|key| tree.runs.get(key));
        let Some((asked, known)) =
            run.and_then(|run| Some((tree.run_spec(&run.name)?, self.known.get(&run.name)?)))
        else {
            return;
        };
        self.checked += 1;
        let hard = |one: &Constraint| one.strength == Strength::Hard;
        self.constrained += u64::from(known.iter().any(hard));
        let broken = check(known, &plan::settings(asked), &asked.model).into_iter();
        let broken = broken.filter(|one| one.strength == Strength::Hard);
        self.violations
            .extend(broken.map(|one| format!("{}: {}", asked.name, one.text)));
    }

    /// Notes what a person is asked; whether that is new.
    pub(super) fn asked_now(&mut self, tree: &CampaignTree) -> bool {
        let campaign = &tree.campaign;
        let last = campaign.trail.last().map(|last| last.at);
        if last.is_some() && self.asked_at == last {
            return false;
        }
        self.asked_at = last;
        self.asked.push(match campaign.state {
            State::AwaitingApproval => "whether the full generation is to start".into(),
            _ => {
                let waiting = tree.proposals.values();
                let waiting = waiting.filter(|one| one.state == ProposalState::Waiting);
                let shown = waiting.map(|one| {
                    let values = plan::shown(&one.values);
                    format!("{} ({values}; risk {})", one.id, one.risk)
                });
                let shown: Vec<String> = shown.collect();
                format!(
                    "after cycle {}, whether to try {}",
                    campaign.cycle,
                    shown.join(", ")
                )
            }
        });
        true
    }

    /// What it came to.
    pub(super) fn sum(
        self,
        tree: CampaignTree,
        now: Timestamp,
        events: u64,
        bounds: Vec<Overshoot>,
    ) -> Rehearsed {
        let spent = spent(&tree, now);
        let campaign = &tree.campaign;
        let plan = campaign.spec.planning.as_ref();
        let metric = plan.map(|plan| plan.metric.clone());
        let refused = tree.proposals.values();
        let refused = refused.filter(|one| one.state == ProposalState::Refused);
        let refused = refused.map(|one| match one.refusal() {
            Some(check) => format!("{}: {}: {}", one.id, check.name, check.reason),
            None => format!("{}: a person refused it", one.id),
        });
        let mut jobs = BTreeMap::new();
        for job in tree.jobs.values().filter(|job| job.launched_at.is_some()) {
            *jobs.entry(job.phase.to_string()).or_insert(0) += 1;
        }
        Rehearsed {
            state: campaign.state,
            stopped: campaign.stopped.clone(),
            cause: campaign.cause.clone(),
            asked: self.asked,
            wall_seconds: now.since(campaign.created_at).as_secs_f64(),
            phases: self.phases,
            looks: campaign.look,
            jobs,
            retried: retried(&tree),
            gpu_hours: spent.gpu_hours,
            gpu_usd: spent.gpu_usd,
            best: metric
                .as_ref()
                .and_then(|metric| Some(plan::best(&tree, metric)?.1)),
            cycles: cycles(&tree, metric.as_deref(), now),
            metric,
            refused: refused.collect(),
            bounds,
            events,
            launches_checked: self.checked,
            launches_constrained: self.constrained,
            violations: self.violations,
            tree,
        }
    }
}

/// Further attempts, by what the tasks that they repeat ended of.
fn retried(tree: &CampaignTree) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for job in tree.jobs.values() {
        let before = job.retry_of.as_ref().and_then(|id| tree.jobs.get(id));
        let repeated = |task: &&Task| job.task(task.shard).is_some();
        let tasks = before.into_iter().flat_map(|before| &before.tasks);
        if let Some(cause) = tasks.filter(repeated).find_map(Task::cause) {
            *all.entry(cause.to_string()).or_insert(0) += 1;
        }
    }
    all
}

fn cycles(tree: &CampaignTree, metric: Option<&str>, now: Timestamp) -> Vec<CycleResult> {
    let mut numbers: Vec<u32> = tree.experiments.values().map(|one| one.cycle_id).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut until = tree.clone();
    let mut all: Vec<CycleResult> = numbers
        .into_iter()
        .rev()
        .map(|cycle| {
            Arc::make_mut(&mut until.experiments).retain(|_, one| one.cycle_id <= cycle);
            let ours = || {
                until
                    .experiments
                    .values()
                    .filter(|one| one.cycle_id == cycle)
            };
            let jobs = tree.jobs.values();
            let jobs = jobs.filter(|job| job.phase.trains() && job.round == cycle);
            CycleResult {
                cycle,
                runs: ours().count() as u64,
                failed: ours().filter(|one| one.status == Status::Failed).count() as u64,
                best: metric.and_then(|metric| Some(plan::best(&until, metric)?.1)),
                gpu_hours: jobs.map(|job| budget::gpu_hours(job, now)).sum(),
            }
        })
        .collect();
    all.reverse();
    all
}
