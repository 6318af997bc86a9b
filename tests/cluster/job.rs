//! Jobs as the controller has them: what the script asked for, and everything that ever became of each task.

use super::faults::Fate;
use campaignd::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A job: one submission.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Counts all jobs from 1; never used twice, unlike ids.
    pub serial: u64,
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The script as it was when it was submitted.
    pub script: String,
    /// The script's options, without dashes.
    pub options: BTreeMap<String, String>,
    /// Its partition.
    pub partition: String,
    /// Somebody else's.
    pub foreign: bool,
    /// Accounting never hears of it.
    pub forgotten: bool,
    /// It waits for an operator.
    pub held: bool,
    /// When it was queued.
    pub submitted: Timestamp,
    /// When the controller forgot it.
    pub purged: Option<Timestamp>,
    /// Its tasks; one without an array.
    pub tasks: Vec<Task>,
}

/// One task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Its index in the array, 0 without one.
    pub index: u32,
    /// Its own id, once it started.
    pub raw: u64,
    /// Where it is.
    pub phase: Phase,
    /// How often it was put back.
    pub restarts: u32,
    /// What it went through, the latest last.
    pub history: Vec<Entry>,
}

/// Where a task is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Phase {
    /// It waits, and may not start before.
    Waiting(Timestamp),
    /// It runs.
    Running {
        /// When.
        began: Timestamp,
        /// What will happen to it, and when.
        fate: Option<(Timestamp, Fate)>,
        /// It is being ended.
        ending: Option<Ending>,
    },
    /// None of it runs any more; at this time it is over.
    Completing(Timestamp, Entry),
    /// It is over.
    Over(Timestamp),
}

/// How a task is being ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// It was sent SIGTERM.
    pub told: bool,
    /// It is sent SIGKILL at this time.
    pub kill_at: Timestamp,
    /// What it then is.
    pub state: String,
    /// Why.
    pub reason: String,
    /// It is put back.
    pub back: bool,
}

/// What a task was from some time on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// From when on.
    pub at: Timestamp,
    /// From when on accounting knows.
    pub known_at: Timestamp,
    /// SLURM's word; empty: it is in no list any more.
    pub state: String,
    /// SLURM's word for why.
    pub reason: String,
    /// `0:15`.
    pub exit: String,
    /// When it began to run.
    pub began: Option<Timestamp>,
    /// Its node.
    pub node: String,
    /// An attempt that was put back: accounting has it, the queue does not.
    pub put_back: bool,
}

impl Job {
    /// Whether it is an array.
    pub fn is_array(&self) -> bool {
        self.options.contains_key("array")
    }

    /// Whether every task is over.
    pub fn is_over(&self) -> bool {
        self.tasks
            .iter()
            .all(|task| matches!(task.phase, Phase::Over(_)))
    }

    /// When the last of it was over.
    pub fn over_at(&self) -> Option<Timestamp> {
        let at = |task: &Task| match task.phase {
            Phase::Over(at) => Some(at),
            _ => None,
        };
        let each: Option<Vec<Timestamp>> = self.tasks.iter().map(at).collect();
        each?.into_iter().max()
    }

    /// Whether the controller knew it at a time.
    pub fn is_queued_at(&self, at: Timestamp) -> bool {
        self.submitted <= at && self.purged.is_none_or(|purged| purged > at)
    }

    /// Tasks of it that may run at the same time.
    pub fn at_once(&self) -> usize {
        let limit = |array: &String| array.split_once('%')?.1.parse().ok();
        self.options
            .get("array")
            .and_then(limit)
            .unwrap_or(usize::MAX)
    }

    /// Whether it waits for earlier jobs of its name.
    pub fn is_singleton(&self) -> bool {
        self.options
            .get("dependency")
            .is_some_and(|what| what.contains("singleton"))
    }

    /// Whether a task of it that lost its node is put back.
    pub fn may_restart(&self) -> bool {
        !self.options.contains_key("no-requeue")
    }

    /// Its time limit, in whole minutes as SLURM has them.
    pub fn limit(&self) -> Option<Duration> {
        let text = self.options.get("time")?;
        let (days, clock) = text.split_once('-').unwrap_or(("0", text));
        let parts: Option<Vec<u64>> = clock.split(':').map(|part| part.parse().ok()).collect();
        let seconds = match parts?[..] {
            [minutes] => minutes * 60,
            [minutes, seconds] => minutes * 60 + seconds,
            [hours, minutes, seconds] => (hours * 60 + minutes) * 60 + seconds,
            _ => return None,
        };
        let days: u64 = days.parse().ok()?;
        Some(Duration::from_secs(
            (days * 86_400 + seconds).div_ceil(60) * 60,
        ))
    }
}

impl Task {
    /// A task that waits.
    pub fn new(index: u32, not_before: Timestamp, first: Entry) -> Self {
        Self {
            index,
            raw: 0,
            phase: Phase::Waiting(not_before),
            restarts: 0,
            history: vec![first],
        }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// What the queue had of it at a time.
    pub fn at(&self, at: Timestamp) -> Option<&Entry> {
        let shown = |entry: &&Entry| entry.at <= at && !entry.put_back;
        self.history.iter().rev().find(shown)
    }

    /// What accounting had of it at a time.
    pub fn known_at(&self, at: Timestamp) -> Option<&Entry> {
        self.history.iter().rev().find(|entry| entry.known_at <= at)
    }

    /// The first attempt of one that was put back.
    pub fn first_attempt(&self, at: Timestamp) -> Option<&Entry> {
        let first = |entry: &&Entry| entry.put_back && entry.known_at <= at;
        self.history.iter().find(first)
    }
}

/// The options of a script's `#SBATCH` lines, by name without dashes, split as sbatch splits them.
pub fn options(script: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for line in script.lines() {
        let Some(rest) = line.strip_prefix("#SBATCH") else {
            // sbatch reads no further than the first command.
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            break;
        };
        for word in words(rest) {
            let bare = word.trim_start_matches('-');
            let (key, value) = bare.split_once('=').unwrap_or((bare, ""));
            all.insert(key.to_owned(), value.to_owned());
        }
    }
    all
}

/// Words as a shell would split them.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote, mut escaped) = (Vec::new(), None::<String>, None, false);
    for c in text.chars() {
        let open = word.is_some();
        match (escaped, quote) {
            (true, _) => word.get_or_insert_default().push(c),
            (false, _) if c == '\\' => {
                word.get_or_insert_default();
            }
            (false, Some(q)) if c == q => quote = None,
            (false, Some(_)) => word.get_or_insert_default().push(c),
            (false, None) if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (false, None) if c == '#' => break,
            (false, None) if c.is_whitespace() => all.extend(word.take().filter(|_| open)),
            (false, None) => word.get_or_insert_default().push(c),
        }
        escaped = !escaped && c == '\\';
    }
    all.extend(word);
    all
}

/// The indices of an array option: `0-9%2`, `1,3,7-9`.
pub fn indices(array: &str) -> Option<Vec<u32>> {
    let list = array.split('%').next()?;
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        all.extend(first..=last);
    }
    Some(all)
}
