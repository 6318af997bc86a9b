//! Jobs and training runs: started for a phase, retried by cause, ended, and their ends reported to the campaign.

use super::{Refused, Stepper};
use crate::{
    ids::EffectId,
    machines::{
        campaign::State,
        effect::Effect,
        job::{Cause, Job, Phase, Piece, State as JobState, Task, TaskEnd},
        table::{Entry, EventName, tables},
        training_run::State as RunState,
    },
};

/// This shard's share of a target: contiguous, exact, sizes differing by at most one, as the generator deals it out.
fn share(target: u64, shard: u32, shards: u32) -> u64 {
    let range = crate::generation::shard_range(target, u64::from(shard), u64::from(shards));
    range.end - range.start
}

/// So often a stage of training goes on after its time limit. Its checkpoints remain, so a time limit is legal work and costs
/// no retry; this ends one whose limit is too short to ever reach a checkpoint.
const MOST_TIME_LIMITS: u32 = 100;

/// Whether a task vanished, or was made to: one budget.
fn is_loss(cause: Cause) -> bool {
    matches!(cause, Cause::Lost | Cause::Stopped)
}

impl Stepper {
    /// Starts the job of a phase's present round, for the shards that are not done; all of them when all are.
    pub(super) fn run_phase(&mut self, phase: Phase) {
        self.run_piece(&phase.into());
    }

    pub(super) fn run_piece(&mut self, piece: &Piece) {
        let phase = piece.phase;
        let shards = match phase {
            Phase::Pilot | Phase::Generate => self.tree.campaign.spec.shards(phase == Phase::Pilot),
            Phase::Execute => {
                let execution = self.tree.campaign.spec.execution.as_ref();
                execution.map_or(1, |spec| spec.shards)
            }
            _ => 1,
        };
        let mut open = self.tree.open_shards(piece, shards);
        if open.is_empty() {
            open = (0..shards).collect();
        }
        self.start_job(piece, &open, shards, 1, None);
    }

    /// A new attempt: its record, and the obligation to launch it. The effect's id is the job's.
    fn start_job(
        &mut self,
        piece: &Piece,
        shards: &[u32],
        of: u32,
        attempt: u32,
        retry_of: Option<EffectId>,
    ) {
        let phase = piece.phase;
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
        let stage = self.tree.stage(piece);
        let id = self.owe(Effect::LaunchJob { phase });
        let job = Job {
            id: id.clone(),
            phase,
            round,
            run: piece.run.clone(),
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
        if phase == Phase::Train {
            self.renew_deadline();
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
        let job = &self.tree.jobs[id];
        let name = self
            .tree
            .task_name(job, job.task(shard).ok_or(Refused::Late)?);
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
        let (piece, round, stage) = (job.piece(), job.round, job.stage);
        let shards = job.tasks.first().map_or(1, |task| task.shards);
        self.fire_job(id, EventName::TasksEnded)?;
        let current = !self.tree.campaign.state.ended()
            && round == self.tree.campaign.round(piece.phase)
            && stage == self.tree.stage(&piece);
        if current && self.tree.all_shards_done(&piece, shards) {
            return self.work_done(&piece);
        }
        Ok(())
    }

    fn work_done(&mut self, piece: &Piece) -> Result<(), Refused> {
        if let Some(run) = &piece.run {
            return self.fire_run(run, EventName::WorkDone);
        }
        let phase = piece.phase;
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
        let (piece, attempt, interrupted) = (job.piece(), job.attempt, job.interrupted);
        let of = job.tasks.first().map_or(1, |task| task.shards);
        let campaign = &self.tree.campaign;
        if campaign.state.ended() {
            return Ok(());
        }
        let times = campaign.spec.retry;
        let budget = match cause {
            Cause::Lost | Cause::Stopped => times.lost,
            Cause::Transient => times.transient,
            Cause::TimeLimit if piece.phase == Phase::Train => MOST_TIME_LIMITS,
            Cause::BudgetSpent if campaign.spec.budget.is_some() => {
                return self.deal_again(&piece, of, text);
            }
            // A programme error comes back, and so does a limit that was too short.
            _ => return self.piece_failed(&piece, &format!("job {id}: {text}")),
        };
        let spent = self.spent(id, cause);
        if interrupted {
            self.say("started again");
        } else if spent < budget {
            self.spend(&piece, cause);
            let used = spent + 1;
            self.say(format!("{cause}: retry {used} of {budget}"));
        } else {
            let cause = format!("job {id}: {text}; all {budget} retries are spent");
            return self.piece_failed(&piece, &cause);
        }
        self.start_job(&piece, shards, of, attempt + 1, Some(id.clone()));
        Ok(())
    }

    /// How many retries the job's piece of work has spent on causes of that kind. A stage of a training run has a budget of
    /// its own, counted over the attempts that this one repeats: what befalls one run is no fault of another.
    fn spent(&self, id: &EffectId, cause: Cause) -> u32 {
        let campaign = &self.tree.campaign;
        match self.tree.jobs.get(id) {
            Some(job) if job.run.is_some() => self.repeated(job, cause),
            _ if is_loss(cause) => campaign.spent_lost,
            _ => campaign.spent_transient,
        }
    }

    /// How many of the attempts before a training job ended by a cause of that kind.
    fn repeated(&self, job: &Job, cause: Cause) -> u32 {
        let kind = |other: Cause| other == cause || (is_loss(other) && is_loss(cause));
        let before = |job: &&Job| self.tree.jobs.get(job.retry_of.as_ref()?);
        let chain = std::iter::successors(before(&job), before);
        let alike = chain
            .filter(|job| !job.interrupted && job.tasks.iter().filter_map(Task::cause).any(kind));
        u32::try_from(alike.count()).unwrap_or(u32::MAX)
    }

    /// Takes down a retry where no chain of jobs tells of it.
    fn spend(&mut self, piece: &Piece, cause: Cause) {
        let campaign = &mut self.tree.campaign;
        match (&piece.run, is_loss(cause)) {
            (Some(_), _) => {}
            (None, true) => campaign.spent_lost += 1,
            (None, false) => campaign.spent_transient += 1,
        }
    }

    /// A task is done and leaves what it has not spent: tasks that ran out of theirs go on with it.
    fn deal_what_is_left(&mut self, id: &EffectId) -> Result<(), Refused> {
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
        self.start_job(piece, &waiting, of, attempt, None);
        true
    }

    fn piece_failed(&mut self, piece: &Piece, cause: &str) -> Result<(), Refused> {
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
}

/// Whether an obligation is about a launched job.
fn about(effect: &Effect, id: &EffectId) -> bool {
    matches!(effect, Effect::WatchJob { job, .. } | Effect::EndJob { job } if job == id)
}
