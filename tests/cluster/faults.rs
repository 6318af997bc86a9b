//! What goes wrong, how often, and how the site is set up. Chance is a function of the seed and a counter.

use serde::{Deserialize, Serialize};

/// Faults and the site they happen at. A file may name any of them; the rest is a site without faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Per run of `sbatch`.
    pub sbatch: Chances,
    /// Per run of `squeue`.
    pub squeue: Chances,
    /// Per run of `sacct`.
    pub sacct: Chances,
    /// Per run of `scancel`.
    pub scancel: Chances,
    /// Per run of `scontrol`.
    pub scontrol: Chances,
    /// Faults of certain runs, before any chance.
    pub on: Vec<On>,
    /// Per start of a task.
    pub fates: Fates,
    /// Share of jobs that an operator moves to the partition `moved` while they wait.
    pub moved: f64,
    /// Share of jobs that accounting never hears of.
    pub forgotten: f64,
    /// Times without a controller, or without accounting.
    pub outages: Vec<Outage>,
    /// The cluster's limit on calls; what is beyond it is turned away.
    pub rate: Option<Rate>,
    /// Tasks of ours in the queue, `MaxSubmitJobs` of the QoS.
    pub most_queued: Option<u32>,
    /// Tasks of one array, `MaxArraySize`.
    pub most_in_array: Option<u32>,
    /// Ids go round from 1 to this, as soon as the controller has forgotten one.
    pub ids: Option<u64>,
    /// So many jobs of somebody else are always there.
    pub foreign: u32,
    /// Tasks that run at the same time.
    pub slots: u32,
    /// Ended jobs stay in the queue for this long, `MinJobAge`.
    pub min_job_age_seconds: u64,
    /// A job waits at most this long for a free slot to be seen.
    pub start_seconds: u64,
    /// A job is completing for this long.
    pub completing_seconds: u64,
    /// From SIGTERM to SIGKILL, `KillWait`.
    pub kill_wait_seconds: u64,
    /// An old picture of the queue is at most so old.
    pub old_seconds: u64,
    /// A submission that nobody was told of is queued at most so late.
    pub late_seconds: u64,
    /// Accounting hears of everything at most so late.
    pub accounts_late_seconds: u64,
    /// What happens to a task by fate happens within this time from its start.
    pub fate_seconds: u64,
    /// Programs that give no news take so long to say it; in-process they take no time.
    pub hang_seconds: u64,
    /// Programs print banners around what they have to say.
    pub banners: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            sbatch: Chances::default(),
            squeue: Chances::default(),
            sacct: Chances::default(),
            scancel: Chances::default(),
            scontrol: Chances::default(),
            on: Vec::new(),
            fates: Fates::default(),
            moved: 0.0,
            forgotten: 0.0,
            outages: Vec::new(),
            rate: None,
            most_queued: None,
            most_in_array: None,
            ids: None,
            foreign: 0,
            slots: 64,
            min_job_age_seconds: 300,
            start_seconds: 0,
            completing_seconds: 0,
            kill_wait_seconds: 30,
            old_seconds: 60,
            late_seconds: 60,
            accounts_late_seconds: 0,
            fate_seconds: 600,
            hang_seconds: 0,
            banners: false,
        }
    }
}

/// How often a run of a program goes wrong, each from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chances {
    /// [`Fault::DoneUnsure`].
    pub done_unsure: f64,
    /// [`Fault::LateUnsure`].
    pub late_unsure: f64,
    /// [`Fault::Unsure`].
    pub unsure: f64,
    /// [`Fault::Later`].
    pub later: f64,
    /// [`Fault::Refused`].
    pub refused: f64,
    /// [`Fault::Old`].
    pub old: f64,
    /// [`Fault::Partial`].
    pub partial: f64,
    /// [`Fault::Odd`].
    pub odd: f64,
    /// [`Fault::FirstAttempt`].
    pub first_attempt: f64,
}

/// What a run of a program comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is done, and times out.
    DoneUnsure,
    /// It times out, and is done some time later.
    LateUnsure,
    /// It times out, and nothing is done.
    Unsure,
    /// The controller says not now.
    Later,
    /// The controller says no.
    Refused,
    /// It shows how it was a while ago.
    Old,
    /// Its output is cut.
    Partial,
    /// It names a state that nobody knows.
    Odd,
    /// Of tasks that were put back it shows the first attempt.
    FirstAttempt,
}

impl Chances {
    fn each(&self) -> [(f64, Fault); 9] {
        [
            (self.done_unsure, Fault::DoneUnsure),
            (self.late_unsure, Fault::LateUnsure),
            (self.unsure, Fault::Unsure),
            (self.later, Fault::Later),
            (self.refused, Fault::Refused),
            (self.old, Fault::Old),
            (self.partial, Fault::Partial),
            (self.odd, Fault::Odd),
            (self.first_attempt, Fault::FirstAttempt),
        ]
    }

    /// The fault of a run, if it has one, for a number from 0 to 1.
    pub fn pick(&self, mut chance: f64) -> Option<Fault> {
        for (share, fault) in self.each() {
            if chance < share {
                return Some(fault);
            }
            chance -= share;
        }
        None
    }
}

/// The fault of certain runs of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// `sbatch`, `squeue`, `sacct`, `scancel`, `scontrol`.
    pub program: String,
    /// Its first run of these, counted from 1.
    pub first: u64,
    /// Its last.
    pub last: u64,
    /// What they come to.
    pub fault: Fault,
}

/// What may happen to a task that starts, each from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fates {
    /// Its node fails: put back, or over for a job that may not be.
    pub node_fail: f64,
    /// It gives way to another: put back, or over for a job that may not be.
    pub preempted: f64,
    /// The kernel kills it for want of memory.
    pub memory: f64,
    /// An operator puts it back, whatever the job says.
    pub requeued: f64,
    /// Its node cannot launch it: it waits, held, for an operator who does not come.
    pub held: f64,
    /// Its node cannot launch it, and that is its end.
    pub launch: f64,
}

/// One of [`Fates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// [`Fates::node_fail`].
    NodeFail,
    /// [`Fates::preempted`].
    Preempted,
    /// [`Fates::memory`].
    Memory,
    /// [`Fates::requeued`].
    Requeued,
    /// [`Fates::held`].
    Held,
    /// [`Fates::launch`].
    Launch,
}

impl Fates {
    /// The fate of a task, if it has one, for a number from 0 to 1.
    pub fn pick(&self, mut chance: f64) -> Option<Fate> {
        let each = [
            (self.node_fail, Fate::NodeFail),
            (self.preempted, Fate::Preempted),
            (self.memory, Fate::Memory),
            (self.requeued, Fate::Requeued),
            (self.held, Fate::Held),
            (self.launch, Fate::Launch),
        ];
        for (share, fate) in each {
            if chance < share {
                return Some(fate);
            }
            chance -= share;
        }
        None
    }
}

/// A time without answers, from the first time that the cluster was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Seconds from the cluster's beginning.
    pub from_seconds: u64,
    /// So long.
    pub seconds: u64,
    /// Accounting is away, and the controller is not.
    #[serde(default)]
    pub accounting: bool,
}

/// A limit on calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// What comes back in a minute.
    pub per_minute: u32,
}

/// Numbers that depend on the seed and on how many were drawn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dice {
    seed: u64,
    drawn: u64,
}

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next number (splitmix64).
    pub fn next(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let mixed = self.seed ^ self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1, without 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to `most`.
    pub fn up_to(&mut self, most: u64) -> u64 {
        self.next() % most.saturating_add(1)
    }
}
