//! Which of the owed effects may be performed now: a pause and the limits hold new work back, in line.

use super::{
    effect::Effect,
    job::{Job, State},
    tree::CampaignTree,
};
use crate::{ids::EffectId, time::Timestamp};
use std::time::Duration;

/// Limits over all campaigns of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks at once.
    pub max_concurrent_jobs: u32,
    /// Of these, tasks that train, or measure what was trained: both hold a model, and all processors.
    pub max_training_jobs: u32,
    /// Jobs submitted in any 60 minutes; on SLURM each array is one.
    pub max_jobs_per_hour: u32,
    /// Tasks of this machine at once: its processors.
    pub local_slots: u32,
    /// Of these, tasks that train or measure: one a GPU, where there is one.
    pub local_training: u32,
    /// The most tasks of one array.
    pub max_array_size: u32,
}

/// What a job takes of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    running: usize,
    training: usize,
    here: usize,
    training_here: usize,
}

impl Share {
    /// So many tasks of a job. An array never runs more of them than may run at once: SLURM is told so.
    fn of(job: &Job, tasks: usize, limits: Limits) -> Self {
        let here = job.slurm.is_none();
        // A retry takes the place that its task left.
        let slots = here && !(job.attempt > 1 && job.state == State::Waiting);
        let running = match here {
            true => tasks,
            false => tasks.min(limits.max_concurrent_jobs as usize),
        };
        let trains = job.phase.trains();
        Self {
            running,
            training: if trains { running } else { 0 },
            here: if slots { running } else { 0 },
            training_here: if here && trains { running } else { 0 },
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            running: self.running + other.running,
            training: self.training + other.training,
            here: self.here + other.here,
            training_here: self.training_here + other.training_here,
        }
    }

    /// Whether another share may come to this one. What is larger than a limit runs alone.
    fn admits(self, more: Self, limits: Limits) -> bool {
        let most = |limit: u32| limit as usize;
        let fits = |taken: usize, more: usize, limit: usize| {
            more == 0 || taken == 0 || taken + more <= limit
        };
        let trainable =
            |taken: usize, more: usize, limit: usize| more == 0 || taken + more <= limit;
        fits(self.running, more.running, most(limits.max_concurrent_jobs))
            && fits(self.here, more.here, most(limits.local_slots))
            && trainable(self.training, more.training, most(limits.max_training_jobs))
            && trainable(
                self.training_here,
                more.training_here,
                most(limits.local_training),
            )
    }
}

/// How many submissions a job is.
fn submissions(job: &Job, limits: Limits) -> usize {
    match job.slurm {
        Some(_) => job
            .tasks
            .len()
            .div_ceil(limits.max_array_size.max(1) as usize),
        None => 1,
    }
}

/// The launches that may not be performed now, of all campaigns; everything else in the outboxes may.
///
/// Launches stand in line by the time they were decided. `begun` are those whose performer is at work already: they
/// count as running. A job with more tasks than the limit runs alone.
pub fn held<'a>(
    trees: impl Iterator<Item = &'a CampaignTree> + Clone,
    begun: impl Fn(&EffectId) -> bool,
    limits: Limits,
    now: Timestamp,
) -> Vec<EffectId> {
    let jobs = || trees.clone().flat_map(|tree| tree.jobs.values());
    let mut taken = jobs()
        .map(|job| Share::of(job, job.running_tasks(), limits))
        .fold(Share::default(), Share::and);
    let hour_ago = |job: &&Job| {
        job.launched_at
            .is_some_and(|at| now.since(at) < Duration::from_secs(3600))
    };
    let recent = jobs().filter(hour_ago);
    let mut in_the_hour: usize = recent.map(|job| submissions(job, limits)).sum();

    let mut line: Vec<(Timestamp, &EffectId, &CampaignTree)> = trees
        .clone()
        .flat_map(|tree| tree.outbox.iter().map(move |(id, owed)| (id, owed, tree)))
        .filter(|(_, owed, _)| owed.effect.is_new_work())
        .map(|(id, owed, tree)| (owed.since, id, tree))
        .collect();
    line.sort_by_key(|(since, id, _)| (*since, *id));
    // Those at work come first: they cannot be held back any more.
    line.sort_by_key(|(_, id, _)| !begun(id));

    let mut held = Vec::new();
    for (_, id, tree) in line {
        let launch = matches!(
            tree.outbox.get(id).map(|owed| &owed.effect),
            Some(Effect::LaunchJob { .. })
        );
        let (share, calls) = match tree.jobs.get(id).filter(|_| launch) {
            Some(job) => (
                Share::of(job, job.tasks.len(), limits),
                submissions(job, limits),
            ),
            None => (Share::default(), 0),
        };
        let this_hour = calls == 0 || in_the_hour < limits.max_jobs_per_hour as usize;
        let paused = tree.campaign.paused_at.is_some();
        if begun(id) || (taken.admits(share, limits) && this_hour && !paused) {
            taken = taken.and(share);
            in_the_hour += calls;
        } else {
            held.push(id.clone());
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machines::{
        campaign::Campaign,
        effect::Obligation,
        job::{Phase, Task},
        spec::{CampaignSpec, Parts},
    };

    const LIMITS: Limits = Limits {
        max_concurrent_jobs: 5,
        max_training_jobs: 3,
        max_jobs_per_hour: 100,
        local_slots: 64,
        local_training: 3,
        max_array_size: 1000,
    };
    const NOW: Timestamp = Timestamp(10_000_000);

    /// A campaign with one job of so many tasks, decided at `since`.
    fn tree(name: &str, phase: Phase, tasks: u32, state: State, since: i64) -> CampaignTree {
        let mut tree =
            CampaignTree::new(Campaign::draft(CampaignSpec::bare(name), Parts::Whole, NOW));
        let id = tree.campaign.id.effect(1);
        let task = |shard| Task {
            shard,
            shards: tasks,
            target: 1,
            end: None,
        };
        let job = Job {
            id: id.clone(),
            phase,
            round: 1,
            run: (phase == Phase::Train).then(|| "run-1-a".into()),
            stage: 0,
            attempt: 1,
            state,
            tasks: (0..tasks).map(task).collect(),
            retry_of: None,
            interrupted: false,
            silent_since: None,
            created_at: Timestamp(since),
            launched_at: (state == State::Running).then_some(Timestamp(since)),
            ended_at: None,
            time_seconds: None,
            slurm: None,
            gpus: 0,
        };
        tree.jobs.insert(id.clone(), job);
        if state == State::Waiting {
            let owed = Obligation {
                effect: Effect::LaunchJob { phase },
                since: Timestamp(since),
            };
            tree.outbox.insert(id, owed);
        }
        tree
    }

    fn names(trees: &[CampaignTree], limits: Limits) -> Vec<String> {
        held(trees.iter(), |_| false, limits, NOW)
            .iter()
            .map(EffectId::to_string)
            .collect()
    }

    #[test]
    fn three_train_at_once_and_the_rest_wait_in_line() {
        let all: Vec<CampaignTree> = (0..5)
            .map(|n| tree(&format!("t{n}"), Phase::Train, 1, State::Waiting, 10 - n))
            .collect();
        assert_eq!(
            names(&all, LIMITS),
            ["t1-1", "t0-1"],
            "the two that were decided last"
        );
        let mut measuring = all.clone();
        measuring[0] = tree("t0", Phase::Evaluate, 1, State::Running, 1);
        assert_eq!(names(&measuring, LIMITS), ["t2-1", "t1-1"]);
        let mut running = all.clone();
        running[0] = tree("t0", Phase::Train, 1, State::Running, 1);
        assert_eq!(names(&running, LIMITS), ["t2-1", "t1-1"]);
    }

    #[test]
    fn tasks_count_and_a_job_larger_than_the_limit_runs_alone() {
        let running = tree("a", Phase::Generate, 4, State::Running, 1);
        let two = tree("b", Phase::Generate, 2, State::Waiting, 2);
        let one = tree("c", Phase::Pilot, 1, State::Waiting, 3);
        assert_eq!(names(&[running, two, one], LIMITS), ["b-1"]);
        let large = tree("d", Phase::Generate, 9, State::Waiting, 1);
        assert_eq!(
            names(std::slice::from_ref(&large), LIMITS),
            Vec::<String>::new()
        );
        assert_eq!(
            names(
                &[large, tree("a", Phase::Pilot, 1, State::Running, 1)],
                LIMITS
            ),
            ["d-1"]
        );
    }

    #[test]
    fn the_machine_has_its_processors_and_slurm_its_own_limit() {
        let two = Limits {
            local_slots: 2,
            local_training: 1,
            ..LIMITS
        };
        let running = tree("a", Phase::Generate, 1, State::Running, 1);
        let next = tree("b", Phase::Generate, 2, State::Waiting, 2);
        assert_eq!(names(&[running.clone(), next.clone()], two), ["b-1"]);
        let on_slurm = |mut tree: CampaignTree| {
            for job in tree.jobs.values_mut() {
                job.slurm = Some(crate::machines::spec::SlurmSpec::default());
            }
            tree
        };
        let all = [running, on_slurm(next)];
        assert_eq!(names(&all, two), Vec::<String>::new());
        // An array of a thousand runs five at a time, so it is five.
        let array = on_slurm(tree("c", Phase::Generate, 1000, State::Waiting, 1));
        let one = tree("d", Phase::Generate, 1, State::Waiting, 2);
        assert_eq!(names(&[array, one], LIMITS), ["d-1"]);
        // One a GPU here, three on SLURM.
        let training: Vec<CampaignTree> = (0..4)
            .map(|n| tree(&format!("t{n}"), Phase::Train, 1, State::Waiting, n))
            .collect();
        assert_eq!(names(&training, two), ["t1-1", "t2-1", "t3-1"]);
        let there: Vec<CampaignTree> = training.into_iter().map(on_slurm).collect();
        assert_eq!(names(&there, two), ["t3-1"]);
    }

    #[test]
    fn each_array_counts_in_the_hour() {
        let hour = Limits {
            max_jobs_per_hour: 3,
            max_array_size: 2,
            max_concurrent_jobs: 1000,
            ..LIMITS
        };
        let mut five = tree("a", Phase::Generate, 5, State::Running, NOW.0 - 1);
        for job in five.jobs.values_mut() {
            job.slurm = Some(crate::machines::spec::SlurmSpec::default());
        }
        let next = tree("b", Phase::Pilot, 1, State::Waiting, 1);
        assert_eq!(names(&[five, next], hour), ["b-1"], "three arrays");
    }

    #[test]
    fn a_pause_and_the_hour_hold_back() {
        let mut paused = tree("a", Phase::Pilot, 1, State::Waiting, 1);
        paused.campaign.paused_at = Some(NOW);
        assert_eq!(names(std::slice::from_ref(&paused), LIMITS), ["a-1"]);
        let begun = held([paused].iter(), |_| true, LIMITS, NOW);
        assert!(begun.is_empty(), "what is begun cannot be held back");
        let hour = Limits {
            max_jobs_per_hour: 1,
            ..LIMITS
        };
        let recent = tree("b", Phase::Pilot, 1, State::Running, NOW.0 - 1);
        let next = tree("c", Phase::Pilot, 1, State::Waiting, 1);
        assert_eq!(names(&[recent, next.clone()], hour), ["c-1"]);
        let earlier = tree("b", Phase::Pilot, 1, State::Running, NOW.0 - 3_600_000);
        assert_eq!(names(&[earlier, next], hour), Vec::<String>::new());
    }
}
