//! Jobs and training runs: started for a phase, retried by cause, ended, and their ends reported to the campaign.

use super::{Refused, Stepper};
use crate::{
    ids::EffectId,
    machines::{
        campaign::State,
        effect::Effect,
        job::{Cause, Job, Phase, State as JobState, Task, TaskEnd},
        table::{Entry, EventName, tables},
        training_run::{State as RunState, TrainingRun},
    },
};

/// This shard's share of a target: contiguous, exact, sizes differing by at most one, as the generator deals it out.
fn share(target: u64, shard: u32, shards: u32) -> u64 {
    let range = crate::generation::shard_range(target, u64::from(shard), u64::from(shards));
    range.end - range.start
}

impl Stepper {
    /// Starts the job of a phase's present round, for the shards that are not done; all of them when all are.
    pub(super) fn run_phase(&mut self, phase: Phase) {
        let shards = match phase {
            Phase::Pilot | Phase::Generate => self.tree.campaign.spec.shards(phase == Phase::Pilot),
            _ => 1,
        };
        let mut open = self.tree.open_shards(phase, shards);
        if open.is_empty() {
            open = (0..shards).collect();
        }
        self.start_job(phase, &open, shards, 1, None);
    }

    /// A new attempt: its record, and the obligation to launch it. The effect's id is the job's.
    fn start_job(
        &mut self,
        phase: Phase,
        shards: &[u32],
        of: u32,
        attempt: u32,
        retry_of: Option<EffectId>,
    ) {
        let target = self.tree.campaign.target(phase);
        let task = |shard: &u32| Task {
            shard: *shard,
            shards: of,
            target: share(target, *shard, of),
            end: None,
        };
        let campaign = &self.tree.campaign;
        let time_seconds = match phase {
            Phase::Pilot | Phase::Generate => campaign.spec.generator.time_seconds,
            Phase::Train => campaign
                .spec
                .training
                .as_ref()
                .map(|spec| spec.time_seconds),
            _ => None,
        };
        let round = campaign.round(phase);
        let stage = if phase == Phase::Train {
            self.tree.stage()
        } else {
            0
        };
        let id = self.owe(Effect::LaunchJob { phase });
        let job = Job {
            id: id.clone(),
            phase,
            round,
            stage,
            attempt,
            state: JobState::Waiting,
            tasks: shards.iter().map(task).collect(),
            retry_of,
            interrupted: false,
            silent_since: None,
            created_at: self.now,
            launched_at: None,
            ended_at: None,
            time_seconds,
        };
        self.tree.jobs.insert(id, job);
    }

    /// Moves a job along its table and performs what entering its new state asks for.
    fn fire_job(&mut self, id: &EffectId, event: EventName) -> Result<(), Refused> {
        let now = self.now;
        let table = &tables().job;
        let job = self.tree.jobs.get_mut(id).ok_or(Refused::Late)?;
        let to = table
            .route(job.state.name(), event, |guard| job.holds(guard))
            .ok_or(Refused::Late)?;
        job.state = to
            .parse()
            .expect("the table's states are the enum's: tests/machines.rs");
        let phase = job.phase;
        if job.state.ended() {
            job.ended_at = Some(now);
            job.silent_since = None;
        }
        let row = table.row(to);
        if row.ends {
            self.tree.outbox.retain(|_, owed| !about(&owed.effect, id));
        }
        for entry in &row.entry {
            match entry {
                Entry::Watch => drop(self.owe(Effect::WatchJob {
                    job: id.clone(),
                    phase,
                })),
                Entry::End => drop(self.owe(Effect::EndJob { job: id.clone() })),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn job_launched(&mut self, id: &EffectId, adopted: bool) -> Result<(), Refused> {
        self.fire_job(id, EventName::JobLaunched)?;
        self.tree.outbox.remove(id);
        let now = self.now;
        let job = self.tree.jobs.get_mut(id).ok_or(Refused::Late)?;
        job.launched_at = Some(now);
        let phase = job.phase;
        let verb = if adopted { "found running" } else { "launched" };
        self.say(format!("job {id} {verb}"));
        if phase == Phase::Generate && self.tree.campaign.state == State::Launching {
            self.fire(EventName::WorkLaunched, &format!("job {id} runs"))?;
        }
        Ok(())
    }

    pub(super) fn launch_failed(
        &mut self,
        id: &EffectId,
        cause: Cause,
        text: &str,
    ) -> Result<(), Refused> {
        let now = self.now;
        let job = self.tree.jobs.get_mut(id).ok_or(Refused::Late)?;
        for task in &mut job.tasks {
            task.end.get_or_insert_with(|| TaskEnd {
                cause: Some(cause),
                text: text.into(),
                at: now,
            });
        }
        self.fire_job(id, EventName::LaunchFailed)?;
        self.tree.outbox.remove(id);
        let shards: Vec<u32> = self.tree.jobs[id]
            .tasks
            .iter()
            .map(|task| task.shard)
            .collect();
        self.retry_or_fail(id, &shards, cause, text)
    }

    pub(super) fn task_ended(
        &mut self,
        id: &EffectId,
        shard: u32,
        end: &TaskEnd,
    ) -> Result<(), Refused> {
        let job = self.tree.jobs.get_mut(id).ok_or(Refused::Late)?;
        let ending = job.state == JobState::Ending;
        let task = job
            .tasks
            .iter_mut()
            .find(|task| task.shard == shard)
            .ok_or(Refused::Late)?;
        if task.end.is_some() {
            return Err(Refused::Late);
        }
        task.end = Some(end.clone());
        let name = job.task_name(job.task(shard).ok_or(Refused::Late)?);
        self.say(format!("job {id} {name}: {}", end.text));
        // The job closes first, so that a failing campaign does not find it alive and end it.
        self.close_job_if_over(id)?;
        if end.done() && !ending {
            return self.deal_what_is_left(id);
        }
        match end.cause {
            Some(cause) if !ending => self.retry_or_fail(id, &[shard], cause, &end.text),
            _ => Ok(()),
        }
    }

    /// A job whose tasks have all ended ends, and its phase with it when nothing of it is left to do.
    pub(super) fn close_job_if_over(&mut self, id: &EffectId) -> Result<(), Refused> {
        let job = self.tree.jobs.get(id).ok_or(Refused::Late)?;
        if !job.all_ended() || job.state.ended() {
            return Ok(());
        }
        let (phase, round) = (job.phase, job.round);
        let shards = job.tasks.first().map_or(1, |task| task.shards);
        self.fire_job(id, EventName::TasksEnded)?;
        let current = !self.tree.campaign.state.ended() && round == self.tree.campaign.round(phase);
        if current && self.tree.all_shards_done(phase, shards) {
            return self.work_done(phase);
        }
        Ok(())
    }

    fn work_done(&mut self, phase: Phase) -> Result<(), Refused> {
        if phase == Phase::Train {
            return self.fire_run(EventName::WorkDone);
        }
        let target = self.tree.campaign.target(phase);
        let text = if target > 0 {
            format!("{target} samples are made")
        } else {
            format!("{phase} is done")
        };
        self.fire(EventName::WorkDone, &text)
    }

    /// What becomes of tasks that ended undone: started again by a new job of theirs alone, or the campaign fails.
    fn retry_or_fail(
        &mut self,
        id: &EffectId,
        shards: &[u32],
        cause: Cause,
        text: &str,
    ) -> Result<(), Refused> {
        let Some(job) = self.tree.jobs.get(id) else {
            return Ok(());
        };
        let (phase, attempt, interrupted) = (job.phase, job.attempt, job.interrupted);
        let of = job.tasks.first().map_or(1, |task| task.shards);
        let campaign = &mut self.tree.campaign;
        if campaign.state.ended() {
            return Ok(());
        }
        let times = campaign.spec.retry;
        let (spent, budget) = match cause {
            Cause::Lost | Cause::Stopped => (&mut campaign.spent_lost, times.lost),
            Cause::Transient => (&mut campaign.spent_transient, times.transient),
            Cause::BudgetSpent if self.tree.campaign.spec.budget.is_some() => {
                return self.deal_again(phase, of, text);
            }
            // A programme error comes back, and so does a limit that was too short.
            _ => return self.phase_failed(phase, &format!("job {id}: {text}")),
        };
        if interrupted {
            self.say("started again");
        } else if *spent < budget {
            *spent += 1;
            let used = *spent;
            self.say(format!("{cause}: retry {used} of {budget}"));
        } else {
            let cause = format!("job {id}: {text}; all {budget} retries are spent");
            return self.phase_failed(phase, &cause);
        }
        self.start_job(phase, shards, of, attempt + 1, Some(id.clone()));
        Ok(())
    }

    /// A task is done and leaves what it has not spent: tasks that ran out of theirs go on with it.
    fn deal_what_is_left(&mut self, id: &EffectId) -> Result<(), Refused> {
        let Some(job) = self.tree.jobs.get(id) else {
            return Ok(());
        };
        let (phase, round) = (job.phase, job.round);
        let of = job.tasks.first().map_or(1, |task| task.shards);
        let campaign = &self.tree.campaign;
        if campaign.state.ended() || round != campaign.round(phase) {
            return Ok(());
        }
        self.start_waiting(phase, of);
        Ok(())
    }

    /// A task ran out of its slice. While others work, theirs may be left over, and the task waits for that; when none
    /// does, the campaign's budget is spent, unless a task that was done left something since it was dealt last.
    fn deal_again(&mut self, phase: Phase, of: u32, text: &str) -> Result<(), Refused> {
        let live = |job: &Job| job.tasks.iter().any(|task| task.end.is_none());
        if self.tree.jobs_of(phase).any(live) {
            self.say("its slice is spent; it waits for what others leave");
            return Ok(());
        }
        let dealt = self.tree.jobs_of(phase).map(|job| job.created_at).max();
        let left_over = self.tree.jobs_of(phase).any(|job| {
            let mut ends = job.tasks.iter().filter_map(|task| task.end.as_ref());
            ends.any(|end| end.done() && Some(end.at) >= dealt)
        });
        if left_over && self.start_waiting(phase, of) {
            return Ok(());
        }
        self.phase_failed(phase, text)
    }

    /// Starts the shards that wait for a slice; whether there are any.
    fn start_waiting(&mut self, phase: Phase, of: u32) -> bool {
        let spent = |shard: &u32| {
            let latest = self.tree.jobs_of(phase).filter_map(|job| job.task(*shard));
            latest.last().and_then(Task::cause) == Some(Cause::BudgetSpent)
        };
        let waiting: Vec<u32> = (0..of).filter(spent).collect();
        if waiting.is_empty() {
            return false;
        }
        let attempts = self.tree.jobs_of(phase).map(|job| job.attempt);
        let attempt = attempts.max().unwrap_or(0) + 1;
        self.say("the budget is dealt again");
        self.start_job(phase, &waiting, of, attempt, None);
        true
    }

    fn phase_failed(&mut self, phase: Phase, cause: &str) -> Result<(), Refused> {
        if phase != Phase::Train {
            return self.fail(cause);
        }
        self.tree.campaign.cause = Some(cause.into());
        self.fire_run(EventName::WorkFailed)
    }

    /// Asks every live job to end.
    pub(super) fn end_jobs(&mut self) {
        let live: Vec<EffectId> = self
            .tree
            .jobs
            .values()
            .filter(|job| !job.state.ended())
            .map(|job| job.id.clone())
            .collect();
        for id in live {
            self.tree.outbox.remove(&id);
            // A job that is asked already refuses, and its end is owed already.
            let _ = self.fire_job(&id, EventName::EndAsked);
        }
        let runs = self.tree.runs.values_mut().filter(|run| !run.state.ended());
        for run in runs {
            run.state = RunState::Cancelled;
            run.ended_at = Some(self.now);
        }
    }

    /// The training run of the present cycle begins, or begins again in the stage it failed in.
    pub(super) fn start_training(&mut self) -> Result<(), Refused> {
        let cycle = self.tree.campaign.cycle;
        let stages = self
            .tree
            .campaign
            .spec
            .training
            .as_ref()
            .map_or(1, |spec| spec.stages.max(1));
        let started_at = self.now;
        let again = self
            .tree
            .runs
            .get(&TrainingRun::key(cycle))
            .map_or(0, |run| run.stage.saturating_sub(1));
        let run = TrainingRun {
            cycle,
            stage: again,
            stages,
            state: RunState::Queued,
            started_at,
            ended_at: None,
        };
        self.tree.runs.insert(TrainingRun::key(cycle), run);
        self.fire_run(EventName::Started)
    }

    fn fire_run(&mut self, event: EventName) -> Result<(), Refused> {
        let now = self.now;
        let table = &tables().training_run;
        let key = TrainingRun::key(self.tree.campaign.cycle);
        let run = self.tree.runs.get_mut(&key).ok_or(Refused::Late)?;
        let to = table
            .route(run.state.name(), event, |guard| run.holds(guard))
            .ok_or(Refused::Late)?;
        run.state = to
            .parse()
            .expect("the table's states are the enum's: tests/machines.rs");
        if run.state.ended() {
            run.ended_at = Some(now);
        }
        if table.row(to).entry.contains(&Entry::RunStage) {
            run.stage += 1;
            let stage = run.stage;
            self.say(format!("{key} stage {stage}"));
            self.run_phase(Phase::Train);
        }
        match self.tree.runs[&key].state {
            RunState::Done => self.fire(EventName::TrainingDone, &format!("{key} is done")),
            RunState::Failed => {
                let cause = self.tree.campaign.cause.clone().unwrap_or_default();
                self.fire(EventName::TrainingFailed, &cause)
            }
            _ => Ok(()),
        }
    }
}

/// Whether an obligation is about a launched job.
fn about(effect: &Effect, id: &EffectId) -> bool {
    matches!(effect, Effect::WatchJob { job, .. } | Effect::EndJob { job } if job == id)
}
