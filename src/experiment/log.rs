//! The logs of an experiment, by specification 2's file names, in blocks that people and programs read:
//!
//! ```text
//! [2026-03-02 09:14:02] SUBMIT_JOB: rank8_lr1e-5
//! Details: sbatch finetune.slurm
//! Job ID: 12345
//! Result: success
//! ```

use crate::{time::Timestamp, words::words};

words! {
    /// The files. Orchestration: design, scaffold, run and analyze; workers: those with a tool's name. Tools write their own:
    /// `slurm-ID.out`, `eval/logs`.
    pub enum LogFile {
        /// Planning.
        Design = "design-experiment.log",
        /// Scaffolding as a whole.
        Scaffold = "scaffold-experiment.log",
        /// Scaffolding of fine-tunes; of the built-in trainer as well.
        ScaffoldTorchtune = "scaffold-torchtune.log",
        /// Scaffolding of evaluations.
        ScaffoldInspect = "scaffold-inspect.log",
        /// Execution as a whole.
        Run = "run-experiment.log",
        /// Execution of fine-tunes.
        RunTorchtune = "run-torchtune.log",
        /// Execution of evaluations.
        RunInspect = "run-inspect.log",
        /// Analysis.
        Analyze = "analyze-experiment.log",
    }
}

words! {
    /// What a block tells.
    pub enum Event {
        /// An experiment was planned.
        Design = "DESIGN_EXPERIMENT",
        /// A worker was begun by what orchestrates it.
        CallWorker = "CALL_WORKER",
        /// A worker ended.
        WorkerDone = "WORKER_COMPLETE",
        /// A run's directory with its fine-tune.
        CreateRun = "CREATE_RUN",
        /// Scripts of evaluations.
        CreateEval = "CREATE_EVAL",
        /// A task's script was looked for.
        VerifyTask = "VERIFY_TASK",
        /// A fine-tune was handed to the scheduler.
        SubmitJob = "SUBMIT_JOB",
        /// An evaluation was.
        SubmitEval = "SUBMIT_EVAL",
        /// A job went from one state to another.
        StateChange = "STATE_CHANGE",
        /// Every job has ended.
        AllComplete = "ALL_COMPLETE",
        /// Whoever watched has gone; jobs go on.
        MonitorDetached = "MONITOR_DETACHED",
        /// How jobs are watched.
        MonitorConfig = "MONITOR_CONFIG",
        /// A fine-tune without memory goes again with half the batch.
        OomRetry = "OOM_RETRY",
        /// It has gone again often enough.
        OomExhausted = "OOM_EXHAUSTED",
        /// It could not be handed in again.
        OomRetrySubmitFailed = "OOM_RETRY_SUBMIT_FAILED",
        /// Results of a run were read.
        ReadResults = "READ_RESULTS",
        /// The page was written.
        WriteReport = "WRITE_REPORT",
    }
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it tells.
    pub event: Event,
    /// Of what: a run, a task.
    pub subject: String,
    /// In words.
    pub details: String,
    /// The scheduler's number.
    pub job: Option<String>,
    /// `success`, or what went wrong.
    pub result: String,
}

impl Block {
    /// Something that went well.
    pub fn done(event: Event, subject: impl Into<String>, details: impl Into<String>) -> Self {
        Self {
            event,
            subject: subject.into(),
            details: details.into(),
            job: None,
            result: "success".into(),
        }
    }

    /// The same with the scheduler's number.
    pub fn with_job(mut self, job: impl Into<String>) -> Self {
        self.job = Some(job.into());
        self
    }

    /// The same with another end.
    pub fn with_result(mut self, result: impl Into<String>) -> Self {
        self.result = result.into();
        self
    }

    /// Its lines, an empty one last. What stands in it keeps to its line.
    pub fn text(&self, at: Timestamp) -> String {
        let at = at.to_string().replace('T', " ");
        let mut text = format!(
            "[{}] {}: {}\nDetails: {}\n",
            at.trim_end_matches('Z'),
            self.event,
            one_line(&self.subject),
            one_line(&self.details)
        );
        if let Some(job) = &self.job {
            text += &format!("Job ID: {}\n", one_line(job));
        }
        text + &format!("Result: {}\n\n", one_line(&self.result))
    }
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Jobs that a log says were handed in, oldest first: what of (`SUBMIT_JOB`, `SUBMIT_EVAL`), its name, its number. A torn block
/// at the end is passed over.
pub fn submitted(text: &str) -> Vec<(Event, String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(Event, String)> = None;
    for line in text.lines() {
        if line.starts_with('[') {
            let head = line
                .split_once("] ")
                .and_then(|(_, rest)| rest.split_once(": "));
            open = head.and_then(|(event, name)| Some((event.parse().ok()?, name.to_string())));
            open = open.filter(|(event, _)| matches!(event, Event::SubmitJob | Event::SubmitEval));
        } else if let Some(job) = line.strip_prefix("Job ID: ")
            && let Some((event, name)) = open.take()
        {
            found.push((event, name, job.to_string()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_form_that_others_harvest() {
        let at = Timestamp(1_772_442_842_000);
        let block = Block::done(Event::SubmitJob, "rank8_lr1e-5", "sbatch finetune.slurm");
        let text = block.clone().with_job("12345").text(at);
        assert_eq!(
            text,
            "[2026-03-02 09:14:02] SUBMIT_JOB: rank8_lr1e-5\nDetails: sbatch finetune.slurm\nJob ID: 12345\nResult: success\n\n"
        );
        let told = Block::done(
            Event::StateChange,
            "a",
            "RUNNING\n[x] SUBMIT_JOB: b\nJob ID: 9",
        );
        let all = text.clone() + &told.text(at) + &text[..40];
        assert_eq!(
            submitted(&all),
            [(Event::SubmitJob, "rank8_lr1e-5".into(), "12345".into())]
        );
    }
}
