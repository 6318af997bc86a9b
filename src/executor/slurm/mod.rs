//! SLURM: how jobs are submitted, seen and ended there.
//!
//! Every job is submitted under its effect's name, so that it is found again whatever `sbatch` said. The shim that runs on the
//! node takes the task's claim and writes its `exit.json`, as it does locally: the scheduler decides when and where work
//! runs, the job directory says whether it did.

pub mod bucket;
pub mod calls;
pub mod commands;
pub mod contact;
pub mod desk;
pub mod dirs;
pub mod handle;
pub mod look;
pub mod queue;
pub mod reasons;
mod refusals;
pub mod rows;
pub mod script;
pub mod words;
