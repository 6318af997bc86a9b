//! The states of SLURM by name (`man squeue`, "JOB STATE CODES"), and what each means here.

use crate::{machines::job::Cause, words::words};

/// A state of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Cancelled before or while it ran, by this user if that was said.
    Cancelled {
        /// The uid.
        by: Option<u32>,
    },
    /// One of the known words.
    Known(Word),
    /// A word that this version has never seen: neither an error nor a guess.
    Unknown(String),
}

words! {
    /// The known words but `CANCELLED`.
    pub enum Word {
        /// Its nodes did not boot.
        BootFail = "BOOT_FAIL",
        /// Ended with status 0.
        Completed = "COMPLETED",
        /// Being taken down.
        Completing = "COMPLETING",
        /// Its nodes are made ready.
        Configuring = "CONFIGURING",
        /// Ended at its deadline.
        Deadline = "DEADLINE",
        /// Ended with another status, or by a signal.
        Failed = "FAILED",
        /// Its nodes could not launch it.
        LaunchFailed = "LAUNCH_FAILED",
        /// A node of it failed.
        NodeFail = "NODE_FAIL",
        /// The kernel killed some of it for want of memory.
        OutOfMemory = "OUT_OF_MEMORY",
        /// Waits.
        Pending = "PENDING",
        /// Its nodes are powered up.
        PowerUpNode = "POWER_UP_NODE",
        /// Gave way to another job.
        Preempted = "PREEMPTED",
        /// Its nodes could not be made ready.
        ReconfigFail = "RECONFIG_FAIL",
        /// Put back into the queue.
        Requeued = "REQUEUED",
        /// Put back by a federation.
        RequeueFed = "REQUEUE_FED",
        /// Put back, and held.
        RequeueHold = "REQUEUE_HOLD",
        /// Changes its size.
        Resizing = "RESIZING",
        /// Held: its reservation is gone.
        ResvDelHold = "RESV_DEL_HOLD",
        /// Runs on another cluster.
        Revoked = "REVOKED",
        /// Runs.
        Running = "RUNNING",
        /// Is being sent a signal.
        Signaling = "SIGNALING",
        /// Put back after a special exit, and held.
        SpecialExit = "SPECIAL_EXIT",
        /// Its files are brought out.
        StageOut = "STAGE_OUT",
        /// Stopped by SIGSTOP; keeps its processors.
        Stopped = "STOPPED",
        /// Stopped; its processors are given away.
        Suspended = "SUSPENDED",
        /// Reached its time limit.
        Timeout = "TIMEOUT",
        /// Accounting is brought up to date.
        UpdateDb = "UPDATE_DB",
    }
}

/// What a state means for who waits for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It has not begun, or will begin again.
    Waits,
    /// It runs, or is about to be over.
    Runs,
    /// It is over: none of it runs and none will. Without a cause, its own exit status says how it ended.
    Over(Option<Cause>),
    /// Nothing is known.
    Unclear,
}
