//! One campaign with its runs, jobs and outbox: what is decided, committed and checked as one.

use super::{
    campaign::Campaign,
    effect::{Effect, Obligation},
    job::{Cause, Job, Piece, State as JobState, Task},
    proposal::{self, Proposal},
    spec::{RunSpec, SlurmSpec},
    table::Guard,
    training_run::{self, TrainingRun},
};
use crate::{
    history::{Experiment, Status},
    ids::EffectId,
    training::words::Device,
};
use std::{collections::BTreeMap, sync::Arc};

/// The unit of consistency.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignTree {
    /// The campaign.
    pub campaign: Campaign,
    /// Its training runs, by key.
    pub runs: BTreeMap<String, TrainingRun>,
    /// Its jobs.
    pub jobs: BTreeMap<EffectId, Job>,
    /// Effects not yet discharged.
    pub outbox: BTreeMap<EffectId, Obligation>,
    /// What was proposed, by id. It changes once a cycle, and a tree at every step: until then they share it.
    pub proposals: Arc<BTreeMap<String, Proposal>>,
    /// What came of its training runs, or of its data, by id; shared likewise.
    pub experiments: Arc<BTreeMap<String, Experiment>>,
}

impl CampaignTree {
    /// A campaign that has done nothing yet.
    pub fn new(campaign: Campaign) -> Self {
        Self {
            campaign,
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            outbox: BTreeMap::new(),
            proposals: Arc::default(),
            experiments: Arc::default(),
        }
    }

    /// The jobs of a piece of work in its present round and stage, in order of their ids.
    pub fn jobs_of<'a>(&'a self, piece: &'a Piece) -> impl Iterator<Item = &'a Job> {
        let round = self.campaign.round(piece.phase);
        let stage = self.stage(piece);
        self.jobs.values().filter(move |job| {
            job.phase == piece.phase
                && job.run == piece.run
                && job.round == round
                && job.stage == stage
        })
    }

    /// The stage that a piece of work is in: that of its training run; 0 before it begins, and for all else.
    pub fn stage(&self, piece: &Piece) -> u32 {
        let run = piece.run.as_ref().and_then(|key| self.runs.get(key));
        run.map_or(0, |run| run.stage)
    }

    /// Whether a route's condition holds.
    pub fn holds(&self, guard: Guard) -> bool {
        match guard {
            Guard::HasProposal => self.has_proposal(),
            Guard::ProposalWaits => self.proposal_waits(),
            _ => self.campaign.holds(guard),
        }
    }

    /// Whether the present cycle tries a proposal.
    pub fn has_proposal(&self) -> bool {
        self.present_proposals().next().is_some()
    }

    /// The proposals that the present cycle tries, in the order of their ids.
    fn present_proposals(&self) -> impl Iterator<Item = &Proposal> {
        let cycle = Some(self.campaign.cycle);
        let all = self.proposals.values();
        all.filter(move |one| one.state == proposal::State::Approved && one.cycle == cycle)
    }

    /// Whether a proposal waits for a person.
    pub fn proposal_waits(&self) -> bool {
        let mut all = self.proposals.values();
        all.any(|one| one.state == proposal::State::Waiting)
    }

    /// The fine-tunes of the present cycle: what the campaign file asks for, and in later cycles what was proposed.
    pub fn asked_runs(&self) -> Vec<&RunSpec> {
        if self.campaign.cycle > 1 {
            return self.present_proposals().map(|one| &one.run).collect();
        }
        let training = self.campaign.spec.training.iter();
        training.flat_map(|spec| &spec.runs).collect()
    }

    /// The fine-tune of that name, of the campaign file or of a proposal.
    pub fn run_spec(&self, name: &str) -> Option<&RunSpec> {
        let training = self.campaign.spec.training.as_ref();
        let asked = training.and_then(|spec| spec.run(name));
        asked.or_else(|| self.proposals.get(name).map(|one| &one.run))
    }

    /// How many experiments failed since the last that did not, of those that no person forgave.
    pub fn failures_in_a_row(&self) -> u64 {
        let mut all: Vec<&Experiment> = self.experiments.values().collect();
        all.sort_by_key(|one| (one.ended_at, &one.experiment_id));
        let failed = |one: &&&Experiment| one.status == Status::Failed;
        let forgiven = usize::try_from(self.campaign.forgiven).unwrap_or(usize::MAX);
        // What never ran neither failed nor succeeded.
        let ran = |one: &&&Experiment| !one.is_refused();
        let counted = all.iter().skip(forgiven).rev().filter(ran);
        counted.take_while(failed).count() as u64
    }

    /// How often a stage of training ended for want of memory before this attempt: each halves its batch once more.
    pub fn halvings(&self, job: &Job) -> u32 {
        let before = |job: &&Job| self.jobs.get(job.retry_of.as_ref()?);
        let short = |job: &&Job| {
            // Where SLURM gives more memory the batch stays.
            let grows = job
                .slurm
                .as_ref()
                .is_some_and(|slurm| slurm.mem_mib.is_some());
            let mut causes = job.tasks.iter().filter_map(Task::cause);
            causes.any(|cause| match cause {
                Cause::GpuMemory => true,
                Cause::OutOfMemory => !grows,
                _ => false,
            })
        };
        let chain = std::iter::successors(before(&job), before).filter(short);
        u32::try_from(chain.count()).unwrap_or(u32::MAX)
    }

    /// How many GPUs each task of a piece of work is to have: what SLURM is asked for, or one where a fine-tune names it.
    pub fn gpus(&self, piece: &Piece, slurm: Option<&SlurmSpec>) -> u32 {
        if let Some(slurm) = slurm {
            return slurm.gpus();
        }
        let on_gpu = |asked: &RunSpec| asked.device == Device::Cuda;
        let run = piece.run.as_ref().and_then(|key| self.runs.get(key));
        let asked = run.and_then(|run| self.run_spec(&run.name));
        let one = match asked {
            Some(asked) => on_gpu(asked),
            // What is measured is measured where it was trained.
            None => piece.phase.trains() && self.asked_runs().into_iter().any(on_gpu),
        };
        u32::from(one)
    }

    /// The training runs of the present cycle, by key.
    pub fn present_runs(&self) -> impl Iterator<Item = &TrainingRun> {
        let cycle = self.campaign.cycle;
        self.runs.values().filter(move |run| run.cycle == cycle)
    }

    /// Whether a fine-tune of the present cycle has come to something that no experiment tells of.
    pub fn has_unkept_results(&self) -> bool {
        let id = &self.campaign.id;
        let mut done = self
            .present_runs()
            .filter(|run| run.state == training_run::State::Done);
        done.any(|run| !self.experiments.contains_key(&run.experiment_id(id)))
    }

    /// `pilot`, `generate 3/8`, `train routing 1/2`: what a task of a job is called on a screen. A run is named where there
    /// are several, a stage counted where there are several.
    pub fn task_name(&self, job: &Job, task: &Task) -> String {
        let mut text = job.phase.name().to_string();
        let run = job.run.as_ref().and_then(|key| self.runs.get(key));
        if let Some(run) = run {
            let runs = self.runs.values().filter(|other| other.cycle == run.cycle);
            if runs.count() > 1 {
                text += &format!(" {}", run.name);
            }
            if run.stages > 1 {
                text += &format!(" {}/{}", job.stage, run.stages);
            }
        }
        if task.shards > 1 {
            text += &format!(" {}/{}", task.shard + 1, task.shards);
        }
        text
    }

    /// The shards of a piece of work that no job has done and none is doing, of `shards`.
    pub fn open_shards(&self, piece: &Piece, shards: u32) -> Vec<u32> {
        let taken = |shard: u32| {
            self.jobs_of(piece).any(|job| {
                job.task(shard).is_some_and(|task| match &task.end {
                    Some(end) => end.done(),
                    None => !job.state.ended(),
                })
            })
        };
        (0..shards).filter(|shard| !taken(*shard)).collect()
    }

    /// Whether every shard of a piece of work is done.
    pub fn all_shards_done(&self, piece: &Piece, shards: u32) -> bool {
        let done = |shard: u32| {
            self.jobs_of(piece).any(|job| {
                job.task(shard)
                    .and_then(|task| task.end.as_ref())
                    .is_some_and(|end| end.done())
            })
        };
        (0..shards).all(done)
    }

    /// Sentences about facts that cannot be; empty for a sound tree.
    pub fn check(&self) -> Vec<String> {
        let mut found = self.campaign.check();
        found.extend(self.runs.values().flat_map(TrainingRun::check));
        found.extend(self.jobs.values().flat_map(Job::check));
        for (key, run) in self.runs.iter().filter(|(key, run)| **key != run.key()) {
            found.push(format!("run {} is kept as {key}", run.key()));
        }
        for job in self.jobs.values() {
            found.extend(self.check_obligations(job));
        }
        for (id, obligation) in &self.outbox {
            if obligation.effect.belongs_to_state() && self.campaign.state.ended() {
                found.push(format!(
                    "{id} {} outlived the campaign",
                    obligation.effect.name()
                ));
            }
        }
        found
    }

    /// Each live job has exactly the obligation of its state, and an ended one has none: nothing hangs, nothing haunts.
    fn check_obligations(&self, job: &Job) -> Option<String> {
        let count = |wanted: fn(&Effect) -> bool| {
            let about = |id: &EffectId, effect: &Effect| match effect {
                Effect::LaunchJob { .. } => *id == job.id,
                Effect::WatchJob { job: other, .. } | Effect::EndJob { job: other } => {
                    *other == job.id
                }
                _ => false,
            };
            self.outbox
                .iter()
                .filter(|(id, obligation)| {
                    about(id, &obligation.effect) && wanted(&obligation.effect)
                })
                .count()
        };
        let launches = count(|effect| matches!(effect, Effect::LaunchJob { .. }));
        let watches = count(|effect| matches!(effect, Effect::WatchJob { .. }));
        let ends = count(|effect| matches!(effect, Effect::EndJob { .. }));
        let right = match job.state {
            JobState::Waiting => (launches, watches, ends) == (1, 0, 0),
            JobState::Running => (launches, watches, ends) == (0, 1, 0),
            JobState::Ending => launches == 0 && watches <= 1 && ends == 1,
            _ => (launches, watches, ends) == (0, 0, 0),
        };
        (!right).then(|| {
            format!(
                "job {} is {} with {launches} launches, {watches} watches, {ends} ends owed",
                job.id, job.state
            )
        })
    }
}
