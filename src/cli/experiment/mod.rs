//! `campaignctl experiment`: several runs as one question, designed, scaffolded, analysed (specification 2). Work on files: no
//! daemon is asked.

mod analyze;
mod baseline;
mod config;
mod constraints;
mod design;
mod files;
mod read;
mod results;
mod scaffold;

use super::{args::Shape, fail::Fail};
use clap::Subcommand;

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

/// Does it.
///
/// # Errors
/// What is wrong with what was asked, or with what is there.
pub fn run(step: &Step, shape: Shape) -> Result<u8, Fail> {
    match step {
        Step::Design(args) => design::run(args, shape),
        Step::Scaffold(args) => scaffold::run(args, scaffold::Part::Both, shape),
        Step::ScaffoldTorchtune(args) => scaffold::run(args, scaffold::Part::FineTunes, shape),
        Step::ScaffoldInspect(args) => scaffold::run(args, scaffold::Part::Evaluations, shape),
        Step::Analyze(args) => analyze::run(args, shape),
        Step::Config(args) => config::run(args, shape),
        Step::Baseline(args) => baseline::run(args, shape),
    }
}
