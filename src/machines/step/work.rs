//! Jobs and training runs: started for a phase, retried by cause, ended, and their ends reported to the campaign.

use super::{Refused, Stepper, retry::Resources};
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

/// A line of the journal about many tasks names so many.
const SENTENCES: usize = 12;

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
        let resources = self.resources(phase);
        self.start_job(piece, &open, shards, 1, None, resources);
    }

    /// A new attempt: its record, and the obligation to launch it. The effect's id is the job's.
    pub(super) fn start_job(
        &mut self,
        piece: &Piece,
        shards: &[u32],
        of: u32,
        attempt: u32,
        retry_of: Option<EffectId>,
        resources: Resources,
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
            time_seconds: resources.time_seconds,
            gpus: self.tree.gpus(piece, resources.slurm.as_ref()),
            slurm: resources.slurm,
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

    pub(super) fn job_launched(
        &mut self,
        id: &EffectId,
        adopted: bool,
        gpus: Option<u32>,
    ) -> Result<(), Refused> {
        self.fire_job(id, EventName::JobLaunched)?;
        self.tree.outbox.remove(id);
        let now = self.now;
        let job = self.tree.jobs.get_mut(id).ok_or(Refused::Late)?;
        job.launched_at = Some(now);
        job.gpus = gpus.unwrap_or(job.gpus);
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
                ran_seconds: None,
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

    /// Several ends, one after the other. One that was known already changes nothing.
    pub(super) fn tasks_ended(
        &mut self,
        id: &EffectId,
        ends: &[(u32, TaskEnd)],
    ) -> Result<(), Refused> {
        let mut late = 0;
        for (shard, end) in ends {
            match self.task_ended(id, *shard, end) {
                Err(Refused::Late) => late += 1,
                done => done?,
            }
        }
        if late == ends.len() {
            return Err(Refused::Late);
        }
        if self.said.len() > SENTENCES {
            let more = self.said.len() - SENTENCES;
            self.said.truncate(SENTENCES);
            self.said.push(format!("and {more} more"));
        }
        Ok(())
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
            self.start_waiting_again(id)?;
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

    /// Asks a live job to end.
    pub(super) fn end_job(&mut self, id: &EffectId) {
        self.tree.outbox.remove(id);
        // A job that is asked already refuses, and its end is owed already.
        let _ = self.fire_job(id, EventName::EndAsked);
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
            self.end_job(&id);
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
