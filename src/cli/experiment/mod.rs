//! `campaignctl experiment`: several runs as one question, designed, scaffolded, run, analysed (specification 2). No daemon is
//! asked.

mod analyze;
mod baseline;
mod config;
mod constraints;
mod design;
mod files;
mod read;
mod results;
mod run;
mod scaffold;
mod status;

use super::{args::Shape, fail::Fail};
use crate::runner::Worker;
use clap::Subcommand;
use std::{os::unix::process::CommandExt, process::Command};

/// What can be done with an experiment.
#[derive(Subcommand, Debug)]
pub enum Step {
    /// Plan runs: what is varied, what stays, what it will take
    #[command(
        after_help = "Examples:\n  campaignctl experiment design ranks --vary r=8,16,64 --vary learning_rate=1e-5..1e-3:log --model Qwen3-0.6B --data train.jsonl --holdout test.jsonl\n  campaignctl experiment design ranks --vary r=8,16 --from training_history.json --budget 20h --dry-run\n\nA list is a grid; LOW..HIGH is filled by points, with :log spaced by factors, with :int whole.\nexperiment.json is the plan; experiment_summary.md shows it to people and is not read. With\n--from, constraints.json holds what failures taught: scaffold refuses runs that break it.\n\nExit statuses: 0 done, 2 usage, unknown parameter, empty range, too many runs, a budget that admits no run"
    )]
    Design(Box<design::DesignArgs>),
    /// Write the directories of all runs: configs, scripts of fine-tunes and of evaluations
    #[command(
        after_help = "Examples:\n  campaignctl experiment scaffold ranks\n  campaignctl experiment scaffold ranks --dry-run --json\n\nWhat is there and says the same is left; what says something else is refused with the\ndifference, unless --force."
    )]
    Scaffold(scaffold::ScaffoldArgs),
    /// The fine-tunes alone, of either back end
    #[command(
        after_help = "Examples:\n  campaignctl experiment scaffold-torchtune ranks\n  campaignctl experiment scaffold-torchtune ranks --force"
    )]
    ScaffoldTorchtune(scaffold::ScaffoldArgs),
    /// The evaluations alone; scripts of inspect-ai's tasks are looked for
    #[command(
        after_help = "Examples:\n  campaignctl experiment scaffold-inspect ranks\n  campaignctl experiment scaffold-inspect ranks --dry-run"
    )]
    ScaffoldInspect(scaffold::ScaffoldArgs),
    /// Run it: all fine-tunes, then the evaluations of those that succeeded; the same command goes on
    #[command(
        after_help = "Examples:\n  campaignctl experiment run ranks\n  campaignctl experiment run ranks --executor local --at-once 2\n  campaignctl experiment run ranks --dry-run\n  campaignctl experiment run ranks --detach && campaignctl experiment status ranks\n  campaignctl experiment run ranks --again\n\nEvery job goes through the executor; its directory is below .campaignd/jobs, and what it\nprints is RUN/slurm-ID.out or RUN/local-PID.out, of evaluations below RUN/eval. Where the\nrunner is killed, the same command goes on and launches nothing twice. A fine-tune without\nmemory, as its GPU's message or SLURM says, goes again with half the batch, at most 3 times;\nwhat the kernel here ends for want of memory (signal 9) has failed. What failed goes again\nby --again. A full disk is waited for.\nA job on SLURM gets PATH and the like of who submits it, and no other variable.\nHere, GPUs and memory are not held to what the plan asks for; time is.\nCtrl-C leaves; the jobs go on.\n\nExit statuses: 0 everything succeeded, 1 something failed or was skipped, 2 usage, not\nscaffolded, or somebody runs it already, 130 left while jobs go on"
    )]
    Run(run::RunArgs),
    /// The fine-tunes alone, of either back end
    #[command(
        after_help = "Examples:\n  campaignctl experiment run-torchtune ranks\n  campaignctl experiment run-torchtune ranks --executor slurm --detach\n\nExit statuses: those of run"
    )]
    RunTorchtune(run::RunArgs),
    /// The evaluations alone, of fine-tunes that succeeded and left their checkpoint
    #[command(
        after_help = "Examples:\n  campaignctl experiment run-inspect ranks\n  campaignctl experiment run-inspect ranks --dry-run --json\n\nExit statuses: those of run"
    )]
    RunInspect(run::RunArgs),
    /// Where its fine-tunes and evaluations are
    #[command(
        after_help = "Examples:\n  campaignctl experiment status ranks\n  campaignctl experiment status ranks --json"
    )]
    Status(status::StatusArgs),
    /// End its runner and all its jobs; run --again goes on
    #[command(
        after_help = "Examples:\n  campaignctl experiment stop ranks\n  campaignctl experiment stop ranks && campaignctl experiment run ranks --again"
    )]
    Stop(status::StopArgs),
    /// Compare the runs: tables, curves, the effect of each variable, the best against the baseline
    #[command(
        after_help = "Examples:\n  campaignctl experiment analyze ranks\n  campaignctl experiment analyze ranks --metric eval_loss --json\n\nReads results of campaignd, .eval logs of inspect-ai, logs of torchtune; writes report.html.\n\nExit statuses: 0 done, 1 no run has results, 2 usage"
    )]
    Analyze(analyze::AnalyzeArgs),
    /// One config for a training program: the baseline, what is set over it, checked
    #[command(
        after_help = "Examples:\n  campaignctl experiment config exp_001 --set learning_rate=0.001 --set batch_size=16 --back-end generic\n  campaignctl experiment config exp_002 --set r=8 --dry-run\n\nWrites ID/config.yaml and ID/config.json, which only you can read. A constraints.json in\nthe directory of experiments (campaignctl constraints --json) refuses what it forbids."
    )]
    Config(config::ConfigArgs),
    /// What experiments here start from
    #[command(
        after_help = "Examples:\n  campaignctl experiment baseline get\n  campaignctl experiment baseline set-from ranks/rank16_lr2e-4\n  campaignctl experiment baseline set-from alttp-run-2 --from training_history.json"
    )]
    Baseline(baseline::BaselineArgs),
}

/// Does it, or hands it over to campaignd.
///
/// # Errors
/// What is wrong with what was asked, or with what is there.
pub fn from_client(step: &Step, shape: Shape) -> Result<u8, Fail> {
    match step {
        Step::Run(_) | Step::RunTorchtune(_) | Step::RunInspect(_) | Step::Stop(_) => hand_over(),
        _ => run(step, shape),
    }
}

/// This process becomes the campaignd that was installed with it, with the same words: the shim around every job is that program,
/// and is started by who launches the job.
fn hand_over() -> Result<u8, Fail> {
    let own = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join("campaignd")));
    let program = own.filter(|path| path.is_file());
    let program = program.unwrap_or_else(|| "campaignd".into());
    let error = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(files::fail(
        &format!("campaignd cannot be started: {error}"),
        &program.display().to_string(),
        "campaignd installed beside campaignctl, or on PATH",
    ))
}

/// Does it. Where jobs are launched, this process is campaignd.
///
/// # Errors
/// What is wrong with what was asked, or with what is there.
pub fn run(step: &Step, shape: Shape) -> Result<u8, Fail> {
    match step {
        Step::Run(args) => run::run(args, &[Worker::Torchtune, Worker::Inspect], shape),
        Step::RunTorchtune(args) => run::run(args, &[Worker::Torchtune], shape),
        Step::RunInspect(args) => run::run(args, &[Worker::Inspect], shape),
        Step::Status(args) => status::status(args, shape),
        Step::Stop(args) => status::stop(args, shape),
        Step::Design(args) => design::run(args, shape),
        Step::Scaffold(args) => scaffold::run(args, scaffold::Part::Both, shape),
        Step::ScaffoldTorchtune(args) => scaffold::run(args, scaffold::Part::FineTunes, shape),
        Step::ScaffoldInspect(args) => scaffold::run(args, scaffold::Part::Evaluations, shape),
        Step::Analyze(args) => analyze::run(args, shape),
        Step::Config(args) => config::run(args, shape),
        Step::Baseline(args) => baseline::run(args, shape),
    }
}
