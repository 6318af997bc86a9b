//! `handle.json` of a job on SLURM: what was submitted, or was about to be, and under which ids.
//!
//! A part says that it is about to be submitted before `sbatch` is asked. So whoever reads the file after a crash knows which
//! parts may be queued though no id is known.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of a job's submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// `slurm`: a local job's handle says `local`.
    pub executor: String,
    /// The clusters it was sent to; empty for the site's own.
    pub clusters: String,
    /// Its parts: one `sbatch` each.
    pub parts: Vec<Part>,
}

/// As many tasks as one array may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The name SLURM knows it by.
    pub name: String,
    /// Position of its first task in the request.
    pub first: u32,
    /// How many tasks it has.
    pub count: u32,
    /// When it was last about to be submitted.
    pub tried_at: Option<Timestamp>,
    /// Its id, once that is known.
    pub id: Option<u64>,
}

impl Handle {
    /// A job of so many tasks, cut into parts of at most `largest`.
    pub fn plan(name: &str, clusters: &str, tasks: u32, largest: u32) -> Self {
        let largest = largest.max(1);
        let part = |number: u32| {
            let first = number * largest;
            Part {
                name: part_name(name, number),
                first,
                count: largest.min(tasks - first),
                tried_at: None,
                id: None,
            }
        };
        Self {
            executor: "slurm".into(),
            clusters: clusters.into(),
            parts: (0..tasks.div_ceil(largest)).map(part).collect(),
        }
    }

    /// Whether its parts are those of a job of so many tasks: each task in one, in order.
    pub fn covers(&self, tasks: u32) -> bool {
        let mut next = 0_u32;
        let mut whole = self.parts.iter().all(|part| {
            let follows = part.first == next && part.count > 0;
            next = next.saturating_add(part.count);
            follows
        });
        whole &= next == tasks;
        whole
    }

    /// The same, where nothing is known of what was submitted: every part may have been.
    pub fn unknown(mut self, now: Timestamp) -> Self {
        for part in &mut self.parts {
            part.tried_at = Some(now);
        }
        self
    }
}

/// The first part bears the job's own name.
fn part_name(name: &str, number: u32) -> String {
    match number {
        0 => name.into(),
        _ => format!("{name}.{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_task_once() {
        for (tasks, largest) in [
            (1, 1000),
            (1000, 1000),
            (1001, 1000),
            (34_500, 1000),
            (7, 2),
        ] {
            let handle = Handle::plan("a-1.5f", "", tasks, largest);
            let mut next = 0;
            for part in &handle.parts {
                assert_eq!(part.first, next);
                assert!((1..=largest).contains(&part.count));
                next += part.count;
            }
            assert_eq!(next, tasks);
            assert!(handle.covers(tasks) && !handle.covers(tasks + 1));
            let names: std::collections::BTreeSet<&str> =
                handle.parts.iter().map(|part| part.name.as_str()).collect();
            assert_eq!(names.len(), handle.parts.len());
        }
    }
}
