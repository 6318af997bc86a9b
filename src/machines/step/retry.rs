//! What becomes of tasks that ended undone: by cause started again as they were, with more of what they lacked, or not at all.
//!
//! Each task has a budget of its own for each kind of cause, counted over the attempts that it repeats: what befalls one
//! task of thousands is no fault of another. On SLURM the tasks of an array are started again together once its last task
//! has ended: one `sbatch` for all of them.

use super::{Refused, Stepper};
use crate::{
    ids::EffectId,
    machines::{
        job::{Cause, Job, Phase, Piece, Task},
        spec::SlurmSpec,
        table::EventName,
    },
};

/// So often a stage of training goes on after its time limit. Its checkpoints remain, so a time limit is legal work and costs
/// no retry; this ends one whose limit is too short to ever reach a checkpoint.
const MOST_TIME_LIMITS: u32 = 100;

/// So often a batch is halved for want of memory (specification 2's fine-tunes; research 6.3, "Knobs").
const MOST_HALVINGS: u32 = 3;

/// Whether a task vanished, or was made to: one budget.
fn is_loss(cause: Cause) -> bool {
    matches!(cause, Cause::Lost | Cause::Stopped)
}

/// What an attempt is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resources {
    /// Limit of one task in seconds.
    pub time_seconds: Option<u64>,
    /// What is asked of SLURM.
    pub slurm: Option<SlurmSpec>,
}

/// What helps a task that ended undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// The same again; so often at most.
    AsItWas(u32),
    /// More memory.
    MoreMemory(u32),
    /// More time.
    MoreTime(u32),
    /// A smaller batch: half of it, and twice the accumulation.
    SmallerBatch(u32),
    /// Another slice of the budget.
    DealtAgain,
    /// Nothing.
    None,
}

impl Resources {
    /// More of what a task lacked; a sentence about it.
    fn grow(&mut self, remedy: Remedy) -> Option<String> {
        let slurm = self.slurm.as_mut()?;
        match remedy {
            Remedy::MoreMemory(_) => {
                let before = slurm.mem_mib?;
                let more = slurm.grown(before);
                slurm.mem_mib = Some(more);
                Some(format!("memory {before} -> {more} MiB"))
            }
            Remedy::MoreTime(_) => {
                let before = self.time_seconds.or(slurm.time_seconds)?;
                let more = slurm.grown(before);
                self.time_seconds = self.time_seconds.map(|own| slurm.grown(own));
                slurm.time_seconds = slurm.time_seconds.map(|limit| slurm.grown(limit));
                Some(format!("time {before} -> {more} s"))
            }
            _ => None,
        }
    }
}

impl Stepper {
    /// What an attempt at a piece of work is given the first time.
    pub(super) fn resources(&self, phase: Phase) -> Resources {
        let spec = &self.tree.campaign.spec;
        let time_seconds = match phase {
            Phase::Pilot | Phase::Generate => spec.generator.time_seconds,
            Phase::Train => spec.training.as_ref().map(|spec| spec.time_seconds),
            _ => None,
        };
        Resources {
            time_seconds,
            slurm: spec.slurm.get(&phase).cloned(),
        }
    }

    /// What becomes of tasks that ended undone: started again by a new job of theirs alone, or the campaign fails.
    pub(super) fn retry_or_fail(
        &mut self,
        id: &EffectId,
        shards: &[u32],
        cause: Cause,
        text: &str,
    ) -> Result<(), Refused> {
        let Some(job) = self.tree.jobs.get(id) else {
            return Ok(());
        };
        let (piece, interrupted) = (job.piece(), job.interrupted);
        let of = job.tasks.first().map_or(1, |task| task.shards);
        let together = job.slurm.is_some() && job.tasks.len() > 1;
        let all_ended = job.all_ended();
        if self.tree.campaign.state.ended() {
            return Ok(());
        }
        let budget = match self.remedy(job, cause) {
            Remedy::DealtAgain => {
                // Those that ended undone before the last one have waited for it, whatever that one ended of.
                self.start_waiting_again(id)?;
                return self.deal_again(&piece, of, text);
            }
            // A programme error comes back, and so does a limit that was too short.
            Remedy::None => return self.piece_failed(&piece, &format!("job {id}: {text}")),
            Remedy::AsItWas(most)
            | Remedy::MoreMemory(most)
            | Remedy::MoreTime(most)
            | Remedy::SmallerBatch(most) => most,
        };
        let used = shards
            .iter()
            .map(|shard| repeated(self, job, *shard, cause));
        let used = used.max().unwrap_or(0) + 1;
        if interrupted {
            self.say("started again");
        } else if used <= budget {
            self.say(format!("{cause}: retry {used} of {budget}"));
        } else {
            let cause = format!("job {id}: {text}; all {budget} retries are spent");
            return self.piece_failed(&piece, &cause);
        }
        if !together {
            return self.start_again(id, shards);
        }
        if !all_ended {
            return Ok(());
        }
        // The last of them: those that ended undone before it have waited for it.
        let undone = self.tree.jobs.get(id).map_or(Vec::new(), undone_shards);
        self.start_again(id, &undone)
    }

    /// After the last task of an array ended done, those that ended undone before it are started again.
    pub(super) fn start_waiting_again(&mut self, id: &EffectId) -> Result<(), Refused> {
        let Some(job) = self.tree.jobs.get(id) else {
            return Ok(());
        };
        let together = job.slurm.is_some() && job.tasks.len() > 1;
        if !together || !job.all_ended() || self.tree.campaign.state.ended() {
            return Ok(());
        }
        match undone_shards(job) {
            undone if undone.is_empty() => Ok(()),
            undone => self.start_again(id, &undone),
        }
    }

    /// A new attempt at tasks of a job, with more of what they lacked.
    fn start_again(&mut self, id: &EffectId, shards: &[u32]) -> Result<(), Refused> {
        let Some(job) = self.tree.jobs.get(id).cloned() else {
            return Ok(());
        };
        let of = job.tasks.first().map_or(1, |task| task.shards);
        let mut resources = Resources {
            time_seconds: job.time_seconds,
            slurm: job.slurm.clone(),
        };
        let causes = job.tasks.iter().filter(|task| shards.contains(&task.shard));
        let mut remedies: Vec<Remedy> = Vec::new();
        for cause in causes.filter_map(Task::cause) {
            let remedy = self.remedy(&job, cause);
            if !job.interrupted && !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        for remedy in remedies {
            if let Some(told) = resources.grow(remedy) {
                self.say(told);
            }
        }
        self.start_job(
            &job.piece(),
            shards,
            of,
            job.attempt + 1,
            Some(id.clone()),
            resources,
        );
        Ok(())
    }

    fn remedy(&self, job: &Job, cause: Cause) -> Remedy {
        let spec = &self.tree.campaign.spec;
        let slurm = job.slurm.as_ref();
        let limited = slurm.is_some_and(|slurm| slurm.time_seconds.is_some());
        match cause {
            Cause::Lost | Cause::Stopped => Remedy::AsItWas(spec.retry.lost),
            Cause::Transient => Remedy::AsItWas(spec.retry.transient),
            Cause::TimeLimit if job.phase == Phase::Train => Remedy::AsItWas(MOST_TIME_LIMITS),
            Cause::TimeLimit if slurm.is_some() && (limited || job.time_seconds.is_some()) => {
                Remedy::MoreTime(spec.retry.transient)
            }
            Cause::OutOfMemory if slurm.is_some_and(|slurm| slurm.mem_mib.is_some()) => {
                Remedy::MoreMemory(spec.retry.transient)
            }
            Cause::GpuMemory | Cause::OutOfMemory if self.can_halve(job) => {
                Remedy::SmallerBatch(MOST_HALVINGS)
            }
            Cause::BudgetSpent if spec.budget.is_some() => Remedy::DealtAgain,
            _ => Remedy::None,
        }
    }

    /// Whether a stage of training has a batch that can be made smaller.
    fn can_halve(&self, job: &Job) -> bool {
        let run = job.run.as_ref().and_then(|key| self.tree.runs.get(key));
        let asked = run.and_then(|run| self.tree.run_spec(&run.name));
        let halvings = self.tree.halvings(job);
        halvings < MOST_HALVINGS
            && asked.is_some_and(|asked| asked.settings.per_device_train_batch_size >> halvings > 1)
    }

    /// A task is done and leaves what it has not spent: tasks that ran out of theirs go on with it.
    pub(super) fn deal_what_is_left(&mut self, id: &EffectId) -> Result<(), Refused> {
        let Some(job) = self.tree.jobs.get(id) else {
            return Ok(());
        };
        let (piece, round) = (job.piece(), job.round);
        let of = job.tasks.first().map_or(1, |task| task.shards);
        let campaign = &self.tree.campaign;
        if campaign.state.ended() || round != campaign.round(piece.phase) {
            return Ok(());
        }
        self.start_waiting(&piece, of);
        Ok(())
    }

    /// A task ran out of its slice. While others work, theirs may be left over, and the task waits for that; when none
    /// does, the campaign's budget is spent, unless a task that was done left something since it was dealt last.
    fn deal_again(&mut self, piece: &Piece, of: u32, text: &str) -> Result<(), Refused> {
        let live = |job: &Job| job.tasks.iter().any(|task| task.end.is_none());
        if self.tree.jobs_of(piece).any(live) {
            self.say("its slice is spent; it waits for what others leave");
            return Ok(());
        }
        let dealt = self.tree.jobs_of(piece).map(|job| job.created_at).max();
        let left_over = self.tree.jobs_of(piece).any(|job| {
            let mut ends = job.tasks.iter().filter_map(|task| task.end.as_ref());
            ends.any(|end| end.done() && Some(end.at) >= dealt)
        });
        if left_over && self.start_waiting(piece, of) {
            return Ok(());
        }
        self.piece_failed(piece, text)
    }

    /// Starts the shards that wait for a slice; whether there are any.
    fn start_waiting(&mut self, piece: &Piece, of: u32) -> bool {
        let spent = |shard: &u32| {
            let latest = self.tree.jobs_of(piece).filter_map(|job| job.task(*shard));
            latest.last().and_then(Task::cause) == Some(Cause::BudgetSpent)
        };
        let waiting: Vec<u32> = (0..of).filter(spent).collect();
        if waiting.is_empty() {
            return false;
        }
        let attempts = self.tree.jobs_of(piece).map(|job| job.attempt);
        let attempt = attempts.max().unwrap_or(0) + 1;
        self.say("the budget is dealt again");
        let resources = self.resources(piece.phase);
        self.start_job(piece, &waiting, of, attempt, None, resources);
        true
    }

    pub(super) fn piece_failed(&mut self, piece: &Piece, cause: &str) -> Result<(), Refused> {
        let Some(run) = &piece.run else {
            return self.fail(cause);
        };
        // The other runs go on; what several of them failed of is all said in the end, the same thing once.
        let text = cause.split_once(": ").map_or(cause, |(_, text)| text);
        let said = &mut self.tree.campaign.cause;
        *said = Some(match said.take() {
            Some(before) if before.contains(text) => before,
            Some(before) => format!("{before}; {cause}"),
            None => cause.into(),
        });
        self.fire_run(run, EventName::WorkFailed)
    }
}

/// The tasks of a job that ended undone, but for those that wait for a slice of the budget.
fn undone_shards(job: &Job) -> Vec<u32> {
    let undone = |task: &&Task| !matches!(task.cause(), None | Some(Cause::BudgetSpent));
    let tasks = job.tasks.iter().filter(undone);
    tasks.map(|task| task.shard).collect()
}

/// How many of the attempts before a job ended this task by a cause of that kind.
fn repeated(stepper: &Stepper, job: &Job, shard: u32, cause: Cause) -> u32 {
    let kind = |other: Cause| other == cause || (is_loss(other) && is_loss(cause));
    let before = |job: &&Job| stepper.tree.jobs.get(job.retry_of.as_ref()?);
    let chain = std::iter::successors(before(&job), before);
    let alike = chain.filter(|job| {
        let ended = job.task(shard).and_then(Task::cause);
        !job.interrupted && ended.is_some_and(kind)
    });
    u32::try_from(alike.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::{
        ids::EffectId,
        machines::{
            effect::Effect,
            event::Event,
            job::{Cause, Phase, TaskEnd},
            spec::{BudgetSpec, CampaignSpec, ExecutorKind, Parts, SlurmSpec},
            step::step,
            tree::CampaignTree,
        },
        time::Timestamp,
    };

    const NOW: Timestamp = Timestamp(1_000);

    fn begun(shards: u32, slurm: SlurmSpec) -> CampaignTree {
        let mut spec = CampaignSpec {
            campaign_target: 30,
            executor: ExecutorKind::Slurm,
            ..CampaignSpec::bare("a")
        };
        spec.generator.shards = shards;
        spec.retry.transient = 1;
        spec.slurm.insert(Phase::Generate, slurm);
        spec.budget = Some(BudgetSpec {
            usd: None,
            tokens: Some(5),
            ..BudgetSpec::default()
        });
        let submitted = Event::Submitted {
            spec: Box::new(spec),
            parts: Parts::SkipPilot,
        };
        launched(step(None, &submitted, NOW).unwrap().tree)
    }

    /// Every launch that is owed is done.
    fn launched(mut tree: CampaignTree) -> CampaignTree {
        let owed = |tree: &CampaignTree| {
            let launch = |effect: &Effect| matches!(effect, Effect::LaunchJob { .. });
            let mut owed = tree.outbox.iter();
            owed.find(|(_, owed)| launch(&owed.effect))
                .map(|(id, _)| id.clone())
        };
        while let Some(effect) = owed(&tree) {
            let event = Event::JobLaunched {
                effect,
                adopted: false,
                gpus: None,
            };
            tree = step(Some(&tree), &event, NOW).unwrap().tree;
        }
        tree
    }

    fn ended(tree: &CampaignTree, job: u64, shard: u32, cause: Option<Cause>) -> CampaignTree {
        let job: EffectId = tree.campaign.id.effect(job);
        let watch = tree
            .outbox
            .iter()
            .find_map(|(id, owed)| match &owed.effect {
                Effect::WatchJob { job: other, .. } if *other == job => Some(id.clone()),
                _ => None,
            });
        let end = TaskEnd {
            cause,
            text: "so".into(),
            at: NOW,
            ran_seconds: None,
        };
        let event = Event::TasksEnded {
            effect: watch.unwrap(),
            job,
            ends: vec![(shard, end)],
        };
        step(Some(tree), &event, NOW).unwrap().tree
    }

    fn live(tree: &CampaignTree) -> Vec<Vec<u32>> {
        let jobs = tree.jobs.values().filter(|job| !job.state.ended());
        jobs.map(|job| job.tasks.iter().map(|task| task.shard).collect())
            .collect()
    }

    #[test]
    fn the_undone_tasks_of_an_array_are_started_again_together() {
        let mut tree = begun(4, SlurmSpec::default());
        tree = ended(&tree, 1, 1, Some(Cause::Lost));
        tree = ended(&tree, 1, 3, Some(Cause::Transient));
        assert_eq!(tree.jobs.len(), 1, "the array goes on");
        tree = ended(&tree, 1, 0, None);
        tree = ended(&tree, 1, 2, None);
        assert_eq!(live(&tree), [[1, 3]]);
    }

    #[test]
    fn who_waited_for_the_last_one_is_not_forgotten_when_that_one_spent_its_budget() {
        let mut tree = begun(3, SlurmSpec::default());
        tree = ended(&tree, 1, 0, Some(Cause::Lost));
        tree = ended(&tree, 1, 1, None);
        tree = ended(&tree, 1, 2, Some(Cause::BudgetSpent));
        let again: Vec<u32> = live(&tree).concat();
        assert!(again.contains(&0), "{again:?}");
        // The other waits for what that one leaves.
        tree = launched(tree);
        let retry = tree
            .jobs
            .values()
            .find(|job| job.task(0).is_some() && !job.state.ended());
        let retry = retry.unwrap().id.number;
        tree = ended(&tree, retry, 0, None);
        assert!(live(&tree).concat().contains(&2), "{:?}", live(&tree));
    }

    #[test]
    fn each_task_has_a_budget_of_its_own_and_more_of_what_it_lacked() {
        let slurm = SlurmSpec {
            mem_mib: Some(1000),
            grow_percent: 50,
            ..SlurmSpec::default()
        };
        let mut tree = begun(2, slurm);
        tree = ended(&tree, 1, 0, Some(Cause::OutOfMemory));
        tree = ended(&tree, 1, 1, Some(Cause::Transient));
        assert_eq!(live(&tree), [[0, 1]]);
        tree = launched(tree);
        let retry = tree.jobs.values().next_back().unwrap().clone();
        assert_eq!(retry.slurm.unwrap().mem_mib, Some(1500));
        // A first transient failure of the one whose first failure was another; the other has had its only one.
        tree = ended(&tree, retry.id.number, 0, Some(Cause::Transient));
        assert!(!tree.campaign.state.ended());
        tree = ended(&tree, retry.id.number, 1, Some(Cause::Transient));
        assert_eq!(tree.campaign.state.name(), "failed");
        let cause = tree.campaign.cause.clone().unwrap();
        assert!(cause.contains("all 1 retries are spent"), "{cause}");
    }
}
