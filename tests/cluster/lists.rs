//! What the queue and accounting show of the jobs, now or a while ago.

use super::job::{Entry, Job, Task};
use campaignd::{
    executor::slurm::{
        calls::{AccountRow, Indices, QueueRow},
        words::State,
    },
    time::Timestamp,
};
use std::collections::BTreeMap;

/// A row of accounting with what orders it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The row.
    pub row: AccountRow,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When it began.
    pub began: Option<Timestamp>,
}

/// The queue as it was at a time: one row for what waits of a job, one for each task that began.
pub fn queue(jobs: &BTreeMap<u64, Job>, at: Timestamp) -> Vec<QueueRow> {
    let there = jobs.values().filter(|job| job.is_queued_at(at));
    there.flat_map(|job| of_job(job, at)).collect()
}

fn of_job(job: &Job, at: Timestamp) -> Vec<QueueRow> {
    let entries = job
        .tasks
        .iter()
        .filter_map(|task| Some((task, task.at(at)?)));
    grouped(job, entries)
        .into_iter()
        .map(|(indices, entry)| QueueRow {
            id: job.id,
            indices,
            name: job.name.clone(),
            state: State::read(&entry.state),
            reason: entry.reason.clone(),
            nodes: entry.node.clone(),
            partition: job.partition.clone(),
        })
        .collect()
}

/// Accounting as it was at a time, in the order of submission.
pub fn accounts<'a>(
    jobs: impl Iterator<Item = &'a Job>,
    at: Timestamp,
    first_attempts: bool,
) -> Vec<Account> {
    let mut all = Vec::new();
    for job in jobs.filter(|job| !job.forgotten) {
        let entries = job.tasks.iter().filter_map(|task| {
            let first = task.first_attempt(at).filter(|_| first_attempts);
            Some((task, first.or_else(|| task.known_at(at))?))
        });
        for (indices, entry) in grouped(job, entries) {
            all.push(account(job, indices, entry, at));
        }
    }
    all.sort_by_key(|account| account.submitted);
    all
}

fn account(job: &Job, indices: Indices, entry: &Entry, at: Timestamp) -> Account {
    let state = State::read(&entry.state);
    let until = match entry.state.as_str() {
        "RUNNING" => at,
        _ => entry.at,
    };
    Account {
        row: AccountRow {
            id: job.id,
            indices,
            name: job.name.clone(),
            state: match state {
                // Accounting says who; the queue does not.
                State::Cancelled { .. } => State::Cancelled { by: Some(1000) },
                state => state,
            },
            exit: entry.exit.clone(),
            elapsed_seconds: entry.began.map(|began| until.since(began).as_secs()),
            nodes: entry.node.clone(),
        },
        submitted: job.submitted,
        began: entry.began,
    }
}

/// What never began stands together, by state.
fn grouped<'a>(
    job: &Job,
    entries: impl Iterator<Item = (&'a Task, &'a Entry)>,
) -> Vec<(Indices, &'a Entry)> {
    let (mut waiting, mut begun) = (BTreeMap::<&str, (Vec<u32>, &Entry)>::new(), Vec::new());
    for (task, entry) in entries.filter(|(_, entry)| !entry.state.is_empty()) {
        if !job.is_array() {
            begun.push((Indices::Whole, entry));
        } else if entry.began.is_none() && task.restarts == 0 {
            let group = waiting.entry(&entry.state).or_insert((Vec::new(), entry));
            group.0.push(task.index);
        } else {
            begun.push((Indices::Some(vec![(task.index, task.index)]), entry));
        }
    }
    let waiting = waiting.into_values();
    let rows = waiting.map(|(indices, entry)| (Indices::Some(ranges(&indices)), entry));
    rows.chain(begun).collect()
}

/// Ascending indices as ranges.
fn ranges(indices: &[u32]) -> Vec<(u32, u32)> {
    let mut all: Vec<(u32, u32)> = Vec::new();
    for index in indices {
        match all.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*index) => *last = *index,
            _ => all.push((*index, *index)),
        }
    }
    all
}
