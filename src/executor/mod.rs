//! Executors: how jobs are started, observed and ended. The job directory is the only interface between the daemon and
//! work, so status, signals and progress have one code path wherever a job runs.

pub mod handles;
pub mod identity;
pub mod job_dir;
pub mod local;
pub mod said;
pub mod slurm;
