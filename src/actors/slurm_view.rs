//! What SLURM says, for screens.

use crate::{
    control::api::{NewsView, TaskOnSlurm},
    executor::slurm::{
        desk::{Slurm, Standing},
        queue::TaskView,
        reasons::hopeless,
        words::{Meaning, Word},
    },
    machines::{
        job::{Job, State, Task},
        tree::CampaignTree,
    },
};
use std::collections::BTreeMap;

/// The most sentences about one campaign's jobs.
const MOST: usize = 6;

/// A task as SLURM knows it; none where it is no task of SLURM's.
pub(super) fn task(slurm: &Slurm, job: &Job, task: &Task) -> Option<TaskOnSlurm> {
    let clusters = &job.slurm.as_ref()?.clusters;
    let view = slurm
        .task(clusters, &job.id, task.shard)
        .unwrap_or_default();
    Some(TaskOnSlurm {
        state: view
            .state
            .as_ref()
            .map_or(String::new(), ToString::to_string),
        id: view.handle,
        reason: spoken(&view.reason),
        nodes: view.nodes,
        partition: view.partition,
    })
}

/// `None` is SLURM's word for no reason.
fn spoken(reason: &str) -> String {
    if reason == "None" { "" } else { reason }.into()
}

/// Whether SLURM lets a task wait, and why, as far as that is known.
pub(super) fn waits(on_slurm: &TaskOnSlurm) -> bool {
    crate::executor::slurm::words::State::read(&on_slurm.state).meaning() == Meaning::Waits
}

/// Why a job that is to be launched is not submitted yet.
pub(super) fn obstacle(slurm: &Slurm, job: &Job) -> Option<String> {
    slurm.obstacle(&job.slurm.as_ref()?.clusters, &job.id)
}

/// Sentences about a campaign's jobs: how many of each wait, why, and what never passes by itself.
pub(super) fn sentences(slurm: &Slurm, tree: &CampaignTree) -> Vec<String> {
    let mut all = Vec::new();
    for job in tree.jobs.values().filter(|job| !job.state.ended()) {
        let Some(asked) = &job.slurm else { continue };
        if job.state == State::Waiting {
            let why = slurm.obstacle(&asked.clusters, &job.id);
            all.extend(why.map(|why| format!("{}: not submitted yet: {why}", job.id)));
            continue;
        }
        all.extend(of_job(slurm, job, &asked.clusters));
    }
    all.truncate(MOST);
    all
}

fn of_job(slurm: &Slurm, job: &Job, clusters: &str) -> Vec<String> {
    let open = job.tasks.iter().filter(|task| task.end.is_none());
    let views: Vec<TaskView> = open
        .filter_map(|task| slurm.task(clusters, &job.id, task.shard))
        .collect();
    let mut counts: BTreeMap<(String, String), (usize, String)> = BTreeMap::new();
    for view in &views {
        let state = match &view.state {
            Some(state) => state.to_string(),
            None => "not seen yet".into(),
        };
        let known = counts
            .entry((state, spoken(&view.reason)))
            .or_insert_with(|| (0, view.handle.clone()));
        known.0 += 1;
    }
    let sentence = |((state, reason), (count, first)): (&(String, String), &(usize, String))| {
        let tasks = if *count == 1 {
            String::new()
        } else {
            format!(" and {} more", count - 1)
        };
        let why = match (reason.as_str(), hopeless(reason)) {
            ("", _) => String::new(),
            (word, None) => format!(": {word}"),
            (word, Some(sentence)) => format!(": {word}, {sentence}"),
        };
        format!("{}: slurm {first}{tasks} {state}{why}", job.id)
    };
    counts.iter().map(sentence).collect()
}

/// Warnings about jobs that wait for what never comes.
pub(super) fn warnings(slurm: &Slurm, tree: &CampaignTree) -> Vec<String> {
    let live = tree.jobs.values().filter(|job| !job.state.ended());
    let mut all = Vec::new();
    for job in live {
        let Some(asked) = &job.slurm else { continue };
        let mut views = job
            .tasks
            .iter()
            .filter(|task| task.end.is_none())
            .filter_map(|task| slurm.task(&asked.clusters, &job.id, task.shard));
        let pending = crate::executor::slurm::words::State::Known(Word::Pending);
        let stuck = views.find_map(|view| {
            let waits = view.state.as_ref() == Some(&pending);
            let sentence = hopeless(&view.reason).filter(|_| waits)?;
            Some(format!(
                "slurm {} waits for what does not come ({}): {sentence}",
                view.handle, view.reason
            ))
        });
        all.extend(stuck.map(|text| format!("job {}: {text}", job.id)));
    }
    all
}

/// Whether the controllers answer.
pub(super) fn news(slurm: &Slurm) -> Vec<NewsView> {
    let view = |standing: Standing| {
        let silence = standing.contact.silence.as_ref();
        NewsView {
            source: match standing.clusters.as_str() {
                "" => "slurm".into(),
                clusters => format!("slurm {clusters}"),
            },
            ok: silence.is_none(),
            last_answer_at: standing.contact.answered_at.map(|at| at.to_string()),
            tries: silence.map_or(0, |silence| u64::from(silence.tries)),
            message: silence.map(|silence| silence.text.clone()),
            next_try_at: silence.map(|silence| silence.next.to_string()),
            silent_since_at: silence.map(|silence| silence.since.to_string()),
            calls_left: Some(standing.calls_left),
        }
    };
    let asked = slurm.standings().into_iter();
    let asked = asked.filter(|one| one.jobs > 0 || one.contact.silence.is_some());
    asked.map(view).collect()
}
