//! The verbs of `campaignctl`, with their words and examples.

use crate::{
    cli::{args::SpecFlags, constraints, dataset, experiment, export, history, trajectory},
    time::parse_duration,
};
use clap::Subcommand;
use std::{path::PathBuf, time::Duration};

/// What is asked.
#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Hand in a campaign; the same file again answers with the same id
    #[command(
        after_help = "Examples:\n  campaignctl submit alttp.toml\n  campaignctl submit alttp.toml --quality-threshold 0.8"
    )]
    Submit {
        /// The campaign file
        file: PathBuf,
        #[command(flatten)]
        flags: SpecFlags,
        /// Show what it means; change nothing
        #[arg(long)]
        dry_run: bool,
        /// "pilot" or "validate" alone
        #[arg(long, value_name = "PART")]
        only: Option<Only>,
        /// Straight to the full generation, on your word
        #[arg(long, conflicts_with = "only")]
        skip_pilot: bool,
    },
    /// Where campaigns are, and what waits for you
    #[command(after_help = "Examples:\n  campaignctl status\n  campaignctl status alttp --json")]
    Status {
        /// The campaign
        id: Option<String>,
    },
    /// All campaigns, ended ones too
    List {
        /// Only those in this state
        #[arg(long)]
        state: Option<String>,
        /// Only those handed in within this time, such as 7d
        #[arg(long, value_parser = parse_duration, value_name = "TIME")]
        since: Option<Duration>,
    },
    /// Follow changes, one line each
    Watch {
        /// The campaign
        id: Option<String>,
    },
    /// Why a campaign is where it is, and what it waits for; or why a proposal was made
    #[command(
        after_help = "Examples:\n  campaignctl explain alttp\n  campaignctl explain proposal alttp/p4"
    )]
    Explain {
        /// The campaign, or the word proposal
        id: Option<String>,
        /// The proposal, such as alttp/p4
        #[arg(hide = true)]
        which: Option<String>,
    },
    /// What is to be tried next, what was expected of it, and what came of it
    Proposals {
        /// The campaign
        id: Option<String>,
    },
    /// Have something tried in the next cycle; the checks are asked of it, too
    #[command(
        after_help = "Examples:\n  campaignctl propose alttp r=32 learning_rate=2e-4\n  campaignctl propose alttp lora_dropout=0 --why \"the set is large\""
    )]
    Propose {
        /// The campaign
        id: String,
        /// Settings: NAME=VALUE
        #[arg(required = true, value_name = "NAME=VALUE")]
        values: Vec<String>,
        /// The reason, for the journal
        #[arg(long, default_value = "")]
        why: String,
    },
    /// What the gate said: each check, what was required, observed, on how many samples
    Verdict {
        /// The campaign
        id: Option<String>,
    },
    /// What the campaign's models cost, by tier, and what is left
    Budget {
        /// The campaign
        id: Option<String>,
    },
    /// A line for each task of the jobs
    #[command(
        after_help = "Examples:\n  campaignctl jobs\n  campaignctl jobs alttp --state pending\n  campaignctl jobs --state failed --json"
    )]
    Jobs {
        /// The campaign
        id: Option<String>,
        /// Only those in a state
        #[arg(long, value_name = "S", value_parser = ["waiting", "pending", "running", "ending", "done", "failed", "lost", "cancelled"])]
        state: Option<String>,
    },
    /// One job: its directory, what it asked for and used, why it waits, its retries
    #[command(
        after_help = "Examples:\n  campaignctl job alttp-12\n  campaignctl job alttp-12 --json"
    )]
    Job {
        /// The job, such as alttp-12
        job: String,
    },
    /// What campaigns, workers and commands printed
    #[command(
        after_help = "Examples:\n  campaignctl logs alttp -f\n  campaignctl logs alttp --level orchestration"
    )]
    Logs {
        /// The campaign
        id: Option<String>,
        /// Go on as it grows
        #[arg(short, long)]
        follow: bool,
        /// orchestration (the campaign's own), worker (progress) or tool (the commands')
        #[arg(long, default_value = "tool", value_parser = ["orchestration", "worker", "tool"])]
        level: String,
    },
    /// The journal
    Events {
        /// The campaign
        id: Option<String>,
        /// Go on as it grows
        #[arg(short, long)]
        follow: bool,
    },
    /// Launch the full generation of a campaign that waits for it, or have proposals tried
    #[command(
        after_help = "Examples:\n  campaignctl approve alttp\n  campaignctl approve alttp p4 p5"
    )]
    Approve {
        /// The campaign
        id: Option<String>,
        /// Proposals; none: the launch, or all proposals that wait
        proposals: Vec<String>,
    },
    /// Refuse the launch, or proposals
    Reject {
        /// The campaign
        id: Option<String>,
        /// Proposals; none: the launch, or all proposals that wait
        proposals: Vec<String>,
        /// The reason, for the journal
        #[arg(long)]
        why: String,
    },
    /// Move the gate's bar and judge the same samples again, or change the budget
    #[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
    Amend {
        /// The campaign
        id: Option<String>,
        /// The new threshold, 0 to 1
        #[arg(long, value_name = "X", group = "what", conflicts_with_all = ["budget_usd", "budget_tokens", "budget_gpu_hours", "budget_wall", "budget_jobs"])]
        quality_threshold: Option<f64>,
        /// What the campaign's models may cost in all, USD
        #[arg(long, value_name = "USD", group = "what")]
        budget_usd: Option<f64>,
        /// Tokens that they may take in all
        #[arg(long, value_name = "N", group = "what")]
        budget_tokens: Option<u64>,
        /// GPUs times hours that its jobs may use
        #[arg(long, value_name = "HOURS", group = "what")]
        budget_gpu_hours: Option<f64>,
        /// Time since it was handed in: 3d
        #[arg(long, value_name = "TIME", group = "what", value_parser = humantime::parse_duration)]
        budget_wall: Option<std::time::Duration>,
        /// Jobs that may be launched
        #[arg(long, value_name = "N", group = "what")]
        budget_jobs: Option<u64>,
    },
    /// Start nothing new; what runs runs to its end
    Pause {
        /// The campaign
        id: Option<String>,
    },
    /// End a pause
    Resume {
        /// The campaign
        id: Option<String>,
    },
    /// End a campaign; its samples stay
    Cancel {
        /// The campaign
        id: Option<String>,
        /// The reason, for the journal
        #[arg(long, default_value = "")]
        why: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Go on with a failed campaign where it failed
    Retry {
        /// The campaign
        id: Option<String>,
    },
    /// Wait for a campaign's end, or a state; ends with its status
    Wait {
        /// The campaign
        id: Option<String>,
        /// The state to wait for
        #[arg(long = "for", value_name = "STATE")]
        state: Option<String>,
        /// At most this long
        #[arg(long, default_value = "1h", value_parser = parse_duration, value_name = "TIME")]
        timeout: Duration,
    },
    /// Remove an ended campaign and its files
    Clean {
        /// The campaign
        id: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// One trajectory to read, step by step, or one part of it
    #[command(
        after_help = "Examples:\n  campaignctl trajectory t-2a-17\n  campaignctl trajectory alttp/t-2a-17 --code > main.nf"
    )]
    Trajectory {
        /// Its id, where several campaigns have it behind CAMPAIGN/
        #[arg(value_name = "[CAMPAIGN/]ID")]
        id: String,
        #[command(flatten)]
        part: trajectory::Part,
    },
    /// Say what you think of a trajectory; the last word counts
    #[command(
        after_help = "Examples:\n  campaignctl feedback t-2a-17 positive\n  campaignctl feedback alttp/t-2a-17 negative --note \"wrong aligner\""
    )]
    Feedback {
        /// Its id, where several campaigns have it behind CAMPAIGN/
        #[arg(value_name = "[CAMPAIGN/]ID")]
        id: String,
        /// The word
        #[arg(value_parser = ["positive", "negative", "neutral"])]
        opinion: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Look at a random sample and judge it; the same command goes on where you stopped
    #[command(
        after_help = "Examples:\n  campaignctl review alttp --sample 40\n  campaignctl review alttp --sample 40 --seed 7 --json\n\nAnswers, from a terminal or one a line from stdin: p, n or = with or without a note\nbehind it, s to skip, c for the code, q to stop. --json gives the sample and asks nothing."
    )]
    Review {
        /// The campaign
        id: Option<String>,
        /// How many, 1 to 1000; a larger sample begins with the smaller one
        #[arg(long, value_name = "N")]
        sample: usize,
        /// Which sample
        #[arg(long, value_name = "S", default_value_t = 0)]
        seed: u64,
    },
    /// Take all trajectories, as an SQLite database or as JSON lines
    #[command(
        after_help = "Examples:\n  campaignctl export alttp --format sqlite --out alttp.db\n  campaignctl export alttp --format jsonl | jq .outcome"
    )]
    Export(export::ExportArgs),
    /// Take the data set, or a part of it, in a format that a trainer reads
    #[command(
        after_help = "Examples:\n  campaignctl dataset alttp --output alttp-set\n  campaignctl dataset alttp --name codegen --format template --model Qwen3-8B --output sft\n\nWithout --name and --format the files are taken as they are, and compared with their checksums.\nA format keeps the id and the columns that all data sets share. Rows that it cannot say are\ncounted and left out: alpaca has one question and one answer, dpo needs a rejected answer.\n\nExit statuses: 0 done, 1 no room, 2 usage, no such part, no data set yet, 7 no daemon answers"
    )]
    Dataset(dataset::DatasetArgs),
    /// Every success metric: target, what was seen, on how much, how surely
    #[command(
        after_help = "Examples:\n  campaignctl scorecard alttp\n  campaignctl scorecard alttp --json | jq '.metrics[] | select(.standing != \"met\")'"
    )]
    Scorecard {
        /// The campaign
        id: Option<String>,
    },
    /// What was tried and what came of it: find, sort, compare, plot, take
    #[command(after_help = history::EXAMPLES)]
    History(history::HistoryArgs),
    /// What failures taught and persons ruled: settings that are not to be tried
    #[command(after_help = constraints::EXAMPLES)]
    Constraints(constraints::ConstraintsArgs),
    /// Several runs as one question: design, scaffold, run, analyze; needs no daemon
    #[command(subcommand, disable_help_subcommand = true)]
    Experiment(experiment::Step),
    /// A state machine: campaign, job, training_run or trajectory
    Machine {
        /// Which
        #[arg(default_value = "campaign", value_parser = ["campaign", "job", "training_run", "trajectory"])]
        name: String,
        /// text, dot (Graphviz) or mermaid
        #[arg(long, default_value = "text", value_parser = ["text", "dot", "mermaid"])]
        format: String,
    },
    /// End the daemon; local jobs go on, to be adopted
    Stop {
        /// End local jobs too; the next campaignd starts them again where they were
        #[arg(long)]
        cancel_jobs: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// A part of a campaign.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// The pilot.
    Pilot,
    /// The gate.
    Validate,
}
