//! Where a fine-tune's files are: the output, which exists only when it is complete, and the directory beside it where the
//! training is until then.
//!
//! ```text
//! OUTPUT/                        complete: adapter, card, metrics, report
//! .OUTPUT.campaignd-training/    until then:
//!   lock                         held by the process that trains
//!   metrics.jsonl
//!   stopped.json                 of a member of a sweep that goes no further: why
//!   products.txt                 how a GPU computes matrix products
//!   checkpoints/step-00000010/   whole, by rename
//! ```

use super::{Found, export, metrics, stop, undone};
use crate::{
    artifacts::{create_dir_private, run},
    executor::job_dir::TRY_AGAIN,
    training::job::FineTune,
    worker::{Undone, curate::beside, device::PLANS},
};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The places of one fine-tune, or of one stage of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    /// The adapter's directory.
    pub output: PathBuf,
    /// Where training is until it is done.
    pub work: PathBuf,
    /// Where merged weights come; none: below the output.
    pub merged: Option<PathBuf>,
    /// The stage's own rows, where the run keeps them.
    pub rows: Option<PathBuf>,
    /// Where it is recorded which algorithms a GPU computes matrix products with.
    pub plans: PathBuf,
    /// The run's directory, of a stage.
    run: Option<PathBuf>,
}

/// The directory of checkpoints, in the work's and in the output's.
pub const CHECKPOINTS: &str = "checkpoints";
/// The directory of merged weights below the output.
pub const MERGED: &str = "merged";

impl Places {
    /// The places of a fine-tune.
    ///
    /// # Errors
    /// A run without a manifest, or whose manifest leads out of it.
    pub fn of(job: &FineTune) -> Result<Self, Undone> {
        let output = Path::new(&job.output);
        if output.file_name().is_none() {
            return Err(format!("{} is no name of a directory to be made", job.output).into());
        }
        let Some(stage) = &job.stage else {
            let work = beside(output, "training");
            return Ok(Self {
                output: output.into(),
                plans: work.join(PLANS),
                work,
                merged: None,
                rows: None,
                run: None,
            });
        };
        let manifest = run::read(output)?;
        let paths = run::stage(output, &manifest, stage.number)?;
        let work = beside(&paths.adapter, "training");
        Ok(Self {
            plans: work.join(PLANS),
            work,
            output: paths.adapter,
            merged: paths.merged,
            rows: Some(paths.rows),
            run: Some(output.into()),
        })
    }

    /// The same, with a record of matrix products that it shares with others.
    pub fn with_plans(self, plans: PathBuf) -> Self {
        Self { plans, ..self }
    }

    /// What is there.
    pub fn found(&self) -> Found {
        if fs::symlink_metadata(&self.output).is_ok() {
            return if export::is_one(&self.output) {
                Found::Finished(self.output.clone())
            } else {
                Found::Other(self.output.clone())
            };
        }
        if self.is_begun() {
            return Found::Unfinished(self.work.clone());
        }
        Found::Nothing
    }

    /// Whether there is anything: begun, complete, or something else.
    pub fn is_there(&self) -> bool {
        !matches!(self.found(), Found::Nothing)
    }

    /// Whether a step was made, or a look taken, of which something is left.
    pub fn is_begun(&self) -> bool {
        let rows = fs::metadata(self.work.join(metrics::NAME));
        let mut checkpoints = fs::read_dir(self.work.join(CHECKPOINTS))
            .into_iter()
            .flatten();
        rows.is_ok_and(|rows| rows.len() > 0) || checkpoints.next().is_some()
    }

    /// Takes the work's directory, made where it is not there, for this process alone; until the lock is dropped.
    ///
    /// # Errors
    /// Another process trains there; those of the file system.
    pub fn lock(&self) -> Result<Flock<File>, Undone> {
        let path = self.work.join("lock");
        let wrong = |error: io::Error| undone("training cannot begin", &error);
        loop {
            create_dir_private(&self.work.join(CHECKPOINTS)).map_err(wrong)?;
            let file = match File::create(&path) {
                // Whoever trained there is clearing up.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(wrong)?,
            };
            let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
            let lock = lock.map_err(|(_, error)| match error {
                Errno::EWOULDBLOCK => {
                    format!("another process trains in {}", self.work.display()).into()
                }
                error => Undone {
                    status: TRY_AGAIN,
                    text: format!(
                        "training cannot begin: {} cannot be locked: {error}",
                        path.display()
                    ),
                },
            })?;
            // A lock on a file that was removed meanwhile keeps nobody out.
            let held = lock.metadata().map_err(wrong)?.ino();
            if fs::metadata(&path).is_ok_and(|there| there.ino() == held) {
                return Ok(lock);
            }
        }
    }

    /// Removes what was begun, but for the lock.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn forget(&self) -> io::Result<()> {
        let checkpoints = self.work.join(CHECKPOINTS);
        fs::remove_dir_all(&checkpoints)?;
        create_dir_private(&checkpoints)?;
        // Why it stopped goes last: until then whoever comes here knows that all of it is to go.
        for name in [metrics::NAME, stop::NAME] {
            match fs::remove_file(self.work.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the work's directory, and what of the run is empty then; what cannot be removed does no harm.
    pub fn clear(&self) {
        let _ = fs::remove_dir_all(&self.work);
        let mut above = self.work.parent();
        while let (Some(dir), Some(run)) = (above, &self.run)
            && dir != run
            && fs::remove_dir(dir).is_ok()
        {
            above = dir.parent();
        }
    }
}
