//! Which of the owed effects may be performed now: a pause and the limits hold new work back, in line.

use super::{effect::Effect, job::Job, tree::CampaignTree};
use crate::{ids::EffectId, time::Timestamp};
use std::time::Duration;

/// Limits over all campaigns of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tasks at once.
    pub max_concurrent_jobs: u32,
    /// Of these, tasks that train, or measure what was trained: both hold a model, and all processors.
    pub max_training_jobs: u32,
    /// Jobs submitted in any 60 minutes.
    pub max_jobs_per_hour: u32,
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
    let mut running: usize = jobs().map(Job::running_tasks).sum();
    let training = |job: &&Job| job.phase.trains();
    let mut runs: usize = jobs().filter(training).map(Job::running_tasks).sum();
    let hour_ago = |job: &&Job| {
        job.launched_at
            .is_some_and(|at| now.since(at) < Duration::from_secs(3600))
    };
    let mut in_the_hour = jobs().filter(hour_ago).count();

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
        let (tasks, trains) = match tree.jobs.get(id).filter(|_| launch) {
            Some(job) => (job.tasks.len(), job.phase.trains()),
            None => (0, false),
        };
        let fits = running == 0 || running + tasks <= limits.max_concurrent_jobs as usize;
        let trainable = !trains || runs + tasks <= limits.max_training_jobs as usize;
        let this_hour = tasks == 0 || in_the_hour < limits.max_jobs_per_hour as usize;
        let paused = tree.campaign.paused_at.is_some();
        if begun(id) || (fits && trainable && this_hour && !paused) {
            running += tasks;
            runs += if trains { tasks } else { 0 };
            in_the_hour += usize::from(tasks > 0);
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
        job::{Phase, State, Task},
        spec::{CampaignSpec, Parts},
    };

    const LIMITS: Limits = Limits {
        max_concurrent_jobs: 5,
        max_training_jobs: 3,
        max_jobs_per_hour: 100,
    };
    const NOW: Timestamp = Timestamp(10_000_000);

    fn spec(name: &str) -> CampaignSpec {
        let text = serde_json::json!({
            "name": name, "file": null, "directory": "/",
            "criteria": { "gate": "point", "quality_threshold": 0.75, "min_pilot_samples": 1, "pilot_target": 1,
                "max_pilot_samples": 1 },
            "campaign_target": 1, "auto_launch": true, "executor": "local", "seed": 1,
            "generator": { "brain": "rules", "command": [], "shards": 1, "time_seconds": null, "evidence": "samples",
                "faults": 0.1 },
            "retry": { "transient": 3, "lost": 3 }, "execution": null, "curation": null, "training": null,
            "evaluation": null, "planning": null, "provenance": [],
        });
        serde_json::from_value(text).unwrap()
    }

    /// A campaign with one job of so many tasks, decided at `since`.
    fn tree(name: &str, phase: Phase, tasks: u32, state: State, since: i64) -> CampaignTree {
        let mut tree = CampaignTree::new(Campaign::draft(spec(name), Parts::Whole, NOW));
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
