//! Programs of SLURM on a `PATH`, asked as the daemon asks them: the faulty cluster's, or those of a real SLURM.

use crate::front::install;
use campaignd::{
    executor::slurm::{
        calls::{AccountRow, Answer, Call, Inquiry, QueueRow, Unanswered},
        commands::Commands,
        script::{Batch, render},
    },
    machines::spec::SlurmSpec,
    time::Timestamp,
};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Programs, a job directory, and a shim that writes down what it was given.
pub struct Bench {
    path: OsString,
    /// The job directory, where output goes.
    pub jobs: TempDir,
    shim: PathBuf,
    since: Timestamp,
}

impl Bench {
    /// A shim that says what it was given, and then `does` something in the language of bash.
    pub fn new(path: OsString, does: &str) -> Self {
        let jobs = tempfile::tempdir().unwrap();
        let shim = jobs.path().join("shim");
        let told = "echo \"$@\" $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID";
        install(&shim, &format!("#!/bin/bash\n{told}\n{does}\n"));
        Self {
            path,
            jobs,
            shim,
            since: SystemTime::now().into(),
        }
    }

    /// One call.
    pub fn ask(&self, call: &Call) -> Result<Answer, Unanswered> {
        let commands = Commands::new("", PATIENCE).on_path(&self.path);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(commands.ask(call))
    }

    /// Submits so many tasks, two at once, from position 5.
    pub fn submit(&self, name: &str, count: u32) -> Result<Answer, Unanswered> {
        self.submit_with(name, count, &SlurmSpec::default())
    }

    /// The same with resources.
    pub fn submit_with(
        &self,
        name: &str,
        count: u32,
        resources: &SlurmSpec,
    ) -> Result<Answer, Unanswered> {
        let script = self.jobs.path().join(format!("{name}.sh"));
        let text = render(&Batch {
            name,
            job_dir: self.jobs.path(),
            program: &self.shim,
            first: 5,
            count,
            at_once: 2,
            resources,
            log: self.jobs.path(),
            time_seconds: None,
            umask: None,
        });
        fs::write(&script, text.unwrap()).unwrap();
        self.ask(&Call::Submit {
            name: name.into(),
            script,
        })
    }

    /// The id of what is submitted.
    pub fn queued(&self, name: &str, count: u32) -> u64 {
        match self.submit(name, count) {
            Ok(Answer::Submitted { id }) => id,
            other => panic!("{other:?}"),
        }
    }

    /// The queue's rows of a name.
    pub fn rows(&self, name: &str) -> Vec<QueueRow> {
        match self.ask(&Call::Queue) {
            Ok(Answer::Queue(rows)) => rows.into_iter().filter(|row| row.name == name).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the queue's rows of a name look so.
    pub fn until(&self, what: &str, name: &str, so: impl Fn(&[QueueRow]) -> bool) -> Vec<QueueRow> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows(name);
            if so(&rows) {
                return rows;
            }
            assert!(Instant::now() < deadline, "{what}: {rows:?}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until accounting's rows look so.
    pub fn accounts(
        &self,
        ids: &[u64],
        names: &[&str],
        so: impl Fn(&[AccountRow]) -> bool,
    ) -> Vec<AccountRow> {
        let call = Call::Accounts(Inquiry {
            ids: ids.iter().copied().collect(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            since: self.since,
        });
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(&call);
            if let Ok(Answer::Accounts(rows)) = &answer
                && so(rows)
            {
                return rows.clone();
            }
            assert!(Instant::now() < deadline, "accounting: {answer:?}");
            sleep(Duration::from_millis(100));
        }
    }

    /// Cancels by id and by name.
    pub fn cancel(&self, ids: &[u64], names: &[&str]) {
        let call = Call::Cancel {
            ids: ids.iter().copied().collect(),
            names: names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<_>>(),
        };
        assert_eq!(self.ask(&call), Ok(Answer::Cancelled));
    }

    /// What a task printed so far.
    pub fn output(&self, name: &str) -> String {
        fs::read_to_string(self.jobs.path().join(name)).unwrap_or_default()
    }
}

/// Whether there are rows, all of this state.
pub fn all(rows: &[QueueRow], state: &str) -> bool {
    !rows.is_empty() && rows.iter().all(|row| row.state.to_string() == state)
}
